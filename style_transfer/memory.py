"""Estimates a run's memory before it starts, and chooses how each size is made to fit.

Measured on runs of the default preset at 400 to 1200 rows (TensorFlow, CPU): peak memory is a
constant for the libraries plus an amount per megapixel of the picture, or of a tile with its halo.
In benchmarks/scaling.py an evaluation alone takes 1.44 and 1.29 GiB per megapixel.
"""

import math
from collections.abc import Callable

from style_transfer.errors import InputError
from style_transfer.grid import Grid, spans
from style_transfer.inputs import Inputs
from style_transfer.machine import has_bfloat16_units, usable_memory
from style_transfer.parsing import SMALLEST_SIDE, layers_in_use, parse_layers, style_parts
from style_transfer.runs.pictures import check_size
from style_transfer.runs.record import Method
from style_transfer.schedule import Size, full_size
from style_transfer.settings import Settings, parse_tile
from style_transfer.vgg import CHANNELS, block_of

GIB = 2**30
LIBRARIES = {"float32": 0.85, "bfloat16": 0.80}  # GiB
EVALUATION = {"float32": 1.80, "bfloat16": 1.40}  # GiB per megapixel of the combination image
# GiB per megapixel of a tile with its halo. Measured: 0.36 GiB for 384 x 384 pixels, float32.
IN_TILES = {"float32": 2.4, "bfloat16": 2.15}
TARGETS = 0.72  # GiB per megapixel of a style image, while its targets are computed
# L-BFGS-B keeps 10 pairs of vectors and 5 more, in float64: 600 bytes per pixel. Adam in place
# keeps picture, two moments and the mean of its steps: 48 bytes per pixel.
OPTIMIZER = {"lbfgs": 25 * 8 * 3 * 1e6 / GIB, "adam": 48 * 1e6 / GIB}  # GiB per megapixel
# For a picture in tiles, besides the optimizer: gradient, the last iteration's image, the content's
# pixels; with L-BFGS also vectors in float64. GiB per megapixel.
ARRAYS = {"lbfgs": 100 * 1e6 / GIB, "adam": 30 * 1e6 / GIB}
# While targets are computed: content image, pixels, the state of the previous size (measured).
TARGET_ARRAYS = 72 * 1e6 / GIB
STYLE_ARRAY = 15 * 1e6 / GIB  # a style's image and its pixels, GiB per megapixel
TILES = (4096, 3072, 2048, 1536, 1024, 768, 512, 384, 256)  # the choices of `auto`
# In smaller tiles, one step of L-BFGS takes longer than several of Adam in large ones.
SMALLEST_OF_LBFGS = 512


def estimated_bytes(settings: Settings, pixels: int, styles: int = 1) -> int:
    """Bytes that a run needs at its largest size if the picture is computed whole.

    Args:
        settings: precision, `targets`, `style_scale` and optimizer.
        pixels: the number of pixels of the combination image.
        styles: the number of style pictures.
    """
    megapixels, precision = pixels / 1e6, _precision(settings)
    batch = styles + 2 if settings.targets == "batch" else 1
    evaluation = EVALUATION[precision] * megapixels * batch
    targets = TARGETS * megapixels * settings.style_scale**2
    # Adam's moments are small compared with an evaluation.
    optimizer = OPTIMIZER["lbfgs"] * megapixels if settings.optimizer == "lbfgs" else 0
    gib = LIBRARIES[precision] + max(evaluation, targets) + optimizer
    return round(gib * GIB) + content_bytes(settings, pixels)


def content_bytes(settings: Settings, pixels: int) -> int:
    """Bytes of the content image's features, float32, which are kept all the time."""
    layers = parse_layers(settings, "content_layers") if settings.content_weight else {}
    values = sum(CHANNELS[block_of(name) - 1] / 4 ** (block_of(name) - 1) for name in layers)
    return round(4 * values * pixels)


def bytes_by_method(
    settings: Settings, size: tuple[int, int], styles: int, method: Method, workers: int = 0
) -> int:
    """Bytes that a run needs at a size of (rows, columns), whole or in tiles.

    Args:
        settings: the settings on which memory depends.
        size: (rows, columns).
        styles: the number of style pictures.
        method: how the size is computed.
        workers: the number of other processes on this machine that compute its tiles.
    """
    if not method.tile:
        return estimated_bytes(settings, size[0] * size[1], styles)
    megapixels, precision = size[0] * size[1] / 1e6, _precision(settings)
    evaluation = IN_TILES[precision] * window_pixels(settings, size, method.tile) / 1e6
    targets = TARGET_ARRAYS + STYLE_ARRAY * settings.style_scale**2 * styles
    growing = max(ARRAYS[method.optimizer] + OPTIMIZER[method.optimizer], targets) * megapixels
    processes = 1 + workers  # this one computes the tiles of the style pictures
    return round((processes * (LIBRARIES[precision] + evaluation) + growing) * GIB)


def _precision(settings: Settings) -> str:
    """The precision, with `auto` resolved for this processor."""
    if settings.precision != "auto":
        return settings.precision
    return "bfloat16" if has_bfloat16_units() else "float32"


def window_pixels(settings: Settings, size: tuple[int, int], tile: int) -> int:
    """Pixels of the largest window: a tile and its halo."""
    grid = Grid(size, tile, settings.network, tuple(layers_in_use(settings)), settings.borders)
    rows, columns = (
        max(
            span.stop - span.start
            for span in spans(min(side, 64 * tile), tile, grid.halo, grid.pitch)
        )
        for side in size  # windows in the middle of a picture are as large as any
    )
    return rows * columns


