"""Where filters come from: every file layout, Keras's cache, a download, the pictures at hand."""

import hashlib
import http.server
import inspect
import os
import pickle
import sys
import threading
import time
import urllib.request
import zipfile
from types import SimpleNamespace

import h5py
import keras
import numpy as np
import pytest
import reference
from conftest import draw, with_torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.io import loadmat, savemat
from scipy.linalg import subspace_angles

import network
import weights
from network import feature_extractor
from preprocessing import preprocess
from settings import InputError, make_settings

LAYERS = ["block1_conv1", "block1_conv2", "block2_conv1"]
# Where convolutions stand in MatConvNet's `layers` and torchvision's `features`.
POSITIONS = {
    "vgg16": (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
    "vgg19": (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34),
}


@pytest.fixture(scope="module")
def few(filters):
    """VGG19's filters up to block2_conv1."""
    return {name: filters["vgg19"][name] for name in LAYERS}


def write_npz(path, few):
    np.savez(
        path, **{f"{n}/{p}": a for n, pair in few.items() for p, a in zip(("kernel", "bias"), pair)}
    )


def write_npz_compressed(path, few):
    np.savez_compressed(
        path, **{f"{n}/{p}": a for n, pair in few.items() for p, a in zip(("kernel", "bias"), pair)}
    )


def write_legacy(path, few, inside="", names=("{0}_W_1:0", "{0}_b_1:0")):
    """The layout of Keras 1 and 2: a group a layer, arrays named by its `weight_names`."""
    with h5py.File(path, "w") as file:
        root = file.require_group(inside) if inside else file
        everything = ["input_1", *few, "block1_pool"]
        root.attrs["layer_names"] = [name.encode() for name in everything]
        root.attrs["backend"] = b"tensorflow"
        root.attrs["keras_version"] = b"2.3.0"
        for layer in everything:
            group = root.create_group(layer)
            arrays = few.get(layer, ())
            paths = [name.format(layer) for name, _ in zip(names, arrays)]
            group.attrs["weight_names"] = [path.encode() for path in paths]
            for path_inside, array in zip(paths, arrays, strict=True):
                group[path_inside] = array


def write_legacy_kernels(path, few):
    write_legacy(path, few, names=("{0}/kernel:0", "{0}/bias:0"))


def write_whole_model(path, few):
    """`model.save` of Keras 2: weights under `model_weights`, and the optimizer's moments."""
    write_legacy(path, few, "model_weights", ("{0}/kernel:0", "{0}/bias:0"))
    with h5py.File(path, "a") as file:
        for layer, (kernel, bias) in few.items():
            file[f"optimizer_weights/training/Adam/{layer}/kernel/m:0"] = np.ones_like(kernel)
            file[f"optimizer_weights/training/Adam/{layer}/bias/m:0"] = np.ones_like(bias)


def application(few):
    model = keras.applications.VGG19(include_top=False, weights=None)
    for layer, arrays in few.items():
        model.get_layer(layer).set_weights(arrays)
    return model


def write_keras_3(path, few):
    model = application(few)
    keras.Model(model.input, model.get_layer(LAYERS[-1]).output).save_weights(path)


def write_keras_3_application(path, few):
    application(few).save_weights(path)


def write_keras_3_trained(path, few):
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            *(
                keras.layers.Conv2D(pair[1].size, 3, padding="same", name=layer)
                for layer, pair in few.items()
            ),
        ]
    )
    model.compile(keras.optimizers.Adam(), "mse")
    model.train_on_batch(np.zeros((1, 8, 8, 3)), np.zeros((1, 8, 8, 128)))
    for layer, arrays in few.items():
        model.get_layer(layer).set_weights(arrays)
    model.save_weights(path)


