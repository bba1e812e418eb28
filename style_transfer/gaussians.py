"""Normal distributions fitted to features, and the Wasserstein-2 distance between them.

Features F are (1, H, W, N): M = H·W positions of N channels.
"""

from typing import Any, NamedTuple

from keras import ops

from style_transfer import backends

# A direction counts as empty if its variance is a smaller share of the largest one.
EMPTY = 1e-12
# In float32, vᵀ A v is 1e-3 or more of Σ vᵢ² Aᵢᵢ for directions v that features have, and below
# 1e-6 for those that silent channels leave empty (see `_cross_of_covariance`).
EMPTY_SHARE = 1e-5
# With fewer positions per channel, float32's rounding of the covariance distorts its weakest
# directions: by 2e-4 of the gradient at 65 positions of 64 channels, by less than 1e-4 at 80.
MANY = 1.25


class Moments(NamedTuple):
    """Mean (N,) and covariance (N, N) of features over positions."""

    mean: Any
    covariance: Any


class Deviations(NamedTuple):
    """Mean (N,) and deviations from it (M, N), for features with few positions."""

    mean: Any
    deviations: Any


class Gaussian(NamedTuple):
    """Mean (N,), and a factor K (N, r) of the covariance K Kᵀ."""

    mean: Any
    factor: Any


def moments(features) -> Moments:
    """Mean and covariance of features (1, H, W, N) over positions."""
    mean, deviations = _centered(features)
    # The average of the product and its transpose, as in `losses.gram_matrix`.
    half = ops.matmul(ops.transpose(ops.stop_gradient(deviations)), deviations)
    total = half + ops.transpose(half) - ops.stop_gradient(half)
    return Moments(mean, total / deviations.shape[0])


def spread(features) -> Moments | Deviations:
    """Moments or deviations of features (1, H, W, N), whichever are smaller, for `wasserstein`."""
    count = features.shape[1] * features.shape[2]
    few = count < MANY * features.shape[-1]
    return Deviations(*_centered(features)) if few else moments(features)


def _centered(features) -> tuple:
    """Mean (N,) and deviations (M, N).

    The gradient treats the subtracted mean as constant: deviations add up to 0, so the mean
    contributes nothing to the gradient of any function of their products.
    """
    matrix = ops.reshape(features, (-1, features.shape[-1]))
    mean = ops.mean(matrix, axis=0)
    return mean, matrix - ops.stop_gradient(mean)


def gaussian(features) -> Gaussian:
    """The normal distribution fitted to features (1, H, W, N)."""
    return gaussian_of(moments(features), features.shape[1] * features.shape[2])


def gaussian_of(found: Moments, positions: int) -> Gaussian:
    """The normal distribution with these moments, which were taken over `positions` positions.

    The columns of K are the principal axes times their standard deviations, largest first; M
    positions have at most M − 1 of them. Empty ones are 0.
    """
    mean, covariance = found
    values, axes = backends.eigh(ops.cast(covariance, "float64"))
    values = ops.where(values > ops.max(values) * EMPTY, values, ops.zeros_like(values))
    rank = min(covariance.shape[0], max(positions - 1, 1))
    factor = ops.flip(axes * _roots(values), axis=1)[:, :rank]
    return Gaussian(mean, ops.cast(factor, "float32"))


def wasserstein(found: Moments | Deviations, target: Gaussian):
    """Squared Wasserstein-2 distance between Gaussians fitted to two pictures' features.

    ‖μ − μ_S‖² + tr(C + C_S − 2·(C_S^½ C C_S^½)^½) (Olkin and Pukelsheim, 1982). With C_S = K Kᵀ and
    C = Dᵀ D / M, the last trace is the sum of the singular values of Y = D K / √M: the roots of the
    eigenvalues of Yᵀ Y, r × r, or of Y Yᵀ, M × M.

    Args:
        found: μ, (N,), and C, (N, N), or D, (M, N), of the combination image.
        target: μ_S, (N,), and K, (N, r), of the style image.

    Returns:
        A scalar, in squared features.
    """
    if isinstance(found, Moments):
        own = ops.trace(found.covariance)
        cross = _cross_of_covariance(found.covariance, target.factor)
    else:
        own = ops.sum(ops.square(found.deviations)) / found.deviations.shape[0]
        cross = _cross_of_deviations(found.deviations, target.factor)
    shift = ops.sum(ops.square(found.mean - target.mean))
    return shift + ops.sum(ops.square(target.factor)) + own - 2 * cross


