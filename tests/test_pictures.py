"""Pictures of every kind, from files and from memory, and files that are damaged."""

import contextlib
import hashlib
import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from conftest import draw
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image, ImageCms, TiffImagePlugin, features
from PIL.PngImagePlugin import PngInfo

from style_transfer import srgb
from style_transfer.errors import InputError
from style_transfer.pictures import Picture, load_picture

PIXELS = np.asarray(draw(24, 30, seed=1))
ALPHA = np.resize(np.arange(256, dtype=np.uint8), PIXELS.shape[:2])


def read(picture, tmp_path, name="picture.png", **options) -> Picture:
    """A picture saved with some options and read again."""
    picture.save(tmp_path / name, **options)
    found = load_picture(tmp_path / name)
    assert found.image.mode == "RGB"
    return found


def load(picture, tmp_path, name="picture.png", **options) -> np.ndarray:
    """Its pixels, where there is nothing odd about it."""
    found = read(picture, tmp_path, name, **options)
    assert not found.remarks
    return np.asarray(found.image)


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
def test_a_picture_stands_upright_whatever_its_exif_orientation(orientation, name, tmp_path):
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


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_parts_lie_on_white(mode, tmp_path):
    alpha = np.resize(np.arange(256, dtype=np.uint8), PIXELS.shape[:2])
    colors = PIXELS if mode == "RGBA" else PIXELS[:, :, :1]
    picture = Image.fromarray(np.concatenate([colors, alpha[:, :, None]], axis=-1), mode)
    opacity = alpha[:, :, None] / 255
    expected = colors * opacity + 255 * (1 - opacity)
    found = read(picture, tmp_path)
    assert_allclose(found.image, np.broadcast_to(expected, PIXELS.shape), atol=1)
    assert_array_equal(found.alpha, alpha)


def test_a_transparent_color_of_an_rgb_picture_is_white(tmp_path):
    pixels = PIXELS.copy()
    pixels[3:9, 4:20] = 10, 20, 30
    found = load(Image.fromarray(pixels), tmp_path, transparency=(10, 20, 30))
    pixels[3:9, 4:20] = 255
    assert_array_equal(found, pixels)


def test_cmyk_is_converted(tmp_path):
    inks = np.concatenate([PIXELS, PIXELS[::-1, :, :1]], axis=-1)
    found = load(Image.fromarray(inks, "CMYK"), tmp_path, "picture.tif")
    expected = (255 - inks[:, :, :3].astype(float)) * (255 - inks[:, :, 3:].astype(float)) / 255
    assert_allclose(found, expected, atol=1)


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


# An RGB color space far from sRGB: ProPhoto's primaries, relative to D50 (columns R, G, B), and a
# plain power law of 1.8. sRGB's matrix, adapted to D50 likewise, is that of the ICC's profile.
WIDE = np.array([[0.79767, 0.13519, 0.03135], [0.28804, 0.71188, 0.00009], [0, 0, 0.82521]])
SRGB = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
)


def icc_profile(space: bytes = b"RGB ", gamma: float = 1.8) -> bytes:
    """A display profile (ICC.1:2001-04) of the primaries WIDE, or of gray, and a power law."""

    def fixed(*numbers):
        return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)

    curve = b"curv" + bytes(4) + struct.pack(">IHH", 1, round(gamma * 256), 0)
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78 + 1),
        b"cprt": b"text" + bytes(4) + b"none",
        b"wtpt": b"XYZ " + bytes(4) + fixed(0.9642, 1, 0.82491),
    }
    if space == b"RGB ":
        for index, name in enumerate("rgb"):
            tags[f"{name}XYZ".encode()] = b"XYZ " + bytes(4) + fixed(*WIDE[:, index])
            tags[f"{name}TRC".encode()] = curve
    else:
        tags[b"kTRC"] = curve
    table, data = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    header = struct.pack(
        ">I4sI4s4s4s", start + len(data), bytes(4), 0x02400000, b"mntr", space, b"XYZ "
    )
    header += struct.pack(">6H4s", 2024, 1, 1, 0, 0, 0, b"acsp") + bytes(24 + 4)
    header += fixed(0.9642, 1, 0.82491)
    return header + bytes(128 - len(header)) + table + data


