"""What users run into: each situation a row of command, exit code and what is said.

The rows are in situations_inputs.py, situations_posters.py and situations_runs.py. Every command
runs in a folder of its own, a copy of the one that situation_folder.py makes. Words before `;` are
for the shell and come first. `nst` is the program, `light` the program without the network, as in
light_program.py; NAME=value and `-u NAME` before it change its environment.
"""

import hashlib
import json
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from programs import Program
from situation_folder import make_others, make_pictures
from situations_inputs import SITUATIONS as INPUTS
from situations_posters import SITUATIONS as POSTERS
from situations_runs import SITUATIONS as RUNS_ON_DISK

from style_transfer.runs.record import checksum

QUICK = {
    "--weights": "random",
    "--content_layers": "block1_conv1",
    "--style_layers": "block1_conv1",
    "--height": "32",
    "--precision": "float32",
    "--iter": "2",
    "--evaluations": "3",
    "--scales": "1",
}
SITUATIONS = INPUTS + POSTERS + RUNS_ON_DISK
RUNS = tuple(f"project/{run}" for run in ("done", "half", "filed", "folder/filed"))  # they grow


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """The real program, by kind."""
    folder = tmp_path_factory.mktemp("printed")
    started = {kind: Program(kind, folder) for kind in ("warm", "cold")}
    yield started
    for program in started.values():
        program.close()


@pytest.fixture(scope="module")
def template(programs, tmp_path_factory):
    """A folder with pictures, filters and runs, renamed after these were made."""
    folder = tmp_path_factory.mktemp("template") / "before"
    folder.mkdir()
    make_pictures(folder)
    make_others(folder)
    warm, usual = programs["warm"], with_usual(["base.png", "style.png"])
    assert warm([*usual, "done"], folder).code == 0
    assert warm([*usual, "half"], folder, kill_after=4).code == -9
    filed = with_usual(["base.png", "style.png", "filed", "--weights", "good.npz"])
    assert warm(filed, folder).code == 0
    make_odd_records(folder)
    return folder.rename(folder.with_name("after"))


def make_odd_records(folder: Path) -> None:
    """Records with a right checksum that no program of today writes."""
    record = json.loads((folder / "done.json").read_text())
    del record["checksum"]
    for name, changes in {"future": {"version": 99}, "odd": {"sizes": []}}.items():
        changed = record | changes
        (folder / f"{name}.json").write_text(json.dumps({**changed, "checksum": checksum(changed)}))


def with_usual(arguments: list[str]) -> list[str]:
    """Arguments with the options of a quick run, where they have no others for the same."""
    given = {argument.split("=")[0].replace("-", "_") for argument in arguments}
    added = [(k, v) for k, v in QUICK.items() if k.replace("-", "_") not in given]
    if given & {"__size", "__width", "__print"}:
        added = [(name, value) for name, value in added if name != "--height"]
    return [*(word for pair in added for word in pair), *arguments]


def state_of(folder: Path) -> dict[str, tuple]:
    """All below a folder: kind, and content and time of the last change of files.

    But for the lock, which a killed run leaves and any other takes away.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        status, content = path.lstat(), ()
        if path.is_file():
            content = hashlib.sha256(path.read_bytes()).hexdigest(), status.st_mtime_ns
        if path.name != "lock":
            found[str(path.relative_to(folder))] = (status.st_mode, *content)
    return found


# The table


def order_of(command: str, folder: Path) -> tuple[str, list[str], dict]:
    """Kind of program, its arguments, and what served_program.py is to know besides."""
    words = shlex.split(command.replace("$PWD", str(folder)))
    order = {"environment": {}}
    while words[0] not in ("nst", "light", "cold"):
        word = words.pop(0)
        name, _, value = word.partition("=")
        if word == "-u":
            order["environment"][words.pop(0)] = None
        elif name == "GIB":
            order["gibibytes"] = float(value)
        elif name == "ENCODING":
            order["encoding"] = value
        elif name == "CLOSED":
            order["closed"] = [int(digit) for digit in value]
        else:
            order["environment"][name] = value
    kind, *arguments = words
    order["light"] = kind == "light"
    cold = kind == "cold" or "KERAS_BACKEND" in order["environment"]
    paths = len(arguments) > 2 and "--resume" not in arguments
    usual = with_usual(arguments) if paths else arguments
    return "cold" if cold else "warm", usual, order


@pytest.mark.parametrize(
    "command, code, said", [row[1:] for row in SITUATIONS], ids=[row[0] for row in SITUATIONS]
)
def test_situation(command, code, said, programs, template, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(template, folder, symlinks=True)
    *preparations, command = command.split("; ")
    for preparation in preparations:
        subprocess.run(preparation, shell=True, cwd=folder, check=True)
    kind, arguments, order = order_of(command, folder)
    before = state_of(tmp_path)
    ended = programs[kind](arguments, folder, **order)
    after = state_of(tmp_path)
    assert ended.code == code, ended
    assert "Traceback" not in ended.out + ended.err
    if code == 0:
        assert ended.err == "" and said in ended.out
        inputs = [n for n in before if not n.startswith(RUNS)]
        assert all(after[name][:2] == before[name][:2] for name in inputs)
    elif 2 in order.get("closed", []):
        assert ended.out == ended.err == ""
        assert after == before
    else:
        assert ended.err.count("\n") == 1 and ended.err.endswith("\n"), ended
        assert ended.err.startswith("neural_style_transfer.py: " + ("error: " if code == 2 else ""))
        assert said in ended.err, ended
        if code == 2:
            assert after == before
