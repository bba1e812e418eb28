"""VGG's facts in one table: Simonyan and Zisserman, arXiv 1409.1556, table 1, columns D and E."""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # keeps NumPy out of --help and of the command line's errors
    import numpy as np

CONVOLUTIONS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}  # in each block
CHANNELS = (64, 128, 256, 512, 512)  # of each block's convolutions


@dataclass(frozen=True)
class Filters:
    """Filters of a VGG, from the first convolution to the deepest in use.

    Attributes:
        network: `vgg16` or `vgg19`.
        arrays: by layer name, kernel (3, 3, in, out) and bias (out,), float32, input in BGR.
        convention: the input that the filters expect: `caffe` (BGR, 0..255 minus ImageNet's mean)
            or `torch` (BGR, 0..1, normalized as torchvision does); see images.py.
    """

    network: str
    arrays: "dict[str, tuple[np.ndarray, np.ndarray]]"
    convention: str = "caffe"


@dataclass(frozen=True)
class FilterSource:
    """Where filters came from, as a run's record keeps it.

    Attributes:
        source: `imagenet`, `fitted`, `random` or `file`.
        file: absolute path of the file from which they were read, or None.
        sha256: SHA-256 of the file, or of the arrays if there is none; hexadecimal.
        convention: as in `Filters`. Filters are the same if `sha256` and `convention` are.
    """

    source: str
    file: str | None
    sha256: str
    convention: str = "caffe"


def layer_names(network: str) -> list[str]:
    """Names of the network's convolutions in order, as in keras.applications."""
    return [
        f"block{block}_conv{number}"
        for block, count in enumerate(CONVOLUTIONS[network], start=1)
        for number in range(1, count + 1)
    ]


def block_of(layer: str) -> int:
    """The block of a layer, 1 to 5."""
    return int(layer.removeprefix("block").split("_")[0])


def layers_up_to(network: str, layers: list[str]) -> list[str]:
    """All convolutions from the first to the deepest of `layers`."""
    names = layer_names(network)
    return names[: 1 + max(names.index(layer) for layer in layers)]


def kernel_shape(network: str, layer: str) -> tuple[int, int, int, int]:
    """(3, 3, in, out) of a layer's kernel."""
    names = layer_names(network)
    position = names.index(layer)
    before = CHANNELS[block_of(names[position - 1]) - 1] if position else 3
    return 3, 3, before, CHANNELS[block_of(layer) - 1]


def smallest_side(layer: str) -> int:
    """The smallest number of rows and columns for which a layer has a position."""
    return 2 ** (block_of(layer) - 1)  # blocks are joined by poolings of 2 x 2


def sha256_of_arrays(filters: Filters) -> str:
    """SHA-256 of all kernels and biases, in hexadecimal."""
    digest = hashlib.sha256()
    for kernel, bias in filters.arrays.values():
        digest.update(kernel.tobytes())
        digest.update(bias.tobytes())
    return digest.hexdigest()
