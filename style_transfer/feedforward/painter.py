"""Applies a network to photographs, in a process of the map in cluster.py."""

import io
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from style_transfer.errors import InputError
from style_transfer.feedforward.about import PROGRAM
from style_transfer.parsing import parse_size
from style_transfer.pictures import Picture, load_picture
from style_transfer.runs.pictures import check_size, write_picture

COLORS = ("none", "luminance")


@dataclass(frozen=True)
class Finish:
    """How the network's output becomes a picture.

    Attributes:
        size: long side in pixels; empty or `content`: the photograph's own.
        strength: from 0, the photograph, to 1, the network's picture; above 1 exaggerates.
        preserve_color: `luminance` keeps the photograph's colors; or `none`.
        output: format of the pictures, as `Settings.output`.
        memory: GiB to use at most; 0 chooses.
    """

    size: str = ""
    strength: float = 1.0
    preserve_color: str = "none"
    output: str = "png"
    memory: float = 0.0

    def __post_init__(self):
        parse_size(self.size)
        for name, largest in (("strength", 2.0), ("memory", 1e6)):
            object.__setattr__(self, name, _number(name, getattr(self, name), largest))
        if self.preserve_color not in COLORS:
            raise InputError(
                f"--preserve_color: expected one of {', '.join(COLORS)}. "
                f"Received: {self.preserve_color!r}"
            )

    def shape(self, picture: Image.Image) -> tuple[int, int]:
        """(rows, columns) of a photograph's result."""
        width, height = picture.size
        long_side = parse_size(self.size)
        if not long_side:
            return height, width
        factor = long_side / max(width, height)
        return max(16, round(height * factor)), max(16, round(width * factor))


# Takes the photograph, the network's output at some size (RGB 0..255, float32 (H, W, 3)), and the
# finish; returns pixels, (H, W, 3) or with alpha (H, W, 4).
Render = Callable[[Picture, np.ndarray, Finish], np.ndarray]


@dataclass(frozen=True)
class Job:
    """A photograph for a worker.

    Attributes:
        path: path of the photograph.
        out: path of the result; messages give only its name.
        content: the file's content if the worker cannot read the file, else None.
    """

    path: str
    out: str
    content: bytes | None = None


@dataclass(frozen=True)
class Painted:
    """A picture that is done.

    Attributes:
        content: its file's content.
        size: (columns, rows).
        seconds: how long it took.
        remarks: lines for the user about anything odd in the photograph.
    """

    content: bytes
    size: tuple[int, int]
    seconds: float
    remarks: tuple[str, ...]


class Painter:
    """Paints photographs with one network, which is loaded once.

    Args:
        model: path of the network's file, or its content if a worker cannot read it.
        finish: how pictures are made.
        render: see `Render`.
        sha256: SHA-256 of the network's file, for the pictures' metadata.
    """

    def __init__(self, model: str | bytes, finish: Finish, render: Render, sha256: str):
        from style_transfer.backends import start

        start()
        from style_transfer.feedforward.model_file import read_network

        with _readable(model, "model.keras") as path:
            self.network = read_network(path)
        self.finish, self.render, self.sha256 = finish, render, sha256

    def __call__(self, job: Job) -> Painted:
        """Paint a photograph.

        Raises:
            InputError: it cannot be read, or its format cannot hold the result.
        """
        begun = time.monotonic()
        source = job.path if job.content is None else job.content
        with _readable(source, Path(job.path).name) as path:
            picture = load_picture(path, "PHOTO")
        pixels = self.pixels(picture)
        rows, columns = pixels.shape[:2]
        file = io.BytesIO()
        write_picture(file, pixels, self.finish.output, texts_of(self.finish, self.sha256, picture))
        seconds = time.monotonic() - begun
        return Painted(file.getvalue(), (columns, rows), seconds, picture.remarks)

    def pixels(self, picture: Picture) -> np.ndarray:
        """The painted picture of a photograph, (H, W, 3) or with alpha (H, W, 4)."""
        from style_transfer.feedforward.painting import painted

        rows, columns = self.finish.shape(picture.image)
        check_size(self.finish.output, rows, columns)
        image = picture.image
        if image.size != (columns, rows):
            image = image.resize((columns, rows), Image.Resampling.LANCZOS)
        picture = Picture(image, picture.alpha, picture.path, picture.sha256)
        result = painted(self.network, np.asarray(image), self.finish.memory)
        return self.render(picture, result, self.finish)


def texts_of(finish: Finish, sha256: str, picture: Picture) -> dict[str, str]:
    """The metadata of a picture: the network, the photograph and the finish."""
    content = {
        "network": sha256,
        "photograph": picture.sha256,
        **{name: getattr(finish, name) for name in ("size", "strength", "preserve_color")},
    }
    return {"Software": PROGRAM, "Settings": json.dumps(content, sort_keys=True)}


@contextmanager
def _readable(source: str | bytes, name: str) -> Iterator[str]:
    """A path from which a file can be read: its own, or a temporary one for its content."""
    if isinstance(source, str):
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="nst-fast-") as folder:
        path = Path(folder, name)
        path.write_bytes(source)
        yield str(path)


def _number(name: str, value: object, largest: float) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number <= largest:
        raise InputError(f"--{name}: expected a number from 0 to {largest:,g}. Received: {value!r}")
    return number
