"""The record of a run: its settings, the pictures it read, and everything it has done so far."""

import dataclasses
import hashlib
import json
import math
import types
import typing
from dataclasses import dataclass, field

from style_transfer.runs.version1 import upgraded
from style_transfer.schedule import Size
from style_transfer.settings import Settings
from style_transfer.vgg import FilterSource

PROGRAM = "neural_style_transfer.py"
VERSION = 2
STATUSES = ("running", "finished", "interrupted", "failed")


@dataclass
class PictureFile:
    """A picture that a run reads.

    Attributes:
        path: absolute path; empty for a picture from memory.
        sha256: SHA-256 of the file, hexadecimal.
        beside: its path relative to the record's folder, if both are on the same drive; with it the
            picture is found again after the folder has moved.
    """

    path: str
    sha256: str
    beside: str = ""


@dataclass
class Evaluation:
    """One computation of loss and gradient; `terms` are multiplied by their loss weights."""

    number: int
    size: int
    iteration: int
    seconds: float
    total: float
    terms: dict[str, float]


@dataclass
class Iteration:
    """One saved picture.

    Attributes:
        number: the iteration, counted over the whole run from 0.
        evaluations: the number of evaluations made by its end, over the whole run.
        total: the loss of its last evaluation.
        sha256: SHA-256 of the float32 image in PREFIX_state; empty if nothing is written.
    """

    number: int
    evaluations: int
    total: float
    sha256: str = ""


@dataclass(frozen=True)
class Method:
    """How a size is computed.

    Attributes:
        tile: side of a tile in pixels; 0: the picture is computed whole.
        optimizer: `lbfgs` or `adam`.
    """

    tile: int
    optimizer: str


@dataclass
class Record:
    """The complete description of a run, as PREFIX.json holds it.

    Attributes:
        preset: a key of `presets.PRESETS`.
        settings: all choices.
        content: the content picture.
        styles: the style pictures.
        start: the picture to start from, if it is a file.
        masks: the content's mask, then each style picture's; or none.
        sizes: the sizes, coarse to fine.
        status: `running`, `finished`, `interrupted`, or `failed`.
        filters: where they came from; None before they are loaded.
        filters_beside: like `PictureFile.beside`, for the filters' file.
        precision: `float32` or `bfloat16`, once it is known.
        loss_weights: with `auto_weights`, the loss weights by size number and part of the loss.
        methods: tiles and optimizer by size number, chosen by the memory available at the start.
        versions: versions of Python and libraries, and the processor, for each start or resume.
        remarks: lines for the user about the pictures.
        iterations: the iterations done so far.
        evaluations: the evaluations made so far.
    """

    preset: str
    settings: Settings
    content: PictureFile
    styles: list[PictureFile]
    start: PictureFile | None = None
    masks: list[PictureFile] = field(default_factory=list)
    sizes: list[Size] = field(default_factory=list)
    status: str = "running"
    filters: FilterSource | None = None
    filters_beside: str = ""
    precision: str = ""
    loss_weights: dict[str, dict[str, float]] = field(default_factory=dict)
    methods: dict[str, Method] = field(default_factory=dict)
    versions: list[dict[str, str]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    iterations: list[Iteration] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)

    @property
    def pictures(self) -> list[PictureFile]:
        """All pictures that the run reads."""
        start = [self.start] if self.start else []
        return [self.content, *self.styles, *start, *self.masks]

    def key_of_answers(self, size: Size) -> str:
        """Digest of everything but the image on which the objective's answers at a size depend."""
        settings = dataclasses.asdict(self.settings)
        del settings["iter"]
        assert self.filters is not None  # they are loaded before the first size
        depends_on = {
            "settings": settings,
            "pictures": [picture.sha256 for picture in self.pictures],
            "filters": [self.filters.sha256, self.filters.convention],
            "size": [size.rows, size.columns, size.first_iteration],
            "environment": self.versions[-1:],
        }
        return hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()

    def to_json(self) -> str:
        """The text of PREFIX.json."""
        content = {"program": PROGRAM, "version": VERSION, **dataclasses.asdict(self)}
        return sealed(content, indent=1)

    @classmethod
    def from_json(cls, text: str | bytes) -> "Record":
        """The inverse of `to_json`; also reads records of version 1.

        Raises:
            ValueError: the text is not a record, is damaged, or has an unknown version.
        """
        content = unsealed(text)
        version = content.pop("version", 1)
        if version == 1:
            content = upgraded(content)
        elif version != VERSION:
            raise ValueError(f"written by version {version} of the program")
        content.pop("program", None)
        record = decoded(cls, content, "record")
        _check_consistent(record)
        return record


