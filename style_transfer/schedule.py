"""The sizes of a run, coarse to fine, and their shares of the iterations."""

import dataclasses
from dataclasses import dataclass

from style_transfer.errors import InputError
from style_transfer.parsing import (
    SMALLEST_SIDE,
    automatic_step,
    layers_in_use,
    parse_scales,
    parse_sheet,
    parse_size,
)
from style_transfer.settings import Settings
from style_transfer.vgg import smallest_side

COARSEST = 140  # rows; at 64, 82 and 131, fitted filters lost the content
PRINT_DPI = 300  # pixels per inch with `--print`, unless `--dpi` is given
COARSEST_SHARE = 3  # of the iterations: the coarsest size is cheap, and large strokes form there


@dataclass(frozen=True)
class Size:
    """One size of a run: one uninterrupted call of the optimizer.

    Attributes:
        number: position among the run's sizes, from 0. With `restarts`, each iteration is its own
            call, and several share a number.
        rows: rows of the combination image.
        columns: columns of the combination image.
        first_iteration: its first iteration, counted over the whole run.
        iterations: the number of its iterations.
    """

    number: int
    rows: int
    columns: int
    first_iteration: int
    iterations: int

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.rows, self.columns

    @property
    def last_iteration(self) -> int:
        """Its last iteration, counted over the whole run."""
        return self.first_iteration + self.iterations - 1


def full_size(settings: Settings, width: int, height: int) -> tuple[int, int]:
    """(rows, columns) of the result.

    Args:
        settings: `height` and `width`, or `size`, or `print` and `dpi`.
        width: columns of the content picture.
        height: its rows.
    """
    if settings.size == "content":
        return height, width
    if long_side := parse_size(settings.size):
        if height >= width:
            return long_side, max(1, round(width * long_side / height))
        return max(1, round(height * long_side / width)), long_side
    if sheet := parse_sheet(settings.print):  # as large as fits on the sheet
        across, down = (length * (settings.dpi or PRINT_DPI) for length in sheet)
        if min(across, down) < SMALLEST_SIDE:
            raise InputError(
                f"--print: expected a sheet of at least {SMALLEST_SIDE} x {SMALLEST_SIDE} pixels, "
                f"at --dpi {settings.dpi or PRINT_DPI}. "
                f"Received: {settings.print!r}, {across:.3g} x {down:.3g}"
            )
        if height * across >= width * down:
            return max(1, round(down)), max(1, round(width * down / height))
        return max(1, round(height * across / width)), max(1, round(across))
    # Rounded as in the original.
    return settings.height, settings.width or int(width * settings.height / height)


def fractions_of(settings: Settings, rows: int) -> list[tuple[float, float]]:
    """Pairs of (fraction of full size, share of the iterations), coarse to fine."""
    step = automatic_step(settings.scales)
    if step is None:
        return parse_scales(settings.scales)
    fractions = [1.0]
    while rows * fractions[0] / step >= COARSEST:
        fractions.insert(0, fractions[0] / step)
    return [(fraction, 1 if index else COARSEST_SHARE) for index, fraction in enumerate(fractions)]


def plan(settings: Settings, width: int, height: int) -> list[Size]:
    """The sizes of a run, coarse to fine; with `restarts`, one per iteration.

    Args:
        settings: the size of the result, `scales`, `iter`, `restarts` and the layers.
        width: columns of the content picture.
        height: its rows.

    Returns:
        The sizes. Those too small for the deepest layer are left out.

    Raises:
        InputError: full size is too small for the deepest layer.
    """
    deepest = max(layers_in_use(settings))
    smallest = smallest_side(deepest)
    full_rows, full_columns = full_size(settings, width, height)
    sizes = []
    for number, (fraction, share) in enumerate(fractions_of(settings, full_rows)):
        rows = round(full_rows * fraction)
        columns = round(full_columns * fraction)
        if not (settings.width or settings.size or settings.print):
            columns = int(width * rows / height)
        if min(rows, columns) >= smallest:
            sizes.append((number, rows, columns, share))
        elif fraction == 1:
            raise InputError(
                f"{_option_too_small(settings, columns, smallest)}: expected a picture of at least "
                f"{smallest} x {smallest} pixels for {deepest}. Received: {columns} x {rows}"
            )
    planned = []
    counts = _apportion(settings.iter, [share for *_, share in sizes])
    for (number, rows, columns, _), count in zip(sizes, counts, strict=True):
        each = 1 if settings.restarts else count
        while count:
            first = sum(size.iterations for size in planned)
            planned.append(Size(number, rows, columns, first, each))
            count -= each
    return planned


def _option_too_small(settings: Settings, columns: int, smallest: int) -> str:
    """The option that made a side too small."""
    if settings.size or settings.print:
        return "--size" if settings.size else "--print"
    return "--width" if settings.width and columns < smallest else "--height"


def replan(sizes: list[Size], settings: Settings) -> list[Size]:
    """The sizes of a run that continues with other settings.

    Finished sizes stay. The last size grows or shrinks so that there are `settings.iter` iterations
    in all; with `restarts`, sizes of one iteration are appended.
    """
    planned, first = [], 0
    for size in sizes:
        count = min(size.iterations, settings.iter - first)
        if count > 0:
            planned.append(dataclasses.replace(size, iterations=count))
        first += max(count, 0)
    last = planned[-1]
    more = settings.iter - first
    if settings.restarts:
        planned += [
            dataclasses.replace(last, first_iteration=first + i, iterations=1) for i in range(more)
        ]
    else:
        planned[-1] = dataclasses.replace(last, iterations=last.iterations + more)
    return planned


def _apportion(total: int, shares: list[float]) -> list[int]:
    """Split `total` into whole numbers close to `shares`, the last of them at least 1."""
    exact = [total * share / sum(shares) for share in shares]
    counts = [int(value) for value in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: (counts[i] - exact[i], -i))
    for index in by_remainder[: total - sum(counts)]:
        counts[index] += 1
    if not counts[-1]:
        counts[counts.index(max(counts))] -= 1
        counts[-1] = 1
    return counts
