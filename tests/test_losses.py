"""Loss terms beside their formulas in NumPy, float64."""

import keras
import numpy as np
import pytest
import reference
import scipy.linalg
from numpy.testing import assert_allclose
from skimage.exposure import match_histograms

from style_transfer import backends, gaussians, losses
from style_transfer.backends import value_and_grad

SCALES = ["keras", "relative", "gatys", "matconvnet", "pytorch"]


@pytest.fixture(scope="module")
def features():
    rng = np.random.default_rng(1)
    return rng.uniform(0, 50, (2, 1, 7, 9, 5)).astype(np.float32)


def flat(features):
    return features.reshape(-1, features.shape[-1]).astype(np.float64)


def test_gram_matrix_sums_over_positions(features):
    expected = np.einsum("bhwi,bhwj->ij", *[features[0].astype(np.float64)] * 2)
    assert_allclose(losses.gram_matrix(features[0]), expected, rtol=1e-5)


def test_gram_matrix_ignores_positions(features):
    shuffled = np.random.default_rng(2).permutation(features[0].reshape(63, 5))
    shuffled = shuffled.reshape(features[0].shape)
    assert_allclose(losses.gram_matrix(shuffled), losses.gram_matrix(features[0]), rtol=1e-5)


def test_squared_error_is_a_sum(features):
    expected = ((features[0].astype(np.float64) - features[1]) ** 2).sum()
    assert_allclose(losses.squared_error(*features), expected, rtol=1e-5)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("scale", SCALES)
def test_content_loss_is_its_formula(scale, layers, features):
    f, p = features
    loss = losses.content_loss(f, p, scale, layers)
    assert_allclose(loss, reference.content_loss(scale, flat(f), flat(p), layers), rtol=1e-5)


@pytest.mark.parametrize("layers", [1, 5])
@pytest.mark.parametrize("scale", SCALES)
def test_gram_loss_is_its_formula(scale, layers, features):
    f, s = features
    at = losses.LayerScale(scale, (28, 36), 7 * 9, layers)
    loss = losses.gram_loss(losses.gram_matrix(f), losses.mean_gram(s), at)
    expected = reference.style_loss(scale, flat(f), flat(s), (28, 36), layers)
    assert_allclose(loss, expected, rtol=1e-5)


@pytest.mark.parametrize("size", [(8, 8), (5, 13), (2, 2)])
def test_total_variation_is_the_keras_example_s(size):
    image = np.random.default_rng(3).uniform(-130, 130, (1, *size, 3)).astype(np.float32)
    assert_allclose(losses.total_variation(image), reference.total_variation(image), rtol=1e-5)


def test_total_variation_counts_by_hand():
    image = np.zeros((1, 3, 3, 3), np.float32)
    image[0, 1, 1, 0] = 2  # a neighbour of two others, and itself a corner: 4, 4 and 4 + 4
    assert_allclose(losses.total_variation(image), 2 * 4**1.25 + 8**1.25, rtol=1e-6)


@pytest.mark.parametrize("height, expected", [(0, 0), (3, 10**0.5 - 1), (200, 40001**0.5 - 1)])
def test_smooth_variation_of_an_edge_is_its_height(height, expected):
    edge = np.zeros((1, 1, 6, 1), np.float32)
    edge[:, :, 3:] = height
    assert_allclose(losses.charbonnier_variation(edge), expected, rtol=1e-5)
    ramp = np.linspace(0, 200, 5, dtype=np.float32)[None, None, :, None]
    assert_allclose(losses.charbonnier_variation(ramp), 4 * (2501**0.5 - 1), rtol=1e-5)


def test_a_flat_picture_has_no_total_variation():
    assert float(losses.total_variation(np.full((1, 6, 6, 3), 77, np.float32))) == 0


@pytest.mark.parametrize("factor", ["content", "style"])
def test_a_black_target_divides_by_no_zero(factor):
    if factor == "content":
        value = losses.content_factor("relative", 0.0, 4 * 4 * 3)
    else:
        at = losses.LayerScale("relative", (4, 4))
        value = losses.style_factor(np.zeros((3, 3), np.float32), at)
    assert np.isfinite(float(value))


