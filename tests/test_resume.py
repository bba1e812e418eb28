"""Whatever ends a run, it goes on to the same bytes; and no fault takes what was saved.

Most tests run `light_program.py`, the program with a NumPy objective in the network's place.
"""

import dataclasses
import json
import random
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from style_transfer.runs import resume as rules
from style_transfer.runs.files import RunFiles
from style_transfer.runs.record import Record

HERE = Path(__file__).parent
PROGRAM = [sys.executable, str(HERE.parent / "neural_style_transfer.py")]
LIGHT = [sys.executable, str(HERE / "light_program.py")]
SIZE = ["--height", "64", "--iter", "3", "--evaluations", "10"]
SCALES = [*SIZE, "--scales", "0.5:1,1:2"]
JOBS = {
    "coarse to fine": SCALES,
    "adam": [*SCALES, "--optimizer", "adam"],
    "preconditioned": [*SCALES, "--precondition", "0.25"],
    "memory restarts": ["--preset", "keras-2", "--weights", "random", *SIZE],
}


def load_record(prefix) -> Record:
    return rules.load_record(RunFiles(Path(prefix)))


def draw_pictures(folder: Path) -> None:
    rng = np.random.default_rng(5)
    for name, size in (("base", (72, 64)), ("style", (60, 80)), ("other", (72, 64))):
        colours = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        colours.resize(size, Image.Resampling.BICUBIC).save(folder / f"{name}.png")


def outcome(prefix) -> tuple:
    """The result's bytes, and the losses of all evaluations and iterations."""
    record = load_record(prefix)
    assert record.status == "finished"
    losses = [dataclasses.replace(entry, seconds=0) for entry in record.evaluations]
    return Path(f"{prefix}.png").read_bytes(), losses, record.iterations


class Light:
    """A folder with pictures, and the light program to run in it, in forks of one process."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.runs = 0
        self.wholes = {}
        self.base, self.style = str(folder / "base.png"), str(folder / "style.png")
        draw_pictures(folder)
        self.server = subprocess.Popen(
            [*LIGHT, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, faults: dict, *arguments) -> int:
        """Start the program; returns its process's id. To be followed by `end`."""
        command = [faults, list(map(str, arguments)), *map(str, self.outputs)]
        self.server.stdin.write(json.dumps(command) + "\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline())

    def end(self) -> tuple[int, str, str]:
        """Wait for the program; returns its exit code and what it printed, out and err."""
        code = int(self.server.stdout.readline())
        return code, *(path.read_text() for path in self.outputs)

    @property
    def outputs(self) -> list[Path]:
        return [self.folder / "stdout", self.folder / "stderr"]

    def run(self, faults: dict, *arguments) -> tuple[int, str, str]:
        self.start(faults, *arguments)
        return self.end()

    def begin(self, faults: dict, prefix, *options) -> tuple[int, str, str]:
        return self.run(faults, self.base, self.style, prefix, *(options or SCALES))

    def finish(self, prefix, *options) -> str:
        """Resume to the end; returns what was printed."""
        code, said, errors = self.run({}, "--resume", prefix, *options)
        assert (code, errors) == (0, ""), errors
        return said

    def prefix(self) -> Path:
        """A new one, in a folder of its own."""
        self.runs += 1
        folder = self.folder / str(self.runs)
        folder.mkdir()
        return folder / "run"

    def whole(self, job: str = "coarse to fine") -> Path:
        """The prefix of an uninterrupted run."""
        if job not in self.wholes:
            self.wholes[job] = prefix = self.prefix()
            code, _, errors = self.begin({}, prefix, *JOBS[job])
            assert (code, errors) == (0, ""), errors
        return self.wholes[job]

    def killed(self, *options, evaluation: int = 25, **faults) -> Path:
        """The prefix of a run killed at an evaluation; by default in the middle of full size."""
        prefix = self.prefix()
        code, _, _ = self.begin(
            {"evaluation": evaluation, "do": "kill", **faults}, prefix, *options
        )
        assert code == -signal.SIGKILL
        return prefix


@pytest.fixture(scope="module")
def light(tmp_path_factory):
    light = Light(tmp_path_factory.mktemp("light"))
    yield light
    light.server.stdin.close()
    light.server.wait()


def one_line(errors: str, *parts: str) -> None:
    assert errors.count("\n") == 1 and errors.startswith("neural_style_transfer.py: "), errors
    for part in parts:
        assert part in errors, errors


def files_of(prefix: Path) -> dict[str, bytes]:
    folder = prefix.parent
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("lock", "about.txt")
    }


