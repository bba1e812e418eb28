"""Writes filters to a file that `read_filters` can read."""

from pathlib import Path
from typing import Any

import numpy as np

from style_transfer.vgg import Filters


def write_filters(filters: Filters, path: str | Path) -> None:
    """Write filters as an .npz file with arrays LAYER/kernel and LAYER/bias.

    Args:
        filters: filters that expect BGR minus mean, as those of every .npz file do.
        path: path of the file.

    Raises:
        ValueError: the filters expect another input, which the file could not record.
    """
    if filters.convention != "caffe":
        raise ValueError(f"expected filters for caffe's input. Received: {filters.convention}'s")
    np.savez(path, **named_arrays(filters))


def named_arrays(filters: Filters) -> dict[str, Any]:
    """The arrays of filters by the names that an .npz file gives them."""
    named = {}
    for layer, (kernel, bias) in filters.arrays.items():
        named |= {f"{layer}/kernel": kernel, f"{layer}/bias": bias}
    return named
