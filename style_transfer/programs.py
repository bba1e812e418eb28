"""How the smaller programs end: faults in one line, and an exit code."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from style_transfer.console import flush_or_give_up, say
from style_transfer.errors import ExitCode, InputError, RunStopped


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends these programs as Ctrl-C does."""


def run_program(name: str, main: Callable[[], object]) -> int:
    """Run a program; what a user, a file or the system did is told in one line.

    Args:
        name: of the program, as its errors begin.
        main: does the work.

    Returns:
        An `ExitCode`: 0; 2 for input that cannot be used; 1 where it had to stop; 130 or 143 after
        Ctrl-C or SIGTERM.
    """
    with sigterm_as_interrupt():
        try:
            main()
        except InputError as error:
            say(f"{name}: error: {error}", sys.stderr)
            return ExitCode.INPUT
        except KeyboardInterrupt as error:
            say(f"{name}: stopped", sys.stderr)
            by_ctrl_c = not isinstance(error, Terminated)
            return ExitCode.INTERRUPTED if by_ctrl_c else ExitCode.TERMINATED
        except (RunStopped, MemoryError, OSError) as error:
            say(f"{name}: stopped: {error or 'not enough memory'}", sys.stderr)
            return ExitCode.STOPPED
        finally:
            flush_or_give_up()
    return ExitCode.DONE


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """While this is open, SIGTERM raises `Terminated`."""

    def terminate(number: int, frame: object) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
