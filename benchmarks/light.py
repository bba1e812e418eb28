"""The program for kills.py: its inputs, and a light objective that replaces the network.

    python -m benchmarks.light CHECKSUMS serve
    python -m benchmarks.light CHECKSUMS run [arguments of the program]

CHECKSUMS is JSON: by network, the MD5 of the file made here that serves as ImageNet's filters.
"""

import contextlib
import hashlib
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from benchmarks import common
from style_transfer.console import say
from style_transfer.vgg import kernel_shape, layer_names

FEATURES = 8  # of the light objective: enough for the filters to matter


def imagenet_path(home: Path, network: str) -> Path:
    """Where Keras keeps ImageNet's filters, below KERAS_HOME."""
    return home / "models" / f"{network}_weights_tf_dim_ordering_tf_kernels_notop.h5"


def make_inputs(folder: Path) -> dict[str, str]:
    """Make pictures, and files of filters for every source; returns ImageNet's MD5 by network."""
    for name, sample in (("base", "photo"), ("style", "painting")):
        picture = Image.open(common.FOLDER / "samples" / f"{sample}.jpg")
        picture.thumbnail((64, 64))
        picture.save(folder / f"{name}.png")
    checksums = {}
    for network in ("vgg16", "vgg19"):
        rng, arrays = np.random.default_rng(0), {}
        numbers = rng.normal(size=1009)  # a prime, so that no two filters are the same
        for layer in layer_names(network):
            shape = kernel_shape(network, layer)
            kernel = np.resize(numbers, shape) * (2 / (9 * shape[2])) ** 0.5
            arrays[layer] = kernel.astype(np.float32), np.zeros(shape[3], np.float32)
        first = {layer: arrays[layer] for layer in layer_names(network)[:2]}
        pairs = {f"{layer}/kernel": kernel for layer, (kernel, _) in first.items()}
        pairs |= {f"{layer}/bias": bias for layer, (_, bias) in first.items()}
        np.savez(folder / f"{network}.npz", **pairs)
        write_matconvnet(folder / f"{network}.mat", first)
        write_torch(folder / f"{network}.pth", first)
        path = imagenet_path(folder / "keras", network)
        write_imagenet(path, arrays)
        checksums[network] = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    return checksums


def write_imagenet(path: Path, arrays: dict) -> None:
    """Write filters in the layout of keras.applications' files: one group per layer."""
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.encode() for layer in arrays]
        for layer, pair in arrays.items():
            group = file.create_group(layer)
            names = [f"{layer}_W_1:0", f"{layer}_b_1:0"]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, array in zip(names, pair, strict=True):
                options = {"compression": "gzip", "compression_opts": 1, "chunks": array.shape}
                group.create_dataset(name, data=array, **options)


def write_matconvnet(path: Path, arrays: dict) -> None:
    """Write filters as a cell array `layers` of structs, with kernels (width, height, in, out)."""
    layers = np.empty((1, len(arrays)), object)
    for number, (layer, (kernel, bias)) in enumerate(arrays.items()):
        weights = np.empty((1, 2), object)
        weights[0, :] = kernel.transpose(1, 0, 2, 3), bias[None]
        name = f"conv{layer[5]}_{layer[-1]}"
        layers[0, number] = {"type": "conv", "name": name, "weights": weights}
    savemat(path, {"layers": layers})


def write_torch(path: Path, arrays: dict) -> None:
    """Write filters as torchvision's state dict, if PyTorch is installed: (out, in, 3, 3)."""
    try:
        import torch
    except ImportError:
        return
    state = {}
    for position, (kernel, bias) in enumerate(arrays.values()):
        kernel = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        state[f"features.{2 * position}.weight"] = torch.from_numpy(kernel)
        state[f"features.{2 * position}.bias"] = torch.from_numpy(bias)
    torch.save(state, path)


def light_objectives(run, inputs):
    """Objectives without a network, but with real filters; replaces `vgg_objectives`."""
    from preprocessing import fitting_images, images_at
    from style_transfer.runs.filters import filters_of_run

    settings = run.record.settings
    filters = filters_of_run(run, fitting_images(inputs.images, settings))
    kernel = filters.arrays["block1_conv1"][0].sum(axis=(0, 1)).astype(np.float64)  # (3, 64)

    def objective_at(size):
        content, style, *_ = images_at(inputs.images, size.shape, settings)
        weights = run.loss_weights(size, lambda: {"gram block1_conv1": float(content.std())})
        return light_objective(content, style, kernel, len(weights or ()) + 1.0)

    return objective_at


def light_objective(content: np.ndarray, style: np.ndarray, kernel: np.ndarray, weight: float):
    """Squared distance from the content, Gram matrices of filtered colors, and their gradient.

    Both are relative to their targets, like the program's own losses.
    """
    kernel = kernel[:, :FEATURES] / 100

    def gram(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        features = image.reshape(-1, 3).astype(np.float64) @ kernel
        return features, features.T @ features / len(features)

    target = gram(style)[1]
    by_style, by_content = weight / np.sum(target**2), 0.1 / np.sum(content.astype(np.float64) ** 2)

    def evaluate(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        time.sleep(0.005)  # so that kills fall between and inside evaluations
        away = image.astype(np.float64) - content
        features, found = gram(image)
        error = found - target
        by_features = 4 * by_style * features @ error / len(features)
        gradient = 2 * by_content * away + (by_features @ kernel.T).reshape(image.shape)
        terms = [by_content * np.sum(away**2), by_style * np.sum(error**2), 0]
        return np.array(terms, np.float32), gradient.astype(np.float32)

    return evaluate


def program(checksums: dict[str, str], light: bool, arguments: list[str]) -> int:
    """Run the program's own `main`, with this benchmark's files as ImageNet's filters."""
    import neural_style_transfer
    from style_transfer.filters import imagenet

    imagenet.IMAGENET_MD5.update(checksums)
    objectives = light_objectives if light else None
    return neural_style_transfer.main(arguments, objectives=objectives)


def serve(checksums: dict[str, str]) -> None:
    """Run the light program again and again, each time in a fork after most imports.

    The network's modules are not imported before: they start TensorFlow, whose threads a fork does
    not copy.

    Reads lines of JSON, [arguments, file for standard error]; prints the process's id, and its exit
    code once it has ended.
    """
    import keras  # noqa: F401
    import scipy.optimize  # noqa: F401

    import evaluator  # noqa: F401
    import style_transfer.arguments
    import style_transfer.filters.files
    import style_transfer.memory
    import style_transfer.runs.opening  # noqa: F401

    with contextlib.suppress(ImportError):
        import torch  # noqa: F401
    for line in sys.stdin:
        arguments, errors = json.loads(line)
        process = os.fork()
        if not process:
            os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os._exit(program(checksums, True, arguments))
        say(str(process), sys.stdout)
        say(str(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])), sys.stdout)


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    if sys.argv[2] == "serve":
        serve(given)
    else:
        sys.exit(program(given, False, sys.argv[3:]))
