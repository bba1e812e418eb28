"""Masks painted with a brush on the page: turns strokes of a few colors into flat pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from style_transfer.errors import InputError
from style_transfer.pictures import load_picture
from style_transfer.studio.places import Places
from style_transfer.studio.uploads import check_limits, keep_picture

COLORS = ("#c8453b", "#2f7fc1", "#3f9b57", "#d9a321")  # of the brush, one per region
BARE = (255, 255, 255)  # the region that no stroke covers
LONGEST_SIDE = 640  # pixels of the picture to paint on
HALF = 128  # alpha from which a stroke counts


def canvas_of(path: Path) -> Image.Image:
    """A picture to paint on: small, because regions are large."""
    image = load_picture(path).image.copy()
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return image


def mask_of(painted: Sequence[str | Path] | None) -> Image.Image | None:
    """The mask that strokes make.

    Args:
        painted: files of the layers with the strokes, with alpha.

    Returns:
        A picture of flat colors: `COLORS`, and `BARE` where there is no stroke; None if there are
        no strokes.
    """
    layers = [_layer(Path(path)) for path in painted or []]
    if not layers:
        return None
    columns, rows = layers[0].size
    palette = np.array([_rgb(color) for color in COLORS])
    pixels = np.full((rows, columns, 3), BARE, np.uint8)
    touched = False
    for layer in layers:
        values = np.asarray(layer.resize((columns, rows)))  # (H, W, 4)
        covered = values[..., 3] >= HALF
        if covered.any():
            touched = True
            strokes = values[covered][:, :3].astype(np.int32)
            distances = ((strokes[:, None] - palette[None]) ** 2).sum(axis=-1)
            pixels[covered] = palette[distances.argmin(axis=-1)]
    return Image.fromarray(pixels) if touched else None


def keep_masks(photograph: Any, paintings: list[Any], places: Places) -> dict[str, str]:
    """The masks of a run as choices; none if nothing was painted on the photograph.

    Args:
        photograph: the strokes on it, as for `mask_of`.
        paintings: the strokes on each painting; one without strokes is bare everywhere.
        places: the studio's places.
    """
    first = mask_of(photograph)
    if first is None:
        return {}
    masks = [first]
    for painted in paintings:
        masks.append(mask_of(painted) or Image.new("RGB", (64, 64), BARE))
    paths = [str(keep_picture(load_picture(mask), places, "regions")) for mask in masks]
    return {"content_mask": paths[0], "style_mask": ",".join(paths[1:])}


def _layer(path: Path) -> Image.Image:
    """A layer, mode RGBA.

    Raises:
        InputError: it is not a picture, or exceeds the limits of uploads.
    """
    check_limits(path, "regions")
    try:
        with Image.open(path) as opened:
            return opened.convert("RGBA")
    except (OSError, ValueError):
        raise InputError(f"regions: expected strokes. Received: {path.name!r}") from None


def _rgb(color: str) -> tuple[int, ...]:
    return tuple(int(color[i : i + 2], 16) for i in (1, 3, 5))
