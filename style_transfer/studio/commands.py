"""The command lines that make a run again."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from style_transfer.studio.desk import choices_of, history_of
from style_transfer.studio.library import Found
from style_transfer.studio.places import Places

PROGRAM = "python neural_style_transfer.py"


def command_lines(places: Places, found: Found) -> list[str]:
    """The commands, in order: the run itself, then one for each later change.

    Paths are relative to the working directory if that is shorter.
    """
    prefix = _short(places.folder / found.run)
    history = history_of(places, found.run)
    if not history and found.record:
        record = found.record
        paths = {
            "base": record.content.path,
            "styles": [style.path for style in record.styles],
            "preset": record.preset,
        }
        choices = choices_of(record.settings, record.preset)
        history = [{"kind": "transfer", "arguments": {**paths, **choices}}]
    return [_command(entry["kind"], entry["arguments"], prefix) for entry in history]


def _command(kind: str, arguments: Mapping[str, Any], prefix: str) -> str:
    rest = dict(arguments)
    parts = [PROGRAM]
    if kind == "transfer":
        parts += map(_short, [rest.pop("base"), *rest.pop("styles")])
        parts.append(prefix)
    else:
        parts += ["--resume", prefix]
    if rest.get("preset") == "default":
        del rest["preset"]
    for name, value in rest.items():
        if isinstance(value, bool):
            parts.append(f"--{name}" if value else f"--no_{name}")
        else:
            parts += [f"--{name}", repr(value) if isinstance(value, float) else str(value)]
    return " ".join([parts[0], *map(shlex.quote, parts[1:])])


def _short(path: str | Path) -> str:
    """A path relative to the working directory, if it is below it."""
    text = os.fspath(path)
    try:
        relative = os.path.relpath(text)
    except ValueError:
        return text
    return text if relative.startswith("..") else relative
