"""MODEL.keras: written whole or not at all, and read without executing anything that it holds."""

import os
from pathlib import Path

import keras

from style_transfer.feedforward.about import ENDING, about_of_file, refusal
from style_transfer.feedforward.network import StyleNetwork
from style_transfer.paths import existing_file
from style_transfer.runs.files import on_its_way, sync


def save_network(network: StyleNetwork, path: Path, folder: Path) -> None:
    """Write a network, so that the file appears whole or not at all.

    Args:
        network: with `about`.
        path: ends in .keras.
        folder: for the file on its way, on the same file system.

    Raises:
        OSError: it cannot be written; `path` is then as it was before.
    """
    with on_its_way(path, folder / f"unfinished{ENDING}") as temporary:
        network.save(temporary)
        sync(temporary)


def read_network(source: str | os.PathLike, what: str = "MODEL") -> StyleNetwork:
    """A network of a file, float32, ready to be called.

    Keras's safe mode executes no code of the file. Beyond that, a file that names other classes
    than this program's never reaches Keras.

    Args:
        source: path of the file.
        what: how errors call it.

    Raises:
        InputError: no such file, or not a network that this program trained, whole.
    """
    path = existing_file(source, what)
    about_of_file(path, what)
    try:
        network = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # zip, h5py and Keras raise nearly every exception that there is
        raise refusal(what, path, error) from None
    if type(network) is not StyleNetwork:
        raise refusal(what, path, "it holds another model")
    return network
