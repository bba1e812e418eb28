"""Paints a clip: hands its scenes to workers, keeps its frames, and finally writes it."""

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np

from style_transfer.cluster import Workers
from style_transfer.console import duration
from style_transfer.errors import InputError, RunStopped
from style_transfer.events import IterationDone, Said
from style_transfer.runs.files import write_whole
from style_transfer.video.any_clip import open_clip
from style_transfer.video.by_painting import Script
from style_transfer.video.clip_files import (
    ClipFiles,
    check_apart,
    check_free,
    digest_of,
    locked,
    read_frame,
    write_frame,
)
from style_transfer.video.clip_record import ClipRecord
from style_transfer.video.film import Film
from style_transfer.video.needs import needed
from style_transfer.video.opening import (
    Order,
    check_styles,
    fitting_frames,
    known_record,
    make_filters,
    mosaic,
    new_record,
    reopened,
    save,
)
from style_transfer.video.outputs import FORMATS, write_clip
from style_transfer.video.progress import FrameDone, Pace, Status, Watch
from style_transfer.video.scene_painter import Luggage, Scene, ScenePainter, painted_frames
from style_transfer.video.sound import Sound


@dataclass(frozen=True)
class Crew:
    """The processes that paint, and the listener.

    Attributes:
        script: the top-level functions that paint.
        workers: how many; None chooses.
        address: the address of a Ray cluster, or None.
        quiet: print nothing.
        on_event: called with all events of frames painted in this process; may raise StopRun.
    """

    script: Script
    workers: int | None = 1
    address: str | None = None
    quiet: bool = True
    on_event: Callable | None = None


def paint_clip(
    order: Order, crew: Crew, overwrite: bool = False, crf: int | None = None, look: bool = False
) -> ClipRecord:
    """Paint the frames that a clip lacks, and write it once it is complete.

    Args:
        order: the inputs and choices.
        crew: the processes that paint.
        overwrite: replace an earlier clip.
        crf: see `write_clip`.
        look: paint the first frame and the one after it, and estimate how long the others take.

    Returns:
        The record.

    Raises:
        InputError: an input or OUT cannot be used; nothing was painted.
        StopRun: a listener, or a signal, stopped it; the same call continues it.
        RunStopped: a worker failed.
    """
    needed("av")
    needed("cv2")
    files = order.files
    check_apart(files, order.inputs())
    clip = open_clip(order.clip, order.choices.fps or None)
    styles = check_styles(order)
    check_free(files, files.read_record(), overwrite=True)  # files that --overwrite keeps, too
    with locked(files):
        record, same = known_record(order, clip)
        before = digest_of(files.out)
        if record and same and before == record.out_sha256 != "":
            if record.crf == crf and not overwrite:
                _teller(crew)(f"{files.out} is already complete; --overwrite paints it again.")
                return record
            same = False
        if record is None or not same:
            _check_new(files, record, overwrite)
            files.clear()
            record = new_record(order, clip, _teller(crew))
            record.replaces = before
        record.crf = crf
        save(record, files)
        return _paint(Job(order, crew, files, record), styles, look)


@dataclass(frozen=True)
class Job:
    """A clip that is being painted."""

    order: Order
    crew: Crew
    files: ClipFiles
    record: ClipRecord

    def tell(self, event: object) -> None:
        """Pass an event to the caller's listener."""
        if self.crew.on_event:
            self.crew.on_event(event)


def _teller(crew: Crew) -> Callable:
    import sys

    from style_transfer.console import say

    return (
        (lambda line, warning=False: None)
        if crew.quiet
        else (lambda line, warning=False: say(line, sys.stdout))
    )


def _check_new(files: ClipFiles, record: ClipRecord | None, overwrite: bool) -> None:
    """Raise InputError if an earlier clip, or a part of one, is in the way."""
    check_free(files, record, overwrite)
    if overwrite or record is None or record.out_sha256 or not files.painted():
        return
    raise InputError(
        "OUT: expected the settings and inputs with which it was started, another name, or "
        f"--overwrite. Received: {str(files.out)!r}, {len(files.painted())} frames of which were "
        "painted with others"
    )


