"""The command line: one option for each field of `Settings`, and a few for the run itself."""

import argparse
import sys
from collections.abc import Container
from dataclasses import fields
from typing import Any

from style_transfer.console import one_line, say
from style_transfer.errors import ExitCode, InputError
from style_transfer.presets import PRESETS
from style_transfer.settings import Settings

METAVARS: dict[Any, str] = {int: "N", float: "X", str: "TEXT"}
EPILOG = """\
Options may be written with hyphens too: --style-weight. Happy with the picture? Press Ctrl-C;
continue later with --resume PREFIX, exactly where it stopped.
"""


class Parser(argparse.ArgumentParser):
    """Reports errors in one line; `--help` shows the usage."""

    def error(self, message: str):
        say(one_line(f"{self.prog}: error: {message.removeprefix('argument ')}"), sys.stderr)
        raise SystemExit(ExitCode.INPUT)


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line, with an option for each field of `Settings`."""
    parser = Parser(
        prog="neural_style_transfer.py",
        usage="%(prog)s BASE REF [REF ...] PREFIX [options]\n       %(prog)s --resume PREFIX",
        description="Repaint a photograph (BASE) in the manner of one or several paintings (REF).",
        epilog=EPILOG,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="the photograph, the painting or paintings, and PREFIX: how the results' names start, "
        "or a folder for them",
    )
    run = parser.add_argument_group("run")
    run.add_argument(
        "--preset", help="settings of a published system; list prints them all (default: default)"
    )
    run.add_argument("--resume", metavar="PREFIX", help="continue an earlier run")
    run.add_argument(
        "--from_iteration",
        type=whole_number,
        metavar="N",
        help="with --resume: go back to iteration N and continue from there",
    )
    run.add_argument(
        "--base", metavar="PATH", help="with --resume: where the photograph is now, if it has moved"
    )
    run.add_argument(
        "--styles", metavar="PATH", nargs="+", help="with --resume: where the paintings are now"
    )
    run.add_argument(
        "--overwrite", action="store_true", help="replace an earlier run with this prefix"
    )
    run.add_argument(
        "--no_journal",
        action="store_true",
        help="keep no journal: saves disk space, but a kill costs the current iteration and the "
        "optimizer's memory",
    )
    run.add_argument("--force", action="store_true", help="run even if memory seems too small")
    run.add_argument(
        "--dry_run",
        action="store_true",
        help="estimate time, memory and disk space, then exit",
    )
    add_crew(run, "compute tiles")
    run.add_argument("--quiet", action="store_true", help="print nothing but errors")
    add_settings(parser)
    return parser


def add_settings(
    parser: argparse.ArgumentParser, only: Container[str] | None = None, **defaults
) -> None:
    """Add an option for each field of `Settings` to a parser.

    Args:
        parser: the parser that gets the options.
        only: names of the fields; None: all.
        **defaults: defaults that differ from those of `Settings`, by field.
    """
    groups = {}
    for item in fields(Settings):
        if only is not None and item.name not in only:
            continue
        name, default = item.metadata["group"], defaults.get(item.name, item.default)
        group = groups.setdefault(name, None) or parser.add_argument_group(name)
        groups[name] = group
        text = item.metadata["help"].replace("%", "%%")
        if item.type is bool:
            group.add_argument(f"--{item.name}", action="store_true", help=text)
            group.add_argument(
                f"--no_{item.name}", dest=item.name, action="store_false", help=argparse.SUPPRESS
            )
            continue
        values = item.metadata["values"]
        group.add_argument(
            f"--{item.name}",
            metavar="|".join(values) or METAVARS[item.type],
            help=f"{text} (default: {default})" if default != "" else text,
        )


def add_crew(group: argparse._ActionsContainer, work: str) -> None:
    """Add `--workers` and `--address`, which `cluster.Workers` takes.

    Args:
        group: the parser, or the group of it, that gets the options.
        work: what the processes do, such as `compute tiles`.
    """
    group.add_argument(
        "--workers", metavar="N|auto", help=f"processes that {work} in parallel (default: 1)"
    )
    group.add_argument(
        "--address",
        metavar="HOST:PORT|auto",
        help=f"address of a Ray cluster whose nodes {work}; needs requirements-cluster.txt",
    )


def choose_workers(options: dict) -> None:
    """On a cluster, let the number of nodes decide unless `--workers` is given."""
    if "address" in options:
        options.setdefault("workers", "auto")


def whole_number(text: str, least: int = 0, most: int = 999_999_999) -> int:
    """`text` as a whole number from `least` to `most`."""
    if text.isascii() and text.isdecimal() and len(text) <= 9 and least <= int(text) <= most:
        return int(text)
    raise argparse.ArgumentTypeError(
        f"expected a whole number from {least} to {most:,}. Received: {text!r}"
    )


def parse(arguments: list[str] | None = None) -> tuple[str, dict]:
    """Parse the command line of neural_style_transfer.py.

    Returns:
        The command (`transfer`, `resume`, `estimate` or `list`) and its keyword arguments;
        `workers` and `address` are for `vgg_objectives`.

    Raises:
        InputError: arguments are missing, or do not go together.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = vars(make_parser().parse_intermixed_args(list(map(underscored, arguments[:end]))))
    paths = [*options.pop("paths", []), *arguments[end + 1 :]]
    options["journal"] = not options.pop("no_journal", False)
    options.setdefault("quiet", False)
    if options.get("preset") == "list":
        return "list", {}
    command = "estimate" if options.pop("dry_run", False) else "transfer"
    choose_workers(options)
    if "resume" in options:
        if command == "estimate":
            raise InputError("--dry_run: expected without --resume. Received: both")
        if paths:
            raise InputError(f"--resume: expected no other paths. Received: {' '.join(paths)}")
        if "preset" in options:
            raise InputError(
                f"--preset: expected none with --resume, whose settings are the run's. "
                f"Received: {options['preset']!r}"
            )
        return "resume", {"prefix": options.pop("resume"), **options}
    for name in ("from_iteration", "base", "styles"):
        if name in options:
            raise InputError(
                f"--{name}: expected with --resume. Received: {options[name]!r} without it"
            )
    if len(paths) < 3:
        raise InputError(
            "BASE REF PREFIX: expected a photograph, at least one painting, and a prefix for the "
            f"results' names. Received: {' '.join(paths) or 'nothing'}"
        )
    base, *styles, prefix = paths
    return command, {"base": base, "styles": styles, "prefix": prefix, **options}


def underscored(argument: str) -> str:
    """Replace hyphens in an option's name by underscores; leave anything else alone."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return "--" + name[2:].replace("-", "_") + equals + value


def preset_table() -> str:
    """The text that `--preset list` prints: each preset and what it sets."""
    lines = []
    for name, settings in PRESETS.items():
        lines.append(f"{name}: " + ("the defaults of --help" if not settings else ""))
        lines += [f"    {key} {value}" for key, value in settings.items()]
    return "\n".join(lines)
