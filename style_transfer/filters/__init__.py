"""Chooses where filters come from: ImageNet through Keras, a file, or the pictures at hand.

This module also finds a run's filters again for a resume. Heavy modules are imported only where
they are needed, so that the choice itself costs no start-up time.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import numpy as np

from style_transfer.errors import InputError
from style_transfer.parsing import layers_in_use
from style_transfer.paths import existing_file, sha256_of_file
from style_transfer.settings import Settings
from style_transfer.vgg import (
    Filters,
    FilterSource,
    block_of,
    layers_up_to,
    sha256_of_arrays,
    smallest_side,
)

MADE = ("fitted", "random")  # made by this program, not read from a file


class Say(Protocol):
    """Shows a line to the user; `warning`: the program uses something else than was asked for."""

    def __call__(self, line: str, warning: bool = False) -> None: ...


def load_filters(
    source: str, settings: Settings, images: list[np.ndarray], say: Say
) -> tuple[Filters, FilterSource]:
    """Filters for all convolutions up to the deepest layer in use.

    Args:
        source: `auto`, `imagenet`, `fitted`, `random`, or the path of a file.
        settings: network, layers, loss scale, and the seed of `fitted` and `random`.
        images: content and style images, float32 (1, H, W, 3), BGR minus mean, for `fitted`.
        say: called with a line if other filters are used than were asked for, and before a
            download.

    Returns:
        The filters, and where they came from.

    Raises:
        InputError: a file is missing, damaged, of another network or lacks layers; ImageNet's
            filters are required but neither cached nor downloadable; or the pictures are too narrow
            to fit filters to.
    """
    if source in MADE:
        return _made(source, settings, images)
    if source not in ("auto", "imagenet"):
        return _read("file", existing_file(source, "--weights").absolute(), settings)
    from style_transfer.filters.imagenet import how_to_get, imagenet_file

    try:
        file = imagenet_file(settings.network, say)
    except OSError as error:
        if source == "imagenet":
            raise InputError(
                "--weights: expected ImageNet's filters in Keras's cache, or a connection to "
                f"download them. Received: {error}. {how_to_get(settings.network)}"
            ) from None
        say(
            "Weights: ImageNet's filters are not cached and cannot be downloaded; using filters "
            f"fitted to these pictures instead. {how_to_get(settings.network)}",
            warning=True,
        )
        return _made("fitted", settings, images)
    return _read("imagenet", file, settings)


def reload_filters(
    before: FilterSource,
    settings: Settings,
    images: list[np.ndarray],
    say: Say,
    beside: Path | None = None,
) -> tuple[Filters, FilterSource]:
    """The filters with which a run started, for its resume.

    They are identified by SHA-256 and convention, whatever file they are in now. This looks for the
    file where it was, beside the run's record, where `--weights` says, and in Keras's cache (from
    which it may have been cleared; then it is downloaded again). `fitted` and `random` are made
    again, even if `auto` would find ImageNet's file by now.

    Args:
        before: where the run's filters came from.
        settings: as in `load_filters`.
        images: as in `load_filters`.
        say: as in `load_filters`.
        beside: the folder of the run's record, or where the file is relative to it.

    Raises:
        InputError: the filters cannot be found, or those made here differ.
    """
    wanted = f"the filters that the run began with (SHA-256 {before.sha256[:12]}…)"
    if before.source in MADE:
        filters, now = _made(before.source, settings, images)
        if _same(before, now):
            return filters, now
        raise InputError(
            f"--weights: expected {wanted}, or --overwrite. Received: {before.source} filters that "
            f"differ ({now.sha256[:12]}…), as with other pictures, another backend or processor"
        )
    path, changed = _find(before, _places(before, settings, say, beside))
    if path:
        filters, now = _read(before.source, path.absolute(), settings)
        if _same(before, now):
            return filters, now
        raise InputError(
            f"--weights: expected {wanted}, read as {before.convention}'s, or --overwrite. "
            f"Received: {str(path)!r}, which this version reads as {now.convention}'s"
        )
    received = f"{str(changed)!r}, another file" if changed else "no such file"
    raise InputError(
        f"--weights: expected {wanted}, in {before.file!r} or beside the run's record, or "
        f"--overwrite. Received: {received}"
    )


def _find(before: FilterSource, places: Iterable[Path]) -> tuple[Path | None, Path | None]:
    """(the first file with the filters' SHA-256 or None, the first other file of that name)."""
    changed, name = None, Path(before.file or "").name
    for path in places:
        with suppress(
            OSError, ValueError
        ):  # a name that is too long, a folder without permission, …
            if path.is_file():
                if sha256_of_file(path) == before.sha256:
                    return path, None
                if path.name == name:
                    changed = changed or path
    return None, changed


def _places(
    before: FilterSource, settings: Settings, say: Say, beside: Path | None
) -> Iterator[Path]:
    """Where the file of a run's filters may be, most likely first."""
    recorded = Path(before.file or "")
    if before.file:
        yield recorded
    if beside is not None:
        yield beside
        if before.file:
            for folder in (beside, beside.parent):
                yield folder / recorded  # of a relative path
                yield folder / recorded.name
    if settings.weights not in ("auto", "imagenet", *MADE):
        with suppress(InputError):
            yield existing_file(settings.weights, "--weights")
    from style_transfer.filters.imagenet import cached_files, imagenet_file

    yield from cached_files(settings.network)
    if before.source == "imagenet":
        with suppress(OSError):
            yield imagenet_file(settings.network, say)


def _same(a: FilterSource, b: FilterSource) -> bool:
    return (a.sha256, a.convention) == (b.sha256, b.convention)


def _layers(settings: Settings) -> list[str]:
    return layers_up_to(settings.network, layers_in_use(settings))


def _read(source: str, file: Path, settings: Settings) -> tuple[Filters, FilterSource]:
    from style_transfer.filters.files import read_filters

    filters = read_filters(file, settings.network, _layers(settings))
    return filters, FilterSource(source, str(file), sha256_of_file(file), filters.convention)


def _made(
    source: str, settings: Settings, images: list[np.ndarray]
) -> tuple[Filters, FilterSource]:
    from style_transfer.filters.fitted import LOUDNESS, random_filters
    from style_transfer.filters.kept import fitted_or_kept

    network, layers = settings.network, _layers(settings)
    if source == "fitted":
        check_large_enough(images, layers, "--weights fitted")
        loudness = LOUDNESS["torch" if settings.loss_scale == "pytorch" else "caffe"]
        filters = fitted_or_kept(settings, layers, images, loudness)
    else:
        filters = random_filters(network, layers, settings.seed)
    return filters, FilterSource(source, None, sha256_of_arrays(filters), filters.convention)


def check_large_enough(images: list[np.ndarray], layers: list[str], option: str) -> None:
    """Raise InputError naming `option` if a side of an image would vanish in pooling.

    Args:
        images: (1, H, W, 3) each.
        layers: names of the layers in use.
        option: the option to name.
    """
    least = smallest_side(max(layers, key=block_of))
    for image in images:
        rows, columns = image.shape[1:3]
        if min(rows, columns) < least:
            raise InputError(
                f"{option}: expected pictures whose sides are at least {least} pixels at the size "
                f"to which filters are fitted. Received: {rows} x {columns}"
            )
