"""Flicker of painted clips, measured on clips whose motion is known.

    python benchmarks/flicker.py PHOTO STYLE OUT [--clips pan,part] [--frame_evaluations N]

Three clips are made of a photograph: a pan, a zoom, and a part of it that moves over another. Each
is painted as video.py paints it; and six of its frames, with the one before each, by themselves.
Flicker is the mean absolute difference of a painted frame and the one before, moved by the true
motion, over the pixels that both show, in pixel values, 0..255; of those six pairs, either way.
STYLE is a painting, or a style network (.keras).
OUT.json gets the numbers, and OUT_CLIP.png the six frames of each way, each row followed by the
differences from the frames before (times 4).
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

try:
    from benchmarks import common
except ModuleNotFoundError:
    if __package__:
        import benchmarks.not_installed  # noqa: F401
    else:
        import not_installed  # noqa: F401 (either ends the process)

import numpy as np
from PIL import Image

from style_transfer.arguments import Parser, underscored
from style_transfer.console import say
from style_transfer.paths import existing_file
from style_transfer.pictures import load_picture
from style_transfer.presets import make_settings
from style_transfer.programs import run_program
from style_transfer.settings import Settings
from style_transfer.video.by_network import ByNetwork
from style_transfer.video.by_painting import ByPainting, Look
from style_transfer.video.choices import FIXED, ClipChoices
from style_transfer.video.motion import Motion

NAME = "flicker.py"

ROWS, FRAMES = 144, 24
SHOWN = (1, 5, 10, 14, 18, 23)  # frames that are compared with the ones before
PAINTED = sorted({0, *SHOWN, *(number - 1 for number in SHOWN)})
LOUDER = 4  # differences on a contact sheet
OWN = ("frame_evaluations", "temporal_weight", "steadiness")  # choices of video.py
CHOICES = ("weights", "iter", "evaluations", *OWN)
NETWORK = ".keras"

Frames = dict[int, np.ndarray]  # by number, uint8 (H, W, 3)


@dataclass(frozen=True)
class KnownClip:
    """A clip whose motion is known.

    Attributes:
        name: of the motion.
        frames: uint8 (H, W, 3).
        back: of each frame after the first, the flow to the one before, float32 (H, W, 2).
        seen: of each frame after the first, which pixels the one before shows too, bool (H, W).
    """

    name: str
    frames: list[np.ndarray]
    back: list[np.ndarray]
    seen: list[np.ndarray]


def grid(size: tuple[int, int]) -> np.ndarray:
    """Columns and rows of all pixels, float32 (H, W, 2)."""
    rows, columns = size
    return np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).astype(np.float32)


def looked_up(picture: np.ndarray, places: np.ndarray) -> np.ndarray:
    """A picture, (H', W', C), at places (H, W, 2), bicubic; float32."""
    import cv2

    return cv2.remap(
        picture.astype(np.float32), places, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )


def within(places: np.ndarray) -> np.ndarray:
    """Which places lie in a picture of the same size, bool (H, W)."""
    rows, columns = places.shape[:2]
    x, y = places[..., 0], places[..., 1]
    return (x >= 0) & (y >= 0) & (x <= columns - 1) & (y <= rows - 1)


def camera(name: str, photo: Image.Image, size: tuple[int, int], view: Callable) -> KnownClip:
    """A clip of a camera before a photograph.

    Args:
        name: of the motion.
        photo: seen through it.
        size: (rows, columns) of the frames.
        view: from a frame's number to (zoom, column, row): pixel p of the frame shows the place
            (p − center) / zoom + center + (column, row) of the photograph, in pixels of a frame.
    """
    rows, columns = size
    center = np.array([(columns - 1) / 2, (rows - 1) / 2], np.float32)
    scale = 1.5 * rows / photo.height  # the photograph is larger than a frame
    wide = photo.resize((round(photo.width * scale), round(rows * 1.5)), Image.Resampling.LANCZOS)
    source = np.asarray(wide)
    offset = np.array([(wide.width - columns) / 2, (wide.height - rows) / 2], np.float32)
    frames, back, seen = [], [], []
    pixels = grid(size)
    for number in range(FRAMES):
        zoom, *shift = view(number)
        at = (pixels - center) / zoom + center + np.array(shift, np.float32)
        frames.append(np.clip(np.rint(looked_up(source, at + offset)), 0, 255).astype(np.uint8))
        if number:
            zoom_before, *shift_before = view(number - 1)
            places = (at - center - np.array(shift_before, np.float32)) * zoom_before + center
            back.append(places - pixels)
            seen.append(within(places))
    return KnownClip(name, frames, back, seen)


def moving_part(photo: Image.Image, size: tuple[int, int]) -> KnownClip:
    """A disk of the photograph, turned over, that moves across the photograph at rest."""
    rows, columns = size
    behind = np.asarray(photo.resize((columns, rows), Image.Resampling.LANCZOS))
    part = behind[::-1, ::-1]
    pixels, radius = grid(size), rows * 0.28

    def place(number: int) -> np.ndarray:
        along = number / (FRAMES - 1)
        return np.array([columns * (0.25 + 0.5 * along), rows * (0.45 + 0.1 * along)], np.float32)

    def inside(number: int, at: np.ndarray) -> np.ndarray:
        return np.square(at - place(number)).sum(axis=-1) < radius**2

    middle = np.array([columns / 2, rows / 2], np.float32)
    frames, back, seen = [], [], []
    for number in range(FRAMES):
        covered = inside(number, pixels)
        on_top = looked_up(part, pixels - place(number) + middle)
        frame = np.where(covered[..., None], on_top, behind)
        frames.append(np.clip(np.rint(frame), 0, 255).astype(np.uint8))
        if number:
            step = np.where(covered[..., None], place(number - 1) - place(number), 0)
            back.append(step.astype(np.float32))
            # What the disk has uncovered was hidden before.
            seen.append(covered | ~inside(number - 1, pixels))
    return KnownClip("part", frames, back, seen)


def known_clips(photo: Image.Image) -> list[KnownClip]:
    """A pan, a zoom, and a moving part, of ROWS rows."""
    size = ROWS, round(ROWS * 1.5)
    return [
        camera("pan", photo, size, lambda n: (1.0, 2.3 * n - 26, 0.7 * n - 8)),
        camera("zoom", photo, size, lambda n: (1.0 + 0.015 * n, 0.0, 0.0)),
        moving_part(photo, size),
    ]


def flicker(clip: KnownClip, painted: Frames) -> float:
    """Mean absolute difference of painted frames and the ones before, moved; see above."""
    return float(np.mean([np.mean(change(clip, painted, number)) for number in SHOWN]))


def change(clip: KnownClip, painted: Frames, number: int) -> np.ndarray:
    """|frame − the one before, moved| of the pixels that both show, (N, 3)."""
    return _difference(clip, painted, number)[clip.seen[number - 1]]


def _difference(clip: KnownClip, painted: Frames, number: int) -> np.ndarray:
    pixels = grid(clip.frames[0].shape[:2])
    before = looked_up(painted[number - 1], pixels + clip.back[number - 1])
    return np.abs(painted[number] - before)


def sheet(clip: KnownClip, ways: list[Frames]) -> Image.Image:
    """Six frames of each way, each row followed by the differences between neighbors."""
    lines = []
    for painted in (dict(enumerate(clip.frames)), *ways):
        lines.append(np.hstack([painted[number] for number in SHOWN]))
        changes = [
            _difference(clip, painted, number) * clip.seen[number - 1][..., None]
            for number in SHOWN
        ]
        lines.append(np.clip(LOUDER * np.hstack(changes), 0, 255).astype(np.uint8))
    return Image.fromarray(np.vstack(lines))


def painter_for(clip: KnownClip, style: Path, settings: Settings, choices: ClipChoices):
    """What paints the frames of a clip in video.py."""
    from style_transfer.backends import start

    start()
    if style.suffix == NETWORK:
        return ByNetwork(style, choices.steadiness)
    from style_transfer.filters import load_filters
    from style_transfer.network import processor_precision
    from video import make_script

    script, painting = make_script(), load_picture(style, "STYLE").image
    first = Image.fromarray(clip.frames[0])
    images = script.fitting_images([first, painting], settings)
    filters, source = load_filters(settings.weights, settings, images, lambda *line: None)
    size, precision = clip.frames[0].shape[:2], processor_precision()
    if settings.precision != "auto":
        precision = settings.precision
    look = Look(settings, choices, size, first, [painting], source, filters, precision)
    return ByPainting(look, script)


def as_clip(painter, clip: KnownClip, first: np.ndarray, choices: ClipChoices) -> Frames:
    """All frames, as video.py paints them after the first."""
    motion, painted = Motion(choices.long_term), {0: first}
    motion.add(clip.frames[0], first)
    for number in range(1, FRAMES):
        frame = clip.frames[number]
        over = motion.taken_over(frame)
        assert over is not None
        painted[number] = painter.next(frame, over)
        motion.add(frame, painted[number])
    return painted


def style_loss(painter: ByPainting, painted: Frames) -> float:
    """The mean of the style losses of the frames that both ways have painted."""
    losses = [painter.terms(painted[number])[1] for number in PAINTED]
    return float(np.mean(losses))


def measure(options) -> None:
    """Paint the clips both ways; print, and write, flicker and style loss of each."""
    photo = load_picture(options.photo, "PHOTO").image
    given = {name: getattr(options, name) for name in CHOICES}
    choices = ClipChoices(**{name: given.pop(name) for name in OWN if given[name] is not None})
    settings = {name: value for name, value in given.items() if value and name not in OWN}
    settings = make_settings(**settings | FIXED | {"height": ROWS})
    numbers = {}
    for clip in known_clips(photo):
        if clip.name not in options.clips.split(","):
            continue
        painter = painter_for(clip, existing_file(options.style, "STYLE"), settings, choices)
        alone = {number: painter.first(clip.frames[number]) for number in PAINTED}
        carried = as_clip(painter, clip, alone[0], choices)
        found = [flicker(clip, painted) for painted in (alone, carried)]
        numbers[clip.name] = row = {"alone": found[0], "clip": found[1]}
        row["ratio"] = found[1] / found[0]
        if isinstance(painter, ByPainting):
            row["style_loss"] = style_loss(painter, carried) / style_loss(painter, alone)
        say(f"{clip.name}: " + ", ".join(f"{k} {v:.2f}" for k, v in row.items()), sys.stdout)
        sheet(clip, [alone, carried]).save(f"{options.out}_{clip.name}.png")
        common.save(numbers, f"{options.out}.json")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns an exit code."""
    parser = Parser(prog=NAME, description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("photo", metavar="PHOTO")
    parser.add_argument("style", metavar="STYLE")
    parser.add_argument("out", metavar="OUT", help="beginning of the names of what is written")
    parser.add_argument("--clips", default="pan,zoom,part", help="which (default: pan,zoom,part)")
    parser.add_argument("--weights", default="fitted", help="filters (default: fitted)")
    parser.add_argument("--iter", type=common.count, help="of the first frame")
    parser.add_argument("--evaluations", type=common.count, help="an iteration")
    parser.add_argument("--frame_evaluations", type=common.count, help="see video.py")
    parser.add_argument("--temporal_weight", type=float, help="likewise")
    parser.add_argument("--steadiness", type=float, help="likewise")
    arguments = sys.argv[1:] if arguments is None else arguments

    def run() -> None:
        options = parser.parse_args(list(map(underscored, arguments)))
        common.check_place(f"{options.out}.json")
        measure(options)

    return run_program(NAME, run)


if __name__ == "__main__":
    sys.exit(main())
