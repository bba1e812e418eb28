"""The map of cluster.py in local processes, and on a cluster that loses a node."""

import importlib.util
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from cluster_work import (
    ROOT,
    Sums,
    answer,
    check,
    expected,
    failures_of,
    values,
    with_ray,
)

from style_transfer.cluster import Workers
from style_transfer.errors import InputError
from style_transfer.events import StopRun

# Local processes.


@pytest.fixture
def temporary(monkeypatch):
    """A short folder for temporary files, which must be empty in the end."""
    folder = Path(tempfile.mkdtemp(prefix="t", dir="/tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder
    left = list(folder.iterdir())
    shutil.rmtree(folder)
    assert not left


@pytest.fixture(scope="module")
def local():
    """Two local workers, for several tests."""
    if not importlib.util.find_spec("ray"):
        pytest.skip("needs ray")
    with Workers(Sums, workers=2) as team:
        yield team


def test_local_workers_keep_their_state_and_answer_all(local):
    check(values(local.map(range(30))), 30)
    assert local.count == 2


def test_local_what_is_common_reaches_all_items(local):
    found = values(local.map(range(5), common=np.full((32, 32), 7.0)))
    for index in range(5):
        np.testing.assert_array_equal(found[index], expected(index) + 7)


def test_local_failures_are_told_as_in_process(local):
    failures_of(local)


def test_local_an_unsendable_value_is_its_items_failure(local):
    first, second = local.map_in_order(["lock", 1])
    assert first.failure.message.startswith("lock: TypeError: ")
    np.testing.assert_array_equal(second.value, expected(1))


def test_local_results_come_as_they_are_done(local):
    order = [outcome.index for outcome in local.map([(0, 1.0), (1, 0), (2, 0), (3, 0)])]
    assert order.index(0) > 0
    assert sorted(order) == [0, 1, 2, 3]


def test_local_in_order_no_worker_runs_far_ahead(local):
    taken, given = [], []

    def items():
        for item in range(40):
            taken.append(item)
            yield item, 0.5 if item == 0 else 0

    for outcome in local.map_in_order(items()):
        given.append(outcome.index)
        assert len(taken) <= len(given) + 4 * local.count
    assert given == list(range(40))


def test_local_items_are_taken_as_they_are_needed(local):
    taken = 0

    def items():
        nonlocal taken
        for item in range(20):
            taken += 1
            yield item

    for done, _ in enumerate(local.map(items())):
        # The answers that have come already are done, though not given out yet.
        assert taken <= done + 1 + 2 * local.count + 1


def test_local_a_map_given_up_leaves_its_workers(local):
    outcomes = local.map([(item, 0.1) for item in range(20)])
    next(outcomes)
    outcomes.close()
    check(values(local.map(range(6))), 6)


def test_local_an_item_that_kills_its_workers_is_given_up(local):
    outcomes = list(local.map([0, 1, "deadly", 3, 4, 5]))
    found = {outcome.index: outcome for outcome in outcomes}
    assert found[2].failure.crashed
    assert found[2].failure.message.startswith("deadly: its worker died 3 times")
    for index in (0, 1, 3, 4, 5):
        np.testing.assert_array_equal(found[index].value, expected(index))


def worker_pids():
    listing = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True)
    return [int(line.split()[0]) for line in listing.stdout.splitlines() if "ray::_Actor" in line]


def test_local_workers_killed_at_random_moments(local):
    rng = random.Random(5)
    kills, found, due = 0, {}, time.monotonic()
    for outcome in local.map([(item, 0.03) for item in range(80)]):
        assert outcome.failure is None
        found[outcome.index] = outcome.value
        if kills < 6 and time.monotonic() > due and (pids := worker_pids()):
            os.kill(rng.choice(pids), signal.SIGKILL)
            kills += 1
            due = time.monotonic() + rng.uniform(0.05, 0.8)
    check(found, 80)
    assert kills >= 3


def test_local_stop_run_ends_the_map(local):
    with pytest.raises(StopRun):
        list(local.map([0, "stop", 2]))
    check(values(local.map(range(3))), 3)


DRIVER = """
    import sys, time
    from style_transfer.cluster import Workers

    def make_worker():
        import os
        print("made", os.getpid())
        threads = [os.environ[f"{name}_NUM_THREADS"] for name in ("OMP", "MKL")]
        threads.append(os.environ["TF_NUM_INTRAOP_THREADS"])
        def work(item):
            time.sleep(0.2)
            return threads
        return work

    with Workers(make_worker, workers=2) as team:
        for outcome in team.map(range(100000)):
            print(outcome.value, flush=True)
"""


def children(parent: int) -> set[int]:
    """Processes below `parent`."""
    listing = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True, check=True)
    pairs = [tuple(map(int, line.split())) for line in listing.stdout.splitlines()[1:]]
    found = {parent}
    for _ in range(6):
        found |= {pid for pid, of in pairs if of in found}
    return found - {parent}


