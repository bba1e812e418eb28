"""fast_style_transfer.py for the tests: small choices, small inputs, a network that has learned."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import draw

import fast_style_transfer

SCRIPT = Path(fast_style_transfer.__file__)
TINY = {
    "size": 32,
    "batch": 2,
    "width": 4,
    "weights": "random",
    "content_layers": "block2_conv1",
    "style_layers": "block1_conv1,block2_conv1",
    "precision": "float32",
}


# As people have it; conftest.py lets TensorFlow's errors through.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}


def options(choices):
    return [part for name, value in choices.items() for part in (f"--{name}", str(value))]


def run(*arguments, **popen):
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=200, env=ENVIRONMENT, **popen
    )


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for number in range(11):
        draw(40 + number, 56 - number, seed=number).save(folder / f"photo {number}.png")
    return folder


@pytest.fixture(scope="module")
def painting(tmp_path_factory):
    path = tmp_path_factory.mktemp("painting") / "night.png"
    draw(48, 36, seed=20).save(path)
    return path


@pytest.fixture(scope="module")
def network(photos, painting, tmp_path_factory):
    """A network that has learned for a few steps."""
    path = tmp_path_factory.mktemp("network") / "night.keras"
    fast_style_transfer.train(painting, photos, path, steps=30, learning_rate=0.01, **TINY)
    return path
