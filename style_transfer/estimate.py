"""Estimates of a run's time, memory and disk space: `--dry_run`. Nothing is written."""

import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.filesize import decimal

from style_transfer.backends import start
from style_transfer.console import duration, say
from style_transfer.disk import disk_bytes, free_disk, windows_share
from style_transfer.inputs import Inputs, Sources, given_pictures, load_inputs
from style_transfer.memory import GIB, bytes_by_method, check_memory, memory_to_use, methods_for
from style_transfer.parsing import parse_blend
from style_transfer.presets import make_settings
from style_transfer.runs.files import RunFiles
from style_transfer.runs.guard import (
    check_free,
    check_inputs_apart,
    check_writable,
    output_by_ending,
    run_files,
)
from style_transfer.runs.record import Method
from style_transfer.schedule import Size, plan
from style_transfer.settings import Settings
from style_transfer.tile_crew import crew_size, other_processes

SAMPLE = (256, 384)  # rows and columns of the measured evaluation; smaller ones cost less per pixel
TWO_PASSES = 1.5  # operations in tiles, with two forward passes, relative to a whole picture's


def estimate(
    base: Any, styles: Any, prefix: Any, preset: str = "default", **options: Any
) -> dict[str, float]:
    """Print how much time, memory and disk space a run would take.

    Args:
        base: as in `transfer`.
        styles: as in `transfer`.
        prefix: as in `transfer`.
        preset: as in `transfer`.
        **options: as in `transfer`.

    Returns:
        `seconds`, and `memory` and `disk` in bytes.

    Raises:
        InputError: `transfer` would refuse an argument.
    """
    own: dict[str, Any] = {"overwrite": False, "journal": True, "force": False}
    own |= {name: options.pop(name) for name in own.keys() & options.keys()}
    options.pop("quiet", None)
    address = options.pop("address", None)
    workers = other_processes(crew_size(options.pop("workers", 1), address), address)
    given, choices = given_pictures(options)
    settings = make_settings(preset, **output_by_ending(prefix, choices))
    sources = Sources.chosen(base, styles, settings, given)
    parse_blend(settings.style_blend, len(sources.styles))
    files = run_files(prefix, settings.output, sources.names())
    check_writable(files)
    inputs = load_inputs(sources, settings)
    check_inputs_apart(files, inputs.paths())
    check_free(files, inputs.paths(), own["overwrite"])
    check_memory(own["force"])(settings, inputs)
    return told(settings, inputs, files, own["journal"], workers)


def told(
    settings: Settings, inputs: Inputs, files: RunFiles, journal: bool, workers: int
) -> dict[str, float]:
    """Measure, print a line per size and the sums, and return the sums; see `estimate`."""
    sizes = plan(settings, *inputs.content.image.size)
    styles = len(inputs.styles)
    methods = methods_for(settings, sizes, styles, workers)
    megapixel = measured_seconds(settings)
    total, memory = 0.0, 0
    for size in sizes:
        method = methods[str(size.number)]
        evaluations = size.iterations * settings.evaluations
        seconds = megapixel * megapixels_of(settings, size, method, styles)
        total += seconds
        memory = max(memory, bytes_by_method(settings, size.shape, styles, method, workers))
        way = f"tiles of {method.tile}" if method.tile else "whole"
        say(
            f"{size.columns} x {size.rows}: {evaluations} evaluations, {way}, "
            f"{method.optimizer}, about {duration(seconds)}",
            sys.stdout,
        )
    disk, usable = disk_bytes(settings, sizes, methods, journal), memory_to_use(settings)
    folder = Path(files.prefix).parent
    say(f"Time: about {duration(total)}, at {megapixel:.1f} s per megapixel", sys.stdout)
    room = f" of {usable / GIB:.1f}" if usable else ""
    say(f"Memory: about {memory / GIB:.1f} GiB{room}", sys.stdout)
    free = f"{decimal(free_disk(folder))} are free"
    say(f"Disk: at most {decimal(disk)} in {str(folder)!r}, where {free}", sys.stdout)
    return {"seconds": total, "memory": memory, "disk": disk}


def megapixels_of(settings: Settings, size: Size, method: Method, styles: int) -> float:
    """The number of megapixels whose evaluation as a whole picture takes as long as the size.

    Targets take one forward pass, a third of an evaluation, over the content and each style.
    """
    pixels = size.rows * size.columns / 1e6
    share = TWO_PASSES * windows_share(settings, size.shape, method.tile) if method.tile else 1.0
    batch = styles + 2 if settings.targets == "batch" else 1
    targets = (1 + styles * settings.style_scale**2) / 3
    return pixels * share * (size.iterations * settings.evaluations * batch + targets)


def measured_seconds(settings: Settings) -> float:
    """Seconds per megapixel of a whole picture's evaluation, measured on a small picture.

    Measured with random filters, which cost no time to find and as much to use as any others.
    """
    start()
    from style_transfer.filters import load_filters
    from style_transfer.network import feature_extractor, processor_precision
    from style_transfer.objective import make_objective
    from style_transfer.targets import make_targets

    quick = replace(settings, content_mask="", style_mask="", style_blend="", targets="cached")
    rng = np.random.default_rng(0)
    content, style, image = (rng.uniform(-99, 99, (1, *SAMPLE, 3)) for _ in range(3))
    images = [content.astype(np.float32), style.astype(np.float32)]
    precision = settings.precision if settings.precision != "auto" else processor_precision()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        filters, _ = load_filters("random", quick, images, lambda line, warning=False: None)
    network = feature_extractor(filters, quick, precision)
    objective = make_objective(network, make_targets(network, images, quick), quick)
    seconds = []
    for _ in range(3):  # the first one compiles
        began = time.perf_counter()
        objective(image.astype(np.float32))
        seconds.append(time.perf_counter() - began)
    return min(seconds) / (SAMPLE[0] * SAMPLE[1] / 1e6)
