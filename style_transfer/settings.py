"""Every choice a user can make, in one frozen dataclass.

This module imports nothing heavy, so `--help` and a mistyped option answer at once. Each field of
`Settings` is one command-line option and one keyword of `transfer`, with its help text beside it.
"""

import math
from dataclasses import dataclass, field, fields

from style_transfer.errors import InputError, shown
from style_transfer.parsing import (
    LARGEST_SIDE,
    SMALLEST_SIDE,
    automatic_step,
    parse_layers,
    parse_scales,
    parse_sheet,
    parse_size,
)

STYLE_LAYERS = "block1_conv1,block2_conv1,block3_conv1,block4_conv1,block5_conv1"
INITS = ("content", "noise", "mixed", "gray")
SMALLEST_TILE = 32  # pixels; even here most of the work goes into the halo of 80 around it


def choice(default, group: str, text: str, values: tuple = ()):
    """A field of `Settings`, with its option's group, help text and allowed values."""
    return field(default=default, metadata={"group": group, "help": text, "values": values})


@dataclass(frozen=True)
class Settings:
    """All choices of one run. Defaults are the preset `default`.

    Raises:
        InputError: on construction, if a value is not one that its field allows.
    """

    height: int = choice(
        400, "picture", "rows of the result; the width follows the content picture's aspect"
    )
    width: int = choice(
        0, "picture", "columns of the result (0: follow the content picture's aspect)"
    )
    size: str = choice(
        "",
        "picture",
        "instead of the height: pixels of the long side, or content: as large as the content "
        "picture",
    )
    print: str = choice(
        "",
        "picture",
        "instead of the height: the sheet to fill at --dpi, such as 36x27in or 91x69cm",
    )
    dpi: int = choice(
        0, "picture", "pixels per inch, written into the pictures (0: none; 300 with --print)"
    )
    large_pictures: bool = choice(
        False, "picture", "read pictures of any size, even above Pillow's limit"
    )
    init: str = choice(
        "content",
        "picture",
        "start from content, noise, mixed (half of each), gray, the path of a picture, or the path "
        "of a network of fast_style_transfer.py (.keras), which paints the start",
    )
    seed: int = choice(0, "picture", "seed of the noise start and of fitted and random filters")
    resize: str = choice(
        "lanczos",
        "picture",
        "resampling of the input pictures (nearest: as in the original)",
        ("lanczos", "bicubic", "nearest"),
    )
    output: str = choice(
        "png",
        "picture",
        "format of the pictures written: PNG or TIFF (.tif) with 8 or 16 bits per channel, or "
        "JPEG; a PREFIX that ends in .jpg or .tif sets it too",
        ("png", "png16", "jpeg", "tiff", "tiff16"),
    )
    quality: int = choice(95, "picture", "quality of JPEG pictures, 1 to 100")
    preview: int = choice(
        2000,
        "picture",
        "long side, in pixels, to which the pictures before the last are reduced (0: full size)",
    )

    iter: int = choice(6, "optimization", "iterations; a picture is saved after each")
    evaluations: int = choice(20, "optimization", "evaluations of loss and gradient per iteration")
    scales: str = choice(
        "auto",
        "optimization",
        "coarse to fine: sizes as fractions of the height, each with its share of the iterations, "
        "such as 0.25:3,0.5:2,1:2; auto: steps of √2, from 140 rows up; auto:1.75: steps of 1.75",
    )
    optimizer: str = choice("lbfgs", "optimization", "what minimizes the loss", ("lbfgs", "adam"))
    clip: bool = choice(
        False, "optimization", "keep pixel values within 0..255 (L-BFGS: needs --precondition 0)"
    )
    learning_rate: float = choice(2.0, "optimization", "Adam's step, in pixel values 0..255")
    restarts: bool = choice(
        False, "optimization", "forget L-BFGS's memory at every iteration, as the original does"
    )
    precondition: float = choice(
        0.25,
        "optimization",
        "L-BFGS scales each frequency f of the picture by f^-X, so large shapes move first "
        "(0: plain pixels)",
    )

    content_weight: float = choice(0.035, "loss", "weight of the content loss")
    style_weight: float = choice(1.0, "loss", "weight of the style loss")
    tv_weight: float = choice(1.0, "loss", "weight of the total variation loss")
    auto_weights: bool = choice(
        False,
        "loss",
        "treat the three loss weights as shares of the gradient norm, measured at the start of "
        "each size (content 0.06, style 1, total variation 0.003 unless given)",
    )
    normalize_gradients: bool = choice(
        False,
        "loss",
        "scale each layer's gradient so that its absolute values sum to the layer's weight "
        "(needs --optimizer adam)",
    )
    content_layers: str = choice(
        "block2_conv2,block3_conv1,block4_conv2",
        "loss",
        "layers of the content loss; block4_conv2:0.5 gives a layer a loss weight of its own",
    )
    style_layers: str = choice(STYLE_LAYERS, "loss", "layers of the style loss, in the same form")
    loss_scale: str = choice(
        "relative",
        "loss",
        "how terms are normalized: by their target's energy, or as in a published system",
        ("relative", "keras", "gatys", "matconvnet", "pytorch"),
    )
    style_loss: str = choice(
        "gram",
        "loss",
        "which statistics of the style's features are compared",
        ("gram", "histogram", "gram+histogram", "wasserstein", "moments"),
    )
    histogram_layers: str = choice(
        "block4_conv1,block1_conv1", "loss", "layers of the histogram loss"
    )
    histogram_weight: float = choice(
        1.0, "loss", "weight of the histogram loss relative to the rest of the style loss"
    )
    content_mask: str = choice(
        "",
        "loss",
        "picture of flat colors, one per region; each region is painted like the style's region of "
        "that color",
    )
    style_mask: str = choice(
        "", "loss", "the same for the style pictures: one mask each, separated by commas"
    )
    unpainted: str = choice(
        "refuse",
        "loss",
        "what to do with a region that no style picture has: refuse it, or keep it as it is",
        ("refuse", "keep"),
    )
    preserve_color: str = choice(
        "none",
        "picture",
        "keep the content's colors: use only the result's luminance, or match the style's colors",
        ("none", "luminance", "match"),
    )
    style_blend: str = choice(
        "", "loss", "loss weights of several style pictures, such as 0.7,0.3 (default: equal)"
    )
    style_scale: float = choice(
        1.0, "loss", "size of the style pictures relative to the result; above 1: larger strokes"
    )
    style_fit: str = choice(
        "aspect",
        "loss",
        "keep the style pictures' aspect, or stretch them to the result's size (as the original "
        "does)",
        ("aspect", "stretch"),
    )

    network: str = choice("vgg19", "network", "the feature extractor", ("vgg16", "vgg19"))
    weights: str = choice(
        "auto",
        "network",
        "filters: auto, imagenet, fitted, random, or the path of a .weights.h5, .h5, .npz, "
        "MatConvNet (.mat) or PyTorch (.pth) file",
    )
    normalize_filters: bool = choice(
        False,
        "network",
        "rescale the filters so that each one's mean activation on the pictures at hand is 1, as "
        "in the network of Gatys et al. (CVPR 2016)",
    )
    taps: str = choice(
        "relu", "network", "use features after the ReLU or before it", ("relu", "conv")
    )
    pooling: str = choice("average", "network", "pooling between blocks", ("average", "max", "l2"))
    borders: str = choice(
        "repeated",
        "network",
        "what the network sees beyond the picture's edge: the outermost values repeated, or zeros "
        "(as in the original), which leave dark or bright edges",
        ("repeated", "zeros"),
    )
    targets: str = choice(
        "cached",
        "network",
        "compute content and style features once, or at every evaluation in one batch of all "
        "pictures (as the original does; same result, slower)",
        ("cached", "batch"),
    )
    precision: str = choice(
        "auto",
        "network",
        "arithmetic of the network; auto: bfloat16 where the processor has units for it",
        ("auto", "float32", "bfloat16"),
    )

    tile: str = choice(
        "auto",
        "memory",
        "compute pictures in tiles of N x N pixels, with the same result in less memory; auto: "
        "whole while they fit, else in the largest tiles that do; 0: never",
    )
    memory: float = choice(
        0.0,
        "memory",
        "GiB of memory to use at most (0: all that the machine or container has available)",
    )

    def __post_init__(self):
        for item in fields(self):
            object.__setattr__(self, item.name, _checked(item, getattr(self, item.name)))
        parse_layers(self, "content_layers")
        parse_layers(self, "style_layers")
        parse_layers(self, "histogram_layers")
        if bool(self.content_mask) != bool(self.style_mask):
            raise InputError(
                "--content_mask, --style_mask: expected both or neither. "
                f"Received: {self.content_mask!r}, {self.style_mask!r}"
            )
        parse_size(self.size)
        parse_sheet(self.print)
        if automatic_step(self.scales) is None:
            parse_scales(self.scales)
        parse_tile(self.tile)
        if not (self.content_weight or self.style_weight or self.tv_weight):
            raise InputError(
                "--content_weight, --style_weight, --tv_weight: expected at least one above 0. "
                "Received: 0, 0, 0"
            )
        if self.clip and self.precondition and self.optimizer == "lbfgs":
            raise InputError(
                f"--clip: expected with --precondition 0. Received: {self.precondition:g}"
            )
        if self.normalize_gradients and self.optimizer != "adam":
            raise InputError(
                "--normalize_gradients: expected with --optimizer adam, since L-BFGS needs the "
                f"gradient of its loss. Received: {self.optimizer}"
            )
        if self.normalize_gradients and self.auto_weights:
            raise InputError(
                "--normalize_gradients, --auto_weights: expected one of them. Received: both"
            )
        if self.targets == "batch" and self.style_mask:
            raise InputError("--style_mask: expected with --targets cached. Received: batch")
        if self.targets == "batch" and self.style_scale != 1:
            raise InputError(
                "--style_scale: expected 1 with --targets batch, whose pictures share one size. "
                f"Received: {self.style_scale:g}"
            )


