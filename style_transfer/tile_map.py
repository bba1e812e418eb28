"""The tiles of one size, computed in this process, in several, or on a cluster.

Each tile answers three questions: the energy of the content's features, its contribution to the
sums over all positions, and its share of the gradient. Answers come in the order of the tiles, so
sums are the same to the bit for any number of workers.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from style_transfer.cluster import Workers
from style_transfer.errors import RunStopped
from style_transfer.events import TilePass
from style_transfer.grid import Grid, Tile
from style_transfer.images import IMAGENET_MEAN
from style_transfer.passes import Arrays, LayerMasks, Passes
from style_transfer.runs.kept_tiles import KeptTiles
from style_transfer.settings import Settings
from style_transfer.tile_crew import Crew, RemoteTileWorker

if TYPE_CHECKING:
    from style_transfer.network import FeatureExtractor

# Until both passes have been measured: forward and backward takes about as long as three forward.
PASSES = {"sums": 1, "gradient": 3}


@dataclass(frozen=True)
class Tiling:
    """How a size is computed in tiles.

    Attributes:
        tile: side of a tile, in pixels.
        folder: holds the content's features of tiles that this process computes; None: the system's
            folder for temporary files.
        crew: which processes compute the tiles.
        kept: keeps the answers of the evaluation in progress, or None.
        on_pass: called with a `TilePass` after each tile.
    """

    tile: int
    folder: Path | None = None
    crew: Crew = Crew()
    kept: KeptTiles | None = None
    on_pass: Callable[[TilePass], None] = lambda done: None


@dataclass
class ContentFeatures:
    """Features of the content image, tile by tile, in an unnamed file; computed when first needed.

    Every evaluation reads them twice. Computing them again would cost two more forward passes.

    Args:
        folder: where the file is; None: the system's folder for temporary files.
        make: returns the features of a tile's window, float32 (1, h, w, N), one array per layer.
    """

    folder: Path | None
    make: Callable[[Tile], list[np.ndarray]]
    _file: Any = None  # an unnamed temporary file
    _places: dict[int, list[tuple[int, tuple[int, ...], type]]] = field(default_factory=dict)

    def of(self, tile: Tile) -> list[np.ndarray]:
        """The features of a tile's window, float32 (1, h, w, N), by layer."""
        if tile.number not in self._places:
            self._places[tile.number] = [self._write(features) for features in self.make(tile)]
        return [self._read(*place) for place in self._places[tile.number]]

    def _write(self, features: np.ndarray) -> tuple[int, tuple[int, ...], type]:
        """Write features to the file; returns where they are: (start, shape, type)."""
        bits = np.ascontiguousarray(features, np.float32).view(np.uint32)
        if not (bits & 0xFFFF).any():  # a network in bfloat16 gives no more bits
            bits = (bits >> 16).astype(np.uint16)
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self.folder)  # noqa: SIM115
            start = self._file.seek(0, 2)
            self._file.write(bits)
            self._file.flush()
        except OSError as error:
            raise RunStopped(f"not enough disk space for the content's features: {error}") from None
        return start, features.shape, bits.dtype.type

    def _read(self, start: int, shape: tuple[int, ...], kind: type) -> np.ndarray:
        bits = np.empty(shape, kind)
        self._file.seek(start)
        self._file.readinto(bits)
        if kind is np.uint16:
            bits = bits.astype(np.uint32) << 16
        return bits.view(np.float32)


class TileWorker:
    """Computes tiles; see `TileMap` for the questions.

    Args:
        network: computes the features of all layers that `settings` names.
        settings: which losses there are.
        grid: the tiles.
        regions: bool (H, W) at the picture's size; None: all of it.
        content: the content image's pixels, uint8 (1, H, W, 3), BGR.
        folder: see `ContentFeatures`.
    """

    def __init__(
        self,
        network: FeatureExtractor,
        settings: Settings,
        grid: Grid,
        regions: Sequence[np.ndarray | None],
        content: np.ndarray,
        folder: Path | None = None,
    ):
        self.grid = grid
        self.passes = Passes(network, settings, len(regions))
        self.masks = LayerMasks(grid, self.passes.layers, regions)
        self._content = content
        self._features = ContentFeatures(folder, self._features_of)

    def __call__(self, item: tuple[str, int, np.ndarray | None], fixed: Arrays) -> list:
        """The answer of a tile.

        Args:
            item: the question (`energy`, `sums` or `gradient`), the tile's number, and its window
                of the image.
            fixed: the pass's inputs that are the same for all tiles.
        """
        question, number, window = item
        tile = self.grid.tiles[number]
        features = self._features.of(tile) if self.passes.content_layers else []
        named = zip(self.passes.content_layers, features, strict=True)
        if question == "energy":
            return [self._energy(tile, layer, values) for layer, values in named]
        assert window is not None
        inputs = fixed | self.masks.of(tile) | {f"content {layer}": x for layer, x in named}
        if question == "sums":
            return self.passes.sums(window, inputs)
        return [self.passes.gradient(window, inputs)]

    def _energy(self, tile: Tile, layer: str, features: np.ndarray) -> np.ndarray:
        """ΣP² over the core."""
        core = features[0][self.grid.core(tile, layer)]
        return np.array(np.sum(np.square(core), dtype=np.float64))

    def _features_of(self, tile: Tile) -> list[np.ndarray]:
        window = self._content[tile.window].astype(np.float32)
        window -= IMAGENET_MEAN
        return self.passes.content_features(window)


