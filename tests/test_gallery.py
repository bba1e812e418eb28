"""gallery.py: in process, in local processes, and on a cluster that loses a node."""

import importlib.util
import json
import os
import random
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from conftest import draw
from PIL import Image

import gallery
import neural_style_transfer
from benchmarks.cluster import Picture, gallery_seconds
from style_transfer import cluster
from style_transfer.errors import InputError
from style_transfer.events import Evaluated, StopRun
from style_transfer.gallery import driver, plan
from style_transfer.gallery.plan import cells, find_pictures, sources
from style_transfer.gallery.task import make_task

ROOT = Path(__file__).resolve().parent.parent
with_ray = pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="needs ray")
SMALL = {
    "height": 32,
    "iter": 2,
    "evaluations": 2,
    "scales": "1",
    "weights": "random",
    "style_layers": "block1_conv1,block2_conv1",
    "content_layers": "block2_conv1",
}
OPTIONS = [text for name, value in SMALL.items() for text in (f"--{name}", str(value))]


@pytest.fixture
def folders(tmp_path):
    """photos/ with a, b and c, paintings/ with x and y; out/ is not there yet."""
    for kind, names, seed in (("photos", "abc", 1), ("paintings", "xy", 20)):
        (tmp_path / kind).mkdir()
        for number, name in enumerate(names):
            draw(40, 50 + 2 * number, seed + number).save(tmp_path / kind / f"{name}.png")
    return tmp_path


class Count:
    """Counts evaluations; stops the gallery after some."""

    def __init__(self, stop_after=None):
        self.fresh = 0
        self.stop_after = stop_after

    def __call__(self, event):
        if isinstance(event, Evaluated) and not event.replayed:
            self.fresh += 1
            if self.fresh == self.stop_after:
                raise StopRun


def paint(folders, out="out", count=None, **choices):
    """The gallery of `folders` and how many evaluations it made."""
    count = count or Count()
    places = [str(folders / name) for name in ("photos", "paintings", out)]
    album = gallery.gallery(*places, on_event=count, **SMALL | choices)
    return album, count.fresh


