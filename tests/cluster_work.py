"""Work for the tests of cluster.py's map, and what comes of it."""

import importlib.util
import os
import secrets
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from style_transfer.errors import InputError
from style_transfer.events import StopRun

ROOT = Path(__file__).resolve().parent.parent

with_ray = pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="needs ray")


class Sums:
    """Work that takes a while and has a state, as a network would be."""

    def __init__(self):
        self.matrix = np.random.default_rng(3).normal(size=(32, 32))

    def __call__(self, item, common=None):
        if item == "bad picture":
            raise InputError("expected a picture. Received: 0 bytes")
        if item == "bug":
            raise ZeroDivisionError("division by zero")
        if item == "no pickle":
            raise UnpicklableError("held a lock")
        if item == "lock":
            return (part for part in ())
        if item == "stop":
            raise StopRun
        if item == "deadly":
            os.kill(os.getpid(), signal.SIGKILL)
        if isinstance(item, tuple):
            item, seconds = item
            time.sleep(seconds)
        value = self.matrix @ np.full((32, 32), item + 1, np.float64)
        return value if common is None else value + common


class UnpicklableError(Exception):
    def __reduce__(self):
        raise TypeError("cannot pickle this")


def expected(item):
    return np.random.default_rng(3).normal(size=(32, 32)) @ np.full((32, 32), item + 1, np.float64)


def values(outcomes):
    return {outcome.index: outcome.value for outcome in outcomes}


def check(found, count):
    assert sorted(found) == list(range(count))
    for index in range(count):
        np.testing.assert_array_equal(found[index], expected(index))


def failures_of(team):
    items = [1, "bad picture", "bug", "no pickle", 2]
    outcomes = sorted(
        team.map(items, name=lambda item: f"<{item}>"), key=lambda outcome: outcome.index
    )
    assert [outcome.item for outcome in outcomes] == items
    assert [outcome.failure is None for outcome in outcomes] == [True, False, False, False, True]
    bad, bug, odd = (outcome.failure for outcome in outcomes[1:4])
    assert bad.message == "<bad picture>: expected a picture. Received: 0 bytes"
    assert type(bad.error) is InputError
    assert bug.message == "<bug>: ZeroDivisionError: division by zero"
    assert isinstance(bug.error, ZeroDivisionError)
    assert "in __call__" in bug.trace
    assert odd.message == "<no pickle>: UnpicklableError: held a lock"
    assert odd.error is None
    assert not any(failure.crashed for failure in (bad, bug, odd))
    np.testing.assert_array_equal(outcomes[4].value, expected(2))


def answer(code: str, temporary: Path) -> str:
    """What a program prints, all of it; Ray's files go to `temporary`."""
    environment = {
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests"))),
        "RAY_TMPDIR": str(temporary),
        "HOME": str(temporary),
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=80,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    print(done.stderr)
    return done.stdout
