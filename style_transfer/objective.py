"""Terms times loss weights, compiled into one function that returns loss and gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from keras import ops

from style_transfer import losses
from style_transfer.backends import value_and_grad, with_gradient
from style_transfer.events import FRAME_TERMS, TERMS
from style_transfer.parsing import parse_layers, style_parts
from style_transfer.settings import Settings
from style_transfer.targets import (
    ContentTargets,
    Targets,
    content_layers_in_use,
    layer_losses,
    targets_of_rows,
)

if TYPE_CHECKING:
    from style_transfer.network import FeatureExtractor

LossWeights = dict[
    str, float
]  # by name of the part: `content block4_conv2`, `gram block1_conv1`, …


def make_objective(
    network: FeatureExtractor,
    targets: Targets,
    settings: Settings,
    loss_weights: LossWeights | None = None,
) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """The loss of a combination image and its gradient, at one size.

    Args:
        network: computes the features of all layers that `settings` names.
        targets: the targets of the content image and the style images at this size.
        settings: losses, their layers, normalization and loss weights, and how targets are computed
            (`targets`).
        loss_weights: the loss weights of the parts, instead of `make_loss_weights(settings)`.

    Returns:
        A function that takes the combination image, float32 (1, H, W, 3), and returns (terms,
        gradient): float32 (3,), multiplied by their loss weights, in the order of `TERMS`; and
        float32 (1, H, W, 3). It raises OutOfMemory.
    """
    vector = partial(weighted_terms, loss_weights or make_loss_weights(settings))
    return value_and_grad(*loss_stages(network, targets, settings, vector))


def make_frame_objective(
    network: FeatureExtractor, targets: Targets, settings: Settings, loss_weights: LossWeights
) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """The loss of a clip's frames: content and earlier frame are inputs, so it compiles once.

    Args:
        network: as in `make_objective`.
        targets: the targets of the style images at the frames' size; the content image and content
            targets in it are not used.
        settings: as in `make_objective`, with `targets="cached"`.
        loss_weights: the loss weights of all parts, and of `temporal`.

    Returns:
        A function of (image, *content, earlier, seen): the frame, its content features in the order
        of `content_layers_in_use`, and the arguments of `losses.temporal_loss`. It returns (terms,
        gradient) as `make_objective`'s function does, with terms (4,) in the order of
        `FRAME_TERMS`.
    """
    vector = partial(weighted_terms, loss_weights, names=FRAME_TERMS)
    loss = _FrameLoss(targets, settings, vector)
    stages = [(stage, partial(loss.of_layer, layer)) for layer, stage in network.stages.items()]
    return value_and_grad(loss.of_image, stages)


def make_loss_weights(settings: Settings) -> LossWeights:
    """The loss weight of each part of the loss, by name: `gram block1_conv1`, …."""
    weights = {
        f"content {layer}": settings.content_weight * weight
        for layer, weight in parse_layers(settings, "content_layers").items()
    }
    for kind, layers in style_parts(settings).items():
        for layer, weight in layers.items():
            weights[f"{kind} {layer}"] = settings.style_weight * weight
    return weights | {"total_variation": settings.tv_weight}


def term_of(part: str) -> str:
    """The term of the loss, one of `FRAME_TERMS`, to which a part belongs."""
    kind = part.split()[0]
    return kind if kind in FRAME_TERMS else "style"


def weighted_terms(loss_weights: LossWeights, parts: dict, names: tuple[str, ...] = TERMS):
    """Parts times their loss weights, added up into terms, in the order of `names`."""
    sums = dict.fromkeys(names, ops.zeros((), "float32"))
    for name, value in parts.items():
        term = term_of(name)
        sums[term] = sums[term] + loss_weights[name] * value  # += is in place in PyTorch
    return ops.stack(list(sums.values()))


def loss_stages(
    network: FeatureExtractor, targets: Targets, settings: Settings, vector: Callable
) -> tuple[Callable, list[tuple[Callable, Callable]]]:
    """The loss layer by layer, as `value_and_grad` takes it.

    Args:
        network: computes the features.
        targets: what the features are compared with.
        settings: which losses there are.
        vector: turns some unweighted parts, {name: scalar}, and the evaluation's other inputs into
            a vector. Names are those of `make_loss_weights`, without parts of loss weight 0.
    """
    loss = _Loss(targets, settings, vector)
    stages: list[tuple[Callable, Callable]] = [
        (stage, partial(loss.of_layer, layer)) for layer, stage in network.stages.items()
    ]
    if settings.targets == "batch":
        (first, terms), *others = stages
        pictures = [ops.convert_to_tensor(image) for image in targets.images]
        stages = [(lambda x: first(ops.concatenate([*pictures, x], axis=0)), terms), *others]
    return loss.of_image, stages


@dataclass(frozen=True)
class _Loss:
    """The parts of the loss that depend on the image itself, or on one layer; see `loss_stages`."""

    targets: Targets
    settings: Settings
    vector: Callable

    def of_image(self, image, *others):
        """The vector of the total variation of the combination image."""
        part = losses.total_variation_loss(self.settings.loss_scale, image)
        return self.vector({"total_variation": part}, *others)

    def of_layer(self, layer: str, features, *others):
        """The vector of the parts at one layer, from its features in the network's precision."""
        features, targets = ops.cast(features, "float32"), self.targets
        if self.settings.targets == "batch":
            *rows, features = ops.split(features, len(targets.images) + 1)
            targets = targets_of_rows(targets, layer, rows, self.settings)
        seen_by = [self._normalized] if self.settings.normalize_gradients else []
        return self.vector(layer_losses(features, layer, targets, self.settings, *seen_by), *others)

    def _normalized(self, part: str, features):
        return _with_unit_gradient(features, make_loss_weights(self.settings)[part])


@dataclass(frozen=True)
class _FrameLoss(_Loss):
    """The parts of the loss of a clip's frames; see `make_frame_objective`."""

    def of_image(self, image, *given):
        *_, earlier, seen = given
        part = losses.temporal_loss(self.settings.loss_scale, image, earlier, seen)
        return super().of_image(image) + self.vector({"temporal": part})

    def of_layer(self, layer: str, features, *given):
        *features_of_content, _, _ = given
        layers = content_layers_in_use(self.settings)
        content = ContentTargets(dict(zip(layers, features_of_content, strict=True)))
        frame = _Loss(replace(self.targets, content=content), self.settings, self.vector)
        return frame.of_layer(layer, features)


def _unit_gradient(gradient, weight: float):
    """weight · g / Σ|g|, like the option "normalize gradients" of Johnson's neural-style.

    Each layer then pulls with its loss weight, however large its loss. The picture no longer
    follows the gradient of any loss.
    """
    return weight * gradient / (ops.sum(ops.abs(gradient)) + losses.EPSILON)


# Leaves features unchanged, but turns their gradient into its `_unit_gradient`.
_with_unit_gradient = with_gradient(lambda features, weight: ops.copy(features), _unit_gradient)
