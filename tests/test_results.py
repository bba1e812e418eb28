"""What is written to disk appears whole or not at all, and damage to it is noticed."""

import json
import os
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import results
from results import Journal, JournalMismatch, Run, locked, write_whole
from settings import InputError, Stretch

ROOT = Path(__file__).parent.parent


def image(seed: int, rows: int = 5, columns: int = 7) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 50, (1, rows, columns, 3)).astype(np.float32)


def new_record(iterations: int = 4, restarts: bool = False, output: str = "png") -> dict:
    each = 1 if restarts else iterations
    return {
        "status": "running",
        "base": {"path": "base.png", "sha256": "1"},
        "styles": [{"path": "style.png", "sha256": "2"}],
        "settings": {"iter": iterations, "height": 5, "output": output},
        "weights": {"sha256": "3"},
        "stretches": [
            {"scale": 0, "rows": 5, "columns": 7, "first_iteration": first, "iterations": each}
            for first in range(0, iterations, each)
        ],
        "iterations": [],
        "evaluations": [],
    }


TERMS = {"content": 1.5, "style": 2.25, "total_variation": 0.125}


def carry_out(run: Run, iterations: int) -> None:
    """So many iterations of one evaluation each."""
    stretch = run.next_stretch()
    for _ in range(iterations):
        run.evaluated(stretch, TERMS, 0.5)
        number = len(run.record["iterations"])
        run.iteration_done(image(number), sum(TERMS.values()))


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


def written_journal(path: Path, about: str = "this") -> bytes:
    journal = Journal(path, about)
    for number, (terms, gradient, seconds) in enumerate(ANSWERS):
        assert journal.answer(image(number)) is None
        journal.append(image(number), terms, gradient, seconds)
    journal.close()
    return path.read_bytes()


def answers_of(path: Path, about: str = "this") -> int:
    """How many of the answers a journal gives; checks that they are the right ones."""
    journal = Journal(path, about)
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
    written_journal(tmp_path / "journal", about="that")
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
    with locked(prefix), Run(new_record(), prefix, journal=False) as run:
        carry_out(run, 2)
    return prefix


def test_a_record_is_read_as_it_was_written(prefix):
    record = results.load_record(prefix)
    assert [entry["total"] for entry in record["iterations"]] == [3.875, 3.875]
    assert [entry["iteration"] for entry in record["evaluations"]] == [0, 1]
    assert record["evaluations"][1] == {
        "evaluation": 1,
        "scale": 0,
        "iteration": 1,
        "seconds": 0.5,
        "total": 3.875,
        **TERMS,
    }
    assert "checksum" not in record


def test_a_record_cut_anywhere_is_refused(prefix):
    path = Path(f"{prefix}.json")
    whole = path.read_bytes()
    for length in range(0, len(whole), 11):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="--resume: expected a whole record"):
            results.load_record(prefix)


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
            results.load_record(prefix)


@pytest.mark.parametrize("content", ["", "{}", "[]", "null", "7", '"text"', '{"checksum": 1}'])
def test_a_foreign_record_is_refused(prefix, content):
    Path(f"{prefix}.json").write_text(content)
    with pytest.raises(InputError, match="--resume: expected a whole record") as error:
        results.load_record(prefix)
    assert f"{prefix}.json" in str(error.value) and "\n" not in str(error.value)


def test_a_missing_record_is_named(tmp_path):
    with pytest.raises(InputError, match="--resume: expected the prefix of a run.*none.json"):
        results.load_record(str(tmp_path / "none"))
    assert not list(tmp_path.iterdir())


# A run's files


def resumed(prefix: str, done: int | None = None, **options) -> Run:
    record = results.load_record(prefix)
    done = len(record["iterations"]) if done is None else done
    return Run(record, prefix, done=done, **options)


def test_images_are_read_back_exactly(prefix):
    with locked(prefix), resumed(prefix) as run:
        for number in range(2):
            np.testing.assert_array_equal(run.image(number), image(number))
            assert run.image(number).dtype == np.float32


