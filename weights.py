"""Where the filters come from: ImageNet by way of Keras, a file, or the pictures at hand.

Filters are a dictionary {layer: (kernel (3, 3, in, out), bias (out,))}, float32, for input in BGR,
whose values are normalised as the filters' input convention says: `network.feature_extractor`.
"""

import hashlib
import inspect
import os
import re
import socket
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from keras import ops

from network import APPLICATIONS, feature_extractor
from preprocessing import IMAGENET_MEAN
from results import sha256_of_file
from settings import InputError, Settings, existing_file, layer_names

CHANNELS = (64, 128, 256, 512, 512)  # of the blocks' convolutions, arXiv 1409.1556, table 1
# MD5 of the files that keras.applications downloads for include_top=False, as given there.
IMAGENET_MD5 = {
    "vgg16": "6d6bbae143d832006294945121d1f1fc",
    "vgg19": "253f8cb515780f3b799900260a226db6",
}
PATIENCE = 5.0  # seconds for a server to answer before a download counts as impossible

Filters = dict[str, tuple[np.ndarray, np.ndarray]]


def load_filters(
    source: str,
    settings: Settings,
    layers: list[str],
    images: list[np.ndarray],
    say: Callable[[str], None] = print,
) -> tuple[Filters, dict]:
    """Filters for all convolutions of a network up to the deepest layer in use.

    Args:
        source: `auto`, `imagenet`, `fitted`, `random`, or the path of a file.
        settings: the network, and the seed of `fitted` and `random`.
        layers: the layers in use.
        images: content and style images, float32 (1, H, W, 3), which `fitted` is fitted to.
        say: told where something else is used than was asked for.

    Returns:
        The filters, and where they are from: {"source", "file" or None, "sha256", "input"}, where
        `input` is `caffe` or `torch`, as `network.feature_extractor` takes it.

    Raises:
        InputError: a file that is missing, damaged, of another network or lacks layers; ImageNet's
            filters asked for and neither cached nor to be downloaded.
    """
    network = settings.network
    names = layer_names(network)
    needed = names[: 1 + max(names.index(layer) for layer in layers)]
    file = None
    if source in ("auto", "imagenet"):
        try:
            file = imagenet_file(network)
            source = "imagenet"
        except OSError as error:
            if source == "imagenet":
                raise InputError(
                    f"--weights: expected ImageNet's filters in Keras's cache, or a connection to "
                    f"download them. Received: {error}. {HOW_TO_GET}"
                ) from None
            say(
                "Weights: ImageNet's are neither cached nor to be downloaded here; filters fitted "
                f"to these pictures are used instead. {HOW_TO_GET}"
            )
            source = "fitted"
    elif source not in ("fitted", "random"):
        file = existing_file(source, "--weights").absolute()
        source = "file"

    if file:
        filters, convention = read_filters(file, network, needed)
        about = {"source": source, "file": str(file), "sha256": sha256_of_file(file)}
        return filters, {**about, "input": convention}
    if source == "fitted":
        loudness = LOUDNESS["torch" if settings.loss_scale == "pytorch" else "caffe"]
        filters = fitted_filters(network, needed, images, settings.seed, loudness)
    else:
        filters = random_filters(network, needed, settings.seed)
    about = {"source": source, "file": None, "sha256": filters_sha256(filters)}
    return filters, {**about, "input": "caffe"}


def filters_sha256(filters: Filters) -> str:
    """SHA-256 of all kernels and biases, in hexadecimal."""
    digest = hashlib.sha256()
    for kernel, bias in filters.values():
        digest.update(kernel.tobytes())
        digest.update(bias.tobytes())
    return digest.hexdigest()


HOW_TO_GET = (
    "To have them, run once where keras.applications can download, or copy its "
    "..._notop.h5 file into ~/.keras/models, or pass --weights FILE."
)


def kernel_shape(network: str, layer: str) -> tuple[int, int, int, int]:
    """(3, 3, in, out) of a layer's kernel."""
    names = layer_names(network)
    out = CHANNELS[int(layer[5]) - 1]
    position = names.index(layer)
    before = CHANNELS[int(names[position - 1][5]) - 1] if position else 3
    return 3, 3, before, out


