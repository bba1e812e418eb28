"""What scipy calls: one evaluation of the network answers both the loss and its gradient."""

import time
from collections.abc import Callable

import numpy as np
import scipy.fft

from objective import TERMS
from results import Journal


class NotFinite(ArithmeticError):
    """A term of the loss, or the gradient, is NaN or infinite."""

    def __init__(self, terms: np.ndarray, evaluation: int):
        values = dict(zip(TERMS, terms, strict=True))
        wrong = [f"the {name} loss is {v}" for name, v in values.items() if not np.isfinite(v)]
        what = " and ".join(wrong) or "the gradient is not finite"
        super().__init__(f"evaluation {evaluation} of this size: {what}")


class Evaluator:
    """Loss and gradient for `fmin_l_bfgs_b`, which asks for the two in separate calls.

    Every answer is appended to a journal, and while a journal holds answers from before, they
    come from there. scipy is deterministic: the same answers lead to the same questions, so the
    optimiser ends up exactly where it stood when the journal was written.

    Args:
        objective: from an image, float32 (1, H, W, 3), to (terms, gradient); see objective.py.
        image: where the optimiser starts, float32 (1, H, W, 3).
        journal: where answers are kept, or None.
        on_evaluation: called as on_evaluation(terms, seconds) after every evaluation. An
            exception that it raises ends the optimisation; the evaluation is in the journal then.
        precondition: the optimiser moves in variables in which an image's frequency f counts
            f^−precondition as much: x = x₀ + F⁻¹ S F z with the Fourier transform F. Large shapes
            then come before small ones. 0: it moves pixels.
    """

    def __init__(
        self,
        objective: Callable,
        image: np.ndarray,
        journal: Journal | None = None,
        on_evaluation: Callable[[np.ndarray, float], None] = lambda terms, seconds: None,
        precondition: float = 0.0,
    ):
        self.objective = objective
        self.best = image  # the image of the lowest loss so far
        self._origin, self._spectrum = image, None
        self.start = image.ravel().astype(np.float64)  # where the optimiser starts, flat
        if precondition:
            self._spectrum = spectrum(image.shape, precondition)
            self.start = np.zeros_like(self.start)
        self.journal = journal
        self.on_evaluation = on_evaluation
        self.evaluations = 0
        self.last_loss = np.inf
        self._lowest = np.inf
        self._x = None
        self._gradient = None

    def loss(self, x: np.ndarray) -> float:
        """The loss at `x`, flat, in float64. The gradient is kept for `grads`.

        Raises:
            NotFinite: naming the term that is not a finite number.
            JournalMismatch: the journal holds the answer to another question.
        """
        image = self.image_at(x)
        kept = self.journal.answer(image) if self.journal else None
        if kept:
            terms, gradient, seconds = kept
        else:
            started = time.perf_counter()
            terms, gradient = self.objective(image)
            seconds = time.perf_counter() - started
            if not (np.isfinite(terms).all() and np.isfinite(gradient).all()):
                raise NotFinite(terms, self.evaluations)
            if self.journal:
                self.journal.append(image, terms, gradient, seconds)
        self.evaluations += 1
        self._x = x.copy()
        self._gradient = gradient
        self.last_loss = float(terms.sum(dtype=np.float64))
        if self.last_loss < self._lowest:
            self._lowest, self.best = self.last_loss, image
        self.on_evaluation(terms, seconds)
        return self.last_loss

    def grads(self, x: np.ndarray) -> np.ndarray:
        """The gradient by the optimiser's variables at `x`, flat, in float64."""
        if self._gradient is None or not np.array_equal(x, self._x):
            self.loss(x)
        gradient, self._gradient = self._gradient, None
        if self._spectrum is not None:
            gradient = filtered(gradient, self._spectrum)  # the filter is symmetric
        return gradient.ravel().astype(np.float64)

    def image_at(self, x: np.ndarray) -> np.ndarray:
        """The image, float32 (1, H, W, 3), that the optimiser's variables `x` stand for."""
        image = x.reshape(self.best.shape).astype(np.float32)
        if self._spectrum is None:
            return image
        return self._origin + filtered(image, self._spectrum)


def spectrum(shape: tuple[int, ...], exponent: float) -> np.ndarray:
    """frequency^−exponent of mean square 1, for the real Fourier transform of (1, H, W, 3)."""
    rows, columns = shape[1:3]
    frequency = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None, :])
    frequency[0, 0] = 1 / max(rows, columns)  # the mean counts as the largest wave that fits
    weights = frequency**-exponent
    return (weights / np.sqrt(np.mean(np.square(weights)))).astype(np.float32)[None, :, :, None]


def filtered(image: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """An image (1, H, W, 3) with its spectrum weighted, float32."""
    waves = scipy.fft.rfft2(image, axes=(1, 2), workers=-1)
    return scipy.fft.irfft2(waves * weights, s=image.shape[1:3], axes=(1, 2), workers=-1)
