"""Pictures written: PNG and TIFF of 8 and 16 bits, with and without alpha, and JPEG; read back."""

import hashlib
import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from conftest import draw
from numpy.testing import assert_array_equal
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from style_transfer.errors import InputError
from style_transfer.runs import pictures
from style_transfer.runs.pictures import as_image, write_picture

TEXTS = {"Software": "x", "Settings": "{}"}


def written(pixels, output, **options) -> bytes:
    file = io.BytesIO()
    write_picture(file, pixels, output, TEXTS, **options)
    return file.getvalue()


def read_png16(content: bytes) -> tuple[np.ndarray, dict[str, str]]:
    """Pixels and texts of a PNG, byte by byte as the format says (W3C, sections 5 and 9)."""
    texts, data, place = {}, b"", 8
    assert content[:8] == b"\x89PNG\r\n\x1a\n" and content.endswith(b"IEND\xaeB`\x82")
    while place < len(content):
        length, kind = struct.unpack(">I4s", content[place : place + 8])
        chunk = content[place + 8 : place + 8 + length]
        (check,) = struct.unpack(">I", content[place + 8 + length : place + 12 + length])
        assert check == zlib.crc32(kind + chunk)
        if kind == b"IHDR":
            columns, rows, bits, color, *rest = struct.unpack(">IIBBBBB", chunk)
            assert bits == 16 and rest == [0, 0, 0]  # deflate, usual filters, not interlaced
            channels = {2: 3, 6: 4}[color]
        elif kind == b"tEXt":
            keyword, _, text = chunk.partition(b"\0")
            texts[keyword.decode()] = text.decode()
        elif kind == b"IDAT":
            data += chunk
        place += 12 + length
    pixel, lines = 2 * channels, zlib.decompress(data)
    width, above, found = pixel * columns, bytes(2 * channels * columns), []
    assert len(lines) == rows * (width + 1)
    for row in range(rows):
        line = lines[row * (width + 1) :][: width + 1]
        above = unfiltered(line[0], line[1:], above, pixel)
        found.append(np.frombuffer(above, ">u2"))
    return np.array(found).reshape(rows, columns, channels), texts


