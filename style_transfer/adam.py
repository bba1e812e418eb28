"""Adam instead of L-BFGS, as in the TensorFlow tutorials (`--optimizer adam`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import keras
import numpy as np

from style_transfer.images import VALID_RANGE
from style_transfer.settings import Settings

# Keras's epsilon, 1e-7, is larger than a relative loss's gradient per pixel (4e-8 at 200 rows).
EPSILON = 1e-12


class Evaluations(Protocol):
    """The part of `Evaluator` that Adam uses."""

    start: np.ndarray

    def loss(self, x: np.ndarray) -> float: ...

    def grads(self, x: np.ndarray) -> np.ndarray: ...


def descend_with_adam(
    evaluator: Evaluations, steps: int, settings: Settings, on_step: Callable[[np.ndarray], None]
) -> np.ndarray:
    """Run Adam (Kingma and Ba, arXiv 1412.6980) from the evaluator's start.

    Args:
        evaluator: an `Evaluator`.
        steps: how many steps to take.
        settings: `learning_rate` in pixel values, and `clip`.
        on_step: called with the variables after each step.

    Returns:
        The variables after the last step, flat, float32.
    """
    variable = keras.Variable(evaluator.start.astype(np.float32), dtype="float32")
    optimizer = keras.optimizers.Adam(settings.learning_rate, epsilon=EPSILON)
    for _ in range(steps):
        x = keras.ops.convert_to_numpy(variable).astype(np.float64)
        evaluator.loss(x)
        gradient = evaluator.grads(x).astype(np.float32)
        optimizer.apply([keras.ops.convert_to_tensor(gradient, "float32")], [variable])
        if settings.clip:
            pixels = keras.ops.convert_to_numpy(variable).reshape(-1, 3)
            variable.assign(np.clip(pixels, *VALID_RANGE.T).ravel())
        on_step(keras.ops.convert_to_numpy(variable))
    return keras.ops.convert_to_numpy(variable)
