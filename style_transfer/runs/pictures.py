"""Writing pictures: PNG of 8 or 16 bits a channel, TIFF of 16; with alpha where it is given."""

import struct
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

_BAND = 1 << 22  # bytes filtered and compressed at a time: a poster needs no second copy


def as_image(pixels: np.ndarray) -> Image.Image:
    """Pixels, uint8 (H, W, 3) or (H, W, 4), as a picture of mode RGB or RGBA."""
    return Image.fromarray(pixels)


def write_picture(file: BinaryIO, pixels: np.ndarray, output: str, texts: dict[str, str]) -> None:
    """Write pixels with text metadata into an open file.

    Args:
        file: open for writing bytes.
        pixels: RGB (H, W, 3) or RGBA (H, W, 4), uint8 for `png`, uint16 for `png16` and `tiff16`.
        output: the format, as `Settings.output`.
        texts: by keyword, ASCII; `Software` and `Settings` for TIFF, which has no others.
    """
    if output == "tiff16":
        import tifffile

        options: dict[str, Any] = {"software": texts["Software"], "description": texts["Settings"]}
        if pixels.shape[2] == 4:
            options["extrasamples"] = ["unassalpha"]  # colors are not multiplied by alpha
        tifffile.imwrite(file, pixels, photometric="rgb", metadata=None, **options)
    elif output == "png16":
        write_png16(file, pixels, texts)
    else:
        info = PngInfo()
        for keyword, text in texts.items():
            info.add_text(keyword, text)
        as_image(pixels).save(file, "PNG", pnginfo=info)


def write_png16(file: BinaryIO, pixels: np.ndarray, texts: dict[str, str]) -> None:
    """PNG of 16 bits a channel, which Pillow does not write: W3C's PNG specification, 5, 9 and 11.

    Arguments are those of `write_picture`.
    """
    rows, columns, channels = pixels.shape
    kind = {3: 2, 4: 6}[channels]  # RGB, RGBA
    header = struct.pack(">IIBBBBB", columns, rows, 16, kind, 0, 0, 0)
    file.write(b"\x89PNG\r\n\x1a\n")
    _write_chunk(file, b"IHDR", header)
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
    """The picture's bytes line by line, by PNG's filter 4, Paeth; some lines at a time.

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