def test_pictures_are_the_images_rounded_and_clipped(prefix):
    with Image.open(f"{prefix}_at_iteration_1.png") as file:
        picture = np.asarray(file)
        assert json.loads(file.text["Settings"]) == {"iter": 4, "height": 5, "output": "png"}
    mean = [103.939, 116.779, 123.68]
    expected = np.clip(np.rint(image(1)[0] + np.float32(mean)), 0, 255)[:, :, ::-1]
    np.testing.assert_array_equal(picture, expected)


def read_png16(path: Path) -> tuple[np.ndarray, dict[str, str]]:
    """Pixels and texts of a PNG whose lines are not filtered, byte by byte as the format says."""
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
    lines = zlib.decompress(data)
    width = 1 + 6 * columns
    assert len(lines) == rows * width and not any(lines[::width])
    return np.array(
        [np.frombuffer(lines, ">u2", 3 * columns, row * width + 1) for row in range(rows)]
    ).reshape(rows, columns, 3), texts


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
    with locked(prefix), Run(new_record(1, output=output), prefix) as run:
        carry_out(run, 1)
        run.stop("finished", image(0))
        assert run.picture_path(0) == tmp_path / f"run_at_iteration_0{suffix}"
    mean = np.array([103.939, 116.779, 123.68], np.float32).astype(np.float64)
    exact = (image(0)[0].astype(np.float64) + mean)[:, :, ::-1] * 257
    expected = np.clip(np.floor(exact + 0.5), 0, 65535)
    for end in ("", "_at_iteration_0"):
        pixels, texts = read(Path(f"{prefix}{end}{suffix}"))
        np.testing.assert_array_equal(pixels, expected)
        assert texts["Software"] == "neural_style_transfer.py"
        assert json.loads(texts["Settings"]) == {"iter": 1, "height": 5, "output": output}
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
        with open(path, "wb") as file:
            results.write_picture(file, laid_out, output, texts)
        found, read_texts = read(path)
        np.testing.assert_array_equal(found, laid_out)
        assert read_texts == texts


def test_a_run_in_another_format_leaves_none_of_the_earlier_one_s_pictures(prefix):
    Path(f"{prefix}.png").write_bytes(b"result")
    with pytest.raises(InputError, match="which has run"):
        results.check_prefix(prefix, overwrite=False, suffix=".tif")
    with locked(prefix), Run(new_record(2, output="tiff16"), prefix, overwrite=True) as run:
        carry_out(run, 2)
        run.stop("finished", image(1))
    names = sorted(path.name for path in Path(prefix).parent.iterdir() if path.is_file())
    assert names == ["run.json", "run.tif", "run_at_iteration_0.tif", "run_at_iteration_1.tif"]
    with locked(prefix), resumed(prefix, done=1, say=lambda line: None):
        pass
    kept = {path.name for path in Path(prefix).parent.glob("run_before*")}
    assert kept == {"run_before_1.tif", "run_before_1_at_iteration_1.tif"}


def test_a_photograph_beside_a_run_of_pngs_is_none_of_its_pictures(tmp_path):
    (tmp_path / "cat.tif").write_bytes(b"photograph")
    prefix = str(tmp_path / "cat")
    results.check_prefix(prefix, overwrite=False)
    for _ in range(2):
        with locked(prefix), Run(new_record(), prefix, overwrite=True):
            pass
    assert (tmp_path / "cat.tif").read_bytes() == b"photograph"
    with pytest.raises(InputError, match=r"which has cat\.tif"):
        (tmp_path / "cat.json").unlink()
        results.check_prefix(prefix, overwrite=False, suffix=".tif")


@pytest.mark.parametrize("damage", ["cut", "flipped", "foreign", "empty", "gone"])
def test_a_damaged_image_is_refused_in_one_line(prefix, damage):
    path = Path(f"{prefix}_state/iteration_1.npy")
    whole = path.read_bytes()
    flipped = bytes([*whole[:-9], whole[-9] ^ 1, *whole[-8:]])
    content = {"cut": whole[:-5], "flipped": flipped, "foreign": b"foreign", "empty": b""}
    path.unlink()
    if damage in content:
        path.write_bytes(content[damage])
    with locked(prefix), resumed(prefix) as run:
        with pytest.raises(InputError, match=r"--resume: expected the state .*iteration_1\.npy"):
            run.image(1)
        np.testing.assert_array_equal(run.image(0), image(0))


