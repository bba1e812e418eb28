"""Hands the cells of a gallery to workers, and enters the results."""

import contextlib
import importlib.util
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image

from style_transfer.cluster import Outcome, Workers, automatic_workers
from style_transfer.console import duration
from style_transfer.errors import InputError
from style_transfer.events import Evaluated, Event, Listener, StopRun
from style_transfer.gallery.album import Album, Entry
from style_transfer.gallery.page import page
from style_transfer.gallery.plan import Cell
from style_transfer.gallery.status import Status
from style_transfer.gallery.task import Progress, Task, progress
from style_transfer.gallery.worker import THUMBNAILS, Job, Painted, Painter, Script, keep_thumbnail
from style_transfer.machine import usable_cores
from style_transfer.memory import estimated_bytes
from style_transfer.runs.files import RunFiles, write_whole
from style_transfer.runs.guard import check_free
from style_transfer.runs.lock import locked
from style_transfer.runs.record import Record
from style_transfer.runs.takeover import RunOptions, clear_for, drop_later_images
from style_transfer.schedule import full_size
from style_transfer.signals import interrupting

CORES = 2  # per process, if the number of processes is chosen automatically


@dataclass(frozen=True)
class Crew:
    """The processes that paint.

    Attributes:
        script: the top-level functions that paint a picture.
        workers: how many; None chooses.
        address: the address of a Ray cluster, or None.
        quiet: print nothing.
        on_event: called with the events of runs that are painted in this process; may raise
            StopRun.
    """

    script: Script
    workers: int | None = 1
    address: str | None = None
    quiet: bool = True
    on_event: Listener | None = None


def paint(album: Album, crew: Crew) -> None:
    """Paint the cells that an album lacks; its entries get the outcomes.

    Raises:
        StopRun: a listener, or a signal, stopped it.
        InputError: there is no Ray, no cluster, or the filters cannot be used.
        RunStopped: workers cannot be started, or the cluster is lost.
    """
    pending = list(_pending(album))
    album.save(page)
    if not pending:
        return
    done = len(album.entries) - len(pending)
    with Status(len(album.entries), done, crew.quiet) as status:
        try:
            _paint(album, pending, crew, status)
        finally:
            album.save(page)


def _pending(album: Album) -> Iterator[Cell]:
    """The cells that must be painted; finished ones are entered."""
    for entry in album.entries.values():
        how, record = progress(album.task, entry.cell)
        if how is Progress.DONE and record and not album.task.force:
            entry.done(record)
        else:
            yield entry.cell


def _paint(album: Album, pending: list[Cell], crew: Crew, status: Status) -> None:
    task = album.task
    here = crew.address is None
    workers = min(crew.workers or 0, len(pending)) or None
    listener = None
    if here and workers is None:
        workers = chosen_workers(task, pending)
    if here and workers == 1:
        listener = _listener(task, crew, status)
    filters, start = (None, None) if here else _shared_files(task)
    make_worker = partial(Painter, task, crew.script, filters, start, listener)
    said: set[str] = set()
    with (
        _interruptible(listener is None),
        Workers(make_worker, workers, crew.address, ahead=0) as team,
    ):
        for outcome in team.map(_jobs(pending, here), name=_name):
            entry = album.entries[outcome.item.cell.name]
            _enter(task, entry, outcome)
            for line in outcome.value.said if outcome.value else ():
                if line not in said:
                    said.add(line)
                    status.say(line)
            status.cell_done(entry.cell.name, _told(entry), entry.status == "done")
            album.save(page, now=False)


def _name(job: Job) -> str:
    return job.cell.name


