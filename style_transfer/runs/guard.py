"""Makes sure that a run overwrites only its own files, never an input or somebody else's file."""

import os
from collections.abc import Iterator
from pathlib import Path

from style_transfer.errors import InputError
from style_transfer.paths import check_writable_at, ends_of_file, expanded, same_file
from style_transfer.runs.files import ABOUT, OUTPUTS, SUFFIXES, TEMPORARY, RunFiles
from style_transfer.runs.journal import MARK
from style_transfer.runs.record import PROGRAM, Record

JSON_MARK = f'"program": "{PROGRAM}"'.encode()
PNG_MARK = f"Software\0{PROGRAM}".encode()
PLAIN_MARK = PROGRAM.encode()  # in JPEG, and in TIFF, which stores the tag's number elsewhere
LONGEST_ENDING = "_at_iteration_99999.png" + TEMPORARY
LONGEST_NAME = 255 - len(LONGEST_ENDING)  # bytes of a prefix that is named after pictures


def run_files(prefix: str | os.PathLike, output: str, names: list[str]) -> RunFiles:
    """The files of a new run.

    Args:
        prefix: how the results' names start; or a folder, existing or ending in a slash, in which
            the results are named after the pictures; or the name of the result itself, such as
            out/cat.png.
        output: format of the pictures, as `Settings.output`.
        names: names of the content and style pictures, without folders and extensions.

    Raises:
        InputError: the prefix is empty.
    """
    path, suffix = expanded(prefix, "PREFIX"), SUFFIXES[output]
    is_folder = os.path.isdir(path)  # noqa: PTH112 (that of Path raises if a name is too long)
    if path.name and path.suffix.lower() in {".png", *OUTPUTS} and not is_folder:
        return RunFiles(path.with_suffix(""), suffix)
    separators = tuple(filter(None, (os.sep, os.altsep)))
    if os.fsdecode(prefix).endswith(separators) or is_folder:
        return RunFiles(path / joined(names), suffix)
    return RunFiles(path, suffix)


def output_by_ending(prefix: str | os.PathLike | None, choices: dict) -> dict:
    """`choices`, with the output format given by the prefix's ending unless they name one."""
    if prefix is None or "output" in choices:
        return choices
    path = expanded(prefix, "PREFIX")
    if os.path.isdir(path):  # noqa: PTH112 (that of Path raises if a name is too long)
        return choices
    ending = path.suffix.lower()
    return choices | {"output": OUTPUTS[ending]} if ending in OUTPUTS else choices


def joined(names: list[str]) -> str:
    """One name made of pictures' names, cut to a length that a file system accepts."""
    text = "--".join(names)
    if len(os.fsencode(text)) <= LONGEST_NAME:
        return text
    share = LONGEST_NAME // len(names) - len("--")
    return _cut("--".join(_cut(name, share) for name in names), LONGEST_NAME)


def _cut(name: str, size: int) -> str:
    """The start of a name, at most `size` bytes long, without splitting a character."""
    return os.fsencode(name)[: max(size, 1)].decode(errors="ignore")


def check_free(files: RunFiles, inputs: list[tuple[str, Path]], overwrite: bool) -> None:
    """Refuse a prefix with which a run would harm an input, an earlier run or another file.

    Args:
        files: the files of the new run.
        inputs: everything that it reads: (name of the argument, path).
        overwrite: whether an earlier run with the same prefix may be replaced.

    Raises:
        InputError: a file is in the way; the message names it.
    """
    check_writable(files)
    check_inputs_apart(files, inputs)
    present = [file for file in (files.record, *files.pictures().values()) if os.path.lexists(file)]
    if present and not overwrite:
        raise InputError(
            f"PREFIX: expected one without a run, or --overwrite, or --resume {files.prefix}. "
            f"Received: {str(files.prefix)!r}, which has {present[0].name}"
        )
    stranger = next((file for file in present if not is_ours(file)), None)
    if stranger is None and _is_strange(files.state):
        stranger = files.state
    if stranger:
        raise InputError(
            f"PREFIX: expected no files but this program's. Received: {str(files.prefix)!r}, where "
            f"{stranger.name} is not one of them; move it, or choose another prefix"
        )


def check_no_stranger(files: RunFiles, done: int) -> None:
    """Refuse to resume if results would replace somebody else's file, or an edited picture.

    Args:
        files: the run's files.
        done: the number of finished iterations; later pictures are still to be written.

    Raises:
        InputError: a file is in the way; the message names it.
    """
    for number, path in files.pictures().items():
        is_to_come = path.suffix == files.suffix and (number is None or number >= done)
        if is_to_come and not is_ours(path):
            raise InputError(
                f"--resume: expected no files but this program's. Received: {str(files.prefix)!r}, "
                f"where {path.name} is not one of them; move it"
            )


def check_inputs_apart(files: RunFiles, inputs: list[tuple[str, Path]]) -> None:
    """Raise InputError if a file of the run, existing or future, is one of its inputs."""
    for file in _own_files(files):
        for argument, path in inputs:
            if same_file(file, path):
                raise InputError(
                    "PREFIX: expected one that replaces no input. Received: "
                    f"{str(files.prefix)!r}, whose {file.name} is {argument}, {str(path)!r}"
                )


def _own_files(files: RunFiles) -> Iterator[Path]:
    """The files on disk that a run of this prefix writes, replaces or removes."""
    results = [RunFiles(files.prefix, suffix).picture() for suffix in {*SUFFIXES.values()}]
    # In another format, only the files of an earlier run: PREFIX.jpg may be a photograph.
    results = [file for file in results if file.suffix == files.suffix or is_ours(file)]
    own = [files.record, *results, *files.pictures().values(), *files.images().values()]
    for file in [*own, files.journal, files.lock, files.about]:
        yield file
        yield file.with_name(file.name + TEMPORARY)


def is_ours(file: Path) -> bool:
    """Whether this program wrote a file: a record, or a picture with its mark."""
    try:
        start, end = ends_of_file(file)
    except OSError:
        return False
    if file.suffix == ".json":
        return JSON_MARK in start[:200] or _is_record(file)
    mark = PNG_MARK if file.suffix == ".png" else PLAIN_MARK
    return mark in start or mark in end


def _is_record(file: Path) -> bool:
    try:
        Record.from_json(file.read_bytes())
    except (OSError, ValueError):
        return False
    return True


def _is_strange(state: Path) -> bool:
    """Whether the state's path is a folder that this program has not made."""
    try:
        content = {path.name for path in state.iterdir()}
    except (FileNotFoundError, NotADirectoryError):  # the latter if PREFIX is below a file
        return False
    except OSError:
        return True
    # A kill may leave a state with only the lock and an unfinished text.
    if ABOUT in content or content <= {"lock", ABOUT + TEMPORARY}:
        return False
    # Version 1 wrote no text; its folders hold numbered images and sometimes the journal.
    journal = state / "journal"
    if journal.is_file():
        with journal.open("rb") as opened:
            return opened.read(len(MARK)) != MARK
    return not all(name.startswith("iteration_") or name == "lock" for name in content)


def check_writable(files: RunFiles) -> None:
    """Raise InputError if no run can be written at a prefix."""
    check_writable_at(files.prefix, "PREFIX", LONGEST_ENDING)
