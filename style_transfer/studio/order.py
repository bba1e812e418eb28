"""Orders for runs to paint. Each is a file, so that a server's death loses none."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from style_transfer.runs.files import write_text

MOST_STARTS = 3  # of an order whose server keeps dying


@dataclass(frozen=True)
class Order:
    """One call of `transfer` or `resume`.

    Attributes:
        run: the prefix, relative to the studio's folder.
        kind: `transfer` or `resume`.
        arguments: its keyword arguments except `prefix`: paths, and fields of `Settings`.
        starts: how often its process was started.
    """

    run: str
    kind: str
    arguments: dict[str, Any] = field(default_factory=dict)
    starts: int = 0

    def save(self, path: Path) -> None:
        """Write the order, whole or not at all."""
        write_text(path, json.dumps(asdict(self), indent=1, sort_keys=True))


def load_order(path: Path) -> Order:
    """Read the order in a file.

    Raises:
        ValueError: the file is not an order.
        OSError: it cannot be read.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    try:
        order = Order(**content)
    except TypeError:
        raise ValueError(f"{path.name} is no order") from None
    if order.kind not in ("transfer", "resume") or not isinstance(order.arguments, dict):
        raise ValueError(f"{path.name} is no order")
    return order


def number_of(path: Path) -> int:
    """The serial number of an order's file."""
    return int(path.stem)


def lock_of(path: Path) -> Path:
    """The lock that an order's process holds as long as it lives."""
    return path.with_suffix(".lock")


def waiting_orders(folder: Path) -> list[Path]:
    """The orders' files, oldest first."""
    return sorted((p for p in folder.glob("*.json") if p.stem.isdecimal()), key=number_of)
