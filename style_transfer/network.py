"""The feature extractor: VGG16 or VGG19, cut after the deepest layer in use.

Simonyan and Zisserman, arXiv 1409.1556; layers and names are those of keras.applications. This
file knows no loss and no path. Every layer states its own data format and precision, so that
Keras's global settings change nothing.
"""

from collections.abc import Callable, Iterator
from functools import partial, reduce

import keras
import numpy as np
from keras import ops

from style_transfer import backends
from style_transfer.images import IMAGENET_MEAN, TORCH_DEVIATION, TORCH_MEAN
from style_transfer.machine import has_bfloat16_units
from style_transfer.parsing import layers_in_use
from style_transfer.settings import Settings
from style_transfer.vgg import Filters, block_of, kernel_shape, layers_up_to

CHANNELS_LAST = "channels_last"
# With at least this many output channels, a float32 convolution is computed as `WideConv2D`.
WIDE = 256


class WideConv2D(keras.layers.Conv2D):
    """A convolution with fixed filters, computed as a transposed one with the filters flipped.

    The numbers are the same. But TensorFlow's oneDNN reorders the filters of a transposed
    convolution and not those of a plain one, which takes 1.6 times as long with 512 channels. So
    this layer is transposed both forward and backward.
    """

    def build(self, input_shape):
        super().build(input_shape)
        rows, columns, before, out = self.kernel.shape
        self.turned = self.add_weight((rows, columns, out, before), self.kernel_initializer)

    def set_weights(self, weights):
        kernel, bias = weights
        super().set_weights([kernel, bias, np.transpose(kernel[::-1, ::-1], (0, 1, 3, 2))])

    def convolution_op(self, inputs, kernel):
        kernel, turned = map(ops.stop_gradient, (kernel, self.turned))
        return TRANSPOSED[self.padding](inputs, kernel, turned)


def _transposed(padding: str) -> Callable:
    """A convolution of (features, kernel, turned kernel), transposed forward and backward."""
    # Keras before 3.11 has no default for the strides.
    conv_transpose = partial(ops.conv_transpose, strides=1, data_format=CHANNELS_LAST)

    def convolved(features, kernel, turned):
        features = conv_transpose(features, turned, padding="same")
        return features if padding == "same" else features[:, 1:-1, 1:-1]

    def gradient_of(gradient, kernel, turned):
        return conv_transpose(gradient, kernel, padding=padding)

    return backends.with_gradient(convolved, gradient_of)


TRANSPOSED = {padding: _transposed(padding) for padding in ("same", "valid")}


class L2Pooling2D(keras.layers.Layer):
    """√(mean of squares) over 2 x 2 positions (Hénaff and Simoncelli, arXiv 1511.06394)."""

    def __init__(self, padding: str, **options):
        super().__init__(**options)
        self.padding = padding

    def call(self, features):
        squares = ops.square(features)
        mean = ops.average_pool(squares, 2, 2, padding=self.padding, data_format=CHANNELS_LAST)
        return ops.sqrt(mean + 1e-6)  # the root's derivative at 0 is infinite


POOLING: dict[str, Callable] = {
    "max": partial(keras.layers.MaxPooling2D, 2, 2, data_format=CHANNELS_LAST),
    "average": partial(keras.layers.AveragePooling2D, 2, 2, data_format=CHANNELS_LAST),
    "l2": L2Pooling2D,
}


class FeatureExtractor:
    """VGG as a map from pictures to the features of some layers; made by `feature_extractor`.

    Attributes:
        stages: maps each layer, in order, to the function that computes its features from the
            previous layer's. The first takes pictures, (B, H, W, 3), BGR minus mean; each returns
            (B, H/2^k, W/2^k, N), in the precision of the network.
    """

    def __init__(self, stages: dict[str, Callable]):
        self.stages = stages

    def __call__(self, pictures) -> dict:
        """From pictures to {layer: features}, float32."""
        return dict(self.one_by_one(pictures))

    def one_by_one(self, pictures) -> Iterator[tuple]:
        """(layer, features) from pictures, in order, float32; none are kept."""
        features = ops.convert_to_tensor(pictures, "float32")
        for layer, stage in self.stages.items():
            features = stage(features)
            yield layer, ops.cast(features, "float32")


