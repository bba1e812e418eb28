"""The files of a training, which may overwrite only its own earlier files."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from style_transfer.errors import InputError
from style_transfer.events import TERMS
from style_transfer.feedforward.about import ENDING, PROGRAM, is_network
from style_transfer.paths import check_writable_at, ends_of_file, expanded
from style_transfer.runs.files import ABOUT, TEMPORARY
from style_transfer.runs.lock import locked_state

LOG_COLUMNS = ("epoch", "step", "seconds", "learning_rate", "loss", *TERMS)
PNG_MARK = f"Software\0{PROGRAM}".encode()
ABOUT_TEXT = f"""\
Written by {PROGRAM}: what a training needs to continue after a stop. Run the same command again.
Without this folder, the network beside it can be used, but not trained further.
"""


@dataclass(frozen=True)
class TrainingFiles:
    """Names of all files of a training; `network` is MODEL.keras, without `~`."""

    network: Path

    def _with(self, ending: str) -> Path:
        return self.network.with_name(self.network.stem + ending)

    @property
    def preview(self) -> Path:
        """MODEL_preview.png, held-out photographs and the network's pictures of them."""
        return self._with("_preview.png")

    @property
    def log(self) -> Path:
        """MODEL_log.csv, the losses by epoch."""
        return self._with("_log.csv")

    @property
    def state(self) -> Path:
        """MODEL_state/, which exists until the training is finished."""
        return self._with("_state")

    @property
    def record(self) -> Path:
        """The training's choices, and the files it reads."""
        return self.state / "training.json"

    @property
    def backup(self) -> Path:
        """Network, optimizer and progress."""
        return self.state / "backup.weights.h5"

    @property
    def about(self) -> Path:
        """The text that marks the state's folder as this program's."""
        return self.state / ABOUT

    def results(self) -> list[Path]:
        """The files that a training leaves beside MODEL.keras, and that file."""
        return [self.network, self.preview, self.log]

    def is_interrupted(self) -> bool:
        """Whether an earlier training was stopped here."""
        return self.record.exists()

    def clear(self) -> None:
        """Remove the state, and nothing else, after the training has ended."""
        # First the record: killed in the middle, a training is finished, not to be begun again.
        self.record.unlink(missing_ok=True)
        for path in self.state.glob("*"):
            if path.name != "lock":
                path.unlink()


def training_files(model: str | os.PathLike) -> TrainingFiles:
    """The files of a training.

    Raises:
        InputError: the name does not end in .keras, or nothing can be written there.
    """
    path = expanded(model, "MODEL").absolute()
    if path.suffix != ENDING or path.is_dir():
        raise InputError(
            f"MODEL: expected a file's name that ends in {ENDING}. Received: {os.fspath(model)!r}"
        )
    check_writable_at(path, "MODEL", "_preview.png" + TEMPORARY)
    return TrainingFiles(path)


def check_free(files: TrainingFiles, inputs: Iterable[tuple[str, Path]], overwrite: bool) -> None:
    """Refuse a name with which a training would harm an input, another training or another file.

    Args:
        files: the training's files.
        inputs: everything that it reads: (name of the argument, path).
        overwrite: whether a finished or interrupted training may be replaced.

    Raises:
        InputError: a file is in the way; the message names it.
    """
    check_apart(files.results(), inputs, "MODEL")
    if files.state.is_dir() and any(files.state.iterdir()) and not files.about.is_file():
        raise _stranger(files.state, "MODEL")
    present = [path for path in files.results() if os.path.lexists(path)]
    for path in present:
        check_ours(path, "MODEL")
    if present and not overwrite and not files.is_interrupted():
        raise InputError(
            "MODEL: expected a name without a network, or --overwrite. "
            f"Received: {str(files.network)!r}, where {present[0].name} is"
        )


def check_apart(outputs: Iterable[Path], inputs: Iterable[tuple[str, Path]], argument: str) -> None:
    """Raise InputError if a file to write is also one to read, by whatever name or link."""
    by_identity = {identity: path for path in outputs if (identity := _identity(path))}
    for what, path in inputs:
        identity = _identity(path)
        written = by_identity.get(identity) if identity else None
        if written:
            raise InputError(
                f"{argument}: expected one that replaces no input. Received: {str(written)!r}, "
                f"which is {what}, {str(path)!r}"
            )


def is_ours(path: Path) -> bool:
    """Whether this program wrote a file: a network, a picture or a log."""
    try:
        if path.suffix == ENDING:
            return is_network(path)
        start, end = ends_of_file(path)
    except OSError:
        return False
    if path.suffix == ".csv":
        return start.startswith(",".join(LOG_COLUMNS).encode())
    mark = PNG_MARK if path.suffix == ".png" else PROGRAM.encode()
    return mark in start or mark in end


def check_ours(path: Path, argument: str) -> None:
    """Raise InputError if a file in the way was not written by this program."""
    if not is_ours(path):
        raise _stranger(path, argument)


@contextmanager
def locked(files: TrainingFiles) -> Iterator[None]:
    """Keep other processes away from a training. Makes folders as needed.

    Raises:
        InputError: another process is training this network, or nothing can be written.
    """
    with locked_state(files.state, ABOUT_TEXT, "MODEL", files.network, "training"):
        yield


def _stranger(path: Path, argument: str) -> InputError:
    return InputError(
        f"{argument}: expected no files but this program's. Received: {str(path)!r}, which is not "
        "one of them; move it, or choose another name"
    )


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
