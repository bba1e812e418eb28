"""The progress of painting a clip: its event, and a bar or lines that show it."""

import contextlib
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from style_transfer.console import StatusBar, duration
from style_transfer.video.clip_files import ClipFiles

POLL = 1.0  # seconds between two looks at the frames that other processes have painted
LINE_EVERY = 10.0  # seconds between two lines if there is no terminal


@dataclass(frozen=True)
class FrameDone:
    """A frame is painted and kept.

    Attributes:
        number: the frame's number among the frames to paint, from 0.
        begins: whether it starts a scene, and so was painted from scratch.
        seconds: how long it took.
        picture: makes its picture.
    """

    number: int
    begins: bool
    seconds: float
    picture: Callable[[], Image.Image]


class Pace:
    """How long frames take, and how long the remaining ones will.

    Args:
        begins: the number of remaining frames that start a scene.
        others: the number of other remaining frames.
    """

    def __init__(self, begins: int, others: int):
        self.left = {True: begins, False: others}
        self._took: dict[bool, list[float]] = {True: [], False: []}

    def frame_done(self, begins: bool, seconds: float) -> None:
        """Note how long a frame took."""
        self.left[begins] -= 1
        self._took[begins].append(seconds)

    def seconds_left(self) -> float | None:
        """Seconds left if this process paints alone; None if nothing is known yet."""
        total = 0.0
        for begins, count in self.left.items():
            took = self._took[begins] or self._took[True]
            if count and not took:
                return None
            total += count * sum(took[-50:]) / max(1, len(took[-50:]))
        return total


class Status(StatusBar):
    """One bar for all frames, with the time left; without a terminal, a line now and then.

    Args:
        total: the number of frames to paint.
        done: how many of them are already painted.
        quiet: print nothing.
    """

    def __init__(self, total: int, done: int, quiet: bool):
        texts = "frame {task.completed:.0f} of {task.total:.0f}", "{task.fields[left]}"
        super().__init__(quiet, texts, total, done, {"left": ""})
        self._total, self._done = total, done
        self._begun, self._before, self._told = time.monotonic(), done, 0.0

    def painted(self, count: int, seconds_left: float | None = None) -> None:
        """Show how many frames are painted.

        Args:
            count: the number of painted frames.
            seconds_left: seconds until all are painted; None: estimated from this command's frames.
        """
        self._done = count
        now = time.monotonic()
        if seconds_left is None and count > self._before:
            each = (now - self._begun) / (count - self._before)
            seconds_left = each * (self._total - count)
        left = "" if seconds_left is None else f"{duration(seconds_left)} left"
        self.show(count, left=left)
        if not self.bar and (count == self._total or now - self._told > LINE_EVERY):
            self._told = now
            self.say(f"Frame {count} of {self._total}" + (f", {left}" if left else ""))


class Watch:
    """While open, counts the frames that other processes paint, and keeps a preview.

    Args:
        files: the clip's files.
        status: shows the count.
    """

    def __init__(self, files: ClipFiles, status: Status):
        self._files, self._status = files, status
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        seen = len(self._files.painted())
        while not self._over.wait(POLL):
            painted = self._files.painted()
            if len(painted) == seen:
                continue
            seen = len(painted)
            self._status.painted(seen)
            with contextlib.suppress(OSError):
                own = self._files.state / "preview"
                shutil.copyfile(self._files.frame(max(painted)), own)
                own.replace(self._files.preview)
