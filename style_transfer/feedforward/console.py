"""Shows a training: a bar on a terminal, a line every minute elsewhere."""

import sys
import time
from typing import TYPE_CHECKING

from style_transfer.console import duration, is_terminal, say_above
from style_transfer.events import Said
from style_transfer.feedforward.events import Saved, StepDone

if TYPE_CHECKING:
    from rich import progress

LINE_EVERY = 60.0  # seconds, if there is no terminal


class TrainingConsole:
    """A listener of a training; a context manager."""

    def __init__(self) -> None:
        self.bar: progress.Progress | None = None
        self._told = 0.0  # time of the last line
        self._saved = False

    def __enter__(self) -> "TrainingConsole":
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar:
            self.bar.stop()

    def __call__(self, event: object) -> None:
        """Listen to an event."""
        if isinstance(event, Said):
            self._say(event.line)
        elif isinstance(event, StepDone):
            self._step(event)
        elif isinstance(event, Saved) and not self._saved:
            self._saved = True
            self._say(f"Preview: {event.preview}, updated every minute")

    def _step(self, event: StepDone) -> None:
        terms = ", ".join(
            f"{name.replace('_', ' ')} {value:.3g}"
            for name, value in event.losses.items()
            if name != "loss"
        )
        loss, left = f"loss {event.losses['loss']:.4g}", f"{duration(event.left)} left"
        if not is_terminal(sys.stdout):
            if time.monotonic() - self._told > LINE_EVERY or event.share >= 1:
                self._told = time.monotonic()
                self._say(f"Step {event.step}: {loss} ({terms}), {left}")
            return
        self.bar = self.bar or self._new_bar()
        self.bar.update(
            self.task, completed=event.share, step=event.step, loss=f"{loss} ({terms})", left=left
        )

    def _new_bar(self) -> "progress.Progress":
        from rich import progress

        bar = progress.Progress(
            progress.TextColumn("step {task.fields[step]}"),
            progress.BarColumn(bar_width=24),
            progress.TextColumn("{task.fields[loss]}"),
            progress.TimeElapsedColumn(),
            progress.TextColumn("{task.fields[left]}"),
        )
        self.task = bar.add_task("", total=1.0, step=0, loss="…", left="")
        bar.start()
        return bar

    def _say(self, line: str) -> None:
        say_above(self.bar, line)
