"""What scipy calls: once evaluated, the gradient is at hand; what is not finite is named."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import fmin_l_bfgs_b

from evaluator import Evaluator, NotFinite

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


def test_the_gradient_at_another_place_is_not_that_of_the_last_one(bowl):
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
        on_evaluation=lambda terms, seconds: told.append((terms.sum(), seconds)),
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


def test_an_exception_of_the_listener_ends_the_optimisation(bowl):
    class Enough(Exception):
        pass

    def listen(terms, seconds):
        if len(bowl.asked) == 2:
            raise Enough

    evaluator = Evaluator(bowl, np.zeros(SHAPE, np.float32), on_evaluation=listen)
    with pytest.raises(Enough):
        fmin_l_bfgs_b(evaluator.loss, np.zeros(36), fprime=evaluator.grads)
    assert len(bowl.asked) == 2
