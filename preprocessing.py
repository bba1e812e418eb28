"""Pictures to the network's arrays and back.

Inside the network's world a picture is float32, (1, H, W, 3), channels BGR, pixel values 0..255
minus the ImageNet mean: the "caffe" mode of keras.applications. Outside it is uint8, (H, W, 3), RGB.
"""

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from settings import InputError, Settings, existing_file

# Mean of ImageNet's training pictures, B, G, R, 0..255 (keras.applications, mode "caffe").
IMAGENET_MEAN = np.array([103.939, 116.779, 123.68], dtype=np.float32)
# What pixel values can be in the network's world: (lowest, highest) for B, G, R.
VALID_RANGE = np.stack([-IMAGENET_MEAN, 255 - IMAGENET_MEAN], axis=1).astype(np.float64)
# Smaller pictures have nothing to repaint, and are mostly a mistake in a script.
SMALLEST_SIDE = 16
LARGEST_INDEX = 64  # colours of an index picture; a photograph has thousands

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def load_picture(path: str | Path, what: str = "picture") -> Image.Image:
    """Open a picture as 8-bit sRGB, upright, without transparency.

    EXIF orientation is applied, an embedded colour profile is converted to sRGB, 16-bit and
    palette and greyscale and CMYK pictures are brought to RGB, transparent parts lie on white.

    Args:
        path: any file that Pillow reads.
        what: how an error calls the picture, such as `BASE`.

    Raises:
        InputError: not a picture, damaged, too large for Pillow's limit, or under 16 pixels.
    """
    path = existing_file(path, what)
    try:
        with warnings.catch_warnings():
            # Between Pillow's warning and its limit a picture is large, but no bomb.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as file:
                file.load()
                picture = ImageOps.exif_transpose(file)
    except UnidentifiedImageError:
        raise InputError(f"{what}: expected a picture. Received: {str(path)!r}") from None
    except Image.DecompressionBombError as error:
        limit = 2 * Image.MAX_IMAGE_PIXELS
        raise InputError(
            f"{what}: expected at most {limit:,} pixels. Received: {str(path)!r} ({error})"
        ) from None
    except (OSError, SyntaxError, ValueError, EOFError, RuntimeError) as error:
        raise InputError(
            f"{what}: expected a whole picture. Received: {str(path)!r}, which is damaged ({error})"
        ) from None
    if min(picture.size) < SMALLEST_SIDE:
        raise InputError(
            f"{what}: expected a picture of at least {SMALLEST_SIDE} x {SMALLEST_SIDE} pixels. "
            f"Received: {str(path)!r}, {picture.width} x {picture.height}"
        )
    return _to_srgb(picture, what)


def _to_srgb(picture: Image.Image, what: str) -> Image.Image:
    """`picture` in mode RGB, in the sRGB colour space, on white where it is transparent."""
    profile = picture.info.get("icc_profile")
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        picture = _to_eight_bits(picture)
    alpha = None
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        alpha = picture.getchannel("A")
        picture = picture.convert("RGB")
    elif picture.mode not in ("L", "RGB", "CMYK", "LAB"):
        picture = picture.convert("RGB")
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            picture = ImageCms.profileToProfile(
                picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
        except (ImageCms.PyCMSError, OSError) as error:
            print(f"{what}: its colour profile is unusable ({error}); read as sRGB instead.")
    picture = picture.convert("RGB")
    if alpha is not None:
        white = Image.new("RGB", picture.size, "white")
        picture = Image.composite(picture, white, alpha)
    return picture


def _to_eight_bits(picture: Image.Image) -> Image.Image:
    """Greyscale of 16 or 32 bits as 8 bits: 0..65535, or 0..1 of floating point, to 0..255."""
    values = np.asarray(picture, dtype=np.float64)
    largest = 65535.0
    if picture.mode == "F":
        largest = 1.0 if values.max() <= 1.0 else 255.0 if values.max() <= 255.0 else 65535.0
    scaled = np.nan_to_num(values) * (255.0 / largest)
    return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8))


def size_for(picture: Image.Image, rows: int) -> tuple[int, int]:
    """(rows, columns) of `picture` at a number of rows, its aspect kept as in the original."""
    return rows, max(1, int(picture.width * rows / picture.height))


def style_size(picture: Image.Image, content_size: tuple[int, int], scale: float):
    """(rows, columns) of a style picture of its own aspect and `scale`² the content's area.

    No side is under 16, the least that the network's last block can look at.
    """
    aspect = picture.height / picture.width
    area = content_size[0] * content_size[1] * scale**2
    rows = max((area * aspect) ** 0.5, SMALLEST_SIDE, SMALLEST_SIDE * aspect)
    return round(rows), round(rows / aspect)


def resize(picture: Image.Image, size: tuple[int, int], resampling: str) -> np.ndarray:
    """A picture at (rows, columns) as a uint8 array, (rows, columns, 3), RGB.

    With `nearest` the result is that of `keras.utils.load_img(path, target_size=size)`.
    """
    if picture.size == size[::-1]:
        return np.array(picture)
    return np.array(picture.resize(size[::-1], _FILTERS[resampling]))


def preprocess(pixels: np.ndarray) -> np.ndarray:
    """RGB pixel values to the network's world: uint8 (H, W, 3) to float32 (1, H, W, 3)."""
    return pixels[np.newaxis, :, :, ::-1].astype(np.float32) - IMAGENET_MEAN


