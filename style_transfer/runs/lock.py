"""One process at a time on a run."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import filelock

from style_transfer.errors import InputError
from style_transfer.runs.files import ABOUT_TEXT, RunFiles, write_text


@contextmanager
def locked(files: RunFiles) -> Iterator[None]:
    """Keep other processes off a run while this one paints. Folders are made as needed.

    Raises:
        InputError: another process is painting with the same prefix, or nothing can be written.
    """
    state, received = files.state, f"Received: {str(files.prefix)!r}"
    made = [state, *(folder for folder in state.parents if not folder.exists())]
    try:
        state.mkdir(parents=True, exist_ok=True)
        # The lock is the kernel's: it ends with its process, however that ends.
        lock = filelock.FileLock(files.lock)
        lock.acquire(timeout=0)
        if not files.about.exists():
            write_text(files.about, ABOUT_TEXT)
    except filelock.Timeout:
        raise InputError(f"PREFIX: expected one that no running process uses. {received}") from None
    except OSError as error:
        raise InputError(f"PREFIX: expected a place to write to. {received} ({error})") from None
    try:
        yield
    finally:
        # Removed while it is held: filelock gives up a lock on a file that is gone.
        with suppress(OSError):  # on Windows a lock that is held cannot be removed
            files.lock.unlink(missing_ok=True)
        lock.release()
        with suppress(OSError):
            if [path.name for path in state.iterdir()] == [files.about.name]:
                files.about.unlink()
            for folder in made:  # left empty by a run that never began
                folder.rmdir()
