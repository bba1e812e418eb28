"""All that is written to disk of a run, and reading it back.

    PREFIX_at_iteration_N.png   the picture after iteration N
    PREFIX.png                  the result (these two end in .tif with --output tiff16)
    PREFIX.json                 the record
    PREFIX_state/               what a resume needs: images in float32, the journal, the lock

Every file appears whole or not at all: it is written under a temporary name in the same folder,
flushed to the disk, and renamed. Only the journal grows in place; its records carry checksums.
"""

import dataclasses
import hashlib
import io
import json
import os
import struct
import zlib
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock
import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from preprocessing import deprocess
from settings import InputError, Stretch

TEMPORARY = ".unfinished"  # ending of files on their way
SUFFIXES = {"png": ".png", "png16": ".png", "tiff16": ".tif"}  # of pictures, by `Settings.output`


class JournalMismatch(Exception):
    """The journal's next answer is to another question than the one asked."""


@contextmanager
def naming(path: Path):
    """Let an error of the system's name the file, as those of writing do not by themselves."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


def write_whole(path: Path, write: Callable) -> None:
    """Let `write(file)` fill a file that appears at `path` only when it is complete.

    Raises:
        OSError: the disk is full, the folder is gone, …; `path` is then as it was before.
    """
    content = io.BytesIO()  # NumPy, writing by itself, does not tell that a disk is full
    write(content)
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        with naming(path), open(temporary, "wb") as file:
            file.write(content.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_picture(file, pixels: np.ndarray, output: str, texts: dict[str, str]) -> None:
    """Write pixels with text metadata into an open file.

    Args:
        file: open for writing bytes.
        pixels: RGB (H, W, 3), uint8 for `png`, uint16 for `png16` and `tiff16`.
        output: the format, as `Settings.output`.
        texts: by keyword, ASCII; `Software` and `Settings` for TIFF, which has no others.
    """
    if output == "tiff16":
        import tifffile

        options = {"software": texts["Software"], "description": texts["Settings"]}
        tifffile.imwrite(file, pixels, photometric="rgb", metadata=None, **options)
    elif output == "png16":
        write_png16(file, pixels, texts)
    else:
        info = PngInfo()
        for keyword, text in texts.items():
            info.add_text(keyword, text)
        Image.fromarray(pixels).save(file, "PNG", pnginfo=info)


def write_png16(file, pixels: np.ndarray, texts: dict[str, str]) -> None:
    """PNG of 16 bits a channel, which Pillow does not write: W3C's PNG specification, sections 5, 11.

    Arguments are those of `write_picture`.
    """
    rows, columns, _ = pixels.shape
    lines = np.ascontiguousarray(pixels, ">u2").view(np.uint8).reshape(rows, 6 * columns)
    lines = np.pad(lines, ((0, 0), (1, 0)))  # each line begins with its filter's type, 0: none
    header = struct.pack(">IIBBBBB", columns, rows, 16, 2, 0, 0, 0)  # 16 bits, RGB
    chunks = [(b"IHDR", header)]
    chunks += [(b"tEXt", f"{keyword}\0{text}".encode("ascii")) for keyword, text in texts.items()]
    chunks += [(b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    file.write(b"\x89PNG\r\n\x1a\n")
    for kind, content in chunks:
        file.write(struct.pack(">I", len(content)) + kind + content)
        file.write(struct.pack(">I", zlib.crc32(kind + content)))


def pictures_of(prefix: str, suffix: str = ".png") -> dict[int | None, Path]:
    """Pictures of a run that are on disk, by iteration; the result's key is None.

    Iterations are found in any format, the result only with `suffix`: PREFIX.tif may be a
    photograph that happens to lie there.
    """
    path = Path(prefix).expanduser()
    stem = f"{path.name}_at_iteration_"
    pictures = {
        int(number): file
        for file in path.parent.glob("*_at_iteration_*")
        if file.suffix in SUFFIXES.values()
        and file.name.startswith(stem)
        and (number := file.stem.removeprefix(stem)).isdecimal()
    }
    result = Path(f"{path}{suffix}")
    return {**pictures, None: result} if result.exists() else pictures


def load_record(prefix: str) -> dict:
    """The record of an earlier run.

    Raises:
        InputError: there is none, or it is not one of this program's, whole.
    """
    path = Path(f"{Path(prefix).expanduser()}.json")
    try:
        record = json.loads(path.read_text())
        if record.pop("checksum") != checksum(record):
            raise ValueError("its checksum is another")
    except FileNotFoundError:
        raise InputError(
            f"--resume: expected the prefix of a run. Received: {prefix!r}; no {str(path)!r}"
        ) from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(
            f"--resume: expected a whole record of this program; pictures of the run are there for "
            f"--init. Received: {str(path)!r} ({type(error).__name__}: {error})"
        ) from None
    return record


def checksum(record: dict) -> str:
    """SHA-256 of a record's content, in hexadecimal."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def pictures_read(record: dict) -> list[dict]:
    """The record's entries of all pictures that the run reads: {"path", "sha256"}."""
    init = [record["init"]] if "init" in record else []
    return [record["base"], *record["styles"], *init, *record.get("masks", [])]


