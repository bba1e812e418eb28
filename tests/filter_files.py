"""Writes filters in every layout that users have; nothing here is shared with the program."""

import functools

import h5py
import keras
import numpy as np
import pytest
from conftest import draw, with_torch
from scipy.io import savemat

# arXiv 1409.1556, table 1, columns D and E.
CONVOLUTIONS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
CHANNELS = (64, 128, 256, 512, 512)
LAYERS = ["block1_conv1", "block1_conv2", "block2_conv1"]
# Where convolutions stand in torchvision's `features`.
POSITIONS = {
    "vgg16": (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
    "vgg19": (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34),
}


@functools.cache
def drawn(network="vgg19", deepest="block4_conv2"):
    """{layer: (kernel, bias)} of random filters with biases, up to the deepest layer."""
    rng, before, arrays = np.random.default_rng(4), 3, {}
    for block, count in enumerate(CONVOLUTIONS[network], start=1):
        for number in range(1, count + 1):
            out = CHANNELS[block - 1]
            kernel = rng.normal(0, (2 / (9 * before)) ** 0.5, (3, 3, before, out))
            name, before = f"block{block}_conv{number}", out
            arrays[name] = kernel.astype(np.float32), rng.normal(0, 3, out).astype(np.float32)
            if name == deepest:
                return arrays
    raise ValueError(deepest)


def few():
    """VGG19's filters up to block2_conv1."""
    return {name: drawn()[name] for name in LAYERS}


def image(rows, columns, seed):
    """A drawn picture as the network takes it: float32 (1, H, W, 3), BGR minus mean."""
    pixels = np.asarray(draw(rows, columns, seed)).astype(np.float32)
    return pixels[None, ..., ::-1] - np.array([103.939, 116.779, 123.68], np.float32)


def write_npz(path, arrays):
    np.savez(
        path,
        **{
            f"{n}/{p}": a
            for n, pair in arrays.items()
            for p, a in zip(("kernel", "bias"), pair, strict=True)
        },
    )


def write_npz_compressed(path, arrays):
    np.savez_compressed(
        path,
        **{
            f"{n}/{p}": a
            for n, pair in arrays.items()
            for p, a in zip(("kernel", "bias"), pair, strict=True)
        },
    )


def write_legacy(path, arrays, inside="", names=("{0}_W_1:0", "{0}_b_1:0")):
    """The layout of Keras 1 and 2: a group a layer, arrays named by its `weight_names`."""
    with h5py.File(path, "w") as file:
        root = file.require_group(inside) if inside else file
        everything = ["input_1", *arrays, "block1_pool"]
        root.attrs["layer_names"] = [name.encode() for name in everything]
        root.attrs["backend"] = b"tensorflow"
        root.attrs["keras_version"] = b"2.3.0"
        for layer in everything:
            group = root.create_group(layer)
            pair = arrays.get(layer, ())
            paths = [name.format(layer) for name, _ in zip(names, pair, strict=False)]
            group.attrs["weight_names"] = [path.encode() for path in paths]
            for path_inside, array in zip(paths, pair, strict=True):
                group[path_inside] = array


def write_legacy_kernels(path, arrays):
    write_legacy(path, arrays, names=("{0}/kernel:0", "{0}/bias:0"))


def write_whole_model(path, arrays):
    """`model.save` of Keras 2: weights under `model_weights`, and the optimizer's moments."""
    write_legacy(path, arrays, "model_weights", ("{0}/kernel:0", "{0}/bias:0"))
    with h5py.File(path, "a") as file:
        for layer, (kernel, bias) in arrays.items():
            file[f"optimizer_weights/training/Adam/{layer}/kernel/m:0"] = np.ones_like(kernel)
            file[f"optimizer_weights/training/Adam/{layer}/bias/m:0"] = np.ones_like(bias)


def application(arrays):
    model = keras.applications.VGG19(include_top=False, weights=None)
    for layer, pair in arrays.items():
        model.get_layer(layer).set_weights(pair)
    return model


def write_keras_3(path, arrays):
    model = application(arrays)
    keras.Model(model.input, model.get_layer(LAYERS[-1]).output).save_weights(path)


def write_keras_3_application(path, arrays):
    application(arrays).save_weights(path)


def write_keras_3_trained(path, arrays):
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            *(
                keras.layers.Conv2D(pair[1].size, 3, padding="same", name=layer)
                for layer, pair in arrays.items()
            ),
        ]
    )
    model.compile(keras.optimizers.Adam(), "mse")
    model.train_on_batch(np.zeros((1, 8, 8, 3)), np.zeros((1, 8, 8, 128)))
    for layer, pair in arrays.items():
        model.get_layer(layer).set_weights(pair)
    model.save_weights(path)


