"""Writes pictures: PNG and TIFF with 8 or 16 bits per channel, with or without alpha; JPEG."""

import dataclasses
import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from style_transfer.errors import InputError
from style_transfer.runs.record import PROGRAM
from style_transfer.schedule import PRINT_DPI
from style_transfer.settings import Settings

LARGEST_JPEG = 65_500  # pixels per side that libjpeg can write
LARGEST_TIFF = 4 * 10**9  # bytes of pixels; TIFF's addresses have 32 bits
TIFF_TILE = (256, 256)
_BAND = 1 << 22  # bytes filtered and compressed at a time, so that a poster needs no second copy


def as_image(pixels: np.ndarray) -> Image.Image:
    """Pixels, uint8 (H, W, 3) or (H, W, 4), as a picture of mode RGB or RGBA."""
    return Image.fromarray(pixels)


def write_picture(
    file: BinaryIO,
    pixels: np.ndarray,
    output: str,
    texts: dict[str, str],
    dpi: int = 0,
    quality: int = 95,
) -> None:
    """Write pixels with text metadata into an open file.

    Args:
        file: open for writing bytes.
        pixels: RGB (H, W, 3) or RGBA (H, W, 4) of `pixel_type(output)`. JPEG has no alpha channel,
            so transparent parts are blended with white.
        output: the format, as `Settings.output`.
        texts: ASCII texts by keyword; TIFF and JPEG store only `Software` and `Settings`.
        dpi: pixels per inch; 0: not stored.
        quality: quality of JPEG, 1 to 100.
    """
    if output in ("tiff", "tiff16"):
        _write_tiff(file, pixels, texts, dpi)
    elif output == "png16":
        write_png16(file, pixels, texts, dpi)
    elif output == "jpeg":
        texts = {"comment": " ".join(texts.values())}
        options: dict[str, Any] = {"quality": quality, "subsampling": 0, **texts}
        as_image(_on_white(pixels)).save(file, "JPEG", **options, **_with_dpi(dpi))
    else:
        info = PngInfo()
        for keyword, text in texts.items():
            info.add_text(keyword, text)
        as_image(pixels).save(file, "PNG", pnginfo=info, **_with_dpi(dpi))


def picture_options(settings: Settings) -> dict[str, Any]:
    """The keywords of `write_picture` for a run's pictures."""
    text = json.dumps(dataclasses.asdict(settings), sort_keys=True)
    return {
        "output": settings.output,
        "texts": {"Software": PROGRAM, "Settings": text},
        "dpi": settings.dpi or (PRINT_DPI if settings.print else 0),
        "quality": settings.quality,
    }


def pixel_type(output: str) -> type:
    """`uint8`, or `uint16` for formats with 16 bits per channel."""
    return np.uint16 if output.endswith("16") else np.uint8


def check_size(output: str, rows: int, columns: int) -> None:
    """Raise InputError if a format cannot hold a picture of this size."""
    if output == "jpeg" and max(rows, columns) > LARGEST_JPEG:
        raise InputError(
            f"--output: expected png or tiff for {columns} x {rows} pixels, more than the "
            f"{LARGEST_JPEG:,} per side that JPEG can hold. Received: 'jpeg'"
        )


def _with_dpi(dpi: int) -> dict[str, Any]:
    return {"dpi": (dpi, dpi)} if dpi else {}


def _on_white(pixels: np.ndarray) -> np.ndarray:
    """RGB or RGBA pixels on white, uint8 (H, W, 3)."""
    if pixels.shape[2] == 3:
        return pixels
    white = Image.new("RGB", pixels.shape[1::-1], "white")
    picture = as_image(pixels)
    white.paste(picture, mask=picture.getchannel("A"))
    return np.asarray(white)


def _write_tiff(file: BinaryIO, pixels: np.ndarray, texts: dict[str, str], dpi: int) -> None:
    """Write a compressed TIFF in tiles; a BigTIFF if TIFF's addresses might not suffice."""
    import tifffile

    options: dict[str, Any] = {"software": texts["Software"], "description": texts["Settings"]}
    if pixels.shape[2] == 4:
        options["extrasamples"] = ["unassalpha"]  # colors are not multiplied by alpha
    if dpi:
        options |= {"resolution": (dpi, dpi), "resolutionunit": "INCH"}
    with tifffile.TiffWriter(file, bigtiff=pixels.nbytes > LARGEST_TIFF) as writer:
        writer.write(
            pixels, photometric="rgb", metadata=None, compression="zlib", tile=TIFF_TILE, **options
        )


def write_png16(file: BinaryIO, pixels: np.ndarray, texts: dict[str, str], dpi: int = 0) -> None:
    """Write a PNG with 16 bits per channel, which Pillow cannot.

    W3C's PNG specification, sections 5, 9 and 11. The arguments are those of `write_picture`.
    """
    rows, columns, channels = pixels.shape
    kind = {3: 2, 4: 6}[channels]  # RGB, RGBA
    header = struct.pack(">IIBBBBB", columns, rows, 16, kind, 0, 0, 0)
    file.write(b"\x89PNG\r\n\x1a\n")
    _write_chunk(file, b"IHDR", header)
    if dpi:
        pixels_a_meter = round(dpi / 0.0254)
        _write_chunk(file, b"pHYs", struct.pack(">IIB", pixels_a_meter, pixels_a_meter, 1))
    for keyword, text in texts.items():
        _write_chunk(file, b"tEXt", f"{keyword}\0{text}".encode("ascii"))
    compressor = zlib.compressobj()
    for lines in _filtered(pixels):
        if data := compressor.compress(lines):
            _write_chunk(file, b"IDAT", data)
    _write_chunk(file, b"IDAT", compressor.flush())
    _write_chunk(file, b"IEND", b"")


def _write_chunk(file: BinaryIO, kind: bytes, content: bytes) -> None:
    file.write(struct.pack(">I", len(content)) + kind + content)
    file.write(struct.pack(">I", zlib.crc32(content, zlib.crc32(kind))))


def _filtered(pixels: np.ndarray) -> Iterator[np.ndarray]:
    """The picture's bytes, filtered line by line with PNG's filter 4, Paeth; some lines at a time.

    Each byte is replaced by its difference from the neighbor (left, above, or above left) closest
    to left + above - above left.
    """
    rows, columns, channels = pixels.shape
    pixel = 2 * channels  # bytes
    width = pixel * columns
    step = max(1, _BAND // width)
    above = np.zeros((1, width + pixel), np.uint8)
    for first in range(0, rows, step):
        band = np.ascontiguousarray(pixels[first : first + step], ">u2")
        lines = np.pad(band.view(np.uint8).reshape(-1, width), ((0, 0), (pixel, 0)))
        padded = np.concatenate([above, lines]).astype(np.int16)
        left, up, corner = padded[1:, :-pixel], padded[:-1, pixel:], padded[:-1, :-pixel]
        # Distances of left + up - corner from left, up and corner.
        from_left, from_up = abs(up - corner), abs(left - corner)
        from_corner = abs(left + up - 2 * corner)
        nearest = np.where(from_up <= from_corner, up, corner)
        is_left = (from_left <= from_up) & (from_left <= from_corner)
        differences = padded[1:, pixel:] - np.where(is_left, left, nearest)
        filtered = np.empty((len(lines), width + 1), np.uint8)
        filtered[:, 0] = 4  # Paeth
        filtered[:, 1:] = differences & 255
        yield filtered
        above = lines[-1:]
