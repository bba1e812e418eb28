"""The recipes' command lines."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from shallow_runs import SHALLOW, TINY

from recipes import (
    accept_or_reject,
    painting_by_numbers,
    reconstruct_layers,
    sheet,
    stability,
    style_interpolation,
    texture_synthesis,
    weight_grid,
)
from recipes.command import Recipe, run_recipe

ROOT = Path(__file__).parent.parent
RECIPES = [
    accept_or_reject.RECIPE,
    painting_by_numbers.RECIPE,
    reconstruct_layers.RECIPE,
    stability.RECIPE,
    style_interpolation.RECIPE,
    texture_synthesis.RECIPE,
    weight_grid.RECIPE,
]


def command(recipe, arguments: list[str]) -> int:
    """The exit code of a recipe's command line, in this process."""
    try:
        return run_recipe(recipe, arguments)
    except SystemExit as stopped:
        return stopped.code


def paths_of(recipe, picture: str, prefix) -> list[str]:
    return [picture] * (len(recipe.paths) - 1) + [str(prefix)]


BAD = {
    "missing picture": ("no-such.jpg", []),
    "text for a picture": (__file__, []),
    "bad number": (None, ["--height", "tall"]),
    "missing filters": (None, ["--weights", "no-such.npz"]),
    "missing start": (None, ["--init", "no-such.png"]),
    "unknown option": (None, ["--colour", "red"]),
}


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("bad", BAD)
def test_bad_input_ends_in_one_line_and_code_2(recipe, bad, style, tmp_path, capsys):
    picture, options = BAD[bad]
    places = paths_of(recipe, picture or style, tmp_path / "x")
    assert command(recipe, [*places, *options]) == 2
    answer = capsys.readouterr()
    (line,) = answer.err.splitlines()
    assert line.startswith(f"{recipe.name}: error: ") and not answer.out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_missing_paths_are_named(recipe, capsys):
    assert command(recipe, []) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert all(name in line for name in recipe.paths)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("way", ["the same name", "its name with .png", "link", "hard link"])
def test_no_input_is_ever_written(recipe, way, style, tmp_path, capsys):
    photo, prefix = tmp_path / "cat.png", tmp_path / "cat"
    shutil.copyfile(style, photo)
    if way == "link":
        prefix = tmp_path / "dog"
        (tmp_path / "dog.png").symlink_to(photo)
    if way == "hard link":
        prefix = tmp_path / "dog"
        (tmp_path / "dog.png").hardlink_to(photo)
    if way == "its name with .png":
        prefix = photo
    places = paths_of(recipe, str(photo), prefix)
    assert command(recipe, [*places, "--overwrite", "--height", "24", "--weights", "random"]) == 2
    assert "PREFIX: expected one that replaces no input" in capsys.readouterr().err
    assert photo.read_bytes() == Path(style).read_bytes()


def test_an_option_that_the_recipe_sets_itself_is_refused(base, style, tmp_path, capsys):
    grid, strip = weight_grid.RECIPE, style_interpolation.RECIPE
    prefix = str(tmp_path / "x")
    assert command(grid, [base, style, prefix, "--style-weight", "2"]) == 2
    assert "--style_weight: expected none" in capsys.readouterr().err
    assert command(stability.RECIPE, [style, prefix, "--seeds", "1"]) == 2
    assert command(strip, [base, style, style, prefix, "--steps", "1"]) == 2
    assert command(grid, [base, style, prefix, "--ratios", "0.1,none"]) == 2
    assert command(grid, [base, style, prefix, "--workers", "0"]) == 2
    assert not list(tmp_path.iterdir())


def test_an_option_left_out_has_the_default_that_help_names():
    given = []
    recipe = Recipe(
        name="one.py",
        function=lambda *paths, **options: given.append((paths, options)),
        text="",
        paths={"PREFIX": ""},
        options=(("workers", 3, ""), ("ratios", "1,2", "")),
    )
    assert run_recipe(recipe, ["x", "--workers=4"]) == 0
    assert given == [(("x",), {"workers": 4, "ratios": "1,2"})]


def test_only_an_earlier_sheet_is_replaced_where_asked(base, style, tmp_path, capsys, two_blocks):
    picture = tmp_path / "x.png"
    arguments = [base, style, str(tmp_path / "x"), "--ratios", "1", "--workers", "1"]
    arguments += [f"--{name}={value}" for name, value in {**TINY, **SHALLOW}.items()]
    arguments = [each for each in arguments if not each.startswith("--style_layers")]
    assert command(weight_grid.RECIPE, arguments) == 0
    earlier = picture.read_bytes()
    assert Image.open(picture).text["Software"] == "neural_style_transfer.py"
    assert command(weight_grid.RECIPE, arguments) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert picture.read_bytes() == earlier
    assert command(weight_grid.RECIPE, [*arguments, "--overwrite"]) == 0
    Image.new("RGB", (20, 20)).save(picture)
    earlier = picture.read_bytes()
    assert command(weight_grid.RECIPE, [*arguments, "--overwrite"]) == 2
    assert "x.png is not one" in capsys.readouterr().err
    assert picture.read_bytes() == earlier


def test_in_a_folder_a_sheet_is_named_after_the_pictures(base, style, tmp_path):
    path = sheet.check_sheet(str(tmp_path), False, {"BASE": base, "STYLE": style}, [])
    assert path == tmp_path / "base--style.png"
    path = sheet.check_sheet(str(tmp_path / "a.png"), False, {"BASE": base}, [])
    assert path == tmp_path / "a.png"


# Ways to run them


def test_a_recipe_runs_as_a_module():
    arguments = [sys.executable, "-m", "recipes.texture_synthesis", "--help"]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "--style_scale" in done.stdout and "(default: noise)" in done.stdout


def run_by_path(folder: str, script: str, *options: str) -> subprocess.CompletedProcess:
    """A script run by its path, without its project installed (-S: no site-packages)."""
    command = [sys.executable, *options, f"{folder}/{script}", "--help"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("folder, script", [("recipes", "weight_grid"), ("benchmarks", "scaling")])
def test_by_its_path_a_script_runs_or_says_how(folder, script):
    done = run_by_path(folder, f"{script}.py", "-S")
    assert done.returncode == 2 and not done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{script}.py: error: ")
    assert "pip install -e ." in line and f"python -m {folder}.{script}" in line


def is_running(process: str) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False


def test_ctrl_c_ends_a_recipe_in_one_line(base, style, tmp_path):
    arguments = [base, style, str(tmp_path / "x"), "--workers", "2", "--evaluations", "9000"]
    arguments += [f"--{name}={value}" for name, value in TINY.items() if name != "evaluations"]
    process = subprocess.Popen(
        [sys.executable, "-m", "recipes.weight_grid", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    group = process.pid
    children = Path(f"/proc/{group}/task/{group}/children")
    if not children.exists():
        pytest.skip("needs /proc")
    deadline = time.monotonic() + 200
    while len(children.read_text().split()) < 3 and time.monotonic() < deadline:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.2)  # two workers and multiprocessing's tracker
    started = children.read_text().split()
    time.sleep(1)
    os.killpg(group, signal.SIGINT)  # as a terminal does
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 130
    assert errors.splitlines() == ["weight_grid.py: stopped"]
    deadline = time.monotonic() + 20  # multiprocessing's tracker follows its pipe's end
    while any(map(is_running, started)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(is_running, started))
    assert not list(tmp_path.iterdir())
