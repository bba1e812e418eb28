"""A clip's own choices, and the fields of `Settings` that apply to it."""

import math
from dataclasses import dataclass, fields
from typing import Any

from style_transfer.errors import InputError
from style_transfer.settings import Settings, choice

# Fields of `Settings` that make no sense for a clip: masks belong to a single picture, frames are
# painted whole, and their content must change without compiling the loss again.
LEFT_OUT = (
    *("content_mask", "style_mask", "unpainted", "output", "targets", "tile"),
    *("auto_weights", "normalize_gradients", "restarts"),
    *("print", "dpi", "large_pictures", "quality", "preview"),
)
APPLICABLE = tuple(item.name for item in fields(Settings) if item.name not in LEFT_OUT)
FIXED = {"tile": "0"}


@dataclass(frozen=True)
class ClipChoices:
    """How a clip is painted; each field is an option, with its help text beside it.

    Raises:
        InputError: on construction, if a value is not one that its field allows.
    """

    start: str = choice("", "clip", "paint from here: seconds, or H:MM:SS.sss")
    end: str = choice("", "clip", "paint up to here")
    fps: float = choice(
        0.0,
        "clip",
        "at most so many frames per second; others are left out (0: all); for a folder: its rate",
    )
    # Measured on the pan of benchmarks/flicker.py: the style loss of the second frame is 0.049 with
    # 25 evaluations as with 15, 0.059 with a temporal weight of 20, and 0.057 in the first frame.
    frame_evaluations: int = choice(
        15,
        "clip",
        "evaluations of each frame after a scene's first, which is painted with --iter iterations",
    )
    temporal_weight: float = choice(
        5.0, "clip", "weight of the temporal loss, which keeps a frame like the previous, warped"
    )
    long_term: bool = choice(
        False,
        "clip",
        "also compare with earlier frames, so that things hidden for a while reappear as they were",
    )
    steadiness: float = choice(
        0.8, "clip", "with a style network: share of the previous frame, warped, where both agree"
    )

    def __post_init__(self):
        for item in fields(self):
            object.__setattr__(self, item.name, _checked(item, getattr(self, item.name)))
        if self.end_seconds is not None and self.end_seconds <= (self.start_seconds or 0):
            raise InputError(
                f"--end: expected a time after --start. Received: {self.end!r} after "
                f"{self.start or '0'!r}"
            )

    @property
    def start_seconds(self) -> float | None:
        """Seconds from the clip's first frame; None: the first."""
        return seconds_of(self.start, "--start")

    @property
    def end_seconds(self) -> float | None:
        """Likewise; None: after the last."""
        return seconds_of(self.end, "--end")


_BOUNDS = {  # smallest, largest, and what an error line says was expected
    "fps": (0, 1000, "frames per second, 0 to 1000"),
    "frame_evaluations": (1, 100_000, "a whole number, at least 1"),
    "temporal_weight": (0, 1e9, "a number, at least 0"),
    "steadiness": (0, 0.99, "a share from 0 to 0.99"),
}


def _checked(item: Any, value: Any) -> Any:
    if item.name not in _BOUNDS:
        if isinstance(value, int | float) and item.type is str:
            value = str(value)
        if not isinstance(value, item.type):
            raise InputError(
                f"--{item.name}: expected a value of type {item.type.__name__}. Received: {value!r}"
            )
        return value
    smallest, largest, expected = _BOUNDS[item.name]
    try:
        number = item.type(value)
        exact = math.isfinite(number) and number == float(value)
    except (TypeError, ValueError, OverflowError):
        exact = False
    if not exact or not smallest <= number <= largest:
        raise InputError(f"--{item.name}: expected {expected}. Received: {value!r}")
    return number


def seconds_of(text: str, option: str) -> float | None:
    """Seconds from text such as `12.5`, `1:30` or `0:01:30.5`; None if it is empty.

    Raises:
        InputError: the text is something else.
    """
    if not text:
        return None
    parts = text.split(":")
    try:
        values = [float(part) for part in parts]
    except ValueError:
        values = [math.nan]
    fine = len(parts) <= 3 and all(math.isfinite(value) and value >= 0 for value in values)
    if not fine or any(value >= 60 for value in values[1:]):
        raise InputError(f"{option}: expected seconds, or H:MM:SS.sss. Received: {text!r}")
    seconds = 0.0
    for value in values:
        seconds = 60 * seconds + value
    return seconds


def check_settings(settings: Settings, chosen: dict) -> None:
    """Raise InputError if the user or the preset chose settings that make no sense for a clip."""
    for name in LEFT_OUT:
        value, default = getattr(settings, name), Settings.__dataclass_fields__[name].default
        if value != FIXED.get(name, default):
            source = "--" + name if name in chosen else "--preset"
            raise InputError(
                f"{source}: expected one without {name}, which clips do not have. "
                f"Received: {value!r}"
            )
