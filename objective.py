"""Terms times weights, compiled to one function that returns loss and gradient.

The only file that knows an automatic differentiation backend, in `value_and_grad`.
"""

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

import losses
from settings import Settings, parse_blend, parse_layers

# The order of an objective's terms; the loss is their sum.
TERMS = ("content", "style", "total_variation")


def make_objective(
    extractor: keras.Model,
    content: np.ndarray,
    styles: list[np.ndarray],
    settings: Settings,
) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """The loss of a combination image and its gradient, at one size.

    Args:
        extractor: the network, giving features for all layers that `settings` names.
        content: the content image, float32 (1, H, W, 3), BGR minus mean.
        styles: style images likewise, of any size; with `targets="batch"` of the content's.
        settings: weights, layers, loss scale and the shape of the computation (`targets`).

    Returns:
        A function from the combination image, float32 (1, H, W, 3), to (terms, gradient):
        float32 (3,), weighted, in the order of `TERMS`, and float32 (1, H, W, 3).
    """
    size = content.shape[1:3]
    content_layers = parse_layers(settings, "content_layers")
    style_layers = parse_layers(settings, "style_layers")
    blend = parse_blend(settings.style_blend, len(styles))
    pictures = [ops.convert_to_tensor(image) for image in (content, *styles)]

    def style_targets(features):
        return {name: mean_gram(features[name]) for name in style_layers}

    # Rows 0, 1, … of the original's batch never change, so their features can be kept.
    if settings.targets == "cached":
        kept_content = {name: extractor(pictures[0])[name] for name in content_layers}
        kept_styles = [style_targets(extractor(picture)) for picture in pictures[1:]]

    def content_loss(features, targets):
        loss = 0.0
        for name, weight in content_layers.items():
            factor = losses.content_factor(settings.loss_scale, targets[name])
            loss += weight * factor * losses.squared_error(features[name], targets[name])
        return settings.content_weight * loss

    def style_loss(features, targets):
        loss = 0.0
        for name, weight in style_layers.items():
            gram = losses.gram_matrix(features[name])
            for share, target in zip(blend, targets, strict=True):
                # The style image may have another size: its Gram matrix at this one's positions.
                target_gram = target[name] * positions(features[name])
                factor = losses.style_factor(settings.loss_scale, target_gram, size)
                loss += share * weight * factor * losses.squared_error(gram, target_gram)
        return settings.style_weight * loss

    variation_factor = settings.tv_weight * losses.total_variation_factor(settings.loss_scale, size)

    def terms(combination_image):
        if settings.targets == "batch":
            batch = extractor(ops.concatenate([*pictures, combination_image], axis=0))
            content_row, *style_rows, features = [
                {name: value[row : row + 1] for name, value in batch.items()}
                for row in range(len(pictures) + 1)
            ]
            content_targets = content_row
            styles_targets = [style_targets(row) for row in style_rows]
        else:
            features = extractor(combination_image)
            content_targets, styles_targets = kept_content, kept_styles
        zero = ops.zeros(())
        return ops.stack(
            [
                content_loss(features, content_targets) if settings.content_weight else zero,
                style_loss(features, styles_targets) if settings.style_weight else zero,
                variation_factor * losses.total_variation(combination_image),
            ]
        )

    return value_and_grad(terms)


def positions(features) -> int:
    """M = H·W of features (1, H, W, N)."""
    return features.shape[1] * features.shape[2]


def mean_gram(features):
    """The Gram matrix divided by M, comparable between pictures of different sizes."""
    return losses.gram_matrix(features) / positions(features)


def value_and_grad(fn: Callable) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Compile a function of one array with the gradient of its sum.

    Args:
        fn: from a tensor (float32) to a vector of terms.

    Returns:
        A function from a NumPy array to (terms, gradient of Σ terms), NumPy arrays.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        @tf.function
        def compiled(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                terms = fn(x)
            return terms, tape.gradient(terms, x)

    elif backend == "jax":
        import jax

        def total(x):
            terms = fn(x)
            return terms.sum(), terms

        differentiated = jax.jit(jax.value_and_grad(total, has_aux=True))

        def compiled(x):
            (_, terms), gradient = differentiated(x)
            return terms, gradient

    else:
        import torch

        def compiled(x):
            x.requires_grad_()
            terms = fn(x)
            return terms.detach(), torch.autograd.grad(terms.sum(), x)[0]

    def evaluate(x: np.ndarray):
        terms, gradient = compiled(ops.convert_to_tensor(x))
        return ops.convert_to_numpy(terms), ops.convert_to_numpy(gradient)

    return evaluate
