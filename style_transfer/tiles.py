"""The objective of a picture in tiles: loss and gradient of the whole, in the memory of a tile.

Gram matrices, moments and content errors are sums over positions, so two passes over the tiles are
enough. The first, forward only, adds up the sums. They determine the loss and its gradient with
respect to every layer's features. The second, forward and backward, carries that gradient to the
picture. Nothing is blended: apart from rounding, the numbers are those of the whole picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from style_transfer import backends, losses
from style_transfer.backends import value_and_grad
from style_transfer.balance import balanced_by_norms, under_soft_noise
from style_transfer.events import TERMS
from style_transfer.gaussians import Moments
from style_transfer.grid import bands, channels_of
from style_transfer.objective import LossWeights, make_loss_weights, term_of
from style_transfer.passes import Arrays, LayerMasks, Passes, Sums
from style_transfer.settings import Settings
from style_transfer.targets import Place, StyleTargets, style_losses_at, style_shares
from style_transfer.tiled_targets import TiledTargets, refuse_what_is_no_sum

if TYPE_CHECKING:
    from style_transfer.network import FeatureExtractor


def make_tiled_objective(
    network: FeatureExtractor,
    targets: TiledTargets,
    settings: Settings,
    loss_weights: LossWeights | None = None,
) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """The loss of a combination image and its gradient, like `objective.make_objective`.

    Args:
        network: computes the features of all layers that `settings` names.
        targets: targets from `make_tiled_targets`.
        settings: losses, their layers, normalization and loss weights.
        loss_weights: the loss weights of the parts, instead of `make_loss_weights(settings)`.

    Raises:
        InputError: a choice cannot be computed in tiles.
    """
    loss = TiledLoss(network, targets, settings)
    weights = loss_weights or make_loss_weights(settings)

    def objective(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        loss.tiles.begin(image)
        parts, slopes = loss.parts(image)
        variation, gradient = loss.variation(image)
        gradient *= weights["total_variation"]
        loss.add_gradient(gradient, image, slopes, weights)
        terms = dict.fromkeys(TERMS, 0.0)
        for name, value in (parts | {"total_variation": variation}).items():
            terms[term_of(name)] += weights[name] * value
        return np.array(list(terms.values()), np.float32), gradient

    return objective


def balanced_loss_weights_in_tiles(
    network: FeatureExtractor, targets: TiledTargets, settings: Settings
) -> LossWeights:
    """Like `balance.balanced_loss_weights`, but in tiles."""
    loss = TiledLoss(network, targets, settings)
    image = under_soft_noise(targets.images[0], settings.seed)
    parts, slopes = loss.parts(image)

    def norm_of(name: str) -> float:
        if name == "total_variation":
            gradient = loss.variation(image)[1]
        else:
            gradient = np.zeros_like(image)
            loss.add_gradient(gradient, image, slopes, dict.fromkeys(parts, 0.0) | {name: 1.0})
        return float(np.sqrt(np.sum(np.square(gradient), dtype=np.float64)))

    return balanced_by_norms(settings, norm_of)


class TiledLoss:
    """The parts of the loss at one size, in tiles; arguments as for `make_tiled_objective`."""

    def __init__(self, network: FeatureExtractor, targets: TiledTargets, settings: Settings):
        refuse_what_is_no_sum(settings)
        assert targets.tiles is not None
        self.targets, self.settings = targets, settings
        self.regions = list(targets.regions) or [None]
        self.tiles, self.grid = targets.tiles, targets.tiles.grid
        self.passes = Passes(network, settings, len(self.regions))
        masks = [targets.regions.get(region) for region in self.regions]
        self.masks = LayerMasks(self.grid, self.passes.layers, masks)
        self._centers = {
            layer: np.stack([self._center(layer, region) for region in self.regions])
            for layer in self.passes.style_layers
            if self.passes.is_centered(layer)
        }
        self._of_statistics = _StatisticLosses(self)
        self._variation = value_and_grad(self._variation_of_band)

    # The loss

    def parts(self, image: np.ndarray) -> tuple[dict[str, float], dict]:
        """The parts of the loss without their loss weights, except the total variation.

        Returns:
            (parts, slopes): values by name, as in `objective.make_loss_weights`, and the
            derivatives that `add_gradient` needs for this image.
        """
        fixed = {f"center {layer}": center for layer, center in self._centers.items()}
        found = (values for _, values in self.tiles.ask("sums", image, fixed))
        sums = self.passes.added_up(found, self._centers)
        parts, slopes = {}, {}
        for layer in self.passes.content_layers:
            factor = self._content_factor(layer)
            parts[f"content {layer}"] = factor * sums[layer]
            slopes[f"content {layer}"] = factor
        style_parts, style_slopes = self._of_statistics(sums)
        return parts | style_parts, slopes | style_slopes

    def add_gradient(
        self, gradient: np.ndarray, image: np.ndarray, slopes: dict, weights: LossWeights
    ) -> None:
        """Add the gradient of the weighted parts, except the total variation, to `gradient`.

        Args:
            gradient: float32 (1, H, W, 3), changed in place.
            image: likewise, unchanged.
            slopes: those that `parts` returned for this image.
            weights: the loss weights by part.
        """
        if not self.passes.layers:
            return
        factors = [
            slopes[f"content {x}"] * weights[f"content {x}"] for x in self.passes.content_layers
        ]
        fixed: Arrays = {"factors": np.array(factors, np.float32)}
        for layer, kind in self.passes.style_layers.items():
            maps, offsets = slopes[f"{kind} {layer}"]
            weight = weights[f"{kind} {layer}"]
            fixed[f"A {layer}"] = (weight * maps).astype(np.float32)
            fixed[f"b {layer}"] = (weight * offsets).astype(np.float32)
        for tile, (slope,) in self.tiles.ask("gradient", image, fixed):
            gradient[tile.window] += slope

    def _content_factor(self, layer: str) -> float:
        values = int(np.prod(self.grid.layer_size(self.grid.size, layer))) * channels_of(layer)
        energy, layers = self.targets.energies[layer], len(self.passes.content_layers)
        return losses.content_factor(self.settings.loss_scale, energy, values, layers)

    def _center(self, layer: str, region) -> np.ndarray:
        """A center close to the mean of the features: the mean of a style's features."""
        place = Place(region, self.passes.style_layers[layer], layer)
        for target, _ in style_shares(self.targets, place, self.settings):
            return ops.convert_to_numpy(target.mean)
        return np.zeros(channels_of(layer), np.float32)

    # The total variation

    def variation(self, image: np.ndarray) -> tuple[float, np.ndarray]:
        """The unweighted total variation and its gradient, float32 (1, H, W, 3)."""
        _, rows, columns, _ = image.shape
        relative = self.settings.loss_scale == "relative"
        value, gradient = 0.0, np.zeros_like(image)
        if not self.settings.tv_weight:
            return value, gradient
        for first, stop in bands(rows if relative else rows - 1, self._rows_of_band):
            band = image[:, first : stop + 1]
            if relative:  # the last row and column are compared with themselves
                below = int(stop == rows)
                band = np.pad(band, ((0, 0), (0, below), (0, 1), (0, 0)), "edge")
            (part,), slope = self._variation(band)
            value += float(part)
            gradient[:, first : stop + 1] += slope[:, : rows - first, :columns]
        scale = losses.TOTAL_VARIATION_SHARE / image.size if relative else 1.0
        gradient *= np.float32(scale)
        return scale * value, gradient

    @property
    def _rows_of_band(self) -> int:
        """The rows of a band with about as many pixels as a tile."""
        rows, columns = self.grid.tiles[0].shape
        return max(1, rows * columns // self.grid.size[1])

    def _variation_of_band(self, band):
        relative = self.settings.loss_scale == "relative"
        variation = losses.padded_variation if relative else losses.total_variation
        return ops.reshape(variation(band), (1,))


class _StatisticLosses:
    """Turns sums over all positions into the parts of the style loss and their derivatives.

    Formulas and derivatives are those of losses.py, as functions of the statistics alone.
    """

    def __init__(self, loss: TiledLoss):
        self.passes, self.masks, self.settings = loss.passes, loss.masks, loss.settings
        self.targets = replace(loss.targets, styles=tuple(map(_wide, loss.targets.styles)))
        self.places = [
            (index, Place(region, kind, layer))
            for layer, kind in self.passes.style_layers.items()
            for index, region in enumerate(loss.regions)
            if self.masks.positions(layer, index)
        ]
        self._losses = value_and_grad(self._parts)

    def __call__(self, sums: dict) -> tuple[dict[str, float], dict]:
        """(parts, slopes): values, and (A (regions, N, N), b (regions, N)), by part."""
        names = [f"{kind} {layer}" for layer, kind in self.passes.style_layers.items()]
        slopes = {}
        for name, layer in zip(names, self.passes.style_layers, strict=True):
            shape = (self.passes.regions, channels_of(layer))
            slopes[name] = np.zeros((*shape, shape[1])), np.zeros(shape)
        if not self.places:
            return dict.fromkeys(names, 0.0), slopes
        found = [self._statistic(sums, index, place) for index, place in self.places]
        values, flat = self._losses(np.concatenate([x.ravel() for pair in found for x in pair]))
        start = 0
        for (index, place), (mean, _) in zip(self.places, found, strict=True):
            maps, offsets = slopes[f"{place.kind} {place.layer}"]
            channels = channels_of(place.layer)
            by_mean = flat[start : start + len(mean)]
            start += len(mean)
            by_second = flat[start : start + channels**2].reshape(channels, channels)
            start += channels**2
            # d Σ⟨D, FᵀF⟩ = F (D + Dᵀ). The derivative of a mean by a position is 1/M.
            maps[index] = by_second + by_second.T
            if len(mean):
                maps[index] /= self.masks.positions(place.layer, index)
                by_mean = by_mean / self.masks.positions(place.layer, index)
                offsets[index] = by_mean - mean @ maps[index]
        return dict(zip(names, map(float, values), strict=True)), slopes

    def _statistic(self, sums: dict, index: int, place: Place) -> tuple[np.ndarray, np.ndarray]:
        """(mean or an empty array, covariance or Gram matrix), float64."""
        of: Sums = sums[place.layer, index]
        if not self.passes.is_centered(place.layer):
            return np.empty(0), of.second
        return of.moments(self.masks.positions(place.layer, index))

    def _parts(self, flat):
        """The parts of the style loss, float64, from all statistics in one vector."""
        parts, start = dict.fromkeys(self.passes.style_layers, 0.0), 0
        for index, place in self.places:
            channels, mean = channels_of(place.layer), None
            if self.passes.is_centered(place.layer):
                mean = ops.cast(flat[start : start + channels], "float32")
                start += channels
            statistic = ops.reshape(flat[start : start + channels**2], (channels, channels))
            start += channels**2
            if mean is not None:
                statistic = Moments(mean, ops.cast(statistic, "float32"))
            count = int(self.masks.positions(place.layer, index))
            at = (place, lambda found=statistic: found, count, self.targets, self.settings)
            for part in style_losses_at(*at):
                parts[place.layer] = parts[place.layer] + ops.cast(part, "float64")
        return ops.stack([ops.convert_to_tensor(x, "float64") for x in parts.values()])


def _wide(style: StyleTargets) -> StyleTargets:
    """Gram matrices in float64: squared sums over 10⁸ positions exceed float32's range."""

    def wide(place: Place, target) -> Any:
        return (
            ops.cast(target, "float64") if place.kind == "gram" and target is not None else target
        )

    with backends.float64():
        return StyleTargets({place: wide(place, x) for place, x in style.statistics.items()})
