"""fast_style_transfer.py as people use it: trained, killed, resumed; and refusals."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import draw
from fast_program import ENVIRONMENT, SCRIPT, TINY, options, run
from PIL import Image

import fast_style_transfer
from benchmarks import training_kills
from style_transfer.errors import InputError
from style_transfer.events import StopRun
from style_transfer.feedforward.about import about_of_file
from style_transfer.feedforward.choices import Choices
from style_transfer.feedforward.events import Saved, StepDone
from style_transfer.feedforward.model_file import read_network


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_training_lowers_the_loss_and_leaves_what_it_says(network):
    folder = network.parent
    assert {path.name for path in folder.iterdir()} == {
        "night.keras",
        "night_preview.png",
        "night_log.csv",
    }
    log = rows(folder / "night_log.csv")
    assert [int(row["step"]) for row in log] == [5, 10, 15, 20, 25, 30]
    assert float(log[-1]["loss"]) < 0.7 * float(log[0]["loss"])
    about = about_of_file(network)
    assert (about.steps, about.photographs, about.finished) == (30, 8, True)
    assert about.styles[0].name == "night" and about.filters["source"] == "random"
    assert about.settings["content_layers"] == "block2_conv1"
    assert Image.open(folder / "night_preview.png").size[1] == 2 * 256 + 8


def stopped_at(step, photos, painting, path, **choices):
    """Train until a step is done; None: to the end."""

    def listen(event):
        if isinstance(event, StepDone) and event.step == step:
            raise StopRun

    choices = TINY | {"steps": 30, "learning_rate": 0.01} | choices
    return fast_style_transfer.train(painting, photos, path, on_event=listen, **choices)


@pytest.fixture(scope="module")
def stopped(photos, painting, tmp_path_factory):
    """The folder of a training stopped at its first step; for copies."""
    folder = tmp_path_factory.mktemp("stopped")
    with pytest.raises(StopRun):
        stopped_at(1, photos, painting, folder / "night.keras")
    return folder


def test_a_stopped_training_ends_as_an_uninterrupted_one(
    stopped, photos, painting, network, tmp_path
):
    """The crops that follow are the same, and so are the optimizer's moments and rates."""
    folder = shutil.copytree(stopped, tmp_path / "copy")
    path = folder / "night.keras"
    with pytest.raises(StopRun):
        stopped_at(11, photos, painting, path)
    assert (folder / "night_state" / "backup.weights.h5").exists()
    stopped_at(None, photos, painting, path)
    assert not (folder / "night_state").exists()
    assert about_of_file(path).steps == 30
    weights = (read_network(p).get_weights() for p in (network, path))
    moved = [np.abs(a - b).max() for a, b in zip(*weights, strict=True)]
    assert max(moved) < 1e-3  # 30 steps of 0.01 at most
    steps = [int(row["step"]) for row in rows(folder / "night_log.csv")]
    assert steps == sorted(set(steps))


