"""Side by side with the original Keras example.

    python compare.py base.jpg style.jpg result_prefix --original neural_style_transfer.py

The original is your own copy, for Keras 1 or 2. It runs unchanged, in its own process, in graph
mode on the legacy package tf_keras. All runs get the same pictures and filters:

    original    the original; without --original, the preset with --targets batch
    preset      this program with the original's preset: the same path, computed faster
    uncut       the same loss, but L-BFGS is preconditioned and never loses its memory
    default     this program with the default preset, which has a different loss
"""

import argparse
import dataclasses
import importlib.util
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from style_transfer.arguments import Parser, underscored
from style_transfer.console import say
from style_transfer.errors import InputError
from style_transfer.parsing import layers_in_use
from style_transfer.paths import existing_file
from style_transfer.presets import make_settings
from style_transfer.programs import run_program
from style_transfer.settings import Settings

if TYPE_CHECKING:
    from PIL import Image

    from style_transfer.pictures import Picture
    from style_transfer.side_by_side import PaintedRun
    from style_transfer.vgg import Filters

# The original's loss, minimized as in the default preset, but at full size alone: for this loss a
# coarse size first brought no clear gain (benchmarks/to_loss.py).
UNCUT = {"restarts": False, "precondition": 0.25}
HEIGHT = 400  # rows, unless the original sets its own


@dataclass(frozen=True)
class Choices:
    """The user's choices for a comparison.

    Attributes:
        original: path of the original script, or None.
        preset: `keras-1` or `keras-2`; None takes it from the script's network.
        weights: filters for all runs, as in `Settings`; a file must reach the deepest layer.
        iter: iterations of 20 evaluations.
        height: rows of the pictures; None: 400, or the original's own.
        overwrite: replace the files of an earlier comparison.
        force: run even if memory seems too small.
    """

    original: str | None = None
    preset: str | None = None
    weights: str = "auto"
    iter: int = 10
    height: int | None = None
    overwrite: bool = False
    force: bool = False