# Histograms


def image_like(matrix):
    """(M, N) as features (1, M, 1, N)."""
    return matrix[None, :, None, :].astype(np.float32)


def matched(o, s):
    target = losses.quantiles(image_like(s))
    return np.asarray(losses.histogram_match(image_like(o), target))[0, :, 0].astype(np.float64)


RANDOM = {
    "uniform": lambda rng, size: rng.uniform(-1, 3, size),
    "normal": lambda rng, size: rng.normal(0, 2, size),
    "skewed": lambda rng, size: rng.gamma(0.5, 3, size),
    "heavy-tailed": lambda rng, size: rng.lognormal(0, 1, size),
}


@pytest.mark.parametrize("positions, style_positions", [(20000, 20000), (30000, 7000), (999, 4000)])
@pytest.mark.parametrize("target", RANDOM)
@pytest.mark.parametrize("kind", RANDOM)
def test_histograms_match_as_by_sorting(kind, target, positions, style_positions):
    rng = np.random.default_rng(6)
    o = RANDOM[kind](rng, (positions, 2))
    s = 5 * RANDOM[target](rng, (style_positions, 2)) + 1
    found = matched(o, s)
    expectations = [reference.matched_by_sorting(o, s)]
    if positions > 1000:  # its levels, (k + 1) / M, are half a rank off those from 0 to 1
        expectations.append(match_histograms(o, s, channel_axis=-1))
    for expected in expectations:
        error = np.sqrt(np.mean((found - expected) ** 2, axis=0)) / s.std(axis=0)
        assert (error < 0.01).all()


def test_matched_histogram_has_target_s_moments():
    rng = np.random.default_rng(7)
    o, s = rng.normal(3, 1, (5000, 3)), rng.gamma(2, 4, (8000, 3))
    found = matched(o, s)
    assert_allclose(found.mean(axis=0), s.mean(axis=0), rtol=0.01)
    assert_allclose(found.std(axis=0), s.std(axis=0), rtol=0.01)
    assert (np.diff(np.take_along_axis(found, o.argsort(axis=0), axis=0), axis=0) >= 0).all()


def test_histogram_matched_to_itself_stays():
    features = np.random.default_rng(8).gamma(0.5, 30, (9000, 2))
    error = matched(features, features) - features
    assert (np.sqrt(np.mean(error**2, axis=0)) < 0.01 * features.std(axis=0)).all()


def test_many_zeros_match_as_by_sorting():
    rng = np.random.default_rng(9)
    o = np.maximum(rng.normal(-0.5, 1, (6000, 3)), 0)  # 69 % zeros
    s = np.maximum(rng.normal([0.5, -0.3, -2], 2, (4000, 3)), 0)  # 40 %, 56 % and 84 %
    found, expected = matched(o, s), reference.matched_by_sorting(o, s)
    assert np.isfinite(found).all()
    error = np.sqrt(np.mean((found - expected) ** 2, axis=0))
    assert (error < 0.01 * s.std(axis=0)).all()
    assert (found[:, 1:][o[:, 1:] == 0] == 0).all()  # zeros stay where zero is the style's median


@pytest.mark.parametrize("value", [0, -7.25, 1e4, 1e-7])
def test_constant_channels_and_styles_are_matched(value):
    rng = np.random.default_rng(10)
    constant, other = np.full((500, 1), value), rng.normal(5, 2, (800, 1))
    found = matched(constant, other)
    assert_allclose(found, np.median(other), atol=0.02 * other.std())
    assert_allclose(matched(other, constant), value, rtol=1e-6)


@pytest.mark.parametrize("positions", [1, 2, 3])
def test_very_few_positions_are_matched(positions):
    o = np.arange(positions, dtype=float)[:, None]
    s = np.array([[10.0], [20], [30]])
    assert_allclose(matched(o, s), reference.matched_by_sorting(o, s), rtol=1e-3)
    assert np.isfinite(matched(s, o)).all()


