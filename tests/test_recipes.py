"""The recipes end to end at a tiny size, their sheets, their command line."""

import functools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

import network
from settings import InputError, layers_in_use, make_settings

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "recipes"))

import painting_by_numbers
import reconstruct_layers
import sheet
import stability
import style_interpolation
import texture_synthesis
import weight_grid

TINY = {
    "weights": "random",
    "height": 24,
    "precision": "float32",
    "scales": "1",
    "iter": 1,
    "evaluations": 2,
}
SHALLOW = {**TINY, "content_layers": "block2_conv1", "style_layers": "block1_conv1,block2_conv1"}


@pytest.fixture(scope="module", autouse=True)
def built_once():
    """Keep VGG between cells: to draw its initial weights takes longer than a tiny run."""
    with pytest.MonkeyPatch.context() as patch:
        for name, application in network.APPLICATIONS.items():
            patch.setitem(network.APPLICATIONS, name, functools.cache(application))
        yield


@pytest.fixture
def two_blocks(monkeypatch):
    """Sheets over the first two of VGG's blocks, for time's sake."""
    monkeypatch.setattr(reconstruct_layers, "BLOCKS", range(1, 3))
    monkeypatch.setattr(weight_grid, "BLOCKS", range(1, 3))


def cells_of(picture: Image.Image, left: int, top: int, size: tuple[int, int], count: int):
    """What stands in a row of cells of (width, height), 6 pixels apart."""
    return [
        np.asarray(picture.crop((x, top, x + size[0], top + size[1])))
        for x in range(left, left + count * (size[0] + 6), size[0] + 6)
    ]


def boxes(picture: Image.Image, colors: list[tuple]) -> list[tuple]:
    """(left, top, right, bottom) of all pixels of each colour."""
    pixels = np.asarray(picture)
    found = []
    for color in colors:
        y, x = np.nonzero((pixels == color).all(axis=-1))
        found.append((x.min(), y.min(), x.max() + 1, y.max() + 1))
    return found


# Sheets


def test_a_sheet_s_cells_stand_whole_in_rows_and_columns_and_labels_beside_them():
    colors = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0), (0, 250, 250), (250, 0, 250)]
    sizes = [(90, 30), (80, 20), (90, 40), (70, 50), (90, 50), (60, 10)]
    pictures = [Image.new("RGB", *pair) for pair in zip(sizes, colors, strict=True)]
    made = sheet.make_sheet([pictures[:3], pictures[3:]], ["one", "two"], ["a", "b", "c"])
    found = boxes(made, colors)
    assert [(right - left, bottom - top) for left, top, right, bottom in found] == sizes
    lefts, tops = [box[0] for box in found], [box[1] for box in found]
    assert lefts[:3] == lefts[3:]
    assert tops[:3] == [tops[0]] * 3 and tops[3:] == [tops[3]] * 3
    assert lefts[1] - lefts[0] == 90 + 6 and lefts[2] - lefts[1] == 90 + 6  # the widest of column
    assert tops[3] - tops[0] == 40 + 6
    assert made.size == (lefts[2] + 90 + 6, tops[3] + 50 + 6)
    ink = np.asarray(made).max(axis=-1) < 100
    for left, top in zip(lefts[:3], tops[:3], strict=True):
        assert ink[: top - 1, left : left + 20].any()
    for top, height in ((tops[0], 40), (tops[3], 50)):
        assert ink[top : top + height, : lefts[0] - 1].any()


def test_a_column_is_as_wide_as_its_label_and_no_label_takes_no_room():
    picture = Image.new("RGB", (20, 10), "red")
    bare = sheet.make_sheet([[picture, picture]], [""], ["", ""])
    assert bare.size == (6 + 2 * 26, 6 + 16)
    wide = sheet.make_sheet([[picture]], [""], ["a label that is wider than the picture"])
    assert wide.width > 150
    assert (np.asarray(wide)[:, -6:] == 255).all()


# Recipes


