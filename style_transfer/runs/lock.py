"""One process at a time on a run, or on anything else with a folder of state."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from style_transfer.locking import only_process, writable
from style_transfer.runs.files import ABOUT, ABOUT_TEXT, RunFiles, write_text


@contextmanager
def locked(files: RunFiles) -> Iterator[None]:
    """Keep other processes away from a run while this one paints. Makes folders as needed.

    Raises:
        InputError: another process is painting with the same prefix, or nothing can be written.
    """
    with locked_state(files.state, ABOUT_TEXT, "PREFIX", files.prefix, "process"):
        yield


@contextmanager
def locked_state(
    state: Path, about_text: str, argument: str, place: Path, user: str
) -> Iterator[None]:
    """Hold the lock of a folder of state, which is made as needed and marked by a text.

    Args:
        state: the folder.
        about_text: the text of a file that marks the folder as this program's.
        argument: the argument that names the place, for errors.
        place: the place to which the state belongs.
        user: what uses the place, such as "process", for errors.

    Raises:
        InputError: another process holds the lock, or nothing can be written.
    """
    made = [state, *(folder for folder in state.parents if not folder.exists())]
    about = state / ABOUT
    with writable(argument, place):
        state.mkdir(parents=True, exist_ok=True)
    try:
        with only_process(state / "lock", argument, place, user):
            with writable(argument, place):
                if not about.exists():
                    write_text(about, about_text)
            yield
    finally:
        with suppress(OSError):
            if [path.name for path in state.iterdir()] == [about.name]:
                about.unlink()
            for folder in made:  # empty if the process never started to paint
                folder.rmdir()
