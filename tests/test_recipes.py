"""The recipes end to end at a tiny size."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image
from shallow_runs import SHALLOW, TINY

from neural_style_transfer import transfer
from recipes import (
    accept_or_reject,
    painting_by_numbers,
    reconstruct_layers,
    stability,
    style_interpolation,
    texture_synthesis,
    weight_grid,
)
from style_transfer.parsing import layers_in_use
from style_transfer.presets import make_settings


def crops(picture: Image.Image, left: int, top: int, size: tuple[int, int], count: int):
    """What stands in a row of cells of (width, height), 6 pixels apart."""
    return [
        np.asarray(picture.crop((x, top, x + size[0], top + size[1])))
        for x in range(left, left + count * (size[0] + 6), size[0] + 6)
    ]


def last_line(capsys) -> str:
    """What was printed last."""
    return capsys.readouterr().out.splitlines()[-1]


# Recipes


def test_texture_synthesis_needs_the_style_alone(style, tmp_path, capsys):
    prefix = str(tmp_path / "texture")
    choices = {**SHALLOW, "width": 50, "style_scale": 0.8}
    picture, record = texture_synthesis.synthesize(style, prefix, **choices)
    assert picture.size == (50, 24)
    assert record.content.path == record.styles[0].path == style
    assert all(entry.terms["content"] == 0 for entry in record.evaluations)
    assert last_line(capsys).endswith(f"saved as {prefix}_at_iteration_0.png")
    assert_array_equal(np.asarray(Image.open(f"{prefix}.png")), np.asarray(picture))


def test_painting_by_numbers_follows_the_plan(tmp_path, capsys):
    regions = Image.new("RGB", (48, 36), (255, 0, 0))
    regions.paste((0, 0, 255), (24, 0, 48, 36))
    style = Image.new("RGB", (48, 36), (250, 240, 30))
    style.paste((20, 30, 120), (24, 0, 48, 36))
    plan = Image.new("RGB", (60, 40), (0, 0, 255))
    plan.paste((255, 0, 0), (0, 20, 60, 40))
    for name, made in (("regions", regions), ("style", style), ("plan", plan)):
        made.save(tmp_path / f"{name}.png")
    paths = [str(tmp_path / f"{name}.png") for name in ("plan", "style", "regions")]
    choices = {**SHALLOW, "evaluations": 25, "tv_weight": 0.0}
    picture, _ = painting_by_numbers.paint(*paths, None, **choices)
    assert picture.size == (36, 24)
    pixels = np.asarray(picture, np.float64)
    above, below = pixels[:10].mean(axis=(0, 1)), pixels[-10:].mean(axis=(0, 1))
    assert above[2] > above[0] and below[0] > below[2]  # blue above yellow, as in the plan


def test_reconstruct_layers_lays_contents_above_styles(base, style, tmp_path, capsys, two_blocks):
    made = reconstruct_layers.reconstruct(base, style, str(tmp_path / "layers"), **TINY)
    assert made.height == 6 + 13 + 12 + 2 * (24 + 6)
    assert_array_equal(np.asarray(Image.open(tmp_path / "layers.png")), np.asarray(made))
    told = [f"{number} of 4 pictures" for number in range(1, 5)]
    saved = f"Sheet saved as {tmp_path / 'layers.png'}"
    assert capsys.readouterr().out.splitlines() == [*told, saved]


def test_a_reconstruction_looks_at_its_layers_alone():
    for block in range(1, 6):
        content = make_settings(**reconstruct_layers.content_of(block))
        assert layers_in_use(content)[-1] == f"block{block}_conv2"
        style = make_settings(**reconstruct_layers.style_of(block))
        assert layers_in_use(style) == [f"block{n}_conv1" for n in range(1, block + 1)]


def test_weight_grid_paints_each_ratio_and_depth(base, style, tmp_path, capsys, two_blocks):
    choices = {**TINY, "content_layers": "block1_conv1", "height": 60, "init": "content"}
    made = weight_grid.paint_grid(base, style, str(tmp_path / "grid"), ratios="0.1,1e9", **choices)
    assert made.height == 6 + 13 + 12 + 2 * (60 + 6)
    assert (tmp_path / "grid.png").exists()
    content = np.asarray(Image.open(base).resize((84, 60), Image.Resampling.LANCZOS), float)
    for top in (31, 31 + 66):
        near, far = crops(made, made.width - 2 * (84 + 6), top, (84, 60), 2)
        assert np.abs(far - content).mean() < np.abs(near - content).mean()
    assert last_line(capsys) == f"Sheet saved as {tmp_path / 'grid.png'}"


def test_style_interpolation_ends_in_either_style_alone(base, style, style2, tmp_path, capsys):
    choices = {**SHALLOW, "height": 60}
    prefix = str(tmp_path / "strip")
    made = style_interpolation.interpolate(base, (style, style2), prefix, steps=3, **choices)
    assert made.size == (6 + 3 * (84 + 6), 6 + 25 + 60 + 6)
    found = crops(made, 6, 31, (84, 60), 3)
    for cell, end in ((found[0], style), (found[2], style2)):
        alone, _ = transfer(base, end, **choices)
        assert_array_equal(cell, np.asarray(alone))
    assert (found[0] != found[1]).any() and (found[1] != found[2]).any()
    assert last_line(capsys) == f"Sheet saved as {prefix}.png"


def test_stability_measures_each_seed_both_ways(style, tmp_path, capsys):
    choices = {**SHALLOW, "histogram_layers": "block2_conv1", "height": 60, "style_scale": 0.5}
    made, table = stability.compare(style, str(tmp_path / "stable"), seeds=2, **choices)
    found = crops(made, made.width - 2 * (45 + 6), 31, (45, 60), 2)
    assert (tmp_path / "stable.png").exists()
    assert [values.shape for values in table.values()] == [(2, 3), (2, 3)]
    for cell, values in zip(found, table["Gram"], strict=True):
        grey = np.asarray(Image.fromarray(cell).convert("L"), np.float64)
        assert values[:2] == pytest.approx([grey.mean(), grey.var()])
    source = np.asarray(Image.open(style).resize((22, 30), Image.Resampling.LANCZOS))
    places = [crops(made, x, 31, (22, 30), 1)[0] for x in range(made.width - 100)]
    assert sum((place == source).all() for place in places) == 1
    *_, report, saved = capsys.readouterr().out.splitlines()
    assert report.startswith("spread, ratio") and len(report.split()) > 2
    assert saved == f"Sheet saved as {tmp_path / 'stable.png'}"


def test_accept_or_reject_shows_both_ways_of_one_loss(base, style, tmp_path, capsys):
    choices = {**SHALLOW, "evaluations": 8, "init": "gray"}
    made, lowest = accept_or_reject.compare(base, style, str(tmp_path / "two"), **choices)
    plain, lbfgs = lowest["accept or reject"], lowest["L-BFGS"]
    assert len(plain) == len(lbfgs) >= 8 and plain[0] == pytest.approx(lbfgs[0], rel=1e-5)
    assert lbfgs[-1] < lbfgs[0] and plain[-1] < plain[0]
    left, right = crops(made, made.width - 2 * (33 + 6), made.height - 30, (33, 24), 2)
    assert (left != right).any() and left.std() > 1
    *_, report, saved = capsys.readouterr().out.splitlines()
    ends = [float(number) for number in report.split()[1:]]
    assert ends == pytest.approx([lbfgs[-1], plain[-1]], rel=1e-4)
    assert saved == f"Sheet saved as {tmp_path / 'two.png'}"


def test_histogram_distance_is_the_mean_shift_of_levels():
    rng = np.random.default_rng(0)
    pixels = [rng.integers(0, 256, (9, 8, 3), dtype=np.uint8) for _ in range(2)]
    ordered = [np.sort(part.reshape(-1, 3).astype(float), axis=0) for part in pixels]
    found = stability.statistics(*map(Image.fromarray, pixels))[2]
    assert found == pytest.approx(np.abs(ordered[0] - ordered[1]).mean())
