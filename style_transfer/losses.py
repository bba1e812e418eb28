"""Loss terms of neural style transfer, as pure functions of arrays.

F, P and S are the features of combination, content and style image at one layer, shape
(1, H, W, N). In the formulas, N is the number of channels and M = H·W the number of positions. G
and A are the Gram matrices of combination and style image. Every function works on any of Keras's
backends.

Each kind of style loss has two steps: a statistic of the features, then the loss from the
statistic. Gram matrices and moments are sums over positions, so those of a picture can be added up
from its tiles.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from keras import ops

from style_transfer.gaussians import (
    Deviations,
    Gaussian,
    Moments,
    gaussian,
    moments,
    spread,
    wasserstein,
)
from style_transfer.histograms import histogram_match, quantiles

# Avoids division by 0 for a target without energy (a black picture); features are 1 to 1e4 or so.
EPSILON = 1e-12
# Makes `--tv_weight 1`, the original's default, a light smoothing compared with the other terms,
# which are of order 0.01 to 1 (measured on seven pairs of pictures).
TOTAL_VARIATION_SHARE = 4e-4


def flat(features):
    """Features (1, H, W, N) as a matrix (M, N)."""
    return ops.reshape(features, (-1, features.shape[-1]))


def positions(features) -> int:
    """M = H·W of features (1, H, W, N)."""
    return features.shape[1] * features.shape[2]


def squared_error(a, b):
    """Σ(a − b)² over all elements, a scalar."""
    return ops.sum(ops.square(a - b))


# Content


def content_factor(scale: str, energy, elements: int, layers: int = 1):
    """The factor of Σ(F − P)² in the content loss of one layer.

    Args:
        scale: `relative` (1 / ΣP²), `keras` (Keras example, `content_loss`: the plain sum), `gatys`
            (1/2: arXiv 1508.06576, eq. 1), `matconvnet` (1 / (2·M·N) and the number of layers: the
            TensorFlow tutorial on MatConvNet's filters) or `pytorch` (the mean: 1 / (M·N)).
        energy: ΣP² of the content image's features; only `relative` uses it.
        elements: M·N, the number of values in P.
        layers: the number of content layers.
    """
    if scale == "relative":
        return 1.0 / (energy + EPSILON)
    return {
        "keras": 1.0,
        "gatys": 0.5,
        "matconvnet": 1.0 / (2.0 * elements * layers),
        "pytorch": 1.0 / elements,
    }[scale]


def content_loss(features, target, scale: str, layers: int = 1):
    """The content loss of one layer.

    Args:
        features: F, (1, H, W, N).
        target: P, likewise.
        scale: see `content_factor`.
        layers: the number of content layers.
    """
    energy = ops.sum(ops.square(target)) if scale == "relative" else None
    factor = content_factor(scale, energy, positions(target) * target.shape[3], layers)
    return factor * squared_error(features, target)


# Style


@dataclass(frozen=True)
class LayerScale:
    """The numbers, besides its target, that normalize a layer's style loss.

    Attributes:
        scale: how losses are normalized; a value of `Settings.loss_scale`.
        size: (rows, columns) of the combination image.
        positions: M of the combination image's features, or of one region's.
        layers: the number of style layers.
    """

    scale: str
    size: tuple[int, int]
    positions: int = 1
    layers: int = 1


def gram_matrix(features):
    """Gram matrix G = Fᵀ F of one picture's features (Gatys et al., arXiv 1508.06576, eq. 3).

    Args:
        features: (1, H, W, N).

    Returns:
        (N, N), sums over the H·W positions.
    """
    matrix = flat(features)
    # The average of FᵀF and its transpose, which has the same value but a cheaper gradient: that of
    # FᵀF itself is the sum of two products, one of them with a transposed result.
    half = ops.matmul(ops.transpose(ops.stop_gradient(matrix)), matrix)
    return half + ops.transpose(half) - ops.stop_gradient(half)


def mean_gram(features):
    """The Gram matrix divided by M, comparable between pictures of different sizes."""
    return gram_matrix(features) / positions(features)


def style_factor(target, at: LayerScale):
    """The factor of Σ(G − A)² in the style loss of one layer.

    By `at.scale`: `relative` (1 / ΣA²), `keras` (Keras example, `style_loss`:
    1 / (4·3²·(rows·columns)²), where 3 is the picture's number of channels),
    `gatys` (1 / (4·N²·M²): arXiv 1508.06576, eq. 4), `matconvnet` (that, divided by the number of
    layers) or `pytorch` (mean squared error of G / (N·M): 1 / (N²·M²) / N²).

    Args:
        target: the style image's Gram matrix A, (N, N), scaled to G's number of positions.
        at: the layer's scale.
    """
    channels = target.shape[0]
    if at.scale == "relative":
        return 1.0 / (ops.sum(ops.square(target)) + EPSILON)
    return {
        "keras": 1.0 / (4.0 * 3**2 * (at.size[0] * at.size[1]) ** 2),
        "gatys": 1.0 / (4.0 * channels**2 * at.positions**2),
        "matconvnet": 1.0 / (4.0 * channels**2 * at.positions**2 * at.layers),
        "pytorch": 1.0 / (float(channels) ** 4 * at.positions**2),
    }[at.scale]


def gram_loss(gram, target, at: LayerScale):
    """Σ(G − A)², normalized by `style_factor`; `target` is the style's `mean_gram`."""
    # The style image may have another size, so scale its Gram matrix to this number of positions.
    target = target * at.positions
    factor = style_factor(target, at)
    return factor * squared_error(gram, target)


def moments_loss(found: Moments, target: Moments, at: LayerScale):
    """Squared errors of each channel's mean and variance; `relative` divides by their energy.

    Li et al., arXiv 1701.01036, compare means and standard deviations in the same way.
    """
    variance = ops.diagonal(found.covariance)
    target_mean, target_variance = target.mean, ops.diagonal(target.covariance)
    error = squared_error(found.mean, target_mean)
    spread = squared_error(variance, target_variance)
    if at.scale == "relative":
        error = error / (ops.sum(ops.square(target_mean)) + EPSILON)
        spread = spread / (ops.sum(ops.square(target_variance)) + EPSILON)
    return error + spread


def wasserstein_loss(found: Moments | Deviations, target: Gaussian, at: LayerScale):
    """The Wasserstein-2 distance; `relative` divides by the energy of the style's features."""
    distance = wasserstein(found, target)
    if at.scale == "relative":
        energy = ops.sum(ops.square(target.mean)) + ops.sum(ops.square(target.factor))
        distance = distance / (energy + EPSILON)
    return distance


# Histograms


class Distribution(NamedTuple):
    """`quantiles` of each channel, (Q, N), and the mean energy per position, a scalar."""

    quantiles: Any
    energy: Any


def distribution(features) -> Distribution:
    """The distribution of each channel of features (1, H, W, N)."""
    energy = ops.sum(ops.square(features)) / positions(features)
    return Distribution(quantiles(features), energy)


def histogram_loss(features, target: Distribution, at: LayerScale):
    """Σ(O − R(O))²; `relative` divides by the style features' energy over as many positions."""
    error = squared_error(features, histogram_match(features, target.quantiles))
    if at.scale == "relative":
        error = error / (at.positions * target.energy + EPSILON)
    return error


# Kinds of style loss


@dataclass(frozen=True)
class StyleLoss:
    """One kind of style loss.

    Attributes:
        target: computes the target from the style image's features, (1, H, W, N).
        statistic: computes the statistic to compare from the combination image's features.
        loss: computes a scalar from (statistic, target, LayerScale).
        over_positions: whether the statistic can be computed from sums over positions.
        centered: whether these are sums of deviations from the mean.
    """

    target: Callable
    statistic: Callable
    loss: Callable
    over_positions: bool
    centered: bool = False


STYLE_LOSSES = {
    "gram": StyleLoss(mean_gram, gram_matrix, gram_loss, over_positions=True),
    "moments": StyleLoss(moments, moments, moments_loss, over_positions=True, centered=True),
    "wasserstein": StyleLoss(
        gaussian, spread, wasserstein_loss, over_positions=True, centered=True
    ),
    "histogram": StyleLoss(distribution, lambda o: o, histogram_loss, over_positions=False),
}


# Total variation


def total_variation_loss(scale: str, image):
    """The unweighted total variation term; `relative` takes a small share per pixel value."""
    if scale != "relative":
        return total_variation(image)
    rows, columns = image.shape[1:3]
    return TOTAL_VARIATION_SHARE / (3 * rows * columns) * charbonnier_variation(image)


def total_variation(image):
    """Σ((x_ij − x_i+1,j)² + (x_ij − x_i,j+1)²)^1.25 (Keras example, `total_variation_loss`).

    Args:
        image: (1, H, W, 3). Its last row and column are only used as neighbors.

    Returns:
        A scalar, in pixel values to the power 2.5.
    """
    corner = image[:, :-1, :-1]
    down = ops.square(corner - image[:, 1:, :-1])
    right = ops.square(corner - image[:, :-1, 1:])
    return ops.sum(ops.power(down + right, 1.25))


def charbonnier_variation(image):
    """Σ(√((x_ij − x_i+1,j)² + (x_ij − x_i,j+1)² + 1) − 1), isotropic total variation.

    Rudin, Osher and Fatemi, Physica D 60, 1992, smoothed below one pixel value (Charbonnier et al.,
    ICIP 1994). A sharp edge costs no more than a soft one of the same height, and fine ripples cost
    much; with the power 2.5 of `total_variation` it is the other way around.

    Args:
        image: (1, H, W, 3). The last row and column are compared with themselves.

    Returns:
        A scalar, in pixel values.
    """
    return padded_variation(ops.pad(image, ((0, 0), (0, 1), (0, 1), (0, 0)), mode="symmetric"))


def padded_variation(image):
    """`charbonnier_variation` of an image whose last row and column are only used as neighbors."""
    corner = image[:, :-1, :-1]
    down = ops.square(corner - image[:, 1:, :-1])
    right = ops.square(corner - image[:, :-1, 1:])
    return ops.sum(ops.sqrt(down + right + 1) - 1)


# Motion


def temporal_loss(scale: str, image, earlier, seen):
    """The difference between a frame and an earlier painted one, warped to this frame's moment.

    Σ c·(x − ω)² / D (Ruder, Dosovitskiy and Brox, arXiv 1604.08610, eq. 7), where D is the number
    of values; for `relative`, Σ c·(x − ω)² / Σω², like the content loss.

    Args:
        scale: how losses are normalized; a value of `Settings.loss_scale`.
        image: x, (1, H, W, 3).
        earlier: ω, the earlier painted frame, warped, likewise.
        seen: c, (1, H, W, 1): 1 where both frames show the same thing, 0 where they do not.
    """
    error = ops.sum(seen * ops.square(image - earlier))
    if scale == "relative":
        return error / (ops.sum(ops.square(earlier)) + EPSILON)
    return error / (positions(image) * image.shape[3])