def test_histogram_gradient_goes_through_features_only():
    rng = np.random.default_rng(11)
    o, s = image_like(rng.normal(size=(300, 4))), image_like(rng.gamma(2, size=(200, 4)))
    target = losses.quantiles(s)

    def loss(x):
        return losses.squared_error(x, losses.histogram_match(x, target))[None]

    _, gradient = value_and_grad(loss)(o)
    expected = 2 * (o - np.asarray(losses.histogram_match(o, target)))
    assert_allclose(gradient, expected, rtol=1e-5, atol=1e-5)


# Wasserstein distance


def distance(f, s):
    with backends.float64():
        target = gaussians.gaussian(image_like(s))
    loss = value_and_grad(lambda x: gaussians.wasserstein(gaussians.spread(x), target)[None])
    return loss(image_like(f))


def relu_features(rng, positions, channels, rank):
    """Correlated features after a ReLU, (positions, channels)."""
    mixed = rng.normal(size=(positions, rank)) @ rng.normal(size=(rank, channels))
    return np.maximum(10 * mixed + rng.normal(0, 5, channels), 0)


def test_moments_and_factor_are_numpy_s(features):
    mean, covariance = gaussians.moments(features[0])
    expected = np.cov(flat(features[0]).T, bias=True)
    assert_allclose(mean, flat(features[0]).mean(axis=0), rtol=1e-5)
    assert_allclose(covariance, expected, rtol=1e-4, atol=1e-5 * expected.max())
    for positions, rank in [(63, 5), (4, 3)]:
        few = features[0].reshape(1, 63, 1, 5)[:, :positions]
        with backends.float64():
            factor = np.asarray(gaussians.gaussian(few).factor)
        expected = np.cov(flat(few).T, bias=True)
        assert factor.shape == (5, rank)
        assert_allclose(factor @ factor.T, expected, atol=1e-5 * expected.max())


def wasserstein_slope(f, s):
    """The gradient of the distance by f, (M, N), float64: of the trace's, −2 U Kᵀ / √M.

    U is the polar factor of D K / √M, K the centered s, transposed; directions that one of the two
    lacks have no slope.
    """
    d, k = (x - x.mean(axis=0) for x in (f, s))
    left, values, right = np.linalg.svd(d @ k.T, full_matrices=False)
    full = values > 1e-7 * values.max()
    cross = left[:, full] @ right[full] @ k / np.sqrt(len(f) * len(s))
    return 2 * (d + f.mean(axis=0) - s.mean(axis=0)) / len(f) - 2 * cross


@pytest.mark.parametrize("positions", [30, 63, 64, 65, 80, 400])
@pytest.mark.parametrize("style_positions", [20, 64, 300])
@pytest.mark.parametrize("silent", ["", "own", "style's", "both"])
def test_wasserstein_and_its_gradient_in_float64(silent, style_positions, positions):
    rng = np.random.default_rng(17)
    f, s = relu_features(rng, positions, 64, 40), relu_features(rng, style_positions, 64, 40)
    if silent in ("own", "both"):
        f[:, ::5] = 0
    if silent in ("style's", "both"):
        s[:, ::3] = 0
    f, s = f.astype(np.float32).astype(np.float64), s.astype(np.float32).astype(np.float64)
    value, gradient = distance(f, s)
    assert_allclose(value[0], reference.wasserstein_loss("keras", f, s), rtol=1e-4)
    expected = wasserstein_slope(f, s)
    error = np.linalg.norm(gradient[0, :, 0] - expected) / np.linalg.norm(expected)
    assert error < 1e-4
    for array, again in zip((value, gradient), distance(f, s), strict=True):
        assert np.array_equal(array, again)


def test_small_eigenvalues_of_a_graded_matrix_are_exact():
    rng = np.random.default_rng(18)
    scales, features = np.geomspace(1, 1e-4, 48), rng.normal(size=(200, 48))
    matrix = (scales[:, None] * (features.T @ features) * scales).astype(np.float32)
    with backends.float64():
        values, axes = map(np.asarray, backends.graded_eigh(keras.ops.convert_to_tensor(matrix)))
    assert values.dtype == axes.dtype == np.float32
    expected = np.linalg.eigvalsh(matrix.astype(np.float64))
    assert_allclose(values, expected, rtol=1e-4)  # the smallest is 1e-8 of the largest
    rebuilt = (axes * values) @ axes.T
    # Errors relative to the largest eigenvalue would be 1e3 in the last rows.
    assert_allclose(rebuilt / scales / scales[:, None], features.T @ features, atol=1)


