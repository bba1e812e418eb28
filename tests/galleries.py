"""Small galleries, for the tests."""

import json
from pathlib import Path

import gallery
from style_transfer.events import Evaluated, StopRun

ROOT = Path(__file__).resolve().parent.parent

SMALL = {
    "height": 32,
    "iter": 2,
    "evaluations": 2,
    "scales": "1",
    "weights": "random",
    "style_layers": "block1_conv1,block2_conv1",
    "content_layers": "block2_conv1",
}

OPTIONS = [text for name, value in SMALL.items() for text in (f"--{name}", str(value))]


class Count:
    """Counts evaluations; stops the gallery after some."""

    def __init__(self, stop_after=None):
        self.fresh = 0
        self.stop_after = stop_after

    def __call__(self, event):
        if isinstance(event, Evaluated) and not event.replayed:
            self.fresh += 1
            if self.fresh == self.stop_after:
                raise StopRun


def paint(folders, out="out", count=None, **choices):
    """The gallery of `folders` and how many evaluations it made."""
    count = count or Count()
    places = [str(folders / name) for name in ("photos", "paintings", out)]
    album = gallery.gallery(*places, on_event=count, **SMALL | choices)
    return album, count.fresh


def results(folder):
    """Contents of the results, by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.png"))}


ALL = [f"{photo}--{painting}.png" for photo in "abc" for painting in "xy"]


def evaluations_of(folder, pattern="*--*"):
    """How many evaluations the cells of a gallery took; line searches may add some at the end."""
    records = [json.loads(path.read_text()) for path in folder.glob(f"{pattern}.json")]
    return sum(len(record["evaluations"]) for record in records)
