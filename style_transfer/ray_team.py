"""The workers of cluster.py through Ray: local processes, or actors on a cluster's nodes.

Ray itself restarts nothing here (`max_restarts=0`): a worker that dies is replaced by a new one,
which may start on another node, and what it had not answered is handed out again. So a death is
always seen, and counted against the item that was being worked on.
"""

import contextlib
import logging
import os
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from style_transfer.errors import InputError, RunStopped
from style_transfer.events import StopRun
from style_transfer.machine import usable_cores
from style_transfer.outcomes import (
    MOST_DEATHS,
    Failure,
    InOrder,
    Outcome,
    call,
    failure_of,
    outcome_of,
)

# What Ray appends to its temporary folder for its longest socket, with an underscore and 7 digits
# of a process's number; the whole may have 103 bytes on macOS (sun_path of unix(4)), 107 on Linux.
_SOCKET = "/session_2026-01-01_00-00-00_000000_1234567/sockets/plasma_store"
_LONGEST_FOLDER = 103 - len(_SOCKET)
_PLACED_WITHIN = 120  # seconds in which one worker of all must have found a node
# Read by TensorFlow, OpenMP and OpenBLAS when they are loaded, so they are set before.
_THREADS = (
    "TF_NUM_INTRAOP_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
)
# What a cluster's nodes need of the program, besides the package; the last ones where they exist.
_MODULES = ("neural_style_transfer", "evaluator", "preprocessing", "gallery", "video")


@ray.remote(max_restarts=0, max_task_retries=0)
class _Actor:
    """A worker's process."""

    def node(self) -> str:
        """The id of the node it runs on."""
        return ray.get_runtime_context().get_node_id()

    def make(self, make_worker: Callable[[], Callable]) -> None:
        self._worker = make_worker()

    def work(self, item: Any, *common) -> tuple[Any, Failure | None]:
        return call(self._worker, item, common)


@dataclass(eq=False)
class _Job:
    """An item on its way."""

    index: int
    item: Any
    deaths: int = 0


@dataclass(eq=False)
class _Member:
    """A worker: its actor, its node once it has one, and (reference, job) of all it was asked.

    The job is None for what belongs to its start.
    """

    actor: Any
    queue: deque[tuple[Any, _Job | None]]
    node: str | None = None
    ready: bool = field(default=False)


