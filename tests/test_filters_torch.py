"""PyTorch's files: torchvision's networks and Caffe's, told apart by their numbers."""

import os
import pickle
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import draw, with_torch
from filter_files import LAYERS, POSITIONS, drawn, few, torch_state, write_state
from numpy.testing import assert_allclose, assert_array_equal

from style_transfer.errors import InputError
from style_transfer.filters.files import read_filters
from style_transfer.filters.torch_files import CAFFE, recognized
from style_transfer.images import IMAGENET_MEAN
from style_transfer.network import feature_extractor
from style_transfer.presets import make_settings


def refused(path, layers=LAYERS, network="vgg19") -> str:
    with pytest.raises(InputError) as error:
        read_filters(path, network, layers)
    message = str(error.value)
    assert message.startswith("--weights: expected ") and "Received: " in message
    assert str(path) in message and "\n" not in message
    return message


@with_torch
@pytest.mark.parametrize("network", ["vgg16", "vgg19"])
def test_torchvision_s_layers_are_found_after_their_poolings(network, tmp_path):
    arrays = drawn(network)
    write_state(tmp_path / "f.pth", torch_state(arrays, network))
    found = read_filters(tmp_path / "f.pth", network, list(arrays)).arrays
    assert list(found) == list(arrays)
    for layer in arrays:
        assert_array_equal(found[layer][0], arrays[layer][0])
        assert_array_equal(found[layer][1], arrays[layer][1])


# The upper left values of the first filter, B, G, R, and the first biases of Caffe's networks, as
# keras.applications has them.
PUBLISHED = {
    "vgg16": (
        [0.42947057, 0.55037946, 0.4800154],
        [0.73429835, 0.093403675, 0.06775674, 0.8862966],
    ),
    "vgg19": (
        [0.34119523, 0.46418372, 0.39416704],
        [0.73017758, 0.06493629, 0.03428847, 0.8260386],
    ),
}


def caffe(network="vgg19"):
    """Random filters that begin as Caffe's do; BGR."""
    arrays = drawn(network)
    kernel, bias = (array.copy() for array in arrays["block1_conv1"])
    kernel[0, 0, :, 0], bias[:4] = PUBLISHED[network]
    return {**arrays, "block1_conv1": (kernel, bias)}


def caffe_state(network, order):
    """The state dict of a converted network; torchvision's has its first kernel turned to RGB."""
    state = torch_state(caffe(network), network)
    if order == "BGR":
        state["features.0.weight"] = state["features.0.weight"][:, ::-1]
    return state


@with_torch
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("order", ["BGR", "RGB"])
@pytest.mark.parametrize("network", ["vgg16", "vgg19"])
def test_caffes_filters_are_known_in_torchvisions_names(network, order, dtype, tmp_path):
    import torch

    tensors = {
        name: torch.from_numpy(np.ascontiguousarray(array)).to(getattr(torch, dtype))
        for name, array in caffe_state(network, order).items()
    }
    torch.save(tensors, tmp_path / "f.pth")
    filters = read_filters(tmp_path / "f.pth", network, LAYERS)
    assert filters.convention == "caffe"
    exact = {"float32": 0, "float16": 1e-3, "bfloat16": 8e-3}[dtype]
    for layer in LAYERS:
        for found, expected in zip(filters.arrays[layer], caffe(network)[layer], strict=True):
            assert_allclose(found, expected, rtol=exact, atol=1e-6)


@with_torch
@pytest.mark.parametrize(
    "names",
    [
        lambda name: name.removeprefix("features."),
        lambda name: f"module.{name}",
    ],
)
@pytest.mark.parametrize("kind", ["torch", "caffe"])
def test_names_with_and_without_prefix(names, kind, tmp_path):
    state = torch_state(drawn()) if kind == "torch" else caffe_state("vgg19", "BGR")
    write_state(tmp_path / "f.pth", {names(name): array for name, array in state.items()})
    filters = read_filters(tmp_path / "f.pth", "vgg19", LAYERS)
    assert filters.convention == kind
    expected = drawn() if kind == "torch" else caffe()
    for layer in LAYERS:
        assert_array_equal(filters.arrays[layer][0], expected[layer][0])


@with_torch
def test_gatys_s_names_are_of_caffe_s_filters(tmp_path):
    state = {}
    for name, (kernel, bias) in drawn().items():
        short = f"conv{name[5]}_{name[-1]}"
        state[f"{short}.weight"], state[f"{short}.bias"] = kernel.transpose(3, 2, 0, 1), bias
    write_state(tmp_path / "vgg_conv.pth", state)
    filters = read_filters(tmp_path / "vgg_conv.pth", "vgg19", list(drawn()))
    assert filters.convention == "caffe"
    for layer, pair in drawn().items():
        for found, expected in zip(filters.arrays[layer], pair, strict=True):
            assert_array_equal(found, expected)
    assert "--network vgg19" in refused(tmp_path / "vgg_conv.pth", LAYERS, "vgg16")


def test_a_first_layer_is_recognized_by_its_numbers():
    kernel, bias = drawn()["block1_conv1"]
    assert recognized(kernel, bias) == ("torch", "RGB")
    for network in CAFFE:
        bgr = caffe(network)["block1_conv1"]
        assert recognized(*bgr) == ("caffe", "BGR")
        assert recognized(bgr[0][:, :, ::-1], bgr[1]) == ("caffe", "RGB")
        # torchvision's filters are others, and so are Caffe's brought to torchvision's input.
        assert recognized(bgr[0] * 57, bgr[1]) == ("torch", "RGB")
        assert recognized(bgr[0], bgr[1] + 0.1) == ("torch", "RGB")
    # What answers to 0..255 as the others do to 0..1 has kernels 57 times smaller.
    assert recognized(kernel / 57, bias) == ("caffe", "BGR")
    assert recognized(kernel / 3, bias) == ("torch", "RGB")


