"""Fast style transfer: train a network for one style, then paint each picture in one pass.

    python fast_style_transfer.py train STYLE [STYLE ...] PHOTOS MODEL.keras [--minutes 30]
    python fast_style_transfer.py apply MODEL.keras PHOTO [PHOTO ...] OUT
    python fast_style_transfer.py export MODEL.keras MODEL.onnx

neural_style_transfer.py optimizes a picture; `train` optimizes a network, so that its picture of
any photograph has a low loss: the same loss, with the same options. PHOTOS is a folder of ten or
more photographs. Every minute, MODEL_preview.png shows three that the network is not trained on.

Johnson, Alahi and Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution",
arXiv 1603.08155.
"""

import os
import sys
import warnings
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import TYPE_CHECKING

from style_transfer.console import say, warn
from style_transfer.errors import RunStopped
from style_transfer.programs import run_command

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from style_transfer.feedforward.about import About
    from style_transfer.feedforward.painter import Finish
    from style_transfer.pictures import Picture

# Keras and NumPy are imported inside functions, so that --help answers at once.

FITTED_TO = 5  # photographs to which filters are fitted, besides the styles


def train(
    styles,
    photos: str | os.PathLike,
    model: str | os.PathLike,
    *,
    overwrite: bool = False,
    quiet: bool = True,
    on_event: Callable | None = None,
    **choices,
) -> "About":
    """Train a network for a style, or continue a training that was stopped.

    Args:
        styles: the style picture, or a list of several: paths, PIL images or uint8 arrays.
        photos: a folder of photographs, a pattern, or a .txt file of paths.
        model: path of the network to write; it ends in .keras.
        overwrite: replace an earlier network of this program.
        quiet: print nothing; where the program uses something else than was asked for, it issues a
            Python warning.
        on_event: called with every event; see `style_transfer.feedforward.events`. It stops the
            training by raising `StopRun`.
        **choices: fields of `style_transfer.feedforward.choices.Choices`, such as `minutes=10`, and
            fields of `Settings` that a loss depends on, such as `content_weight=0.1`.

    Returns:
        What the network was trained on, and its losses.

    Raises:
        InputError: an argument cannot be used. This is a ValueError; its message names the
            argument, what was expected, and what was received.
        StopRun: a listener stopped the training; the same call continues it.
        RunStopped: the loss was not finite, or memory ran out.
    """
    from style_transfer.feedforward.album import held_out
    from style_transfer.feedforward.choices import split
    from style_transfer.feedforward.console import TrainingConsole
    from style_transfer.feedforward.files import check_free, locked, training_files
    from style_transfer.gallery.plan import find_pictures
    from style_transfer.inputs import listed
    from style_transfer.parsing import parse_blend
    from style_transfer.pictures import load_picture

    mine, settings = split(choices)
    files = training_files(model)
    pictures = [load_picture(style, "STYLE") for style in listed(styles)]
    parse_blend(settings.style_blend, len(pictures))
    paths = find_pictures(os.fspath(photos), "PHOTOS", files.state)
    paths = [path for path in paths if path != files.preview]
    check_free(files, _inputs(pictures, paths, settings.weights), overwrite)
    to_learn, to_watch = held_out(paths)
    record = _record(settings, mine, pictures, paths)
    with locked(files), nullcontext() if quiet else TrainingConsole() as console:
        listeners = [console or warn, *([on_event] if on_event else [])]
        return _trained(files, record, (pictures, to_learn, to_watch), overwrite, listeners)


def _inputs(pictures: "list[Picture]", photos: "list[Path]", weights: str) -> list:
    """The files that a training reads: (name of the argument, path)."""
    from style_transfer.paths import existing_file
    from style_transfer.runs.opening import FILTER_SOURCES

    inputs = [("STYLE", existing_file(p.path, "STYLE")) for p in pictures if p.path]
    inputs += [("PHOTOS", path) for path in photos]
    if weights not in FILTER_SOURCES:
        inputs.append(("--weights", existing_file(weights, "--weights")))
    return inputs


def _record(settings, choices, pictures: "list[Picture]", photos: "list[Path]"):
    """The record of a training that begins."""
    from style_transfer.feedforward.record import TrainingRecord, names_and_sizes
    from style_transfer.runs.record import PictureFile

    styles = [PictureFile(picture.path or "", picture.sha256) for picture in pictures]
    return TrainingRecord(settings, choices, styles, len(photos), names_and_sizes(photos))