@pytest.mark.parametrize("positions, style_positions", [(900, 900), (2500, 700)])
@pytest.mark.parametrize("channels", [3, 64])
def test_wasserstein_is_that_of_scipy_s_roots(channels, positions, style_positions):
    rng = np.random.default_rng(12)
    f = relu_features(rng, positions, channels, 20)
    s = relu_features(rng, style_positions, channels, 20)
    value, _ = distance(f, s)
    c, c_style = np.cov(f.T, bias=True), np.cov(s.T, bias=True)
    root = scipy.linalg.sqrtm(c_style)
    cross = scipy.linalg.sqrtm(root @ c @ root).real
    shift = ((f.mean(axis=0) - s.mean(axis=0)) ** 2).sum()
    assert_allclose(value[0], shift + np.trace(c + c_style - 2 * cross), rtol=1e-4)
    assert_allclose(value[0], reference.wasserstein_loss("keras", f, s), rtol=1e-4)


def test_wasserstein_of_shifted_and_scaled_features():
    f = relu_features(np.random.default_rng(13), 400, 6, 6)
    shift = np.arange(6)
    assert_allclose(distance(f + shift, f)[0], (shift**2).sum(), rtol=1e-4)
    spread = f - f.mean(axis=0)
    expected = (spread**2).sum() / len(f)  # (2 − 1)² tr C
    assert_allclose(distance(2 * spread, spread)[0], expected, rtol=1e-4)


def test_wasserstein_gradient_is_the_finite_difference():
    rng = np.random.default_rng(14)
    f, s = relu_features(rng, 300, 8, 8), relu_features(rng, 200, 8, 8)
    _, gradient = distance(f, s)
    gradient = gradient[0, :, 0].astype(np.float64)
    for _ in range(4):
        direction, step = rng.normal(size=f.shape), 1e-4
        ahead, behind = (
            reference.wasserstein_loss("keras", f + sign * step * direction, s) for sign in (1, -1)
        )
        error = (ahead - behind) / (2 * step) - (gradient * direction).sum()
        assert abs(error) < 1e-4 * np.linalg.norm(gradient)


@pytest.mark.parametrize("positions", [900, 40])  # more and fewer than channels
@pytest.mark.parametrize("channels", [16, 128])
def test_wasserstein_of_equal_features_is_zero(positions, channels):
    rng = np.random.default_rng(15)
    f = relu_features(rng, positions, channels, 12)
    shuffled = rng.permutation(f)
    value, gradient = distance(shuffled, f)
    assert abs(value[0]) < 1e-4 * np.mean(np.sum(f**2, axis=1))
    usual = distance(relu_features(rng, positions, channels, 12), f)[1]
    assert np.linalg.norm(gradient) < 0.05 * np.linalg.norm(usual)


@pytest.mark.parametrize("case", ["few positions", "dead channels", "equal channels", "constant"])
def test_wasserstein_of_rank_deficient_features(case):
    rng = np.random.default_rng(16)
    f, s = relu_features(rng, 60, 64, 8), relu_features(rng, 30, 64, 8)
    if case == "dead channels":
        f[:, ::2] = 0
        s[:, ::3] = 0
    if case == "equal channels":
        f[:], s[:] = f[:, :1], s[:, :1]
    if case == "constant":
        f[:], s[:] = 3, 0
    for one, other in [(f, s), (s, f)]:
        value, gradient = distance(one, other)
        assert np.isfinite(value).all() and np.isfinite(gradient).all()
        assert np.abs(gradient).max() < 100 * max(np.abs(f).max(), np.abs(s).max())
        assert_allclose(value[0], reference.wasserstein_loss("keras", one, other), rtol=1e-4)
        # Stepping down the slope leads down.
        lower, _ = distance(one - 0.1 * len(one) / 2 * gradient[0, :, 0], other)
        assert lower[0] < value[0]