def test_a_killed_training_goes_on_by_the_same_command(photos, painting, tmp_path):
    """Killed, then stopped by either signal, then left alone."""
    command = ["train", painting, photos, "night.keras", *options(TINY | {"steps": 250})]
    log, outputs = tmp_path / "night_log.csv", []
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
        before = len(rows(log)) if log.exists() else 0
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), *map(str, command)],
            cwd=tmp_path,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 120
        while not (log.exists() and len(rows(log)) >= before + 2) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        output, errors = process.communicate(timeout=100)
        outputs.append(output)
        if number == signal.SIGKILL:
            assert process.returncode == -signal.SIGKILL
            # There is a backup after 30 seconds.
            is_backed = (tmp_path / "night_state" / "backup.weights.h5").exists()
        else:
            assert process.returncode == 128 + number
            text = "fast_style_transfer.py: stopped; run the same command again to continue\n"
            assert errors == text
    ended = run(*command, cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    continued = ["Continues after" in output for output in (*outputs, ended.stdout)]
    assert continued == [False, is_backed, True, True]
    assert not (tmp_path / "night_state").exists()
    assert about_of_file(tmp_path / "night.keras").steps == 250
    epochs = [int(row["epoch"]) for row in rows(log)]
    assert epochs == list(range(len(epochs)))


def test_another_training_is_not_taken_for_the_stopped_one(stopped, photos, painting, tmp_path):
    folder = shutil.copytree(stopped, tmp_path / "copy")
    path = folder / "night.keras"
    other = {"content_layers": "block1_conv1"}
    with pytest.raises(InputError, match=r"^--content_layers: expected 'block2_conv1', as in"):
        stopped_at(None, photos, painting, path, **other)
    backup = folder / "night_state" / "backup.weights.h5"
    backup.write_bytes(backup.read_bytes()[:5000])
    with pytest.raises(InputError, match="expected a whole backup"):
        stopped_at(None, photos, painting, path)
    stopped_at(None, photos, painting, path, overwrite=True, steps=5, **other)
    assert about_of_file(path).steps == 5


@pytest.mark.parametrize(
    "choices",
    [
        {
            "auto_weights": True,
            "style_loss": "wasserstein",
            "style_scale": 1.5,
            "style_fit": "stretch",
            "style_blend": "0.8,0.2",
            "precision": "bfloat16",
            "network": "vgg16",
        },
        {
            "normalize_gradients": True,
            "weights": "fitted",
            "style_loss": "gram+histogram",
            "normalize_filters": True,
        },
    ],
    ids=["random", "fitted"],
)
def test_every_option_of_the_loss_trains(choices, photos, painting, tmp_path):
    second = tmp_path / "second.png"
    draw(33, 70, seed=21).save(second)
    styles = [painting, second] if "style_blend" in choices else [painting]
    model = tmp_path / "a.keras"
    about = fast_style_transfer.train(styles, photos, model, steps=2, **TINY | choices)
    assert about.steps == 2 and np.isfinite(about.losses["loss"])


# Refused


def refused(*arguments, cwd):
    before = sorted(cwd.rglob("*"))
    ended = run(*arguments, cwd=cwd)
    assert ended.returncode == 2 and ended.stdout == ""
    assert ended.stderr.count("\n") == 1 and "Traceback" not in ended.stderr
    assert sorted(cwd.rglob("*")) == before
    return ended.stderr.removeprefix("fast_style_transfer.py: error: ").rstrip()


def test_wrong_inputs_are_one_line_and_write_nothing(photos, painting, network, tmp_path):
    (tmp_path / "few").mkdir()
    draw(30, 40, seed=1).save(tmp_path / "few" / "a.png")
    (tmp_path / "mine.keras").write_text("mine")
    train = ("train", painting, photos)
    for arguments, beginning in [
        (("train", painting, tmp_path / "few", "m.keras"), "PHOTOS: expected at least 10"),
        (("train", painting, tmp_path / "none", "m.keras"), "PHOTOS: expected"),
        (("train", tmp_path / "no.png", photos, "m.keras"), "STYLE: expected an existing file"),
        ((*train, "m.h5"), "MODEL: expected a file's name that ends in .keras"),
        ((*train, "mine.keras", "--overwrite"), "MODEL: expected no files but this program's"),
        ((*train, "m.keras", "--minutes", "1", "--steps", "3"), "--minutes, --steps: expected one"),
        ((*train, "m.keras", "--size", "8"), "--size: expected a whole number from 32"),
        ((*train, "m.keras", "--style_layers", "block9"), "--style_layers: expected layers"),
        ((*train, network), "MODEL: expected a name without a network, or --overwrite"),
        (("apply", painting, painting, "a.png"), "MODEL: expected a network trained by"),
        (
            ("apply", network, painting, painting, "--overwrite"),
            "OUT: expected one that replaces no input",
        ),
        (("apply", network, painting, "a.png", "--strength", "3"), "--strength: expected a number"),
        (("export", network, "a.h5"), "OUT: expected a name that ends in .onnx or .tflite"),
    ]:
        assert refused(*arguments, cwd=tmp_path).startswith(beginning), arguments
    assert (tmp_path / "mine.keras").read_text() == "mine"


def test_no_input_is_written_over_by_any_name(photos, painting, tmp_path):
    """The style's hard link under the preview's name."""
    os.link(painting, tmp_path / "m_preview.png")
    before = painting.read_bytes()
    with pytest.raises(InputError, match="which is STYLE"):
        fast_style_transfer.train(painting, photos, tmp_path / "m.keras", overwrite=True, **TINY)
    assert painting.read_bytes() == before


def test_the_rate_falls_with_the_share_of_time():
    choices = Choices(minutes=10, learning_rate=0.01)
    assert choices.share(300, 7) == 0.5
    assert choices.rate(0.5) == pytest.approx(0.005)
    assert choices.rate(1) == 0
    assert [Choices(steps=n).steps_of_epoch for n in (30, 7, 8)] == [5, 1, 4]


def test_seconds_that_a_kill_costs():
    """From the last step that the backup holds to the last that was told."""
    told = [(5, 20.0), (6, 21.0), (7, 22.5), (8, 24.0)]
    assert training_kills.seconds_lost(told, again=7) == 3.0
    assert training_kills.seconds_lost(told, again=9) == 0.0
    assert training_kills.seconds_lost(told, again=4) == 4.0  # no backup since the start


def test_a_training_killed_while_it_ends_is_finished(photos, painting, tmp_path, monkeypatch):
    """The record goes first; what is left of the state does not get into another training."""
    path = tmp_path / "night.keras"
    removed = []

    def unlink(self, missing_ok=False):
        removed.append(self.name)
        if len(removed) > 1:
            raise KeyboardInterrupt  # the kill
        self.__class__.rename(self, self.with_name("gone"))

    def kill(event):
        if isinstance(event, Saved) and about_of_file(path).finished:
            monkeypatch.setattr(Path, "unlink", unlink)

    def train(**listeners):
        choices = TINY | {"width": 5 if removed else 4}
        return fast_style_transfer.train(painting, photos, path, steps=2, **choices, **listeners)

    with pytest.raises(KeyboardInterrupt):
        train(on_event=kill)
    monkeypatch.undo()
    assert removed[0] == "training.json"
    with pytest.raises(InputError, match="^MODEL: expected a name without a network"):
        train()
    for result in tmp_path.glob("night*.*"):
        result.unlink()
    (tmp_path / "night_state" / "backup.weights.h5").write_bytes(b"of another network")
    assert train().steps == 2
