"""Who listens on a terminal: a progress bar, or plain lines."""

import contextlib
import sys
import time
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self, TextIO

from style_transfer.events import (
    Evaluated,
    Event,
    IterationDone,
    Listener,
    RunBegun,
    Said,
    SizeBegun,
    TilePass,
)

if TYPE_CHECKING:
    from rich import progress

    from style_transfer.runs.record import Record

SECONDS_A_LINE = 60.0  # between two lines about tiles, if there is no bar
LINE_BREAKS = "\u2028\u2029"  # besides control characters


def say(line: str, stream: TextIO | None) -> None:
    """Print a line; characters that the stream's encoding lacks are escaped.

    It is not an error if the stream is missing or closed, or if its reader is gone.
    """
    if stream is None:
        return
    with contextlib.suppress(OSError, ValueError):  # a broken pipe; a closed file
        stream.write(writable(line, stream) + "\n")
        stream.flush()


def writable(line: str, stream: TextIO) -> str:
    """Escape the characters of a line that the stream's encoding lacks."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return line.encode(encoding, "backslashreplace").decode(encoding)


def say_above(bar: "progress.Progress | None", line: str) -> None:
    """Print a line above a bar, or simply print it if there is none."""
    if bar is None:
        say(line, sys.stdout)
        return
    line = writable(line, sys.stdout)
    bar.console.print(line, highlight=False, markup=False, emoji=False, soft_wrap=True)


def one_line(text: str) -> str:
    """Escape line breaks and control characters, which file names may contain."""
    return "".join(
        repr(part)[1:-1] if part in LINE_BREAKS or unicodedata.category(part) == "Cc" else part
        for part in text
    )


def warn(event: Event) -> None:
    """The listener of a quiet run: turns every warning event into a Python warning."""
    if isinstance(event, Said) and event.warning:
        warnings.warn(event.line, UserWarning, stacklevel=2)


@contextmanager
def listening(quiet: bool, on_event: Listener | None) -> Iterator[list[Listener]]:
    """The listeners of a run: the console (or, if quiet, `warn`) and the caller's own."""
    own = [on_event] if on_event else []
    if quiet:
        yield [warn, *own]
        return
    with Console() as console:
        yield [console, *own]


class StatusBar:
    """A bar on a terminal, plain lines elsewhere, nothing if quiet; a context manager.

    Args:
        quiet: print nothing.
        texts: before and after the bar, in rich's format.
        total: of the bar.
        done: how much of it is done already.
        fields: first values of the fields in `texts`.
    """

    def __init__(
        self, quiet: bool, texts: tuple[str, str], total: float, done: float, fields: dict[str, Any]
    ):
        self.quiet = quiet
        self.bar: Any = None
        if not quiet and is_terminal(sys.stdout):
            from rich import progress

            before, after = map(progress.TextColumn, texts)
            self.bar = progress.Progress(before, progress.BarColumn(), after)
            self.task = self.bar.add_task("", total=total, completed=done, **fields)
            self.bar.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar:
            self.bar.stop()

    def show(self, completed: float, **fields: Any) -> None:
        """Move the bar, if there is one."""
        if self.bar:
            self.bar.update(self.task, completed=completed, **fields)

    def say(self, line: str) -> None:
        """A line for people, above the bar."""
        if not self.quiet:
            say_above(self.bar, line)


class Console:
    """Shows a run's events: a bar on a terminal, plain lines elsewhere.

    For the `keras-` presets, the plain lines are those of the original Keras example.
    """

    def __init__(self) -> None:
        self.record: Record | None = None
        self.bar: progress.Progress | None = None
        self.original = False
        self._iteration: int | None = None  # of the last evaluation
        self._done = 0.0  # evaluations times pixels
        self._told = time.monotonic()  # when the last line about tiles was printed

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
        elif isinstance(event, TilePass):
            self._tile_pass(event)
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
        """Count the finished work at the start of a size; replayed evaluations count later."""
        assert self.record is not None  # RunBegun comes before any SizeBegun
        pixels = {size.number: size.rows * size.columns for size in self.record.sizes}
        self._done = sum(pixels[entry.size] for entry in self.record.evaluations)

    def _tile_pass(self, event: TilePass) -> None:
        """Progress within an evaluation; without a bar, a line a minute."""
        assert self.record is not None and event.size is not None
        size, budget = event.size, event.size.iterations * self.record.settings.evaluations
        done = sum(x.iteration >= size.first_iteration for x in self.record.evaluations)
        left = event.left + event.evaluation * (budget - done - 1)
        line = (
            f"{size.columns} x {size.rows}, evaluation {done + 1} of {budget}, tile pass "
            f"{event.number} of {event.count}: {duration(left)} left at this size"
        )
        if self.bar:
            share = 1 - event.left / event.evaluation if event.evaluation else 0
            completed = self._done + share * size.rows * size.columns
            self.bar.update(self.task, completed=completed, description=line)
        elif time.monotonic() - self._told > SECONDS_A_LINE:
            self._told = time.monotonic()
            self._say(line)

    def _say(self, line: str) -> None:
        say_above(self.bar, one_line(line))

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


def duration(seconds: float) -> str:
    """Seconds as readable text: `3.5 s`, `35 s`, `12 min`, `3 h 20 min`."""
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal; False if it is missing or closed."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False
