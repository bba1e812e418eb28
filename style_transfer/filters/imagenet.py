"""ImageNet's filters: the file that keras.applications downloads, in Keras's cache."""

import contextlib
import hashlib
import io
import os
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import keras

APPLICATIONS = {"vgg16": keras.applications.VGG16, "vgg19": keras.applications.VGG19}
# MD5 of the files that keras.applications downloads for include_top=False, as listed there.
IMAGENET_MD5 = {
    "vgg16": "6d6bbae143d832006294945121d1f1fc",
    "vgg19": "253f8cb515780f3b799900260a226db6",
}
MEGABYTES = {"vgg16": 59, "vgg19": 80}  # of these files
PATIENCE = 5.0  # seconds to wait for the server before a download counts as impossible


def how_to_get(network: str) -> str:
    """One sentence on how to get ImageNet's filters."""
    file = cached_files(network)[0]
    return (
        "To get them, run once where keras.applications can download, or copy its "
        f"{file.name} into {file.parent}, or pass --weights FILE."
    )


def cached_files(network: str) -> list[Path]:
    """Where Keras keeps the network's file, if it exists; most likely first.

    If Keras cannot write to its folder, it uses one in /tmp. Filters that somebody has put into the
    first are found all the same.
    """
    # os.path.expanduser leaves `~` if there is no home; that of Path raises.
    home = os.path.expanduser(os.environ.get("KERAS_HOME", "~/.keras"))  # noqa: PTH111
    homes = [] if home.startswith("~") else [home]
    if not homes or not os.access(home, os.W_OK):
        homes.append("/tmp/.keras")
    name = Path(_url(network)).name
    return [Path(folder, "models", name) for folder in homes]


def imagenet_file(network: str, say: Callable[[str], None]) -> Path:
    """The file of ImageNet's filters in Keras's cache, downloaded if it is not there yet.

    Args:
        network: `vgg16` or `vgg19`.
        say: called with a line before a download.

    Raises:
        OSError: there is no intact file in the cache, and the download failed or did not start
            within `PATIENCE`.
    """
    damaged = ""
    for file in cached_files(network):
        with contextlib.suppress(OSError, ValueError):  # a folder without permission, …
            if _has_md5(file, IMAGENET_MD5[network]):
                return file.absolute()
            damaged = f"{file} does not have the MD5 that it should, and "
    try:
        _await_server(_url(network))
        return _downloaded(network, say)
    except OSError as error:
        raise OSError(f"{damaged}{error}") from error


def _url(network: str) -> str:
    return sys.modules[APPLICATIONS[network].__module__].WEIGHTS_PATH_NO_TOP


def _has_md5(path: Path, expected: str) -> bool:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    return digest.hexdigest() == expected


def _downloaded(network: str, say: Callable[[str], None]) -> Path:
    """Let Keras download the file, without its progress bar.

    Keras prints the bar to stdout, where another program may be reading this program's output.
    """
    cache = cached_files(network)[0]
    say(f"Weights: downloading ImageNet's filters, {MEGABYTES[network]} MB, into {cache.parent}")
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            file = keras.utils.get_file(
                cache.name,
                _url(network),
                cache_dir=str(cache.parent.parent),
                cache_subdir="models",
                file_hash=IMAGENET_MD5[network],
            )
        return Path(file).absolute()
    except Exception as error:  # Keras raises a bare Exception for a failed download
        raise OSError((str(error) or repr(error)).splitlines()[0]) from error
    finally:
        socket.setdefaulttimeout(before)


def _await_server(url: str) -> None:
    """Return once the server of `url` answers; raise OSError if it does not within `PATIENCE`.

    Looking up a host name has no time limit, so it happens in a thread that may be abandoned.
    """
    from urllib.request import Request, urlopen

    answer: list[Exception | None] = []

    def ask() -> None:
        try:
            urlopen(Request(url, method="HEAD"), timeout=PATIENCE).close()
            answer.append(None)
        except Exception as error:  # OSError; HTTPException of nonsense; ValueError of odd proxies
            answer.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if not answer:
        raise OSError(f"no answer from the server within {PATIENCE:g} s")
    if answer[0]:
        reason = (str(answer[0]) or repr(answer[0])).splitlines()[0]
        raise OSError(f"the download failed ({reason})")