def test_texture_synthesis_paints_any_size_from_the_style_alone(style, tmp_path, capsys):
    prefix = str(tmp_path / "texture")
    choices = {**SHALLOW, "width": 50, "style_scale": 0.8}
    picture, record = texture_synthesis.synthesise(style, prefix, **choices)
    assert picture.size == (50, 24)
    assert record["base"]["path"] == record["styles"][0]["path"] == style
    assert all(entry["content"] == 0 for entry in record["evaluations"])
    assert_array_equal(np.asarray(Image.open(f"{prefix}.png")), np.asarray(picture))


def test_painting_by_numbers_has_the_plan_s_aspect_and_its_regions_colours(tmp_path, capsys):
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
    said = capsys.readouterr().out.splitlines()
    assert said[:4] == [f"{number} of 4 pictures" for number in range(1, 5)]


def test_a_reconstruction_looks_at_its_layers_alone():
    for block in range(1, 6):
        content = make_settings(**reconstruct_layers.content_of(block))
        assert layers_in_use(content)[-1] == f"block{block}_conv2"
        style = make_settings(**reconstruct_layers.style_of(block))
        assert layers_in_use(style) == [f"block{n}_conv1" for n in range(1, block + 1)]


def test_weight_grid_paints_each_ratio_with_each_set_of_layers(
    base, style, tmp_path, capsys, two_blocks
):
    choices = {**TINY, "content_layers": "block1_conv1", "height": 60, "init": "content"}
    made = weight_grid.paint_grid(base, style, str(tmp_path / "grid"), ratios="0.1,1e9", **choices)
    assert made.height == 6 + 13 + 12 + 2 * (60 + 6)
    assert (tmp_path / "grid.png").exists()
    content = np.asarray(Image.open(base).resize((84, 60), Image.Resampling.LANCZOS), float)
    for top in (31, 31 + 66):
        near, far = cells_of(made, made.width - 2 * (84 + 6), top, (84, 60), 2)
        assert np.abs(far - content).mean() < np.abs(near - content).mean()


def test_style_interpolation_ends_in_either_style_alone(base, style, style2, tmp_path, capsys):
    choices = {**SHALLOW, "height": 60}
    prefix = str(tmp_path / "strip")
    made = style_interpolation.interpolate(base, style, style2, prefix, steps=3, **choices)
    assert made.size == (6 + 3 * (84 + 6), 6 + 25 + 60 + 6)
    cells = cells_of(made, 6, 31, (84, 60), 3)
    with sheet.shared_filters([base, style, style2], [choices]) as ready:
        for cell, end in ((cells[0], style), (cells[2], style2)):
            alone, _ = sheet.transfer(base, end, **ready[0])
            assert_array_equal(cell, np.asarray(alone))
    assert (cells[0] != cells[1]).any() and (cells[1] != cells[2]).any()


def test_stability_measures_each_seed_both_ways(style, tmp_path, capsys):
    choices = {**SHALLOW, "histogram_layers": "block2_conv1", "height": 60, "style_scale": 0.5}
    made, table = stability.compare(style, str(tmp_path / "stable"), seeds=2, **choices)
    cells = cells_of(made, made.width - 2 * (45 + 6), 31, (45, 60), 2)
    assert (tmp_path / "stable.png").exists()
    assert [values.shape for values in table.values()] == [(2, 3), (2, 3)]
    for cell, values in zip(cells, table["Gram"], strict=True):
        grey = np.asarray(Image.fromarray(cell).convert("L"), np.float64)
        assert values[:2] == pytest.approx([grey.mean(), grey.var()])
    source = np.asarray(Image.open(style).resize((22, 30), Image.Resampling.LANCZOS))
    places = [cells_of(made, x, 31, (22, 30), 1)[0] for x in range(made.width - 100)]
    assert sum((place == source).all() for place in places) == 1
    assert "spread, ratio" in capsys.readouterr().out


