"""Many photographs in the manner of many paintings, in this process, in several, or on a cluster.

    python gallery.py PHOTOS PAINTINGS OUT [options of neural_style_transfer.py]

PHOTOS and PAINTINGS are a picture, a folder, a quoted pattern ('trip/*.jpg'), a .txt file that
names a picture a line, or several of these with commas between them. OUT gets a picture for each
photograph and painting, OUT/PHOTO--PAINTING.png, with its run's record, and OUT/index.html, a page
to look at them. The same command again paints only what is missing or has changed.
"""

import argparse
import os
import sys
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

from style_transfer.arguments import Parser, add_settings, underscored
from style_transfer.console import say
from style_transfer.errors import InputError, RunStopped
from style_transfer.events import Listener
from style_transfer.programs import run_command

if TYPE_CHECKING:
    from style_transfer.gallery.album import Album


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = Parser(
        prog="gallery.py",
        usage="%(prog)s PHOTOS PAINTINGS OUT [options]",
        description="Repaint each of PHOTOS in the manner of each of PAINTINGS.",
        epilog="Stopped? The same command goes on, and paints only what is missing or has changed.",
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    text = "a picture, a folder, a quoted pattern, a .txt file of paths, or several with commas"
    parser.add_argument("photos", metavar="PHOTOS", help=text)
    parser.add_argument("paintings", metavar="PAINTINGS", help="likewise")
    parser.add_argument("out", metavar="OUT", help="folder of the results and of index.html")
    group = parser.add_argument_group("gallery")
    group.add_argument(
        "--pair", action="store_true", help="photographs and paintings one to one, by order"
    )
    group.add_argument("--preset", help="settings of a published system (default: default)")
    group.add_argument(
        "--force",
        action="store_true",
        help="paint all pictures again, even where the memory seems too small",
    )
    group.add_argument(
        "--workers", metavar="N|auto", help="processes that paint at the same time (default: 1)"
    )
    group.add_argument(
        "--address", metavar="HOST:PORT|auto", help="of a Ray cluster, whose nodes are to paint"
    )
    group.add_argument(
        "--no_journal", action="store_true", help="keep no journal: a kill then costs the picture"
    )
    group.add_argument("--quiet", action="store_true", help="print nothing but errors")
    add_settings(parser)
    return parser


def gallery(  # noqa: PLR0913 (its keywords are the choices of a user)
    photos: str | os.PathLike,
    paintings: str | os.PathLike,
    out: str | os.PathLike,
    *,
    pair: bool = False,
    preset: str = "default",
    force: bool = False,
    workers: int | str = 1,
    address: str | None = None,
    journal: bool = True,
    quiet: bool = True,
    on_event: Listener | None = None,
    objectives: Callable | None = None,
    **choices,
) -> "Album":
    """Paint what a gallery lacks.

    Args:
        photos: see the top of this file.
        paintings: likewise.
        out: folder of the results.
        pair: one to one by order, instead of each photograph with each painting.
        preset: a key of `presets.PRESETS`.
        force: paint all again, and where the memory seems too small.
        workers: how many processes; `auto` chooses.
        address: of a Ray cluster.
        journal: as in `neural_style_transfer.transfer`, where the workers are on this machine.
        quiet: print nothing.
        on_event: told of the runs' events while they are painted in this process.
        objectives: as `neural_style_transfer.vgg_objectives`, the default.
        **choices: fields of `Settings`.

    Returns:
        The gallery; `entries` says of each picture how it came out.

    Raises:
        InputError: an argument that cannot be used; nothing was painted.
        StopRun: a listener, or Ctrl-C, stopped it.
    """
    import neural_style_transfer as script
    from style_transfer.gallery.album import Album, check_out, names_before
    from style_transfer.gallery.driver import Crew, paint
    from style_transfer.gallery.plan import cells, find_pictures, sources
    from style_transfer.gallery.task import make_task
    from style_transfer.gallery.worker import Script
    from style_transfer.locking import only_process
    from style_transfer.paths import expanded

    count = _workers(workers)
    folder = expanded(out, "OUT").absolute()
    paths = [
        find_pictures(os.fspath(photos), "PHOTOS", folder),
        find_pictures(os.fspath(paintings), "PAINTINGS", folder),
    ]
    tell = _nothing if quiet else _tell
    task = make_task(folder, preset, choices, tell, force=force, journal=journal)
    named = [
        sources(found, names_before(folder, what))
        for found, what in zip(paths, ("photos", "paintings"), strict=True)
    ]
    album = Album.of(task, pair, cells(*named, pair))
    check_out(folder)
    functions = Script(
        script.transfer,
        script.resume,
        script.paint,
        script.make_render,
        objectives or script.vgg_objectives,
    )
    with only_process(folder / "gallery.lock", "OUT", folder, "gallery"):
        paint(album, Crew(functions, count, address, quiet, on_event))
    return album


def _tell(line: str, warning: bool = False) -> None:
    say(line, sys.stdout)


def _nothing(line: str, warning: bool = False) -> None:
    pass


def _workers(text: int | str) -> int | None:
    """The number of workers; None for `auto`."""
    if text == "auto":
        return None
    if not str(text).isdecimal() or int(text) < 1:
        raise InputError(f"--workers: expected 1 or more, or auto. Received: {text!r}")
    return int(text)


def main(arguments: list[str] | None = None, objectives: Callable | None = None) -> int:
    """The command line.

    Args:
        arguments: without the program's name; None takes those of the process.
        objectives: as in `gallery`.

    Returns:
        An `ExitCode`: 0; 2 for input that cannot be used; 1 where some pictures could not be
        painted; 130 or 143 after Ctrl-C or SIGTERM.
    """
    arguments = sys.argv[1:] if arguments is None else arguments

    def command(on_event: Listener) -> None:
        from style_transfer.gallery.driver import failures

        options = vars(make_parser().parse_intermixed_args(list(map(underscored, arguments))))
        options["journal"] = not options.pop("no_journal", False)
        warnings.simplefilter("ignore")  # what runs say to Python is told by the gallery
        quiet = options.pop("quiet", False)
        # A cluster chooses by its nodes, unless it is told how many.
        options.setdefault("workers", "auto" if "address" in options else 1)
        album = gallery(**options, quiet=quiet, on_event=on_event, objectives=objectives)
        count = len(album.entries)
        for line in failures(album):
            say(f"gallery.py: {line}", sys.stderr)
        failed = sum(entry.status == "failed" for entry in album.entries.values())
        if failed:
            raise RunStopped(f"{failed} of {count} pictures could not be painted")
        if not quiet:
            say(f"{count} pictures: {album.out / 'index.html'}", sys.stdout)

    return run_command("gallery.py", command, way_on="the same command goes on from here")


if __name__ == "__main__":
    sys.exit(main())