@with_ray
def test_ctrl_c_leaves_no_process_and_no_folder(temporary):
    script = temporary / "driver.py"
    script.write_text(textwrap.dedent(DRIVER))
    home = temporary / "home"
    home.mkdir()
    driver = subprocess.Popen(
        [sys.executable, str(script)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    line = driver.stdout.readline()
    below = children(driver.pid)
    assert len(below) > 3
    os.killpg(driver.pid, signal.SIGINT)  # as a terminal does: all processes get it
    time.sleep(0.3)
    os.kill(driver.pid, signal.SIGINT)  # an impatient user
    output, errors = driver.communicate(timeout=30)
    script.unlink()
    assert not list(home.iterdir())
    home.rmdir()
    threads = str(max(1, len(os.sched_getaffinity(0)) // 2))
    assert line.strip() == str([threads] * 3)
    assert driver.returncode == -signal.SIGINT
    assert errors.strip().splitlines()[-1] == "KeyboardInterrupt"
    assert "ray" not in output
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and (alive := below & set(all_pids())):
        time.sleep(0.1)
    assert not alive


def all_pids():
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


@with_ray
def test_a_temporary_folder_with_a_long_name_is_passed_over(temporary, monkeypatch):
    from style_transfer import ray_session

    long = temporary / ("x" * 60)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    folder = ray_session._short_folder()
    longest = len(f"{folder}{ray_session._SOCKET}")
    assert longest <= 103
    folder.rmdir()
    long.rmdir()


@with_ray
@pytest.mark.parametrize(
    ("nodes", "workers", "cores"),
    [([8, 8], 2, 8), ([8, 8], 3, 4), ([3, 3], 3, 1), ([16, 4], 3, 5), ([2], 4, 1), ([], 1, 1)],
)
def test_cores_a_worker(nodes, workers, cores):
    from style_transfer import ray_session

    assert ray_session.cores_a_worker(nodes, workers) == cores


# A cluster of two nodes.


@with_ray
def test_on_a_cluster_workers_fail_and_a_node_is_lost(temporary):
    code = """
        import os, sys, time
        from ray.cluster_utils import Cluster
        from style_transfer.cluster import Workers
        from style_transfer.errors import InputError
        import cluster_work

        nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        second = nodes.add_node(num_cpus=1)

        def refuse():
            raise InputError("--weights: expected ...")

        for make_worker in (refuse, lambda: os._exit(1)):
            try:
                with Workers(make_worker, workers=2, address=nodes.address) as team:
                    list(team.map([1]))
            except Exception as error:
                print(f"{type(error).__name__}: {error}")

        with Workers(cluster_work.Sums, workers=2, address=nodes.address) as team:
            found = {}
            for outcome in team.map([(item, 0.05) for item in range(40)]):
                assert outcome.failure is None, outcome.failure
                found[outcome.index] = outcome.value
                if len(found) == 15:
                    nodes.remove_node(second)
                if len(found) == 30:
                    nodes.add_node(num_cpus=1)
        cluster_work.check(found, 40)
        nodes.shutdown()
        print("all done")
    """
    assert answer(code, temporary).splitlines() == [
        "InputError: --weights: expected ...",
        "RunStopped: --workers: workers died 4 times while they started; fewer of them need less "
        "memory",
        "all done",
    ]
    for left in temporary.iterdir():  # of the cluster, not of Workers
        shutil.rmtree(left)


@with_ray
def test_no_cluster_at_the_address():
    with pytest.raises(InputError, match="--address: expected a running Ray cluster"):
        Workers(Sums, address="127.0.0.1:9")


@with_ray
@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:port", "http://"])
def test_no_address_at_all(address):
    with pytest.raises(InputError, match="--address: expected HOST:PORT or auto. Received: "):
        Workers(Sums, address=address)


@with_ray
def test_ray_that_does_not_start_is_one_line(temporary):
    answered = answer(
        """
        import ray
        from style_transfer.cluster import Workers
        from style_transfer.errors import RunStopped

        def late(**how):
            raise Exception("The current node timed out during startup.\\nMore.")

        ray.init = late
        try:
            Workers(int, workers=2)
        except RunStopped as error:
            print(error)
        """,
        temporary,
    )
    assert answered.splitlines() == [
        "Ray did not start on this machine: The current node timed out during startup."
    ]


@with_ray
def test_ray_is_connected_elsewhere_already(local):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(InputError, match="--address: expected the cluster that Ray is connect"):
            Workers(Sums, address=address)
    check(values(local.map(range(3))), 3)
