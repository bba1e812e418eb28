"""Small pictures made for the tests, and filters to look at them with."""

import os

import numpy as np
import pytest
from PIL import Image

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


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
