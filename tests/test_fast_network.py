"""The style network, its loss, its strips, its file."""

import io
import json
import zipfile

import h5py
import keras
import numpy as np
import pytest
from conftest import draw
from keras import ops

from style_transfer.errors import InputError
from style_transfer.feedforward import layers
from style_transfer.feedforward.about import About, Style, about_of_file
from style_transfer.feedforward.model_file import read_network, save_network
from style_transfer.feedforward.network import parameters_of, style_network
from style_transfer.feedforward.objective import BatchLoss, as_images
from style_transfer.feedforward.streaming import streamed
from style_transfer.network import feature_extractor
from style_transfer.objective import make_objective
from style_transfer.presets import make_settings
from style_transfer.targets import make_targets
from style_transfer.vgg import Filters

ABOUT = About([Style("night", "0", "")], {}, {}, {"source": "random"}, 10, "float32")


def trained(width=4, seed=0):
    """A network whose every value counts."""
    network, rng = style_network(width, seed=seed), np.random.default_rng(seed)
    for variable in network.weights:
        if "kernel" not in variable.path or "last" in variable.path:
            variable.assign(rng.normal(0.5, 0.4, variable.shape))
    network.about = ABOUT.to_json()
    return network


def float64(variable):
    return ops.convert_to_numpy(variable).astype(np.float64)


def convolved(features, kernel, strides):
    """A convolution of (H, W, C) with its reflected border, in float64, by its definition."""
    size = kernel.shape[0]
    side = size // 2
    padded = np.pad(features, ((side, side), (side, side), (0, 0)), "reflect")
    rows = range(0, features.shape[0], strides)
    columns = range(0, features.shape[1], strides)
    return np.array(
        [
            [np.tensordot(padded[r : r + size, c : c + size], kernel, 3) for c in columns]
            for r in rows
        ]
    )


def expected(network, pixels):
    """The network's picture in float64, from the paper's description."""

    def unit(x, layer):
        if layer.convolution.enlarge == 2:
            x = x.repeat(2, axis=0).repeat(2, axis=1)
        x = convolved(x, float64(layer.convolution.kernel), layer.convolution.strides)
        mean, variance = x.mean(axis=(0, 1)), x.var(axis=(0, 1))
        scale, shift = (float64(v) for v in layer.normalization.weights)
        x = (x - mean) / np.sqrt(variance + layers.NORMALIZATION_EPSILON) * scale + shift
        return np.maximum(x, 0) if layer.relu else x

    start = x = pixels.astype(np.float64) / 127.5 - 1
    for layer in network.encoder:
        x = unit(x, layer)
    for first, second in network.residual_blocks():
        x = x + unit(unit(x, first), second)
    for layer in network.decoder:
        x = unit(x, layer)
    x = x[: pixels.shape[0], : pixels.shape[1]]
    x = convolved(x, float64(network.last.kernel), 1) + float64(network.last.offset)
    gray = layers.CONTRAST * start @ np.array([0.299, 0.587, 0.114])
    return 127.5 * (1 + np.tanh(layers.GAIN * x + np.arctanh(gray)[..., None]))


@pytest.mark.parametrize("size", [(16, 16), (21, 18)])
def test_the_network_is_the_papers(size):
    network, pixels = trained(), np.asarray(draw(*size, seed=1))
    found = ops.convert_to_numpy(network(pixels[None]))[0]
    assert found.shape == pixels.shape
    assert abs(found - expected(network, pixels)).max() < 2e-3  # of 255


def test_a_new_network_starts_from_the_photographs_luminance():
    pixels = np.asarray(draw(20, 24, seed=1))
    found = ops.convert_to_numpy(style_network(4)(pixels[None]))[0]
    gray = pixels @ np.array([0.299, 0.587, 0.114])
    assert abs(found - (127.5 + layers.CONTRAST * (gray - 127.5))[..., None]).max() < 1e-2


@pytest.mark.parametrize("size", [(16, 16), (50, 37), (67, 30), (31, 45)])
@pytest.mark.parametrize("rows", [4, 16, 24])
def test_strips_give_the_picture_of_the_whole(size, rows):
    network, pixels = trained(seed=3), np.asarray(draw(*size, seed=2))
    whole = ops.convert_to_numpy(network(pixels[None]))[0]
    assert abs(streamed(network, pixels, rows) - whole).max() < 1e-4 * 255


CHOICES = [
    {},
    {"style_loss": "wasserstein", "tv_weight": 20.0},
    {"style_loss": "gram+histogram", "histogram_layers": "block1_conv2", "style_blend": "0.7,0.3"},
    {"style_loss": "moments", "taps": "conv", "pooling": "max"},
    {"content_weight": 0.0, "loss_scale": "gatys", "borders": "zeros"},
]