def saved_files_are_whole(prefix: Path) -> None:
    """Every picture opens; the record, where there is one, and its images are what was saved."""
    for path in prefix.parent.glob("*.png"):
        Image.open(path).load()
    if Path(f"{prefix}.json").exists():
        for entry in load_record(prefix).iterations:
            np.load(f"{prefix}_state/iteration_{entry.number}.npy")
            assert Path(f"{prefix}_at_iteration_{entry.number}.png").exists()


def command_for(light: Light, prefix: Path, options: list[str]) -> list[str]:
    """Resume where there is a record; where a kill came before it, the original command again."""
    if Path(f"{prefix}.json").exists():
        return ["--resume", str(prefix)]
    return [light.base, light.style, str(prefix), *options]


# Kills


def test_20_kills_at_random_moments_do_not_change_the_outcome(light):
    whole = outcome(light.whole())
    rng = random.Random(20)
    slowly = [*LIGHT, json.dumps({"sleep": 0.02})]
    started = time.monotonic()
    prefix = light.prefix()
    subprocess.run(
        [*slowly, light.base, light.style, prefix, *SCALES], check=True, stdout=subprocess.DEVNULL
    )
    lifetime = time.monotonic() - started
    assert outcome(prefix) == whole

    kills, prefix = 0, light.prefix()
    while kills < 20:
        command = [*slowly, *command_for(light, prefix, SCALES)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            try:
                code = process.wait(timeout=rng.uniform(0, lifetime))
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
        if code:  # -9; or the process ended in the very moment before
            assert code == -signal.SIGKILL
            kills += 1
            saved_files_are_whole(prefix)
        else:
            assert outcome(prefix) == whole
            prefix = light.prefix()
    code, _, errors = light.run({}, *command_for(light, prefix, SCALES))
    assert (code, errors) == (0, "")
    assert outcome(prefix) == whole


@pytest.mark.parametrize("job", JOBS)
def test_kills_in_the_midst_of_saving_do_not_change_the_outcome(light, job):
    # Lines of runs/ and evaluator.py, evenly spread over a run; each resume is killed, too.
    counter = light.folder / "lines"
    prefix = light.prefix()
    light.begin({"count": str(counter)}, prefix, *JOBS[job])
    whole = outcome(light.whole(job))
    assert outcome(prefix) == whole
    lines = int(counter.read_text())
    rng = random.Random(0)
    for line in np.linspace(1, lines, 12).astype(int).tolist():
        prefix = light.prefix()
        for fault in ({"line": line}, {"line": rng.randint(1, lines)}, {}):
            code, _, errors = light.run(fault, *command_for(light, prefix, JOBS[job]))
            assert code in (0, -signal.SIGKILL) and not errors
            saved_files_are_whole(prefix)
        assert code == 0
        assert outcome(prefix) == whole


TRUE_JOBS = {
    "coarse to fine": [*SCALES, "--network", "vgg16", "--auto_weights"],
    "adam": [*SIZE, "--scales", "1", "--optimizer", "adam", "--network", "vgg16"],
    "memory restarts": ["--preset", "keras-1", *SIZE],
}


@pytest.mark.parametrize("job", TRUE_JOBS)
def test_the_true_program_killed_and_resumed_ends_with_the_same_bytes(tmp_path, job):
    draw_pictures(tmp_path)
    layers = ["--content_layers", "block2_conv2", "--style_layers", "block1_conv1,block2_conv1"]
    options = [*TRUE_JOBS[job], "--weights", "random", *layers]
    command = [*PROGRAM, tmp_path / "base.png", tmp_path / "style.png"]
    journal = tmp_path / "killed_state" / "journal"
    picture = tmp_path / "killed_at_iteration_0.png"
    evaluations = 3 * 64 * 72 * 3 * 4  # bytes of gradients in the journal
    with subprocess.Popen([*command, tmp_path / "killed", *options, "--quiet"]) as process:
        # The kill comes as iteration 0 ends, or later where the machine is slow to tell.
        while process.poll() is None and not (
            picture.exists() and journal.stat().st_size > evaluations
        ):
            time.sleep(0.002)
        process.kill()
    assert load_record(tmp_path / "killed").status == "running"

    from neural_style_transfer import main

    assert main(["--resume", str(tmp_path / "killed"), "--quiet"]) == 0
    assert main([*map(str, command[2:]), str(tmp_path / "whole"), *options, "--quiet"]) == 0
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "whole")


