"""Who listens on a terminal: a progress bar or plain lines, and the signals that stop a run."""

import contextlib
import os
import shlex
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from style_transfer.errors import ExitCode, InputError, RunStopped
from style_transfer.events import (
    Evaluated,
    Event,
    IterationDone,
    Listener,
    RunBegun,
    Said,
    SizeBegun,
    StopRun,
)

if TYPE_CHECKING:
    from rich import progress

    from style_transfer.runs.record import Record

# Signals this close together are one wish to stop: `timeout` and `uv run` signal both the group
# and the child.
ONE_WISH = 1.0  # seconds
LINE_BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"


def say(line: str, stream: TextIO | None) -> None:
    """Print a line; characters that the stream's encoding lacks are escaped.

    A stream that is missing, closed, or whose reader has gone takes nothing, and that is no error.
    """
    if stream is None:
        return
    with contextlib.suppress(OSError, ValueError):  # a broken pipe; a closed file
        stream.write(writable(line, stream) + "\n")
        stream.flush()


def writable(line: str, stream: TextIO) -> str:
    """A line with those characters escaped that the stream's encoding lacks."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return line.encode(encoding, "backslashreplace").decode(encoding)


def warn(event: Event) -> None:
    """Listens for a quiet run: what differs from what was asked for becomes a Python warning."""
    if isinstance(event, Said) and event.warning:
        warnings.warn(event.line, UserWarning, stacklevel=2)


@contextmanager
def listening(quiet: bool, on_event: Listener | None) -> Iterator[list[Listener]]:
    """The listeners of a run: the console or, where it is quiet, warnings; and the caller's own."""
    own = [on_event] if on_event else []
    if quiet:
        yield [warn, *own]
        return
    with Console() as console:
        yield [console, *own]


class Console:
    """Shows a run's events: a bar on a terminal, plain lines elsewhere.

    In presets of the original, the plain lines are those of the original Keras example.
    """

    def __init__(self) -> None:
        self.record: Record | None = None
        self.bar: progress.Progress | None = None
        self.original = False
        self._iteration: int | None = None  # that the last evaluation belonged to
        self._done = 0  # evaluations times pixels

    def __enter__(self) -> "Console":
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar:
            self.bar.stop()

    def __call__(self, event: Event) -> None:
        """Listen to an event."""
        if isinstance(event, RunBegun):
            self._begin(event)
        elif isinstance(event, Said):
            self._say(event.line)
        elif isinstance(event, SizeBegun):
            self._count()
        elif isinstance(event, Evaluated):
            self._evaluated(event)
        elif isinstance(event, IterationDone):
            self._iteration_done(event)

    def _begin(self, event: RunBegun) -> None:
        self.record = record = event.record
        self.original = record.preset.startswith("keras-")
        if not is_terminal(sys.stdout):
            return
        from rich import progress

        self.bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.TextColumn("loss {task.fields[loss]}"),
            progress.TimeElapsedColumn(),
            progress.TextColumn("left"),
            progress.TimeRemainingColumn(elapsed_when_finished=True, compact=True),
        )
        pixels = sum(size.rows * size.columns * size.iterations for size in record.sizes)
        self.task = self.bar.add_task("", total=pixels * record.settings.evaluations, loss="…")
        self.bar.start()

    def _count(self) -> None:
        """Count what is done at the start of a size; what is replayed comes again."""
        assert self.record is not None  # a size comes after the run has begun
        pixels = {size.number: size.rows * size.columns for size in self.record.sizes}
        self._done = sum(pixels[entry.size] for entry in self.record.evaluations)

    def _say(self, line: str) -> None:
        if self.bar:
            line = writable(line, sys.stdout)
            self.bar.console.print(line, highlight=False, markup=False, soft_wrap=True)
        else:
            say(line, sys.stdout)

    def _evaluated(self, event: Evaluated) -> None:
        if event.iteration != self._iteration and self.original and not self.bar:
            self._say(f"Start of iteration {event.iteration}")
        self._iteration = event.iteration
        self._done += event.size.rows * event.size.columns
        if self.bar:
            self.bar.update(
                self.task,
                completed=self._done,
                loss=f"{event.total:.4g}",
                description=f"{event.size.columns} x {event.size.rows}, "
                f"iteration {event.iteration}",
            )

    def _iteration_done(self, event: IterationDone) -> None:
        if self.original and not self.bar:
            self._say(f"Current loss value: {event.total}")
            self._say(f"Image saved as {event.path}")
            self._say(f"Iteration {event.number} completed in {event.seconds:.0f}s")
            return
        saved = f", saved as {event.path}" if event.path else ""
        self._say(
            f"Iteration {event.number}: {event.size.columns} x {event.size.rows}, "
            f"loss {event.total:.4g}, {event.seconds:.1f} s{saved}"
        )


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a person looks at a stream; not where it is missing or closed."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