class TileMap:
    """Asks all tiles of one size, in order.

    Args:
        network: the network for this process.
        settings: which losses there are.
        grid: the tiles.
        regions: bool (H, W) at the picture's size; None: all of it.
        content: the content image, float32 (1, H, W, 3), BGR minus mean, of whole pixel values.
        tiling: how the tiles are computed.
    """

    def __init__(
        self,
        network: FeatureExtractor,
        settings: Settings,
        grid: Grid,
        regions: Sequence[np.ndarray | None],
        content: np.ndarray,
        tiling: Tiling,
    ):
        self.grid, self._tiling = grid, tiling
        pixels = np.rint(content + IMAGENET_MEAN).astype(np.uint8)
        crew = tiling.crew
        make: Callable
        if crew.is_this_process:
            worker = TileWorker(network, settings, grid, regions, pixels, tiling.folder)

            def make() -> TileWorker:
                return worker
        else:
            make = RemoteTileWorker(crew, settings, grid, tuple(regions), pixels)
        # Items are large and take seconds, so none should wait for a slow worker.
        self._team = Workers(make, crew.workers, crew.address, ahead=0)
        self._done, self._seconds = 0, dict.fromkeys(PASSES, 0.0)

    def begin(self, image: np.ndarray) -> None:
        """Start an evaluation of an image: the questions will be `sums`, then `gradient`."""
        self._done = 0
        if self._tiling.kept:
            self._tiling.kept.begin(image)

    def ask(
        self, question: str, image: np.ndarray | None = None, fixed: Arrays | None = None
    ) -> Iterator[tuple[Tile, list[np.ndarray]]]:
        """(tile, its answer), in the order of the tiles.

        Args:
            question: see `TileWorker`.
            image: float32 (1, H, W, 3); each tile gets its window of it.
            fixed: see `TileWorker`.

        Raises:
            RunStopped: a tile could not be computed.
        """
        tiles, kept = self.grid.tiles, self._tiling.kept
        first = 0
        while kept and first < len(tiles) and (found := kept.answer(f"{question} {first}")):
            self._done += 1
            yield tiles[first], found
            first += 1
        items = (
            (question, tile.number, None if image is None else image[tile.window])
            for tile in tiles[first:]
        )
        started = time.monotonic()
        outcomes: Any = self._team.map_in_order(items, fixed or {}, lambda item: f"tile {item[1]}")
        with contextlib.closing(outcomes):
            for done, (tile, outcome) in enumerate(zip(tiles[first:], outcomes, strict=True), 1):
                if outcome.failure:
                    raise outcome.failure.error or RunStopped(outcome.failure.message)
                if kept:
                    kept.append(f"{question} {tile.number}", outcome.value)
                self._measured(question, (time.monotonic() - started) / done)
                yield tile, outcome.value

    def close(self) -> None:
        """End the workers."""
        self._team.close()
        if self._tiling.kept:
            self._tiling.kept.close()

    def _measured(self, question: str, seconds: float) -> None:
        """Note how long a tile took, and report how long the rest of the evaluation will take."""
        if question not in PASSES:
            return
        self._done += 1
        self._seconds[question] = seconds
        known = {name: x / PASSES[name] for name, x in self._seconds.items() if x}
        usual = sum(known.values()) / len(known)
        each = {name: self._seconds[name] or PASSES[name] * usual for name in PASSES}
        count = len(self.grid.tiles)
        left = {"sums": max(0, count - self._done), "gradient": min(count, 2 * count - self._done)}
        self._tiling.on_pass(
            TilePass(
                self._done,
                2 * count,
                seconds,
                left=sum(left[name] * each[name] for name in PASSES),
                evaluation=count * sum(each.values()),
            )
        )
