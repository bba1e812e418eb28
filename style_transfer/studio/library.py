"""The runs of a folder: the studio's own, and those that the command line or others made."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from style_transfer.runs.files import SUFFIXES, RunFiles
from style_transfer.runs.record import PictureFile, Record
from style_transfer.studio.live import Live, load_live
from style_transfer.studio.painter import Painter
from style_transfer.studio.places import HIDDEN, Places, is_held
from style_transfer.studio.runner import live_path

DEEPEST = 3  # folders below the studio's in which runs are looked for
MOST_RUNS = 300  # shown, the newest
FRESH = 1.0  # seconds that a look at the folder counts
LARGEST_RECORD = 64 << 20  # bytes


@dataclass
class Found:
    """A run of the folder.

    Attributes:
        run: its prefix, relative to the folder.
        files: their names.
        record: None before its process has begun.
        live: what it shows while it is painted; None where the studio never painted it.
        changed: when its record or preview changed last, in nanoseconds.
        held: whether a process outside the studio paints it.
    """

    run: str
    files: RunFiles
    record: Record | None = None
    live: Live | None = None
    changed: int = 0
    held: bool = False

    @property
    def key(self) -> str:
        """How addresses name the run: no path of it comes from a browser."""
        return key_of(self.run)


def key_of(run: str) -> str:
    """A short name of a run for addresses."""
    return hashlib.sha256(run.encode()).hexdigest()[:16]


class Library:
    """Finds the runs of a folder; safe for several threads.

    Args:
        places: of the studio.
        painter: knows which of them are painted now.
    """

    def __init__(self, places: Places, painter: Painter):
        self.places, self.painter = places, painter
        self._lock = threading.Lock()
        self._records: dict[Path, tuple[tuple[int, int], Record | None]] = {}
        self._runs: dict[str, Found] = {}
        self._looked = 0.0

    def runs(self) -> list[Found]:
        """All runs, those of the queue first, then the newest."""
        with self._lock:
            if time.monotonic() - self._looked > FRESH:
                self._look()
                self._looked = time.monotonic()
            return list(self._runs.values())

    def find(self, key: str) -> Found | None:
        """The run of an address, or None."""
        return next((found for found in self.runs() if found.key == key), None)

    def look_again(self) -> None:
        """Something has changed: the next question looks at the folder."""
        with self._lock:
            self._looked = 0.0

    def _look(self) -> None:
        paths = dict(self._record_files())
        for path in self._records.keys() - paths.keys():
            del self._records[path]
        queue = self.painter.runs()
        found: dict[str, Found] = {}
        for path, stamp in paths.items():
            record = self._record(path, stamp)
            if record is not None:
                run = str(path.relative_to(self.places.folder).with_suffix("").as_posix())
                found[run] = self._found(run, record, stamp[0])
        for run in [*queue, *self.painter.failed()]:
            if run not in found:
                found[run] = self._found(run, None, time.time_ns())
        order = {run: number for number, run in enumerate(queue)}
        ordered = sorted(
            found.values(), key=lambda f: (order.get(f.run, len(order)), -f.changed, f.run)
        )
        self._runs = {entry.run: entry for entry in ordered[:MOST_RUNS]}

    def _found(self, run: str, record: Record | None, changed: int) -> Found:
        suffix = SUFFIXES[record.settings.output] if record else ".png"
        files = RunFiles(self.places.folder / run, suffix)
        shown = live_path(self.places, run)
        held = bool(
            record
            and record.status == "running"
            and not self.painter.job_of(run)
            and is_held(files.lock)
        )
        return Found(run, files, record, load_live(shown), changed, held)

    def _record_files(self) -> Iterator[tuple[Path, tuple[int, int]]]:
        """Files that may be records, with (time of change, bytes); no symbolic link is followed."""
        folders = [(self.places.folder, 0)]
        while folders:
            folder, depth = folders.pop()
            try:
                entries = list(os.scandir(folder))
            except OSError:
                continue
            names = {entry.name for entry in entries}
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    hidden = entry.name.startswith(".") or entry.name.endswith("_state")
                    if depth < DEEPEST and not hidden and entry.name != HIDDEN:
                        folders.append((Path(entry.path), depth + 1))
                elif entry.name.endswith(".json") and entry.is_file(follow_symlinks=False):
                    stem = entry.name.removesuffix(".json")
                    status = entry.stat(follow_symlinks=False)
                    fits = status.st_size <= LARGEST_RECORD and not stem.startswith(".")
                    if fits and names & {f"{stem}_state", f"{stem}.png"}:
                        yield Path(entry.path), (status.st_mtime_ns, status.st_size)

    def _record(self, path: Path, stamp: tuple[int, int]) -> Record | None:
        known = self._records.get(path)
        if known and known[0] == stamp:
            return known[1]
        try:
            record = Record.from_json(path.read_bytes())
        except (OSError, ValueError):
            record = None  # somebody else's, or damaged
        self._records[path] = stamp, record
        return record


def picture_file(found: Found, iteration: int | None = None) -> Path | None:
    """The picture of a run as it is on disk: the result, or the latest iteration; or None."""
    candidates = []
    if iteration is not None:
        candidates = [found.files.picture(iteration)]
    elif found.record:
        numbers = [entry.number for entry in found.record.iterations]
        candidates = [found.files.picture()]
        if found.record.status == "running":  # the result on disk, if any, is an earlier one
            candidates = []
        candidates += [found.files.picture(number) for number in reversed(numbers)]
    return next((path for path in candidates if path.is_file() and not path.is_symlink()), None)


def source_file(places: Places, found: Found, entry: PictureFile) -> Path | None:
    """A picture that a run reads, where it lies in the studio's folder; or None."""
    parent = found.files.prefix.parent
    for path in [Path(entry.path)] if entry.path else []:
        if path.is_file() and places.holds(path):
            return path
    if entry.beside:
        path = parent / entry.beside
        if path.is_file() and places.holds(path):
            return path
    return None


def settings_of(record: Record) -> dict[str, Any]:
    """A run's settings as plain values."""
    return dataclasses.asdict(record.settings)