def test_a_run_without_a_journal_goes_on_in_a_new_stretch(prefix):
    lines = []
    with locked(prefix), resumed(prefix, say=lines.append) as run:
        stretch = run.next_stretch()
        assert stretch == Stretch(0, 5, 7, first_iteration=2, iterations=2)
        assert [s["iterations"] for s in run.record["stretches"]] == [2, 2]
        assert len(run.record["iterations"]) == len(run.record["evaluations"]) == 2
    assert len(lines) == 1 and "iteration 1" in lines[0]


def test_a_run_with_a_journal_goes_back_to_the_start_of_its_stretch(tmp_path):
    prefix = str(tmp_path / "run")
    with locked(prefix), Run(new_record(), prefix) as run:
        carry_out(run, 2)
    lines = []
    with locked(prefix), resumed(prefix, say=lines.append) as run:
        assert run.next_stretch().first_iteration == 0
        assert run.record["iterations"] == run.record["evaluations"] == []
        stretch = Stretch(**run.record["stretches"][0])
        for number in range(2):  # replayed: entered again, but not saved again
            run.evaluated(stretch, TERMS, 0.5)
            Path(f"{prefix}_at_iteration_{number}.png").unlink()
            assert run.iteration_done(image(number), 3.875) is None
        run.evaluated(stretch, TERMS, 0.5)
        assert run.iteration_done(image(2), 3.875)["iteration"] == 2
    assert not lines
    assert [file.name for file in tmp_path.glob("*.png")] == ["run_at_iteration_2.png"]
    assert len(results.load_record(prefix)["iterations"]) == 3


def test_a_run_stopped_while_it_replays_loses_no_saved_iteration(tmp_path):
    prefix = str(tmp_path / "run")
    with locked(prefix), Run(new_record(), prefix) as run:
        carry_out(run, 3)
    with locked(prefix), resumed(prefix) as run:
        carry_out(run, 1)
        run.stop("interrupted", image(0))
    record = results.load_record(prefix)
    assert len(record["iterations"]) == len(record["evaluations"]) == 3
    assert record["status"] == "interrupted"


def test_later_pictures_are_kept_under_another_prefix(prefix):
    first = Path(f"{prefix}_at_iteration_1.png").read_bytes()
    folder = Path(prefix).parent
    for number in (1, 2):  # going back twice keeps both
        with locked(prefix), resumed(prefix, done=1, say=lambda line: None) as run:
            assert not Path(f"{prefix}_at_iteration_1.png").exists()
            kept = folder / f"run_before_{number}_at_iteration_1.png"
            assert kept.read_bytes() == first
            run.next_stretch()
            run.iteration_done(image(1), 1.0)
    assert (folder / "run_at_iteration_0.png").exists()


def test_later_pictures_are_removed_with_overwrite(prefix):
    with locked(prefix), resumed(prefix, done=1, overwrite=True):
        pass
    names = sorted(path.name for path in Path(prefix).parent.rglob("*") if path.is_file())
    assert names == ["iteration_0.npy", "run.json", "run_at_iteration_0.png"]
    assert len(results.load_record(prefix)["iterations"]) == 1


def test_a_new_run_overwrites_all_of_an_earlier_one(prefix):
    Path(f"{prefix}.png").write_bytes(b"result")
    Path(f"{prefix}_state/journal").write_bytes(b"journal")
    neighbour = Path(f"{prefix}_two.png")
    neighbour.write_bytes(b"another run's")
    with locked(prefix), Run(new_record(), prefix, overwrite=True, journal=False):
        pass
    names = sorted(path.name for path in Path(prefix).parent.rglob("*") if path.is_file())
    assert names == ["run.json", "run_two.png"]


