"""Choices with which a run takes a second, for the tests."""

from neural_style_transfer import transfer
from style_transfer.runs.record import Record

TINY = {
    "weights": "random",
    "height": 24,
    "precision": "float32",
    "scales": "1",
    "iter": 1,
    "evaluations": 2,
}
SHALLOW = {**TINY, "content_layers": "block2_conv1", "style_layers": "block1_conv1,block2_conv1"}
QUICK = {**SHALLOW, "iter": 3, "evaluations": 3}
OPTIONS = [f"--{name}={value}" for name, value in QUICK.items()]


def totals_of(record: Record) -> list[float]:
    """The loss of each evaluation."""
    return [entry.total for entry in record.evaluations]


def first_loss(*args, **choices) -> dict[str, float]:
    """The terms of a run's first evaluation."""
    _, record = transfer(*args, **{**QUICK, "iter": 1, "evaluations": 1, **choices})
    return record.evaluations[0].terms
