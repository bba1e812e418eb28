"""Reads pictures, from any file that Pillow opens or from memory, as upright 8-bit sRGB.

Nothing here prints: anything odd about a picture that is no reason to refuse it becomes a remark.
"""

import contextlib
import hashlib
import io
import logging
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError, features

from style_transfer.containers import kind_of, webp_size, without_metadata
from style_transfer.errors import InputError
from style_transfer.parsing import SMALLEST_SIDE
from style_transfer.paths import existing_file
from style_transfer.srgb import one_line, to_srgb

LARGEST_FILE = 1 << 32  # bytes, the largest that TIFF can address
_UPRIGHT = {  # by EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SEVERAL = {  # remarks about a file with several pictures, by format
    "GIF": "is animated: its first frame is used",
    "PNG": "is animated: its first frame is used",
    "WEBP": "is animated: its first frame is used",
    "AVIF": "is animated: its first frame is used",
    "TIFF": "has several pages: the first is used",
}

Source = str | os.PathLike | Image.Image | np.ndarray


@dataclass(frozen=True)
class Picture:
    """A picture as it was read.

    Attributes:
        image: mode RGB, 8 bits, upright, sRGB; transparent parts are blended with white.
        alpha: mode L, of the same size; None if the picture is opaque everywhere.
        path: absolute path of the file, or None for a picture from memory.
        sha256: SHA-256, in hexadecimal, of the file's bytes; from memory, of mode, size and pixels.
        remarks: lines for the user about anything odd.
    """

    image: Image.Image
    alpha: Image.Image | None
    path: str | None
    sha256: str
    remarks: tuple[str, ...] = ()


def load_picture(source: Source | Picture, what: str = "picture", large: bool = False) -> Picture:
    """Read a picture.

    Applies the EXIF orientation and converts an embedded color profile to sRGB. Pictures with 16
    bits, floating point, palettes, grayscale, CMYK and LAB are converted to RGB.

    Args:
        source: path of any file that Pillow reads; a PIL.Image; a uint8 array, (H, W), (H, W, 3)
            or (H, W, 4); or a `Picture`, which is returned as it is.
        what: the picture's name in errors and remarks, such as `BASE`.
        large: read a file with any number of pixels. Otherwise Pillow's limit applies, twice
            `Image.MAX_IMAGE_PIXELS`, because a small file can claim any size.

    Raises:
        InputError: the source is not a picture, damaged, too large, or below 16 pixels.
    """
    if isinstance(source, Picture):
        return source
    if isinstance(source, str | os.PathLike):
        return _from_file(source, what, large)
    if isinstance(source, np.ndarray):
        source = _from_array(source, what)
    if isinstance(source, Image.Image):
        return _from_memory(source, what)
    raise InputError(
        f"{what}: expected a path, a PIL.Image or a uint8 array. Received: {_type_name(source)}"
    )


def _type_name(value: Any) -> str:
    return f"a value of type {type(value).__name__}"


def _from_array(array: np.ndarray, what: str) -> Image.Image:
    if array.dtype != np.uint8 or not (
        array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    ):
        raise InputError(
            f"{what}: expected an array of type uint8 and shape (H, W), (H, W, 3) or (H, W, 4). "
            f"Received: {array.dtype}, {array.shape}"
        )
    _check_size(array.shape[1::-1], "an array", what)
    return Image.fromarray(np.ascontiguousarray(array))


def _from_memory(source: Image.Image, what: str) -> Picture:
    name = "a PIL.Image"
    with _quiet_pillow():
        try:
            image, alpha, remarks = _turned(*_read(source, name, what))
        except InputError:
            raise
        except Exception as error:  # it may be a damaged file, opened but not yet decoded
            raise _refusal(error, name, what) from None
    digest = hashlib.sha256(f"{'RGBA' if alpha else 'RGB'} {image.size}".encode())
    for strip in filter(None, (image, alpha)):
        digest.update(strip.tobytes())
    return Picture(image, alpha, None, digest.hexdigest(), remarks)


def _from_file(source: str | os.PathLike, what: str, large: bool) -> Picture:
    path = existing_file(source, what)
    name = repr(str(path))
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InputError(
                f"{what}: expected a file of at most {LARGEST_FILE:,} bytes. "
                f"Received: {name}, {path.stat().st_size:,} bytes"
            )
        data = path.read_bytes()
    except (OSError, MemoryError) as error:
        raise _refusal(error, name, what) from None
    _need_reader_of(kind_of(data[:256]), name, what)
    with _quiet_pillow(large):
        try:
            image, alpha, remarks = _decode(data, name, what)
        except InputError:
            raise
        # Decoding is the one place that catches everything: on damaged files, Pillow and its
        # libraries raise almost every exception that Python has.
        except Exception as error:
            image, alpha, remarks = _decode_bare(data, error, name, what)
    digest = hashlib.sha256(data).hexdigest()
    full_path = os.path.abspath(path)  # noqa: PTH100 (resolve would follow links)
    return Picture(image, alpha, full_path, digest, remarks)