class RayTeam:
    """Workers in processes of their own; see cluster.Workers for arguments and errors."""

    def __init__(self, make_worker, workers: int | None, address: str | None, ahead: int):
        self._folder = None
        self._connected_here = not ray.is_initialized()
        self._members = []
        self._starts_failed = 0
        self._ahead = ahead
        try:
            if self._connected_here:
                self._connect(workers, address)
            self.count, options = _shares(workers, address)
            self._actors = _Actor.options(**options)
            self._make_worker = ray.put(make_worker)
            self._since = time.monotonic()
            for _ in range(self.count):
                self._add_member()
        except BaseException:
            self.close()
            raise

    def map(
        self, items: Iterable, common: Any, name: Callable, order: InOrder | None
    ) -> Iterator[Outcome]:
        """See cluster.Workers.map.

        Args:
            order: knows the outcome that the consumer waits for, which keeps the others from
                running far ahead of it; None if the order does not matter.
        """
        common = () if common is None else (ray.put(common),)
        source, again = _Source(items, order, 4 * self.count), deque()
        try:
            while True:
                self._hand_out(source, again, common)
                if source.ended and not again and not any(map(_jobs, self._members)):
                    return
                for member, answer in self._answers():
                    outcome = self._take(member, answer, again)
                    if outcome is not None:
                        job, value, failure = outcome
                        yield outcome_of(job.index, job.item, value, failure, name)
                        del outcome, value, job  # or the last value stays in shared memory
        finally:
            self._forget()

    def close(self) -> None:
        with _without_interrupts():
            if ray.is_initialized():
                for member in self._members:
                    with contextlib.suppress(Exception):
                        ray.kill(member.actor)
            self._members = []
            self._make_worker = None
            if self._connected_here:
                ray.shutdown()
            if self._folder is not None:
                _remove(self._folder)
                self._folder = None

    def _connect(self, workers: int | None, address: str | None) -> None:
        """Start Ray for local workers, or connect to the cluster at `address`."""
        logging.getLogger("ray").setLevel(logging.ERROR)
        # Ray prints ten lines about a worker that dies; here it is replaced, which is no news.
        ray._private.worker._worker_logs_enabled = False
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
        if address is None:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            if "RAY_AUTH_TOKEN_PATH" not in os.environ:
                # Ray would leave a token in the user's home folder.
                os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
            self._folder = _short_folder()
            ray.init(
                num_cpus=workers,
                include_dashboard=False,
                _temp_dir=str(self._folder),
                _node_ip_address="127.0.0.1",
                **quiet,
            )
            return
        try:
            ray.init(address=address, runtime_env={"py_modules": _program()}, **quiet)
        except (OSError, RuntimeError, ValueError, RayError) as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise InputError(
                "--address: expected a running Ray cluster, with this version of Ray and Python. "
                f"Received: {address!r} ({reason})"
            ) from None

    def _add_member(self) -> None:
        actor = self._actors.remote()
        starting = actor.node.remote(), actor.make.remote(self._make_worker)
        self._members.append(_Member(actor, deque((reference, None) for reference in starting)))

    def _hand_out(self, source: "_Source", again: deque, common: tuple) -> None:
        """Give items to the workers that have room, the idle ones first."""
        while ready := [member for member in self._members if member.ready]:
            member = min(ready, key=lambda member: len(member.queue))
            if len(member.queue) > self._ahead:
                return
            job = again.popleft() if again else source.take()
            if job is None:
                return
            member.queue.append((member.actor.work.remote(job.item, *common), job))

    def _answers(self) -> Iterator[tuple[_Member, Any]]:
        """(worker, what it answered to its oldest question), waiting a second for the first.

        An answer is an exception where the worker is dead.
        """
        heads = {member.queue[0][0]: member for member in self._members if member.queue}
        if (
            not any(member.node for member in self._members)
            and time.monotonic() - self._since > _PLACED_WITHIN
        ):
            raise RunStopped(
                f"--workers: no node had room for a worker within {_PLACED_WITHIN} seconds"
            )
        ray.wait(list(heads), timeout=1)
        done, _ = ray.wait(list(heads), num_returns=len(heads), timeout=0)
        for reference in done:
            try:
                yield heads[reference], ray.get(reference)
            except (RayError, StopRun) as error:
                yield heads[reference], error

    def _take(self, member: _Member, answer: Any, again: deque) -> tuple | None:
        """Take a worker's answer: (job, value, failure), or None if no item is done by it."""
        job = member.queue[0][1]
        if isinstance(answer, RayTaskError):
            answer = answer.cause if isinstance(answer.cause, Exception) else answer
            if job is None and isinstance(answer, RayError):
                reason = str(answer).strip().splitlines()[0]
                raise RunStopped(f"--workers: a worker could not be made ({reason})")
            if job is None or isinstance(answer, StopRun):
                raise answer
            answer = None, failure_of(answer)  # its value, say, cannot be sent
        if isinstance(answer, Exception):
            return self._replace(member, again)
        member.queue.popleft()
        if job is not None:
            return job, *answer
        if member.node is None:
            member.node = answer
        else:
            member.ready, self._starts_failed = True, 0
        return None

    def _replace(self, member: _Member, again: deque) -> tuple | None:
        """Put a new worker in the place of a dead one; its items are done again."""
        self._members.remove(member)
        with contextlib.suppress(Exception):
            ray.kill(member.actor)  # it may only be out of reach
        alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
        own_fault = member.node is None or member.node in alive
        if not any(known.node for known in self._members):
            self._since = time.monotonic()
        self._add_member()
        jobs = _jobs(member)
        if not member.ready and own_fault:
            self._starts_failed += 1
            if self._starts_failed >= MOST_DEATHS * self.count:
                raise RunStopped(
                    f"--workers: workers died {self._starts_failed} times while they started; "
                    "fewer of them need less memory"
                )
        given_up = None
        if jobs and member.ready and own_fault:
            jobs[0].deaths += 1
            if jobs[0].deaths >= MOST_DEATHS:
                given_up = jobs.pop(0)
        again.extendleft(reversed(jobs))
        if given_up is None:
            return None
        message = f"its worker died {MOST_DEATHS} times, of too little memory perhaps"
        return given_up, None, Failure(message, crashed=True)

    def _forget(self) -> None:
        """Drop what is on its way; an item that is being worked on comes to its end unheard."""
        if not ray.is_initialized():
            return
        for member in self._members:
            for reference, job in list(member.queue)[1:]:
                if job is not None:
                    with contextlib.suppress(Exception):
                        ray.cancel(reference)
            member.queue = deque(entry for entry in member.queue if entry[1] is None)


