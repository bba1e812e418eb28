"""What is written to disk appears whole or not at all, and damage to it is noticed."""

import dataclasses
import json
import os
import shutil
import struct
import subprocess
import sys
import zlib
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from preprocessing import deprocess
from style_transfer.errors import InputError
from style_transfer.events import Evaluated, IterationDone, RunBegun, Said, SizeBegun, StopRun
from style_transfer.presets import make_settings
from style_transfer.runs.files import RunFiles, write_whole
from style_transfer.runs.guard import check_free, run_files
from style_transfer.runs.journal import Journal, JournalMismatch
from style_transfer.runs.lock import locked
from style_transfer.runs.pictures import write_picture
from style_transfer.runs.record import Evaluation, PictureFile, Record, checksum
from style_transfer.runs.resume import find_run, load_record
from style_transfer.runs.run import Run
from style_transfer.runs.takeover import RunOptions
from style_transfer.schedule import Size
from style_transfer.vgg import FilterSource

ROOT = Path(__file__).parent.parent


def image(seed: int, rows: int = 5, columns: int = 7) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 50, (1, rows, columns, 3)).astype(np.float32)


def new_record(iterations: int = 4, restarts: bool = False, output: str = "png") -> Record:
    each = 1 if restarts else iterations
    return Record(
        preset="default",
        settings=make_settings(iter=iterations, output=output),
        content=PictureFile("base.png", "1"),
        styles=[PictureFile("style.png", "2")],
        sizes=[Size(0, 5, 7, first, each) for first in range(0, iterations, each)],
        filters=FilterSource("random", None, "3"),
    )


TERMS = np.array([1.5, 2.25, 0.125], np.float32)


def a_run(record: Record, prefix: str | None, listeners=(), **options) -> Run:
    """A run that is not begun yet."""
    files = None
    if prefix is not None:
        suffix = ".tif" if record.settings.output == "tiff16" else ".png"
        files = RunFiles(Path(prefix), suffix)
    return Run(record, files, RunOptions(**options), deprocess, listeners)


@contextmanager
def begun(record: Record, prefix: str | None, listeners=(), **options):
    """A run under its lock."""
    run = a_run(record, prefix, listeners, **options)
    with locked(run.files) if run.files else nullcontext(), run:
        run.begin()
        yield run


def next_size(run: Run) -> Size | None:
    return next(run.sizes(), None)


def evaluate(run: Run, size: Size) -> None:
    run.evaluated(size, TERMS, 0.5, replayed=False)


def carry_out(run: Run, iterations: int) -> None:
    """So many iterations of one evaluation each."""
    size = next_size(run)
    for _ in range(iterations):
        evaluate(run, size)
        number = len(run.record.iterations)
        run.iteration_done(size, image(number), float(TERMS.sum()))


