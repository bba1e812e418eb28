"""Pictures to the network's arrays and back.

For the network, a picture is an *image*: float32, (1, H, W, 3), channels BGR, pixel values 0..255
minus ImageNet's mean (the "caffe" mode of keras.applications). Everywhere else it is uint8,
(H, W, 3), RGB.
"""

import numpy as np
from PIL import Image

from style_transfer.grid import bands
from style_transfer.images import IMAGENET_MEAN, resize_image
from style_transfer.masks import Masks, regions
from style_transfer.parsing import SMALLEST_SIDE
from style_transfer.settings import Settings

BAND = 256  # rows computed at once in float64, so that a poster needs no second copy
FITTING_ROWS = 192  # of the content image, for fitting and normalizing filters
# A block of FLAT_BLOCK rows and columns counts as flat if no two values of a channel differ by more
# than FLAT. A feature of VGG19's block 3 sees up to 48 rows and columns, so in the middle of a flat
# block all positions look the same to it.
FLAT_BLOCK = 64
FLAT = 1
TRACE = 1.0  # standard deviation, in pixel values, of the noise added to flat blocks

_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def size_for(picture: Image.Image, rows: int) -> tuple[int, int]:
    """(rows, columns) of `picture` with `rows` rows and its own aspect, rounded as the original."""
    return rows, max(1, int(picture.width * rows / picture.height))


def style_size(picture: Image.Image, content_size: tuple[int, int], scale: float):
    """(rows, columns) of a style picture with its own aspect and `scale`² times the content's area.

    No side is below 16, the smallest that the network's last block can process.
    """
    aspect = picture.height / picture.width
    area = content_size[0] * content_size[1] * scale**2
    rows = max((area * aspect) ** 0.5, SMALLEST_SIDE, SMALLEST_SIDE * aspect)
    return round(rows), round(rows / aspect)


def resize(picture: Image.Image, size: tuple[int, int], resampling: str) -> np.ndarray:
    """Resize a picture to `size`, (rows, columns); returns uint8 (rows, columns, 3), RGB.

    With `nearest` the result equals that of `keras.utils.load_img(path, target_size=size)`.
    """
    if picture.size == size[::-1]:
        return np.array(picture)
    return np.array(picture.resize(size[::-1], _RESAMPLING[resampling]))


def preprocess(pixels: np.ndarray) -> np.ndarray:
    """Pixels to an image: uint8 (H, W, 3), RGB, to float32 (1, H, W, 3), BGR minus mean."""
    image = pixels[np.newaxis, :, :, ::-1].astype(np.float32, order="C")
    image -= IMAGENET_MEAN
    return image


def deprocess(image: np.ndarray, dtype: type = np.uint8) -> np.ndarray:
    """The inverse of `preprocess`: float32 (1, H, W, 3) to (H, W, 3), rounded and clipped.

    The original truncates instead of rounding, which loses a level in about half of the values.

    Args:
        image: BGR minus mean.
        dtype: `uint8`, or `uint16`, which maps 0..255 to 0..65535 (a factor of 257).
    """
    largest = np.iinfo(dtype).max
    pixels = np.empty(image.shape[1:], dtype)
    for first, stop in bands(len(pixels), BAND):
        band = image[0, first:stop] + IMAGENET_MEAN.astype(np.float64)
        band = np.clip(np.rint(band * (largest / 255)), 0, largest)
        pixels[first:stop] = band[:, :, ::-1]
    return pixels


def images_at(
    pictures: list[Image.Image], size: tuple[int, int], settings: Settings
) -> list[np.ndarray]:
    """Content and style images for a given size of the content image.

    Args:
        pictures: the content picture, then the style pictures.
        size: (rows, columns) of the content image.
        settings: the resampling, the size of the style images, and whether to match colors.

    Returns:
        Images, float32 (1, H, W, 3).
    """
    sizes = sizes_at(pictures, size, settings)
    pixels = [
        resize(picture, size, settings.resize)
        for picture, size in zip(pictures, sizes, strict=True)
    ]
    if settings.preserve_color == "match":
        pixels[1:] = [match_colors(style, pixels[0]) for style in pixels[1:]]
    return [preprocess(picture) for picture in pixels]


