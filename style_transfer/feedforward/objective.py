"""The loss that a style network lowers: the script's own, of each picture of a batch."""

from __future__ import annotations

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
    """Pictures, RGB 0..255, (B, H, W, 3), as images of VGG's world: BGR minus mean, float32."""
    return ops.flip(ops.cast(pictures, "float32"), axis=-1) - ops.convert_to_tensor(IMAGENET_MEAN)


class BatchLoss:
    """The objective of `transfer`, of a batch of photographs and the network's pictures of them.

    The content targets are the features of the batch's own photographs; the style targets are
    computed once. Every term of every picture is the script's: `objective.loss_stages`.

    Args:
        vgg: gives features for all layers that `settings` names.
        styles: the style images, float32 (1, H, W, 3), BGR minus mean.
        settings: which losses, and their weights.
        shape: (pictures, rows, columns) of a batch.
        loss_weights: of the parts of the loss, instead of those of the settings.
    """

    def __init__(
        self,
        vgg: FeatureExtractor,
        styles: list[np.ndarray],
        settings: Settings,
        shape: tuple[int, int, int],
        loss_weights: LossWeights | None = None,
    ):
        self.vgg, self.settings, self.shape = vgg, settings, shape
        self.styles: tuple[StyleTargets, ...] = tuple(
            style_targets(vgg, style, settings) for style in styles
        )
        self.vector = partial(weighted_terms, loss_weights or make_loss_weights(settings))

    def __call__(self, photographs, pictures):
        """The mean of the pictures' terms, (3,), in the order of `TERMS`.

        Args:
            photographs: RGB 0..255, (B, H, W, 3).
            pictures: the network's, likewise.
        """
        contents = self._content_features(as_images(ops.reshape(photographs, (*self.shape, 3))))
        images = as_images(ops.reshape(pictures, (*self.shape, 3)))
        losses = [
            loss_stages(self.vgg, self.targets(contents, row), self.settings, self.vector)
            for row in range(self.shape[0])
        ]
        total = ops.zeros((len(TERMS),), "float32")
        # Split, not sliced: a slice's gradient is a tensor of the whole batch, one for each row.
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
        """What one picture of the batch is compared with.

        Args:
            contents: features of the batch's photographs by content layer, (B, h, w, N).
            row: of the picture in the batch.
        """
        size = np.broadcast_to(np.float32(0), (1, *self.shape[1:], 3))  # only its shape counts
        own = {layer: found[row : row + 1] for layer, found in contents.items()}
        return Targets((size,), ContentTargets(own), self.styles)

    def _content_features(self, images) -> dict:
        """Features of photographs at the content layers, down to the deepest of these."""
        wanted = set(content_layers_in_use(self.settings))
        found = {}
        features = self.vgg.one_by_one(images)
        while wanted - found.keys():
            layer, values = next(features)
            if layer in wanted:
                found[layer] = ops.stop_gradient(values)
        return found
