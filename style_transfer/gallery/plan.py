"""Which pictures a gallery has: its photographs and paintings, the cells of its grid, their names.

A cell is one photograph in the manner of one painting; its run is one of neural_style_transfer.py.
"""

import glob
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from style_transfer.errors import InputError
from style_transfer.paths import existing_file, expanded, sha256_of_file

# What is taken for a picture in a folder; files named one by one may end as they like.
SUFFIXES = (
    *(".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"),
    *(".pgm", ".png", ".pnm", ".ppm", ".psd", ".tga", ".tif", ".tiff", ".webp"),
)
LISTS = (".txt", ".lst")  # endings of text files that name pictures, one a line
EXPECTED = "a picture, a folder, a pattern such as 'trip/*.jpg', or a .txt file of paths"


@dataclass(frozen=True)
class Source:
    """A photograph or a painting.

    Attributes:
        name: its part of the results' names.
        path: absolute.
        sha256: of the file; empty where it cannot be read.
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
    """The pictures that an argument names, each once, absolute.

    Args:
        text: a picture, a folder, a pattern, or a text file of paths; or several of these,
            separated by commas.
        what: the argument, for errors.
        out: folder of the results; folders and patterns do not find what lies in it.

    Raises:
        InputError: nothing of that name, or no picture there.
    """
    found = dict.fromkeys(
        path.absolute() for part in _parts(text, what) for path in _named(part, what, out)
    )
    if not found:
        raise InputError(f"{what}: expected {EXPECTED}. Received: {text!r}, where no picture is")
    return list(found)


def _parts(text: str, what: str) -> list[str]:
    """What stands between the commas; a file whose name has commas is one part."""
    if "," not in text or expanded(text, what).exists():
        return [text]
    return [part.strip() for part in text.split(",") if part.strip()]


def _named(text: str, what: str, out: Path) -> Iterator[Path]:
    path = expanded(text, what)
    if path.is_dir():
        if path.resolve() == out.resolve():
            raise InputError(f"OUT: expected another folder than {what}'s. Received: {str(out)!r}")
        yield from _pictures_among(path.iterdir(), out)
    elif path.suffix.lower() in LISTS and path.is_file():
        for line in existing_file(path, what).read_text(errors="replace").splitlines():
            name = line.strip().removeprefix("\ufeff")
            if name and not name.startswith("#"):
                yield existing_file(path.parent / expanded(name, what), what)
    elif glob.has_magic(str(path)) and not path.exists():
        matches = glob.glob(str(path), recursive=True)  # noqa: PTH207 (absolute patterns, too)
        yield from _pictures_among(map(Path, matches), out)
    elif path.exists():
        yield path
    else:
        raise InputError(f"{what}: expected {EXPECTED}. Received: {text!r}")


def _pictures_among(paths: Iterable[Path], out: Path) -> list[Path]:
    """The pictures among files, in the order of their names: 9.jpg before 10.jpg."""
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
    """The pictures with names of their own.

    Where several files have one name, each gets the beginning of its SHA-256 added; what had a
    name in this gallery before keeps it.

    Args:
        paths: of the pictures.
        before: names by (file's name without ending, SHA-256).
    """
    keys = [(path.stem, _sha256(path)) for path in paths]
    names = {key: before[key] for key in keys if key in before}
    taken = {name.casefold() for name in names.values()}
    # Names that differ in upper and lower case alone are one name on macOS and Windows.
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
        return ""  # told as any other picture that cannot be read, once its turn comes


def cells(photos: list[Source], paintings: list[Source], pair: bool) -> list[Cell]:
    """The cells of the grid, photograph by photograph; or, with `pair`, one to one by order.

    Raises:
        InputError: `pair` with more of one than of the other.
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
        if other:  # a--b with c, and a with b--c
            name = f"{name}-{photo.sha256[:4]}{painting.sha256[:4]}"
        found[name.casefold()] = Cell(name, photo, painting)
    return list(found.values())
