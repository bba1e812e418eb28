"""The layers of a style network; each states its own data format, and loads in safe mode."""

from typing import Any

import keras
import numpy as np
from keras import ops

from style_transfer.feedforward.about import PACKAGE

CHANNELS_LAST = "channels_last"
NORMALIZATION_EPSILON = 1e-5  # added to variances; features before it are of order 0.1 to 10
CONTRAST = 0.6  # of the photograph's luminance, from which the network's picture starts
LUMINANCE = np.array([[0.299], [0.587], [0.114]], np.float32)  # ITU-R BT.601
# Factor of the last layer's output. A step of Adam moves all of its 81 · width filter values by the
# same amount; without this factor the first steps would push the picture to the ends of its range,
# where it would stay.
GAIN = 0.05


@keras.saving.register_keras_serializable(PACKAGE)
class ReflectedConv2D(keras.layers.Layer):
    """A convolution that sees its input reflected beyond the edge, and may enlarge it first.

    Enlarging repeats each position twice along both axes. Unlike a transposed convolution, a
    convolution after that makes no checkerboard (Odena et al., Distill 2016).

    Args:
        filters: the number of output channels.
        size: rows and columns of the kernel, odd.
        strides: 1 or 2; the larger half of an odd number of rows is kept.
        enlarge: 1 or 2.
        bias: whether there is one; before a normalization it would have no effect.
    """

    def __init__(
        self,
        filters: int,
        size: int,
        strides: int = 1,
        enlarge: int = 1,
        bias: bool = False,
        **options,
    ):
        super().__init__(**options)
        self.filters, self.size = filters, size
        self.strides, self.enlarge, self.bias = strides, enlarge, bias

    def build(self, input_shape):
        shape = (self.size, self.size, input_shape[-1], self.filters)
        self.kernel = self.add_weight(shape, "zeros", name="kernel")  # see network.style_network
        self.offset = (
            self.add_weight((self.filters,), "zeros", name="offset") if self.bias else None
        )

    def call(self, features):
        if self.enlarge > 1:
            features = repeated(features, self.enlarge)
        side = (self.size // 2, self.size // 2)
        features = ops.pad(features, ((0, 0), side, side, (0, 0)), mode="reflect")
        features = ops.conv(
            features, self.kernel, strides=self.strides, padding="valid", data_format=CHANNELS_LAST
        )
        return features if self.offset is None else features + self.offset

    def get_config(self) -> dict[str, Any]:
        names = ("filters", "size", "strides", "enlarge", "bias")
        return super().get_config() | {name: getattr(self, name) for name in names}


def repeated(features, times: int):
    """Features (B, H, W, N) with each position repeated along both axes, (B, t·H, t·W, N)."""
    batch, rows, columns = ops.shape(features)[:3]
    channels = features.shape[-1]
    features = ops.repeat(ops.repeat(features, times, axis=1), times, axis=2)
    # This keeps the number of channels known to LiteRT's converter if rows and columns are unknown.
    return ops.reshape(features, (batch, times * rows, times * columns, channels))


@keras.saving.register_keras_serializable(PACKAGE)
class InstanceNormalization(keras.layers.Layer):
    """Normalizes each channel of each picture to mean 0 and variance 1, then scales and shifts it.

    Ulyanov et al., arXiv 1607.08022. Statistics are computed in float32, whatever the precision.
    """

    def build(self, input_shape):
        channels = (input_shape[-1],)
        self.scale = self.add_weight(channels, "ones", name="scale")
        self.shift = self.add_weight(channels, "zeros", name="shift")

    def call(self, features):
        mean, variance = ops.moments(ops.cast(features, "float32"), axes=(1, 2), keepdims=True)
        return self.normalized(features, mean, variance)

    def normalized(self, features, mean, variance):
        """Normalize features (B, H, W, N) with given statistics, float32 (B or 1, 1, 1, N)."""
        scale = ops.cast(self.scale, "float32") / ops.sqrt(variance + NORMALIZATION_EPSILON)
        shift = ops.cast(self.shift, "float32") - mean * scale
        return features * ops.cast(scale, features.dtype) + ops.cast(shift, features.dtype)


@keras.saving.register_keras_serializable(PACKAGE)
class Unit(keras.layers.Layer):
    """A convolution, its instance normalization and, except in a residual block's end, a ReLU.

    The arguments are those of `ReflectedConv2D`, and `relu`.
    """

    def __init__(
        self,
        filters: int,
        size: int,
        strides: int = 1,
        enlarge: int = 1,
        relu: bool = True,
        **options,
    ):
        super().__init__(**options)
        self.relu = relu
        precision = self.dtype_policy
        self.convolution = ReflectedConv2D(
            filters, size, strides, enlarge, dtype=precision, name="convolution"
        )
        self.normalization = InstanceNormalization(dtype=precision, name="normalization")

    def build(self, input_shape):
        self.convolution.build(input_shape)
        self.normalization.build((*input_shape[:-1], self.convolution.filters))

    def call(self, features):
        return self.activated(self.normalization(self.convolution(features)))

    def activated(self, features):
        """Features after the ReLU, if there is one."""
        return ops.relu(features) if self.relu else features

    def get_config(self) -> dict[str, Any]:
        convolution = self.convolution
        names = ("filters", "size", "strides", "enlarge")
        config = {name: getattr(convolution, name) for name in names}
        return super().get_config() | config | {"relu": self.relu}


def scaled(photographs):
    """Photographs, RGB 0..255, as -1..1, float32."""
    return ops.cast(photographs, "float32") / 127.5 - 1


def picture_of(photographs, change):
    """The network's picture, RGB 0..255, float32.

    Johnson et al. use 255·(tanh(c) + 1) / 2, which starts gray: after a few hundred steps it has
    the style's colors and none of the content. Here it is tanh(c + artanh(a)) = (t + a) / (1 + t·a)
    with t = tanh(c), where a is the photograph's luminance at lower contrast: training starts with
    the content in place, and stays within the range. If a were the photograph in color, its colors
    would stay.

    Args:
        photographs: the result of `scaled`, (B, H, W, 3).
        change: c, the last layer's output, likewise, in any precision.
    """
    bent = ops.tanh(GAIN * ops.cast(change, "float32"))
    start = CONTRAST * ops.matmul(photographs, ops.convert_to_tensor(LUMINANCE))
    return 127.5 * (1 + (bent + start) / (1 + bent * start))
