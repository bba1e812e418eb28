"""Which sizes are whole, which in tiles, and which optimizer paints them."""

import re
from types import SimpleNamespace

import pytest

from style_transfer import memory
from style_transfer.errors import InputError
from style_transfer.losses import STYLE_LOSSES
from style_transfer.memory import GIB, bytes_by_method, largest_rows, method_for, why_not_in_tiles
from style_transfer.parsing import SMALLEST_SIDE
from style_transfer.presets import make_settings
from style_transfer.runs.record import Method

FLOAT32 = {"precision": "float32"}


def method(size, gib, **choices):
    return method_for(make_settings(**FLOAT32, **choices), size, 1, round(gib * GIB))


def test_a_picture_that_fits_is_whole():
    assert method((400, 533), 4) == Method(0, "lbfgs")
    assert method_for(make_settings(**FLOAT32), (10800, 8100), 1, None) == Method(0, "lbfgs")


def test_less_memory_means_tiles_then_adam():
    size = 1600, 2133  # 3.4 megapixels: 9.6 GiB whole
    found = [method(size, gib) for gib in (10, 6, 4.5, 2.8)]
    assert [x.optimizer for x in found] == ["lbfgs", "lbfgs", "lbfgs", "adam"]
    assert found[0].tile == 0
    assert found[1].tile > found[2].tile >= 512
    assert found[3].tile > 0


def test_a_poster_fits_into_20_gib():
    settings = make_settings(**FLOAT32)
    found = method_for(settings, (8100, 10800), 1, 20 * GIB)
    assert found.optimizer == "adam"
    assert found.tile >= 1024
    assert bytes_by_method(settings, (8100, 10800), 1, found) <= 20 * GIB


def test_the_tile_that_is_asked_for():
    assert method((400, 533), 4, tile="256") == Method(256, "lbfgs")
    assert method((1600, 2133), 3, tile="256").tile == 256
    assert method((1600, 2133), 1, tile="0") == Method(0, "lbfgs")


def test_more_memory_never_means_fewer_rows():
    settings = make_settings(**FLOAT32)
    rows = [largest_rows(settings, 0.75, 1, gib * GIB) for gib in (2, 4, 8, 16)]
    assert rows == sorted(rows)
    assert rows[0] > 400


@pytest.mark.parametrize("kind", ["gram", "moments", "wasserstein", "histogram"])
def test_losses_that_are_no_sums_stay_whole(kind):
    settings = make_settings(**FLOAT32, style_loss=kind)
    assert (why_not_in_tiles(settings) is None) == STYLE_LOSSES[kind].over_positions
    in_tiles = method_for(settings, (1600, 2133), 1, 5 * GIB).tile > 0
    assert in_tiles == STYLE_LOSSES[kind].over_positions


def test_memory_can_be_limited(monkeypatch):
    monkeypatch.setattr(memory, "usable_memory", lambda: 64 * GIB)
    assert memory.memory_to_use(make_settings(memory=1.5)) == 1.5 * GIB
    assert memory.memory_to_use(make_settings()) == 64 * GIB


@pytest.mark.parametrize(
    ("given", "received"), [(0.5, "0.5"), (0.0, "none; 0.5 GiB are available")]
)
def test_memory_for_no_picture_at_all_is_said_with_both_numbers(monkeypatch, given, received):
    monkeypatch.setattr(memory, "usable_memory", lambda: GIB // 2)
    settings = make_settings(**FLOAT32, memory=given, height=4000)
    inputs = SimpleNamespace(
        content=SimpleNamespace(image=SimpleNamespace(size=(400, 300))), styles=[None]
    )
    with pytest.raises(InputError) as refused:
        memory.check_memory(False)(settings, inputs)
    expected = r"--memory: expected at least (\d\.\d\d) GiB, which .* Received: (.*)"
    needed, found = re.fullmatch(expected, str(refused.value)).groups()
    # The libraries and little more; with so much, rows fit.
    assert memory.LIBRARIES["float32"] <= float(needed) < memory.LIBRARIES["float32"] + 0.02
    assert largest_rows(settings, 0.75, 1, round(float(needed) * GIB)) >= SMALLEST_SIDE
    assert found == received
    memory.check_memory(True)(settings, inputs)


@pytest.mark.parametrize("tile", ["31", "-5", "big", "1e3", "", "1000001", "9" * 5000])
def test_tiles_that_cannot_be(tile):
    with pytest.raises(InputError, match="^--tile: expected auto, 0, or"):
        make_settings(tile=tile)