def test_a_finished_run_leaves_pictures_record_and_images(tmp_path):
    prefix = str(tmp_path / "run")
    with locked(prefix), Run(new_record(2), prefix) as run:
        carry_out(run, 2)
        assert run.next_stretch() is None
        run.stop("finished", image(1))
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()) == [
        "run.json",
        "run.png",
        "run_at_iteration_0.png",
        "run_at_iteration_1.png",
        "run_state/iteration_0.npy",
        "run_state/iteration_1.npy",
    ]


def test_a_run_without_a_prefix_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with locked(None), Run(new_record(2, restarts=True), None) as run:
        carry_out(run, 1)
        np.testing.assert_array_equal(run.image(0), image(0))
        carry_out(run, 1)
        run.stop("finished", image(1))
    assert not list(tmp_path.iterdir())
    assert run.record["status"] == "finished"


# Prefixes


def test_pictures_of_a_run_are_found_by_iteration(tmp_path):
    for name in ("a_at_iteration_0", "a_at_iteration_12", "a", "ab", "a_at_iteration_x", "b"):
        (tmp_path / f"{name}.png").touch()
    found = results.pictures_of(str(tmp_path / "a"))
    assert {key: path.name for key, path in found.items()} == {
        0: "a_at_iteration_0.png",
        12: "a_at_iteration_12.png",
        None: "a.png",
    }


def test_a_prefix_with_a_run_is_refused_unless_overwritten(prefix):
    with pytest.raises(InputError, match="--overwrite, or --resume"):
        results.check_prefix(prefix, overwrite=False)
    results.check_prefix(prefix, overwrite=True)


def test_a_prefix_in_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="PREFIX: expected a folder"):
        results.check_prefix(str(tmp_path / "file" / "run"), overwrite=False)
    with (
        pytest.raises(InputError, match="PREFIX: expected a place to write to"),
        locked(str(tmp_path / "file" / "run")),
    ):
        pass


HOLDER = """
import sys, time
from results import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_prefix_is_refused_while_another_process_holds_it_and_no_longer(prefix):
    command = [sys.executable, "-c", HOLDER, prefix]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        try:
            with (
                pytest.raises(InputError, match="PREFIX: expected one that no running process"),
                locked(prefix),
            ):
                pass
        finally:
            holder.kill()
    assert Path(f"{prefix}_state/lock").exists()  # left by the dead
    with locked(prefix):
        pass


def test_a_run_that_never_began_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), locked(str(tmp_path / "run")):
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_a_vanished_folder_is_an_error_of_the_system(prefix):
    with locked(prefix), resumed(prefix, say=lambda line: None) as run:
        run.next_stretch()
        shutil.rmtree(Path(prefix).parent)
        with pytest.raises(FileNotFoundError):
            run.iteration_done(image(2), 1.0)


def test_a_checksum_does_not_depend_on_the_order_of_keys():
    assert results.checksum({"a": 1, "b": [0.1]}) == results.checksum({"b": [0.1], "a": 1})
    assert results.checksum({"a": 1}) != results.checksum({"a": 2})


def test_the_journal_of_a_run_belongs_to_its_pictures_settings_and_stretch(tmp_path):
    prefix = str(tmp_path / "run")
    changes = [
        lambda record: record["base"].update(sha256="other"),
        lambda record: record["styles"][0].update(sha256="other"),
        lambda record: record.update(init={"path": "init.png", "sha256": "4"}),
        lambda record: record["weights"].update(sha256="other"),
        lambda record: record["settings"].update(height=6),
        lambda record: record["stretches"][0].update(rows=6),
    ]
    for change in changes:
        with locked(prefix), Run(new_record(), prefix, overwrite=True) as run:
            carry_out(run, 0)
            question = image(9)
            run.journal.append(question, *ANSWERS[0])
        for changed in (False, True):
            record = results.load_record(prefix)
            if changed:
                change(record)
            else:
                record["settings"]["iter"] = 20  # more iterations are still the same run
            with locked(prefix), Run(record, prefix, done=0) as run:
                run.next_stretch()
                assert run.journal.found != changed
                assert bool(run.journal.answer(question)) != changed
