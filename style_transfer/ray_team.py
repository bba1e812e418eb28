"""The workers of cluster.py on Ray: local processes, or actors on a cluster's nodes.

Ray itself restarts nothing here (`max_restarts=0`). This module replaces a worker that dies by a
new one, perhaps on another node, and hands out its unfinished items again. So every death is
noticed, and counted against the item in progress.
"""

import contextlib
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from style_transfer.errors import RunStopped
from style_transfer.events import StopRun
from style_transfer.outcomes import (
    MOST_DEATHS,
    Failure,
    InOrder,
    Outcome,
    call,
    failure_of,
    outcome_of,
)
from style_transfer.ray_session import check_address, connect, disconnect, shares

_PLACED_WITHIN = 120  # seconds within which at least one worker must have found a node


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
    """An item in flight."""

    index: int
    item: Any
    deaths: int = 0


@dataclass(eq=False)
class _Member:
    """A worker: its actor, its node once it has one, and (reference, job) of each pending call.

    The job is None for calls that belong to its start.
    """

    actor: Any
    queue: deque[tuple[Any, _Job | None]]
    node: str | None = None
    ready: bool = field(default=False)


class RayTeam:
    """Workers in their own processes; see cluster.Workers for arguments and errors.

    A program that is already connected to Ray (a notebook, say) stays connected.
    """

    def __init__(self, make_worker, workers: int | None, address: str | None, ahead: int):
        check_address(address)
        self._folder = None
        self._connected_here = not ray.is_initialized()
        self._members = []
        self._starts_failed = 0
        self._ahead = ahead
        try:
            if self._connected_here:
                self._folder = connect(workers, address)
            self.count, options = shares(workers, address)
            self._actors = _Actor.options(**options)  # type: ignore[attr-defined]
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
            order: knows which outcome the consumer is waiting for, so that others do not run far
                ahead of it; None if the order does not matter.
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
                        del outcome, value, job  # else the last value stays in shared memory
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
                disconnect(self._folder)
                self._folder = None

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
        """(worker, the answer to its oldest call) of all that have one, within a second.

        The answer of a dead worker is an exception.
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
        """Process a worker's answer: (job, value, failure), or None if it completes no item."""
        job = member.queue[0][1]
        if isinstance(answer, RayTaskError):
            answer = answer.cause if isinstance(answer.cause, Exception) else answer
            if job is None and isinstance(answer, RayError):
                reason = str(answer).strip().splitlines()[0]
                raise RunStopped(f"--workers: a worker could not be made ({reason})")
            if job is None or isinstance(answer, StopRun):
                raise answer
            answer = None, failure_of(answer)  # the item's value cannot be pickled, say
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
        """Replace a dead worker; its items are computed again."""
        self._members.remove(member)
        with contextlib.suppress(Exception):
            ray.kill(member.actor)  # it may merely be unreachable
        alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
        own_fault = member.node is None or member.node in alive
        if not any(known.node for known in self._members):
            self._since = time.monotonic()
        self._add_member()
        jobs = _jobs(member)
        if not member.ready and own_fault:
            self._starts_failed += 1
            if self._starts_failed >= max(MOST_DEATHS, 2 * self.count):
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
        message = f"its worker died {MOST_DEATHS} times, perhaps for lack of memory"
        return given_up, None, Failure(message, crashed=True)

    def _forget(self) -> None:
        """Drop all items in flight; a worker finishes its current item, but nobody reads it."""
        if not ray.is_initialized():
            return
        for member in self._members:
            for reference, job in list(member.queue)[1:]:
                if job is not None:
                    with contextlib.suppress(Exception):
                        ray.cancel(reference)
            member.queue = deque(entry for entry in member.queue if entry[1] is None)


class _Source:
    """Takes items from an iterable one by one, not far ahead of the expected outcome."""

    def __init__(self, items: Iterable, order: InOrder | None, window: int):
        self._items = enumerate(items)
        self._order = order
        self._window = window
        self._taken = 0
        self.ended = False

    def take(self) -> _Job | None:
        """The next item, or None if there is none (yet)."""
        if self._order is not None and self._taken >= self._order.expected + self._window:
            return None
        for index, item in self._items:
            self._taken += 1
            return _Job(index, item)
        self.ended = True
        return None


def _jobs(member: _Member) -> list[_Job]:
    return [job for _, job in member.queue if job is not None]


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ignore a second Ctrl-C while the first one ends processes, so that none stays alive."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
