"""The state of a run while it is painted: a small file of numbers, and a preview."""

from __future__ import annotations

import contextlib
import io
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from style_transfer.events import (
    TERMS,
    Evaluated,
    Event,
    IterationDone,
    RunBegun,
    Said,
    SizeBegun,
)
from style_transfer.runs.files import write_text, write_whole
from style_transfer.runs.record import Record

INTERVAL = 1.0  # seconds between two previews, at least
LARGEST_SHARE = 0.05  # of a run's time that previews may take
LONGEST_SIDE = 1600  # pixels of a preview; a poster is shown smaller
MOST_POINTS = 160  # of a curve; a screen does not show more
SAID = 8  # lines that are kept


@dataclass
class Live:
    """The state of a run that is being painted.

    Attributes:
        phase: `starting`, `painting`, `done`, `stopped` or `failed`.
        pid: the id of its process.
        begun: whether the run has taken over its files; a plain resume can then continue it.
        lines: the run's lines for the user, latest last.
        evaluations: the number of evaluations made so far.
        planned: the number of evaluations in all.
        seconds_left: estimated seconds left; None if unknown.
        size: number of the size from 0, number of sizes, columns, rows.
        iteration: the current iteration, from 0.
        iterations: the number of iterations in all.
        curves: see `curves`.
    """

    phase: str = "starting"
    pid: int = 0
    begun: bool = False
    lines: list[str] = field(default_factory=list)
    evaluations: int = 0
    planned: int = 0
    seconds_left: float | None = None
    size: list[int] = field(default_factory=list)
    iteration: int = 0
    iterations: int = 0
    curves: dict[str, list] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write it, whole or not at all."""
        write_text(path, json.dumps(asdict(self)))


def load_live(path: Path) -> Live | None:
    """The last state of a run; None if there is none."""
    try:
        return Live(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def curves(evaluations: Sequence[Any]) -> dict[str, list]:
    """Losses by evaluation, thinned out for a screen.

    Args:
        evaluations: with `number`, `total` and `terms`, as in a `Record`.

    Returns:
        `at`, the evaluations' numbers; `total`; and a list by each of `TERMS`.
    """
    step = max(1, -(-len(evaluations) // MOST_POINTS))
    kept = list(evaluations[::step])
    if evaluations and kept[-1] is not evaluations[-1]:
        kept.append(evaluations[-1])
    found: dict[str, list] = {"at": [e.number for e in kept]}
    found["total"] = [_rounded(e.total) for e in kept]
    for term in TERMS:
        found[term] = [_rounded(e.terms.get(term, 0.0)) for e in kept]
    return found


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


class Watcher:
    """A listener that keeps a run's `Live` and preview on disk.

    Args:
        path: the file of the numbers; the preview is beside it, with the suffix `.jpg`.
        live: the state at the start.
        clock: returns increasing seconds.
    """

    def __init__(self, path: Path, live: Live, clock: Callable[[], float] = time.monotonic):
        self.path, self.live = path, live
        self._clock = clock
        self._record: Record | None = None
        self._next = 0.0  # when the next preview is due
        self._saved = 0.0
        self.live.save(path)

    def __call__(self, event: Event) -> None:
        """Listen to an event."""
        live = self.live
        if isinstance(event, RunBegun):
            self._record = event.record
        elif isinstance(event, Said):
            live.lines = [*live.lines[1 - SAID :], event.line]
        elif isinstance(event, SizeBegun):
            live.begun, live.phase = True, "painting"
            self._place(event.size)
        elif isinstance(event, Evaluated):
            live.iteration = event.iteration
            self._place(event.size)
            if self._clock() - self._saved < INTERVAL / 2:
                return
        elif isinstance(event, IterationDone):
            live.iteration = event.number
        self.save()

    def save(self) -> None:
        """Write the current numbers."""
        if self._record is not None:
            self._count(self._record)
        self._saved = self._clock()
        with contextlib.suppress(OSError):  # the run itself reports a full disk
            self.live.save(self.path)

    def end(self, phase: str, line: str = "") -> None:
        """Note the end of the run."""
        self.live.phase, self.live.seconds_left = phase, None
        if line:
            self.live.lines = [*self.live.lines[1 - SAID :], line]
        self.save()

    def show(self, picture_of: Callable[[Any], Any], image: Any) -> None:
        """Write a preview of an image, unless one was written just before.

        Args:
            picture_of: makes a PIL.Image of the image.
            image: float32 (1, H, W, 3).
        """
        started = self._clock()
        if started < self._next:
            return
        picture = picture_of(image).convert("RGB")
        picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=90)
        with contextlib.suppress(OSError):
            write_whole(self.path.with_suffix(".jpg"), lambda opened: opened.write(file.getvalue()))
        ended = self._clock()
        self._next = ended + max(INTERVAL, (ended - started) / LARGEST_SHARE)

    def _place(self, size: Any) -> None:
        record = self._record
        numbers = {s.number for s in record.sizes} if record else {size.number}
        self.live.size = [size.number, len(numbers), size.columns, size.rows]

    def _count(self, record: Record) -> None:
        settings, live = record.settings, self.live
        live.iterations = settings.iter
        live.planned = settings.iter * settings.evaluations
        live.evaluations = len(record.evaluations)
        live.curves = curves(record.evaluations)
        live.seconds_left = seconds_left(record)


def seconds_left(record: Record) -> float | None:
    """Estimated seconds left, from a run's latest evaluations and the sizes' pixels."""
    if not record.evaluations:
        return None
    pixels = {size.number: size.rows * size.columns for size in record.sizes}
    latest = record.evaluations[-10:]
    pace = sum(e.seconds for e in latest) / sum(pixels[e.size] for e in latest)
    planned = sum(size.iterations * pixels[size.number] for size in record.sizes)
    planned *= record.settings.evaluations
    done = sum(pixels[entry.size] for entry in record.evaluations)
    return round(max(0.0, (planned - done) * pace), 1)