# Interrupts


@pytest.mark.parametrize(
    ("do", "code"),
    [("interrupt", 130), ("terminate", 143), ("terminate group and child", 143)],
    ids=["SIGINT", "SIGTERM", "one stop that arrives as two"],
)
def test_an_interrupt_saves_and_says_how_to_resume(light, do, code):
    prefix = light.prefix()
    ended, _, errors = light.begin({"evaluation": 25, "do": do}, prefix)
    assert ended == code
    one_line(errors, f"continue with --resume {prefix}")
    record = load_record(prefix)
    assert record.status == "interrupted"
    assert len(record.evaluations) >= 26  # the one in flight is there
    losses = [entry.total for entry in record.evaluations if entry.size == 1]
    with Image.open(f"{prefix}.png") as picture:
        assert picture.size == (72, 64)
    light.finish(prefix)
    assert outcome(prefix) == outcome(light.whole())
    after = [entry.total for entry in load_record(prefix).evaluations]
    assert [total for total in after if total in losses] == losses


def test_a_second_interrupt_stops_at_once_and_tears_no_file(light):
    prefix = light.prefix()
    code, said, errors = light.begin({"evaluation": 25, "do": "interrupt twice"}, prefix)
    assert code == 130
    assert "survived" not in said and not errors
    saved_files_are_whole(prefix)
    light.finish(prefix)
    assert outcome(prefix) == outcome(light.whole())


def test_an_interrupt_before_the_run_begins_says_that_nothing_was_saved(light):
    prefix = light.prefix()
    code, _, errors = light.begin({"open": "base.png", "nth": 1, "do": "interrupt"}, prefix)
    assert code == 130
    one_line(errors, "stopped; nothing was saved")
    assert files_of(prefix) == {}
    assert not Path(f"{prefix}_state").exists()


def test_an_interrupt_while_replaying_loses_nothing(light):
    prefix = light.killed()
    before = load_record(prefix)
    code, said, _ = light.run(
        {"open": "run_state/journal", "nth": 1, "do": "interrupt"}, "--resume", prefix
    )
    assert (code, said) == (130, "")
    after = load_record(prefix)
    assert after.status == "interrupted"
    assert after.iterations == before.iterations
    light.finish(prefix)
    assert outcome(prefix) == outcome(light.whole())


# What is said


def test_a_replay_says_one_line_and_nothing_of_what_was_saved_before(light):
    prefix = light.killed()
    done = len(load_record(prefix).iterations)
    kept = Path(f"{prefix}_at_iteration_1.png").stat().st_mtime_ns if done == 2 else None
    lines = light.finish(prefix).splitlines()
    first_at_full_size = load_record(prefix).iterations[0].evaluations
    assert lines[0] == f"Replayed {25 - first_at_full_size} evaluations from the journal."
    assert [line.split(":")[0] for line in lines[1:]] == [
        f"Iteration {number}" for number in range(done, 3)
    ]
    if kept:
        assert Path(f"{prefix}_at_iteration_1.png").stat().st_mtime_ns == kept


def test_a_finished_run_has_nothing_left_to_do_and_says_so(light):
    prefix = light.prefix()
    light.begin({}, prefix)
    before = files_of(prefix)
    said = light.finish(prefix)
    assert said == "All 3 iterations are done; --iter N makes it N in all.\n"
    assert files_of(prefix) == before


def test_a_finished_run_leaves_pictures_record_and_images(light):
    assert sorted(files_of(light.whole())) == [
        "run.json",
        "run.png",
        *(f"run_at_iteration_{number}.png" for number in range(3)),
        *(f"run_state/iteration_{number}.npy" for number in range(3)),
    ]


# Faults

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
def test_a_file_that_cannot_be_written_ends_the_run_with_all_saved_intact(light, file):
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


