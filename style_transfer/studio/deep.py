"""Writes a run's picture with 16 bits per channel, from the exact image of its last iteration."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from style_transfer.errors import InputError
from style_transfer.inputs import load_inputs
from style_transfer.runs.files import write_whole
from style_transfer.runs.pictures import write_picture
from style_transfer.runs.record import PROGRAM
from style_transfer.runs.resume import Changes, continued, find_run, load_record
from style_transfer.studio.library import settings_of


def write_deep(prefix: str, target: Path, make_render: Callable) -> None:
    """Write the last iteration of a run as a PNG with 16 bits per channel.

    Args:
        prefix: the run's prefix.
        target: the file to write.
        make_render: as `neural_style_transfer.make_render`.

    Raises:
        InputError: no iteration is kept.
    """
    files = find_run(prefix)
    record = load_record(files)
    if not record.iterations:
        raise InputError(f"run: expected a finished iteration. Received: none in {prefix!r}")
    number = record.iterations[-1].number
    sources, _ = continued(record, files.prefix.parent, Changes(overwrite=True))
    inputs = load_inputs(sources, record.settings)
    try:
        image = np.load(files.image(number))
    except (OSError, ValueError) as error:
        raise InputError(
            f"run: expected the image of iteration {number}. Received: {error}"
        ) from None
    pixels = make_render(inputs, record.settings)(image, np.uint16)
    texts = {
        "Software": PROGRAM,
        "Settings": json.dumps(settings_of(record), sort_keys=True),
    }
    write_whole(target, lambda file: write_picture(file, pixels, "png16", texts))
