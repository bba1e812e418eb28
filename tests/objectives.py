"""Objectives of small pictures, and the same in NumPy and float64."""

import numpy as np
import reference
from conftest import draw

from style_transfer import objective
from style_transfer.images import IMAGENET_MEAN
from style_transfer.losses import TOTAL_VARIATION_SHARE
from style_transfer.parsing import layers_in_use
from style_transfer.targets import make_targets

SCALES = ["keras", "relative", "gatys", "matconvnet", "pytorch"]

SHALLOW = {
    "content_layers": "block2_conv2",
    "style_layers": "block1_conv1:0.7,block2_conv1:0.3",
}


def image_of(size, seed):
    """BGR minus mean, float32 (1, *size, 3)."""
    return np.asarray(draw(*size, seed), np.float32)[None, :, :, ::-1] - IMAGENET_MEAN


def make_objective(network, content, styles, settings, masks=None, weights=None):
    targets = make_targets(network, [content, *styles], settings, masks)
    return objective.make_objective(network, targets, settings, weights)


def features_in_float64(filters, settings, image):
    return reference.vgg(
        image,
        filters[settings.network],
        settings.network,
        layers_in_use(settings),
        settings.pooling,
        taps=settings.taps,
    )


def expected_terms(filters, settings, content, styles, image, layers, blend):
    """The three terms by the papers' formulas; `layers` = (content, style) weights by name."""
    f, p, *s = [
        features_in_float64(filters, settings, picture) for picture in (image, content, *styles)
    ]
    scale, size = settings.loss_scale, content.shape[1:3]
    return np.array(
        [
            settings.content_weight
            * sum(
                w * reference.content_loss(scale, f[name], p[name], len(layers[0]))
                for name, w in layers[0].items()
            ),
            settings.style_weight
            * sum(
                share * w * reference.style_loss(scale, f[name], of[name], size, len(layers[1]))
                for name, w in layers[1].items()
                for share, of in zip(blend, s, strict=True)
            ),
            settings.tv_weight * reference.variation_loss(scale, image, TOTAL_VARIATION_SHARE),
        ]
    )


def assert_slopes_agree(loss, image, gradient, tolerance, directions=3):
    """Central differences of `loss` along random directions, beside the gradient's."""
    rng, step = np.random.default_rng(5), 1e-4  # of a pixel value
    image, gradient = image.astype(np.float64), gradient.astype(np.float64)
    for _ in range(directions):
        direction = rng.normal(size=image.shape)
        slope = (loss(image + step * direction) - loss(image - step * direction)) / (2 * step)
        error = slope - (gradient * direction).sum()
        # Of what a random direction's slope typically is: a single one may be near 0.
        assert abs(error) < tolerance * np.linalg.norm(gradient)


TWO_LAYERS = {"histogram_layers": "block1_conv2:0.4,block2_conv1:0.6", "histogram_weight": 2.5}
