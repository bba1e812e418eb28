"""Seconds of one evaluation of loss and gradient: shapes, precisions, sizes, against the floor.

    python benchmarks/evaluation.py

VGG19 up to block5_conv1, the original's formulas. The floor is the time that one picture's
operations take at the rate of the backend's own large matrix product in the same precision. All
variants are measured alternately for several rounds. The fastest of each counts, because other work
on the machine can only add time.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

try:
    from benchmarks import common
except ModuleNotFoundError:
    if __package__:
        import benchmarks.not_installed  # noqa: F401
    else:
        import not_installed  # noqa: F401 (either ends the process)

import numpy as np

from style_transfer.presets import make_settings
from style_transfer.vgg import Filters

NAME = "evaluation.py"
TARGETS = ("batch", "cached")
LAYERS = {"content_layers": "block4_conv2"}


@dataclass(frozen=True)
class Measured:
    """The measurements at one size, made alternately.

    Attributes:
        seconds: seconds of each round, by (targets, precision).
        rates: operations per second of the matrix product, by precision.
    """

    seconds: dict[tuple[str, str], list[float]]
    rates: dict[str, float]


def matrix_product_rate(precision: str, size: int) -> Callable[[], float]:
    """A function that measures the rate once: operations per second of a size x size product."""
    from keras import ops

    factors = np.random.default_rng(0).normal(size=(2, size, size)).astype(np.float32)
    a, b = (ops.cast(ops.convert_to_tensor(factor), precision) for factor in factors)

    def measure() -> float:
        started = time.perf_counter()
        ops.convert_to_numpy(ops.cast(ops.matmul(a, b)[:1], "float32"))  # waits for the product
        return 2 * size**3 / (time.perf_counter() - started)

    measure()
    return measure


def measure_size(size: tuple[int, int], pictures: list, filters: Filters, options) -> Measured:
    """All variants at (rows, columns)."""
    rates = {precision: matrix_product_rate(precision, 2048) for precision in options.precisions}
    variants = {}
    for precision in options.precisions:
        for targets in TARGETS:
            settings = make_settings("keras-2", targets=targets, precision=precision, **LAYERS)
            objective, image = common.objective_at(size, pictures, filters, settings)
            image = image + np.random.default_rng(0).normal(0, 9, image.shape).astype("f4")
            objective(image)  # compiles
            variants[targets, precision] = objective
    measured = Measured({variant: [] for variant in variants}, dict.fromkeys(rates, 0.0))
    for _ in range(options.rounds):
        for variant, objective in variants.items():
            started = time.perf_counter()
            objective(image)
            measured.seconds[variant].append(time.perf_counter() - started)
        for precision, rate in rates.items():
            measured.rates[precision] = max(measured.rates[precision], rate())
    return measured


def entries_of(size: tuple[int, int], measured: Measured) -> list[dict]:
    """The numbers of one size, one entry per variant."""
    work = common.operations(size, make_settings("keras-2", **LAYERS))
    reference = min(next(iter(measured.seconds.values())))
    entries = []
    for (targets, precision), seconds in measured.seconds.items():
        best, rate = min(seconds), measured.rates[precision]
        entries.append(
            {
                "rows": size[0],
                "columns": size[1],
                "targets": targets,
                "precision": precision,
                "seconds": best,
                "median": float(np.median(seconds)),
                "times_faster": reference / best,
                "floor_seconds": work / rate,
                "share_of_floor": work / rate / best,
                "matrix_product_gflops": rate / 1e9,
                "gflop": work / 1e9,
            }
        )
    return entries


def measure(options) -> None:
    """Measure all sizes; print the table."""
    from preprocessing import size_for

    settings = make_settings("keras-2", weights=options.weights, **LAYERS)
    paths = [("--content", options.content), ("--style", options.style)]
    pictures, filters = common.load(paths, settings)
    data = []
    for rows in options.rows:
        size = size_for(pictures[0], rows)
        data += entries_of(size, measure_size(size, pictures, filters, options))
    keys = ["targets", "precision", "seconds", "median", "times_faster", "matrix_product_gflops"]
    keys += ["floor_seconds", "share_of_floor"]
    table = [
        [f"{entry['columns']} x {entry['rows']}"] + [entry[key] for key in keys] for entry in data
    ]
    headings = ["size", "targets", "precision", "s", "median", "times faster", "GFLOP/s"]
    headings += ["floor, s", "share of floor"]
    common.report(__doc__.splitlines()[0], headings, table, {"results": data}, options.json)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns an exit code."""
    parser = common.make_parser(NAME, __doc__)
    parser.add_argument("--rows", type=common.rows, nargs="+", default=[200, 400, 800])
    parser.add_argument(
        "--precisions", nargs="+", default=common.PRECISIONS, choices=common.PRECISIONS
    )
    parser.add_argument("--rounds", type=common.count, default=5)
    return common.run(NAME, parser, measure, {"rows": [64, 128], "rounds": 3}, arguments)


if __name__ == "__main__":
    sys.exit(main())