@pytest.mark.parametrize("choices", CHOICES)
def test_the_loss_of_a_batch_is_the_mean_of_the_scripts(filters, choices):
    """Each picture's terms as `make_objective` has them, for a run of its photograph."""
    settings = make_settings(
        **{"content_layers": "block2_conv1", "style_layers": "block1_conv1,block2_conv2"} | choices
    )
    arrays = {name: pair for name, pair in filters["vgg19"].items() if name < "block3"}
    vgg = feature_extractor(Filters("vgg19", arrays), settings, "float32")
    photographs = np.stack([np.asarray(draw(32, 32, seed)) for seed in (1, 2, 3)])
    pictures = np.stack([np.asarray(draw(32, 32, seed)) for seed in (4, 5, 6)]).astype(np.float32)
    styles = [np.asarray(as_images(np.asarray(draw(40, 28, seed))[None])) for seed in (7, 8)]
    styles = styles[: 2 if settings.style_blend else 1]
    loss = BatchLoss(vgg, styles, settings, (3, 32, 32))
    found = ops.convert_to_numpy(loss(photographs, pictures))
    wanted = []
    for photograph, picture in zip(photographs, pictures, strict=True):
        content = np.asarray(as_images(photograph[None]))
        targets = make_targets(vgg, [content, *styles], settings)
        wanted.append(
            make_objective(vgg, targets, settings)(np.asarray(as_images(picture[None])))[0]
        )
    assert np.allclose(found, np.mean(wanted, axis=0), rtol=1e-4)


def test_a_crop_of_little_energy_counts_as_a_photograph(filters):
    """Its content loss is divided by the energy that crops have on average, where that is more."""
    settings = make_settings(content_layers="block1_conv2", style_layers="block1_conv1")
    arrays = {name: pair for name, pair in filters["vgg19"].items() if name < "block2"}
    vgg = feature_extractor(Filters("vgg19", arrays), settings, "float32")
    photograph, picture = (np.asarray(draw(32, 32, seed))[None] for seed in (1, 2))
    style = np.asarray(as_images(np.asarray(draw(40, 28, 3))[None]))
    target = vgg(as_images(photograph))["block1_conv2"]
    energy = float(np.square(float64(target)).sum())

    def terms(factor):
        energies = {"block1_conv2": factor * energy}
        loss = BatchLoss(vgg, [style], settings, (1, 32, 32), energies=energies)
        return ops.convert_to_numpy(loss(photograph, picture.astype(np.float32)))

    plain = ops.convert_to_numpy(
        BatchLoss(vgg, [style], settings, (1, 32, 32))(photograph, picture.astype(np.float32))
    )
    assert np.allclose(terms(0.5), plain, rtol=1e-5)
    assert np.allclose(terms(8), plain * [1 / 8, 1, 1], rtol=1e-5)


def test_a_file_gives_back_the_network(tmp_path):
    network, pixels = trained(), np.asarray(draw(20, 24, seed=1))
    save_network(network, tmp_path / "night.keras", tmp_path)
    again = read_network(tmp_path / "night.keras")
    assert [p.name for p in tmp_path.iterdir()] == ["night.keras"]
    assert np.array_equal(*(ops.convert_to_numpy(n(pixels[None])) for n in (network, again)))
    assert about_of_file(tmp_path / "night.keras") == ABOUT


def test_the_number_of_parameters_is_the_networks():
    network = style_network(4)
    kernels = sum(np.prod(w.shape) for w in network.weights if w.path.endswith("kernel"))
    assert parameters_of(4, network.blocks) == kernels


def test_a_network_trained_in_bfloat16_is_applied_in_float32(tmp_path):
    network = style_network(4, "bfloat16")
    assert network.encoder[0].convolution.compute_dtype == "bfloat16"
    network.about = ABOUT.to_json()
    save_network(network, tmp_path / "night.keras", tmp_path)
    again = read_network(tmp_path / "night.keras")
    assert again.encoder[0].convolution.compute_dtype == "float32"
    assert all(
        np.array_equal(a, b)
        for a, b in zip(network.get_weights(), again.get_weights(), strict=True)
    )


def other_model(path):
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)])
    model.save(path)


def with_lambda(path):
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Lambda(lambda x: x + 1)])
    model.save(path)


def cut(path):
    save_network(trained(), path, path.parent)
    path.write_bytes(path.read_bytes()[:-4000])


def without_weights(path):
    save_network(trained(), path, path.parent)
    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", config)


def members_of(path):
    save_network(trained(), path, path.parent)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_members(path, members, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def of_width(width):
    """A file whose configuration asks for a network of another width."""

    def wide(path):
        members = members_of(path)
        config = json.loads(members["config.json"])
        config["config"]["width"] = width
        write_members(path, members | {"config.json": json.dumps(config)})

    return wide


def bomb(path):
    """64 MiB of zeros in 64 kB."""
    members = members_of(path) | {"assets/zeros": bytes(1 << 26)}
    write_members(path, members, compression=zipfile.ZIP_DEFLATED)


def bomb_of_filters(path):
    """An array of 4 TB, of which nothing is written."""
    members = members_of(path)
    file = io.BytesIO(members["model.weights.h5"])
    with h5py.File(file, "r+") as filters:
        places = []
        filters.visititems(lambda name, item: places.append(name))
        place = next(name for name in places if isinstance(filters[name], h5py.Dataset))
        del filters[place]
        filters.create_dataset(place, (10**6, 10**6), np.float32, chunks=(1000, 1000))
    write_members(path, members | {"model.weights.h5": file.getvalue()})


def text(path):
    path.write_text("no network")


@pytest.mark.parametrize(
    "make",
    [
        other_model,
        with_lambda,
        cut,
        without_weights,
        of_width(10**6),
        of_width(512),
        bomb,
        bomb_of_filters,
        text,
    ],
)
def test_a_file_of_something_else_is_told_in_one_line(make, tmp_path):
    make(tmp_path / "night.keras")
    with pytest.raises(InputError, match=r"^MODEL: expected a network trained by .* Received: .*$"):
        read_network(tmp_path / "night.keras")
