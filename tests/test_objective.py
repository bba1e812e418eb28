"""The whole objective beside NumPy in float64: its value, its gradient, both shapes of it."""

import os

import keras
import numpy as np
import pytest
import reference
from conftest import draw
from numpy.testing import assert_allclose

from losses import TOTAL_VARIATION_SHARE
from network import feature_extractor
from objective import TERMS, make_objective
from preprocessing import preprocess
from settings import make_settings, parse_layers

SCALES = ["keras", "relative"]
SHALLOW = {
    "content_layers": "block2_conv2",
    "style_layers": "block1_conv1:0.7,block2_conv1:0.3",
}


def image_of(size, seed):
    return preprocess(np.asarray(draw(*size, seed)))


def features_in_float64(filters, settings, image):
    layers = {*parse_layers(settings, "content_layers"), *parse_layers(settings, "style_layers")}
    return reference.vgg(
        image, filters[settings.network], settings.network, layers, settings.pooling
    )


def expected_terms(filters, settings, content, styles, image, layers, blend):
    """The three terms by the papers' formulas; `layers` = (content, style) weights by name."""
    f, p, *s = [
        features_in_float64(filters, settings, picture) for picture in (image, content, *styles)
    ]
    scale, size = settings.loss_scale, content.shape[1:3]
    return np.array(
        [
            settings.content_weight
            * sum(
                w * reference.content_loss(scale, f[name], p[name]) for name, w in layers[0].items()
            ),
            settings.style_weight
            * sum(
                share * w * reference.style_loss(scale, f[name], of[name], size)
                for name, w in layers[1].items()
                for share, of in zip(blend, s, strict=True)
            ),
            settings.tv_weight * reference.variation_loss(scale, image, TOTAL_VARIATION_SHARE),
        ]
    )


@pytest.fixture(scope="module")
def extractor(filters):
    """Extractors by network, deepest layer and pooling, each built once."""
    built = {}

    def build(settings) -> keras.Model:
        layers = sorted(
            parse_layers(settings, "content_layers") | parse_layers(settings, "style_layers")
        )
        key = settings.network, settings.pooling, *layers
        if key not in built:
            built[key] = feature_extractor(
                settings.network, filters[settings.network], layers, settings.pooling
            )
        return built[key]

    return build


CASES = {
    "both terms": ({}, [(28, 20)], [1]),
    "a layer weighted otherwise": (
        {"content_layers": "block1_conv2:0.2,block2_conv2:1.5"},
        [(28, 20)],
        [1],
    ),
    "a layer in both losses": (
        {"content_layers": "block2_conv1", "style_layers": "block1_conv1,block2_conv1"},
        [(28, 20)],
        [1],
    ),
    "two styles of one size": ({"style_blend": "3,1"}, [(28, 20), (28, 20)], [0.75, 0.25]),
    "styles of other sizes": ({}, [(21, 35), (40, 17), (28, 20)], [1 / 3] * 3),
    "content weight 0": ({"content_weight": 0}, [(28, 20)], [1]),
    "style weight 0": ({"style_weight": 0}, [(28, 20)], [1]),
    "tv weight 0": ({"tv_weight": 0}, [(28, 20)], [1]),
    "l2 pooling, VGG16": ({"pooling": "l2", "network": "vgg16"}, [(28, 20)], [1]),
    "max pooling": ({"pooling": "max"}, [(28, 20)], [1]),
}
LAYERS = {
    "a layer weighted otherwise": (
        {"block1_conv2": 0.2, "block2_conv2": 1.5},
        {"block1_conv1": 0.7, "block2_conv1": 0.3},
    ),
    "a layer in both losses": ({"block2_conv1": 1}, {"block1_conv1": 0.5, "block2_conv1": 0.5}),
}
USUAL = {"block2_conv2": 1}, {"block1_conv1": 0.7, "block2_conv1": 0.3}


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("case", CASES)
def test_each_term_is_that_of_the_formulas(filters, extractor, scale, case):
    choices, sizes, blend = CASES[case]
    settings = make_settings(loss_scale=scale, **{**SHALLOW, **choices})
    content, image = image_of((28, 20), 1), image_of((28, 20), 2)
    styles = [image_of(size, seed) for seed, size in enumerate(sizes, start=3)]
    terms, _ = make_objective(extractor(settings), content, styles, settings)(image)
    layers = LAYERS.get(case, USUAL)
    expected = expected_terms(filters, settings, content, styles, image, layers, blend)
    assert terms.shape == (len(TERMS),)
    assert_allclose(terms, expected, rtol=1e-5)


def test_without_weights_the_five_style_layers_count_a_fifth_each(filters, extractor):
    settings = make_settings(loss_scale="keras")
    content, image, style = (image_of((32, 32), seed) for seed in (1, 2, 3))
    terms, _ = make_objective(extractor(settings), content, [style], settings)(image)
    layers = {"block4_conv2": 1}, {f"block{block}_conv1": 1 / 5 for block in range(1, 6)}
    expected = expected_terms(filters, settings, content, [style], image, layers, [1])
    assert_allclose(terms, expected, rtol=1e-5)