def matconvnet_layers(few, parts=("weights",)):
    """Layers as MatConvNet has them: structs of convolutions, ReLUs and poolings."""
    layers = []
    for name, (kernel, bias) in few.items():
        number = name[5] + "_" + name[-1]
        if number[0] > "1" and number[2] == "1":
            pool = {"pool": [[2.0, 2.0]], "stride": [[2.0, 2.0]], "pad": [[0.0, 1.0, 0.0, 1.0]]}
            layers.append({"type": "pool", "name": f"pool{int(number[0]) - 1}", **pool})
        kernel = kernel.transpose(1, 0, 2, 3)  # (width, height, in, out)
        if name == "block1_conv1":
            kernel = kernel[:, :, ::-1]  # RGB
        arrays = [kernel, bias[None]]
        if len(parts) == 1:
            cell = np.empty((1, 2), object)
            cell[0, :] = arrays
            arrays = [cell]
        convolution = {"type": "conv", "name": f"conv{number}", "pad": [[1.0, 1.0, 1.0, 1.0]]}
        layers.append({**convolution, **dict(zip(parts, arrays, strict=True))})
        empty = {"weights": np.zeros((0, 0))} if len(parts) == 1 else {}
        layers.append({"type": "relu", "name": f"relu{number}", **empty})
    return np.array(layers, object).reshape(1, -1)


RGB_MEAN = [123.68, 116.779, 103.939]


def write_matconvnet(path, few):
    """Since 1.0-beta17: the mean a colour, in `meta`."""
    meta = {"normalization": {"imageSize": [[224.0, 224.0, 3.0]], "averageImage": [RGB_MEAN]}}
    savemat(path, {"layers": matconvnet_layers(few), "meta": meta}, oned_as="row")


def write_matconvnet_beta16(path, few):
    """The mean a picture."""
    normalization = {"averageImage": np.full((224, 224, 3), RGB_MEAN), "keepAspect": True}
    file = {"layers": matconvnet_layers(few), "normalization": normalization, "classes": {"a": "b"}}
    savemat(path, file, oned_as="row", do_compression=True)


def write_matconvnet_filters(path, few):
    """The first ones: `filters` and `biases` instead of `weights`."""
    savemat(path, {"layers": matconvnet_layers(few, ("filters", "biases"))})


def torch_state(few, network="vgg19"):
    """torchvision's state dict, in NumPy: `few` and the beginning of the classifier."""
    state = {}
    for position, (name, (kernel, bias)) in zip(POSITIONS[network], few.items()):
        if name == "block1_conv1":
            kernel = kernel[:, :, ::-1]  # RGB
        state[f"features.{position}.weight"] = kernel.transpose(3, 2, 0, 1)  # (out, in, 3, 3)
        state[f"features.{position}.bias"] = bias
    return {**state, "classifier.6.weight": np.ones((10, 4), np.float32)}


def write_state(path, state, **options):
    import torch

    tensors = {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in state.items()}
    torch.save(tensors, path, **options)


def write_torch(path, few):
    write_state(path, torch_state(few))


def write_torch_legacy(path, few):
    """As torch.save did before 1.6, and torchvision's own files are."""
    write_state(path, torch_state(few), _use_new_zipfile_serialization=False)


WRITERS = {
    "f.npz": write_npz,
    "compressed.npz": write_npz_compressed,
    "notop.h5": write_legacy,
    "kernels.h5": write_legacy_kernels,
    "model.h5": write_whole_model,
    "f.weights.h5": write_keras_3,
    "application.weights.h5": write_keras_3_application,
    "trained.weights.h5": write_keras_3_trained,
    "f.mat": write_matconvnet,
    "beta16.mat": write_matconvnet_beta16,
    "filters.mat": write_matconvnet_filters,
    "f.pth": write_torch,
    "legacy.pth": write_torch_legacy,
}


def files(*names):
    """The names as parameters; PyTorch's are skipped where it is not installed."""
    return [pytest.param(n, marks=with_torch) if n.endswith(".pth") else n for n in names]


@pytest.mark.parametrize("name", files(*WRITERS))
def test_every_layout_gives_the_same_filters(name, few, tmp_path):
    WRITERS[name](tmp_path / name, few)
    found, convention = weights.read_filters(tmp_path / name, "vgg19", LAYERS)
    assert convention == ("torch" if name.endswith(".pth") else "caffe")
    assert list(found) == LAYERS
    for layer in LAYERS:
        for array, expected in zip(found[layer], few[layer], strict=True):
            assert array.dtype == np.float32
            assert_array_equal(array, expected)