def matconvnet_layers(arrays, parts=("weights",)):
    """Layers as MatConvNet has them: structs of convolutions, ReLUs and poolings."""
    layers = []
    for name, (kernel, bias) in arrays.items():
        number = name[5] + "_" + name[-1]
        if number[0] > "1" and number[2] == "1":
            pool = {"pool": [[2.0, 2.0]], "stride": [[2.0, 2.0]], "pad": [[0.0, 1.0, 0.0, 1.0]]}
            layers.append({"type": "pool", "name": f"pool{int(number[0]) - 1}", **pool})
        kernel = kernel.transpose(1, 0, 2, 3)  # (width, height, in, out)
        if name == "block1_conv1":
            kernel = kernel[:, :, ::-1]  # RGB
        values = [kernel, bias[None]]
        if len(parts) == 1:
            cell = np.empty((1, 2), object)
            cell[0, :] = values
            values = [cell]
        convolution = {"type": "conv", "name": f"conv{number}", "pad": [[1.0, 1.0, 1.0, 1.0]]}
        layers.append({**convolution, **dict(zip(parts, values, strict=True))})
        empty = {"weights": np.zeros((0, 0))} if len(parts) == 1 else {}
        layers.append({"type": "relu", "name": f"relu{number}", **empty})
    return np.array(layers, object).reshape(1, -1)


RGB_MEAN = [123.68, 116.779, 103.939]


def write_matconvnet(path, arrays):
    """Since 1.0-beta17: the mean a color, in `meta`."""
    meta = {"normalization": {"imageSize": [[224.0, 224.0, 3.0]], "averageImage": [RGB_MEAN]}}
    savemat(path, {"layers": matconvnet_layers(arrays), "meta": meta}, oned_as="row")


def write_matconvnet_beta16(path, arrays):
    """The mean a picture."""
    normalization = {"averageImage": np.full((224, 224, 3), RGB_MEAN), "keepAspect": True}
    file = {
        "layers": matconvnet_layers(arrays),
        "normalization": normalization,
        "classes": {"a": "b"},
    }
    savemat(path, file, oned_as="row", do_compression=True)


def write_matconvnet_filters(path, arrays):
    """The first ones: `filters` and `biases` instead of `weights`."""
    savemat(path, {"layers": matconvnet_layers(arrays, ("filters", "biases"))})


def torch_state(arrays, network="vgg19"):
    """torchvision's state dict, in NumPy: `arrays` and the beginning of the classifier."""
    state = {}
    for position, (name, (kernel, bias)) in zip(POSITIONS[network], arrays.items(), strict=False):
        if name == "block1_conv1":
            kernel = kernel[:, :, ::-1]  # RGB
        state[f"features.{position}.weight"] = kernel.transpose(3, 2, 0, 1)  # (out, in, 3, 3)
        state[f"features.{position}.bias"] = bias
    return {**state, "classifier.6.weight": np.ones((10, 4), np.float32)}


def write_state(path, state, **options):
    import torch

    tensors = {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in state.items()}
    torch.save(tensors, path, **options)


def write_torch(path, arrays):
    write_state(path, torch_state(arrays))


def write_torch_legacy(path, arrays):
    """As torch.save did before 1.6, and torchvision's own files are."""
    write_state(path, torch_state(arrays), _use_new_zipfile_serialization=False)


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
