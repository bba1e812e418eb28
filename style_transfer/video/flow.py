"""Optical flow: where each pixel of a frame was in another one; and pictures moved along it."""

import itertools
from collections.abc import Callable

import numpy as np

from style_transfer.video.needs import needed

Flow = (
    np.ndarray
)  # float32 (H, W, 2): columns and rows from a pixel to its place in the other frame

# A neighbor's flow, so many pixels away, is taken over if `mismatch` falls to this share, and by
# this much.
NEIGHBORS = (3, 6, 9)
CLEARLY, LEAST = 0.7, 2.0


def make_flow() -> Callable[[np.ndarray, np.ndarray], Flow]:
    """Dense inverse search (Kroeger et al., arXiv 1603.03590) of OpenCV.

    Returns:
        A function of two frames, uint8 (H, W, 3), RGB, to the flow from the first to the second.
    """
    cv2 = needed("cv2")
    cv2.setNumThreads(1)  # its result depends on their number
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(0)  # at every pixel: frames are small, and painting them takes longer

    def flow(one: np.ndarray, other: np.ndarray) -> Flow:
        gray = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (one, other)]
        return sharpened(search.calc(*gray, None), one, other)

    return flow


def sharpened(flow: Flow, one: np.ndarray, other: np.ndarray) -> Flow:
    """A flow whose edges of motion lie where things end.

    The search smooths its flow, so that around a thing that moves a ring of several pixels follows
    neither motion, and would count as hidden. Each pixel may take over the flow of a neighbor if
    with it the frames agree clearly better (propagation, as in PatchMatch, Barnes et al., 2009).

    Args:
        flow: from `one` to `other`.
        one: uint8 (H, W, 3).
        other: likewise.
    """
    cv2 = needed("cv2")
    rows, columns = flow.shape[:2]
    best, lowest = flow.copy(), mismatch(flow, one, other)
    far = max(NEIGHBORS)
    wide = cv2.copyMakeBorder(flow, far, far, far, far, cv2.BORDER_REPLICATE)
    for distance in NEIGHBORS:
        for down, right in itertools.product((-distance, 0, distance), repeat=2):
            candidate = wide[far + down :, far + right :][:rows, :columns]
            found = mismatch(candidate, one, other)
            better = found < CLEARLY * lowest - LEAST
            best[better], lowest[better] = candidate[better], found[better]
    return best


def mismatch(flow: Flow, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Mean absolute difference of `one` and `other`, moved, around each pixel; float32 (H, W)."""
    apart = np.abs(one - moved(other.astype(np.float32), flow)).mean(axis=-1)
    return needed("cv2").blur(apart, (3, 3), borderType=needed("cv2").BORDER_REPLICATE)


def moved(image: np.ndarray, flow: Flow) -> np.ndarray:
    """An image, looked up where a flow leads; bicubic, its edge repeated beyond it.

    Args:
        image: float32 (H, W, C), or (H, W).
        flow: from the frame wanted to the one that `image` belongs to, (H, W, 2).

    Returns:
        float32, of the shape of `image`.
    """
    cv2 = needed("cv2")
    at = places(flow)
    return cv2.remap(
        np.ascontiguousarray(image, np.float32),
        at,
        None,
        cv2.INTER_CUBIC if image.shape[-1] == 3 else cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )


def places(flow: Flow) -> np.ndarray:
    """Where a flow leads: columns and rows in the other frame, float32 (H, W, 2)."""
    rows, columns = flow.shape[:2]
    grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1)
    return grid.astype(np.float32) + flow
