"""Finds the cuts from one scene of a clip to the next."""

from collections import deque

import numpy as np
from PIL import Image

from style_transfer.video.flow import make_flow, moved

ROWS = 72  # of the compared frames
# A frame starts a scene if its difference from the previous frame, after warping, is at least this
# (mean absolute difference of gray values 0..255), and at least this many times as large as lately.
LEAST, TIMES = 14.0, 3.0
LATELY = 12  # frames


class Cuts:
    """Finds cuts, frame by frame; see `is_cut`."""

    def __init__(self) -> None:
        self._flow = make_flow()
        self._before: np.ndarray | None = None
        self._lately: deque[float] = deque(maxlen=LATELY)

    def is_cut(self, image: Image.Image) -> bool:
        """Whether the next frame starts a new scene; the first one does."""
        size = max(16, round(image.width * ROWS / image.height)), ROWS
        frame = np.asarray(image.resize(size, Image.Resampling.BOX))
        before, self._before = self._before, frame
        if before is None:
            return True
        change = self._unexplained(before, frame)
        cut = change > LEAST and change > TIMES * float(np.median(self._lately or [0.0]))
        if cut:
            self._lately.clear()
        else:
            self._lately.append(change)
        return cut

    def _unexplained(self, before: np.ndarray, frame: np.ndarray) -> float:
        """Mean absolute difference of a frame and the previous one, warped; fades count less."""
        there = moved(before.astype(np.float32), self._flow(frame, before))
        return float(np.abs(there - frame).mean())
