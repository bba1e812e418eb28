"""Paints the cells of a sheet with `transfer`, one after another or in several processes.

Filters are made once for all cells, which get them as a file. A process keeps its network and the
features of content and style pictures from one cell to the next.
"""

import dataclasses
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

from PIL import Image

from neural_style_transfer import transfer, vgg_objectives
from style_transfer.backends import start
from style_transfer.console import say
from style_transfer.errors import InputError, RunStopped
from style_transfer.inputs import given_pictures
from style_transfer.machine import usable_cores, usable_memory
from style_transfer.memory import GIB, estimated_bytes
from style_transfer.parsing import layers_in_use
from style_transfer.pictures import load_picture
from style_transfer.presets import make_settings
from style_transfer.schedule import full_size
from style_transfer.settings import Settings


def paint_cells(pictures: list, cells: list[dict], workers: int = 1) -> list[Image.Image]:
    """The cells' pictures, in their order.

    Args:
        pictures: content, then style pictures, to which `fitted` filters are fitted.
        cells: keyword arguments of `transfer`, with the same network, filters and seed.
        workers: the number of processes; 1: this process.

    Raises:
        InputError: a cell's settings or a picture cannot be used.
        RunStopped: a loss was not finite, or memory ran out.
    """
    if workers < 1:
        raise InputError(f"--workers: expected a whole number, at least 1. Received: {workers}")
    loaded = [load_picture(picture) for picture in pictures]
    for remark in dict.fromkeys(remark for picture in loaded for remark in picture.remarks):
        say(remark, sys.stdout)
    images = [picture.image for picture in loaded]
    settings = [settings_of(cell) for cell in cells]
    done = []
    with with_filters(images, cells, settings) as ready:
        workers = min(len(cells), workers, most_processes(workers, images, settings))
        for picture in paint_here(ready) if workers == 1 else paint_in_processes(ready, workers):
            done.append(picture)
            say(f"{len(done)} of {len(cells)} pictures", sys.stdout)
    return done


def settings_of(cell: dict) -> Settings:
    """A cell's settings."""
    others = ("base", "styles", "force")
    _, choices = given_pictures({key: cell[key] for key in cell if key not in others})
    return make_settings(**choices)


@contextmanager
def with_filters(
    images: list[Image.Image], cells: list[dict], settings: list[Settings]
) -> Iterator[list[dict]]:
    """The cells with a temporary file of filters, made once for all of them."""

    start()
    from preprocessing import fitting_images
    from style_transfer.filters import load_filters
    from style_transfer.filters.writing import write_filters

    layers = sorted({layer for each in settings for layer in layers_in_use(each)})
    deepest = dataclasses.replace(settings[0], content_layers=",".join(layers))
    filters, source = load_filters(
        deepest.weights,
        deepest,
        fitting_images(images, make_settings()),
        lambda line, warning=False: say(line, sys.stdout),
    )
    with tempfile.TemporaryDirectory() as folder:
        file = source.file or str(Path(folder) / "filters.npz")
        if not source.file:
            write_filters(filters, file)
        yield [{**cell, "weights": file} for cell in cells]


def most_processes(wanted: int, images: list[Image.Image], settings: list[Settings]) -> int:
    """The number of processes that fit into memory, at least one; says if they are fewer."""
    sizes = [full_size(each, *image.size) for each in settings for image in images]
    pixels = max(rows * columns for rows, columns in sizes)
    needed, usable = estimated_bytes(settings[0], pixels, max(1, len(images) - 1)), usable_memory()
    if wanted == 1 or usable is None or needed * wanted <= usable:
        return wanted
    fitting = max(1, usable // needed)
    say(
        f"{wanted} processes would need about {wanted * needed / GIB:.1f} GiB of memory, and "
        f"{usable / GIB:.1f} GiB are available: using --workers {fitting} instead.",
        sys.stdout,
    )
    return fitting


def paint_here(cells: list[dict]) -> Iterator[Image.Image]:
    """The pictures of cells, painted in this process."""
    try:
        yield from map(paint_cell, cells)
    finally:
        shared.cache_clear()


def paint_in_processes(cells: list[dict], workers: int) -> Iterator[Image.Image]:
    """The pictures of cells, painted in processes that end with this one, however it ends."""
    others = multiprocessing.active_children()
    # Fork would copy the backend, but not its threads.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        workers, context, begin_process, (max(1, usable_cores() // workers),)
    )
    try:
        with without_ctrl_c():
            futures = [pool.submit(paint_cell, cell) for cell in cells]
        for future in futures:
            yield future.result()
    except BrokenProcessPool:
        raise RunStopped(
            "a process died, perhaps killed by the system for lack of memory; --workers 1 needs "
            "less"
        ) from None
    except BaseException:
        for process in multiprocessing.active_children():
            if process not in others:
                process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def without_ctrl_c() -> Iterator[None]:
    """Make processes started here ignore Ctrl-C, which the terminal sends to all of them."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def begin_process(cores: int) -> None:
    """Take only this process's share of the cores, and end when the first process has ended."""
    os.environ["TF_NUM_INTRAOP_THREADS"] = str(cores)

    def follow() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


@cache
def shared():
    """The network and targets that the cells of this process share."""
    start()
    from style_transfer.shared import Shared

    return Shared()


def paint_cell(cell: dict) -> Image.Image:
    """Paint one cell in any process: RGB, with transparent parts on white."""
    picture, _ = transfer(**cell, objectives=partial(vgg_objectives, shared=shared()))
    if picture.mode == "RGB":
        return picture
    white = Image.new("RGB", picture.size, "white")
    white.paste(picture, mask=picture.getchannel("A"))
    return white
