"""The network and the targets that several runs in one process share."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from style_transfer.network import FeatureExtractor, feature_extractor
from style_transfer.parsing import layers_in_use
from style_transfer.settings import Settings
from style_transfer.targets import (
    ContentTargets,
    Masks,
    StyleTargets,
    Targets,
    content_layers_in_use,
    content_targets,
    make_targets,
    shared_regions,
    style_layers_in_use,
    style_targets,
)
from style_transfer.vgg import Filters

# Each size of a run needs one of each. A content image's features are about as large as the image;
# a style's statistics take about 2 MB.
CONTENTS_KEPT, STYLES_KEPT = 8, 64


class NetworkKey(NamedTuple):
    """What makes two networks the same."""

    network: str
    convention: str
    sha256: str  # SHA-256 of the filters
    layers: tuple[str, ...]
    pooling: str
    borders: str
    taps: str
    precision: str


class ContentKey(NamedTuple):
    """What makes two content targets the same, given the network."""

    image: str  # digest of size and pixels
    layers: tuple[str, ...]


class StyleKey(NamedTuple):
    """What makes two style targets the same, given the network."""

    image: str
    regions: tuple[tuple, ...] | None  # (color, digest of the mask) of each
    layers: tuple[tuple[str, tuple[str, ...]], ...]  # (kind, layers) of each kind of loss


Key = TypeVar("Key")
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """A cache of the values used last; makes missing ones."""

    def __init__(self, limit: int):
        self.limit = limit
        self.values: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        if key not in self.values:
            self.values[key] = make()
        self.values.move_to_end(key)
        while len(self.values) > self.limit:
            self.values.popitem(last=False)
        return self.values[key]


@dataclass
class Shared:
    """A network and targets that later runs in one process need not compute again.

    Pass one object to several runs. When a run needs another network, everything is dropped.
    """

    _key: NetworkKey | None = None
    _network: FeatureExtractor | None = None
    _contents: Recent[ContentKey, ContentTargets] = field(
        default_factory=lambda: Recent(CONTENTS_KEPT)
    )
    _styles: Recent[StyleKey, StyleTargets] = field(default_factory=lambda: Recent(STYLES_KEPT))

    def network(self, filters: Filters, settings: Settings, precision: str) -> FeatureExtractor:
        """The network with these filters, as `feature_extractor` makes it."""
        key = NetworkKey(
            filters.network,
            filters.convention,
            _digest(*(array for pair in filters.arrays.values() for array in pair)),
            tuple(layers_in_use(settings)),
            settings.pooling,
            settings.borders,
            settings.taps,
            precision,
        )
        if key != self._key:
            self.clear()
            self._network = feature_extractor(filters, settings, precision)
            self._key = key
        return self._known_network()

    def targets(
        self, images: list[np.ndarray], settings: Settings, masks: list[Masks] | None = None
    ) -> Targets:
        """Targets at one size, as `make_targets` makes them, for the network requested last."""
        network = self._known_network()
        if settings.targets == "batch":
            return make_targets(network, images, settings, masks)
        return Targets(
            images=tuple(images),
            content=self._content(images[0], settings),
            styles=tuple(
                self._style(image, settings, shared_regions(masks, style))
                for style, image in enumerate(images[1:])
            ),
            regions=masks[0] if masks else {},
        )

    def clear(self) -> None:
        """Drop network and targets."""
        self._key = self._network = None
        self._contents.values.clear()
        self._styles.values.clear()

    def _known_network(self) -> FeatureExtractor:
        if self._network is None:
            raise ValueError("expected a network before targets. Received: none yet")
        return self._network

    def _content(self, image: np.ndarray, settings: Settings) -> ContentTargets:
        key = ContentKey(_digest(image), tuple(content_layers_in_use(settings)))
        network = self._known_network()
        return self._contents.get(key, lambda: content_targets(network, image, settings))

    def _style(self, image: np.ndarray, settings: Settings, regions: Masks | None) -> StyleTargets:
        key = StyleKey(
            _digest(image),
            None
            if regions is None
            else tuple((region, _digest(mask)) for region, mask in regions.items()),
            tuple((kind, tuple(layers)) for kind, layers in style_layers_in_use(settings).items()),
        )
        network = self._known_network()
        return self._styles.get(key, lambda: style_targets(network, image, settings, regions))


def _digest(*arrays: np.ndarray) -> str:
    """A digest that identifies arrays: of their shapes, types and bytes."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape} {array.dtype};".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
