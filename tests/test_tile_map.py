"""Tiles wherever they are computed: kept through a kill, on several nodes, one of which is lost."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from cluster_work import answer, with_ray
from numpy.testing import assert_array_equal
from test_tiles import SHALLOW, images_of, network_for

from style_transfer import backends
from style_transfer.events import StopRun
from style_transfer.presets import make_settings
from style_transfer.runs.kept_tiles import KeptTiles
from style_transfer.tile_map import Tiling
from style_transfer.tiled_targets import make_tiled_targets
from style_transfer.tiles import make_tiled_objective

TILES = 12  # of the picture below


@pytest.fixture(scope="module", autouse=True)
def _started():
    backends.start()


@pytest.fixture(scope="module")
def evaluated(filters):
    """A function of a `Tiling`'s attributes: (terms, gradient) of one image."""
    settings = make_settings(**SHALLOW)
    images, image = images_of((77, 110), (60, 83))
    network = network_for(filters, settings)

    def evaluate(number=0, **how):
        targets = make_tiled_targets(network, images, settings, Tiling(32, **how))
        assert len(targets.tiles.grid.tiles) == TILES
        try:
            return make_tiled_objective(network, targets, settings)(image + np.float32(number))
        finally:
            targets.tiles.close()

    return evaluate


def stopped_at(evaluated, kept, number):
    """Evaluate, and stop after so many tiles."""

    def stop(done):
        if done.number == number:
            raise StopRun

    with pytest.raises(StopRun):
        evaluated(kept=kept, on_pass=stop)


def same(one, other):
    for first, second in zip(one, other, strict=True):
        assert_array_equal(first, second)


@pytest.mark.parametrize("number", [1, 7, TILES, TILES + 1, 2 * TILES - 1])
def test_a_kill_costs_the_work_of_one_tile(evaluated, tmp_path, number):
    stopped_at(evaluated, KeptTiles(tmp_path / "tiles", "key"), number)
    told = []
    kept = KeptTiles(tmp_path / "tiles", "key")
    same(evaluated(kept=kept, on_pass=told.append), evaluated())
    assert kept.found == number
    assert [done.number for done in told] == list(range(number + 1, 2 * TILES + 1))


def test_tiles_of_another_image_or_run_are_not_used(evaluated, tmp_path):
    path = tmp_path / "tiles"
    for key, number in (("other", 0), ("key", 1)):
        stopped_at(evaluated, KeptTiles(path, "key"), 5)
        kept = KeptTiles(path, key)
        same(evaluated(number, kept=kept), evaluated(number))
        assert kept.found == 0


@pytest.mark.parametrize("where", [-3, -3000, 200])
def test_damaged_tiles_are_computed_again(evaluated, tmp_path, where):
    path = tmp_path / "tiles"
    stopped_at(evaluated, KeptTiles(path, "key"), 9)
    data = bytearray(path.read_bytes())
    data[where] ^= 1
    path.write_bytes(data)
    kept = KeptTiles(path, "key")
    same(evaluated(kept=kept), evaluated())
    assert kept.found < 9


def test_a_torn_tile_is_computed_again(evaluated, tmp_path):
    path = tmp_path / "tiles"
    stopped_at(evaluated, KeptTiles(path, "key"), 9)
    path.write_bytes(path.read_bytes()[:-5])
    kept = KeptTiles(path, "key")
    same(evaluated(kept=kept), evaluated())
    assert kept.found == 8


def test_time_left_falls_to_nothing(evaluated):
    told = []
    evaluated(on_pass=told.append)
    assert [done.number for done in told] == list(range(1, 2 * TILES + 1))
    assert {done.count for done in told} == {2 * TILES}
    assert all(0 <= done.left <= done.evaluation for done in told)
    assert told[0].left > told[TILES].left > told[-1].left == 0


@with_ray
def test_a_lost_node_changes_no_byte():
    code = """
        import os
        os.environ |= {"RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0", "TF_CPP_MIN_LOG_LEVEL": "3"}
        import numpy as np
        from ray.cluster_utils import Cluster
        from style_transfer import backends
        backends.start()
        from conftest import filters
        from test_tiles import SHALLOW, images_of, network_for
        from style_transfer.presets import make_settings
        from style_transfer.tile_crew import Crew
        from style_transfer.tile_map import Tiling
        from style_transfer.tiled_targets import make_tiled_targets
        from style_transfer.tiles import make_tiled_objective
        from style_transfer.vgg import Filters

        arrays = filters.__wrapped__()["vgg19"]
        arrays = {name: pair for name, pair in arrays.items() if name <= "block2_conv2"}
        settings = make_settings(**SHALLOW)
        images, image = images_of((77, 110), (60, 83))
        network = network_for({"vgg19": arrays}, settings)
        nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        second = nodes.add_node(num_cpus=1)

        def evaluated(**how):
            targets = make_tiled_targets(network, images, settings, Tiling(32, **how))
            found = make_tiled_objective(network, targets, settings)(image)
            targets.tiles.close()
            return found

        def lose(done):
            passes.append(done.number)
            if done.number == lost_at:
                nodes.remove_node(second)

        alone = evaluated()
        crew = Crew(2, nodes.address, Filters("vgg19", arrays, "caffe"), "float32")
        for lost_at in (0, 15):
            passes = []
            for one, other in zip(evaluated(crew=crew, on_pass=lose), alone, strict=True):
                np.testing.assert_array_equal(one, other)
            assert passes == list(range(1, 25)), passes
        nodes.shutdown()
        print("the same")
    """
    folder = Path(tempfile.mkdtemp(prefix="nst", dir="/tmp"))  # short, for Ray's sockets
    try:
        assert answer(code, folder).splitlines() == ["the same"]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
