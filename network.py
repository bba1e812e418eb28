"""The feature extractor: VGG16 or VGG19 of keras.applications, cut behind the deepest layer in use.

Simonyan and Zisserman, arXiv 1409.1556. It knows no loss and no file of a run.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial, reduce
from pathlib import Path

import keras
import numpy as np
from keras import ops

from autodiff import with_gradient
from preprocessing import IMAGENET_MEAN

BFLOAT16_UNITS = {"avx512_bf16", "amx_bf16"}  # by Linux's names
APPLICATIONS = {"vgg16": keras.applications.VGG16, "vgg19": keras.applications.VGG19}


class WideConv2D(keras.layers.Conv2D):
    """A convolution with fixed filters, computed as the transposed one with the filters turned.

    The numbers are the same. But TensorFlow's oneDNN brings filters into its own order for a
    transposed convolution and leaves them as they are for a plain one, which with 512 channels takes
    1.6 times as long; so this one is transposed forward and backward.
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


def transposed(padding: str) -> Callable:
    """A convolution of (features, kernel, turned kernel), transposed forward and backward."""

    def convolved(features, kernel, turned):
        features = ops.conv_transpose(features, turned, padding="same")
        return features if padding == "same" else features[:, 1:-1, 1:-1]

    def gradient_of(gradient, kernel, turned):
        return ops.conv_transpose(gradient, kernel, padding=padding)

    return with_gradient(convolved, gradient_of)


TRANSPOSED = {padding: transposed(padding) for padding in ("same", "valid")}


class L2Pooling2D(keras.layers.Layer):
    """√(mean of squares) over 2 x 2 positions (Hénaff and Simoncelli, arXiv 1511.06394)."""

    def __init__(self, padding: str, **options):
        super().__init__(**options)
        self.padding = padding

    def call(self, features):
        mean = ops.average_pool(ops.square(features), 2, 2, padding=self.padding)
        return ops.sqrt(mean + 1e-6)  # the root's slope at 0 is infinite


POOLING = {
    "max": partial(keras.layers.MaxPooling2D, 2, 2),
    "average": partial(keras.layers.AveragePooling2D, 2, 2),
    "l2": L2Pooling2D,
}
# torchvision's pictures, values 0..1: mean and standard deviation of B, G, R, as the documentation
# of its models gives them for R, G, B.
TORCH_MEAN = np.array([0.406, 0.456, 0.485])
TORCH_DEVIATION = np.array([0.225, 0.224, 0.229])


class FeatureExtractor:
    """VGG as a map from pictures to the features of some layers; made by `feature_extractor`."""

    def __init__(self, stages: dict[str, Callable]):
        """By layer, in order, the function from the features of the one before to its own.

        The first takes pictures, (B, H, W, 3), BGR minus mean; each returns (B, H/2^k, W/2^k, N),
        in the precision of the network.
        """
        self.stages = stages

    def __call__(self, pictures) -> dict:
        """From pictures to {layer: features}, float32."""
        return dict(self.one_by_one(pictures))

    def one_by_one(self, pictures) -> Iterator[tuple]:
        """(layer, features) from pictures, in order; none are kept."""
        features = ops.convert_to_tensor(pictures, "float32")
        for layer, stage in self.stages.items():
            features = stage(features)
            yield layer, ops.cast(features, "float32")


def feature_extractor(
    network: str,
    filters: dict,
    layers: list[str],
    pooling: str = "max",
    precision: str = "float32",
    borders: str = "zeros",
    taps: str = "relu",
    input_convention: str = "caffe",
) -> FeatureExtractor:
    """VGG, cut behind the deepest of some layers.

    Args:
        network: `vgg16` or `vgg19`.
        filters: (kernel (3, 3, in, out), bias (out,)) by layer name, at least for every
            convolution up to the deepest of `layers`.
        layers: names of convolutions, whose outputs behind the ReLU are wanted.
        pooling: `max`, `average` or `l2`.
        precision: `float32` or `bfloat16`, the arithmetic inside; inputs and outputs of the
            network are float32 either way.
        taps: `relu` or `conv`, whether the wanted features are those behind or before the ReLU.
        borders: `zeros`, as VGG was trained: convolutions see zeros behind the edge, and poolings
            drop the last row and column of an odd size, so that up to 15 pixels at the edge are
            seen by the first layers alone. `repeated`: every convolution sees the outermost
            features repeated, and poolings keep an odd row and column.
        input_convention: what the filters expect, `caffe` (BGR minus mean) or `torch` (BGR as well,
            but normalised as torchvision does). Pictures come as the former either way.

    Raises:
        ValueError: a kernel of another shape than the layer's.
    """
    with keras.StatelessScope(initialize_variables=False):  # to be read, not to be run
        architecture = APPLICATIONS[network](include_top=False, weights=None)
    stages, steps = {}, []
    if input_convention == "torch":
        steps.append(torch_input())
    for layer in architecture.layers[1:]:
        if isinstance(layer, keras.layers.MaxPooling2D):
            padding = "same" if borders == "repeated" else "valid"
            steps.append(POOLING[pooling](padding=padding, dtype=precision))
            continue
        config = {**layer.get_config(), "dtype": precision, "kernel_initializer": "zeros"}
        if borders == "repeated":
            config["padding"] = "valid"
            steps.append(repeated_border)
        if taps == "conv":
            config["activation"] = "linear"
        wide = config["filters"] >= 256 and precision == "float32"
        kernel, bias = filters[layer.name]
        convolution = (WideConv2D if wide else keras.layers.Conv2D).from_config(config)
        convolution.build((None, None, None, kernel.shape[2]))
        convolution.set_weights([kernel, bias])
        convolution.trainable = False  # PyTorch would keep what the filters' gradient needs
        steps.append(convolution)
        if layer.name in layers:
            stages[layer.name] = chain(steps)
            steps = []
        if len(stages) == len(layers):
            break
        if taps == "conv":
            steps.append(ops.relu)
    return FeatureExtractor(stages)


def chain(steps: list[Callable]) -> Callable:
    """One function of all steps, each taking what the one before returns."""
    return lambda features: reduce(lambda x, step: step(x), steps, features)


def repeated_border(features):
    """Features (B, H, W, N) with the outermost repeated once around, (B, H + 2, W + 2, N)."""
    return ops.pad(features, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="symmetric")


def torch_input() -> keras.layers.Layer:
    """From BGR minus mean, (B, H, W, 3), to (BGR / 255 − TORCH_MEAN) / TORCH_DEVIATION, float32.

    A layer, since the first filters cannot take it in: the zeros that a convolution pads with are
    those of the normalised picture.
    """
    scale = 1 / (255 * TORCH_DEVIATION)
    offset = (IMAGENET_MEAN.astype(np.float64) / 255 - TORCH_MEAN) / TORCH_DEVIATION
    return keras.layers.Rescaling(scale, offset, dtype="float32", name="torch_input")


def processor_precision() -> str:
    """`bfloat16` where there is a GPU or the processor has units for it, else `float32`.

    Without such units bfloat16 is emulated, and slower than float32.
    """
    device = str(ops.zeros(()).device).lower()  # where new tensors live, on any backend
    if "gpu" in device or "cuda" in device:
        return "bfloat16"
    return "bfloat16" if processor_flags() & BFLOAT16_UNITS else "float32"


def processor_flags() -> set[str]:
    """What the processor can do, by Linux's names."""
    with suppress(OSError):  # py-cpuinfo reads it too, but takes a second to
        return set(Path("/proc/cpuinfo").read_text().split())
    import cpuinfo

    return set(cpuinfo.get_cpu_info().get("flags", []))
