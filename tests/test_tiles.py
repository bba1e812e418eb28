"""Loss and gradient in tiles beside those of the whole picture.

The tests run below every backend: KERAS_BACKEND=torch python -m pytest tests/test_tiles.py.
"""

import dataclasses

import numpy as np
import pytest
from conftest import draw
from numpy.testing import assert_allclose, assert_array_equal

from style_transfer import backends
from style_transfer.balance import balanced_loss_weights
from style_transfer.errors import InputError
from style_transfer.grid import Grid, bands, spans
from style_transfer.images import IMAGENET_MEAN
from style_transfer.network import feature_extractor
from style_transfer.objective import make_objective
from style_transfer.parsing import layers_in_use
from style_transfer.presets import PRESETS, make_settings
from style_transfer.targets import make_targets
from style_transfer.tile_map import ContentFeatures, Tiling
from style_transfer.tiled_targets import grid_of, make_tiled_targets
from style_transfer.tiles import balanced_loss_weights_in_tiles, make_tiled_objective
from style_transfer.vgg import Filters

LOSS, GRADIENT = 1e-6, 1e-5  # relative; the gradient's by its norm
SHALLOW = {
    "content_layers": "block2_conv2",
    "style_layers": "block1_conv1:0.7,block2_conv1:0.3",
    "precision": "float32",
}
DEEP = {"precision": "float32"}
PRESETS_IN_TILES = [name for name in PRESETS if name != "histogram"]


@pytest.fixture(scope="module", autouse=True)
def _started():
    backends.start()


def image_of(size, seed):
    """BGR minus mean, float32 (1, *size, 3)."""
    return np.asarray(draw(*size, seed), np.float32)[None, :, :, ::-1] - IMAGENET_MEAN


def images_of(size, *styles):
    """Content image, style images and another image of the content's size, the start."""
    content, other = image_of(size, 1), image_of(size, 9)
    return [content, *(image_of(x, 2 + n) for n, x in enumerate(styles))], (content + other) / 2


def network_for(filters, settings, convention="caffe"):
    layers = layers_in_use(settings)
    deepest = [k for k in filters[settings.network] if k <= max(layers)]
    arrays = {k: filters[settings.network][k] for k in deepest}
    return feature_extractor(
        Filters(settings.network, arrays, convention), settings, settings.precision
    )


def compare(network, settings, sides, images, image, **more):
    """Terms, loss and gradient, whole and in tiles of some sides.

    `more`: masks, and other tolerances.
    """
    masks, (of_loss, of_gradient) = more.get("masks"), more.get("tolerances", (LOSS, GRADIENT))
    targets = make_targets(network, images, settings, masks)
    terms, gradient = make_objective(network, targets, settings)(image)
    for side in [sides] if isinstance(sides, int) else sides:
        assert len(grid_of(network, image, settings, side).tiles) > 1
        tiled = make_tiled_targets(network, images, settings, Tiling(side), masks)
        found, slope = make_tiled_objective(network, tiled, settings)(image)
        assert found.dtype == slope.dtype == np.float32
        assert_allclose(found.sum(dtype=np.float64), terms.sum(dtype=np.float64), of_loss)
        assert_allclose(found, terms, 20 * of_loss)
        assert distance(slope, gradient) < of_gradient


def distance(one, other):
    """Of two gradients, relative to the norm of the second."""
    one, other = one.astype(np.float64), other.astype(np.float64)
    return np.linalg.norm(one - other) / np.linalg.norm(other)


# The cut


@pytest.mark.parametrize("side", [16, 97, 161, 257, 511, 1000])
@pytest.mark.parametrize("tile", [16, 64, 100])
def test_cores_cover_each_row_once_with_a_halo_around_them(side, tile):
    found = spans(side, tile, halo=48, pitch=16)
    assert [x.core_start for x in found] == [0, *(x.core_stop for x in found[:-1])]
    assert (found[0].start, found[-1].stop, found[-1].core_stop) == (0, side, side)
    for span in found:
        assert span.start % 16 == span.core_start % 16 == 0
        assert span.start == 0 or span.core_start - span.start == 48
        assert span.stop == side or span.stop - span.core_stop == 48
    assert len({x.length for x in found[:-1]}) <= 1


