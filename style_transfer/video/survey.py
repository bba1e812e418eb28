"""Looks at all frames of a clip before any is painted: their times, and where scenes start.

Only one frame is in memory at a time.
"""

from dataclasses import dataclass, field
from fractions import Fraction

from style_transfer.errors import InputError
from style_transfer.video.choices import ClipChoices
from style_transfer.video.clip import Clip, Timing
from style_transfer.video.scenes import Cuts


@dataclass(frozen=True)
class Survey:
    """The structure of a clip.

    Attributes:
        width: width of a frame, in square pixels.
        height: height of a frame, likewise.
        numbers: the numbers, from 0, of the clip's frames to paint.
        timing: when those are shown, starting at 0.
        cuts: which of them start a scene, counted among them; the first does.
        origin: when the first of them is shown on the clip's own clock, in seconds.
    """

    width: int
    height: int
    numbers: list[int] = field(default_factory=list)
    timing: Timing = Timing(Fraction(1), [], 0)
    cuts: list[int] = field(default_factory=list)
    origin: Fraction = Fraction(0)


def survey(clip: Clip, choices: ClipChoices, thinned: bool) -> Survey:
    """Go through a clip once.

    Args:
        clip: the clip.
        choices: the part to paint, and the most frames per second.
        thinned: whether `fps` leaves frames out; for a folder it is the rate instead.

    Raises:
        InputError: nothing of it can be read, or there is no frame between start and end.
    """
    start, end = choices.start_seconds or 0, choices.end_seconds
    rate = Fraction(choices.fps).limit_denominator(1001) if choices.fps and thinned else None
    cuts, found, scenes = Cuts(), [], []
    numbers: list[int] = []
    size, first, origin, step, ends = None, None, 0, -1, 0
    for number, shown in enumerate(clip.frames()):
        first = shown.time if first is None else first
        seconds = (shown.time - first) * clip.unit
        if end is not None and seconds >= end:
            break
        if seconds < start:
            continue
        if not found:
            origin = shown.time
        ends = shown.time + shown.duration
        if rate:
            before, step = step, int((shown.time - origin) * clip.unit * rate)
            if step == before:
                continue
        numbers.append(number)
        found.append(step if rate else shown.time - origin)
        picture = shown.picture()
        size = size or picture.size
        if cuts.is_cut(picture):
            scenes.append(len(found) - 1)
    if size is None:
        raise InputError(
            "--start, --end: expected a part of the clip with a frame in it. "
            f"Received: {choices.start or '0'} to {choices.end or 'the end'}"
        )
    unit = 1 / rate if rate else clip.unit
    last = -(-(ends - origin) * clip.unit // unit)  # rounded up
    timing = Timing(unit, found, max(int(last), found[-1] + 1))
    return Survey(*size, numbers, timing, scenes, origin * clip.unit)
