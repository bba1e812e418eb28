"""Motion: optical flow, what is visible along it, and what frames take over, computed again."""

import numpy as np
import pytest
from conftest import draw

pytest.importorskip("cv2", reason="needs requirements-video.txt")

from style_transfer.losses import temporal_loss
from style_transfer.video.consistency import hidden, long_term, motion_edges, visible
from style_transfer.video.flow import make_flow, mismatch, moved, sharpened
from style_transfer.video.motion import LONG_TERM, Motion

ROWS, COLUMNS = 60, 80


def textured(rows, columns, seed=3):
    """A picture with detail at all sizes, as photographs have, float64 (H, W, 3)."""
    return sum(
        np.asarray(draw(rows, columns, seed + n).resize((columns, rows)), np.float64) / 3
        for n in range(3)
    )


def window(picture, x, y):
    return np.ascontiguousarray(picture[y : y + ROWS, x : x + COLUMNS])


@pytest.fixture(scope="module")
def picture():
    return np.rint(textured(ROWS + 30, COLUMNS + 30)).astype(np.uint8)


def bilinear(image, x, y):
    """An image (H, W) at float places, bilinear, its edge repeated, in float64."""
    rows, columns = image.shape
    x, y = np.clip(x, 0, columns - 1), np.clip(y, 0, rows - 1)
    left, up = np.floor(x).astype(int), np.floor(y).astype(int)
    right, down = np.minimum(left + 1, columns - 1), np.minimum(up + 1, rows - 1)
    a, b = x - left, y - up
    above = (1 - a) * image[up, left] + a * image[up, right]
    below = (1 - a) * image[down, left] + a * image[down, right]
    return (1 - b) * above + b * below


@pytest.mark.parametrize("shift", [(3, 0), (0, -2), (4, 2), (-6, -5)])
def test_the_flow_finds_a_known_motion(picture, shift):
    here, there = window(picture, 10, 10), window(picture, 10 + shift[0], 10 + shift[1])
    # What lies at p of `here` lies at p − shift of `there`.
    flow = make_flow()(here, there)
    error = np.hypot(flow[..., 0] + shift[0], flow[..., 1] + shift[1])[10:-10, 10:-10]
    assert np.median(error) < 0.1 and np.mean(error < 0.5) > 0.95


def test_the_flow_is_the_same_every_time(picture):
    frames = window(picture, 0, 0), window(picture, 2, 1)
    np.testing.assert_array_equal(make_flow()(*frames), make_flow()(*frames))


def test_moving_looks_up_where_the_flow_leads():
    rng = np.random.default_rng(1)
    image = rng.uniform(0, 255, (20, 24)).astype(np.float32)
    flow = rng.uniform(-3, 3, (20, 24, 2)).astype(np.float32)
    y, x = np.indices(image.shape)
    wanted = bilinear(image.astype(np.float64), x + flow[..., 0], y + flow[..., 1])
    inside = np.s_[4:-4, 4:-4]
    # OpenCV rounds places to 1/32 of a pixel.
    assert abs(moved(image, flow) - wanted)[inside].max() < 255 * 2 / 32
    whole = np.rint(flow)
    x, y = x + whole[..., 0].astype(int), y + whole[..., 1].astype(int)
    exact = image[np.clip(y, 0, 19), np.clip(x, 0, 23)]
    np.testing.assert_array_equal(moved(image, whole), exact)
    colors = np.stack([image, image / 2, image / 4], axis=-1)
    np.testing.assert_allclose(moved(colors, whole)[..., 1], exact / 2, rtol=1e-6)


