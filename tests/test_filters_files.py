"""Files of filters: every layout, and whatever else users may name."""

import hashlib
import importlib.util
import zipfile

import h5py
import numpy as np
import pytest
from filter_files import (
    LAYERS,
    WRITERS,
    drawn,
    few,
    files,
    matconvnet_layers,
    torch_state,
    write_npz,
    write_npz_compressed,
    write_state,
)
from numpy.testing import assert_array_equal
from scipy.io import savemat

from style_transfer.errors import InputError
from style_transfer.filters import load_filters
from style_transfer.filters.files import network_of, read_filters
from style_transfer.presets import make_settings


@pytest.mark.parametrize("name", files(*WRITERS))
def test_every_layout_gives_the_same_filters(name, tmp_path):
    WRITERS[name](tmp_path / name, few())
    filters = read_filters(tmp_path / name, "vgg19", LAYERS)
    assert filters.convention == ("torch" if name.endswith(".pth") else "caffe")
    assert filters.network == "vgg19" and list(filters.arrays) == LAYERS
    for layer in LAYERS:
        for array, expected in zip(filters.arrays[layer], few()[layer], strict=True):
            assert array.dtype == np.float32
            assert_array_equal(array, expected)


@pytest.mark.parametrize("name", files("f.npz", "notop.h5", "f.mat", "f.pth", "legacy.pth"))
@pytest.mark.parametrize("other", ["anything", "other.pth", "other.h5"])
def test_the_kind_of_file_is_seen_from_its_content(name, other, tmp_path):
    WRITERS[name](tmp_path / name, few())
    (tmp_path / name).rename(tmp_path / other)
    assert list(read_filters(tmp_path / other, "vgg19", LAYERS).arrays) == LAYERS


@pytest.mark.parametrize("name", files("f.npz", "notop.h5", "f.weights.h5", "f.mat", "f.pth"))
def test_only_the_layers_in_use_need_be_there(name, tmp_path):
    WRITERS[name](tmp_path / name, few())
    settings = make_settings(content_layers="block1_conv2", style_layers="block1_conv1")
    filters, source = load_filters(str(tmp_path / name), settings, [], pytest.fail)
    assert list(filters.arrays) == LAYERS[:2]
    assert source.source == "file" and source.file == str(tmp_path / name)
    assert source.convention == filters.convention
    assert source.convention == ("torch" if name.endswith(".pth") else "caffe")
    assert source.sha256 == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "found, asked", [("vgg19", "vgg16"), ("vgg16", "vgg19"), ("vgg19", "vgg19"), ("vgg16", "vgg16")]
)
@pytest.mark.parametrize("name", files("f.npz", "notop.h5", "f.mat", "f.pth"))
def test_the_other_network_s_file_is_refused_by_name(name, found, asked, tmp_path):
    arrays = drawn(found, "block4_conv1")
    if name == "f.pth":
        write_state(tmp_path / name, torch_state(arrays, found))
    else:
        WRITERS[name](tmp_path / name, arrays)
    layers = list(drawn(asked, "block4_conv1"))
    if found == asked:
        filters = read_filters(tmp_path / name, asked, layers)
        assert filters.network == asked and list(filters.arrays) == layers
        assert_array_equal(filters.arrays["block4_conv1"][0], arrays["block4_conv1"][0])
        return
    # Also where the layers in use are those that both networks have.
    for layers_in_use in (layers, LAYERS):
        message = refused(tmp_path / name, layers_in_use, asked)
        assert f"expected {asked}'s filters, or --network {found}" in message
        assert message.endswith(f"which holds {found}'s")


@pytest.mark.parametrize("network", ["vgg16", "vgg19"])
def test_a_network_is_known_from_its_fourth_block_on(network):
    layers = list(drawn(network, "block4_conv2"))
    for count in range(1, len(layers) + 1):
        expected = None if layers[:count][-1] < "block3_conv4" else network
        assert network_of(layers[:count]) == expected


def refused(path, layers=LAYERS, network="vgg19") -> str:
    with pytest.raises(InputError) as error:
        read_filters(path, network, layers)
    message = str(error.value)
    assert message.startswith("--weights: expected ") and "Received: " in message
    assert str(path) in message and "\n" not in message
    return message


@pytest.mark.parametrize("name", files("f.npz", "notop.h5", "kernels.h5", "f.mat"))
def test_missing_layers_are_named(name, tmp_path):
    WRITERS[name](tmp_path / name, {layer: few()[layer] for layer in LAYERS[::2]})
    message = refused(tmp_path / name)
    assert "block1_conv2/kernel" in message and "block1_conv2/bias" in message
    assert "lacks block1_conv2" in message and "block2_conv1/" not in message