def srgb_of(linear):
    """Encoded sRGB 0..255 of linear light 0..1 (IEC 61966-2-1)."""
    linear = np.clip(linear, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def test_an_embedded_profile_is_converted_to_srgb(tmp_path):
    # Soft colors, inside sRGB's gamut in both spaces.
    pixels = (PIXELS // 4 + 90).astype(np.uint8)
    linear = (pixels / 255) ** 1.8 @ WIDE.T @ np.linalg.inv(SRGB).T
    found = load(Image.fromarray(pixels), tmp_path, icc_profile=icc_profile())
    assert_allclose(found, srgb_of(linear), atol=2)
    assert np.abs(found.astype(int) - pixels).max() > 20


def test_a_profile_of_a_transparent_picture_is_converted_and_the_rest_is_white(tmp_path):
    pixels = (PIXELS // 4 + 90).astype(np.uint8)
    alpha = np.full(pixels.shape[:2], 255, np.uint8)
    alpha[:5] = 0
    linear = (pixels / 255) ** 1.8 @ WIDE.T @ np.linalg.inv(SRGB).T
    picture = Image.fromarray(np.dstack([pixels, alpha]))
    found = load(picture, tmp_path, icc_profile=icc_profile())
    assert_allclose(found[5:], srgb_of(linear)[5:], atol=2)
    assert (found[:5] == 255).all()


def test_a_profile_of_grayscale_is_converted(tmp_path):
    gray = PIXELS[:, :, 0]
    found = load(Image.fromarray(gray), tmp_path, icc_profile=icc_profile(b"GRAY"))
    expected = np.stack([srgb_of((gray / 255) ** 1.8)] * 3, axis=-1)
    assert_allclose(found, expected, atol=2)


@pytest.mark.parametrize("profile", [b"no profile at all", icc_profile(b"GRAY")])
def test_a_profile_that_does_not_fit_is_left_aside_with_a_remark(profile, tmp_path, capfd):
    found = read(Image.fromarray(PIXELS), tmp_path, icc_profile=profile)
    assert_array_equal(found.image, PIXELS)
    (remark,) = found.remarks
    assert remark.startswith("picture: the color profile of ") and "\n" not in remark
    assert capfd.readouterr() == ("", "")


def test_lab_is_converted(tmp_path):
    soft = Image.fromarray(PIXELS // 4 + 90)
    spaces = [ImageCms.createProfile(space) for space in ("sRGB", "LAB")]
    lab = ImageCms.profileToProfile(soft, *spaces, outputMode="LAB")
    assert_allclose(load(lab, tmp_path, "picture.tif"), np.asarray(soft), atol=4)  # 8-bit LAB


def test_a_picture_is_the_same_whatever_strips_it_is_converted_in(tmp_path, monkeypatch):
    picture = Image.fromarray(np.dstack([PIXELS, ALPHA]))
    whole = read(picture, tmp_path, icc_profile=icc_profile())
    for pixels in (1, 100):
        monkeypatch.setattr(srgb, "_STRIP", pixels)
        found = load_picture(tmp_path / "picture.png")
        assert_array_equal(found.image, whole.image)
        assert_array_equal(found.alpha, ALPHA)


def test_alpha_stands_upright_with_its_picture(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    found = read(Image.fromarray(np.dstack([PIXELS, ALPHA])), tmp_path, exif=exif)
    assert found.alpha.size == found.image.size == (24, 30)
    assert_array_equal(found.alpha, np.rot90(ALPHA, -1))


def test_an_opaque_alpha_channel_is_none(tmp_path):
    picture = Image.fromarray(np.dstack([PIXELS, np.full_like(ALPHA, 255)]))
    found = read(picture, tmp_path)
    assert found.alpha is None
    assert_array_equal(found.image, PIXELS)


def test_a_transparent_value_of_16_bits_is_white(tmp_path):
    values = np.resize(np.arange(100, 60000, 97), (24, 30)).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "picture.png")
    data = (tmp_path / "picture.png").read_bytes()
    chunk = b"tRNS" + struct.pack(">H", 100)
    chunk = struct.pack(">I", 2) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "picture.png").write_bytes(data[:33] + chunk + data[33:])
    found = load_picture(tmp_path / "picture.png")
    clear = values == 100
    assert clear.any() and (np.asarray(found.image)[clear] == 255).all()
    assert_array_equal(found.alpha, np.where(clear, 0, 255))


# What is odd beside the pixels


def exif_with(tag: int, kind: int, value: bytes, orientation: int = 6) -> bytes:
    """EXIF data, big-endian, of an orientation and a tag whose value lies at the end."""
    entries = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    entries += struct.pack(">HHII", tag, kind, 1, 38)
    return b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 2) + entries + bytes(4) + value


NEGATIVE = exif_with(0x011A, 10, struct.pack(">ii", -72, 1))  # XResolution, as a signed rational


def test_a_negative_resolution_keeps_no_picture_from_being_read(tmp_path):
    for name in ("picture.jpg", "picture.png", "picture.webp"):
        options = {} if name.endswith("png") else {"quality": 95}
        found = read(Image.fromarray(PIXELS), tmp_path, name, exif=NEGATIVE, **options)
        assert found.image.size == (24, 30)  # upright all the same


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0MM\0*" + b"\xff" * 40,
        b"Exif\0\0garbage",
        exif_with(0x8769, 4, b"", 1)[:-6],
        exif_with(0x0112, 2, b"text", 99),
    ],
)
def test_damaged_exif_data_keep_no_picture_from_being_read(exif, ending, tmp_path, capfd):
    if ending == "tif":  # Pillow writes no damaged ones: a wrong place of EXIF's directory
        own = TiffImagePlugin.ImageFileDirectory_v2()
        own.tagtype[0x8769] = 4
        own[0x8769] = int.from_bytes(exif[-4:], "big")
        Image.fromarray(PIXELS).save(tmp_path / "picture.tif", tiffinfo=own)
    else:
        options = {"lossless": True} if ending == "webp" else {}
        Image.fromarray(PIXELS).save(tmp_path / f"picture.{ending}", exif=exif, **options)
    found = load_picture(tmp_path / f"picture.{ending}")
    if ending != "jpg":
        assert_array_equal(found.image, PIXELS)
    assert capfd.readouterr() == ("", "")


