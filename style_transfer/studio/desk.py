"""Turns the page's requests into orders: start a run, continue one, go back in one."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from style_transfer.errors import InputError
from style_transfer.presets import PRESETS, make_settings
from style_transfer.runs.files import RunFiles, write_text
from style_transfer.runs.opening import FILTER_SOURCES
from style_transfer.settings import INITS, Settings
from style_transfer.studio.library import Found, Library
from style_transfer.studio.order import Order
from style_transfer.studio.painter import Painter
from style_transfer.studio.places import Places
from style_transfer.studio.runner import live_path
from style_transfer.studio.uploads import plain_name

FILTER_FILES = (".h5", ".npz", ".mat", ".pth")  # files in the folder that `weights` may name


class Desk:
    """Takes orders; safe for several threads.

    Args:
        places: the studio's places.
        painter: carries the orders out.
        library: knows the runs.
    """

    def __init__(self, places: Places, painter: Painter, library: Library):
        self.places, self.painter, self.library = places, painter, library
        self._lock = threading.Lock()

    def begin(
        self, base: Path, styles: Sequence[Path], preset: str, choices: Mapping[str, Any]
    ) -> str:
        """Order a new run.

        Args:
            base: the photograph, among the studio's inputs.
            styles: the paintings, likewise.
            preset: a key of `PRESETS`.
            choices: fields of `Settings`.

        Returns:
            The run's prefix, relative to the folder.

        Raises:
            InputError: a choice cannot be used.
        """
        chosen = differing(preset, choices)
        self.check(make_settings(preset, **chosen))
        paths = {"base": str(base), "styles": [str(style) for style in styles]}
        if preset != "default":
            paths["preset"] = preset
        with self._lock:
            run = self._free_name(f"{plain_name(base.stem)}--{plain_name(styles[0].stem)}")
            self._submit(Order(run, "transfer", {**paths, **chosen}))
        return run

    def resume(
        self,
        found: Found,
        more: int = 0,
        from_iteration: int | None = None,
        content_weight: float | None = None,
    ) -> None:
        """Order that a run continues.

        Args:
            found: the run.
            more: iterations in addition to those planned.
            from_iteration: go back to this iteration first; None: continue where it stopped.
            content_weight: the content weight from now on; None: unchanged.

        Raises:
            InputError: there is nothing to do, or a number cannot be used.
        """
        record = found.record
        if record is None or found.held:
            raise InputError(f"run: expected one that is at rest. Received: {found.run!r}")
        if not 0 <= more <= 1000:
            raise InputError(f"iterations: expected 0 to 1000 more. Received: {more}")
        arguments: dict[str, Any] = {}
        settings = record.settings
        last = len(record.iterations) - 1
        if from_iteration is not None and not 0 <= from_iteration <= last:
            raise InputError(f"from_iteration: expected 0 to {last}. Received: {from_iteration}")
        if from_iteration is not None and from_iteration != last:
            arguments["from_iteration"] = from_iteration
        if content_weight is not None and content_weight != settings.content_weight:
            dataclasses.replace(settings, content_weight=content_weight)  # checks it
            arguments |= {"content_weight": content_weight, "overwrite": True}
        done = arguments.get("from_iteration", last) + 1
        if more:
            # After going back, "more" counts from there, but never below the number planned.
            whole = done if record.status == "finished" else settings.iter
            arguments["iter"] = min(99_999, whole + more)
        if arguments.get("iter", settings.iter) <= done and record.status == "finished":
            raise InputError("iterations: expected at least 1 more. Received: 0")
        with self._lock:
            self._submit(Order(found.run, "resume", arguments))

    def check(self, settings: Settings) -> None:
        """Refuse settings that name a file outside the folder.

        Raises:
            InputError: the message names the setting.
        """
        if settings.init not in INITS:
            raise InputError(
                f"--init: expected one of {', '.join(INITS)}. Received: {settings.init!r}"
            )
        if settings.weights not in FILTER_SOURCES and not self._holds_filters(settings.weights):
            raise InputError(
                f"--weights: expected one of {', '.join(FILTER_SOURCES)}, or a file of filters in "
                f"the studio's folder. Received: {settings.weights!r}"
            )
        masks = [settings.content_mask, *settings.style_mask.split(",")]
        for mask in filter(None, masks):
            if not Path(mask).is_file() or Path(mask).resolve().parent != self.places.inputs:
                raise InputError(f"masks: expected painted ones. Received: {Path(mask).name!r}")

    def _holds_filters(self, weights: str) -> bool:
        path = Path(weights)
        return path.is_file() and path.suffix in FILTER_FILES and self.places.holds(path)

    def filter_files(self) -> list[str]:
        """Files of filters in the folder."""
        return sorted(
            str(path)
            for path in self.places.folder.glob("*")
            if path.suffix in FILTER_FILES and path.is_file() and self.places.holds(path)
        )

    def _submit(self, order: Order) -> None:
        self.painter.submit(order)
        note_order(self.places, order)
        self.library.look_again()

    def _free_name(self, name: str) -> str:
        taken = set(self.painter.runs())
        number, run = 1, name
        while run in taken or _is_taken(RunFiles(self.places.folder / run)):
            number += 1
            run = f"{name}-{number}"
        return run


def _is_taken(files: RunFiles) -> bool:
    return files.record.exists() or files.state.exists() or bool(files.pictures())


def differing(preset: str, choices: Mapping[str, Any]) -> dict[str, Any]:
    """The choices that differ from the preset's.

    Raises:
        InputError: the preset is unknown.
    """
    made = make_settings(preset)
    return {name: value for name, value in choices.items() if value != getattr(made, name, None)}


def choices_of(settings: Settings, preset: str) -> dict[str, Any]:
    """How settings differ from their preset's."""
    base = Settings(**PRESETS.get(preset, {}))
    return {
        item.name: getattr(settings, item.name)
        for item in dataclasses.fields(settings)
        if getattr(settings, item.name) != getattr(base, item.name)
    }


def history_path(places: Places, run: str) -> Path:
    """The file that notes a run's orders, for the command lines that make it again."""
    return live_path(places, run).with_suffix(".orders")


def note_order(places: Places, order: Order) -> None:
    """Add an order to its run's history, unless it changes nothing."""
    history = [] if order.kind == "transfer" else history_of(places, order.run)
    if order.kind == "transfer" or order.arguments:
        entries = [*history, {"kind": order.kind, "arguments": order.arguments}]
        write_text(history_path(places, order.run), json.dumps(entries))


def history_of(places: Places, run: str) -> list[dict[str, Any]]:
    """The orders that made a run so far; empty if the studio did not start it."""
    try:
        return json.loads(history_path(places, run).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
