"""The record is read as it was written; anything else is refused."""

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from made_runs import image, new_record, record_of
from numpy.testing import assert_array_equal

from style_transfer.errors import InputError
from style_transfer.presets import make_settings
from style_transfer.runs.record import Evaluation, checksum
from style_transfer.runs.resume import find_run
from style_transfer.schedule import Size
from style_transfer.vgg import FilterSource


def test_a_record_is_read_as_it_was_written(prefix):
    record = record_of(prefix)
    assert [entry.total for entry in record.iterations] == [3.875, 3.875]
    terms = {"content": 1.5, "style": 2.25, "total_variation": 0.125}
    assert record.evaluations == [
        Evaluation(number, 0, number, 0.5, 3.875, terms) for number in range(2)
    ]
    expected = new_record()
    expected.iterations, expected.evaluations = record.iterations, record.evaluations
    assert record == expected


def test_a_record_is_this_on_disk(prefix):
    """All of it, spelled out."""
    content = json.loads(Path(f"{prefix}.json").read_text())
    seal = content.pop("checksum")
    assert seal == hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    files = [Path(f"{prefix}_state", f"iteration_{n}.npy") for n in range(2)]
    hashes = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    for number, file in enumerate(files):
        assert_array_equal(np.load(file), image(number))
    assert content == {
        "program": "neural_style_transfer.py",
        "version": 2,
        "preset": "default",
        "settings": dataclasses.asdict(make_settings(iter=4)),
        "content": {"path": "base.png", "sha256": "1", "beside": ""},
        "styles": [{"path": "style.png", "sha256": "2", "beside": ""}],
        "start": None,
        "masks": [],
        "sizes": [{"number": 0, "rows": 5, "columns": 7, "first_iteration": 0, "iterations": 4}],
        "status": "running",
        "filters": {"source": "random", "file": None, "sha256": "3", "convention": "caffe"},
        "filters_beside": "",
        "precision": "",
        "loss_weights": {},
        "methods": {},
        "versions": [],
        "remarks": [],
        "iterations": [
            {"number": n, "evaluations": n + 1, "total": 3.875, "sha256": hashes[n]}
            for n in range(2)
        ],
        "evaluations": [
            {"number": n, "size": 0, "iteration": n, "seconds": 0.5, "total": 3.875}
            | {"terms": {"content": 1.5, "style": 2.25, "total_variation": 0.125}}
            for n in range(2)
        ],
    }


def test_a_record_cut_anywhere_is_refused(prefix):
    path = Path(f"{prefix}.json")
    whole = path.read_bytes()
    for length in range(0, len(whole), 11):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="--resume: expected a whole record"):
            record_of(prefix)


def test_a_record_with_a_flipped_bit_is_refused(prefix):
    path = Path(f"{prefix}.json")
    whole = path.read_bytes()
    for place in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 7
        path.write_bytes(damaged)
        try:
            content = json.loads(damaged)
        except ValueError:
            content = None
        if content == json.loads(whole):  # a blank became another blank
            continue
        with pytest.raises(InputError, match="--resume: expected a whole record"):
            record_of(prefix)


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", "null", "7", '"text"', '{"checksum": 1}', "[" * 100_000, "\xff"]
)
def test_a_foreign_record_is_refused(prefix, content):
    Path(f"{prefix}.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match="--resume: expected a whole record") as error:
        record_of(prefix)
    assert f"{prefix}.json" in str(error.value) and "\n" not in str(error.value)


CHANGES = [
    ("settings", "text"),
    ("settings", {"height": -1}),
    ("settings", {"no_such": 1}),
    ("content", None),
    ("content", {"path": 3, "sha256": "1"}),
    ("styles", {}),
    ("sizes", [{"rows": 5}]),
    ("filters", {"source": "file"}),
    ("iterations", [{"number": "0", "evaluations": 1, "total": 1.0}]),
    ("evaluations", [None]),
    ("loss_weights", {"0": {"content": "much"}}),
    ("unknown", 1),
    ("version", 3),
    ("version", "2"),
]


@pytest.mark.parametrize("name, value", CHANGES, ids=lambda value: str(value)[:20])
def test_a_record_whose_parts_are_of_other_types_is_refused(prefix, name, value):
    content = json.loads(Path(f"{prefix}.json").read_text())
    del content["checksum"]
    content[name] = value
    text = json.dumps({**content, "checksum": checksum(content)})
    Path(f"{prefix}.json").write_text(text)
    with pytest.raises(InputError, match="--resume: expected a whole record"):
        record_of(prefix)


def test_a_missing_record_is_named(tmp_path):
    with pytest.raises(InputError, match="--resume: expected the prefix of a run.*none.json"):
        find_run(str(tmp_path / "none"))
    assert not list(tmp_path.iterdir())


def test_a_record_of_version_1_is_read(tmp_path):
    """As version 1 wrote it: the same facts under other names."""
    settings = dataclasses.asdict(make_settings(iter=2))
    for name in ("size", "unpainted"):
        del settings[name]
    old = {
        "status": "notfinite",
        "preset": "default",
        "base": {"path": "/a/base.png", "sha256": "1"},
        "styles": [{"path": "/a/style.png", "sha256": "2"}],
        "init": {"path": "/a/start.png", "sha256": "4"},
        "settings": settings,
        "iterations": [{"iteration": 0, "evaluations": 1, "total": 3.5, "sha256": "5"}],
        "evaluations": [
            {"evaluation": 0, "scale": 0, "iteration": 0, "seconds": 0.5, "total": 3.5}
            | {"content": 1.0, "style": 2.0, "total_variation": 0.5}
        ],
        "stretches": [{"scale": 0, "rows": 5, "columns": 7, "first_iteration": 0, "iterations": 2}],
        "weights": {"source": "imagenet", "file": "/f.h5", "sha256": "3", "input": "caffe"},
        "precision": "float32",
        "versions": {"keras": "3.15"},
        "auto_weights": {"0": {"total_variation": 2.0}},
    }
    text = json.dumps({**old, "checksum": checksum(old)})
    (tmp_path / "old.json").write_text(text)
    record = record_of(str(tmp_path / "old"))
    assert record.status == "failed"
    assert record.settings == make_settings(iter=2, scales="auto:1.75")
    assert [picture.sha256 for picture in record.pictures] == ["1", "2", "4"]
    assert record.sizes == [Size(0, 5, 7, 0, 2)]
    assert record.filters == FilterSource("imagenet", "/f.h5", "3", "caffe")
    assert record.loss_weights == {"0": {"total_variation": 2.0}}
    assert record.evaluations[0].terms == {"content": 1.0, "style": 2.0, "total_variation": 0.5}
    assert record.iterations[0].sha256 == "5"


def test_a_checksum_does_not_depend_on_the_order_of_keys():
    assert checksum({"a": 1, "b": [0.1]}) == checksum({"b": [0.1], "a": 1})
    assert checksum({"a": 1}) != checksum({"a": 2})
