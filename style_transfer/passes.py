"""The two passes over one window of a picture, compiled once for each shape of windows.

The first pass, forward only, computes what a window's core adds to the sums over all positions.
Once the sums over all tiles are known, so is the loss's gradient with respect to each layer's
features F: F·A + b at the positions of a region, with a matrix A and a vector b per layer, and
2·k·(F − P) for the content. The second pass, forward and backward, computes a window's share of the
gradient with respect to the picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from keras import ops

from style_transfer import losses
from style_transfer.backends import value_and_grad, values_of, with_gradient
from style_transfer.grid import Grid, Tile
from style_transfer.settings import Settings
from style_transfer.targets import content_layers_in_use, mask_at, style_layers_in_use

if TYPE_CHECKING:
    from style_transfer.network import FeatureExtractor

Arrays = dict[str, np.ndarray]  # the inputs of a pass, by name


class Sums(NamedTuple):
    """Sums of the features of one layer over the positions of one region, float64.

    Attributes:
        second: Σ(F − c)ᵀ(F − c), (N, N).
        first: Σ(F − c), (N,); None for Gram matrices.
        center: c, (N,), close to the mean, so that the covariance is not a small difference of
            large numbers; None for Gram matrices, where c = 0.
    """

    second: np.ndarray
    first: np.ndarray | None = None
    center: np.ndarray | None = None

    def moments(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean (N,) and covariance (N, N) over `count` positions, float64."""
        assert self.first is not None and self.center is not None  # not called for Gram matrices
        shift = self.first / count
        return self.center + shift, self.second / count - np.outer(shift, shift)


class LayerMasks:
    """The positions of each layer that count in a window: those of its core, and of each region.

    Args:
        grid: the tiles.
        layers: names of the layers.
        regions: bool (H, W) at the picture's size; None: all of it.
    """

    def __init__(self, grid: Grid, layers: list[str], regions: Sequence[np.ndarray | None]):
        self.grid = grid
        self._regions = {layer: self._at(layer, regions) for layer in layers}

    def _at(self, layer: str, regions: Sequence[np.ndarray | None]) -> list[np.ndarray | None]:
        size = self.grid.layer_size(self.grid.size, layer)
        return [None if region is None else mask_at(region, size) for region in regions]

    def positions(self, layer: str, region: int) -> int:
        """How many positions of a layer a region has."""
        mask = self._regions[layer][region]
        return (
            math.prod(self.grid.layer_size(self.grid.size, layer)) if mask is None else mask.sum()
        )

    def of(self, tile: Tile) -> Arrays:
        """`mask LAYER` for each layer, float32 (1 + regions, h, w): core first, then regions."""
        found = {}
        for layer, regions in self._regions.items():
            core = self.grid.core_mask(tile, layer)
            parts = [core if x is None else core * self.grid.part(tile, layer, x) for x in regions]
            found[f"mask {layer}"] = np.stack([core, *parts])
        return found