def _paint(job: Job, styles: list, look: bool) -> ClipRecord:
    record, files, crew = job.record, job.files, job.crew
    total, done = len(record.numbers), files.painted()
    with Status(total, len(done), crew.quiet) as status:
        for remark in record.remarks + _remarks(job):
            status.say(remark)
        if styles:
            _prepare_filters(job, styles, status)
        if look:
            _look(job, status)
            return record
        _paint_scenes(job, status)
        status.say(f"Writing {files.out} …")
        _write(job)
    return record


def _remarks(job: Job) -> list[str]:
    """Lines for the user about the clip to write."""
    out, record, remarks = job.files.out, job.record, []
    form = FORMATS.get(out.suffix.lower())
    codec = _sound(job).codec if _may_sound(job) else ""
    if codec and form and form.sound and codec not in form.sound:
        remarks.append(
            f"OUT: {out.suffix} cannot hold the clip's sound ({codec}): written without it; "
            f"{_holding(codec)}."
        )
    if form and form.pixels == "yuv420p" and (record.rows % 2 or record.columns % 2):
        remarks.append(
            f"OUT: {out.suffix} needs even sides: the last row or column of {record.columns} x "
            f"{record.rows} is repeated."
        )
    scenes = len(record.cuts)
    remarks.append(
        f"{len(record.numbers)} frames of {record.columns} x {record.rows}, "
        f"{scenes} scene{'s' if scenes > 1 else ''}."
    )
    return remarks


def _holding(codec: str) -> str:
    endings = [ending for ending, form in FORMATS.items() if codec in form.sound]
    return f"{' or '.join(endings)} can" if endings else "no format here can"


def _may_sound(job: Job) -> bool:
    return isinstance(reopened(job.record), Film)


def _sound(job: Job) -> Sound:
    record, choices = job.record, job.record.choices
    origin = Fraction(*record.origin)
    begins = origin if choices.start else None
    ends = origin + record.timing.end * record.timing.unit if choices.end else None
    return Sound(Path(record.clip.path), origin, begins, ends)


def _prepare_filters(job: Job, styles: list, status: Status) -> None:
    """Make the filters, unless an earlier command has left them."""
    from style_transfer.backends import start

    start()
    from style_transfer.environment import environment

    record, files, script = job.record, job.files, job.crew.script
    now = environment()
    if record.versions and record.versions[-1] != now and files.painted():
        status.say("The libraries or the processor have changed: later frames may differ.")
    record.versions.append(now)
    if record.filters is None or not files.filters.exists():
        wanted = fitting_frames(record)
        clip = reopened(record)
        frames = [frame for _, frame in painted_frames(clip, record, set(wanted), script.resize)]
        pictures = [mosaic(frames), *(style.image for style in styles)]

        def told(line: str, warning: bool = False) -> None:
            status.say(line)
            job.tell(Said(line, warning))

        make_filters(record, files, script.fitting_images(pictures, record.settings), told)
    save(record, files)


def _painter(job: Job, luggage: Luggage | None, listener: Callable) -> Callable[[], ScenePainter]:
    out = str(job.files.out.absolute())
    return partial(ScenePainter, job.record, out, job.crew.script, luggage, listener)


def _listener(job: Job, status: Status) -> Callable:
    """A listener that moves the bar and keeps the preview while this process paints frames."""
    done = job.files.painted()
    begins = set(job.record.cuts)
    left = set(range(len(job.record.numbers))) - done
    pace = Pace(len(left & begins), len(left - begins))
    count = len(done)

    def listen(event: object) -> None:
        nonlocal count
        if isinstance(event, FrameDone):
            count += 1
            pace.frame_done(event.begins, event.seconds)
            status.painted(count, pace.seconds_left())
        if isinstance(event, FrameDone | IterationDone):
            picture = event.picture()
            write_whole(job.files.preview, lambda file: picture.save(file, "PNG"))
        job.tell(event)

    return listen


