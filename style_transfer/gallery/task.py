"""The task that all cells of a gallery have in common, and the progress of a cell's run."""

import enum
import json
from dataclasses import dataclass, field
from pathlib import Path

from style_transfer.errors import InputError
from style_transfer.gallery.plan import Cell
from style_transfer.parsing import parse_blend
from style_transfer.paths import existing_file, sha256_of_file
from style_transfer.presets import make_settings
from style_transfer.runs.files import SUFFIXES, RunFiles
from style_transfer.runs.guard import is_ours
from style_transfer.runs.record import VERSION, Record
from style_transfer.settings import INITS, Settings

MADE = ("fitted", "random")  # filters that are not read from a file


class Progress(enum.Enum):
    """How far a cell's run has come."""

    NEW = "new"  # nothing that can be used
    BEGUN = "begun"  # it can be resumed
    DONE = "done"


@dataclass(frozen=True)
class FilterFile:
    """The file of the filters that all cells use; `source` as in `vgg.FilterSource`."""

    source: str
    path: str
    sha256: str


@dataclass(frozen=True)
class Task:
    """What all cells have in common.

    Attributes:
        out: folder for the results, absolute.
        preset: the preset from which the settings started.
        choices: fields of `Settings` that the user chose.
        filters: the filters' file, or None if they are made from the pictures.
        start_sha256: SHA-256 of the picture that `init` names, or None.
        force: paint all cells again, even if memory seems too small.
        journal: while running, keep what an exact resume needs.
    """

    out: str
    preset: str
    choices: dict = field(default_factory=dict)
    filters: FilterFile | None = None
    start_sha256: str | None = None
    force: bool = False
    journal: bool = True

    @property
    def settings(self) -> Settings:
        """All choices."""
        return make_settings(self.preset, **self.choices)

    def files(self, cell: Cell) -> RunFiles:
        """Names of the files of a cell's run."""
        return RunFiles(Path(self.out, cell.name), SUFFIXES[self.settings.output])


def make_task(out: Path, preset: str, choices: dict, say, **switches) -> Task:
    """Check the choices, and decide where the filters come from, once for all cells.

    Args:
        out: folder for the results.
        preset: a key of `presets.PRESETS`.
        choices: fields of `Settings`.
        say: called with a line if other filters are used than were asked for.
        **switches: `force` and `journal`.

    Raises:
        InputError: a choice cannot be used, or makes no sense for several pictures.
    """
    settings = make_settings(preset, **choices)
    parse_blend(settings.style_blend, 1)
    for name in ("content_mask", "style_mask"):
        if value := getattr(settings, name):
            raise InputError(
                f"--{name}: expected none, because it is for one photograph. Received: {value!r}"
            )
    start = None
    if settings.init not in INITS:
        path = existing_file(settings.init, "--init").absolute()
        choices, start = choices | {"init": str(path)}, sha256_of_file(path)
    filters, weights = None, settings.weights
    if weights in ("auto", "imagenet"):
        filters = _imagenet(settings, say)
        # All cells of a gallery have the same filters, even if a download fails halfway.
        weights = "imagenet" if filters else "fitted"
    elif weights not in MADE:
        path = existing_file(weights, "--weights").absolute()
        filters, weights = FilterFile("file", str(path), sha256_of_file(path)), str(path)
    choices = choices | {"weights": weights}
    return Task(str(out.absolute()), preset, choices, filters, start, **switches)


def _imagenet(settings: Settings, say) -> FilterFile | None:
    """ImageNet's filters; None if `auto` cannot get them."""
    from style_transfer.backends import start

    start()
    from style_transfer.filters.imagenet import how_to_get, imagenet_file

    try:
        path = imagenet_file(settings.network, say)
    except OSError as error:
        if settings.weights == "imagenet":
            raise InputError(
                "--weights: expected ImageNet's filters in Keras's cache, or a connection to "
                f"download them. Received: {error}. {how_to_get(settings.network)}"
            ) from None
        say(
            "Weights: ImageNet's filters are not cached and cannot be downloaded; using filters "
            f"fitted to each photograph and painting instead. {how_to_get(settings.network)}"
        )
        return None
    path = Path(path).absolute()
    return FilterFile("imagenet", str(path), sha256_of_file(path))


def progress(task: Task, cell: Cell) -> tuple[Progress, Record | None]:
    """How far a cell's run has come, and its record if it can be used.

    A run can be used if its settings, its pictures and filters (by SHA-256) and its record's
    version are those that a new run would have.
    """
    files = task.files(cell)
    try:
        text = files.record.read_bytes()
        record = Record.from_json(text)
        current = json.loads(text).get("version") == VERSION
    except (OSError, ValueError, RecursionError):
        return Progress.NEW, None
    pictures = [cell.photo.sha256, cell.painting.sha256]
    pictures += [task.start_sha256] if task.start_sha256 else []
    same = record.settings == task.settings and [p.sha256 for p in record.pictures] == pictures
    if not (current and same and _same_filters(task, record)):
        return Progress.NEW, None
    if record.status != "finished":
        return Progress.BEGUN, record
    if not is_ours(files.picture()):
        return Progress.NEW, None
    return Progress.DONE, record


def _same_filters(task: Task, record: Record) -> bool:
    if record.filters is None:  # the run was stopped before it had loaded them
        return record.status != "finished"
    if task.filters is None:
        return record.filters.source == task.settings.weights
    return record.filters.sha256 == task.filters.sha256