def deprocess(image: np.ndarray, dtype: type = np.uint8) -> np.ndarray:
    """The inverse of `preprocess`: float32 (1, H, W, 3) to (H, W, 3), rounded and clipped.

    The original truncates instead of rounding, which would lose a level in about half the values.

    Args:
        image: BGR minus mean.
        dtype: `uint8`; or `uint16`, where 0..255 becomes 0..65535, 257 times as much.
    """
    largest = np.iinfo(dtype).max
    pixels = image[0] + IMAGENET_MEAN.astype(np.float64)
    return np.clip(np.rint(pixels * (largest / 255)), 0, largest).astype(dtype)[:, :, ::-1]


def resize_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An image of the network's world at another size, bicubic: (1, H, W, 3) to (1, *size, 3)."""
    if image.shape[1:3] == size:
        return image
    channels = [
        Image.fromarray(image[0, :, :, channel]).resize(size[::-1], Image.Resampling.BICUBIC)
        for channel in range(3)
    ]
    return np.stack([np.asarray(channel) for channel in channels], axis=-1)[np.newaxis]


def images_at(
    pictures: list[Image.Image], size: tuple[int, int], settings: Settings
) -> list[np.ndarray]:
    """Content and style images where the content has a size.

    Args:
        pictures: the content picture, then the style pictures.
        size: (rows, columns) of the content image.
        settings: resampling, and what size the style images have.

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
    """Sizes (rows, columns) of content and style images where the content has `size`."""
    sizes = [size] * len(pictures)
    if settings.style_fit == "aspect" and settings.targets == "cached":
        sizes[1:] = [style_size(picture, size, settings.style_scale) for picture in pictures[1:]]
    return sizes


def match_colors(style: np.ndarray, content: np.ndarray) -> np.ndarray:
    """A style picture with mean and covariance of its colours made those of the content picture.

    By the symmetric square roots of both covariances (Gatys et al., arXiv 1606.05897, section 3).

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
    """The luminance of one picture with the colours of another.

    In YCbCr (ITU-R BT.601, as JPEG has it) a change of Y alone adds the same to R, G and B.

    Args:
        pixels: uint8 or uint16 (H, W, 3).
        content: uint8 (H, W, 3).

    Returns:
        As `pixels`, rounded and clipped.
    """
    largest = np.iinfo(pixels.dtype).max
    content = content * (largest / 255)
    lighter = (pixels - content) @ np.array([0.299, 0.587, 0.114])  # (H, W)
    return np.clip(np.rint(content + lighter[:, :, None]), 0, largest).astype(pixels.dtype)


def load_masks(content_mask: str, *style_masks: str) -> list[Image.Image]:
    """Index pictures: of the content, then of each style picture.

    Raises:
        InputError: too many colours for an index picture, or a colour of the content's mask that is
            in no style's.
    """
    masks = [load_picture(content_mask, "--content_mask")]
    masks += [load_picture(path, "--style_mask") for path in style_masks]
    colors = []
    for mask, path in zip(masks, [content_mask, *style_masks], strict=True):
        counted = mask.getcolors(LARGEST_INDEX)
        if counted is None:
            raise InputError(
                f"--content_mask, --style_mask: expected index pictures of at most {LARGEST_INDEX} "
                f"colours (not JPEG). Received: {path!r}, which has more"
            )
        colors.append({color for _, color in counted})
    unmatched = sorted(colors[0].difference(*colors[1:]))
    if unmatched:
        names = ", ".join("#{:02x}{:02x}{:02x}".format(*color) for color in unmatched)
        raise InputError(
            f"--style_mask: expected every colour of --content_mask. Received: none for {names}"
        )
    return masks


def regions(mask: Image.Image, size: tuple[int, int]) -> dict[tuple, np.ndarray]:
    """Regions of an index picture at (rows, columns): {colour: bool (rows, columns)}."""
    pixels = resize(mask, size, "nearest")
    colors = np.unique(pixels.reshape(-1, 3), axis=0)
    return {tuple(map(int, color)): (pixels == color).all(axis=-1) for color in colors}


def start_image(picture: Image.Image, size: tuple[int, int], settings: Settings) -> np.ndarray:
    """Where the optimisation starts, float32 (1, rows, columns, 3).

    Args:
        picture: the content picture, or the one to start from.
        size: (rows, columns).
        settings: `init`; `noise` is uniform in 0..255, minus 128, as in the original; `mixed` is
            half of that and half of the picture.
    """
    shape = (1, *size, 3)
    if settings.init in ("noise", "mixed"):
        rng = np.random.default_rng(settings.seed)
        noise = rng.uniform(0, 255, shape).astype(np.float32) - np.float32(128)
        if settings.init == "noise":
            return noise
        return (noise + preprocess(resize(picture, size, settings.resize))) / 2
    if settings.init == "gray":
        return preprocess(np.full(shape[1:], 128, np.uint8))
    return preprocess(resize(picture, size, settings.resize))


def image_at_next_size(
    image: np.ndarray, picture: Image.Image, size: tuple[int, int], settings: Settings
) -> np.ndarray:
    """An image carried over to another size: the start image there, plus what has changed since.

    So the fine detail of a picture that it started from comes back at each size. Noise is no
    detail: an image that started from it is resized as it is.

    Args:
        image: float32 (1, H, W, 3).
        picture: as for `start_image`.
        size: (rows, columns).
        settings: as for `start_image`.
    """
    if image.shape[1:3] == size or settings.init in ("noise", "mixed"):
        return resize_image(image, size)
    changed = image - start_image(picture, image.shape[1:3], settings)
    return start_image(picture, size, settings) + resize_image(changed, size)