def _scenes(job: Job) -> list[Scene]:
    done = job.files.painted()
    return [Scene(frames) for frames in job.record.scenes() if not done.issuperset(frames)]


def _look(job: Job, status: Status) -> None:
    """Paint the first two frames, and estimate the time for all of them."""
    took: dict[int, float] = {}
    listen = _listener(job, status)

    def timed(event: object) -> None:
        if isinstance(event, FrameDone):
            took[event.number] = event.seconds
        listen(event)

    painter = _painter(job, None, timed)()
    painter(Scene(job.record.scenes()[0], limit=2))
    record, total = job.record, len(job.record.numbers)
    if took:
        pace = Pace(len(record.cuts), total - len(record.cuts))
        for number, seconds in took.items():
            pace.frame_done(number in record.cuts, seconds)
        left = duration(pace.seconds_left() or 0)
        status.say(f"All {total} frames take about {left} more in one process.")
    preview = read_frame(job.files.frame(0))
    write_frame(job.files.preview, preview)
    status.say(
        f"The first frame is {job.files.preview}; continue with the same command without --dry_run."
    )


def _paint_scenes(job: Job, status: Status) -> None:
    scenes, crew = _scenes(job), job.crew
    if not scenes:
        return
    workers = min(crew.workers or 0, len(scenes)) or None
    here = crew.address is None
    if here and workers is None and not importlib.util.find_spec("ray"):
        workers = 1
    alone = here and workers == 1
    luggage = None if here else _luggage(job)
    listen: Callable | None = _listener(job, status) if alone else None
    make_worker = _painter(job, luggage, listen) if listen else _painter(job, luggage, _silent)
    with Workers(make_worker, workers, crew.address, ahead=0) as team, _watched(job, status, alone):
        for outcome in team.map(scenes, name=_name):
            if outcome.failure is not None:
                error = outcome.failure.error
                if isinstance(error, InputError | RunStopped | OSError):
                    raise error
                raise RunStopped(outcome.failure.message)
            for number, content in outcome.value.pictures.items():
                write_whole(job.files.frame(number), lambda file, c=content: file.write(c))


def _silent(event: object) -> None:
    pass


def _name(scene: Scene) -> str:
    return f"frames {scene.frames.start} to {scene.frames[-1]}"


def _watched(job: Job, status: Status, alone: bool):
    import contextlib

    return contextlib.nullcontext() if alone else Watch(job.files, status)


def _luggage(job: Job) -> Luggage:
    clip = {file.name: file.read_bytes() for file in reopened(job.record).files()}
    styles = {path: Path(path).read_bytes() for path in job.order.styles}
    filters = job.files.filters.read_bytes() if job.record.filters else b""
    return Luggage(clip, styles, filters)


def _write(job: Job) -> None:
    """Write the clip from its frames, then remove them."""
    record, files = job.record, job.files
    sound = None
    if _may_sound(job):
        form = FORMATS.get(files.out.suffix.lower())
        found = _sound(job)
        sound = found if form and found.codec in form.sound else None

    def known(unfinished: Path) -> None:
        # Before the clip is moved into place, so that the program recognizes it even after a kill.
        record.out_sha256 = digest_of(unfinished)
        save(record, files)

    write_clip(files.out, partial(_rendered, job), record.timing, record.crf, sound, known)
    files.clear(record=False)


def _rendered(job: Job) -> Iterator[np.ndarray]:
    """The painted frames as they will be written, uint8 (H, W, 3)."""
    record, script = job.record, job.crew.script
    painted = (read_frame(job.files.frame(number)) for number in range(len(record.numbers)))
    if record.settings.preserve_color != "luminance" or record.filters is None:
        yield from painted
        return
    everything = range(len(record.numbers))
    frames = painted_frames(reopened(record), record, everything, script.resize)
    for pixels, (_, frame) in zip(painted, frames, strict=True):
        yield script.recolored(pixels, frame)
