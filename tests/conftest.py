"""Small pictures made for the tests, and filters to look at them with."""

import dataclasses
import functools
import importlib.util
import os

import numpy as np
import pytest
from PIL import Image

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("NST_FILTERS_CACHE", "off")  # tests write nothing into the user's folders

# arXiv 1409.1556, table 1, columns D and E.
CONVOLUTIONS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
CHANNELS = (64, 128, 256, 512, 512)
with_torch = pytest.mark.skipif(not importlib.util.find_spec("torch"), reason="needs torch")


def draw(rows: int, columns: int, seed: int) -> Image.Image:
    """A picture of soft colours with some grain, the same for the same seed."""
    rng = np.random.default_rng(seed)
    colours = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8))
    soft = np.asarray(colours.resize((columns, rows), Image.Resampling.BICUBIC), np.float64)
    grain = rng.normal(0, 12, soft.shape)
    return Image.fromarray(np.clip(soft + grain, 0, 255).astype(np.uint8))


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """A folder with base.png (40 x 56), style.png (48 x 36) and style2.png (33 x 70)."""
    folder = tmp_path_factory.mktemp("pictures")
    draw(40, 56, seed=1).save(folder / "base.png")
    draw(48, 36, seed=2).save(folder / "style.png")
    draw(33, 70, seed=3).save(folder / "style2.png")
    return folder


@pytest.fixture(scope="session")
def base(pictures):
    return str(pictures / "base.png")


@pytest.fixture(scope="session")
def style(pictures):
    return str(pictures / "style.png")


@pytest.fixture(scope="session")
def style2(pictures):
    return str(pictures / "style2.png")


@pytest.fixture(scope="session")
def filters():
    """Random filters with biases for all convolutions, by network."""
    drawn = {}
    for network, convolutions in CONVOLUTIONS.items():
        rng, before = np.random.default_rng(4), 3
        drawn[network] = {}
        for block, (count, out) in enumerate(zip(convolutions, CHANNELS, strict=True), start=1):
            for number in range(1, count + 1):
                kernel = rng.normal(0, (2 / (9 * before)) ** 0.5, (3, 3, before, out))
                bias = rng.normal(0, 3, out)
                drawn[network][f"block{block}_conv{number}"] = (
                    kernel.astype(np.float32),
                    bias.astype(np.float32),
                )
                before = out
    return drawn


@pytest.fixture(scope="session")
def filters_file(filters, tmp_path_factory):
    """Path of an .npz file of a network's filters up to block5_conv2."""

    @functools.cache
    def write(network: str) -> str:
        path = tmp_path_factory.mktemp("filters") / f"{network}.npz"
        arrays = {}
        for name, (kernel, bias) in filters[network].items():
            if name <= "block5_conv2":
                arrays |= {f"{name}/kernel": kernel, f"{name}/bias": bias}
        np.savez(path, **arrays)
        return str(path)

    return write


@pytest.fixture
def prefix(tmp_path):
    """Of a run on disk whose first two of four iterations are done."""
    from made_runs import begun, carry_out, new_record

    prefix = str(tmp_path / "run")
    with begun(new_record(), prefix, journal=False) as run:
        carry_out(run, 2)
    return prefix


@pytest.fixture(scope="module")
def light(tmp_path_factory):
    """Runs the program with a light objective; see light.py."""
    from light import Light

    light = Light(tmp_path_factory.mktemp("light"))
    yield light
    light.server.stdin.close()
    light.server.wait()


@pytest.fixture
def atelier(tmp_path, monkeypatch):
    """A studio without its server; see atelier.py."""
    from atelier import Atelier

    monkeypatch.setenv("STUDIO_FAULTS", "{}")
    made = Atelier(tmp_path / "out")
    made.painter.start()
    yield made
    made.painter.close()


@pytest.fixture(scope="session")
def extractor(filters):
    """Extractors by network, layers, pooling and taps, each built once."""
    from style_transfer.network import feature_extractor
    from style_transfer.parsing import layers_in_use
    from style_transfer.vgg import Filters

    built = {}

    def build(settings):
        layers = layers_in_use(settings)
        key = settings.network, settings.pooling, settings.taps, *layers
        if key not in built:
            # The reference's edges are of zeros, as VGG was trained.
            built[key] = feature_extractor(
                Filters(settings.network, filters[settings.network]),
                dataclasses.replace(settings, borders="zeros"),
                "float32",
            )
        return built[key]

    return build


@pytest.fixture
def folders(tmp_path):
    """photos/ with a, b and c, paintings/ with x and y; out/ is not there yet."""
    for kind, names, seed in (("photos", "abc", 1), ("paintings", "xy", 20)):
        (tmp_path / kind).mkdir()
        for number, name in enumerate(names):
            draw(40, 50 + 2 * number, seed + number).save(tmp_path / kind / f"{name}.png")
    return tmp_path


@pytest.fixture
def two_blocks(monkeypatch):
    """Sheets over the first two of VGG's blocks, for time's sake."""
    from recipes import reconstruct_layers, weight_grid

    monkeypatch.setattr(reconstruct_layers, "BLOCKS", range(1, 3))
    monkeypatch.setattr(weight_grid, "BLOCKS", range(1, 3))


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A folder of eleven photographs to train on."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(11):
        draw(40 + number, 56 - number, seed=number).save(folder / f"photo {number}.png")
    return folder


@pytest.fixture(scope="session")
def painting(tmp_path_factory):
    """The path of a painting whose style is learned."""
    path = tmp_path_factory.mktemp("painting") / "night.png"
    draw(48, 36, seed=20).save(path)
    return path


@pytest.fixture(scope="session")
def network(photos, painting, tmp_path_factory):
    """The path of a style network that has learned for a few steps."""
    from fast_program import TINY

    import fast_style_transfer

    path = tmp_path_factory.mktemp("network") / "night.keras"
    fast_style_transfer.train(painting, photos, path, steps=30, learning_rate=0.01, **TINY)
    return path
