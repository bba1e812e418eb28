"""The targets with which a combination image is compared, and the losses of one layer.

Targets are computed once per content or style image and size. `layer_losses` is the loss itself,
layer by layer; whole pictures, tiles and the training of style networks share it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from keras import ops

from style_transfer import backends, losses
from style_transfer.parsing import parse_blend, parse_layers, style_parts
from style_transfer.settings import Settings

if TYPE_CHECKING:
    from style_transfer.network import FeatureExtractor

# A region is identified by its color in the masks; None is the whole picture, without masks.
Region = tuple[int, int, int] | None
Masks = dict[Region, np.ndarray]  # bool (H, W), by region


@dataclass(frozen=True)
class ContentTargets:
    """The content image's features.

    Attributes:
        features: P by layer, (1, H, W, N), float32.
    """

    features: dict[str, Any] = field(default_factory=dict)


class Place(NamedTuple):
    """The region, kind of loss and layer of a style's statistic."""

    region: Region
    kind: str  # a key of `losses.STYLE_LOSSES`
    layer: str


@dataclass(frozen=True)
class StyleTargets:
    """Statistics of one style image's features.

    Attributes:
        statistics: statistics by place; None for a region without a position at the layer.
    """

    statistics: dict[Place, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Targets:
    """All targets with which a combination image of one size is compared.

    Attributes:
        images: the content image, float32 (1, H, W, 3), BGR minus mean, then the style images.
        content: the content image's targets; None if targets come from the rows of a batch.
        styles: the targets of each style image; none likewise.
        regions: the content image's regions, each with its own style loss; empty for one style loss
            of the whole picture.
    """

    images: tuple[np.ndarray, ...]
    content: ContentTargets | None = None
    styles: tuple[StyleTargets, ...] = ()
    regions: Masks = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns) of the content image."""
        return self.images[0].shape[1:3]


def make_targets(
    network: FeatureExtractor,
    images: list[np.ndarray],
    settings: Settings,
    masks: list[Masks] | None = None,
) -> Targets:
    """Targets at one size.

    Args:
        network: computes the features of all layers that `settings` names.
        images: content image, then style images, float32 (1, H, W, 3), BGR minus mean. Style images
            may have any size; with `targets="batch"`, the content's.
        settings: layers and kinds of losses, and whether targets are computed here (`cached`) or at
            each evaluation (`batch`).
        masks: regions of each image, in the same order.

    Raises:
        OutOfMemory: the backend cannot allocate the features.
    """
    if settings.targets == "batch":
        return Targets(tuple(images))
    regions = masks[0] if masks else {}
    return Targets(
        images=tuple(images),
        content=content_targets(network, images[0], settings),
        styles=tuple(
            style_targets(network, image, settings, shared_regions(masks, style))
            for style, image in enumerate(images[1:])
        ),
        regions=regions,
    )


def shared_regions(masks: list[Masks] | None, style: int) -> Masks | None:
    """The regions of a style image that the content image also has; None without masks."""
    if not masks:
        return None
    return {region: masks[1 + style][region] for region in masks[0] if region in masks[1 + style]}


def content_targets(
    network: FeatureExtractor, image: np.ndarray, settings: Settings
) -> ContentTargets:
    """Features of a content image at the content layers."""
    layers = content_layers_in_use(settings)
    if not layers:
        return ContentTargets()
    with backends.memory_for("the features of the content image"):
        features = network.one_by_one(ops.convert_to_tensor(image))
        return ContentTargets({layer: found for layer, found in features if layer in layers})


def style_targets(
    network: FeatureExtractor, image: np.ndarray, settings: Settings, regions: Masks | None = None
) -> StyleTargets:
    """Statistics of a style image, region by region if it has masks."""
    statistics = {}
    if not style_layers_in_use(settings):
        return StyleTargets()
    with backends.memory_for("the features of a style image"), backends.float64():
        for region, mask in _or_whole(regions):
            visible = masked(ops.convert_to_tensor(image), mask)
            for layer, features in network.one_by_one(visible):
                statistics |= _statistics(layer, features, settings, region, mask)
    return StyleTargets(statistics)


def _statistics(
    layer: str, features, settings: Settings, region: Region = None, mask: np.ndarray | None = None
) -> dict[Place, Any]:
    """The targets of one layer's style losses, from the style image's features."""
    inside = within(features, mask)
    return {
        Place(region, kind, layer): None
        if inside is None
        else losses.STYLE_LOSSES[kind].target(inside)
        for kind, layers in style_layers_in_use(settings).items()
        if layer in layers
    }


def targets_of_rows(targets: Targets, layer: str, rows: list, settings: Settings) -> Targets:
    """Targets at one layer from the features of a batch's rows: content, then each style."""
    content_row, *style_rows = rows
    return replace(
        targets,
        content=ContentTargets({layer: content_row}),
        styles=tuple(StyleTargets(_statistics(layer, row, settings)) for row in style_rows),
    )


