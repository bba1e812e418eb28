"""Writes MODEL.keras whole or not at all, and reads it without executing anything in it."""

import os
import zipfile
from pathlib import Path

import h5py
import keras

from style_transfer.feedforward.about import (
    ENDING,
    LARGEST_CONFIG,
    about_of_file,
    refusal,
    sizes_of_file,
)
from style_transfer.feedforward.network import StyleNetwork, parameters_of
from style_transfer.paths import existing_file
from style_transfer.runs.files import on_its_way, sync


def save_network(network: StyleNetwork, path: Path, folder: Path) -> None:
    """Write a network, so that the file appears whole or not at all.

    Args:
        network: the network, with its `about`.
        path: a path that ends in .keras.
        folder: a folder on the same file system, for the unfinished file.

    Raises:
        OSError: it cannot be written; `path` is then unchanged.
    """
    with on_its_way(path, folder / f"unfinished{ENDING}") as temporary:
        network.save(temporary)
        sync(temporary)


_FILTERS = "model.weights.h5"  # Keras's name for it


def check_sizes(path: Path) -> None:
    """Refuse a file that would fill memory or disk when unpacked.

    Keras compresses neither archives nor arrays, so no genuine file is smaller than its content.

    Raises:
        ValueError: it unpacks to more than its own size.
        OSError, zipfile.BadZipFile: it is damaged.
    """
    limit = path.stat().st_size
    if 4 * parameters_of(**sizes_of_file(path)) > limit:
        raise ValueError("it has fewer filters than its network")
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > limit + LARGEST_CONFIG:
            raise ValueError("it unpacks to more than its own size")
        with archive.open(_FILTERS) as member, h5py.File(member, "r") as file:
            arrays: list[int] = []

            def enter(name, item) -> None:
                if isinstance(item, h5py.Dataset):
                    arrays.append(item.nbytes)

            file.visititems(enter)
    if sum(arrays) > limit:
        raise ValueError("its filters unpack to more than its own size")


def read_network(source: str | os.PathLike, what: str = "MODEL") -> StyleNetwork:
    """Read a network, float32, ready to be called.

    Keras's safe mode executes no code from the file. In addition, a file that names classes other
    than this program's never reaches Keras.

    Args:
        source: path of the file.
        what: the argument's name, for errors.

    Raises:
        InputError: there is no such file, it is damaged, or it is not a network of this program.
    """
    path = existing_file(source, what)
    about_of_file(path, what)
    try:
        check_sizes(path)
        network = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # zipfile, h5py and Keras raise almost every kind of exception
        raise refusal(what, path, error) from None
    if type(network) is not StyleNetwork:
        raise refusal(what, path, "it holds another model")
    return network
