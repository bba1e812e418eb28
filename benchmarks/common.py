"""Code shared by the benchmarks: options, pictures and network, the machine, table and JSON."""

import argparse
import functools
import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from style_transfer.arguments import Parser, underscored
from style_transfer.backends import start
from style_transfer.console import say
from style_transfer.errors import InputError
from style_transfer.parsing import SMALLEST_SIDE, layers_in_use, parse_layers
from style_transfer.pictures import load_picture
from style_transfer.programs import run_program
from style_transfer.settings import Settings
from style_transfer.vgg import Filters, block_of, kernel_shape, layers_up_to

FOLDER = Path(__file__).resolve().parent.parent
PRECISIONS = ("float32", "bfloat16")


def make_parser(name: str, text: str, weights: str = "random") -> argparse.ArgumentParser:
    """A parser with the options that the benchmarks have in common.

    Args:
        name: the name of the benchmark's file.
        text: its docstring, whose first line --help shows.
        weights: the default filters.
    """
    parser = Parser(prog=name, description=text.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--content", default=str(FOLDER / "samples" / "photo.jpg"), metavar="PATH")
    parser.add_argument("--style", default=str(FOLDER / "samples" / "painting.jpg"), metavar="PATH")
    parser.add_argument("--weights", default=weights, help=f"filters (default: {weights})")
    parser.add_argument("--json", metavar="PATH", help="also write the numbers there")
    parser.add_argument("--quick", action="store_true", help="small sizes, few repetitions")
    return parser


def count(text: str) -> int:
    """`text` as a whole number, 1 or more."""
    return _whole(text, 1)


def rows(text: str) -> int:
    """`text` as a picture's number of rows."""
    return _whole(text, SMALLEST_SIDE)


def positive(text: str) -> float:
    """`text` as a number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0. Received: {text!r}")
    return number


def _whole(text: str, least: int) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) >= least):
        raise argparse.ArgumentTypeError(
            f"expected a whole number, at least {least}. Received: {text!r}"
        )
    return int(text)


def run(
    name: str,
    parser: argparse.ArgumentParser,
    main: Callable[[argparse.Namespace], None],
    quick: dict,
    arguments: Sequence[str] | None = None,
) -> int:
    """Run a benchmark's command line; errors take one line. Returns an `ExitCode`.

    Args:
        name: the name of the benchmark's file.
        parser: its parser.
        main: called with the options.
        quick: defaults with --quick.
        arguments: the command line's; None: this process's.
    """
    arguments = list(map(underscored, sys.argv[1:] if arguments is None else arguments))
    if "--quick" in arguments:
        parser.set_defaults(**quick)

    def measure() -> None:
        options = parser.parse_args(arguments)
        if options.json:
            check_place(options.json)
        main(options)

    return run_program(name, measure)


def check_place(path: str) -> None:
    """Raise InputError if the numbers cannot be written, before anything is measured."""
    folder = Path(path).expanduser().parent
    if Path(path).is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise InputError(f"--json: expected a file in a folder that exists. Received: {path!r}")


def load(paths: list[tuple[str, str | Path]], settings: Settings) -> tuple[list, Filters]:
    """Load pictures, and filters for them.

    Args:
        paths: (option that named it, path) of content and style picture.
        settings: the choice of filters, and the layers in use.

    Returns:
        The pictures, PIL.Images; and the filters.

    Raises:
        InputError: a picture or the filters cannot be used.
    """
    pictures = [load_picture(path, what).image for what, path in paths]
    start()
    from preprocessing import fitting_images
    from style_transfer.filters import load_filters

    filters, _ = load_filters(
        settings.weights,
        settings,
        fitting_images(pictures, settings),
        lambda line, warning=False: say(line, sys.stderr),
    )
    return pictures, filters


def objective_at(
    size: tuple[int, int], pictures: list, filters: Filters, settings: Settings, tile: int = 0
):
    """(objective, content image) at (rows, columns), with the network of `settings`.

    Args:
        size: (rows, columns).
        pictures: content and style picture, PIL.Images.
        filters: the network's filters.
        settings: all choices.
        tile: side of the tiles in pixels; 0: the whole picture at once.
    """
    from preprocessing import images_at
    from style_transfer.network import feature_extractor, processor_precision
    from style_transfer.objective import make_objective
    from style_transfer.targets import make_targets
    from style_transfer.tile_map import Tiling
    from style_transfer.tiled_targets import make_tiled_targets
    from style_transfer.tiles import make_tiled_objective

    precision = settings.precision if settings.precision != "auto" else processor_precision()
    network = feature_extractor(filters, settings, precision)
    images = images_at(pictures, size, settings)
    if tile:
        tiled = make_tiled_targets(network, images, settings, Tiling(tile))
        return make_tiled_objective(network, tiled, settings), images[0]
    return make_objective(network, make_targets(network, images, settings), settings), images[0]


def operations(size: tuple[int, int], settings: Settings) -> float:
    """The minimum of floating-point operations for one loss and gradient of one picture.

    These are convolutions and Gram matrices forward, and as many operations backward: the filters
    are constant, so only the gradient of the features is computed.

    Args:
        size: (rows, columns).
        settings: the network and the layers.
    """
    total = 0.0
    style_layers = parse_layers(settings, "style_layers")
    for layer in layers_up_to(settings.network, layers_in_use(settings)):
        halvings = 2 ** (block_of(layer) - 1)
        positions = (size[0] // halvings) * (size[1] // halvings)
        height, width, before, out = kernel_shape(settings.network, layer)
        total += 2 * positions * height * width * before * out
        if layer in style_layers:
            total += 2 * positions * out**2
    return 2 * total


@functools.cache  # py-cpuinfo takes a second
def machine() -> dict:
    """The machine and the libraries on which the numbers were measured."""
    import platform

    start()
    import cpuinfo
    import keras

    from style_transfer.machine import BFLOAT16_UNITS, processor_flags, usable_cores

    backend = keras.backend.backend()
    info = cpuinfo.get_cpu_info()
    units = sorted(processor_flags() & BFLOAT16_UNITS)
    return {
        "processor": info.get("brand_raw", platform.processor()),
        "cores": usable_cores(),
        "bfloat16_units": ", ".join(units) or "none",
        "python": platform.python_version(),
        "keras": keras.__version__,
        backend: sys.modules[backend].__version__,
    }


def save(data: dict, path: str) -> None:
    """Write `data`, the machine and its load as JSON."""
    load = os.getloadavg() if hasattr(os, "getloadavg") else None  # not on Windows
    data = {"machine": machine(), "load_average": load, **data}
    Path(path).expanduser().write_text(json.dumps(data, indent=1))


def report(title: str, headings: list[str], rows: list[list], data: dict, path: str | None):
    """Print the machine and a table; if there is a path, write `data` and the machine as JSON."""
    computer = machine()
    lines = ["", title, ", ".join(f"{key} {value}" for key, value in computer.items()), ""]
    cells = [headings] + [[written(value) for value in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    for row in cells:
        first, *rest = zip(row, widths, strict=True)
        columns = [first[0].ljust(first[1])] + [text.rjust(width) for text, width in rest]
        lines.append("  ".join(columns))
    say("\n".join(lines), sys.stdout)
    if path:
        save({"title": title, **data}, path)


def written(value) -> str:
    """The text of a table's cell: numbers with three digits, large ones with six; None as "-"."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)
