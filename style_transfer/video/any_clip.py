"""Opens a clip of any kind."""

import os

from style_transfer.paths import existing_file, expanded
from style_transfer.video.clip import Clip
from style_transfer.video.film import Film
from style_transfer.video.picture_series import Animation, Folder, is_picture


def open_clip(source: str | os.PathLike, rate: float | None = None) -> Clip:
    """Open a file that FFmpeg can read, a folder of numbered pictures, or an animated picture.

    Args:
        source: its path.
        rate: frames per second, for a folder.

    Raises:
        InputError: there is no such file, or it is not a clip.
    """
    path = expanded(source, "CLIP")
    if os.path.isdir(path):  # noqa: PTH112 (that of Path raises if a name is too long)
        return Folder(path, rate)
    path = existing_file(path, "CLIP")
    return Animation(path) if is_picture(path) else Film(path)
