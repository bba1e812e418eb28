"""The command line of a recipe."""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from style_transfer.arguments import Parser, add_settings, underscored, whole_number
from style_transfer.errors import InputError
from style_transfer.machine import usable_cores
from style_transfer.programs import run_program

# An option of recipes that paint several cells.
WORKERS = ("workers", usable_cores(), "processes at a time; fewer if memory is short")


@dataclass(frozen=True)
class Recipe:
    """The description of a recipe for its command line.

    Attributes:
        name: its file's name, for errors.
        function: called with the paths in order, and with `overwrite`, `force`, the recipe's own
            options and fields of `Settings` as keywords, if they are given.
        text: its docstring, shown by --help.
        paths: help text by the path's name, such as {"STYLE": "the picture …"}.
        defaults: fields of `Settings` that the recipe sets; options override them.
        options: its own options, (name, default, help): whole numbers or text.
        taken: fields of `Settings` that the recipe sets itself, cell by cell.
    """

    name: str
    function: Callable
    text: str
    paths: dict[str, str]
    defaults: dict = field(default_factory=dict)
    options: tuple = ()
    taken: tuple = ()


def make_parser(recipe: Recipe) -> argparse.ArgumentParser:
    """A parser for the paths, the recipe's own options, and all `Settings`."""
    parser = Parser(
        prog=recipe.name,
        description=recipe.text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    for name, text in recipe.paths.items():
        parser.add_argument(name, help=text)
    own = parser.add_argument_group("recipe")
    own.add_argument("--overwrite", action="store_true", help="replace an earlier result")
    own.add_argument("--force", action="store_true", help="run even if memory seems too small")
    for name, default, text in recipe.options:
        kind, metavar = (whole_number, "N") if isinstance(default, int) else (str, "TEXT")
        text = f"{text} (default: {default})"
        own.add_argument(f"--{name}", type=kind, metavar=metavar, default=default, help=text)
    add_settings(parser, **recipe.defaults)
    return parser


def run_recipe(recipe: Recipe, arguments: list[str] | None = None) -> int:
    """Run a recipe from its command line.

    Args:
        recipe: the recipe.
        arguments: the command line's; None: this process's.

    Returns:
        An `ExitCode`.
    """
    arguments = sys.argv[1:] if arguments is None else arguments

    def main() -> None:
        options = vars(make_parser(recipe).parse_intermixed_args(list(map(underscored, arguments))))
        for name in recipe.taken:
            if name in options:
                raise InputError(
                    f"--{name}: expected none; the recipe sets it. Received: {options[name]!r}"
                )
        places = [options.pop(name) for name in recipe.paths]
        recipe.function(*places, **options)

    return run_program(recipe.name, main)
