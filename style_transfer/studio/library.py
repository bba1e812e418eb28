"""Finds the runs in a folder: the studio's own, and those of the command line or others."""

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

DEEPEST = 3  # levels of subfolders that are searched for runs
MOST_RUNS = 300  # the newest that are shown
FRESH = 1.0  # seconds for which a look at the folder is valid
LARGEST_RECORD = 64 << 20  # bytes


@dataclass
class Found:
    """A run of the folder.

    Attributes:
        run: its prefix, relative to the folder.
        files: the names of its files.
        record: its record; None before its process has started.
        live: its state while it is painted; None if the studio never painted it.
        changed: when its record or preview last changed, in nanoseconds.
        held: whether a process outside the studio is painting it.
    """

    run: str
    files: RunFiles
    record: Record | None = None
    live: Live | None = None
    changed: int = 0
    held: bool = False

    @property
    def key(self) -> str:
        """The run's name in addresses, so that a browser never sends a path."""
        return key_of(self.run)


def key_of(run: str) -> str:
    """A short name of a run for addresses."""
    return hashlib.sha256(run.encode()).hexdigest()[:16]


class Library:
    """Finds the runs of a folder; safe for several threads.

    Args:
        places: the studio's places.
        painter: knows which of them are being painted.
    """

    def __init__(self, places: Places, painter: Painter):
        self.places, self.painter = places, painter
        self._lock = threading.Lock()
        self._records: dict[Path, tuple[tuple[int, int], Record | None]] = {}
        self._runs: dict[str, Found] = {}
        self._looked = 0.0

    def runs(self) -> list[Found]:
        """All runs: those in the queue first, then the others, newest first."""
        with self._lock:
            if time.monotonic() - self._looked > FRESH:
                self._look()
                self._looked = time.monotonic()
            return list(self._runs.values())

    def find(self, key: str) -> Found | None:
        """The run of an address, or None."""
        return next((found for found in self.runs() if found.key == key), None)

    def look_again(self) -> None:
        """Note a change, so that the next call looks at the folder."""
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
        """Files that may be records, with (time of change, bytes); follows no symbolic links."""
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
    """The file of a run's picture: the result, or the latest iteration; or None."""
    candidates = []
    if iteration is not None:
        candidates = [found.files.picture(iteration)]
    elif found.record:
        numbers = [entry.number for entry in found.record.iterations]
        candidates = [found.files.picture()]
        if found.record.status == "running":  # a result on disk, if any, is from before
            candidates = []
        candidates += [found.files.picture(number) for number in reversed(numbers)]
    return next((path for path in candidates if path.is_file() and not path.is_symlink()), None)


def source_file(places: Places, found: Found, entry: PictureFile) -> Path | None:
    """A picture that a run reads, if it is in the studio's folder; or None."""
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
