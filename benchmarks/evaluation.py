"""Seconds of one evaluation of loss and gradient: shapes, precisions, sizes, against the floor.

    python benchmarks/evaluation.py

VGG19 to block5_conv1, the formulas of the original. The floor is the time that the operations of
one picture take at the rate of the backend's own large matrix product in the same precision. All
variants are measured in turn, several rounds, and the fastest of each counts: what else the
machine does can only add.
"""

import time

import common
import numpy as np

from preprocessing import size_for
from settings import make_settings

TARGETS = ("batch", "cached")


def matrix_product_rate(precision: str, size: int):
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


def main() -> None:
    parser = common.make_parser(__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[200, 400, 800])
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--rounds", type=int, default=5)
    options = common.parse(parser, rows=[64, 128], rounds=3)
    base = make_settings("keras-2", content_layers="block4_conv2", weights=options.weights)
    pictures, filters = common.load([options.content, options.style], base)

    rates = {precision: matrix_product_rate(precision, 2048) for precision in options.precisions}
    table, data = [], []
    for rows in options.rows:
        size = size_for(pictures[0], rows)
        variants = {}
        for precision in options.precisions:
            for targets in TARGETS:
                settings = make_settings(
                    "keras-2",
                    content_layers="block4_conv2",
                    targets=targets,
                    precision=precision,
                )
                objective, image = common.objective_at(size, pictures, filters, settings)
                image = image + np.random.default_rng(0).normal(0, 9, image.shape).astype("f4")
                objective(image)  # compiles
                variants[targets, precision] = objective
        seconds = {variant: [] for variant in variants}
        rate = {precision: 0.0 for precision in rates}
        for _ in range(options.rounds):
            for variant, objective in variants.items():
                started = time.perf_counter()
                objective(image)
                seconds[variant].append(time.perf_counter() - started)
            for precision, measure in rates.items():
                rate[precision] = max(rate[precision], measure())
        work = common.operations(size, base)
        reference = min(seconds[TARGETS[0], options.precisions[0]])
        for (targets, precision), measured in seconds.items():
            best, floor = min(measured), work / rate[precision]
            entry = {
                "rows": size[0],
                "columns": size[1],
                "targets": targets,
                "precision": precision,
                "seconds": best,
                "median": float(np.median(measured)),
                "times_faster": reference / best,
                "floor_seconds": floor,
                "share_of_floor": floor / best,
                "matrix_product_gflops": rate[precision] / 1e9,
                "gflop": work / 1e9,
            }
            data.append(entry)
            table.append(
                [f"{size[1]} x {size[0]}", targets, precision, best, entry["median"]]
                + [reference / best, rate[precision] / 1e9, floor, floor / best]
            )
    headings = ["size", "targets", "precision", "s", "median", "times faster", "GFLOP/s"]
    headings += ["floor, s", "share of floor"]
    common.report(__doc__.splitlines()[0], headings, table, {"results": data}, options.json)


if __name__ == "__main__":
    main()
