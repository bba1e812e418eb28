"""The queue, which carries out orders one after another, each in its own process."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from style_transfer.errors import InputError
from style_transfer.studio.live import Live, load_live
from style_transfer.studio.order import (
    MOST_STARTS,
    Order,
    load_order,
    lock_of,
    number_of,
    waiting_orders,
)
from style_transfer.studio.places import Places, is_held
from style_transfer.studio.runner import live_path

LOOK = 0.2  # seconds between two looks at the processes
LONGEST_QUEUE = 50  # orders; more are a mistake, or malice
FULL = 1 << 20  # bytes; a disk with less free space is full
PATIENCE = 20.0  # seconds that a run gets to save its picture when the studio closes


@dataclass
class Job:
    """An order that is being carried out.

    Attributes:
        path: the order's file.
        order: its content.
        process: its process; None if an earlier server, which died, had started it.
        stopping: whether it was asked to stop.
    """

    path: Path
    order: Order
    process: subprocess.Popen | None = field(default=None, repr=False)
    stopping: bool = False

    @property
    def alive(self) -> bool:
        """Whether its process is alive."""
        if self.process is not None:
            return self.process.poll() is None
        return is_held(lock_of(self.path))


class Painter:
    """Carries out the orders of a folder.

    Args:
        places: the studio's places.
        command: the command that starts a run's process; the order's file and the folder follow.
        jobs: how many runs are painted at a time.
    """

    def __init__(self, places: Places, command: Sequence[str], jobs: int = 1):
        self.places, self.command, self.jobs = places, list(command), jobs
        self._lock = threading.RLock()
        self._running: list[Job] = []
        self._waiting: list[tuple[Path, Order]] = []
        self._failed: dict[str, str] = {}  # lines by run, shown even if no file could be written
        self._number = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="painter", daemon=True)

    def start(self) -> None:
        """Take over the orders of an earlier server, and start to work."""
        for path in waiting_orders(self.places.orders):
            self._number = max(self._number, number_of(path))
            try:
                order = load_order(path)
            except (OSError, ValueError):
                path.unlink(missing_ok=True)
                continue
            if is_held(lock_of(path)):
                self._running.append(Job(path, order))
            else:
                self._waiting.append((path, order))
        self._thread.start()

    def close(self) -> None:
        """Stop the runs, which save their pictures; their orders stay for the next start."""
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join()
        for job in self._running:
            self._signal(job, signal.SIGTERM)
            dataclasses.replace(job.order, starts=1).save(job.path)  # this stop does not count
        deadline = time.monotonic() + PATIENCE
        for job in self._running:
            while job.alive and time.monotonic() < deadline:
                time.sleep(LOOK)

    def submit(self, order: Order) -> int:
        """Queue an order.

        Returns:
            The number of orders ahead of it.

        Raises:
            InputError: the run already has one, or too many are waiting.
        """
        with self._lock:
            if self.job_of(order.run) or self.place_of(order.run) is not None:
                raise InputError(f"run: expected one that is at rest. Received: {order.run!r}")
            if len(self._waiting) >= LONGEST_QUEUE:
                raise InputError(
                    f"queue: expected at most {LONGEST_QUEUE} orders. Received: one more"
                )
            self._number += 1
            path = self.places.orders / f"{self._number:06d}.json"
            shown = live_path(self.places, order.run)
            try:
                shown.parent.mkdir(parents=True, exist_ok=True)
                Live("waiting").save(shown)
                order.save(path)
            except OSError as error:
                raise InputError(
                    f"folder: expected room for an order. Received: {error.strerror or error}"
                ) from None
            self._failed.pop(order.run, None)
            self._waiting.append((path, order))
            return len(self._waiting) - 1 + len(self._running)

    def stop(self, run: str) -> bool:
        """Stop a run, which saves its picture; or cancel its order. False if there is neither."""
        with self._lock:
            if job := self.job_of(run):
                if not job.stopping:  # a second signal would cost the current evaluation
                    job.stopping = True
                    self._signal(job, signal.SIGTERM)
                return True
            for entry in self._waiting:
                if entry[1].run == run:
                    self._waiting.remove(entry)
                    self._end(entry[0], entry[1].run, "stopped", "")
                    return True
        return False

    def job_of(self, run: str) -> Job | None:
        """The job that paints a run."""
        with self._lock:
            return next((job for job in self._running if job.order.run == run), None)

    def place_of(self, run: str) -> int | None:
        """The number of orders ahead of a run's in the queue; None if it is not waiting."""
        with self._lock:
            runs = [order.run for _, order in self._waiting]
            return runs.index(run) + len(self._running) if run in runs else None

    def runs(self) -> list[str]:
        """Runs that are being painted or waiting, in order."""
        with self._lock:
            waiting = [order.run for _, order in self._waiting]
            return [job.order.run for job in self._running] + waiting

    def failure(self, run: str) -> str | None:
        """Why a run failed recently; None if it did not."""
        with self._lock:
            return self._failed.get(run)

    def failed(self) -> dict[str, str]:
        """Why runs failed recently, by run, latest last."""
        with self._lock:
            return dict(self._failed)

    def _work(self) -> None:
        while not self._closing.wait(LOOK):
            with self._lock:
                for job in [job for job in self._running if not job.alive]:
                    self._running.remove(job)
                    self._ended(job)
                while self._waiting and len(self._running) < self.jobs:
                    self._begin(*self._waiting.pop(0))

    def _begin(self, path: Path, order: Order) -> None:
        if order.starts >= MOST_STARTS:
            self._end(path, order.run, "failed", f"given up after {order.starts} starts")
            return
        order = dataclasses.replace(order, starts=order.starts + 1)
        try:
            order.save(path)
            with path.with_suffix(".log").open("ab") as log:
                process = subprocess.Popen(
                    [*self.command, str(path), str(self.places.folder)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # keeps the server's Ctrl-C and kill away from it
                )
        except OSError as error:  # the disk is full, no memory for a process, …
            self._end(path, order.run, "failed", str(error))
            return
        self._running.append(Job(path, order, process))

    def _ended(self, job: Job) -> None:
        live = load_live(live_path(self.places, job.order.run))
        if live is not None and live.phase in ("done", "stopped", "failed"):
            if live.phase == "failed":
                self._remember(job.order.run, (live.lines or [""])[-1])
            self._remove(job.path)
            return
        if job.stopping:  # while it was still starting
            self._end(job.path, job.order.run, "stopped", "")
            return
        code = job.process.returncode if job.process else None
        line = "the process of this run ended too early"
        if code is not None and code < 0:
            line = f"the process of this run was killed (signal {-code})"
            if -code == signal.SIGKILL:
                line += ", perhaps because memory ran out"
        elif log := _last_line(job.path.with_suffix(".log")):
            line = log
        elif shutil.disk_usage(self.places.folder).free < FULL:
            line += "; the disk is full"
        self._end(job.path, job.order.run, "failed", line)

    def _end(self, path: Path, run: str, phase: str, line: str) -> None:
        shown = live_path(self.places, run)
        live = load_live(shown) or Live()
        live.phase, live.seconds_left = phase, None
        live.lines = [*live.lines, line] if line else live.lines
        with contextlib.suppress(OSError):
            live.save(shown)
        if phase == "failed":
            self._remember(run, line)
        self._remove(path)

    def _remember(self, run: str, line: str) -> None:
        self._failed.pop(run, None)
        self._failed[run] = line
        while len(self._failed) > LONGEST_QUEUE:
            del self._failed[next(iter(self._failed))]

    def _remove(self, path: Path) -> None:
        for file in (path, lock_of(path), path.with_suffix(".log")):
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)

    def _signal(self, job: Job, number: int) -> None:
        live = load_live(live_path(self.places, job.order.run))
        pid = job.process.pid if job.process else live.pid if live else 0
        if pid and job.alive:
            with contextlib.suppress(OSError):
                os.kill(pid, number)


def _last_line(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return (text.strip().splitlines() or [""])[-1][:500]
