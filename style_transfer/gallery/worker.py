"""Paints the cells of a gallery one after another, in a process of the map in cluster.py.

On this machine, where the worker can write to the results' folder, a cell is an ordinary run in
that folder: one that was stopped continues exactly where it stopped. A cluster's node paints it in
a temporary folder, and its files are sent back.
"""

import contextlib
import dataclasses
import io
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import filelock
from PIL import Image

from style_transfer.errors import InputError
from style_transfer.events import Event, Listener, Said
from style_transfer.gallery.plan import Cell
from style_transfer.gallery.task import Progress, Task, progress
from style_transfer.inputs import Inputs
from style_transfer.memory import check_memory
from style_transfer.parsing import layers_in_use
from style_transfer.pictures import Picture, load_picture
from style_transfer.runs.files import RunFiles, write_whole
from style_transfer.runs.guard import PNG_MARK, is_ours
from style_transfer.runs.opening import beside, picture_files
from style_transfer.runs.record import Record
from style_transfer.runs.run import Run
from style_transfer.runs.takeover import RunOptions
from style_transfer.schedule import plan
from style_transfer.vgg import FilterSource, layers_up_to

THUMBNAILS = "thumbnails"  # folder in OUT
THUMBNAIL = 480  # pixels of the long side: sharp at 240 on screens with double density
LEFT_ALONE = 60.0  # seconds within which a worker of a killed gallery ends


@dataclass(frozen=True)
class Script:
    """Functions of neural_style_transfer.py; see there for their arguments.

    Attributes:
        transfer: paints a new run.
        resume: continues an earlier one.
        paint: paints a run that has been opened.
        make_render: makes the function that turns images into pixels.
        objectives: `vgg_objectives`, called with `shared=`.
    """

    transfer: Callable
    resume: Callable
    paint: Callable
    make_render: Callable
    objectives: Callable


@dataclass(frozen=True)
class Job:
    """A cell for a worker.

    Attributes:
        cell: the cell to paint.
        photo: the file's content if the worker cannot read the file, else None.
        painting: likewise.
    """

    cell: Cell
    photo: bytes | None = None
    painting: bytes | None = None


@dataclass(frozen=True)
class Painted:
    """A cell that is done.

    Attributes:
        record: its run's record, without evaluations.
        seconds: how long its evaluations took.
        files: contents of files to write, by name below OUT; empty if they are already there.
        said: lines for the user about anything that differs from what was asked for.
    """

    record: Record
    seconds: float
    files: dict[str, bytes] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)


