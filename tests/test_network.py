"""The feature extractor beside VGG written in NumPy, and beside keras.applications itself."""

import gc
import os
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import reference
from conftest import draw
from keras import ops
from numpy.testing import assert_allclose

from style_transfer import machine, network
from style_transfer.backends import value_and_grad
from style_transfer.images import IMAGENET_MEAN
from style_transfer.network import FeatureExtractor
from style_transfer.presets import make_settings
from style_transfer.vgg import Filters


def preprocess(picture: np.ndarray) -> np.ndarray:
    """RGB, uint8 (H, W, 3), as BGR minus mean, float32 (1, H, W, 3)."""
    return picture.astype(np.float32)[None, :, :, ::-1] - IMAGENET_MEAN


def extractor(
    arrays: dict,
    layers: list[str],
    precision: str = "float32",
    network_name: str = "vgg19",
    convention: str = "caffe",
    **choices,
) -> FeatureExtractor:
    """A network of these filters; its settings are those of VGG as it was trained."""
    settings = make_settings(
        network=network_name, **{"borders": "zeros", "pooling": "max", **choices}
    )
    filters = Filters(network_name, arrays, convention)
    return network.feature_extractor(filters, settings, precision, layers)


@pytest.mark.parametrize("pooling", ["max", "average", "l2"])
@pytest.mark.parametrize(
    "size, borders", [((16, 24), "zeros"), ((19, 33), "zeros"), ((19, 33), "repeated")]
)
def test_features_are_those_of_plain_convolutions(filters, pooling, size, borders):
    layers = ["block1_conv1", "block1_conv2", "block2_conv2", "block3_conv1"]
    image = preprocess(np.asarray(draw(*size, seed=5)))
    model = extractor(filters["vgg19"], layers, pooling=pooling, borders=borders)
    features = model(image)
    expected = reference.vgg(image, filters["vgg19"], "vgg19", layers, pooling, borders)
    assert set(features) == set(layers)
    for name in layers:
        found = np.asarray(features[name])
        assert found.shape[0] == 1
        scale = np.abs(expected[name]).max()
        assert_allclose(found.reshape(expected[name].shape), expected[name], atol=1e-5 * scale)


