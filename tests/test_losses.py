"""Loss terms beside their formulas in NumPy, float64."""

import numpy as np
import pytest
import reference
from numpy.testing import assert_allclose

import losses

SCALES = ["keras", "relative"]


@pytest.fixture(scope="module")
def features():
    rng = np.random.default_rng(1)
    return rng.uniform(0, 50, (2, 1, 7, 9, 5)).astype(np.float32)


def flat(features):
    return features.reshape(-1, features.shape[-1]).astype(np.float64)


def test_the_gram_matrix_is_a_sum_over_positions(features):
    expected = np.einsum("bhwi,bhwj->ij", *[features[0].astype(np.float64)] * 2)
    assert_allclose(losses.gram_matrix(features[0]), expected, rtol=1e-5)


def test_the_gram_matrix_does_not_change_when_positions_are_exchanged(features):
    shuffled = np.random.default_rng(2).permutation(features[0].reshape(63, 5))
    shuffled = shuffled.reshape(features[0].shape)
    assert_allclose(losses.gram_matrix(shuffled), losses.gram_matrix(features[0]), rtol=1e-5)


def test_the_squared_error_is_a_sum(features):
    expected = ((features[0].astype(np.float64) - features[1]) ** 2).sum()
    assert_allclose(losses.squared_error(*features), expected, rtol=1e-5)


@pytest.mark.parametrize("scale", SCALES)
def test_the_content_factor_makes_the_squared_error_the_content_loss(scale, features):
    f, p = features
    loss = losses.content_factor(scale, p) * losses.squared_error(f, p)
    assert_allclose(loss, reference.content_loss(scale, flat(f), flat(p)), rtol=1e-5)


@pytest.mark.parametrize("scale", SCALES)
def test_the_style_factor_makes_the_squared_error_the_style_loss(scale, features):
    f, s = features
    gram, target = losses.gram_matrix(f), losses.gram_matrix(s)
    loss = losses.style_factor(scale, target, (28, 36)) * losses.squared_error(gram, target)
    assert_allclose(loss, reference.style_loss(scale, flat(f), flat(s), (28, 36)), rtol=1e-5)


@pytest.mark.parametrize("size", [(8, 8), (5, 13), (2, 2)])
def test_total_variation_is_that_of_the_keras_example(size):
    image = np.random.default_rng(3).uniform(-130, 130, (1, *size, 3)).astype(np.float32)
    assert_allclose(losses.total_variation(image), reference.total_variation(image), rtol=1e-5)


def test_total_variation_counts_by_hand():
    image = np.zeros((1, 3, 3, 3), np.float32)
    image[0, 1, 1, 0] = 2  # a neighbour of two others, and itself a corner: 4, 4 and 4 + 4
    assert_allclose(losses.total_variation(image), 2 * 4**1.25 + 8**1.25, rtol=1e-6)


def test_a_flat_picture_has_no_total_variation():
    assert float(losses.total_variation(np.full((1, 6, 6, 3), 77, np.float32))) == 0


@pytest.mark.parametrize("factor", ["content", "style"])
def test_a_black_target_divides_by_no_zero(factor):
    if factor == "content":
        value = losses.content_factor("relative", np.zeros((1, 4, 4, 3), np.float32))
    else:
        value = losses.style_factor("relative", np.zeros((3, 3), np.float32), (4, 4))
    assert np.isfinite(float(value))