@pytest.mark.parametrize("name", files("f.npz", "notop.h5", "f.mat", "f.pth", "legacy.pth"))
@pytest.mark.parametrize("other", ["anything", "other.pth", "other.h5"])
def test_the_kind_of_file_is_seen_from_its_content(name, other, few, tmp_path):
    WRITERS[name](tmp_path / name, few)
    (tmp_path / name).rename(tmp_path / other)
    assert list(weights.read_filters(tmp_path / other, "vgg19", LAYERS)[0]) == LAYERS


@pytest.mark.parametrize("name", files("f.npz", "notop.h5", "f.weights.h5", "f.mat", "f.pth"))
def test_only_the_layers_in_use_need_be_there(name, few, tmp_path):
    WRITERS[name](tmp_path / name, few)
    settings = make_settings(content_layers="block1_conv2", style_layers="block1_conv1")
    filters, about = weights.load_filters(
        str(tmp_path / name), settings, ["block1_conv1", "block1_conv2"], []
    )
    assert list(filters) == LAYERS[:2]
    assert about["source"] == "file" and about["file"] == str(tmp_path / name)
    assert about["input"] == ("torch" if name.endswith(".pth") else "caffe")
    assert about["sha256"] == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()


def refused(path, layers=LAYERS, network="vgg19") -> str:
    with pytest.raises(InputError) as error:
        weights.read_filters(path, network, layers)
    message = str(error.value)
    assert message.startswith("--weights: expected ") and "Received: " in message
    assert str(path) in message and "\n" not in message
    return message


@pytest.mark.parametrize("name", files("f.npz", "notop.h5", "kernels.h5", "f.mat"))
def test_missing_layers_are_named(name, few, tmp_path):
    WRITERS[name](tmp_path / name, {layer: few[layer] for layer in LAYERS[::2]})
    message = refused(tmp_path / name)
    assert "block1_conv2/kernel" in message and "block1_conv2/bias" in message
    assert "lacks block1_conv2" in message and "block2_conv1/" not in message


@pytest.mark.parametrize("name", files("f.npz", "notop.h5", "f.mat", "filters.mat", "f.pth"))
def test_an_array_of_another_shape_is_named(name, few, tmp_path):
    kernel, bias = few["block2_conv1"]
    WRITERS[name](tmp_path / name, {**few, "block2_conv1": (kernel[:, :, :32], bias)})
    message = refused(tmp_path / name)
    assert "block2_conv1/kernel" in message
    assert "(3, 3, 64, 128)" in message and "(3, 3, 32, 128)" in message


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_array_with_what_is_no_number_is_named(value, few, tmp_path):
    kernel, bias = few["block1_conv2"]
    write_npz(tmp_path / "f.npz", {**few, "block1_conv2": (kernel, np.full_like(bias, value))})
    assert "block1_conv2/bias" in refused(tmp_path / "f.npz")


def test_vgg19_s_file_lacks_nothing_of_vgg16_s_first_blocks(few, tmp_path):
    write_npz(tmp_path / "f.npz", few)
    assert list(weights.read_filters(tmp_path / "f.npz", "vgg16", LAYERS)[0]) == LAYERS


@pytest.mark.parametrize(
    "name",
    files(
        "f.npz",
        "compressed.npz",
        "notop.h5",
        "f.weights.h5",
        "filters.mat",
        "beta16.mat",
        "f.pth",
        "legacy.pth",
    ),
)
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_a_truncated_file_is_refused(name, share, few, tmp_path):
    WRITERS[name](tmp_path / name, few)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
    assert "damaged" in refused(tmp_path / name)


def test_a_file_changed_in_the_middle_is_refused(few, tmp_path):
    write_npz_compressed(tmp_path / "f.npz", few)
    data = bytearray((tmp_path / "f.npz").read_bytes())
    data[2000:2100] = bytes(range(100, 200))
    (tmp_path / "f.npz").write_bytes(data)
    assert "damaged" in refused(tmp_path / "f.npz")


