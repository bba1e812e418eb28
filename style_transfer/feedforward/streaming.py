"""Paints a photograph of any size in little memory, with the same result as for the whole.

Instance normalization needs each channel's mean and variance over the whole picture. So the network
is evaluated up to one normalization after another: strips of rows are computed with a halo as wide
as the convolutions reach, and their statistics added up; once these are known, the next convolution
follows. The map kept in between has a quarter of the photograph's rows and columns; everything at
full size is computed two or three times.

Where a strip's border is not the picture's, values at the border are wrong; the halo absorbs them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from keras import ops

from style_transfer.feedforward.layers import Unit, picture_of, scaled
from style_transfer.feedforward.network import STEP, StyleNetwork
from style_transfer.machine import usable_memory

STRIP = 400_000  # pixels of a strip by default: 0.4 GB at width 32
# Rows of the kept map that a strip reads beyond its own: the encoder reaches over 4 + 1 + 2 rows of
# the photograph, the decoder over as many in reverse; a residual convolution over one of the map.
HALO = 2


def streamed(network: StyleNetwork, pixels: np.ndarray, rows: int | None = None) -> np.ndarray:
    """The network's picture, strip by strip.

    Args:
        network: the network, in float32.
        pixels: the photograph, uint8 (H, W, 3).
        rows: rows of a strip; None chooses.

    Returns:
        RGB 0..255, float32 (H, W, 3).
    """
    rows = rows or max(4 * STEP, STRIP // pixels.shape[1])
    streaming = _Streaming(pixels, max(1, rows // STEP))
    kept = streaming.encoded(network.encoder)
    for first, second in network.residual_blocks():
        streaming.add_block(kept, first, second)
    return streaming.decoded(kept, network)


class _Strip(NamedTuple):
    """Rows of the kept map: the strip's own, and those that it reads."""

    first: int
    last: int  # after the last
    first_read: int
    last_read: int

    def of(self, source: np.ndarray, times: int = 1):
        """The rows that the strip reads from `source`, (1, h, W, N).

        Args:
            source: a map with `times` rows for each row of the kept map.
            times: see `source`.
        """
        return ops.convert_to_tensor(source[None, times * self.first_read : times * self.last_read])

    def own(self, features, times: int):
        """The strip's own rows of features that were computed from the result of `of`."""
        before = times * (self.first - self.first_read)
        return features[:, before : before + times * (self.last - self.first)]


