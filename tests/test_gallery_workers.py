"""gallery.py in several processes, and on a cluster that loses a node."""

import importlib.util
import json
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import pytest
from galleries import OPTIONS, ROOT, SMALL, paint, results

import neural_style_transfer
from style_transfer import cluster
from style_transfer.gallery import driver, plan
from style_transfer.gallery.task import make_task

with_ray = pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="needs ray")


@pytest.mark.parametrize(
    ("cores", "memory", "pending", "workers"),
    [(1, None, 9, 1), (2, None, 9, 1), (8, None, 9, 4), (8, None, 3, 3), (8, 2 << 30, 9, 2)],
)
def test_how_many_processes_are_chosen(folders, monkeypatch, cores, memory, pending, workers):
    monkeypatch.setattr(driver, "usable_cores", lambda: cores)
    monkeypatch.setattr(cluster, "usable_cores", lambda: cores)
    monkeypatch.setattr(cluster, "usable_memory", lambda: memory)
    monkeypatch.setattr(driver.importlib.util, "find_spec", lambda name: name == "ray")
    task = make_task(folders / "out", "default", dict(SMALL), print)
    photo, painting = (plan.Source(n, str(folders / "photos" / f"{n}.png"), n) for n in "ab")
    found = [plan.Cell(str(number), photo, painting) for number in range(pending)]
    assert driver.chosen_workers(task, found) == workers
    monkeypatch.setattr(driver.importlib.util, "find_spec", lambda name: None)
    assert driver.chosen_workers(task, found) == 1


def run(folders, *arguments, code=None, **options):
    """The command line in a process of its own; returns it, running."""
    places = [str(folders / name) for name in ("photos", "paintings", "out")]
    command = [sys.executable, str(ROOT / "gallery.py")]
    if code:
        command = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.Popen(
        [*command, *places, *OPTIONS, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


# Each evaluation adds a byte to the file that COUNT names, and takes a while.
COUNTING = """
    import os, sys, time
    import neural_style_transfer

    def counting(run, inputs, shared):
        objective_at = neural_style_transfer.vgg_objectives(run, inputs, shared)

        def counted_at(size):
            objective = objective_at(size)

            def evaluate(image):
                time.sleep(float(os.environ.get("SLEEP", 0)))
                answer = objective(image)
                with open(os.environ["COUNT"], "ab") as file:
                    file.write(b".")
                return answer

            return evaluate

        return counted_at

    if __name__ == "__main__":
        import gallery
        sys.exit(gallery.main(objectives=counting))
"""


@pytest.fixture
def counting(tmp_path):
    """The environment of a gallery that counts, and the file with the count."""
    count = tmp_path / "count"
    count.touch()
    paths = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    return os.environ | {"COUNT": str(count), "PYTHONPATH": paths}, count


def finished_states(out):
    return {path.name for path in out.glob("*.json") if '"finished"' in path.read_text()}


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_stopped_in_process_the_same_command_goes_on(folders, counting, number):
    environment, count = counting
    process = run(folders, code=COUNTING, env=environment | {"SLEEP": "0.1"})
    wait_for(lambda: count.stat().st_size >= 6)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert err == "gallery.py: stopped; run the same command again to continue\n"
    done = run(folders, code=COUNTING, env=environment)
    out, err = done.communicate(timeout=60)
    assert (done.returncode, err) == (0, "")
    whole = paint(folders, "whole")[1]
    # The evaluation in flight may have been counted, and not been entered.
    assert whole <= count.stat().st_size <= whole + (number == signal.SIGKILL)
    assert results(folders / "out") == results(folders / "whole")


def workers_of(parent):
    """Ids of the processes below a driver that paint."""
    listing = subprocess.run(
        ["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True
    )
    rows = [line.split(None, 2) for line in listing.stdout.splitlines()[1:]]
    below = {parent}
    for _ in range(6):
        below |= {int(pid) for pid, of, _ in rows if int(of) in below}
    return [int(pid) for pid, _, args in rows if int(pid) in below and "ray::_Actor" in args]


@with_ray
def test_killed_workers_change_no_byte(folders, counting):
    environment, count = counting
    process = run(folders, "--workers", "2", code=COUNTING, env=environment | {"SLEEP": "0.3"})
    wait_for(lambda: count.stat().st_size >= 2)
    rng, kills = random.Random(3), 0
    while process.poll() is None and kills < 4:
        if pids := workers_of(process.pid):
            os.kill(rng.choice(pids), signal.SIGKILL)
            kills += 1
        time.sleep(rng.uniform(1, 3))
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert kills >= 2
    whole = paint(folders, "whole")[1]
    # What was in flight when a worker died is all that is evaluated again.
    assert whole <= count.stat().st_size <= whole + kills
    assert results(folders / "out") == results(folders / "whole")


@with_ray
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_stopped_in_processes_the_same_command_goes_on(folders, counting, number):
    environment, count = counting
    process = run(folders, "--workers", "2", code=COUNTING, env=environment | {"SLEEP": "0.3"})
    wait_for(lambda: count.stat().st_size >= 7)
    pids = workers_of(process.pid)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert err == "gallery.py: stopped; run the same command again to continue\n"
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    done = run(folders, "--workers", "2", code=COUNTING, env=environment)
    out, err = done.communicate(timeout=120)
    assert (done.returncode, err) == (0, "")
    whole = paint(folders, "whole")[1]
    assert whole <= count.stat().st_size <= whole + len(pids)
    assert results(folders / "out") == results(folders / "whole")


@pytest.fixture
def temporary(monkeypatch):
    """A short folder for Ray's files."""
    folder = Path(tempfile.mkdtemp(prefix="t", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@with_ray
@pytest.mark.parametrize("weights", ["random", "file"])
def test_a_cluster_that_loses_a_node_paints_the_same_bytes(
    folders, temporary, filters_file, weights
):
    weights = filters_file("vgg19") if weights == "file" else weights
    code = """
        import sys, threading, time
        from pathlib import Path
        from ray.cluster_utils import Cluster
        import gallery

        nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        second = nodes.add_node(num_cpus=1)

        def remove():
            while len(list(Path(sys.argv[3]).glob("*.png"))) < 2:
                time.sleep(0.05)
            nodes.remove_node(second)
            print("removed")

        thread = threading.Thread(target=remove)
        thread.start()
        code = gallery.main([*sys.argv[1:], "--address", nodes.address, "--workers", "2"])
        thread.join()
        nodes.shutdown()
        sys.exit(code)
    """
    environment = {
        "PYTHONPATH": str(ROOT),
        "RAY_TMPDIR": str(temporary),
        "HOME": str(temporary),
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    process = run(folders, "--weights", weights, code=code, env=os.environ | environment)
    out, err = process.communicate(timeout=150)
    print(err)
    assert process.returncode == 0, out + err
    assert "removed" in out
    assert "6 of 6" in out
    paint(folders, "whole", weights=weights)
    assert results(folders / "out") == results(folders / "whole")
    # The script goes on with what a node has painted; its record names the files of this machine.
    record = json.loads((folders / "out" / "c--y.json").read_text())
    assert record["content"]["path"] == str(folders / "photos" / "c.png")
    assert record["content"]["beside"] == str(Path("..", "photos", "c.png"))
    assert record["filters"]["file"] == (None if weights == "random" else weights)
    _, record = neural_style_transfer.resume(folders / "out" / "c--y", iter=3)
    assert len(record.iterations) == 3
    assert paint(folders, weights=weights)[1] > 0  # c--y has other settings now
