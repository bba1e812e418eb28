"""fast_style_transfer.py for the tests: choices of a quick training, and the command."""

import os
import subprocess
import sys
from pathlib import Path

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
