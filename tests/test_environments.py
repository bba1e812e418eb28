"""The program on installations that lack what only some systems have; see docs/environments.md."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent
# Names that Windows or macOS lack, or a Python built without them.
NAMES = [
    "fork",
    "forkpty",
    "geteuid",
    "getuid",
    "killpg",
    "pathconf",
    "register_at_fork",
    "sched_getaffinity",
    "set_blocking",
    "setsid",
    "sysconf",
]
MODULES = ["fcntl", "grp", "pwd", "resource", "termios"]
PRELUDE = """
import os, runpy, signal, sys
names, modules, script = {names}, {modules}, {script!r}
import asyncio, multiprocessing, shutil, subprocess, tarfile, tempfile  # these know how
{imports}
for name in names:
    if hasattr(os, name):
        delattr(os, name)
for name in modules:
    sys.modules[name] = None
sys.path.insert(0, os.path.dirname(script))
runpy.run_path(script, run_name="__main__")
"""
LIBRARIES = (
    "import filelock, h5py, keras, numpy, PIL.Image, rich.progress, scipy.optimize, tifffile"
)


def run(arguments, cwd, imports="", **options):
    script = str(FOLDER / "neural_style_transfer.py")
    prelude = PRELUDE.format(names=NAMES, modules=MODULES, script=script, imports=imports)
    return subprocess.run(
        [sys.executable, "-c", prelude, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=200,
        **options,
    )


def test_help_needs_nothing_that_only_some_systems_have(tmp_path):
    done = run(["--help"], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--style_weight" in done.stdout


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_picture_needs_nothing_that_only_some_systems_have(precision, base, style, tmp_path):
    options = ["--height", "32", "--iter", "1", "--evaluations", "2", "--weights", "fitted"]
    options += ["--precision", precision]
    done = run([base, style, "p", *options], tmp_path, LIBRARIES)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "p.png").is_file()


def test_modules_of_the_user_s_own_are_not_in_the_way(tmp_path):
    for name in ("settings", "network", "results", "weights", "losses", "arguments", "progress"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('the user has no such thing')\n")
    program = "from neural_style_transfer import transfer; import style_transfer.settings"
    path = os.pathsep.join([str(tmp_path), str(FOLDER)])
    subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        check=True,
        timeout=100,
    )


@pytest.mark.parametrize("script", ["neural_style_transfer.py", "compare.py"])
def test_scripts_answer_from_any_folder(script, tmp_path):
    done = subprocess.run(
        [sys.executable, str(FOLDER / script), "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ")
