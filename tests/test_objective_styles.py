"""The objective's other style losses, and balanced loss weights, beside NumPy in float64."""

import numpy as np
import pytest
import reference
from numpy.testing import assert_allclose
from objectives import (
    SHALLOW,
    TWO_LAYERS,
    assert_slopes_agree,
    features_in_float64,
    image_of,
    make_objective,
)

from style_transfer import balance
from style_transfer.balance import under_soft_noise
from style_transfer.objective import make_loss_weights
from style_transfer.presets import make_settings
from style_transfer.targets import make_targets


def balanced_weights(network, content, styles, settings):
    targets = make_targets(network, [content, *styles], settings)
    return balance.balanced_loss_weights(network, targets, settings)


@pytest.mark.parametrize("targets", ["cached", "batch"])
@pytest.mark.parametrize("style_loss", ["gram", "gram+histogram"])
def test_balanced_weights_give_each_part_its_share(extractor, style_loss, targets):
    settings = make_settings(
        style_loss=style_loss,
        histogram_layers="block1_conv1:0.5",
        targets=targets,
        auto_weights=True,
        content_weight=0.3,
        tv_weight=0.2,
        **SHALLOW,
    )
    about = extractor(settings), image_of((28, 20), 1), [image_of((28, 20), 2)], settings
    weights = balanced_weights(*about)
    image = under_soft_noise(about[1], settings.seed)
    shares = {
        "content block2_conv2": 0.3,
        "gram block1_conv1": 0.7,
        "gram block2_conv1": 0.3,
        "histogram block1_conv1": 0.5,
        "total_variation": 0.2,
    }
    if style_loss == "gram":
        del shares["histogram block1_conv1"]
    assert make_loss_weights(settings) == pytest.approx(shares)
    for name, share in shares.items():
        alone = {**dict.fromkeys(weights, 0.0), name: weights[name]}
        _, gradient = make_objective(*about, weights=alone)(image)
        assert np.linalg.norm(gradient) == pytest.approx(share, rel=1e-4)


def test_balanced_weights_undo_the_loss_scale(extractor):
    content, style, image = (image_of((28, 20), seed) for seed in (1, 2, 3))
    gradients = []
    for scale in ("relative", "keras", "pytorch"):
        settings = make_settings(loss_scale=scale, auto_weights=True, tv_weight=0, **SHALLOW)
        about = extractor(settings), content, [style], settings
        gradients.append(make_objective(*about, weights=balanced_weights(*about))(image)[1])
    # The Gram loss of equal size is the same formula but for its factor.
    for gradient in gradients[1:]:
        assert_allclose(gradient, gradients[0], atol=1e-4 * np.abs(gradients[0]).max())


def test_balanced_weights_of_flat_pictures_are_finite(extractor):
    settings = make_settings(auto_weights=True, style_loss="moments", **SHALLOW)
    black = np.zeros((1, 28, 20, 3), np.float32)
    weights = balanced_weights(extractor(settings), black, [black], settings)
    assert all(np.isfinite(weight) and weight >= 0 for weight in weights.values())


STYLE_LOSSES = {
    "histogram": reference.histogram_loss,
    "moments": reference.moments_loss,
    "wasserstein": reference.wasserstein_loss,
}


def expected_style(filters, settings, style, image):
    """The style term of a loss in STYLE_LOSSES, or of gram+histogram."""
    f, s = (features_in_float64(filters, settings, picture) for picture in (image, style))
    scale, total = settings.loss_scale, 0.0
    for kind in settings.style_loss.split("+"):
        layers = {"block1_conv1": 0.7, "block2_conv1": 0.3}
        if kind == "histogram":
            layers = {"block1_conv2": 0.4 * 2.5, "block2_conv1": 0.6 * 2.5}
        for name, weight in layers.items():
            if kind == "gram":
                part = reference.style_loss(scale, f[name], s[name], image.shape[1:3], 2)
            else:
                part = STYLE_LOSSES[kind](scale, f[name], s[name])
            total += weight * part
    return settings.style_weight * total


@pytest.mark.parametrize(
    "style_loss, tolerance",
    [("moments", 1e-5), ("wasserstein", 1e-4), ("histogram", 1e-2), ("gram+histogram", 1e-2)],
)
@pytest.mark.parametrize("scale, targets", [("relative", "cached"), ("keras", "batch")])
def test_style_term_is_its_formula(filters, extractor, style_loss, tolerance, scale, targets):
    settings = make_settings(
        style_loss=style_loss,
        loss_scale=scale,
        style_weight=3,
        targets=targets,
        **SHALLOW,
        **TWO_LAYERS,
    )
    content, image = image_of((28, 20), 1), image_of((28, 20), 2)
    style = image_of((28, 20) if targets == "batch" else (21, 35), 3)
    terms, _ = make_objective(extractor(settings), content, [style], settings)(image)
    assert_allclose(terms[1], expected_style(filters, settings, style, image), rtol=tolerance)


@pytest.mark.parametrize("style_loss", ["moments", "wasserstein"])
def test_style_gradient_is_the_finite_difference(filters, extractor, style_loss):
    settings = make_settings(style_loss=style_loss, content_weight=0, tv_weight=0, **SHALLOW)
    image, style = image_of((12, 14), 2), image_of((16, 13), 3)
    _, gradient = make_objective(extractor(settings), image, [style], settings)(image)

    def loss(x):
        return expected_style(filters, settings, style, x)

    assert_slopes_agree(loss, image, gradient, 1e-3)


def test_histogram_gradient_takes_matches_as_constant(filters, extractor):
    settings = make_settings(
        style_loss="histogram",
        loss_scale="keras",
        content_weight=0,
        tv_weight=0,
        histogram_layers="block1_conv2:0.4,block2_conv1:0.6",
        content_layers="block2_conv1",
    )
    image, style = image_of((20, 22), 2), image_of((24, 21), 3)
    _, gradient = make_objective(extractor(settings), image, [style], settings)(image)
    f, s = (features_in_float64(filters, settings, picture) for picture in (image, style))
    weights = {"block1_conv2": 0.4, "block2_conv1": 0.6}
    matched = {name: reference.matched_by_sorting(f[name], s[name]) for name in weights}

    def loss(x):
        o = features_in_float64(filters, settings, x)
        return sum(w * ((o[name] - matched[name]) ** 2).sum() for name, w in weights.items())

    assert_slopes_agree(loss, image, gradient, 0.01)


@pytest.mark.parametrize("style_loss", ["histogram", "wasserstein", "moments"])
@pytest.mark.parametrize("taps", ["relu", "conv"])
def test_flat_pictures_have_finite_style_terms(extractor, style_loss, taps):
    settings = make_settings(style_loss=style_loss, taps=taps, **SHALLOW, **TWO_LAYERS)
    black, picture = np.zeros((1, 16, 18, 3), np.float32), image_of((16, 18), 1)
    for image, style in [(black, black), (black, picture), (picture, black)]:
        evaluate = make_objective(extractor(settings), picture, [style], settings)
        terms, gradient = evaluate(image)
        assert np.isfinite(terms).all() and np.isfinite(gradient).all()
