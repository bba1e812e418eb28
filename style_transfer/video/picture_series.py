"""Reads clips that are pictures: a folder of numbered ones, or an animated GIF, WebP or PNG."""

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image

from style_transfer.errors import InputError
from style_transfer.gallery.plan import SUFFIXES
from style_transfer.parsing import SMALLEST_SIDE
from style_transfer.pictures import load_picture
from style_transfer.srgb import one_line
from style_transfer.video.clip import Shown, refused

RATE = 25  # frames per second of a folder, unless --fps is given
ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")  # Pillow's formats that may hold several frames
MILLISECONDS = Fraction(1, 1000)
SHORTEST, INSTEAD = 10, 100  # ms: browsers show frames of at most 10 ms for 100


class Folder:
    """A folder of numbered pictures; see `Clip`.

    Args:
        path: path of the folder.
        rate: frames per second; None: `RATE`.

    Raises:
        InputError: there is no numbered picture in it.
    """

    def __init__(self, path: Path, rate: float | None = None):
        self.path = path
        self.unit = 1 / Fraction(rate or RATE).limit_denominator(1001)
        self.remarks = [] if rate else [f"CLIP: {RATE} pictures per second; --fps changes this."]
        self._files = numbered_pictures(path)
        self._size: tuple[int, int] | None = None

    def files(self) -> list[Path]:
        """The pictures, in the order of their numbers."""
        return self._files

    def frames(self) -> Iterator[Shown]:
        """See `Clip`."""
        for time, file in enumerate(self._files):
            yield Shown(time, 1, partial(self._picture, file))

    def _picture(self, file: Path) -> Image.Image:
        image = load_picture(file, "CLIP").image
        self._size = size = self._size or image.size
        if image.size != size:
            raise InputError(
                f"CLIP: expected pictures of one size, {size[0]} x {size[1]}. Received: "
                f"{str(file)!r}, {image.width} x {image.height}"
            )
        return image


def numbered_pictures(folder: Path) -> list[Path]:
    """The pictures of a folder with a number in their names, sorted by the last number.

    Raises:
        InputError: there is none, or the folder cannot be read.
    """
    try:
        pictures = [file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES]
    except OSError as error:
        raise refused(folder, error.strerror or "") from None
    numbers = {file: re.findall(r"\d+", file.stem) for file in pictures}
    found = [file for file in pictures if numbers[file] and not file.name.startswith(".")]
    if not found:
        raise refused(folder, "no picture in it has a number in its name")
    return sorted(found, key=lambda file: (int(numbers[file][-1]), file.name))


class Animation:
    """An animated GIF, WebP or PNG, or a still picture as a clip of one frame; see `Clip`."""

    unit = MILLISECONDS

    def __init__(self, path: Path):
        self.path = path
        self.remarks: list[str] = []

    def files(self) -> list[Path]:
        """The file."""
        return [self.path]

    def frames(self) -> Iterator[Shown]:
        """See `Clip`."""
        time = 0
        with Image.open(self.path) as file:
            if min(file.size) < SMALLEST_SIDE:
                raise InputError(
                    f"CLIP: expected frames of at least {SMALLEST_SIDE} x {SMALLEST_SIDE} pixels. "
                    f"Received: {str(self.path)!r}, {file.width} x {file.height}"
                )
            for number in range(getattr(file, "n_frames", 1)):
                try:
                    file.seek(number)
                    file.load()
                except Exception as error:  # damaged files raise almost every kind of exception
                    if not number:
                        raise refused(self.path, one_line(error)) from None
                    self.remarks = [
                        f"CLIP: {str(self.path)!r} is damaged after frame {number}: the rest is "
                        "left out."
                    ]
                    return
                duration = round(file.info.get("duration", 0)) or 0
                duration = INSTEAD if duration <= SHORTEST else duration
                yield Shown(time, duration, partial(on_white, file))
                time += duration


def on_white(file: Image.Image) -> Image.Image:
    """A frame, mode RGB, with transparent parts on white."""
    picture: Any = file.convert("RGBA")
    image = Image.new("RGB", picture.size, "white")
    image.paste(picture, mask=picture.getchannel("A"))
    return image


def is_picture(path: Path) -> bool:
    """Whether a file is read as a picture, by its content; FFmpeg reads all others."""
    try:
        with Image.open(path) as file:
            return True if file.format in ANIMATED else file.format is not None
    except Exception:  # see `Animation.frames`
        return False
