"""The program on installations that lack what only some systems have; see docs/environments.md."""

import json
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
SIGNALS = ["SIGALRM", "SIGCHLD", "SIGCONT", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGTSTP", "SIGUSR1"]
SIGNALS += ["SIGQUIT", "SIGWINCH", "alarm", "pthread_sigmask", "setitimer", "siginterrupt"]
MODULES = ["fcntl", "grp", "pwd", "resource", "termios"]
PRELUDE = """
import json, os, runpy, signal, sys
names, modules, script = {names}, {modules}, {script!r}
import asyncio, multiprocessing, shutil, subprocess, tarfile, tempfile  # these know how
{imports}
for name in names:
    if hasattr(os, name):
        delattr(os, name)
for name in {signals}:
    if hasattr(signal, name):
        delattr(signal, name)
for name in modules:
    sys.modules[name] = None
sys.path.insert(0, os.path.dirname(script))
for sys.argv[1:] in json.loads(sys.argv[1]):
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        if end.code:
            raise
"""
LIBRARIES = (
    "import filelock, h5py, keras, numpy, PIL.Image, rich.progress, scipy.optimize, tifffile"
)


def run(*commands: list[str], cwd, imports="") -> subprocess.CompletedProcess:
    """Run the script in one process, once for each command line."""
    script = str(FOLDER / "neural_style_transfer.py")
    prelude = PRELUDE.format(
        names=NAMES, signals=SIGNALS, modules=MODULES, script=script, imports=imports
    )
    return subprocess.run(
        [sys.executable, "-c", prelude, json.dumps(commands)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=200,
    )


def test_help_needs_nothing_that_only_some_systems_have(tmp_path):
    done = run(["--help"], cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--style_weight" in done.stdout


def test_pictures_need_nothing_that_only_some_systems_have(base, style, tmp_path):
    options = ["--height", "32", "--iter", "1", "--evaluations", "2", "--weights", "fitted"]
    precisions = ["float32", "bfloat16"]
    commands = [[base, style, name, *options, "--precision", name] for name in precisions]
    done = run(*commands, cwd=tmp_path, imports=LIBRARIES)
    assert done.returncode == 0, done.stderr
    for name in precisions:
        assert json.loads((tmp_path / f"{name}.json").read_text())["precision"] == name
        assert (tmp_path / f"{name}.png").is_file()


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


def without(package: str, script: str, *arguments: str, cwd) -> subprocess.CompletedProcess:
    """Run a script where a package is missing, as in a clone without its requirements."""
    program = (
        "import runpy, sys; sys.path[:0] = sys.argv[1].split(); sys.modules[sys.argv[2]] = None; "
        "sys.argv = sys.argv[3:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    folders = f"{(FOLDER / script).parent} {FOLDER}"
    return subprocess.run(
        [sys.executable, "-c", program, folders, package, str(FOLDER / script), *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.mark.parametrize(
    "package, script",
    [
        ("numpy", "neural_style_transfer.py"),
        ("PIL", "neural_style_transfer.py"),
        ("scipy", "neural_style_transfer.py"),
        ("keras", "neural_style_transfer.py"),
        ("ml_dtypes", "neural_style_transfer.py"),
        ("PIL", "gallery.py"),
        ("numpy", "fast_style_transfer.py"),
        ("numpy", "compare.py"),
        ("numpy", "recipes/weight_grid.py"),
        ("numpy", "recipes/animate.py"),
        ("numpy", "benchmarks/scaling.py"),
    ],
)
def test_a_package_that_is_not_installed_is_named_in_one_line(
    package, script, base, style, tmp_path
):
    arguments = {
        "gallery.py": [base, style, "out"],
        "fast_style_transfer.py": ["apply", "network.keras", base, "out"],
        "benchmarks/scaling.py": ["--quick"],
    }
    done = without(package, script, *arguments.get(script, [base, style, "p"]), cwd=tmp_path)
    line = done.stderr.splitlines()
    assert done.returncode == 2 and len(line) == 1, done.stderr
    assert line[0].startswith(f"{Path(script).name}: error: ") and package in line[0]


def test_a_damaged_installation_is_told_in_one_line(base, style, tmp_path):
    folder = tmp_path / "site" / "keras"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(
        "raise ImportError('DLL load failed while importing _core:\\nno such module')\n"
    )
    done = subprocess.run(
        [sys.executable, str(FOLDER / "neural_style_transfer.py"), base, style, "p"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(folder.parent)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done.stderr
    assert "keras: expected an installation" in done.stderr and "DLL load failed" in done.stderr
