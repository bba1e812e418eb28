"""The photographs of a training: chooses those to train on, and reads them as needed."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from style_transfer.errors import InputError
from style_transfer.pictures import load_picture

LARGEST_SCALE = 2.0  # a crop shows at least the (1 / LARGEST_SCALE)² of a square photograph
KEPT_BYTES = 1 << 30  # of photographs kept in memory, at the size from which crops are cut
LEAST = 10  # photographs; with fewer, the network memorizes them
HELD_OUT = 3  # photographs used only for the preview


class Album:
    """Photographs by number, read when needed, and kept as long as there is room.

    Args:
        paths: paths of the photographs.
        size: size of the crops that are cut from them.
        say: called with a line about each photograph that cannot be read and is skipped.
    """

    def __init__(self, paths: Sequence[Path], size: int, say: Callable[[str], None]):
        self.paths, self.size = list(paths), size
        self._say = say
        self._kept: OrderedDict[int, Image.Image | None] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> Image.Image:
        """A photograph, or the next one that can be read.

        Its short side is at most LARGEST_SCALE times a crop's.

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


def at_most(picture: Image.Image, short_side: int) -> Image.Image:
    """Reduce a picture to a short side of at most `short_side` pixels; never enlarge it."""
    factor = short_side / min(picture.size)
    if factor >= 1:
        return picture
    width, height = (max(1, round(length * factor)) for length in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3)


def held_out(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Photographs to train on, and HELD_OUT others, spread evenly over the folder, to preview.

    Raises:
        InputError: there are fewer than LEAST.
    """
    if len(paths) < LEAST:
        raise InputError(
            f"PHOTOS: expected at least {LEAST} photographs, {HELD_OUT} of which are only for the "
            f"preview. Received: {len(paths)}"
        )
    chosen = {round((number + 0.5) * len(paths) / HELD_OUT - 0.5) for number in range(HELD_OUT)}
    others = [path for number, path in enumerate(paths) if number not in chosen]
    return others, [paths[number] for number in sorted(chosen)]


def _bytes(picture: Image.Image | None) -> int:
    return 3 * picture.width * picture.height if picture else 0
