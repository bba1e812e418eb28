"""Loss terms of neural style transfer, as pure functions of arrays.

F and P are the features of combination and content image at one layer, S those of the style image,
shape (1, H, W, N); in the formulas N is the number of channels, M = H·W the number of positions. G
and A are the Gram matrices of combination and style image. Every function works on any Keras
backend.
"""

import numpy as np
from keras import ops


def flat(features):
    """Features (1, H, W, N) as a matrix (M, N)."""
    return ops.reshape(features, (-1, features.shape[-1]))


def gram_matrix(features):
    """Gram matrix G = Fᵀ F of one picture's features (Gatys et al., arXiv 1508.06576, eq. 3).

    Args:
        features: (1, H, W, N).

    Returns:
        (N, N), sums over the H·W positions.
    """
    matrix = flat(features)
    # Half of it, and its transpose, for the gradient: that of FᵀF itself would be the sum of two
    # products, one of them with a transposed result.
    half = ops.matmul(ops.transpose(ops.stop_gradient(matrix)), matrix)
    return half + ops.transpose(half) - ops.stop_gradient(half)


def squared_error(a, b):
    """Σ(a − b)² over all elements, a scalar."""
    return ops.sum(ops.square(a - b))


def content_factor(scale: str, target, layers: int = 1):
    """What Σ(F − P)² is multiplied by in the content loss of one layer.

    Args:
        scale: `relative` (1 / ΣP²), `keras` (Keras example, `content_loss`: the plain sum), `gatys`
            (1/2: arXiv 1508.06576, eq. 1), `matconvnet` (1 / (2·M·N) and the number of layers: the
            TensorFlow tutorial on MatConvNet's filters) or `pytorch` (the mean: 1 / (M·N)).
        target: the content image's features P, (1, H, W, N).
        layers: how many content layers there are.
    """
    elements = target.shape[1] * target.shape[2] * target.shape[3]
    if scale == "relative":
        return 1.0 / (ops.sum(ops.square(target)) + EPSILON)
    return {
        "keras": 1.0,
        "gatys": 0.5,
        "matconvnet": 1.0 / (2.0 * elements * layers),
        "pytorch": 1.0 / elements,
    }[scale]


def style_factor(
    scale: str, target, picture_size: tuple[int, int], positions: int = 1, layers: int = 1
):
    """What Σ(G − A)² is multiplied by in the style loss of one layer.

    Args:
        scale: `relative` (1 / ΣA²), `keras` (Keras example, `style_loss`: 1 / (4·3²·(rows·columns)²),
            where rows and columns are the picture's and 3 its channels), `gatys` (1 / (4·N²·M²):
            arXiv 1508.06576, eq. 4), `matconvnet` (that, and divided by the number of layers) or
            `pytorch` (mean squared error of G / (N·M): 1 / (N²·M²) / N²).
        target: the style image's Gram matrix A, brought to the number of positions of G, (N, N).
        picture_size: (rows, columns) of the combination image.
        positions: M.
        layers: how many style layers there are.
    """
    channels = target.shape[0]
    if scale == "relative":
        return 1.0 / (ops.sum(ops.square(target)) + EPSILON)
    return {
        "keras": 1.0 / (4.0 * 3**2 * (picture_size[0] * picture_size[1]) ** 2),
        "gatys": 1.0 / (4.0 * channels**2 * positions**2),
        "matconvnet": 1.0 / (4.0 * channels**2 * positions**2 * layers),
        "pytorch": 1.0 / (float(channels) ** 4 * positions**2),
    }[scale]


def total_variation_loss(scale: str, image):
    """The total variation term before its weight; for `relative` small, per pixel value."""
    if scale != "relative":
        return total_variation(image)
    rows, columns = image.shape[1:3]
    return TOTAL_VARIATION_SHARE / (3 * rows * columns) * charbonnier_variation(image)


