"""Adam in place of L-BFGS, its snapshots, and an exact resume from them."""

import numpy as np
import pytest
from conftest import draw
from numpy.testing import assert_allclose, assert_array_equal

from neural_style_transfer import resume, transfer
from style_transfer import descent as module
from style_transfer.descent import Descent
from style_transfer.errors import NotFinite
from style_transfer.events import Evaluated, Said
from style_transfer.runs.record import Method
from style_transfer.runs.snapshots import Snapshot, Snapshots
from style_transfer.vgg import FilterSource


@pytest.fixture(autouse=True)
def _a_snapshot_each_step(monkeypatch):
    monkeypatch.setattr(module, "SECONDS_A_SNAPSHOT", 0)


def hill(size):
    """A loss that is lowest at a picture of the size, some pixels' slopes steeper than others'."""
    rng = np.random.default_rng(size[0])
    goal = rng.normal(0, 40, (1, *size, 3)).astype(np.float32)
    steep = np.exp(rng.normal(0, 1, goal.shape)).astype(np.float32) / goal.size

    def objective(image):
        slope = steep * (image - goal)
        loss = (slope * (image - goal)).sum() / 2
        return np.array([loss, 0, 0], np.float32), slope

    return objective


def light(run, inputs):
    """Every size but the first with Adam, as where memory is short."""
    run.record.filters = FilterSource("random", None, "0" * 64)
    numbers = [size.number for size in run.record.sizes]
    run.choose_methods(lambda: {str(n): Method(0, "adam" if n else "lbfgs") for n in numbers})
    return lambda size: hill(size.shape)


def painted(prefix, **choices):
    content, style = draw(64, 80, 1), draw(50, 60, 2)
    choices = {"height": 64, "scales": "0.25,0.5:2,1:3", "iter": 6, "evaluations": 4} | choices
    return transfer(content, style, prefix, objectives=light, **choices)


def adam_in_float64(objective, image, steps):
    """arXiv 1412.6980, algorithm 1, with a falling rate; (x, mean of its steps)."""
    x, m, v, total, weights = image.astype(np.float64), 0, 0, 0, 0
    for k in range(1, steps + 1):
        slope = objective(x.astype(np.float32))[1].astype(np.float64)
        m, v = 0.9 * m + 0.1 * slope, 0.99 * v + 0.01 * slope**2
        rate = module.RATE * (steps - k + 1) / steps
        x = x - rate * (m / (1 - 0.9**k)) / np.sqrt(v / (1 - 0.99**k))
        decay = module.MEAN_DECAY
        total, weights = decay * total + x, decay * weights + 1
    return x, total / weights


def test_steps_are_those_of_adam():
    objective, image = hill((20, 30)), np.zeros((1, 20, 30, 3), np.float32)
    descent = Descent(objective, image.copy(), 12)
    for _ in range(12):
        descent.step()
    x, mean = adam_in_float64(objective, image, 12)
    assert_allclose(descent.snapshot.arrays["image"], x, atol=1e-3)
    assert_allclose(descent.best, mean, atol=1e-3)


def test_moments_are_carried_over_enlarged():
    """A gradient that is the same picture, larger, has moments that are the same, larger."""
    small, large = Descent(None, np.zeros((1, 8, 8, 3), np.float32), 4), None
    small.snapshot.arrays["first"][:] = 0.4
    small.snapshot.arrays["second"][:] = 0.25
    large = Descent(None, np.zeros((1, 16, 16, 3), np.float32), 4)
    large.carry_over(small.snapshot)
    assert_allclose(large.snapshot.arrays["first"], 0.1, rtol=1e-6)
    assert_allclose(large.snapshot.arrays["second"], 0.25 / 16, rtol=1e-6)


def test_what_is_not_finite_is_named():
    def objective(image):
        return np.array([1, np.nan, 0], np.float32), image

    with pytest.raises(NotFinite, match="style"):
        Descent(objective, np.zeros((1, 4, 4, 3), np.float32), 2).step()


def test_a_line_says_that_adam_takes_over():
    said = []
    content, style = draw(64, 80, 1), draw(50, 60, 2)
    with pytest.warns(UserWarning, match="Adam instead of L-BFGS"):
        transfer(
            content,
            style,
            height=64,
            scales="0.25,1",
            iter=2,
            evaluations=2,
            objectives=light,
            on_event=lambda event: said.append(event) if isinstance(event, Said) else None,
        )
    assert any("Adam instead of L-BFGS" in event.line for event in said)


class Killed(BaseException):
    """Ends a run as a kill does: nobody catches it."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("at", [9, 11, 12, 13, 14, 19, 23])
@pytest.mark.parametrize("damaged", [False, True])
def test_a_killed_run_ends_as_if_nothing_had_happened(tmp_path, at, damaged):
    picture, record = painted(tmp_path / "whole")

    def kill(event):
        if isinstance(event, Evaluated) and event.number == at:
            raise Killed

    with pytest.raises(Killed):
        painted(tmp_path / "killed", on_event=kill)
    snapshots = sorted((tmp_path / "killed_state").glob("snapshot_*"))
    if damaged and len(snapshots) == 2:
        newest = max(snapshots, key=lambda path: path.stat().st_mtime_ns)
        data = bytearray(newest.read_bytes())
        data[-5] ^= 1
        newest.write_bytes(data)
    again, found = resume(tmp_path / "killed", objectives=light)
    assert_array_equal(np.asarray(again), np.asarray(picture))
    assert [e.terms for e in found.evaluations] == [e.terms for e in record.evaluations]
    assert [i.sha256 for i in found.iterations] == [i.sha256 for i in record.iterations]
    assert not list((tmp_path / "killed_state").glob("snapshot_*"))


def state(key, count):
    arrays = {"image": np.full((1, 3, 4, 3), count, np.float32)}
    return Snapshot(key, [[1.0, 2.0, 3.0]] * count, [0.5] * count, arrays, count)


def test_snapshots_are_the_newest_whole_one(tmp_path):
    paths = [tmp_path / "0", tmp_path / "1"]
    snapshots = Snapshots(paths, "a")
    assert not snapshots.found
    assert snapshots.load() is None
    for count in (1, 2, 3):
        snapshots.save(state("a", count))
    assert Snapshots(paths, "a").load().steps == 3
    paths[0].write_bytes(paths[0].read_bytes()[:-1])  # the third
    assert Snapshots(paths, "a").load().steps == 2
    paths[1].write_bytes(b"")
    assert Snapshots(paths, "a").load() is None


def test_snapshots_of_another_size_are_only_where_one_begins(tmp_path):
    paths = [tmp_path / "0", tmp_path / "1"]
    Snapshots(paths, "a").save(state("a", 5))
    later = Snapshots(paths, "b", "a")
    assert not later.found
    assert later.load_before().steps == 5
    later.save(state("b", 0))
    assert Snapshots(paths, "b", "a").load().steps == 0
    assert Snapshots(paths, "c", "x").load_before() is None


def test_a_full_disk_leaves_both_generations(tmp_path, monkeypatch):
    paths = [tmp_path / "0", tmp_path / "1"]
    snapshots = Snapshots(paths, "a")
    for count in (1, 2):
        snapshots.save(state("a", count))

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        snapshots.save(state("a", 3))
    assert Snapshots(paths, "a").load().steps == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]
