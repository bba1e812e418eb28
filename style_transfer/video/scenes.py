"""Where a clip cuts from one scene to another."""

from collections import deque

import numpy as np
from PIL import Image

from style_transfer.video.flow import make_flow, moved

ROWS = 72  # of the frames that are compared
# A frame begins a scene if what the motion from the one before leaves unexplained is this much, as
# a mean of absolute differences of gray values, 0..255, and these times as much as lately.
LEAST, TIMES = 14.0, 3.0
LATELY = 12  # frames


class Cuts:
    """Finds cuts while a clip goes by; see `is_cut`."""

    def __init__(self) -> None:
        self._flow = make_flow()
        self._before: np.ndarray | None = None
        self._lately: deque[float] = deque(maxlen=LATELY)

    def is_cut(self, image: Image.Image) -> bool:
        """Whether the next frame begins a new scene; the first one does."""
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
        """Mean absolute difference of a frame and the one before, moved; a fade counts less."""
        there = moved(before.astype(np.float32), self._flow(frame, before))
        return float(np.abs(there - frame).mean())
