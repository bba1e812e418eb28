"""The record of a painted clip: its choices, its inputs, and its progress."""

import dataclasses
from dataclasses import dataclass, field
from fractions import Fraction

from style_transfer.runs.record import PictureFile, decoded, sealed, unsealed
from style_transfer.settings import Settings
from style_transfer.vgg import FilterSource
from style_transfer.video.choices import ClipChoices
from style_transfer.video.clip import Timing
from style_transfer.video.survey import Survey

PROGRAM, VERSION = "video.py", 1


@dataclass
class ClipRecord:
    """The complete description of a painted clip, as `OUT_state/record.json` holds it.

    Attributes:
        preset: a key of `presets.PRESETS`.
        settings: the fields of `Settings`.
        choices: the clip's own choices.
        clip: the file; for a folder, the SHA-256 is that of its files' names and digests.
        styles: the style pictures, or a style network.
        rows: rows of the painted frames.
        columns: columns of the painted frames.
        unit: seconds in one step of the times, numerator and denominator.
        numbers: which of the clip's frames are painted.
        times: when each of them is shown.
        end: when the last one ends.
        cuts: which of them start a scene.
        origin: when the first is shown on the clip's own clock, in seconds, as for `unit`.
        filters: where they came from; None with a style network.
        precision: the network's precision.
        versions: versions of libraries, and the processor, for each start of the command.
        remarks: lines for the user about the inputs.
        replaces: SHA-256 of an earlier clip at OUT that this one will replace; empty: none.
        crf: the written clip's quality; None: its format's default.
        out_sha256: SHA-256 of the written clip; empty until it is complete.
    """

    preset: str
    settings: Settings
    choices: ClipChoices
    clip: PictureFile
    styles: list[PictureFile]
    rows: int
    columns: int
    unit: list[int]
    numbers: list[int]
    times: list[int]
    end: int
    cuts: list[int]
    origin: list[int]
    filters: FilterSource | None = None
    precision: str = ""
    versions: list[dict[str, str]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    replaces: str = ""
    crf: int | None = None
    out_sha256: str = ""

    @property
    def timing(self) -> Timing:
        """When the frames are shown."""
        return Timing(Fraction(*self.unit), self.times, self.end)

    def scenes(self) -> list[range]:
        """The frames of each scene."""
        ends = [*self.cuts[1:], len(self.numbers)]
        return [range(first, last) for first, last in zip(self.cuts, ends, strict=True)]

    def to_json(self) -> str:
        """The text of the file."""
        content = {"program": PROGRAM, "version": VERSION, **dataclasses.asdict(self)}
        return sealed(content)

    @classmethod
    def from_json(cls, text: str | bytes) -> "ClipRecord":
        """The inverse of `to_json`.

        Raises:
            ValueError: the text is not a record, is damaged, or has an unknown version.
        """
        content = unsealed(text)
        if content.pop("program", None) != PROGRAM:
            raise ValueError("not a record of this program")
        if content.pop("version", None) != VERSION:
            raise ValueError("written by another version of the program")
        record = decoded(cls, content, "record")
        _check(record)
        return record


def fields_of(found: Survey) -> dict:
    """The results of a survey, as fields of a `ClipRecord`."""
    unit, origin = found.timing.unit, found.origin
    return {
        "unit": [unit.numerator, unit.denominator],
        "numbers": found.numbers,
        "times": found.timing.times,
        "end": found.timing.end,
        "cuts": found.cuts,
        "origin": [origin.numerator, origin.denominator],
    }


def _check(record: ClipRecord) -> None:
    """Raise ValueError if a record's parts contradict each other."""
    frames = len(record.numbers)
    increasing = all(
        one < other
        for values in (record.numbers, [*record.times, record.end], record.cuts)
        for one, other in zip(values, values[1:], strict=False)
    )
    is_right = (
        increasing
        and frames == len(record.times) > 0
        and record.cuts[:1] == [0]
        and record.cuts[-1] < frames
        and len(record.unit) == len(record.origin) == 2
        and min(*record.unit, record.origin[1], record.rows, record.columns) > 0
    )
    if not is_right:
        raise ValueError("its parts do not match")