def flows(seed):
    """A smooth pair of flows, there and back, that agree in some places only."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((30, 40))
    waves = [
        0.5 * (a * np.sin(x / b / 3 + c) + d * np.cos(y / e / 3 + f))
        for a, b, c, d, e, f in rng.uniform(1, 6, (4, 6))
    ]
    back = np.stack(waves[:2], axis=-1)
    forth = -back + 0.3 * np.stack(waves[2:], axis=-1)
    return back.astype(np.float32), forth.astype(np.float32)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_is_hidden_is_what_equation_5_says(seed):
    back, forth = flows(seed)
    y, x = np.indices(back.shape[:2])
    at = x + back[..., 0].astype(np.float64), y + back[..., 1].astype(np.float64)
    there = np.stack([bilinear(forth[..., n].astype(np.float64), *at) for n in range(2)], axis=-1)
    apart = np.sum((there + back) ** 2, axis=-1)
    limit = 0.01 * (np.sum(there**2, axis=-1) + np.sum(back.astype(np.float64) ** 2, axis=-1)) + 0.5
    wanted = apart > limit
    assert 0.1 < wanted.mean() < 0.95
    clear = abs(apart - limit) > 0.3 * limit  # OpenCV rounds places to 1/32 of a pixel
    np.testing.assert_array_equal(hidden(back, forth)[clear], wanted[clear])
    assert clear.mean() > 0.5


def test_edges_of_motion_are_what_equation_6_says():
    back, _ = flows(4)
    w = back.astype(np.float64)
    slopes = np.zeros(w.shape[:2])
    for part in (w[..., 0], w[..., 1]):
        down, right = np.zeros_like(part), np.zeros_like(part)
        down[1:-1] = (part[2:] - part[:-2]) / 2
        down[0], down[-1] = part[1] - part[0], part[-1] - part[-2]
        right[:, 1:-1] = (part[:, 2:] - part[:, :-2]) / 2
        right[:, 0], right[:, -1] = part[:, 1] - part[:, 0], part[:, -1] - part[:, -2]
        slopes += down**2 + right**2
    wanted = slopes > 0.01 * np.sum(w**2, axis=-1) + 0.002
    assert 0.1 < wanted.mean() < 0.99
    assert np.mean(motion_edges(back) == wanted) > 0.999  # rounding


def test_what_enters_and_what_was_covered_is_not_visible(picture):
    """A square moves over a picture at rest: what it uncovers, and its edges, were hidden."""
    square = np.rint(textured(28, 28, seed=9)).astype(np.uint8)

    def frame(x):
        pixels = window(picture, 0, 0)
        pixels[15:43, x : x + 28] = square
        return pixels

    before, now = frame(20), frame(24)
    flow = make_flow()
    seen = visible(flow(now, before), flow(before, now))
    assert set(np.unique(seen)) <= {0, 1}
    assert seen[20:38, 20:24].mean() < 0.2  # uncovered
    assert seen[20:38, 29:47].mean() > 0.9  # the square itself
    assert seen[:8].mean() > 0.95 and seen[:, 66:].mean() > 0.95  # at rest


def disk(picture, x):
    """A disk of another picture before one at rest, and where it is."""
    rows, columns = np.indices((ROWS, COLUMNS))
    inside = (rows - 30) ** 2 + (columns - x) ** 2 < 14**2
    other = np.rint(textured(ROWS, 3 * COLUMNS, seed=9)).astype(np.uint8)
    return np.where(inside[..., None], other[:, 80 - x : 80 - x + COLUMNS], picture), inside


def test_around_a_moving_thing_nearly_all_counts(picture):
    (before, covered), (now, covers) = (disk(window(picture, 0, 0), x) for x in (36, 39))
    motion, flow = Motion(), make_flow()
    motion.add(before, before)
    over = motion.taken_over(now)
    found = over.seen[..., 0] > 0
    shown = covers | ~covered  # what the disk has uncovered was hidden
    paper = visible(flow(now, before), flow(before, now)) > 0
    assert (~found & shown).mean() < 0.5 * (~paper & shown).mean()
    assert found[shown].mean() > 0.96 and found[~shown].mean() < 0.5
    assert abs(over.earlier - now)[found & shown].mean() < 3


def test_a_flow_is_a_neighbors_where_that_agrees_better(picture):
    here, there = window(picture, 10, 10), window(picture, 6, 10)
    right = np.zeros((ROWS, COLUMNS, 2), np.float32)
    right[..., 0] = 4
    wrong = right.copy()
    wrong[20:25, 30:36] = 0  # up to five pixels from where it is right
    assert mismatch(right, here, there)[:, 5:-5].max() == 0
    apart = abs(here.astype(float) - there).mean(axis=-1)
    wanted = sum(apart[21 + a : 22 + a, 31 + b : 32 + b] for a in (-1, 0, 1) for b in (-1, 0, 1))
    assert mismatch(wrong, here, there)[21, 31] == pytest.approx(float(wanted[0, 0]) / 9, abs=0.01)
    mended = sharpened(wrong, here, there)
    assert np.mean(mended[20:25, 30:36] == right[20:25, 30:36]) > 0.9
    np.testing.assert_array_equal(sharpened(right, here, there), right)


def test_what_lies_outside_of_the_earlier_frame_is_not_visible():
    back = np.zeros((10, 12, 2), np.float32)
    back[..., 0] = 3
    seen = visible(back, -back)
    np.testing.assert_array_equal(seen, np.repeat([[1.0] * 9 + [0.0] * 3], 10, axis=0))


def test_long_term_takes_the_latest_frame_that_shows_a_pixel():
    """Equation 9, pixel by pixel."""
    rng = np.random.default_rng(2)
    seen = [(rng.random((9, 11)) < 0.5).astype(np.float32) for _ in range(4)]
    found = long_term(seen)
    for row, column in np.ndindex(9, 11):
        for number in range(4):
            later = sum(float(c[row, column]) for c in seen[:number])
            wanted = max(float(seen[number][row, column]) - later, 0)
            assert found[number][row, column] == wanted
    assert max(np.sum(found, axis=0).ravel()) == 1


def test_a_frame_takes_over_what_the_one_before_shows(picture):
    motion = Motion()
    assert motion.taken_over(window(picture, 4, 4)) is None
    painted = np.rint(textured(ROWS + 30, COLUMNS + 30, seed=20)).astype(np.uint8)
    motion.add(window(picture, 4, 4), window(painted, 4, 4))
    over = motion.taken_over(window(picture, 8, 6))
    assert over.earlier.shape == (ROWS, COLUMNS, 3) and over.seen.shape == (ROWS, COLUMNS, 1)
    seen, wanted = over.seen[..., 0] > 0, window(painted, 8, 6).astype(np.float64)
    error = abs(over.earlier - wanted).mean(axis=-1)
    assert np.median(error[seen]) < 3 and seen[5:-8, 5:-8].mean() > 0.9
    assert seen[-2:].mean() < 0.1 and seen[:, -3:].mean() < 0.1  # it has just come in
    motion.clear()
    assert motion.taken_over(window(picture, 4, 4)) is None


def test_what_was_hidden_for_a_while_comes_back_as_it_was(picture):
    """Something covers the middle for ten frames; the frame before them remembers it."""
    still, painted = window(picture, 0, 0), window(picture, 20, 20)
    cover = np.rint(textured(30, 30, seed=9)).astype(np.uint8)
    covered, other = still.copy(), painted.copy()
    covered[15:45, 20:50] = cover
    other[15:45, 20:50] = 255 - cover
    middle = np.s_[24:36, 29:41]
    found = {}
    for far in (False, True):
        motion = Motion(far)
        motion.add(still, painted)
        for _ in range(LONG_TERM[1] - 1):
            motion.add(covered, other)
        found[far] = motion.taken_over(still)
    assert abs(found[True].earlier - painted)[middle].mean() < 1
    assert found[True].seen[middle].mean() > 0.9
    assert found[True].seen.max() == 1
    assert found[False].seen[middle].mean() < 0.5


@pytest.mark.parametrize("scale", ["relative", "gatys"])
def test_the_temporal_loss_is_equation_7(scale):
    rng = np.random.default_rng(5)
    image, earlier = rng.normal(0, 60, (2, 1, 7, 9, 3))
    seen = rng.random((1, 7, 9, 1))
    found = float(temporal_loss(scale, *(a.astype(np.float32) for a in (image, earlier, seen))))
    wanted = np.sum(seen * (image - earlier) ** 2)
    wanted /= np.sum(earlier**2) if scale == "relative" else image.size
    assert found == pytest.approx(wanted, rel=1e-5)