def _need_reader_of(kind: str, name: str, what: str) -> None:
    """Refuse drawings; make Pillow read HEIC and AVIF through pillow-heif (AVIF: before 11.3)."""
    if kind in ("eps", "pdf", "svg"):  # Pillow hands EPS to Ghostscript, a program
        raise InputError(
            f"{what}: expected a picture made of pixels; {kind.upper()} is a drawing: save it as "
            f"PNG first. Received: {name}"
        )
    if kind not in ("heic", "avif"):
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # older versions of Pillow warn of an unknown feature
        if kind == "avif" and features.check("avif"):
            return
    try:
        import pillow_heif

        register = {"heic": "register_heif_opener", "avif": "register_avif_opener"}[kind]
        getattr(pillow_heif, register)()
    except (ImportError, OSError, AttributeError):
        raise InputError(
            f"{what}: expected a picture that Pillow reads; {kind.upper()} needs "
            f"{'Pillow 11.3 or ' if kind == 'avif' else ''}pillow-heif: pip install pillow-heif. "
            f"Received: {name}"
        ) from None


@contextlib.contextmanager
def _quiet_pillow(large: bool = False) -> Iterator[None]:
    """Suppress warnings and log lines about damaged files; with `large`, lift the size limit."""
    logger, limit = logging.getLogger("PIL"), Image.MAX_IMAGE_PIXELS
    level = logger.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logger.setLevel(logging.CRITICAL + 1)
        if large:
            Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            logger.setLevel(level)
            Image.MAX_IMAGE_PIXELS = limit


@contextlib.contextmanager
def _quiet_libtiff() -> Iterator[None]:
    """Suppress the messages that libtiff writes directly to standard error."""
    try:
        kept = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _decode(data: bytes, name: str, what: str):
    """Decode a file; returns (image, alpha, remarks) as in `Picture`."""
    if kind_of(data[:256]) == "webp":
        Image._decompression_bomb_check(webp_size(data))
    with contextlib.ExitStack() as stack:
        if kind_of(data[:256]) == "tiff":
            stack.enter_context(_quiet_libtiff())
        file = stack.enter_context(Image.open(io.BytesIO(data)))
        if file.format == "TIFF":
            stack.enter_context(_unturned(file))
        read = _read(file, name, what)
        with contextlib.suppress(Exception):  # later frames may be damaged; they are not used
            if file.format in _SEVERAL and getattr(file, "is_animated", False):
                read[2].append(f"{what}: {name} {_SEVERAL[file.format]}.")
    del file, stack  # frees its pixels before the turned copy is made
    return _turned(*read)


@contextlib.contextmanager
def _unturned(file: Any) -> Iterator[None]:
    """Keep Pillow from reading a TIFF file's metadata and turning the picture after its pixels.

    Reading the metadata may fail, and each version of Pillow turns the picture in its own way.
    """

    def load_end() -> None:
        file._size = file.im.size  # some versions report the turned picture's size

    file.load_end = load_end
    try:
        yield
    finally:
        del file.load_end


def _decode_bare(data: bytes, error: Exception, name: str, what: str):
    """Decode a file without its metadata, which may have caused `error`; returns as `_decode`.

    Raises:
        InputError: the file cannot be read that way either.
    """
    bare = None if isinstance(error, Image.DecompressionBombError) else without_metadata(data)
    if bare is not None and bare != data:
        with contextlib.suppress(Exception):  # see _from_file
            image, alpha, remarks = _decode(bare, name, what)
            remark = (
                f"{what}: the metadata of {name} are damaged ({one_line(error)}): read without "
                "orientation and color profile."
            )
            return image, alpha, (remark, *remarks)
    raise _refusal(error, name, what)


def _refusal(error: Exception, name: str, what: str) -> InputError:
    """The error for a picture that could not be read."""
    if isinstance(error, UnidentifiedImageError):
        return InputError(f"{what}: expected a picture. Received: {name}")
    reason = one_line(error)
    if isinstance(error, Image.DecompressionBombError):
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        return InputError(f"{what}: expected at most {limit:,} pixels. Received: {name} ({reason})")
    if isinstance(error, MemoryError):
        return InputError(f"{what}: expected a picture that fits in memory. Received: {name}")
    return InputError(
        f"{what}: expected a whole picture. Received: {name}, which is damaged ({reason})"
    )


def _check_size(size: tuple[int, int], name: str, what: str) -> None:
    if min(size) < SMALLEST_SIDE:
        raise InputError(
            f"{what}: expected a picture of at least {SMALLEST_SIDE} x {SMALLEST_SIDE} pixels. "
            f"Received: {name}, {size[0]} x {size[1]}"
        )


def _read(file: Image.Image, name: str, what: str):
    """The pixels of an opened picture, not yet turned.

    Returns:
        (image, alpha, remarks, the transposition that turns the picture upright, or None).
    """
    _check_size(file.size, name, what)
    file.load()
    remarks = []
    try:
        turn = _UPRIGHT.get(_orientation(file) or 1)
    except Exception as error:  # of as many kinds as for damaged pixels; see _from_file
        turn = None
        remarks.append(
            f"{what}: the EXIF data of {name} are damaged ({one_line(error)}): "
            "read without orientation."
        )
    image, alpha, remark = to_srgb(file, name, what)
    return image, alpha, remarks + remark, turn


def _orientation(file: Any) -> int | None:
    """The EXIF orientation of a picture that has been loaded but not turned."""
    if hasattr(file, "tag_v2"):  # TIFF, which Pillow would turn on loading without `_unturned`
        return file.tag_v2.get(ExifTags.Base.Orientation) if "load_end" in vars(file) else None
    return file.getexif().get(ExifTags.Base.Orientation)


def _turned(
    image: Image.Image,
    alpha: Image.Image | None,
    remarks: list[str],
    turn: Image.Transpose | None,
):
    """Turn a picture upright; returns (image, alpha, remarks)."""
    if turn is not None:
        image, alpha = image.transpose(turn), alpha and alpha.transpose(turn)
    return image, alpha, tuple(remarks)
