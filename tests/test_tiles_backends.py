"""Tiles beside the whole picture below each backend: few cases, for `make test-backends`.

tests/test_tiles.py has all of them, and runs below every backend too.
"""

import keras
import pytest
from test_tiles import compare, images_of, network_for

from style_transfer import backends
from style_transfer.presets import make_settings

pytestmark = [
    pytest.mark.skipif(
        keras.backend.backend() == "tensorflow", reason="test_tiles.py has these cases and more"
    ),
    pytest.mark.timeout(900),  # JAX compiles each shape for minutes on a busy machine
]
SIZES = (65, 129), (83, 60)  # of picture and style: a 257 x 511 brought down, odd as well
BLOCK_3 = {
    "content_layers": "block2_conv2",
    "style_layers": "block1_conv1:0.7,block3_conv1:0.3",
    "precision": "float32",
}


@pytest.fixture(scope="module", autouse=True)
def _started():
    backends.start()


@pytest.mark.parametrize(
    ("pooling", "borders"), [("average", "repeated"), ("max", "zeros"), ("l2", "repeated")]
)
def test_poolings_and_borders(filters, pooling, borders):
    settings = make_settings(**BLOCK_3, pooling=pooling, borders=borders)
    compare(network_for(filters, settings), settings, 32, *images_of(*SIZES))


def test_means_and_covariances(filters):
    settings = make_settings(**BLOCK_3, style_loss="moments")
    images, image = images_of(*SIZES)
    compare(network_for(filters, settings), settings, 32, images, image, tolerances=(3e-6, 2e-5))


def test_a_deeper_layer_at_odd_sides(filters):
    layers = {"content_layers": "block3_conv1", "style_layers": "block2_conv1,block4_conv1"}
    settings = make_settings(**BLOCK_3 | layers, borders="zeros")
    compare(network_for(filters, settings), settings, 32, *images_of((33, 121), (41, 60)))
