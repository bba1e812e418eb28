"""Crops of photographs as batches, on any of Keras's backends.

A crop depends only on the seed and its number, so a training that continues sees the same crops as
an uninterrupted one.
"""

from dataclasses import dataclass

import keras
import numpy as np
from PIL import Image

from style_transfer.feedforward.album import LARGEST_SCALE, Album


@dataclass(frozen=True)
class Crops:
    """How crops are cut.

    Attributes:
        size: rows and columns.
        batch: crops per batch.
        steps: batches per epoch.
        seed: seed of where they are cut.
    """

    size: int
    batch: int
    steps: int
    seed: int


class PhotographCrops(keras.utils.PyDataset):
    """Batches of crops, (uint8 (B, size, size, 3),), RGB.

    Args:
        album: the photographs from which they are cut.
        crops: how they are cut.
        step: the number of earlier batches.
    """

    def __init__(self, album: Album, crops: Crops, step: int = 0):
        super().__init__()
        self.album, self.crops, self.step = album, crops, step

    def __len__(self) -> int:
        return self.crops.steps

    def __getitem__(self, index: int) -> tuple[np.ndarray]:
        batch = self.crops.batch
        first = (self.step + index) * batch
        return (np.stack([self.crop(first + number) for number in range(batch)]),)

    def on_epoch_end(self) -> None:
        """Move on to the next crops."""
        self.step += self.crops.steps

    def crop(self, number: int) -> np.ndarray:
        """A crop by its number over the whole training, uint8 (size, size, 3)."""
        # Every photograph comes once before any comes again, each time in a different order.
        turn, place = divmod(number, len(self.album))
        order = np.random.default_rng([self.crops.seed, turn]).permutation(len(self.album))
        rng = np.random.default_rng([self.crops.seed, turn, place])
        return random_crop(self.album[order[place]], self.crops.size, rng)


def random_crop(picture: Image.Image, size: int, rng: np.random.Generator) -> np.ndarray:
    """A square of a picture, scaled and sometimes mirrored, uint8 (size, size, 3).

    Its side is between 1 / LARGEST_SCALE of the picture's short side and all of it.
    """
    short = min(picture.size)
    side = short * LARGEST_SCALE ** -rng.uniform()
    left, top = (rng.uniform(0, length - side) for length in picture.size)
    box = (left, top, left + side, top + side)
    square = picture.resize((size, size), Image.Resampling.LANCZOS, box=box)
    pixels = np.asarray(square)
    return pixels[:, ::-1] if rng.uniform() < 0.5 else pixels
