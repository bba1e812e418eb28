"""The progress of a gallery on a terminal: one bar for all pictures, or a line for each."""

import time

from style_transfer.console import StatusBar, duration


class Status(StatusBar):
    """One bar for all, with the time left and the pictures per minute; plain lines elsewhere.

    Args:
        total: the number of cells.
        done: how many of them are already done.
        quiet: print nothing.
    """

    def __init__(self, total: int, done: int, quiet: bool):
        texts = "{task.fields[done]} of {task.total:.0f}", "{task.fields[rate]}"
        super().__init__(quiet, texts, total, done, {"done": done, "rate": ""})
        self._total, self._done = total, done
        self._painted = 0
        self._begun = time.monotonic()

    def part(self, fraction: float) -> None:
        """Show how much of the current cell is done."""
        self.show(self._done + fraction)

    def cell_done(self, name: str, told: str, painted: bool) -> None:
        """Show that a cell is done: `painted`, or failed."""
        self._done += 1
        self._painted += painted
        rate = self.rate()
        self.show(self._done, done=self._done, rate=rate)
        if not self.bar:
            line = f"{self._done} of {self._total}: {name}: {told}"
            self.say(f"{line}; {rate}" if rate else line)

    def rate(self) -> str:
        """Pictures per minute, and the time left."""
        seconds = max(time.monotonic() - self._begun, 1e-3)
        if not self._painted:
            return ""
        left = (self._total - self._done) * seconds / self._painted
        rate = f"{60 * self._painted / seconds:.3g} pictures per minute"
        return f"{rate}, {duration(left)} left" if left else rate
