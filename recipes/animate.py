"""A run as an animation: from the photograph to the painting.

PREFIX is a run of neural_style_transfer.py. Its pictures, one per iteration, dissolve into each
other, starting with the photograph. With `--every evaluation` the run is painted once more, from
the record in PREFIX.json, and each evaluation that lowers the loss becomes a frame; PREFIX itself
stays unchanged. OUT ends in .mp4, .webm, .gif or .webp. From Python, a `Film` can listen to any
run while it is painted:

    with Film("out.webp") as film:
        transfer("base.jpg", ["style.jpg"], on_event=film, objectives=film.objectives)
"""

import argparse
import dataclasses
import sys
import tempfile
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

try:
    import numpy as np
    from PIL import Image

    from recipes.command import underscored
except ModuleNotFoundError:
    if __package__:
        import recipes.not_installed  # noqa: F401
    else:
        import not_installed  # noqa: F401 (either ends the process)

from neural_style_transfer import make_render, transfer, vgg_objectives
from preprocessing import resize
from style_transfer.arguments import Parser
from style_transfer.console import say
from style_transfer.errors import InputError
from style_transfer.events import Event, IterationDone
from style_transfer.inputs import Inputs, Sources, load_inputs
from style_transfer.parsing import positive
from style_transfer.pictures import load_picture
from style_transfer.programs import run_program
from style_transfer.runs.files import SUFFIXES, RunFiles
from style_transfer.runs.record import PictureFile, Record
from style_transfer.runs.resume import find_run, load_record
from style_transfer.video.clip import Timing
from style_transfer.video.clip_files import read_frame, write_frame
from style_transfer.video.needs import needed
from style_transfer.video.outputs import FORMATS, output_path, write_clip

SECONDS, FPS, HOLD = 6.0, 20.0, 1.0
EVERY = ("iteration", "evaluation")


class Film:
    """Listens to a run and writes it as a clip at its end; a context manager.

    Args:
        out: path of the clip.
        seconds: length of the clip, without the last picture's `hold`.
        fps: frames per second.
        hold: seconds for which the last picture stays.
        every: `iteration`, which dissolves pictures into each other, or `evaluation`.
    """

    def __init__(
        self,
        out: str | Path,
        seconds: float = SECONDS,
        fps: float = FPS,
        hold: float = HOLD,
        every: str = "evaluation",
    ):
        self.out, self.seconds, self.hold = output_path(out), seconds, hold
        self.fps = positive(str(fps), "--fps")
        self.every, self.count = every, 0
        self._lowest, self._size = np.inf, (0, 0)
        self._folder = tempfile.TemporaryDirectory(prefix="nst-film-")
        if self.out.suffix.lower() not in FORMATS:
            raise InputError(
                f"OUT: expected a name that ends in {', '.join(FORMATS)}. "
                f"Received: {str(self.out)!r}"
            )

    def __enter__(self) -> "Film":
        return self

    def __exit__(self, kind: type | None, *error: object) -> None:
        if kind is None and self.count:
            self.write()
        self._folder.cleanup()

    def __call__(self, event: Event) -> None:
        """Listen to a run."""
        if self.every == "iteration" and isinstance(event, IterationDone):
            self.add(np.asarray(event.picture().convert("RGB")))

    def objectives(self, run, inputs: Inputs, shared=None):
        """Like `neural_style_transfer.vgg_objectives`, but keeps the images that lower the loss."""
        render = make_render(inputs, run.record.settings)
        objective_at = vgg_objectives(run, inputs, shared)

        def watched_at(size) -> Callable:
            objective = objective_at(size)
            self._lowest = np.inf

            def watched(image: np.ndarray):
                terms, gradient = objective(image)
                if self.every == "evaluation" and terms.sum() < self._lowest:
                    self._lowest = terms.sum()
                    self.add(render(image, np.uint8)[:, :, :3])
                return terms, gradient

            return watched

        return watched_at

    def add(self, pixels: np.ndarray) -> None:
        """Add the next picture, uint8 (H, W, 3), which may be larger than the one before."""
        write_frame(self._path(self.count), np.ascontiguousarray(pixels))
        self._size = max(self._size, pixels.shape[:2])
        self.count += 1

    def write(self) -> None:
        """Write the clip.

        Raises:
            OSError: it cannot be written.
        """
        unit = 1 / Fraction(self.fps).limit_denominator(1001)
        frames = max(2, round(self.seconds * self.fps))
        end = frames + round(self.hold * self.fps)
        timing = Timing(unit, list(range(frames)), max(end, frames))
        write_clip(self.out, lambda: self._frames(frames), timing)

    def _path(self, number: int) -> Path:
        return Path(self._folder.name, f"{number:06d}.png")

    def _picture(self, number: int) -> np.ndarray:
        picture = Image.fromarray(read_frame(self._path(number)))
        return resize(picture, self._size, "bicubic").astype(np.float32)

    def _frames(self, count: int) -> Iterator[np.ndarray]:
        """`count` frames, each a mixture of the two pictures closest in time."""
        known: dict[int, np.ndarray] = {}
        for number in range(count):
            place = number * (self.count - 1) / (count - 1)
            first = min(int(place), max(0, self.count - 2))
            wanted = {first, min(first + 1, self.count - 1)}
            known = {at: known[at] if at in known else self._picture(at) for at in wanted}
            one, other = known[min(wanted)], known[max(wanted)]
            yield np.rint(one + (place - first) * (other - one)).astype(np.uint8)