def _cross_of_covariance(covariance, factor):
    """tr A^½ of A = Kᵀ C K, with its gradient by C, ½ K A^-½ Kᵀ.

    Float32 is exact enough: rows and columns of A fall off as the columns of K do, and the rounding
    errors of the products fall off with them.
    """
    constant = ops.stop_gradient(covariance)
    between = ops.matmul(ops.transpose(factor), ops.matmul(constant, factor))
    between = (between + ops.transpose(between)) / 2
    values, axes = backends.graded_eigh(between)
    squares = ops.square(axes)
    full = values > EMPTY_SHARE * ops.matmul(ops.diagonal(between), squares)
    roots = ops.sqrt(ops.where(full, values, ops.ones_like(values)))
    inverse = ops.where(full, 1 / roots, ops.zeros_like(roots))
    # Eigen's axes are too long or short by up to 1e-5.
    half = ops.matmul(factor, axes / ops.sqrt(ops.sum(squares, axis=0)))
    slope = ops.matmul(half * inverse, ops.transpose(half))
    # Errors of the eigenvalues raise one of Σ √λ and tr (slope · C) and lower the other as much.
    roots = ops.sum(ops.where(full, roots, ops.zeros_like(roots)))
    trace = (roots + ops.sum(slope * constant)) / 2
    return trace + ops.sum(slope * (covariance - constant)) / 2


def _cross_of_deviations(deviations, factor):
    """Σ singular values of Y = D K / √M, and its gradient with respect to D, (Y Yᵀ)^-½ Y Kᵀ / √M.

    Computed in float64 from the features on: with as many positions as directions, rounding would
    turn empty directions of the smaller square into full ones.
    """
    count, rank = deviations.shape[0], factor.shape[1]
    constant = ops.stop_gradient(deviations)
    wide = ops.cast(constant, "float64")
    wide = wide - ops.sum(wide, axis=0) / count
    product = wide @ ops.cast(factor, "float64") / count**0.5
    across = ops.transpose(product)
    roots, inverse, axes = _decomposed(across @ product if rank <= count else product @ across)
    product = ops.cast(product, "float32")
    if rank <= count:
        left, right = ops.matmul(product, axes), ops.matmul(factor, axes)
    else:
        left = axes
        right = ops.matmul(factor, ops.matmul(ops.transpose(product), axes))
    slope = ops.matmul(left * (inverse / count**0.5), ops.transpose(right))
    return roots + ops.sum(slope * (deviations - constant))


def _decomposed(square) -> tuple:
    """Eigenvalues λ and axes of a positive semidefinite matrix, float64.

    Returns:
        Σ √λ; 1 / √λ, with 0 for empty directions; and the axes. All float32. The callers write out
        the gradients, because empty directions must have none, and because the derivative of
        eigenvectors divides by differences of eigenvalues.
    """
    values, axes = backends.eigh(square)
    roots = _roots(values)
    full = values > ops.max(values) * EMPTY
    inverse = 1 / ops.where(full, roots, ops.ones_like(roots))
    inverse = ops.where(full, inverse, ops.zeros_like(inverse))
    return tuple(ops.cast(x, "float32") for x in (ops.sum(roots), inverse, axes))


def _roots(values):
    """Square roots of eigenvalues; those that rounding made negative count as 0.

    This uses `relu`, and products of float64 use `@`, because Keras's `maximum` and `matmul` turn
    float64 into float32 on PyTorch and JAX when they unify types.
    """
    return ops.sqrt(ops.relu(values))
