"""Seconds and peak memory of an evaluation as the picture grows, and the exponents.

    python benchmarks/scaling.py

Each size runs in a process of its own, whose largest memory the system keeps (VmHWM). Libraries and
filters are the constant of the straight line through the memory of all sizes.
"""

import json
import subprocess
import sys
import time

import common
import numpy as np

from preprocessing import size_for
from settings import make_settings


def peak_memory() -> float:
    """The largest memory of this process so far, in GiB."""
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) / 2**20  # the file counts in KiB


def measure(options) -> dict:
    """One size, in this process."""
    settings = make_settings(
        "keras-2",
        content_layers="block4_conv2",
        precision=options.precision,
        targets=options.targets,
        weights=options.weights,
    )
    pictures, filters = common.load([options.content, options.style], settings)
    size = size_for(pictures[0], options.rows[0])
    before = peak_memory()
    objective, image = common.objective_at(size, pictures, filters, settings)
    objective(image)
    seconds = []
    for _ in range(options.rounds):
        started = time.perf_counter()
        objective(image)
        seconds.append(time.perf_counter() - started)
    return {
        "rows": size[0],
        "columns": size[1],
        "megapixels": size[0] * size[1] / 1e6,
        "seconds": min(seconds),
        "gib_before": before,
        "gib": peak_memory(),
    }


def main() -> None:
    parser = common.make_parser(__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[100, 200, 400, 800, 1600])
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--targets", default="cached", choices=("cached", "batch"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--alone", action="store_true", help="one size, in this process, as JSON")
    options = common.parse(parser, rows=[64, 128, 256])
    if options.alone:
        print(json.dumps(measure(options)))
        return
    results = []
    for rows in options.rows:
        command = [sys.executable, __file__, "--alone", "--rows", str(rows)]
        for name in ("content", "style", "weights", "precision", "targets", "rounds"):
            command += [f"--{name}", str(getattr(options, name))]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        results.append(json.loads(output.splitlines()[-1]))
        print(f"{rows} rows: done", flush=True)

    pixels, seconds, gib = (
        np.array([result[key] for result in results]) for key in ("megapixels", "seconds", "gib")
    )
    per_megapixel, constant = np.polyfit(pixels, gib, 1)
    fit = {
        "seconds_exponent": float(np.polyfit(np.log(pixels), np.log(seconds), 1)[0]),
        # Of what is added from size to size, so that the constant does not count.
        "memory_exponent": float(np.polyfit(np.log(np.diff(pixels)), np.log(np.diff(gib)), 1)[0]),
        "gib_per_megapixel": float(per_megapixel),
        "gib_constant": float(constant),
    }
    table = [
        [f"{r['columns']} x {r['rows']}", r["megapixels"], r["seconds"]]
        + [r["seconds"] / r["megapixels"], r["gib"]]
        for r in results
    ]
    headings = ["size", "megapixels", "s", "s per megapixel", "peak GiB"]
    title = f"{__doc__.splitlines()[0]} {options.targets}, {options.precision}"
    common.report(title, headings, table, {"results": results, "fit": fit}, options.json)
    print(
        f"\nseconds grow as pixels^{fit['seconds_exponent']:.2f}; memory as "
        f"pixels^{fit['memory_exponent']:.2f}: {constant:.2f} GiB + {per_megapixel:.2f} GiB per "
        f"megapixel"
    )


if __name__ == "__main__":
    main()
