"""Paths that users give: files to read, and whether two paths mean the same file."""

import hashlib
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from style_transfer.errors import InputError, shown

# Names that Windows keeps for devices, with any ending and in any folder.
DEVICES = {"CON", "PRN", "AUX", "NUL"}
DEVICES |= {f"{port}{number}" for port in ("COM", "LPT") for number in range(1, 10)}


def expanded(path: str | os.PathLike, what: str) -> Path:
    """`path` with `~` and `~user` replaced, or unchanged if there is no such home.

    Args:
        path: as the user gave it.
        what: the argument's name, for errors.

    Raises:
        InputError: the path is empty or contains a null character.
    """
    if not isinstance(path, str | bytes | os.PathLike):
        raise InputError(f"{what}: expected a path. Received: {shown(path)}")
    path = os.fsdecode(path)
    if not path or "\0" in path:
        raise InputError(f"{what}: expected a path. Received: {shown(path)}")
    return Path(os.path.expanduser(path))  # noqa: PTH111 (that of Path fails without a home)


def existing_file(path: str | os.PathLike, what: str) -> Path:
    """`path` as a Path to an existing, non-empty file.

    Args:
        path: as the user gave it.
        what: the argument's name, for errors.

    Raises:
        InputError: there is no such file, or it is a folder, is empty or cannot be read.
    """
    path = expanded(path, what)
    try:
        if path.is_dir():
            raise InputError(f"{what}: expected a file. Received: the folder {str(path)!r}")
        if not path.is_file():
            raise InputError(f"{what}: expected an existing file. Received: {str(path)!r}")
        with path.open("rb") as file:
            if not file.read(1):
                raise InputError(
                    f"{what}: expected a file with content. Received: {str(path)!r}, 0 bytes"
                )
    except OSError as error:  # a name that is too long, a folder without permission, …
        raise InputError(
            f"{what}: expected a file that can be read. Received: {str(path)!r} ({error.strerror})"
        ) from None
    return path


def check_writable_at(path: Path, what: str, ending: str) -> None:
    """Raise InputError if no file can be written at `path`; found before anything is computed.

    Args:
        path: how the files' names start.
        what: the argument's name, for errors.
        ending: the longest that is added to `path`.
    """
    received = f"Received: {str(path)!r}"
    names = (part for part in path.parts if part != path.anchor)
    if sys.platform == "win32" and (fault := fault_on_windows(names)):
        raise InputError(f"{what}: expected a name that Windows accepts. {received}, with {fault}")
    folder, longest_folder = path.parent, 0
    try:
        while not folder.exists():
            longest_folder = max(longest_folder, len(os.fsencode(folder.name)))
            folder = folder.parent
        longest = len(os.fsencode(path.name + ending))
        limit = os.pathconf(folder, "PC_NAME_MAX") if hasattr(os, "pathconf") else 255
    except (OSError, ValueError) as error:
        raise InputError(
            f"{what}: expected a name that can be written. {received} ({error})"
        ) from None
    if longest_folder > limit:
        raise InputError(
            f"{what}: expected folders whose names have at most {limit} bytes. {received}"
        )
    if longest > limit:
        raise InputError(
            f"{what}: expected a name of at most {limit - len(ending)} bytes. {received}"
        )
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(
            f"{what}: expected a folder that can be written to. {received}, where {str(folder)!r} "
            "is none"
        )


def fault_on_windows(names: Iterable[str]) -> str | None:
    """What keeps files on Windows from having names such as these; None if nothing does.

    Not all of these fail there: NUL swallows whatever is written, and "a:b" is a stream of "a".
    """
    for name in names:
        device = name.split(".")[0].rstrip(" ").upper()
        if device in DEVICES:
            return f"{name!r}, a device"
        if found := set(name) & set('<>:"|?*'):
            return repr(min(found))
        if name not in (".", "..") and name.endswith((".", " ")):
            return f"{name!r}, which ends in {name[-1]!r}"
    return None


def same_file(a: Path, b: Path) -> bool:
    """Whether two paths mean the same existing file, even by links, hard links or spelling."""
    try:
        return a.samefile(b)
    except OSError:
        return False


def ends_of_file(path: Path, count: int = 4096) -> tuple[bytes, bytes]:
    """The first and the last `count` bytes of a file, where programs leave their mark."""
    with path.open("rb") as file:
        start = file.read(count)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - count))
        return start, file.read()


def sha256_of_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
