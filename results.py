"""All that is written to disk of a run, and reading it back.

    PREFIX_at_iteration_N.png   the picture after iteration N
    PREFIX.png                  the result
    PREFIX.json                 the record
    PREFIX_state/               what a resume needs: images in float32, the journal, the lock

Every file appears whole or not at all: it is written under a temporary name in the same folder,
flushed to the disk, and renamed. Only the journal grows in place; its records carry checksums.
"""

import dataclasses
import hashlib
import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import filelock
import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from preprocessing import deprocess
from settings import InputError, Stretch

TEMPORARY = ".unfinished"  # ending of files on their way


class JournalMismatch(Exception):
    """The journal's next answer is to another question than the one asked."""


def write_whole(path: Path, write: Callable) -> None:
    """Let `write(file)` fill a file that appears at `path` only when it is complete.

    Raises:
        OSError: the disk is full, the folder is gone, …; `path` is then as it was before.
    """
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def pictures_of(prefix: str) -> dict[int | None, Path]:
    """Pictures of a run that are on disk, by iteration; the result's key is None."""
    path = Path(prefix).expanduser()
    stem = f"{path.name}_at_iteration_"
    pictures = {
        int(number): file
        for file in path.parent.glob("*.png")
        if (number := file.name.removeprefix(stem).removesuffix(".png")).isdecimal()
        and file.name.startswith(stem)
    }
    result = Path(f"{path}.png")
    return {**pictures, None: result} if result.exists() else pictures


def load_record(prefix: str) -> dict:
    """The record of an earlier run.

    Raises:
        InputError: there is none, or it is not one of this program's, whole.
    """
    path = Path(f"{Path(prefix).expanduser()}.json")
    try:
        record = json.loads(path.read_text())
        for key in ("base", "styles", "settings", "stretches", "iterations", "evaluations"):
            record[key]
    except FileNotFoundError:
        raise InputError(
            f"--resume: expected the prefix of a run. Received: {prefix!r}; no {str(path)!r}"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"--resume: expected a whole record of this program. Received: {str(path)!r} ({error})"
        ) from None
    return record


def check_prefix(prefix: str, overwrite: bool) -> None:
    """InputError where an earlier run has this prefix, or nothing can be written there."""
    path = Path(prefix).expanduser()
    there = [
        file for file in (Path(f"{path}.json"), *pictures_of(prefix).values()) if file.exists()
    ]
    if there and not overwrite:
        raise InputError(
            f"PREFIX: expected one without a run, or --overwrite, or --resume {prefix}. "
            f"Received: {prefix!r}, which has {there[0].name}"
        )
    folder = path.parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(
            f"PREFIX: expected a folder that can be written to. Received: {prefix!r}, "
            f"where {str(folder)!r} is none"
        )


