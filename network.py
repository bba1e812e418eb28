"""The feature extractor: VGG16 or VGG19 of keras.applications, cut behind the deepest layer in use.

Simonyan and Zisserman, arXiv 1409.1556. It knows no loss and no file.
"""

import keras
from keras import ops

APPLICATIONS = {"vgg16": keras.applications.VGG16, "vgg19": keras.applications.VGG19}


class L2Pooling2D(keras.layers.Layer):
    """√(mean of squares) over 2 x 2 positions (Hénaff and Simoncelli, arXiv 1511.06394)."""

    def call(self, features):
        mean = ops.average_pool(ops.square(features), 2, 2)
        return ops.sqrt(mean + 1e-6)  # the root's slope at 0 is infinite


class Margin(keras.layers.Layer):
    """Mirrors `width` pixels around a picture, and up to 15 more to the right and below.

    Poolings drop what is left over of a size that is no multiple of 2, so that the last pixels
    would be seen by the first layers alone; and convolutions see zeros behind a picture's edge.
    """

    def __init__(self, width: int, **options):
        super().__init__(**options)
        self.width = width

    def call(self, pictures):
        rows, columns = pictures.shape[1:3]
        down = self.width + -(rows + 2 * self.width) % 16
        right = self.width + -(columns + 2 * self.width) % 16
        widths = ((0, 0), (self.width, down), (self.width, right), (0, 0))
        return ops.pad(pictures, widths, mode="symmetric")

    def compute_output_shape(self, shape):
        return (shape[0], None, None, shape[3])


POOLING = {
    "max": lambda **options: keras.layers.MaxPooling2D(2, 2, **options),
    "average": lambda **options: keras.layers.AveragePooling2D(2, 2, **options),
    "l2": lambda **options: L2Pooling2D(**options),
}


def feature_extractor(
    network: str,
    filters: dict,
    layers: list[str],
    pooling: str = "max",
    precision: str = "float32",
    margin: int = 0,
) -> keras.Model:
    """VGG as a map from pictures to the features of some layers.

    Args:
        network: `vgg16` or `vgg19`.
        filters: (kernel (3, 3, in, out), bias (out,)) by layer name, at least for every
            convolution up to the deepest of `layers`.
        layers: names of convolutions, whose outputs behind the ReLU are wanted.
        pooling: `max`, `average` or `l2`.
        precision: `float32` or `bfloat16`, the arithmetic inside; inputs and outputs of the
            network are float32 either way.
        margin: pixels mirrored around the pictures; 0 leaves them as they are.

    Returns:
        A model from (B, H, W, 3), BGR minus mean, to {layer: (B, H/2^k, W/2^k, N)}.

    Raises:
        ValueError: a kernel of another shape than the layer's.
    """
    policy = "mixed_bfloat16" if precision == "bfloat16" else "float32"
    image = keras.Input((None, None, 3), name="image")
    features, wanted = image, {}
    if margin:
        features = Margin(margin, name="margin")(features)
    for layer in APPLICATIONS[network](include_top=False, weights=None).layers[1:]:
        if isinstance(layer, keras.layers.MaxPooling2D):
            features = POOLING[pooling](name=layer.name, dtype=policy)(features)
            continue
        config = {**layer.get_config(), "dtype": policy, "kernel_initializer": "zeros"}
        convolution = keras.layers.Conv2D.from_config(config)
        features = convolution(features)
        convolution.set_weights(filters[layer.name])
        if layer.name in layers:
            wanted[layer.name] = ops.cast(features, "float32")
        if len(wanted) == len(layers):
            break
    return keras.Model(image, wanted, name=network)


def processor_precision() -> str:
    """`bfloat16` where there is a GPU or the processor has units for it, else `float32`.

    Without such units bfloat16 is emulated, and slower than float32.
    """
    if keras.distribution.list_devices("gpu"):
        return "bfloat16"
    import cpuinfo

    flags = set(cpuinfo.get_cpu_info().get("flags", []))
    return "bfloat16" if flags & {"avx512_bf16", "amx_bf16"} else "float32"
