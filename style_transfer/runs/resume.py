"""The rules for resuming an earlier run."""

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from style_transfer.errors import InputError
from style_transfer.inputs import GIVEN, Given, Sources, given_pictures
from style_transfer.paths import expanded, sha256_of_file
from style_transfer.presets import with_choices
from style_transfer.runs.files import SUFFIXES, RunFiles
from style_transfer.runs.record import PictureFile, Record
from style_transfer.schedule import replan
from style_transfer.settings import INITS, Settings


@dataclass
class Changes:
    """The user's changes to a run that is resumed.

    Attributes:
        choices: fields of `Settings`.
        from_iteration: go back to the image after this iteration.
        overwrite: allow choices that change the loss, and pictures and filters that have changed.
        base: where the content picture is now; None: where the record says.
        styles: where the style pictures are now; None likewise.
    """

    choices: dict = field(default_factory=dict)
    from_iteration: int | None = None
    overwrite: bool = False
    base: Any = None
    styles: list | None = None


def find_run(prefix: str | os.PathLike) -> RunFiles:
    """The files of an earlier run.

    Args:
        prefix: the run's prefix, or its result's name, or its folder if that holds only one run.

    Raises:
        InputError: there is no such run.
    """
    path = expanded(prefix, "--resume")
    tried = [path]
    if path.suffix.lower() in {*SUFFIXES.values(), ".json"}:
        tried.append(path.with_suffix(""))
    try:
        for candidate in tried:
            if candidate.name and RunFiles(candidate).record.exists():
                return RunFiles(candidate)
        if path.is_dir():
            runs = [
                file
                for file in sorted(path.glob("*.json"))
                if RunFiles(file.with_suffix("")).state.is_dir()
            ]
            if len(runs) == 1:
                return RunFiles(runs[0].with_suffix(""))
            if runs:
                names = ", ".join(str(run.with_suffix("")) for run in runs[:5])
                raise InputError(
                    f"--resume: expected the prefix of one run: {names}. Received: the folder "
                    f"{str(path)!r}"
                )
    except OSError as error:
        raise InputError(
            f"--resume: expected the prefix of a run. Received: {os.fspath(prefix)!r} ({error})"
        ) from None
    raise InputError(
        f"--resume: expected the prefix of a run. Received: {os.fspath(prefix)!r}; no "
        f"{f'{path}.json'!r}"
    )


def load_record(files: RunFiles) -> Record:
    """The record of an earlier run.

    Raises:
        InputError: it is damaged, or not a record of this program.
    """
    try:
        return Record.from_json(files.record.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            "--resume: expected a whole record of this program; pictures of the run can be used "
            f"with --init. Received: {str(files.record)!r} ({error})"
        ) from None


def continued(record: Record, folder: Path, changes: Changes) -> tuple[Sources, int]:
    """Bring a record to the point from which its run continues.

    Args:
        record: the earlier run's record, changed in place.
        folder: the record's folder.
        changes: the user's changes.

    Returns:
        Where the pictures are now, and how many iterations are kept.

    Raises:
        InputError: a change would make it a different run.
    """
    before = record.settings
    given, choices = given_pictures(changes.choices)
    if given != Given():
        name = "--init" if given.start is not None else "--content_mask, --style_mask"
        raise InputError(f"{name}: expected a path in a resume. Received: a picture in memory")
    settings = with_choices(before, choices)
    changed = {
        item.name
        for item in dataclasses.fields(settings)
        if getattr(settings, item.name) != getattr(before, item.name)
    }
    if "weights" in changed and _is_same_file(record, settings.weights):
        changed.remove("weights")  # it was moved
    _check_changed(before, settings, changed, changes.overwrite)
    sources = _sources(record, folder, changes, settings, changed)
    if changed & {"weights", "network"}:
        record.filters = None
    if changed - {"iter"}:
        record.loss_weights, record.methods = {}, {}
    done = _iterations_kept(record, settings, changes.from_iteration)
    record.status, record.settings = "running", settings
    record.sizes = replan(record.sizes, settings)
    return sources, done


def _is_same_file(record: Record, weights: str) -> bool:
    """Whether `--weights` names a file of the filters that the run began with."""
    path = Path(weights)
    return (
        record.filters is not None
        and path.is_file()
        and sha256_of_file(path) == record.filters.sha256
    )


