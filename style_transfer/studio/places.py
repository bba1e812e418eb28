"""The places of the studio's files, all in one folder with the runs."""

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import filelock

from style_transfer.errors import InputError
from style_transfer.locking import only_process
from style_transfer.paths import expanded

HIDDEN = ".studio"


@dataclass(frozen=True)
class Places:
    """The folder of a studio, which holds its runs like those of the command line.

    Attributes:
        folder: absolute path, without symbolic links.
    """

    folder: Path

    @property
    def inputs(self) -> Path:
        """Photographs, paintings and masks from users; runs refer to them."""
        return self.folder / "inputs"

    @property
    def orders(self) -> Path:
        """Orders that are not carried out yet; see order.py."""
        return self.folder / HIDDEN / "orders"

    @property
    def live(self) -> Path:
        """The states of runs while they are painted; see live.py."""
        return self.folder / HIDDEN / "live"

    @property
    def uploads(self) -> Path:
        """Uploaded files before they are checked; emptied at each start."""
        return self.folder / HIDDEN / "uploads"

    @property
    def lock(self) -> Path:
        """Held by the server: one folder, one studio."""
        return self.folder / HIDDEN / "lock"

    def make(self) -> None:
        """Make the folders.

        Raises:
            InputError: the folder cannot be written to.
        """
        try:
            for path in (self.inputs, self.orders, self.live, self.uploads):
                path.mkdir(parents=True, exist_ok=True)
                if path.is_symlink() or not os.access(path, os.W_OK | os.X_OK):
                    raise OSError(f"{path.name} cannot be written to")
        except OSError as error:
            raise InputError(
                f"--folder: expected a folder that can be written to. "
                f"Received: {str(self.folder)!r} ({error.strerror or error})"
            ) from None

    def holds(self, path: Path) -> bool:
        """Whether an existing file is in the folder, after following symbolic links."""
        try:
            return path.resolve(strict=True).is_relative_to(self.folder)
        except (OSError, RuntimeError, ValueError):
            return False


def places_in(folder: str | os.PathLike) -> Places:
    """The places of a studio in a folder, which need not exist yet."""
    return Places(expanded(folder, "--folder").resolve())


def locked(places: Places) -> AbstractContextManager[None]:
    """Keep other studios out of the folder; raises InputError if another one uses it."""
    return only_process(places.lock, "--folder", places.folder, "studio")


def is_held(lock: Path) -> bool:
    """Whether a living process holds a lock; the lock of a dead one does not count."""
    if not lock.exists():
        return False
    probe = filelock.FileLock(lock)
    try:
        probe.acquire(timeout=0)
    except (filelock.Timeout, OSError):
        return True
    probe.release()
    return False
