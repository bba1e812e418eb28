"""The studio: a web page to paint on.

    python studio.py [--folder out] [--port 7860]

Serves a page on this machine: choose a photograph and a painting, watch the picture being painted,
and stop when you like it. Its runs are ordinary runs of neural_style_transfer.py: the page shows
all runs in the folder, no matter what started them, and can continue each.
"""

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from style_transfer.arguments import Parser, underscored, whole_number
from style_transfer.errors import ExitCode
from style_transfer.programs import run_program

# First arguments with which the studio starts this program for its own processes.
PAINT, DEEPEN, NETWORKS = "paint-order", "write-16-bits", "paint-by-networks"
LARGEST_PORT, MOST_JOBS = 65_535, 64


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = Parser(
        prog="studio.py",
        usage="%(prog)s [--folder FOLDER] [--port N] [--host HOST] [--password TEXT] [--jobs N]",
        description="Serve a web page to paint on.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--folder", default="out", help="folder of the runs that the page shows (default: out)"
    )
    parser.add_argument(
        "--port",
        type=partial(whole_number, most=LARGEST_PORT),
        default=7860,
        metavar="N",
        help="port; 0: any free one (default: 7860)",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; any but this machine's own needs a password (default: "
        "127.0.0.1)",
    )
    parser.add_argument(
        "--password",
        metavar="TEXT",
        help="password of 8 characters or more (default: one is made up and printed)",
    )
    parser.add_argument(
        "--jobs",
        type=partial(whole_number, least=1, most=MOST_JOBS),
        default=1,
        metavar="N",
        help="runs painted at the same time (default: 1)",
    )
    return parser


def studio(options: argparse.Namespace, program: str) -> None:
    """Serve the page until it is interrupted.

    Args:
        options: those of the command line.
        program: the file that paints when it is started with `PAINT`.
    """
    from style_transfer.studio.address import address
    from style_transfer.studio.places import places_in
    from style_transfer.studio.server import Commands, serve

    places = places_in(options.folder)
    at = address(options.host, options.port, options.password)
    command = [sys.executable, program]
    commands = Commands([*command, PAINT], [*command, DEEPEN], [*command, NETWORKS])
    serve(places, at, commands, options.jobs)


def paint(order: str, folder: str, objectives: Callable | None) -> int:
    """Paint a run that the studio ordered, in this process."""
    import neural_style_transfer as script
    from style_transfer.studio.places import places_in
    from style_transfer.studio.runner import Script, carry_out

    functions = Script(script.transfer, script.resume, objectives or script.vgg_objectives)
    return carry_out(Path(order), places_in(folder), functions)


def deepen(prefix: str, target: str) -> int:
    """Write a run's last iteration as a PNG with 16 bits per channel."""
    from neural_style_transfer import make_render
    from style_transfer.studio.deep import write_deep

    return run_program("studio.py", lambda: write_deep(prefix, Path(target), make_render))


def paint_by_networks() -> int:
    """Paint with style networks, as the server requests on standard input."""
    from fast_style_transfer import load_style
    from style_transfer.studio.networks import answer_requests

    return answer_requests(load_style)


def main(
    arguments: list[str] | None = None,
    objectives: Callable | None = None,
    program: str | os.PathLike = __file__,
) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; None takes the process's own.
        objectives: replaces `neural_style_transfer.vgg_objectives`.
        program: the file that calls this, started again for each run's process.

    Returns:
        An `ExitCode`.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == [PAINT] and len(arguments) == 3:
        return paint(*arguments[1:], objectives)
    if arguments[:1] == [DEEPEN] and len(arguments) == 3:
        return deepen(*arguments[1:])
    if arguments == [NETWORKS]:
        return paint_by_networks()
    options = make_parser().parse_args(list(map(underscored, arguments)))
    code = run_program("studio.py", partial(studio, options, os.fspath(program)))
    return ExitCode(code)


if __name__ == "__main__":
    sys.exit(main())
