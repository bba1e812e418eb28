"""The description of a network's training, stored as text in its file; read without Keras."""

import base64
import dataclasses
import io
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from style_transfer.errors import InputError

PROGRAM = "fast_style_transfer.py"
VERSION = 1
ENDING = ".keras"
PACKAGE = "style_transfer"  # the package under which Keras registers the network's classes
LARGEST_CONFIG = 1 << 22  # bytes; a network's own has about 20 kB, most of it thumbnails
_CONFIG = "config.json"
_NETWORK = f"{PACKAGE}>StyleNetwork"  # as Keras writes it
_KNOWN = {"name", "width", "blocks", "about"}
THUMBNAIL = 160  # pixels of a style's long side


@dataclass(frozen=True)
class Style:
    """A style picture; `thumbnail` is a JPEG in base64, `sha256` that of the picture's file."""

    name: str
    sha256: str
    thumbnail: str


@dataclass(frozen=True)
class About:
    """A network's training.

    Attributes:
        styles: the style pictures.
        settings: the fields of `Settings`, by name.
        choices: the training's own choices, by name; see `choices.Choices`.
        filters: `source` and `sha256` of VGG's filters, as in `vgg.FilterSource`.
        photographs: the number of photographs trained on.
        precision: VGG's precision, `float32` or `bfloat16`.
        steps: the number of batches.
        seconds: how long the training took.
        losses: means over the last epoch, by term, and `loss`, their sum.
        versions: versions of the libraries.
        finished: whether the training was completed.
    """

    styles: list[Style]
    settings: dict[str, Any]
    choices: dict[str, Any]
    filters: dict[str, str]
    photographs: int
    precision: str
    steps: int = 0
    seconds: float = 0.0
    losses: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    finished: bool = False

    def to_json(self) -> str:
        """The text inside the network's file."""
        return json.dumps({"program": PROGRAM, "version": VERSION, **dataclasses.asdict(self)})

    @classmethod
    def from_json(cls, text: str) -> "About":
        """The inverse of `to_json`; ignores fields that a later version has added.

        Raises:
            ValueError: the text was not written by this program.
        """
        content = json.loads(text)
        if not isinstance(content, dict) or content.get("program") != PROGRAM:
            raise ValueError("not written by this program")
        known = {item.name: item for item in dataclasses.fields(cls)}
        values = {name: value for name, value in content.items() if name in known}
        try:
            values["styles"] = [Style(**style) for style in values["styles"]]
            return cls(**values)
        except (KeyError, TypeError) as error:
            raise ValueError(f"incomplete ({error})") from None


def thumbnail(picture: Image.Image) -> str:
    """A small JPEG of a picture, in base64."""
    small = picture.copy()
    small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=85)
    return base64.b64encode(file.getvalue()).decode("ascii")


def about_of_file(path: Path, what: str = "MODEL") -> About:
    """Read the description of a network's training.

    Args:
        path: path of the network's file.
        what: the argument's name, for errors.

    Raises:
        InputError: the file is not a network trained by this program.
    """
    try:
        config = _config(path)
    except (OSError, ValueError, RecursionError, zipfile.BadZipFile, NotImplementedError) as error:
        raise refusal(what, path, error) from None
    own = config.get("config") if isinstance(config, dict) else None
    if not isinstance(own, dict) or config.get("registered_name") != _NETWORK:
        raise refusal(what, path, "it holds another model")
    if own.keys() - _KNOWN:
        raise refusal(what, path, "it was written by a later version")
    try:
        return About.from_json(own.get("about", ""))
    except (ValueError, TypeError, RecursionError) as error:
        raise refusal(what, path, f"what it was trained on: {error}") from None


def sizes_of_file(path: Path) -> dict[str, int]:
    """`width` and `blocks` of a network whose file `about_of_file` has read.

    Raises:
        ValueError: they are not numbers that a network can have.
    """
    config = _config(path)["config"]
    sizes = {name: config.get(name, 0) for name in ("width", "blocks")}
    if not all(type(value) is int and 0 <= value < 10**5 for value in sizes.values()):
        raise ValueError("its network has no size")
    return sizes


def is_network(path: Path) -> bool:
    """Whether a file holds a network that this program trained."""
    try:
        about_of_file(path)
    except InputError:
        return False
    return True


def refusal(what: str, path: Path, reason: object) -> InputError:
    """The error for a file that is not a network of this program."""
    text = " ".join(str(reason).split())[:200]
    return InputError(
        f"{what}: expected a network trained by {PROGRAM}, a whole {ENDING} file. "
        f"Received: {str(path)!r} ({text})"
    )


def _config(path: Path):
    if path.suffix != ENDING:
        raise ValueError(f"its name does not end in {ENDING}")
    with zipfile.ZipFile(path) as archive:
        try:
            member = archive.getinfo(_CONFIG)
        except KeyError:
            raise ValueError(f"it has no {_CONFIG}") from None
        if member.file_size > LARGEST_CONFIG:
            raise ValueError(f"its {_CONFIG} is too large")
        return json.loads(archive.read(member))
