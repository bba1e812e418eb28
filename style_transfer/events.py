"""What a run tells while it goes on, and how a listener stops it.

A listener is any function of one event, handed to `transfer(..., on_event=listener)`. The progress
bar, the web page, the gallery and a notebook are listeners; the run knows none of them. A listener
that raises `StopRun` stops the run after the evaluation in flight: the best picture so far is
saved, and the run can be resumed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from style_transfer.schedule import Size

if TYPE_CHECKING:
    from PIL import Image

    from style_transfer.runs.record import Record

# The order of an objective's terms; the loss is their sum.
TERMS = ("content", "style", "total_variation")
# Of an objective of a clip's frames, which alone has the last of them.
FRAME_TERMS = (*TERMS, "temporal")


class StopRun(Exception):
    """Raised by a listener to stop the run; files are as after Ctrl-C."""


@dataclass(frozen=True)
class RunBegun:
    """A run begins, or goes on.

    Attributes:
        record: of the run; it grows while the run goes on.
        prefix: beginning of the names of its files; None where nothing is written.
        journal: whether a resume within a size will be exact.
    """

    record: "Record"
    prefix: Path | None = None
    journal: bool = True


@dataclass(frozen=True)
class SizeBegun:
    """The optimizer starts at a size, from its first evaluation."""

    size: Size


@dataclass(frozen=True)
class Evaluated:
    """Loss and gradient have been computed once.

    Attributes:
        size: at which.
        iteration: during which, counted over the whole run.
        number: of the evaluation, counted over the whole run from 0.
        terms: the loss's terms, weighted, by name; see `TERMS`.
        total: the loss, their sum.
        seconds: the evaluation took, when it was first made.
        replayed: whether the answer came from the journal.
    """

    size: Size
    iteration: int
    number: int
    terms: dict[str, float]
    total: float
    seconds: float
    replayed: bool


@dataclass(frozen=True)
class TilePass:
    """One of the two passes over a tile of an evaluation in progress is done.

    Attributes:
        number: of passes done of this evaluation.
        count: of passes that an evaluation has.
        seconds: a tile of this kind of pass takes.
        left: seconds until this evaluation is complete.
        evaluation: seconds of a whole one.
        size: at which.
    """

    number: int
    count: int
    seconds: float
    left: float
    evaluation: float
    size: Size | None = None


@dataclass(frozen=True)
class IterationDone:
    """An iteration is complete, and its picture saved where the run has a prefix.

    Attributes:
        size: at which.
        number: of the iteration, counted over the whole run.
        total: the loss after its last evaluation.
        seconds: its evaluations took.
        path: of the saved picture, or None.
        picture: makes the picture, 8 bits a channel.
    """

    size: Size
    number: int
    total: float
    seconds: float
    path: Path | None
    picture: Callable[[], "Image.Image"]


@dataclass(frozen=True)
class Said:
    """A line for people: what was chosen, replaced or skipped, and why.

    Attributes:
        line: without a line break.
        warning: whether something other than what was asked for is used.
    """

    line: str
    warning: bool = False


Event = RunBegun | SizeBegun | TilePass | Evaluated | IterationDone | Said
Listener = Callable[[Event], None]