@dataclass(frozen=True)
class Task:
    """What all runs have in common.

    Attributes:
        settings: those of the run `preset`.
        choices: the user's.
        prefix: how the names of all files start.
        folder: for temporary files.
    """

    settings: Settings
    choices: Choices
    prefix: Path
    folder: Path

    @property
    def paths(self) -> list[str]:
        """Content and style picture for all runs: upright and sRGB, so that all see the same
        pixels."""
        return [str(self.folder / "base.png"), str(self.folder / "style.png")]

    @property
    def filters(self) -> str:
        """The file of the filters for all runs."""
        return str(self.folder / "filters.npz")


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = Parser(
        prog="compare.py",
        description="Run this program side by side with the original Keras example.",
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("base", metavar="BASE", help="the photograph")
    parser.add_argument("style", metavar="REF", help="the painting")
    parser.add_argument("prefix", metavar="PREFIX", help="how the results' names start")
    parser.add_argument("--original", metavar="PATH", help="your copy of the original script")
    parser.add_argument(
        "--preset",
        metavar="keras-1|keras-2",
        help="the original's preset (default: found from its network)",
    )
    parser.add_argument(
        "--weights",
        metavar="TEXT",
        help="filters for all runs, as in neural_style_transfer.py (default: auto)",
    )
    parser.add_argument("--iter", metavar="N", help="iterations (default: 10)")
    parser.add_argument(
        "--height", metavar="N", help=f"rows (default: {HEIGHT}; with --original, its own)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier comparison")
    parser.add_argument("--force", action="store_true", help="run even if memory seems too small")
    return parser


def compare(
    base: str, style: str, prefix: str, choices: Choices | None = None
) -> "dict[str, PaintedRun]":
    """Run everything, print the table, write `PREFIX_compare.png` (the sheet) and its `.json`.

    Args:
        base: path of the content picture.
        style: path of the style picture.
        prefix: how the names of all files start, or a folder for them, as in `transfer`.
        choices: everything else.

    Returns:
        The runs by name.

    Raises:
        InputError: an argument cannot be used; the message names it.
        RunStopped: a loss was not finite, or memory ran out.
    """
    choices = choices or Choices()
    need("matplotlib")
    preset = preset_of(choices)
    height = HEIGHT if choices.height is None else choices.height
    settings = make_settings(preset, iter=choices.iter, height=height, weights=choices.weights)
    from style_transfer.pictures import load_picture
    from style_transfer.side_by_side import draw_sheet, print_table

    pictures = {"BASE": load_picture(base, "BASE"), "REF": load_picture(style, "REF")}
    path = check_files(prefix, pictures, choices)
    images = [picture.image for picture in pictures.values()]
    with tempfile.TemporaryDirectory() as folder:
        runs = paint_all(Task(settings, choices, path, Path(folder)), images)
    sheet = path.with_name(f"{path.name}_compare.png")
    write_numbers(runs, sheet.with_suffix(".json"))
    original = choices.original or "this program with --targets batch, in its place"
    print_table(runs, f"original: {original}; preset: {preset}")
    draw_sheet(runs, dict(zip(pictures, images, strict=True)), preset, sheet)
    say(f"Sheet saved as {sheet}", sys.stdout)
    return runs


def preset_of(choices: Choices) -> str:
    """The original's preset, after checking the choices that depend on the original.

    Raises:
        InputError: no such preset or script, or a package that the script needs is missing.
    """
    text = ""
    if choices.original:
        need("tf_keras")
        text = existing_file(choices.original, "--original").read_text(errors="replace")
        if choices.height is not None:
            raise InputError(
                "--height: expected none with --original, which sets its own height. "
                f"Received: {choices.height}"
            )
    preset = choices.preset or ("keras-1" if "vgg16" in text.lower() else "keras-2")
    if preset not in ("keras-1", "keras-2"):
        raise InputError(f"--preset: expected keras-1 or keras-2. Received: {preset!r}")
    return preset


def need(package: str) -> None:
    """Raise InputError if a package that only the comparison needs is not installed."""
    if not importlib.util.find_spec(package):
        raise InputError(
            f"{package}: expected this package to be installed. Received: it is not; install it "
            "with: pip install -r requirements-compare.txt"
        )


def check_files(prefix: str, pictures: "dict[str, Picture]", choices: Choices) -> Path:
    """The path with which all names start, after checking that no file of the user's is there.

    Raises:
        InputError: a file is in the way; the message names it.
    """
    from style_transfer.inputs import Sources
    from style_transfer.runs.files import RunFiles
    from style_transfer.runs.guard import check_free, run_files
    from style_transfer.runs.opening import FILTER_SOURCES
    from style_transfer.side_by_side import RUNS

    content, style = (picture.path for picture in pictures.values())
    path = run_files(prefix, "png", Sources(content, [style]).names()).prefix
    inputs = [(what, Path(picture.path)) for what, picture in pictures.items()]
    if choices.weights not in FILTER_SOURCES:
        inputs.append(("--weights", existing_file(choices.weights, "--weights")))
    if choices.original:
        inputs.append(("--original", existing_file(choices.original, "--original")))
    for name in (*RUNS, "compare"):
        check_free(RunFiles(path.with_name(f"{path.name}_{name}")), inputs, choices.overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def paint_all(task: Task, images: "list[Image.Image]") -> "dict[str, PaintedRun]":
    """Paint all runs; returns them by name (see the top of this file)."""
    from preprocessing import size_for
    from style_transfer.original_script import Common, run_original
    from style_transfer.pictures import load_picture
    from style_transfer.side_by_side import RUNS

    for image, path in zip(images, task.paths, strict=True):
        image.save(path)
    filters = save_filters(task, images)
    runs = {}
    if task.choices.original:
        script = existing_file(task.choices.original, "--original")
        prefix = task.prefix.with_name(f"{task.prefix.name}_original")
        common = Common(task.paths, task.filters, task.settings.iter, task.folder)
        runs["original"] = run_original(script, prefix, common)
        columns, rows = load_picture(runs["original"].pictures[0]).image.size
        task = dataclasses.replace(task, settings=dataclasses.replace(task.settings, height=rows))
        if (rows, columns) != size_for(images[0], rows):  # Keras 1.1 made squares
            images[0] = images[0].resize((columns, rows), 0)
            images[0].save(task.paths[0])
    preset = preset_of(task.choices)
    ways = {
        "original": {"preset": preset, "targets": "batch"},
        "preset": {"preset": preset},
        "uncut": {"preset": preset, "precision": "auto", **UNCUT},
        "default": {"network": task.settings.network},
    }
    for name in RUNS:
        if name not in runs:
            runs[name] = run_ours(name, task, ways[name])
    loss_of = original_loss(task.settings, filters, images)
    runs["default"].iterations = [loss_of(path) for path in runs["default"].pictures]
    return runs


def save_filters(task: Task, images: "list[Image.Image]") -> "Filters":
    """Load the filters that the user chose, up to the deepest layer of any run; save them too."""
    from style_transfer.backends import start

    start()
    from preprocessing import fitting_images
    from style_transfer.filters import load_filters
    from style_transfer.filters.writing import write_filters

    settings = task.settings
    layers = {*layers_in_use(settings), *layers_in_use(make_settings(network=settings.network))}
    filters, _ = load_filters(
        settings.weights,
        dataclasses.replace(settings, content_layers=",".join(sorted(layers))),
        fitting_images(images, settings),
        lambda line, warning=False: say(line, sys.stdout),
    )
    if filters.convention != "caffe":
        raise InputError(
            "--weights: expected filters for the original's input, BGR minus mean. "
            f"Received: {settings.weights!r}, torchvision's"
        )
    write_filters(filters, task.filters)
    return filters


def run_ours(name: str, task: Task, choices: dict) -> "PaintedRun":
    """One of this program's runs, from pictures and filters in files."""
    from neural_style_transfer import transfer
    from style_transfer.runs.files import RunFiles
    from style_transfer.side_by_side import PaintedRun

    settings = task.settings
    say(f"{name}: {settings.iter} iterations …", sys.stdout)
    prefix = task.prefix.with_name(f"{task.prefix.name}_{name}")
    _, record = transfer(
        *task.paths,
        prefix,
        overwrite=task.choices.overwrite,
        journal=False,
        force=task.choices.force,
        weights=task.filters,
        iter=settings.iter,
        height=settings.height,
        **choices,
    )
    pictures = RunFiles(prefix).pictures()
    return PaintedRun(
        losses=[entry.total for entry in record.evaluations],
        seconds=[entry.seconds for entry in record.evaluations],
        iteration=[entry.iteration for entry in record.evaluations],
        iterations=[entry.total for entry in record.iterations],
        pictures=[str(pictures[number]) for number in range(settings.iter)],
        precision=record.precision,
    )


def original_loss(
    settings: Settings, filters: "Filters", images: "list[Image.Image]"
) -> Callable[[str], float]:
    """A function from a picture's path to its loss by the original's formulas.

    A picture of a coarser size is resized to full size first.
    """
    import numpy as np

    from preprocessing import images_at, preprocess, size_for
    from style_transfer.images import resize_image
    from style_transfer.network import feature_extractor
    from style_transfer.objective import make_objective
    from style_transfer.pictures import load_picture
    from style_transfer.targets import make_targets

    network = feature_extractor(filters, settings, "float32")
    size = size_for(images[0], settings.height)
    targets = make_targets(network, images_at(images, size, settings), settings)
    objective = make_objective(network, targets, settings)

    def loss(path: str) -> float:
        image = preprocess(np.array(load_picture(path).image))
        terms, _ = objective(resize_image(image, size))
        return float(terms.sum())

    return loss


def write_numbers(runs: "dict[str, PaintedRun]", path: Path) -> None:
    """Write the runs as JSON, marked as written by this program."""
    from style_transfer.runs.files import write_text
    from style_transfer.runs.record import PROGRAM

    numbers = {name: dataclasses.asdict(run) for name, run in runs.items()}
    write_text(path, json.dumps({"program": PROGRAM, "runs": numbers}, indent=1))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns an `ExitCode`."""
    arguments = sys.argv[1:] if arguments is None else arguments

    def run() -> None:
        options = vars(make_parser().parse_args(list(map(underscored, arguments))))
        places = [options.pop(name) for name in ("base", "style", "prefix")]
        compare(*places, Choices(**options))

    return run_program("compare.py", run)


if __name__ == "__main__":
    sys.exit(main())
