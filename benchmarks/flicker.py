"""Flicker of painted clips, measured on clips whose motion is known.

    python benchmarks/flicker.py PHOTO STYLE OUT [--evaluations N] [--weights FILE]

Three clips are made of a photograph: a pan, a zoom, and a part of it that moves over another. Each
is painted frame by frame, and as video.py paints it. Flicker is the mean absolute difference of a
painted frame and the one before, moved by the true motion, over the pixels that both show; in pixel
values, 0..255. OUT.json gets the numbers, and OUT_CLIP.png six frames of each way with the
differences between neighbors (times 4).
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

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
from style_transfer.pictures import load_picture
from style_transfer.programs import run_program

NAME = "flicker.py"

ROWS, FRAMES = 144, 24
SHOWN = 6  # frames of a contact sheet
LOUDER = 4  # differences on it


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


def flicker(clip: KnownClip, painted: list[np.ndarray]) -> float:
    """Mean absolute difference of painted frames and the ones before, moved; see above."""
    return float(np.mean([np.mean(found) for found in differences(clip, painted)]))


def differences(clip: KnownClip, painted: list[np.ndarray]) -> list[np.ndarray]:
    """By frame, |frame − the one before, moved| of the pixels that both show, (N, 3)."""
    pixels = grid(painted[0].shape[:2])
    pairs = zip(painted, painted[1:], clip.back, clip.seen, strict=False)
    return [
        np.abs(after - looked_up(before, pixels + back))[seen]
        for before, after, back, seen in pairs
    ]


def sheet(clip: KnownClip, ways: dict[str, list[np.ndarray]]) -> Image.Image:
    """Six frames of each way, each row followed by the differences between neighbors."""
    chosen = np.linspace(1, FRAMES - 1, SHOWN).astype(int)
    pixels, lines = grid(clip.frames[0].shape[:2]), []
    for painted in (clip.frames, *ways.values()):
        lines.append(np.hstack([painted[number] for number in chosen]))
        changes = []
        for number in chosen:
            before = looked_up(painted[number - 1], pixels + clip.back[number - 1])
            change = np.abs(painted[number] - before) * clip.seen[number - 1][..., None]
            changes.append(np.clip(LOUDER * change, 0, 255).astype(np.uint8))
        lines.append(np.hstack(changes))
    return Image.fromarray(np.vstack(lines))


class Painters:
    """Paints clips both ways, and measures the style loss.

    Args:
        style: the painting.
        choices: of video.py, and of the script.
    """

    def __init__(self, style: Image.Image, **choices):
        from style_transfer.presets import make_settings
        from style_transfer.video.choices import FIXED, ClipChoices

        own = {
            name: choices.pop(name) for name in ClipChoices.__dataclass_fields__ if name in choices
        }
        self.style, self.choices = style, ClipChoices(**own)
        self.settings = make_settings(**choices | FIXED | {"height": ROWS})

    def painter(self, clip: KnownClip):
        """What paints the frames of a clip."""
        from style_transfer.backends import start

        start()
        from style_transfer.filters import load_filters
        from style_transfer.network import processor_precision
        from style_transfer.video.by_painting import ByPainting, Look
        from video import make_script

        script, settings = make_script(), self.settings
        first = Image.fromarray(clip.frames[0])
        images = script.fitting_images([first, self.style], settings)
        filters, source = load_filters(settings.weights, settings, images, lambda *line: None)
        size, precision = clip.frames[0].shape[:2], processor_precision()
        if settings.precision != "auto":
            precision = settings.precision
        look = Look(settings, self.choices, size, first, [self.style], source, filters, precision)
        return ByPainting(look, script)

    def frame_by_frame(self, painter, clip: KnownClip) -> list[np.ndarray]:
        """Each frame as the script paints it."""
        return [painter.first(frame) for frame in clip.frames]

    def as_clip(self, painter, clip: KnownClip, first: np.ndarray | None) -> list[np.ndarray]:
        """As video.py paints them; `first` is the first one, where it is painted already."""
        from style_transfer.video.motion import Motion

        motion, painted = Motion(self.choices.long_term), []
        for frame in clip.frames:
            over = motion.taken_over(frame)
            if over is None:
                result = painter.first(frame) if first is None else first
            else:
                result = painter.next(frame, over)
            motion.add(frame, result)
            painted.append(result)
        return painted

    def style_loss(self, painter, painted: list[np.ndarray], clip: KnownClip) -> float:
        """The mean of the frames' style losses."""
        found = []
        for frame, result in zip(clip.frames, painted, strict=True):
            image = painter.script.preprocess(result)
            content = painter.script.preprocess(frame)
            nothing = np.zeros_like(image)
            terms, _ = painter._objective(content, nothing, nothing[..., :1])(image)
            found.append(terms[1])
        return float(np.mean(found))


def measure(options) -> None:
    """Paint the clips both ways; print, and write, flicker and style loss of each."""
    photo = load_picture(options.photo, "PHOTO").image
    style = load_picture(options.style, "STYLE").image
    chosen = {name: getattr(options, name) for name in ("weights", "iter", "evaluations")}
    painters = Painters(style, **{name: value for name, value in chosen.items() if value})
    numbers = {}
    for clip in known_clips(photo):
        painter = painters.painter(clip)
        alone = painters.frame_by_frame(painter, clip)
        carried = painters.as_clip(painter, clip, alone[0])
        found = [flicker(clip, painted) for painted in (alone, carried)]
        lost = [painters.style_loss(painter, painted, clip) for painted in (alone, carried)]
        numbers[clip.name] = {
            "frame_by_frame": found[0],
            "video": found[1],
            "flicker_ratio": found[1] / found[0],
            "style_loss_ratio": lost[1] / lost[0],
        }
        say(
            f"{clip.name}: flicker {found[0]:.2f} frame by frame, {found[1]:.2f} as a clip "
            f"({found[1] / found[0]:.2f}); style loss {lost[1] / lost[0]:.2f} times",
            sys.stdout,
        )
        ways = {"frame by frame": alone, "video": carried}
        pixels = {way: [np.asarray(frame) for frame in made] for way, made in ways.items()}
        sheet(clip, pixels).save(f"{options.out}_{clip.name}.png")
    common.save(numbers, f"{options.out}.json")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns an exit code."""
    parser = Parser(prog=NAME, description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("photo", metavar="PHOTO")
    parser.add_argument("style", metavar="STYLE")
    parser.add_argument("out", metavar="OUT", help="beginning of the names of what is written")
    parser.add_argument("--weights", default="fitted", help="filters (default: fitted)")
    parser.add_argument("--iter", type=common.count, help="of the first frame")
    parser.add_argument("--evaluations", type=common.count, help="an iteration")
    arguments = sys.argv[1:] if arguments is None else arguments

    def run() -> None:
        options = parser.parse_args(list(map(underscored, arguments)))
        common.check_place(f"{options.out}.json")
        measure(options)

    return run_program(NAME, run)


if __name__ == "__main__":
    sys.exit(main())
