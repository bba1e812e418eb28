"""One map over tiles, pictures or frames: in this process, in local processes, or on a cluster.

More than one process needs Ray (requirements-cluster.txt). Each worker is an object that keeps its
state between items: the network, its filters, the style's targets.

    with Workers(make_worker, workers=2) as team:
        for outcome in team.map(items):
            ...

`make_worker()` runs once in each worker and returns a function of one item. A worker that dies is
replaced, and its items are computed again, so an item's result must not depend on earlier items.
"""

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from style_transfer.errors import InputError
from style_transfer.machine import usable_cores, usable_memory
from style_transfer.outcomes import Failure, InOrder, Outcome, call, outcome_of

LARGEST_TEAM = 100_000  # workers; more is a slip of the keyboard

__all__ = ["Failure", "Outcome", "Workers", "automatic_workers", "check_ray", "parse_workers"]


class Workers:
    """Workers that compute items one after another; a context manager that ends them.

    Args:
        make_worker: called once in each worker; returns the function of one item, or of an item
            and `common`. Sent to other processes by pickle, like items and values.
        workers: how many; None chooses: `automatic_workers` on this machine, and on a cluster one
            per GPU, or one per node without GPUs. 1 without an address: this process, without Ray.
        address: the address of a Ray cluster ("auto": the one on this machine), or None.
        memory: bytes that each worker needs, used to choose their number.
        ahead: items queued at each worker while it is busy, so that it does not wait for the next
            to arrive. Use 0 for items that take many seconds, so that none is stuck in a slow
            worker's queue at the end.

    Raises:
        InputError: Ray is missing, or there is no cluster at the address.
    """

    def __init__(
        self,
        make_worker: Callable[[], Callable],
        workers: int | None = 1,
        address: str | None = None,
        memory: int | None = None,
        ahead: int = 1,
    ):
        if workers is not None and workers < 1:
            raise InputError(f"--workers: expected 1 or more, or auto. Received: {workers}")
        if workers is None and address is None:
            workers = automatic_workers(memory)
        if workers == 1 and address is None:
            self._team = _InProcess(make_worker)
        else:
            self._team = _ray_team()(make_worker, workers, address, ahead)

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    @property
    def count(self) -> int:
        """The number of workers, not counting losses."""
        return self._team.count

    def map(
        self, items: Iterable, common: Any = None, name: Callable[[Any], str] = str
    ) -> Iterator[Outcome]:
        """The items' outcomes, each as soon as it is done.

        Items are taken from the iterable as needed: at most 2 per worker are in flight.

        Args:
            items: the items; each goes to one worker.
            common: if not None, sent once to each worker for all items; the worker is then called
                with (item, common).
            name: returns an item's name for messages.

        Raises:
            StopRun: raised by an item; the map ends.
            RunStopped: workers cannot be started, or the cluster is lost.
            Exception: raised by `make_worker`.
        """
        return self._team.map(items, common, name, None)

    def map_in_order(
        self, items: Iterable, common: Any = None, name: Callable[[Any], str] = str
    ) -> Iterator[Outcome]:
        """Like `map`, but in the order of the items, so that a sum of values is always the same.

        Outcomes wait in this process for earlier ones, at most 4 per worker.
        """
        order = InOrder()
        outcomes: Any = self._team.map(items, common, name, order)  # a generator
        with contextlib.closing(outcomes):
            for outcome in outcomes:
                yield from order.sorted(outcome)

    def close(self) -> None:
        """End the workers and everything started for them; items in flight are dropped."""
        self._team.close()


def automatic_workers(memory: int | None = None) -> int:
    """The number of local workers that cores and memory allow.

    Args:
        memory: bytes that each worker needs, if known.
    """
    workers = usable_cores()
    usable = usable_memory()
    if memory and usable is not None:
        workers = min(workers, usable // memory)
    return max(1, workers)


def parse_workers(text: int | str) -> int | None:
    """The number given by `--workers`; None for `auto`.

    Raises:
        InputError: `text` is neither `auto` nor a whole number of at least 1.
    """
    if text == "auto":
        return None
    if not str(text).isdecimal() or not 1 <= int(text) <= LARGEST_TEAM:
        raise InputError(
            f"--workers: expected a number from 1 to {LARGEST_TEAM:,}, or auto. Received: {text!r}"
        )
    return int(text)


def check_ray(address: str | None) -> None:
    """Fail early if Ray is not installed, or if there is no cluster at the address.

    Raises:
        InputError: the message names the option.
    """
    _ray_team()
    from style_transfer.ray_session import check_address

    check_address(address)


class _InProcess:
    """One worker, in this process."""

    count = 1

    def __init__(self, make_worker: Callable[[], Callable]):
        self._worker = functools.cache(make_worker)

    def map(self, items, common, name, _) -> Iterator[Outcome]:
        common = () if common is None else (common,)
        for index, item in enumerate(items):
            value, failure = call(self._worker(), item, common)
            yield outcome_of(index, item, value, failure, name)

    def close(self) -> None:
        self._worker.cache_clear()


def _ray_team() -> type:
    """The class of workers that use Ray, imported only when needed."""
    try:
        import ray  # noqa: F401
    except ImportError:
        raise InputError(
            "--workers: expected the package ray for more than one process; "
            "pip install -r requirements-cluster.txt"
        ) from None
    from style_transfer.ray_team import RayTeam

    return RayTeam
