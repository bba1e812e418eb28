"""The outcome of an item of the map in cluster.py: its value, or why there is none."""

import pickle
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from style_transfer.errors import InputError
from style_transfer.events import StopRun

MOST_DEATHS = 3  # of workers at one item before it is given up


@dataclass(frozen=True)
class Failure:
    """Why an item has no value.

    Attributes:
        message: one line, with the item's name.
        error: the exception that the item raised; None if the worker died, or if the exception
            cannot be sent from one process to another.
        crashed: whether the item's workers died `MOST_DEATHS` times: killed by the system for using
            too much memory, or through a fault in a library.
        trace: the traceback in the worker, for a bug report; empty if the worker died.
    """

    message: str
    error: Exception | None = None
    crashed: bool = False
    trace: str = ""


@dataclass(frozen=True)
class Outcome:
    """An item that is done.

    Attributes:
        index: the item's number in the order of `items`, from 0.
        item: the item itself.
        value: the worker's result. Arrays in it may be read-only, being in shared memory.
        failure: why there is no value, or None.
    """

    index: int
    item: Any
    value: Any = None
    failure: Failure | None = None


def call(worker: Callable, item: Any, common: tuple) -> tuple[Any, Failure | None]:
    """An item's value, or why there is none; the message does not name the item yet.

    Raises:
        StopRun: raised by the item.
    """
    try:
        return worker(item, *common), None
    except StopRun:
        raise
    except Exception as error:
        return None, failure_of(error)


def failure_of(error: Exception) -> Failure:
    """The failure that an exception means, in a form that can be pickled."""
    message = str(error).strip()
    if not isinstance(error, InputError):  # whose messages are written for the user
        message = f"{type(error).__name__}: {message}" if message else type(error).__name__
    trace = "".join(traceback.format_exception(error))
    carried: Exception | None = error
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        carried = None
    return Failure(" ".join(message.split()), carried, trace=trace)


def outcome_of(index, item, value, failure: Failure | None, name: Callable) -> Outcome:
    """The outcome, with the item's name in its message."""
    if failure is not None:
        message = f"{name(item)}: {failure.message}"
        failure = Failure(message, failure.error, failure.crashed, failure.trace)
    return Outcome(index, item, value, failure)


class InOrder:
    """Puts outcomes into their items' order.

    Attributes:
        expected: the index of the next outcome to yield.
    """

    def __init__(self):
        self.expected = 0
        self._waiting = {}

    def sorted(self, outcome: Outcome) -> Iterator[Outcome]:
        """The outcomes that can be yielded now that `outcome` has arrived."""
        self._waiting[outcome.index] = outcome
        while self.expected in self._waiting:
            self.expected += 1
            yield self._waiting.pop(self.expected - 1)
