"""Filters to a file that `read_filters` reads."""

from pathlib import Path

import numpy as np

from style_transfer.vgg import Filters


def write_filters(filters: Filters, path: str | Path) -> None:
    """Write filters as an .npz file with arrays LAYER/kernel and LAYER/bias.

    Args:
        filters: that expect BGR minus mean, as every .npz file's do.
        path: of the file.

    Raises:
        ValueError: filters for another input, which the file could not tell.
    """
    if filters.convention != "caffe":
        raise ValueError(f"expected filters for caffe's input. Received: {filters.convention}'s")
    arrays = {}
    for layer, (kernel, bias) in filters.arrays.items():
        arrays |= {f"{layer}/kernel": kernel, f"{layer}/bias": bias}
    np.savez(path, **arrays)