@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
def test_network_is_keras_applications_s(filters, name):
    application = {"vgg16": keras.applications.VGG16, "vgg19": keras.applications.VGG19}[name]
    whole = application(include_top=False, weights=None)
    for layer, (kernel, bias) in filters[name].items():
        whole.get_layer(layer).set_weights([kernel, bias])
    deepest = list(filters[name])[-1]
    image = preprocess(np.asarray(draw(32, 48, seed=6)))
    expected = keras.Model(whole.input, whole.get_layer(deepest).output)(image)
    features = extractor(filters[name], [deepest], network_name=name)(image)
    assert_allclose(np.asarray(features[deepest]), np.asarray(expected), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_wide_convolution_and_its_gradient(padding):
    rng = np.random.default_rng(1)
    kernel, bias = rng.normal(size=(3, 3, 5, 7)), rng.normal(size=7)
    image = rng.normal(size=(1, 9, 12, 5)).astype(np.float32)
    layer = network.WideConv2D(7, 3, padding=padding, data_format="channels_last", dtype="float32")
    layer.trainable = False
    layer.build(image.shape)
    layer.set_weights([kernel.astype(np.float32), bias.astype(np.float32)])
    edge = 1 if padding == "same" else 0
    windows = np.pad(image[0].astype(np.float64), ((edge, edge), (edge, edge), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(windows, (3, 3), axis=(0, 1))
    expected = np.einsum("hwcij,ijcn->hwn", windows, kernel) + bias
    assert_allclose(np.asarray(layer(image))[0], expected, atol=1e-5)
    # It is linear but for the bias: Σ output·weight = Σ image·gradient + Σ bias·weight.
    weight = rng.normal(size=expected.shape).astype(np.float32)
    _, gradient = value_and_grad(lambda x: ops.sum(layer(x)[0] * weight)[None])(image)
    for other in (image, rng.normal(size=image.shape).astype(np.float32)):
        found = np.sum(gradient * other.astype(np.float64)) + np.sum(bias * weight)
        assert_allclose(found, np.sum(np.asarray(layer(other))[0] * weight.astype("f8")), rtol=1e-4)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="counts TensorFlow's memory")
def test_unused_filters_are_freed(filters, monkeypatch):
    import tensorflow as tf

    wide, transposed = [], network.TRANSPOSED["same"]

    def counted(*tensors):
        wide.append(1)
        return transposed(*tensors)

    monkeypatch.setitem(network.TRANSPOSED, "same", counted)

    def use_another_one() -> None:
        vgg = extractor(filters["vgg19"], ["block3_conv1"], pooling="max")
        loss = value_and_grad(lambda x: ops.sum(vgg(x)["block3_conv1"])[None])
        loss(np.ones((1, 16, 16, 3), np.float32))

    def in_use_after_another_one() -> int:
        use_another_one()
        gc.collect()
        return tf.config.experimental.get_memory_info("CPU:0")["current"]

    before, *_, after = (in_use_after_another_one() for _ in range(4))
    assert after - before < filters["vgg19"]["block3_conv1"][0].nbytes
    assert len(wide) == 4


def torch_picture(picture):
    """A picture (H, W, 3), uint8, as torchvision normalizes it, in RGB and float64."""
    return (picture / 255.0 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]


def rgb_filters(filters):
    kernel, bias = filters["block1_conv1"]
    return {**filters, "block1_conv1": (kernel[:, :, ::-1], bias)}


@pytest.mark.parametrize("size, borders", [((16, 24), "zeros"), ((19, 33), "repeated")])
def test_torch_input_is_exact(filters, size, borders):
    layers = ["block1_conv1", "block1_conv2", "block2_conv1"]
    picture = np.asarray(draw(*size, seed=5))
    model = extractor(filters["vgg19"], layers, convention="torch", borders=borders)
    features = model(preprocess(picture))
    expected = reference.vgg(
        torch_picture(picture)[None], rgb_filters(filters["vgg19"]), "vgg19", layers, "max", borders
    )
    for name in layers:
        found = np.asarray(features[name]).reshape(expected[name].shape)
        assert_allclose(found, expected[name], atol=1e-5 * expected[name].max())


def test_both_inputs_agree_inside_only(filters):
    """W·(x − μ) + b as filters of torch's input: the same but for what the padding stands for."""
    kernel, bias = (array.astype(np.float64) for array in filters["vgg19"]["block1_conv1"])
    mean, deviation = np.array([0.406, 0.456, 0.485]), np.array([0.225, 0.224, 0.229])  # BGR
    off = (255 * mean - [103.939, 116.779, 123.68]) @ kernel.sum(axis=(0, 1))
    scaled = (kernel * 255 * deviation[:, None]).astype(np.float32), (bias + off).astype(np.float32)
    image = preprocess(np.asarray(draw(20, 24, seed=6)))
    found = []
    for first, convention in ((filters["vgg19"]["block1_conv1"], "caffe"), (scaled, "torch")):
        few = {**filters["vgg19"], "block1_conv1": first}
        model = extractor(few, ["block1_conv2"], convention=convention)
        found.append(np.asarray(model(image)["block1_conv2"]))
    scale = found[0].max()
    inside = np.s_[:, 2:-2, 2:-2]
    assert_allclose(found[1][inside], found[0][inside], atol=1e-5 * scale)
    assert np.abs(found[1] - found[0]).max() > 1e-3 * scale


def test_torch_input_is_normalized_in_float32():
    picture = np.asarray(draw(16, 16, seed=7))
    found = np.asarray(network._torch_input(preprocess(picture)))
    assert found.dtype == np.float32
    assert_allclose(found[0, :, :, ::-1], torch_picture(picture), atol=1e-6)


def test_network_ends_at_the_deepest_layer(filters):
    few = {name: filters["vgg16"][name] for name in ("block1_conv1", "block1_conv2")}
    features = extractor(few, ["block1_conv2"], network_name="vgg16")(np.zeros((1, 16, 16, 3)))
    assert features["block1_conv2"].shape == (1, 16, 16, 64)


def test_kernel_of_another_shape_is_refused(filters):
    wrong = {**filters["vgg16"], "block1_conv2": filters["vgg16"]["block2_conv1"]}
    with pytest.raises(ValueError):
        extractor(wrong, ["block1_conv2"], network_name="vgg16")


def test_bfloat16_features_are_close(filters):
    layers = ["block1_conv1", "block3_conv1"]
    image = preprocess(np.asarray(draw(24, 24, seed=7)))
    exact = extractor(filters["vgg19"], layers, pooling="average")(image)
    rough = extractor(filters["vgg19"], layers, "bfloat16", pooling="average")(image)
    for name in layers:
        a, b = np.asarray(exact[name]), np.asarray(rough[name])
        assert b.dtype == np.float32
        # Eight bits of mantissa, two to six roundings.
        assert 1e-6 < np.linalg.norm(b - a) / np.linalg.norm(a) < 0.02


@pytest.mark.parametrize("linux", [True, False])
@pytest.mark.parametrize(
    "flags, expected",
    [(["avx2", "avx512f"], "float32"), (["avx512_bf16"], "bfloat16"), (["amx_bf16"], "bfloat16")],
)
def test_precision_follows_the_processor(monkeypatch, linux, flags, expected):
    import cpuinfo

    def read_text(path):
        if not linux:
            return ""
        return f"processor\t: 0\nflags\t\t: fpu {' '.join(flags)} sse\n"

    cpu = SimpleNamespace(device="/job:localhost/device:CPU:0")
    monkeypatch.setattr(network.ops, "zeros", lambda shape, dtype: cpu)
    monkeypatch.setattr(network.backends, "bfloat16_units_help", lambda: True)
    monkeypatch.setattr(machine, "_text", read_text)
    monkeypatch.setattr(cpuinfo, "get_cpu_info", lambda: {"flags": [] if linux else flags})
    assert network.processor_precision() == expected


@pytest.mark.skipif("NST_TEST_WEIGHTS" not in os.environ, reason="NST_TEST_WEIGHTS is not set")
@pytest.mark.parametrize("pooling", ["max", "average"])
def test_real_filters(pooling):
    with np.load(os.environ["NST_TEST_WEIGHTS"]) as file:
        real = {
            name: (file[f"{name}/kernel"], file[f"{name}/bias"])
            for name in ("block1_conv1", "block1_conv2", "block2_conv1", "block2_conv2")
        }
    image = preprocess(np.asarray(draw(20, 26, seed=8)))
    layers = ["block1_conv2", "block2_conv2"]
    features = extractor(real, layers, pooling=pooling)(image)
    expected = reference.vgg(image, real, "vgg19", layers, pooling)
    for name in layers:
        found = np.asarray(features[name]).reshape(expected[name].shape)
        assert_allclose(found, expected[name], atol=1e-5 * expected[name].max())