def test_the_halo_is_as_wide_as_the_deepest_layer_sees():
    def halo(network, layer):
        return Grid((900, 900), 128, network, (layer,), "repeated").halo

    # 2·1 + 2·2 + 4·4 + 4·8 + 16 = 70 pixels of VGG19, in steps of 16.
    assert halo("vgg19", "block5_conv1") == 80
    assert halo("vgg16", "block5_conv1") == 64  # 2 + 4 + 12 + 24 + 16 = 58
    assert halo("vgg19", "block2_conv1") == 4
    assert halo("vgg19", "block1_conv1") == 1


def test_bands_cover_all_rows():
    assert list(bands(10, 4)) == [(0, 3), (3, 6), (6, 10)]
    assert list(bands(3, 10)) == [(0, 3)]


# The same numbers


@pytest.mark.parametrize("network", ["vgg16", "vgg19"])
@pytest.mark.parametrize("borders", ["repeated", "zeros"])
def test_deep_layers(filters, network, borders):
    settings = make_settings(**DEEP, network=network, borders=borders)
    built = network_for(filters, settings)
    compare(built, settings, (64, 96), *images_of((225, 257), (150, 171)))


def test_odd_sides_and_a_style_in_tiles(filters):
    settings = make_settings(**DEEP)
    images, image = images_of((257, 511), (330, 251))
    compare(network_for(filters, settings), settings, 128, images, image)


@pytest.mark.parametrize("preset", PRESETS_IN_TILES)
def test_presets(filters, preset):
    choices = {} if preset == "pytorch" else SHALLOW
    choices = choices | {"precision": "float32", "scales": "1"}
    settings = make_settings(preset, **choices)
    compare(network_for(filters, settings), settings, 32, *images_of((75, 91), (60, 83)))


@pytest.mark.parametrize("pooling", ["average", "max", "l2"])
@pytest.mark.parametrize("borders", ["repeated", "zeros"])
@pytest.mark.parametrize("taps", ["relu", "conv"])
def test_poolings_borders_and_taps(filters, pooling, borders, taps):
    settings = make_settings(**SHALLOW, pooling=pooling, borders=borders, taps=taps)
    compare(network_for(filters, settings), settings, 32, *images_of((77, 90), (60, 83)))


@pytest.mark.parametrize("scale", ["keras", "relative", "gatys", "matconvnet", "pytorch"])
def test_loss_scales_and_the_other_convention(filters, scale):
    settings = make_settings(**SHALLOW, loss_scale=scale)
    network = network_for(filters, settings, "torch")
    compare(network, settings, 32, *images_of((70, 81), (60, 83)))


@pytest.mark.parametrize("kind", ["moments", "wasserstein"])
def test_moments_and_wasserstein(filters, kind):
    settings = make_settings(**SHALLOW, style_loss=kind, style_blend="0.7,0.3")
    images, image = images_of((77, 90), (60, 83), (40, 50))
    # Covariances in float32 are differences: 1e-6 of their traces.
    compare(network_for(filters, settings), settings, 32, images, image, tolerances=(3e-6, 2e-5))


