"""Normal distributions fitted to features, and the Wasserstein-2 distance between them.

Features F are (1, H, W, N): M = H·W positions of N channels.
"""

from typing import Any, NamedTuple

from keras import ops

from style_transfer import backends

# Directions in which two pictures' features share less of the largest variance are empty.
EMPTY = 1e-12
# With fewer positions for each channel, float32's rounding of the covariance shows in its weakest
# directions: 2e-4 of the gradient at 65 positions of 64 channels, less than 1e-4 at 80.
MANY = 1.25


class Moments(NamedTuple):
    """Mean (N,) and covariance (N, N) of features over positions."""

    mean: Any
    covariance: Any


class Deviations(NamedTuple):
    """Mean (N,) and deviations from it (M, N), of features with few positions."""

    mean: Any
    deviations: Any


class Gaussian(NamedTuple):
    """Mean (N,), and a factor K (N, r) of the covariance K Kᵀ."""

    mean: Any
    factor: Any


def moments(features) -> Moments:
    """Mean and covariance of features (1, H, W, N) over positions."""
    mean, deviations = _centered(features)
    # Half of it and its transpose, as in `losses.gram_matrix`.
    half = ops.matmul(ops.transpose(ops.stop_gradient(deviations)), deviations)
    total = half + ops.transpose(half) - ops.stop_gradient(half)
    return Moments(mean, total / deviations.shape[0])


def spread(features) -> Moments | Deviations:
    """What `wasserstein` compares, of features (1, H, W, N): the smaller of the two."""
    count = features.shape[1] * features.shape[2]
    few = count < MANY * features.shape[-1]
    return Deviations(*_centered(features)) if few else moments(features)


def _centered(features) -> tuple:
    """Mean (N,) and deviations (M, N).

    The mean that is subtracted is constant to the gradient: deviations add up to 0, so it has no
    part in that of any function of their products.
    """
    matrix = ops.reshape(features, (-1, features.shape[-1]))
    mean = ops.mean(matrix, axis=0)
    return mean, matrix - ops.stop_gradient(mean)


def gaussian(features) -> Gaussian:
    """The normal distribution fitted to features (1, H, W, N)."""
    return gaussian_of(moments(features), features.shape[1] * features.shape[2])


def gaussian_of(found: Moments, positions: int) -> Gaussian:
    """The normal distribution of these moments, taken over a number of positions.

    Columns of K are the principal axes times their deviations, smallest first: M positions have at
    most M − 1 of them.
    """
    mean, covariance = found
    values, axes = backends.eigh(ops.cast(covariance, "float64"))
    rank = min(covariance.shape[0], max(positions - 1, 1))
    factor = (axes * _roots(values))[:, -rank:]
    return Gaussian(mean, ops.cast(factor, "float32"))


def wasserstein(found: Moments | Deviations, target: Gaussian):
    """Squared Wasserstein-2 distance between Gaussians fitted to two pictures' features.

    ‖μ − μ_S‖² + tr(C + C_S − 2·(C_S^½ C C_S^½)^½) (Olkin and Pukelsheim, 1982). With C_S = K Kᵀ and
    C = Dᵀ D / M the last trace is the sum of the singular values of D K / √M: the roots of the
    eigenvalues of its square on either side, r × r or M × M.

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
    """tr (Kᵀ C K)^½, with its gradient by C, ½ K (Kᵀ C K)^-½ Kᵀ."""
    constant = ops.stop_gradient(covariance)
    # In float64: where a channel is silent, rounding would turn empty directions into full ones.
    wide = ops.cast(factor, "float64")
    between = ops.transpose(wide) @ (ops.cast(constant, "float64") @ wide)
    roots, inverse, axes = _decomposed(between)
    half = ops.matmul(factor, axes)
    slope = ops.matmul(half * (inverse / 2), ops.transpose(half))
    return roots + ops.sum(slope * (covariance - constant))


def _cross_of_deviations(deviations, factor):
    """Σ singular values of Y = D K / √M, with its gradient by D, (Y Yᵀ)^-½ Y Kᵀ / √M.

    In float64 from the features on: with as many positions as directions, rounding would turn
    empty directions of the smaller square into full ones.
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
        Σ √λ, 1 / √λ, 0 for those of empty directions, and the axes; float32. Gradients are written
        out by the callers, since empty directions have no slope, and the derivative of eigenvectors
        divides by differences of eigenvalues.
    """
    values, axes = backends.eigh(square)
    roots = _roots(values)
    full = values > ops.max(values) * EMPTY
    inverse = 1 / ops.where(full, roots, ops.ones_like(roots))
    inverse = ops.where(full, inverse, ops.zeros_like(inverse))
    return tuple(ops.cast(x, "float32") for x in (ops.sum(roots), inverse, axes))


def _roots(values):
    """Square roots of eigenvalues; those that rounding makes negative count as 0.

    By `relu`, as products of float64 by `@`: where Keras's `maximum` and `matmul` bring types
    together, they turn float64 into float32 on PyTorch and JAX.
    """
    return ops.sqrt(ops.relu(values))