def sha256_of_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Run:
    """The record of one run, and its files where it has a prefix.

    Args:
        record: what PREFIX.json holds, of a new run or of an earlier one to go on with.
        prefix: path and beginning of the names of all files, or None to write none. Folders are
            made as needed.
        overwrite: remove the files of an earlier run, or of the later iterations of this one.
        journal: whether to keep what an exact resume in the middle of a stretch needs.
        say: prints a line.
        done: iterations of an earlier run to go on behind; later ones are given up. None for a
            new run.

    Raises:
        InputError: the folder cannot be made or written to, or another process is running with
            the same prefix.
    """

    def __init__(
        self,
        record: dict,
        prefix: str | None,
        overwrite: bool = False,
        journal: bool = True,
        say: Callable[[str], None] = print,
        done: int | None = None,
    ):
        self.record = record
        self.prefix = None if prefix is None else str(Path(prefix).expanduser())
        self.say = say
        self.journaling = journal and prefix is not None
        self.saved = done or 0  # iterations whose files are on disk
        self._kept = record["iterations"], record["evaluations"]
        self._journal = None
        self._latest = None  # the last iteration done, and its image
        if prefix is not None:
            self.state = Path(f"{self.prefix}_state")
            try:
                self.state.mkdir(parents=True, exist_ok=True)
                # The lock is the kernel's: it ends with its process, however that ends.
                self._lock = filelock.FileLock(self.state / "lock")
                self._lock.acquire(timeout=0)
            except filelock.Timeout:
                raise InputError(
                    f"PREFIX: expected one that no running process uses. Received: {prefix!r}"
                ) from None
            except OSError as error:
                raise InputError(
                    f"PREFIX: expected a place to write to. Received: {prefix!r} ({error})"
                ) from None
            if done is None or done < len(record["iterations"]):
                self._give_up_later(keep=not overwrite)
        self._back_to(self.saved)
        if prefix is not None:
            self.save_record()

    def _give_up_later(self, keep: bool) -> None:
        """Remove the pictures behind the saved iterations, or keep them under another prefix."""
        later = {
            iteration: path
            for iteration, path in pictures_of(self.prefix).items()
            if iteration is None or iteration >= self.saved
        }
        number = 1
        while keep and pictures_of(f"{self.prefix}_before_{number}"):
            number += 1
        for path in later.values():
            if keep:
                end = path.name.removeprefix(Path(self.prefix).name)
                path.rename(f"{self.prefix}_before_{number}{end}")
            else:
                path.unlink()
        if keep and later:
            self.say(f"Later pictures are kept as {self.prefix}_before_{number}*.png")
        for path in self.state.glob("iteration_*.npy"):
            if int(path.stem.removeprefix("iteration_")) >= self.saved:
                path.unlink()
        if not self.saved:
            (self.state / "journal").unlink(missing_ok=True)
            Path(f"{self.prefix}.json").unlink(missing_ok=True)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._close_journal()
        if self.prefix is not None:
            self._lock.release()

    def _close_journal(self) -> None:
        if self._journal:
            self._journal.close()
            self._journal = None

    def next_stretch(self) -> Stretch | None:
        """Go to the start of the stretch with the first iteration not yet done.

        Where its journal is there, the record's entries of this stretch are dropped, and come
        again as the journal is replayed. Where it is not, but iterations of the stretch are saved,
        a new stretch begins behind the last of them.

        Returns:
            The stretch, or None when all iterations are done.
        """
        stretch = self._current()
        if stretch is None:
            return None
        self._close_journal()
        if self.journaling:
            self._journal = self._open_journal(stretch)
        if self.saved > stretch.first_iteration and not (self._journal and self._journal.found):
            self.say(
                f"No journal for the rest of this size: goes on from the image of iteration "
                f"{self.saved - 1}, exactly, with a fresh memory of the optimiser."
            )
            return self._split(stretch)
        self._back_to(stretch.first_iteration)
        return stretch

    def _split(self, stretch: Stretch) -> Stretch:
        """Cut a stretch behind the last saved iteration, and go to the start of the second part."""
        done = self.saved - stretch.first_iteration
        parts = [
            dataclasses.replace(stretch, iterations=done),
            dataclasses.replace(
                stretch, first_iteration=self.saved, iterations=stretch.iterations - done
            ),
        ]
        index = self.record["stretches"].index(dataclasses.asdict(stretch))
        self.record["stretches"][index : index + 1] = map(dataclasses.asdict, parts)
        return self.next_stretch()

    def drop_journal(self) -> None:
        """Delete the journal: it has served, or cannot be replayed."""
        self._close_journal()
        if self.journaling:
            (self.state / "journal").unlink(missing_ok=True)

    def _current(self) -> Stretch | None:
        for entry in self.record["stretches"]:
            stretch = Stretch(**entry)
            if self.saved < stretch.first_iteration + stretch.iterations:
                return stretch
        return None

    def _back_to(self, iteration: int) -> None:
        """Leave in the record what was before `iteration`."""
        iterations, evaluations = self._kept
        self.record["iterations"] = iterations[:iteration]
        self.record["evaluations"] = [
            entry for entry in evaluations if entry["iteration"] < iteration
        ]

    def _open_journal(self, stretch: Stretch) -> "Journal":
        record = self.record
        depends_on = {
            "settings": {key: v for key, v in record["settings"].items() if key != "iter"},
            "pictures": [entry["sha256"] for entry in [record["base"], *record["styles"]]],
            "weights": record["weights"]["sha256"],
            "stretch": [stretch.rows, stretch.columns, stretch.first_iteration],
        }
        digest = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode())
        return Journal(self.state / "journal", digest.hexdigest())

    @property
    def journal(self) -> "Journal | None":
        """The journal of the current stretch."""
        return self._journal

    def evaluated(self, stretch: Stretch, terms: dict[str, float], seconds: float) -> dict:
        """Enter an evaluation into the record; returns its entry."""
        entry = {
            "evaluation": len(self.record["evaluations"]),
            "scale": stretch.scale,
            "iteration": len(self.record["iterations"]),
            "seconds": round(seconds, 4),
            "total": sum(terms.values()),
            **terms,
        }
        self.record["evaluations"].append(entry)
        return entry

    def iteration_done(self, image: np.ndarray, loss: float) -> dict:
        """Enter an iteration into the record and save its image; returns its entry."""
        entry = {
            "iteration": len(self.record["iterations"]),
            "evaluations": len(self.record["evaluations"]),
            "total": loss,
        }
        self.record["iterations"].append(entry)
        if entry["iteration"] >= self.saved:
            self.saved = entry["iteration"] + 1
            self._kept = self.record["iterations"], self.record["evaluations"]
            self._latest = entry["iteration"], image
            if self.prefix is not None:
                path = self._image_path(entry["iteration"])
                write_whole(path, lambda file: np.save(file, image))
                self.save_picture(image, entry["iteration"])
                self.save_record()
        return entry

    def _image_path(self, iteration: int) -> Path:
        return self.state / f"iteration_{iteration}.npy"

    def image(self, iteration: int) -> np.ndarray:
        """The image after an iteration, float32 (1, H, W, 3), exactly as it was.

        Raises:
            InputError: the file is missing or damaged.
        """
        if self._latest and self._latest[0] == iteration:
            return self._latest[1]
        path = self._image_path(iteration)
        try:
            return np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise InputError(
                f"--resume: expected the state {str(path)!r}, whole. Received: {error}"
            ) from None

    def picture_path(self, iteration: int | None = None) -> Path | None:
        """Where the picture of an iteration is, or of the result; None where none is written."""
        if self.prefix is None:
            return None
        end = "" if iteration is None else f"_at_iteration_{iteration}"
        return Path(f"{self.prefix}{end}.png")

    def save_picture(self, image: np.ndarray, iteration: int | None = None) -> None:
        """Write the picture of an image, with the settings as text metadata."""
        info = PngInfo()
        info.add_text("Software", "neural_style_transfer.py")
        info.add_text("Settings", json.dumps(self.record["settings"], sort_keys=True))
        picture = Image.fromarray(deprocess(image))
        path = self.picture_path(iteration)
        write_whole(path, lambda file: picture.save(file, "PNG", pnginfo=info))

    def save_record(self) -> None:
        """Write PREFIX.json."""
        text = json.dumps(self.record, indent=1, allow_nan=False)
        write_whole(Path(f"{self.prefix}.json"), lambda file: file.write(text.encode()))

    def stop(self, status: str, image: np.ndarray) -> None:
        """Save the result as far as it is, and the record.

        Args:
            status: `finished` (the journal has served and goes), or why the run stops early.
            image: float32 (1, H, W, 3).
        """
        self.record["status"] = status
        if self.prefix is None:
            return
        self.save_picture(image)
        self.save_record()
        if status == "finished":
            self.drop_journal()