def sizes_at(
    pictures: list[Image.Image], size: tuple[int, int], settings: Settings
) -> list[tuple[int, int]]:
    """Sizes (rows, columns) of content and style images if the content image has `size`."""
    sizes = [size] * len(pictures)
    if settings.style_fit == "aspect" and settings.targets == "cached":
        sizes[1:] = [style_size(picture, size, settings.style_scale) for picture in pictures[1:]]
    return sizes


def match_colors(style: np.ndarray, content: np.ndarray) -> np.ndarray:
    """Give a style picture's colors the mean and covariance of the content picture's colors.

    Uses the symmetric square roots of both covariances (Gatys et al., arXiv 1606.05897, section 3).

    Args:
        style: uint8 (H, W, 3).
        content: uint8 (H', W', 3).

    Returns:
        uint8 (H, W, 3).
    """

    def statistics(pixels):
        colors = pixels.reshape(-1, 3).astype(np.float64)
        values, vectors = np.linalg.eigh(np.cov(colors.T) + 1e-3 * np.eye(3))
        return colors.mean(axis=0), (vectors * np.sqrt(values)) @ vectors.T

    mean, root = statistics(style)
    content_mean, content_root = statistics(content)
    matched = (style - mean) @ (np.linalg.inv(root) @ content_root) + content_mean
    return np.clip(np.rint(matched), 0, 255).astype(np.uint8)


def with_colors_of(pixels: np.ndarray, content: np.ndarray) -> np.ndarray:
    """Combine the luminance of one picture with the colors of another.

    In YCbCr (ITU-R BT.601, as in JPEG), changing Y alone adds the same amount to R, G and B.

    Args:
        pixels: gives the luminance, uint8 or uint16 (H, W, 3).
        content: gives the colors, uint8 (H, W, 3).

    Returns:
        As `pixels`, rounded and clipped.
    """
    largest = np.iinfo(pixels.dtype).max
    colored = np.empty_like(pixels)
    for first, stop in bands(len(pixels), BAND):
        band = content[first:stop] * (largest / 255)
        lighter = (pixels[first:stop] - band) @ np.array([0.299, 0.587, 0.114])  # (h, W)
        colored[first:stop] = np.clip(np.rint(band + lighter[:, :, None]), 0, largest)
    return colored