class _Source:
    """Takes items from an iterable one by one, not far ahead of the outcome that is expected."""

    def __init__(self, items: Iterable, order: InOrder | None, window: int):
        self._items = enumerate(items)
        self._order = order
        self._window = window
        self._taken = 0
        self.ended = False

    def take(self) -> _Job | None:
        """The next item, or None if there is none, or none yet."""
        if self._order is not None and self._taken >= self._order.expected + self._window:
            return None
        for index, item in self._items:
            self._taken += 1
            return _Job(index, item)
        self.ended = True
        return None


def _jobs(member: _Member) -> list[_Job]:
    return [job for _, job in member.queue if job is not None]


def _shares(workers: int | None, address: str | None) -> tuple[int, dict]:
    """How many workers, and the options of an actor: its part of the cores, a GPU if there are any.

    Raises:
        InputError: a cluster without a node.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = int(sum(node.get("GPU", 0) for node in nodes))
    cores = [int(node["CPU"]) for node in nodes if node.get("CPU", 0) >= 1]
    if workers is None:
        workers = gpus or len(cores)
    if workers < 1:
        raise InputError("--address: expected a cluster with cores. Received: one without")
    if 0 < gpus < workers:
        warnings.warn(
            f"--workers {workers}: {gpus} are used, one a GPU of the cluster", stacklevel=4
        )
        workers = gpus
    if address is None:
        threads, reserved = max(1, usable_cores() // workers), 1
    else:
        threads = reserved = cores_a_worker(cores, workers)
    variables = {variable: str(threads) for variable in _THREADS}
    if address is None:  # Ray hands on the folders of the script and of the shell alone
        variables["PYTHONPATH"] = os.pathsep.join(str(Path(path).absolute()) for path in sys.path)
    options = {"num_cpus": reserved, "runtime_env": {"env_vars": variables}}
    if gpus:
        options["num_gpus"] = 1
    return workers, options | {"scheduling_strategy": "SPREAD"}


def cores_a_worker(nodes: list[int], workers: int) -> int:
    """The most cores for each of `workers`, none of which can be spread over two nodes.

    Args:
        nodes: the cores of each node.
    """
    for cores in range(max(nodes, default=1), 1, -1):
        if sum(node // cores for node in nodes) >= workers:
            return cores
    return 1


def _program() -> list[str]:
    """The package and the modules beside it, which Ray copies to the nodes."""
    package = Path(__file__).resolve().parent
    modules = (package.parent / f"{name}.py" for name in _MODULES)
    return [str(package), *(str(module) for module in modules if module.is_file())]


def _short_folder() -> Path:
    """A new folder for Ray's files, with a path short enough for its sockets.

    Raises:
        InputError: there is no such place.
    """
    for parent in dict.fromkeys((tempfile.gettempdir(), "/tmp")):
        length = len(os.fsencode(Path(parent, "nst-12345678")))
        if os.name == "nt" or length <= _LONGEST_FOLDER:  # Windows has no such sockets
            with contextlib.suppress(OSError):
                return Path(tempfile.mkdtemp(prefix="nst-", dir=parent))
    raise InputError(
        f"TMPDIR: expected a folder with a path of at most {_LONGEST_FOLDER - 13} bytes, for "
        f"--workers. Received: {tempfile.gettempdir()!r}"
    )


def _remove(folder: Path) -> None:
    """Remove Ray's files; its last processes may still write some while they end."""
    for _ in range(50):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Let a second Ctrl-C not keep processes alive, while the first one ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
