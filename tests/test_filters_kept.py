"""The cache of fitted filters: same bytes, kept to a few files, and never a reason to fail."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from filter_files import image

from style_transfer.filters import kept, load_filters
from style_transfer.presets import make_settings
from style_transfer.vgg import sha256_of_arrays

FEW = {"content_layers": "block1_conv2", "style_layers": "block1_conv1"}
SMALL = make_settings(**FEW)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv(kept.VARIABLE, str(folder))
    return folder


@pytest.fixture
def fits(monkeypatch):
    """How often filters were fitted, as the length of a list."""
    calls, fit = [], kept.fitted.fitted_filters

    def counted(*arguments):
        calls.append(arguments)
        return fit(*arguments)

    monkeypatch.setattr(kept.fitted, "fitted_filters", counted)
    return calls


def load(seed=1, settings=SMALL):
    return load_filters("fitted", settings, [image(24, 24, seed)], pytest.fail)


def same(one, other):
    return one[1] == other[1] and all(
        a.tobytes() == b.tobytes() and a.dtype == b.dtype and a.shape == b.shape
        for layer in one[0].arrays
        for a, b in zip(one[0].arrays[layer], other[0].arrays[layer], strict=True)
    )


def test_known_pictures_are_fitted_once_and_have_the_same_bytes(folder, fits):
    first, again = load(), load()
    assert len(fits) == 1 and same(first, again)
    assert again[1].sha256 == sha256_of_arrays(again[0])
    assert [path.suffix for path in folder.iterdir()] == [".npz"]


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 2},
        {"settings": make_settings(**FEW, seed=1)},
        {"settings": make_settings(**FEW, pooling="max")},
        {"settings": make_settings(**FEW, borders="zeros")},
        {"settings": make_settings(**FEW, network="vgg16")},
        {"settings": make_settings(**FEW, loss_scale="pytorch")},
        {"settings": make_settings(**{**FEW, "content_layers": "block2_conv1"})},
    ],
)
def test_anything_else_is_fitted_anew(other, folder, fits, monkeypatch):
    load()
    found = load(**other)
    monkeypatch.setenv(kept.VARIABLE, "off")
    assert same(found, load(**other)) and len(fits) == 3


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "no file", "other arrays"])
def test_damaged_files_are_replaced(damage, folder, fits):
    first = load()
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    if damage == "no file":
        path.unlink()
        path.mkdir()
    elif damage == "other arrays":
        np.savez(path, sha256=np.array("0"), other=np.zeros(3))
    else:
        middle = len(whole) // 2
        changed = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        path.write_bytes({"cut": whole[:middle], "changed": changed, "empty": b""}[damage])
    assert same(first, load()) and len(fits) == 2
    if damage != "no file":  # a folder in its place stays, and filters are fitted every time
        assert same(first, load()) and len(fits) == 2 and path.read_bytes() == whole


def test_only_the_files_used_last_are_kept(folder):
    folder.mkdir()
    (folder / "notes.npz").write_text("mine")
    stale = folder / ("a" * 64 + "x" + kept.UNFINISHED)
    fresh = folder / ("b" * 64 + "y" + kept.UNFINISHED)
    for path in (stale, fresh):
        path.write_text("part")
    os.utime(stale, (0, 0))
    names = []
    for seed in range(kept.KEPT + 2):
        before = set(folder.iterdir())
        load(seed)
        (made,) = set(folder.iterdir()) - before
        names.append(made)
        os.utime(made, (time.time() - 1000 + seed,) * 2)
        load(0)  # used again every time, so it stays
    left = set(folder.iterdir())
    assert left == {folder / "notes.npz", fresh, names[0], *names[3:]}


@pytest.mark.parametrize("place", ["a file", "below a file", "a very long name", "null"])
def test_a_folder_that_cannot_be_made_changes_nothing(place, folder, fits, monkeypatch):
    expected = load()
    blocked = folder.parent / "file"
    blocked.write_text("a file")
    path = {
        "a file": str(blocked),
        "below a file": str(blocked / "cache"),
        "a very long name": str(folder / ("x" * 300)),
        "null": "",
    }[place]
    if place == "null":
        monkeypatch.setattr(kept, "cache_folder", lambda environment: Path("\0"))
    monkeypatch.setenv(kept.VARIABLE, path)
    assert same(expected, load()) and same(expected, load()) and len(fits) == 3
    assert blocked.read_text() == "a file"


def test_a_full_disk_leaves_nothing_behind(folder, fits, monkeypatch):
    def fail(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept.np, "savez", fail)
    load()
    assert not list(folder.iterdir()) and len(fits) == 1


HOME = os.path.expanduser("~")  # noqa: PTH111


@pytest.mark.parametrize(
    "environment, platform, expected",
    [
        ({}, "linux", f"{HOME}/.cache/neural_style_transfer/filters"),
        ({"XDG_CACHE_HOME": "/c"}, "linux", "/c/neural_style_transfer/filters"),
        ({"XDG_CACHE_HOME": ""}, "linux", f"{HOME}/.cache/neural_style_transfer/filters"),
        ({"XDG_CACHE_HOME": "relative"}, "linux", None),
        ({}, "darwin", f"{HOME}/Library/Caches/neural_style_transfer/filters"),
        ({"LOCALAPPDATA": "/l"}, "win32", "/l/neural_style_transfer/filters"),
        ({kept.VARIABLE: "/mine", "XDG_CACHE_HOME": "/c"}, "linux", "/mine"),
        ({kept.VARIABLE: "~/mine"}, "linux", f"{HOME}/mine"),
        ({kept.VARIABLE: "off"}, "linux", None),
        ({kept.VARIABLE: "OFF"}, "darwin", None),
    ],
)
def test_the_folder_follows_the_platform(environment, platform, expected):
    assert kept.cache_folder(environment, platform) == (expected and Path(expected))
