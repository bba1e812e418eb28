"""Masks: pictures of flat colors, one per region; soft edges and JPEG noise are tolerated.

A color is a region if it fills at least one square of three by three pixels. Pixels of other colors
are soft edges or compression noise, and are assigned to the nearest region.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from style_transfer.errors import InputError
from style_transfer.pictures import Picture, load_picture

Color = tuple[int, int, int]  # R, G, B, 0..255

LARGEST_INDEX = 64  # regions of a mask; a photograph has thousands of colors
SMALLEST_SHARE = 0.001  # of the pixels, that a region must cover in a mask with more colors
FLAT_SHARE = 0.25  # of the pixels, at least, are inside flat squares; hardly any in a photograph
NEAR_SHARE = 0.5  # of the pixels, at least, have a color close to a region's
SAME = 8  # RGB distance up to which flat colors count as one, in a mask with more colors
CLOSE = 32  # the same for a color ten times as rare, and between style masks and content mask
BLEND = 8  # largest RGB distance of a soft edge's color from the line between two regions' colors
REACH = 32  # pixels from a region up to which a soft edge follows its neighbors


@dataclass(frozen=True)
class Masks:
    """The masks of a run.

    Attributes:
        pictures: the content's mask, then each style picture's; their images have only flat
            colors, the same color for the same region.
        unpainted: colors of the content's mask that are in no style's; only with
            `unpainted="keep"`.
        remarks: lines for the user about soft edges.
    """

    pictures: list[Picture]
    unpainted: tuple[Color, ...] = ()
    remarks: tuple[str, ...] = ()


def load_masks(content_mask: Any, style_masks: Iterable[Any], unpainted: str = "refuse") -> Masks:
    """Read the masks of a content picture and its style pictures.

    Args:
        content_mask: path or picture, as for `load_picture`.
        style_masks: likewise, one for each style picture.
        unpainted: whether to `refuse` or `keep` regions of the content that no style picture has.

    Raises:
        InputError: a mask looks like a photograph, or no style picture has a region.
    """
    pictures = [load_picture(content_mask, "--content_mask")]
    pictures += [load_picture(mask, "--style_mask") for mask in style_masks]
    names = ["--content_mask"] + ["--style_mask"] * (len(pictures) - 1)
    masks, remarks, colors = [], [], []
    for picture, name in zip(pictures, names, strict=True):
        image, own, moved = _cleaned(picture, name, colors[0] if colors else ())
        if moved:
            size = image.width * image.height
            remarks.append(
                f"{name}: {moved:,} of {size:,} pixels of {_name(picture)} have a color "
                f"between those of its {len(own)} regions; they go to the nearest region."
            )
        masks.append(replace(picture, image=image))
        colors.append(own)
    unmatched = sorted(set(colors[0]).difference(*colors[1:]))
    if unmatched and (unpainted != "keep" or len(unmatched) == len(colors[0])):
        listed = ", ".join("#{:02x}{:02x}{:02x}".format(*color) for color in unmatched)
        expected = "every color" if unpainted != "keep" else "at least one color"
        raise InputError(
            f"--style_mask: expected {expected} of --content_mask. Received: none for {listed}"
        )
    return Masks(masks, tuple(unmatched), tuple(remarks))


def regions(mask: Image.Image, size: tuple[int, int]) -> dict[Color, np.ndarray]:
    """Regions of a mask resized by nearest neighbor.

    Args:
        mask: a mask with only flat colors, from `load_masks`.
        size: (rows, columns).

    Returns:
        {color: bool (rows, columns)}.
    """
    if mask.size != size[::-1]:
        mask = mask.resize(size[::-1], Image.Resampling.NEAREST)
    packed = _packed(np.asarray(mask))
    return {_unpacked(value): packed == value for value in np.unique(packed)}


def _packed(pixels: np.ndarray) -> np.ndarray:
    """RGB, uint8 (..., 3), as one number per color: 0xRRGGBB, which sorts as the colors do."""
    red, green, blue = np.moveaxis(pixels.astype(np.int32), -1, 0)
    return red << 16 | green << 8 | blue


def _unpacked(value: int) -> Color:
    value = int(value)
    return value >> 16, value >> 8 & 255, value & 255


def _name(picture: Picture) -> str:
    return repr(picture.path) if picture.path else "a picture from memory"


def _cleaned(
    picture: Picture, name: str, known: Sequence[Color]
) -> tuple[Image.Image, list[Color], int]:
    """A mask reduced to its regions' colors.

    Args:
        picture: the mask as it was read.
        name: its option, for errors.
        known: the content mask's colors, which a style mask's colors are matched to.

    Returns:
        (the mask's image, the regions' colors, the number of pixels whose color changed).
    """
    packed = _packed(np.asarray(picture.image))
    colors, counts = np.unique(packed, return_counts=True)
    flat = _flat(packed)
    if len(colors) <= LARGEST_INDEX:
        found = _colors_of_index_picture(colors, counts, np.unique(packed[flat]))
    else:
        found = _colors_of_noisy_picture(packed, flat)
    if found is None:
        raise InputError(
            "--content_mask, --style_mask: expected pictures of flat colors, at most "
            f"{LARGEST_INDEX}. Received: {name} {_name(picture)}, which is more like a photograph"
        )
    own = [_unpacked(value) for value in found]
    named = _matched(own, known)
    if len(found) == len(colors) and named == own:
        return picture.image, own, 0
    labels = _labels(packed, np.asarray(found), flat)
    pixels = np.array(named, np.uint8)[labels]
    moved = int((np.asarray(found)[labels] != packed).sum())
    return Image.fromarray(pixels), sorted(set(named)), moved


def _flat(packed: np.ndarray) -> np.ndarray:
    """Pixels at the center of three by three pixels of one color, bool (H, W)."""
    same = np.zeros(packed.shape, bool)
    middle = packed[1:-1, 1:-1]
    same[1:-1, 1:-1] = True
    rows, columns = packed.shape
    for down in range(3):
        for right in range(3):
            window = packed[down : rows - 2 + down, right : columns - 2 + right]
            same[1:-1, 1:-1] &= window == middle
    return same


def _colors_of_index_picture(
    colors: np.ndarray, counts: np.ndarray, flat: np.ndarray
) -> list[int] | None:
    """The regions' colors in a mask of few colors: all but those of soft edges. None if too many.

    A soft edge's color fills no square, and is a blend of two regions' colors, rare, or close to a
    region's.
    """
    regions_colors = set(flat.tolist())
    if len(regions_colors) < 2:
        return colors.tolist()
    rare = max(4, SMALLEST_SHARE * counts.sum())
    ends = _vectors(flat)
    frequency = counts[np.searchsorted(colors, flat)]
    found = []
    for color, count in zip(colors.tolist(), counts.tolist(), strict=True):
        vector = _vectors(np.array(color))
        noise = (np.linalg.norm(ends - vector, axis=-1) <= CLOSE) & (frequency >= 10 * count)
        soft = count <= rare or noise.any() or _is_blend(vector, ends)
        if color in regions_colors or not soft:
            found.append(color)
    if 2 * len(found) < len(colors):  # mostly noise, which may happen to fill squares
        return _without_noise(np.array(found), counts[np.searchsorted(colors, found)])
    return found


def _vectors(packed: np.ndarray) -> np.ndarray:
    """Packed colors as float64 (n, 3), 0..255."""
    return np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=-1).astype(np.float64)


def _is_blend(color: np.ndarray, ends: np.ndarray) -> bool:
    """Whether a color is a mixture of two of `ends`, in encoded values or in linear light.

    Args:
        color: float64 (3,), 0..255.
        ends: float64 (n, 3), n at least 2.
    """
    for gamma in (1, 2.2):  # 2.2: approximately sRGB's curve
        light, lights = (color / 255) ** gamma, (ends / 255) ** gamma
        first, second = lights[:, None], lights[None]  # (n, 1, 3), (1, n, 3)
        along = second - first
        length = (along**2).sum(axis=-1)
        share = ((light - first) * along).sum(axis=-1) / np.where(length, length, 1)
        mixed = first + np.clip(share, 0, 1)[..., None] * along
        distance = np.linalg.norm(255 * np.clip(mixed, 0, 1) ** (1 / gamma) - color, axis=-1)
        if ((distance <= BLEND) & (share > 0) & (share < 1) & (length > 0)).any():
            return True
    return False


def _colors_of_noisy_picture(packed: np.ndarray, flat: np.ndarray) -> list[int] | None:
    """The regions' colors in a mask with many more from soft edges or compression noise, or None.

    A region's color fills squares and covers some share of the picture.
    """
    if flat.mean() < FLAT_SHARE:
        return None
    values, squares = np.unique(packed[flat], return_counts=True)
    enough = squares >= SMALLEST_SHARE * packed.size
    found = _without_noise(values[enough], squares[enough])
    if not 0 < len(found) <= LARGEST_INDEX:
        return None
    colors, counts = np.unique(packed, return_counts=True)
    near = np.zeros(len(colors), bool)
    for region in found:
        near |= np.linalg.norm(_vectors(colors) - _vectors(np.array(region)), axis=-1) <= CLOSE
    return found if counts[near].sum() >= NEAR_SHARE * packed.size else None


def _without_noise(colors: np.ndarray, counts: np.ndarray) -> list[int]:
    """The colors that are not close to a much more frequent one; sorted."""
    kept: list[int] = []
    for index in np.argsort(-counts, kind="stable").tolist():
        distance = np.linalg.norm(_vectors(colors[kept]) - _vectors(colors[index]), axis=-1)
        rarer = counts[kept] >= 10 * counts[index]
        if not ((distance <= SAME) | ((distance <= CLOSE) & rarer)).any():
            kept.append(index)
        if len(kept) > LARGEST_INDEX:
            break
    return sorted(colors[kept].tolist())


def _matched(own: list[Color], known: Sequence[Color]) -> list[Color]:
    """A style mask's colors, matched to the content mask's.

    A color that the content mask also has stays. Any other becomes the closest of those colors of
    the content mask that the style mask lacks, if it is close enough.
    """
    free = [color for color in known if color not in own]
    matched = []
    for color in own:
        distances = [np.linalg.norm(np.subtract(color, other)) for other in free]
        is_close = color not in known and distances and min(distances) <= CLOSE
        matched.append(free[int(np.argmin(distances))] if is_close else color)
    return matched


def _certain(packed: np.ndarray, found: np.ndarray, flat: np.ndarray) -> np.ndarray:
    """The region of each pixel that has a region's color, as an index of `found`; else -1, (H, W).

    A color that is a blend of two others, like gray between black and white, also appears on the
    soft edge between them, so it counts only in squares.
    """
    at = np.searchsorted(found, packed).clip(max=len(found) - 1)
    colors = _vectors(found)
    blends = [
        len(found) > 2 and _is_blend(colors[i], np.delete(colors, i, axis=0))
        for i in range(len(found))
    ]
    certain = found[at] == packed
    if any(blends):
        squares = np.zeros(packed.shape, bool)
        middles = flat[1:-1, 1:-1]
        rows, columns = packed.shape
        for down in range(3):
            for right in range(3):
                squares[down : rows - 2 + down, right : columns - 2 + right] |= middles
        certain &= squares | ~np.array(blends)[at]
    return np.where(certain, at, -1)


def _labels(packed: np.ndarray, found: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """The region of each pixel, as an index of `found`, (H, W).

    Regions grow into soft edges pixel by pixel; where several meet, the one with the closest color
    takes the pixel. By color alone, a soft edge between black and white would go to gray.

    Args:
        packed: the mask's colors, (H, W).
        found: its regions' colors, packed, sorted.
        squares: see `_flat`.
    """
    labels = _certain(packed, found, squares)
    labels = np.pad(labels, 1, constant_values=-1)
    padded = np.pad(packed, 1)
    colors = _vectors(found)
    width = padded.shape[1]
    shifts = [a * width + b for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b]
    inside = np.zeros(padded.shape, bool)
    inside[1:-1, 1:-1] = True
    flat, values = labels.ravel(), padded.ravel()
    left = np.flatnonzero((flat < 0) & inside.ravel())
    for _ in range(REACH):
        if not len(left):
            break
        own = _vectors(values[left])
        best, taken = np.full(len(left), np.inf), np.full(len(left), -1)
        for shift in shifts:
            neighbor = flat[left + shift]
            distance = np.linalg.norm(colors[neighbor] - own, axis=-1)
            closer = (neighbor >= 0) & (distance < best)
            best[closer], taken[closer] = distance[closer], neighbor[closer]
        flat[left] = taken
        left = left[taken < 0]
    for start in range(0, len(left), 1 << 16):  # pixels far from every region: by color alone
        part = left[start : start + (1 << 16)]
        distances = np.linalg.norm(_vectors(values[part])[:, None] - colors[None], axis=-1)
        flat[part] = distances.argmin(axis=-1)
    return flat.reshape(labels.shape)[1:-1, 1:-1]
