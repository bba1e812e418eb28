"""A studio without its server, for the tests."""

import struct
import sys
import time
import zlib
from pathlib import Path

from conftest import draw
from studio_server import LIGHT, unbroken

from style_transfer.studio import uploads
from style_transfer.studio.desk import Desk
from style_transfer.studio.library import Library, key_of
from style_transfer.studio.painter import Painter
from style_transfer.studio.places import places_in
from style_transfer.studio.state import Teller

SMALL = {"size": "64", "iter": 3, "evaluations": 4, "scales": "1"}


class Atelier:
    """Everything of a studio but its server.

    Args:
        folder: of the runs.
        jobs: at a time.
    """

    def __init__(self, folder: Path, jobs: int = 1):
        self.places = places_in(folder)
        self.places.make()
        self.painter = Painter(self.places, [sys.executable, str(LIGHT), "paint-order"], jobs)
        self.library = Library(self.places, self.painter)
        self.desk = Desk(self.places, self.painter, self.library)
        self.teller = Teller(self.places, self.painter, self.library)

    def picture(self, name: str, seed: int) -> Path:
        """A picture among the inputs."""
        path = self.places.uploads / f"{name}.png"
        draw(48, 64, seed).save(path)
        return uploads.keep(path, self.places, "picture")

    def begin(self, **choices) -> str:
        """The key of a new run."""
        run = self.desk.begin(
            self.picture("cat", 1), [self.picture("night", 2)], "default", SMALL | choices
        )
        return key_of(run)

    def run(self, key: str) -> dict:
        """A run in detail."""
        self.library.look_again()
        return self.teller.state(key)["run"]

    def until(self, key: str, *statuses: str) -> dict:
        """A run, once it has one of some statuses."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            run = self.run(key)
            if run and run["status"] in statuses:
                return run
            time.sleep(0.05)
        raise AssertionError(self.run(key))

    def found(self, key: str):
        """A run as the library knows it."""
        self.library.look_again()
        return self.library.find(key)


def painted_again(atelier: Atelier, key: str, prefix: Path) -> bytes:
    """The bytes of a run's picture, painted again here by its orders."""
    return unbroken(atelier.places.folder, atelier.found(key).run, prefix)


def png_that_claims(columns: int, rows: int) -> bytes:
    """A small file whose header claims many pixels."""

    def chunk(kind, content):
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
