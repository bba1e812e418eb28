"""Small pictures for the page, made once and kept for a while."""

import io
import threading
from collections import OrderedDict
from pathlib import Path

from PIL import Image

from style_transfer.errors import InputError
from style_transfer.pictures import load_picture

KEPT = 24 << 20  # bytes
LARGEST = 60_000_000  # pixels; the page shows no thumbnail of a larger picture


class Thumbnails:
    """Small JPEGs of picture files, by file and longest side; safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: OrderedDict[tuple, bytes] = OrderedDict()
        self._bytes = 0

    def of(self, path: Path, side: int) -> bytes | None:
        """A JPEG of at most `side` pixels; None if the file is too large or not a picture."""
        try:
            status = path.stat()
        except OSError:
            return None
        key = (str(path), status.st_mtime_ns, status.st_size, side)
        with self._lock:
            if key in self._made:
                self._made.move_to_end(key)
                return self._made[key]
            data = make_small(path, side)
            if data is not None:
                self._made[key] = data
                self._bytes += len(data)
            while self._bytes > KEPT:
                self._bytes -= len(self._made.popitem(last=False)[1])
            return data


def make_small(path: Path, side: int) -> bytes | None:
    """See `Thumbnails.of`."""
    try:
        with Image.open(path) as opened:
            if opened.width * opened.height > LARGEST:
                return None
        image = load_picture(path).image
    except (InputError, OSError, ValueError, Image.DecompressionBombError):
        return None
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=88)
    return file.getvalue()