@pytest.mark.parametrize("name", files("f.npz", "notop.h5", "f.mat", "filters.mat", "f.pth"))
def test_an_array_of_another_shape_is_named(name, tmp_path):
    kernel, bias = few()["block2_conv1"]
    WRITERS[name](tmp_path / name, {**few(), "block2_conv1": (kernel[:, :, :32], bias)})
    message = refused(tmp_path / name)
    assert "block2_conv1/kernel" in message
    assert "(3, 3, 64, 128)" in message and "(3, 3, 32, 128)" in message


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_an_array_with_what_is_no_number_is_named(value, tmp_path):
    kernel, bias = few()["block1_conv2"]
    write_npz(tmp_path / "f.npz", {**few(), "block1_conv2": (kernel, np.full(bias.shape, value))})
    assert "block1_conv2/bias" in refused(tmp_path / "f.npz")


def test_vgg19_s_file_lacks_nothing_of_vgg16_s_first_blocks(tmp_path):
    write_npz(tmp_path / "f.npz", few())
    assert list(read_filters(tmp_path / "f.npz", "vgg16", LAYERS).arrays) == LAYERS


@pytest.mark.parametrize(
    "name",
    files(
        "f.npz",
        "compressed.npz",
        "notop.h5",
        "f.weights.h5",
        "filters.mat",
        "beta16.mat",
        "f.pth",
        "legacy.pth",
    ),
)
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_a_truncated_file_is_refused(name, share, tmp_path):
    WRITERS[name](tmp_path / name, few())
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
    assert "damaged" in refused(tmp_path / name)


def test_a_file_changed_in_the_middle_is_refused(tmp_path):
    write_npz_compressed(tmp_path / "f.npz", few())
    data = bytearray((tmp_path / "f.npz").read_bytes())
    data[2000:2100] = bytes(range(100, 200))
    (tmp_path / "f.npz").write_bytes(data)
    assert "damaged" in refused(tmp_path / "f.npz")


@pytest.mark.parametrize(
    "content",
    [
        b"\0" * 100,
        b"Dear reader,\nthis is a letter.\n",
        b"PK",
        b"GIF89a" * 40,
        b"\x89HDF\r\n\x1a\n" * 9,
        b"MATLAB 5.0 MAT-file" * 20,
        b"MATLAB 7.3 MAT-file" * 20,
        b"\x80\x02" * 50,
    ],
)
def test_garbage_is_refused(content, tmp_path):
    (tmp_path / "f.h5").write_bytes(content)
    refused(tmp_path / "f.h5")


@pytest.mark.parametrize("layout", ["missing", "empty", "folder"])
def test_no_file_is_refused(layout, tmp_path):
    path = tmp_path / "f.npz"
    {"missing": lambda: None, "empty": path.touch, "folder": path.mkdir}[layout]()
    with pytest.raises(InputError, match=r"^--weights: expected a.* Received: "):
        load_filters(str(path), make_settings(), [], pytest.fail)


# MatConvNet's files


def test_matconvnet_s_layers_are_known_by_their_names(tmp_path):
    cells = matconvnet_layers(few())
    assert cells.size == 7  # three convolutions, three ReLUs, a pooling
    shuffled = cells[:, [6, 0, 5, 3, 2, 1, 4]]
    savemat(tmp_path / "f.mat", {"layers": shuffled})
    found = read_filters(tmp_path / "f.mat", "vgg19", LAYERS).arrays
    for layer in LAYERS:
        assert_array_equal(found[layer][0], few()[layer][0])
        assert_array_equal(found[layer][1], few()[layer][1])


def test_a_mat_of_another_network_is_named_by_its_layers(tmp_path):
    """imagenet-vgg-f.mat begins so."""
    layers = []
    for name, shape in (("conv1", (11, 11, 3, 64)), ("conv2", (5, 5, 64, 256))):
        cell = np.empty((1, 2), object)
        cell[0, :] = np.zeros(shape, np.float32), np.zeros((1, shape[3]), np.float32)
        layers += [{"type": "conv", "name": name, "weights": cell}, {"type": "relu", "name": "r"}]
    savemat(tmp_path / "f.mat", {"layers": np.array(layers, object).reshape(1, -1)})
    message = refused(tmp_path / "f.mat")
    assert "vgg19's layers block1_conv1 to block2_conv1" in message
    assert "lacks block1_conv1/kernel" in message
    assert "has conv1/kernel (11, 11, 3, 64), conv2/kernel (5, 5, 64, 256)" in message


def test_a_mat_for_pictures_of_another_mean_is_refused(tmp_path):
    """VGG-Face has VGG16's layers."""
    mean = {"averageImage": [[129.1863, 104.7624, 93.594]]}
    file = {"layers": matconvnet_layers(few()), "meta": {"normalization": mean}}
    savemat(tmp_path / "f.mat", file)
    message = refused(tmp_path / "f.mat", network="vgg16")
    assert "123.7, 116.8, 103.9" in message and "129.2, 104.8, 93.59" in message