def test_a_text_that_unpacks_to_gigabytes_is_left_aside(tmp_path):
    texts = PngInfo()
    texts.add_text("Comment", "0" * (80 << 20), zip=True)
    found = read(Image.fromarray(PIXELS), tmp_path, pnginfo=texts)
    assert_array_equal(found.image, PIXELS)
    assert "metadata" in found.remarks[0] and "\n" not in found.remarks[0]


def test_a_color_profile_that_cannot_be_unpacked_is_left_aside(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "picture.png")
    data = (tmp_path / "picture.png").read_bytes()
    chunk = b"iCCPname\0\0" + b"not deflated"
    odd = struct.pack(">I", len(chunk) - 4) + chunk + bytes(4)
    (tmp_path / "picture.png").write_bytes(data[:33] + odd + data[33:])
    found = load_picture(tmp_path / "picture.png")
    assert_array_equal(found.image, PIXELS)


@pytest.mark.parametrize("name", ["picture.gif", "picture.webp", "picture.png", "picture.tif"])
def test_the_first_of_several_pictures_is_used_with_a_remark(name, tmp_path):
    others = [Image.fromarray(PIXELS[::-1]), Image.fromarray(PIXELS[:, ::-1])]
    options = {"lossless": True} if name.endswith("webp") else {}
    first = Image.fromarray(PIXELS)
    first = first.quantize(9) if name.endswith("gif") else first
    found = read(first, tmp_path, name, save_all=True, append_images=others, **options)
    assert_array_equal(found.image, first.convert("RGB"))
    (remark,) = found.remarks
    assert remark.endswith("the first is used." if name.endswith("tif") else "frame is used.")


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


def test_pictures_from_memory_are_known_by_mode_size_and_pixels():
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


def test_a_damaged_file_that_pillow_has_opened_is_refused_in_one_line(tmp_path):
    draw(64, 64, seed=1).save(tmp_path / "whole.bmp")
    (tmp_path / "picture.bmp").write_bytes((tmp_path / "whole.bmp").read_bytes()[:6000])
    with Image.open(tmp_path / "picture.bmp") as file, pytest.raises(InputError) as error:
        load_picture(file, "BASE")
    assert str(error.value).startswith("BASE: expected a whole picture. Received: a PIL.Image")


# HEIC and AVIF


def file_type_box(brand: bytes) -> bytes:
    return struct.pack(">I4s4sI4s", 24, b"ftyp", brand, 0, b"mif1") + b"rest of the file"


