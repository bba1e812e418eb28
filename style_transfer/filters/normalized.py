"""Filters rescaled to mean activation 1, as in the network of Gatys et al."""

import dataclasses

import numpy as np
from keras import ops

from style_transfer.filters import check_large_enough
from style_transfer.network import feature_extractor
from style_transfer.settings import Settings
from style_transfer.vgg import Filters


def normalized_filters(filters: Filters, images: list[np.ndarray], settings: Settings) -> Filters:
    """Rescale filters so that each one's mean activation over images and positions is 1.

    This is Gatys et al.'s normalized network (arXiv 1505.07376 and CVPR 2016, section 2 of both).
    If m are the mean activations after the ReLU, a layer's filters and biases are divided by its
    own m, and its filters multiplied by the previous layer's m. ReLU and pooling preserve a
    positive scale (L2 pooling almost, because of its epsilon), so the network computes the same
    except for the scale of each channel. A channel that is 0 on all images keeps its scale.

    Args:
        filters: the filters of all convolutions from the first to the deepest in use.
        images: the images to measure on, float32 (1, H, W, 3), BGR minus mean.
        settings: pooling and borders.

    Raises:
        InputError: an image is so narrow that a side vanishes in pooling.
    """
    if settings.borders == "zeros":  # with repeated borders, poolings keep an odd row
        check_large_enough(images, list(filters.arrays), "--normalize_filters")
    after_relu = dataclasses.replace(settings, taps="relu")
    extractor = feature_extractor(filters, after_relu, "float32", list(filters.arrays))
    total = {name: np.zeros(bias.size) for name, (_, bias) in filters.arrays.items()}
    positions = dict.fromkeys(filters.arrays, 0)
    for image in images:
        for name, features in extractor.one_by_one(image):
            features = ops.convert_to_numpy(features)  # (1, H, W, N)
            total[name] += features.sum(axis=(0, 1, 2), dtype=np.float64)
            positions[name] += features[..., 0].size
    normalized, before = {}, np.ones(3)
    for name, (kernel, bias) in filters.arrays.items():
        mean = total[name] / positions[name]
        mean[mean == 0] = 1
        kernel = kernel * (before[:, None] / mean)  # (3, 3, in, out)
        normalized[name] = kernel.astype(np.float32), (bias / mean).astype(np.float32)
        before = mean
    return dataclasses.replace(filters, arrays=normalized)
