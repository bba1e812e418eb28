"""Sets how long an animated WebP shows its last picture, which libwebp does not let FFmpeg do."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

LONGEST = (1 << 24) - 1  # ms; three bytes


def end_at(path: Path, milliseconds: int) -> None:
    """Make an animation end at a given time; a still picture stays as it is.

    libwebp's encoder gives the last picture the mean of the others' durations. In the file, that
    duration is one number (WebP container specification, chunk `ANMF`, frame duration).

    Args:
        path: path of a WebP file, which is changed.
        milliseconds: when it ends, counted from the first picture.
    """
    with path.open("rb+") as file:
        places = list(_durations(file))
        if not places:
            return
        *others, last = places
        before = 0
        for place in others:
            file.seek(place)
            before += int.from_bytes(file.read(3), "little")
        file.seek(last)
        file.write(min(max(1, milliseconds - before), LONGEST).to_bytes(3, "little"))


def _durations(file: BinaryIO) -> Iterator[int]:
    """The places in the file of the pictures' durations."""
    place = 12  # after RIFF, its size, WEBP
    while True:
        file.seek(place)
        head = file.read(8)
        if len(head) < 8:
            return
        name, size = struct.unpack("<4sI", head)
        if name == b"ANMF":
            yield place + 8 + 12  # after x, y, width and height, of three bytes each
        place += 8 + size + size % 2
