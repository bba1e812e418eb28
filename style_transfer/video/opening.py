"""Prepares a clip: checks its inputs, starts or finds its record, makes its filters."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from style_transfer.errors import InputError
from style_transfer.feedforward.about import about_of_file
from style_transfer.parsing import parse_blend
from style_transfer.paths import existing_file, sha256_of_file
from style_transfer.pictures import Picture, load_picture
from style_transfer.runs.files import write_text, write_whole
from style_transfer.runs.record import PictureFile
from style_transfer.schedule import full_size, plan
from style_transfer.settings import Settings
from style_transfer.video.any_clip import open_clip
from style_transfer.video.choices import ClipChoices
from style_transfer.video.clip import Clip
from style_transfer.video.clip_files import ClipFiles, digest_of_files
from style_transfer.video.clip_record import ClipRecord, fields_of
from style_transfer.video.picture_series import Folder
from style_transfer.video.survey import survey

NETWORK = ".keras"  # ending of a style network's file


@dataclass(frozen=True)
class Order:
    """The inputs and choices of a command.

    Attributes:
        clip: path of the clip.
        styles: paths of paintings, or of one style network.
        out: path of the clip to write.
        preset: a key of `presets.PRESETS`.
        settings: the fields of `Settings`.
        choices: the clip's own choices.
    """

    clip: str
    styles: list[str]
    out: Path
    preset: str
    settings: Settings
    choices: ClipChoices

    @property
    def by_network(self) -> bool:
        """Whether the style is a style network."""
        return self.styles[0].endswith(NETWORK)

    @property
    def files(self) -> ClipFiles:
        """The files of the clip."""
        return ClipFiles(self.out)

    def inputs(self) -> list[tuple[str, Path]]:
        """All files and folders that are read, each with its argument."""
        named = [("CLIP", Path(self.clip)), *(("STYLE", Path(style)) for style in self.styles)]
        if Path(self.settings.weights).suffix:
            named.append(("--weights", Path(self.settings.weights)))
        return named


def check_styles(order: Order) -> list[Picture]:
    """Read the style pictures; none with a style network.

    Raises:
        InputError: one cannot be used, or a style network is not the only style.
    """
    for style in order.styles:
        existing_file(style, "STYLE")
    networks = [style for style in order.styles if style.endswith(NETWORK)]
    if networks and len(order.styles) > 1:
        raise InputError(
            "STYLE: expected paintings, or one style network. "
            f"Received: {len(order.styles)}, among them {networks[0]!r}"
        )
    for network in networks:
        about_of_file(Path(network), "STYLE")
    parse_blend(order.settings.style_blend, len(order.styles))
    return [] if networks else [load_picture(style, "STYLE") for style in order.styles]


def known_record(order: Order, clip: Clip) -> tuple[ClipRecord | None, bool]:
    """The record of an earlier command, and whether it was the same command."""
    record = order.files.read_record()
    if record is None:
        return None, False
    same = (
        record.settings == order.settings
        and record.choices == order.choices
        and record.clip.sha256 == digest_of_clip(clip)
        and [style.sha256 for style in record.styles] == digests_of(order.styles)
    )
    return record, same


def digest_of_clip(clip: Clip) -> str:
    """SHA-256 of a clip's file, or of all pictures in a folder."""
    files = clip.files()
    return digest_of_files(files) if isinstance(clip, Folder) else sha256_of_file(files[0])


def digests_of(paths: list[str]) -> list[str]:
    """SHA-256 of files."""
    return [sha256_of_file(path) for path in paths]


def new_record(order: Order, clip: Clip, say: Callable) -> ClipRecord:
    """The record of a new clip, after a look at all of its frames.

    Raises:
        InputError: the clip cannot be read, or its frames would be too small for the network.
    """
    say("Looking for scenes …")
    found = survey(clip, order.choices, thinned=not isinstance(clip, Folder))
    settings = order.settings
    rows, columns = full_size(settings, found.width, found.height)
    if not order.by_network:
        plan(settings, found.width, found.height)
    return ClipRecord(
        order.preset,
        settings,
        order.choices,
        PictureFile(str(Path(order.clip).absolute()), digest_of_clip(clip)),
        [
            PictureFile(str(Path(path).absolute()), sha256)
            for path, sha256 in zip(order.styles, digests_of(order.styles), strict=True)
        ],
        rows,
        columns,
        **fields_of(found),
        remarks=list(clip.remarks),
    )


def make_filters(
    record: ClipRecord,
    files: ClipFiles,
    images: list[np.ndarray],
    say: Callable,
) -> None:
    """Load or fit the filters of all frames, once for the clip, and keep them with it.

    Args:
        record: the record, into which their origin is entered.
        files: the clip's files.
        images: images to which filters may be fitted, float32 (1, H, W, 3), BGR minus mean.
        say: called with a line if other filters are used than were asked for.

    Raises:
        InputError: they cannot be loaded.
    """
    from style_transfer.filters import load_filters
    from style_transfer.filters.normalized import normalized_filters
    from style_transfer.filters.writing import write_filters
    from style_transfer.network import processor_precision

    settings = record.settings
    filters, source = load_filters(settings.weights, settings, images, say)
    if settings.normalize_filters:
        filters = normalized_filters(filters, images, settings)
    record.filters = source
    record.precision = settings.precision
    if settings.precision == "auto":
        record.precision = processor_precision()
    plain: Any = dataclasses.replace(filters, convention="caffe")  # the record keeps the real one
    write_whole(files.filters, lambda file: write_filters(plain, file))


def save(record: ClipRecord, files: ClipFiles) -> None:
    """Write the record."""
    write_text(files.record, record.to_json())


def fitting_frames(record: ClipRecord, most: int = 3) -> list[int]:
    """The frames to which filters are fitted: the first of the longest scenes, in order."""
    scenes = sorted(record.scenes(), key=len, reverse=True)[:most]
    return sorted(scene.start for scene in scenes)


def mosaic(frames: list[np.ndarray]) -> Image.Image:
    """Frames, uint8 (H, W, 3), stacked into one picture."""
    return Image.fromarray(np.concatenate(frames))


def reopened(record: ClipRecord) -> Clip:
    """The clip of a record."""
    return open_clip(record.clip.path, record.choices.fps or None)
