"""A training's own choices, and the fields of `Settings` that apply to it."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from style_transfer.errors import InputError
from style_transfer.presets import make_settings
from style_transfer.settings import Settings

RISE = 0.02  # share of a training during which the rate rises
STYLE_ROWS = 256  # rows at which the style is used, with `style_scale` 1
MINUTES = 30.0  # if neither time nor steps are chosen
# Fields of `Settings` that mean the same for a network's loss as for a run's. The others concern a
# single photograph, L-BFGS, or the picture that is written.
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
        minutes: how long to train; 0 if `steps` is given.
        steps: how many batches to train on; 0 if `minutes` is given.
        size: rows and columns of the crops.
        batch: crops per batch. In the same time, one at a time learns more than two or four.
        width: channels after the network's first layer.
        learning_rate: Adam's largest rate; it rises at first, then falls to 0 along a cosine.
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
        """Batches between two changes of the rate, or backups: few, and a divisor of `steps`."""
        if not self.steps:
            return 5
        return next(count for count in (5, 4, 3, 2, 1) if self.steps % count == 0)

    def share(self, seconds: float, steps: int) -> float:
        """The share of the training, 0 to 1, that is done after `seconds` and `steps`."""
        done = steps / self.steps if self.steps else seconds / (60 * self.minutes)
        return min(1.0, done)

    def rate(self, share: float) -> float:
        """Adam's rate once a share of the training is done."""
        rise = min(1.0, 0.1 + 0.9 * share / RISE)  # the first steps have the largest gradients
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
    """Split keywords into a training's own choices and fields of `Settings`.

    Raises:
        InputError: a choice does not apply to a training, or a value is not allowed.
    """
    own = {item.name for item in dataclasses.fields(Choices)}
    for name, value in choices.items():
        if name not in own and name not in APPLICABLE:
            raise InputError(
                f"--{name}: expected none, because it does not apply to a training. "
                f"Received: {value!r}"
            )
    theirs = {name: value for name, value in choices.items() if name not in own}
    if theirs.get("normalize_gradients"):
        theirs["optimizer"] = "adam"  # as it is here
    settings = make_settings(**theirs)
    return Choices(**{name: value for name, value in choices.items() if name in own}), settings
