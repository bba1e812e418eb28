"""What a training tells while it goes on; its listeners are as those of a run."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StepDone:
    """A batch has been learned.

    Attributes:
        step: how many have been, over the whole training.
        share: of the training that is done, 0 to 1.
        seconds: of training so far, over all its parts.
        left: seconds left, as far as one can tell.
        losses: means over the epoch so far, by term, and `loss`, their sum.
    """

    step: int
    share: float
    seconds: float
    left: float
    losses: dict[str, float]


@dataclass(frozen=True)
class Saved:
    """Network and preview have been written, as they are now."""

    network: str
    preview: str
