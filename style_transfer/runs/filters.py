"""The filters of a run: loaded, or found again for a resume, and entered into its record."""

import dataclasses
from pathlib import Path

import numpy as np

from style_transfer.environment import environment
from style_transfer.errors import InputError
from style_transfer.filters import MADE, load_filters, reload_filters
from style_transfer.filters.normalized import normalized_filters
from style_transfer.network import processor_precision
from style_transfer.runs.opening import beside
from style_transfer.runs.run import Run
from style_transfer.vgg import Filters, FilterSource


def filters_of_run(run: Run, images: list[np.ndarray]) -> Filters:
    """Load the filters that a run's settings or its record ask for.

    The record then says where they came from, the network's precision, and the versions of the
    libraries.

    Args:
        run: the run, new or resumed.
        images: content and style images to which filters may be fitted, float32 (1, H, W, 3).

    Raises:
        InputError: the filters cannot be loaded, or they differ from those that the run began with.
    """
    record, settings = run.record, run.record.settings
    folder = run.files.prefix.parent.absolute() if run.files else None
    filters, source = _load(run, images, folder)
    record.filters, record.filters_beside = source, beside(source.file, folder)
    if settings.precision == "auto":
        record.precision = record.precision or processor_precision()
    else:
        record.precision = settings.precision
    record.versions.append(environment())
    if settings.normalize_filters:
        filters = normalized_filters(filters, images, settings)
    return filters


def _load(run: Run, images: list[np.ndarray], folder: Path | None) -> tuple[Filters, FilterSource]:
    """The filters that a run began with; for a new run, those that its settings ask for."""
    record, settings = run.record, run.record.settings
    before = record.filters
    if before is None:
        return load_filters(settings.weights, settings, images, run.say)
    if before.file and not Path(before.file).exists() and folder and record.filters_beside:
        before = dataclasses.replace(before, file=str(folder / record.filters_beside))
    try:
        return reload_filters(before, settings, images, run.say, folder)
    except InputError:
        if not run.options.overwrite:
            raise
    # A run keeps the choice that `auto` made when it began.
    source = before.source if before.source in MADE else settings.weights
    return load_filters(source, settings, images, run.say)
