"""Filters made here, against full decompositions in float64."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from filter_files import LAYERS, image
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import subspace_angles

from style_transfer.errors import InputError
from style_transfer.filters import load_filters
from style_transfer.filters.fitted import (
    LOUDNESS,
    fitted_filters,
    leading_components,
    random_filters,
)
from style_transfer.network import feature_extractor
from style_transfer.presets import make_settings
from style_transfer.vgg import kernel_shape, layer_names

FEW = {"content_layers": "block2_conv1", "style_layers": "block1_conv1"}
SMALL = make_settings(**FEW)


def load(source, settings=SMALL, images=None):
    images = images or [image(24, 24, seed) for seed in (1, 2)]
    return load_filters(source, settings, images, pytest.fail)


@pytest.mark.parametrize("source", ["fitted", "random"])
def test_made_filters_are_the_same_bytes_for_the_same_seed(source):
    (first, about), (second, again) = load(source), load(source)
    assert about == again and about.source == source and len(about.sha256) == 64
    assert about.file is None and about.convention == "caffe"
    for layer in LAYERS:
        assert first.arrays[layer][0].tobytes() == second.arrays[layer][0].tobytes()
        assert first.arrays[layer][1].tobytes() == second.arrays[layer][1].tobytes()


def test_random_filters_have_hes_variance():
    first = random_filters("vgg19", LAYERS, seed=0)
    other = random_filters("vgg19", LAYERS, seed=1)
    for name in LAYERS:
        kernel, bias = first.arrays[name]
        assert kernel.shape == kernel_shape("vgg19", name) and not bias.any()
        assert kernel.var() == pytest.approx(2 / (9 * kernel.shape[2]), rel=0.1)
        assert (kernel != other.arrays[name][0]).all()


@pytest.mark.parametrize("network", ["vgg16", "vgg19"])
def test_shapes_of_kernels_are_those_of_keras_applications(network):
    application = {"vgg16": keras.applications.VGG16, "vgg19": keras.applications.VGG19}[network]
    model = application(include_top=False, weights=None)
    for layer in layer_names(network):
        assert kernel_shape(network, layer) == model.get_layer(layer).kernel.shape


@pytest.fixture(scope="module")
def fitted():
    """Filters fitted to two pictures, up to block3_conv1, and the pictures."""
    layers = [*LAYERS, "block2_conv2", "block3_conv1"]
    pictures = [image(48, 40, seed) for seed in (1, 2)]
    return fitted_filters(make_settings(), layers, pictures, LOUDNESS["caffe"]).arrays, pictures


POOL = {
    "average": lambda blocks: blocks.mean(axis=(1, 3)),
    "max": lambda blocks: blocks.max(axis=(1, 3)),
    "l2": lambda blocks: (blocks**2).mean(axis=(1, 3)) ** 0.5,
}


def patches_before(layer, filters, pictures, pooling="average", border="edge"):
    """All 3 x 3 patches that a layer sees, (n, 9·C)."""
    rows = []
    for picture in pictures:
        maps = picture[0].astype(np.float64)
        for name in filters:
            if name.endswith("_conv1") and name != "block1_conv1":
                high, wide = maps.shape[0] // 2, maps.shape[1] // 2
                blocks = maps[: 2 * high, : 2 * wide].reshape(high, 2, wide, 2, -1)
                maps = POOL[pooling](blocks)
            padded = np.pad(maps, ((1, 1), (1, 1), (0, 0)), mode=border)
            windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))
            windows = windows.transpose(0, 1, 3, 4, 2).reshape(*maps.shape[:2], -1)
            if name == layer:
                rows.append(windows.reshape(-1, windows.shape[-1]))
                break
            kernel, bias = filters[name]
            maps = np.maximum(windows @ kernel.reshape(-1, kernel.shape[-1]) + bias, 0)
    return np.concatenate(rows)


# Root mean square of the fitted filters' responses.
RESPONSES = {"block1_conv1": 64, "block1_conv2": 64, "block2_conv2": 256, "block3_conv1": 256}


@pytest.mark.parametrize("layer", RESPONSES)
def test_fitted_filters_are_about_as_loud_as_vggs(layer, fitted):
    filters, pictures = fitted
    kernel, bias = filters[layer]
    patches = patches_before(layer, filters, pictures)
    response = patches @ kernel.reshape(-1, kernel.shape[-1]).astype(np.float64) + bias
    response /= RESPONSES[layer]
    speaking = np.abs(kernel).sum(axis=(0, 1, 2)) > 0
    # Few enough positions here that every patch was drawn.
    assert (response[:, speaking] ** 2).mean() == pytest.approx(1, rel=1e-2)
    assert_allclose(response.mean(axis=0), 0, atol=1e-3)
    assert_allclose(response[:, ~speaking], 0)


@pytest.mark.parametrize("pooling", ["average", "max", "l2"])
@pytest.mark.parametrize("borders, border", [("repeated", "edge"), ("zeros", "constant")])
def test_filters_are_fitted_to_what_they_will_see(pooling, borders, border):
    pictures = [image(48, 40, seed) for seed in (1, 2)]
    settings = make_settings(pooling=pooling, borders=borders)
    layers = [*LAYERS, "block2_conv2", "block3_conv1"]
    filters = fitted_filters(settings, layers, pictures, LOUDNESS["caffe"]).arrays
    kernel, bias = filters["block3_conv1"]
    patches = patches_before("block3_conv1", filters, pictures, pooling, border)
    response = patches @ kernel.reshape(-1, kernel.shape[-1]).astype(np.float64) + bias
    speaking = np.abs(kernel).sum(axis=(0, 1, 2)) > 0
    assert (response[:, speaking] ** 2).mean() == pytest.approx(256**2, rel=1e-2)
    assert_allclose(response.mean(axis=0) / 256, 0, atol=1e-3)


def test_fitted_filters_fit_the_systems_network():
    pictures = [image(48, 40, seed) for seed in (1, 2)]
    loud, soft = (
        load("fitted", make_settings(loss_scale=scale, **FEW), pictures)[0]
        for scale in ("keras", "pytorch")
    )
    response = feature_extractor(loud, SMALL, "float32", LAYERS)(pictures[0])
    softer = feature_extractor(soft, SMALL, "float32", LAYERS)(pictures[0])
    for layer in LAYERS:
        assert_array_equal(softer[layer] * 64, response[layer])


@pytest.mark.parametrize("layer", ["block1_conv2", "block2_conv2", "block3_conv1"])
def test_fitted_filters_are_half_whitened_components(layer, fitted):
    filters, pictures = fitted
    kernel, _ = filters[layer]
    count = min(kernel.shape[-1] // 2, 9 * kernel.shape[2])
    patches = patches_before(layer, filters, pictures)
    covariance = np.cov(patches.T, bias=True)
    values = np.linalg.eigh(covariance)[0][::-1][:count]
    basis = kernel.reshape(-1, kernel.shape[-1]).astype(np.float64)[:, :count]
    response = np.einsum("ij,ik,kj->j", basis, covariance, basis)  # variance of each
    response /= RESPONSES[layer] ** 2
    # A component of variance λ answers with √λ, all scaled to mean 1.
    strong = values > 1e-3 * values[0]
    strong[-8:] = False  # the weakest of a subspace iteration are found roughly
    expected = np.sqrt(values) / np.sqrt(values).mean()
    assert strong.sum() >= 10
    assert_allclose(response[strong], expected[strong], rtol=0.02)


@pytest.mark.parametrize("layer", LAYERS)
def test_fitted_filters_come_in_both_signs(layer, fitted):
    kernel, bias = fitted[0][layer]
    count = min(kernel.shape[-1] // 2, 9 * kernel.shape[2])
    assert_array_equal(kernel[..., :count], -kernel[..., count : 2 * count])
    assert_allclose(bias[:count], -bias[count : 2 * count], rtol=1e-5, atol=1e-5)


def test_filters_beyond_the_components_are_silent(fitted):
    kernel, bias = fitted[0]["block1_conv1"]  # 27 components at most, of 64 filters
    assert not kernel[..., 54:].any() and not bias[54:].any()
    assert np.abs(kernel[..., :54]).sum(axis=(0, 1, 2)).all()


def test_filters_fitted_to_flat_pictures_are_finite():
    flat = [np.full((1, 32, 32, 3), value, np.float32) for value in (-110, 90)]
    filters = fitted_filters(make_settings(), LAYERS, flat, LOUDNESS["caffe"]).arrays
    assert all(np.isfinite(array).all() for pair in filters.values() for array in pair)


@pytest.mark.parametrize("rows, size", [(400, 90), (150, 300)])
def test_leading_components_are_those_of_the_svd(rows, size):
    rng = np.random.default_rng(1)
    # Variances falling off as those of picture patches do.
    mixing = rng.normal(size=(size, size)) * np.arange(1, size + 1)[:, None] ** -1.0
    data = rng.normal(size=(rows, size)) @ mixing
    data = (data - data.mean(axis=0)).astype(np.float32)
    count = 12
    components, variance = leading_components(data, count, np.random.default_rng(2))
    values, vectors = np.linalg.eigh(data.T.astype(np.float64) @ data / rows)
    values, vectors = values[::-1], vectors[:, ::-1]
    assert components.shape == (size, count) and variance.shape == (count,)
    assert_allclose(components.T @ components, np.eye(count), atol=1e-4)
    assert_allclose(variance, values[:count], rtol=0.02)
    # All but the last few, whose neighbours outside have all but their variance.
    angles = subspace_angles(components[:, :6].astype(np.float64), vectors[:, :6])
    assert np.rad2deg(angles.max()) < 5
    signs = np.sign(components[np.abs(components).argmax(axis=0), np.arange(count)])
    assert (signs == 1).all()


@pytest.mark.parametrize("rows, columns", [(192, 15), (8, 300)])
def test_a_picture_whose_side_vanishes_in_pooling_is_refused(rows, columns):
    images = [image(24, 24, 1), image(rows, columns, 2)]
    with pytest.raises(InputError) as error:
        load("fitted", make_settings(), images)
    message = str(error.value)
    assert message.startswith("--weights fitted: expected pictures whose sides are at least 16")
    assert message.endswith(f"Received: {rows} x {columns}")
    load("fitted", SMALL, images)  # with one pooling they are large enough
    load("random", make_settings(), images)


@pytest.mark.parametrize("floatx", ["float64", "float16"])
def test_keras_s_global_settings_change_nothing(floatx, tmp_path):
    (tmp_path / "keras.json").write_text(
        f'{{"image_data_format": "channels_first", "floatx": "{floatx}"}}'
    )
    program = """if True:
        from test_filters_fitted import load
        import keras
        print(keras.config.image_data_format(), keras.config.floatx(), load("fitted")[1].sha256)
    """
    here = Path(__file__).parent
    environment = os.environ | {
        "KERAS_HOME": str(tmp_path),
        "KERAS_BACKEND": keras.backend.backend(),
        "PYTHONPATH": os.pathsep.join([str(here), str(here.parent), *sys.path]),
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["channels_first", floatx, load("fitted")[1].sha256]
