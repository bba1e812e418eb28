"""What the benchmarks share: options, the pictures and the network, the machine, table and JSON."""

import argparse
import functools
import json
import os
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(FOLDER))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from neural_style_transfer import quiet_imports
from settings import Settings, layer_names, layers_in_use, parse_layers

with quiet_imports():
    from weights import kernel_shape, load_filters


def make_parser(description: str, weights: str = "random") -> argparse.ArgumentParser:
    """A parser with the options that all benchmarks have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--content", default=str(FOLDER / "samples" / "photo.jpg"))
    parser.add_argument("--style", default=str(FOLDER / "samples" / "painting.jpg"))
    parser.add_argument("--weights", default=weights, help=f"filters (default: {weights})")
    parser.add_argument("--json", metavar="PATH", help="also write the numbers there")
    parser.add_argument("--quick", action="store_true", help="small sizes, few repetitions")
    return parser


def parse(parser: argparse.ArgumentParser, **quick):
    """The options; with --quick, `quick` are the defaults."""
    if "--quick" in sys.argv:
        parser.set_defaults(**quick)
    return parser.parse_args()


def load(paths: list[str], settings: Settings) -> tuple[list, dict]:
    """The pictures, and the filters that `settings` asks for, up to the deepest layer in use."""
    import preprocessing
    from weights import FITTING_ROWS

    pictures = [preprocessing.load_picture(path) for path in paths]
    size = preprocessing.size_for(pictures[0], FITTING_ROWS)
    images = preprocessing.images_at(pictures, size, settings)
    filters, _ = load_filters(settings.weights, settings, layers_in_use(settings), images)
    return pictures, filters


def objective_at(size: tuple[int, int], pictures: list, filters: dict, settings: Settings):
    """(objective, content image) at (rows, columns), with the network of `settings`."""
    import preprocessing
    from network import feature_extractor
    from objective import make_objective

    extractor = feature_extractor(
        settings.network,
        filters,
        layers_in_use(settings),
        settings.pooling,
        settings.precision,
        settings.borders,
        settings.taps,
    )
    content, *styles = preprocessing.images_at(pictures, size, settings)
    return make_objective(extractor, content, styles, settings), content


def operations(size: tuple[int, int], settings: Settings) -> float:
    """Floating-point operations that one loss and gradient of one picture cannot do without.

    Convolutions and Gram matrices forward, and the same number backward: the filters are constant,
    so that only the gradient of the features is computed.

    Args:
        size: (rows, columns).
        settings: the network and the layers.
    """
    total = 0.0
    names = layer_names(settings.network)
    deepest = max(layers_in_use(settings), key=names.index)
    for name in names[: names.index(deepest) + 1]:
        halvings = 2 ** (int(name[5]) - 1)
        positions = (size[0] // halvings) * (size[1] // halvings)
        height, width, before, out = kernel_shape(settings.network, name)
        total += 2 * positions * height * width * before * out
        if name in parse_layers(settings, "style_layers"):
            total += 2 * positions * out**2
    return 2 * total


@functools.cache  # py-cpuinfo takes a second
def machine() -> dict:
    """The machine and the libraries that the numbers are of."""
    import platform
    from importlib.metadata import version

    import cpuinfo
    import keras

    from network import BFLOAT16_UNITS, processor_flags

    backend = keras.backend.backend()
    info = cpuinfo.get_cpu_info()
    units = sorted(processor_flags() & BFLOAT16_UNITS)
    return {
        "processor": info.get("brand_raw", platform.processor()),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0,
        "bfloat16_units": ", ".join(units) or "none",
        "python": platform.python_version(),
        "keras": version("keras"),
        backend: version(backend),
    }


def save(data: dict, path: str) -> None:
    """Write `data`, the machine and its load as JSON."""
    data = {"machine": machine(), "load_average": os.getloadavg(), **data}
    Path(path).write_text(json.dumps(data, indent=1))


def report(title: str, headings: list[str], rows: list[list], data: dict, path: str | None):
    """Print the machine and a table; write `data` and the machine as JSON where a path is given."""
    computer = machine()
    print(f"\n{title}\n" + ", ".join(f"{key} {value}" for key, value in computer.items()) + "\n")
    cells = [headings] + [[written(value) for value in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    for row in cells:
        first, *rest = zip(row, widths, strict=True)
        print("  ".join([first[0].ljust(first[1])] + [text.rjust(width) for text, width in rest]))
    if path:
        save({"title": title, **data}, path)


def written(value) -> str:
    """A table's cell: numbers with three digits, large ones with six, None as a dash."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)
