"""Masks: flat colors, soft edges, compression, and what is no mask."""

import io

import numpy as np
import pytest
from conftest import draw
from numpy.testing import assert_array_equal
from PIL import Image, ImageDraw, ImageFilter

from style_transfer.errors import InputError
from style_transfer.masks import load_masks, regions

RED, BLUE, GREEN, BLACK, WHITE, GRAY = (
    *((255, 0, 0), (0, 0, 255), (0, 255, 0), (0, 0, 0), (255, 255, 255), (128, 128, 128)),
)


def save_mask(path, pixels):
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)
    return str(path)


def striped(size, *colors):
    """Columns of colors, equally wide."""
    pixels = np.zeros((*size, 3), np.uint8)
    for part, color in zip(np.array_split(np.arange(size[1]), len(colors)), colors, strict=True):
        pixels[:, part] = color
    return pixels


def plan(side, *colors, finer=1):
    """A disk and a triangle on a ground, drawn `finer` times as large and reduced by averages."""
    full = side * finer
    picture = Image.new("RGB", (full, full), colors[0])
    pen = ImageDraw.Draw(picture)
    pen.ellipse([full * 0.1, full * 0.15, full * 0.6, full * 0.7], fill=colors[1])
    if len(colors) > 2:
        corners = [(0.5, 0.3), (0.95, 0.5), (0.55, 0.95)]
        pen.polygon([(full * x, full * y) for x, y in corners], fill=colors[2])
    return picture.resize((side, side), Image.Resampling.BOX)


def compressed(picture, **options):
    file = io.BytesIO()
    picture.save(file, **options)
    return Image.open(file)


def test_regions_are_a_masks_colors_by_nearest_neighbor(tmp_path):
    path = save_mask(tmp_path / "mask.png", striped((20, 30), RED, BLUE, GREEN))
    masks = load_masks(path, [path])
    assert masks.remarks == () and masks.unpainted == ()
    for size in [(20, 30), (10, 15), (53, 77)]:
        found = regions(masks.pictures[0].image, size)
        assert list(found) == [BLUE, GREEN, RED]
        column = ((np.arange(size[1]) + 0.5) * 30 / size[1]).astype(int) // 10
        for number, color in enumerate((RED, BLUE, GREEN)):
            assert_array_equal(found[color], np.broadcast_to(column == number, size))


def test_each_color_of_the_contents_mask_is_in_a_styles(tmp_path):
    content = save_mask(tmp_path / "content.png", striped((20, 30), RED, BLUE, GREEN))
    one = save_mask(tmp_path / "one.png", striped((16, 16), RED))
    two = save_mask(tmp_path / "two.png", striped((40, 16), (1, 2, 3), BLUE))
    with pytest.raises(InputError) as error:
        load_masks(content, [one])
    message = str(error.value)
    assert message.startswith("--style_mask: expected every color") and "\n" not in message
    assert "#0000ff, #00ff00" in message and "#ff0000" not in message
    with pytest.raises(InputError, match="none for #00ff00$"):
        load_masks(content, [one, two])
    third = save_mask(tmp_path / "third.png", striped((20, 20), GREEN))
    masks = load_masks(content, [one, two, third])
    assert [picture.path for picture in masks.pictures] == [content, one, two, third]


def test_regions_that_no_style_has_are_kept_where_asked():
    content, one = striped((20, 30), RED, BLUE, GREEN), striped((16, 16), BLUE)
    masks = load_masks(content, [one], unpainted="keep")
    assert masks.unpainted == (GREEN, RED)
    assert_array_equal(masks.pictures[0].image, content)
    with pytest.raises(InputError, match="expected at least one color .*none for #0000ff"):
        load_masks(content, [striped((16, 16), WHITE)], unpainted="keep")


@pytest.mark.parametrize(
    "pixels",
    [
        striped((24, 24), *[(n, n, n) for n in range(8)]),  # an index picture's small numbers
        striped((24, 24), BLACK, GRAY, WHITE),
        striped((24, 24), *[(n, 0, 0) for n in range(24)]),  # one pixel wide
        np.random.default_rng(1).choice([0, 128, 255], (24, 24, 1)).repeat(3, axis=-1),
    ],
)
def test_a_mask_of_few_flat_colors_is_taken_as_it_is(pixels):
    pixels = pixels.astype(np.uint8)
    masks = load_masks(pixels, [pixels[::-1]])
    assert masks.remarks == ()
    assert_array_equal(masks.pictures[0].image, pixels)
    assert_array_equal(masks.pictures[1].image, pixels[::-1])


