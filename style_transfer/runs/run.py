"""A run: the sizes that are still to be painted, and its record, journal and pictures on disk."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from style_transfer.errors import InputError, RunStopped
from style_transfer.events import (
    TERMS,
    Evaluated,
    Event,
    IterationDone,
    Listener,
    RunBegun,
    Said,
    SizeBegun,
    StopRun,
)
from style_transfer.images import reduced
from style_transfer.paths import sha256_of_file
from style_transfer.runs.files import RunFiles, write_array, write_text, write_whole
from style_transfer.runs.journal import Journal, JournalMismatch
from style_transfer.runs.pictures import picture_options, pixel_type, write_picture
from style_transfer.runs.record import Evaluation, Iteration, Method, Record
from style_transfer.runs.snapshots import Snapshots
from style_transfer.runs.takeover import RunOptions, clear_for, drop_later_images
from style_transfer.schedule import Size

# Takes an image, float32 (1, H, W, 3), and a type, uint8 or uint16; returns pixels (H, W, 3 or 4).
Render = Callable[[np.ndarray, type], np.ndarray]


class Optimization(Protocol):
    """The part of an evaluator that a run uses."""

    @property
    def best(self) -> np.ndarray: ...


class Run:
    """The progress of a run, in memory and, where it has files, on disk.

    This is a context manager. Nothing on disk changes before the first size is requested. The
    caller holds the lock.

    Args:
        record: the record of a new run, or of an earlier one that continues.
        files: names of its files; None writes nothing.
        options: see `RunOptions`.
        render: turns images into the pixels to save.
        listeners: called with every event; see events.py.
    """

    def __init__(
        self,
        record: Record,
        files: RunFiles | None,
        options: RunOptions,
        render: Render,
        listeners: Sequence[Listener] = (),
    ):
        self.record = record
        self.files = files
        self.options = options
        self.journal: Journal | Snapshots | None = None  # that of the current size
        self.resources = ExitStack()  # closed when the run ends
        self._render = render
        self._listeners = listeners
        self._saved = options.done or 0  # iterations whose files are on disk
        self._earlier = record.iterations, record.evaluations  # entered again during the replay
        self._latest: tuple[int, np.ndarray] | None = None  # the last iteration and its image
        self._why_fresh = "no journal of these iterations is left"
        self._begun = False  # whether this run has written anything

    def __enter__(self) -> "Run":
        prefix = self.files.prefix if self.files else None
        self.tell(RunBegun(self.record, prefix, self.options.journal))
        return self

    def begin(self) -> None:
        """Start to write; until this call, a fault or a listener's stop leaves the disk unchanged.

        Requesting the first size calls this. A second call does nothing.
        """
        if self._begun:
            return
        self._begun = True
        if self.files:
            self._check_image()
            clear_for(self.files, self.record, self.options, self.say)
        self._back_to(self._saved)
        if self.files:
            for path, content in self.options.copies.items():
                write_whole(path, lambda file, content=content: file.write(content))
            self.save_record()
            drop_later_images(self.files, self._saved)
        if self.files and not self.options.journal:
            self.say(
                "No journal is kept: a kill costs the current iteration and, for the rest of its "
                "size, the optimizer's memory."
            )
        if self.options.done == self.record.settings.iter:
            self.say(
                f"All {self.options.done} iterations are done; --iter N paints up to N in all."
            )

    def _check_image(self) -> None:
        """Raise InputError if the image from which the run continues is damaged or missing."""
        assert self.files is not None
        size = self._current()
        is_replayed = size and self.options.journal and self.files.journal.exists()
        done = size.first_iteration if size and is_replayed else self._saved
        if done:
            self.image(done - 1)

    def __exit__(self, kind: type | None, error: object, traceback: object) -> None:
        self.resources.close()
        self._close_journal()
        is_stop = isinstance(error, StopRun | KeyboardInterrupt)
        if is_stop and self._begun and self.record.status == "running":
            self._back_to(self._saved)  # stopped between two sizes
            self.record.status = "interrupted"
            self.save_record()

    # Events

    def tell(self, event: Event) -> None:
        """Pass an event to all listeners; an exception of one is raised after all were called."""
        stop = None
        for listener in self._listeners:
            try:
                listener(event)
            except StopRun as asked:
                stop = asked
        if stop:
            raise stop

    def say(self, line: str, warning: bool = False) -> None:
        """Send a line for the user to all listeners."""
        self.tell(Said(line, warning))

    def remark(self, line: str | None) -> None:
        """Say a line about the pictures, only once per run, and keep it in the record."""
        if line and line not in self.record.remarks:
            self.record.remarks.append(line)
            self.say(line)

    # Sizes

    @property
    def remaining(self) -> int:
        """Iterations that are still to be painted."""
        return self.record.settings.iter - self._saved

    def sizes(self) -> Iterator[Size]:
        """The sizes still to be painted, coarse to fine, each from its start.

        A size with a journal starts again at its first evaluation, with answers from the journal.
        Without one, but with saved iterations, a new call of the optimizer starts after the last
        of them.
        """
        self.begin()
        while size := self._next_size():
            self.tell(SizeBegun(size))
            yield size

    def _next_size(self) -> Size | None:
        size = self._current()
        if size is None:
            return None
        self._close_journal()
        if self.options.journal and self.files:
            self.journal = self._journal_of(size)
        if self._saved > size.first_iteration and not (self.journal and self.journal.found):
            self.say(
                f"Continues from the image of iteration {self._saved - 1}; the optimizer starts "
                f"with a fresh memory: {self._why_fresh}."
            )
            self._split(size)
            return self._next_size()
        self._back_to(size.first_iteration)
        return size

    def _current(self) -> Size | None:
        return next((s for s in self.record.sizes if self._saved <= s.last_iteration), None)

    def _split(self, size: Size) -> None:
        """Cut a size after the last saved iteration."""
        done = self._saved - size.first_iteration
        index = self.record.sizes.index(size)
        self.record.sizes[index : index + 1] = [
            dataclasses.replace(size, iterations=done),
            dataclasses.replace(
                size, first_iteration=self._saved, iterations=size.iterations - done
            ),
        ]

    def image_before(self, size: Size) -> np.ndarray | None:
        """The image after the last iteration before a size; None for the first size."""
        return self.image(size.first_iteration - 1) if size.first_iteration else None

    def choose_methods(self, choose: Callable[[], dict[str, Method]]) -> None:
        """Choose tiles and optimizer for all sizes once, before the run begins.

        The record keeps them, so a resume continues in the same way, however much memory it has.
        """
        if not self.record.methods:
            self.record.methods = choose()

    def method(self, size: Size) -> Method:
        """The tiles and optimizer of a size."""
        whole = Method(0, self.record.settings.optimizer)
        return self.record.methods.get(str(size.number), whole)

    def in_place(self, size: Size) -> bool:
        """Whether, to save memory, a size uses Adam in place although L-BFGS was chosen."""
        return self.method(size).optimizer != self.record.settings.optimizer

    def loss_weights(self, size: Size, measure: Callable[[], dict]) -> dict | None:
        """With `auto_weights`, the loss weights of all parts, measured once per size."""
        if not self.record.settings.auto_weights:
            return None
        weights = self.record.loss_weights
        if str(size.number) not in weights:
            weights[str(size.number)] = measure()
            self.save_record()  # so that a resume uses the same numbers
        return weights[str(size.number)]

    @contextmanager
    def painting(self, size: Size, optimization: Optimization) -> Iterator[None]:
        """Hold while a size is optimized: saves when stopped, restarts if a replay fails."""
        try:
            yield
        except JournalMismatch:
            self._why_fresh = "the journal was written by another machine or library"
            self._drop_journal()
            if self._saved <= size.first_iteration:
                self.say(f"Starts {size.columns} x {size.rows} again: {self._why_fresh}.")
        except (StopRun, KeyboardInterrupt):
            self.stop("interrupted", optimization.best)
            raise
        except RunStopped:
            self.stop("failed", optimization.best)
            raise

    # The journal

    def _journal_of(self, size: Size) -> Journal | Snapshots:
        """The journal of every answer or, if that would be too large, the optimizer's snapshots."""
        assert self.files is not None
        if not self.in_place(size):
            return Journal(self.files.journal, self.record.key_of_answers(size))
        index = self.record.sizes.index(size)
        before = self.record.key_of_answers(self.record.sizes[index - 1]) if index else None
        return Snapshots(self.files.snapshots, self.record.key_of_answers(size), before)

    def _close_journal(self) -> None:
        if self.journal:
            self.journal.close()
            self.journal = None

    def _drop_journal(self) -> None:
        self._close_journal()
        if self.files:
            for path in self.files.journals:
                path.unlink(missing_ok=True)

    # Progress

    def _back_to(self, iteration: int) -> None:
        """Remove `iteration` and everything after it from the record."""
        iterations, evaluations = self._earlier
        self.record.iterations = iterations[:iteration]
        self.record.evaluations = [e for e in evaluations if e.iteration < iteration]

    def evaluated(self, size: Size, terms: np.ndarray, seconds: float, replayed: bool) -> None:
        """Enter an evaluation into the record and report it."""
        by_name = dict(zip(TERMS, map(float, terms), strict=True))
        entry = Evaluation(
            number=len(self.record.evaluations),
            size=size.number,
            iteration=len(self.record.iterations),
            seconds=round(seconds, 4),
            total=sum(by_name.values()),
            terms=by_name,
        )
        self.record.evaluations.append(entry)
        told = Evaluated(
            size, entry.iteration, entry.number, by_name, entry.total, entry.seconds, replayed
        )
        if self.journal and self.journal.replayed and not replayed:
            replayed_entries, self.journal.replayed = self.journal.replayed, 0
            self.say(f"Replayed {replayed_entries} evaluations from the journal.")
        self.tell(told)

    def iteration_done(self, size: Size, image: np.ndarray, loss: float) -> None:
        """Enter an iteration into the record, save its image, and report it.

        An iteration that was saved before is not saved or reported again when it is replayed.
        """
        number = len(self.record.iterations)
        if number < self._saved:
            self.record.iterations.append(self._earlier[0][number])
            return
        entry = Iteration(number, len(self.record.evaluations), loss)
        self.record.iterations.append(entry)
        path = None
        if self.files:
            write_whole(self.files.image(number), lambda file: write_array(file, image))
            entry.sha256 = sha256_of_file(self.files.image(number))
            path = self.save_picture(image, number)
            self.save_record()
        self._saved = number + 1
        self._earlier = self.record.iterations, self.record.evaluations
        self._latest = number, image
        seconds = sum(e.seconds for e in self.record.evaluations if e.iteration == number)

        picture = partial(self.picture_of, image)
        self.tell(IterationDone(size, number, loss, seconds, path, picture))

    def picture_of(self, image: np.ndarray) -> Image.Image:
        """The picture of an image with 8 bits per channel, whatever the format on disk is."""
        return Image.fromarray(self._render(image, np.uint8))

    def image(self, iteration: int) -> np.ndarray:
        """The image after an iteration, float32 (1, H, W, 3), exactly as it was.

        Raises:
            InputError: the file is missing or damaged.
        """
        if self._latest and self._latest[0] == iteration:
            return self._latest[1]
        assert self.files is not None  # without files there is no earlier iteration
        path = self.files.image(iteration)
        try:
            if sha256_of_file(path) != self._earlier[0][iteration].sha256:
                raise ValueError("a changed file")
            return np.load(path)
        except (OSError, ValueError) as error:
            raise InputError(
                f"--resume: expected the state {str(path)!r} as it was saved; --from_iteration "
                f"goes back to an earlier one. Received: {error}"
            ) from None

    # Files

    def save_picture(self, image: np.ndarray, iteration: int | None = None) -> Path | None:
        """Write the picture of an image, with the settings as text; returns its path."""
        if not self.files:
            return None
        settings = self.record.settings
        if iteration is not None:
            image = reduced(image, settings.preview)
        pixels = self._render(image, pixel_type(settings.output))
        path, options = self.files.picture(iteration), picture_options(settings)
        write_whole(path, lambda file: write_picture(file, pixels, **options))
        return path

    def save_record(self) -> None:
        """Write PREFIX.json, if the run has files."""
        if self.files:
            write_text(self.files.record, self.record.to_json())

    def stop(self, status: str, image: np.ndarray) -> None:
        """Save the result so far, and the record.

        Args:
            status: `finished`, or why the run stops early; see `Record`.
            image: float32 (1, H, W, 3).
        """
        self.record.status = status
        if len(self.record.iterations) < self._saved:  # stopped during the replay
            self._back_to(self._saved)
        else:
            self.save_picture(image)
        self.save_record()

    def finish(self) -> np.ndarray:
        """Save the result and remove the journal. Returns the last image."""
        image = self.image(len(self.record.iterations) - 1)
        self.stop("finished", image)
        self._drop_journal()
        return image
