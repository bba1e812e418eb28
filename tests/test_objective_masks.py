"""The objective with masks, beside NumPy in float64."""

import numpy as np
import pytest
import reference
from numpy.testing import assert_allclose
from objectives import SHALLOW, TWO_LAYERS, image_of, make_objective

from style_transfer.parsing import layers_in_use
from style_transfer.presets import make_settings

RED, BLUE, GREEN = (255, 0, 0), (0, 0, 255), (0, 255, 0)


def halves(size, at=0.5, colors=(RED, BLUE)):
    """Regions left and right of a column."""
    left = np.zeros(size, bool)
    left[:, : round(at * size[1])] = True
    return dict(zip(colors, (left, ~left), strict=True))


def masked_style(filters, settings, styles, image, masks, blend):
    """The style term with masks, region by region, written without the program."""
    total = 0.0
    f = reference.vgg(image, filters["vgg19"], "vgg19", layers_in_use(settings), settings.pooling)

    def carried(mask, level):  # the middle of each patch of pixels
        rows, columns = mask.shape[0] >> level, mask.shape[1] >> level
        down = ((np.arange(rows) + 0.5) * mask.shape[0] / rows).astype(int)
        right = ((np.arange(columns) + 0.5) * mask.shape[1] / columns).astype(int)
        return mask[down][:, right].ravel()

    for color, region in masks[0].items():
        there = [i for i in range(len(styles)) if color in masks[1 + i]]
        for i in there:
            own = masks[1 + i][color]
            s = reference.vgg(
                styles[i] * own[None, :, :, None],
                filters["vgg19"],
                "vgg19",
                layers_in_use(settings),
                settings.pooling,
            )
            share = region.mean() * blend[i] / sum(blend[j] for j in there)
            for name, weight in {"block1_conv1": 0.7, "block2_conv1": 0.3}.items():
                level = int(name[5]) - 1
                inside, target = f[name][carried(region, level)], s[name][carried(own, level)]
                loss = reference.style_loss("relative", inside, target, image.shape[1:3], 2)
                total += share * weight * loss
    return settings.style_weight * total


def test_masks_sum_over_regions_by_area(filters, extractor):
    settings = make_settings(style_blend="3,1", **SHALLOW)
    content, image = image_of((28, 20), 1), image_of((28, 20), 2)
    styles = [image_of((24, 36), 3), image_of((22, 30), 4)]
    third = halves((28, 20), 0.3)
    top = np.arange(28)[:, None] < 9
    regions = {RED: third[RED], BLUE: third[BLUE] & ~top, GREEN: third[BLUE] & top}
    masks = [regions, halves((24, 36), 0.6), halves((22, 30), 0.4, (RED, GREEN))]
    terms, _ = make_objective(extractor(settings), content, styles, settings, masks)(image)
    expected = masked_style(filters, settings, styles, image, masks, [0.75, 0.25])
    assert_allclose(terms[1], expected, rtol=1e-5)


@pytest.mark.parametrize("style_loss", ["gram", "histogram", "wasserstein", "moments"])
def test_regions_do_not_leak(extractor, style_loss):
    """Another style on the right changes nothing on the left, not by the last bit."""
    settings = make_settings(
        style_loss=style_loss, content_weight=0, tv_weight=0, **SHALLOW, **TWO_LAYERS
    )
    size = 24, 40
    image, style = image_of(size, 2), image_of(size, 3)
    changed = style.copy()
    changed[:, :, 20:] = image_of(size, 4)[:, :, 20:]
    both, left = halves(size), {RED: halves(size)[RED]}
    found = {}
    for name, painted in (("before", style), ("after", changed)):
        alone = make_objective(extractor(settings), image, [painted], settings, [left, both])
        whole = make_objective(extractor(settings), image, [painted], settings, [both, both])
        found[name] = alone(image), whole(image)
    (before, before_whole), (after, after_whole) = found["before"], found["after"]
    assert before[0][1] == after[0][1] and (before[1] == after[1]).all()
    assert before_whole[0][1] != after_whole[0][1]
    # Pixels that only the left region's features see are pulled as before.
    far_left = np.s_[:, :, :8]
    assert_allclose(after_whole[1][far_left], before_whole[1][far_left], rtol=1e-5, atol=1e-12)
    assert np.abs(after_whole[1] - before_whole[1]).max() > 0


def test_one_region_everywhere_is_no_mask(extractor):
    settings = make_settings(**SHALLOW)
    content, image, style = image_of((28, 20), 1), image_of((28, 20), 2), image_of((21, 35), 3)
    masks = [{RED: np.ones((28, 20), bool)}, {RED: np.ones((21, 35), bool)}]
    plain = make_objective(extractor(settings), content, [style], settings)(image)
    found = make_objective(extractor(settings), content, [style], settings, masks)(image)
    assert_allclose(found[0], plain[0], rtol=1e-5)
    assert_allclose(found[1], plain[1], rtol=1e-3, atol=1e-6 * np.abs(plain[1]).max())


@pytest.mark.parametrize(
    "where, style_loss", [("content", "gram"), ("style", "gram+histogram"), ("both", "wasserstein")]
)
def test_small_region_counts_where_it_is_seen(extractor, where, style_loss):
    settings = make_settings(style_loss=style_loss, tv_weight=0)
    image, style = image_of((48, 48), 2), image_of((48, 48), 3)
    speck = np.zeros((48, 48), bool)
    speck[0:2, 0:2] = True
    few, half = {RED: speck, BLUE: ~speck}, halves((48, 48))
    masks = [few if where != "style" else half, few if where != "content" else half]
    evaluate = make_objective(extractor(settings), image, [style], settings, masks)
    terms, gradient = evaluate(image)
    assert np.isfinite(terms).all() and np.isfinite(gradient).all() and terms[1] > 0


def test_region_of_no_style_has_no_style_term(extractor):
    settings = make_settings(**SHALLOW)
    image = image_of((20, 20), 2)
    masks = [{RED: np.ones((20, 20), bool)}, {BLUE: np.ones((20, 20), bool)}]
    evaluate = make_objective(extractor(settings), image, [image], settings, masks)
    terms, gradient = evaluate(image)
    assert terms[1] == 0 and np.isfinite(gradient).all()