def imagenet_file(network: str) -> Path:
    """ImageNet's filters in Keras's cache, downloaded there first where they are not yet.

    Raises:
        OSError: no whole file in the cache, and no download within a few seconds' patience.
    """
    url = inspect.getmodule(APPLICATIONS[network]).WEIGHTS_PATH_NO_TOP
    home = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser()  # as Keras finds it
    cached = home / "models" / Path(url).name
    if cached.exists() and _has_md5(cached, IMAGENET_MD5[network]):
        return cached
    _await_server(url)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        return Path(
            keras.utils.get_file(
                cached.name,
                url,
                cache_dir=home,
                cache_subdir="models",
                file_hash=IMAGENET_MD5[network],
            )
        )
    except Exception as error:  # Keras raises a bare Exception for a failed download
        raise OSError((str(error) or repr(error)).splitlines()[0]) from error
    finally:
        socket.setdefaulttimeout(before)


def _has_md5(path: Path, expected: str) -> bool:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest() == expected


def _await_server(url: str) -> None:
    """Return once the server of `url` answers; OSError where it does not within `PATIENCE`.

    Looking up a name has no time limit of its own, so it happens in a thread that is left behind.
    """
    from http.client import HTTPException
    from urllib.request import Request, urlopen

    answer = []

    def ask():
        try:
            urlopen(Request(url, method="HEAD"), timeout=PATIENCE).close()
            answer.append(None)
        except (OSError, HTTPException) as error:
            answer.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if not answer:
        raise OSError(f"no answer from the server within {PATIENCE:g} s")
    if answer[0]:
        raise OSError(f"the download failed ({answer[0]})")


def read_filters(path: Path, network: str, layers: list[str]) -> tuple[Filters, str]:
    """Filters from a file, and the input they expect.

    Files of Keras (`.weights.h5`, the older `.h5`), `.npz` (LAYER/kernel, LAYER/bias), MatConvNet
    (`.mat`) and torchvision (`.pth`, where PyTorch is installed).

    Args:
        path: the file; what it is, is seen from its content.
        network: `vgg16` or `vgg19`.
        layers: the layers that must be there; others are ignored.

    Returns:
        The filters, and their input convention: `torch` for torchvision's, else `caffe`.

    Raises:
        InputError: another kind of file, layers missing, or arrays of another shape.
    """
    with open(path, "rb") as file:
        start = file.read(10)
    convention = "caffe"
    try:
        if _is_torch(path, start):
            arrays, convention = _read_torch(path, network), "torch"
        elif start[:2] == b"PK":
            arrays = _read_npz(path)
        elif start[:8] == b"\x89HDF\r\n\x1a\n":
            arrays = _read_hdf5(path, layers)
        elif start == b"MATLAB 5.0":
            arrays = _read_matconvnet(path)
        else:
            raise InputError(
                "--weights: expected a .weights.h5, .h5, .npz, .mat (MATLAB 5.0) or .pth file. "
                f"Received: {str(path)!r}"
            )
    except InputError:
        raise
    except Exception as error:  # of a damaged file: zlib's, tokenize's, h5py's RuntimeError, …
        reason = (str(error) or repr(error)).splitlines()[0]
        raise InputError(
            f"--weights: expected a whole file. Received: {str(path)!r}, which is damaged ({reason})"
        ) from error
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
            + (f", and has {', '.join(others)}" if others else "")
        )
    filters = {}
    for name in layers:
        shape = kernel_shape(network, name)
        for part, expected in (("kernel", shape), ("bias", shape[3:])):
            found = arrays[f"{name}/{part}"]
            numbers = found.dtype.kind in "fiu"
            if found.shape != expected or not numbers or not np.isfinite(found).all():
                raise InputError(
                    f"--weights: expected {name}/{part} finite and of shape {expected}. "
                    f"Received: {str(path)!r}, shape {found.shape} of {found.dtype}"
                )
        filters[name] = (
            np.ascontiguousarray(arrays[f"{name}/kernel"], np.float32),
            np.ascontiguousarray(arrays[f"{name}/bias"], np.float32),
        )
    return filters, convention


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    from zipfile import BadZipFile

    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except BadZipFile as error:
        raise ValueError(error) from error


def _read_hdf5(path: Path, layers: list[str]) -> dict[str, np.ndarray]:
    """Both layouts of Keras: a layer is named by an attribute (new) or by its group (old)."""
    import h5py

    arrays = {}

    def visit(name, item):
        # A whole model's file holds the optimizer's moments under the layers' names as well.
        if not isinstance(item, h5py.Dataset) or name.startswith("optimizer"):
            return
        owner = item.parent.attrs.get("name", "")
        layer = next((part for part in (owner, *name.split("/")) if part in layers), None)
        if layer:
            arrays[f"{layer}/{'bias' if item.ndim == 1 else 'kernel'}"] = item[()]

    with h5py.File(path) as file:
        file.visititems(visit)
    return arrays


