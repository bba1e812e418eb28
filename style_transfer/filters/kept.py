"""Fitted filters kept in the user's cache folder, so that known pictures start sooner.

Fitting always gives the same bytes on one machine, so a kept file changes no result. It can be
deleted at any time. Whatever goes wrong here only means that filters are fitted again.
"""

import hashlib
import json
import os
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from style_transfer.environment import environment
from style_transfer.filters import fitted
from style_transfer.filters.writing import named_arrays
from style_transfer.settings import Settings
from style_transfer.vgg import Filters, sha256_of_arrays

VARIABLE = "NST_FILTERS_CACHE"  # a folder instead of the platform's, or `off`
KEPT = 4  # files of up to 52 MB, VGG19's to block5_conv1
UNFINISHED = ".unfinished"
STALE = 3600.0  # seconds after which an unfinished file was left by a process that was killed
UNUSABLE = (  # what a file, or the lack of one, can raise
    OSError,
    ValueError,
    KeyError,
    EOFError,
    RuntimeError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)


def fitted_or_kept(
    settings: Settings, layers: list[str], images: list[np.ndarray], loudness: Sequence[float]
) -> Filters:
    """`fitted.fitted_filters`, read from the cache folder if they were fitted before."""
    folder, path = cache_folder(os.environ), None
    with suppress(*UNUSABLE):
        path = folder / f"{_key(settings, layers, images, loudness)}.npz" if folder else None
    if path:
        with suppress(*UNUSABLE):
            filters = _read(path, settings.network, layers)
            os.utime(path)  # the files used last are kept
            return filters
    filters = fitted.fitted_filters(settings, layers, images, loudness)
    if path:
        with suppress(*UNUSABLE):
            _write(path, filters)
            _tidy(path.parent)
    return filters


def cache_folder(variables, platform: str = sys.platform) -> Path | None:
    """Where filters are kept; None if they are not to be.

    Args:
        variables: environment variables: `VARIABLE`, or those that the platform's conventions
            name (on Linux the XDG Base Directory Specification's).
        platform: as `sys.platform`.
    """
    chosen = variables.get(VARIABLE, "")
    if chosen.lower() == "off":
        return None
    if chosen:
        return Path(os.path.expanduser(chosen))  # noqa: PTH111 (that of Path fails without a home)
    home = Path(os.path.expanduser("~"))  # noqa: PTH111
    if platform == "win32":
        base = Path(variables.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(variables.get("XDG_CACHE_HOME") or home / ".cache")
    # Without a home `~` stays; the specification says to ignore relative paths.
    return base / "neural_style_transfer" / "filters" if base.is_absolute() else None


def _key(settings: Settings, layers: list[str], images: list, loudness: Sequence[float]) -> str:
    """SHA-256 of everything that decides the filters' bytes."""
    import keras

    decisive = {
        "code": hashlib.sha256(Path(fitted.__file__).read_bytes()).hexdigest(),
        "environment": environment(),
        "device": str(keras.ops.zeros((), "float32").device),
        "settings": [settings.network, settings.pooling, settings.borders, settings.seed],
        "layers": layers,
        "loudness": list(loudness),
        "images": [[list(x.shape), hashlib.sha256(x.tobytes()).hexdigest()] for x in images],
    }
    return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()


def _read(path: Path, network: str, layers: list[str]) -> Filters:
    """Filters of a kept file.

    Raises:
        One of UNUSABLE: there is no such file, or it is damaged.
    """
    with np.load(path, allow_pickle=False) as file:
        arrays = {layer: (file[f"{layer}/kernel"], file[f"{layer}/bias"]) for layer in layers}
        sha256 = str(file["sha256"])
    filters = Filters(network, arrays)
    if sha256_of_arrays(filters) != sha256:
        raise ValueError(f"{path}: expected filters with SHA-256 {sha256}")
    return filters


def _write(path: Path, filters: Filters) -> None:
    """Write filters to a file that appears once it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    sha256 = np.array(sha256_of_arrays(filters))
    with tempfile.NamedTemporaryFile(
        dir=path.parent, prefix=path.stem, suffix=UNFINISHED, delete=False
    ) as file:
        try:
            np.savez(file, sha256=sha256, **named_arrays(filters))
            file.close()
            Path(file.name).replace(path)
        except BaseException:
            file.close()
            Path(file.name).unlink(missing_ok=True)
            raise


def _tidy(folder: Path) -> None:
    """Delete all but the files used last, and those that killed processes left unfinished."""
    ours = [path for path in folder.iterdir() if _is_key(path.name[:64])]
    whole = [path for path in ours if path.name[64:] == ".npz"]
    whole.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    stale = time.time() - STALE
    left = [path for path in ours if path.suffix == UNFINISHED and path.stat().st_mtime < stale]
    for path in whole[KEPT:] + left:
        path.unlink(missing_ok=True)


def _is_key(name: str) -> bool:
    return len(name) == 64 and set(name) <= set("0123456789abcdef")
