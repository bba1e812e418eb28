"""The whole command below the backend that KERAS_BACKEND names, beside TensorFlow.

KERAS_BACKEND=torch python -m pytest tests/test_backend_command.py
"""

import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from style_transfer.events import TERMS
from style_transfer.runs.files import RunFiles
from style_transfer.runs.resume import load_record

SCRIPT = Path(__file__).parent.parent / "neural_style_transfer.py"
BACKEND = keras.backend.backend()
OPTIONS = [
    "--weights=random",
    "--content_layers=block2_conv1",
    "--style_layers=block1_conv1,block2_conv1",
    "--height=24",
    "--precision=float32",
    "--iter=1",
    "--evaluations=4",
    "--scales=1",
    "--quiet",
]


def painted(prefix: Path, backend: str, pictures: list[str], options: list[str]) -> list:
    """The evaluations of a run below a backend."""
    subprocess.run(
        [sys.executable, SCRIPT, *pictures, prefix, *OPTIONS, *options],
        check=True,
        env={**os.environ, "KERAS_BACKEND": backend},
    )
    return load_record(RunFiles(prefix)).evaluations


@pytest.mark.skipif(BACKEND == "tensorflow", reason="needs KERAS_BACKEND=torch or jax")
@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--style_loss=gram+histogram", "--auto_weights"],
        ["--style_loss=wasserstein"],
        ["--optimizer=adam", "--normalize_gradients"],
    ],
    ids=" ".join,
)
def test_losses_are_tensorflow_s(options, base, style, tmp_path):
    found, expected = (
        painted(tmp_path / backend, backend, [base, style], options)
        for backend in (BACKEND, "tensorflow")
    )
    assert len(found) >= 4
    for one, other in list(zip(found, expected, strict=False))[:4]:
        for term in TERMS:
            near = pytest.approx(other.terms[term], rel=2e-3, abs=1e-6 * other.total)
            assert one.terms[term] == near


@pytest.mark.skipif(BACKEND == "tensorflow", reason="needs KERAS_BACKEND=torch or jax")
def test_a_run_goes_on_below_another_backend(base, style, tmp_path):
    prefix = tmp_path / "run"
    program = (
        "import sys; from neural_style_transfer import main, transfer; "
        "from style_transfer.events import Evaluated, StopRun\n"
        "def stop(event):\n"
        "    if isinstance(event, Evaluated) and event.number == 6: raise StopRun\n"
        "choices = dict(option[2:].split('=') for option in sys.argv[4:])\n"
        "transfer(*sys.argv[1:4], on_event=stop, **choices)"
    )
    stopped = subprocess.run(
        [sys.executable, "-c", program, base, style, prefix, *OPTIONS[:-1], "--iter=2"],
        env={**os.environ, "KERAS_BACKEND": "tensorflow", "PYTHONPATH": str(SCRIPT.parent)},
        capture_output=True,
        text=True,
    )
    assert stopped.stderr.splitlines()[-1].endswith("StopRun"), stopped.stderr
    before = load_record(RunFiles(prefix))
    assert len(before.iterations) == 1 and before.status != "finished"
    subprocess.run([sys.executable, SCRIPT, "--resume", prefix, "--quiet"], check=True)
    after = load_record(RunFiles(prefix))
    assert after.status == "finished" and after.iterations[0] == before.iterations[0]
    assert [entry["backend"] for entry in after.versions] == ["tensorflow", BACKEND]
    # TensorFlow's answers are not replayed: the second iteration begins anew, from the image saved.
    assert len(after.evaluations) >= len(before.iterations) * 4 + 4
    assert (tmp_path / "run.png").is_file()
