"""Filters of mean activation 1, against NumPy."""

import dataclasses

import numpy as np
import pytest
import reference
from filter_files import drawn, image
from numpy.testing import assert_allclose, assert_array_equal

from style_transfer.errors import InputError
from style_transfer.filters.normalized import normalized_filters
from style_transfer.network import POOLING, feature_extractor
from style_transfer.presets import make_settings
from style_transfer.vgg import Filters

DEEP = ["block1_conv1", "block1_conv2", "block2_conv1", "block2_conv2", "block3_conv1"]


@pytest.mark.parametrize("borders", ["zeros", "repeated"])
@pytest.mark.parametrize("pooling", POOLING)
@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
def test_normalized_filters_have_mean_activation_1(name, pooling, borders):
    # Two pictures of different and odd sizes; one filter in each layer is silent.
    images = [image(*size, seed=5) for size in ((21, 30), (18, 15))]
    before = {}
    for layer in DEEP:
        kernel, bias = (array.copy() for array in drawn(name)[layer])
        kernel[..., 7], bias[7] = 0, -1
        before[layer] = kernel, bias
    settings = make_settings(network=name, pooling=pooling, borders=borders)
    after = normalized_filters(Filters(name, before), images, settings).arrays
    assert list(after) == DEEP
    one, other = (
        [reference.vgg(image, used, name, DEEP, pooling, borders) for image in images]
        for used in (before, after)
    )
    # The root's 1e-6 in L2 pooling is the one thing that does not scale.
    within = 1e-3 if pooling == "l2" else 1e-5
    for layer in DEEP:
        original = np.concatenate([features[layer] for features in one])  # (M + M', N)
        normal = np.concatenate([features[layer] for features in other])
        mean = original.mean(axis=0)
        live = mean > 0
        assert not live[7] and live.mean() > 0.5
        assert not normal[:, ~live].any()
        # A filter that hardly ever answers is scaled up, and its rounding with it.
        often = mean > 0.01 * mean.mean()
        assert often.mean() > 0.7
        assert_allclose(normal.mean(axis=0)[often], 1, rtol=10 * within)
        assert_allclose((normal * mean).mean(axis=0), mean, atol=within * mean.max())
        assert_allclose(normal * mean, original, atol=within * original.max())
        assert after[layer][0].dtype == after[layer][1].dtype == np.float32
        assert_array_equal(after[layer][1][7], -1)


def test_filters_of_the_other_input_are_normalized_for_it():
    few = Filters("vgg19", {layer: drawn()[layer] for layer in DEEP}, "torch")
    picture = image(16, 20, seed=5)
    settings = make_settings()
    after = normalized_filters(few, [picture], settings)
    assert after.convention == "torch" and after.network == "vgg19"
    found = feature_extractor(after, settings, "float32", DEEP)(picture)
    for layer in DEEP:
        mean = np.asarray(found[layer]).mean(axis=(0, 1, 2), dtype=np.float64)
        assert_allclose(mean[mean > 0], 1, rtol=1e-2)  # rounding of filters that hardly answer
        assert_allclose(np.median(mean[mean > 0]), 1, rtol=1e-5)
        assert (mean > 0).mean() > 0.5


def test_normalizing_twice_changes_nothing_more():
    few = Filters("vgg19", {layer: drawn()[layer] for layer in DEEP})
    images = [image(20, 20, seed=seed) for seed in (1, 2)]
    once = normalized_filters(few, images, make_settings())
    twice = normalized_filters(once, images, make_settings())
    for layer in DEEP:
        for a, b in zip(once.arrays[layer], twice.arrays[layer], strict=True):
            assert_allclose(a, b, rtol=1e-2, atol=1e-5 * np.abs(a).max())


def test_features_before_the_relu_are_normalized_after_it():
    few = Filters("vgg19", {layer: drawn()[layer] for layer in DEEP})
    settings = make_settings()
    images = [image(20, 20, seed=1)]
    after = normalized_filters(few, images, settings)
    before = normalized_filters(few, images, dataclasses.replace(settings, taps="conv"))
    for layer in DEEP:
        assert_array_equal(after.arrays[layer][0], before.arrays[layer][0])


def test_a_picture_whose_side_vanishes_in_pooling_is_refused():
    few = Filters("vgg19", {layer: drawn()[layer] for layer in DEEP})
    narrow = [image(20, 3, seed=1)]
    with pytest.raises(
        InputError, match=r"^--normalize_filters: expected .* at least 4 .* 20 x 3$"
    ):
        normalized_filters(few, narrow, make_settings(borders="zeros"))
    after = normalized_filters(few, narrow, make_settings(borders="repeated"))
    assert all(np.isfinite(a).all() for pair in after.arrays.values() for a in pair)
