"""Checks pictures from a browser, and saves them again, so that only pixels get in."""

import hashlib
import io
import re
import threading
from pathlib import Path

from PIL import Image

from style_transfer.errors import InputError
from style_transfer.pictures import Picture, load_picture
from style_transfer.runs.files import write_whole
from style_transfer.studio.places import Places

LARGEST_FILE = 64 << 20  # bytes
LARGEST_PICTURE = 60_000_000  # pixels; decoded, 180 MB
LONGEST_NAME = 40
_writing = threading.Lock()


def keep(path: str | Path, places: Places, what: str) -> Path:
    """Check a file that a browser sent, and write its pixels into the inputs' folder.

    Args:
        path: the uploaded file.
        places: the studio's places.
        what: the picture's name in errors.

    Returns:
        The path of a PNG. The same picture always gets the same path.

    Raises:
        InputError: it is not a picture, damaged, or exceeds the limits; the message names no
            folders.
    """
    path = Path(path)
    if not any(path.resolve().is_relative_to(p.resolve()) for p in (places.uploads, places.inputs)):
        raise InputError(f"{what}: expected a file that was sent. Received: {path.name!r}")
    check_limits(path, what)
    try:
        picture = load_picture(path, what)
    except InputError as error:
        raise InputError(str(error).replace(str(path), path.name)) from None
    return keep_picture(picture, places, path.stem)


def check_limits(path: Path, what: str) -> None:
    """Raise InputError if a file has too many bytes or, by its header, too many pixels."""
    name = path.name
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise InputError(
                f"{what}: expected at most {LARGEST_FILE >> 20} MB. Received: {name!r}, "
                f"{size / (1 << 20):.0f} MB"
            )
        with Image.open(path) as opened:
            columns, rows = opened.size
    except Image.DecompressionBombError:
        raise InputError(f"{what}: {_pixels()}. Received: {name!r}, which has far more") from None
    except InputError:
        raise
    except Exception:  # Pillow raises almost every kind of exception; load_picture explains it
        return
    if columns * rows > LARGEST_PICTURE:
        raise InputError(f"{what}: {_pixels()}. Received: {name!r}, {columns} x {rows}")


def _pixels() -> str:
    return f"expected at most {LARGEST_PICTURE / 1e6:.0f} million pixels"


def keep_picture(picture: Picture, places: Places, stem: str) -> Path:
    """Write a picture into the inputs' folder, unless it is already there."""
    image = picture.image
    if picture.alpha:
        image = image.copy()
        image.putalpha(picture.alpha)
    digest = hashlib.sha256(f"{image.mode} {image.size}".encode())
    digest.update(image.tobytes())
    path = places.inputs / f"{plain_name(stem)}-{digest.hexdigest()[:10]}.png"
    with _writing:  # the page may ask twice for the same picture
        if not path.is_file():
            file = io.BytesIO()
            image.save(file, "PNG", compress_level=4)
            write_whole(path, lambda opened: opened.write(file.getvalue()))
    return path


def plain_name(text: str) -> str:
    """A text reduced to letters, digits, `-` and `_`, for a file name."""
    text = re.sub(r"-[0-9a-f]{10}$", "", text)  # the digest that `keep_picture` appends
    return re.sub(r"[^\w-]+", "-", text).strip("-_.")[:LONGEST_NAME] or "picture"