@pytest.mark.parametrize(
    "content",
    [
        b"\0" * 100,
        b"PK",
        b"GIF89a" * 40,
        b"\x89HDF\r\n\x1a\n" * 9,
        b"MATLAB 5.0 MAT-file" * 20,
        b"MATLAB 7.3 MAT-file" * 20,
        b"\x80\x02" * 50,
    ],
)
def test_garbage_is_refused(content, tmp_path):
    (tmp_path / "f.h5").write_bytes(content)
    refused(tmp_path / "f.h5")


@pytest.mark.parametrize("layout", ["missing", "empty", "folder"])
def test_no_file_is_refused(layout, tmp_path):
    path = tmp_path / "f.npz"
    {"missing": lambda: None, "empty": path.touch, "folder": path.mkdir}[layout]()
    with pytest.raises(InputError, match=r"^--weights: expected a.* Received: "):
        weights.load_filters(str(path), make_settings(), LAYERS, [])


# MatConvNet's files


def test_matconvnet_s_layers_stand_where_they_should(filters, tmp_path):
    layers = list(filters["vgg19"])[:10]
    write_matconvnet(tmp_path / "f.mat", {name: filters["vgg19"][name] for name in layers})
    cells = loadmat(tmp_path / "f.mat")["layers"][0]
    found = [i for i, cell in enumerate(cells) if cell[0][0]["type"][0] == "conv"]
    assert tuple(found) == POSITIONS["vgg19"][:10]
    kernel = cells[5][0][0]["weights"][0][0]
    assert_array_equal(kernel[0, 2], filters["vgg19"]["block2_conv1"][0][2, 0])


def test_a_mat_of_vgg16_lacks_layers_of_vgg19(filters, tmp_path):
    layers = list(filters["vgg16"])[:8]
    write_matconvnet(tmp_path / "f.mat", {name: filters["vgg16"][name] for name in layers})
    assert list(weights.read_filters(tmp_path / "f.mat", "vgg16", layers)[0]) == layers
    message = refused(tmp_path / "f.mat", list(filters["vgg19"])[:9])
    assert message.endswith("lacks block3_conv4/kernel, block3_conv4/bias")


def test_a_mat_of_another_network_is_named_by_its_layers(tmp_path):
    """imagenet-vgg-f.mat begins so."""
    layers = []
    for name, shape in (("conv1", (11, 11, 3, 64)), ("conv2", (5, 5, 64, 256))):
        cell = np.empty((1, 2), object)
        cell[0, :] = np.zeros(shape, np.float32), np.zeros((1, shape[3]), np.float32)
        layers += [{"type": "conv", "name": name, "weights": cell}, {"type": "relu", "name": "r"}]
    savemat(tmp_path / "f.mat", {"layers": np.array(layers, object).reshape(1, -1)})
    message = refused(tmp_path / "f.mat")
    assert "vgg19's layers block1_conv1 to block2_conv1" in message
    assert "lacks block1_conv1/kernel" in message
    assert "has conv1/kernel (11, 11, 3, 64), conv2/kernel (5, 5, 64, 256)" in message


def test_a_mat_for_pictures_of_another_mean_is_refused(few, tmp_path):
    """VGG-Face has VGG16's layers."""
    mean = {"averageImage": [[129.1863, 104.7624, 93.594]]}
    file = {"layers": matconvnet_layers(few), "meta": {"normalization": mean}}
    savemat(tmp_path / "f.mat", file)
    message = refused(tmp_path / "f.mat", network="vgg16")
    assert "123.7, 116.8, 103.9" in message and "129.2, 104.8, 93.59" in message