def with_alpha(pixels: np.ndarray, alpha: Image.Image | None) -> np.ndarray:
    """Add the content picture's alpha channel, if it has one.

    Args:
        pixels: uint8 or uint16 (H, W, 3).
        alpha: mode L, of any size (its values stay as they are if the sizes match), or None.

    Returns:
        (H, W, 4) in the type of `pixels`, with 0..255 scaled to 0..65535 for uint16; or `pixels`.
    """
    if alpha is None:
        return pixels
    if alpha.size != (size := pixels.shape[1::-1]):
        alpha = alpha.resize(size, Image.Resampling.LANCZOS)
    factor = pixels.dtype.type(np.iinfo(pixels.dtype).max // 255)
    return np.dstack([pixels, np.asarray(alpha).astype(pixels.dtype) * factor])


def fitting_images(images: list[Image.Image], settings: Settings) -> list[np.ndarray]:
    """Content and style images at the size used for fitting and normalizing filters.

    Args:
        images: the content picture, then the style pictures.
        settings: as for `images_at`.

    Returns:
        Images, float32 (1, H, W, 3), with FITTING_ROWS rows; with more if the content image would
        otherwise have fewer than SMALLEST_SIDE columns, too few for the network's last block.
    """
    enough = SMALLEST_SIDE * images[0].height // images[0].width + 1
    return images_at(images, size_for(images[0], max(FITTING_ROWS, enough)), settings)


def regions_at(
    masks: Masks | None, images: list[Image.Image], size: tuple[int, int], settings: Settings
) -> list[dict[tuple, np.ndarray]] | None:
    """The regions of content and style images at a given size of the content image.

    Args:
        masks: of the same pictures as `images`, or None.
        images: the content picture, then the style pictures.
        size: (rows, columns) of the content image.
        settings: as for `images_at`.

    Returns:
        For each image, its regions by color, as `style_transfer.masks.regions` returns them; None
        without masks.
    """
    if masks is None:
        return None
    sizes = sizes_at(images, size, settings)
    pictures = [mask.image for mask in masks.pictures]
    return [regions(picture, size) for picture, size in zip(pictures, sizes, strict=True)]


def start_image(picture: Image.Image, size: tuple[int, int], settings: Settings) -> np.ndarray:
    """The image that the optimization starts from, float32 (1, rows, columns, 3).

    In a flat area all positions look the same to the network, so every gradient moves them in the
    same way and the area would stay flat forever. A trace of noise makes them differ.

    Args:
        picture: the content picture, or the one to start from.
        size: (rows, columns).
        settings: `init`: `noise` is uniform in 0..255, minus 128, as in the original; `mixed` is
            the average of noise and picture.
    """
    shape = (1, *size, 3)
    rng = np.random.default_rng(settings.seed)
    if settings.init in ("noise", "mixed"):
        image = np.empty(shape, np.float32)
        for first, stop in bands(size[0], BAND):
            noise = rng.uniform(0, 255, image[:, first:stop].shape).astype(np.float32)
            image[:, first:stop] = noise - np.float32(128)
        if settings.init == "mixed":
            image += preprocess(resize(picture, size, settings.resize))
            image /= 2
        return image
    pixels = resize(picture, size, settings.resize)
    flat = flat_areas(pixels)
    image = preprocess(np.full(shape[1:], 128, np.uint8) if settings.init == "gray" else pixels)
    if flat.any():
        for first, stop in bands(size[0], BAND):
            band = image[:, first:stop]
            trace = rng.normal(0, TRACE, band.shape).astype(np.float32)
            band += np.where(flat[None, first:stop, :, None], trace, np.float32(0))
    return image


def flat_areas(pixels: np.ndarray) -> np.ndarray:
    """Mark a picture's flat blocks of FLAT_BLOCK rows and columns (or all of a smaller picture).

    Args:
        pixels: uint8 (H, W, 3).

    Returns:
        bool (H, W), True where the picture is flat.
    """

    def extremes(function: np.ufunc) -> np.ndarray:
        by_rows = function.reduceat(pixels, starts[0], axis=0)
        return function.reduceat(by_rows, starts[1], axis=1).astype(np.int16)

    # Whole blocks only; the last of a row or column also takes the remainder.
    counts = [max(1, length // FLAT_BLOCK) for length in pixels.shape[:2]]
    starts = [FLAT_BLOCK * np.arange(count) for count in counts]
    flat = (extremes(np.maximum) - extremes(np.minimum) <= FLAT).all(axis=-1)
    for axis, length in enumerate(pixels.shape[:2]):
        flat = flat.repeat(np.diff([*starts[axis], length]), axis=axis)
    return flat


def flatness_remark(picture: Image.Image, size: tuple[int, int], settings: Settings) -> str | None:
    """A line for the user if `start_image` adds noise to flat areas, otherwise None.

    The arguments are those of `start_image`.
    """
    if settings.init in ("noise", "mixed"):
        return None
    share = flat_areas(resize(picture, size, settings.resize)).mean()
    if not share:
        return None
    return (
        f"{share:.0%} of the picture to start from is flat; a trace of noise is added there, or "
        "it would stay flat."
    )


def image_at_next_size(
    image: np.ndarray, picture: Image.Image, size: tuple[int, int], settings: Settings
) -> np.ndarray:
    """Carry an image over to another size: the start image at that size, plus all changes so far.

    This brings back the start picture's fine detail at each size. An image that started from noise
    is simply resized, since noise is not detail worth keeping.

    Args:
        image: float32 (1, H, W, 3).
        picture: as for `start_image`.
        size: (rows, columns).
        settings: as for `start_image`.

    Returns:
        A new array.
    """
    if image.shape[1:3] == size:
        return image.copy()
    if settings.init in ("noise", "mixed"):
        return resize_image(image, size)
    changed = resize_image(image - start_image(picture, image.shape[1:3], settings), size)
    changed += start_image(picture, size, settings)
    return changed