def results(folder):
    """Contents of the results, by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.png"))}


ALL = [f"{photo}--{painting}.png" for photo in "abc" for painting in "xy"]


def evaluations_of(folder, pattern="*--*"):
    """How many evaluations the cells of a gallery took; line searches may add some at the end."""
    records = [json.loads(path.read_text()) for path in folder.glob(f"{pattern}.json")]
    return sum(len(record["evaluations"]) for record in records)


# Which pictures, and what they are called.


def names(paths):
    return [path.name for path in paths]


def test_pictures_of_a_folder_in_the_order_of_people(tmp_path):
    for name in ("10.jpg", "9.jpg", ".hidden.jpg", "notes.txt", "B.PNG"):
        (tmp_path / name).touch()
    (tmp_path / "more.jpg").mkdir()
    assert names(find_pictures(str(tmp_path), "PHOTOS", tmp_path / "out")) == [
        "9.jpg",
        "10.jpg",
        "B.PNG",
    ]


def test_pictures_by_pattern_list_and_commas(folders, monkeypatch):
    monkeypatch.chdir(folders)
    out = folders / "out"
    (folders / "list.txt").write_text("# mine\nphotos/b.png\n\nphotos/a.png\nphotos/b.png\n")
    assert names(find_pictures("photos/[ab].png", "PHOTOS", out)) == ["a.png", "b.png"]
    assert names(find_pictures("list.txt", "PHOTOS", out)) == ["b.png", "a.png"]
    assert names(find_pictures("photos/c.png, paintings", "PHOTOS", out)) == [
        "c.png",
        "x.png",
        "y.png",
    ]
    comma = folders / "photos" / "d,e.png"
    shutil.copy(folders / "photos" / "a.png", comma)
    assert find_pictures(str(comma), "PHOTOS", out) == [comma]


@pytest.mark.parametrize("text", ["nothing", "photos/*.gif", "missing.txt", ""])
def test_no_pictures(folders, monkeypatch, text):
    monkeypatch.chdir(folders)
    (folders / "missing.txt").write_text("photos/z.png\n")
    with pytest.raises(InputError, match="PHOTOS: expected "):
        find_pictures(text, "PHOTOS", folders / "out")


def test_results_are_no_pictures_of_patterns_and_folders(folders):
    out = folders / "photos" / "out"
    out.mkdir()
    (out / "r.png").touch()
    found = find_pictures(str(folders / "photos" / "**" / "*.png"), "PHOTOS", out)
    assert names(found) == ["a.png", "b.png", "c.png"]
    with pytest.raises(InputError, match="OUT: expected another folder than PHOTOS's"):
        find_pictures(str(folders / "photos"), "PHOTOS", folders / "photos")


def test_two_pictures_of_one_name_get_names_of_their_own(folders):
    other = folders / "other"
    other.mkdir()
    shutil.copy(folders / "photos" / "b.png", other / "A.jpg")
    paths = [folders / "photos" / "a.png", other / "A.jpg", folders / "photos" / "c.png"]
    first, second, third = sources(paths, {})
    assert (first.name, second.name) == (f"a-{first.sha256[:8]}", f"A-{second.sha256[:8]}")
    assert third.name == "c"
    # What was there before keeps its name.
    kept, new, _ = sources(paths, {("a", first.sha256): "a"})
    assert (kept.name, new.name) == ("a", f"A-{second.sha256[:8]}")


def test_names_of_cells_are_their_own():
    one, two = plan.Source("a", "1", "11" * 32), plan.Source("a--b", "2", "22" * 32)
    three, four = plan.Source("b--c", "3", "33" * 32), plan.Source("c", "4", "44" * 32)
    found = [cell.name for cell in cells([one, two], [three, four], pair=False)]
    assert found == ["a--b--c", "a--c", "a--b--b--c", "a--b--c-22224444"]
    with pytest.raises(InputError, match="--pair: expected as many"):
        cells([one, two], [three], pair=True)


# In process.


def test_each_cell_is_the_picture_and_record_of_the_script(folders):
    album, evaluations = paint(folders)
    assert evaluations == evaluations_of(folders / "out")
    assert list(results(folders / "out")) == ALL
    assert all(entry.status == "done" for entry in album.entries.values())
    sources_before = results(folders / "photos") | results(folders / "paintings")
    neural_style_transfer.transfer(
        folders / "photos" / "b.png", folders / "paintings" / "y.png", folders / "alone", **SMALL
    )
    alone = (folders / "alone.png").read_bytes()
    assert (folders / "out" / "b--y.png").read_bytes() == alone
    mine, other = (
        json.loads(path.read_bytes())
        for path in (folders / "out" / "b--y.json", folders / "alone.json")
    )
    for record in (mine, other):
        del record["checksum"], record["content"]["beside"], record["styles"][0]["beside"]
        for evaluation in record["evaluations"]:
            del evaluation["seconds"]
    assert mine == other
    # The script goes on with it.
    _, record = neural_style_transfer.resume(folders / "out" / "b--y", iter=3)
    assert len(record.iterations) == 3
    assert results(folders / "photos") | results(folders / "paintings") == sources_before


def test_the_same_command_paints_only_what_is_missing_or_changed(folders):
    paint(folders)
    before = results(folders / "out")
    assert paint(folders)[1] == 0
    (folders / "out" / "a--x.png").unlink()
    draw(40, 52, 77).save(folders / "photos" / "b.png")
    draw(40, 52, 78).save(folders / "photos" / "d.png")
    out = folders / "out"
    new = paint(folders)[1]
    assert new == sum(evaluations_of(out, pattern) for pattern in ("a--x", "b--*", "d--*"))
    after = results(out)
    assert {name for name in before if before[name] != after[name]} == {"b--x.png", "b--y.png"}
    assert paint(folders, style_weight=2.0)[1] == evaluations_of(out)
    assert paint(folders, style_weight=2.0)[1] == 0
    assert paint(folders, style_weight=2.0, force=True)[1] == evaluations_of(out)
    record = out / "a--x.json"
    record.write_text(record.read_text()[:-20])
    assert paint(folders, style_weight=2.0)[1] == evaluations_of(out, "a--x")


def test_filters_that_changed_paint_all_again(folders, filters_file, tmp_path):
    file = tmp_path / "filters.npz"
    shutil.copy(filters_file("vgg19"), file)
    paint(folders, weights=str(file))
    assert paint(folders, weights=str(file))[1] == 0
    with np.load(file) as arrays:
        changed = {name: array * 1.5 for name, array in arrays.items()}
    np.savez(file, **changed)
    assert paint(folders, weights=str(file))[1] == evaluations_of(folders / "out")


@pytest.mark.parametrize("after", [1, 7, 23])
def test_stopped_and_started_again_nothing_is_evaluated_twice(folders, after):
    count = Count(stop_after=after)
    with pytest.raises(StopRun):
        paint(folders, count=count)
    listed = json.loads((folders / "out" / "gallery.json").read_text())["cells"]
    assert {cell["status"] for cell in listed} <= {"done", "missing"}
    rest = paint(folders)[1]
    assert paint(folders, "whole")[1] == after + rest
    assert results(folders / "out") == results(folders / "whole")


def test_a_cell_with_a_lost_state_is_painted_again(folders):
    with pytest.raises(StopRun):
        paint(folders, count=Count(stop_after=3))
    for file in (folders / "out" / "a--x_state").glob("*.npy"):
        file.write_bytes(b"")
    album, _ = paint(folders)
    assert all(entry.status == "done" for entry in album.entries.values())
    paint(folders, "whole")
    assert results(folders / "out") == results(folders / "whole")


def test_a_worker_killed_as_it_began_a_cell_leaves_nothing_in_the_way(folders):
    state = folders / "out" / "a--x_state"
    state.mkdir(parents=True)
    for name in ("lock", "about.txt.unfinished"):
        (state / name).touch()
    album, _ = paint(folders)
    assert all(entry.status == "done" for entry in album.entries.values())


def test_damaged_pictures_are_told_and_the_others_painted(folders, capsys):
    (folders / "photos" / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n garbage")
    (folders / "photos" / "d.png").write_bytes(b"")
    places = [str(folders / name) for name in ("photos", "paintings", "out")]
    assert gallery.main([*places, *OPTIONS]) == 1
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert lines[0].startswith("gallery.py: b--x and 1 more: PHOTOS: expected a whole picture")
    assert lines[1].startswith("gallery.py: d--x and 1 more: PHOTOS: expected a file with content")
    assert lines[2:] == [
        "gallery.py: stopped: 4 of 8 pictures could not be painted; the same command goes on "
        "from here"
    ]
    assert "8 of 8" in out
    assert list(results(folders / "out")) == [name for name in ALL if name[0] != "b"]
    page = (folders / "out" / "index.html").read_text()
    assert str(folders) not in page
    shutil.copy(folders / "photos" / "a.png", folders / "photos" / "b.png")
    (folders / "photos" / "d.png").unlink()
    assert gallery.main([*places, *OPTIONS, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert list(results(folders / "out")) == ALL


def test_pairs(folders):
    (folders / "photos" / "c.png").unlink()
    _, evaluations = paint(folders, pair=True)
    assert evaluations == evaluations_of(folders / "out")
    assert list(results(folders / "out")) == ["a--x.png", "b--y.png"]


def test_files_of_others_stay_as_they_are(folders):
    out = folders / "out"
    out.mkdir()
    mine = draw(20, 20, 5)
    mine.save(out / "a--x.png")
    album, _ = paint(folders)
    assert album.entries["a--x"].status == "failed"
    assert "a--x.png is not one of them" in album.entries["a--x"].error
    with Image.open(out / "a--x.png") as image:
        np.testing.assert_array_equal(image, mine)
    for name in ("gallery.json", "index.html"):
        other = folders / name[0]
        other.mkdir()
        (other / name).write_text("{}")
        with pytest.raises(InputError, match=f"OUT: expected a folder without another's {name}"):
            paint(folders, name[0])


def test_one_gallery_at_a_time(folders):
    refused = []

    def again(event):
        if isinstance(event, Evaluated) and not refused:
            with pytest.raises(InputError, match="OUT: expected one that no running gallery uses"):
                paint(folders)
            refused.append(True)

    places = [str(folders / name) for name in ("photos", "paintings", "out")]
    gallery.gallery(*places, on_event=again, **SMALL)
    assert refused
    assert not (folders / "out" / "gallery.lock").exists()


def test_pictures_on_the_way_are_removed(folders):
    paint(folders)
    assert not list((folders / "out").glob("*_at_iteration_*"))
    assert len(list((folders / "out").glob("*_state/*.npy"))) == len(ALL)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--workers", "0"], "--workers: expected 1 or more, or auto. Received: '0'"),
        (["--content_mask", "m.png", "--style_mask", "n.png"], "--content_mask: expected none"),
        (["--style_blend", "1,2"], "--style_blend: expected 1 weights"),
        (["--weights", "none.npz"], "--weights: expected an existing file"),
        (["--init", "none.png"], "--init: expected an existing file"),
        (["--preset", "none"], "--preset: expected one of"),
        (["--pair"], "--pair: expected as many photographs as paintings. Received: 3 and 2"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_code_2(folders, capsys, arguments, expected):
    places = [str(folders / name) for name in ("photos", "paintings", "out")]
    try:
        code = gallery.main([*places, *OPTIONS, *arguments])
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    assert capsys.readouterr().err.startswith(f"gallery.py: error: {expected}")
    assert not (folders / "out").exists()


class Page(HTMLParser):
    """Collects attributes of links and pictures, and checks that elements are closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.links, self.images = [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag == "img":
            self.images.append(attributes)
        if tag == "a":
            self.links.append(attributes["href"])
        assert tag != "script"
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_asks_for_nothing_from_elsewhere(folders):
    (folders / "photos" / "c.png").rename(folders / "photos" / 'c <&"> ü 100%.png')
    (folders / "photos" / "e.png").write_bytes(b"no picture")
    paint(folders)
    out = folders / "out"
    text = (out / "index.html").read_text()
    page = Page(text)
    assert len(page.links) == len(ALL)
    assert len(page.images) == len(ALL) + 3 + 2
    for name in page.links + [image["src"] for image in page.images]:
        assert (out / unquote(name)).is_file()
    assert all(image["alt"] for image in page.images)
    assert not re.search(r"https?:|//", text)
    draw(40, 50, 9).save(folders / "paintings" / "z.png")
    (folders / "photos" / "e.png").unlink()
    paint(folders, "pairs", pair=True)
    assert len(Page((folders / "pairs" / "index.html").read_text()).links) == 3


# Several processes.


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
        assert err == "gallery.py: stopped; the same command goes on from here\n"
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
def test_two_processes_paint_the_same_bytes_though_workers_are_killed(folders, counting):
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
        assert err == "gallery.py: stopped; the same command goes on from here\n"
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


# The simulation.


@pytest.mark.parametrize(
    ("picture", "a_second"),
    [
        (Picture(node=10.0, driver=0.001, there=1000, back=1000), 10.0),  # 100 nodes
        (Picture(node=10.0, driver=0.5, there=1000, back=1000), 2.0),  # the driver
        (Picture(node=10.0, driver=0.001, there=1000, back=10**6), 1.0),  # the network
    ],
)
def test_what_limits_a_simulated_gallery(picture, a_second):
    seconds = gallery_seconds(picture, nodes=100, pictures=5000, bandwidth=1e6)
    assert 5000 / seconds == pytest.approx(a_second, rel=0.05)


def test_one_simulated_node_does_one_thing_after_the_other():
    picture = Picture(node=2.0, driver=0.25, there=2000, back=4000)
    expected = 7 * (2.0 + 0.25 + 2 + 4)
    assert gallery_seconds(picture, nodes=1, pictures=7, bandwidth=1000) == pytest.approx(expected)