def sealed(content: dict, indent: int | None = None) -> str:
    """The JSON text of a record's content with its checksum."""
    return json.dumps({**content, "checksum": checksum(content)}, indent=indent, allow_nan=False)


def unsealed(text: str | bytes) -> dict:
    """The inverse of `sealed`.

    Raises:
        ValueError: the text is not a record, or is damaged.
    """
    try:
        content = json.loads(text)
    except RecursionError:
        raise ValueError("lists nested too deeply") from None
    if not isinstance(content, dict) or "checksum" not in content:
        raise ValueError("not a record of this program")
    if content.pop("checksum") != checksum(content):
        raise ValueError("its checksum does not match")
    return content


def checksum(content: dict) -> str:
    """SHA-256 of a record's content, hexadecimal."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def decoded(kind: typing.Any, value: typing.Any, where: str) -> typing.Any:
    """Convert a JSON value into an object of a type.

    Args:
        kind: a dataclass, list[…], dict[str, …], … | None, or a plain type.
        value: as returned by `json.loads`.
        where: the value's name in errors.

    Raises:
        ValueError: the value is not of that type.
    """
    if dataclasses.is_dataclass(kind):
        return _decoded_dataclass(kind, value, where)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        return None if value is None else decoded(arguments[0], value, where)
    if origin is list and isinstance(value, list):
        return [decoded(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        return {key: decoded(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    number = kind is float and isinstance(value, int) and not isinstance(value, bool)
    if origin is None and (number or type(value) is kind):
        value = _as_float(value) if kind is float else value
        if kind is not float or math.isfinite(value):
            return value
    raise ValueError(f"{where} is not {getattr(kind, '__name__', kind)}")


def _as_float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _check_consistent(record: Record) -> None:
    """Raise ValueError if a record's parts contradict each other, as this program never writes."""
    settings, sizes = record.settings, record.sizes
    first = 0
    for size in sizes:
        whole = size.first_iteration == first and size.iterations > 0
        if not whole or min(size.rows, size.columns) < 1:
            raise ValueError(f"size {size.number} is not a size")
        first += size.iterations
    numbers = {size.number for size in sizes}
    checks = {
        "styles": record.styles,
        "sizes": first == settings.iter,
        "iterations": len(record.iterations) <= first
        and all(entry.number == number for number, entry in enumerate(record.iterations)),
        "evaluations": all(
            entry.size in numbers and 0 <= entry.iteration < first for entry in record.evaluations
        ),
        "status": record.status in STATUSES,
        "precision": record.precision in ("", "float32", "bfloat16"),
        "masks": len(record.masks) == (1 + len(record.styles) if settings.content_mask else 0),
    }
    for name, is_right in checks.items():
        if not is_right:
            raise ValueError(f"its {name} do not match the rest of it")


def _decoded_dataclass(kind: typing.Any, value: typing.Any, where: str) -> typing.Any:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is not a {kind.__name__}")
    types_by_name = typing.get_type_hints(kind)
    unknown = sorted(value.keys() - types_by_name.keys())
    if unknown:
        raise ValueError(f"{where} has {unknown[0]!r}, unknown to this version")
    missing = [
        item.name
        for item in dataclasses.fields(kind)
        if item.name not in value
        and item.default is dataclasses.MISSING
        and item.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ValueError(f"{where} lacks {missing[0]!r}")
    return kind(
        **{name: decoded(types_by_name[name], v, f"{where}.{name}") for name, v in value.items()}
    )
