"""Filters made here: fitted to the pictures at hand, or random for tests."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from style_transfer.settings import Settings
from style_transfer.vgg import Filters, block_of, kernel_shape

BORDERS: dict[str, Any] = {"repeated": "edge", "zeros": "constant"}  # NumPy's names
FITTING_PATCHES = 8_000  # at most, per picture and layer
# Root mean square response of fitted filters by block, for the two conventions of the networks for
# which the published loss weights were chosen: trained VGG19's response, rounded to powers of two.
# With pixel values and max pooling, its response at the first layers of blocks 1 to 3 is 30 to 59,
# 150 to 290 and 190 to 390 (two pairs of pictures); the TensorFlow tutorial on style transfer
# prints 34, 200, 231, 791 and 59 as the means for a painting. Published losses are powers of
# features, so these numbers decide how much each layer counts. torchvision's network takes pictures
# with values 57 times smaller.
LOUDNESS = {"caffe": (64.0, 256.0, 256.0, 1024.0, 128.0), "torch": (1.0, 4.0, 4.0, 16.0, 2.0)}


def random_filters(network: str, layers: list[str], seed: int) -> Filters:
    """Gaussian filters of He's variance 2 / fan-in (arXiv 1502.01852), for tests."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for name in layers:
        shape = kernel_shape(network, name)
        deviation = np.sqrt(2 / (9 * shape[2]))
        kernel = rng.normal(0, deviation, shape).astype(np.float32)
        arrays[name] = (kernel, np.zeros(shape[3], np.float32))
    return Filters(network, arrays)


def fitted_filters(
    settings: Settings, layers: list[str], images: list[np.ndarray], loudness: Sequence[float]
) -> Filters:
    """Filters fitted to the pictures at hand: half-whitened principal components, layer by layer.

    For each layer, 3 x 3 patches are drawn from the previous layer's features. If they have mean μ
    and leading principal components vᵢ of variance λᵢ, the filters are ±vᵢ·λᵢ^(−1/4) with bias
    ∓vᵢ·λᵢ^(−1/4)·μ, scaled to a root mean square response of `loudness`. With both signs, the ReLU
    keeps both halves of each component. Each layer is fitted to the features that the network will
    give it, with the pooling and borders of `settings`.

    Args:
        settings: network, pooling, borders, and the seed for drawing patches.
        layers: the convolutions to fit, starting with the first.
        images: float32 (1, H, W, 3), BGR minus mean, of about 200 rows; no side may vanish in
            pooling, see `check_large_enough`.
        loudness: the root mean square response by block, see above. The relative loss does not
            depend on it (exactly, for powers of two).
    """
    network, border = settings.network, BORDERS[settings.borders]
    rng = np.random.default_rng(settings.seed)
    maps = list(images)
    arrays = {}
    for name in layers:
        if name.endswith("conv1") and not name.startswith("block1"):
            maps = [_pooled(features, settings.pooling) for features in maps]
        shape = kernel_shape(network, name)
        patches = np.concatenate([_draw_patches(features, rng, border) for features in maps])
        kernel, bias = _half_whitened(patches, shape[3], rng)
        arrays[name] = (kernel.reshape(shape), bias)
        maps = [_convolved(features, *arrays[name], border) for features in maps]
    before = np.float32(1)  # the pictures' own scale: the first filters account for their range
    for name, (kernel, bias) in arrays.items():
        response = np.float32(loudness[block_of(name) - 1])
        arrays[name] = kernel * (response / before), bias * response
        before = response
    return Filters(network, arrays)


# keras.json may name another data format; these functions state their own.


def _pooled(features: np.ndarray, pooling: str) -> np.ndarray:
    """Pool 2 x 2 positions, (1, H, W, C) to (1, H // 2, W // 2, C)."""
    if pooling == "max":
        return ops.convert_to_numpy(ops.max_pool(features, 2, 2, data_format="channels_last"))
    power = 2 if pooling == "l2" else 1
    mean = ops.average_pool(features**power, 2, 2, data_format="channels_last")
    return ops.convert_to_numpy(mean) ** np.float32(1 / power)


def _convolved(
    features: np.ndarray, kernel: np.ndarray, bias: np.ndarray, border: Any
) -> np.ndarray:
    """Features (1, H, W, C) after a layer and its ReLU, (1, H, W, N)."""
    padded = np.pad(features, ((0, 0), (1, 1), (1, 1), (0, 0)), border)
    answer = ops.add(ops.conv(padded, kernel, data_format="channels_last"), bias)
    return ops.convert_to_numpy(ops.relu(answer))


def _draw_patches(features: np.ndarray, rng: np.random.Generator, border: Any) -> np.ndarray:
    """Up to FITTING_PATCHES patches of (1, H, W, C) as rows, (n, 9·C)."""
    padded = np.pad(features[0], ((1, 1), (1, 1), (0, 0)), border)
    rows, columns, channels = features.shape[1:]
    positions = np.arange(rows * columns)
    if len(positions) > FITTING_PATCHES:
        positions = rng.choice(positions, FITTING_PATCHES, replace=False)
    row, column = np.divmod(positions, columns)
    patches = [padded[row + down, column + right] for down in range(3) for right in range(3)]
    return np.stack(patches, axis=1).reshape(len(positions), 9 * channels)


def _half_whitened(
    patches: np.ndarray, out: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Kernel (9·C, out) and bias (out,) from patches (n, 9·C)."""
    mean = patches.mean(axis=0, dtype=np.float64).astype(np.float32)
    size = patches.shape[1]
    count = min(out // 2, size, len(patches))
    components, variance = leading_components(patches - mean, count, rng)
    variance = np.maximum(variance, 1e-6 * variance[0] + 1e-12)
    basis = components * variance**-0.25
    # The mean square of component i's response is now √λᵢ.
    basis /= np.sqrt(np.mean(np.sqrt(variance)))
    kernel = np.zeros((size, out), np.float32)  # filters beyond 2·count stay silent
    kernel[:, :count], kernel[:, count : 2 * count] = basis, -basis
    return kernel, -(mean @ kernel)


def leading_components(
    centered: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Leading principal components of rows of mean 0, strongest first.

    This uses subspace iteration (Halko, Martinsson and Tropp, arXiv 0909.4061, algorithm 4.4),
    because a full decomposition of deep layers' patches takes ten times as long, for components
    that are never used. It runs on the backend, because NumPy's LAPACK shares the cores badly with
    the backend's threads.

    Args:
        centered: (n, d), float32.
        count: the number of components.
        rng: draws the initial subspace.

    Returns:
        Components as columns (d, count), and their variances (count,).
    """
    rows, size = centered.shape
    centered = ops.convert_to_tensor(centered, "float32")
    across = ops.transpose(centered)
    basis = rng.normal(size=(size, min(size, count + 16))).astype(np.float32)
    for _ in range(3):
        basis, _ = ops.qr(ops.matmul(across, ops.matmul(centered, basis)))
    projected = ops.cast(ops.matmul(centered, basis), "float64")
    squares, rotation = ops.eigh(ops.matmul(ops.transpose(projected), projected))
    rotation = ops.cast(rotation, "float32")
    vectors = ops.convert_to_numpy(ops.matmul(basis, rotation))[:, ::-1][:, :count]
    variance = np.maximum(ops.convert_to_numpy(squares)[::-1][:count], 0) / rows
    # The sign of a component is arbitrary; fix it so that libraries agree.
    signs = np.sign(vectors[np.argmax(np.abs(vectors), axis=0), np.arange(count)])
    return vectors * signs, variance
