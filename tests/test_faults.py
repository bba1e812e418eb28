"""No fault takes what was saved: full disks, damaged files, losses that are no numbers."""

import shutil
import struct
import subprocess
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from light import (
    LIGHT,
    SCALES,
    Light,
    files_of,
    load_record,
    one_line,
    outcome,
    saved_files_are_whole,
)
from PIL import Image

FILES = {
    "picture": {"open": "run_at_iteration_1.png.unfinished", "nth": 1},
    "image": {"open": "iteration_1.npy.unfinished", "nth": 1},
    "record": {"open": "run.json.unfinished", "nth": 3},
    "result": {"open": "run.png.unfinished", "nth": 1},
    "journal": {"evaluation": 25},
}


def disk_full_while_writing(light: Light, prefix: Path, fault: dict, reason: str) -> None:
    code, _, errors = light.begin(fault, prefix)
    assert code == 1
    name = fault.get("open", "journal").removesuffix(".unfinished")
    one_line(errors, f"stopped: {reason}: ", f"{name}'; continue with --resume {prefix}")
    saved_files_are_whole(prefix)
    assert len(load_record(prefix).iterations) >= 1
    assert not list(prefix.parent.rglob("*.unfinished"))


@pytest.mark.parametrize("file", FILES)
def test_a_failed_write_leaves_all_that_is_saved_intact(light, file):
    prefix = light.prefix()
    disk_full_while_writing(
        light, prefix, {**FILES[file], "do": "limit files"}, "[Errno 27] File too large"
    )
    light.finish(prefix)
    assert outcome(prefix) == outcome(light.whole())


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory):
    """A folder on a file system of 4 MB."""
    folder = tmp_path_factory.mktemp("disk")
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, check=False).returncode:
        pytest.skip("mounting a small file system is not permitted")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("file", FILES)
def test_a_full_disk_ends_the_run_with_all_saved_intact(light, small_disk, file):
    prefix = small_disk / file / "run"
    prefix.parent.mkdir()
    disk_full_while_writing(
        light, prefix, {**FILES[file], "do": "fill disk"}, "[Errno 28] No space left on device"
    )
    (prefix.parent / "ballast").unlink()
    light.finish(prefix)
    assert outcome(prefix) == outcome(light.whole())
    shutil.rmtree(prefix.parent)


def test_a_full_disk_says_that_nothing_was_saved(light):
    prefix = light.prefix()
    fault = {"open": "run.json.unfinished", "nth": 1, "do": "limit files"}
    code, _, errors = light.begin(fault, prefix)
    assert code == 1
    one_line(errors, "stopped: [Errno 27]", "nothing was saved")
    assert files_of(prefix) == {}


def journal_parts(path: Path) -> tuple[bytes, list[bytes]]:
    """The first line of a journal, and its records."""
    content = path.read_bytes()
    place = content.index(b"\n") + 1
    header, records = content[:place], []
    while place < len(content):
        end = place + 8 + struct.unpack_from("<I", content, place)[0]
        records.append(content[place:end])
        place = end
    return header, records


