"""Optical flow: where each pixel of a frame is in another one; and warping along it."""

import itertools
from collections.abc import Callable

import numpy as np

from style_transfer.video.needs import needed

Flow = (
    np.ndarray
)  # float32 (H, W, 2): columns and rows from a pixel to its place in the other frame

# The flow of a neighbor so many pixels (down, right) away is taken over if `mismatch` falls to this
# share, and by at least this much.
FAR = 9
NEIGHBORS = [
    (down, right)
    for distance in (3, 6, FAR)
    for down, right in itertools.product((-distance, 0, distance), repeat=2)
    if down or right
]
CLEARLY, LEAST = 0.7, 2.0


def make_flow() -> Callable[[np.ndarray, np.ndarray], Flow]:
    """OpenCV's dense inverse search (Kroeger et al., arXiv 1603.03590).

    Returns:
        A function that takes two frames, uint8 (H, W, 3), RGB, and returns the flow from the first
        to the second.
    """
    cv2 = needed("cv2")
    cv2.setNumThreads(1)  # the result depends on the number of threads
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(0)  # every pixel: frames are small, and painting them takes longer

    def flow(one: np.ndarray, other: np.ndarray) -> Flow:
        gray = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (one, other)]
        return sharpened(search.calc(*gray, None), one, other)

    return flow


def sharpened(flow: Flow, one: np.ndarray, other: np.ndarray) -> Flow:
    """Align a flow's edges of motion with the edges of objects.

    The search smooths its flow, so a ring of several pixels around a moving object follows neither
    motion and would count as hidden. Each pixel may take over the flow of a neighbor if the frames
    agree clearly better with it (propagation, as in PatchMatch, Barnes et al., 2009).

    Args:
        flow: the flow from `one` to `other`.
        one: uint8 (H, W, 3).
        other: likewise.
    """
    cv2 = needed("cv2")
    rows, columns = flow.shape[:2]
    other = other.astype(np.float32)
    best, lowest = flow.copy(), mismatch(flow, one, other)
    wide = cv2.copyMakeBorder(flow, FAR, FAR, FAR, FAR, cv2.BORDER_REPLICATE)
    for down, right in NEIGHBORS:
        candidate = wide[FAR + down :, FAR + right :][:rows, :columns]
        found = mismatch(candidate, one, other)
        better = found < CLEARLY * lowest - LEAST
        best[better], lowest[better] = candidate[better], found[better]
    return best


def mismatch(flow: Flow, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Mean absolute difference of `one` and warped `other` around each pixel; float32 (H, W)."""
    apart = np.abs(one - moved(other.astype(np.float32, copy=False), flow)).mean(axis=-1)
    return needed("cv2").blur(apart, (3, 3), borderType=needed("cv2").BORDER_REPLICATE)


def moved(image: np.ndarray, flow: Flow) -> np.ndarray:
    """Warp an image along a flow; bicubic, with its edge repeated beyond it.

    Args:
        image: float32 (H, W, C), or (H, W).
        flow: the flow from the frame wanted to the one to which `image` belongs, (H, W, 2).

    Returns:
        float32, in the shape of `image`.
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
