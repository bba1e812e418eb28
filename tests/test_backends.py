"""Terms and gradient beside the chain rule written out in NumPy, in float64."""

import numpy as np
import pytest
from keras import ops
from numpy.testing import assert_allclose

from autodiff import value_and_grad


def nothing(x, factor):
    return ops.zeros((2,))


@pytest.mark.parametrize("deepest", [False, True])
def test_terms_of_all_stages_and_their_gradients_add_up(deepest):
    def squares(x, factor):
        return ops.stack([ops.sum(ops.square(x)), 0.0])

    def sines(y, factor):
        return ops.stack([0.0, factor * ops.sum(ops.sin(y))])

    # y = 2x, then no terms, then z = y² with terms or without.
    stages = [
        (lambda x: 2 * x, sines),
        (lambda y: y, nothing),
        (ops.square, sines if deepest else nothing),
    ]
    x = np.random.default_rng(1).normal(size=(4, 5)).astype(np.float32)
    factor = np.float32(3)
    terms, gradient = value_and_grad(squares, stages)(x, factor)
    x = x.astype(np.float64)
    y, z = 2 * x, 4 * x**2
    expected = [np.sum(x**2), 3 * (np.sin(y).sum() + deepest * np.sin(z).sum())]
    slope = 2 * x + 3 * (2 * np.cos(y) + deepest * 8 * x * np.cos(z))
    assert_allclose(terms, expected, rtol=1e-5)
    assert_allclose(gradient, slope, rtol=1e-5, atol=1e-5)