def _check_changed(before: Settings, settings: Settings, changed: set, overwrite: bool) -> None:
    other = sorted(changed - {"iter"})
    if other and not overwrite:
        raise InputError(
            ", ".join(f"--{name}" for name in other)
            + ": expected as in the run that is resumed, or --overwrite. Received: "
            + ", ".join(f"{getattr(settings, name)!r}" for name in other)
        )
    fixed = {"height", "width", "size", "print", "scales"} | ({"dpi"} if before.print else set())
    for name in sorted(fixed & changed):
        raise InputError(
            f"--{name}: expected {getattr(before, name)!r}, as in the run that is resumed; start "
            f"another run with --init PICTURE instead. Received: {getattr(settings, name)!r}"
        )


def _iterations_kept(record: Record, settings: Settings, from_iteration: int | None) -> int:
    done = len(record.iterations)
    if from_iteration is not None:
        if not isinstance(from_iteration, int) or not 0 <= from_iteration < done:
            which = f"0 to {done - 1}" if done else "none of which is done yet"
            raise InputError(
                f"--from_iteration: expected one of the run's iterations, {which}. "
                f"Received: {from_iteration}"
            )
        done = from_iteration + 1
    full = min(s.first_iteration for s in record.sizes if s.shape == record.sizes[-1].shape)
    least = max(done, full + 1)
    if settings.iter < least:
        raise InputError(f"--iter: expected at least {least}. Received: {settings.iter}")
    return done


def _sources(
    record: Record, folder: Path, changes: Changes, settings: Settings, changed: set
) -> Sources:
    """Where the run's pictures are now: named by the user, or found through the record."""

    def located(entries: list[PictureFile], option: str) -> list[Path]:
        return [_located(entry, folder, option, changes.overwrite) for entry in entries]

    content = changes.base
    if content is None:
        content = located([record.content], "--base")[0]
    styles = changes.styles
    if styles is None:
        styles = located(record.styles, "--styles")
    elif len(styles) != len(record.styles):
        raise InputError(
            f"--styles: expected {len(record.styles)} pictures, as in the run that is resumed. "
            f"Received: {len(styles)}"
        )
    given = Given()
    if "init" not in changed and settings.init not in INITS and record.start:
        given.start = located([record.start], "--init")[0]
    if not changed & {"content_mask", "style_mask"}:
        given.masks = located(record.masks, "--content_mask, --style_mask")
    if settings.init == GIVEN and given.start is None:
        raise InputError("--init: expected a picture, since the run's is not kept. Received: none")
    return Sources.chosen(content, styles, settings, given)


def _located(entry: PictureFile, folder: Path, option: str, overwrite: bool) -> Path:
    """Where a picture of the record is now; its SHA-256 identifies it even after a move."""
    candidates = [Path(entry.path)] if entry.path else []
    if entry.beside:
        candidates.append(folder / entry.beside)
    if entry.path:
        candidates.append(folder / Path(entry.path).name)
    present = []
    for path in candidates:
        try:
            if path.is_file():
                present.append(path)
                if sha256_of_file(path) == entry.sha256:
                    return path
        except OSError:
            continue
    if present and overwrite:
        return present[0]
    wanted = f"(SHA-256 {entry.sha256[:12]}…)"
    name = entry.path or entry.beside
    if present:
        raise InputError(
            f"--resume: expected the picture {str(present[0])!r} as it was {wanted}, or "
            "--overwrite. Received: a changed file"
        )
    raise InputError(
        f"--resume: expected the picture {name!r} {wanted}; say where it is with {option} PATH. "
        "Received: no such file"
    )


def check_same_pictures(before: list[PictureFile], now: list[PictureFile], overwrite: bool) -> None:
    """Raise InputError if a picture named by the user differs from the run's."""
    for old, new in zip(before, now, strict=False):
        if old.sha256 != new.sha256 and not overwrite:
            raise InputError(
                f"--resume: expected the picture with SHA-256 {old.sha256[:12]}…, or --overwrite. "
                f"Received: {new.path or new.beside!r}, {new.sha256[:12]}…"
            )
