"""The papers' formulas once more, in plain NumPy and float64, for the tests to compare with.

Nothing of the program is used here.
"""

import numpy as np

CONVOLUTIONS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}


def convolve(features, kernel, bias):
    """3 x 3 convolution, zero padding, and ReLU: (H, W, C) to (H, W, N)."""
    rows, columns, _ = features.shape
    padded = np.pad(features, ((1, 1), (1, 1), (0, 0)))
    out = np.zeros((rows, columns, kernel.shape[-1])) + bias
    for down in range(3):
        for right in range(3):
            window = padded[down : down + rows, right : right + columns]
            out += window @ kernel[down, right].astype(np.float64)
    return np.maximum(out, 0)


def pool(features, kind, borders="dropped"):
    """2 x 2 pooling; an odd last row or column is left out (`dropped`), or pooled by itself."""
    rows, columns, channels = features.shape
    if borders == "kept":
        odd = ((0, rows % 2), (0, columns % 2), (0, 0))
        features = np.pad(features, odd, constant_values=np.nan)
        rows, columns, _ = features.shape
    even = features[: rows // 2 * 2, : columns // 2 * 2]
    blocks = even.reshape(rows // 2, 2, columns // 2, 2, channels)
    if kind == "max":
        return np.nanmax(blocks, axis=(1, 3))
    if kind == "average":
        return np.nanmean(blocks, axis=(1, 3))
    return np.sqrt(np.nanmean(blocks**2, axis=(1, 3)) + 1e-6)


def vgg(image, filters, network, layers, pooling, borders="dropped"):
    """Features (M, N) by layer name, of an image (1, H, W, 3)."""
    features, wanted = image[0].astype(np.float64), {}
    for block, count in enumerate(CONVOLUTIONS[network], start=1):
        for number in range(1, count + 1):
            name = f"block{block}_conv{number}"
            features = convolve(features, *filters[name])
            if name in layers:
                wanted[name] = features.reshape(-1, features.shape[-1])
            if len(wanted) == len(layers):
                return wanted
        features = pool(features, pooling, borders)
    raise KeyError(layers)


def total_variation(image):
    """Keras example, `total_variation_loss`."""
    x = image.astype(np.float64)
    rows, columns = x.shape[1:3]
    a = (x[:, : rows - 1, : columns - 1, :] - x[:, 1:, : columns - 1, :]) ** 2
    b = (x[:, : rows - 1, : columns - 1, :] - x[:, : rows - 1, 1:, :]) ** 2
    return ((a + b) ** 1.25).sum()


def content_loss(scale, f, p):
    """One layer's content loss; F and P are (M, N)."""
    error = ((f - p) ** 2).sum()
    return {"keras": error, "relative": error / (p**2).sum()}[scale]


def style_loss(scale, f, s, size):
    """One layer's style loss; F is (M, N), S, the style picture's features, (M', N)."""
    gram, target = f.T @ f / len(f), s.T @ s / len(s)
    rows, columns = size
    # Both Gram matrices at the positions of F, as if the style picture were as large.
    error = ((gram - target) ** 2).sum() * len(f) ** 2
    return {
        "keras": error / (4.0 * 3**2 * (rows * columns) ** 2),
        "relative": ((gram - target) ** 2).sum() / (target**2).sum(),
    }[scale]


def variation_loss(scale, image, share):
    """The total variation term before its weight; `share` belongs to the relative scale."""
    return total_variation(image) * {"keras": 1, "relative": share / image.size}[scale]
