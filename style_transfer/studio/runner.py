"""The process of one run: carries out an order and shows its progress."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import filelock

from style_transfer.console import one_line
from style_transfer.errors import ExitCode
from style_transfer.events import Event, Listener
from style_transfer.programs import run_command
from style_transfer.runs.files import RunFiles
from style_transfer.studio.live import Live, Watcher, load_live
from style_transfer.studio.order import Order, load_order, lock_of
from style_transfer.studio.places import Places

PHASES = {
    ExitCode.DONE: "done",
    ExitCode.INTERRUPTED: "stopped",
    ExitCode.TERMINATED: "stopped",
}


class Script(NamedTuple):
    """The functions of neural_style_transfer.py; the package imports nothing from the top level."""

    transfer: Callable
    resume: Callable
    objectives: Callable


def carry_out(path: Path, places: Places, script: Script) -> int:
    """Carry out an order.

    Args:
        path: the order's file.
        places: the studio's places.
        script: see `Script`.

    Returns:
        An `ExitCode`.
    """
    lock = filelock.FileLock(lock_of(path))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:  # a process of an earlier server is still painting it
        return ExitCode.INPUT
    with lock:
        order = load_order(path)
        shown = live_path(places, order.run)
        shown.parent.mkdir(parents=True, exist_ok=True)
        function, arguments = call_of(order, places, load_live(shown))
        watcher = Watcher(shown, Live(pid=os.getpid()))
        said: list[str] = []

        def command(stop: Listener) -> None:
            def listener(event: Event) -> None:
                watcher(event)
                stop(event)

            objectives = watched(script.objectives, watcher)
            call = {"transfer": script.transfer, "resume": script.resume}[function]
            try:
                call(**arguments, on_event=listener, objectives=objectives)
            except Exception as error:
                said.append(one_line(str(error)))
                raise

        code = ExitCode.STOPPED
        try:
            code = run_command("studio.py", command)
        except Exception as error:  # a bug: the page shows a line, the log has everything
            said.append(f"{type(error).__name__}: {one_line(str(error))}")
            raise
        finally:
            line = said[-1] if said else ""
            watcher.end(PHASES.get(code, "failed"), line)
    return code


def live_path(places: Places, run: str) -> Path:
    """The file of a run's state; see live.py."""
    return places.live / f"{run}.json"


def call_of(order: Order, places: Places, before: Live | None) -> tuple[str, dict[str, Any]]:
    """The function that carries an order out, and its arguments.

    An order that was started, and whose process and server died, is resumed where it stopped.
    """
    prefix = places.folder / order.run
    arguments: dict[str, Any] = {"prefix": str(prefix), **order.arguments}
    begun = before is not None and before.begun
    again = order.starts > 1 and (begun or order.kind == "transfer")
    if again and RunFiles(prefix).record.exists():
        return "resume", {"prefix": str(prefix)}
    return order.kind, arguments


def watched(objectives: Callable, watcher: Watcher) -> Callable:
    """Objectives that show each image, if there is time, before they evaluate it."""

    def objectives_of(run: Any, inputs: Any) -> Callable:
        watcher.show(lambda image: image, inputs.start_image)  # while the network is loaded
        objective_at = objectives(run, inputs)

        def watched_at(size: Any) -> Callable:
            objective = objective_at(size)

            def evaluate(image: Any) -> Any:
                watcher.show(run.picture_of, image)
                return objective(image)

            return evaluate

        return watched_at

    return objectives_of
