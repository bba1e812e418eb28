"""Whatever ends a run, it goes on to the same bytes, and otherwise where it is asked to.

Most tests run `light_program.py`, the program with a NumPy objective in the network's place.
"""

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from light import (
    HERE,
    JOBS,
    SCALES,
    SIZE,
    Light,
    draw_pictures,
    files_of,
    load_record,
    one_line,
    outcome,
    saved_files_are_whole,
)
from PIL import Image

PROGRAM = [sys.executable, str(HERE.parent / "neural_style_transfer.py")]


def command_for(light: Light, prefix: Path, options: list[str]) -> list[str]:
    """Resume where there is a record; where a kill came before it, the original command again."""
    if Path(f"{prefix}.json").exists():
        return ["--resume", str(prefix)]
    return [light.base, light.style, str(prefix), *options]


# Kills


def test_20_kills_do_not_change_the_outcome(light):
    """Killed by an alarm that nothing handles, wherever the program is."""
    whole = outcome(light.whole())
    rng, prefix = random.Random(20), light.prefix()
    slowly, started = {"sleep": 0.02}, time.monotonic()
    assert light.begin(slowly, prefix)[0] == 0
    lifetime = time.monotonic() - started
    assert outcome(prefix) == whole

    kills, prefix = 0, light.prefix()
    while kills < 20:
        faults = {**slowly, "alarm": rng.uniform(0, lifetime)}
        code, _, _ = light.run(faults, *command_for(light, prefix, SCALES))
        if code:
            assert code == -signal.SIGALRM
            kills += 1
            saved_files_are_whole(prefix)
        else:
            assert outcome(prefix) == whole
            prefix = light.prefix()
    code, _, errors = light.run({}, *command_for(light, prefix, SCALES))
    assert (code, errors) == (0, "")
    assert outcome(prefix) == whole


@pytest.mark.parametrize("job", JOBS)
def test_kills_while_saving_do_not_change_the_outcome(light, job):
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
def test_the_true_program_killed_ends_with_the_same_bytes(tmp_path, job):
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


def test_an_early_interrupt_says_that_nothing_was_saved(light):
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


def test_a_replay_says_one_line(light):
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
    assert said == "All 3 iterations are done; --iter N paints up to N in all.\n"
    assert files_of(prefix) == before


def test_a_finished_run_leaves_pictures_record_and_images(light):
    assert sorted(files_of(light.whole())) == [
        "run.json",
        "run.png",
        *(f"run_at_iteration_{number}.png" for number in range(3)),
        *(f"run_state/iteration_{number}.npy" for number in range(3)),
    ]


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


def test_a_killed_run_of_the_original_goes_on_exactly(light):
    long = light.prefix()
    options = JOBS["memory restarts"]
    light.begin({}, long, *options, "--iter", "5")
    prefix = light.killed(*options)
    light.finish(prefix, "--iter", "5")
    assert outcome(prefix) == outcome(long)


def test_fewer_iterations_than_are_done_small_are_refused(light):
    prefix = light.killed(evaluation=5)
    code, _, errors = light.run({}, "--resume", prefix, "--iter", "1")
    assert code == 2
    one_line(errors, "--iter: expected at least 2. Received: 1")


@pytest.mark.parametrize("overwrite", [False, True])
def test_going_back_keeps_later_pictures_or_removes_them(light, overwrite):
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


def test_without_an_iteration_there_is_none_to_go_back_to(light):
    prefix = light.killed(evaluation=5)
    code, _, errors = light.run({}, "--resume", prefix, "--from_iteration", "0")
    assert code == 2
    one_line(
        errors, "--from_iteration: expected one of the run's iterations, none of which is done"
    )


def test_changed_settings_are_refused_by_name(light):
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


def test_without_a_journal_the_price_of_a_kill_is_said(light):
    prefix = light.prefix()
    faults = {"evaluation": 25, "do": "interrupt"}
    code, said, errors = light.begin(faults, prefix, *SCALES, "--no_journal")
    assert code == 130
    assert said.splitlines()[0].startswith("No journal is kept: a kill costs the current iteration")
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
