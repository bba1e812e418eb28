"""The state of a gallery: each cell's outcome, written to OUT/gallery.json and OUT/index.html."""

import dataclasses
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from style_transfer.errors import InputError
from style_transfer.gallery.plan import Cell, Source
from style_transfer.gallery.task import Task
from style_transfer.runs.files import write_text
from style_transfer.runs.guard import is_ours
from style_transfer.runs.opening import beside
from style_transfer.runs.record import PROGRAM, Record

VERSION = 1
EVERY = 5.0  # seconds between two updates of the files while the gallery grows
PAGE_MARK = f'<meta name="generator" content="{PROGRAM}">'


@dataclass
class Entry:
    """The state of a cell.

    Attributes:
        cell: the cell.
        status: `missing`, `done` or `failed`.
        columns: columns of the result.
        rows: rows of the result.
        seconds: how long its evaluations took.
        loss: the loss of the last one.
        error: why it failed.
    """

    cell: Cell
    status: str = "missing"
    columns: int = 0
    rows: int = 0
    seconds: float = 0.0
    loss: float = 0.0
    error: str = ""

    def done(self, record: Record, seconds: float | None = None) -> None:
        """Note that the cell is painted."""
        size = record.sizes[-1]
        self.status, self.error = "done", ""
        self.columns, self.rows = size.columns, size.rows
        if seconds is None:
            seconds = sum(evaluation.seconds for evaluation in record.evaluations)
        self.seconds, self.loss = round(seconds, 3), record.iterations[-1].total

    def failed(self, error: str) -> None:
        """Note that the cell cannot be painted."""
        self.status, self.error = "failed", error


@dataclass
class Album:
    """All cells.

    Attributes:
        task: what the cells have in common.
        pair: whether photographs and paintings are paired one to one.
        entries: the cells' states, by name.
    """

    task: Task
    pair: bool
    entries: dict[str, Entry]
    _written: float = field(default=float("-inf"))

    @classmethod
    def of(cls, task: Task, pair: bool, cells: list[Cell]) -> "Album":
        """An album of cells whose state is not known yet."""
        return cls(task, pair, {cell.name: Entry(cell) for cell in cells})

    @property
    def out(self) -> Path:
        """The folder."""
        return Path(self.task.out)

    def save(self, page: Callable[["Album", str], str], now: bool = True) -> None:
        """Write gallery.json and index.html.

        Args:
            page: takes an album and the mark of this program's pages; returns the text of
                index.html.
            now: write even if the files are less than `EVERY` seconds old.
        """
        if not now and time.monotonic() - self._written < EVERY:
            return
        write_text(self.out / "gallery.json", self.to_json())
        write_text(self.out / "index.html", page(self, PAGE_MARK))
        self._written = time.monotonic()

    def to_json(self) -> str:
        """The text of gallery.json."""

        def listed(sources: list[Source]) -> list[dict]:
            return [
                {**dataclasses.asdict(s), "beside": beside(s.path, self.out)}
                for s in dict.fromkeys(sources)
            ]

        entries = list(self.entries.values())
        content = {
            "program": PROGRAM,
            "version": VERSION,
            "preset": self.task.preset,
            "settings": dataclasses.asdict(self.task.settings),
            "filters": self.task.filters and dataclasses.asdict(self.task.filters),
            "pair": self.pair,
            "photos": listed([entry.cell.photo for entry in entries]),
            "paintings": listed([entry.cell.painting for entry in entries]),
            "cells": [
                {
                    **{k: v for k, v in vars(entry).items() if k != "cell"},
                    "name": entry.cell.name,
                    "photo": entry.cell.photo.name,
                    "painting": entry.cell.painting.name,
                    "picture": self.task.files(entry.cell).picture().name,
                }
                for entry in entries
            ],
        }
        return json.dumps(content, indent=1, allow_nan=False)


def check_out(out: Path) -> None:
    """Make the folder for the results.

    Raises:
        InputError: it cannot be made, or has somebody else's gallery.json or index.html.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"OUT: expected a folder that can be written to. Received: {str(out)!r} ({error})"
        ) from None
    for name, ours in (("gallery.json", is_ours), ("index.html", _is_our_page)):
        if (out / name).exists() and not ours(out / name):
            raise InputError(
                f"OUT: expected a folder without somebody else's {name}. Received: {str(out)!r}"
            )


def _is_our_page(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return PAGE_MARK.encode() in file.read(1024)
    except OSError:
        return False


def names_before(out: Path, what: str) -> dict[tuple[str, str], str]:
    """The names that pictures had in this folder, by (file name without extension, SHA-256).

    Args:
        out: the folder.
        what: `photos` or `paintings`.
    """
    try:
        listed = json.loads((out / "gallery.json").read_bytes())[what]
        return {(Path(s["path"]).stem, s["sha256"]): s["name"] for s in listed if s["sha256"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