def test_histogram_distance_is_the_mean_shift_of_the_ordered_levels():
    rng = np.random.default_rng(0)
    pixels = [rng.integers(0, 256, (9, 8, 3), dtype=np.uint8) for _ in range(2)]
    ordered = [np.sort(part.reshape(-1, 3).astype(float), axis=0) for part in pixels]
    found = stability.statistics(*map(Image.fromarray, pixels))[2]
    assert found == pytest.approx(np.abs(ordered[0] - ordered[1]).mean())


# Processes


def test_processes_are_spawned_and_their_errors_arrive(base, style):
    cells = [{"base": "no-such.jpg", "styles": style, **SHALLOW, "seed": seed} for seed in (0, 1)]
    with pytest.raises(InputError, match=r"BASE: expected an existing file.*no-such\.jpg"):
        sheet.paint_cells([base, style], cells, 2)


# The command line

RECIPES = [
    painting_by_numbers,
    reconstruct_layers,
    stability,
    style_interpolation,
    texture_synthesis,
    weight_grid,
]


def command(recipe, arguments: list[str]) -> int:
    """The exit code of a recipe's command line, in this process."""
    found = {name: value for name, value in vars(recipe).items() if name in ("OPTIONS", "TAKEN")}
    name = next(n for n in vars(recipe) if n in FUNCTIONS)
    try:
        return sheet.run_recipe(
            getattr(recipe, name),
            recipe.__doc__,
            recipe.PATHS,
            recipe.DEFAULTS,
            found.get("OPTIONS", ()),
            found.get("TAKEN", ()),
            arguments,
        )
    except SystemExit as stopped:
        return stopped.code


FUNCTIONS = ("synthesise", "paint", "reconstruct", "paint_grid", "interpolate", "compare")


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.__name__)
@pytest.mark.parametrize("given", ["no-such.jpg", "options", "nothing"])
def test_bad_input_ends_in_one_line_and_code_2(recipe, given, style, tmp_path, capsys):
    paths = {
        "no-such.jpg": ["no-such.jpg"] * (len(recipe.PATHS) - 1) + [str(tmp_path / "x")],
        "options": [style] * (len(recipe.PATHS) - 1) + [str(tmp_path / "x"), "--height", "tall"],
        "nothing": [],
    }[given]
    assert command(recipe, paths) == 2
    answer = capsys.readouterr()
    assert len(answer.err.splitlines()) == 1 and not answer.out
    assert "error: " in answer.err
    assert not list(tmp_path.iterdir())


def test_an_option_that_the_recipe_sets_itself_is_refused(base, style, tmp_path, capsys):
    arguments = [base, style, str(tmp_path / "x"), "--style-weight", "2"]
    assert command(weight_grid, arguments) == 2
    assert "--style_weight: expected none" in capsys.readouterr().err
    assert command(stability, [style, str(tmp_path / "x"), "--seeds", "1"]) == 2
    assert command(style_interpolation, [base, style, style, "x", "--steps", "1"]) == 2
    assert command(weight_grid, [base, style, "x", "--ratios", "0.1,none"]) == 2


def test_an_option_left_out_has_the_default_that_help_names():
    given = []
    sheet.run_recipe(
        lambda *paths, **options: given.append((paths, options)),
        "",
        {"PREFIX": ""},
        {},
        (("workers", 3, ""), ("ratios", "1,2", "")),
        arguments=["x", "--workers=4"],
    )
    assert given == [(("x",), {"workers": 4, "ratios": "1,2"})]


def test_an_earlier_sheet_is_not_replaced_unasked(base, style, tmp_path, capsys):
    (tmp_path / "x.png").write_bytes(b"earlier")
    assert command(weight_grid, [base, style, str(tmp_path / "x")]) == 2
    assert (tmp_path / "x.png").read_bytes() == b"earlier"


def test_a_recipe_runs_from_the_repository_s_root():
    arguments = [sys.executable, "recipes/texture_synthesis.py", "--help"]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "--style_scale" in done.stdout and "(default: noise)" in done.stdout
