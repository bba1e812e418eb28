"""A file of ImageNet's filters as keras.applications downloads it, of numbers made here.

All layers and shapes of the true file, in its layout of Keras 1. The numbers repeat, so that HDF5
compresses 80 MB to less than one.
"""

import hashlib
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

# arXiv 1409.1556, table 1, columns D and E.
CONVOLUTIONS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
CHANNELS = (64, 128, 256, 512, 512)


class ImagenetFile(NamedTuple):
    """Where the file is, and its checksums in hexadecimal."""

    path: Path
    sha256: str
    md5: str


def imagenet_arrays(network: str = "vgg19", seed: int = 7) -> dict:
    """{layer: (kernel, bias)} of all convolutions, like random ones of He's variance."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=1009)  # a prime, so that no two filters are the same
    arrays, before = {}, 3
    for block, count in enumerate(CONVOLUTIONS[network], start=1):
        for number in range(1, count + 1):
            shape = (3, 3, before, CHANNELS[block - 1])
            values = np.float32(numbers * (2 / (9 * before)) ** 0.5)
            bias = rng.normal(0, 0.1, shape[3]).astype(np.float32)
            arrays[f"block{block}_conv{number}"] = np.resize(values, shape), bias
            before = shape[3]
    return arrays


def write_imagenet(keras_home: Path, network: str = "vgg19", seed: int = 7) -> ImagenetFile:
    """Write the file to its place in a Keras cache.

    To have it taken for ImageNet's, set `style_transfer.filters.imagenet.IMAGENET_MD5[network]` to
    its MD5, and the environment's `KERAS_HOME` to `keras_home`.

    Args:
        keras_home: the folder; made where it does not exist.
        network: `vgg16` or `vgg19`.
        seed: of the numbers.
    """
    name = f"{network}_weights_tf_dim_ordering_tf_kernels_notop.h5"
    path = Path(keras_home, "models", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        layers = ["input_1"]
        for layer, pair in imagenet_arrays(network, seed).items():
            if layer.endswith("conv1") and layer[5] > "1":
                layers.append(f"block{int(layer[5]) - 1}_pool")
            layers.append(layer)
            group = file.create_group(layer)
            names = [f"{layer}_W_1:0", f"{layer}_b_1:0"]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, array in zip(names, pair, strict=True):
                options = {"chunks": array.shape, "compression": "gzip", "compression_opts": 1}
                group.create_dataset(name, data=array, **options)
        layers.append("block5_pool")
        for layer in layers:
            group = file.require_group(layer)
            if "weight_names" not in group.attrs:
                group.attrs["weight_names"] = np.zeros(0, "S1")
        file.attrs["layer_names"] = [layer.encode() for layer in layers]
    content = path.read_bytes()
    return ImagenetFile(path, hashlib.sha256(content).hexdigest(), hashlib.md5(content).hexdigest())
