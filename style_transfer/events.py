"""The events that a run reports, and how a listener stops the run.

A listener is any function of one event, passed as `transfer(..., on_event=listener)`. The progress
bar, the web page, the gallery and a notebook are listeners; the run knows none of them. A listener
that raises `StopRun` stops the run after the current evaluation: the best picture so far is saved,
and the run can be resumed.
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
# The terms for a clip's frames, which have one more.
FRAME_TERMS = (*TERMS, "temporal")


class StopRun(Exception):
    """Raised by a listener to stop the run; it leaves the same files as Ctrl-C."""


@dataclass(frozen=True)
class RunBegun:
    """A run starts or continues.

    Attributes:
        record: the run's record, which grows during the run.
        prefix: how the names of its files start; None if nothing is written.
        journal: whether a resume in the middle of a size will be exact.
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
        size: the current size.
        iteration: the current iteration, counted over the whole run from 0.
        number: the number of this evaluation, counted over the whole run from 0.
        terms: the loss's terms by name, multiplied by their loss weights; see `TERMS`.
        total: the loss, their sum.
        seconds: how long the evaluation took when it was first made.
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
    """One of an evaluation's two passes over a tile is done.

    Attributes:
        number: how many passes of this evaluation are done.
        count: how many passes an evaluation has.
        seconds: how long a pass of this kind takes per tile.
        left: seconds until this evaluation is complete.
        evaluation: seconds that a whole evaluation takes.
        size: the current size.
    """

    number: int
    count: int
    seconds: float
    left: float
    evaluation: float
    size: Size | None = None


@dataclass(frozen=True)
class IterationDone:
    """An iteration is complete, and its picture is saved if the run has a prefix.

    Attributes:
        size: the current size.
        number: the iteration, counted over the whole run from 0.
        total: the loss after its last evaluation.
        seconds: how long its evaluations took.
        path: the saved picture's path, or None.
        picture: a function that makes the picture, with 8 bits per channel.
    """

    size: Size
    number: int
    total: float
    seconds: float
    path: Path | None
    picture: Callable[[], "Image.Image"]


@dataclass(frozen=True)
class Said:
    """A line for the user: what was chosen, replaced or skipped, and why.

    Attributes:
        line: the text, without a line break.
        warning: whether the program uses something else than was asked for.
    """

    line: str
    warning: bool = False


Event = RunBegun | SizeBegun | TilePass | Evaluated | IterationDone | Said
Listener = Callable[[Event], None]
