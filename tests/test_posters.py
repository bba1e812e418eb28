"""Pictures for print: sheets, endings, reduced pictures on the way, and what a run would take."""

import json

import numpy as np
import pytest
from conftest import draw
from light_program import light_objectives
from PIL import Image

from benchmarks.posters import borders_of, seam_numbers, steps_by_place
from neural_style_transfer import main, transfer
from style_transfer import disk
from style_transfer.disk import disk_bytes, disk_line, windows_share
from style_transfer.errors import InputError
from style_transfer.events import IterationDone
from style_transfer.grid import Grid
from style_transfer.images import reduced
from style_transfer.presets import make_settings
from style_transfer.runs.files import RunFiles
from style_transfer.runs.guard import output_by_ending
from style_transfer.runs.record import Method, Record
from style_transfer.schedule import Size, full_size, plan


@pytest.mark.parametrize(
    ("sheet", "dpi", "picture", "expected"),
    [
        ("36x27in", 300, (1024, 768), (8100, 10800)),
        ("36x27in", 0, (1024, 768), (8100, 10800)),  # 300 unless another number is given
        ("91x69cm", 300, (1024, 768), (8061, 10748)),  # 91 / 2.54 · 300 columns; rows as wide
        ("910 x 690 MM", 300, (1024, 768), (8061, 10748)),
        ("10x10in", 100, (200, 400), (1000, 500)),  # as high as the sheet
        ("10×10in", 100, (400, 200), (500, 1000)),  # as wide as the sheet
    ],
)
def test_a_sheet_is_filled_as_far_as_the_aspect_allows(sheet, dpi, picture, expected):
    settings = make_settings(print=sheet, dpi=dpi)
    assert full_size(settings, *picture) == expected
    assert plan(settings, *picture)[-1].shape == expected


@pytest.mark.parametrize(
    "text",
    ["36x", "x27in", "36x27", "0x27in", "36x27ft", "1e3x2in", "-3x4cm", "9999999x1in", "axbin"],
)
def test_sheets_that_cannot_be(text):
    with pytest.raises(InputError, match=r"^--print: expected .* Received: "):
        make_settings(print=text)


def test_a_sheet_of_fewer_pixels_than_a_picture_needs():
    for choices in ({"print": "0.05x4in"}, {"print": "4x3in", "dpi": 5}):
        with pytest.raises(InputError, match=r"^--print: expected a sheet of at least 16 x 16"):
            full_size(make_settings(**choices), 400, 300)
    assert full_size(make_settings(print="4x4in", dpi=4), 300, 300) == (16, 16)


@pytest.mark.parametrize("other", [{"height": 300}, {"width": 300}, {"size": "300"}])
def test_a_sheet_and_a_size_are_too_much(other):
    with pytest.raises(InputError, match="^--print: expected without"):
        make_settings(print="4x3in", **other)


@pytest.mark.parametrize(
    ("prefix", "choices", "expected"),
    [
        ("out/cat.jpg", {}, "jpeg"),
        ("out/cat.JPEG", {}, "jpeg"),
        ("out/cat.tif", {}, "tiff"),
        ("out/cat.tiff", {}, "tiff"),
        ("out/cat.png", {}, None),
        ("out/cat", {}, None),
        (None, {}, None),
        ("out/cat.jpg", {"output": "png16"}, "png16"),
    ],
)
def test_an_ending_says_the_output_where_nothing_else_does(prefix, choices, expected):
    assert output_by_ending(prefix, choices).get("output") == expected


def test_a_folder_is_no_ending(tmp_path):
    (tmp_path / "a.jpg").mkdir()
    assert output_by_ending(tmp_path / "a.jpg", {}) == {}


@pytest.fixture
def _named(tmp_path):
    draw(48, 64, 1).save(tmp_path / "photo.jpg")
    draw(50, 60, 2).save(tmp_path / "painting.png")
    return tmp_path


def painted(folder, prefix, **choices):
    choices = {"height": 48, "scales": "1", "iter": 2, "evaluations": 2} | choices
    files = folder / "photo.jpg", folder / "painting.png"
    return transfer(*files, folder / prefix, objectives=light_objectives, **choices)