class Painter:
    """Paints cells; makes what they share, network and style targets, only once.

    Args:
        task: what all cells have in common.
        script: see `Script`.
        filters: content of the filters' file, if a worker cannot read it; or None.
        start: content of the picture to start from, likewise.
        listener: called with the runs' events in this process.
    """

    def __init__(
        self,
        task: Task,
        script: Script,
        filters: bytes | None = None,
        start: bytes | None = None,
        listener: Listener | None = None,
    ):
        from style_transfer.backends import start as start_backend

        start_backend()
        from style_transfer.shared import Shared

        self.task, self.script, self.start = task, script, start
        self._shared = Shared()
        self._listener = listener
        self._said: list[str] = []
        self._folder = tempfile.TemporaryDirectory(prefix="nst-gallery-")
        self._filters = self._kept_filters(filters) if filters is not None else None

    def __call__(self, job: Job) -> Painted:
        """Paint a cell.

        Raises:
            InputError: one of its pictures cannot be used.
        """
        self._said = []
        if job.photo is None:
            return self._painted_here(job.cell)
        return self._painted_away(job)

    def _listen(self, event: Event) -> None:
        if isinstance(event, Said) and event.warning:
            self._said.append(event.line)
        if self._listener:
            self._listener(event)

    def _objectives(self, run, inputs):
        if self._filters and run.record.filters is None:
            run.record.filters = self._filters  # found by its SHA-256, as for a resume
        return self.script.objectives(run, inputs, shared=self._shared)

    # On this machine

    def _painted_here(self, cell: Cell) -> Painted:
        task, files = self.task, self.task.files(cell)
        self._wait_for(files)
        how, record = progress(task, cell)
        if record is None or how is not Progress.DONE or task.force:
            record = self._resumed(files) if how is Progress.BEGUN and not task.force else None
            record = record or self._new(cell, files)
        tidy(files, record)
        folder = Path(task.out, THUMBNAILS)
        folder.mkdir(exist_ok=True)
        for name, make in self._thumbnails(cell, files.picture()).items():
            path = Path(task.out, name)
            if name == thumbnail_name(cell) or not path.exists():
                keep_thumbnail(path, make())
        return self._done(record)

    def _new(self, cell: Cell, files: RunFiles) -> Record:
        task = self.task
        _, record = self.script.transfer(
            cell.photo.path,
            cell.painting.path,
            files.prefix,
            preset=task.preset,
            overwrite=True,
            journal=task.journal,
            force=task.force,
            on_event=self._listen,
            objectives=self._objectives,
            **task.choices,
        )
        return record

    def _resumed(self, files: RunFiles) -> Record | None:
        """Resume a cell's run; returns its record, or None if it cannot be resumed."""
        task = self.task
        try:
            _, record = self.script.resume(
                files.prefix,
                journal=task.journal,
                force=task.force,
                on_event=self._listen,
                objectives=self._objectives,
            )
        except InputError:  # its state is damaged or missing
            return None
        return record

    @staticmethod
    def _wait_for(files: RunFiles) -> None:
        """Wait until a process that a killed gallery left in this cell has ended."""
        if files.lock.exists():
            with contextlib.suppress(OSError, filelock.Timeout):
                lock = filelock.FileLock(files.lock)
                lock.acquire(timeout=LEFT_ALONE)
                lock.release()

    # On another one

    def _painted_away(self, job: Job) -> Painted:
        task, settings = self.task, self.task.settings
        with tempfile.TemporaryDirectory(dir=self._folder.name) as folder:
            inputs = Inputs(
                _picture(job.photo, job.cell.photo.path, "BASE", folder),
                [_picture(job.painting, job.cell.painting.path, "REF", folder)],
                _picture(self.start, settings.init, "--init", folder) if self.start else None,
            )
            check_memory(task.force)(settings, inputs)
            final = task.files(job.cell)
            record = Record(
                task.preset,
                settings,
                **picture_files(inputs, final),
                sizes=plan(settings, *inputs.content.image.size),
            )
            files = RunFiles(Path(folder, "cell"), final.suffix)
            files.state.mkdir()
            options = RunOptions(journal=False)
            render = self.script.make_render(inputs, settings)
            with Run(record, files, options, render, [self._listen]) as run:
                for remark in inputs.remarks():
                    run.remark(remark)
                self.script.paint(run, inputs, self._objectives)
            if task.filters and record.filters:  # use the driver's name for them
                record.filters = dataclasses.replace(record.filters, file=task.filters.path)
                record.filters_beside = beside(task.filters.path, Path(task.out))
            last = record.iterations[-1].number
            contents = {
                f"{job.cell.name}_state/iteration_{last}.npy": files.image(last).read_bytes(),
                final.picture().name: files.picture().read_bytes(),
            }
            for name, make in self._thumbnails(job.cell, files.picture(), inputs).items():
                contents[name] = make()
            contents[final.record.name] = record.to_json().encode()  # last, once all else is there
        return self._done(record, contents)

    def _kept_filters(self, content: bytes) -> FilterSource:
        """The filters' file in this worker's folder."""
        from style_transfer.filters.files import read_filters

        known, settings = self.task.filters, self.task.settings
        assert known is not None  # content comes only with a known file
        path = Path(self._folder.name, Path(known.path).name)
        path.write_bytes(content)
        layers = layers_up_to(settings.network, layers_in_use(settings))
        convention = read_filters(path, settings.network, layers).convention
        return FilterSource(known.source, str(path), known.sha256, convention)

    # Both

    def _thumbnails(
        self, cell: Cell, result: Path, inputs: Inputs | None = None
    ) -> dict[str, Callable[[], bytes]]:
        """Functions that make a cell's thumbnails, by the thumbnails' names below OUT."""
        photo: Any = inputs.content if inputs else cell.photo.path
        painting: Any = inputs.styles[0] if inputs else cell.painting.path
        return {
            source_thumbnail_name(cell.photo.sha256): lambda: thumbnail(photo),
            source_thumbnail_name(cell.painting.sha256): lambda: thumbnail(painting),
            thumbnail_name(cell): lambda: thumbnail(result),
        }

    def _done(self, record: Record, contents: dict[str, bytes] | None = None) -> Painted:
        seconds = sum(evaluation.seconds for evaluation in record.evaluations)
        record = dataclasses.replace(record, evaluations=[])
        said, self._said = self._said, []
        return Painted(record, seconds, contents or {}, said)


def _picture(content: bytes | None, path: str, what: str, folder: str) -> Picture:
    """A picture from a file's content, under the file's name on the driver."""
    here = Path(folder, f"picture{Path(path).suffix}")
    here.write_bytes(content or b"")
    try:
        return dataclasses.replace(load_picture(here, what), path=path)
    except InputError as error:
        raise InputError(str(error).replace(str(here), path)) from None


def tidy(files: RunFiles, record: Record) -> None:
    """Remove a finished run's earlier pictures, and all but its last image in full precision.

    More iterations are still possible, with --resume PREFIX --iter N.
    """
    last = record.iterations[-1].number
    for number, path in files.pictures().items():
        if number is not None and is_ours(path):
            path.unlink()
    for number, path in files.images().items():
        if number != last:
            path.unlink()


def thumbnail_name(cell: Cell) -> str:
    """The name of a cell's thumbnail, below OUT."""
    return f"{THUMBNAILS}/{cell.name}.jpg"


def source_thumbnail_name(sha256: str) -> str:
    """The name of the thumbnail of a photograph or painting, below OUT."""
    return f"{THUMBNAILS}/{sha256[:16]}.jpg"


def thumbnail(source) -> bytes:
    """A small JPEG of a picture, with this program's mark."""
    image = load_picture(source).image.copy()
    image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS, reducing_gap=3)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85, comment=PNG_MARK)
    return file.getvalue()


def keep_thumbnail(path: Path, content: bytes) -> None:
    """Write a thumbnail, unless somebody else's file is in its place."""
    if path.exists() and not is_ours(path):
        return
    own = path.with_name(f"{os.getpid()}-{path.name}")  # others may write the same one at once
    write_whole(own, lambda file: file.write(content))
    own.replace(path)
