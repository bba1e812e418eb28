"""The script end to end: runs and their files, iterations, the command itself."""

import dataclasses
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image
from shallow_runs import OPTIONS, QUICK, totals_of

import preprocessing
from neural_style_transfer import main, transfer
from style_transfer.errors import InputError
from style_transfer.events import TERMS
from style_transfer.presets import make_settings
from style_transfer.runs.files import RunFiles
from style_transfer.runs.resume import load_record

SCRIPT = Path(__file__).parent.parent / "neural_style_transfer.py"


def files_in(folder):
    """Names, sizes and times of all that lies below a folder."""
    paths = sorted(folder.rglob("*"))
    return [(str(path.relative_to(folder)), path.stat().st_mtime_ns) for path in paths]


# A run


@pytest.fixture(scope="module")
def run(base, style, tmp_path_factory):
    """A finished run of three iterations at two sizes: (picture, record, its folder)."""
    folder = tmp_path_factory.mktemp("run")
    prefix = str(folder / "made" / "on the way" / "result")
    choices = {**QUICK, "scales": "0.7,1", "height": 32}
    picture, record = transfer(base, style, prefix, **choices)
    return picture, record, folder / "made" / "on the way"


def test_a_run_leaves_its_pictures_and_the_record(run):
    names = {path.name for path in run[2].iterdir() if path.is_file()}
    pictures = {f"result_at_iteration_{number}.png" for number in range(3)}
    assert names == {"result.png", "result.json"} | pictures


def test_pictures_have_their_size_and_the_contents_aspect(run):
    sizes = [Image.open(run[2] / f"result_at_iteration_{number}.png").size for number in range(3)]
    assert sizes[-1] == (int(56 * 32 / 40), 32) == run[0].size
    assert sizes[0] == (int(56 * 22 / 40), 22)


def test_the_result_is_the_last_iterations_picture(run):
    picture, _, folder = run
    assert picture.mode == "RGB"
    assert_array_equal(Image.open(folder / "result.png"), picture)
    assert_array_equal(Image.open(folder / "result_at_iteration_2.png"), picture)


def test_pictures_carry_the_settings_as_text(run):
    for path in run[2].glob("*.png"):
        assert json.loads(Image.open(path).text["Settings"]) == dataclasses.asdict(run[1].settings)


def test_the_record_on_disk_is_the_one_returned(run):
    assert load_record(RunFiles(run[2] / "result")) == run[1]


def test_the_record_holds_what_the_result_depends_on(run, base, style):
    record = run[1]
    assert record.status == "finished" and record.preset == "default"
    assert record.settings == make_settings(**{**QUICK, "scales": "0.7,1", "height": 32})
    for entry, path in [(record.content, base), (record.styles[0], style)]:
        assert entry.path == path
        assert (run[2] / entry.beside).samefile(path)
        assert entry.sha256 == hashlib.sha256(Path(path).read_bytes()).hexdigest()
    assert record.filters.source == "random" and record.filters.file is None
    assert re.fullmatch("[0-9a-f]{64}", record.filters.sha256)
    assert record.precision == "float32"
    (versions,) = record.versions
    assert versions["keras"] == keras.__version__
    assert versions["backend"] == keras.backend.backend()
    assert versions["numpy"] == np.__version__


def test_the_record_has_an_entry_for_every_evaluation(run):
    evaluations = run[1].evaluations
    assert len(evaluations) >= 9
    assert [entry.number for entry in evaluations] == list(range(len(evaluations)))
    for entry in evaluations:
        assert tuple(entry.terms) == TERMS
        assert entry.total == pytest.approx(sum(entry.terms.values()), rel=1e-12)
        assert min(entry.terms.values()) >= 0 and entry.seconds >= 0
    assert {entry.size for entry in evaluations} == {0, 1}
    iterations = [entry.iteration for entry in evaluations]
    assert set(iterations) == {0, 1, 2} and iterations == sorted(iterations)


def test_the_loss_falls_at_each_size(run):
    for number in (0, 1):
        totals = [entry.total for entry in run[1].evaluations if entry.size == number]
        assert totals[-1] < 0.9 * totals[0]


def test_no_temporary_file_and_no_lock_is_left(run):
    left = [
        path.name for path in run[2].rglob("*") if "unfinished" in path.name or "lock" in path.name
    ]
    assert left == []


