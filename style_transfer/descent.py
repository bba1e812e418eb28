"""Adam for pictures too large for L-BFGS's memory: 48 bytes per pixel instead of 600.

It takes few steps at a falling rate, from the picture that the smaller sizes have painted. Its
moments are enlarged and carried over from one size to the next, and the saved picture is the mean
of the last steps, as in Crowson's style-transfer-pytorch.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np

from style_transfer.errors import NotFinite
from style_transfer.events import TERMS
from style_transfer.grid import bands
from style_transfer.images import VALID_RANGE, resize_image
from style_transfer.runs.journal import Journal
from style_transfer.runs.run import Run
from style_transfer.runs.snapshots import Snapshot, Snapshots
from style_transfer.schedule import Size

# Measured at a size where L-BFGS fits too (250 x 333, from 177 rows, 20 evaluations): the loss ends
# 0.3 % above L-BFGS's with a rate of 4, 1.5 % with 3, 4.5 % with 2.
RATE = 4.0  # first step, in pixel values; the last is 1 / steps of it
FIRST_DECAY, SECOND_DECAY = 0.9, 0.99  # of the moments
MEAN_DECAY = 0.5  # of the mean of the steps; with a falling rate the last steps are alike
# Added to the root: gradients of a relative loss are of order 1e-10 per pixel at 10⁸ pixels.
SMALLEST = 1e-30
ROWS = 256  # updated at once
# At least between two snapshots; there is always one at the end of an iteration.
SECONDS_A_SNAPSHOT = 20.0


class Descent:
    """Adam (Kingma and Ba, arXiv 1412.6980) on a picture, in place.

    Args:
        objective: takes an image and returns (terms, gradient).
        image: where it starts, float32 (1, H, W, 3); changed in place.
        steps: how many steps this size will take.
        clip: keep pixel values within 0..255.

    Attributes:
        best: the image to save.
        last_loss: the loss of the last evaluation.
        snapshot: the state, with everything that a resume needs.
    """

    def __init__(self, objective: Callable, image: np.ndarray, steps: int, clip: bool = False):
        self.objective, self.steps, self.clip = objective, steps, clip
        self.last_loss = np.inf
        zeros = {name: np.zeros_like(image) for name in ("first", "second")}
        self.snapshot = Snapshot("", arrays={"image": image, "mean": image.copy(), **zeros})

    @property
    def best(self) -> np.ndarray:
        return self.snapshot.arrays["mean"]

    @property
    def done(self) -> int:
        """Steps taken at this size."""
        return len(self.snapshot.terms)

    def carry_over(self, before: Snapshot) -> None:
        """Start with the moments of the previous size, whose arrays are freed.

        With r times the pixels, each pixel's gradient is 1/r of what it was.
        """
        arrays = self.snapshot.arrays
        size = arrays["image"].shape[1:3]
        first, second = (before.arrays[name] for name in ("first", "second"))
        before.arrays.clear()
        ratio = np.float32(arrays["image"].size / first.size)
        arrays["first"] = resize_image(first, size)
        arrays["first"] /= ratio
        arrays["second"] = resize_image(np.sqrt(second), size)
        arrays["second"] /= ratio
        np.square(arrays["second"], out=arrays["second"])
        self.snapshot.steps = before.steps

    def step(self) -> tuple[np.ndarray, float]:
        """One evaluation and one step; returns the evaluation's terms and seconds.

        Raises:
            NotFinite: a term or the gradient is not finite; the message names it.
        """
        started = time.perf_counter()
        terms, gradient = self.objective(self.snapshot.arrays["image"])
        seconds = time.perf_counter() - started
        wrong = [name for name, value in zip(TERMS, terms, strict=True) if not np.isfinite(value)]
        if wrong:
            raise NotFinite(f"evaluation {self.done} of this size: not finite: {', '.join(wrong)}")
        rate = RATE * (1 - self.done / self.steps)
        self.snapshot.steps += 1
        for first, stop in bands(gradient.shape[1], ROWS):
            self._update(slice(first, stop), gradient, rate)
        self.snapshot.terms.append([float(term) for term in terms])
        self.snapshot.seconds.append(seconds)
        self.last_loss = float(terms.sum(dtype=np.float64))
        return terms, seconds

    def _update(self, rows: slice, gradient: np.ndarray, rate: float) -> None:
        arrays = {name: array[:, rows] for name, array in self.snapshot.arrays.items()}
        first, second, slope = arrays["first"], arrays["second"], gradient[:, rows]
        first *= FIRST_DECAY
        first += (1 - FIRST_DECAY) * slope
        second *= SECOND_DECAY
        second += (1 - SECOND_DECAY) * np.square(slope)
        steps = self.snapshot.steps
        root = np.sqrt(second / (1 - SECOND_DECAY**steps)) + SMALLEST
        arrays["image"] -= rate / (1 - FIRST_DECAY**steps) * (first / root)
        if self.clip:
            np.clip(arrays["image"], *VALID_RANGE.T, out=arrays["image"], casting="unsafe")
        # An exponential mean of the steps, corrected for its start as Adam's moments are.
        weight = (1 - MEAN_DECAY) / (1 - MEAN_DECAY ** (self.done + 1))
        arrays["mean"] += weight * (arrays["image"] - arrays["mean"])


def descend_in_place(
    descent: Descent,
    evaluations: int,
    snapshots: Snapshots | None,
    on_evaluation: Callable,
    on_iteration: Callable,
) -> Snapshot:
    """Take the steps of one size, continuing from a snapshot if there is one.

    Args:
        descent: at its start.
        evaluations: how many make an iteration.
        snapshots: this size's snapshots; None keeps none.
        on_evaluation: called as on_evaluation(terms, seconds, replayed).
        on_iteration: called with the image and the last loss after each iteration.

    Returns:
        The state at the end, for the next size.
    """
    if snapshots and (found := snapshots.load()):
        descent.snapshot = found
        earlier = zip(found.terms, found.seconds, strict=True)
        for number, (values, seconds) in enumerate(earlier, start=1):
            terms = np.array(values, np.float32)
            on_evaluation(terms, seconds, True)
            descent.last_loss = float(np.sum(terms, dtype=np.float64))
            if number % evaluations == 0:
                on_iteration(descent.best, descent.last_loss)
        snapshots.replayed = descent.done
    elif snapshots:
        descent.snapshot.key = snapshots.key
        snapshots.save(descent.snapshot)
    saved = time.monotonic()
    while descent.done < descent.steps:
        terms, seconds = descent.step()
        complete = descent.done % evaluations == 0
        if snapshots and (complete or time.monotonic() - saved > SECONDS_A_SNAPSHOT):
            snapshots.save(descent.snapshot)
            saved = time.monotonic()
        on_evaluation(terms, seconds, False)
        if complete:
            on_iteration(descent.best.copy(), descent.last_loss)
    return descent.snapshot


def minimize_in_place(
    run: Run, size: Size, objective: Callable, image: np.ndarray, before: Snapshot | None
) -> Snapshot:
    """Paint one size of a run; replaces the script's `minimize`.

    Args:
        run: the run.
        size: the size to paint.
        objective: the objective at this size.
        image: where the optimizer starts, float32 (1, H, W, 3).
        before: the optimizer's state after the previous size, or None.

    Returns:
        The optimizer's state at the end.
    """
    settings, snapshots = run.record.settings, run.journal
    assert not isinstance(snapshots, Journal)  # a run that paints in place keeps snapshots
    run.say(
        f"{size.columns} x {size.rows} with Adam instead of L-BFGS, which needs more memory than "
        "there is (to keep L-BFGS: --memory GIB, or a smaller --height).",
        warning=True,
    )
    descent = Descent(objective, image, size.iterations * settings.evaluations, settings.clip)
    before = before or (snapshots.load_before() if snapshots else None)
    if before:
        descent.carry_over(before)
    with run.painting(size, descent):
        return descend_in_place(
            descent,
            settings.evaluations,
            snapshots,
            partial(run.evaluated, size),
            partial(run.iteration_done, size),
        )
