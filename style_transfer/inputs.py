"""All pictures that a run reads, opened and checked before anything is computed."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from style_transfer.errors import InputError
from style_transfer.masks import Masks, load_masks
from style_transfer.paths import existing_file, sha256_of_file
from style_transfer.pictures import Picture, load_picture
from style_transfer.schedule import full_size
from style_transfer.settings import INITS, Settings

GIVEN = "given"  # replaces the path in `Settings` if a picture was passed from memory


@dataclass
class Given:
    """Pictures passed from memory for settings that hold paths.

    Attributes:
        start: the picture to start from.
        masks: the content's mask, then each style picture's; or none.
    """

    start: Any = None
    masks: list[Any] = field(default_factory=list)


@dataclass
class Sources:
    """Where the pictures are: paths, or pictures in memory.

    Attributes:
        content: the content picture.
        styles: the style pictures.
        start: the picture to start from, or None if `Settings.init` names no picture.
        masks: the content's mask, then each style picture's; or none.
    """

    content: Any
    styles: list[Any]
    start: Any = None
    masks: list[Any] = field(default_factory=list)

    @classmethod
    def chosen(cls, content: Any, styles: Any, settings: Settings, given: Given) -> "Sources":
        """The pictures that the user chose, some of them in the settings.

        Raises:
            InputError: there is no style picture, or not one mask for each.
        """
        styles = listed(styles)
        start, masks = given.start, given.masks
        if settings.content_mask and not masks:
            masks = [settings.content_mask, *settings.style_mask.split(",")]
        if masks and len(masks) != 1 + len(styles):
            raise InputError(
                f"--style_mask: expected {len(styles)}, one for each style picture. "
                f"Received: {settings.style_mask!r}"
            )
        if start is None and settings.init not in INITS:
            start = settings.init
        return cls(content, styles, start, masks)

    def names(self) -> list[str]:
        """Names of content and style pictures, without folders and extensions."""
        sources = [self.content, *self.styles]
        kinds = ["content"] + ["style"] * len(self.styles)
        return [
            Path(source).stem if isinstance(source, str | os.PathLike) else kind
            for source, kind in zip(sources, kinds, strict=True)
        ]


@dataclass(frozen=True)
class Inputs:
    """Every picture that a run reads.

    Attributes:
        content: the content picture.
        styles: the style pictures.
        start: the picture to start from; None if `Settings.init` names no picture.
        masks: the regions of content and style pictures; None without masks.
    """

    content: Picture
    styles: list[Picture]
    start: Picture | None = None
    masks: Masks | None = None

    @property
    def images(self) -> list[Image.Image]:
        """Content and style pictures, RGB."""
        return [picture.image for picture in (self.content, *self.styles)]

    @property
    def start_image(self) -> Image.Image:
        """The picture that the optimization starts from (by default the content picture)."""
        return (self.start or self.content).image

    def named(self) -> list[tuple[str, Picture]]:
        """All pictures, each with the argument that named it."""
        named = [("BASE", self.content), *(("REF", style) for style in self.styles)]
        if self.start:
            named.append(("--init", self.start))
        if self.masks:
            first, *others = self.masks.pictures
            named += [("--content_mask", first), *(("--style_mask", mask) for mask in others)]
        return named

    def paths(self) -> list[tuple[str, Path]]:
        """All files, each with the argument that named it."""
        return [(what, Path(picture.path)) for what, picture in self.named() if picture.path]

    def remarks(self) -> list[str]:
        """Lines for the user about the pictures."""
        remarks = [remark for _, picture in self.named() for remark in picture.remarks]
        return remarks + list(self.masks.remarks if self.masks else ())


def listed(styles: Any) -> list[Any]:
    """Style pictures as a list, whether one or several were given.

    Raises:
        InputError: there is none.
    """
    single = isinstance(styles, str | os.PathLike | Picture | Image.Image)
    single = single or hasattr(styles, "shape")
    if single or not isinstance(styles, Iterable):
        styles = [styles]
    styles = list(styles)
    if not styles:
        raise InputError("styles: expected at least one style picture. Received: none")
    return styles


def given_pictures(choices: dict) -> tuple[Given, dict]:
    """Split choices into pictures passed from memory and choices that `Settings` can hold.

    Paths become text; pictures become `GIVEN`. `style_mask` may be a list with one mask per style
    picture.
    """
    choices = {
        name: os.fspath(value) if isinstance(value, os.PathLike) else value
        for name, value in choices.items()
    }
    given = Given()
    if "init" in choices and not isinstance(choices["init"], str):
        given.start, choices["init"] = choices["init"], GIVEN
    masks = [choices.get("content_mask", ""), choices.get("style_mask", "")]
    if not all(isinstance(mask, str) for mask in masks):
        content, style = masks
        styles = style.split(",") if isinstance(style, str) else listed(style)
        given.masks = [content, *styles]
        for name, mask in zip(("content_mask", "style_mask"), masks, strict=True):
            missing = mask is None or (isinstance(mask, str) and not mask)
            choices[name] = "" if missing else GIVEN  # one without the other: `Settings` refuses it
    return given, choices


def load_inputs(sources: Sources, settings: Settings) -> Inputs:
    """Open all pictures of a run.

    Raises:
        InputError: one is missing, damaged or not a picture; the message names its argument.
    """
    large = settings.large_pictures
    content = load_picture(sources.content, "BASE", large)
    styles = [load_picture(style, "REF", large) for style in sources.styles]
    start = None
    if sources.start is not None and not _is_network(sources.start):
        start = load_picture(sources.start, "--init", large)
    elif sources.start is not None:
        start = _by_network(sources.start, content, settings)
    masks = None
    if sources.masks:
        masks = load_masks(sources.masks[0], sources.masks[1:], settings.unpainted)
    return Inputs(content, styles, start, masks)


def _is_network(source: Any) -> bool:
    """Whether a network of fast_style_transfer.py is to paint the start picture."""
    return isinstance(source, str | os.PathLike) and os.fspath(source).endswith(".keras")


def _by_network(source: str | os.PathLike, content: Picture, settings: Settings) -> Picture:
    """The content picture painted by a network, at the size of the result.

    The run's record identifies it by the network's file, so that a resume paints it again.

    Raises:
        InputError: the file is not a network trained by fast_style_transfer.py.
    """
    from style_transfer.feedforward.about import about_of_file

    path = existing_file(source, "--init").absolute()
    about_of_file(path, "--init")
    from style_transfer.backends import start

    start()
    from style_transfer.feedforward.model_file import read_network
    from style_transfer.feedforward.painting import painted

    rows, columns = full_size(settings, *content.image.size)
    image = content.image.resize((columns, rows), Image.Resampling.LANCZOS)
    pixels = painted(read_network(path, "--init"), np.asarray(image), settings.memory)
    image = Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
    return Picture(image, None, str(path), sha256_of_file(path))
