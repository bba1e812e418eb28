"""Runs made by hand, with images of noise in the optimizer's place."""

from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np

from preprocessing import deprocess
from style_transfer.events import Said
from style_transfer.presets import make_settings
from style_transfer.runs.files import RunFiles
from style_transfer.runs.lock import locked
from style_transfer.runs.record import PictureFile, Record
from style_transfer.runs.resume import load_record
from style_transfer.runs.run import Run
from style_transfer.runs.takeover import RunOptions
from style_transfer.schedule import Size
from style_transfer.vgg import FilterSource


def image(seed: int, rows: int = 5, columns: int = 7) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 50, (1, rows, columns, 3)).astype(np.float32)


def new_record(iterations: int = 4, restarts: bool = False, output: str = "png") -> Record:
    each = 1 if restarts else iterations
    return Record(
        preset="default",
        settings=make_settings(iter=iterations, output=output),
        content=PictureFile("base.png", "1"),
        styles=[PictureFile("style.png", "2")],
        sizes=[Size(0, 5, 7, first, each) for first in range(0, iterations, each)],
        filters=FilterSource("random", None, "3"),
    )


TERMS = np.array([1.5, 2.25, 0.125], np.float32)


def a_run(record: Record, prefix: str | None, listeners=(), **options) -> Run:
    """A run that is not begun yet."""
    files = None
    if prefix is not None:
        suffix = ".tif" if record.settings.output == "tiff16" else ".png"
        files = RunFiles(Path(prefix), suffix)
    return Run(record, files, RunOptions(**options), deprocess, listeners)


@contextmanager
def begun(record: Record, prefix: str | None, listeners=(), **options):
    """A run under its lock."""
    run = a_run(record, prefix, listeners, **options)
    with locked(run.files) if run.files else nullcontext(), run:
        run.begin()
        yield run


def next_size(run: Run) -> Size | None:
    return next(run.sizes(), None)


def evaluate(run: Run, size: Size) -> None:
    run.evaluated(size, TERMS, 0.5, replayed=False)


def carry_out(run: Run, iterations: int) -> None:
    """So many iterations of one evaluation each."""
    size = next_size(run)
    for _ in range(iterations):
        evaluate(run, size)
        number = len(run.record.iterations)
        run.iteration_done(size, image(number), float(TERMS.sum()))


def names_in(folder: Path) -> list[str]:
    """Names of all files below a folder but the text in the state's folder."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.name != "about.txt"
    )


def record_of(prefix: str) -> Record:
    return load_record(RunFiles(Path(prefix)))


@contextmanager
def resumed(prefix: str, done: int | None = None, listeners=(), **options):
    record = record_of(prefix)
    done = len(record.iterations) if done is None else done
    with begun(record, prefix, listeners, done=done, **options) as run:
        yield run


def lines_of(events: list) -> list[str]:
    return [event.line for event in events if isinstance(event, Said)]
