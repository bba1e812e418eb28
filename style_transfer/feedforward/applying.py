"""Applies a network to one photograph or many, through the map of cluster.py."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from style_transfer.cluster import Outcome, Workers
from style_transfer.errors import InputError, RunStopped
from style_transfer.feedforward.about import about_of_file
from style_transfer.feedforward.files import check_apart, check_ours, is_ours
from style_transfer.feedforward.painter import Finish, Job, Painter, Render, texts_of
from style_transfer.gallery.plan import find_pictures, sources
from style_transfer.gallery.status import Status
from style_transfer.paths import check_writable_at, existing_file, expanded, sha256_of_file
from style_transfer.pictures import Picture
from style_transfer.runs.files import OUTPUTS, SUFFIXES, TEMPORARY, write_whole


@dataclass(frozen=True)
class Task:
    """The photographs to paint, and the files to write.

    Attributes:
        model: path of the network's file.
        jobs: photographs and results.
        several: whether OUT is a folder for the results.
    """

    model: Path
    jobs: list[Job]
    several: bool


def make_task(
    model: str | os.PathLike, photos: Iterable[str | os.PathLike], out: str, output: str | None
) -> tuple[Task, str]:
    """Find the photographs, and name the results.

    Args:
        model: path of the network's file.
        photos: each a picture, a folder, a pattern or a list of paths, as for gallery.py.
        out: the result's name; for several photographs, or if it ends in a slash, a folder.
        output: the format, or None: by OUT's ending, else png.

    Returns:
        The task, and the format.

    Raises:
        InputError: something is missing, or a result would overwrite an input.
    """
    path = existing_file(model, "MODEL").absolute()
    about_of_file(path)
    target = expanded(out, "OUT").absolute()
    arguments = [os.fspath(photo) for photo in photos]
    if not arguments:
        raise InputError("PHOTO: expected at least one photograph. Received: none")
    found = dict.fromkeys(
        photo for text in arguments for photo in find_pictures(text, "PHOTO", target)
    )
    separators = tuple(filter(None, (os.sep, os.altsep)))
    single = len(found) == 1 and not Path(arguments[0]).is_dir()
    several = not single or target.is_dir() or os.fspath(out).endswith(separators)
    ending = target.suffix.lower()
    chosen = output or ("png" if several else OUTPUTS.get(ending, "png"))
    suffix = SUFFIXES[chosen]
    if several:
        names = [(source.path, target / f"{source.name}{suffix}") for source in _named(found)]
    else:
        known = ending in (suffix, *OUTPUTS, ".png")
        names = [(str(*found), target.with_suffix(suffix) if known else _with(target, suffix))]
    jobs = [Job(photo, str(result)) for photo, result in names]
    inputs = [("MODEL", path), *(("PHOTO", Path(job.path)) for job in jobs)]
    check_apart([Path(job.out) for job in jobs], inputs, "OUT")
    check_writable_at(Path(jobs[0].out), "OUT", TEMPORARY)
    return Task(path, jobs, several), chosen


def apply_all(
    task: Task, finish: Finish, render: Render, overwrite: bool, crew: tuple, status: Status
) -> list[str]:
    """Paint all photographs that have not been painted yet.

    Args:
        task: the photographs to paint, and the files to write.
        finish: how the pictures are made.
        render: see painter.py.
        overwrite: replace this program's earlier results.
        crew: (workers, address), as for `cluster.Workers`.
        status: shows the progress.

    Returns:
        Lines about photographs that could not be painted.

    Raises:
        InputError: a file is in the way, or the only photograph cannot be used.
        RunStopped: workers or the disk failed.
    """
    sha256 = sha256_of_file(task.model)
    jobs = [job for job in task.jobs if overwrite or not _is_done(job, finish, sha256, task)]
    for job in jobs:
        _check_free(Path(job.out), overwrite)
    for job in task.jobs:
        if job not in jobs:
            status.cell_done(Path(job.out).name, "done before", False)
    if not jobs:
        return []
    workers, address = crew
    model = str(task.model) if address is None else task.model.read_bytes()
    make_worker = partial(Painter, model, finish, render, sha256)
    failures: list[str] = []
    with Workers(make_worker, workers, address, ahead=0) as team:
        for outcome in team.map(_sent(jobs, address is None), name=_name):
            if outcome.failure and not task.several:
                raise outcome.failure.error or RunStopped(outcome.failure.message)
            _enter(outcome, status, failures)
    return failures


def _named(found: Iterable[Path]):
    """The photographs with unique names."""
    return sources(list(found), {})


def _with(path: Path, suffix: str) -> Path:
    """`path` with an ending appended, since out/v1.5 has none."""
    return path.with_name(path.name + suffix)


def _is_done(job: Job, finish: Finish, sha256: str, task: Task) -> bool:
    """Whether one of several results exists, made from the same photograph by the same network."""
    out = Path(job.out)
    if not task.several or not out.is_file() or not is_ours(out):
        return False
    photograph = Picture(None, None, None, sha256_of_file(job.path))  # type: ignore[arg-type]
    text = texts_of(finish, sha256, photograph)["Settings"].encode()
    with out.open("rb") as file:
        start = file.read(1 << 16)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - (1 << 16)))
        return text in start or text in file.read()


def _check_free(out: Path, overwrite: bool) -> None:
    if not os.path.lexists(out):
        return
    check_ours(out, "OUT")
    if not overwrite:
        raise InputError(
            f"OUT: expected a name without a picture, or --overwrite. Received: {str(out)!r}"
        )


def _sent(jobs: list[Job], here: bool) -> Iterator[Job]:
    """The jobs, with the content of their photographs if the workers cannot read the files."""
    for job in jobs:
        yield job if here else Job(job.path, job.out, _content(job.path))


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""  # the worker reports that it cannot be read


def _name(job: Job) -> str:
    return Path(job.path).name


def _enter(outcome: Outcome, status: Status, failures: list[str]) -> None:
    """Write a picture, or note why it is missing."""
    out = Path(outcome.item.out)
    if outcome.failure:
        failures.append(outcome.failure.message)
        status.cell_done(out.name, outcome.failure.message, False)
        return
    painted = outcome.value
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, lambda file: file.write(painted.content))
    for remark in painted.remarks:
        status.say(remark)
    columns, rows = painted.size
    status.cell_done(out.name, f"{columns} x {rows}, {painted.seconds:.1f} s", True)