def total_variation(image):
    """Σ((x_ij − x_i+1,j)² + (x_ij − x_i,j+1)²)^1.25 (Keras example, `total_variation_loss`).

    Args:
        image: (1, H, W, 3). Its last row and column only serve as neighbours.

    Returns:
        A scalar, in pixel values to the power 2.5.
    """
    corner = image[:, :-1, :-1]
    down = ops.square(corner - image[:, 1:, :-1])
    right = ops.square(corner - image[:, :-1, 1:])
    return ops.sum(ops.power(down + right, 1.25))


def charbonnier_variation(image):
    """Σ(√((x_ij − x_i+1,j)² + (x_ij − x_i,j+1)² + 1) − 1), isotropic total variation.

    Rudin, Osher and Fatemi, Physica D 60, 1992, rounded off below one pixel value (Charbonnier et
    al., ICIP 1994). A sharp edge costs no more than a soft one of the same height, fine ripples
    cost much; the power 2.5 of `total_variation` is the other way round.

    Args:
        image: (1, H, W, 3). The last row and column are compared with themselves.

    Returns:
        A scalar, in pixel values.
    """
    image = ops.pad(image, ((0, 0), (0, 1), (0, 1), (0, 0)), mode="symmetric")
    corner = image[:, :-1, :-1]
    down = ops.square(corner - image[:, 1:, :-1])
    right = ops.square(corner - image[:, :-1, 1:])
    return ops.sum(ops.sqrt(down + right + 1) - 1)


def quantiles(features):
    """Quantile function of each channel, (1, H, W, N) to (Q, N).

    Its QUANTILES levels, sin²(πt/2) for even steps of t from 0 to 1, are dense at the ends: the
    rare, large activations are far apart.
    """
    ordered = ops.sort(flat(features), axis=0)  # (M, N)
    last = ordered.shape[0] - 1
    places = np.sin(np.linspace(0, np.pi / 2, QUANTILES)) ** 2 * last
    below = np.floor(places).astype(np.int32)
    above = np.minimum(below + 1, last)
    part = ops.convert_to_tensor((places - below).astype(np.float32)[:, None])
    return ops.take(ordered, below, axis=0) * (1 - part) + ops.take(ordered, above, axis=0) * part


def counted(place):
    """Count values in BINS bins a channel.

    Args:
        place: (M, N), 0 to BINS.

    Returns:
        (index, counts, below): each value's bin, (M·N,), where bin b of channel c is c·BINS + b; how
        many values are in a bin, and how many in those before it, (N, BINS).
    """
    channels = place.shape[1]
    index = ops.cast(ops.minimum(place, BINS - 1.0), "int32")
    index = ops.reshape(index + ops.arange(channels, dtype="int32") * BINS, (-1,))
    counts = ops.segment_sum(ops.ones_like(index, dtype="float32"), index, channels * BINS)
    counts = ops.reshape(counts, (channels, BINS))
    return index, counts, ops.cumsum(counts, axis=1) - counts


def histogram_match(features, target):
    """R(O): each channel's values remapped so that they are distributed as the target's.

    Risser, Wilmot and Barnes, arXiv 1701.08893, section 4.1. Instead of sorting O at every
    evaluation, its values are counted in bins twice: in even bins, and again in bins made from
    these that hold about as many values as the target's quantiles are apart. All values of such a
    bin get the target's value for their middle rank, as do equal values: the zeros behind a ReLU.

    Args:
        features: O, (1, H, W, N).
        target: `quantiles` of the style image's features, (Q, N).

    Returns:
        (1, H, W, N); constant to the gradient.
    """
    values = ops.stop_gradient(flat(features))  # (M, N)
    positions = values.shape[0]
    centred = values - ops.mean(values, axis=0)
    # A few large values would leave the others in few bins: distances beyond the mean one count by
    # their logarithm. Any increasing map keeps the ranks.
    scaled = ops.arcsinh(centred / (ops.mean(ops.abs(centred), axis=0) + EPSILON))
    low, high = ops.min(scaled, axis=0), ops.max(scaled, axis=0)
    place = (scaled - low) * (BINS / (high - low + EPSILON))
    index, counts, below = counted(place)
    part = ops.reshape(place, (-1,)) - ops.cast(index % BINS, "float32")
    rank = ops.take(ops.reshape(below, (-1,)), index)
    rank += ops.take(ops.reshape(counts, (-1,)), index) * part
    index, counts, below = counted(ops.reshape(spaced(rank / positions) * BINS, values.shape))
    rank = below + (counts - 1) / 2  # the middle one of each bin, from 0
    place = spaced(rank / max(positions - 1, 1)) * (QUANTILES - 1.0)
    step = ops.cast(ops.minimum(place, QUANTILES - 2.0), "int32")
    table = ops.transpose(target)  # (N, Q)
    start = ops.take_along_axis(table, step, axis=1)
    end = ops.take_along_axis(table, step + 1, axis=1)
    remapped = start + (end - start) * (place - ops.cast(step, "float32"))  # (N, BINS)
    matched = ops.take(ops.reshape(remapped, (-1,)), index)
    return ops.stop_gradient(ops.reshape(matched, features.shape))


