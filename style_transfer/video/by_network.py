"""Paints frames with a style network, one pass each, steadied along the motion."""

from pathlib import Path

import numpy as np

from style_transfer.video.motion import TakenOver


class ByNetwork:
    """Paints frames with a network of one style.

    Args:
        path: path of the network.
        steadiness: share of the previous frame, warped, where both frames show the same thing.

    Raises:
        InputError: the file is not a network of this program.
    """

    def __init__(self, path: Path, steadiness: float):
        from style_transfer.backends import start

        start()
        from style_transfer.feedforward.model_file import read_network

        self.network, self.steadiness = read_network(path, "STYLE"), steadiness

    def first(self, frame: np.ndarray) -> np.ndarray:
        """Paint the first frame of a scene, uint8 (H, W, 3), RGB; returns the same format."""
        return rounded(self._painted(frame))

    def next(self, frame: np.ndarray, over: TakenOver) -> np.ndarray:
        """Paint a later frame of a scene.

        Args:
            frame: uint8 (H, W, 3), RGB.
            over: the paint taken over from earlier frames.

        Returns:
            uint8 (H, W, 3), RGB.
        """
        painted = self._painted(frame)
        kept = self.steadiness * np.minimum(over.seen, 1)
        return rounded(painted + kept * (over.earlier - painted))

    def _painted(self, frame: np.ndarray) -> np.ndarray:
        """The network's picture, RGB 0..255, float32 (H, W, 3)."""
        from style_transfer.feedforward.painting import painted

        return painted(self.network, frame)


def rounded(pixels: np.ndarray) -> np.ndarray:
    """Pixel values as uint8, rounded and clipped."""
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