def regions_of(size, seed):
    """Three regions with ragged edges."""
    rng = np.random.default_rng(seed)
    number = (np.add.outer(np.arange(size[0]), np.arange(size[1])) // 29 + rng.integers(3)) % 3
    return {(n, 0, 0): number == n for n in range(3)}


@pytest.mark.parametrize("kind", ["gram", "moments"])
def test_masks_and_several_styles(filters, kind):
    settings = make_settings(
        **SHALLOW, style_loss=kind, content_mask="unused", style_mask="unused,unused"
    )
    sizes = (77, 90), (60, 83), (85, 70)
    images, image = images_of(*sizes)
    masks = [regions_of(size, seed) for seed, size in enumerate(sizes)]
    del masks[2][2, 0, 0]  # a region that the second style lacks
    network = network_for(filters, settings)
    compare(network, settings, 32, images, image, masks=masks, tolerances=(3e-6, 2e-5))


def test_without_content_style_or_total_variation(filters):
    images, image = images_of((70, 81), (60, 83))
    for missing in ("content_weight", "style_weight", "tv_weight"):
        settings = make_settings(**SHALLOW, **{missing: 0.0})
        compare(network_for(filters, settings), settings, 32, images, image)
    settings = make_settings(**SHALLOW, content_weight=0.0, style_weight=0.0)
    compare(network_for(filters, settings), settings, 32, images, image)


def test_a_tile_as_large_as_the_picture_is_the_whole(filters):
    settings = make_settings(**SHALLOW)
    images, image = images_of((40, 52), (30, 36))
    network = network_for(filters, settings)
    targets = make_tiled_targets(network, images, settings, Tiling(64))
    terms, gradient = make_tiled_objective(network, targets, settings)(image)
    whole = make_objective(network, make_targets(network, images, settings), settings)
    expected, slope = whole(image)
    assert_allclose(terms, expected, LOSS)
    assert distance(gradient, slope) < GRADIENT


def test_the_same_image_gives_the_same_bits(filters):
    settings = make_settings(**SHALLOW)
    images, image = images_of((70, 81), (60, 83))
    network = network_for(filters, settings)
    targets = make_tiled_targets(network, images, settings, Tiling(32))
    objective = make_tiled_objective(network, targets, settings)
    for first, second in zip(objective(image), objective(image), strict=True):
        assert_array_equal(first, second)


def test_balanced_loss_weights(filters):
    settings = make_settings(**SHALLOW, auto_weights=True)
    images, _ = images_of((77, 90), (60, 83))
    network = network_for(filters, settings)
    whole = balanced_loss_weights(network, make_targets(network, images, settings), settings)
    targets = make_tiled_targets(network, images, settings, Tiling(32))
    tiled = balanced_loss_weights_in_tiles(network, targets, settings)
    assert list(tiled) == list(whole)
    assert_allclose(list(tiled.values()), list(whole.values()), 1e-5)


def test_half_precision_is_as_near_as_can_be(filters):
    """A network in bfloat16 rounds as its convolutions are compiled: cached, batch and tiles."""
    settings = make_settings(**SHALLOW | {"precision": "bfloat16"})
    images, image = images_of((77, 90), (77, 90))
    network = network_for(filters, settings)
    whole = {}
    for way in ("cached", "batch"):
        ways = dataclasses.replace(settings, targets=way)
        whole[way] = make_objective(network, make_targets(network, images, ways), ways)(image)
    targets = make_tiled_targets(network, images, settings, Tiling(32))
    terms, gradient = make_tiled_objective(network, targets, settings)(image)
    # At least what roundings in the last of 8 bits, 4e-3, leave in a sum and in a vector.
    least = max(distance(whole["cached"][0], whole["batch"][0]), 2e-5)
    assert distance(terms, whole["batch"][0]) <= least
    least = max(distance(whole["cached"][1], whole["batch"][1]), 4e-3)
    assert distance(gradient, whole["batch"][1]) <= 1.5 * least


# What is refused, and the file


@pytest.mark.parametrize(
    "choices",
    [
        {"style_loss": "histogram"},
        {"style_loss": "gram+histogram"},
        {"normalize_gradients": True, "optimizer": "adam"},
        {"targets": "batch"},
    ],
)
def test_what_is_no_sum_over_positions_is_refused(filters, choices):
    settings = make_settings(**SHALLOW, histogram_layers="block1_conv1", **choices)
    network = network_for(filters, settings)
    with pytest.raises(InputError, match=r"^--tile: expected .* Received: .*$") as refused:
        make_tiled_targets(network, images_of((70, 81), (60, 83))[0], settings, Tiling(32))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("bits", [32, 16])
def test_features_on_disk_come_back_to_the_bit(tmp_path, bits):
    rng = np.random.default_rng(3)
    windows = []
    for rows in (5, 3):
        features = rng.normal(0, 100, (1, rows, 4, 8)).astype(np.float32)
        if bits == 16:
            features = (features.view(np.uint32) & 0xFFFF0000).view(np.float32)
        windows.append([features, features[:, ::-1]])
    asked = []
    kept = ContentFeatures(tmp_path, lambda tile: asked.append(tile.number) or windows[tile.number])
    tiles = Grid((200, 100), 32, "vgg19", ("block2_conv1",), "zeros").tiles
    for number in (1, 0, 1, 0):
        for found, expected in zip(kept.of(tiles[number]), windows[number], strict=True):
            assert_array_equal(found, expected)
    assert asked == [1, 0]
    assert kept._file.seek(0, 2) == sum(x.size for pair in windows for x in pair) * bits // 8
    assert list(tmp_path.iterdir()) == []  # nothing is left, whatever happens


def test_choices_of_the_whole_are_not_changed(filters):
    settings = make_settings(**SHALLOW)
    images, _ = images_of((70, 81), (60, 83))
    before = dataclasses.asdict(settings)
    make_tiled_targets(network_for(filters, settings), images, settings, Tiling(32))
    assert dataclasses.asdict(settings) == before
