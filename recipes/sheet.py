"""What the recipes share: their command line, cells painted side by side, a labelled sheet.

A recipe paints several pictures, the cells, with `transfer`, and lays them on a sheet. The filters
are made once for all cells and handed to them as a file; a process keeps its last network, with
the features of content and style pictures, for its further cells.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # recipes stand on the program's modules

from PIL import Image, ImageDraw, ImageFont

from arguments import Parser, add_settings, underscored, whole_number
from neural_style_transfer import quiet_imports, transfer
from preprocessing import images_at, load_picture, size_for
from results import check_prefix, write_whole
from settings import InputError, layers_in_use, make_settings

GAP = 6  # pixels around cells and labels
TEXT = 13  # pixels, the labels' size


def run_recipe(
    recipe: Callable,
    text: str,
    paths: dict[str, str],
    defaults: dict,
    more: tuple = (),
    taken: tuple = (),
    arguments: list[str] | None = None,
) -> int:
    """The command line of a recipe: paths, then options of its own and of all `Settings`.

    Args:
        recipe: called with the paths in their order, then `overwrite`, the recipe's own options and
            fields of `Settings` as keywords.
        text: the recipe's docstring, shown by --help.
        paths: help text by the path's name, such as {"STYLE": "the picture …"}.
        defaults: what the recipe sets of `Settings`; options override it.
        more: the recipe's own options, (name, default, help): whole numbers or text.
        taken: fields of `Settings` that the recipe sets itself, cell by cell.
        arguments: of the command line; None: this process's.

    Returns:
        The exit code: 0, or 2 for input that cannot be used, told in one line.
    """
    parser = Parser(
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    for name, about in paths.items():
        parser.add_argument(name, help=about)
    own = parser.add_argument_group("recipe")
    own.add_argument("--overwrite", action="store_true", help="replace an earlier result")
    for name, default, about in more:
        kind, metavar = (whole_number, "N") if isinstance(default, int) else (str, "TEXT")
        about = f"{about} (default: {default})"
        option = {"type": kind, "metavar": metavar, "default": default, "help": about}
        own.add_argument(f"--{name}", **option)
    add_settings(parser, **defaults)
    arguments = sys.argv[1:] if arguments is None else arguments
    options = vars(parser.parse_intermixed_args(list(map(underscored, arguments))))
    try:
        for name in taken:
            if name in options:
                raise InputError(
                    f"--{name}: expected none, the recipe sets it. Received: {options[name]!r}"
                )
        places = [options.pop(name) for name in paths]
        recipe(*places, **options)
    except InputError as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{parser.prog}: stopped", file=sys.stderr)
        return 130
    except (ArithmeticError, OSError) as error:
        print(f"{parser.prog}: stopped: {error}", file=sys.stderr)
        return 1
    return 0


KEPT = {}  # network and features of the cells that this process has painted
WORKERS = ("workers", os.cpu_count() or 1, "processes at a time")  # an option of recipes with cells


@contextmanager
def shared_filters(pictures: list[str], cells: list[dict]):
    """The cells, their filters made once and handed to them as a file, which goes at the end.

    Args:
        pictures: paths of what `fitted` filters are fitted to.
        cells: keyword arguments of `transfer`, alike in network, weights and seed of filters.

    Raises:
        InputError: a cell's settings or a picture cannot be used.
    """
    loaded = [load_picture(path) for path in pictures]
    settings = [make_settings(**chosen(cell)) for cell in cells]
    with quiet_imports():
        import keras
        import numpy as np

        keras.ops.zeros(())  # the backend looks for devices now, and talks of it
        from weights import FITTING_ROWS, load_filters

    layers = sorted({layer for each in settings for layer in layers_in_use(each)})
    images = images_at(loaded, size_for(loaded[0], FITTING_ROWS), make_settings())
    filters, about = load_filters(settings[0].weights, settings[0], layers, images)
    with tempfile.TemporaryDirectory() as folder:
        file = about["file"]
        if not file:
            file = str(Path(folder) / "filters.npz")
            arrays = {f"{name}/kernel": kernel for name, (kernel, _) in filters.items()}
            arrays |= {f"{name}/bias": bias for name, (_, bias) in filters.items()}
            np.savez(file, **arrays)
        yield [{**cell, "weights": file} for cell in cells]


def chosen(cell: dict) -> dict:
    """What of a cell is for `make_settings`."""
    return {key: value for key, value in cell.items() if key not in ("base", "styles")}


def paint_cells(pictures: list[str], cells: list[dict], workers: int) -> list[Image.Image]:
    """The cells' pictures, in their order.

    Args:
        pictures: paths of what `fitted` filters are fitted to.
        cells: keyword arguments of `transfer`.
        workers: processes to share them; one: this process.
    """
    workers = max(1, min(workers, len(cells)))
    done = []
    with shared_filters(pictures, cells) as ready:
        if workers == 1:
            results = map(paint_cell, ready)
        else:  # fork would copy a backend whose threads it does not
            pool = ProcessPoolExecutor(workers, get_context("spawn"), few_threads, (workers,))
            results = pool.map(paint_cell, ready)
        try:
            for picture in results:
                done.append(picture)
                print(f"{len(done)} of {len(cells)} pictures", flush=True)
        finally:
            KEPT.clear()
            if workers > 1:
                pool.shutdown(cancel_futures=True)
    return done


def few_threads(workers: int) -> None:
    """Leave each of the worker processes its part of the cores."""
    os.environ["TF_NUM_INTRAOP_THREADS"] = str(max(1, (os.cpu_count() or 1) // workers))


def paint_cell(cell: dict) -> Image.Image:
    """One cell, in whichever process."""
    return transfer(**cell, kept=KEPT)[0]


def make_sheet(
    rows: list[list[Image.Image]], row_labels: list[str], column_labels: list[str]
) -> Image.Image:
    """Pictures in rows and columns, white between them, with a label to each row and column.

    Args:
        rows: pictures; all rows of one length. A cell is as large as the largest picture of its row
            and column, or its column's label; the picture stands at its top left.
        row_labels: one a row.
        column_labels: one a column.

    Returns:
        A picture of mode RGB.
    """
    font = ImageFont.load_default(TEXT)
    left = GAP + max(GAP + round(font.getlength(label)) if label else 0 for label in row_labels)
    top = GAP + (TEXT + 2 * GAP if any(column_labels) else 0)
    widths = [
        max(round(font.getlength(label)), *(picture.width for picture in column), 1)
        for label, column in zip(column_labels, zip(*rows, strict=True), strict=True)
    ]
    heights = [max(picture.height for picture in row) for row in rows]
    size = left + sum(widths) + GAP * len(widths), top + sum(heights) + GAP * len(heights)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    y = top
    for row, height, row_label in zip(rows, heights, row_labels, strict=True):
        x = left
        draw.text((GAP, y + height // 2), row_label, "black", font, anchor="lm")
        for picture, width, label in zip(row, widths, column_labels, strict=True):
            if y == top:
                draw.text((x, GAP), label, "black", font, anchor="lt")
            sheet.paste(picture, (x, y))
            x += width + GAP
        y += height + GAP
    return sheet


def save_sheet(sheet: Image.Image, prefix: str) -> Path:
    """Write PREFIX.png and say so."""
    path = Path(f"{Path(prefix).expanduser()}.png")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, lambda file: sheet.save(file, "PNG"))
    print(f"Sheet saved as {path}")
    return path


def check(prefix: str, overwrite: bool, *pictures: str) -> None:
    """What the user may have got wrong, found before anything heavy: InputError."""
    check_prefix(prefix, overwrite)
    for picture in pictures:
        load_picture(picture)