# For each numeric field: its smallest value, and what an error line says was expected.
_BOUNDS = {
    "height": (SMALLEST_SIDE, f"a whole number of rows, at least {SMALLEST_SIDE}"),
    "width": (0, "a whole number of columns, or 0"),
    "iter": (1, "a whole number, at least 1"),
    "evaluations": (1, "a whole number, at least 1"),
    "seed": (0, "a whole number, at least 0"),
    "learning_rate": (1e-9, "a number above 0"),
    "precondition": (0, "a number, at least 0"),
    "content_weight": (0, "a number, at least 0"),
    "style_weight": (0, "a number, at least 0"),
    "tv_weight": (0, "a number, at least 0"),
    "histogram_weight": (0, "a number, at least 0"),
    "style_scale": (0.05, "a number, at least 0.05"),
    "memory": (0, "a number of GiB, at least 0"),
    "dpi": (0, "a whole number of pixels per inch, or 0"),
    "quality": (1, "a whole number from 1 to 100"),
    "preview": (0, "a whole number of pixels, or 0"),
}


# Above these, arithmetic overflows, lists of iterations outgrow memory, or names get too long.
_LARGEST = {
    "height": LARGEST_SIDE,
    "width": LARGEST_SIDE,
    "iter": 99_999,
    "evaluations": 1_000_000,
    "seed": 2**63 - 1,
    "learning_rate": 1e6,
    "precondition": 8,
    "style_scale": 100,
    "dpi": 65_535,  # JPEG's largest
    "quality": 100,
    "preview": LARGEST_SIDE,
    "memory": 1_000_000,  # GiB
}


