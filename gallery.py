"""Many photographs in the manner of many paintings, in one process, in several, or on a cluster.

    python gallery.py PHOTOS PAINTINGS OUT [options of neural_style_transfer.py]

PHOTOS and PAINTINGS are each a picture, a folder, a quoted pattern ('trip/*.jpg'), a .txt file with
one path per line, or several of these separated by commas. OUT gets a picture for each photograph
and painting, OUT/PHOTO--PAINTING.png, with its run's record, and OUT/index.html, a page that shows
them all. The same command again paints only what is missing or has changed.
"""

import argparse
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from style_transfer.arguments import (
    Parser,
    add_crew,
    add_settings,
    choose_workers,
    underscored,
)
from style_transfer.console import say
from style_transfer.errors import RunStopped
from style_transfer.events import Listener
from style_transfer.programs import run_command

if TYPE_CHECKING:
    from style_transfer.gallery.album import Album
    from style_transfer.gallery.task import Task


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = Parser(
        prog="gallery.py",
        usage="%(prog)s PHOTOS PAINTINGS OUT [options]",
        description="Repaint each of PHOTOS in the manner of each of PAINTINGS.",
        epilog="Stopped? Run the same command again: it paints what is missing or has changed.",
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    text = (
        "a picture, a folder, a quoted pattern, a .txt file of paths, or several of these "
        "separated by commas"
    )
    parser.add_argument("photos", metavar="PHOTOS", help=text)
    parser.add_argument("paintings", metavar="PAINTINGS", help="likewise")
    parser.add_argument("out", metavar="OUT", help="folder for the results and for index.html")
    group = parser.add_argument_group("gallery")
    group.add_argument(
        "--pair",
        action="store_true",
        help="pair each photograph with the painting at the same place in the list",
    )
    group.add_argument("--preset", help="settings of a published system (default: default)")
    group.add_argument(
        "--force",
        action="store_true",
        help="paint all pictures again, even if memory seems too small",
    )
    add_crew(group, "paint")
    group.add_argument(
        "--no_journal",
        action="store_true",
        help="keep no journal: a kill then costs the picture in progress",
    )
    group.add_argument("--quiet", action="store_true", help="print nothing but errors")
    add_settings(parser)
    return parser


def gallery(  # noqa: PLR0913 (its keywords are the user's choices)
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
    """Paint the pictures that a gallery lacks.

    Args:
        photos: see the top of this file.
        paintings: likewise.
        out: folder for the results.
        pair: pair photographs and paintings by their order, instead of each with each.
        preset: a key of `presets.PRESETS`.
        force: paint everything again, even if memory seems too small.
        workers: how many processes; `auto` chooses.
        address: the address of a Ray cluster.
        journal: as in `neural_style_transfer.transfer`; only for workers on this machine.
        quiet: print nothing.
        on_event: called with the events of runs that are painted in this process.
        objectives: replaces `neural_style_transfer.vgg_objectives`.
        **choices: fields of `Settings`.

    Returns:
        The gallery; `entries` gives the outcome of each picture.

    Raises:
        InputError: an argument cannot be used; nothing was painted.
        StopRun: a listener, or Ctrl-C, stopped it.
    """
    from style_transfer.cluster import parse_workers
    from style_transfer.gallery.album import check_out
    from style_transfer.gallery.driver import Crew, paint
    from style_transfer.gallery.task import make_task
    from style_transfer.locking import only_process
    from style_transfer.paths import expanded

    count = parse_workers(workers)
    folder = expanded(out, "OUT").absolute()
    paths = _found(photos, paintings, folder)
    tell = _nothing if quiet else _tell
    task = make_task(folder, preset, choices, tell, force=force, journal=journal)
    album = _album(task, paths, pair)
    check_out(folder)
    crew = Crew(_script(objectives), count, address, quiet, on_event)
    with only_process(folder / "gallery.lock", "OUT", folder, "gallery"):
        paint(album, crew)
    return album


def _found(
    photos: str | os.PathLike, paintings: str | os.PathLike, folder: Path
) -> list[list[Path]]:
    """Paths of the photographs, and of the paintings; without results in the gallery's folder."""
    from style_transfer.gallery.plan import find_pictures

    sources = {"PHOTOS": photos, "PAINTINGS": paintings}
    return [find_pictures(os.fspath(text), name, folder) for name, text in sources.items()]


def _script(objectives: Callable | None):
    """The functions of neural_style_transfer.py with which cells are painted."""
    import neural_style_transfer as script
    from style_transfer.gallery.worker import Script

    return Script(
        script.transfer,
        script.resume,
        script.paint,
        script.make_render,
        objectives or script.vgg_objectives,
    )


def _album(task: "Task", paths: list[list[Path]], pair: bool) -> "Album":
    """All cells, about whose pictures nothing is known yet.

    Args:
        task: what the cells have in common.
        paths: of the photographs, and of the paintings.
        pair: as for `gallery`.
    """
    from style_transfer.gallery.album import Album, names_before
    from style_transfer.gallery.plan import cells, sources

    named = [
        sources(found, names_before(Path(task.out), what))
        for found, what in zip(paths, ("photos", "paintings"), strict=True)
    ]
    return Album.of(task, pair, cells(*named, pair))


def _tell(line: str, warning: bool = False) -> None:
    say(line, sys.stdout)


def _nothing(line: str, warning: bool = False) -> None:
    pass


def main(arguments: list[str] | None = None, objectives: Callable | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; None takes the process's own.
        objectives: as in `gallery`.

    Returns:
        An `ExitCode`: 0; 2 if the input cannot be used; 1 if some pictures could not be painted;
        130 or 143 after Ctrl-C or SIGTERM.
    """
    arguments = sys.argv[1:] if arguments is None else arguments

    def command(on_event: Listener) -> None:
        from style_transfer.gallery.driver import failures

        options = vars(make_parser().parse_intermixed_args(list(map(underscored, arguments))))
        options["journal"] = not options.pop("no_journal", False)
        warnings.simplefilter("ignore")  # the gallery itself prints what the runs warn of
        quiet = options.pop("quiet", False)
        choose_workers(options)
        album = gallery(**options, quiet=quiet, on_event=on_event, objectives=objectives)
        count = len(album.entries)
        for line in failures(album):
            say(f"gallery.py: {line}", sys.stderr)
        failed = sum(entry.status == "failed" for entry in album.entries.values())
        if failed:
            raise RunStopped(f"{failed} of {count} pictures could not be painted")
        if not quiet:
            say(f"{count} pictures: {album.out / 'index.html'}", sys.stdout)

    return run_command("gallery.py", command, way_on="run the same command again to continue")


if __name__ == "__main__":
    sys.exit(main())
