"""What a picture in tiles is compared with: content features on disk, styles' sums by tiles."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from style_transfer import backends, losses
from style_transfer.errors import InputError, RunStopped
from style_transfer.grid import Grid, channels_of
from style_transfer.memory import why_not_in_tiles
from style_transfer.passes import LayerMasks, Passes, Sums
from style_transfer.settings import Settings
from style_transfer.targets import (
    ContentTargets,
    Masks,
    Place,
    StyleTargets,
    Targets,
    masked,
    shared_regions,
    style_layers_in_use,
    style_targets,
)

if TYPE_CHECKING:
    from style_transfer.network import FeatureExtractor


@dataclass
class FeaturesOnDisk:
    """Features of the content image at one layer, window by window, in a file without a name.

    They are read twice an evaluation.

    Attributes:
        folder: where the file is; None: the system's folder for such files.
        energy: ΣP² over the positions of all cores, in float64.
    """

    folder: Path | None
    energy: float = 0.0
    _file: Any = None  # an unnamed temporary file
    _places: list[tuple[int, tuple[int, ...], type]] = field(default_factory=list)

    def append(self, features: np.ndarray) -> None:
        """Keep the next window's features, float32 (1, h, w, N)."""
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115
        bits = np.ascontiguousarray(features, np.float32).view(np.uint32)
        if not (bits & 0xFFFF).any():  # all that a network in bfloat16 says
            bits = (bits >> 16).astype(np.uint16)
        self._places.append((self._file.tell(), features.shape, bits.dtype.type))
        try:
            self._file.write(bits)
            self._file.flush()
        except OSError as error:
            raise RunStopped(f"not enough disk for the content's features: {error}") from None

    def window(self, number: int) -> np.ndarray:
        """The features of a window, float32 (1, h, w, N)."""
        start, shape, kind = self._places[number]
        bits = np.empty(shape, kind)
        self._file.seek(start)
        self._file.readinto(bits)
        if kind is np.uint16:
            bits = bits.astype(np.uint32) << 16
        return bits.view(np.float32)


def make_tiled_targets(
    network: FeatureExtractor,
    images: list[np.ndarray],
    settings: Settings,
    tile: int,
    masks: list[Masks] | None = None,
    folder: Path | None = None,
) -> Targets:
    """Targets at one size, as `targets.make_targets` makes them, for `tiles.make_tiled_objective`.

    Args:
        network: gives features for all layers that `settings` names.
        images: content image, then style images, float32 (1, H, W, 3), BGR minus mean. A style
            image larger than a window is looked at in tiles.
        settings: layers and kinds of losses.
        tile: side of a tile, in pixels.
        masks: regions of each image, in the same order.
        folder: for the content's features; see `FeaturesOnDisk`.

    Returns:
        Targets whose content features are on disk, and whose images are empty where nobody looks at
        them again.

    Raises:
        InputError: a choice that cannot be computed in tiles.
        OutOfMemory: the backend cannot allocate what a window needs.
    """
    refuse_what_is_no_sum(settings)
    styles = tuple(
        _style_targets(network, image, settings, tile, shared_regions(masks, style))
        for style, image in enumerate(images[1:])
    )
    content = _content_targets(network, images[0], settings, tile, folder)
    # Their sizes are all that is asked for later; only balancing starts at the content image.
    sizes = [np.broadcast_to(np.float32(0), image.shape) for image in images]
    if settings.auto_weights:
        sizes[0] = images[0]
    return Targets(tuple(sizes), content, styles, masks[0] if masks else {})


def refuse_what_is_no_sum(settings: Settings) -> None:
    """Raise InputError for losses that are no sums over positions."""
    if refused := why_not_in_tiles(settings):
        raise InputError(refused)


def grid_of(network: FeatureExtractor, image: np.ndarray, settings: Settings, tile: int) -> Grid:
    """The tiles of an image (1, H, W, 3)."""
    layers = tuple(network.stages)
    return Grid(image.shape[1:3], tile, settings.network, layers, settings.borders)


def _content_targets(
    network: FeatureExtractor, image: np.ndarray, settings: Settings, tile: int, folder: Path | None
) -> ContentTargets:
    """Features of the content image at the content layers, on disk."""
    passes, grid = Passes(network, settings), grid_of(network, image, settings, tile)
    kept = {layer: FeaturesOnDisk(folder) for layer in passes.content_layers}
    for window in grid.tiles if kept else []:
        found = passes.content_features(image[window.window])
        for (layer, features), values in zip(kept.items(), found, strict=True):
            features.append(values)
            core = values[0][grid.core(window, layer)]
            features.energy += float(np.sum(np.square(core), dtype=np.float64))
    return ContentTargets(kept)


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
    """What the style losses compare with, from sums over a style image's tiles."""
    centers = {
        layer: np.zeros((1, channels_of(layer)), np.float32) for layer in passes.style_layers
    }
    sums = passes.added_up(masks, image, centers)
    if any(map(passes.is_centered, centers)):  # once more, around the mean
        for layer, center in centers.items():
            center += sums[layer, 0].first / max(masks.positions(layer, 0), 1)
        sums = passes.added_up(masks, image, centers)
    found = {}
    for layer, kind in passes.style_layers.items():
        count = masks.positions(layer, 0)
        with backends.float64():
            found[Place(region, kind, layer)] = _target(kind, sums[layer, 0], count)
    return found


def _target(kind: str, sums: Sums, count: int):
    """A style's target of one kind; None without a position."""
    if count == 0:
        return None
    if kind == "gram":
        return ops.convert_to_tensor((sums.second / count).astype(np.float32))
    mean, covariance = (ops.convert_to_tensor(x.astype(np.float32)) for x in sums.moments(count))
    found = losses.Moments(mean, covariance)
    return found if kind == "moments" else losses.Gaussian(mean, losses.square_root(covariance))