def test_an_earlier_run_is_not_overwritten_unless_asked(run, base, style, capsys):
    before = files_in(run[2])
    prefix = str(run[2] / "result")
    with pytest.raises(InputError, match="--overwrite"):
        transfer(base, style, prefix, **QUICK)
    assert main([base, style, prefix, *OPTIONS]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert files_in(run[2]) == before


def test_with_overwrite_the_earlier_run_is_replaced(base, style, tmp_path):
    prefix = str(tmp_path / "result")
    transfer(base, style, prefix, **QUICK)
    _, record = transfer(base, style, prefix, overwrite=True, **{**QUICK, "iter": 1})
    names = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert names == {"result.png", "result.json", "result_at_iteration_0.png"}
    assert len(json.loads((tmp_path / "result.json").read_text())["iterations"]) == 1
    assert len(record.iterations) == 1


def test_without_a_prefix_the_picture_is_the_same(run, base, style, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    picture, record = transfer(base, [style], **{**QUICK, "scales": "0.7,1", "height": 32})
    assert list(tmp_path.iterdir()) == []
    assert picture.tobytes() == run[0].tobytes()
    assert totals_of(record) == totals_of(run[1])


# Iterations


@pytest.mark.parametrize("iterations, evaluations", [(12, 1), (4, 2), (2, 7)])
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_there_are_as_many_iterations_as_asked(optimizer, iterations, evaluations, base, style):
    choices = {"iter": iterations, "evaluations": evaluations, "optimizer": optimizer}
    _, record = transfer(base, style, **{**QUICK, **choices})
    assert len(record.iterations) == iterations
    budget = iterations * evaluations
    # L-BFGS stops after a line search only, of 20 evaluations at most.
    most = budget if optimizer == "adam" else budget + 19
    assert budget <= len(record.evaluations) <= most
    assert record.iterations[-1].evaluations == len(record.evaluations)
    assert [size.iterations for size in record.sizes] == [iterations]


def test_adam_lowers_the_loss(base, style):
    choices = {"optimizer": "adam", "iter": 2, "evaluations": 10, "learning_rate": 4}
    _, record = transfer(base, style, **{**QUICK, **choices})
    totals = totals_of(record)
    assert len(totals) == 20 and totals[-1] < 0.5 * totals[0]


def test_adams_first_step_is_the_learning_rate(base, style):
    choices = {"optimizer": "adam", "iter": 1, "evaluations": 1, "learning_rate": 8}
    picture, _ = transfer(base, style, **{**QUICK, **choices, "style_weight": 10})
    start = preprocessing.resize(Image.open(base), picture.size[::-1], "lanczos").astype(int)
    step = np.abs(np.asarray(picture).astype(int) - start)
    inside = (start >= 8) & (start <= 247)
    assert (step[inside] == 8).mean() > 0.99


def test_lbfgs_ends_lower_than_with_restarts(base, style):
    choices = {**QUICK, "iter": 8, "evaluations": 5}
    ends = {}
    for restarts in (False, True):
        _, record = transfer(base, style, restarts=restarts, **choices)
        ends[restarts] = record.evaluations[39].total
    assert ends[False] < ends[True]


# The command itself


def test_the_command_runs(base, style, tmp_path):
    command = [sys.executable, str(SCRIPT), base, style, str(tmp_path / "result"), *OPTIONS]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert Image.open(tmp_path / "result.png").size == (33, 24)
    assert done.stdout.count("Iteration ") == 3


@pytest.mark.parametrize(
    "arguments, code, out, err",
    [
        (["--help"], 0, "BASE REF [REF ...] PREFIX", ""),
        (["--preset", "list"], 0, "keras-2:", ""),
        (["--preset", "list"], 0, "tensorflow-vgg19:", ""),
        (["a.jpg", "b.jpg", "result"], 2, "", "a.jpg'"),
    ],
)
def test_the_command_answers_without_the_network_s_libraries(arguments, code, out, err, tmp_path):
    # Where importing Keras fails, these still have to answer.
    (tmp_path / "keras.py").write_text("raise ImportError")
    command = [sys.executable, str(SCRIPT), *arguments]
    environment = {"PATH": "", "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert done.returncode == code and out in done.stdout and err in done.stderr
    assert done.stderr.count("\n") == (1 if err else 0)
