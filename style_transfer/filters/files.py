"""Reads filters from a file of Keras, NumPy, MatConvNet or PyTorch."""

import warnings
from collections.abc import Iterable
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np

from style_transfer.errors import InputError
from style_transfer.filters.matconvnet import read_matconvnet
from style_transfer.filters.torch_files import read_torch
from style_transfer.vgg import Filters, kernel_shape, layer_names

HDF5 = b"\x89HDF\r\n\x1a\n"
MATLAB = b"MATLAB 5.0"


def read_filters(path: Path, network: str, layers: list[str]) -> Filters:
    """Read filters from a file, with the convention of the input that they expect.

    Reads files of Keras (`.weights.h5`, the older `.h5`), `.npz` (LAYER/kernel, LAYER/bias),
    MatConvNet (`.mat`) and PyTorch (`.pth`, if PyTorch is installed).

    Args:
        path: the file; its kind is found from its content.
        network: `vgg16` or `vgg19`.
        layers: the layers that must be there; others are ignored.

    Raises:
        InputError: the file is of another kind, holds the other network, lacks layers, or has
            arrays of another shape.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # the libraries warn about damaged files
            arrays, convention = _read(path, network)
            _check_network(path, network, arrays)
            _check_layers(path, network, layers, arrays)
            filters = {layer: _pair(path, network, layer, arrays) for layer in layers}
    except InputError:
        raise
    except Exception as error:  # damaged files: errors of zlib or tokenize, h5py's RuntimeError, …
        reason = (str(error) or repr(error)).splitlines()[0]
        raise InputError(
            f"--weights: expected a whole file. Received: {str(path)!r}, which is damaged "
            f"({reason})"
        ) from error
    return Filters(network, filters, convention)


def _read(path: Path, network: str) -> tuple[dict[str, np.ndarray], str]:
    """All arrays, named LAYER/kernel, LAYER/bias or otherwise, and their convention."""
    with path.open("rb") as file:
        start = file.read(10)
    if start[:1] == b"\x80" or (start[:2] == b"PK" and _has_pickle(path)):
        return read_torch(path, network)
    if start[:2] == b"PK":
        return _read_npz(path), "caffe"
    if start[:8] == HDF5:
        return _read_hdf5(path), "caffe"
    if start == MATLAB:
        return read_matconvnet(path), "caffe"
    raise InputError(
        "--weights: expected a .weights.h5, .h5, .npz, .mat (MATLAB 5.0) or .pth file. "
        f"Received: {str(path)!r}"
    )


def _check_network(path: Path, network: str, arrays: dict[str, np.ndarray]) -> None:
    """Raise InputError if the file holds the other network's filters."""
    found = network_of({name.split("/")[0] for name in arrays})
    if found and found != network:
        raise InputError(
            f"--weights: expected {network}'s filters, or --network {found}. "
            f"Received: {str(path)!r}, which holds {found}'s"
        )


def network_of(layers: Iterable[str]) -> str | None:
    """The network that has these layers; None if both do."""
    layers = set(layers)
    for block in (3, 4, 5):
        if f"block{block}_conv4" in layers:
            return "vgg19"
    for block in (3, 4):  # VGG16's end with the third convolution
        if f"block{block}_conv3" in layers and f"block{block + 1}_conv1" in layers:
            return "vgg16"
    return None


def _check_layers(
    path: Path, network: str, layers: list[str], arrays: dict[str, np.ndarray]
) -> None:
    missing = [f"{name}/{part}" for name in layers for part in ("kernel", "bias")]
    missing = [name for name in missing if name not in arrays]
    if missing:
        known = layer_names(network)
        others = [
            f"{name} {array.shape}"
            for name, array in arrays.items()
            if name.split("/")[0] not in known and np.ndim(array) == 4
        ]
        raise InputError(
            f"--weights: expected {network}'s layers {layers[0]} to {layers[-1]}. "
            f"Received: {str(path)!r}, which lacks {', '.join(missing)}"
            + (f", and has {', '.join(map(_printable, others[:8]))}" if others else "")
        )


def _printable(name: str) -> str:
    return name if name.isprintable() else ascii(name)


def _pair(
    path: Path, network: str, layer: str, arrays: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Kernel (3, 3, in, out) and bias (out,) of a layer, float32, checked."""
    shape = kernel_shape(network, layer)
    pair = []
    for part, expected in (("kernel", shape), ("bias", shape[3:])):
        found = np.asarray(arrays[f"{layer}/{part}"])
        fits = found.shape == expected and found.dtype.kind in "fiu"
        if fits:
            with np.errstate(over="ignore"):  # values beyond float32's range become infinite
                pair.append(np.ascontiguousarray(found, np.float32))
        if not fits or not np.isfinite(pair[-1]).all():
            raise InputError(
                f"--weights: expected {layer}/{part} finite and of shape {expected}. "
                f"Received: {str(path)!r}, shape {found.shape} of {found.dtype}"
            )
    kernel, bias = pair
    return kernel, bias


def _has_pickle(path: Path) -> bool:
    """Whether a zip file is PyTorch's (before its version 1.6, files are bare pickles)."""
    with ZipFile(path) as file:
        return any(name.endswith("/data.pkl") for name in file.namelist())


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except BadZipFile as error:
        raise ValueError(error) from error
    return {name: array for name, array in arrays.items() if isinstance(array, np.ndarray)}


def _read_hdf5(path: Path) -> dict[str, np.ndarray]:
    """Read either of Keras's layouts: an attribute (new) or the group (old) names a layer."""
    import h5py

    known = layer_names("vgg19")  # which has all of VGG16's
    arrays = {}

    def visit(name: str, item) -> None:
        # A whole model's file also holds the optimizer's moments under the layers' names.
        if not isinstance(item, h5py.Dataset) or name.startswith("optimizer"):
            return
        owner = item.parent.attrs.get("name", "")
        layer = next((part for part in (owner, *name.split("/")) if part in known), None)
        if layer:
            arrays[f"{layer}/{'bias' if item.ndim == 1 else 'kernel'}"] = np.asarray(item[()])

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return arrays
