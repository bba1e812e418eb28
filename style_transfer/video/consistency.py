"""Finds the pixels of a frame that are also visible in an earlier one.

Ruder, Dosovitskiy and Brox, arXiv 1604.08610, sections 4.2 and 4.3, after Sundaram, Brox and
Keutzer, ECCV 2010. In the formulas, w is the flow from the earlier frame to this one, ŵ the flow
back, and w̃(x) = w(x + ŵ(x)).
"""

import numpy as np

from style_transfer.video.flow import Flow, moved, places

# The paper gives up all pixels at the edges of motion. This program keeps those around which the
# frames agree up to this mean absolute difference of values 0..255. For a disk that moves over a
# photograph (benchmarks/flicker.py), 4.7 % of the visible pixels were given up, and now 1.8 %; the
# share of hidden pixels taken for visible stays at 6 %.
AGREES = 4.0


def visible(back: Flow, forth: Flow, apart: np.ndarray | None = None) -> np.ndarray:
    """Where a frame shows the same as an earlier one, c of eq. 7.

    Args:
        back: ŵ, (H, W, 2).
        forth: w, (H, W, 2).
        apart: difference between the frame and the earlier one, warped; see `flow.mismatch`. None:
            no pixel at the edges of motion counts as visible, as in the paper.

    Returns:
        float32 (H, W): 0 where the pixel was hidden or outside of the earlier frame, and at the
        edges of motion, where the flow is wrong; else 1.
    """
    edges = motion_edges(back)
    if apart is not None:
        edges &= apart > AGREES
    return (~(hidden(back, forth) | outside(back) | edges)).astype(np.float32)


def hidden(back: Flow, forth: Flow) -> np.ndarray:
    """Where |w̃ + ŵ|² > 0.01 (|w̃|² + |ŵ|²) + 0.5 (eq. 5): the flows do not lead back. bool (H, W)"""
    there = moved(forth, back)
    return _square(there + back) > 0.01 * (_square(there) + _square(back)) + 0.5


def motion_edges(back: Flow) -> np.ndarray:
    """The edges of motion: |∇û|² + |∇v̂|² > 0.01 |ŵ|² + 0.002 (eq. 6); bool (H, W)."""
    slopes = [slope for axis in (0, 1) for slope in np.gradient(back[:, :, axis])]
    return sum(np.square(slope) for slope in slopes) > 0.01 * _square(back) + 0.002


def outside(back: Flow) -> np.ndarray:
    """Where a flow leads out of the picture, by more than half a pixel; bool (H, W)."""
    rows, columns = back.shape[:2]
    x, y = np.moveaxis(places(back), -1, 0)
    return (x < -0.5) | (y < -0.5) | (x > columns - 0.5) | (y > rows - 0.5)


def long_term(seen: list[np.ndarray]) -> list[np.ndarray]:
    """The pixels for which each earlier frame is used: those that no later one of them shows.

    c_long of eq. 9: max(c^(i−j) − Σ c^(i−k) over the frames k between, 0).

    Args:
        seen: c of each earlier frame, (H, W), latest frame first.
    """
    left, taken = [], np.zeros_like(seen[0])
    for c in seen:
        left.append(np.maximum(c - taken, 0))
        taken = taken + c
    return left


def _square(flow: Flow) -> np.ndarray:
    return np.square(flow).sum(axis=-1)