def _read_matconvnet(path: Path) -> dict[str, np.ndarray]:
    """MatConvNet's `imagenet-vgg-verydeep-16.mat` and `-19.mat`: a cell array of layers.

    A convolution's struct has its kernel (width, height, in, out), RGB, and its bias in `weights`,
    in older files in `filters` and `biases`.
    """
    from scipy.io import loadmat, whosmat

    file = loadmat(path, variable_names=["layers", "meta", "normalization"])
    cells = file.get("layers", np.zeros(0))
    if cells.dtype != object:  # a DagNN's are no cells
        names = ", ".join(name for name, *_ in whosmat(path))
        raise InputError(
            "--weights: expected MatConvNet's VGG, a cell array `layers`. "
            f"Received: {str(path)!r}, with {names or 'nothing in it'}"
        )
    _check_mean(path, file)
    arrays = {}
    for layer in (cell.flat[0] for cell in cells.flat if cell.dtype.names and cell.size):
        if "weights" in layer.dtype.names:
            pair = layer["weights"].ravel()
        else:
            pair = [layer[name] for name in ("filters", "biases") if name in layer.dtype.names]
        if len(pair) < 2:
            continue  # a ReLU, a pooling
        name = re.sub(r"^conv(\d)_(\d)$", r"block\1_conv\2", str(layer["name"].item()))
        kernel, bias = pair
        if kernel.ndim == 4:
            kernel = kernel.transpose(1, 0, 2, 3)
        arrays[f"{name}/kernel"] = kernel[:, :, ::-1] if name == "block1_conv1" else kernel
        arrays[f"{name}/bias"] = bias.ravel()
    return arrays


def _check_mean(path: Path, file: dict) -> None:
    """InputError where MatConvNet's file names another mean of its pictures than ours.

    `averageImage` is a picture or one colour, RGB. VGG-Face has VGG16's layers, and a mean of
    129, 105, 94.
    """
    try:
        options = file["meta"][0, 0] if "meta" in file else file
        average = options["normalization"][0, 0]["averageImage"].reshape(-1, 3).mean(axis=0)
    except (KeyError, ValueError, IndexError):  # none is named
        return
    if not np.allclose(average, IMAGENET_MEAN[::-1], atol=2):  # in pixel values
        expected, found = (", ".join(f"{x:.4g}" for x in m) for m in (IMAGENET_MEAN[::-1], average))
        raise InputError(
            f"--weights: expected filters for pictures of mean colour {expected}, ImageNet's. "
            f"Received: {str(path)!r}, for {found}"
        )


def _is_torch(path: Path, start: bytes) -> bool:
    """Whether a file is PyTorch's: a zip with a pickle in it, or (before 1.6) a bare pickle."""
    from zipfile import ZipFile

    if start[:2] != b"PK":
        return start[:1] == b"\x80"
    with ZipFile(path) as file:
        return any(name.endswith("/data.pkl") for name in file.namelist())


def _read_torch(path: Path, network: str) -> dict[str, np.ndarray]:
    """torchvision's state dict: `features.N.weight` (out, in, 3, 3), RGB, and `features.N.bias`.

    PyTorch's `weights_only` builds tensors and plain containers; whatever else the pickle names is
    not called.
    """
    expected = f"expected a state dict of torchvision's {network}"
    received = f"Received: {str(path)!r}"
    try:
        import torch
    except ImportError:
        torch = None
    # Before 2.6 a crafted file could get past weights_only (CVE-2025-32434).
    if torch is None or torch.__version__ < "2.6":
        raise InputError(
            "--weights: expected PyTorch 2.6 or later to be installed, which reads this file "
            f"(pip install torch). {received}"
        )
    try:
        with warnings.catch_warnings(action="ignore"):  # of pickles in a protocol not its own
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        refused = re.search(r"GLOBAL (\S+)", str(error))
        what = f"a pickle of {refused[1]}" if refused else "damaged or a pickle of something else"
        raise InputError(
            f"--weights: {expected}. {received}, which is {what}; nothing in it was executed"
        ) from error
    if not isinstance(state, dict):
        raise InputError(f"--weights: {expected}. {received}, which holds a {type(state).__name__}")
    if any(str(name).endswith("running_mean") for name in state):
        raise InputError(f"--weights: {expected}. {received}, which has batch normalisation")
    layers, position = {}, 0
    for layer in layer_names(network):
        if layer.endswith("conv1") and position:
            position += 1  # the pooling
        layers[f"features.{position}"] = layer
        position += 2  # the convolution and its ReLU
    arrays = {}
    for name, value in state.items():
        if not isinstance(value, torch.Tensor):
            continue
        array = value.detach().float().numpy()
        owner, _, part = str(name).rpartition(".")
        if owner not in layers or part not in ("weight", "bias"):
            arrays[str(name)] = array
        elif part == "bias":
            arrays[f"{layers[owner]}/bias"] = array
        else:
            kernel = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
            if owner == "features.0":
                kernel = kernel[:, :, ::-1]
            arrays[f"{layers[owner]}/kernel"] = kernel
    return arrays