@pytest.mark.parametrize("colors", [(BLACK, WHITE), (RED, BLUE, GREEN), (BLACK, WHITE, GRAY)])
@pytest.mark.parametrize("side", [48, 96, 300])
@pytest.mark.parametrize("blur", [0, 1.5])
def test_pixels_of_soft_edges_go_to_the_nearest_region(blur, side, colors):
    hard, soft = plan(side, *colors), plan(side, *colors, finer=4)
    if blur:
        soft = soft.filter(ImageFilter.GaussianBlur(blur))
    masks = load_masks(soft, [hard])
    found, exact = (np.asarray(masks.pictures[i].image) for i in (0, 1))
    assert_array_equal(exact, hard)
    assert {tuple(color) for color in found.reshape(-1, 3).tolist()} == set(colors)
    # Where no other color is within four pixels, a region is what it was; elsewhere nearly.
    packed = exact.astype(int) @ [65536, 256, 1]
    inside = np.lib.stride_tricks.sliding_window_view(np.pad(packed, 4, mode="edge"), (9, 9))
    inside = (inside == packed[:, :, None, None]).all(axis=(2, 3))
    wrong = (found != exact).any(axis=-1)
    assert not wrong[inside].any()
    assert wrong.mean() < 2.5 / side * len(colors)
    # Every pixel that is not of one of the colors moves, and the remark says how many.
    moved = (found != np.asarray(soft)).any(axis=-1).sum()
    assert masks.remarks[0].startswith(f"--content_mask: {moved:,} of {side**2:,} pixels")


def test_soft_edges_between_black_and_white_are_not_gray_s():
    soft = plan(96, BLACK, WHITE, finer=4)
    soft.paste(GRAY, (0, 88, 96, 96))  # far from the disk
    found = np.asarray(load_masks(soft, [soft]).pictures[0].image)
    assert (found[:88] == 128).all(axis=-1).sum() <= 3  # values that happen to be gray's own


@pytest.mark.parametrize(
    "options",
    [{"format": "JPEG", "quality": q} for q in (95, 75, 40)] + [{"format": "WEBP", "quality": 80}],
)
@pytest.mark.parametrize("colors", [(BLACK, WHITE), (RED, BLUE, GREEN)])
def test_a_compression_s_noise_goes_to_the_nearest_region(colors, options):
    hard = plan(300, *colors)
    masks = load_masks(hard, [compressed(hard, **options)])
    found = np.asarray(masks.pictures[1].image)
    assert {tuple(color) for color in found.reshape(-1, 3).tolist()} == set(colors)
    assert (found != np.asarray(hard)).any(axis=-1).mean() < 0.03


@pytest.mark.parametrize("which", ["content", "style"])
@pytest.mark.parametrize("name", ["photo.jpg", "photo.png"])
def test_a_photograph_is_no_mask(which, name, tmp_path):
    paths = {"content": save_mask(tmp_path / "content.png", striped((20, 30), RED, BLUE))}
    paths["style"] = paths["content"]
    draw(40, 40, seed=1).save(tmp_path / name)
    paths[which] = str(tmp_path / name)
    with pytest.raises(InputError, match="expected pictures of flat colors, at most 64.*photo"):
        load_masks(paths["content"], [paths["style"]])


def test_a_gradient_is_no_mask():
    ramp = np.zeros((120, 120, 3), np.uint8)
    ramp[:] = np.arange(120)[:, None, None] + np.arange(120)[None, :, None]
    with pytest.raises(InputError, match="photograph"):
        load_masks(ramp, [ramp])


def test_a_framed_photograph_is_no_mask():
    framed = np.full((100, 200, 3), 255, np.uint8)
    framed[:, 70:] = draw(100, 130, seed=1)
    with pytest.raises(InputError, match="photograph"):
        load_masks(framed, [framed])


def test_a_palette_picture_is_a_mask(tmp_path):
    indexed = Image.fromarray(striped((20, 30), RED, BLUE)).convert("P", colors=2)
    indexed.save(tmp_path / "mask.png")
    masks = load_masks(tmp_path / "mask.png", [tmp_path / "mask.png"])
    assert len(regions(masks.pictures[0].image, (20, 30))) == 2