def test_a_disk_full_from_the_start_says_that_nothing_was_saved(light):
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
def test_without_its_journal_a_run_goes_on_from_the_last_image_and_says_so(light, damage):
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


def test_a_journal_of_another_machine_before_the_first_image_begins_again(light):
    prefix = light.killed(evaluation=5)
    journal = Path(f"{prefix}_state/journal")
    header, records = journal_parts(journal)
    journal.write_bytes(header + with_other_question(records[0]) + b"".join(records[1:]))
    lines = light.finish(prefix).splitlines()
    assert lines[0].startswith("Starts 36 x 32 again: the journal was written by another machine")
    assert outcome(prefix) == outcome(light.whole())


@pytest.mark.parametrize("file", ["run.json", "run_state/iteration_0.npy"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "foreign"])
def test_a_damaged_record_or_image_is_refused_and_nothing_touched(light, file, damage):
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
def test_a_loss_that_is_no_number_stops_the_run_with_its_name(light, term):
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
def test_a_second_process_on_a_prefix_is_refused_and_the_first_unharmed(light, resumed):
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


# Going on otherwise


@pytest.mark.parametrize("job", JOBS)
def test_a_finished_run_goes_on_to_more_iterations(light, job):
    prefix = light.prefix()
    light.begin({}, prefix, *JOBS[job])
    before = files_of(prefix)
    light.finish(prefix, "--iter", "5")
    after = files_of(prefix)
    for number in range(3):
        name = f"run_at_iteration_{number}.png"
        assert after[name] == before[name]
    _, losses, iterations = outcome(prefix)
    assert [entry.number for entry in iterations] == [0, 1, 2, 3, 4]
    assert losses[: len(outcome(light.whole(job))[1])] == outcome(light.whole(job))[1]
    assert iterations[4].total < iterations[2].total


def test_a_killed_run_of_the_original_goes_on_to_more_iterations_exactly(light):
    long = light.prefix()
    options = JOBS["memory restarts"]
    light.begin({}, long, *options, "--iter", "5")
    prefix = light.killed(*options)
    light.finish(prefix, "--iter", "5")
    assert outcome(prefix) == outcome(long)


def test_fewer_iterations_than_the_small_sizes_need_are_refused(light):
    prefix = light.killed(evaluation=5)
    code, _, errors = light.run({}, "--resume", prefix, "--iter", "1")
    assert code == 2
    one_line(errors, "--iter: expected at least 2. Received: 1")


@pytest.mark.parametrize("overwrite", [False, True])
def test_going_back_keeps_later_pictures_or_removes_them_with_overwrite(light, overwrite):
    prefix = light.prefix()
    light.begin({}, prefix, *JOBS["memory restarts"])
    before = files_of(prefix)
    options = ["--overwrite"] if overwrite else []
    said = light.finish(prefix, "--from_iteration", "0", *options)
    # Each iteration begins afresh in this preset, so the same pictures come again.
    assert outcome(prefix) == outcome(light.whole("memory restarts"))
    after = files_of(prefix)
    kept = {name for name in after if "_before_" in name}
    if overwrite:
        assert not kept
    else:
        ends = ["_at_iteration_1.png", "_at_iteration_2.png", ".png"]
        assert kept == {f"run_before_1{end}" for end in ends}
        for end in ends:
            assert after[f"run_before_1{end}"] == before[f"run{end}"]
        assert f"{prefix}_before_1" in said


def test_going_back_in_a_killed_run_is_exact(light):
    prefix = light.killed(evaluation=28)
    light.finish(prefix, "--from_iteration", "0")
    assert outcome(prefix) == outcome(light.whole())


def test_going_back_to_an_iteration_not_done_is_refused(light):
    code, _, errors = light.run({}, "--resume", light.whole(), "--from_iteration", "3")
    assert code == 2
    one_line(errors, "--from_iteration: expected one of the run's iterations, 0 to 2. Received: 3")


def test_a_run_whose_first_iteration_is_not_done_has_none_to_go_back_to(light):
    prefix = light.killed(evaluation=5)
    code, _, errors = light.run({}, "--resume", prefix, "--from_iteration", "0")
    assert code == 2
    one_line(
        errors, "--from_iteration: expected one of the run's iterations, none of which is done"
    )