def spaced(level):
    """t from 0 to 1 of a level sin²(πt/2) from 0 to 1."""
    return ops.arcsin(ops.sqrt(ops.clip(level, 0.0, 1.0))) * (2 / np.pi)


def moments(features):
    """Mean (N,) and covariance (N, N) of features (1, H, W, N) over positions."""
    matrix = flat(features)
    mean = ops.mean(matrix, axis=0)
    centred = matrix - mean
    return mean, ops.matmul(ops.transpose(centred), centred) / matrix.shape[0]


def square_root(covariance):
    """The symmetric square root of a positive semidefinite matrix (N, N)."""
    values, vectors = ops.eigh(ops.cast(covariance, "float64"))
    roots = ops.sqrt(ops.maximum(values, 0.0))
    return ops.cast(ops.matmul(vectors * roots, ops.transpose(vectors)), "float32")


def wasserstein(features, mean, root):
    """Squared Wasserstein-2 distance between Gaussians fitted to two pictures' features.

    ‖μ − μ_S‖² + tr(C + C_S − 2·(C_S^½ C C_S^½)^½) (Olkin and Pukelsheim, 1982).

    Args:
        features: F, (1, H, W, N).
        mean: μ_S, (N,).
        root: C_S^½, (N, N).

    Returns:
        A scalar, in squared features.
    """
    own_mean, covariance = moments(features)
    # In float64: roots of what float32 leaves of the many empty directions would add up.
    wide = ops.cast(root, "float64")
    between = ops.matmul(ops.matmul(wide, ops.cast(covariance, "float64")), wide)
    values, vectors = ops.eigh(ops.stop_gradient((between + ops.transpose(between)) / 2))
    roots = ops.sqrt(ops.maximum(values, 0.0))
    # d tr(…)^½ = tr(½ C_S^½ (…)^-½ C_S^½ dC), written out since directions that are empty have no
    # slope, and differentiating eigenvectors divides by differences of eigenvalues.
    full = values > ops.max(values) * EMPTY
    inverse = ops.where(full, 0.5 / ops.where(full, roots, 1.0), 0.0)
    half = ops.matmul(wide, vectors)
    slope = ops.cast(ops.matmul(half * inverse, ops.transpose(half)), "float32")
    cross = ops.cast(ops.sum(roots), "float32")
    cross += ops.sum(slope * (covariance - ops.stop_gradient(covariance)))
    spread = ops.sum(ops.square(root)) + ops.trace(covariance)
    return squared_error(own_mean, mean) + spread - 2 * cross


# A target without energy (a black picture) must not divide by zero; features are of order 1 to 1e4.
EPSILON = 1e-12
# Makes `--tv_weight 1`, the original's default, a light smoothing beside relative terms of order
# 0.01 to 1. Measured: see README, "Where it differs".
TOTAL_VARIATION_SHARE = 4e-4
# Enough for R(O) to be within 1 % of sorting (tests/test_losses.py).
BINS = 4096
QUANTILES = 1024
# Directions in which two pictures' features share less of the largest variance are empty.
EMPTY = 1e-12
