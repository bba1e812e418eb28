"""How much memory a run needs, told before it begins.

Measured with benchmarks/scaling.py (VGG19 to block5_conv1, TensorFlow): GiB at the peak of an
evaluation are a constant for the libraries plus a slope times the picture's megapixels.
"""

from collections.abc import Callable

from style_transfer.errors import InputError
from style_transfer.inputs import Inputs
from style_transfer.machine import has_bfloat16_units, usable_memory
from style_transfer.schedule import full_size
from style_transfer.settings import Settings

GIB = 2**30
LIBRARIES = {"float32": 0.82, "bfloat16": 0.71}  # GiB
EVALUATION = {"float32": 1.44, "bfloat16": 1.29}  # GiB a megapixel of the combination image
TARGETS = 0.72  # GiB a megapixel of a style image, while its targets are computed
# L-BFGS-B keeps 10 pairs of vectors and 5 more, in float64: 600 bytes a pixel.
OPTIMIZER = 25 * 8 * 3 * 1e6 / GIB  # GiB a megapixel


def estimated_bytes(settings: Settings, pixels: int, styles: int = 1) -> int:
    """Bytes that a run needs at its largest size.

    Args:
        settings: precision, `targets`, `style_scale` and optimizer.
        pixels: of the combination image.
        styles: how many style pictures there are.
    """
    precision = settings.precision
    if precision == "auto":
        precision = "bfloat16" if has_bfloat16_units() else "float32"
    megapixels = pixels / 1e6
    batch = styles + 2 if settings.targets == "batch" else 1
    evaluation = EVALUATION[precision] * megapixels * batch
    targets = TARGETS * megapixels * settings.style_scale**2
    optimizer = OPTIMIZER * megapixels if settings.optimizer == "lbfgs" else 0
    return round((LIBRARIES[precision] + max(evaluation, targets) + optimizer) * GIB)


def check_memory(force: bool) -> Callable:
    """A check of a run against the memory at hand.

    Args:
        force: let every run pass.

    Returns:
        A function of (settings, inputs) that raises InputError where the run would not fit; the
        message has both numbers and the largest height that fits.
    """

    def check(settings: Settings, inputs: Inputs) -> None:
        if force:
            return
        rows, columns = full_size(settings, *inputs.content.image.size)
        styles = len(inputs.styles)
        needed, usable = estimated_bytes(settings, rows * columns, styles), usable_memory()
        if usable is None or needed <= usable:
            return
        fitting = largest_rows(settings, rows / columns, styles, usable)
        option = "--size" if settings.size else "--height"
        largest = fitting if not settings.size else round(fitting * max(1, columns / rows))
        raise InputError(
            f"{option}: expected at most {largest} here, or --force: {columns} x {rows} needs "
            f"about {needed / GIB:.1f} GiB of memory, and {usable / GIB:.1f} GiB are there. "
            f"Received: {settings.size or settings.height}"
        )

    return check


def largest_rows(settings: Settings, aspect: float, styles: int, usable: int) -> int:
    """The most rows that fit into `usable` bytes, of a picture with `aspect` rows a column."""
    low, high = 0, 1 << 20
    while high - low > 1:
        middle = (low + high) // 2
        fits = estimated_bytes(settings, round(middle**2 / aspect), styles) <= usable
        low, high = (middle, high) if fits else (low, middle)
    return low
