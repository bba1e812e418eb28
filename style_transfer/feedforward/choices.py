"""The choices of a training beside those of the script, and which of the script's apply to it."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from style_transfer.errors import InputError
from style_transfer.presets import make_settings
from style_transfer.settings import Settings

RISE = 0.02  # share of a training during which the rate rises
STYLE_ROWS = 256  # that the style is shown at, with `style_scale` 1
MINUTES = 30.0  # where neither time nor steps are chosen
# Fields of `Settings` that mean the same for a network's loss as for a run's. The others belong to
# one photograph, to L-BFGS, or to the picture that is written.
APPLICABLE = (
    *("seed", "resize", "content_weight", "style_weight", "tv_weight", "auto_weights"),
    *("normalize_gradients", "content_layers", "style_layers", "loss_scale", "style_loss"),
    *("histogram_layers", "histogram_weight", "style_blend", "style_scale", "style_fit"),
    *("network", "weights", "normalize_filters", "taps", "pooling", "borders", "precision"),
)
_WHOLE = {"size": (32, 4096), "batch": (1, 256), "width": (4, 512)}
_NUMBERS = {"minutes": (0.0, 1e5), "learning_rate": (1e-9, 1.0)}


@dataclass(frozen=True)
class Choices:
    """How a network is trained.

    Attributes:
        minutes: how long; 0 where `steps` says it.
        steps: how many batches; 0 where `minutes` says it.
        size: rows and columns of the crops.
        batch: crops of a batch. In equal time one at once learns more than two or four.
        width: channels after the network's first layer.
        learning_rate: Adam's, at most; it rises at first, and falls to 0 by a cosine.
    """

    minutes: float = 0.0
    steps: int = 0
    size: int = 128
    batch: int = 1
    width: int = 32
    learning_rate: float = 2e-3

    def __post_init__(self):
        for name, bounds in (_WHOLE | _NUMBERS | {"steps": (0, 10**8)}).items():
            kind = float if name in _NUMBERS else int
            object.__setattr__(self, name, _number(name, getattr(self, name), kind, bounds))
        if self.minutes and self.steps:
            raise InputError(
                f"--minutes, --steps: expected one of them. Received: {self.minutes:g} and "
                f"{self.steps}"
            )
        if not self.minutes and not self.steps:
            object.__setattr__(self, "minutes", MINUTES)

    @property
    def steps_of_epoch(self) -> int:
        """Batches after which the rate falls, and a backup may be due: few, that fit `steps`."""
        if not self.steps:
            return 5
        return next(count for count in (5, 4, 3, 2, 1) if self.steps % count == 0)

    def share(self, seconds: float, steps: int) -> float:
        """How much of the training is done, 0 to 1, after so many seconds and steps."""
        done = steps / self.steps if self.steps else seconds / (60 * self.minutes)
        return min(1.0, done)

    def rate(self, share: float) -> float:
        """Adam's rate once a share of the training is done."""
        rise = min(1.0, 0.1 + 0.9 * share / RISE)  # the first steps are of the largest gradients
        return self.learning_rate * rise * (1 + math.cos(math.pi * share)) / 2


def _number(name: str, value: Any, kind: type, bounds: tuple[float, float]):
    smallest, largest = bounds
    what = "a whole number" if kind is int else "a number"
    refusal = InputError(
        f"--{name}: expected {what} from {smallest:g} to {largest:,g}. Received: {value!r}"
    )
    try:
        number = kind(value)
        exact = math.isfinite(number) and (kind is float or number == float(value))
    except (TypeError, ValueError, OverflowError):
        raise refusal from None
    if not exact or not smallest <= number <= largest or isinstance(value, bool):
        raise refusal
    return number


def split(choices: dict) -> tuple[Choices, Settings]:
    """A training's choices and the script's settings, of keywords of either.

    Raises:
        InputError: a choice that is none of a training's, or a value that is not admissible.
    """
    own = {item.name for item in dataclasses.fields(Choices)}
    for name, value in choices.items():
        if name not in own and name not in APPLICABLE:
            raise InputError(
                f"--{name}: expected no such choice in a training. Received: {value!r}"
            )
    theirs = {name: value for name, value in choices.items() if name not in own}
    if theirs.get("normalize_gradients"):
        theirs["optimizer"] = "adam"  # as it is here
    settings = make_settings(**theirs)
    return Choices(**{name: value for name, value in choices.items() if name in own}), settings