def feature_extractor(
    filters: Filters, settings: Settings, precision: str, layers: list[str] | None = None
) -> FeatureExtractor:
    """VGG, cut after the deepest of some layers.

    Args:
        filters: filters for every convolution up to the deepest of `layers`. Pictures are BGR minus
            mean, whatever input the filters expect.
        settings: `pooling`, `taps` and `borders`. With `borders="zeros"`, as VGG was trained,
            convolutions see zeros beyond the edge, and poolings drop the last row and column of an
            odd size, so that only the first layers see up to 15 pixels at the edge. With `repeated`
            every convolution sees the outermost features repeated, and poolings keep an odd row and
            column.
        precision: `float32` or `bfloat16`, the arithmetic inside; inputs and outputs of the network
            are float32 either way.
        layers: names of the convolutions whose outputs are wanted; None: all that a loss uses.

    Raises:
        ValueError: a kernel does not have its layer's shape.
    """
    layers = layers_in_use(settings) if layers is None else layers
    stages: dict[str, Callable] = {}
    steps: list[Callable] = [_torch_input] if filters.convention == "torch" else []
    block = 1
    for layer in layers_up_to(filters.network, layers):
        if block_of(layer) != block:
            block = block_of(layer)
            padding = "same" if settings.borders == "repeated" else "valid"
            steps.append(POOLING[settings.pooling](padding=padding, dtype=precision))
        if settings.borders == "repeated":
            steps.append(_repeated_border)
        steps.append(_convolution(layer, filters, settings, precision))
        if layer in layers:
            stages[layer] = _chain(steps)
            steps = []
        if settings.taps == "conv":
            steps.append(ops.relu)
    return FeatureExtractor(stages)


def _convolution(
    layer: str, filters: Filters, settings: Settings, precision: str
) -> keras.layers.Conv2D:
    """One convolution with its filters, and with its ReLU unless features are taken before it."""
    *_, before, out = kernel_shape(filters.network, layer)
    wide = out >= WIDE and precision == "float32"
    convolution = (WideConv2D if wide else keras.layers.Conv2D)(
        out,
        3,
        padding="valid" if settings.borders == "repeated" else "same",
        activation="linear" if settings.taps == "conv" else "relu",
        data_format=CHANNELS_LAST,
        kernel_initializer="zeros",
        dtype=precision,
        name=layer,
    )
    convolution.build((None, None, None, before))
    convolution.set_weights(list(filters.arrays[layer]))
    convolution.trainable = False  # else PyTorch keeps arrays for the filters' gradient
    return convolution


def _chain(steps: list[Callable]) -> Callable:
    """One function that applies all steps in order."""
    return lambda features: reduce(lambda x, step: step(x), steps, features)


def _repeated_border(features):
    """Features (B, H, W, N) with the outermost repeated once around, (B, H + 2, W + 2, N)."""
    return ops.pad(features, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="symmetric")


def _torch_input(pictures):
    """From BGR minus mean, (B, H, W, 3), to (BGR / 255 − TORCH_MEAN) / TORCH_DEVIATION, float32.

    This cannot be folded into the first filters, because the zeros with which a convolution pads
    are zeros of the normalized picture.
    """
    factor = 1 / (255 * TORCH_DEVIATION)
    offset = (IMAGENET_MEAN.astype(np.float64) / 255 - TORCH_MEAN) / TORCH_DEVIATION
    factor, offset = (ops.convert_to_tensor(x.astype(np.float32)) for x in (factor, offset))
    return ops.cast(pictures, "float32") * factor + offset


def processor_precision() -> str:
    """`bfloat16` on a GPU, or if the processor has units for it that the backend uses.

    Otherwise `float32`: without such units bfloat16 is emulated, and slower than float32.
    """
    device = str(ops.zeros((), "float32").device).lower()  # where new tensors live
    if "gpu" in device or "cuda" in device:
        return "bfloat16"
    helps = backends.bfloat16_units_help() and has_bfloat16_units()
    return "bfloat16" if helps else "float32"