def test_a_prefix_in_jpg_gives_jpegs_with_dots_an_inch(_named):
    painted(_named, "out/cat.jpg", dpi=150, quality=80)
    names = sorted(path.name for path in (_named / "out").iterdir() if path.is_file())
    assert names == ["cat.jpg", "cat.json", "cat_at_iteration_0.jpg", "cat_at_iteration_1.jpg"]
    file = Image.open(_named / "out/cat.jpg")
    assert (file.format, file.size, file.info["dpi"]) == ("JPEG", (64, 48), (150, 150))
    settings = json.loads(file.info["comment"].split(b" ", 1)[1])
    assert (settings["output"], settings["quality"]) == ("jpeg", 80)


def test_a_photograph_beside_the_result_stays(_named):
    before = (_named / "photo.jpg").read_bytes()
    painted(_named, "photo")  # photo.png, photo.json
    painted(_named, "photo", overwrite=True)
    with pytest.raises(InputError, match="^PREFIX: expected one that replaces no input"):
        painted(_named, "photo.jpg", overwrite=True)
    assert (_named / "photo.jpg").read_bytes() == before


def test_an_earlier_result_that_is_now_an_input_stays(_named):
    painted(_named, "cat.jpg")
    before = (_named / "cat.jpg").read_bytes()
    with pytest.raises(InputError, match="^PREFIX: expected one that replaces no input"):
        transfer(
            _named / "cat.jpg",
            _named / "painting.png",
            _named / "cat",
            objectives=light_objectives,
            height=48,
            overwrite=True,
        )
    assert (_named / "cat.jpg").read_bytes() == before


def test_the_result_of_another_format_goes_with_overwrite(_named):
    painted(_named, "cat.jpg")
    painted(_named, "cat", overwrite=True)
    assert not (_named / "cat.jpg").exists()
    assert (_named / "cat.png").exists()


def test_pictures_on_the_way_are_reduced_the_result_is_not(_named):
    told = []
    painted(_named, "cat", preview=32, on_event=told.append)
    assert Image.open(_named / "cat.png").size == (64, 48)
    assert Image.open(_named / "cat_at_iteration_0.png").size == (32, 24)
    done = [event for event in told if isinstance(event, IterationDone)]
    assert done[-1].picture().size == (64, 48)
    painted(_named, "full", preview=0)
    assert Image.open(_named / "full_at_iteration_0.png").size == (64, 48)


def test_a_reduced_image_keeps_its_mean_and_aspect():
    image = np.random.default_rng(1).normal(0, 50, (1, 40, 90, 3)).astype(np.float32)
    small = reduced(image, 30)
    assert small.shape == (1, 13, 30, 3)
    np.testing.assert_allclose(small.mean((0, 1, 2)), image.mean((0, 1, 2)), atol=1.5)
    assert reduced(image, 90) is image
    assert reduced(image, 0) is image


# What a run would take


def test_a_dry_run_tells_and_writes_nothing(_named, capsys):
    paths = [str(_named / name) for name in ("photo.jpg", "painting.png", "out/cat")]
    before = sorted(_named.rglob("*"))
    assert (
        main([*paths, "--dry_run", "--height", "64", "--scales", "0.5:1,1:1", "--iter", "2"]) == 0
    )
    assert sorted(_named.rglob("*")) == before
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("42 x 32: 20 evaluations, whole, lbfgs, about ")
    assert lines[1].startswith("85 x 64: 20 evaluations, whole, lbfgs, about ")
    assert [line.split(":")[0] for line in lines[2:]] == ["Time", "Memory", "Disk"]


def test_a_dry_run_counts_the_memory_of_workers(_named, capsys):
    paths = [str(_named / name) for name in ("photo.jpg", "painting.png", "out/cat")]
    found = []
    for more in ([], ["--workers", "3"], ["--workers", "3", "--address", "127.0.0.1:9"]):
        options = ["--dry_run", "--height", "64", "--tile", "32", "--precision", "float32"]
        assert main([*paths, *options, *more, "--memory", "64"]) == 0
        line = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("Memory"))
        found.append(float(line.split()[2]))
    # Each has the libraries, 0.85 GiB; on a cluster the workers are elsewhere.
    assert found[1] - found[0] == pytest.approx(3 * 0.85, abs=0.3)
    assert found[2] == found[0]


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (["--resume", "x"], "--dry_run: expected without --resume"),
        (["missing.jpg", "missing.jpg", "x"], "BASE: expected"),
        (["--height", "3"], "--height: expected"),
    ],
)
def test_a_dry_run_refuses_what_a_run_would(more, line, capsys):
    assert main(["--dry_run", *more]) == 2
    error = capsys.readouterr().err
    assert line in error or "BASE REF PREFIX" in error
    assert error.count("\n") == 1