@pytest.mark.parametrize("brand, kind", [(b"heic", "HEIC"), (b"mif1", "HEIC"), (b"avif", "AVIF")])
def test_without_pillow_heif_a_line_names_it(brand, kind, tmp_path, monkeypatch):
    (tmp_path / "picture.jpg").write_bytes(file_type_box(brand))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # its import fails
    monkeypatch.setattr(features, "check", lambda name: False)
    with pytest.raises(InputError) as error:
        load_picture(tmp_path / "picture.jpg", "BASE")
    message = str(error.value)
    assert f"{kind} needs " in message and "pillow-heif: pip install pillow-heif" in message
    assert "\n" not in message


def test_heic_is_read_with_pillow_heif(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(Image.fromarray(PIXELS)).save(tmp_path / "picture.heic", quality=95)
    found = load_picture(tmp_path / "picture.heic")
    assert np.abs(np.asarray(found.image).astype(int) - PIXELS).mean() < 12


@pytest.mark.skipif(not features.check("avif"), reason="needs a Pillow that reads AVIF")
def test_avif_is_read_by_pillow(tmp_path):
    found = read(Image.fromarray(PIXELS), tmp_path, "picture.avif", quality=95)
    assert np.abs(np.asarray(found.image).astype(int) - PIXELS).mean() < 12


# Damage at random


def test_damaged_files_give_a_picture_or_one_line(tmp_path):
    count = int(os.environ.get("NST_FUZZ", "600"))
    script = str(Path(__file__).with_name("fuzz_pictures.py"))
    limit = ["--limit", str(2 << 30)] if sys.platform == "linux" else []
    command = [sys.executable, script, str(count), "--folder", str(tmp_path), *limit]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    result = json.loads(done.stdout)
    assert sum(n for name, n in result["found"].items() if name != "with remarks") == count
    assert all(result["found"][f"{kind} read"] for kind in ("JPEG", "PNG", "WEBP", "TIFF", "GIF"))
    assert result["slowest"] < 10
    with contextlib.suppress(KeyError):
        assert not result["memory"] >= 2048  # not known on Windows: NaN


# Files that are no usable picture


def garbage(folder):
    (folder / "picture.png").write_bytes(b"this is no picture" * 20)


def truncated(folder):
    draw(64, 64, seed=1).save(folder / "whole.jpg")
    (folder / "picture.png").write_bytes((folder / "whole.jpg").read_bytes()[:600])


def unknown_kind(folder):
    draw(64, 64, seed=1).save(folder / "whole.dds")
    data = bytearray((folder / "whole.dds").read_bytes())
    data[80:88] = struct.pack("<I4s", 4, b"DX10")  # Pillow raises NotImplementedError
    data[128:132] = struct.pack("<I", 999)
    (folder / "picture.png").write_bytes(data)


def empty(folder):
    (folder / "picture.png").touch()


def directory(folder):
    (folder / "picture.png").mkdir()


def one_pixel(folder):
    Image.new("RGB", (1, 1)).save(folder / "picture.png")


def narrow(folder):
    Image.new("RGB", (15, 400)).save(folder / "picture.png")


@pytest.mark.parametrize(
    "spoil, expected",
    [
        (lambda folder: None, "expected an existing file"),
        (garbage, "expected a picture"),
        (truncated, "expected a whole picture"),
        (unknown_kind, "expected a whole picture"),
        (empty, "0 bytes"),
        (directory, "Received: the folder"),
        (one_pixel, "1 x 1"),
        (narrow, "15 x 400"),
    ],
)
def test_what_is_no_usable_picture_is_refused_in_one_line(spoil, expected, tmp_path):
    spoil(tmp_path)
    with pytest.raises(InputError) as error:
        load_picture(tmp_path / "picture.png", "BASE")
    message = str(error.value)
    assert message.startswith("BASE: expected ") and expected in message
    assert "Received: " in message and str(tmp_path) in message and "\n" not in message


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tif", "gif", "bmp"])
def test_a_decompression_bomb_is_refused_unless_it_is_wanted(ending, tmp_path, monkeypatch):
    path = tmp_path / f"picture.{ending}"
    Image.new("RGB", (64, 64)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(InputError, match="expected at most 2,000 pixels"):
        load_picture(path)
    assert load_picture(path, large=True).image.size == (64, 64)
    assert Image.MAX_IMAGE_PIXELS == 1000


@pytest.mark.filterwarnings("error")
def test_a_large_picture_below_the_limit_is_read_without_a_warning(tmp_path, monkeypatch):
    Image.new("RGB", (64, 64)).save(tmp_path / "picture.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)
    assert load_picture(tmp_path / "picture.png").image.size == (64, 64)
