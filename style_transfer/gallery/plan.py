"""The pictures of a gallery: its photographs and paintings, the cells of its grid, their names.

A cell is one photograph in the manner of one painting, painted by an ordinary run of
neural_style_transfer.py.
"""

import glob
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from style_transfer.errors import InputError
from style_transfer.paths import existing_file, expanded, sha256_of_file

# The endings of pictures in a folder; files that are named one by one may have any ending.
SUFFIXES = (
    *(".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"),
    *(".pgm", ".png", ".pnm", ".ppm", ".psd", ".tga", ".tif", ".tiff", ".webp"),
)
LISTS = (".txt", ".lst")  # endings of text files with one path per line
EXPECTED = "a picture, a folder, a pattern such as 'trip/*.jpg', or a .txt file of paths"


@dataclass(frozen=True)
class Source:
    """A photograph or a painting.

    Attributes:
        name: its part of the results' names.
        path: absolute path.
        sha256: SHA-256 of the file; empty if it cannot be read.
    """

    name: str
    path: str
    sha256: str


@dataclass(frozen=True)
class Cell:
    """A photograph in the manner of a painting; OUT/`name`.png is its result."""

    name: str
    photo: Source
    painting: Source


def find_pictures(text: str, what: str, out: Path) -> list[Path]:
    """The absolute paths of the pictures that an argument names, each once.

    Args:
        text: a picture, a folder, a pattern, or a text file of paths; or several of these,
            separated by commas.
        what: the argument, for errors.
        out: folder for the results; folders and patterns find nothing in it.

    Raises:
        InputError: nothing has that name, or there is no picture.
    """
    found = dict.fromkeys(
        path.absolute() for part in _parts(text, what) for path in _named(part, what, out)
    )
    if not found:
        raise InputError(f"{what}: expected {EXPECTED}. Received: {text!r}, without a picture")
    return list(found)


def _parts(text: str, what: str) -> list[str]:
    """The parts between commas; the name of an existing file may contain commas."""
    if "," not in text or expanded(text, what).exists():
        return [text]
    return [part.strip() for part in text.split(",") if part.strip()]


def _named(text: str, what: str, out: Path) -> Iterator[Path]:
    path = expanded(text, what)
    if path.is_dir():
        if path.resolve() == out.resolve():
            raise InputError(f"OUT: expected a folder other than {what}. Received: {str(out)!r}")
        yield from _pictures_among(path.iterdir(), out)
    elif path.suffix.lower() in LISTS and path.is_file():
        for line in existing_file(path, what).read_text(errors="replace").splitlines():
            name = line.strip().removeprefix("\ufeff")
            if name and not name.startswith("#"):
                yield existing_file(path.parent / expanded(name, what), what)
    elif glob.has_magic(str(path)) and not path.exists():
        matches = glob.glob(str(path), recursive=True)  # noqa: PTH207 (takes absolute patterns)
        yield from _pictures_among(map(Path, matches), out)
    elif path.exists():
        yield path
    else:
        raise InputError(f"{what}: expected {EXPECTED}. Received: {text!r}")


def _pictures_among(paths: Iterable[Path], out: Path) -> list[Path]:
    """The pictures among files, sorted by name, with 9.jpg before 10.jpg."""
    out = out.resolve()
    pictures = [
        path
        for path in paths
        if path.suffix.lower() in SUFFIXES
        and not path.name.startswith(".")
        and path.is_file()
        and not path.resolve().is_relative_to(out)
    ]

    def order(path: Path) -> list:
        pieces = re.split(r"(\d+)", str(path).casefold())
        return [(int(piece), "") if piece.isdecimal() else (0, piece) for piece in pieces]

    return sorted(pictures, key=order)


def sources(paths: list[Path], before: dict[tuple[str, str], str]) -> list[Source]:
    """The pictures with unique names.

    If several files have the same name, the start of each one's SHA-256 is appended; a picture that
    had a name in this gallery before keeps it.

    Args:
        paths: the pictures' paths.
        before: earlier names by (file name without extension, SHA-256).
    """
    keys = [(path.stem, _sha256(path)) for path in paths]
    names = {key: before[key] for key in keys if key in before}
    taken = {name.casefold() for name in names.values()}
    # Names that differ only in case are the same name on macOS and Windows.
    stems = Counter(stem.casefold() for stem, _ in dict.fromkeys(keys))
    for stem, sha256 in keys:
        if (stem, sha256) in names:
            continue
        single = stems[stem.casefold()] == 1 and stem.casefold() not in taken
        name = stem if single else f"{stem}-{sha256[:8] or 'unread'}"
        names[stem, sha256] = name
        taken.add(name.casefold())
    return [Source(names[key], str(path), key[1]) for key, path in zip(keys, paths, strict=True)]


def _sha256(path: Path) -> str:
    try:
        return sha256_of_file(path)
    except OSError:
        return ""  # reported like any other unreadable picture when its turn comes


def cells(photos: list[Source], paintings: list[Source], pair: bool) -> list[Cell]:
    """The cells of the grid, photograph by photograph; with `pair`, paired by order.

    Raises:
        InputError: with `pair`, the numbers of photographs and paintings differ.
    """
    if pair and len(photos) != len(paintings):
        raise InputError(
            f"--pair: expected as many photographs as paintings. Received: {len(photos)} and "
            f"{len(paintings)}"
        )
    pairs = (
        zip(photos, paintings, strict=True)
        if pair
        else ((photo, painting) for photo in photos for painting in paintings)
    )
    found: dict[str, Cell] = {}
    for photo, painting in pairs:
        name = f"{photo.name}--{painting.name}"
        other = found.get(name.casefold())
        if other and (other.photo.name, other.painting.name) == (photo.name, painting.name):
            continue  # the same two pictures again
        if other:  # such as a--b with c, and a with b--c
            name = f"{name}-{photo.sha256[:4]}{painting.sha256[:4]}"
        found[name.casefold()] = Cell(name, photo, painting)
    return list(found.values())