def content_layers_in_use(settings: Settings) -> dict[str, float]:
    """The content layers and their loss weights; empty if the content weight is 0."""
    return parse_layers(settings, "content_layers") if settings.content_weight else {}


def style_layers_in_use(settings: Settings) -> dict[str, dict[str, float]]:
    """The style layers and their loss weights, by kind of loss; empty if the style weight is 0."""
    return style_parts(settings) if settings.style_weight else {}


def layer_losses(
    features,
    layer: str,
    targets: Targets,
    settings: Settings,
    seen_by: Callable = lambda part, features: features,
) -> dict[str, Any]:
    """The parts of the loss that use one layer, without their loss weights.

    Args:
        features: F of the combination image, (1, H, W, N), float32.
        layer: the layer's name.
        targets: the targets, at least those of this layer.
        settings: which losses there are, and how they are normalized.
        seen_by: takes (part's name, features) and returns the features from which the part is
            computed.

    Returns:
        Scalars by name of the part, as in `objective.make_loss_weights`: `gram block1_conv1`, ….
    """
    parts = {}
    content_layers = content_layers_in_use(settings)
    if layer in content_layers:
        assert targets.content is not None  # if there is a content loss
        part = f"content {layer}"
        parts[part] = losses.content_loss(
            seen_by(part, features),
            targets.content.features[layer],
            settings.loss_scale,
            len(content_layers),
        )
    for kind, layers in style_layers_in_use(settings).items():
        if layer in layers:
            part = f"{kind} {layer}"
            parts[part] = _style_loss(seen_by(part, features), kind, layer, targets, settings)
    return parts


def _or_whole(regions: Masks | None) -> list[tuple[Region, np.ndarray | None]]:
    """(region, mask) of each region, or of the whole picture if there are none."""
    return [(None, None)] if regions is None else list(regions.items())


def _style_loss(features, kind: str, layer: str, targets: Targets, settings: Settings):
    """One kind of style loss at one layer: the sum over regions and over their styles."""
    loss = 0.0  # start with a sum even for the first part: the order of sums fixes the rounding
    for region, mask in _or_whole(targets.regions or None):
        inside = within(features, mask)
        if inside is None:
            continue  # a region too small for this layer
        statistic = partial(losses.STYLE_LOSSES[kind].statistic, inside)
        place, count = Place(region, kind, layer), losses.positions(inside)
        for part in style_losses_at(place, statistic, count, targets, settings):
            loss = loss + part
    return ops.zeros((), "float32") if isinstance(loss, float) else loss


def style_losses_at(
    place: Place, statistic: Callable, positions: int, targets: Targets, settings: Settings
) -> Iterator:
    """Style losses of one place, one for each style that has it, times the style's share.

    Args:
        place: region, kind of loss and layer.
        statistic: a function without arguments; returns the combination image's statistic there.
        positions: the number of positions over which the statistic is taken.
        targets: the targets, at least those of this place.
        settings: how losses are normalized.
    """
    layers = len(style_layers_in_use(settings)[place.kind])
    at = losses.LayerScale(settings.loss_scale, targets.size, positions, layers)
    for target, share in style_shares(targets, place, settings):
        yield share * losses.STYLE_LOSSES[place.kind].loss(statistic(), target, at)


def style_shares(targets: Targets, place: Place, settings: Settings) -> list[tuple[Any, float]]:
    """(target, share of the style loss) for each style that has a statistic at a place.

    Shares are those of `--style_blend`, times the region's share of the content image. If a style
    does not have the region, or not a position of it at this layer, the other styles take over its
    share. If no style does, the region has no style loss and keeps its content.
    """
    blend = parse_blend(settings.style_blend, len(targets.styles))
    found = [style.statistics.get(place) for style in targets.styles]
    able = [style for style, target in enumerate(found) if target is not None]
    area = float(targets.regions[place.region].mean()) if targets.regions else 1.0
    whole = sum(blend[style] for style in able)
    return [(found[style], area * blend[style] / whole) for style in able]


def masked(image, mask: np.ndarray | None):
    """An image with zeros (the mean color) outside a region, so that no other region leaks in."""
    if mask is None:
        return image
    return image * ops.convert_to_tensor(mask[None, :, :, None].astype(np.float32))


def within(features, mask: np.ndarray | None):
    """Features at the positions of a region as (1, M', 1, N); None if it has none.

    Args:
        features: (1, h, w, N).
        mask: bool (H, W) at the image's size, resized to (h, w) by nearest neighbor; None: the
            features as they are.
    """
    if mask is None:
        return features
    places = np.flatnonzero(mask_at(mask, features.shape[1:3]))
    if len(places) == 0:
        return None
    return ops.take(losses.flat(features), places, axis=0)[None, :, None, :]


def mask_at(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a mask, bool (H, W), to a layer's (rows, columns) by nearest neighbor."""
    rows, columns = size
    row = (np.arange(rows) * 2 + 1) * mask.shape[0] // (2 * rows)
    column = (np.arange(columns) * 2 + 1) * mask.shape[1] // (2 * columns)
    return mask[np.ix_(row, column)]
