"""The functions that scipy calls: one evaluation of the network gives both loss and gradient."""

import time
from collections.abc import Callable
from typing import Protocol

import numpy as np
import scipy.fft

from style_transfer.errors import NotFinite
from style_transfer.events import FRAME_TERMS

Objective = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
OnEvaluation = Callable[[np.ndarray, float, bool], None]


class Answers(Protocol):
    """A journal: an objective's earlier answers, in order, and a place for new ones."""

    def answer(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, float] | None:
        """The next (terms, gradient, seconds), or None when all are used up."""

    def append(
        self, image: np.ndarray, terms: np.ndarray, gradient: np.ndarray, seconds: float
    ) -> None:
        """Add an answer."""


class Evaluator:
    """Loss and gradient for `fmin_l_bfgs_b`, which asks for the two in separate calls.

    The evaluator appends every answer to a journal, and as long as the journal holds earlier
    answers, it returns those instead. scipy is deterministic: the same answers lead to the same
    questions, so the optimizer ends up exactly where it was when the journal was written.

    Args:
        objective: takes an image, float32 (1, H, W, 3), and returns (terms, gradient); see
            objective.py.
        image: where the optimizer starts, float32 (1, H, W, 3).
        journal: keeps the answers, or None.
        on_evaluation: called as on_evaluation(terms, seconds, replayed) after every evaluation. An
            exception that it raises ends the optimization, with the evaluation in the journal.
        precondition: exponent p of the variables z that the optimizer moves: the image is
            x = x₀ + F⁻¹ S F z, where F is the Fourier transform and S multiplies frequency f by
            f^−p. Large shapes then form before small ones. 0: the optimizer moves pixels.
    """

    def __init__(
        self,
        objective: Objective,
        image: np.ndarray,
        journal: Answers | None = None,
        on_evaluation: OnEvaluation = lambda terms, seconds, replayed: None,
        precondition: float = 0.0,
    ):
        self.objective = objective
        self.best = image  # the image of the lowest loss so far
        self._origin = image
        self._spectrum: np.ndarray | None = None
        self.start = image.ravel().astype(np.float64)  # where the optimizer starts, flat
        if precondition:
            self._spectrum = spectrum(image.shape, precondition)
            self.start = np.zeros_like(self.start)
        self.journal = journal
        self.on_evaluation = on_evaluation
        self.evaluations = 0
        self.last_loss = np.inf
        self._lowest = np.inf
        self._x: np.ndarray | None = None
        self._gradient: np.ndarray | None = None

    def loss(self, x: np.ndarray) -> float:
        """The loss at the flat float64 variables `x`. Keeps the gradient for `grads`.

        Raises:
            NotFinite: a term or the gradient is not finite; the message names it.
        """
        image = self.image_at(x)
        earlier = self.journal.answer(image) if self.journal else None
        terms, gradient, seconds = earlier or self._evaluate(image)
        self.evaluations += 1
        self._x = x.copy()
        self._gradient = gradient
        self.last_loss = float(terms.sum(dtype=np.float64))
        if self.last_loss < self._lowest:
            self._lowest, self.best = self.last_loss, image
        self.on_evaluation(terms, seconds, earlier is not None)
        return self.last_loss

    def _evaluate(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        started = time.perf_counter()
        terms, gradient = self.objective(image)
        seconds = time.perf_counter() - started
        if not (np.isfinite(terms).all() and np.isfinite(gradient).all()):
            raise not_finite(terms, self.evaluations)
        if self.journal:
            self.journal.append(image, terms, gradient, seconds)
        return terms, gradient, seconds

    def grads(self, x: np.ndarray) -> np.ndarray:
        """The gradient with respect to the optimizer's variables at `x`, flat, in float64."""
        if self._gradient is None or not np.array_equal(x, self._x):
            self.loss(x)
        gradient, self._gradient = self._gradient, None
        if self._spectrum is not None:
            gradient = filtered(gradient, self._spectrum)  # the filter is symmetric
        return gradient.ravel().astype(np.float64)

    def image_at(self, x: np.ndarray) -> np.ndarray:
        """The image, float32 (1, H, W, 3), for the optimizer's variables `x`."""
        image = x.reshape(self.best.shape).astype(np.float32)
        if self._spectrum is None:
            return image
        return self._origin + filtered(image, self._spectrum)


def not_finite(terms: np.ndarray, evaluation: int) -> NotFinite:
    """The error that names each term that is not a finite number."""
    by_name = dict(zip(FRAME_TERMS, terms, strict=False))  # only clips have the last term
    wrong = [f"the {name} loss is {v}" for name, v in by_name.items() if not np.isfinite(v)]
    what = " and ".join(wrong) or "the gradient is not finite"
    return NotFinite(f"evaluation {evaluation} of this size: {what}")


def spectrum(shape: tuple[int, ...], exponent: float) -> np.ndarray:
    """Factors frequency^−exponent with mean square 1, for the real Fourier transform of an image.

    Args:
        shape: of the image, (1, H, W, 3).
        exponent: above 0.

    Returns:
        float32 (1, H, W // 2 + 1, 1).
    """
    rows, columns = shape[1:3]
    frequency = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None, :])
    frequency[0, 0] = 1 / max(rows, columns)  # treat the mean as the longest wave that fits
    factors = frequency**-exponent
    return (factors / np.sqrt(np.mean(np.square(factors)))).astype(np.float32)[None, :, :, None]


def filtered(image: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """An image (1, H, W, 3) with each of its frequencies multiplied by a factor, float32."""
    waves = scipy.fft.rfft2(image, axes=(1, 2), workers=-1)
    return scipy.fft.irfft2(waves * factors, s=image.shape[1:3], axes=(1, 2), workers=-1)