class Journal:
    """Answers of the objective in the order they were given, on disk as they come.

    The file starts with a line that says what it belongs to. Each record is: the length of what
    follows; checksum of the question (the image), seconds, number of terms; terms; gradient;
    checksum of all that.

    Args:
        path: of the file. What stands there with the same `about` is replayed, up to the first
            torn or damaged record. Anything else is overwritten.
        about: what the answers depend on.
    """

    _HEAD = struct.Struct("<IdI")

    def __init__(self, path: Path, about: str):
        header = f"neural_style_transfer journal 1 {about}\n".encode()
        self._file = open(path, "a+b")  # noqa: SIM115 (stays open as long as the stretch lasts)
        self._file.seek(0)
        self.found = self._file.readline(len(header)) == header
        self._replaying = self.found
        if not self.found:
            self._file.truncate(0)
            self._file.write(header)
            self._file.flush()

    def answer(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, float] | None:
        """The kept (terms, gradient, seconds) for `image`, or None when all are used up.

        Raises:
            JournalMismatch: the next answer is to another image.
        """
        if not self._replaying:
            return None
        start = self._file.tell()
        record = self._read_record()
        if record is None:
            self._file.truncate(start)
            self._replaying = False
            return None
        question, seconds, count = self._HEAD.unpack_from(record)
        values = np.frombuffer(record, "<f4", offset=self._HEAD.size)
        if question != zlib.crc32(image) or len(values) != count + image.size:
            raise JournalMismatch
        return values[:count], values[count:].reshape(image.shape), seconds

    def _read_record(self) -> bytes | None:
        """The next record without length and checksum, or None where none is whole."""
        length = self._file.read(4)
        if len(length) < 4:
            return None
        record = self._file.read(struct.unpack("<I", length)[0])
        checksum = self._file.read(4)
        if len(checksum) < 4 or struct.unpack("<I", checksum)[0] != zlib.crc32(record):
            return None
        return record

    def append(
        self, image: np.ndarray, terms: np.ndarray, gradient: np.ndarray, seconds: float
    ) -> None:
        """Add an answer. It is in the system's hands at once, so that a kill does not lose it."""
        gradient = np.ascontiguousarray(gradient, "<f4")
        head = self._HEAD.pack(zlib.crc32(image), seconds, len(terms)) + terms.tobytes()
        checksum = zlib.crc32(gradient, zlib.crc32(head))
        self._file.write(struct.pack("<I", len(head) + gradient.nbytes) + head)
        self._file.write(gradient)
        self._file.write(struct.pack("<I", checksum))
        self._file.flush()

    def close(self) -> None:
        """Close the file, leaving it on disk."""
        self._file.close()
