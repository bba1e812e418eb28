"""Pictures of any mode and color profile as 8-bit sRGB with an alpha channel."""

import io

import numpy as np
from PIL import Image, ImageCms

_STRIP = 1 << 19  # pixels converted at a time, so that a poster needs no second copy in memory
_ALPHA_MODES = ("RGBA", "LA", "PA", "La", "RGBa")
_COLOR_MODES = ("L", "RGB", "CMYK", "LAB")  # to which a color profile can apply


def to_srgb(picture: Image.Image, name: str, what: str):
    """Convert a loaded picture, upright or not, strip by strip; returns (image, alpha, remarks)."""
    width, height = picture.size
    image = Image.new("RGB", picture.size, "white")
    alpha = None
    remarks: list[str] = []
    profile, largest = picture.info.get("icc_profile"), _largest_value(picture)
    transform = None
    step = max(1, _STRIP // width)
    for top in range(0, height, step):
        strip = picture.crop((0, top, width, min(height, top + step)))
        strip, opacity = _colors_and_alpha(strip, largest)
        if profile and not transform:
            transform, remarks = _profile_transform(profile, strip.mode, name, what)
            profile = profile if transform else None
        if transform:
            strip = ImageCms.applyTransform(strip, transform) or strip
        image.paste(strip.convert("RGB"), (0, top), opacity)  # without opacity, all of it
        if opacity:
            alpha = alpha or Image.new("L", picture.size)
            alpha.paste(opacity, (0, top))
    opaque = alpha is None or alpha.getextrema() == (255, 255)
    return image, None if opaque else alpha, remarks


def _colors_and_alpha(
    picture: Image.Image, largest: float | None
) -> tuple[Image.Image, Image.Image | None]:
    """A picture in a mode to which its color profile can apply, and its opacity, mode L or None.

    Args:
        picture: a picture in any mode.
        largest: the value of white, if values have more than 8 bits.
    """
    alpha = None
    if largest is not None:
        transparent = picture.info.get("transparency")
        values = np.array(picture, dtype=np.float64)
        if isinstance(transparent, int):
            alpha = Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8))
        if picture.mode == "F":
            np.nan_to_num(values, copy=False)
        np.rint(np.multiply(values, 255.0 / largest, out=values), out=values)
        picture = Image.fromarray(np.clip(values, 0, 255, out=values).astype(np.uint8))
    elif picture.mode in _ALPHA_MODES or "transparency" in picture.info:
        gray = picture.mode in ("LA", "La")
        picture = picture.convert("RGBA")
        alpha = picture.getchannel("A")
        picture = picture.getchannel("R") if gray else picture.convert("RGB")
    elif picture.mode == "1":
        picture = picture.convert("L")
    elif picture.mode not in _COLOR_MODES:
        picture = picture.convert("RGB")
    return picture, alpha


def _largest_value(picture: Image.Image) -> float | None:
    """The value of white: 65535 with 16 or 32 bits; 1, 255 or 65535 in floating point."""
    if picture.mode == "F":
        values = np.asarray(picture)
        brightest = values[np.isfinite(values)].max(initial=0)
        return 1.0 if brightest <= 1 else 255.0 if brightest <= 255 else 65535.0
    return 65535.0 if picture.mode == "I" or picture.mode.startswith("I;16") else None


def _profile_transform(profile: bytes, mode: str, name: str, what: str):
    """(transform, remarks): the transform from a color profile to sRGB, or None and why not."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.buildTransform(source, srgb, mode, "RGB"), []
    except Exception as error:  # it may be damaged in any way
        return None, [
            f"{what}: the color profile of {name} is unusable ({one_line(error)}): read as sRGB."
        ]


def one_line(error: Exception) -> str:
    """An error's text, short and on one line, or its type if it has none."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:200]}…"
