"""Parses choices that are written as text: layers with loss weights, sizes, shares, blends."""

from __future__ import annotations

import math
import re
from typing import Protocol

from style_transfer.errors import InputError
from style_transfer.vgg import layer_names

STEP = 2**0.5  # between automatic sizes
LARGEST_SIDE = 1_000_000  # pixels; more must be a typing error
LARGEST_SHEET = 10_000  # inches; likewise
SMALLEST_SIDE = 16  # pixels; a smaller picture has nothing to repaint, and is usually a mistake


class LayerChoices(Protocol):
    """The part of `Settings` that determines which layers a loss uses."""

    @property
    def network(self) -> str: ...

    @property
    def style_loss(self) -> str: ...

    @property
    def histogram_weight(self) -> float: ...


def parse_layers(settings: LayerChoices, name: str) -> dict[str, float]:
    """The layers of one loss with their loss weights.

    Args:
        settings: the run's settings.
        name: a field such as `content_layers`, whose text is like `block1_conv1,block2_conv1:0.5`.

    Returns:
        Loss weight by layer name. A layer without one gets 1 / (number of layers), like the
        original's style layers.

    Raises:
        InputError: a layer is unknown or repeated, or a loss weight is not a number above 0.
    """
    text = getattr(settings, name)
    known = layer_names(settings.network)
    parts = [part.strip() for part in text.split(",") if part.strip()]
    layers = {}
    for part in parts:
        layer, _, weight = part.partition(":")
        if layer not in known:
            raise InputError(
                f"--{name}: expected layers of {settings.network}, "
                f"{known[0]} to {known[-1]}. Received: {layer!r}"
            )
        if layer in layers:
            raise InputError(f"--{name}: expected each layer once. Received: {layer!r} twice")
        layers[layer] = positive(weight, f"--{name}") if weight else 1 / len(parts)
    if not layers:
        raise InputError(f"--{name}: expected at least one layer. Received: {text!r}")
    return layers


def layers_in_use(settings: LayerChoices) -> list[str]:
    """Names of all layers that a loss uses, in the network's order."""
    layers = set(parse_layers(settings, "content_layers"))
    for part in style_parts(settings).values():
        layers |= set(part)
    return sorted(layers)


def style_parts(settings: LayerChoices) -> dict[str, dict[str, float]]:
    """The parts of the style loss: loss weight by layer, by kind (`gram`, …)."""
    parts = {}
    for kind in settings.style_loss.split("+"):
        parts[kind] = parse_layers(settings, "style_layers")
        if kind == "histogram":
            layers = parse_layers(settings, "histogram_layers")
            parts[kind] = {k: v * settings.histogram_weight for k, v in layers.items()}
    return parts


def parse_size(text: str) -> int | None:
    """The long side given by `--size`, in pixels; None for no size or the content's own.

    Raises:
        InputError: `text` is neither `content` nor a whole number of at least 16.
    """
    if text in ("", "content"):
        return None
    is_short = text.isascii() and text.isdecimal() and len(text) <= 9
    if not (is_short and SMALLEST_SIDE <= int(text) <= LARGEST_SIDE):
        raise InputError(
            f"--size: expected the long side in pixels, from {SMALLEST_SIDE} to "
            f"{LARGEST_SIDE:,}, or content. Received: {text!r}"
        )
    return int(text)


def parse_sheet(text: str) -> tuple[float, float] | None:
    """(width, height) in inches of the sheet given by `--print`; None without one.

    Raises:
        InputError: `text` is not two lengths and a unit, like `36x27in` or `91x69cm`.
    """
    if not text:
        return None
    number = r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*"
    found = re.fullmatch(rf"{number}[x×]{number}(in|cm|mm)\s*", text, re.ASCII | re.IGNORECASE)
    unit = {"in": 1.0, "cm": 2.54, "mm": 25.4}[found[3].lower()] if found else 1.0
    width, height = (float(found[1]) / unit, float(found[2]) / unit) if found else (0.0, 0.0)
    if not (min(width, height) > 0 and max(width, height) <= LARGEST_SHEET):
        raise InputError(
            "--print: expected the width and height of a sheet, 36x27in or 91x69cm, each above 0 "
            f"and at most {LARGEST_SHEET:,} inches. Received: {text!r}"
        )
    return width, height


def automatic_step(text: str) -> float | None:
    """The factor between automatic sizes, from `auto` or `auto:1.75`; None if sizes are given.

    Raises:
        InputError: the factor is not a number of at least 1.1.
    """
    name, _, factor = text.partition(":")
    if name.strip() != "auto":
        return None
    step = positive(factor, "--scales") if factor else STEP
    if step < 1.1:
        raise InputError(f"--scales: expected steps of at least 1.1. Received: {text!r}")
    return step


def parse_scales(text: str) -> list[tuple[float, float]]:
    """Pairs of (fraction of the height, share of the iterations) from text like `0.25:1,1:3`.

    Raises:
        InputError: the fractions are not increasing, or do not end at 1.
    """
    pairs = []
    for part in text.split(","):
        fraction, _, share = part.strip().partition(":")
        pairs.append((positive(fraction, "--scales"), positive(share or "1", "--scales")))
    fractions = [fraction for fraction, _ in pairs]
    if fractions != sorted(set(fractions)) or fractions[-1] != 1:
        raise InputError(f"--scales: expected increasing fractions ending in 1. Received: {text!r}")
    return pairs


def parse_blend(text: str, styles: int) -> list[float]:
    """Shares of the style pictures, which sum to 1; equal if `text` is empty.

    Args:
        text: their loss weights, such as `0.7,0.3`.
        styles: the number of style pictures.

    Raises:
        InputError: there is not one loss weight per picture, or one is not a number above 0.
    """
    if not text:
        return [1 / styles] * styles
    weights = [positive(part, "--style_blend") for part in text.split(",")]
    if len(weights) != styles:
        raise InputError(
            f"--style_blend: expected {styles} weights, one for each style picture. "
            f"Received: {len(weights)} ({text!r})"
        )
    return [weight / sum(weights) for weight in weights]


def positive(text: str, option: str) -> float:
    """`text` as a number from 1e-30 to 1e30; InputError names `option`."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 1e-30 <= number <= 1e30:  # sums and ratios of such numbers are finite
        expected = "above 0" if not number > 0 else "from 1e-30 to 1e30"
        raise InputError(f"{option}: expected a number {expected}. Received: {text!r}")
    return number
