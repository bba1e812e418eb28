"""Photographs for training: random crops, flips and scales, below every backend of Keras.

A crop depends on the seed, the epoch and its place in it alone, so that a training that goes on
sees the crops that it would have seen.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from style_transfer.errors import InputError
from style_transfer.pictures import load_picture

LARGEST_SCALE = 2.0  # a crop shows at least the (1 / LARGEST_SCALE)² of a square photograph
KEPT_BYTES = 1 << 30  # of photographs kept in memory, at the size that crops are cut from
LEAST = 10  # photographs; fewer, and the network learns these by heart
HELD_OUT = 3  # photographs that are only looked at


@dataclass(frozen=True)
class Crops:
    """How crops are cut.

    Attributes:
        size: rows and columns.
        batch: crops of a batch.
        steps: batches of an epoch.
        seed: of where they are cut.
    """

    size: int
    batch: int
    steps: int
    seed: int


class Album:
    """Photographs by number, read when they are needed, and kept while there is room.

    Args:
        paths: of the photographs.
        size: of the crops that are cut from them.
        say: told a line of each photograph that cannot be read; it is passed over.
    """

    def __init__(self, paths: Sequence[Path], size: int, say: Callable[[str], None]):
        self.paths, self.size = list(paths), size
        self._say = say
        self._kept: OrderedDict[int, Image.Image | None] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> Image.Image:
        """A photograph, or the next one that can be read, its short side at most LARGEST_SCALE
        times a crop's.

        Raises:
            InputError: none can be read.
        """
        for offset in range(len(self)):
            picture = self._picture((number + offset) % len(self))
            if picture is not None:
                return picture
        raise InputError("PHOTOS: expected photographs that can be read. Received: none")

    def _picture(self, number: int) -> Image.Image | None:
        if number in self._kept:
            self._kept.move_to_end(number)
            return self._kept[number]
        try:
            picture = at_most(load_picture(self.paths[number], "PHOTOS").image, self._short_side())
        except InputError as error:
            self._say(f"Passed over: {error}")
            picture = None
        self._kept[number] = picture
        self._bytes += _bytes(picture)
        while self._bytes > KEPT_BYTES and len(self._kept) > 1:
            self._bytes -= _bytes(self._kept.popitem(last=False)[1])
        return picture

    def _short_side(self) -> int:
        return round(LARGEST_SCALE * self.size)


class PhotographCrops(keras.utils.PyDataset):
    """Batches of crops, (uint8 (B, size, size, 3),), RGB.

    Args:
        album: where they are cut from.
        crops: how.
        epoch: the first one.
    """

    def __init__(self, album: Album, crops: Crops, epoch: int = 0):
        super().__init__()
        self.album, self.crops, self.epoch = album, crops, epoch

    def __len__(self) -> int:
        return self.crops.steps

    def __getitem__(self, index: int) -> tuple[np.ndarray]:
        batch, epoch = self.crops.batch, self.epoch
        first = (epoch * self.crops.steps + index) * batch
        return (np.stack([self.crop(first + number) for number in range(batch)]),)

    def on_epoch_end(self) -> None:
        """Go on to other crops."""
        self.epoch += 1

    def crop(self, number: int) -> np.ndarray:
        """A crop by its number over the whole training, uint8 (size, size, 3)."""
        # Every photograph once before any comes again, each time in another order.
        turn, place = divmod(number, len(self.album))
        order = np.random.default_rng([self.crops.seed, turn]).permutation(len(self.album))
        rng = np.random.default_rng([self.crops.seed, turn, place])
        return random_crop(self.album[order[place]], self.crops.size, rng)


def random_crop(picture: Image.Image, size: int, rng: np.random.Generator) -> np.ndarray:
    """A square of a picture, scaled and at times mirrored, uint8 (size, size, 3).

    Its side is between 1 / LARGEST_SCALE of the picture's short side and all of it.
    """
    short = min(picture.size)
    side = short * LARGEST_SCALE ** -rng.uniform()
    left, top = (rng.uniform(0, length - side) for length in picture.size)
    box = (left, top, left + side, top + side)
    square = picture.resize((size, size), Image.Resampling.LANCZOS, box=box)
    pixels = np.asarray(square)
    return pixels[:, ::-1] if rng.uniform() < 0.5 else pixels


def at_most(picture: Image.Image, short_side: int) -> Image.Image:
    """A picture whose short side has at most so many pixels; it is never enlarged."""
    factor = short_side / min(picture.size)
    if factor >= 1:
        return picture
    width, height = (max(1, round(length * factor)) for length in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3)


def held_out(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Photographs to train on, and HELD_OUT others, evenly over the folder, to look at.

    Raises:
        InputError: fewer than LEAST.
    """
    if len(paths) < LEAST:
        raise InputError(
            f"PHOTOS: expected at least {LEAST} photographs, {HELD_OUT} of which are not trained "
            f"on but looked at. Received: {len(paths)}"
        )
    chosen = {round((number + 0.5) * len(paths) / HELD_OUT - 0.5) for number in range(HELD_OUT)}
    others = [path for number, path in enumerate(paths) if number not in chosen]
    return others, [paths[number] for number in sorted(chosen)]


def _bytes(picture: Image.Image | None) -> int:
    return 3 * picture.width * picture.height if picture else 0