class Signals:
    """Ctrl-C and SIGTERM: the first stops the run after the evaluation in flight, a second at once.

    A listener of a run. Python's own handlers wait until the main thread comes back from the
    network's evaluation, so a thread of its own reads the signals' numbers from a socket.
    """

    def __init__(self) -> None:
        self.number: int | None = None  # of the first signal received

    def __call__(self, event: Event) -> None:
        """Listen to an event: stop the run where a signal has come."""
        if self.number is not None and not isinstance(event, IterationDone):
            raise StopRun

    def received(self, number: int, first_at: float | None) -> None:
        """A signal has come; `first_at` is when the first one did."""
        if first_at is None:
            self.number = number
        elif time.monotonic() - first_at > ONE_WISH:
            os._exit(128 + number)  # files appear whole or not at all


@contextmanager
def signals() -> Iterator[Signals]:
    """While this is open, signals stop the run; afterwards all is as it was."""
    import socket

    heard = Signals()
    if threading.current_thread() is not threading.main_thread():
        yield heard  # only the main thread may set handlers
        return
    listener, speaker = socket.socketpair()  # Windows has no wakeup on pipes
    listener.settimeout(None)  # whatever socket.setdefaulttimeout says
    speaker.setblocking(False)
    numbers = [signal.SIGINT, signal.SIGTERM]

    def wait() -> None:
        first_at = None
        while (data := listener.recv(1)) not in (b"", b"\0"):
            if data[0] in numbers:
                heard.received(data[0], first_at)
                first_at = first_at or time.monotonic()

    thread = threading.Thread(target=wait, daemon=True)
    before = {number: signal.signal(number, lambda number, frame: None) for number in numbers}
    wakeup = signal.set_wakeup_fd(speaker.fileno(), warn_on_full_buffer=False)
    thread.start()
    try:
        yield heard
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            if handler is not None:  # None: set by another language than Python
                signal.signal(number, handler)
        speaker.send(b"\0")
        thread.join()
        listener.close()
        speaker.close()


def run_command(
    program: str, command: Callable[[Listener], None], way_on: str | None = None
) -> ExitCode:
    """Carry out a command line: every way it can end is an exit code and at most one line.

    Args:
        program: how lines begin.
        command: called with a listener for its run, which hears of signals.
        way_on: how to continue after a stop, where that is not by --resume.

    Returns:
        See `ExitCode`.
    """
    begun: list[RunBegun] = []

    def listener(event: Event) -> None:
        if isinstance(event, RunBegun):
            begun.append(event)
        stop(event)

    with descriptors_taken(), signals() as stop, warnings.catch_warnings():
        # An overflow ends in a loss that is not finite, of which a line tells.
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            command(listener)
        except InputError as error:
            say(one_line(f"{program}: error: {error}"), sys.stderr)
            return ExitCode.INPUT
        except StopRun:
            say(one_line(f"{program}: stopped; {way_on or _way_on(begun)}"), sys.stderr)
            return ExitCode.STOPPED if stop.number is None else ExitCode(128 + stop.number)
        except (RunStopped, MemoryError, OSError) as error:
            reason = str(error) or "not enough memory"
            say(one_line(f"{program}: stopped: {reason}; {way_on or _way_on(begun)}"), sys.stderr)
            return ExitCode.STOPPED
        finally:
            flush_or_give_up()
    return ExitCode.DONE


@contextmanager
def descriptors_taken() -> Iterator[None]:
    """While this is open, no file gets the number of a standard stream that is closed.

    What libraries write to descriptor 2 would go into it.
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


def one_line(text: str) -> str:
    """A text with its line breaks escaped: names of files may hold some."""
    return "".join(repr(part)[1:-1] if part in LINE_BREAKS else part for part in text)


def _way_on(begun: list[RunBegun]) -> str:
    """How to continue a run that has stopped."""
    prefix = begun[-1].prefix if begun else None
    if prefix is None or not prefix.with_name(f"{prefix.name}.json").exists():
        return "nothing was saved"
    way = f"continue with --resume {shlex.quote(str(prefix))}"
    return way if begun[-1].journal else f"{way}, from the last iteration saved"


def flush_or_give_up() -> None:
    """Flush standard output; where its reader has gone, keep Python's exit from telling so."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