def check_prefix(prefix: str, overwrite: bool, suffix: str = ".png") -> None:
    """InputError where an earlier run has this prefix, or nothing can be written there."""
    path = Path(prefix).expanduser()
    files = [Path(f"{path}.json"), *pictures_of(prefix, suffix).values()]
    there = [file for file in files if file.exists()]
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


@contextmanager
def locked(prefix: str | None):
    """Keep other processes off a prefix. Its folders are made as needed.

    Raises:
        InputError: another process is running with the same prefix, or the folder cannot be made.
    """
    if prefix is None:
        yield
        return
    state = Path(f"{Path(prefix).expanduser()}_state")
    made = [state, *(folder for folder in state.parents if not folder.exists())]
    try:
        state.mkdir(parents=True, exist_ok=True)
        # The lock is the kernel's: it ends with its process, however that ends.
        lock = filelock.FileLock(state / "lock")
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise InputError(
            f"PREFIX: expected one that no running process uses. Received: {prefix!r}"
        ) from None
    except OSError as error:
        raise InputError(
            f"PREFIX: expected a place to write to. Received: {prefix!r} ({error})"
        ) from None
    try:
        yield
    finally:
        # Removed while it is held: filelock gives up a lock on a file that is gone.
        (state / "lock").unlink(missing_ok=True)
        lock.release()
        with suppress(OSError):
            for folder in made:  # left empty by a run that never began
                folder.rmdir()