def why_not_in_tiles(settings: Settings) -> str | None:
    """Why a loss cannot be computed in tiles, in one line; None if it can."""
    if "histogram" in style_parts(settings):
        return (
            "--tile: expected a loss that is a sum over positions, --style_loss gram, moments or "
            f"wasserstein, or --tile 0. Received: {settings.style_loss}"
        )
    if settings.normalize_gradients:
        return "--tile: expected without --normalize_gradients, or 0. Received: both"
    if settings.targets == "batch":
        return "--tile: expected with --targets cached, or 0. Received: batch"
    return None


def memory_to_use(settings: Settings) -> int | None:
    """Bytes given by `--memory`, or else available on this machine; None if that is unknown."""
    return round(settings.memory * GIB) if settings.memory else usable_memory()


def method_for(
    settings: Settings,
    size: tuple[int, int],
    styles: int,
    usable: int | None,
    workers: int = 0,
) -> Method:
    """Choose how to compute a size: whole if it fits, else in tiles, else in tiles with Adam.

    Args:
        settings: `tile`, `optimizer`, and the settings on which memory depends.
        size: (rows, columns).
        styles: the number of style pictures.
        usable: bytes of memory to use; None: no limit is known.
        workers: as for `bytes_by_method`.

    Returns:
        The first method that fits; if none does, the one that needs least.
    """
    tile = parse_tile(settings.tile)
    optimizers = dict.fromkeys((settings.optimizer, "adam"))
    if settings.restarts:  # Adam would carry its moments over from one iteration to the next
        optimizers = {settings.optimizer: None}
    methods = [Method(0, settings.optimizer)]
    if tile and not why_not_in_tiles(settings):
        methods = [Method(tile, optimizer) for optimizer in optimizers]
    elif tile is None and not why_not_in_tiles(settings):
        methods += [
            Method(side, optimizer)
            for optimizer in optimizers
            for side in TILES
            if side < max(size) and (optimizer == "adam" or side >= SMALLEST_OF_LBFGS)
        ]
    for method in methods:
        if usable is None or bytes_by_method(settings, size, styles, method, workers) <= usable:
            return method
    return methods[-1]


def methods_for(
    settings: Settings, sizes: list[Size], styles: int, workers: int = 0
) -> dict[str, Method]:
    """The method of each size, by its number; arguments as for `bytes_by_method`."""
    usable, found = memory_to_use(settings), {}
    for size in sizes:
        method = method_for(settings, size.shape, styles, usable, workers)
        found[str(size.number)] = method
    return found


def check_memory(force: bool) -> Callable:
    """Make the function that checks a run against the available memory.

    Args:
        force: let every run pass.

    Returns:
        A function of (settings, inputs) that raises InputError if the run would not fit, not even
        in tiles; the message has both numbers and the largest height that fits.
    """

    def check(settings: Settings, inputs: Inputs) -> None:
        refused = why_not_in_tiles(settings)
        if refused and parse_tile(settings.tile):
            raise InputError(refused)
        if force:
            return
        rows, columns = full_size(settings, *inputs.content.image.size)
        check_size(settings.output, rows, columns)
        styles, usable = len(inputs.styles), memory_to_use(settings)
        method = method_for(settings, (rows, columns), styles, usable)
        needed = bytes_by_method(settings, (rows, columns), styles, method)
        if usable is None or needed <= usable:
            return
        fitting = largest_rows(settings, rows / columns, styles, usable)
        if fitting < SMALLEST_SIDE:
            raise _too_little(settings, rows / columns, styles, usable)
        option = "--print" if settings.print else "--size" if settings.size else "--height"
        largest = fitting if not settings.size else round(fitting * max(1, columns / rows))
        unit = " rows" if settings.print else ""
        raise InputError(
            f"{option}: expected at most {largest}{unit} here, or --force: {columns} x {rows} "
            f"needs about {needed / GIB:.1f} GiB of memory; {usable / GIB:.1f} GiB are available. "
            f"Received: {settings.print or settings.size or settings.height}"
        )

    return check


def _too_little(settings: Settings, aspect: float, styles: int, usable: int) -> InputError:
    """The line for memory in which no picture fits; see `largest_rows`."""
    size = SMALLEST_SIDE, max(1, round(SMALLEST_SIDE / aspect))
    method = method_for(settings, size, styles, usable)
    needed = math.ceil(bytes_by_method(settings, size, styles, method) / GIB * 100) / 100
    available = f"none; {usable / GIB:.1f} GiB are available"
    received = f"{settings.memory:g}" if settings.memory else available
    return InputError(
        f"--memory: expected at least {needed:.2f} GiB, which even a picture of {SMALLEST_SIDE} "
        f"rows needs, or --force. Received: {received}"
    )


def largest_rows(settings: Settings, aspect: float, styles: int, usable: int) -> int:
    """The most rows that fit into `usable` bytes for a picture with `aspect` rows per column."""
    low, high = 0, 1 << 20
    while high - low > 1:
        middle = (low + high) // 2
        size = middle, max(1, round(middle / aspect))
        method = method_for(settings, size, styles, usable)
        fits = bytes_by_method(settings, size, styles, method) <= usable
        low, high = (middle, high) if fits else (low, middle)
    return low
