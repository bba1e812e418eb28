"""Pictures of every kind, from files and from memory."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from conftest import draw
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from reading import ALPHA, PIXELS, load, read

from style_transfer.errors import InputError
from style_transfer.pictures import load_picture

UPRIGHT = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
    8: lambda p: np.rot90(p, 1),
}


@pytest.mark.parametrize("name", ["picture.png", "picture.tif", "lzw.tif", "lossless.webp"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_picture_stands_upright(orientation, name, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lzw.tif": {"compression": "tiff_lzw"}, "lossless.webp": {"lossless": True}}
    found = load(Image.fromarray(PIXELS), tmp_path, name, exif=exif, **options.get(name, {}))
    assert_array_equal(found, UPRIGHT[orientation](PIXELS))


def test_grayscale_gets_three_equal_channels(tmp_path):
    gray = PIXELS[:, :, 0]
    assert_array_equal(load(Image.fromarray(gray), tmp_path), np.stack([gray] * 3, axis=-1))


def test_black_and_white_becomes_0_and_255(tmp_path):
    bits = PIXELS[:, :, 0] > 128
    expected = np.stack([bits * np.uint8(255)] * 3, axis=-1)
    assert_array_equal(load(Image.fromarray(bits), tmp_path), expected)


def palette_picture():
    indices = (PIXELS[:, :, 0] // 64).astype(np.uint8)  # 0..3
    palette = np.array([[255, 0, 0], [0, 200, 0], [0, 0, 150], [90, 80, 70]], np.uint8)
    picture = Image.fromarray(indices)
    picture.putpalette(palette.tobytes())
    assert picture.mode == "P"
    return picture, indices, palette


@pytest.mark.parametrize("name", ["picture.png", "picture.gif"])
def test_a_palette_is_looked_up(name, tmp_path):
    picture, indices, palette = palette_picture()
    assert_array_equal(load(picture, tmp_path, name), palette[indices])


@pytest.mark.parametrize("name", ["picture.png", "picture.gif"])
def test_a_transparent_entry_of_a_palette_is_white(name, tmp_path):
    picture, indices, palette = palette_picture()
    palette[2] = 255
    assert_array_equal(load(picture, tmp_path, name, transparency=2), palette[indices])


def test_half_transparent_entries_of_a_palette_lie_on_white(tmp_path):
    picture, indices, palette = palette_picture()
    alpha = np.array([255, 128, 0, 60])
    opacity = alpha[:, None] / 255
    expected = palette * opacity + 255 * (1 - opacity)
    found = load(picture, tmp_path, transparency=bytes(alpha.tolist()))
    assert_allclose(found, expected[indices], atol=1)


@pytest.mark.parametrize("name", ["picture.png", "picture.tif"])
def test_16_bit_grayscale_is_rounded_to_8(name, tmp_path):
    values = np.linspace(0, 65535, 24 * 30).reshape(24, 30).astype(np.uint16)
    found = load(Image.fromarray(values), tmp_path, name)
    expected = np.rint(values / 65535 * 255)
    assert_array_equal(found, np.stack([expected] * 3, axis=-1))


def test_floating_point_from_0_to_1_becomes_0_to_255(tmp_path):
    values = np.linspace(0, 1, 24 * 30).reshape(24, 30).astype(np.float32)
    found = load(Image.fromarray(values), tmp_path, "picture.tif")
    assert_allclose(found[:, :, 1], values * 255, atol=0.501)


# From memory


@pytest.mark.parametrize(
    "array", [PIXELS, PIXELS[:, :, 0], np.dstack([PIXELS, ALPHA]), PIXELS[::-1, 1:].swapaxes(0, 1)]
)
def test_an_array_is_the_picture_that_pillow_makes_of_it(array):
    found, again = load_picture(array), load_picture(Image.fromarray(np.ascontiguousarray(array)))
    expected = np.ascontiguousarray(array)[..., :3]
    if array.ndim == 2:
        expected = np.stack([array] * 3, axis=-1)
    opaque = np.dstack([ALPHA]) / 255 if array.shape[-1] == 4 else 1
    assert_allclose(found.image, expected * opaque + 255 * (1 - opaque), atol=1)
    assert found.path is None and found.sha256 == again.sha256
    assert (found.alpha is None) == (array.shape[-1] != 4)


def test_pictures_in_memory_are_known_by_size_and_pixels():
    sources = [
        PIXELS,
        PIXELS.reshape(30, 24, 3),
        np.dstack([PIXELS, ALPHA]),
        np.dstack([PIXELS, 255 - ALPHA]),
        PIXELS + 1,
        PIXELS[:, :, 0],
    ]
    assert len({load_picture(source).sha256 for source in sources}) == len(sources)


def test_a_picture_is_returned_as_it_is(tmp_path):
    found = read(Image.fromarray(PIXELS), tmp_path)
    assert load_picture(found) is found
    assert found.path == str(tmp_path / "picture.png")
    assert found.sha256 == hashlib.sha256((tmp_path / "picture.png").read_bytes()).hexdigest()


def test_a_path_may_be_text_a_path_or_relative(tmp_path, monkeypatch):
    Image.fromarray(PIXELS).save(tmp_path / "picture.png")
    monkeypatch.chdir(tmp_path)
    for source in (str(tmp_path / "picture.png"), Path("picture.png"), "./picture.png"):
        assert load_picture(source).path == str(tmp_path / "picture.png")


@pytest.mark.parametrize(
    "source, received",
    [
        (["a.png", "b.png"], "list"),
        (None, "NoneType"),
        (3, "int"),
        (b"bytes", "bytes"),
        (PIXELS / 255, "float64, (24, 30, 3)"),
        (PIXELS[:, :, :2], "uint8, (24, 30, 2)"),
        (PIXELS[None], "uint8, (1, 24, 30, 3)"),
        (PIXELS[:15], "an array, 30 x 15"),
        (PIXELS[:0], "an array, 30 x 0"),
    ],
)
def test_anything_else_is_refused_by_its_type(source, received):
    with pytest.raises(InputError, match="REF: expected ") as error:
        load_picture(source, "REF")
    assert str(error.value).split("Received: ")[1].endswith(received)


def test_a_damaged_file_that_pillow_opened_is_refused(tmp_path):
    draw(64, 64, seed=1).save(tmp_path / "whole.bmp")
    (tmp_path / "picture.bmp").write_bytes((tmp_path / "whole.bmp").read_bytes()[:6000])
    with Image.open(tmp_path / "picture.bmp") as file, pytest.raises(InputError) as error:
        load_picture(file, "BASE")
    assert str(error.value).startswith("BASE: expected a whole picture. Received: a PIL.Image")
