"""Reads filters from MatConvNet's files, with as much of MATLAB's format as they need.

This checks all sizes in the file before it reads anything; `scipy.io.loadmat` crashes the process
on some damaged files.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from style_transfer.errors import InputError
from style_transfer.images import IMAGENET_MEAN

# "MAT-File Format", MathWorks, table 1-1: types of data elements, of numbers and others.
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8"}
NUMBERS |= {13: "u8", 16: "u1"}
MATRIX, COMPRESSED = 14, 15
CELL, STRUCT, TEXT, SPARSE = 1, 2, 4, 5  # table 1-3, classes of matrices; numbers are above
LARGEST = 2**30  # bytes of one variable; VGG19 with its classifier has 575 million


def read_matconvnet(path: Path) -> dict[str, np.ndarray]:
    """Read `imagenet-vgg-verydeep-16.mat` or `-19.mat`: a cell array of layers.

    A convolution's struct has its kernel, (width, height, in, out) in RGB, and its bias in
    `weights`, or in `filters` and `biases` in older files.

    Returns:
        Arrays by LAYER/kernel and LAYER/bias.

    Raises:
        InputError: the file holds something else.
        ValueError: the file is damaged.
    """
    file = read_mat(path, {"layers", "meta", "normalization"})
    cells = file.get("layers")
    if not isinstance(cells, list) or any(isinstance(cell, dict) for cell in cells):
        names = ", ".join(name if name.isprintable() else ascii(name) for name in file)
        raise InputError(
            "--weights: expected MatConvNet's VGG, a cell array `layers`. "
            f"Received: {str(path)!r}, with {names or 'nothing in it'}"
        )
    _check_mean(path, file)
    arrays = {}
    for cell in cells:
        layer = _first(cell)
        pair = layer.get("weights", [layer.get("filters"), layer.get("biases")])
        if not isinstance(pair, list) or len(pair) < 2:
            continue  # a ReLU, a pooling
        kernel, bias = pair[:2]
        if not isinstance(kernel, np.ndarray) or not isinstance(bias, np.ndarray):
            continue
        name = re.sub(r"^conv(\d)_(\d)$", r"block\1_conv\2", str(layer.get("name")))
        if kernel.ndim == 4:
            kernel = kernel.transpose(1, 0, 2, 3)
            if name == "block1_conv1":
                kernel = kernel[:, :, ::-1]
        arrays[f"{name}/kernel"] = kernel
        arrays[f"{name}/bias"] = bias.ravel()
    return arrays


def _first(value: Any) -> dict:
    """The only struct of a struct array, or an empty dictionary if it is something else."""
    return value[0] if isinstance(value, list) and value and isinstance(value[0], dict) else {}


def _check_mean(path: Path, file: dict) -> None:
    """Raise InputError if the file gives a mean color of its pictures that differs from ours.

    `averageImage` is a picture or a single color, RGB. VGG-Face has VGG16's layers, but a mean of
    129, 105, 94.
    """
    options = _first(file["meta"]) if "meta" in file else file
    average = _first(options.get("normalization")).get("averageImage")
    if not isinstance(average, np.ndarray) or average.size == 0 or average.size % 3:
        return  # the file gives none
    average = average.reshape(-1, 3).mean(axis=0)
    if not np.allclose(average, IMAGENET_MEAN[::-1], atol=2):  # in pixel values
        expected, found = (", ".join(f"{x:.4g}" for x in m) for m in (IMAGENET_MEAN[::-1], average))
        raise InputError(
            f"--weights: expected filters for pictures with mean color {expected}, ImageNet's. "
            f"Received: {str(path)!r}, for {found}"
        )


def read_mat(path: Path, wanted: set[str]) -> dict[str, Any]:
    """Read variables of a MATLAB level 5 file.

    Args:
        path: the file.
        wanted: names of the variables to read.

    Returns:
        All variables by name. Numbers become arrays, text a string, a cell array a list of its
        cells, a struct array a list of dictionaries; None if of another kind, or not wanted.

    Raises:
        ValueError: the file is damaged.
    """
    content = memoryview(path.read_bytes())
    order = {b"IM": "<", b"MI": ">"}.get(bytes(content[126:128]))
    if order is None:
        raise ValueError("its header names no byte order")
    variables = {}
    for kind, data in _elements(content[128:], order):
        if kind == MATRIX:
            name = _name(data, order)
            variables[name] = _matrix(data, order) if name in wanted else None
    return variables


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """The type and content of each data element, in order."""
    position = 0
    while position < len(data):
        kind, size = struct.unpack_from(order + "II", data, position)
        start, room = position + 8, len(data) - position - 8
        position = start
        if kind >> 16:  # a small element: up to four bytes take the place of the size
            kind, size, start, room = kind & 0xFFFF, kind >> 16, start - 4, 4
        else:
            position += size + (0 if kind == COMPRESSED else -size % 8)
        if size > room:
            raise ValueError("it is cut off, or a size in it is wrong")
        content = data[start : start + size]
        if kind == COMPRESSED:
            inflate = zlib.decompressobj()
            content = memoryview(inflate.decompress(content, LARGEST))
            if not inflate.eof:
                raise ValueError("a variable is cut off or too large")
            yield from _elements(content, order)
        else:
            yield kind, content


def _name(data: memoryview, order: str) -> str:
    _, _, (_, name) = islice(_elements(data, order), 3)
    return bytes(name).decode("latin-1")


def _matrix(data: memoryview, order: str) -> Any:
    """The value of a matrix element; see `read_mat`."""
    if not len(data):
        return np.zeros(0)
    flags, sides, _, *parts = _elements(data, order)
    kind = int(_numbers(*flags, order)[0]) & 0xFF
    if kind == CELL:
        return [_matrix(content, order) for _, content in parts]
    if kind == STRUCT:
        return _structs([content for _, content in parts], order)
    if kind == TEXT:
        return bytes(parts[0][1]).decode("latin-1").replace("\0", "") if parts else ""
    if kind <= SPARSE:
        return None
    shape = tuple(int(side) for side in _numbers(*sides, order))
    if min(shape) < 0:
        raise ValueError("a shape in it is wrong")
    return _numbers(*parts[0], order).reshape(shape, order="F")


def _structs(parts: list[memoryview], order: str) -> list[dict[str, Any]]:
    """A struct array, from its names' length, its names, and all values, struct by struct."""
    length = max(int(np.frombuffer(parts[0], order + "i4")[0]), 1)
    names = [
        bytes(parts[1][i : i + length]).split(b"\0")[0].decode("latin-1")
        for i in range(0, len(parts[1]), length)
    ]
    values = [_matrix(content, order) for content in parts[2:]]
    count = len(names) or 1
    return [
        dict(zip(names, values[i : i + count], strict=True)) for i in range(0, len(values), count)
    ]


def _numbers(kind: int, data: memoryview, order: str) -> np.ndarray:
    """The content of a data element, in its stored type."""
    if kind not in NUMBERS:
        raise ValueError("a type in it is wrong")
    return np.frombuffer(data, order + NUMBERS[kind])
