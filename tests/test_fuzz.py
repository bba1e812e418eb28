"""Random command lines, records, journals and configurations of Keras: never a traceback.

100 examples each; HYPOTHESIS_EXAMPLES=2000 makes them more.
"""

import copy
import dataclasses
import io
import json
import os
import struct
import sys
import zlib
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neural_style_transfer import main
from style_transfer.backends import starting
from style_transfer.errors import InputError
from style_transfer.presets import PRESETS
from style_transfer.runs.files import RunFiles
from style_transfer.runs.journal import Journal, JournalMismatch
from style_transfer.runs.record import Evaluation, Iteration, PictureFile, Record, checksum
from style_transfer.runs.resume import load_record
from style_transfer.schedule import plan
from style_transfer.settings import Settings
from style_transfer.vgg import FilterSource

EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "100"))
fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)

# Command lines

NAMES = [item.name for item in dataclasses.fields(Settings)]
OTHERS = ["preset", "resume", "from_iteration", "base", "styles", "overwrite", "force", "quiet"]
ODD = ["", "-", "--", "0", "-1", "1e999", "nan", "9" * 400, "\n", "\0", "\udcff", "東京", "%s", "~"]
WORDS = st.sampled_from(
    [*ODD, *PRESETS, "auto", "content", "base.png", "block1_conv1:2", "0.5:1,1:1", "16", "0.25"]
)
VALUES = WORDS | st.text(max_size=12).filter(lambda text: "\0" not in text)


@st.composite
def command_lines(draw):
    words = draw(st.lists(VALUES, max_size=4))
    for name in draw(st.lists(st.sampled_from(NAMES + OTHERS), max_size=4)):
        option = "--" + (name.replace("_", "-") if draw(st.booleans()) else name)
        value = draw(VALUES)
        words += draw(st.sampled_from([[option], [option, value], [f"{option}={value}"]]))
    return words


@fuzzed
@given(command_lines())
def test_a_command_line_is_a_run_or_one_line(tmp_path_factory, words):
    folder = tmp_path_factory.getbasetemp() / "nothing here"
    folder.mkdir(exist_ok=True)
    before, out, err = Path.cwd(), io.StringIO(), io.StringIO()
    os.chdir(folder)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            try:
                code = main(words)
            except SystemExit as stop:
                code = stop.code
    finally:
        os.chdir(before)
    assert list(folder.iterdir()) == []
    said = err.getvalue()
    if code in (0, None):  # --preset list, --help
        assert said == "" and out.getvalue()
    else:
        assert code == 2, said
        assert said.startswith("neural_style_transfer.py: error: ")
        assert said.endswith("\n") and len(said.splitlines()) == 1, said


# Records


def a_record() -> dict:
    """The content of a whole record, as JSON has it."""
    chosen = Settings(auto_weights=True, iter=5)
    record = Record(
        "default",
        chosen,
        PictureFile("/a/base.png", "0" * 64, "base.png"),
        [PictureFile("/a/style.png", "1" * 64, "style.png")],
        sizes=plan(chosen, 600, 400),
        filters=FilterSource("file", "/a/vgg19.npz", "2" * 64, "caffe"),
        precision="float32",
        loss_weights={"0": {"content": 1.0}},
        versions=[{"python": "3.11"}],
        remarks=["a line"],
        iterations=[Iteration(number, 20 * number + 20, 0.5, "3" * 64) for number in range(2)],
        evaluations=[
            Evaluation(number, 0, 0, 0.1, 0.5, {"content": 0.1, "style": 0.3})
            for number in range(3)
        ],
    )
    return json.loads(record.to_json())


WHOLE = a_record()


def places(value, path=()):
    """Ways to all values below a value of JSON."""
    inside = []
    if isinstance(value, dict | list):
        inside = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in inside:
        yield (*path, key)
        yield from places(inner, (*path, key))


PLACES = list(places(WHOLE))


@st.composite
def changed_records(draw):
    content = copy.deepcopy(WHOLE)
    for path in draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=3)):
        *way, last = path
        inner = content
        try:
            for key in way:
                inner = inner[key]
            if draw(st.booleans()):
                inner[last] = draw(JSON)
            elif draw(st.booleans()):
                del inner[last]
            else:
                inner[last] = inner[draw(st.sampled_from(list(dict(inner))))]
        except (LookupError, TypeError, ValueError):
            continue
    return content


def is_whole_or_refused(path: Path, content) -> None:
    if isinstance(content, dict):
        content.pop("checksum", None)
        content = {**content, "checksum": checksum(content)}
    path.write_text(json.dumps(content))
    try:
        record = load_record(RunFiles(path.with_suffix("")))
    except InputError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert Record.from_json(record.to_json()) == record


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "run.json"


@fuzzed
@given(JSON)
def test_any_json_is_a_record_or_refused(path, content):
    is_whole_or_refused(path, content)