@pytest.mark.parametrize(
    "content, named",
    [
        ({"a": 1.0, "b": "text"}, "a, b"),
        ({"layers": np.ones((3, 3))}, "layers"),
        # A DagNN: a struct array, and its filters elsewhere.
        ({"layers": np.zeros(2, [("name", object), ("type", object)]), "params": 1.0}, "params"),
    ],
)
def test_a_mat_of_something_else_is_refused(content, named, tmp_path):
    savemat(tmp_path / "f.mat", content)
    message = refused(tmp_path / "f.mat")
    assert "a cell array `layers`" in message and named in message


@pytest.mark.parametrize("cells", [["text", 1.0], [{"type": "conv"}], [{"name": "conv1_1"}, []]])
def test_a_mat_whose_cells_are_no_layers_is_refused(cells, tmp_path):
    layers = np.empty((1, len(cells)), object)
    layers[0, :] = cells
    savemat(tmp_path / "f.mat", {"layers": layers})
    assert "lacks block1_conv1/kernel" in refused(tmp_path / "f.mat")


# torchvision's files


@with_torch
@pytest.mark.parametrize("network", ["vgg16", "vgg19"])
def test_torchvision_s_layers_are_found_behind_their_poolings(network, filters, tmp_path):
    layers = [name for name in filters[network] if name <= "block4_conv2"]
    few = {name: filters[network][name] for name in layers}
    write_state(tmp_path / "f.pth", torch_state(few, network))
    found, _ = weights.read_filters(tmp_path / "f.pth", network, layers)
    assert list(found) == layers
    for layer in layers:
        assert_array_equal(found[layer][0], few[layer][0])
        assert_array_equal(found[layer][1], few[layer][1])


@with_torch
def test_features_are_those_that_pytorch_computes_from_the_file(few, tmp_path):
    import torch
    from torch.nn.functional import conv2d, max_pool2d

    write_torch(tmp_path / "f.pth", few)
    filters, convention = weights.read_filters(tmp_path / "f.pth", "vgg19", LAYERS)
    picture = np.asarray(draw(22, 30, seed=9))
    model = feature_extractor("vgg19", filters, LAYERS, "max", input_convention=convention)
    found = model(preprocess(picture))
    # torchvision.transforms: ToTensor and Normalize.
    mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).double()
    x = (torch.tensor(picture).double() / 255 - mean) / deviation
    x = x.permute(2, 0, 1)[None]
    state = torch.load(tmp_path / "f.pth", weights_only=True)
    for layer, position in zip(LAYERS, POSITIONS["vgg19"]):
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
        (lambda state: {"state_dict": 1, **{f"module.{k}": v for k, v in state.items()}}, "lacks"),
        (lambda state: {k: v for k, v in state.items() if "features.2." not in k}, "block1_conv2"),
        (lambda state: {**state, "features.1.running_mean": np.ones(64)}, "batch normalisation"),
        (lambda state: {**state, "features.0.weight": np.ones((64, 3, 11, 11))}, "(11, 11, 3, 64)"),
        (lambda state: {**state, "features.0.bias": np.full(64, np.nan)}, "block1_conv1/bias"),
    ],
)
def test_a_state_dict_of_another_network_is_refused(change, said, few, tmp_path):
    import torch

    state = change(torch_state(few))
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


@pytest.mark.parametrize("version", [None, "2.5.1"])
def test_without_a_safe_pytorch_it_is_said_how_to_get_it(version, tmp_path, monkeypatch):
    torch = version and SimpleNamespace(__version__=version)  # without a `load` to call
    monkeypatch.setitem(sys.modules, "torch", torch)
    as_zip(tmp_path / "f.pth", {})
    assert "PyTorch 2.6 or later" in refused(tmp_path / "f.pth")
    assert "pip install torch" in refused(tmp_path / "f.pth")


# ImageNet's filters


SETTINGS = make_settings(content_layers="block2_conv1", style_layers="block1_conv1")