def test_changed_settings_are_refused_by_name_unless_overwrite(light):
    prefix = light.killed()
    before = files_of(prefix)
    choices = ["--style_weight", "2", "--seed", "7"]
    code, _, errors = light.run({}, "--resume", prefix, *choices)
    assert code == 2
    one_line(errors, "--seed", "--style_weight", "expected as in the run", "2.0", "7")
    assert files_of(prefix) == before
    # The same settings again are no change.
    light.finish(light.killed(), "--style_weight", "1")
    said = light.finish(prefix, *choices, "--overwrite")
    assert "Continues from the image of iteration 1" in said
    assert load_record(prefix).settings.style_weight == 2


@pytest.mark.parametrize("choice", [("--height", "80"), ("--scales", "1")])
def test_other_sizes_are_another_run(light, choice):
    prefix = light.killed()
    code, _, errors = light.run({}, "--resume", prefix, *choice, "--overwrite")
    assert code == 2
    one_line(errors, f"{choice[0]}: expected", "--init PICTURE")
    light.finish(prefix)
    assert outcome(prefix) == outcome(light.whole())


@pytest.mark.parametrize("name", ["base.png", "style.png", "start.png"])
def test_changed_pictures_are_refused_unless_overwrite(light, name):
    prefix = light.prefix()
    folder = prefix.parent
    draw_pictures(folder)
    shutil.copy(folder / "other.png", folder / "start.png")
    pictures = [folder / "base.png", folder / "style.png"]
    options = [*SCALES, "--init", folder / "start.png"]
    light.run({"evaluation": 25, "do": "kill"}, *pictures, prefix, *options)
    with Image.open(folder / name) as picture:
        picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / name)
    code, _, errors = light.run({}, "--resume", prefix)
    assert code == 2
    one_line(errors, "--resume: expected the picture", name, "SHA-256", "--overwrite")
    said = light.finish(prefix, "--overwrite")
    assert "Continues from the image of iteration 1" in said


def test_changed_weights_are_refused_unless_overwrite(light):
    prefix = light.killed()
    code, _, errors = light.run({"filters": "1"}, "--resume", prefix)
    assert code == 2
    one_line(errors, "--weights: expected the filters that the run began with")
    code, said, _ = light.run({"filters": "1"}, "--resume", prefix, "--overwrite")
    assert code == 0 and "Continues from the image of iteration 1" in said


def test_a_run_starts_from_any_picture(light):
    picture = f"{light.whole()}_at_iteration_1.png"
    prefix = light.prefix()
    light.begin({}, prefix, *SIZE, "--init", picture)
    record = load_record(prefix)
    # The light content loss is the mean squared distance from the content picture.
    with Image.open(picture) as start, Image.open(light.base) as base:
        distance = np.mean((np.asarray(start, float) - np.asarray(base, float)) ** 2)
    assert record.evaluations[0].terms["content"] == pytest.approx(distance, rel=1e-5)
    assert {entry.rows for entry in record.sizes} == {64}


def test_without_a_journal_what_a_kill_costs_is_said_and_true(light):
    prefix = light.prefix()
    faults = {"evaluation": 25, "do": "interrupt"}
    code, said, errors = light.begin(faults, prefix, *SCALES, "--no_journal")
    assert code == 130
    assert said.splitlines()[0].startswith("No journal is kept: a kill loses the current iteration")
    one_line(errors, f"continue with --resume {prefix}, from the last iteration saved")
    assert not Path(f"{prefix}_state/journal").exists()
    said = light.finish(prefix, "--no_journal")
    assert "Continues from the image of iteration 1" in said
    assert not Path(f"{prefix}_state/journal").exists()
    _, losses, iterations = outcome(prefix)
    assert len(iterations) == 3
    assert losses[:20] == outcome(light.whole())[1][:20]


def test_a_run_resumed_without_a_journal_leaves_none_behind(light):
    prefix = light.killed()
    light.finish(prefix, "--no_journal")
    assert not Path(f"{prefix}_state/journal").exists()
    assert len(outcome(prefix)[2]) == 3


def test_a_resume_of_nothing_makes_nothing(light):
    prefix = light.prefix()
    code, _, errors = light.run({}, "--resume", prefix)
    assert code == 2
    one_line(errors, "--resume: expected the prefix of a run")
    assert not list(prefix.parent.iterdir())
