"""What a gallery tells on a terminal: one bar for all pictures, or a line for each."""

import sys
import time

from style_transfer.console import is_terminal, say
from style_transfer.gallery.page import duration


class Status:
    """One bar for all, with the time left and the pictures a minute; plain lines elsewhere.

    Args:
        total: cells of the gallery.
        done: how many of them are done already.
        quiet: print nothing.
    """

    def __init__(self, total: int, done: int, quiet: bool):
        self._total, self._done = total, done
        self._painted = 0
        self._quiet = quiet
        self._begun = time.monotonic()
        self._bar = None
        if not quiet and is_terminal(sys.stdout):
            from rich import progress

            self._bar = progress.Progress(
                progress.TextColumn("{task.fields[done]} of {task.total:.0f}"),
                progress.BarColumn(),
                progress.TextColumn("{task.fields[rate]}"),
            )
            self._task = self._bar.add_task("", total=total, completed=done, done=done, rate="")
            self._bar.start()

    def __enter__(self) -> "Status":
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar:
            self._bar.stop()

    def part(self, fraction: float) -> None:
        """How much of the current cell is done."""
        if self._bar:
            self._bar.update(self._task, completed=self._done + fraction)

    def cell_done(self, name: str, told: str, painted: bool) -> None:
        """A cell is done: `painted`, or failed."""
        self._done += 1
        self._painted += painted
        rate = self.rate()
        if self._bar:
            self._bar.update(self._task, completed=self._done, done=self._done, rate=rate)
        elif not self._quiet:
            line = f"{self._done} of {self._total}: {name}: {told}"
            say(f"{line}; {rate}" if rate else line, sys.stdout)

    def rate(self) -> str:
        """Pictures a minute, and the time left."""
        seconds = max(time.monotonic() - self._begun, 1e-3)
        if not self._painted:
            return ""
        left = (self._total - self._done) * seconds / self._painted
        rate = f"{60 * self._painted / seconds:.3g} pictures a minute"
        return f"{rate}, {duration(left)} left" if left else rate

    def say(self, line: str) -> None:
        """A line for people, above the bar."""
        if self._bar:
            self._bar.console.print(line, highlight=False, markup=False, soft_wrap=True)
        elif not self._quiet:
            say(line, sys.stdout)