@pytest.mark.skipif("NST_TEST_WEIGHTS" not in os.environ, reason="needs real filters")
def test_the_real_filters_are_caffe_s():
    filters = read_filters(Path(os.environ["NST_TEST_WEIGHTS"]), "vgg19", LAYERS)
    kernel, bias = filters.arrays["block1_conv1"]
    assert recognized(kernel, bias) == ("caffe", "BGR")
    assert recognized(kernel[:, :, ::-1], bias) == ("caffe", "RGB")


@with_torch
@pytest.mark.parametrize("kind", ["torch", "caffe"])
def test_features_are_those_of_pytorch(kind, tmp_path):
    import torch
    from torch.nn.functional import conv2d, max_pool2d

    state = torch_state(few()) if kind == "torch" else caffe_state("vgg19", "BGR")
    write_state(tmp_path / "f.pth", state)
    filters = read_filters(tmp_path / "f.pth", "vgg19", LAYERS)
    assert filters.convention == kind
    picture = np.asarray(draw(22, 30, seed=9))
    settings = make_settings(pooling="max", borders="zeros")
    bgr = picture[None, ..., ::-1].astype(np.float32) - IMAGENET_MEAN
    found = feature_extractor(filters, settings, "float32", LAYERS)(bgr)
    if kind == "torch":  # torchvision.transforms: ToTensor and Normalize
        mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).double()
        x = (torch.tensor(picture).double() / 255 - mean) / deviation
    else:  # jcjohnson/pytorch-vgg: BGR, 0..255, minus mean
        x = torch.tensor(picture[..., ::-1].copy()).double()
        x = x - torch.tensor([103.939, 116.779, 123.68]).double()
    x = x.permute(2, 0, 1)[None]
    state = torch.load(tmp_path / "f.pth", weights_only=True)
    for layer, position in zip(LAYERS, POSITIONS["vgg19"], strict=False):
        if layer == "block2_conv1":
            x = max_pool2d(x, 2)
        kernel, bias = (
            state[f"features.{position}.{part}"].double() for part in ("weight", "bias")
        )
        x = conv2d(x, kernel, bias, padding=1).relu()
        expected = x.permute(0, 2, 3, 1).numpy()
        assert_allclose(np.asarray(found[layer]), expected, atol=1e-5 * expected.max())


@with_torch
@pytest.mark.parametrize(
    "change, said",
    [
        (
            lambda state: {"state_dict": 1, **{f"backbone.{k}": v for k, v in state.items()}},
            "lacks",
        ),
        (lambda state: {k: v for k, v in state.items() if "features.2." not in k}, "block1_conv2"),
        (lambda state: {**state, "features.1.running_mean": np.ones(64)}, "batch normalization"),
        (lambda state: {**state, "features.0.weight": np.ones((64, 3, 11, 11))}, "(11, 11, 3, 64)"),
        (lambda state: {**state, "features.0.bias": np.full(64, np.nan)}, "block1_conv1/bias"),
    ],
)
def test_a_state_dict_of_another_network_is_refused(change, said, tmp_path):
    import torch

    state = change(torch_state(few()))
    tensors = {k: torch.tensor(np.ascontiguousarray(v)) for k, v in state.items()}
    torch.save(tensors, tmp_path / "f.pth")
    assert said in refused(tmp_path / "f.pth")


@with_torch
def test_a_pickle_of_no_state_dict_is_refused(tmp_path):
    import torch

    torch.save([1, 2], tmp_path / "list.pth")
    assert "which holds a list" in refused(tmp_path / "list.pth")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pth")
    assert "a pickle of torch.nn.modules.linear.Linear" in refused(tmp_path / "model.pth")


class Malicious:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def as_pickle(path, thing, protocol=2):
    path.write_bytes(pickle.dumps(thing, protocol))


def as_new_pickle(path, thing):
    as_pickle(path, thing, 5)


def as_oldest_pickle(path, thing):
    as_pickle(path, thing, 0)


def as_legacy(path, thing):
    """As torch.save wrote before 1.6: magic number, version, system, object, keys of storages."""
    parts = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, thing, [])
    path.write_bytes(b"".join(pickle.dumps(part, 2) for part in parts))


def as_zip(path, thing):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps(thing, 2))
        file.writestr("archive/version", "3\n")


@pytest.mark.parametrize("write", [as_pickle, as_new_pickle, as_oldest_pickle, as_legacy, as_zip])
@pytest.mark.parametrize("installed", [pytest.param(True, marks=with_torch), False])
def test_a_pickle_is_not_executed(write, installed, tmp_path, monkeypatch):
    if not installed:
        monkeypatch.setitem(sys.modules, "torch", None)
    folder = tmp_path / "made"
    write(tmp_path / "f.pth", {"features.0.weight": Malicious(folder)})
    message = refused(tmp_path / "f.pth")
    assert not folder.exists()
    if installed and write in (as_legacy, as_zip):
        assert "mkdir" in message and "nothing in it was executed" in message
    pickle.loads(pickle.dumps(Malicious(folder)))
    assert folder.exists()  # it would have been


@pytest.mark.parametrize("version", [None, "2.5.1", "1.13.1+cu117", "2"])
def test_without_a_safe_pytorch_it_is_said_how_to_get_it(version, tmp_path, monkeypatch):
    torch = version and SimpleNamespace(__version__=version)  # without a `load` to call
    monkeypatch.setitem(sys.modules, "torch", torch)
    as_zip(tmp_path / "f.pth", {})
    assert "PyTorch 2.6 or later" in refused(tmp_path / "f.pth")
    assert "pip install torch" in refused(tmp_path / "f.pth")
