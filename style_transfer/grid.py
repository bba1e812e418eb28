"""Cuts a picture into tiles in which every layer sees the same as in the whole picture.

Overlapping *windows* cover the picture along each side. Every position of a layer counts in only
one window, in the window's *core*; the core's halo is as wide as the deepest layer can see.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from style_transfer.vgg import CHANNELS, block_of, layers_up_to


@dataclass(frozen=True)
class Span:
    """A window along one side, in pixels of the picture.

    Attributes:
        start: where the window starts, a multiple of the deepest layer's pitch.
        stop: where it ends.
        core_start: where its core starts, likewise.
        core_stop: where its core ends.
    """

    start: int
    stop: int
    core_start: int
    core_stop: int

    @property
    def length(self) -> int:
        """Pixels in the window."""
        return self.stop - self.start


@dataclass(frozen=True)
class Tile:
    """One window of a picture."""

    number: int
    rows: Span
    columns: Span

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of the window."""
        return self.rows.length, self.columns.length

    @property
    def window(self) -> tuple[slice, slice, slice]:
        """The index that selects the window from an image (1, H, W, 3)."""
        rows, columns = self.rows, self.columns
        return slice(None), slice(rows.start, rows.stop), slice(columns.start, columns.stop)


@dataclass(frozen=True)
class Grid:
    """The tiles of a picture.

    Attributes:
        size: (rows, columns) of the picture.
        tile: the longest core inside the picture, in pixels.
        network: `vgg16` or `vgg19`.
        layers: names of the layers in use.
        borders: `repeated` or `zeros`; see `network.feature_extractor`.
    """

    size: tuple[int, int]
    tile: int
    network: str
    layers: tuple[str, ...]
    borders: str

    @cached_property
    def pitch(self) -> int:
        """Pixels from one position of the deepest layer to the next."""
        return 2 ** (max(map(block_of, self.layers)) - 1)

    @cached_property
    def halo(self) -> int:
        """Pixels that the deepest layer sees beyond its positions, rounded up to the pitch.

        Each 3 x 3 convolution sees one more position on either side. With this halo the gradient
        differs by 5e-7 of its norm, with 16 pixels less by 2e-4 (VGG19 up to block5_conv1,
        330 x 450).
        """
        layers = layers_up_to(self.network, list(self.layers))
        seen = sum(2 ** (block_of(layer) - 1) for layer in layers)
        return _up(seen, self.pitch)

    @cached_property
    def tiles(self) -> list[Tile]:
        """All tiles, row by row."""
        rows, columns = (spans(side, self.tile, self.halo, self.pitch) for side in self.size)
        pairs = [(row, column) for row in rows for column in columns]
        return [Tile(number, *pair) for number, pair in enumerate(pairs)]

    def layer_size(self, size: tuple[int, int], layer: str) -> tuple[int, int]:
        """Rows and columns of a layer's features, for a picture or window of `size`."""
        step = 2 ** (block_of(layer) - 1)
        rows, columns = (
            _up(side, step) // step if self.borders == "repeated" else side // step for side in size
        )
        return rows, columns

    def core(self, tile: Tile, layer: str) -> tuple[slice, slice]:
        """The slices of the core's positions within the window's, at a layer."""
        step = 2 ** (block_of(layer) - 1)
        rows, columns = (
            slice(
                (span.core_start - span.start) // step,
                # The remainder of an odd last row or column belongs to the last core.
                None if span.core_stop == span.stop else (span.core_stop - span.start) // step,
            )
            for span in (tile.rows, tile.columns)
        )
        return rows, columns

    def core_mask(self, tile: Tile, layer: str) -> np.ndarray:
        """1 at the core's positions and 0 in the halo: float32, (rows, columns) of the layer."""
        mask = np.zeros(self.layer_size(tile.shape, layer), np.float32)
        mask[self.core(tile, layer)] = 1
        return mask

    def part(self, tile: Tile, layer: str, of_layer: np.ndarray) -> np.ndarray:
        """A window's part of an array (rows, columns) over a layer of the whole picture."""
        step = 2 ** (block_of(layer) - 1)
        rows, columns = self.layer_size(tile.shape, layer)
        row, column = tile.rows.start // step, tile.columns.start // step
        return of_layer[row : row + rows, column : column + columns]


def channels_of(layer: str) -> int:
    """N, the number of a layer's channels."""
    return CHANNELS[block_of(layer) - 1]


def spans(side: int, tile: int, halo: int, pitch: int) -> list[Span]:
    """Windows that cover one side of a picture.

    All windows but the last have the same length, so few shapes have to be compiled. The first and
    the last need no halo at the picture's edge; those pixels belong to their cores.

    Args:
        side: rows or columns of the picture.
        tile: the longest core between two halos, in pixels.
        halo: pixels on either side of a core, a multiple of `pitch`.
        pitch: windows and cores start at multiples of it.
    """
    step = max(tile // pitch, 1) * pitch
    count = max(1, -(-(side - 2 * halo) // step))
    if count == 1:
        return [Span(0, side, 0, side)]
    step = _up(-(-(side - 2 * halo) // count), pitch)  # makes the cores equally long
    starts = [number * step for number in range(count)]
    ends = [start + step + 2 * halo for start in starts[:-1]] + [side]
    cores = [0, *(start + halo for start in starts[1:]), side]
    return [
        Span(start, end, *core)
        for start, end, core in zip(starts, ends, zip(cores, cores[1:], strict=False), strict=True)
    ]


def _up(number: int, step: int) -> int:
    """`number` rounded up to a multiple of `step`."""
    return -(-number // step) * step


def bands(rows: int, most: int) -> Iterator[tuple[int, int]]:
    """(first row, row after the last) of about equally high bands of at most `most` rows."""
    count = -(-rows // most)
    for number in range(count):
        yield rows * number // count, rows * (number + 1) // count
