"""Snapshots of the optimizer's own state, used if a journal of every gradient would be too large.

There are two generations, each written whole or not at all: damage to the newer one costs the steps
since the older one.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from style_transfer.runs.files import on_its_way

MARK = b"neural_style_transfer snapshot"
BLOCK = 1 << 24  # bytes read at once


@dataclass
class Snapshot:
    """The state of a descent after some evaluations.

    Attributes:
        key: digest of everything on which the state depends.
        terms: the terms of each evaluation of this size so far.
        seconds: how long each evaluation took.
        arrays: float32 arrays by name, all of the same shape (1, H, W, 3).
        steps: the optimizer's steps over all sizes.
    """

    key: str
    terms: list[list[float]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    steps: int = 0


class Snapshots:
    """The snapshots of a run, in its folder of state.

    Args:
        paths: the paths of the generations.
        key: the key of the current size.
        key_before: the key of the previous size, from whose last state this size starts.
    """

    def __init__(self, paths: Sequence[Path], key: str, key_before: str | None = None):
        self.paths, self.key = list(paths), key
        self.replayed = 0
        heads = {path: head for path in self.paths if (head := _head(path))}
        # Newest first: by evaluations of this size, then of the previous one.
        order = sorted(heads, key=lambda path: len(heads[path]["terms"]), reverse=True)
        self._own = [path for path in order if heads[path]["key"] == key]
        self._before = [path for path in order if heads[path]["key"] == key_before]

    @property
    def found(self) -> bool:
        """Whether there is a snapshot of this size."""
        return bool(self._own)

    def load(self) -> Snapshot | None:
        """The newest whole snapshot of this size, or None."""
        return next((found for path in self._own if (found := _read(path))), None)

    def load_before(self) -> Snapshot | None:
        """The newest whole snapshot of the previous size, or None."""
        return next((found for path in self._before if (found := _read(path))), None)

    def save(self, snapshot: Snapshot) -> None:
        """Replace the older generation by a new snapshot.

        Raises:
            OSError: the disk is full, …; both generations are then unchanged.
        """
        newest = next(iter([*self._own, *self._before]), None)
        path = next(path for path in self.paths if path != newest)
        _write(path, snapshot)
        self._own = [path, *(other for other in self._own if other != path)]
        self._before = [other for other in self._before if other != path]

    def close(self) -> None:
        """Nothing stays open."""


def _write(path: Path, snapshot: Snapshot) -> None:
    """Write block by block: a copy in memory, as in `files.write_whole`, may be too large."""
    checksum = 0
    for array in snapshot.arrays.values():
        checksum = zlib.crc32(np.ascontiguousarray(array, "<f4"), checksum)
    head = {
        "key": snapshot.key,
        "terms": snapshot.terms,
        "seconds": snapshot.seconds,
        "steps": snapshot.steps,
        "arrays": {name: array.shape for name, array in snapshot.arrays.items()},
        "checksum": checksum,
    }
    text = json.dumps(head).encode()
    line = MARK + b" %08x " % zlib.crc32(text) + text + b"\n"
    contents: Iterable[Any] = chain([line], map(np.ascontiguousarray, snapshot.arrays.values()))
    with on_its_way(path) as temporary, temporary.open("wb", buffering=0) as file:
        for data in contents:
            view = memoryview(data).cast("B")
            while view:
                view = view[file.write(view[:BLOCK]) :]
        os.fsync(file.fileno())


def _head(path: Path) -> dict | None:
    """The first line of a snapshot, or None if it is damaged or not a snapshot."""
    try:
        with path.open("rb") as file:
            mark, _, rest = file.readline().partition(b" snapshot ")
    except OSError:
        return None
    checksum, _, text = rest.rstrip(b"\n").partition(b" ")
    if mark != MARK.split(b" snapshot")[0] or checksum != b"%08x" % zlib.crc32(text):
        return None
    return json.loads(text)


def _read(path: Path) -> Snapshot | None:
    """A whole snapshot, or None."""
    head = _head(path)
    if head is None:
        return None
    arrays, checksum = {}, 0
    try:
        with path.open("rb") as file:
            file.readline()
            for name, shape in head["arrays"].items():
                array = np.empty(shape, "<f4")
                if file.readinto(array) != array.nbytes:
                    return None
                checksum = zlib.crc32(array, checksum)
                arrays[name] = array
    except OSError:
        return None
    if checksum != head["checksum"]:
        return None
    return Snapshot(head["key"], head["terms"], head["seconds"], arrays, head["steps"])
