"""Masks, colors, range, depth and size of a run's pictures."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import draw
from numpy.testing import assert_array_equal
from PIL import Image
from shallow_runs import QUICK, first_loss, totals_of

import preprocessing
from neural_style_transfer import resume, transfer
from style_transfer.errors import InputError


@pytest.fixture(scope="module")
def masks(tmp_path_factory):
    """Paths of index pictures: of the content, of two styles, and one that lacks a color."""
    folder = tmp_path_factory.mktemp("masks")
    for name, colors in {
        "content": ["red", "blue"],
        "style": ["blue", "red"],
        "style2": ["red", "red"],
        "red": ["red", "red"],
    }.items():
        picture = Image.new("RGB", (20, 30), colors[0])
        picture.paste(Image.new("RGB", (10, 30), colors[1]), (10, 0))
        picture.save(folder / f"{name}.png")
    draw(40, 40, seed=1).save(folder / "photo.jpg")
    return folder


def test_masks_of_any_size_are_carried_and_recorded(base, style, style2, masks, tmp_path):
    chosen = {
        "content_mask": str(masks / "content.png"),
        "style_mask": f"{masks}/style.png,{masks}/style2.png",
    }
    plain = first_loss(base, [style, style2])["style"]
    _, record = transfer(
        base, [style, style2], str(tmp_path / "result"), **{**QUICK, **chosen, "iter": 1}
    )
    assert record.evaluations[0].terms["style"] != pytest.approx(plain, rel=1e-3)
    paths = [masks / f"{name}.png" for name in ("content", "style", "style2")]
    assert [(mask.path, mask.sha256) for mask in record.masks] == [
        (str(path), hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths
    ]


def test_a_changed_mask_is_noticed(base, style, masks, tmp_path):
    mask, other = tmp_path / "mask.png", str(masks / "content.png")
    mask.write_bytes((masks / "style.png").read_bytes())
    prefix = str(tmp_path / "result")
    chosen = {"content_mask": str(mask), "style_mask": str(masks / "style.png"), "iter": 1}
    _, first = transfer(base, style, prefix, **{**QUICK, **chosen})
    mask.write_bytes(Path(other).read_bytes())
    with pytest.raises(InputError, match=r"--resume: expected the picture .*mask.png.*SHA-256"):
        resume(prefix, iter=2)
    with pytest.raises(InputError, match="--content_mask: expected as in the run"):
        resume(prefix, iter=2, content_mask=other)
    _, record = resume(prefix, iter=2, content_mask=other, overwrite=True)
    assert record.masks[0].path == other
    assert record.masks[1] == first.masks[1] and len(record.iterations) == 2


def test_painting_by_numbers_gives_each_region_its_style(base, masks, tmp_path):
    """From noise and without content: left dark, right bright, as the style under the mask."""
    rng = np.random.default_rng(1)
    pixels = np.clip(rng.normal(60, 10, (40, 40, 3)), 0, 255)
    pixels[:, :20] += 140  # the style's left half is blue in its mask, the content's right one
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "style.png")
    chosen = {
        "content_mask": str(masks / "content.png"),
        "style_mask": str(masks / "style.png"),
        "content_weight": 0,
        "tv_weight": 0,
        "init": "gray",
        "iter": 1,
        "evaluations": 25,
    }
    picture, record = transfer(base, str(tmp_path / "style.png"), **{**QUICK, **chosen})
    totals = totals_of(record)
    assert totals[-1] < 0.5 * totals[0]
    brightness = np.asarray(picture, float).mean(axis=(0, 2))
    assert (
        brightness[: len(brightness) // 2].mean() + 50 < brightness[len(brightness) // 2 :].mean()
    )


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("init", ["content", "noise"])
def test_clip_keeps_every_image_in_the_valid_range(
    optimizer, init, base, style, tmp_path, monkeypatch
):
    seen = []
    saved = preprocessing.deprocess
    monkeypatch.setattr(preprocessing, "deprocess", lambda x, *_: seen.append(x) or saved(x))
    choices = {"clip": True, "precondition": 0, "optimizer": optimizer, "init": init}
    choices |= {"style_weight": 100, "learning_rate": 40, "scales": "0.7,1"}
    transfer(base, style, str(tmp_path / "result"), **{**QUICK, **choices})
    assert len(seen) >= 3
    low = -np.array([103.939, 116.779, 123.68])
    for image in seen:
        assert (image >= low - 1e-4).all() and (image <= low + 255 + 1e-4).all()
    assert any((image <= low + 1e-4).any() for image in seen)  # it had something to do


def test_luminance_alone_is_changed_where_asked(base, style, tmp_path):
    choices = {**QUICK, "preserve_color": "luminance", "style_weight": 100}
    picture, _ = transfer(base, style, str(tmp_path / "result"), **choices)
    content = Image.open(base).resize(picture.size, Image.Resampling.LANCZOS)
    found, expected = (np.asarray(p.convert("YCbCr"), float)[:, :, 1:] for p in (picture, content))
    assert np.median(np.abs(found - expected)) <= 1
    assert_array_equal(Image.open(tmp_path / "result_at_iteration_2.png"), picture)


@pytest.mark.parametrize("preserve_color", ["none", "luminance"])
def test_16_bits_are_those_of_the_8_bits_and_more(preserve_color, base, style, tmp_path):
    choices = {**QUICK, "style_weight": 100, "preserve_color": preserve_color}
    prefix = str(tmp_path / "result")
    picture, record = transfer(base, style, prefix, output="tiff16", **choices)
    eight, _ = transfer(base, style, **choices)
    assert_array_equal(picture, eight)  # what is returned has 8 bits
    assert record.settings.output == "tiff16"
    for end in ("", "_at_iteration_2"):
        pixels = tifffile.imread(f"{prefix}{end}.tif")
        assert pixels.dtype == np.uint16
        # Luminance rounds twice: the painted pixels, then what comes of them.
        farthest = 0.5 if preserve_color == "none" else 1
        assert np.abs(pixels / 257 - np.asarray(eight)).max() <= farthest + 0.5 / 257
        assert (pixels % 257 != 0).mean() > 0.9
    again, _ = transfer(base, style, init=f"{prefix}_at_iteration_0.tif", **choices)
    assert again.size == picture.size


def test_a_run_of_16_bits_is_resumed_with_the_same_bytes(base, style, tmp_path):
    whole, part = str(tmp_path / "whole"), str(tmp_path / "part")
    transfer(base, style, whole, output="png16", restarts=True, **QUICK)
    transfer(base, style, part, output="png16", restarts=True, **{**QUICK, "iter": 2})
    resume(part, iter=3)
    for end in ("", "_at_iteration_2"):
        assert Path(f"{part}{end}.png").read_bytes() == Path(f"{whole}{end}.png").read_bytes()
    with pytest.raises(InputError, match="--output: expected as in the run"):
        resume(part, iter=4, output="tiff16")
    resume(part, iter=4, output="tiff16", overwrite=True)
    names = {path.name for path in tmp_path.glob("part*") if path.is_file()}
    pictures = {f"part_at_iteration_{number}.png" for number in range(3)}
    assert names == {"part.json", "part.tif", "part_at_iteration_3.tif"} | pictures


def test_the_width_is_the_one_asked_for_at_every_scale(base, style):
    picture, record = transfer(base, style, **{**QUICK, "width": 41, "scales": "0.75,1"})
    assert picture.size == (41, 24)
    assert [size.shape for size in record.sizes] == [(18, 31), (24, 41)]