def bounds(name: str) -> tuple[float | None, float | None]:
    """The smallest and the largest value of a numeric field; None where there is no bound."""
    smallest = _BOUNDS[name][0] if name in _BOUNDS else None
    return smallest, _LARGEST.get(name)


def _checked(item, value):
    """The value of one field, converted to the field's type; InputError names its option."""

    def refuse(expected: str):
        return InputError(f"--{item.name}: expected {expected}. Received: {shown(value)}")

    values = item.metadata["values"]
    if values and not (isinstance(value, str) and value in values):
        raise refuse("one of " + ", ".join(values))
    if item.name not in _BOUNDS:
        if not isinstance(value, item.type):
            raise refuse(f"a value of type {item.type.__name__}")
        return value
    smallest, expected = _BOUNDS[item.name]
    try:
        number = item.type(value)
        exact = math.isfinite(number) and (isinstance(value, str) or number == value)
    except (TypeError, ValueError, OverflowError):
        raise refuse(expected) from None
    if not exact or number < smallest:
        raise refuse(expected)
    if number > _LARGEST.get(item.name, number):
        raise refuse(f"at most {_LARGEST[item.name]:,}")
    return number


def parse_tile(text: str) -> int | None:
    """The side of a tile in pixels, 0 for whole pictures; None for `auto`.

    Raises:
        InputError: `text` is something else, or a side below SMALLEST_TILE or above LARGEST_SIDE.
    """
    if text == "auto":
        return None
    side = int(text) if text.isascii() and text.isdecimal() and len(text) <= 9 else -1
    if side and not SMALLEST_TILE <= side <= LARGEST_SIDE:
        raise InputError(
            f"--tile: expected auto, 0, or a side of {SMALLEST_TILE} to {LARGEST_SIDE:,} pixels. "
            f"Received: {shown(text)}"
        )
    return side