@pytest.fixture
def cache(few, tmp_path, monkeypatch):
    """An empty Keras cache, the file that belongs there (`imagenet`), and no network."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "*")
    (tmp_path / "home" / "models").mkdir(parents=True)
    write_legacy(tmp_path / "imagenet", few)
    md5 = hashlib.md5((tmp_path / "imagenet").read_bytes()).hexdigest()
    monkeypatch.setitem(weights.IMAGENET_MD5, "vgg19", md5)
    monkeypatch.setattr(weights, "PATIENCE", 0.5)

    def unreachable(*args, **kwargs):
        raise urllib.error.URLError("no network in tests")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    return tmp_path / "home" / "models" / "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"


def load(source, said=None):
    images = [preprocess(np.asarray(draw(24, 24, seed))) for seed in (1, 2)]
    say = said.append if said is not None else pytest.fail
    return weights.load_filters(source, SETTINGS, ["block1_conv1", "block2_conv1"], images, say)


@pytest.mark.parametrize("source", ["auto", "imagenet"])
def test_imagenet_s_filters_are_found_in_keras_s_cache(source, cache, few, tmp_path):
    cache.write_bytes((tmp_path / "imagenet").read_bytes())
    filters, about = load(source)
    assert about["source"] == "imagenet" and about["file"] == str(cache)
    assert about["input"] == "caffe"
    assert about["sha256"] == hashlib.sha256(cache.read_bytes()).hexdigest()
    for layer in LAYERS:
        assert_array_equal(filters[layer][0], few[layer][0])
        assert_array_equal(filters[layer][1], few[layer][1])


def hang(*args, **kwargs):
    time.sleep(3)
    raise OSError("too late")


@pytest.fixture(params=["refused at once", "no answer", "wrong checksum", "wrong and no answer"])
def unavailable(request, cache, tmp_path, monkeypatch):
    """Reasons why there are no ImageNet filters."""
    if "wrong" in request.param:
        cache.write_bytes((tmp_path / "imagenet").read_bytes() + b"changed")
    if "no answer" in request.param:
        monkeypatch.setattr(urllib.request, "urlopen", hang)


def test_without_imagenet_s_filters_auto_says_in_one_line_that_fitted_ones_are_used(unavailable):
    said = []
    filters, about = load("auto", said)
    assert about["source"] == "fitted" and about["file"] is None
    assert len(said) == 1 and "\n" not in said[0]
    assert "ImageNet" in said[0] and "fitted" in said[0] and "--weights FILE" in said[0]
    expected, _ = load("fitted")
    assert_array_equal(filters["block2_conv1"][0], expected["block2_conv1"][0])


def test_without_imagenet_s_filters_asking_for_them_is_an_error(unavailable):
    with pytest.raises(InputError) as error:
        load("imagenet")
    message = str(error.value)
    assert message.startswith("--weights: expected ImageNet's filters") and "Received: " in message
    assert "--weights FILE" in message and "\n" not in message


@pytest.fixture
def server(cache, monkeypatch):
    """A server at the address of ImageNet's filters; set `answer` to what a GET is answered."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(200)
            self.end_headers()

        def do_GET(self):
            served.answer(self)

        def log_message(self, *args):
            pass

    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.daemon_threads = True
    threading.Thread(target=served.serve_forever, args=(0.05,), daemon=True).start()
    address = f"http://127.0.0.1:{served.server_port}/{cache.name}"
    module = inspect.getmodule(keras.applications.VGG19)
    monkeypatch.setattr(module, "WEIGHTS_PATH_NO_TOP", address)
    monkeypatch.setattr(urllib.request, "urlopen", URLOPEN)
    yield served
    served.shutdown()
    served.server_close()


URLOPEN = urllib.request.urlopen


def test_imagenet_s_filters_are_downloaded_into_keras_s_cache(server, cache, few, tmp_path):
    def answer(request):
        request.send_response(200)
        request.end_headers()
        request.wfile.write((tmp_path / "imagenet").read_bytes())

    server.answer = answer
    filters, about = load("auto")
    assert about["source"] == "imagenet" and cache.exists()
    assert_array_equal(filters["block1_conv2"][0], few["block1_conv2"][0])


def stall(request):
    request.send_response(200)
    request.send_header("Content-Length", "1000000")
    request.end_headers()
    request.wfile.write(b"first bytes")
    request.wfile.flush()
    time.sleep(3)


