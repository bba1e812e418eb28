"""Loss terms of neural style transfer, as pure functions of arrays.

F and P are the features of combination and content image at one layer, shape (1, H, W, N); in the
formulas N is the number of channels, M = H·W the number of positions. G and A are the Gram matrices
of combination and style image. Every function works on any Keras backend.
"""

from keras import ops


def gram_matrix(features):
    """Gram matrix G = Fᵀ F of one picture's features (Gatys et al., arXiv 1508.06576, eq. 3).

    Args:
        features: (1, H, W, N).

    Returns:
        (N, N), sums over the H·W positions.
    """
    flat = ops.reshape(features, (-1, features.shape[-1]))  # (M, N)
    return ops.matmul(ops.transpose(flat), flat)


def squared_error(a, b):
    """Σ(a − b)² over all elements, a scalar."""
    return ops.sum(ops.square(a - b))


def content_factor(scale: str, target) -> float:
    """What Σ(F − P)² is multiplied by in the content loss of one layer.

    Args:
        scale: `keras` (Keras example, `content_loss`: the plain sum) or `relative` (1 / ΣP²).
        target: the content image's features P, (1, H, W, N).
    """
    if scale == "keras":
        return 1.0
    return 1.0 / (ops.sum(ops.square(target)) + EPSILON)


def style_factor(scale: str, target, picture_size: tuple[int, int]) -> float:
    """What Σ(G − A)² is multiplied by in the style loss of one layer.

    Args:
        scale: `keras` (Keras example, `style_loss`: 1 / (4·3²·(rows·columns)²), where rows and
            columns are the picture's and 3 its channels) or `relative` (1 / ΣA²).
        target: the style image's Gram matrix A, brought to the number of positions of G, (N, N).
        picture_size: (rows, columns) of the combination image.
    """
    if scale == "keras":
        rows, columns = picture_size
        return 1.0 / (4.0 * 3**2 * (rows * columns) ** 2)
    return 1.0 / (ops.sum(ops.square(target)) + EPSILON)


def total_variation_factor(scale: str, picture_size: tuple[int, int]) -> float:
    """What `total_variation` is multiplied by: 1 (`keras`), or per pixel value and small."""
    if scale == "keras":
        return 1.0
    rows, columns = picture_size
    return TOTAL_VARIATION_SHARE / (3 * rows * columns)


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


# A target without energy (a black picture) must not divide by zero; features are of order 1 to 1e4.
EPSILON = 1e-12
# Makes `--tv_weight 1`, the original's default, a light smoothing beside relative terms of order
# 0.01 to 1. Measured: see README, "Where it differs".
TOTAL_VARIATION_SHARE = 3e-6
