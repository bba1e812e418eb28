"""Paints the scenes of a clip one after another, in a process of the map in cluster.py.

If the worker can write to the results' folder, it saves each frame there as soon as it is painted.
A cluster's node paints a scene in a temporary folder, and sends its frames back at the end.
"""

import dataclasses
import tempfile
import time
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from style_transfer.parsing import layers_in_use
from style_transfer.pictures import load_picture
from style_transfer.vgg import layers_up_to
from style_transfer.video.any_clip import open_clip
from style_transfer.video.by_network import ByNetwork
from style_transfer.video.by_painting import ByPainting, Look, Script, ignored
from style_transfer.video.clip import Clip
from style_transfer.video.clip_files import ClipFiles, read_frame, write_frame
from style_transfer.video.clip_record import ClipRecord
from style_transfer.video.motion import LONG_TERM, Motion
from style_transfer.video.progress import FrameDone


@dataclass(frozen=True)
class Luggage:
    """The contents of files, by name, for a worker that cannot read this machine's files."""

    clip: dict[str, bytes]
    styles: dict[str, bytes]
    filters: bytes = b""


@dataclass(frozen=True)
class Scene:
    """Frames to paint one after another.

    Attributes:
        frames: their numbers among the frames to paint.
        limit: the most of them to paint, for --dry_run.
    """

    frames: range
    limit: int | None = None


@dataclass(frozen=True)
class PaintedScene:
    """A scene that is painted.

    Attributes:
        pictures: PNG files by the frames' numbers; none if they are already on disk.
    """

    pictures: dict[int, bytes] = field(default_factory=dict)


class ScenePainter:
    """Paints scenes; makes what they share, network and style targets, only once.

    Args:
        record: the clip's record.
        out: path of the clip to write.
        script: see `Script`.
        luggage: the contents of files that cannot be read here; None: all can be read.
        listener: called with events in this process; may raise StopRun.
    """

    def __init__(
        self,
        record: ClipRecord,
        out: str,
        script: Script,
        luggage: Luggage | None = None,
        listener: Callable = ignored,
    ):
        self.record, self.script, self.listener = record, script, listener
        self._folder = tempfile.TemporaryDirectory(prefix="nst-video-") if luggage else None
        self._files = ClipFiles(Path(out))
        self._clip_path = Path(record.clip.path)
        self._styles = [Path(style.path) for style in record.styles]
        if luggage:
            self._unpack(luggage)
        self._clip = open_clip(self._clip_path, record.choices.fps or None)
        self._painter = self._make_painter()

    def _unpack(self, luggage: Luggage) -> None:
        assert self._folder is not None
        folder = Path(self._folder.name)
        self._files = ClipFiles(folder / "out.mp4")
        self._files.state.mkdir()
        self._files.filters.write_bytes(luggage.filters)
        is_folder = len(luggage.clip) > 1 or not self._clip_path.suffix
        into = folder / "clip"
        into.mkdir()
        for name, content in luggage.clip.items():
            (into / name).write_bytes(content)
        self._clip_path = into if is_folder else into / self._clip_path.name
        self._styles = []
        for number, (name, content) in enumerate(luggage.styles.items()):
            path = folder / f"style_{number}{Path(name).suffix}"
            path.write_bytes(content)
            self._styles.append(path)

    def _make_painter(self):
        record = self.record
        if record.filters is None:
            return ByNetwork(self._styles[0], record.choices.steadiness)
        from style_transfer.filters.files import read_filters

        settings = record.settings
        layers = layers_up_to(settings.network, layers_in_use(settings))
        filters = read_filters(self._files.filters, settings.network, layers)
        filters = dataclasses.replace(filters, convention=record.filters.convention)
        _, first = next(self._frames(range(1)))
        look = Look(
            settings=settings,
            choices=record.choices,
            size=(record.rows, record.columns),
            first=Image.fromarray(first),
            styles=[load_picture(path, "STYLE").image for path in self._styles],
            source=record.filters,
            filters=filters,
            precision=record.precision,
        )
        return ByPainting(look, self.script, self.listener)

    def _frames(self, wanted: Container[int]) -> Iterator[tuple[int, np.ndarray]]:
        return painted_frames(self._clip, self.record, wanted, self.script.resize)

    def __call__(self, scene: Scene) -> PaintedScene:
        """Paint the frames that a scene lacks.

        Raises:
            StopRun: the listener stopped it.
            InputError: the clip, or a painted frame, can no longer be read.
        """
        done = self._files.painted()
        missing = [number for number in scene.frames if number not in done][: scene.limit]
        if not missing:
            return PaintedScene()
        motion = Motion(self.record.choices.long_term)
        seen = max(scene.frames.start, missing[0] - LONG_TERM[-1])
        pictures = {}
        for number, frame in self._frames(range(seen, missing[-1] + 1)):
            path = self._files.frame(number)
            if number < missing[0]:
                motion.add(frame, read_frame(path))
                continue
            began = time.perf_counter()
            over = motion.taken_over(frame)
            painted = (
                self._painter.first(frame) if over is None else self._painter.next(frame, over)
            )
            seconds = time.perf_counter() - began
            motion.add(frame, painted)
            write_frame(path, painted)
            if self._folder:
                pictures[number] = path.read_bytes()
                path.unlink()
            picture = partial(Image.fromarray, painted)
            self.listener(FrameDone(number, over is None, seconds, picture))
        return PaintedScene(pictures)


def painted_frames(
    clip: Clip, record: ClipRecord, wanted: Container[int], resize: Callable
) -> Iterator[tuple[int, np.ndarray]]:
    """Frames of a clip at the size at which they are painted.

    Args:
        clip: the clip.
        record: determines which of its frames are painted, and their size.
        wanted: the numbers, among the frames to paint, of the frames to return.
        resize: `preprocessing.resize`.

    Yields:
        (number, uint8 (H, W, 3), RGB).
    """
    number = 0
    for index, shown in enumerate(clip.frames()):
        if number == len(record.numbers):
            return
        if index < record.numbers[number]:
            continue
        if number in wanted:
            picture = shown.picture()
            yield number, resize(picture, (record.rows, record.columns), record.settings.resize)
        number += 1
