"""Opens a run, new or earlier: reads its pictures, checks and locks its prefix."""

import dataclasses
import hashlib
import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from style_transfer.events import Listener
from style_transfer.inputs import Inputs, Sources, load_inputs
from style_transfer.parsing import parse_blend
from style_transfer.paths import existing_file
from style_transfer.pictures import Picture
from style_transfer.runs.files import SUFFIXES, RunFiles
from style_transfer.runs.guard import (
    check_free,
    check_inputs_apart,
    check_no_stranger,
    check_writable,
    run_files,
)
from style_transfer.runs.lock import locked
from style_transfer.runs.record import PictureFile, Record
from style_transfer.runs.resume import (
    Changes,
    check_same_pictures,
    continued,
    find_run,
    load_record,
)
from style_transfer.runs.run import Render, Run
from style_transfer.runs.takeover import RunOptions
from style_transfer.schedule import plan
from style_transfer.settings import Settings

FILTER_SOURCES = ("auto", "imagenet", "fitted", "random")


@dataclass(frozen=True)
class Opening:
    """How a run is opened.

    Attributes:
        make_render: takes the pictures and the settings, and returns the function that turns images
            into pixels.
        check: called with settings and pictures before anything is written; may raise InputError.
        journal: see `RunOptions`.
        listeners: see events.py.
    """

    make_render: Callable[[Inputs, Settings], Render]
    check: Callable[[Settings, Inputs], None] = lambda settings, inputs: None
    journal: bool = True
    listeners: Sequence[Listener] = field(default_factory=list)


@contextmanager
def new_run(
    prefix: str | os.PathLike | None,
    preset: str,
    settings: Settings,
    sources: Sources,
    overwrite: bool,
    opening: Opening,
) -> Iterator[tuple[Run, Inputs]]:
    """Open a new run.

    Args:
        prefix: see `guard.run_files`; None writes nothing.
        preset: the preset from which the settings started.
        settings: all choices.
        sources: the pictures.
        overwrite: replace an earlier run with the same prefix.
        opening: everything else.

    Raises:
        InputError: a picture, the prefix or the size cannot be used; nothing was written.
    """
    parse_blend(settings.style_blend, len(sources.styles))
    files = None
    if prefix is not None:
        files = run_files(prefix, settings.output, sources.names())
        check_writable(files)
        check_inputs_apart(files, named_files(sources, settings))
    inputs = load_inputs(sources, settings)
    sizes = plan(settings, *inputs.content.image.size)
    if files:
        check_free(files, inputs.paths(), overwrite)
    opening.check(settings, inputs)
    with locked(files) if files else nullcontext():
        copies: dict[Path, bytes] = {}
        entries = picture_files(inputs, files, copies)
        record = Record(preset, settings, **entries, sizes=sizes)
        options = RunOptions(overwrite, opening.journal, copies=copies)
        render = opening.make_render(inputs, settings)
        with Run(record, files, options, render, opening.listeners) as run:
            for remark in inputs.remarks():
                run.remark(remark)
            yield run, inputs


@contextmanager
def earlier_run(
    prefix: str | os.PathLike, changes: Changes, opening: Opening
) -> Iterator[tuple[Run, Inputs]]:
    """Open an earlier run at the point from which it continues.

    Args:
        prefix: see `resume.find_run`.
        changes: the user's changes.
        opening: everything else.

    Raises:
        InputError: there is no such run, or a change would make it a different run.
    """
    found = find_run(prefix)
    load_record(found)  # fail before creating a lock
    with locked(found):
        record = load_record(found)
        sources, done = continued(record, found.prefix.parent, changes)
        files = RunFiles(found.prefix, SUFFIXES[record.settings.output])
        inputs = load_inputs(sources, record.settings)
        check_inputs_apart(files, inputs.paths())
        check_no_stranger(files, done)
        before = record.pictures
        copies: dict[Path, bytes] = {}
        entries = picture_files(inputs, files, copies)
        record = dataclasses.replace(record, **entries)
        check_same_pictures(before, record.pictures, changes.overwrite)
        opening.check(record.settings, inputs)
        options = RunOptions(changes.overwrite, opening.journal, done, copies)
        render = opening.make_render(inputs, record.settings)
        with Run(record, files, options, render, opening.listeners) as run:
            yield run, inputs


def named_files(sources: Sources, settings: Settings) -> list[tuple[str, Path]]:
    """All files that the user named, each with its argument."""
    named = [("BASE", sources.content), *(("REF", style) for style in sources.styles)]
    named.append(("--init", sources.start))
    kinds = ["--content_mask"] + ["--style_mask"] * len(sources.styles)
    named += zip(kinds, sources.masks, strict=False)
    if settings.weights not in FILTER_SOURCES:
        named.append(("--weights", settings.weights))
    return [
        (what, existing_file(source, what))
        for what, source in named
        if isinstance(source, str | os.PathLike)
    ]


def picture_files(
    inputs: Inputs, files: RunFiles | None, copies: dict[Path, bytes] | None = None
) -> dict:
    """The pictures as fields of a `Record`, by path and SHA-256.

    Args:
        inputs: the pictures.
        files: the run's files.
        copies: receives the pictures from memory, by the path to which they must be written for a
            resume.
    """
    copies = {} if copies is None else copies
    entry = partial(_entry, files=files, copies=copies)
    masks = inputs.masks.pictures if inputs.masks else []
    return {
        "content": entry(inputs.content, "content"),
        "styles": [entry(style, f"style_{number}") for number, style in enumerate(inputs.styles)],
        "start": entry(inputs.start, "start") if inputs.start else None,
        "masks": [entry(mask, f"mask_{number}") for number, mask in enumerate(masks)],
    }


def _entry(
    picture: Picture, name: str, files: RunFiles | None, copies: dict[Path, bytes]
) -> PictureFile:
    folder = files.prefix.parent.absolute() if files else None
    if picture.path:
        return PictureFile(picture.path, picture.sha256, beside(picture.path, folder))
    if not files:
        return PictureFile("", picture.sha256)
    path = files.state / f"{name}.png"
    image = picture.image.copy()
    if picture.alpha:
        image.putalpha(picture.alpha)
    file = io.BytesIO()
    image.save(file, "PNG")
    copies[path] = file.getvalue()
    digest = hashlib.sha256(copies[path]).hexdigest()
    return PictureFile("", digest, beside(str(path.absolute()), folder))


def beside(path: str | None, folder: Path | None) -> str:
    """`path` relative to a folder; empty if there is none, or if it is on another drive."""
    try:
        return os.path.relpath(path, folder) if path and folder else ""
    except ValueError:
        return ""
