"""Style networks, whose picture follows the page's sliders at once.

A separate process holds the network that was used last, so that a fault in it affects neither the
runs nor the page.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from style_transfer.console import one_line
from style_transfer.errors import InputError
from style_transfer.studio.places import Places

SUFFIX = ".keras"
PATIENCE = 120.0  # seconds for a picture; the first one starts the backend


class Networks:
    """The networks of a folder; safe for several threads.

    Args:
        places: the studio's places.
        command: the command that starts the process; see `answer_requests`.
    """

    def __init__(self, places: Places, command: Sequence[str]):
        self.places, self._command = places, list(command)
        self._lock = threading.Lock()
        self._process: subprocess.Popen | None = None

    def names(self) -> list[str]:
        """The networks' files, without folder and ending."""
        found = sorted(self.places.folder.glob(f"*{SUFFIX}"))
        return [p.stem for p in found if p.is_file() and self.places.holds(p)]

    def paint(self, name: str, photograph: Path, size: int, strength: float) -> Path:
        """Paint a photograph with a network.

        Args:
            name: one of `names`.
            photograph: a file among the studio's inputs.
            size: long side in pixels.
            strength: see `feedforward.painter.Finish`.

        Returns:
            The path of a PNG among the uploads, which are not kept.

        Raises:
            InputError: there is no such network, or its process reported an error.
        """
        if name not in self.names():
            raise InputError(f"network: expected one of the folder's. Received: {name[:80]!r}")
        # Each choice has its own name, because a browser caches files by name.
        target = self.places.uploads / f"{photograph.stem}--{name}-{size}-{strength:g}.png"
        request = {
            "model": str(self.places.folder / f"{name}{SUFFIX}"),
            "picture": str(photograph),
            "target": str(target),
            "finish": {"size": str(size), "strength": strength},
        }
        with self._lock:
            error = self._ask(request)
        if error:
            raise InputError(error)
        return target

    def _ask(self, request: dict[str, Any]) -> str:
        """The process's answer: an error line, or an empty one."""
        process = self._process
        if process is None or process.poll() is not None:
            process = self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
            )
        assert process.stdin and process.stdout
        timer = threading.Timer(PATIENCE, process.kill)
        timer.start()
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:
            line = ""
        finally:
            timer.cancel()
        if not line:
            return "network: expected a picture. Received: the end of its process"
        return json.loads(line)["error"]

    def close(self) -> None:
        """End the process."""
        with self._lock:
            if self._process is not None:
                self._process.kill()
                self._process.wait()


def answer_requests(load_style: Callable) -> int:
    """Run the process: read requests as lines of JSON from standard input, and print answers.

    Args:
        load_style: `fast_style_transfer.load_style`.
    """
    answers, sys.stdout = sys.stdout, sys.stderr  # keeps libraries' output out of the answers
    loaded: tuple[tuple, Callable] | None = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            path = Path(request["model"])
            key = (path, path.stat().st_mtime_ns)
            if loaded is None or loaded[0] != key:
                loaded = key, load_style(path)
            picture = loaded[1](request["picture"], **request["finish"])
            picture.save(request["target"])
            error = ""
        except InputError as wrong:
            error = one_line(str(wrong))
        except Exception as wrong:  # the page shows it
            error = f"{type(wrong).__name__}: {one_line(str(wrong))}"
        answers.write(json.dumps({"error": error}) + "\n")
        answers.flush()
    return 0