def gone(request):
    request.send_error(404)


def cut(request):
    request.send_response(200)
    request.send_header("Content-Length", "1000000")
    request.end_headers()
    request.wfile.write(b"first bytes")


def other(request):
    request.send_response(200)
    request.end_headers()
    request.wfile.write(b"<html>Please log in to this network</html>")


def nonsense(request):
    request.wfile.write(b"this is not HTTP\r\n\r\n")


@pytest.mark.parametrize("answer", [stall, gone, cut, other, nonsense])
def test_a_download_that_fails_is_an_error_and_leaves_no_file_that_would_be_used(
    answer, server, cache
):
    server.answer = answer
    with pytest.raises(InputError, match="^--weights: expected ImageNet's filters"):
        load("imagenet")
    with pytest.raises(InputError, match="^--weights: expected ImageNet's filters"):
        load("imagenet")  # a file left by the first download is not taken for whole


def test_a_server_that_speaks_no_http_is_no_server(server, capsys):
    server.RequestHandlerClass.do_HEAD = nonsense
    with pytest.raises(InputError, match="the download failed"):
        load("imagenet")
    assert "Traceback" not in capsys.readouterr().err


# Filters made here


@pytest.mark.parametrize("source", ["fitted", "random"])
def test_made_filters_are_the_same_bytes_for_the_same_seed(source):
    (first, about), (second, again) = load(source), load(source)
    assert about == again and about["source"] == source and len(about["sha256"]) == 64
    for layer in LAYERS:
        assert first[layer][0].tobytes() == second[layer][0].tobytes()
        assert first[layer][1].tobytes() == second[layer][1].tobytes()


def test_random_filters_have_he_s_variance_and_another_seed_gives_others():
    first = weights.random_filters("vgg19", LAYERS, seed=0)
    other = weights.random_filters("vgg19", LAYERS, seed=1)
    for name in LAYERS:
        kernel, bias = first[name]
        assert kernel.shape == weights.kernel_shape("vgg19", name) and not bias.any()
        assert kernel.var() == pytest.approx(2 / (9 * kernel.shape[2]), rel=0.1)
        assert (kernel != other[name][0]).all()


@pytest.mark.parametrize("network", ["vgg16", "vgg19"])
def test_shapes_of_kernels_are_those_of_keras_applications(network, filters):
    application = {"vgg16": keras.applications.VGG16, "vgg19": keras.applications.VGG19}[network]
    model = application(include_top=False, weights=None)
    for layer in filters[network]:
        assert weights.kernel_shape(network, layer) == model.get_layer(layer).kernel.shape


@pytest.fixture(scope="module")
def fitted():
    """Filters fitted to two pictures, up to block3_conv1, and the pictures."""
    layers = [*LAYERS, "block2_conv2", "block3_conv1"]
    pictures = [preprocess(np.asarray(draw(48, 40, seed))) for seed in (1, 2)]
    return weights.fitted_filters("vgg19", layers, pictures, 0, loudness=64), pictures


def patches_before(layer, filters, pictures):
    """All 3 x 3 patches that a layer sees, (n, 9·C), edges continued."""
    rows = []
    for image in pictures:
        maps = image[0].astype(np.float64)
        for name in filters:
            if name.endswith("_conv1") and name != "block1_conv1":
                high, wide = maps.shape[0] // 2, maps.shape[1] // 2
                maps = maps[: 2 * high, : 2 * wide].reshape(high, 2, wide, 2, -1).mean(axis=(1, 3))
            padded = np.pad(maps, ((1, 1), (1, 1), (0, 0)), mode="edge")
            windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))
            windows = windows.transpose(0, 1, 3, 4, 2).reshape(*maps.shape[:2], -1)
            if name == layer:
                rows.append(windows.reshape(-1, windows.shape[-1]))
                break
            kernel, bias = filters[name]
            maps = np.maximum(windows @ kernel.reshape(-1, kernel.shape[-1]) + bias, 0)
    return np.concatenate(rows)