def sha256_of_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Run:
    """The record of one run, and its files where it has a prefix.

    Args:
        record: what PREFIX.json holds, of a new run or of an earlier one to go on with.
        prefix: path and beginning of the names of all files, or None to write none. It is
            `locked`.
        overwrite: remove the files of an earlier run, or of the later iterations of this one.
        journal: whether to keep what an exact resume in the middle of a stretch needs.
        say: prints a line.
        done: iterations of an earlier run to go on behind; later ones are given up. None for a
            new run.
        render: from an image, float32 (1, H, W, 3), and a type, uint8 or uint16, to the pixels of
            that type that are saved, (H, W, 3).
    """

    def __init__(
        self,
        record: dict,
        prefix: str | None,
        overwrite: bool = False,
        journal: bool = True,
        say: Callable[[str], None] = print,
        done: int | None = None,
        render: Callable[[np.ndarray, type], np.ndarray] = deprocess,
    ):
        self.record = record
        self.render = render
        self.prefix = None if prefix is None else str(Path(prefix).expanduser())
        self.say = say
        self.journaling = journal and prefix is not None
        self.saved = done or 0  # iterations whose files are on disk
        self._kept = record["iterations"], record["evaluations"]
        self._journal = None
        self._latest = None  # the last iteration done, and its image
        self._why = "no journal of these iterations is left"
        if prefix is not None:
            self.state = Path(f"{self.prefix}_state")
            if overwrite:
                self._remove_result_of_another_format()
            if done is None:
                Path(f"{self.prefix}.json").unlink(missing_ok=True)
                (self.state / "journal").unlink(missing_ok=True)
            if done is None or done < len(record["iterations"]):
                self._give_up_later(keep=not overwrite)
        self._back_to(self.saved)
        if prefix is not None:
            self.save_record()
            for path in self.state.glob("iteration_*"):
                if int(path.name.removeprefix("iteration_").split(".")[0]) >= self.saved:
                    path.unlink()

    @property
    def _suffix(self) -> str:
        return SUFFIXES[self.record["settings"]["output"]]

    def _remove_result_of_another_format(self) -> None:
        """Remove the result of the run that is there, where this one's will have another name."""
        with suppress(InputError):
            output = load_record(self.prefix)["settings"].get("output", "png")
            if SUFFIXES[output] != self._suffix:
                Path(f"{self.prefix}{SUFFIXES[output]}").unlink(missing_ok=True)

    def _give_up_later(self, keep: bool) -> None:
        """Remove the pictures behind the saved iterations, or keep them under another prefix."""
        later = [
            path
            for iteration, path in pictures_of(self.prefix, self._suffix).items()
            if iteration is None or iteration >= self.saved
        ]
        number = 1
        while keep and pictures_of(f"{self.prefix}_before_{number}", self._suffix):
            number += 1
        for path in later:
            if keep:
                end = path.name.removeprefix(Path(self.prefix).name)
                path.rename(f"{self.prefix}_before_{number}{end}")
            else:
                path.unlink()
        if keep and later:
            self.say(f"Later pictures are kept as {self.prefix}_before_{number}*{self._suffix}")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._close_journal()

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
                f"Goes on from the image of iteration {self.saved - 1} with a fresh memory of the "
                f"optimiser: {self._why}."
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

    def replay_failed(self, stretch: Stretch) -> None:
        """Delete a journal whose answers are to other questions than those asked."""
        self._why = "the journal was written by another machine or library"
        self._drop_journal()
        if self.saved <= stretch.first_iteration:
            self.say(f"Begins {stretch.columns} x {stretch.rows} again: {self._why}.")

    def _drop_journal(self) -> None:
        self._close_journal()
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
            "pictures": [entry["sha256"] for entry in pictures_read(record)],
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

    def iteration_done(self, image: np.ndarray, loss: float) -> dict | None:
        """Enter an iteration into the record and save its image.

        Returns:
            The record's entry, or None where the iteration was saved before and is replayed.
        """
        number = len(self.record["iterations"])
        if number < self.saved:
            self.record["iterations"].append(self._kept[0][number])
            return None
        entry = {
            "iteration": number,
            "evaluations": len(self.record["evaluations"]),
            "total": loss,
        }
        self.record["iterations"].append(entry)
        if self.prefix is not None:
            path = self._image_path(number)
            write_whole(path, lambda file: np.save(file, image))
            entry["sha256"] = sha256_of_file(path)
            self.save_picture(image, number)
            self.save_record()
        self.saved = number + 1
        self._kept = self.record["iterations"], self.record["evaluations"]
        self._latest = number, image
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
            if sha256_of_file(path) != self._kept[0][iteration]["sha256"]:
                raise ValueError("a changed file")
            return np.load(path)
        except (OSError, ValueError) as error:
            raise InputError(
                f"--resume: expected the state {str(path)!r} as it was saved; --from_iteration "
                f"goes back to one before. Received: {error}"
            ) from None

    def picture_path(self, iteration: int | None = None) -> Path | None:
        """Where the picture of an iteration is, or of the result; None where none is written."""
        if self.prefix is None:
            return None
        end = "" if iteration is None else f"_at_iteration_{iteration}"
        return Path(f"{self.prefix}{end}{self._suffix}")

    def save_picture(self, image: np.ndarray, iteration: int | None = None) -> None:
        """Write the picture of an image, with the settings as text metadata."""
        settings = self.record["settings"]
        output = settings["output"]
        pixels = self.render(image, np.uint8 if output == "png" else np.uint16)
        texts = {
            "Software": "neural_style_transfer.py",
            "Settings": json.dumps(settings, sort_keys=True),
        }
        path = self.picture_path(iteration)
        write_whole(path, lambda file: write_picture(file, pixels, output, texts))

    def save_record(self) -> None:
        """Write PREFIX.json."""
        record = {**self.record, "checksum": checksum(self.record)}
        text = json.dumps(record, indent=1, allow_nan=False)
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
        if len(self.record["iterations"]) < self.saved:  # stopped while it was replayed
            self._back_to(self.saved)
        else:
            self.save_picture(image)
        self.save_record()
        if status == "finished":
            self._drop_journal()


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
        self.path = path
        self._file = open(path, "a+b")  # noqa: SIM115 (stays open as long as the stretch lasts)
        self._file.seek(0)
        self.found = self._file.readline(len(header)) == header
        self._replaying = self.found
        self.replayed = 0  # answers given so far
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
        self.replayed += 1
        return values[:count], values[count:].reshape(image.shape), seconds

    def _read_record(self) -> bytes | None:
        """The next record without length and checksum, or None where none is whole."""
        length = self._file.read(4)
        if len(length) < 4:
            return None
        record = self._file.read(struct.unpack("<I", length)[0])
        if self._file.read(4) != struct.pack("<I", zlib.crc32(record)):
            return None
        return record if len(record) > self._HEAD.size else None  # a hole of zeros checks out too

    def append(
        self, image: np.ndarray, terms: np.ndarray, gradient: np.ndarray, seconds: float
    ) -> None:
        """Add an answer. It is in the system's hands at once, so that a kill does not lose it."""
        gradient = np.ascontiguousarray(gradient, "<f4")
        head = self._HEAD.pack(zlib.crc32(image), seconds, len(terms)) + terms.tobytes()
        checksum = zlib.crc32(gradient, zlib.crc32(head))
        with naming(self.path):
            self._file.write(struct.pack("<I", len(head) + gradient.nbytes) + head)
            self._file.write(gradient)
            self._file.write(struct.pack("<I", checksum))
            self._file.flush()

    def close(self) -> None:
        """Close the file, leaving it on disk."""
        self._file.close()
