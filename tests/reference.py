"""The papers' formulas once more, in plain NumPy and float64, for the tests to compare with.

Nothing of the program is used here.
"""

import numpy as np

CONVOLUTIONS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}


def convolve(features, kernel, bias, borders="zeros"):
    """3 x 3 convolution, beyond the edge `zeros` or the edge `repeated`: (H, W, C) to (H, W, N)."""
    rows, columns, _ = features.shape
    mode = "edge" if borders == "repeated" else "constant"
    padded = np.pad(features, ((1, 1), (1, 1), (0, 0)), mode)
    out = np.zeros((rows, columns, kernel.shape[-1])) + bias
    for down in range(3):
        for right in range(3):
            window = padded[down : down + rows, right : right + columns]
            out += window @ kernel[down, right].astype(np.float64)
    return out


def pool(features, kind, borders="zeros"):
    """2 x 2 pooling; an odd last row or column is left out, or pooled by itself (`repeated`)."""
    rows, columns, channels = features.shape
    if borders == "repeated":
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


def vgg(image, filters, network, layers, pooling, borders="zeros", taps="relu"):
    """Features (M, N) by layer name, of an image (1, H, W, 3), after the ReLU or before (conv)."""
    features, wanted = image[0].astype(np.float64), {}
    for block, count in enumerate(CONVOLUTIONS[network], start=1):
        for number in range(1, count + 1):
            name = f"block{block}_conv{number}"
            before = convolve(features, *filters[name], borders)
            features = np.maximum(before, 0)
            if name in layers:
                seen = features if taps == "relu" else before
                wanted[name] = seen.reshape(-1, seen.shape[-1])
            if len(wanted) == len(layers):
                return wanted
        features = pool(features, pooling, borders)
    raise KeyError(layers)


def squared_slopes(image):
    """Squared differences to the pixels below and to the right, without last row and column."""
    x = image.astype(np.float64)
    rows, columns = x.shape[1:3]
    a = (x[:, : rows - 1, : columns - 1, :] - x[:, 1:, : columns - 1, :]) ** 2
    b = (x[:, : rows - 1, : columns - 1, :] - x[:, : rows - 1, 1:, :]) ** 2
    return a + b


def total_variation(image):
    """Keras example, `total_variation_loss`."""
    return (squared_slopes(image) ** 1.25).sum()


def content_loss(scale, f, p, layers=1):
    """One layer's content loss; F and P are (M, N); `layers` is how many there are."""
    error, (positions, channels) = ((f - p) ** 2).sum(), f.shape
    return {
        "keras": error,
        "relative": error / (p**2).sum(),
        "gatys": error / 2,  # arXiv 1508.06576, eq. 1
        "matconvnet": error / (2 * positions * channels) / layers,
        "pytorch": ((f - p) ** 2).mean(),  # nn.functional.mse_loss
    }[scale]


def style_loss(scale, f, s, size, layers=1):
    """One layer's style loss; F is (M, N), S, the style picture's features, (M', N)."""
    positions, channels = f.shape
    gram, target = f.T @ f / len(f), s.T @ s / len(s)
    rows, columns = size
    # Both Gram matrices at the positions of F, as if the style picture were as large.
    error = ((gram - target) ** 2).sum() * len(f) ** 2
    gatys = error / (4 * channels**2 * positions**2)  # arXiv 1508.06576, eq. 4
    return {
        "keras": error / (4.0 * 3**2 * (rows * columns) ** 2),
        "relative": ((gram - target) ** 2).sum() / (target**2).sum(),
        "gatys": gatys,
        "matconvnet": gatys / layers,
        # gram_matrix of the tutorial divides by N·M; then nn.functional.mse_loss.
        "pytorch": ((gram / channels - target / channels) ** 2).mean(),
    }[scale]


def matched_by_sorting(o, s):
    """R(O) of the histogram loss: the k-th smallest of each channel becomes the style's k-th.

    Equal values get the style's value for the middle of their ranks. O is (M, N), S (M', N).
    """
    result = np.empty_like(o)
    for channel in range(o.shape[1]):
        ordered, target = np.sort(o[:, channel]), np.sort(s[:, channel])
        first = np.searchsorted(ordered, o[:, channel], "left")
        last = np.searchsorted(ordered, o[:, channel], "right") - 1
        level = (first + last) / 2 / max(len(o) - 1, 1)
        result[:, channel] = np.interp(level, np.linspace(0, 1, len(target)), target)
    return result


def histogram_loss(scale, o, s):
    """arXiv 1701.08893, eq. 6; relative: by the style's energy at as many positions."""
    error = ((o - matched_by_sorting(o, s)) ** 2).sum()
    return error / (len(o) * (s**2).sum() / len(s)) if scale == "relative" else error


def moments_loss(scale, f, s):
    """Mean and variance of each channel."""
    parts = []
    for statistic in (np.mean, np.var):
        own, target = statistic(f, axis=0), statistic(s, axis=0)
        error = ((own - target) ** 2).sum()
        parts.append(error / (target**2).sum() if scale == "relative" else error)
    return sum(parts)


def wasserstein_loss(scale, f, s):
    """Squared Wasserstein-2 distance between normal distributions (Olkin and Pukelsheim, 1982).

    tr(C_S^½ C C_S^½)^½ is the sum of the singular values of F Sᵀ, centered, over √(M·M'): no root
    of a matrix that may be singular.
    """
    mean = ((f.mean(axis=0) - s.mean(axis=0)) ** 2).sum()
    centered = [(x - x.mean(axis=0)) / np.sqrt(len(x)) for x in (f, s)]
    triangles = [np.linalg.qr(x, mode="r") for x in centered]
    cross = np.linalg.svd(triangles[0] @ triangles[1].T, compute_uv=False).sum()
    distance = mean + sum((x**2).sum() for x in centered) - 2 * cross
    return distance / (s**2).mean(axis=0).sum() if scale == "relative" else distance


def variation_loss(scale, image, share):
    """The total variation term before its weight; `share` belongs to the relative scale."""
    if scale != "relative":
        return total_variation(image)
    whole = np.pad(image, ((0, 0), (0, 1), (0, 1), (0, 0)), mode="edge")
    return (np.sqrt(squared_slopes(whole) + 1) - 1).sum() * share / image.size