# Root mean square of the fitted filters' responses.
RESPONSES = {"block1_conv1": 64, "block1_conv2": 64, "block2_conv2": 128, "block3_conv1": 256}


@pytest.mark.parametrize("layer", RESPONSES)
def test_fitted_filters_answer_about_as_loud_as_vgg_s_and_with_mean_0(layer, fitted):
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


def test_fitted_filters_fit_the_network_that_a_system_s_weights_were_made_for():
    pictures = [preprocess(np.asarray(draw(48, 40, seed))) for seed in (1, 2)]
    loud, soft = (
        weights.load_filters("fitted", make_settings(loss_scale=scale), LAYERS, pictures)[0]
        for scale in ("keras", "pytorch")
    )
    response = network.feature_extractor("vgg19", loud, LAYERS)(pictures[0])
    softer = network.feature_extractor("vgg19", soft, LAYERS)(pictures[0])
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
    flat = [preprocess(np.full((32, 32, 3), value, np.uint8)) for value in (0, 200)]
    filters = weights.fitted_filters("vgg19", LAYERS, flat, 0)
    assert all(np.isfinite(array).all() for pair in filters.values() for array in pair)


# Normalised filters

DEEP = ["block1_conv1", "block1_conv2", "block2_conv1", "block2_conv2", "block3_conv1"]


@pytest.mark.parametrize("borders", ["zeros", "repeated"])
@pytest.mark.parametrize("pooling", network.POOLING)
@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
def test_normalised_filters_have_mean_activation_1(name, pooling, borders, filters):
    # Two pictures of different and odd sizes; one filter in each layer is silent.
    images = [preprocess(np.asarray(draw(*size, seed=5))) for size in ((21, 30), (18, 15))]
    before = {}
    for layer in DEEP:
        kernel, bias = (array.copy() for array in filters[name][layer])
        kernel[..., 7], bias[7] = 0, -1
        before[layer] = kernel, bias
    settings = make_settings(network=name, pooling=pooling, borders=borders)
    after = weights.normalized_filters(before, images, settings, "caffe")
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


def test_filters_of_the_other_input_are_normalised_for_it(filters):
    few = {layer: filters["vgg19"][layer] for layer in DEEP}
    image = preprocess(np.asarray(draw(16, 20, seed=5)))
    settings = make_settings()
    after = weights.normalized_filters(few, [image], settings, "torch")
    options = {"pooling": "average", "borders": settings.borders, "input_convention": "torch"}
    found = feature_extractor("vgg19", after, DEEP, **options)(image)
    for layer in DEEP:
        mean = np.asarray(found[layer]).mean(axis=(0, 1, 2), dtype=np.float64)
        assert_allclose(mean[mean > 0], 1, rtol=1e-2)  # rounding of filters that hardly answer
        assert_allclose(np.median(mean[mean > 0]), 1, rtol=1e-5)
        assert (mean > 0).mean() > 0.5


def test_normalising_twice_changes_nothing_more(filters):
    few = {layer: filters["vgg19"][layer] for layer in DEEP}
    images = [preprocess(np.asarray(draw(20, 20, seed=seed))) for seed in (1, 2)]
    once = weights.normalized_filters(few, images, make_settings(), "caffe")
    twice = weights.normalized_filters(once, images, make_settings(), "caffe")
    for layer in DEEP:
        for a, b in zip(once[layer], twice[layer], strict=True):
            assert_allclose(a, b, rtol=1e-2, atol=1e-5 * np.abs(a).max())


@pytest.mark.parametrize("rows, size", [(400, 90), (150, 300)])
def test_leading_components_span_what_a_full_decomposition_finds(rows, size):
    rng = np.random.default_rng(1)
    # Variances falling off as those of picture patches do.
    mixing = rng.normal(size=(size, size)) * np.arange(1, size + 1)[:, None] ** -1.0
    data = rng.normal(size=(rows, size)) @ mixing
    data = (data - data.mean(axis=0)).astype(np.float32)
    count = 12
    components, variance = weights.leading_components(data, count, np.random.default_rng(2))
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
