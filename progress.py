"""What a person sees while a run goes on: a bar on a terminal, plain lines elsewhere."""

import sys
from pathlib import Path

from settings import Stretch


class Progress:
    """Tells of evaluations and iterations.

    Args:
        record: of the run. In presets of the original, what is printed without a terminal is what
            the original Keras example prints.
        quiet: say nothing.
    """

    def __init__(self, record: dict, quiet: bool):
        self.record = record
        self.quiet = quiet
        self.original = record["preset"].startswith("keras-")
        self.bar = None

    def __enter__(self):
        if not self.quiet and sys.stdout.isatty():
            from rich import progress

            self.bar = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.TextColumn("loss {task.fields[loss]}"),
                progress.TimeElapsedColumn(),
                progress.TextColumn("left"),
                progress.TimeRemainingColumn(elapsed_when_finished=True, compact=True),
            )
            pixels = sum(
                s["rows"] * s["columns"] * s["iterations"] for s in self.record["stretches"]
            )
            total = pixels * self.record["settings"]["evaluations"]
            self.task = self.bar.add_task("", total=total, loss="…")
            self.bar.start()
        return self

    def __exit__(self, *error):
        if self.bar:
            self.bar.stop()

    def say(self, line: str) -> None:
        """One line, above the bar where there is one."""
        if self.quiet:
            return
        if self.bar:
            self.bar.console.print(line, highlight=False, markup=False, soft_wrap=True)
        else:
            print(line, flush=True)

    def evaluation(self, stretch: Stretch, entry: dict) -> None:
        """An evaluation has been made; `entry` is its line in the record."""
        done = self.record["evaluations"]
        first = len(done) == 1 or done[-2]["iteration"] != entry["iteration"]
        if first and self.original and not self.bar:
            self.say(f"Start of iteration {entry['iteration']}")
        if self.bar:
            pixels = {s["scale"]: s["rows"] * s["columns"] for s in self.record["stretches"]}
            self.bar.update(
                self.task,
                completed=sum(pixels[entry["scale"]] for entry in done),
                loss=f"{entry['total']:.4g}",
                description=f"{stretch.columns} x {stretch.rows}, iteration {entry['iteration']}",
            )

    def iteration(self, stretch: Stretch, entry: dict, path: Path | None) -> None:
        """An iteration is complete and its picture saved at `path` (None: not saved)."""
        seconds = sum(
            evaluation["seconds"]
            for evaluation in self.record["evaluations"]
            if evaluation["iteration"] == entry["iteration"]
        )
        if self.original and not self.bar:
            self.say(f"Current loss value: {entry['total']}")
            self.say(f"Image saved as {path}")
            self.say(f"Iteration {entry['iteration']} completed in {seconds:.0f}s")
        else:
            saved = f", saved as {path}" if path else ""
            self.say(
                f"Iteration {entry['iteration']}: {stretch.columns} x {stretch.rows}, "
                f"loss {entry['total']:.4g}, {seconds:.1f} s{saved}"
            )