def normalized_filters(
    filters: Filters, images: list[np.ndarray], settings: Settings, input_convention: str
) -> Filters:
    """The filters rescaled so that each one's mean activation over images and positions is 1.

    Gatys et al.'s normalised network (arXiv 1505.07376 and CVPR 2016, section 2 of both). With m
    the mean activations behind the ReLU, a layer's filters and biases are divided by its own m,
    its filters multiplied by the m of the layer before: what the network computes stays the same
    but for the scale of each channel, since ReLU and pooling keep a scale above 0 (L2 pooling
    nearly, for its epsilon). A channel that is silent on all images keeps its scale.

    Args:
        filters: of all convolutions from the first to the deepest in use.
        images: to measure on, float32 (1, H, W, 3), BGR minus mean.
        settings: network, pooling and borders.
        input_convention: what the filters expect, as `network.feature_extractor` takes it.
    """
    extractor = feature_extractor(
        settings.network,
        filters,
        list(filters),
        settings.pooling,
        borders=settings.borders,
        input_convention=input_convention,
    )
    total, positions = dict.fromkeys(filters, 0.0), dict.fromkeys(filters, 0)
    for image in images:
        for name, features in extractor.one_by_one(image):
            features = ops.convert_to_numpy(features)  # (1, H, W, N)
            total[name] = total[name] + features.sum(axis=(0, 1, 2), dtype=np.float64)
            positions[name] += features[..., 0].size
    normalized, before = {}, np.ones(3)
    for name, (kernel, bias) in filters.items():
        mean = total[name] / positions[name]
        mean[mean == 0] = 1
        kernel = kernel * (before[:, None] / mean)  # (3, 3, in, out)
        normalized[name] = kernel.astype(np.float32), (bias / mean).astype(np.float32)
        before = mean
    return normalized


def random_filters(network: str, layers: list[str], seed: int) -> Filters:
    """Gaussian filters of He's variance 2 / fan-in (arXiv 1502.01852), for tests."""
    rng = np.random.default_rng(seed)
    filters = {}
    for name in layers:
        shape = kernel_shape(network, name)
        deviation = np.sqrt(2 / (9 * shape[2]))
        kernel = rng.normal(0, deviation, shape).astype(np.float32)
        filters[name] = (kernel, np.zeros(shape[3], np.float32))
    return filters


FITTING_ROWS = 192  # of the content picture that `fitted` looks at
FITTING_PATCHES = 8_000  # of a picture and layer, at most
# Of fitted filters, by the network for which a system's weights were made. VGG19 with pixel values
# and max pooling answers with 30 to 59, 150 to 290 and 190 to 390 (root mean square, two pairs of
# pictures) at the first layers of blocks 1 to 3; torchvision's sees pictures 57 times smaller.
LOUDNESS = {"caffe": 64.0, "torch": 1.0}


