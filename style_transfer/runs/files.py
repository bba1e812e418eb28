"""The names of a run's files, and writing them whole or not at all."""

import io
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

TEMPORARY = ".unfinished"  # ending of files that are still being written
SUFFIXES = {  # of pictures, by `Settings.output`
    "png": ".png",
    "png16": ".png",
    "jpeg": ".jpg",
    "tiff": ".tif",
    "tiff16": ".tif",
}
OUTPUTS = {".jpg": "jpeg", ".jpeg": "jpeg", ".tif": "tiff", ".tiff": "tiff"}  # by a prefix's ending
BLOCK = 1 << 24  # bytes written at once
ABOUT = "about.txt"
ABOUT_TEXT = """\
Written by neural_style_transfer.py: what --resume needs, such as images in full precision.
Once the run is finished and you want no more iterations, you can delete this folder.
"""


@dataclass(frozen=True)
class RunFiles:
    """Names of all files of a run.

    Attributes:
        prefix: the path with which all names start, without `~`.
        suffix: the suffix of pictures, `.png`, `.jpg` or `.tif`.
    """

    prefix: Path
    suffix: str = ".png"

    def _with(self, ending: str) -> Path:
        return self.prefix.with_name(self.prefix.name + ending)

    @property
    def record(self) -> Path:
        """PREFIX.json."""
        return self._with(".json")

    @property
    def state(self) -> Path:
        """The folder of everything that a resume needs."""
        return self._with("_state")

    @property
    def journal(self) -> Path:
        """The objective's answers; see journal.py."""
        return self.state / "journal"

    @property
    def snapshots(self) -> list[Path]:
        """Generations of the optimizer's state; see snapshots.py."""
        return [self.state / f"snapshot_{number}" for number in range(2)]

    @property
    def tiles(self) -> Path:
        """Tiles of the evaluation in progress; see kept_tiles.py."""
        return self.state / "tiles"

    @property
    def journals(self) -> list[Path]:
        """The files that an exact resume within a size needs; removed once the size is done."""
        return [self.journal, *self.snapshots, self.tiles]

    @property
    def lock(self) -> Path:
        """Held by the process that paints."""
        return self.state / "lock"

    @property
    def about(self) -> Path:
        """The text that marks the state's folder as this program's."""
        return self.state / ABOUT

    def image(self, iteration: int) -> Path:
        """The image after an iteration, float32 (1, H, W, 3)."""
        return self.state / f"iteration_{iteration}.npy"

    def images(self) -> Mapping[int, Path]:
        """The images on disk, by iteration."""
        return self._numbered(self.state, "iteration_", {".npy"})

    def picture(self, iteration: int | None = None) -> Path:
        """The picture of an iteration, or of the result."""
        return self._with(("" if iteration is None else f"_at_iteration_{iteration}") + self.suffix)

    def pictures(self) -> Mapping[int | None, Path]:
        """Pictures on disk, by iteration; the result's key is None.

        Iterations are found in any format, the result only with `suffix`, because PREFIX.tif, say,
        may be somebody's photograph.
        """
        stem = f"{self.prefix.name}_at_iteration_"
        found = self._numbered(self.prefix.parent, stem, set(SUFFIXES.values()))
        result = self.picture()
        return {**found, None: result} if os.path.lexists(result) else found

    def _numbered(self, folder: Path, stem: str, suffixes: set[str]) -> Mapping[Any, Path]:
        if not folder.is_dir():
            return {}
        return {
            int(number): file
            for file in sorted(folder.iterdir())
            if file.suffix in suffixes
            and file.name.startswith(stem)
            and (number := file.stem.removeprefix(stem)).isdecimal()
        }

    def put_aside(self, number: int) -> "RunFiles":
        """Names under which the pictures given up by a resume are kept."""
        return RunFiles(self._with(f"_before_{number}"), self.suffix)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Add the file name to OSErrors raised while writing."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


def write_whole(path: Path, write: Callable) -> None:
    """Let `write(file)` fill a file that appears at `path` only once it is complete.

    Raises:
        OSError: the disk is full, the folder is gone, …; `path` is then unchanged.
    """
    with on_its_way(path) as temporary, temporary.open("wb") as file:
        write(_Plain(file))
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def on_its_way(path: Path, temporary: Path | None = None) -> Iterator[Path]:
    """A path to write a file to; at the end the file is synced and moved to `path`.

    Args:
        path: the file's final path.
        temporary: the path to write to, on the same file system; None: beside `path`.

    Raises:
        OSError: it names `path`, which is then unchanged.
    """
    temporary = temporary or path.with_name(path.name + TEMPORARY)
    try:
        with naming(path):
            yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sync(path: Path) -> None:
    """Flush a file to disk that a library has written and closed."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


class _Plain(io.RawIOBase):
    """A file to which libraries can write only through Python.

    If they get a descriptor, some write directly and do not report a full disk.
    """

    def __init__(self, file: BinaryIO):
        self._file = file

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def write(self, data) -> int:
        return self._file.write(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def write_array(file: BinaryIO, array: np.ndarray) -> None:
    """Write an array as `np.save` does, without a copy of it in memory."""
    # ascontiguousarray turns a scalar into a vector.
    array = np.ascontiguousarray(array).reshape(array.shape)
    head = np.lib.format.header_data_from_array_1_0(array)
    np.lib.format.write_array_header_1_0(file, head)
    view = memoryview(array).cast("B")
    for start in range(0, len(view), BLOCK):
        file.write(view[start : start + BLOCK])


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8, whole or not at all."""
    write_whole(path, lambda file: file.write(text.encode()))
