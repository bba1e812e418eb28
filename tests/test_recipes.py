"""The recipes end to end at a tiny size, their sheets, their command line."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from neural_style_transfer import transfer
from recipes import (
    accept_or_reject,
    cells,
    painting_by_numbers,
    reconstruct_layers,
    sheet,
    stability,
    style_interpolation,
    texture_synthesis,
    weight_grid,
)
from recipes.command import Recipe, run_recipe
from style_transfer.errors import InputError, RunStopped
from style_transfer.parsing import layers_in_use
from style_transfer.pictures import load_picture
from style_transfer.presets import make_settings

ROOT = Path(__file__).parent.parent
TINY = {
    "weights": "random",
    "height": 24,
    "precision": "float32",
    "scales": "1",
    "iter": 1,
    "evaluations": 2,
}
SHALLOW = {**TINY, "content_layers": "block2_conv1", "style_layers": "block1_conv1,block2_conv1"}


@pytest.fixture
def two_blocks(monkeypatch):
    """Sheets over the first two of VGG's blocks, for time's sake."""
    monkeypatch.setattr(reconstruct_layers, "BLOCKS", range(1, 3))
    monkeypatch.setattr(weight_grid, "BLOCKS", range(1, 3))


def crops(picture: Image.Image, left: int, top: int, size: tuple[int, int], count: int):
    """What stands in a row of cells of (width, height), 6 pixels apart."""
    return [
        np.asarray(picture.crop((x, top, x + size[0], top + size[1])))
        for x in range(left, left + count * (size[0] + 6), size[0] + 6)
    ]


def boxes(picture: Image.Image, colors: list[tuple]) -> list[tuple]:
    """(left, top, right, bottom) of all pixels of each color."""
    pixels = np.asarray(picture)
    found = []
    for color in colors:
        y, x = np.nonzero((pixels == color).all(axis=-1))
        found.append((x.min(), y.min(), x.max() + 1, y.max() + 1))
    return found


# Sheets


def test_a_sheet_s_cells_stand_whole_in_rows_and_columns_and_labels_beside_them():
    colors = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0), (0, 250, 250), (250, 0, 250)]
    sizes = [(90, 30), (80, 20), (90, 40), (70, 50), (90, 50), (60, 10)]
    pictures = [Image.new("RGB", *pair) for pair in zip(sizes, colors, strict=True)]
    made = sheet.make_sheet([pictures[:3], pictures[3:]], ["one", "two"], ["a", "b", "c"])
    found = boxes(made, colors)
    assert [(right - left, bottom - top) for left, top, right, bottom in found] == sizes
    lefts, tops = [box[0] for box in found], [box[1] for box in found]
    assert lefts[:3] == lefts[3:]
    assert tops[:3] == [tops[0]] * 3 and tops[3:] == [tops[3]] * 3
    assert lefts[1] - lefts[0] == 90 + 6 and lefts[2] - lefts[1] == 90 + 6  # the widest of column
    assert tops[3] - tops[0] == 40 + 6
    assert made.size == (lefts[2] + 90 + 6, tops[3] + 50 + 6)
    ink = np.asarray(made).max(axis=-1) < 100
    for left, top in zip(lefts[:3], tops[:3], strict=True):
        assert ink[: top - 1, left : left + 20].any()
    for top, height in ((tops[0], 40), (tops[3], 50)):
        assert ink[top : top + height, : lefts[0] - 1].any()


def test_a_column_is_as_wide_as_its_label_and_no_label_takes_no_room():
    picture = Image.new("RGB", (20, 10), "red")
    bare = sheet.make_sheet([[picture, picture]], [""], ["", ""])
    assert bare.size == (6 + 2 * 26, 6 + 16)
    wide = sheet.make_sheet([[picture]], [""], ["a label that is wider than the picture"])
    assert wide.width > 150
    assert (np.asarray(wide)[:, -6:] == 255).all()


# Recipes


def test_texture_synthesis_paints_any_size_from_the_style_alone(style, tmp_path, capsys):
    prefix = str(tmp_path / "texture")
    choices = {**SHALLOW, "width": 50, "style_scale": 0.8}
    picture, record = texture_synthesis.synthesize(style, prefix, **choices)
    assert picture.size == (50, 24)
    assert record.content.path == record.styles[0].path == style
    assert all(entry.terms["content"] == 0 for entry in record.evaluations)
    assert_array_equal(np.asarray(Image.open(f"{prefix}.png")), np.asarray(picture))


def test_painting_by_numbers_has_the_plan_s_aspect_and_its_regions_colors(tmp_path, capsys):
    regions = Image.new("RGB", (48, 36), (255, 0, 0))
    regions.paste((0, 0, 255), (24, 0, 48, 36))
    style = Image.new("RGB", (48, 36), (250, 240, 30))
    style.paste((20, 30, 120), (24, 0, 48, 36))
    plan = Image.new("RGB", (60, 40), (0, 0, 255))
    plan.paste((255, 0, 0), (0, 20, 60, 40))
    for name, made in (("regions", regions), ("style", style), ("plan", plan)):
        made.save(tmp_path / f"{name}.png")
    paths = [str(tmp_path / f"{name}.png") for name in ("plan", "style", "regions")]
    choices = {**SHALLOW, "evaluations": 25, "tv_weight": 0.0}
    picture, _ = painting_by_numbers.paint(*paths, None, **choices)
    assert picture.size == (36, 24)
    pixels = np.asarray(picture, np.float64)
    above, below = pixels[:10].mean(axis=(0, 1)), pixels[-10:].mean(axis=(0, 1))
    assert above[2] > above[0] and below[0] > below[2]  # blue above yellow, as in the plan


def test_reconstruct_layers_lays_contents_above_styles(base, style, tmp_path, capsys, two_blocks):
    made = reconstruct_layers.reconstruct(base, style, str(tmp_path / "layers"), **TINY)
    assert made.height == 6 + 13 + 12 + 2 * (24 + 6)
    assert_array_equal(np.asarray(Image.open(tmp_path / "layers.png")), np.asarray(made))
    said = capsys.readouterr().out.splitlines()
    assert said[:4] == [f"{number} of 4 pictures" for number in range(1, 5)]


def test_a_reconstruction_looks_at_its_layers_alone():
    for block in range(1, 6):
        content = make_settings(**reconstruct_layers.content_of(block))
        assert layers_in_use(content)[-1] == f"block{block}_conv2"
        style = make_settings(**reconstruct_layers.style_of(block))
        assert layers_in_use(style) == [f"block{n}_conv1" for n in range(1, block + 1)]


def test_weight_grid_paints_each_ratio_with_each_set_of_layers(
    base, style, tmp_path, capsys, two_blocks
):
    choices = {**TINY, "content_layers": "block1_conv1", "height": 60, "init": "content"}
    made = weight_grid.paint_grid(base, style, str(tmp_path / "grid"), ratios="0.1,1e9", **choices)
    assert made.height == 6 + 13 + 12 + 2 * (60 + 6)
    assert (tmp_path / "grid.png").exists()
    content = np.asarray(Image.open(base).resize((84, 60), Image.Resampling.LANCZOS), float)
    for top in (31, 31 + 66):
        near, far = crops(made, made.width - 2 * (84 + 6), top, (84, 60), 2)
        assert np.abs(far - content).mean() < np.abs(near - content).mean()


def test_style_interpolation_ends_in_either_style_alone(base, style, style2, tmp_path, capsys):
    choices = {**SHALLOW, "height": 60}
    prefix = str(tmp_path / "strip")
    made = style_interpolation.interpolate(base, (style, style2), prefix, steps=3, **choices)
    assert made.size == (6 + 3 * (84 + 6), 6 + 25 + 60 + 6)
    found = crops(made, 6, 31, (84, 60), 3)
    for cell, end in ((found[0], style), (found[2], style2)):
        alone, _ = transfer(base, end, **choices)
        assert_array_equal(cell, np.asarray(alone))
    assert (found[0] != found[1]).any() and (found[1] != found[2]).any()


def test_stability_measures_each_seed_both_ways(style, tmp_path, capsys):
    choices = {**SHALLOW, "histogram_layers": "block2_conv1", "height": 60, "style_scale": 0.5}
    made, table = stability.compare(style, str(tmp_path / "stable"), seeds=2, **choices)
    found = crops(made, made.width - 2 * (45 + 6), 31, (45, 60), 2)
    assert (tmp_path / "stable.png").exists()
    assert [values.shape for values in table.values()] == [(2, 3), (2, 3)]
    for cell, values in zip(found, table["Gram"], strict=True):
        grey = np.asarray(Image.fromarray(cell).convert("L"), np.float64)
        assert values[:2] == pytest.approx([grey.mean(), grey.var()])
    source = np.asarray(Image.open(style).resize((22, 30), Image.Resampling.LANCZOS))
    places = [crops(made, x, 31, (22, 30), 1)[0] for x in range(made.width - 100)]
    assert sum((place == source).all() for place in places) == 1
    assert "spread, ratio" in capsys.readouterr().out


def test_histogram_distance_is_the_mean_shift_of_the_ordered_levels():
    rng = np.random.default_rng(0)
    pixels = [rng.integers(0, 256, (9, 8, 3), dtype=np.uint8) for _ in range(2)]
    ordered = [np.sort(part.reshape(-1, 3).astype(float), axis=0) for part in pixels]
    found = stability.statistics(*map(Image.fromarray, pixels))[2]
    assert found == pytest.approx(np.abs(ordered[0] - ordered[1]).mean())


# Cells


def cell(base, style, **choices):
    return {"base": base, "styles": style, **SHALLOW, **choices}


def test_filters_are_made_once_and_reach_each_cell_s_deepest_layer(base, style):
    images = [load_picture(path).image for path in (base, style)]
    chosen = [cell(base, style), cell(base, style, content_layers="block1_conv2")]
    settings = [cells.settings_of(each) for each in chosen]
    with cells.with_filters(images, chosen, settings) as ready:
        (file,) = {each["weights"] for each in ready}
        with np.load(file) as arrays:
            assert {name.split("/")[0] for name in arrays} == {
                "block1_conv1",
                "block1_conv2",
                "block2_conv1",
            }
    assert not Path(file).exists()


def test_a_file_of_filters_is_handed_over_as_it_is(base, style, filters_file):
    images = [load_picture(path).image for path in (base, style)]
    chosen = [cell(base, style, weights=filters_file("vgg19"))]
    with cells.with_filters(images, chosen, [cells.settings_of(chosen[0])]) as ready:
        assert ready[0]["weights"] == filters_file("vgg19")


def test_memory_limits_the_processes_and_a_line_says_so(base, monkeypatch, capsys):
    images = [load_picture(base).image] * 2
    settings = [make_settings(**SHALLOW)]
    needed = cells.estimated_bytes(settings[0], 24 * 33)
    for free, fitting in ((4 * needed, 4), (3.5 * needed, 3), (0.5 * needed, 1)):
        monkeypatch.setattr(cells, "usable_memory", lambda free=free: int(free) + 9)
        assert cells.most_processes(4, images, settings) == fitting
        said = capsys.readouterr().out
        assert (f"--workers {fitting} instead" in said) == (fitting < 4)
    monkeypatch.setattr(cells, "usable_memory", lambda: None)
    assert cells.most_processes(4, images, settings) == 4


@pytest.mark.parametrize("workers", [0, -1])
def test_workers_below_one_are_refused(workers, base, style):
    with pytest.raises(InputError, match="--workers: expected a whole number, at least 1"):
        cells.paint_cells([base, style], [cell(base, style)], workers)


def test_processes_are_spawned_and_their_errors_arrive(base, style):
    chosen = [cell("no-such.jpg", style, seed=seed) for seed in (0, 1)]
    with pytest.raises(InputError, match=r"BASE: expected an existing file.*no-such\.jpg"):
        cells.paint_cells([base, style], chosen, 2)


def test_a_process_that_dies_stops_the_recipe_in_one_line(base, style, monkeypatch):
    monkeypatch.setattr(cells, "paint_cell", die)
    with pytest.raises(RunStopped, match="a process ended"):
        list(cells.paint_in_processes([cell(base, style)] * 2, 2))


def die(cell):
    signal.raise_signal(signal.SIGKILL)


def test_transparent_cells_stand_on_white(style, tmp_path):
    picture = Image.new("RGBA", (40, 40), (10, 20, 30, 255))
    picture.paste((10, 20, 30, 0), (0, 0, 20, 40))
    picture.save(tmp_path / "half.png")
    (painted,) = cells.paint_cells([style], [cell(str(tmp_path / "half.png"), style)])
    assert painted.mode == "RGB"
    assert (np.asarray(painted)[:, :10] == 255).all() and (np.asarray(painted)[:, 14:] < 255).any()


# The command line

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
    assert "PREFIX: expected another than an input's" in capsys.readouterr().err
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


def test_an_earlier_sheet_is_replaced_where_asked_and_somebody_else_s_never(
    base, style, tmp_path, capsys, two_blocks
):
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


def test_a_folder_for_a_prefix_takes_the_sheet_named_after_the_pictures(base, style, tmp_path):
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


def test_ctrl_c_ends_the_recipe_and_its_processes_in_one_line(base, style, tmp_path):
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