def _trained(files, record, pictures, overwrite: bool, listeners) -> "About":
    """Load the pictures, then train."""
    from style_transfer.backends import start

    start()
    from preprocessing import fitting_images, images_at
    from style_transfer.events import Said
    from style_transfer.feedforward.album import Album
    from style_transfer.feedforward.choices import STYLE_ROWS
    from style_transfer.feedforward.session import Material, Session

    def tell(event) -> None:
        for listener in listeners:
            listener(event)

    styles, to_learn, to_watch = pictures
    settings, size = record.settings, record.choices.size
    if overwrite:
        files.clear()
    for remark in (remark for style in styles for remark in style.remarks):
        tell(Said(remark))
    album = Album(to_learn, size, lambda line: tell(Said(line, warning=True)))
    seen = [album[number * len(album) // FITTED_TO] for number in range(FITTED_TO)]
    images = [style.image for style in styles]
    fitted = [fitting_images([photo], settings)[0] for photo in seen]
    fitted += fitting_images([seen[0], *images], settings)[1:]
    style_images = images_at([seen[0], *images], (STYLE_ROWS, STYLE_ROWS), settings)[1:]
    material = Material(styles, style_images, fitted, to_learn, to_watch)
    return Session(files, record, material, tell).run()


def apply(  # noqa: PLR0913
    model: str | os.PathLike,
    photos: str | os.PathLike | Iterable,
    out: str | os.PathLike,
    *,
    overwrite: bool = False,
    workers: int | None = 1,
    address: str | None = None,
    quiet: bool = True,
    **finish,
) -> list[str]:
    """Paint photographs with a network.

    Args:
        model: path of the network.
        photos: a picture, a folder, a pattern or a .txt file of paths; or a list of these.
        out: the result's name; for several photographs, a folder for the results.
        overwrite: replace this program's earlier results. Otherwise, of several photographs, only
            those are painted whose results are missing or were made with other options.
        workers: how many processes; None chooses.
        address: the address of a Ray cluster.
        quiet: print nothing.
        **finish: fields of `style_transfer.feedforward.painter.Finish`.

    Returns:
        A line for each photograph, of several, that could not be painted.

    Raises:
        InputError: an argument cannot be used; nothing was painted.
    """
    from style_transfer.feedforward.applying import apply_all, make_task
    from style_transfer.feedforward.painter import Finish
    from style_transfer.gallery.status import Status

    output = finish.pop("output", None)
    how = Finish(**finish)
    given = [photos] if isinstance(photos, str | os.PathLike) else list(photos)
    task, output = make_task(model, given, os.fspath(out), output)
    how = Finish(**finish, output=output)
    with Status(len(task.jobs), 0, quiet) as status:
        return apply_all(task, how, render, overwrite, (workers, address), status)


def load_style(model: str | os.PathLike) -> Callable:
    """Load a network as a function of pictures.

    Args:
        model: path of the network.

    Returns:
        A function that takes a picture (a path, a PIL.Image, or a uint8 array) and fields of
        `Finish` as keywords, such as `strength=0.6`, and returns a PIL.Image.

    Raises:
        InputError: the file is not a network of this program.
    """
    from style_transfer.feedforward.painter import Finish, Painter
    from style_transfer.pictures import load_picture
    from style_transfer.runs.pictures import as_image

    painter = Painter(os.fspath(model), Finish(), render, "")

    def painted(picture, **finish):
        painter.finish = Finish(**finish)
        return as_image(painter.pixels(load_picture(picture)))

    return painted


def render(picture: "Picture", painted: "np.ndarray", finish: "Finish") -> "np.ndarray":
    """The pixels to save; see `style_transfer.feedforward.painter.Render`."""
    import numpy as np

    from preprocessing import with_alpha, with_colors_of
    from style_transfer.runs.pictures import pixel_type

    dtype = pixel_type(finish.output)
    largest = np.iinfo(dtype).max
    photograph = np.asarray(picture.image)
    mixed = photograph + finish.strength * (painted - photograph)
    pixels = np.clip(np.rint(mixed * (largest / 255)), 0, largest).astype(dtype)
    if finish.preserve_color == "luminance":
        pixels = with_colors_of(pixels, photograph)
    return with_alpha(pixels, picture.alpha)


def export(
    model: str | os.PathLike, out: str | os.PathLike, overwrite: bool = False, quiet: bool = True
) -> None:
    """Write a network for other programs: ONNX (.onnx) or LiteRT (.tflite).

    Both take pictures of any size, float32 (1, H, W, 3), RGB 0..255, and return the same format.

    Args:
        model: path of the network.
        out: path to write to.
        overwrite: replace an existing file.
        quiet: print nothing.

    Raises:
        InputError: an argument cannot be used, or a package is missing.
    """
    from style_transfer.feedforward.export import export_network

    written = export_network(model, out, overwrite)
    if not quiet:
        say(f"Saved as {written}", sys.stdout)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns an `ExitCode`."""

    def command(on_event: Callable) -> None:
        from style_transfer.feedforward.arguments import parse

        what, options = parse(sys.argv[1:] if arguments is None else arguments)
        if options["quiet"]:
            warnings.simplefilter("ignore")
        if what == "train":
            train(**options, on_event=on_event)
        elif what == "export":
            export(**options)
        else:
            failures = apply(**options)
            for line in failures:
                say(f"fast_style_transfer.py: {line}", sys.stderr)
            if failures:
                raise RunStopped(f"{len(failures)} photographs could not be painted")

    return run_command(
        "fast_style_transfer.py", command, way_on="run the same command again to continue"
    )


if __name__ == "__main__":
    sys.exit(main())
