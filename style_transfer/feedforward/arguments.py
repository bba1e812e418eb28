"""The command line of fast_style_transfer.py: train, apply and export."""

import argparse
import dataclasses

from style_transfer.arguments import (
    METAVARS,
    Parser,
    add_crew,
    add_settings,
    choose_workers,
    underscored,
)
from style_transfer.cluster import parse_workers
from style_transfer.errors import InputError
from style_transfer.feedforward.choices import APPLICABLE, MINUTES, Choices
from style_transfer.runs.files import SUFFIXES

PROGRAM = "fast_style_transfer.py"
TEXTS = {
    "minutes": f"how long to train (default: {MINUTES:g})",
    "steps": "instead of the minutes: batches to train on",
    "size": "rows and columns of the crops",
    "batch": "crops per batch",
    "width": "channels after the network's first layer: fewer are faster, more paint better",
    "learning_rate": "Adam's largest learning rate; it falls to 0",
}
SOURCES = "a picture, a folder, a quoted pattern or a .txt file of paths"


def parse(arguments: list[str]) -> tuple[str, dict]:
    """Parse the command line of fast_style_transfer.py.

    Returns:
        The command (`train`, `apply` or `export`) and its keyword arguments.

    Raises:
        InputError: arguments are missing, or do not go together.
    """
    end = arguments.index("--") if "--" in arguments else len(arguments)
    given, after = list(map(underscored, arguments[:end])), arguments[end + 1 :]
    if not given or given[0] not in COMMANDS:
        make_parser().parse_args(given)  # exits with the help or an error
        raise InputError(f"COMMAND: expected {', '.join(COMMANDS)}. Received: nothing")
    what, given = given[0], given[1:]
    parser = Parser(
        prog=f"{PROGRAM} {what}", allow_abbrev=False, argument_default=argparse.SUPPRESS
    )
    COMMANDS[what](parser)
    options = vars(parser.parse_intermixed_args(given))
    paths = [*options.pop("paths", []), *after]
    options.setdefault("quiet", False)
    if what == "train":
        *styles, photos, model = _checked(paths, "STYLE PHOTOS MODEL")
        options |= {"styles": styles, "photos": photos, "model": model}
    elif what == "apply":
        model, *pictures, out = _checked(paths, "MODEL PHOTO OUT")
        choose_workers(options)
        workers = parse_workers(options.get("workers", 1))
        options |= {"model": model, "photos": pictures, "out": out, "workers": workers}
    else:
        options |= dict(zip(("model", "out"), _checked(paths, "MODEL OUT", most=2), strict=True))
    return what, options


def make_parser() -> argparse.ArgumentParser:
    """The parser for everything before a command."""
    parser = Parser(
        prog=PROGRAM,
        usage="%(prog)s train|apply|export ARGUMENTS; each has its own --help",
        description="Train a network for one style, then paint each picture in one pass.",
        allow_abbrev=False,
    )
    parser.add_argument("command", choices=list(COMMANDS), help="what to do")
    return parser


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.usage = "%(prog)s STYLE [STYLE ...] PHOTOS MODEL.keras [options]"
    parser.description = (
        "Train a network for the style of STYLE on the photographs of PHOTOS. MODEL_preview.png, "
        "updated every minute, shows the progress."
    )
    parser.epilog = (
        "Stopped? Run the same command again. The options of the loss, the filters and VGG are "
        "those of neural_style_transfer.py."
    )
    text = f"the painting or paintings; the photographs, at least ten: {SOURCES}; the network"
    parser.add_argument("paths", nargs="*", metavar="PATH", help=text)
    group = parser.add_argument_group("training")
    for item in dataclasses.fields(Choices):
        default = f" (default: {item.default})" if item.name not in ("minutes", "steps") else ""
        group.add_argument(
            f"--{item.name}", metavar=METAVARS[item.type], help=TEXTS[item.name] + default
        )
    group.add_argument("--overwrite", action="store_true", help="replace an earlier network")
    group.add_argument("--quiet", action="store_true", help="print nothing but errors")
    add_settings(parser, only=APPLICABLE)


def _add_apply(parser: argparse.ArgumentParser) -> None:
    parser.usage = "%(prog)s MODEL.keras PHOTO [PHOTO ...] OUT [options]"
    parser.description = (
        f"Paint photographs with a network. PHOTO is {SOURCES}. OUT is the result's name, or a "
        "folder in which the results are named after the photographs."
    )
    text = "the network; the photograph or photographs; the result, or a folder for the results"
    parser.add_argument("paths", nargs="*", metavar="PATH", help=text)
    text = (
        "long side of the result in pixels (default: the photograph's). Strokes keep the size at "
        "which they were trained, so a smaller result has relatively larger strokes"
    )
    parser.add_argument("--size", metavar="N", help=text)
    text = "from 0, the photograph, to 1, the painting (default: 1); up to 2 exaggerates"
    parser.add_argument("--strength", metavar="X", help=text)
    text = "keep the photograph's colors: use only the result's luminance (default: none)"
    parser.add_argument("--preserve_color", metavar="none|luminance", help=text)
    text = "format of the results (default: by OUT's ending, else png)"
    parser.add_argument("--output", metavar="|".join(SUFFIXES), choices=list(SUFFIXES), help=text)
    text = "GiB of memory to use at most (default: half of the available memory)"
    parser.add_argument("--memory", metavar="GIB", help=text)
    add_crew(parser, "paint")
    parser.add_argument("--overwrite", action="store_true", help="replace earlier results")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.usage = "%(prog)s MODEL.keras OUT.onnx|OUT.tflite [options]"
    parser.description = (
        "Write a network as ONNX (.onnx) or LiteRT (.tflite); needs requirements-export.txt."
    )
    parser.add_argument("paths", nargs="*", metavar="PATH", help="the network; the file to write")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


COMMANDS = {"train": _add_train, "apply": _add_apply, "export": _add_export}


def _checked(paths: list[str], names: str, most: int | None = None) -> list[str]:
    """The paths, if their number is right."""
    if not len(names.split()) <= len(paths) <= (most or len(paths)):
        raise InputError(f"{names}: expected these paths. Received: {' '.join(paths) or 'nothing'}")
    return paths
