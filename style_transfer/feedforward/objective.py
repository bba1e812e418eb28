"""The loss that a style network lowers: that of `transfer`, for each picture of a batch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from keras import ops

from style_transfer.events import TERMS
from style_transfer.images import IMAGENET_MEAN
from style_transfer.objective import LossWeights, loss_stages, make_loss_weights, weighted_terms
from style_transfer.settings import Settings
from style_transfer.targets import (
    ContentTargets,
    StyleTargets,
    Targets,
    content_layers_in_use,
    style_targets,
)

if TYPE_CHECKING:
    from style_transfer.network import FeatureExtractor


def as_images(pictures):
    """Pictures, RGB 0..255, (B, H, W, 3), as VGG takes them: BGR minus mean, float32."""
    return ops.flip(ops.cast(pictures, "float32"), axis=-1) - ops.convert_to_tensor(IMAGENET_MEAN)


class BatchLoss:
    """The objective of `transfer` for a batch of photographs and the network's pictures of them.

    The content targets are the features of the batch's own photographs; the style targets are
    computed once. The terms of every picture come from `objective.loss_stages`, as in `transfer`,
    except for `energies`.

    Args:
        vgg: computes the features of all layers that `settings` names.
        styles: the style images, float32 (1, H, W, 3), BGR minus mean.
        settings: the losses and their loss weights.
        shape: (pictures, rows, columns) of a batch.
        loss_weights: the loss weights of the parts, instead of those of the settings.
        energies: a crop's average ΣP² by content layer. The `relative` content loss of a crop with
            less, such as one of plain sky, is divided by this average, so that the crop counts as
            much as in a whole photograph. With its own, such crops count several times more.
    """

    def __init__(
        self,
        vgg: FeatureExtractor,
        styles: list[np.ndarray],
        settings: Settings,
        shape: tuple[int, int, int],
        loss_weights: LossWeights | None = None,
        energies: dict[str, float] | None = None,
    ):
        self.vgg, self.settings, self.shape = vgg, settings, shape
        self.styles: tuple[StyleTargets, ...] = tuple(
            style_targets(vgg, style, settings) for style in styles
        )
        self.loss_weights = loss_weights or make_loss_weights(settings)
        self.energies = energies or {}

    def __call__(self, photographs, pictures):
        """The mean of the pictures' terms, (3,), in the order of `TERMS`.

        Args:
            photographs: RGB 0..255, (B, H, W, 3).
            pictures: the network's, likewise.
        """
        contents = self._content_features(as_images(ops.reshape(photographs, (*self.shape, 3))))
        images = as_images(ops.reshape(pictures, (*self.shape, 3)))
        losses = [
            loss_stages(self.vgg, targets, self.settings, self._vector(targets))
            for targets in (self.targets(contents, row) for row in range(self.shape[0]))
        ]
        total = ops.zeros((len(TERMS),), "float32")
        # Split, not sliced: each slice's gradient would be a tensor of the whole batch.
        for (of_image, _), image in zip(losses, self._rows(images), strict=True):
            total = total + of_image(image)
        features = images
        for number, stage in enumerate(self.vgg.stages.values()):
            features = stage(features)
            for (_, stages), own in zip(losses, self._rows(features), strict=True):
                total = total + stages[number][1](own)
        return total / len(losses)

    def _rows(self, batch) -> list:
        """The pictures of a batch, (1, H, W, N) each."""
        return ops.split(batch, self.shape[0])

    def targets(self, contents: dict, row: int) -> Targets:
        """The targets of one picture of the batch.

        Args:
            contents: features of the batch's photographs by content layer, (B, h, w, N).
            row: the picture's number in the batch.
        """
        size = np.broadcast_to(np.float32(0), (1, *self.shape[1:], 3))  # only its shape counts
        own = {layer: found[row : row + 1] for layer, found in contents.items()}
        return Targets((size,), ContentTargets(own), self.styles)

    def _vector(self, targets: Targets) -> Callable:
        """From the parts of one picture's loss to its terms."""
        weights: dict = dict(self.loss_weights)
        features = targets.content.features if targets.content else {}
        for layer, energy in self.energies.items():
            own = ops.sum(ops.square(features[layer]))
            weights[f"content {layer}"] *= own / ops.maximum(own, energy)
        return partial(weighted_terms, weights)

    def _content_features(self, images) -> dict:
        """Features of photographs at the content layers; computes no deeper layer."""
        wanted = set(content_layers_in_use(self.settings))
        found = {}
        features = self.vgg.one_by_one(images)
        while wanted - found.keys():
            layer, values = next(features)
            if layer in wanted:
                found[layer] = ops.stop_gradient(values)
        return found