def chosen_workers(task: Task, pending: list[Cell]) -> int:
    """The number of processes on this machine: one for every two cores, as far as memory allows.

    On 2 cores, two processes were not faster than one with two threads, and started 25 s later.
    """
    if not importlib.util.find_spec("ray"):
        return 1
    workers = min(usable_cores() // CORES, len(pending))
    if workers > 1 and (needed := _needed_memory(task, pending)):
        workers = min(workers, automatic_workers(needed))
    return max(1, workers)


def _needed_memory(task: Task, pending: list[Cell]) -> int | None:
    """Bytes that a worker needs for the largest picture; None if no picture can be read."""
    needed = 0
    for path in {cell.photo.path for cell in pending}:
        with contextlib.suppress(OSError, ValueError, Image.DecompressionBombError):
            with Image.open(path) as file:
                rows, columns = full_size(task.settings, *file.size)
            needed = max(needed, estimated_bytes(task.settings, rows * columns))
    return needed or None


def _listener(task: Task, crew: Crew, status: Status) -> Listener:
    """A listener that moves the bar while a cell is painted in this process."""
    settings = task.settings
    evaluations = settings.iter * settings.evaluations

    def listen(event: Event) -> None:
        if isinstance(event, Evaluated):
            status.part(min(1.0, (event.number + 1) / evaluations))
        if crew.on_event:
            crew.on_event(event)

    return listen


def _shared_files(task: Task) -> tuple[bytes | None, bytes | None]:
    """The contents of the files that all cells need: filters, and the picture to start from."""
    start = Path(task.settings.init).read_bytes() if task.start_sha256 else None
    return Path(task.filters.path).read_bytes() if task.filters else None, start


def _jobs(cells: Iterable[Cell], here: bool) -> Iterator[Job]:
    """The cells, with the content of their pictures if the workers cannot read the files."""
    for cell in cells:
        yield Job(cell) if here else Job(cell, *map(_content, (cell.photo, cell.painting)))


def _content(source) -> bytes:
    try:
        return Path(source.path).read_bytes()
    except OSError:
        return b""  # the worker reports that it cannot be read


def _enter(task: Task, entry: Entry, outcome: Outcome) -> None:
    """Enter a cell's outcome, and write the files that came with it."""
    failure, painted = outcome.failure, outcome.value
    if failure is None:
        try:
            _keep(task, entry.cell, painted)
            entry.done(painted.record, painted.seconds)
        except InputError as error:
            entry.failed(str(error))
        return
    reason = failure.message.removeprefix(f"{entry.cell.name}: ")
    for argument, ours in (("BASE: ", "PHOTOS: "), ("REF: ", "PAINTINGS: ")):
        if reason.startswith(argument):
            reason = ours + reason.removeprefix(argument)
    entry.failed(reason)


def _keep(task: Task, cell: Cell, painted: Painted) -> None:
    """Write the files of a cell that was painted elsewhere.

    Raises:
        InputError: files in OUT that this program did not write are in the way.
    """
    if not painted.files:
        return
    out, files = Path(task.out), task.files(cell)
    inputs = [("PHOTOS", Path(cell.photo.path)), ("PAINTINGS", Path(cell.painting.path))]
    check_free(files, inputs, overwrite=True)
    (out / THUMBNAILS).mkdir(exist_ok=True)
    with locked(files):
        _clear(files, painted.record)
        for name, content in painted.files.items():
            if name.startswith(THUMBNAILS):
                keep_thumbnail(out / name, content)
            else:
                write_whole(out / name, lambda file, content=content: file.write(content))


def _clear(files: RunFiles, record: Record) -> None:
    """Remove an earlier run of a cell."""
    clear_for(files, record, RunOptions(overwrite=True), lambda line: None)
    drop_later_images(files, 0)


def _told(entry: Entry) -> str:
    if entry.status == "failed":
        return entry.error
    return f"{entry.columns} x {entry.rows}, {duration(entry.seconds)}"


def failures(album: Album) -> list[str]:
    """A line for each reason for which cells failed."""
    failed = [entry for entry in album.entries.values() if entry.status == "failed"]
    counts = Counter(entry.error for entry in failed)
    lines = []
    for error, count in counts.items():
        names = [entry.cell.name for entry in failed if entry.error == error]
        lines.append(f"{names[0]}{f' and {count - 1} more' if count > 1 else ''}: {error}")
    return lines


@contextlib.contextmanager
def _interruptible(wanted: bool) -> Iterator[None]:
    """While workers paint in other processes, let signals end the wait for them.

    Raises:
        StopRun: Ctrl-C or SIGTERM.
    """
    with interrupting() if wanted else contextlib.nullcontext():
        try:
            yield
        except KeyboardInterrupt:
            raise StopRun from None
