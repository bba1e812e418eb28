"""A clip repainted in the manner of a painting, without flicker.

    python video.py CLIP STYLE OUT.mp4 [options of neural_style_transfer.py]

CLIP is a file that FFmpeg can read, a folder of numbered pictures, or an animated GIF, WebP or PNG.
STYLE is a painting, or several, or the .keras file of a style network (fast_style_transfer.py). OUT
ends in .mp4, .webm, .gif or .webp; otherwise it is a folder for PNG pictures. The first frame of
each scene is painted as neural_style_transfer.py paints a photograph. Each later frame starts from
the one before, warped along the optical flow, and a temporal loss preserves what both show.

Ruder, Dosovitskiy and Brox, "Artistic style transfer for videos", arXiv 1604.08610.
"""

import argparse
import os
import sys
import warnings
from typing import TYPE_CHECKING

from style_transfer.arguments import (
    METAVARS,
    Parser,
    add_crew,
    add_settings,
    choose_workers,
    underscored,
    whole_number,
)
from style_transfer.errors import InputError
from style_transfer.events import Listener
from style_transfer.programs import run_command
from style_transfer.video.choices import APPLICABLE, ClipChoices

if TYPE_CHECKING:
    from style_transfer.settings import Settings
    from style_transfer.video.clip_record import ClipRecord


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = Parser(
        prog="video.py",
        usage="%(prog)s CLIP STYLE [STYLE ...] OUT [options]",
        description="Repaint a clip in the manner of a painting, without flicker.",
        epilog="Stopped? Run the same command again: it continues with the next frame.",
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="the clip; the painting, paintings or style network; and the clip to write",
    )
    group = parser.add_argument_group("clip")
    group.add_argument(
        "--crf",
        type=whole_number,
        metavar="N",
        help="quality of mp4 and webm: lower is better (default: 18 for mp4, 24 for webm)",
    )
    group.add_argument(
        "--dry_run",
        action="store_true",
        help="paint only the first frame, and estimate the time for all of them",
    )
    add_fields(group)
    run = parser.add_argument_group("run")
    run.add_argument("--preset", help="settings of a published system (default: default)")
    run.add_argument("--overwrite", action="store_true", help="replace an earlier clip")
    run.add_argument("--force", action="store_true", help="paint even if memory seems too small")
    add_crew(run, "paint scenes")
    run.add_argument("--quiet", action="store_true", help="print nothing but errors")
    add_settings(parser, APPLICABLE)
    return parser


def add_fields(group: argparse._ArgumentGroup) -> None:
    """Add an option for each field of `ClipChoices`."""
    for name, item in ClipChoices.__dataclass_fields__.items():
        text = item.metadata["help"]
        if item.type is bool:
            group.add_argument(f"--{name}", action="store_true", help=text)
            continue
        default = f" (default: {item.default})" if item.default != "" else ""
        group.add_argument(f"--{name}", metavar=METAVARS[item.type], help=text + default)


def video(  # noqa: PLR0913 (its keywords are the user's choices)
    clip: str | os.PathLike,
    styles: str | os.PathLike | list,
    out: str | os.PathLike,
    *,
    preset: str = "default",
    crf: int | None = None,
    dry_run: bool = False,
    overwrite: bool = False,
    force: bool = False,
    workers: int | str = 1,
    address: str | None = None,
    quiet: bool = True,
    on_event: Listener | None = None,
    **choices,
) -> "ClipRecord":
    """Repaint a clip.

    Args:
        clip: path of the clip; see the top of this file.
        styles: path of a painting or of a style network, or a list of paintings.
        out: path of the clip to write.
        preset: a key of `presets.PRESETS`.
        crf: constant rate factor of H.264 or VP9; lower is better.
        dry_run: paint only the first frame, and estimate the time for all of them.
        overwrite: replace an earlier clip.
        force: paint even if memory seems too small.
        workers: how many processes paint scenes at the same time; `auto` chooses.
        address: the address of a Ray cluster.
        quiet: print nothing.
        on_event: called with the events of frames that are painted in this process, among them
            `style_transfer.video.progress.FrameDone`.
        **choices: fields of `ClipChoices` and of `Settings`.

    Returns:
        The record that OUT_state/record.json holds.

    Raises:
        InputError: an argument cannot be used; nothing was painted.
        StopRun: a listener, or a signal, stopped it; the same call continues it.
    """
    from style_transfer.cluster import parse_workers
    from style_transfer.video.driver import Crew, paint_clip
    from style_transfer.video.opening import Order
    from style_transfer.video.outputs import check_crf, output_path

    settings, clip_choices = _chosen(preset, choices)
    path = output_path(out)
    check_crf(path, crf)
    paths = [styles] if isinstance(styles, str | os.PathLike) else list(styles)
    order = Order(
        os.path.expanduser(os.fspath(clip)),  # noqa: PTH111 (as style_transfer.paths)
        [os.path.expanduser(os.fspath(style)) for style in paths],  # noqa: PTH111
        path,
        preset,
        settings,
        clip_choices,
    )
    crew = Crew(make_script(), parse_workers(workers), address, quiet, on_event)
    return paint_clip(order, crew, overwrite, crf, dry_run)


def _chosen(preset: str, choices: dict) -> "tuple[Settings, ClipChoices]":
    """A preset's settings with the user's choices, and the choices that only clips have."""
    from style_transfer.presets import make_settings
    from style_transfer.video.choices import FIXED, check_settings

    names = ClipChoices.__dataclass_fields__.keys()
    others = {name: value for name, value in choices.items() if name not in names}
    settings = make_settings(preset, **others | FIXED)
    check_settings(settings, others)
    return settings, ClipChoices(**{name: choices[name] for name in names if name in choices})


def make_script():
    """The top-level functions with which `style_transfer.video` paints frames."""
    import preprocessing
    from evaluator import Evaluator
    from neural_style_transfer import minimize, transfer
    from style_transfer.video.by_painting import Script

    return Script(
        transfer,
        Evaluator,
        minimize,
        preprocessing.preprocess,
        preprocessing.deprocess,
        preprocessing.images_at,
        preprocessing.fitting_images,
        preprocessing.with_colors_of,
        preprocessing.resize,
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; None takes the process's own.

    Returns:
        An `ExitCode`: 0; 2 if the input cannot be used; 1 if the run had to stop; 130 or 143 after
        Ctrl-C or SIGTERM.
    """
    arguments = sys.argv[1:] if arguments is None else arguments

    def command(on_event: Listener) -> None:
        options = vars(make_parser().parse_intermixed_args(list(map(underscored, arguments))))
        paths = options.pop("paths", [])
        if len(paths) < 3:
            raise InputError(
                "CLIP STYLE OUT: expected a clip, a painting or a style network, and the clip to "
                f"write. Received: {' '.join(paths) or 'nothing'}"
            )
        warnings.simplefilter("ignore")  # the listener prints what the runs warn of
        quiet = options.pop("quiet", False)
        choose_workers(options)
        clip, *styles, out = paths
        video(clip, styles, out, quiet=quiet, on_event=on_event, **options)

    return run_command("video.py", command, way_on="run the same command again to continue")


if __name__ == "__main__":
    sys.exit(main())
