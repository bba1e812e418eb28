"""Histograms of features, channel by channel: how they are represented and matched.

Features O are (1, H, W, N), M = H·W positions of N channels.
"""

import numpy as np
from keras import ops

# Enough for R(O) to be within 1 % of the result of sorting (tests/test_losses.py).
BINS = 4096
QUANTILES = 1024
EPSILON = 1e-12  # a flat channel must not divide by zero


def quantiles(features):
    """Quantile function of each channel, (1, H, W, N) to (Q, N).

    Its QUANTILES levels, sin²(πt/2) for even steps of t from 0 to 1, are dense at the ends, because
    the rare, large activations are far apart.
    """
    ordered = ops.sort(_flat(features), axis=0)  # (M, N)
    last = ordered.shape[0] - 1
    places = np.sin(np.linspace(0, np.pi / 2, QUANTILES)) ** 2 * last
    below = np.floor(places).astype(np.int32)
    above = np.minimum(below + 1, last)
    part = ops.convert_to_tensor((places - below).astype(np.float32)[:, None])
    return ops.take(ordered, below, axis=0) * (1 - part) + ops.take(ordered, above, axis=0) * part


def histogram_match(features, target):
    """R(O): remap each channel's values so that their distribution is the target's.

    Risser, Wilmot and Barnes, arXiv 1701.08893, section 4.1. Instead of sorting O at every
    evaluation, this counts its values in bins twice: first in even bins, then in bins derived from
    these, each of which holds about as many values as lie between two of the target's quantiles.
    All values of such a bin get the target's value for their middle rank, and so do equal values,
    such as a ReLU's zeros.

    Args:
        features: O, (1, H, W, N).
        target: `quantiles` of the style image's features, (Q, N).

    Returns:
        (1, H, W, N); the gradient treats it as constant.
    """
    values = ops.stop_gradient(_flat(features))  # (M, N)
    count = values.shape[0]
    centered = values - ops.mean(values, axis=0)
    # A few large values would leave few bins for the others, so distances beyond the mean distance
    # count by their logarithm. Any increasing map preserves the ranks.
    scaled = ops.arcsinh(centered / (ops.mean(ops.abs(centered), axis=0) + EPSILON))
    low, high = ops.min(scaled, axis=0), ops.max(scaled, axis=0)
    place = (scaled - low) * (BINS / (high - low + EPSILON))
    index, counts, below = _counted(place)
    part = ops.reshape(place, (-1,)) - ops.cast(index % BINS, "float32")
    rank = ops.take(ops.reshape(below, (-1,)), index)
    rank = rank + ops.take(ops.reshape(counts, (-1,)), index) * part
    index, counts, below = _counted(ops.reshape(_spaced(rank / count) * BINS, values.shape))
    rank = below + (counts - 1) / 2  # each bin's middle rank, from 0
    place = _spaced(rank / max(count - 1, 1)) * (QUANTILES - 1.0)
    step = ops.cast(ops.minimum(place, QUANTILES - 2.0), "int32")
    table = ops.transpose(target)  # (N, Q)
    start = ops.take_along_axis(table, step, axis=1)
    end = ops.take_along_axis(table, step + 1, axis=1)
    remapped = start + (end - start) * (place - ops.cast(step, "float32"))  # (N, BINS)
    matched = ops.take(ops.reshape(remapped, (-1,)), index)
    return ops.stop_gradient(ops.reshape(matched, features.shape))


def _counted(place):
    """Count values in BINS bins for each channel.

    Args:
        place: (M, N), 0 to BINS.

    Returns:
        (index, counts, below): each value's bin, (M·N,), where bin b of channel c is c·BINS + b;
        the number of values in each bin, and in all bins before it, both (N, BINS).
    """
    channels = place.shape[1]
    index = ops.cast(ops.minimum(place, BINS - 1.0), "int32")
    index = ops.reshape(index + ops.arange(channels, dtype="int32") * BINS, (-1,))
    counts = ops.segment_sum(ops.ones_like(index, dtype="float32"), index, channels * BINS)
    counts = ops.reshape(counts, (channels, BINS))
    return index, counts, ops.cumsum(counts, axis=1) - counts


def _spaced(level):
    """The t, 0 to 1, for which sin²(πt/2) is `level`."""
    return ops.arcsin(ops.sqrt(ops.clip(level, 0.0, 1.0))) * (2 / np.pi)


def _flat(features):
    """Features (1, H, W, N) as a matrix (M, N)."""
    return ops.reshape(features, (-1, features.shape[-1]))
