"""The paint that a frame takes over from earlier painted ones."""

from collections import deque
from typing import NamedTuple

import numpy as np

from style_transfer.video.consistency import long_term, visible
from style_transfer.video.flow import make_flow, mismatch, moved

# Distances of the earlier frames used for long-term consistency (Ruder et al., section 5).
LONG_TERM = (1, 10, 20, 40)


class Painted(NamedTuple):
    """A frame of the clip, and as it was painted; uint8 (H, W, 3), RGB."""

    frame: np.ndarray
    painted: np.ndarray


class TakenOver(NamedTuple):
    """The paint of earlier frames, warped to a frame.

    Attributes:
        earlier: ω, the frame as it would look if everything were visible, float32 (H, W, 3), RGB.
        seen: c, where it is visible, 0 to 1, float32 (H, W, 1).
    """

    earlier: np.ndarray
    seen: np.ndarray


class Motion:
    """Carries painted frames along the motion of a clip.

    Args:
        far: use more than the previous frame; see `LONG_TERM`.
    """

    def __init__(self, far: bool = False):
        self._flow = make_flow()
        self._distances = LONG_TERM if far else LONG_TERM[:1]
        self._before: deque[Painted] = deque(maxlen=self._distances[-1])

    def clear(self) -> None:
        """Start a scene: nothing is taken over."""
        self._before.clear()

    def add(self, frame: np.ndarray, painted: np.ndarray) -> None:
        """Add a finished frame."""
        self._before.append(Painted(frame, painted))

    def taken_over(self, frame: np.ndarray) -> TakenOver | None:
        """The paint that the next frame takes over; None if there is no earlier frame."""
        if not self._before:
            return None
        there, seen = [], []
        for distance in self._distances:
            if distance <= len(self._before):
                before = self._before[-distance]
                back, forth = self._flow(frame, before.frame), self._flow(before.frame, frame)
                there.append(moved(before.painted.astype(np.float32), back))
                seen.append(visible(back, forth, mismatch(back, frame, before.frame)))
        # Each pixel belongs to one of them, so the sum of their losses is the loss of their mean.
        shares = np.stack(long_term(seen))[..., None]  # (J, H, W, 1)
        total = shares.sum(axis=0)
        mean = (shares * np.stack(there)).sum(axis=0) / np.maximum(total, 1)
        earlier = np.where(total > 0, mean, there[0])
        return TakenOver(earlier.astype(np.float32), total.astype(np.float32))
