"""One gallery at a time in a folder."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock

from style_transfer.errors import InputError


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keep other galleries out of a folder while this one paints.

    Raises:
        InputError: another process paints there, or nothing can be written.
    """
    path, received = out / "gallery.lock", f"Received: {str(out)!r}"
    try:
        lock = filelock.FileLock(path)  # the kernel's: it ends with its process
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise InputError(f"OUT: expected one that no running gallery uses. {received}") from None
    except OSError as error:
        raise InputError(f"OUT: expected a place to write to. {received} ({error})") from None
    try:
        yield
    finally:
        with suppress(OSError):  # on Windows a lock that is held cannot be removed
            path.unlink(missing_ok=True)
        lock.release()
