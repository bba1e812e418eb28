"""The map of cluster.py in this process, and how many workers it takes."""

import subprocess
import sys
import textwrap

import pytest
from cluster_work import ROOT, Sums, failures_of

from style_transfer import cluster
from style_transfer.cluster import Workers
from style_transfer.errors import InputError
from style_transfer.events import StopRun


def test_in_process_items_are_answered_in_turn_without_ray():
    code = """
        import sys
        from style_transfer.cluster import Workers
        with Workers(lambda: lambda item: item * 2) as team:
            assert [outcome.value for outcome in team.map([1, 2, 3])] == [2, 4, 6]
        assert "ray" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, check=True)


def test_in_process_one_worker_takes_items_one_by_one():
    made, taken = [], []

    def make_worker():
        made.append(1)
        return lambda item, common: item + common

    def items():
        for item in range(4):
            taken.append(item)
            yield item

    with Workers(make_worker) as team:
        assert team.count == 1
        assert not made
        outcomes = team.map(items(), common=10)
        assert next(outcomes).value == 10
        assert taken == [0]
        outcomes.close()
        assert [outcome.value for outcome in team.map_in_order([1], common=1)] == [2]
    assert made == [1]


def test_in_process_an_item_that_fails_does_not_end_the_map():
    with Workers(Sums) as team:
        failures_of(team)


def test_in_process_stop_run_ends_the_map():
    with Workers(Sums) as team, pytest.raises(StopRun):
        list(team.map([1, "stop", 2]))


def test_in_process_an_error_of_make_worker_is_raised():
    def make_worker():
        raise InputError("--weights: expected …")

    with Workers(make_worker) as team, pytest.raises(InputError, match="--weights"):
        list(team.map([1]))


def test_less_than_one_worker():
    with pytest.raises(InputError, match=r"--workers: expected 1 or more, or auto. Received: 0"):
        Workers(Sums, workers=0)


def test_without_ray_one_line_tells_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError) as raised:
        Workers(Sums, workers=2)
    assert str(raised.value) == (
        "--workers: expected the package ray for more than one process; "
        "pip install -r requirements-cluster.txt"
    )


@pytest.mark.parametrize(
    ("cores", "free", "needed", "workers"),
    [(8, 100, None, 8), (8, 100, 30, 3), (2, 100, 30, 2), (8, 100, 300, 1), (8, None, 30, 8)],
)
def test_automatic_number_of_workers(monkeypatch, cores, free, needed, workers):
    monkeypatch.setattr(cluster, "usable_cores", lambda: cores)
    monkeypatch.setattr(cluster, "usable_memory", lambda: free)
    assert cluster.automatic_workers(needed) == workers