def flip(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


DAMAGE = {
    "cut in its last record": lambda header, records: header + b"".join(records)[:-1],
    "cut to half": lambda header, records: header + b"".join(records[: len(records) // 2]) + b"ab",
    "damaged in the middle": lambda header, records: (
        header + b"".join([*records[:4], flip(records[4], 99), *records[5:]])
    ),
    "followed by zeros": lambda header, records: header + b"".join(records) + bytes(5000),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_journal_costs_time_only(light, damage):
    prefix = light.killed()
    journal = Path(f"{prefix}_state/journal")
    journal.write_bytes(DAMAGE[damage](*journal_parts(journal)))
    light.finish(prefix)
    assert outcome(prefix) == outcome(light.whole())


def with_other_question(record: bytes) -> bytes:
    """A whole record of a journal, but of another image."""
    inner = flip(record[4:-4], 0)
    return record[:4] + inner + struct.pack("<I", zlib.crc32(inner))


@pytest.mark.parametrize("damage", ["foreign", "missing", "of another machine"])
def test_without_its_journal_a_run_goes_on_and_says_so(light, damage):
    prefix = light.killed()
    done = len(load_record(prefix).iterations)
    assert done >= 2
    journal = Path(f"{prefix}_state/journal")
    header, records = journal_parts(journal)
    if damage == "foreign":
        journal.write_bytes(b"foreign\n" * 1000)
    elif damage == "missing":
        journal.unlink()
    else:
        records[3] = with_other_question(records[3])
        journal.write_bytes(header + b"".join(records))
    before = {number: Path(f"{prefix}_at_iteration_{number}.png").read_bytes() for number in (0, 1)}
    lines = light.finish(prefix).splitlines()
    why = {"of another machine": "another machine or library"}.get(damage, "no journal")
    assert lines[0].startswith("Continues from the image of iteration 1") and why in lines[0]
    assert [line.split(":")[0] for line in lines[1:]] == ["Iteration 2"]
    _, losses, iterations = outcome(prefix)
    for number, content in before.items():
        assert Path(f"{prefix}_at_iteration_{number}.png").read_bytes() == content
    assert len(iterations) == 3
    # The first loss behind iteration 1 is that of its own image.
    again = next(entry for entry in losses if entry.iteration == 2)
    assert again.total == pytest.approx(iterations[1].total, rel=1e-6)


def test_a_journal_of_another_machine_begins_again(light):
    prefix = light.killed(evaluation=5)
    journal = Path(f"{prefix}_state/journal")
    header, records = journal_parts(journal)
    journal.write_bytes(header + with_other_question(records[0]) + b"".join(records[1:]))
    lines = light.finish(prefix).splitlines()
    assert lines[0].startswith("Starts 36 x 32 again: the journal was written by another machine")
    assert outcome(prefix) == outcome(light.whole())


@pytest.mark.parametrize("file", ["run.json", "run_state/iteration_0.npy"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "foreign"])
def test_a_damaged_record_or_image_is_refused(light, file, damage):
    prefix = light.prefix()
    light.begin({"evaluation": 25, "do": "kill"}, prefix)
    path = prefix.parent / file
    whole = path.read_bytes()
    place = whole.find(b'"total": ') + 9  # of a number's first digit, in the record
    damaged = {"cut": whole[:-20], "flipped": flip(whole, place), "foreign": b"[1, 2]"}
    path.write_bytes(damaged[damage])
    before = files_of(prefix)
    code, _, errors = light.run({}, "--resume", prefix)
    assert code == 2
    one_line(errors, "error: --resume: expected", str(path))
    after = files_of(prefix)
    assert after.pop("run.json") and before.pop("run.json")  # status may be noted there
    assert {name: after[name] for name in before if "journal" not in name} == {
        name: before[name] for name in before if "journal" not in name
    }
    path.write_bytes(whole)
    light.finish(prefix)
    assert outcome(prefix) == outcome(light.whole())


def test_a_folder_that_vanishes_ends_the_run_with_a_line(light):
    prefix = light.prefix()
    code, _, errors = light.begin({"evaluation": 25, "do": "vanish"}, prefix)
    assert code == 1
    one_line(errors, "stopped: [Errno 2] No such file", "nothing was saved")


@pytest.mark.parametrize("term", ["content", "style", "total_variation", "gradient"])
def test_a_loss_that_is_no_number_stops_the_run(light, term):
    prefix = light.prefix()
    code, _, errors = light.begin({"evaluation": 25, "do": term}, prefix)
    assert code == 1
    name = "the gradient is not finite" if term == "gradient" else f"the {term} loss is nan"
    one_line(errors, f": {name};", f"continue with --resume {prefix}")
    record = load_record(prefix)
    assert record.status == "failed"
    assert all(np.isfinite(entry.total) for entry in record.evaluations)
    with Image.open(f"{prefix}.png") as picture:  # the last good one
        assert picture.size == (72, 64)
    light.finish(prefix)  # it was a passing fault
    assert outcome(prefix) == outcome(light.whole())


def test_a_clock_that_runs_backwards_changes_nothing(light):
    prefix = light.prefix()
    code, _, errors = light.begin({"clock": True}, prefix)
    assert (code, errors) == (0, "")
    assert outcome(prefix) == outcome(light.whole())
    assert all(entry.seconds >= 0 for entry in load_record(prefix).evaluations)


@pytest.mark.parametrize("resumed", [False, True], ids=["new", "resumed"])
def test_a_second_process_on_a_prefix_is_refused(light, resumed):
    prefix = light.prefix()
    light.start({"sleep": 0.1}, light.base, light.style, prefix, *SCALES)
    while not Path(f"{prefix}.json").exists():
        time.sleep(0.01)
    arguments = ["--resume", prefix] if resumed else [light.base, light.style, prefix]
    second = [*LIGHT, "{}", *arguments, "--overwrite"]
    second = subprocess.run(second, check=False, capture_output=True, text=True)
    assert second.returncode == 2
    one_line(second.stderr, "error: PREFIX: expected one that no running process uses")
    code, _, errors = light.end()
    assert (code, errors) == (0, "")
    assert outcome(prefix) == outcome(light.whole())
