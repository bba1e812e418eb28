"""The journal of the objective's answers, with which a resume gets to where the run stopped.

scipy gives no access to the state of L-BFGS-B. But it is deterministic: given the same answers, it
asks the same questions. So a resume answers from the journal, until all entries are used.
"""

import os
import struct
import zlib
from pathlib import Path

import numpy as np

from style_transfer.events import TERMS
from style_transfer.runs.files import naming

MARK = b"neural_style_transfer journal"  # every journal starts with it


class JournalMismatch(Exception):
    """The next journal entry belongs to a different image."""


class Journal:
    """The objective's answers in order, written to disk as they come.

    The file starts with a line that identifies it. Each entry consists of: the length of the rest;
    checksum of the image, seconds, number of terms; terms; gradient; checksum of the entry.

    Args:
        path: path of the file. An existing journal with the same `key` is replayed, up to the first
            incomplete or damaged entry. Any other journal is overwritten.
        key: digest of everything on which the answers depend.
    """

    _HEAD = struct.Struct("<IdI")

    def __init__(self, path: Path, key: str):
        header = MARK + f" 2 {key}\n".encode()
        self.path = path
        self._file = path.open("a+b")  # stays open while its size is painted
        self._file.seek(0)
        self.found = self._file.readline(len(header)) == header
        self._replaying = self.found
        self.replayed = 0  # answers given so far
        if not self.found:
            self._file.truncate(0)
            self._file.write(header)
            self._file.flush()

    def answer(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray, float] | None:
        """The next entry's (terms, gradient, seconds), or None when all are used up.

        Raises:
            JournalMismatch: the entry belongs to a different image.
        """
        if not self._replaying:
            return None
        start = self._file.tell()
        entry = self._read_entry()
        if entry is None:
            self._file.truncate(start)
            self._replaying = False
            return None
        asked, seconds, count = self._HEAD.unpack_from(entry)
        values = np.frombuffer(entry, "<f4", offset=self._HEAD.size)
        is_whole = count == len(TERMS) and len(values) == count + image.size
        if asked != zlib.crc32(image) or not is_whole:
            raise JournalMismatch
        self.replayed += 1
        return values[:count], values[count:].reshape(image.shape), seconds

    def _read_entry(self) -> bytes | None:
        """The next entry without length and checksum, or None if it is not whole."""
        length = self._file.read(4)
        if len(length) < 4:
            return None
        (announced,) = struct.unpack("<I", length)
        if announced > os.fstat(self._file.fileno()).st_size:
            return None  # do not allocate memory for a damaged length
        entry = self._file.read(announced)
        if self._file.read(4) != struct.pack("<I", zlib.crc32(entry)):
            return None
        values = len(entry) - self._HEAD.size  # zeros from a hole in the file have a valid checksum
        return entry if values > 0 and values % 4 == 0 else None

    def append(
        self, image: np.ndarray, terms: np.ndarray, gradient: np.ndarray, seconds: float
    ) -> None:
        """Add an answer. It is passed to the system at once, so a kill does not lose it."""
        gradient = np.ascontiguousarray(gradient, "<f4")
        head = self._HEAD.pack(zlib.crc32(image), seconds, len(terms)) + terms.tobytes()
        checksum = zlib.crc32(gradient, zlib.crc32(head))
        with naming(self.path):
            self._file.write(struct.pack("<I", len(head) + gradient.nbytes) + head)
            self._file.write(gradient)
            self._file.write(struct.pack("<I", checksum))
            self._file.flush()

    def close(self) -> None:
        """Close the file, leaving it on disk."""
        self._file.close()
