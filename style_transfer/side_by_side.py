"""Compares runs in a table and on a sheet, using only their numbers and pictures."""

import io
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from style_transfer.console import is_terminal, say
from style_transfer.pictures import load_picture
from style_transfer.runs.files import write_whole
from style_transfer.runs.record import PROGRAM

RUNS = ("original", "preset", "uncut", "default")
SECONDS_COLUMN = {"original": 2, "preset": 5, "uncut": 7, "default": 9}  # of the table


@dataclass
class PaintedRun:
    """One of the runs.

    Attributes:
        losses: the loss of each evaluation.
        seconds: how long each evaluation took.
        iteration: the iteration to which each evaluation belongs.
        iterations: the loss after each iteration, by the original's formulas.
        pictures: the pictures' paths, by iteration.
        precision: the network's precision.
    """

    losses: list[float]
    seconds: list[float]
    iteration: list[int]
    iterations: list[float]
    pictures: list[str]
    precision: str

    def seconds_of(self, iteration: int) -> float:
        """How long the evaluations of one iteration took."""
        pairs = zip(self.iteration, self.seconds, strict=True)
        return sum(seconds for number, seconds in pairs if number == iteration)

    def seconds_to(self, loss: float) -> float | None:
        """Seconds of evaluations until a loss is reached (up to rounding), or None."""
        spent = 0.0
        for value, seconds in zip(self.losses, self.seconds, strict=True):
            spent += seconds
            if value <= loss * (1 + 1e-4):
                return spent
        return None


def psnr(path: str | Path, other: str | Path) -> float:
    """Peak signal-to-noise ratio between two pictures of the same size, in dB.

    Keras 2's `save_img` stretches a picture's values to 0..255, so both are stretched first.
    """

    def stretched(path: str | Path) -> np.ndarray:
        pixels = np.asarray(load_picture(path).image, np.float64)
        pixels = pixels - pixels.min()
        return pixels * (255 / max(pixels.max(), 1))

    error = np.mean((stretched(path) - stretched(other)) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def print_table(runs: dict[str, PaintedRun], title: str) -> None:
    """Print losses and seconds by iteration, side by side."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    for heading in ("iteration", "original", "s", "preset", "difference", "s", "uncut", "s"):
        table.add_column(heading, justify="right")
    for heading in ("default*", "s"):
        table.add_column(heading, justify="right")
    table.add_row(
        *_row(
            "start",
            {name: run.losses[0] for name, run in runs.items() if name != "default"},
            {name: run.seconds[0] for name, run in runs.items()},
        )
    )
    for iteration in range(len(runs["original"].iterations)):
        table.add_row(
            *_row(
                str(iteration),
                {name: run.iterations[iteration] for name, run in runs.items()},
                {name: run.seconds_of(iteration) for name, run in runs.items()},
            )
        )
    table.add_section()
    for name, cells in last_rows(runs).items():
        line = [name] + [""] * 9
        for run, cell in cells.items():
            line[SECONDS_COLUMN[run]] = cell
        table.add_row(*line)
    Console(width=None if is_terminal(sys.stdout) else 120).print(table)
    say(
        "Seconds are those of evaluations of loss and gradient; the first of each size includes "
        "its compilation.\n* This run minimizes another loss. Shown is the original's, computed "
        "from its pictures.",
        sys.stdout,
    )


def _row(name: str, losses: dict[str, float], seconds: dict[str, float]) -> list[str]:
    cells = [name]
    for run in RUNS:
        cells.append(f"{losses[run]:.6g}" if run in losses else "")
        if run == "preset":
            cells.append(f"{abs(losses[run] / losses['original'] - 1):.1e}")
        cells.append(f"{seconds[run]:.1f}")
    return cells


def last_rows(runs: dict[str, PaintedRun]) -> dict[str, dict[str, str]]:
    """The rows about whole runs: the cells by run, by the row's name."""
    last_loss = runs["original"].iterations[-1]
    total = {name: sum(run.seconds) for name, run in runs.items()}
    reached = {name: runs[name].seconds_to(last_loss) for name in RUNS if name != "default"}
    first = reached["original"]
    last = {name: run.pictures[-1] for name, run in runs.items()}
    return {
        "all, s": {name: f"{seconds:.1f}" for name, seconds in total.items()},
        "times faster": {name: f"{total['original'] / s:.2f}" for name, s in total.items()},
        "original's last loss, s": {
            name: "not" if s is None else f"{s:.1f}" for name, s in reached.items()
        },
        "times sooner": {
            name: f"{first / s:.2f}" if first and s else "not" for name, s in reached.items()
        },
        "PSNR, dB": {name: f"{psnr(last[name], last['original']):.1f}" for name in RUNS[1:]},
    }


def draw_sheet(
    runs: dict[str, PaintedRun], pictures: dict[str, Image.Image], preset: str, path: Path
) -> None:
    """Draw the pictures of all runs, and loss over time, as one PNG.

    Args:
        runs: the runs by name.
        pictures: the pictures shown before the results, by name.
        preset: the name of the original's preset.
        path: path of the PNG, which gets this program's mark.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(15, 11), layout="constrained")
    grid = figure.add_gridspec(3, 3)
    shown = pictures | {name: load_picture(runs[name].pictures[-1]).image for name in RUNS}
    labels = {**{name: name for name in shown}, "preset": preset, "uncut": f"{preset}, uncut"}
    for place, (name, picture) in enumerate(shown.items()):
        axes = figure.add_subplot(grid[divmod(place, 3)])
        axes.imshow(picture)
        axes.set_axis_off()
        seconds = f": {sum(runs[name].seconds):.0f} s" if name in runs else ""
        axes.set_title(labels[name] + seconds)
    axes = figure.add_subplot(grid[2, :])
    for name in RUNS[:3]:
        lowest = np.minimum.accumulate(runs[name].losses)
        axes.plot(np.cumsum(runs[name].seconds), lowest, label=labels[name])
    losses = runs["default"].iterations
    ends = [runs["default"].seconds_of(iteration) for iteration in range(len(losses))]
    axes.plot(np.cumsum(ends), losses, "o:", label="default (its pictures)")
    axes.set(yscale="log", xlabel="seconds", ylabel="loss by the original's formulas")
    axes.legend()
    with io.BytesIO() as sheet:
        figure.savefig(sheet, format="png", dpi=100, metadata={"Software": PROGRAM})
        write_whole(path, lambda file: file.write(sheet.getvalue()))
    pyplot.close(figure)
