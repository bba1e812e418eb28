"""Reads filters from PyTorch's files: torchvision's networks, and Caffe's converted for PyTorch.

Both kinds name their arrays alike, and their first layers have about the same magnitude (Caffe's
VGG19: mean absolute value 0.157). But torchvision's expect RGB, 0..1, normalized, and Caffe's
expect BGR, 0..255 minus mean. So Caffe's are recognized by their first numbers.
"""

import re
from pathlib import Path

import numpy as np

from style_transfer.errors import InputError
from style_transfer.vgg import layer_names

# Of block1_conv1 of Simonyan and Zisserman's networks, trained with Caffe: the upper left values of
# the first filter for B, G, R, and the first four biases.
CAFFE = {
    "vgg16": ((0.429471, 0.550379, 0.480015), (0.734298, 0.093404, 0.067757, 0.886297)),
    "vgg19": ((0.341195, 0.464184, 0.394167), (0.730178, 0.064936, 0.034288, 0.826039)),
}
ROUNDING = 4e-3  # of bfloat16, for values below 1
# Pixel values are 57 times larger than normalized ones, so a network that gives the same response
# to them has a first layer 57 times smaller: Caffe's filters after Gatys et al.'s normalization, or
# torchvision's with the pictures' deviation folded in. The bound is the geometric mean of 0.157 and
# 0.157 / 57.
SMALL = 0.02
# The network that has a convolution at a position of `features` where the other has none.
TELLING = {"vgg16": {17, 24, 26}, "vgg19": {16, 23, 25, 30, 32, 34}}


def read_torch(path: Path, network: str) -> tuple[dict[str, np.ndarray], str]:
    """Arrays of a state dict, by LAYER/kernel and LAYER/bias, and their convention.

    Names are torchvision's, `features.N.weight` (out, in, 3, 3), possibly without `features.` or
    after `module.`; or those of Gatys's vgg_conv.pth, `conv1_1.weight`, which is Caffe's.

    Args:
        path: the file.
        network: assumed if the file has only layers that both networks have.

    Raises:
        InputError: PyTorch is not installed, or the file is not a state dict of a VGG.
    """
    state = _state_dict(path, network)
    layers = _layers_by_name(state, network)
    arrays, by_caffe_names = {}, False
    for name, array in state.items():
        owner, _, part = name.rpartition(".")
        layer = layers.get(_short(owner))
        if layer is None or part not in ("weight", "bias"):
            arrays[name] = array
        elif part == "bias":
            arrays[f"{layer}/bias"] = array
        else:
            by_caffe_names |= _short(owner).startswith("conv")
            kernel = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
            arrays[f"{layer}/kernel"] = kernel
    first = arrays.get("block1_conv1/kernel", np.zeros(0))
    bias = arrays.get("block1_conv1/bias", np.zeros(0))
    if first.shape != (3, 3, 3, 64) or bias.shape != (64,):
        return arrays, "torch"  # `read_filters` will report the missing layer
    convention, order = ("caffe", "BGR") if by_caffe_names else recognized(first, bias)
    if order == "RGB":
        arrays["block1_conv1/kernel"] = first[:, :, ::-1]
    return arrays, convention


def recognized(kernel: np.ndarray, bias: np.ndarray) -> tuple[str, str]:
    """The convention and the order of channels that the first layer expects.

    torchvision's `vgg16_features-amdegroot` has Caffe's filters in the order RGB.

    Args:
        kernel: (3, 3, 3, 64), as in the file.
        bias: (64,).

    Returns:
        (`caffe` or `torch`, `BGR` or `RGB`).
    """
    for bgr, first in CAFFE.values():
        if not np.allclose(bias[:4], first, rtol=0, atol=ROUNDING):
            continue
        for order, values in (("BGR", bgr), ("RGB", bgr[::-1])):
            if np.allclose(kernel[0, 0, :, 0], values, rtol=0, atol=ROUNDING):
                return "caffe", order
    if np.abs(kernel).mean() < SMALL:
        return "caffe", "BGR"
    return "torch", "RGB"


def _short(owner: str) -> str:
    """`features.0` for `module.features.0` and `0`; other names unchanged."""
    owner = owner.removeprefix("module.")
    return f"features.{owner}" if owner.isdecimal() else owner


def _layers_by_name(state: dict[str, np.ndarray], network: str) -> dict[str, str]:
    """Layers by the names `features.N`, numbered as in the file's network, and `conv1_1`."""
    owners = {_short(name.rpartition(".")[0]) for name, array in state.items() if array.ndim == 4}
    for candidate, positions in TELLING.items():
        if owners & {f"features.{position}" for position in positions}:
            network = candidate
    layers, position = {}, 0
    for layer in layer_names(network):
        if layer.endswith("conv1") and position:
            position += 1  # the pooling
        layers[f"features.{position}"] = layer
        position += 2  # the convolution and its ReLU
    for layer in layer_names("vgg19"):  # which has all of VGG16's
        layers[re.sub(r"block(\d)_conv(\d)", r"conv\1_\2", layer)] = layer
    return layers


def _state_dict(path: Path, network: str) -> dict[str, np.ndarray]:
    """All tensors of the file, float32, by name.

    PyTorch's `weights_only` builds only tensors and plain containers, and calls nothing else that
    the pickle names.
    """
    expected = f"expected a state dict of torchvision's {network}"
    received = f"Received: {str(path)!r}"
    try:
        import torch
    except Exception:  # an ImportError, or an error of the loader about one of its libraries
        torch = None
    # Before 2.6, a crafted file could bypass weights_only (CVE-2025-32434).
    if torch is None or _version(torch.__version__) < (2, 6):
        raise InputError(
            "--weights: expected PyTorch 2.6 or later to be installed, which reads this file "
            f"(pip install torch). {received}"
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        refused = re.search(r"GLOBAL (\S+)", str(error))
        what = f"a pickle of {refused[1]}" if refused else "damaged or a pickle of something else"
        raise InputError(
            f"--weights: {expected}. {received}, which is {what}; nothing in it was executed"
        ) from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]  # the file is a training checkpoint
    if not isinstance(state, dict):
        raise InputError(f"--weights: {expected}. {received}, which holds a {type(state).__name__}")
    if any(str(name).endswith("running_mean") for name in state):
        raise InputError(f"--weights: {expected}. {received}, which has batch normalization")
    return {
        str(name): value.detach().float().numpy()
        for name, value in state.items()
        if isinstance(value, torch.Tensor)
    }


def _version(text: str) -> tuple[int, int]:
    """(2, 13) for 2.13.0+cpu; (0, 0) if `text` is not a version."""
    found = re.match(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)
