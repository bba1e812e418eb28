"""The seams of a poster as a number; how much it differs from the small picture; crops to look at.

    python benchmarks/posters.py out/poster --plain out/small --crops out/crops

A seam would make the step from pixel to pixel larger across the borders of tiles. But the network
pools in blocks of 16 x 16 pixels, so in everything it paints, whole or in tiles, steps are larger
at every 16th row and column, and that is where tiles start. So a border is compared with
neighboring multiples of 16 that are not a border. There are two numbers, both 1 without a seam:

- seam: a line's steps divided by those one pixel before and after it; borders over other lines;
- level: the same with a line's steps alone, which the picture's own unevenness disturbs more.

The mean steps at borders and at the other multiples, relative to all lines, show the grid of 16.
"""

import argparse
import sys
from pathlib import Path

try:
    from benchmarks import common
except ModuleNotFoundError:
    if __package__:
        import benchmarks.not_installed  # noqa: F401
    else:
        import not_installed  # noqa: F401 (either ends the process)

import numpy as np

from style_transfer.errors import InputError
from style_transfer.grid import Grid, bands
from style_transfer.images import resize_image
from style_transfer.parsing import layers_in_use
from style_transfer.pictures import load_picture
from style_transfer.runs.record import Record
from style_transfer.runs.resume import find_run, load_record

NAME = "posters.py"
CROP = 600  # pixels per side
PLACES = 3  # crops per side
BESIDE = 4  # lines on either side with which a border is compared
BAND = 512  # rows processed at once

Steps = tuple[np.ndarray, ...]  # of rows, of columns; see `steps_by_place`


def last_image(prefix: str) -> tuple[Record, np.ndarray]:
    """Record and last image, float32 (1, H, W, 3), of a run."""
    files = find_run(prefix)
    record = load_record(files)
    if not record.iterations:
        raise InputError(f"PREFIX: expected a run with an iteration. Received: {prefix!r}")
    return record, np.load(files.image(len(record.iterations) - 1), mmap_mode="r")


def steps_by_place(image: np.ndarray) -> Steps:
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
    """Rows and columns at which a core starts, except the first."""
    rows = {tile.rows.core_start for tile in grid.tiles} - {0}
    columns = {tile.columns.core_start for tile in grid.tiles} - {0}
    return sorted(rows), sorted(columns)


def seam_numbers(steps: Steps, borders: tuple[list[int], ...], pitch: int) -> dict[str, float]:
    """How much larger steps are across borders.

    Args:
        steps: the result of `steps_by_place`.
        borders: the result of `borders_of`.
        pitch: borders are multiples of it.

    Returns:
        `seam` and `level`, 1 without a seam, each with its `_95`: half the width of its 95 %
        confidence interval, from the spread of the other multiples of the pitch; and the mean
        steps relative to all lines, `across_borders` and `across_other_multiples`.
    """
    found = {}
    for name, measure in {"seam": _beside_neighbors, "level": np.asarray}.items():
        at, others = _compared(tuple(map(measure, steps)), borders, pitch)
        found[name] = float(np.mean(at))
        found[f"{name}_95"] = float(1.96 * np.std(others) / np.sqrt(len(at)))
    means = [[], []]
    for of_side, places in zip(steps, borders, strict=True):
        free = set(range(pitch, len(of_side), pitch)) - set(places)
        for kind, lines in zip(means, (places, free), strict=True):
            kind.extend(of_side[[line - 1 for line in lines]] / of_side.mean())
    found["across_borders"], found["across_other_multiples"] = map(float, map(np.mean, means))
    return found


def _beside_neighbors(steps: np.ndarray) -> np.ndarray:
    """Steps divided by the mean of those before and after, which cancels the picture's content."""
    around = np.pad(steps, 1, "edge")
    return steps / ((around[:-2] + around[2:]) / 2)


def _compared(
    values: Steps, borders: tuple[list[int], ...], pitch: int
) -> tuple[list[float], list[float]]:
    """Values at borders, and at other multiples of the pitch, relative to neighboring multiples."""
    at, others = [], []
    for of_side, places in zip(values, borders, strict=True):
        usable = set(range(pitch, len(of_side), pitch)) - set(places)
        for line in range(pitch, len(of_side), pitch):
            around = range(line - BESIDE * pitch, line + BESIDE * pitch + 1, pitch)
            controls = [other - 1 for other in around if other in usable and other != line]
            if controls:
                ratio = float(of_side[line - 1] / of_side[controls].mean())
                (others if line in usable else at).append(ratio)
    return at, others


def psnr_with(image: np.ndarray, plain: str) -> float:
    """PSNR in dB between a poster, reduced to a small run's size, and that run's result."""
    from preprocessing import deprocess

    _, small = last_image(plain)
    shrunk = deprocess(resize_image(image, small.shape[1:3])).astype(np.float64)
    error = np.mean(np.square(shrunk - deprocess(small)))
    return float(10 * np.log10(255**2 / error))


def write_crops(image: np.ndarray, folder: Path) -> None:
    """Write crops, 1:1, from nine places."""
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
        results |= seam_numbers(steps, borders, grid.pitch)
    if options.plain:
        results["psnr"] = psnr_with(image, options.plain)
        if options.photograph:
            results["psnr_of_photograph"] = psnr_of_photograph(options)
    if options.crops:
        write_crops(image, Path(options.crops))
    table = [[key, value] for key, value in results.items()]
    common.report(__doc__.splitlines()[0], ["what", "number"], table, results, options.json)


def psnr_of_photograph(options: argparse.Namespace) -> float:
    """PSNR in dB between the photograph and the small run's result, for comparison."""
    from preprocessing import deprocess, resize

    _, small = last_image(options.plain)
    photograph = resize(load_picture(options.photograph).image, small.shape[1:3], "lanczos")
    error = np.mean(np.square(photograph.astype(np.float64) - deprocess(small)))
    return float(10 * np.log10(255**2 / error))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns an exit code."""
    parser = common.Parser(prog=NAME, description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("prefix", metavar="PREFIX", help="prefix of a run in tiles")
    parser.add_argument(
        "--plain", metavar="PREFIX", help="prefix of a small run with the same pictures"
    )
    parser.add_argument(
        "--photograph", metavar="PATH", help="photograph to compare the small run with"
    )
    parser.add_argument("--tile", type=common.count, help="side of tiles, instead of the run's own")
    parser.add_argument("--crops", metavar="FOLDER", help="where to write nine crops, 1:1")
    parser.add_argument("--json", metavar="PATH", help="also write the numbers there")
    parser.add_argument("--quick", action="store_true", help=argparse.SUPPRESS)
    return common.run(NAME, parser, measure_all, {}, arguments)


if __name__ == "__main__":
    sys.exit(main())
