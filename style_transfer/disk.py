"""How much disk space a run needs, known before it starts."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from rich.filesize import decimal

from style_transfer.errors import InputError
from style_transfer.grid import Grid
from style_transfer.memory import content_bytes
from style_transfer.parsing import layers_in_use
from style_transfer.runs.files import RunFiles
from style_transfer.runs.record import Method, Record
from style_transfer.schedule import Size
from style_transfer.settings import Settings

IMAGE = 12  # bytes per pixel of an image, float32
SNAPSHOT = 4 * IMAGE  # of the state of Adam in place
GENERATIONS = 3  # of snapshots, one of them still being written
# Bytes per pixel of pictures, roughly at most: PNG's deflate saves a third of a painting's bytes.
PICTURE = {"png": 3, "png16": 6, "jpeg": 2, "tiff": 3, "tiff16": 6}
WORTH_TELLING = 10**9  # bytes


def disk_bytes(
    settings: Settings, sizes: list[Size], methods: Mapping[str, Method], journal: bool = True
) -> int:
    """The most bytes of disk space that a run needs at any time.

    Args:
        settings: all choices.
        sizes: the run's sizes.
        methods: the method of each size, by its number.
        journal: whether the run keeps what an exact resume needs.
    """
    kept, most = 0, 0
    for size in sizes:
        pixels, method = size.rows * size.columns, methods[str(size.number)]
        passing = _passing(settings, size, method, journal)
        kept += size.iterations * pixels * IMAGE
        kept += size.iterations * PICTURE[settings.output] * _pixels_of_preview(settings, size)
        most = max(most, kept + passing)
    return most + PICTURE[settings.output] * sizes[-1].rows * sizes[-1].columns


def _passing(settings: Settings, size: Size, method: Method, journal: bool) -> int:
    """Bytes needed only during a size: journal or snapshots, tiles, the content's features."""
    pixels, needed = size.rows * size.columns, 0
    in_place = method.optimizer != settings.optimizer
    if journal and in_place:
        needed += GENERATIONS * SNAPSHOT * pixels
    elif journal:
        needed += IMAGE * pixels * size.iterations * settings.evaluations
    if method.tile:
        halo = windows_share(settings, size.shape, method.tile)
        needed += round(content_bytes(settings, pixels) * halo)
        if journal:
            needed += round(IMAGE * pixels * halo)
    return needed


def windows_share(settings: Settings, size: tuple[int, int], tile: int) -> float:
    """Pixels of all windows (tiles with their halos), divided by the picture's."""
    grid = Grid(size, tile, settings.network, tuple(layers_in_use(settings)), settings.borders)
    return sum(x.shape[0] * x.shape[1] for x in grid.tiles) / (size[0] * size[1])


def _pixels_of_preview(settings: Settings, size: Size) -> int:
    factor = settings.preview / max(size.shape)
    return round(size.rows * size.columns * (min(1, factor**2) if factor else 1))


def free_disk(folder: Path) -> int:
    """Free bytes on the disk where a folder is or will be."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def disk_line(record: Record, files: RunFiles, journal: bool) -> str | None:
    """A line about the disk space that a run needs; None if it needs little.

    Files that the run has already written count as available.

    Raises:
        InputError: the disk has less.
    """
    needed = disk_bytes(record.settings, record.sizes, record.methods, journal)
    folder = files.prefix.parent
    written = [*files.images().values(), *files.pictures().values(), *files.journals]
    there = sum(path.stat().st_size for path in written if path.is_file())
    free = free_disk(folder)
    numbers = f"{decimal(needed)} of disk in {str(folder)!r}"
    if needed > free + there:
        raise InputError(
            f"PREFIX: expected a disk with room: the run needs about {numbers}. "
            f"Received: {decimal(free + there)}"
        )
    if needed < WORTH_TELLING:
        return None
    return f"Needs at most {numbers}, where {decimal(free + there)} are free."
