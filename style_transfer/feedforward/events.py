"""The events that a training reports; its listeners work like those of a run."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StepDone:
    """A training step, one batch, is done.

    Attributes:
        step: the number of steps done, over the whole training.
        share: the share of the training that is done, 0 to 1.
        seconds: seconds of training so far, over all its parts.
        left: estimated seconds left.
        losses: means over the epoch so far, by term, and `loss`, their sum.
    """

    step: int
    share: float
    seconds: float
    left: float
    losses: dict[str, float]


@dataclass(frozen=True)
class Saved:
    """The current network and its preview have been written."""

    network: str
    preview: str
