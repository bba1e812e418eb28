"""Seconds and peak memory of an evaluation as the picture grows, and the exponents.

    python benchmarks/scaling.py
    python benchmarks/scaling.py --tile 1024 --rows 800 1600 3200 6400 --beside 1600

Each size runs in its own process, whose peak memory the system records. Libraries and filters are
the constant of the straight line through the memory of all sizes. The memory of an evaluation in
tiles is counted after its targets have been computed, if the system (Linux) can reset the earlier
peak. With `--beside ROWS`, pictures of up to that many rows are also evaluated whole, alternating
with the tiles, for the ratio.
"""

import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path

try:
    from benchmarks import common
except ModuleNotFoundError:
    if __package__:
        import benchmarks.not_installed  # noqa: F401
    else:
        import not_installed  # noqa: F401 (either ends the process)

import numpy as np

from style_transfer.console import say
from style_transfer.errors import InputError, RunStopped
from style_transfer.presets import make_settings

NAME = "scaling.py"
COPIED = ("content", "style", "weights", "precision", "targets", "rounds", "tile", "beside")
WARM_BELOW = 2e6  # pixels; with many tiles, the few that compile hardly count


def peak_memory() -> float:
    """The peak memory of this process so far, in GiB.

    Raises:
        InputError: on Windows, which does not report it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**20  # the file counts in KiB
    try:
        import resource
    except ImportError:
        raise InputError(
            f"{NAME}: expected Linux or macOS, which report a process's peak memory. "
            f"Received: {sys.platform}"
        ) from None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**30  # macOS counts in bytes


def measure(options) -> dict:
    """One size, in this process."""
    from preprocessing import size_for

    settings = make_settings(
        "keras-2",
        content_layers="block4_conv2",
        precision=options.precision,
        targets=options.targets,
        weights=options.weights,
    )
    paths = [("--content", options.content), ("--style", options.style)]
    pictures, filters = common.load(paths, settings)
    size = size_for(pictures[0], options.rows[0])
    found = {"rows": size[0], "columns": size[1], "megapixels": size[0] * size[1] / 1e6}
    found["gib_before"] = peak_memory()
    about = size, pictures, filters, settings
    objective, image = common.objective_at(*about, options.tile)
    found["gib_targets"] = peak_memory()
    if options.tile:
        forget_peak()
    if size[0] * size[1] < WARM_BELOW or not options.tile:
        objective(image)  # compiles
    found |= times_of(objective, image)
    found["gib"] = peak_memory()
    ways = {"": objective}
    if options.tile and size[0] <= options.beside:
        ways["_whole"], _ = common.objective_at(*about)
        ways["_whole"](image)
        found |= times_of(ways["_whole"], image, "_whole")
    for _ in range(options.rounds - 1):
        for name, way in ways.items():
            found |= {key: min(found[key], x) for key, x in times_of(way, image, name).items()}
    return found


def times_of(objective, image: np.ndarray, name: str = "") -> dict[str, float]:
    """How long an evaluation takes: `seconds` and `processor_seconds`, `name` appended.

    Those of the processor hardly change where other programs run too.
    """
    started, used = time.perf_counter(), time.process_time()
    objective(image)
    seconds, processor = time.perf_counter() - started, time.process_time() - used
    return {f"seconds{name}": seconds, f"processor_seconds{name}": processor}


def forget_peak() -> None:
    """Reset the peak memory of this process, if the system can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # man 5 proc


def measure_alone(rows: int, options) -> dict:
    """Measure one size in its own process.

    Raises:
        InputError: that process reported one.
        RunStopped: it failed otherwise.
    """
    command = [sys.executable, "-m", "benchmarks.scaling", "--alone", "--rows", str(rows)]
    for name in COPIED:
        value = getattr(options, name)
        if name in ("content", "style") or (name == "weights" and Path(value).exists()):
            value = Path(value).expanduser().absolute()
        if value:  # no tiles, nothing beside
            command += [f"--{name}", str(value)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=common.FOLDER)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        kind = InputError if done.returncode == 2 else RunStopped
        raise kind(last.removeprefix(f"{NAME}: ").removeprefix("error: ").removeprefix("stopped: "))
    return json.loads(done.stdout.splitlines()[-1])


def exponent(sizes: np.ndarray, values: np.ndarray) -> float | None:
    """The power with which the values grow with the sizes; None if that cannot be found."""
    growing = (sizes > 0) & (values > 0)  # equal peaks: nothing was added
    if growing.sum() < 2:
        return None
    return float(np.polyfit(np.log(sizes[growing]), np.log(values[growing]), 1)[0])


def fit_of(results: list[dict]) -> dict:
    """Exponents of seconds and memory, and the straight line through the memory."""
    pixels, seconds, gib = (
        np.array([result[key] for result in results]) for key in ("megapixels", "seconds", "gib")
    )
    several = len(set(pixels)) > 1
    slope, constant = np.polyfit(pixels, gib, 1).tolist() if several else (None, None)
    return {
        "seconds_exponent": exponent(pixels, seconds) if several else None,
        # Fitted to the increase from size to size, so that the constant does not count.
        "memory_exponent": exponent(np.diff(pixels), np.diff(gib)),
        "gib_per_megapixel": slope,
        "gib_constant": constant,
    }


def measure_all(options) -> None:
    """Measure all sizes; print the table."""
    if options.alone:
        say(json.dumps(measure(options)), sys.stdout)
        return
    results = []
    for rows in sorted(options.rows):
        results.append(found := measure_alone(rows, options))
        say(f"{rows} rows: {found['seconds']:.3g} s, {found['gib']:.3g} GiB", sys.stdout)
    fit = fit_of(results)
    table = [
        [f"{r['columns']} x {r['rows']}", r["megapixels"], r["seconds"]]
        + [r["seconds"] / r["megapixels"], r["gib"]]
        for r in results
    ]
    headings = ["size", "megapixels", "s", "s per megapixel", "peak GiB"]
    title = f"{__doc__.splitlines()[0]} {options.targets}, {options.precision}"
    if options.tile:
        title += f", tiles of {options.tile}"
        headings += ["GiB for targets", "processor s per megapixel", "times whole"]
        for row, r in zip(table, results, strict=True):
            used, whole = r["processor_seconds"], r.get("processor_seconds_whole")
            row += [r["gib_targets"], used / r["megapixels"], whole and used / whole]
    common.report(title, headings, table, {"results": results, "fit": fit}, options.json)
    numbers = {key: common.written(value) for key, value in fit.items()}
    say(
        "\nseconds grow as pixels^{seconds_exponent}; memory as pixels^{memory_exponent}: "
        "{gib_constant} GiB + {gib_per_megapixel} GiB per megapixel".format(**numbers),
        sys.stdout,
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns an exit code."""
    parser = common.make_parser(NAME, __doc__)
    parser.add_argument("--rows", type=common.rows, nargs="+", default=[100, 200, 400, 800, 1600])
    parser.add_argument("--precision", default="float32", choices=common.PRECISIONS)
    parser.add_argument("--targets", default="cached", choices=("cached", "batch"))
    parser.add_argument("--rounds", type=common.count, default=3)
    parser.add_argument("--tile", type=common.count, default=0, help="side of tiles, in pixels")
    parser.add_argument(
        "--beside",
        type=common.rows,
        default=0,
        metavar="ROWS",
        help="also evaluate whole pictures of up to that many rows",
    )
    parser.add_argument(
        "--alone", action="store_true", help="measure one size in this process; print JSON"
    )
    return common.run(NAME, parser, measure_all, {"rows": [64, 128, 256]}, arguments)


if __name__ == "__main__":
    sys.exit(main())
