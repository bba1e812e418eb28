"""Targets: how styles share a region, what is kept for later runs, and sums over positions."""

import numpy as np
import pytest
from conftest import draw
from numpy.testing import assert_allclose

from style_transfer import losses
from style_transfer.images import IMAGENET_MEAN
from style_transfer.network import feature_extractor
from style_transfer.objective import make_objective
from style_transfer.presets import make_settings
from style_transfer.shared import Recent, Shared
from style_transfer.targets import Place, StyleTargets, Targets, make_targets, style_shares
from style_transfer.vgg import Filters

RED, BLUE = (255, 0, 0), (0, 0, 255)
SHALLOW = {"content_layers": "block2_conv1", "style_layers": "block1_conv1,block2_conv1"}


def image_of(size, seed):
    """BGR minus mean, float32 (1, *size, 3)."""
    return np.asarray(draw(*size, seed), np.float32)[None, :, :, ::-1] - IMAGENET_MEAN


@pytest.fixture(scope="module")
def vgg19(filters):
    return Filters("vgg19", filters["vgg19"])


def halves(size):
    left = np.zeros(size, bool)
    left[:, : size[1] // 2] = True
    return {RED: left, BLUE: ~left}


def test_style_without_a_position_hands_its_share_on():
    place = Place(RED, "gram", "block5_conv1")
    styles = [StyleTargets({place: found}) for found in (1.0, None, 3.0)] + [StyleTargets()]
    image = np.zeros((1, 8, 8, 3), np.float32)
    targets = Targets((image,) * 5, styles=tuple(styles), regions=halves((8, 8)))
    settings = make_settings(style_blend="1,5,3,7")
    assert style_shares(targets, place, settings) == [
        (1.0, pytest.approx(0.5 / 4)),
        (3.0, pytest.approx(0.5 * 3 / 4)),
    ]


def test_too_small_region_leaves_the_other_style_alone(vgg19):
    """At the layer where a style's region has no position, the other style counts in full."""
    size = 48, 48
    settings = make_settings(style_layers="block4_conv1", content_weight=0, tv_weight=0)
    network = feature_extractor(vgg19, settings, "float32")
    content, image, *styles = (image_of(size, seed) for seed in range(1, 5))
    speck = np.zeros(size, bool)
    speck[0, 0] = True
    whole = {RED: np.ones(size, bool)}
    both = make_targets(network, [content, *styles], settings, [whole, whole, {RED: speck}])
    alone = make_targets(network, [content, styles[0]], settings, [whole, whole])
    found, expected = (make_objective(network, t, settings)(image) for t in (both, alone))
    assert expected[0][1] > 0
    assert_allclose(found[0], expected[0], rtol=1e-6)
    assert_allclose(found[1], expected[1], rtol=1e-5, atol=1e-6 * np.abs(expected[1]).max())


def test_region_of_no_style_keeps_its_content(vgg19):
    """Only the content loss pulls where no style has the region (`unpainted="keep"`)."""
    size = 24, 64
    settings = make_settings(content_weight=0, tv_weight=0, unpainted="keep", **SHALLOW)
    network = feature_extractor(vgg19, settings, "float32")
    content, image, style = (image_of(size, seed) for seed in (1, 2, 3))
    left = {RED: halves(size)[RED]}
    targets = make_targets(network, [content, style], settings, [halves(size), left])
    terms, gradient = make_objective(network, targets, settings)(image)
    assert terms[1] > 0 and np.abs(gradient[:, :, :32]).max() > 0
    assert not gradient[:, :, 48:].any()


def test_shared_computes_pictures_once(vgg19, monkeypatch):
    settings, shared = make_settings(**SHALLOW), Shared()
    network = shared.network(vgg19, settings, "float32")
    seen, one_by_one = [], network.one_by_one

    def counted(pictures):
        seen.append(tuple(pictures.shape))
        return one_by_one(pictures)

    monkeypatch.setattr(network, "one_by_one", counted)
    images = [image_of((20, 24), 1), image_of((26, 22), 2)]
    first = shared.targets(images, settings)
    assert len(seen) == 2
    again = shared.targets([image.copy() for image in images], make_settings(seed=3, **SHALLOW))
    assert again.content is first.content and again.styles == first.styles and len(seen) == 2
    shared.targets([images[0], image_of((26, 22), 3)], settings)
    assert len(seen) == 3  # another style
    shared.targets(images, make_settings(style_loss="moments", **SHALLOW))
    assert len(seen) == 4  # another statistic of the style
    image = image_of((20, 24), 4)
    found = make_objective(network, again, settings)(image)
    expected = make_objective(network, make_targets(network, images, settings), settings)(image)
    assert (found[0] == expected[0]).all() and (found[1] == expected[1]).all()


def test_shared_drops_all_with_another_network(vgg19):
    settings, shared = make_settings(**SHALLOW), Shared()
    network = shared.network(vgg19, settings, "float32")
    images = [image_of((20, 24), 1), image_of((26, 22), 2)]
    first = shared.targets(images, settings)
    copied = Filters(
        "vgg19", {name: tuple(map(np.copy, pair)) for name, pair in vgg19.arrays.items()}
    )
    assert shared.network(copied, settings, "float32") is network
    assert shared.targets(images, settings).content is first.content
    assert shared.network(vgg19, make_settings(pooling="max", **SHALLOW), "float32") is not network
    assert shared.targets(images, settings).content is not first.content


def test_masks_make_other_targets(vgg19):
    settings, shared = make_settings(**SHALLOW), Shared()
    shared.network(vgg19, settings, "float32")
    images = [image_of((20, 24), 1), image_of((20, 24), 2)]
    plain = shared.targets(images, settings)
    masked = shared.targets(images, settings, [halves((20, 24)), halves((20, 24))])
    assert plain.styles[0] is not masked.styles[0] and plain.content is masked.content


def test_recent_forgets_the_oldest():
    made, recent = [], Recent(2)
    for key in (1, 2, 1, 3, 1, 2):
        assert recent.get(key, lambda key=key: made.append(key) or -key) == -key
    assert made == [1, 2, 3, 2]


def test_gram_and_moments_add_up_over_tiles():
    """What tiles rely on: the loss of the whole from sums of its parts' statistics."""
    rng = np.random.default_rng(1)
    f = rng.uniform(0, 50, (1, 12, 10, 4)).astype(np.float32)
    tiles = f[:, :5], f[:, 5:]
    whole = np.asarray(losses.gram_matrix(f))
    assert_allclose(sum(np.asarray(losses.gram_matrix(t)) for t in tiles), whole, rtol=1e-6)
    assert [name for name, kind in losses.STYLE_LOSSES.items() if not kind.over_positions] == [
        "histogram"
    ]
