"""Makes room for a run that starts or goes back: removes earlier pictures or puts them aside."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from style_transfer.errors import InputError
from style_transfer.runs.files import SUFFIXES, RunFiles
from style_transfer.runs.guard import is_ours
from style_transfer.runs.record import Record
from style_transfer.runs.resume import load_record


@dataclass(frozen=True)
class RunOptions:
    """How a run treats its files.

    Attributes:
        overwrite: remove the files of an earlier run, or the later iterations of this one.
        journal: keep what an exact resume within a size needs.
        done: the number of iterations of an earlier run to keep; None for a new run.
        copies: files to write at the start: the pictures from memory.
    """

    overwrite: bool = False
    journal: bool = True
    done: int | None = None
    copies: dict[Path, bytes] = field(default_factory=dict)


def clear_for(
    files: RunFiles, record: Record, options: RunOptions, say: Callable[[str], None]
) -> None:
    """Remove, or put aside, files that would otherwise remain beside the run's own.

    Args:
        files: the run's files.
        record: the run's record; its iterations from `options.done` on are given up.
        options: see `RunOptions`.
        say: shows a line to the user.
    """
    if options.overwrite:
        _remove_result_of_another_format(files)
    if options.done is None:
        files.record.unlink(missing_ok=True)
        for path in files.journals:
            path.unlink(missing_ok=True)
    if options.done is None or options.done < len(record.iterations):
        _give_up_later(files, options.done or 0, not options.overwrite, say)


def drop_later_images(files: RunFiles, done: int) -> None:
    """Remove the images of iterations that are no longer the run's."""
    for iteration, path in files.images().items():
        if iteration >= done:
            path.unlink()


def _remove_result_of_another_format(files: RunFiles) -> None:
    """Remove an earlier result that this run, in another format, would not replace."""
    try:
        suffix = SUFFIXES[load_record(files).settings.output]
    except InputError:
        return
    result = RunFiles(files.prefix, suffix).picture()
    if suffix != files.suffix and is_ours(result):
        result.unlink(missing_ok=True)


def _give_up_later(files: RunFiles, done: int, keep: bool, say: Callable[[str], None]) -> None:
    """Remove the pictures after the first `done` iterations, or keep them under another prefix."""
    later = {
        iteration: path
        for iteration, path in files.pictures().items()
        if (iteration is None or iteration >= done) and is_ours(path)
    }
    if not later:
        return
    if not keep:
        for path in later.values():
            path.unlink()
        return
    number = 1
    while files.put_aside(number).pictures():
        number += 1
    for path in later.values():
        path.rename(_renamed(path, files, number))
    say(f"Later pictures are kept as {files.put_aside(number).prefix}*{files.suffix}")


def _renamed(path: Path, files: RunFiles, number: int) -> Path:
    ending = path.name.removeprefix(files.prefix.name)
    return path.with_name(files.put_aside(number).prefix.name + ending)