@fuzzed
@given(changed_records())
def test_a_changed_record_is_a_record_or_refused(path, content):
    is_whole_or_refused(path, content)


@fuzzed
@given(st.binary(max_size=300))
def test_any_bytes_are_a_record_or_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(InputError):
        load_record(RunFiles(path.with_suffix("")))


def test_the_record_that_is_changed_is_whole():
    assert json.loads(Record.from_json(json.dumps(WHOLE)).to_json()) == WHOLE


# Journals

HEADER = b"neural_style_transfer journal 2 key\n"
IMAGE = np.zeros((1, 2, 2, 3), np.float32)
TERMS = np.arange(3, dtype=np.float32)


def entry(content: bytes) -> bytes:
    """Any content as an entry whose length and checksum are right."""
    return struct.pack("<I", len(content)) + content + struct.pack("<I", zlib.crc32(content))


def answer(number: int) -> bytes:
    """An entry that answers for IMAGE: terms, and a gradient of `number`."""
    head = struct.pack("<IdI", zlib.crc32(IMAGE), 0.5, 3)
    return entry(head + TERMS.tobytes() + np.full_like(IMAGE, number).tobytes())


HEADS = st.builds(
    lambda crc, seconds, count, rest: struct.pack("<IdI", crc, seconds, count) + rest,
    st.just(zlib.crc32(IMAGE)) | st.integers(0, 2**32 - 1),
    st.floats(),
    st.integers(0, 20) | st.integers(0, 2**32 - 1),
    st.binary(max_size=80),
)
ENTRIES = (
    st.integers(0, 9).map(answer)
    | st.binary(max_size=80)
    | st.binary(max_size=80).map(entry)
    | HEADS.map(entry)
    | st.integers(0, 9).flatmap(lambda n: st.integers(0, 80).map(lambda cut: answer(n)[:cut]))
)


@fuzzed
@given(st.sampled_from([HEADER, b"", b"foreign\n"]), st.lists(ENTRIES, max_size=5))
def test_a_journal_answers_as_long_as_its_entries_are_whole(path, header, entries):
    file = path.with_name("journal")
    file.write_bytes(header + b"".join(entries))
    whole = 0
    while header == HEADER and whole < len(entries) and is_answer(entries[whole]):
        whole += 1
    journal = Journal(file, "key")
    try:
        answered = list(iter(lambda: journal.answer(IMAGE), None))
    except JournalMismatch:
        answered = None
    else:
        journal.append(IMAGE, TERMS, np.full_like(IMAGE, 7), 0.25)  # it goes on
    journal.close()
    if answered is None:
        assert whole < len(entries)
        return
    assert len(answered) >= whole
    for terms, gradient, seconds in answered:
        assert terms.shape == (3,) and gradient.shape == IMAGE.shape and isinstance(seconds, float)
    for number in range(whole):
        assert answered[number][1].tobytes() == entries[number][-4 - IMAGE.nbytes : -4]
    again = Journal(file, "key")
    replayed = list(iter(lambda: again.answer(IMAGE), None))
    again.close()
    assert len(replayed) == len(answered) + 1
    assert (replayed[-1][1] == 7).all()


def is_answer(content: bytes) -> bool:
    return any(content == answer(number) for number in range(10))


# Configurations of Keras

CONFIGURATIONS = JSON | st.fixed_dictionaries(
    {},
    optional={
        "backend": st.sampled_from(["tensorflow", "torch", "jax", "theano", "", None, 3]) | JSON,
        "floatx": st.sampled_from(["float16", "float32", "float64", "int8", None]) | JSON,
        "image_data_format": st.sampled_from(["channels_first", "channels_last", "x"]) | JSON,
        "epsilon": st.floats() | JSON,
    },
)
SOURCE = Path(starting.importlib.util.find_spec("keras").origin).parent
CONFIG = SOURCE / "src" / "backend" / "config.py"


@fuzzed
@given(CONFIGURATIONS.map(json.dumps).map(str.encode) | st.binary(max_size=60))
def test_a_keras_json_is_taken_or_refused_in_one_line(tmp_path_factory, content):
    """Keras's own config.py is executed with it; its faults are told in one line."""
    home = tmp_path_factory.getbasetemp() / "keras home"
    home.mkdir(exist_ok=True)
    (home / "keras.json").write_bytes(content)
    source = compile(CONFIG.read_text(), str(CONFIG), "exec")
    environment = {"KERAS_HOME": str(home)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.delenv("KERAS_BACKEND", raising=False)
        module = type(sys)("keras.src.backend.config")
        try:
            exec(source, vars(module))
        except Exception as error:
            patch.setitem(sys.modules, "keras.src.backend.config", module)
            fault = starting._fault_of_installation(error)
            assert fault and len(fault.splitlines()) == 1, error
            assert "keras.json" in fault and "Received: " in fault