class _Streaming:
    """One photograph's evaluation by a network."""

    def __init__(self, pixels: np.ndarray, height: int):
        self.pixels, self.height = pixels, height
        self.shape = tuple((length + STEP - 1) // STEP for length in pixels.shape[:2])

    def strips(self, halo: int = HALO) -> Iterator[_Strip]:
        rows = self.shape[0]
        for first in range(0, rows, self.height):
            last = min(rows, first + self.height)
            yield _Strip(first, last, max(0, first - halo), min(rows, last + halo))

    def encoded(self, units: Sequence[Unit]) -> np.ndarray:
        """The kept map: features after the encoder, (h, w, N)."""
        known: list[Callable] = []
        kept = _new_map((*self.shape, units[-1].convolution.filters))
        times = STEP
        for unit in units:
            times //= unit.convolution.strides
            statistics = _Statistics()
            for strip in self.strips():
                features = scaled(strip.of(self.pixels, STEP))
                features = unit.convolution(_after(known, features))
                own = ops.convert_to_numpy(strip.own(features, times))
                statistics.add(own)
                if unit is units[-1]:
                    kept[strip.first : strip.last] = own[0]
            known.append(_known(unit, statistics))
        self._normalize(kept, units[-1], statistics)
        return kept

    def add_block(self, kept: np.ndarray, first: Unit, second: Unit) -> None:
        """Add a residual block's result to the kept map, in place."""
        inner, statistics = self._convolved(kept, first)
        self._normalize(inner, first, statistics)
        change, statistics = self._convolved(inner, second)
        self._normalize(change, second, statistics)
        for strip in self.strips(0):
            kept[strip.first : strip.last] += change[strip.first : strip.last]

    def decoded(self, kept: np.ndarray, network: StyleNetwork) -> np.ndarray:
        """The picture computed from the map after the residual blocks."""
        known: list[Callable] = []
        times = 1
        for unit in network.decoder:
            times *= unit.convolution.enlarge
            statistics = _Statistics()
            for strip in self.strips():
                features = unit.convolution(_after(known, strip.of(kept)))
                statistics.add(ops.convert_to_numpy(strip.own(features, times)))
            known.append(_known(unit, statistics))
        picture = np.empty(self.pixels.shape, np.float32)
        columns = self.pixels.shape[1]
        for strip in self.strips():
            photograph = scaled(strip.of(self.pixels, STEP))
            features = _after(known, strip.of(kept))[:, : photograph.shape[1], :columns]
            painted = strip.own(picture_of(photograph, network.last(features)), STEP)
            picture[STEP * strip.first : STEP * strip.last] = ops.convert_to_numpy(painted)[0]
        return picture

    def _convolved(self, source: np.ndarray, unit: Unit) -> tuple[np.ndarray, _Statistics]:
        """A map after a unit's convolution, not yet normalized, and its statistics."""
        result, statistics = _new_map((*self.shape, unit.convolution.filters)), _Statistics()
        for strip in self.strips():
            own = ops.convert_to_numpy(strip.own(unit.convolution(strip.of(source)), 1))
            statistics.add(own)
            result[strip.first : strip.last] = own[0]
        return result, statistics

    def _normalize(self, features: np.ndarray, unit: Unit, statistics: _Statistics) -> None:
        """Normalize a map after a unit's convolution, in place, and apply the ReLU."""
        mean, variance = statistics.tensors()
        for strip in self.strips(0):
            normalized = unit.normalization.normalized(strip.of(features), mean, variance)
            features[strip.first : strip.last] = ops.convert_to_numpy(unit.activated(normalized))[0]


class _Statistics:
    """Mean and variance of each channel over positions, added up strip by strip in float64."""

    def __init__(self) -> None:
        self.count, self.mean, self.squares = 0, np.zeros(1), np.zeros(1)

    def add(self, features: np.ndarray) -> None:
        """Add features (1, h, W, N), by Chan, Golub and LeVeque, 1979, equation 2.1."""
        flat = features.reshape(-1, features.shape[-1])
        mean = flat.mean(axis=0, dtype=np.float64)
        squares = np.square(flat - mean.astype(np.float32)).sum(axis=0, dtype=np.float64)
        count, before = len(flat), self.count
        self.count = before + count
        change = mean - self.mean
        self.mean = self.mean + change * (count / self.count)
        self.squares = self.squares + squares + change**2 * (before * count / self.count)

    def tensors(self) -> tuple:
        """(mean, variance), float32 (1, 1, 1, N)."""
        both = (self.mean, self.squares / self.count)
        return tuple(ops.convert_to_tensor(x.astype(np.float32)[None, None, None]) for x in both)


def _known(unit: Unit, statistics: _Statistics) -> Callable:
    """A unit as a function of a strip, once its statistics are known."""
    mean, variance = statistics.tensors()

    def apply(features):
        features = unit.normalization.normalized(unit.convolution(features), mean, variance)
        return unit.activated(features)

    return apply


def _after(units: Sequence[Callable], features):
    for unit in units:
        features = unit(features)
    return features


def _new_map(shape: tuple[int, ...]) -> np.ndarray:
    """A map, float32; in a temporary file if three of them would fill memory."""
    size, memory = 4 * int(np.prod(shape)), usable_memory()
    if memory is None or 6 * size < memory:
        return np.empty(shape, np.float32)
    file = tempfile.TemporaryFile()  # noqa: SIM115 (the map closes it)
    return np.memmap(file, np.float32, "w+", shape=shape)
