"""The targets for a picture in tiles: content features on disk, styles' sums added up by tiles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from style_transfer import backends
from style_transfer.errors import InputError
from style_transfer.gaussians import Moments, gaussian_of
from style_transfer.grid import Grid, channels_of
from style_transfer.memory import why_not_in_tiles
from style_transfer.passes import LayerMasks, Passes, Sums
from style_transfer.settings import Settings
from style_transfer.targets import (
    Masks,
    Place,
    StyleTargets,
    Targets,
    masked,
    shared_regions,
    style_layers_in_use,
    style_targets,
)
from style_transfer.tile_map import TileMap, Tiling

if TYPE_CHECKING:
    from style_transfer.network import FeatureExtractor


@dataclass(frozen=True)
class TiledTargets(Targets):
    """The targets of a combination image in tiles, and the tiles themselves.

    Attributes:
        energies: ΣP² of the content's features by layer, in float64.
        tiles: the tiles; close them after the last evaluation.
    """

    energies: dict[str, float] = field(default_factory=dict)
    tiles: TileMap | None = None


def make_tiled_targets(
    network: FeatureExtractor,
    images: list[np.ndarray],
    settings: Settings,
    tiling: Tiling,
    masks: list[Masks] | None = None,
) -> TiledTargets:
    """Targets at one size, as `targets.make_targets` makes them, for `tiles.make_tiled_objective`.

    Args:
        network: computes the features of all layers that `settings` names.
        images: content image, then style images, float32 (1, H, W, 3), BGR minus mean. A style
            image larger than a window is processed in tiles.
        settings: layers and kinds of losses.
        tiling: how tiles are computed.
        masks: regions of each image, in the same order.

    Returns:
        Targets whose content features are on disk, and whose images are empty unless they are used
        again.

    Raises:
        InputError: a choice cannot be computed in tiles.
        OutOfMemory: the backend cannot allocate the memory for a window.
    """
    refuse_what_is_no_sum(settings)
    styles = tuple(
        _style_targets(network, image, settings, tiling.tile, shared_regions(masks, style))
        for style, image in enumerate(images[1:])
    )
    grid = grid_of(network, images[0], settings, tiling.tile)
    regions = masks[0] if masks else {}
    at: list[np.ndarray | None] = [*regions.values()] or [None]
    tiles = TileMap(network, settings, grid, at, images[0], tiling)
    energies = dict.fromkeys(Passes(network, settings).content_layers, 0.0)
    for _, found in tiles.ask("energy") if energies else []:
        for layer, energy in zip(energies, found, strict=True):
            energies[layer] += float(energy)
    # Later only their sizes are used, except that balancing starts at the content image.
    sizes = [np.broadcast_to(np.float32(0), image.shape) for image in images]
    if settings.auto_weights:
        sizes[0] = images[0]
    return TiledTargets(
        tuple(sizes), styles=styles, regions=regions, energies=energies, tiles=tiles
    )


def refuse_what_is_no_sum(settings: Settings) -> None:
    """Raise InputError for losses that are not sums over positions."""
    if refused := why_not_in_tiles(settings):
        raise InputError(refused)


def grid_of(network: FeatureExtractor, image: np.ndarray, settings: Settings, tile: int) -> Grid:
    """The tiles of an image (1, H, W, 3)."""
    layers = tuple(network.stages)
    return Grid(image.shape[1:3], tile, settings.network, layers, settings.borders)


def _style_targets(
    network: FeatureExtractor, image: np.ndarray, settings: Settings, tile: int, regions
) -> StyleTargets:
    """Statistics of a style image, region by region if it has masks."""
    grid = grid_of(network, image, settings, tile)
    if len(grid.tiles) == 1 or not style_layers_in_use(settings):
        return style_targets(network, image, settings, regions)
    passes, statistics = Passes(network, replace(settings, content_weight=0.0)), {}
    for region, mask in ({None: None} if regions is None else regions).items():
        masks = LayerMasks(grid, passes.layers, [mask])
        visible = ops.convert_to_numpy(masked(ops.convert_to_tensor(image), mask))
        statistics |= _statistics(passes, masks, visible, region)
    return StyleTargets(statistics)


def _statistics(passes: Passes, masks: LayerMasks, image: np.ndarray, region) -> dict[Place, Any]:
    """The targets of the style losses, from sums over a style image's tiles."""
    centers = {
        layer: np.zeros((1, channels_of(layer)), np.float32) for layer in passes.style_layers
    }

    def found() -> Iterator[list[np.ndarray]]:
        fixed = {f"center {layer}": center for layer, center in centers.items()}
        for tile in masks.grid.tiles:
            yield passes.sums(image[tile.window], fixed | masks.of(tile))

    sums = passes.added_up(found(), centers)
    if any(map(passes.is_centered, centers)):  # a second time, around the mean
        for layer, center in centers.items():
            center += sums[layer, 0].first / max(masks.positions(layer, 0), 1)
        sums = passes.added_up(found(), centers)
    statistics = {}
    for layer, kind in passes.style_layers.items():
        count = masks.positions(layer, 0)
        with backends.float64():
            statistics[Place(region, kind, layer)] = _target(kind, sums[layer, 0], count)
    return statistics


def _target(kind: str, sums: Sums, count: int):
    """A style's target of one kind; None if `count` is 0."""
    if count == 0:
        return None
    if kind == "gram":
        return ops.convert_to_tensor((sums.second / count).astype(np.float32))
    mean, covariance = (ops.convert_to_tensor(x.astype(np.float32)) for x in sums.moments(count))
    found = Moments(mean, covariance)
    return found if kind == "moments" else gaussian_of(found, count)