def fitted_filters(
    network: str, layers: list[str], pictures: list[np.ndarray], seed: int, loudness: float = 1.0
) -> Filters:
    """Filters fitted to the pictures at hand: half-whitened principal components, layer by layer.

    Of the features so far, 3 x 3 patches are gathered; with mean μ and leading principal
    components vᵢ of variance λᵢ, the filters are ±vᵢ·λᵢ^(−1/4) with bias ∓vᵢ·λᵢ^(−1/4)·μ, scaled
    to a root mean square response of `loudness` in block 1 and twice the last block's in each other,
    as VGG's own grow. The ReLU then keeps both halves of each component. Blocks are joined by
    average pooling.

    Args:
        network: `vgg16` or `vgg19`.
        layers: the convolutions to fit, from the first on.
        pictures: images of about 200 rows, float32 (1, H, W, 3), BGR minus mean.
        seed: which patches are drawn.
        loudness: see above. To the relative loss it is all the same, exactly for powers of two.
    """
    rng = np.random.default_rng(seed)
    maps = list(pictures)
    filters = {}
    for name in layers:
        if name.endswith("conv1") and not name.startswith("block1"):
            maps = [ops.convert_to_numpy(ops.average_pool(features, 2, 2)) for features in maps]
        shape = kernel_shape(network, name)
        patches = np.concatenate([_draw_patches(features, rng) for features in maps])
        kernel, bias = _half_whitened(patches, shape[3], rng)
        filters[name] = (kernel.reshape(shape), bias)
        edge = ((0, 0), (1, 1), (1, 1), (0, 0))
        maps = [
            ops.convert_to_numpy(
                ops.relu(ops.conv(np.pad(features, edge, "edge"), filters[name][0]) + bias)
            )
            for features in maps
        ]
    before = 1.0  # of the pictures, whose scale the first layer's filters have taken in
    for name, (kernel, bias) in filters.items():
        response = np.float32(loudness * 2 ** (int(name[len("block")]) - 1))
        filters[name] = kernel * (response / before), bias * response
        before = response
    return filters


def _draw_patches(features: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Up to FITTING_PATCHES patches of (1, H, W, C) as rows, (n, 9·C)."""
    padded = np.pad(features[0], ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows, columns, channels = features.shape[1:]
    positions = np.arange(rows * columns)
    if len(positions) > FITTING_PATCHES:
        positions = rng.choice(positions, FITTING_PATCHES, replace=False)
    row, column = np.divmod(positions, columns)
    patches = [padded[row + down, column + right] for down in range(3) for right in range(3)]
    return np.stack(patches, axis=1).reshape(len(positions), 9 * channels)


def _half_whitened(
    patches: np.ndarray, out: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Kernel (9·C, out) and bias (out,) from patches (n, 9·C)."""
    mean = patches.mean(axis=0, dtype=np.float64).astype(np.float32)
    size = patches.shape[1]
    count = min(out // 2, size, len(patches))
    components, variance = leading_components(patches - mean, count, rng)
    variance = np.maximum(variance, 1e-6 * variance[0] + 1e-12)
    basis = components * variance**-0.25
    # The mean square of component i's response is now √λᵢ.
    basis /= np.sqrt(np.mean(np.sqrt(variance)))
    kernel = np.zeros((size, out), np.float32)  # filters beyond 2·count stay silent
    kernel[:, :count], kernel[:, count : 2 * count] = basis, -basis
    return kernel, -(mean @ kernel)


def leading_components(
    centred: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Leading principal components of rows of mean 0, strongest first.

    By subspace iteration (Halko, Martinsson and Tropp, arXiv 0909.4061, algorithm 4.4): a full
    decomposition of deep layers' patches takes ten times as long, for components never used. On
    the backend, since NumPy's LAPACK shares the cores badly with the backend's threads.

    Args:
        centred: (n, d), float32.
        count: how many.
        rng: draws the subspace to start from.

    Returns:
        Components as columns (d, count), and their variances (count,).
    """
    rows, size = centred.shape
    centred = ops.convert_to_tensor(centred)
    across = ops.transpose(centred)
    basis = rng.normal(size=(size, min(size, count + 16))).astype(np.float32)
    for _ in range(3):
        basis, _ = ops.qr(ops.matmul(across, ops.matmul(centred, basis)))
    projected = ops.cast(ops.matmul(centred, basis), "float64")
    squares, rotation = ops.eigh(ops.matmul(ops.transpose(projected), projected))
    rotation = ops.cast(rotation, "float32")
    vectors = ops.convert_to_numpy(ops.matmul(basis, rotation))[:, ::-1][:, :count]
    variance = np.maximum(ops.convert_to_numpy(squares)[::-1][:count], 0) / rows
    # The sign of a component is arbitrary; fix it, so that libraries agree.
    return vectors * np.sign(
        vectors[np.argmax(np.abs(vectors), axis=0), np.arange(count)]
    ), variance