@pytest.mark.parametrize(
    "content, named",
    [
        ({"a": 1.0, "b": "text"}, "a, b"),
        ({"layers": np.ones((3, 3))}, "layers"),
        # A DagNN: a struct array, and its filters elsewhere.
        ({"layers": np.zeros(2, [("name", object), ("type", object)]), "params": 1.0}, "params"),
    ],
)
def test_a_mat_of_something_else_is_refused(content, named, tmp_path):
    savemat(tmp_path / "f.mat", content)
    message = refused(tmp_path / "f.mat")
    assert "a cell array `layers`" in message and named in message


@pytest.mark.parametrize("cells", [["text", 1.0], [{"type": "conv"}], [{"name": "conv1_1"}, []]])
def test_a_mat_whose_cells_are_no_layers_is_refused(cells, tmp_path):
    layers = np.empty((1, len(cells)), object)
    layers[0, :] = cells
    savemat(tmp_path / "f.mat", {"layers": layers})
    assert "lacks block1_conv1/kernel" in refused(tmp_path / "f.mat")


# Whatever else


def test_arrays_of_other_types_are_refused(tmp_path):
    kernel, bias = few()["block1_conv1"]
    for odd in (kernel.astype(complex), kernel.astype(str), kernel != 0):
        write_npz(tmp_path / "f.npz", {**few(), "block1_conv1": (odd, bias)})
        assert "block1_conv1/kernel" in refused(tmp_path / "f.npz")
    write_npz(tmp_path / "f.npz", {**few(), "block1_conv1": (kernel.astype(object), bias)})
    assert "damaged" in refused(tmp_path / "f.npz")


def test_a_zip_or_hdf5_of_something_else_lacks_the_layers(tmp_path):
    with zipfile.ZipFile(tmp_path / "f.npz", "w") as file:
        file.writestr("letter.txt", "Dear reader")
    assert "lacks block1_conv1/kernel" in refused(tmp_path / "f.npz")
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["temperature"] = np.arange(9.0)
        file["block1_conv1/kernel"] = h5py.Empty("f4")
        file["block1_conv2"] = "text"
    refused(tmp_path / "f.h5")


@pytest.fixture(scope="module")
def one_layer(tmp_path_factory):
    """Bytes of a file of block1_conv1 in each layout."""
    folder = tmp_path_factory.mktemp("one")
    arrays = {"block1_conv1": few()["block1_conv1"]}
    whole = {}
    for param in files("f.npz", "compressed.npz", "notop.h5", "model.h5", "f.mat", "f.pth"):
        name = getattr(param, "values", [param])[0]
        if name.endswith(".pth") and not importlib.util.find_spec("torch"):
            continue
        WRITERS[name](folder / name, arrays)
        whole[name] = (folder / name).read_bytes()
    return whole


def mutated(content: bytes, rng) -> bytes:
    """The content with some bytes changed, cut out, doubled, or its end cut off."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 6)):
        # Half of all changes near either end, where formats keep their structure.
        span = len(data) if rng.random() < 0.5 else min(len(data), 400)
        place = (
            int(rng.integers(span))
            if rng.random() < 0.5
            else len(data) - 1 - int(rng.integers(span))
        )
        length = int(rng.integers(1, 9))
        match rng.integers(4):
            case 0:
                data[place : place + length] = rng.bytes(length)
            case 1:
                data[place] ^= 1 << int(rng.integers(8))
            case 2:
                del data[place : place + length]
            case 3:
                data[place:place] = data[place : place + length]
    if rng.random() < 0.1:
        del data[int(rng.integers(len(data))) :]
    return bytes(data)


@pytest.mark.parametrize(
    "name", ["f.npz", "compressed.npz", "notop.h5", "model.h5", "f.mat", "f.pth"]
)
def test_a_mutated_file_is_read_or_refused_in_one_line(name, one_layer, tmp_path, capfd):
    if name not in one_layer:
        pytest.skip("needs torch")
    rng = np.random.default_rng(12)
    refusals = 0
    for _ in range(300):
        (tmp_path / "f").write_bytes(mutated(one_layer[name], rng))
        try:
            settings = make_settings(
                content_layers="block1_conv1",
                style_layers="block1_conv1",
                histogram_layers="block1_conv1",
            )
            filters, _ = load_filters(str(tmp_path / "f"), settings, [], pytest.fail)
            assert all(np.isfinite(a).all() for pair in filters.arrays.values() for a in pair)
        except InputError as error:
            message = str(error)
            assert message.startswith("--weights: expected ") and " Received: " in message
            assert "\n" not in message
            refusals += 1
    assert refusals > 30
    assert "Traceback" not in capfd.readouterr().err
