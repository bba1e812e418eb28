"""One process at a time on a folder or a run."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock

from style_transfer.errors import InputError


@contextmanager
def only_process(lock: Path, argument: str, place: Path, user: str) -> Iterator[None]:
    """Hold a lock: a file in an existing folder, removed at the end.

    Args:
        lock: path of the lock.
        argument: the argument that names the place, for errors.
        place: what the lock protects.
        user: what uses the place, such as "process", for errors.

    Raises:
        InputError: another process holds the lock, or it cannot be written.
    """
    kernel_lock = filelock.FileLock(lock)  # released with its process, however that ends
    with writable(argument, place):
        try:
            kernel_lock.acquire(timeout=0)
        except filelock.Timeout:
            raise InputError(
                f"{argument}: expected one that no running {user} uses. Received: {str(place)!r}"
            ) from None
    try:
        yield
    finally:
        # Remove it while it is held: filelock gives up a lock whose file is gone.
        with suppress(OSError):  # on Windows a held lock cannot be removed
            lock.unlink(missing_ok=True)
        kernel_lock.release()


@contextmanager
def writable(argument: str, place: Path) -> Iterator[None]:
    """Turn an OSError while preparing a place into an InputError that names its argument."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{argument}: expected a place to write to. Received: {str(place)!r} ({error})"
        ) from None
