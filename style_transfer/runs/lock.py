"""One process at a time on a run."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from style_transfer.locking import only_process, writable
from style_transfer.runs.files import ABOUT_TEXT, RunFiles, write_text


@contextmanager
def locked(files: RunFiles) -> Iterator[None]:
    """Keep other processes off a run while this one paints. Folders are made as needed.

    Raises:
        InputError: another process is painting with the same prefix, or nothing can be written.
    """
    state = files.state
    made = [state, *(folder for folder in state.parents if not folder.exists())]
    with writable("PREFIX", files.prefix):
        state.mkdir(parents=True, exist_ok=True)
    try:
        with only_process(files.lock, "PREFIX", files.prefix, "process"):
            with writable("PREFIX", files.prefix):
                if not files.about.exists():
                    write_text(files.about, ABOUT_TEXT)
            yield
    finally:
        with suppress(OSError):
            if [path.name for path in state.iterdir()] == [files.about.name]:
                files.about.unlink()
            for folder in made:  # left empty by a run that never began
                folder.rmdir()
