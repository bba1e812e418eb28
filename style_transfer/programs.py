"""How a command line ends: each way is an exit code and at most one line."""

import atexit
import contextlib
import gc
import os
import shlex
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from style_transfer.console import one_line, say
from style_transfer.errors import ExitCode, InputError, RunStopped
from style_transfer.events import Event, Listener, RunBegun, StopRun
from style_transfer.signals import Signals, interrupting, stopping

OWN_MODULES = {
    *("style_transfer", "neural_style_transfer", "evaluator", "preprocessing", "compare"),
    *("gallery", "fast_style_transfer", "video", "studio", "recipes", "benchmarks"),
}


def run_command(
    program: str, command: Callable[[Listener], object], way_on: str | None = None
) -> ExitCode:
    """Carry out a command that paints a run: a signal stops the run after the next evaluation.

    Args:
        program: its name, with which lines begin.
        command: called with a listener for its run, which hears of signals.
        way_on: how to continue after a stop, where that is not by --resume.

    Returns:
        See `ExitCode`.
    """
    begun: list[RunBegun] = []
    with stopping() as signals:

        def listener(event: Event) -> None:
            if isinstance(event, RunBegun):
                begun.append(event)
            signals(event)

        return _ended(program, lambda: command(listener), signals, lambda: way_on or _way_on(begun))


def run_program(program: str, main: Callable[[], object]) -> ExitCode:
    """Carry out any other command: a signal ends it at once.

    Args:
        program: its name, with which lines begin.
        main: does the work.

    Returns:
        See `ExitCode`.
    """
    with interrupting() as signals:
        return _ended(program, main, signals)


def _ended(
    program: str,
    main: Callable[[], object],
    signals: Signals,
    way_on: Callable[[], str] | None = None,
) -> ExitCode:
    """Carry out a command; tell why it ends early, and how to go on."""

    def tell(line: str, stopped: bool = True) -> None:
        after = f"; {way_on()}" if stopped and way_on else ""
        say(one_line(f"{program}: {line}{after}"), sys.stderr)

    # Python's last collection of garbage would look at all of TensorFlow for most of a second.
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)
    with descriptors_taken(), warnings.catch_warnings():
        # An overflow ends in a loss that is not finite, of which a line tells.
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            main()
        except InputError as error:
            tell(f"error: {error}", stopped=False)
            return ExitCode.INPUT
        except ImportError as error:
            fault = _fault_of_package(error)
            if fault is None:
                raise
            tell(f"error: {fault}", stopped=False)
            return ExitCode.INPUT
        except KeyboardInterrupt:
            tell("stopped")
            return ExitCode(128 + (signals.number or signal.SIGINT))
        except StopRun:
            tell("stopped")
            return ExitCode(128 + signals.number) if signals.number else ExitCode.STOPPED
        except (RunStopped, MemoryError, OSError) as error:
            tell(f"stopped: {str(error) or 'not enough memory'}")
            return ExitCode.STOPPED
        finally:
            flush_or_give_up()
    return ExitCode.DONE


def _fault_of_package(error: ImportError) -> str | None:
    """A package that is missing or damaged, in a line; None where a module of ours is at fault."""
    package = (error.name or "").split(".")[0]
    if package in OWN_MODULES:
        return None
    reason = " ".join(str(error).split())[:300]
    return (
        f"{package or 'packages'}: expected an installation that can be imported, as by pip "
        f"install -r requirements.txt. Received: {reason}"
    )


def _way_on(begun: list[RunBegun]) -> str:
    """How to continue a run that has stopped."""
    prefix = begun[-1].prefix if begun else None
    if prefix is None or not prefix.with_name(f"{prefix.name}.json").exists():
        return "nothing was saved"
    way = f"continue with --resume {shlex.quote(str(prefix))}"
    return way if begun[-1].journal else f"{way}, from the last iteration saved"


@contextmanager
def descriptors_taken() -> Iterator[None]:
    """While this is open, no file gets the number of a standard stream that is closed.

    Whatever libraries write to descriptor 2 would go into that file.
    """
    taken = []
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        taken.append(number)
    os.close(number)
    try:
        yield
    finally:
        for number in taken:
            with contextlib.suppress(OSError):
                os.close(number)


def flush_or_give_up() -> None:
    """Flush standard output; if its reader has gone, keep Python's exit from complaining."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
