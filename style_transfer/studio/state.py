"""Describes runs for the page, as plain values for JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from style_transfer.presets import make_settings
from style_transfer.studio.commands import command_lines
from style_transfer.studio.desk import choices_of
from style_transfer.studio.library import Found, Library, picture_file, source_file
from style_transfer.studio.live import curves, seconds_left
from style_transfer.studio.painter import Painter
from style_transfer.studio.places import Places
from style_transfer.studio.runner import live_path

ACTIVE = ("waiting", "starting", "painting")


class Teller:
    """Describes runs.

    Args:
        places: the studio's places.
        painter: knows which runs are being painted.
        library: knows all runs.
    """

    def __init__(self, places: Places, painter: Painter, library: Library):
        self.places, self.painter, self.library = places, painter, library

    def status(self, found: Found) -> str:
        """`waiting`, `starting`, `painting`, `elsewhere`, `finished`, `stopped` or `failed`."""
        if self.painter.job_of(found.run):
            phase = found.live.phase if found.live else "starting"
            return "painting" if phase == "painting" else "starting"
        if self.painter.place_of(found.run) is not None:
            return "waiting"
        if found.held:
            return "elsewhere"
        failed = found.live and found.live.phase == "failed"
        if found.record is None or failed or self.painter.failure(found.run) is not None:
            return "failed"
        return "finished" if found.record.status == "finished" else "stopped"

    def shown(self, found: Found) -> Path | None:
        """The file of a run's current picture."""
        preview = live_path(self.places, found.run).with_suffix(".jpg")
        is_there = preview.is_file() and not preview.is_symlink()
        is_new = found.live is not None and found.live.phase != "waiting"
        if self.status(found) in ACTIVE and is_there and is_new:
            return preview
        return picture_file(found)

    def brief(self, found: Found) -> dict[str, Any]:
        """A run's values for the strip of runs."""
        status = self.status(found)
        told: dict[str, Any] = {
            "key": found.key,
            "name": found.run,
            "status": status,
            "version": version_of(self.shown(found)),
        }
        if status == "waiting":
            told["place"] = self.painter.place_of(found.run)
        if found.record and found.record.sizes:
            last = found.record.sizes[-1]
            told |= {"columns": last.columns, "rows": last.rows}
        return told

    def detail(self, found: Found) -> dict[str, Any]:
        """A run's values for the easel."""
        told, record, live = self.brief(found), found.record, found.live
        active = told["status"] in ACTIVE
        told["lines"] = list(live.lines) if live else []
        if (line := self.painter.failure(found.run)) and line not in told["lines"]:
            told["lines"].append(line)  # it could not be written to a file
        told["own"] = bool(self.painter.job_of(found.run)) or not found.held
        if active and live and live.planned:
            told |= {
                "evaluations": live.evaluations,
                "planned": live.planned,
                "left": live.seconds_left,
                "size": live.size,
                "iteration": live.iteration,
                "planned_iterations": live.iterations,
                "curves": live.curves,
            }
        elif record:
            told |= {
                "evaluations": len(record.evaluations),
                "planned": record.settings.iter * record.settings.evaluations,
                "left": seconds_left(record) if told["status"] == "elsewhere" else None,
                "iteration": max(0, len(record.iterations) - 1),
                "planned_iterations": record.settings.iter,
                "curves": curves(record.evaluations),
            }
        if record:
            told |= {
                "iterations": [
                    entry.number
                    for entry in record.iterations
                    if picture_file(found, entry.number) is not None
                ],
                "preset": record.preset,
                "content_weight": record.settings.content_weight,
                "base_weight": make_settings(record.preset).content_weight,
                "choices": choices_of(record.settings, record.preset),
                "seconds": round(sum(entry.seconds for entry in record.evaluations), 1),
                "photograph": source_file(self.places, found, record.content) is not None,
                "paintings": len(record.styles),
                "commands": command_lines(self.places, found),
                "output": record.settings.output,
            }
            told["lines"] = told["lines"] or record.remarks
        return told

    def state(self, key: str | None) -> dict[str, Any]:
        """All runs in brief, and one in detail."""
        runs = self.library.runs()
        chosen = next((found for found in runs if found.key == key), None)
        return {
            "runs": [self.brief(found) for found in runs],
            "run": self.detail(chosen) if chosen else None,
        }


def version_of(path: Path | None) -> str:
    """A text that changes whenever a file does; empty if there is no file."""
    try:
        return format(path.stat().st_mtime_ns, "x") if path else ""
    except OSError:
        return ""
