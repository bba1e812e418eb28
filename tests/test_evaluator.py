"""What scipy calls: once evaluated, the gradient is at hand; what is not finite is named."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import fmin_l_bfgs_b

from evaluator import Evaluator
from style_transfer.errors import NotFinite

SHAPE = (1, 3, 4, 3)
GOAL = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)


class Bowl:
    """Σ(x − goal)² in three terms; counts how often it is asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, image):
        assert image.dtype == np.float32 and image.shape == SHAPE
        self.asked.append(image)
        total = np.square(image - GOAL).sum()
        terms = np.array([total / 2, total / 4, total / 4], np.float32)
        return terms, 2 * (image - GOAL)


@pytest.fixture
def bowl():
    return Bowl()


def test_one_evaluation_answers_for_loss_and_gradient(bowl):
    evaluator = Evaluator(bowl, np.zeros(SHAPE, np.float32))
    x = np.random.default_rng(2).normal(size=36)
    loss, gradient = evaluator.loss(x), evaluator.grads(x)
    difference = x.astype(np.float32) - GOAL.ravel()
    assert loss == pytest.approx(np.square(difference).sum(), rel=1e-6)
    assert_allclose(gradient, 2 * difference, rtol=1e-6)
    assert isinstance(loss, float) and gradient.dtype == np.float64 and gradient.shape == (36,)
    assert len(bowl.asked) == evaluator.evaluations == 1


def test_another_image_gets_a_gradient_of_its_own(bowl):
    evaluator = Evaluator(bowl, np.zeros(SHAPE, np.float32))
    evaluator.loss(np.zeros(36))
    assert_allclose(evaluator.grads(np.ones(36)), 2 * (1 - GOAL.ravel()), rtol=1e-6)


def test_an_x_changed_in_place_is_another_place(bowl):
    evaluator = Evaluator(bowl, np.zeros(SHAPE, np.float32))
    x = np.zeros(36)
    evaluator.loss(x)
    x += 1  # scipy hands over its working array
    assert_allclose(evaluator.grads(x), 2 * (1 - GOAL.ravel()), rtol=1e-6)


def test_scipy_reaches_the_goal_and_every_evaluation_is_told(bowl):
    told = []
    evaluator = Evaluator(
        bowl,
        np.zeros(SHAPE, np.float32),
        on_evaluation=lambda terms, seconds, replayed: told.append((terms.sum(), seconds)),
    )
    x, _, report = fmin_l_bfgs_b(evaluator.loss, np.zeros(36), fprime=evaluator.grads)
    assert_allclose(x, GOAL.ravel(), atol=1e-4)
    assert len(bowl.asked) == evaluator.evaluations == len(told) == report["funcalls"]
    assert all(seconds >= 0 for _, seconds in told)
    assert evaluator.last_loss == pytest.approx(told[-1][0])


def test_the_best_image_is_that_of_the_lowest_loss(bowl):
    evaluator = Evaluator(bowl, np.zeros(SHAPE, np.float32))
    for share in (0.5, 0.9, 0.2, 2.0):
        evaluator.loss(GOAL.ravel().astype(np.float64) * share)
    assert_allclose(evaluator.best, GOAL * 0.9, rtol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("term, name", [(0, "content"), (1, "style"), (2, "total_variation")])
def test_a_term_that_is_not_finite_is_named(value, term, name):
    terms = np.ones(3, np.float32)
    terms[term] = value
    evaluator = Evaluator(lambda image: (terms, image), np.zeros(SHAPE, np.float32))
    with pytest.raises(NotFinite) as error:
        evaluator.loss(np.zeros(36))
    others = {"content", "style", "total_variation"} - {name}
    assert f"{name} loss is {value}" in str(error.value)
    assert not any(f"{other} loss" in str(error.value) for other in others)


def test_a_gradient_that_is_not_finite_is_named():
    gradient = np.zeros(SHAPE, np.float32)
    gradient[0, 1, 1, 1] = np.nan
    evaluator = Evaluator(lambda image: (np.ones(3), gradient), np.zeros(SHAPE, np.float32))
    with pytest.raises(NotFinite, match="gradient is not finite"):
        evaluator.loss(np.zeros(36))


def test_an_exception_of_the_listener_ends_the_optimization(bowl):
    class Enough(Exception):
        pass

    def listen(terms, seconds, replayed):
        if len(bowl.asked) == 2:
            raise Enough

    evaluator = Evaluator(bowl, np.zeros(SHAPE, np.float32), on_evaluation=listen)
    with pytest.raises(Enough):
        fmin_l_bfgs_b(evaluator.loss, np.zeros(36), fprime=evaluator.grads)
    assert len(bowl.asked) == 2


# The optimizer's variables by frequency

WIDE = (1, 12, 15, 3)


@pytest.fixture
def waves():
    """An evaluator whose objective is ½ Σ x², at a start of its own, preconditioned by ½."""
    start = np.random.default_rng(3).normal(size=WIDE).astype(np.float32)

    def objective(image):
        return np.array([np.square(image).sum() / 2, 0, 0], np.float32), image

    return Evaluator(objective, start, precondition=0.5)


def test_the_optimizer_starts_at_the_image(waves, bowl):
    assert_allclose(waves.image_at(waves.start), waves.best, rtol=1e-6)
    pixels = Evaluator(bowl, GOAL)
    assert_allclose(pixels.image_at(pixels.start), GOAL)


def test_four_times_the_frequency_moves_half_as_much(waves):
    def moved(cycles):
        wave = np.cos(2 * np.pi * cycles * np.arange(12) / 12)[None, :, None, None]
        wave = np.broadcast_to(wave, WIDE)
        change = waves.image_at(wave.ravel()) - waves.image_at(waves.start)
        size = (change * wave).sum() / (wave * wave).sum()
        assert_allclose(change, size * wave, atol=1e-5)  # the same wave, no other
        return size

    assert moved(1) == pytest.approx(2 * moved(4), rel=1e-4)


def test_white_noise_keeps_its_size_in_the_variables():
    evaluator = Evaluator(
        lambda image: None, np.zeros((1, 64, 64, 3), np.float32), precondition=0.3
    )
    noise = np.random.default_rng(4).normal(size=64 * 64 * 3)
    assert evaluator.image_at(noise).std() == pytest.approx(1, rel=0.1)


def test_the_gradient_is_by_the_optimizer_s_variables(waves):
    rng = np.random.default_rng(5)
    z = rng.normal(size=waves.start.size)
    waves.loss(z)
    gradient = waves.grads(z)
    for _ in range(4):
        direction = rng.normal(size=z.size)
        # The loss is a parabola: central differences are exact for any step but for rounding.
        slope = (waves.loss(z + direction) - waves.loss(z - direction)) / 2
        error = abs(slope - gradient @ direction)
        assert error < 1e-4 * np.linalg.norm(gradient) * np.linalg.norm(direction)


def test_preconditioned_too_scipy_reaches_the_goal(waves):
    z, _, _ = fmin_l_bfgs_b(waves.loss, waves.start, fprime=waves.grads)
    assert_allclose(waves.image_at(z), 0, atol=1e-3)
