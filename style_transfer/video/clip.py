"""A clip: its frames in order, each with the time at which it is shown.

Whatever the source, frames are upright, sRGB, with 8 bits and square pixels.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple, Protocol

from PIL import Image

from style_transfer.errors import InputError


class Shown(NamedTuple):
    """A frame.

    Attributes:
        time: when it is shown, in the clip's `unit`.
        duration: how long it is shown, in the same unit; 0: unknown.
        picture: makes its picture, mode RGB; to be called before the next frame is requested.
    """

    time: int
    duration: int
    picture: Callable[[], Image.Image]


class Clip(Protocol):
    """Anything that can be read as a clip."""

    @property
    def unit(self) -> Fraction:
        """Seconds in one step of the times."""

    @property
    def remarks(self) -> list[str]:
        """Lines for the user about anything odd; complete once the clip has been read."""

    def frames(self) -> Iterator[Shown]:
        """All frames in the order of their times; the same at every call.

        Raises:
            InputError: nothing can be read.
        """

    def files(self) -> list[Path]:
        """All files from which it is read."""


@dataclass(frozen=True)
class Timing:
    """When frames are shown.

    Attributes:
        unit: seconds in one step of the times.
        times: the time of each frame, increasing.
        end: when the last frame ends.
    """

    unit: Fraction
    times: list[int]
    end: int

    def durations(self) -> list[int]:
        """How long each frame is shown, in the same unit."""
        following = [*self.times[1:], self.end]
        return [after - time for time, after in zip(self.times, following, strict=True)]

    @property
    def seconds(self) -> float:
        """Seconds from the first frame to the end."""
        return float((self.end - self.times[0]) * self.unit)

    @property
    def rate(self) -> Fraction:
        """Frames per second, on average."""
        return Fraction(len(self.times)) / ((self.end - self.times[0]) * self.unit)


def refused(path: Path, reason: str = "") -> InputError:
    """The error for a file that cannot be read as a clip."""
    because = f" ({reason})" if reason else ""
    return InputError(
        "CLIP: expected a clip that FFmpeg reads, an animated picture, or a folder of numbered "
        f"pictures. Received: {str(path)!r}{because}"
    )