class Passes:
    """The computations for one window.

    Args:
        network: computes the features.
        settings: which losses there are.
        regions: the number of regions, each with its own style loss; 1 without masks.

    Attributes:
        content_layers: the layers of the content loss, in the network's order.
        style_layers: the kind of style loss by layer, likewise.
    """

    def __init__(self, network: FeatureExtractor, settings: Settings, regions: int = 1):
        content, style = content_layers_in_use(settings), style_layers_in_use(settings)
        self.network = network
        self.regions = regions
        self.content_layers = [layer for layer in network.stages if layer in content]
        self.style_layers = {
            layer: kind for layer in network.stages for kind in style if layer in style[kind]
        }
        self.layers = [x for x in network.stages if x in content or x in self.style_layers]
        masks = [f"mask {layer}" for layer in self.layers]
        contents = [f"content {layer}" for layer in self.content_layers]
        centers = [f"center {layer}" for layer in self.style_layers if self.is_centered(layer)]
        slopes = [f"A {layer}" for layer in self.style_layers]
        slopes += [f"b {layer}" for layer in self.style_layers if self.is_centered(layer)]
        self._of_sums = masks + contents + centers
        self._of_slopes = masks + contents + slopes + ["factors"]
        self._features = values_of(self._content_features)
        self._sums = values_of(self._summed)
        self._slopes: dict[tuple, Callable] = {}

    def is_centered(self, layer: str) -> bool:
        """Whether a layer's style loss uses means and covariances."""
        return losses.STYLE_LOSSES[self.style_layers[layer]].centered

    def content_features(self, window: np.ndarray) -> list[np.ndarray]:
        """Features of a window (1, h, w, 3) at the content layers, float32."""
        return self._features(window)

    def sums(self, window: np.ndarray, inputs: Arrays) -> list[np.ndarray]:
        """What a window adds to the sums over all positions, in the order of `sum_names`.

        Args:
            window: a window of the combination image, float32 (1, h, w, 3).
            inputs: `mask LAYER`, float32 (1 + regions, h', w'), 1 where a position counts for the
                content, then for each region; `content LAYER`, P; `center LAYER`, (regions, N).
        """
        return self._sums(window, *(inputs[name] for name in self._of_sums))

    def added_up(self, found: Iterable[Sequence[np.ndarray]], centers: Arrays) -> dict:
        """The sums over all tiles of an image, added up in the order of the tiles.

        Args:
            found: the results of `sums`, tile by tile.
            centers: c by layer, float32 (regions, N).

        Returns:
            `Sums` by (layer, region), and Σ(F − P)² by content layer.
        """
        names = list(self.sum_names())
        totals: dict[tuple[str, str, int], Any] = dict.fromkeys(names, 0.0)
        for values in found:
            for name, value in zip(names, values, strict=True):
                totals[name] = totals[name] + value.astype(np.float64)
        sums: dict = {layer: totals["content", layer, 0] for layer in self.content_layers}
        for layer in self.style_layers:
            for region in range(self.regions):
                first, center = None, None
                if self.is_centered(layer):
                    first = totals["first", layer, region]
                    center = centers[layer][region].astype(np.float64)
                sums[layer, region] = Sums(totals["second", layer, region], first, center)
        return sums

    def sum_names(self) -> Iterator[tuple[str, str, int]]:
        """(`content`, `first` or `second`; layer; region) of each array that `sums` returns."""
        for layer in self.layers:
            if layer in self.content_layers:
                yield "content", layer, 0
            if layer in self.style_layers:
                for region in range(self.regions):
                    if self.is_centered(layer):
                        yield "first", layer, region
                    yield "second", layer, region

    def gradient(self, window: np.ndarray, inputs: Arrays) -> np.ndarray:
        """A window's share of the gradient with respect to the image, float32 (1, h, w, 3).

        Args:
            window: as for `sums`.
            inputs: masks and content likewise; `A LAYER`, (regions, N, N), and `b LAYER`,
                (regions, N); `factors`, k by content layer.
        """
        if window.shape not in self._slopes:
            stages = [(stage, self._layer(name)) for name, stage in self.network.stages.items()]
            self._slopes[window.shape] = value_and_grad(_nothing, stages)
        arrays = [inputs[name] for name in self._of_slopes]
        return self._slopes[window.shape](window, *arrays)[1]

    def _content_features(self, window) -> list:
        return [
            features
            for layer, features in self.network.one_by_one(window)
            if layer in self.content_layers
        ]

    def _summed(self, window, *inputs) -> list:
        given = dict(zip(self._of_sums, inputs, strict=True))
        found = []
        for layer, features in self.network.one_by_one(window):
            if layer in self.content_layers:
                error = ops.square(features - given[f"content {layer}"])
                found.append(ops.sum(error * _shaped(given, layer, 0)))
            for region in range(self.regions if layer in self.style_layers else 0):
                inside = features
                if self.is_centered(layer):
                    inside = features - given[f"center {layer}"][region]
                inside = inside * _shaped(given, layer, 1 + region)
                if self.is_centered(layer):
                    found.append(ops.sum(inside, axis=(0, 1, 2)))
                found.append(losses.gram_matrix(inside))
        return found

    def _layer(self, layer: str) -> Callable:
        """A scalar whose gradient with respect to a layer's features is that of the whole loss."""

        def linear(features, *inputs):
            given = dict(zip(self._of_slopes, inputs, strict=True))
            features = ops.cast(features, "float32")
            constant, slope = ops.stop_gradient(features), 0.0
            if layer in self.content_layers:
                factor = given["factors"][self.content_layers.index(layer)]
                error = constant - given[f"content {layer}"]
                slope = slope + error * (2 * factor * _shaped(given, layer, 0))
            for region in range(self.regions if layer in self.style_layers else 0):
                part = ops.matmul(constant, given[f"A {layer}"][region])
                if self.is_centered(layer):
                    part = part + given[f"b {layer}"][region]
                slope = slope + part * _shaped(given, layer, 1 + region)
            if isinstance(slope, float):  # no loss uses this layer
                return ops.zeros((1,), "float32")
            return _with_slope(features, slope)

        return linear


# A scalar, 0, with a given gradient with respect to the features. This way no array as large as the
# features is multiplied or kept for it.
_with_slope = with_gradient(
    lambda features, slope: ops.zeros((1,), "float32"), lambda gradient, slope: slope
)


def _shaped(given: dict, layer: str, number: int):
    """One of a layer's masks, (1, h, w, 1)."""
    return given[f"mask {layer}"][number][None, :, :, None]


def _nothing(image, *_):
    """Stands in for the parts of the loss that depend on the image itself; they need no windows."""
    return ops.zeros((1,), "float32")