def unfiltered(kind: int, line: bytes, above: bytes, pixel: int) -> bytes:
    """The bytes of a line from its filter's kind, its differences and the line above."""
    values = bytearray(line)
    for at in range(len(values)):
        left = values[at - pixel] if at >= pixel else 0
        corner = above[at - pixel] if at >= pixel else 0
        guess = left + above[at] - corner
        closest = min((left, above[at], corner), key=lambda value: abs(guess - value))
        values[at] = (
            values[at] + [0, left, above[at], (left + above[at]) // 2, closest][kind]
        ) % 256
    return bytes(values)


def read_tiff16(content: bytes) -> tuple[np.ndarray, dict[str, str]]:
    """Pixels and texts of a tiled TIFF, as the format says (TIFF 6.0, sections 2 and 15)."""
    order = {b"II": "<", b"MM": ">"}[content[:2]]
    magic, start = struct.unpack(order + "HI", content[2:8])
    (count,) = struct.unpack(order + "H", content[start : start + 2])
    assert magic == 42
    tags = {}
    for entry in range(count):
        at = start + 2 + 12 * entry
        tag, kind, number = struct.unpack(order + "HHI", content[at : at + 8])
        letter = {1: "B", 2: "s", 3: "H", 4: "I", 5: "Q"}[kind]
        form = f"{order}{number}{letter}"
        at += 8
        if struct.calcsize(form) > 4:
            (at,) = struct.unpack(order + "I", content[at : at + 4])
        tags[tag] = struct.unpack(form, content[at : at + struct.calcsize(form)])
    (columns,), (rows,), (channels,) = tags[256], tags[257], tags[277]
    assert tags[258] == (16,) * channels  # BitsPerSample
    assert (tags[259], tags[262], tags[284]) == ((8,), (2,), (1,))  # deflate, RGB, interleaved
    assert tags.get(338) == (None if channels == 3 else (2,))  # alpha, not multiplied in
    (wide,), (high,) = tags[322], tags[323]
    across, down = -(-columns // wide), -(-rows // high)
    pixels = np.zeros((down * high, across * wide, channels), np.uint16)
    for number, (offset, length) in enumerate(zip(tags[324], tags[325], strict=True)):
        tile = zlib.decompress(content[offset : offset + length])
        row, column = number // across * high, number % across * wide
        tile = np.frombuffer(tile, order + "u2").reshape(high, wide, channels)
        pixels[row : row + high, column : column + wide] = tile
    texts = {"Software": tags[305][0], "Settings": tags[270][0]}
    texts = {keyword: text.rstrip(b"\0").decode() for keyword, text in texts.items()}
    return pixels[:rows, :columns], texts


SIXTEEN_BITS = {"png16": read_png16, "tiff16": read_tiff16}


@pytest.mark.parametrize("output", SIXTEEN_BITS)
@pytest.mark.parametrize("size", [(1, 1), (3, 1), (1, 5), (37, 23)])
@pytest.mark.parametrize("channels", [3, 4])
def test_any_size_and_value_of_16_bits_is_read_back(channels, size, output, monkeypatch):
    pixels = np.random.default_rng(1).integers(0, 65536, (*size, channels)).astype(np.uint16)
    pixels[0, 0, :3] = 0, 1, 65535
    for laid_out in [pixels, pixels[:, ::-1], np.asfortranarray(pixels)]:
        for band in (1 << 22, 300):  # lines at a time: all; one or two
            monkeypatch.setattr(pictures, "_BAND", band)
            found, texts = SIXTEEN_BITS[output](written(laid_out, output))
            assert_array_equal(found, laid_out)
            assert texts == TEXTS


@pytest.mark.parametrize("channels", [3, 4])
def test_pillow_reads_what_is_written(channels, tmp_path):
    pixels = np.random.default_rng(1).integers(0, 65536, (20, 30, channels)).astype(np.uint16)
    mode = {3: "RGB", 4: "RGBA"}[channels]
    found = Image.open(io.BytesIO(written(pixels, "png16"))).convert(mode)
    assert_array_equal(found, pixels >> 8)  # Pillow takes the higher byte
    eight = (pixels >> 8).astype(np.uint8)
    file = Image.open(io.BytesIO(written(eight, "png")))
    assert file.mode == mode and file.text == TEXTS
    assert_array_equal(file, eight)
    assert as_image(eight).mode == mode


def test_a_png_of_8_bits_is_what_pillow_writes():
    info, file = PngInfo(), io.BytesIO()
    for keyword, text in TEXTS.items():
        info.add_text(keyword, text)
    draw(40, 50, seed=1).save(file, "PNG", pnginfo=info)
    digests = [
        hashlib.sha256(content).hexdigest()
        for content in (file.getvalue(), written(np.asarray(draw(40, 50, seed=1)), "png"))
    ]
    assert digests[0] == digests[1]


def test_the_filter_makes_soft_pictures_smaller():
    rows, columns = np.mgrid[0:100, 0:150]
    pixels = np.stack([rows * 300 + columns, columns * 400, rows * columns], -1).astype(np.uint16)
    unfiltered_size = len(zlib.compress(pixels.astype(">u2").tobytes()))
    assert len(written(pixels, "png16")) < 0.8 * unfiltered_size


def test_a_large_tiff_is_cut_into_tiles():
    pixels = np.random.default_rng(1).integers(0, 65536, (300, 520, 3)).astype(np.uint16)
    assert_array_equal(read_tiff16(written(pixels, "tiff16"))[0], pixels)


@pytest.mark.parametrize("output", ["tiff", "tiff16"])
def test_above_what_tiff_can_address_it_is_a_bigtiff(output, monkeypatch):
    monkeypatch.setattr(pictures, "LARGEST_TIFF", 1000)
    pixels = np.full((20, 30, 3), 77, pictures.pixel_type(output))
    content = written(pixels, output)
    assert content[:4] in (b"II+\0", b"MM\0+")
    assert b"x" in content
    assert_array_equal(tifffile.imread(io.BytesIO(content)), pixels)
    monkeypatch.undo()
    assert written(pixels, output)[:4] in (b"II*\0", b"MM\0*")


@pytest.mark.parametrize("output", ["png", "png16", "jpeg", "tiff", "tiff16"])
def test_dots_an_inch_are_what_pillow_finds(output):
    pixels = np.full((20, 30, 3), 77, pictures.pixel_type(output))
    if output == "tiff16":  # Pillow reads no RGB of 16 bits from TIFF
        page = tifffile.TiffFile(io.BytesIO(written(pixels, output, dpi=300))).pages[0]
        found = [page.tags[name].value for name in ("XResolution", "YResolution")]
        assert (found, page.tags["ResolutionUnit"].value) == ([(300, 1)] * 2, 2)
        return
    file = Image.open(io.BytesIO(written(pixels, output, dpi=300)))
    assert file.info["dpi"] == pytest.approx((300, 300), rel=1e-4)
    plain = Image.open(io.BytesIO(written(pixels, output)))
    assert plain.info.get("dpi", (1, 1))[0] in (1, 72)  # none, or what Pillow makes of none


def test_jpeg_holds_the_texts_and_is_near_the_pixels():
    pixels = np.asarray(draw(64, 80, seed=1))
    sizes = {}
    for quality in (60, 95):
        content = written(pixels, "jpeg", quality=quality)
        file, sizes[quality] = Image.open(io.BytesIO(content)), len(content)
    assert (file.format, file.info["comment"]) == ("JPEG", b"x {}")
    assert np.abs(np.asarray(file).astype(int) - pixels).mean() < 4
    assert sizes[60] < sizes[95]


def test_what_is_transparent_is_white_in_a_jpeg():
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[:, 8:, 3] = 255
    found = np.asarray(Image.open(io.BytesIO(written(pixels, "jpeg"))))
    assert found[:, :7].min() > 250 and found[:, 9:].max() < 5


def test_a_side_that_jpeg_cannot_hold_is_refused_in_one_line():
    pictures.check_size("jpeg", 65_500, 10)
    pictures.check_size("png", 65_501, 10)
    with pytest.raises(InputError, match=r"^--output: expected .* Received: 'jpeg'$"):
        pictures.check_size("jpeg", 65_501, 10)
