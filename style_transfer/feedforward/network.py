"""The network of one style, which turns a photograph into a painting in one pass.

It has the layers of Johnson et al. (arXiv 1603.08155, supplementary material, table 1), with later
improvements: instance normalization, reflected borders, and repetition followed by a convolution
instead of transposed convolutions.
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from style_transfer.feedforward.about import PACKAGE
from style_transfer.feedforward.layers import (
    ReflectedConv2D,
    Unit,
    picture_of,
    scaled,
)

WIDTH, BLOCKS = 32, 5  # as in the paper
LARGEST_WIDTH, MOST_BLOCKS = 512, 64  # of a file; larger networks are not this program's
STEP = 4  # rows and columns of a photograph for one position of the residual blocks


@keras.saving.register_keras_serializable(PACKAGE)
class StyleNetwork(keras.Model):
    """Turns photographs into paintings, both RGB 0..255, (B, H, W, 3), of at least 16 x 16 pixels.

    Args:
        width: channels after the first layer; the residual blocks have four times as many.
        blocks: the number of residual blocks.
        about: the description of its training, as JSON; see about.py.

    Raises:
        ValueError: no network of this program has such a width or number of blocks.
    """

    def __init__(
        self,
        width: int = WIDTH,
        blocks: int = BLOCKS,
        about: str = "",
        **options,
    ):
        super().__init__(**({"dtype": "float32"} | options))  # regardless of keras.json
        for name, value, most in (("width", width, LARGEST_WIDTH), ("blocks", blocks, MOST_BLOCKS)):
            if type(value) is not int or not 1 <= value <= most:
                raise ValueError(f"{name}: expected a whole number from 1 to {most}")
        if not isinstance(about, str):
            raise ValueError("about: expected text")
        self.width, self.blocks, self.about = width, blocks, about
        same = {"dtype": self.dtype_policy}
        self.encoder = [
            Unit(width, 9, name="encoder_1", **same),
            Unit(2 * width, 3, strides=2, name="encoder_2", **same),
            Unit(4 * width, 3, strides=2, name="encoder_3", **same),
        ]
        self.residual = [
            Unit(4 * width, 3, relu=half == 1, name=f"residual_{block}_{half}", **same)
            for block in range(1, blocks + 1)
            for half in (1, 2)
        ]
        self.decoder = [
            Unit(2 * width, 3, enlarge=2, name="decoder_1", **same),
            Unit(width, 3, enlarge=2, name="decoder_2", **same),
        ]
        self.last = ReflectedConv2D(3, 9, bias=True, name="last", **same)

    def build(self, input_shape):
        channels = 3
        for unit in (*self.encoder, *self.residual, *self.decoder):
            unit.build((None, None, None, channels))
            channels = unit.convolution.filters
        self.last.build((None, None, None, channels))
        self.built = True

    def call(self, photographs):
        start = features = scaled(photographs)
        for unit in self.encoder:
            features = unit(features)
        for first, second in self.residual_blocks():
            features = features + second(first(features))
        for unit in self.decoder:
            features = unit(features)
        rows, columns = ops.shape(photographs)[1:3]  # the enlarged map may have up to 3 more
        return picture_of(start, self.last(features[:, :rows, :columns]))

    def residual_blocks(self) -> list[tuple[Unit, Unit]]:
        """The two units of each residual block."""
        return list(zip(self.residual[::2], self.residual[1::2], strict=True))

    def get_config(self) -> dict[str, Any]:
        own = {"width": self.width, "blocks": self.blocks, "about": self.about}
        return {"name": self.name, **own}


def parameters_of(width: int, blocks: int) -> int:
    """The number of values in a network's convolutions; see `StyleNetwork`."""
    encoder = 81 * 3 * width + 9 * (2 + 8) * width**2
    return encoder + 2 * blocks * 9 * 16 * width**2 + 9 * (8 + 2) * width**2 + 81 * 3 * width


def style_network(
    width: int = WIDTH, precision: str = "float32", seed: int = 0, blocks: int = BLOCKS
) -> StyleNetwork:
    """A new network, with filters of He's variance 2 / fan-in (arXiv 1502.01852).

    Args:
        width: see `StyleNetwork`.
        precision: the precision of its arithmetic, `float32` or `bfloat16`; filters are float32
            either way.
        seed: the seed of its filters, which are the same on every backend.
        blocks: see `StyleNetwork`.
    """
    policy = "float32" if precision == "float32" else f"mixed_{precision}"
    network = StyleNetwork(width, blocks, dtype=policy)
    network.build((None, None, None, 3))
    rng = np.random.default_rng(seed)
    for unit in (*network.encoder, *network.residual, *network.decoder):
        kernel = unit.convolution.kernel
        deviation = np.sqrt(2 / np.prod(kernel.shape[:3]))
        kernel.assign(rng.normal(0, deviation, kernel.shape).astype(np.float32))
    return network