def animate(  # noqa: PLR0913 (its keywords are the user's choices)
    prefix: str,
    out: str,
    *,
    every: str = "iteration",
    seconds: float = SECONDS,
    fps: float = FPS,
    hold: float = HOLD,
    overwrite: bool = False,
) -> None:
    """Write a run as an animation.

    Args:
        prefix: the run's prefix.
        out: path of the clip.
        every: `iteration` or `evaluation`.
        seconds: see `Film`.
        fps: likewise.
        hold: likewise.
        overwrite: replace a file at `out`.

    Raises:
        InputError: there is no such run, one of its pictures is missing, or `out` cannot be used.
    """
    if every not in EVERY:
        raise InputError(f"--every: expected one of {', '.join(EVERY)}. Received: {every!r}")
    try:
        found = find_run(prefix)
        record = load_record(found)
    except InputError as error:
        raise InputError(str(error).replace("--resume:", "PREFIX:", 1)) from None
    files = RunFiles(found.prefix, SUFFIXES[record.settings.output])
    film = Film(out, seconds, fps, hold, every)
    check_out(film.out, files, record, overwrite)
    needed("av")
    with film:
        if every == "iteration":
            for pixels in iterations(files, record):
                film.add(pixels)
        else:
            again(record, files, film)
    say(f"{film.out}: {film.count} pictures", sys.stdout)


def check_out(out: Path, files: RunFiles, record: Record, overwrite: bool) -> None:
    """Raise InputError if `out` is one of the run's files, or a file that must stay."""
    inputs = {Path(picture.path) for picture in record.pictures if picture.path}
    if out.absolute() in inputs | {path.absolute() for path in files.pictures().values()}:
        raise InputError(f"OUT: expected none of the run's own files. Received: {str(out)!r}")
    if out.exists() and not overwrite:
        raise InputError(
            f"OUT: expected a new name, or --overwrite. Received: {str(out)!r}, which exists"
        )


def iterations(files: RunFiles, record: Record) -> Iterator[np.ndarray]:
    """The photograph at the result's size, then the pictures of the run, uint8 (H, W, 3).

    Raises:
        InputError: one is missing.
    """
    pictures = files.pictures()
    numbers = [entry.number for entry in record.iterations]
    missing = [number for number in numbers if number not in pictures]
    if missing or not numbers:
        raise InputError(
            f"PREFIX: expected a run with the picture of each iteration. "
            f"Received: {str(files.prefix)!r}, without {files.picture((missing or [0])[0]).name}"
        )
    last = load_picture(pictures[numbers[-1]], "PREFIX").image
    start = load_inputs(sources_of(record, files), record.settings)
    yield resize(start.start_image, (last.height, last.width), record.settings.resize)
    for number in numbers:
        yield np.asarray(load_picture(pictures[number], "PREFIX").image)


def again(record: Record, files: RunFiles, film: Film) -> None:
    """Paint a run once more from its record, with the film listening; write nothing else.

    Raises:
        InputError: an input is missing.
        RunStopped: as in `transfer`.
    """
    sources = sources_of(record, files)
    defaults = {item.name: item.default for item in dataclasses.fields(record.settings)}
    choices = {
        name: value
        for name, value in dataclasses.asdict(record.settings).items()
        if value != defaults[name]
    }
    if sources.start:
        choices["init"] = sources.start
    if sources.masks:
        choices["content_mask"], *choices["style_mask"] = sources.masks
    transfer(
        sources.content,
        sources.styles,
        quiet=False,
        on_event=film,
        objectives=film.objectives,
        **choices,
    )


def sources_of(record: Record, files: RunFiles) -> Sources:
    """Where a run's pictures are now: where they were, or beside its record."""

    def place(picture: PictureFile) -> str:
        if picture.path and Path(picture.path).exists():
            return picture.path
        return str(files.prefix.parent / picture.beside)

    return Sources(
        place(record.content),
        [place(style) for style in record.styles],
        place(record.start) if record.start else None,
        [place(mask) for mask in record.masks],
    )


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = Parser(
        prog="animate.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("prefix", metavar="PREFIX", help="the run's prefix")
    parser.add_argument("out", metavar="OUT", help="the clip: .mp4, .webm, .gif or .webp")
    parser.add_argument(
        "--every",
        metavar="iteration|evaluation",
        help="use the pictures that the run saved (default), or the image of every evaluation",
    )
    for name, value, text in (
        ("seconds", SECONDS, "length of the clip"),
        ("hold", HOLD, "seconds for which the last picture stays after that"),
        ("fps", FPS, "frames per second"),
    ):
        text = f"{text} (default: {value:g})"
        parser.add_argument(f"--{name}", type=number, metavar="X", help=text)
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier file")
    return parser


def number(text: str) -> float:
    """`text` as a number from 0 to 1000."""
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1000. Received: {text!r}")
    return value


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns an `ExitCode`."""
    arguments = sys.argv[1:] if arguments is None else arguments

    def run() -> None:
        animate(**vars(make_parser().parse_args(list(map(underscored, arguments)))))

    return run_program("animate.py", run)


if __name__ == "__main__":
    sys.exit(main())
