"""Pictures that are odd, damaged, or none at all."""

import contextlib
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import draw
from numpy.testing import assert_array_equal
from PIL import Image, TiffImagePlugin, features
from PIL.PngImagePlugin import PngInfo
from reading import PIXELS, read

from style_transfer.errors import InputError
from style_transfer.pictures import load_picture

# What is odd beside the pixels


def exif_with(tag: int, kind: int, value: bytes, orientation: int = 6) -> bytes:
    """EXIF data, big-endian, of an orientation and a tag whose value lies at the end."""
    entries = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    entries += struct.pack(">HHII", tag, kind, 1, 38)
    return b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 2) + entries + bytes(4) + value


NEGATIVE = exif_with(0x011A, 10, struct.pack(">ii", -72, 1))  # XResolution, as a signed rational


def test_a_negative_resolution_is_no_obstacle(tmp_path):
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


@pytest.mark.parametrize(
    "kind, data",
    [
        ("EPS", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 90 90\n"),
        ("PDF", b"%PDF-1.7\n"),
        ("SVG", b'\xef\xbb\xbf<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>'),
    ],
)
def test_drawings_are_to_be_saved_as_pixels_first(kind, data, tmp_path):
    (tmp_path / "drawing.png").write_bytes(data)
    with pytest.raises(InputError, match=f"{kind} is a drawing: save it as PNG first"):
        load_picture(tmp_path / "drawing.png", "BASE")


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
def test_a_picture_below_the_limit_gives_no_warning(tmp_path, monkeypatch):
    Image.new("RGB", (64, 64)).save(tmp_path / "picture.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)
    assert load_picture(tmp_path / "picture.png").image.size == (64, 64)
