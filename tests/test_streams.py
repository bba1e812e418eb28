"""Whatever becomes of what is printed, and whatever Keras's settings are, the run goes on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from programs import Program

HERE = Path(__file__).parent
PROGRAM = [sys.executable, str(HERE.parent / "neural_style_transfer.py")]
LIGHT = [sys.executable, str(HERE / "light_program.py"), "{}"]
SIZE = ["--height", "32", "--iter", "3", "--evaluations", "4", "--scales", "1"]
SHALLOW = [
    *("--weights", "random"),
    *("--content_layers", "block1_conv1"),
    *("--style_layers", "block1_conv1"),
]


def in_shell(redirection: str, *words: str, **environment: str) -> subprocess.CompletedProcess:
    """Words run by a shell, with some redirection."""
    return subprocess.run(
        ["bash", "-c", f'set -o pipefail; "$@" {redirection}', "bash", *words],
        capture_output=True,
        env={**os.environ, **environment},
        timeout=200,
        check=False,
    )


@pytest.mark.parametrize("redirection", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", "| head -1"])
def test_streams_that_are_closed_take_nothing(redirection, base, style, tmp_path):
    done = in_shell(redirection, *LIGHT, base, style, str(tmp_path / "run"), *SIZE)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "run.png").is_file() and (tmp_path / "run.json").is_file()


def test_the_real_program_without_streams(base, style, tmp_path):
    words = [*PROGRAM, base, style, str(tmp_path / "run"), *SIZE, *SHALLOW]
    assert in_shell("<&- >&- 2>&-", *words).returncode == 0
    assert (tmp_path / "run.png").is_file()
    assert in_shell(">&- 2>&-", *words).returncode == 2  # there is a run


@pytest.mark.parametrize(
    "environment", [{"PYTHONIOENCODING": "cp1252"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}]
)
@pytest.mark.parametrize("name", ["東京", os.fsdecode(b"caf\xe9")])
def test_names_that_cannot_be_printed_are_escaped(environment, name, base, style, tmp_path):
    words = [*LIGHT, base, style, str(tmp_path / name), *SIZE]
    done = in_shell("", *words, **environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / f"{name}.png").is_file()
    assert in_shell("", *words, **environment).stderr.count(b"\n") == 1


@pytest.fixture(scope="module")
def cold(tmp_path_factory):
    program = Program("cold", tmp_path_factory.mktemp("printed"))
    yield program
    program.close()


def test_settings_of_keras_do_not_change_the_picture(cold, base, style, tmp_path):
    results = []
    choices = [{}, {"image_data_format": "channels_first"}, {"floatx": "float64"}]
    for number, chosen in enumerate([*choices, {"floatx": "float16", "epsilon": 0.1}]):
        (tmp_path / "keras.json").write_text(json.dumps(chosen))
        done = cold(
            [base, style, f"run{number}", *SIZE, *SHALLOW],
            tmp_path,
            environment={"KERAS_HOME": str(tmp_path)},
        )
        assert (done.code, done.err) == (0, ""), done
        results.append((tmp_path / f"run{number}.png").read_bytes())
    assert len(set(results)) == 1


@pytest.mark.parametrize(
    "line",
    ["set_floatx('float64')", "set_floatx('float16')", "set_image_data_format('channels_first')"],
)
def test_keras_settings_of_a_notebook_change_no_picture(line, base, style, tmp_path):
    program = f"""
import keras
keras.config.{line}
from neural_style_transfer import transfer
chosen = dict(weights="random", content_layers="block1_conv1", style_layers="block1_conv1")
chosen |= dict(height=32, iter=2, evaluations=3, scales="1")
first, _ = transfer({base!r}, {style!r}, **chosen)
keras.config.set_floatx("float32")
keras.config.set_image_data_format("channels_last")
again, _ = transfer({base!r}, {style!r}, **chosen)
assert first.tobytes() == again.tobytes()
"""
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
