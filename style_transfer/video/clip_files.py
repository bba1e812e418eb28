"""The files of a painted clip: those kept until it is complete, and those it may overwrite."""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from style_transfer.errors import InputError
from style_transfer.paths import same_file, sha256_of_file
from style_transfer.runs.files import ABOUT, TEMPORARY, write_whole
from style_transfer.runs.lock import locked_state
from style_transfer.video.clip_record import ClipRecord
from style_transfer.video.outputs import is_folder

ABOUT_TEXT = """\
Written by video.py: the frames painted so far, until the clip is complete, and its record, by which
the program recognizes the clip as its own. Once you have the clip, you can delete this folder.
"""


@dataclass(frozen=True)
class ClipFiles:
    """Names of all files of a clip.

    Attributes:
        out: the clip itself: a file, or a folder of pictures.
    """

    out: Path

    @property
    def state(self) -> Path:
        """The folder of the files that are kept."""
        return self.out.with_name(self.out.name + "_state")

    @property
    def preview(self) -> Path:
        """The last painted frame, until the clip is complete."""
        return self.out.with_name(self.out.stem + "_preview.png")

    @property
    def record(self) -> Path:
        """See clip_record.py."""
        return self.state / "record.json"

    @property
    def filters(self) -> Path:
        """The filters of all frames."""
        return self.state / "filters.npz"

    @property
    def about(self) -> Path:
        """The text that marks the folder as this program's."""
        return self.state / ABOUT

    def frame(self, number: int) -> Path:
        """A painted frame, by its number among the frames to paint."""
        return self.state / f"frame_{number:06d}.png"

    def painted(self) -> set[int]:
        """Numbers of the frames that have been painted."""
        found = set()
        with contextlib.suppress(OSError):
            for file in self.state.iterdir():
                number = file.stem.removeprefix("frame_")
                if file.suffix == ".png" and number.isdecimal():
                    found.add(int(number))
        return found

    def read_record(self) -> ClipRecord | None:
        """The record of an earlier command; None if there is none, or if it cannot be read."""
        try:
            return ClipRecord.from_json(self.record.read_bytes())
        except (OSError, ValueError):
            return None

    def clear(self, record: bool = True) -> None:
        """Remove this program's kept files, with or without the record, and nobody else's."""
        ours = [self.filters, *map(self.frame, sorted(self.painted()))]
        ours += [self.record] if record else []
        for file in ours:
            file.unlink(missing_ok=True)
            file.with_name(file.name + TEMPORARY).unlink(missing_ok=True)
        self.preview.unlink(missing_ok=True)


def write_frame(path: Path, pixels: np.ndarray) -> None:
    """Write a frame, uint8 (H, W, 3), as a lossless PNG file, whole or not at all."""
    write_whole(path, lambda file: Image.fromarray(pixels).save(file, "PNG", compress_level=3))


def read_frame(path: Path) -> np.ndarray:
    """The inverse of `write_frame`.

    Raises:
        InputError: it is missing or damaged.
    """
    try:
        with Image.open(path) as file:
            return np.asarray(file.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(
            f"OUT: expected the painted frame {str(path)!r} as it was written; without the file "
            f"it is painted again. Received: {error}"
        ) from None


@contextmanager
def locked(files: ClipFiles) -> Iterator[None]:
    """Keep other processes away from a clip. Makes folders as needed.

    Raises:
        InputError: another process is painting there, or nothing can be written.
    """
    with locked_state(files.state, ABOUT_TEXT, "OUT", files.out, "video.py"):
        yield


def check_apart(files: ClipFiles, inputs: list[tuple[str, Path]]) -> None:
    """Raise InputError if a file to write is an input, or in a folder that is one."""
    for argument, path in inputs:
        for own in (files.out, files.preview, files.state):
            inside = path.is_dir() and own.absolute().is_relative_to(path.absolute())
            if inside or same_file(own, path):
                raise InputError(
                    f"OUT: expected another place than an input's. Received: {str(files.out)!r}, "
                    f"where {own.name} is, or is inside, {argument}, {str(path)!r}"
                )


def check_free(files: ClipFiles, record: ClipRecord | None, overwrite: bool) -> None:
    """Refuse an OUT that would replace somebody else's file, or an earlier clip that must stay.

    Args:
        files: the clip's files.
        record: an earlier command's record, or None.
        overwrite: whether an earlier clip may be replaced.

    Raises:
        InputError: a file is in the way; the message names it.
    """
    received = f"Received: {str(files.out)!r}"
    if files.state.exists() and not _is_ours(files):
        raise InputError(
            f"OUT: expected no files but this program's. {received}, where {files.state.name} is "
            "not one of them; move it, or choose another name"
        )
    if not os.path.lexists(files.out) or (is_folder(files.out) and not any(files.out.iterdir())):
        return
    if not overwrite:
        raise InputError(f"OUT: expected a new name, or --overwrite. {received}, which exists")
    if record is None or digest_of(files.out) not in (record.out_sha256, record.replaces):
        raise InputError(
            f"OUT: expected no file but this program's. {received}, which {files.record} does not "
            "know; move it, or choose another name"
        )


def _is_ours(files: ClipFiles) -> bool:
    try:
        content = {path.name for path in files.state.iterdir()}
        if content <= {"lock", files.about.name + TEMPORARY}:  # what a kill may leave
            return True
        return files.about.read_text() == ABOUT_TEXT
    except (OSError, ValueError):
        return False


def digest_of(path: Path) -> str:
    """SHA-256 of a file, or of a folder's files and their names; empty if there is none."""
    try:
        if not path.is_dir():
            return sha256_of_file(path)
        return digest_of_files(sorted(path.iterdir()))
    except OSError:
        return ""


def digest_of_files(files: list[Path]) -> str:
    """SHA-256 of files and their names, hexadecimal."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name} {sha256_of_file(file)}\n".encode())
    return digest.hexdigest()


def remove_clip(path: Path) -> None:
    """Remove an earlier clip, a file or a folder of pictures."""
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
