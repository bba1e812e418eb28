"""Published systems as named settings, and settings made from them."""

import dataclasses
import difflib
from typing import Any

from style_transfer.errors import InputError, shown
from style_transfer.settings import INITS, Settings

# With `auto_weights`: each term's gradient relative to that of the style, found on seven pairs. The
# Gram loss's gradient falls by much more than the others' during a run, so its share at the start
# is large.
AUTO_SHARES = {"content_weight": 0.06, "style_weight": 1.0, "tv_weight": 0.003}
# The default of version 1: the content at one deep layer, two or three sizes.
_GRAM = {
    "content_layers": "block4_conv2",
    "content_weight": 0.025,
    "scales": "auto:1.75",
    "iter": 4,
}
# Keras 1.1 and 2.3, examples/neural_style_transfer.py: the settings that both versions share.
_KERAS = {
    **_GRAM,
    "iter": 10,
    "scales": "1",
    "restarts": True,
    "precondition": 0.0,
    "borders": "zeros",
    "loss_scale": "keras",
    "style_fit": "stretch",
    "resize": "nearest",
    "pooling": "max",
    "precision": "float32",
}
# Settings that the other published systems share: one size, plain pixels, no smoothing.
_SINGLE_SIZE = {
    **_GRAM,
    "scales": "1",
    "precondition": 0.0,
    "borders": "zeros",
    "tv_weight": 0.0,
    "content_weight": 1.0,
}
PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "gram": _GRAM,
    "keras-1": {**_KERAS, "network": "vgg16", "init": "noise", "weights": "imagenet"},
    "keras-2": {**_KERAS, "content_layers": "block5_conv2", "weights": "imagenet"},
    # arXiv 1508.06576; α/β = 10⁻³, the middle of its figure 3.
    "gatys": {
        **_SINGLE_SIZE,
        "init": "noise",
        "loss_scale": "gatys",
        "style_weight": 1000.0,
        "iter": 25,
    },
    # The TensorFlow tutorial on MatConvNet's imagenet-vgg-verydeep-19.mat (pass that as --weights)
    "tensorflow-vgg19": {
        **_SINGLE_SIZE,
        "init": "mixed",
        "loss_scale": "matconvnet",
        "content_layers": "block4_conv2:0.5,block5_conv2:0.5",
        "style_weight": 500.0,
        "optimizer": "adam",
        "iter": 10,
        "evaluations": 100,
    },
    # The PyTorch neural transfer tutorial (pass torchvision's vgg19 file as --weights).
    "pytorch": {
        **_SINGLE_SIZE,
        "loss_scale": "pytorch",
        "content_layers": "block2_conv2:1",
        "style_layers": "block1_conv1:1,block1_conv2:1,block2_conv1:1,block2_conv2:1,"
        "block3_conv1:1",
        "taps": "conv",
        "pooling": "max",
        "style_weight": 1e6,
        "clip": True,
        "iter": 15,
    },
    # arXiv 1701.08893: an image pyramid, Gram and histogram losses, loss weights from gradients.
    "histogram": {
        **_GRAM,
        **AUTO_SHARES,
        "style_loss": "gram+histogram",
        "auto_weights": True,
    },
}


def make_settings(preset: str = "default", **choices) -> Settings:
    """The settings of a preset, with some choices changed.

    Args:
        preset: a key of `PRESETS`.
        **choices: fields of `Settings`; each overrides the preset's value.

    Raises:
        InputError: a preset or choice is unknown, or a value is not allowed.
    """
    if not isinstance(preset, str) or preset not in PRESETS:
        raise InputError(
            f"--preset: expected one of {', '.join(PRESETS)}. Received: {shown(preset)}"
        )
    if {"height", "size"} <= choices.keys() or {"width", "size"} <= choices.keys():
        raise InputError(
            f"--size: expected without --height and --width. Received: {choices['size']!r}"
        )
    if "print" in choices and {"height", "width", "size"} & choices.keys():
        raise InputError(
            "--print: expected without --height, --width and --size. "
            f"Received: {choices['print']!r}"
        )
    settings = Settings(**PRESETS[preset])
    implied = {}
    if choices.get("auto_weights", settings.auto_weights):
        implied |= AUTO_SHARES
    # A run started from a given picture stays at full size.
    if choices.get("init", settings.init) not in INITS:
        implied["scales"] = "1"
    return _replaced(settings, implied | choices)


def with_choices(settings: Settings, choices: dict) -> Settings:
    """The settings of a run that is resumed with some choices changed.

    Raises:
        InputError: a choice is unknown, or a value is not allowed.
    """
    implied = AUTO_SHARES if choices.get("auto_weights") and not settings.auto_weights else {}
    return _replaced(settings, implied | choices)


def _replaced(settings: Settings, choices: dict) -> Settings:
    known = {item.name for item in dataclasses.fields(Settings)}
    for name in choices:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            like = f", such as {near[0]}" if near else ""
            raise InputError(f"{name}: expected a field of Settings{like}. Received: {name!r}")
    return dataclasses.replace(settings, **choices)
