"""MODEL_state/training.json: a training's choices, so that the same command can continue it."""

import dataclasses
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from style_transfer.errors import InputError
from style_transfer.feedforward.about import PROGRAM
from style_transfer.feedforward.choices import Choices
from style_transfer.runs.record import PictureFile, decoded, sealed, unsealed
from style_transfer.settings import Settings
from style_transfer.vgg import FilterSource

VERSION = 1
LENGTHS = ("minutes", "steps")  # a training may be made longer


@dataclass
class TrainingRecord:
    """The complete description of a training.

    Attributes:
        settings: the fields of `Settings`.
        choices: the training's own choices.
        styles: the style pictures.
        photographs: the number of photographs.
        photographs_sha256: SHA-256 of their names and sizes in bytes.
        filters: where VGG's filters came from; None before they are loaded.
        precision: VGG's precision, once it is known.
        loss_weights: with `auto_weights`, the loss weights by part of the loss.
        versions: versions of the libraries for each start of the training.
    """

    settings: Settings
    choices: Choices
    styles: list[PictureFile]
    photographs: int
    photographs_sha256: str
    filters: FilterSource | None = None
    precision: str = ""
    loss_weights: dict[str, float] = field(default_factory=dict)
    versions: list[dict[str, str]] = field(default_factory=list)

    def to_json(self) -> str:
        """The text of the file."""
        content = {"program": PROGRAM, "version": VERSION, **dataclasses.asdict(self)}
        return sealed(content, indent=1)

    @classmethod
    def read(cls, path: Path) -> "TrainingRecord":
        """The record of an interrupted training.

        Raises:
            InputError: it is damaged, or of another version.
        """
        try:
            content = unsealed(path.read_bytes())
            if (content.pop("program", 0), content.pop("version", 0)) != (PROGRAM, VERSION):
                raise ValueError("written by another version")
            return decoded(cls, content, "record")
        except (OSError, ValueError) as error:
            raise InputError(
                "MODEL: expected the whole record of the training that was stopped, or "
                f"--overwrite. Received: {str(path)!r} ({error})"
            ) from None

    def check_same(self, now: "TrainingRecord") -> None:
        """Raise InputError if `now` differs from the training that was stopped."""
        for mine, theirs in ((self.settings, now.settings), (self.choices, now.choices)):
            for item in dataclasses.fields(mine):
                old, new = getattr(mine, item.name), getattr(theirs, item.name)
                if old != new and item.name not in LENGTHS:
                    raise _differs(f"--{item.name}", repr(old), repr(new))
        lengths = [[bool(getattr(r.choices, name)) for name in LENGTHS] for r in (self, now)]
        if lengths[0] != lengths[1] or self.choices.steps_of_epoch != now.choices.steps_of_epoch:
            raise _differs("--minutes, --steps", str(_length(self)), str(_length(now)))
        old, new = ([style.sha256 for style in record.styles] for record in (self, now))
        if old != new:
            raise _differs("STYLE", "the same pictures", "other ones")
        if self.photographs_sha256 != now.photographs_sha256:
            received = f"{now.photographs}, other names or sizes"
            raise _differs("PHOTOS", f"the same {self.photographs} photographs", received)


def names_and_sizes(paths: Iterable[Path]) -> str:
    """SHA-256 of files' names and sizes, since reading thousands of photographs takes minutes."""
    lines = [f"{path.name} {path.stat().st_size}" for path in paths]
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def _length(record: TrainingRecord) -> dict:
    return {name: getattr(record.choices, name) for name in LENGTHS}


def _differs(what: str, expected: str, received: str) -> InputError:
    return InputError(
        f"{what}: expected {expected}, as in the training that was stopped here, or --overwrite. "
        f"Received: {received}"
    )