@pytest.mark.parametrize(
    "scale, pooling, targets",
    [(scale, pooling, "cached") for scale in SCALES for pooling in ("average", "max", "l2")]
    + [("keras", "max", "batch")],
)
def test_the_gradient_is_that_of_central_differences(filters, extractor, scale, pooling, targets):
    settings = make_settings(
        loss_scale=scale,
        pooling=pooling,
        targets=targets,
        style_fit="stretch",
        tv_weight={"keras": 1, "relative": 1000}[scale],  # all terms of about one size
        **SHALLOW,
    )
    content, image, style = (image_of((12, 14), seed) for seed in (1, 2, 3))
    _, gradient = make_objective(extractor(settings), content, [style], settings)(image)
    assert gradient.shape == image.shape and gradient.dtype == np.float32

    def loss(x):
        return expected_terms(filters, settings, content, [style], x, USUAL, [1]).sum()

    rng, step = np.random.default_rng(5), 1e-4  # of a pixel value
    for _ in range(4):
        direction = rng.normal(size=image.shape)
        image64 = image.astype(np.float64)
        slope = (loss(image64 + step * direction) - loss(image64 - step * direction)) / (2 * step)
        error = slope - (gradient.astype(np.float64) * direction).sum()
        # Of what a random direction's slope typically is: a single one may be near 0.
        assert abs(error) < 1e-4 * np.linalg.norm(gradient)


@pytest.mark.parametrize(
    "network, size, styles, scale",
    [
        ("vgg19", (32, 40), 1, "keras"),
        ("vgg19", (33, 47), 1, "relative"),
        ("vgg16", (48, 33), 1, "keras"),
        ("vgg16", (32, 32), 2, "relative"),
        ("vgg19", (35, 64), 3, "keras"),
    ],
)
def test_batch_and_cached_targets_agree(extractor, network, size, styles, scale):
    choices = {"network": network, "loss_scale": scale, "style_fit": "stretch", "pooling": "max"}
    if styles > 1:
        choices["style_blend"] = ",".join("123"[:styles])
    content, image, *painted = (image_of(size, seed) for seed in range(styles + 2))
    results = {}
    for targets in ("cached", "batch"):
        settings = make_settings(targets=targets, **choices)
        results[targets] = make_objective(extractor(settings), content, painted, settings)(image)
    (kept, kept_gradient), (batch, batch_gradient) = results["cached"], results["batch"]
    assert_allclose(batch, kept, rtol=1e-5)
    assert_allclose(batch.sum(), kept.sum(), rtol=1e-5)
    difference = np.linalg.norm(batch_gradient - kept_gradient)
    assert difference < 1e-4 * np.linalg.norm(kept_gradient)


@pytest.mark.parametrize("targets", ["cached", "batch"])
def test_a_picture_has_no_distance_from_itself(extractor, targets):
    settings = make_settings(targets=targets, tv_weight=0, **SHALLOW)
    image = image_of((20, 20), 1)
    terms, _ = make_objective(extractor(settings), image, [image], settings)(image)
    assert_allclose(terms, 0, atol=1e-9)


def test_a_flat_picture_has_a_finite_gradient(extractor):
    for pooling in ("average", "max", "l2"):
        settings = make_settings(pooling=pooling, **SHALLOW)
        black = np.zeros((1, 16, 16, 3), np.float32)
        terms, gradient = make_objective(extractor(settings), black, [black], settings)(black)
        assert np.isfinite(terms).all() and np.isfinite(gradient).all()


@pytest.mark.skipif("NST_TEST_WEIGHTS" not in os.environ, reason="NST_TEST_WEIGHTS is not set")
@pytest.mark.parametrize("scale", SCALES)
def test_with_real_filters_each_term_is_that_of_the_formulas(scale):
    names = [f"block{block}_conv{number}" for block in (1, 2, 3) for number in (1, 2, 3, 4)]
    with np.load(os.environ["NST_TEST_WEIGHTS"]) as file:
        real = {
            name: (file[f"{name}/kernel"], file[f"{name}/bias"])
            for name in names
            if f"{name}/kernel" in file
        }
    settings = make_settings(
        loss_scale=scale, content_layers="block3_conv2", style_layers="block1_conv1,block3_conv1"
    )
    layers = {"block3_conv2": 1}, {"block1_conv1": 0.5, "block3_conv1": 0.5}
    content, image, style = (image_of((30, 26), seed) for seed in (1, 2, 3))
    model = feature_extractor("vgg19", real, [*layers[0], *layers[1]], "average")
    terms, _ = make_objective(model, content, [style], settings)(image)
    expected = expected_terms({"vgg19": real}, settings, content, [style], image, layers, [1])
    assert_allclose(terms, expected, rtol=1e-5)
