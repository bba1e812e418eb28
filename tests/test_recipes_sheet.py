"""The sheets of recipes and the processes that paint their cells."""

import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shallow_runs import SHALLOW

from recipes import (
    cells,
    sheet,
)
from style_transfer.errors import InputError, RunStopped
from style_transfer.pictures import load_picture
from style_transfer.presets import make_settings


def boxes(picture: Image.Image, colors: list[tuple]) -> list[tuple]:
    """(left, top, right, bottom) of all pixels of each color."""
    pixels = np.asarray(picture)
    found = []
    for color in colors:
        y, x = np.nonzero((pixels == color).all(axis=-1))
        found.append((x.min(), y.min(), x.max() + 1, y.max() + 1))
    return found


# Sheets


def test_cells_stand_whole_in_rows_and_columns():
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


def test_a_column_is_as_wide_as_its_label():
    picture = Image.new("RGB", (20, 10), "red")
    bare = sheet.make_sheet([[picture, picture]], [""], ["", ""])
    assert bare.size == (6 + 2 * 26, 6 + 16)
    wide = sheet.make_sheet([[picture]], [""], ["a label that is wider than the picture"])
    assert wide.width > 150
    assert (np.asarray(wide)[:, -6:] == 255).all()


# Cells


def cell(base, style, **choices):
    return {"base": base, "styles": style, **SHALLOW, **choices}


def test_filters_are_made_once_for_the_deepest_layer(base, style):
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
    with pytest.raises(RunStopped, match="a process died"):
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