def test_the_disk_of_a_poster():
    settings = make_settings(height=8100, iter=3, evaluations=2, precision="float32")
    sizes = [Size(0, 4050, 5400, 0, 2), Size(1, 8100, 10800, 2, 1)]
    methods = {"0": Method(1536, "lbfgs"), "1": Method(1024, "adam")}
    pixels = np.array([4050 * 5400, 8100 * 10800])
    images = 12 * pixels @ [2, 1]
    previews = 3 * 3 * 2000 * 1500
    share = windows_share(settings, sizes[1].shape, 1024)
    assert 1.2 < share < (1184 / 1024) ** 2 * 1.1
    # Three snapshots, the content's features (56 values of float32 a pixel), the tiles' gradients.
    passing = pixels[1] * (3 * 48 + (4 * 56 + 12) * share)
    expected = images + previews + passing + 3 * pixels[1]
    assert disk_bytes(settings, sizes, methods) == pytest.approx(expected, rel=1e-6)
    without = disk_bytes(settings, sizes, methods, journal=False)
    assert without == pytest.approx(expected - pixels[1] * (3 * 48 + 12 * share), rel=1e-6)


def test_too_small_a_disk_is_refused_and_a_large_need_told(tmp_path, monkeypatch):
    def line(iterations, journal=True):
        settings = make_settings(height=1600, iter=iterations)
        record = Record("default", settings, None, [])
        record.sizes = [Size(0, 1600, 2133, 0, iterations)]
        record.methods = {"0": Method(0, "lbfgs")}
        return disk_line(record, RunFiles(tmp_path / "not there" / "cat"), journal)

    monkeypatch.setattr(disk, "free_disk", lambda folder: 5 * 10**9)
    assert line(1) is None  # 20 evaluations of 41 MB in the journal: 0.9 GB
    assert line(4).startswith("Needs at most 3.5 GB of disk in ")
    with pytest.raises(InputError, match=r"^PREFIX: expected a disk with room.* Received: 5\.0 GB"):
        line(10)
    assert line(10, journal=False) is None


# Seams, as benchmarks/posters.py counts them


def blocks_of_16(grid, seed):
    """(1, H, W, 3): noise in which every 16th row and column begins anew, as networks that pool."""
    rng = np.random.default_rng(seed)
    rows, columns = grid.size
    coarse = rng.normal(0, 3, (rows // 16, columns // 16, 3))
    return (np.kron(coarse, np.ones((16, 16, 1))) + rng.normal(0, 3, (rows, columns, 3)))[None]


def with_levels(image, grid, level):
    """Every second tile a little lighter."""
    for tile in grid.tiles:
        rows, columns = (slice(x.core_start, x.core_stop) for x in (tile.rows, tile.columns))
        lighter = (tile.rows.start + tile.columns.start) // 64 % 2
        image[:, rows, columns] += level * lighter
    return image


@pytest.mark.parametrize("level", [0, 3])
def test_a_seam_is_told_from_the_network_s_own_grid(level):
    grid = Grid((640, 800), 64, "vgg19", ("block5_conv1",), "repeated")
    image = with_levels(blocks_of_16(grid, 1), grid, level)
    borders = borders_of(grid)
    assert borders[0][:2] == [144, 208]
    found = seam_numbers(steps_by_place(image), borders, grid.pitch)
    assert found["across_other_multiples"] > 1.1
    for name in ("seam", "level"):
        assert 0 < found[f"{name}_95"] < 0.03
        if level:
            assert found[name] > 1.1
        else:
            assert abs(found[name] - 1) < 2 * found[f"{name}_95"]


def test_steps_are_those_of_each_row_and_column():
    image = np.random.default_rng(2).normal(size=(1, 1100, 7, 3)).astype(np.float32)
    down, right = steps_by_place(image)
    np.testing.assert_allclose(down, np.abs(np.diff(image[0], axis=0)).mean((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(right, np.abs(np.diff(image[0], axis=1)).mean((0, 2)), rtol=1e-5)
