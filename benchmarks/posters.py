"""Seams of a poster, as a number; how far it is the small picture, larger; crops to look at.

    python benchmarks/posters.py out/poster --plain out/small --crops out/crops

The seam number is the mean step from pixel to pixel across the borders of tiles over the mean step
elsewhere: 1 where there is no seam. Beside it stands how far the same number strays at borders that
no tile has: the picture's own unevenness.
"""

import argparse
import sys
from pathlib import Path

try:
    from benchmarks import common
except ModuleNotFoundError:
    import not_installed  # noqa: F401 (ends the process)

import numpy as np

from style_transfer.errors import InputError
from style_transfer.grid import Grid, bands
from style_transfer.images import resize_image
from style_transfer.parsing import layers_in_use
from style_transfer.pictures import load_picture
from style_transfer.runs.record import Record
from style_transfer.runs.resume import find_run, load_record

NAME = "posters.py"
CROP = 600  # pixels a side
PLACES = 3  # a side, of crops
SHIFTS = 40  # sets of borders that no tile has
BAND = 512  # rows looked at once


def last_image(prefix: str) -> tuple[Record, np.ndarray]:
    """Record and last image, float32 (1, H, W, 3), of a run."""
    files = find_run(prefix)
    record = load_record(files)
    if not record.iterations:
        raise InputError(f"PREFIX: expected a run with an iteration. Received: {prefix!r}")
    return record, np.load(files.image(len(record.iterations) - 1), mmap_mode="r")


def steps_by_place(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean step into each row from the one above, (H - 1,), and into each column, (W - 1,)."""
    _, rows, columns, channels = image.shape
    down, right = np.zeros(rows - 1), np.zeros(columns - 1)
    for first, stop in bands(rows, BAND):
        band = np.asarray(image[0, first : min(stop + 1, rows)], np.float64)
        steps = np.abs(np.diff(band, axis=0)).mean((1, 2))
        down[first : first + len(steps)] = steps
        right += np.abs(np.diff(band[: stop - first], axis=1)).sum((0, 2)) / (rows * channels)
    return down, right


def borders_of(grid: Grid) -> tuple[list[int], list[int]]:
    """Rows and columns at which a core begins, but for the first."""
    rows = {tile.rows.core_start for tile in grid.tiles} - {0}
    columns = {tile.columns.core_start for tile in grid.tiles} - {0}
    return sorted(rows), sorted(columns)


def seam_number(steps: tuple[np.ndarray, ...], borders: tuple[list[int], ...]) -> float:
    """Mean step across borders over the mean step elsewhere, of rows and columns together."""
    across, elsewhere = [], []
    for means, places in zip(steps, borders, strict=True):
        is_border = np.zeros(len(means), bool)
        is_border[[place - 1 for place in places]] = True
        across.append(means[is_border])
        elsewhere.append(means[~is_border])
    # Each direction counts by its borders: a picture may be rougher across than along.
    shares = [len(part) for part in across]
    expected = sum(n * part.mean() for n, part in zip(shares, elsewhere, strict=True))
    return float(sum(part.sum() for part in across) / expected)


def usual_spread(steps: tuple[np.ndarray, ...], borders: tuple[list[int], ...]) -> float:
    """Standard deviation of the seam number of borders moved away from those of the tiles."""
    numbers = []
    lengths = [len(means) + 1 for means in steps]
    for shift in np.linspace(0.02, 0.98, SHIFTS):
        moved = []
        for places, length in zip(borders, lengths, strict=True):
            between = round(shift * (places[0] if places else length))
            moved.append([(place + between) % (length - 1) + 1 for place in places])
        numbers.append(seam_number(steps, tuple(moved)))
    return float(np.std(numbers))


def psnr_with(image: np.ndarray, plain: str) -> float:
    """Decibels between a poster brought down to a small run's size, and that run's result."""
    from preprocessing import deprocess

    _, small = last_image(plain)
    shrunk = deprocess(resize_image(image, small.shape[1:3])).astype(np.float64)
    error = np.mean(np.square(shrunk - deprocess(small)))
    return float(10 * np.log10(255**2 / error))


def write_crops(image: np.ndarray, folder: Path) -> None:
    """Crops, 1:1, from nine places."""
    from PIL import Image

    from preprocessing import deprocess

    folder.mkdir(parents=True, exist_ok=True)
    _, rows, columns, _ = image.shape
    for down in range(PLACES):
        for right in range(PLACES):
            top = round((rows - min(CROP, rows)) * down / (PLACES - 1))
            left = round((columns - min(CROP, columns)) * right / (PLACES - 1))
            part = np.asarray(image[:, top : top + CROP, left : left + CROP])
            Image.fromarray(deprocess(part)).save(folder / f"crop_{down}_{right}.png")


def measure_all(options: argparse.Namespace) -> None:
    """Print the numbers of one run."""
    record, image = last_image(options.prefix)
    size, settings = record.sizes[-1], record.settings
    method = record.methods.get(str(size.number))
    tile = options.tile or (method.tile if method else 0)
    results: dict[str, object] = {"rows": size.rows, "columns": size.columns, "tile": tile}
    if tile:
        layers = tuple(layers_in_use(settings))
        grid = Grid(size.shape, tile, settings.network, layers, settings.borders)
        steps, borders = steps_by_place(image), borders_of(grid)
        if not any(borders):
            raise InputError(f"--tile: expected more than one tile. Received: {tile}")
        results["seam"] = seam_number(steps, borders)
        results["usual"] = usual_spread(steps, borders)
    if options.plain:
        results["psnr"] = psnr_with(image, options.plain)
        if options.photograph:
            results["psnr_of_photograph"] = psnr_of_photograph(options)
    if options.crops:
        write_crops(image, Path(options.crops))
    table = [[key, value] for key, value in results.items()]
    common.report(__doc__.splitlines()[0], ["what", "number"], table, results, options.json)


def psnr_of_photograph(options: argparse.Namespace) -> float:
    """Decibels between the photograph and the small run's result, to compare with."""
    from preprocessing import deprocess, resize

    _, small = last_image(options.plain)
    photograph = resize(load_picture(options.photograph).image, small.shape[1:3], "lanczos")
    error = np.mean(np.square(photograph.astype(np.float64) - deprocess(small)))
    return float(10 * np.log10(255**2 / error))


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns an exit code."""
    parser = common.Parser(prog=NAME, description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("prefix", metavar="PREFIX", help="of a run in tiles")
    parser.add_argument("--plain", metavar="PREFIX", help="of a small run of the same pictures")
    parser.add_argument("--photograph", metavar="PATH", help="to compare the small run with")
    parser.add_argument("--tile", type=common.count, help="instead of the run's own")
    parser.add_argument("--crops", metavar="FOLDER", help="where to write nine crops, 1:1")
    parser.add_argument("--json", metavar="PATH", help="also write the numbers there")
    parser.add_argument("--quick", action="store_true", help=argparse.SUPPRESS)
    return common.run(NAME, parser, measure_all, {}, arguments)


if __name__ == "__main__":
    sys.exit(main())