def names_in(folder: Path) -> list[str]:
    """Names of all files below a folder but the text in the state's folder."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.name != "about.txt"
    )


# write_whole


def test_a_file_appears_with_all_its_bytes(tmp_path):
    path = tmp_path / "file"
    write_whole(path, lambda file: file.write(b"some bytes"))
    assert path.read_bytes() == b"some bytes"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_finished_leaves_the_one_before(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"before")

    def fail(file):
        file.write(b"half")
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        write_whole(path, fail)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_at_the_path_before_the_file_is_whole_on_disk(tmp_path, monkeypatch):
    path = tmp_path / "file"
    seen = []

    def look(number):
        seen.append([file.stat().st_size for file in tmp_path.iterdir()])
        assert not path.exists()

    monkeypatch.setattr(os, "fsync", look)
    write_whole(path, lambda file: file.write(b"half") and file.write(b" and half"))
    assert seen == [[13]]
    assert path.read_bytes() == b"half and half"


# The journal

ANSWERS = [
    (np.array([i, 0.5, 0.25], np.float32), image(100 + i), 0.125 * i) for i in range(3)
]  # terms, gradient, seconds


def written_journal(path: Path, key: str = "this") -> bytes:
    journal = Journal(path, key)
    for number, (terms, gradient, seconds) in enumerate(ANSWERS):
        assert journal.answer(image(number)) is None
        journal.append(image(number), terms, gradient, seconds)
    journal.close()
    return path.read_bytes()


def answers_of(path: Path, key: str = "this") -> int:
    """How many of the answers a journal gives; checks that they are the right ones."""
    journal = Journal(path, key)
    count = 0
    while count < len(ANSWERS) and (kept := journal.answer(image(count))):
        for value, expected in zip(kept, ANSWERS[count], strict=True):
            np.testing.assert_array_equal(value, expected)
        count += 1
    assert count == journal.replayed
    journal.close()
    return count


def test_a_journal_gives_the_answers_in_order_and_then_none(tmp_path):
    written_journal(tmp_path / "journal")
    assert answers_of(tmp_path / "journal") == 3
    journal = Journal(tmp_path / "journal", "this")
    assert journal.found
    for number in range(3):
        assert journal.answer(image(number))
    assert journal.answer(image(3)) is None
    journal.close()


def test_a_journal_is_in_the_systems_hands_after_every_answer(tmp_path):
    journal = Journal(tmp_path / "journal", "this")
    sizes = []
    for number, (terms, gradient, seconds) in enumerate(ANSWERS):
        journal.append(image(number), terms, gradient, seconds)
        sizes.append((tmp_path / "journal").stat().st_size)
    journal.close()
    assert sizes[2] - sizes[1] == sizes[1] - sizes[0] > image(0).nbytes
    assert (tmp_path / "journal").stat().st_size == sizes[2]


def test_a_journal_cut_anywhere_gives_its_whole_answers_and_goes_on(tmp_path):
    path = tmp_path / "journal"
    whole = written_journal(path)
    header = whole.index(b"\n") + 1
    each = (len(whole) - header) // 3
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        kept = max(0, length - header) // each
        assert answers_of(path) == kept
        journal = Journal(path, "this")
        for number in range(kept):
            journal.answer(image(number))
        for number in range(kept, 3):
            assert journal.answer(image(number)) is None
            journal.append(image(number), *ANSWERS[number])
        journal.close()
        assert path.read_bytes() == whole


def test_a_flipped_bit_ends_a_journal_before_the_answer_it_is_in(tmp_path):
    path = tmp_path / "journal"
    whole = written_journal(path)
    header = whole.index(b"\n") + 1
    each = (len(whole) - header) // 3
    for place in range(header, len(whole), 5):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        assert answers_of(path) == (place - header) // each


def test_a_hole_of_zeros_at_the_end_of_a_journal_is_dropped(tmp_path):
    # What a crash of the machine, not of the program, can leave in place of the last blocks.
    path = tmp_path / "journal"
    whole = written_journal(path)
    path.write_bytes(whole + bytes(4096))
    assert answers_of(path) == 3
    Journal(path, "this").close()
    journal = Journal(path, "this")
    for number in range(4):
        journal.answer(image(number))
    journal.close()
    assert path.read_bytes() == whole


@pytest.mark.parametrize("content", [b"", b"\n", b"foreign\n" * 99, bytes(999), b"neural_style"])
def test_a_foreign_journal_is_not_found_and_written_anew(tmp_path, content):
    path = tmp_path / "journal"
    path.write_bytes(content)
    journal = Journal(path, "this")
    assert not journal.found
    assert journal.answer(image(0)) is None
    journal.close()
    assert answers_of(path) == 0


def test_a_journal_of_other_settings_is_not_found(tmp_path):
    written_journal(tmp_path / "journal", key="that")
    journal = Journal(tmp_path / "journal", "this")
    assert not journal.found and journal.answer(image(0)) is None
    journal.close()


def test_the_answer_to_another_question_is_not_given(tmp_path):
    written_journal(tmp_path / "journal")
    journal = Journal(tmp_path / "journal", "this")
    assert journal.answer(image(0))
    other = image(1)
    other[0, 0, 0, 0] = np.nextafter(other[0, 0, 0, 0], np.float32(1e9))
    with pytest.raises(JournalMismatch):
        journal.answer(other)
    journal.close()


def test_the_answer_to_an_image_of_another_size_is_not_given(tmp_path):
    written_journal(tmp_path / "journal")
    journal = Journal(tmp_path / "journal", "this")
    with pytest.raises(JournalMismatch):
        journal.answer(image(0, rows=9))
    journal.close()


# The record


@pytest.fixture
def prefix(tmp_path):
    """Of a run whose first two of four iterations are done."""
    prefix = str(tmp_path / "run")
    with begun(new_record(), prefix, journal=False) as run:
        carry_out(run, 2)
    return prefix


def record_of(prefix: str) -> Record:
    return load_record(RunFiles(Path(prefix)))


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


# A run's files


@contextmanager
def resumed(prefix: str, done: int | None = None, listeners=(), **options):
    record = record_of(prefix)
    done = len(record.iterations) if done is None else done
    with begun(record, prefix, listeners, done=done, **options) as run:
        yield run


def lines_of(events: list) -> list[str]:
    return [event.line for event in events if isinstance(event, Said)]


def test_a_constructor_changes_nothing_on_disk(prefix):
    folder = Path(prefix).parent
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    a_run(new_record(), prefix, overwrite=True)
    a_run(record_of(prefix), prefix, done=0)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_images_are_read_back_exactly(prefix):
    with resumed(prefix) as run:
        for number in range(2):
            np.testing.assert_array_equal(run.image(number), image(number))
            assert run.image(number).dtype == np.float32


def test_pictures_are_the_images_rounded_and_clipped(prefix):
    with Image.open(f"{prefix}_at_iteration_1.png") as file:
        picture = np.asarray(file)
        assert json.loads(file.text["Settings"]) == dataclasses.asdict(make_settings(iter=4))
    mean = [103.939, 116.779, 123.68]
    expected = np.clip(np.rint(image(1)[0] + np.float32(mean)), 0, 255)[:, :, ::-1]
    np.testing.assert_array_equal(picture, expected)


def read_png16(path: Path) -> tuple[np.ndarray, dict[str, str]]:
    """Pixels and texts of a PNG, byte by byte as the format says."""
    content, texts, data = path.read_bytes(), {}, b""
    assert content[:8] == b"\x89PNG\r\n\x1a\n" and content.endswith(b"IEND\xaeB`\x82")
    place = 8
    while place < len(content):
        length, kind = struct.unpack(">I4s", content[place : place + 8])
        chunk = content[place + 8 : place + 8 + length]
        (check,) = struct.unpack(">I", content[place + 8 + length : place + 12 + length])
        assert check == zlib.crc32(kind + chunk)
        if kind == b"IHDR":
            columns, rows, *rest = struct.unpack(">IIBBBBB", chunk)
            assert rest == [16, 2, 0, 0, 0]  # bits, RGB, deflate, usual filters, not interlaced
        elif kind == b"tEXt":
            keyword, _, text = chunk.partition(b"\0")
            texts[keyword.decode()] = text.decode()
        elif kind == b"IDAT":
            data += chunk
        place += 12 + length
    lines = np.frombuffer(zlib.decompress(data), np.uint8).reshape(rows, 1 + 6 * columns)
    pixels = unfiltered(lines[:, 0], lines[:, 1:]).tobytes()
    return np.frombuffer(pixels, ">u2").reshape(rows, columns, 3), texts


def unfiltered(kinds: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """W3C's PNG specification, section 9.2: none, sub, up, average and Paeth, 6 bytes a pixel."""
    out = np.zeros((len(lines) + 1, lines.shape[1] + 6), int)
    for row, (kind, line) in enumerate(zip(kinds, lines.astype(int), strict=True), start=1):
        for column in range(6, out.shape[1]):
            a, b, c = out[row, column - 6], out[row - 1, column], out[row - 1, column - 6]
            distances = abs(b - c), abs(a - c), abs(a + b - 2 * c)
            paeth = (a, b, c)[distances.index(min(distances))]
            predicted = (0, a, b, (a + b) // 2, paeth)[kind]
            out[row, column] = (line[column - 6] + predicted) % 256
    return out[1:, 6:].astype(np.uint8)


def read_tiff16(path: Path) -> tuple[np.ndarray, dict[str, str]]:
    """Pixels and texts of an uncompressed TIFF, as Pillow finds its tags."""
    with Image.open(path) as file:
        tags, (columns, rows) = file.tag_v2, file.size
    assert tags[258] == (16, 16, 16)  # BitsPerSample
    assert (tags[259], tags[262], tags[277], tags[284]) == (1, 2, 3, 1)  # plain, RGB, interleaved
    (offset,), (length,) = tags[273], tags[279]
    assert length == 6 * rows * columns
    order = {b"II": "<u2", b"MM": ">u2"}[path.read_bytes()[:2]]
    pixels = np.frombuffer(path.read_bytes(), order, 3 * rows * columns, offset)
    return pixels.reshape(rows, columns, 3), {"Software": tags[305], "Settings": tags[270]}


SIXTEEN_BITS = {"png16": (".png", read_png16), "tiff16": (".tif", read_tiff16)}


@pytest.mark.parametrize("output", SIXTEEN_BITS)
def test_pictures_of_16_bits_are_the_images_times_257_with_the_settings(output, tmp_path):
    suffix, read = SIXTEEN_BITS[output]
    prefix = str(tmp_path / "run")
    with begun(new_record(1, output=output), prefix) as run:
        carry_out(run, 1)
        run.finish()
    mean = np.array([103.939, 116.779, 123.68], np.float32).astype(np.float64)
    exact = (image(0)[0].astype(np.float64) + mean)[:, :, ::-1] * 257
    expected = np.clip(np.floor(exact + 0.5), 0, 65535)
    for end in ("", "_at_iteration_0"):
        pixels, texts = read(Path(f"{prefix}{end}{suffix}"))
        np.testing.assert_array_equal(pixels, expected)
        assert texts["Software"] == "neural_style_transfer.py"
        settings = make_settings(iter=1, output=output)
        assert json.loads(texts["Settings"]) == dataclasses.asdict(settings)
        with Image.open(f"{prefix}{end}{suffix}") as file:  # in 8 bits: the higher byte
            np.testing.assert_array_equal(file.convert("RGB"), expected // 256)
    names = sorted(path.name for path in tmp_path.iterdir() if path.is_file())
    assert names == sorted(["run.json", f"run{suffix}", f"run_at_iteration_0{suffix}"])


@pytest.mark.parametrize("output", SIXTEEN_BITS)
@pytest.mark.parametrize("size", [(1, 1), (3, 1), (1, 5), (37, 23)])
def test_any_size_and_value_of_16_bits_is_read_back(size, output, tmp_path):
    pixels = np.random.default_rng(1).integers(0, 65536, (*size, 3)).astype(np.uint16)
    pixels[0, 0] = 0, 1, 65535
    suffix, read = SIXTEEN_BITS[output]
    for number, laid_out in enumerate([pixels, pixels[:, :, ::-1], np.asfortranarray(pixels)]):
        path = tmp_path / f"{number}{suffix}"
        texts = {"Software": "x", "Settings": "{}"}
        with path.open("wb") as file:
            write_picture(file, laid_out, output, texts)
        found, read_texts = read(path)
        np.testing.assert_array_equal(found, laid_out)
        assert read_texts == texts


def test_a_run_in_another_format_leaves_none_of_the_earlier_one_s_pictures(prefix):
    shutil.copy(f"{prefix}_at_iteration_0.png", f"{prefix}.png")
    with pytest.raises(InputError, match="which has run"):
        check_free(RunFiles(Path(prefix), ".tif"), [], overwrite=False)
    with begun(new_record(2, output="tiff16"), prefix, overwrite=True) as run:
        carry_out(run, 2)
        run.finish()
    folder = Path(prefix).parent
    assert [name for name in names_in(folder) if "state" not in name] == [
        "run.json",
        "run.tif",
        "run_at_iteration_0.tif",
        "run_at_iteration_1.tif",
    ]
    with resumed(prefix, done=1):
        pass
    kept = {path.name for path in folder.glob("run_before*")}
    assert kept == {"run_before_1.tif", "run_before_1_at_iteration_1.tif"}


def test_a_photograph_beside_a_run_of_pngs_is_none_of_its_pictures(tmp_path):
    (tmp_path / "cat.tif").write_bytes(b"photograph")
    prefix = str(tmp_path / "cat")
    check_free(RunFiles(Path(prefix)), [], overwrite=False)
    for _ in range(2):
        with begun(new_record(), prefix, overwrite=True):
            pass
    assert (tmp_path / "cat.tif").read_bytes() == b"photograph"
    (tmp_path / "cat.json").unlink()
    with pytest.raises(InputError, match=r"which has cat\.tif"):
        check_free(RunFiles(Path(prefix), ".tif"), [], overwrite=False)


@pytest.mark.parametrize("damage", ["cut", "flipped", "foreign", "empty", "gone"])
def test_a_damaged_image_is_refused_in_one_line(prefix, damage):
    path = Path(f"{prefix}_state/iteration_1.npy")
    whole = path.read_bytes()
    flipped = bytes([*whole[:-9], whole[-9] ^ 1, *whole[-8:]])
    content = {"cut": whole[:-5], "flipped": flipped, "foreign": b"foreign", "empty": b""}
    path.unlink()
    if damage in content:
        path.write_bytes(content[damage])
    run = a_run(record_of(prefix), prefix, done=2)
    with pytest.raises(InputError, match=r"--resume: expected the state .*iteration_1\.npy"):
        run.image(1)
    np.testing.assert_array_equal(run.image(0), image(0))
    before = Path(f"{prefix}.json").read_bytes()
    with pytest.raises(InputError, match=r"iteration_1\.npy"), run:
        run.begin()
    assert Path(f"{prefix}.json").read_bytes() == before


def test_without_a_journal_the_rest_of_a_size_is_a_call_of_its_own(prefix):
    events = []
    with resumed(prefix, listeners=[events.append]) as run:
        assert next_size(run) == Size(0, 5, 7, first_iteration=2, iterations=2)
        assert [size.iterations for size in run.record.sizes] == [2, 2]
        assert len(run.record.iterations) == len(run.record.evaluations) == 2
    lines = lines_of(events)
    assert len(lines) == 1 and "iteration 1" in lines[0]


def test_a_run_with_a_journal_goes_back_to_the_start_of_its_size(tmp_path):
    prefix = str(tmp_path / "run")
    with begun(new_record(), prefix) as run:
        carry_out(run, 2)
    events = []
    with resumed(prefix, listeners=[events.append]) as run:
        size = next_size(run)
        assert size.first_iteration == 0
        assert run.record.iterations == run.record.evaluations == []
        for number in range(2):  # replayed: entered again, but not saved again
            evaluate(run, size)
            Path(f"{prefix}_at_iteration_{number}.png").unlink()
            run.iteration_done(size, image(number), 3.875)
        assert not any(isinstance(event, IterationDone) for event in events)
        evaluate(run, size)
        run.iteration_done(size, image(2), 3.875)
    assert [event.number for event in events if isinstance(event, IterationDone)] == [2]
    assert not lines_of(events)
    assert [file.name for file in tmp_path.glob("*.png")] == ["run_at_iteration_2.png"]
    assert len(record_of(prefix).iterations) == 3


def test_a_run_stopped_while_it_replays_loses_no_saved_iteration(tmp_path):
    prefix = str(tmp_path / "run")
    with begun(new_record(), prefix) as run:
        carry_out(run, 3)
    with resumed(prefix) as run:
        carry_out(run, 1)
        run.stop("interrupted", image(0))
    record = record_of(prefix)
    assert len(record.iterations) == len(record.evaluations) == 3
    assert record.status == "interrupted"


def test_later_pictures_are_kept_under_another_prefix(prefix):
    first = Path(f"{prefix}_at_iteration_1.png").read_bytes()
    folder = Path(prefix).parent
    for number in (1, 2):  # going back twice keeps both
        with resumed(prefix, done=1) as run:
            assert not Path(f"{prefix}_at_iteration_1.png").exists()
            kept = folder / f"run_before_{number}_at_iteration_1.png"
            assert kept.read_bytes() == first
            run.iteration_done(next_size(run), image(1), 1.0)
    assert (folder / "run_at_iteration_0.png").exists()


def test_later_pictures_are_removed_with_overwrite(prefix):
    with resumed(prefix, done=1, overwrite=True):
        pass
    expected = ["run.json", "run_at_iteration_0.png", "run_state/iteration_0.npy"]
    assert names_in(Path(prefix).parent) == expected
    assert len(record_of(prefix).iterations) == 1


def test_a_new_run_overwrites_all_of_an_earlier_one(prefix):
    shutil.copy(f"{prefix}_at_iteration_0.png", f"{prefix}.png")
    Path(f"{prefix}_state/journal").write_bytes(b"journal")
    neighbor = Path(f"{prefix}_two.png")
    neighbor.write_bytes(b"another run's")
    with begun(new_record(), prefix, overwrite=True, journal=False):
        pass
    assert names_in(Path(prefix).parent) == ["run.json", "run_two.png"]


def test_a_finished_run_leaves_pictures_record_and_images(tmp_path):
    prefix = str(tmp_path / "run")
    with begun(new_record(2), prefix) as run:
        carry_out(run, 2)
        assert next_size(run) is None
        run.finish()
    assert names_in(tmp_path) == [
        "run.json",
        "run.png",
        "run_at_iteration_0.png",
        "run_at_iteration_1.png",
        "run_state/iteration_0.npy",
        "run_state/iteration_1.npy",
    ]


def test_a_run_without_a_prefix_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with begun(new_record(2, restarts=True), None) as run:
        carry_out(run, 1)
        np.testing.assert_array_equal(run.image(0), image(0))
        carry_out(run, 1)
        run.finish()
    assert not list(tmp_path.iterdir())
    assert run.record.status == "finished"


# Events


def test_a_run_tells_what_happens_in_order(tmp_path):
    events = []
    with begun(new_record(1), str(tmp_path / "run"), [events.append]) as run:
        carry_out(run, 1)
    begin, size, evaluation, iteration = events
    assert begin == RunBegun(run.record, tmp_path / "run")
    assert size == SizeBegun(Size(0, 5, 7, 0, 1))
    assert isinstance(evaluation, Evaluated) and evaluation.total == 3.875
    assert (evaluation.number, evaluation.iteration, evaluation.replayed) == (0, 0, False)
    assert iteration.path == tmp_path / "run_at_iteration_0.png"
    with Image.open(iteration.path) as saved:
        np.testing.assert_array_equal(iteration.picture(), saved)


def test_a_listener_that_stops_the_run_does_not_keep_others_from_hearing():
    heard = []

    def stop(event):
        raise StopRun

    with pytest.raises(StopRun), begun(new_record(1), None, [stop, heard.append]):
        pass
    assert len(heard) == 1


# Prefixes


def test_pictures_of_a_run_are_found_by_iteration(tmp_path):
    for name in ("a_at_iteration_0", "a_at_iteration_12", "a", "ab", "a_at_iteration_x", "b"):
        (tmp_path / f"{name}.png").touch()
    found = RunFiles(tmp_path / "a").pictures()
    assert {key: path.name for key, path in found.items()} == {
        0: "a_at_iteration_0.png",
        12: "a_at_iteration_12.png",
        None: "a.png",
    }


def test_a_prefix_with_a_run_is_refused_unless_overwritten(prefix):
    with pytest.raises(InputError, match="--overwrite, or --resume"):
        check_free(RunFiles(Path(prefix)), [], overwrite=False)
    check_free(RunFiles(Path(prefix)), [], overwrite=True)


def test_a_prefix_in_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    files = RunFiles(tmp_path / "file" / "run")
    with pytest.raises(InputError, match="PREFIX: expected a folder"):
        check_free(files, [], overwrite=False)
    with pytest.raises(InputError, match="PREFIX: expected a place to write to"), locked(files):
        pass


@pytest.mark.parametrize(
    "prefix, expected",
    [
        ("out/cat", "out/cat"),
        ("out/cat.png", "out/cat"),
        ("out/cat.PNG", "out/cat"),
        ("out/cat.v2", "out/cat.v2"),
        ("folder", "folder/photo--painting"),
        ("folder/", "folder/photo--painting"),
        ("new/", "new/photo--painting"),
        (".", "photo--painting"),
        ("~nobody_at_all/x", "~nobody_at_all/x"),
    ],
)
def test_a_prefix_may_be_a_folder_or_the_result_s_name(prefix, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    assert run_files(prefix, "png", ["photo", "painting"]) == RunFiles(Path(expected))


def foreign(path: Path, content: bytes = b"somebody's own") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "name",
    ["run.json", "run.png", "run_at_iteration_3.png", "run_at_iteration_0.tif", "run_state/x.txt"],
)
def test_somebody_else_s_file_is_not_overwritten(tmp_path, name):
    path = foreign(tmp_path / name)
    with pytest.raises(InputError, match="expected no files but this program's") as error:
        check_free(RunFiles(tmp_path / "run"), [], overwrite=True)
    assert name.split("/")[0] in str(error.value)
    assert path.read_bytes() == b"somebody's own"


def test_a_picture_saved_again_by_another_program_is_not_overwritten(prefix):
    path = f"{prefix}_at_iteration_1.png"
    with Image.open(path) as picture:
        picture.load()
    picture.save(path)  # without the texts
    with pytest.raises(InputError, match="run_at_iteration_1.png is not one of them"):
        check_free(RunFiles(Path(prefix)), [], overwrite=True)


@pytest.mark.parametrize("kind", ["itself", "symbolic link", "hard link", "other spelling"])
@pytest.mark.parametrize("name", ["run.png", "run.json", "run_at_iteration_1.png", "run.tif"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_an_input_is_never_one_of_the_run_s_files(prefix, tmp_path, kind, name, overwrite):
    own = tmp_path / name
    if not own.exists():
        foreign(own)
    given = {
        "itself": own,
        "symbolic link": tmp_path / "link",
        "hard link": tmp_path / "hard",
        "other spelling": tmp_path / "run_state" / ".." / name,
    }[kind]
    if kind == "symbolic link":
        given.symlink_to(own)
    elif kind == "hard link":
        os.link(own, given)
    with pytest.raises(InputError, match="PREFIX: expected another than an input's") as error:
        check_free(RunFiles(Path(prefix)), [("REF", given)], overwrite)
    assert f"whose {name} is REF" in str(error.value)


def test_a_name_too_long_for_its_pictures_is_refused(tmp_path):
    with pytest.raises(InputError, match="PREFIX: expected a name of at most 2.. bytes"):
        check_free(RunFiles(tmp_path / ("x" * 240)), [], overwrite=False)
    with pytest.raises(InputError, match="PREFIX: expected a name"):
        check_free(RunFiles(tmp_path / ("x" * 4000) / "y"), [], overwrite=False)


HOLDER = """
import sys, time
from pathlib import Path
from style_transfer.runs.files import RunFiles
from style_transfer.runs.lock import locked
with locked(RunFiles(Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_prefix_is_refused_while_another_process_holds_it_and_no_longer(prefix):
    files = RunFiles(Path(prefix))
    command = [sys.executable, "-c", HOLDER, prefix]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        try:
            with (
                pytest.raises(InputError, match="PREFIX: expected one that no running process"),
                locked(files),
            ):
                pass
        finally:
            holder.kill()
    assert files.lock.exists()  # left by the dead
    with locked(files):
        pass


def test_a_run_that_never_began_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), locked(RunFiles(tmp_path / "made" / "run")):
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_a_vanished_folder_is_an_error_of_the_system(prefix):
    with resumed(prefix) as run:
        size = next_size(run)
        shutil.rmtree(Path(prefix).parent)
        with pytest.raises(FileNotFoundError):
            run.iteration_done(size, image(2), 1.0)


def test_a_checksum_does_not_depend_on_the_order_of_keys():
    assert checksum({"a": 1, "b": [0.1]}) == checksum({"b": [0.1], "a": 1})
    assert checksum({"a": 1}) != checksum({"a": 2})


JOURNAL_CHANGES = {
    "content": lambda record: setattr(record.content, "sha256", "other"),
    "style": lambda record: setattr(record.styles[0], "sha256", "other"),
    "start": lambda record: setattr(record, "start", PictureFile("init.png", "4")),
    "filters": lambda record: setattr(record, "filters", FilterSource("file", "f", "other")),
    "convention": lambda record: setattr(
        record, "filters", FilterSource("random", None, "3", "torch")
    ),
    "settings": lambda record: setattr(record, "settings", make_settings(height=300)),
    "size": lambda record: record.sizes.__setitem__(0, Size(0, 6, 7, 0, 4)),
    "library": lambda record: record.versions.append({"keras": "other"}),
}


@pytest.mark.parametrize("change", [None, *JOURNAL_CHANGES])
def test_a_journal_belongs_to_all_that_its_answers_depend_on(tmp_path, change):
    prefix = str(tmp_path / "run")
    with begun(new_record(), prefix, overwrite=True) as run:
        carry_out(run, 0)
        question = image(9)
        run.journal.append(question, *ANSWERS[0])
    record = record_of(prefix)
    if change:
        JOURNAL_CHANGES[change](record)
    else:  # more iterations are still the same run, and so are filters of another name
        record.settings = make_settings(iter=20)
        record.filters = FilterSource("file", "/elsewhere", "3")
    with begun(record, prefix, done=0) as run:
        next_size(run)
        assert run.journal.found == (not change)
        assert bool(run.journal.answer(question)) == (not change)
