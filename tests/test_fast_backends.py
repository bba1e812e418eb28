"""Style networks below the backend that KERAS_BACKEND names, beside TensorFlow.

    KERAS_BACKEND=torch python -m pytest tests/test_fast_backends.py

What TensorFlow makes comes from the real program, in a process of its own.
"""

import csv
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import draw
from keras import ops
from PIL import Image

import fast_style_transfer
from benchmarks.training_kills import TINY
from style_transfer.events import StopRun
from style_transfer.feedforward.about import about_of_file
from style_transfer.feedforward.events import StepDone
from style_transfer.feedforward.model_file import read_network
from style_transfer.feedforward.painting import painted
from style_transfer.feedforward.streaming import streamed

SCRIPT = Path(fast_style_transfer.__file__)
BACKEND = keras.backend.backend()
STEPS = 20
OPTIONS = [f"--{name}={value}" for name, value in TINY.items()]

# JAX compiles a training for a minute, on a busy machine for more.
pytestmark = pytest.mark.timeout(900)
others_only = pytest.mark.skipif(BACKEND == "tensorflow", reason="needs KERAS_BACKEND=torch or jax")


def below_tensorflow(*arguments):
    subprocess.run(
        [sys.executable, SCRIPT, *map(str, arguments), "--quiet"],
        check=True,
        env={**os.environ, "KERAS_BACKEND": "tensorflow"},
        timeout=600,
    )


def losses(model):
    with model.with_name(f"{model.stem}_log.csv").open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """photos/ with ten photographs, and night.png."""
    folder = tmp_path_factory.mktemp("fast")
    (folder / "photos").mkdir()
    for number in range(10):
        draw(40 + number, 56 - number, seed=number).save(folder / "photos" / f"{number}.png")
    draw(48, 36, seed=20).save(folder / "night.png")
    return folder


@pytest.fixture(scope="module")
def network(folder):
    """A network that has learned below this backend."""
    path = folder / "night.keras"
    fast_style_transfer.train(folder / "night.png", folder / "photos", path, steps=STEPS, **TINY)
    return path


def test_training_lowers_the_loss(network):
    found = losses(network)
    assert len(found) == 4 and found[-1] < 0.8 * found[0]
    assert about_of_file(network).finished


@others_only
def test_the_first_steps_are_tensorflow_s(folder, network, tmp_path):
    there = tmp_path / "there.keras"
    inputs = folder / "night.png", folder / "photos", there
    below_tensorflow("train", *inputs, f"--steps={STEPS}", *OPTIONS)
    assert losses(network)[0] == pytest.approx(losses(there)[0], rel=5e-3)  # mean of five


def test_a_stopped_training_ends_as_one_that_nobody_has_stopped(folder, network, tmp_path):
    """The crops are the same, and so are the optimizer's moments and rates."""
    model = tmp_path / "night.keras"

    def train(stop_at=None):
        def listen(event):
            if isinstance(event, StepDone) and event.step == stop_at:
                raise StopRun

        inputs = folder / "night.png", folder / "photos", model
        return fast_style_transfer.train(*inputs, steps=STEPS, on_event=listen, **TINY)

    with pytest.raises(StopRun):
        train(stop_at=7)
    assert about_of_file(model).steps == 7
    assert train().steps == STEPS
    stopped, unbroken = (read_network(path).get_weights() for path in (model, network))
    moved = [np.abs(a - b).max() for a, b in zip(stopped, unbroken, strict=True)]
    assert max(moved) < 1e-3  # a step is 0.01 at most


@pytest.mark.parametrize("size", [(37, 50), (64, 33)])
def test_strips_give_the_picture_of_the_whole(size, network):
    loaded, pixels = read_network(network), np.asarray(draw(*size, seed=2))
    whole = ops.convert_to_numpy(loaded(pixels[None]))[0]
    assert whole.std() > 1
    assert abs(streamed(loaded, pixels, 16) - whole).max() < 1e-4 * 255


@others_only
def test_a_network_paints_as_below_tensorflow(folder, network, tmp_path):
    photograph = folder / "photos" / "3.png"
    below_tensorflow("apply", network, photograph, tmp_path / "there.png")
    found = painted(read_network(network), np.asarray(Image.open(photograph)))
    expected = np.asarray(Image.open(tmp_path / "there.png"), np.float64)
    assert abs(found - expected).max() < 0.51  # of 255: one of them is rounded
    fast_style_transfer.apply(network, photograph, tmp_path / "here.png")
    here = np.asarray(Image.open(tmp_path / "here.png"), np.float64)
    assert abs(here - expected).max() <= 1
