"""The answers of an unfinished evaluation's tiles, so that a kill costs the work of one tile.

At 87 megapixels an evaluation takes minutes. Values are read back to the bit, and sums are added up
in the tiles' order, so a resumed evaluation has the same result as an uninterrupted one.
"""

from __future__ import annotations

import io
import json
import os
import struct
import zlib
from pathlib import Path

import numpy as np

from style_transfer.runs.files import naming, write_array

MARK = b"neural_style_transfer tiles"


class KeptTiles:
    """A file of the tiles' answers, in the order in which they came.

    It starts with a line that identifies the image. Each entry consists of: the length of the rest;
    a line with the question; arrays as written by `np.save`; the checksum of the entry.

    Args:
        path: path of the file.
        key: digest of everything but the image on which the answers depend.
    """

    def __init__(self, path: Path, key: str):
        self.path, self.key = path, key
        self.found = 0  # earlier answers that were returned
        self._file: io.BufferedRandom | None = None
        self._replaying = False

    def begin(self, image: np.ndarray) -> None:
        """Start the evaluation of an image: keep its answers, if any, and drop those of others.

        Args:
            image: float32 (1, H, W, 3).
        """
        header = MARK + f" 1 {self.key} {zlib.crc32(image):08x}\n".encode()
        with naming(self.path):
            self.close()
            self._file = self.path.open("a+b")
            self._file.seek(0)
            self.found = 0
            self._replaying = self._file.readline(len(header)) == header
            if not self._replaying:
                self._file.truncate(0)
                self._file.write(header)
                self._file.flush()

    def answer(self, question: str) -> list[np.ndarray] | None:
        """The next entry's arrays, or None when all are used up.

        Args:
            question: the question and the tile; the first entry for another one ends the answers.
        """
        if self._file is None or not self._replaying:
            return None
        start = self._file.tell()
        found = self._read(question)
        if found is None:
            self._file.truncate(start)
            self._replaying = False
            return None
        self.found += 1
        return found

    def append(self, question: str, arrays: list[np.ndarray]) -> None:
        """Add an answer. It is passed to the system at once, so a kill does not lose it."""
        if self._file is None:
            return
        content = io.BytesIO()
        content.write(json.dumps([question, len(arrays)]).encode() + b"\n")
        for array in arrays:
            write_array(content, array)
        entry = content.getbuffer()
        with naming(self.path):
            self._file.write(struct.pack("<Q", len(entry)))
            self._file.write(entry)
            self._file.write(struct.pack("<I", zlib.crc32(entry)))
            self._file.flush()

    def close(self) -> None:
        """Close the file, leaving it on disk."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _read(self, question: str) -> list[np.ndarray] | None:
        """The next entry's arrays, or None if it is not whole or not for this question."""
        assert self._file is not None
        length = self._file.read(8)
        if len(length) < 8:
            return None
        (announced,) = struct.unpack("<Q", length)
        if announced > os.fstat(self._file.fileno()).st_size:
            return None  # do not allocate memory for a damaged length
        entry = self._file.read(announced)
        if self._file.read(4) != struct.pack("<I", zlib.crc32(entry)) or not entry:
            return None
        content = io.BytesIO(entry)
        asked, count = json.loads(content.readline())
        if asked != question:
            return None
        return [np.load(content, allow_pickle=False) for _ in range(count)]
