"""What a run may write over, and one process at a time on a prefix."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from style_transfer.errors import InputError
from style_transfer.paths import check_writable_at, fault_on_windows
from style_transfer.runs.files import RunFiles
from style_transfer.runs.guard import check_free, run_files
from style_transfer.runs.lock import locked

ROOT = Path(__file__).parent.parent


def test_pictures_of_a_run_are_found_by_iteration(tmp_path):
    for name in ("a_at_iteration_0", "a_at_iteration_12", "a", "ab", "a_at_iteration_x", "b"):
        (tmp_path / f"{name}.png").touch()
    found = RunFiles(tmp_path / "a").pictures()
    assert {key: path.name for key, path in found.items()} == {
        0: "a_at_iteration_0.png",
        12: "a_at_iteration_12.png",
        None: "a.png",
    }


def test_a_prefix_with_a_run_is_refused_unless_overwritten(prefix):
    with pytest.raises(InputError, match="--overwrite, or --resume"):
        check_free(RunFiles(Path(prefix)), [], overwrite=False)
    check_free(RunFiles(Path(prefix)), [], overwrite=True)


def test_a_prefix_in_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    files = RunFiles(tmp_path / "file" / "run")
    with pytest.raises(InputError, match="PREFIX: expected a folder"):
        check_free(files, [], overwrite=False)
    with pytest.raises(InputError, match="PREFIX: expected a place to write to"), locked(files):
        pass


@pytest.mark.parametrize(
    "prefix, expected",
    [
        ("out/cat", "out/cat"),
        ("out/cat.png", "out/cat"),
        ("out/cat.PNG", "out/cat"),
        ("out/cat.v2", "out/cat.v2"),
        ("folder", "folder/photo--painting"),
        ("folder/", "folder/photo--painting"),
        ("new/", "new/photo--painting"),
        (".", "photo--painting"),
        ("~nobody_at_all/x", "~nobody_at_all/x"),
    ],
)
def test_a_prefix_may_be_a_folder_or_the_result_s_name(prefix, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    assert run_files(prefix, "png", ["photo", "painting"]) == RunFiles(Path(expected))


def foreign(path: Path, content: bytes = b"somebody's own") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "name",
    ["run.json", "run.png", "run_at_iteration_3.png", "run_at_iteration_0.tif", "run_state/x.txt"],
)
def test_somebody_else_s_file_is_not_overwritten(tmp_path, name):
    path = foreign(tmp_path / name)
    with pytest.raises(InputError, match="expected no files but this program's") as error:
        check_free(RunFiles(tmp_path / "run"), [], overwrite=True)
    assert name.split("/")[0] in str(error.value)
    assert path.read_bytes() == b"somebody's own"


def test_a_picture_saved_by_another_program_is_kept(prefix):
    path = f"{prefix}_at_iteration_1.png"
    with Image.open(path) as picture:
        picture.load()
    picture.save(path)  # without the texts
    with pytest.raises(InputError, match="run_at_iteration_1.png is not one of them"):
        check_free(RunFiles(Path(prefix)), [], overwrite=True)


@pytest.mark.parametrize("kind", ["itself", "symbolic link", "hard link", "other spelling"])
@pytest.mark.parametrize("name", ["run.png", "run.json", "run_at_iteration_1.png", "run.tif"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_an_input_is_never_one_of_the_run_s_files(prefix, tmp_path, kind, name, overwrite):
    own = tmp_path / name
    if not own.exists():  # left by an earlier run in another format
        foreign(own, b"II*\0 neural_style_transfer.py")
    given = {
        "itself": own,
        "symbolic link": tmp_path / "link",
        "hard link": tmp_path / "hard",
        "other spelling": tmp_path / "run_state" / ".." / name,
    }[kind]
    if kind == "symbolic link":
        given.symlink_to(own)
    elif kind == "hard link":
        os.link(own, given)
    with pytest.raises(InputError, match="PREFIX: expected one that replaces no input") as error:
        check_free(RunFiles(Path(prefix)), [("REF", given)], overwrite)
    assert f"whose {name} is REF" in str(error.value)


def test_a_name_too_long_for_its_pictures_is_refused(tmp_path):
    with pytest.raises(InputError, match="PREFIX: expected a name of at most 2.. bytes"):
        check_free(RunFiles(tmp_path / ("x" * 240)), [], overwrite=False)
    with pytest.raises(InputError, match="PREFIX: expected a name"):
        check_free(RunFiles(tmp_path / ("x" * 4000) / "y"), [], overwrite=False)


HOLDER = """
import sys, time
from pathlib import Path
from style_transfer.runs.files import RunFiles
from style_transfer.runs.lock import locked
with locked(RunFiles(Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_prefix_is_refused_while_another_holds_it(prefix):
    files = RunFiles(Path(prefix))
    command = [sys.executable, "-c", HOLDER, prefix]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        try:
            with (
                pytest.raises(InputError, match="PREFIX: expected one that no running process"),
                locked(files),
            ):
                pass
        finally:
            holder.kill()
    assert files.lock.exists()  # left by the dead
    with locked(files):
        pass


def test_a_run_that_never_began_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), locked(RunFiles(tmp_path / "made" / "run")):
        raise RuntimeError
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name", ["nul", "CON.png", "com1", "lpt9.x.y", "aux ", "a:b", "a?", "a.", "b "]
)
def test_names_that_windows_refuses_or_swallows_are_told_there(name, tmp_path, monkeypatch):
    check_writable_at(tmp_path / name, "PREFIX", ".png")  # elsewhere they are names like others
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(InputError, match="^PREFIX: expected a name that Windows accepts"):
        check_writable_at(tmp_path / name, "PREFIX", ".png")
    with pytest.raises(InputError, match="^PREFIX: expected a name that Windows accepts"):
        check_writable_at(tmp_path / name / "cat", "PREFIX", ".png")


@pytest.mark.parametrize(
    "name", ["null", "console", "com10", "com0", "a b", ".hidden", "..", "a.b"]
)
def test_names_that_windows_accepts(name):
    assert fault_on_windows([name, "cat"]) is None
