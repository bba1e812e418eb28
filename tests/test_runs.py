"""Runs on disk: files appear whole or not at all, and belong to their run."""

import dataclasses
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from made_runs import (
    a_run,
    begun,
    carry_out,
    evaluate,
    image,
    lines_of,
    names_in,
    new_record,
    next_size,
    record_of,
    resumed,
)
from PIL import Image

from style_transfer.errors import InputError
from style_transfer.events import Evaluated, IterationDone, RunBegun, SizeBegun, StopRun
from style_transfer.presets import make_settings
from style_transfer.runs.files import RunFiles, write_whole
from style_transfer.runs.guard import check_free
from style_transfer.schedule import Size

# write_whole


def test_a_file_appears_with_all_its_bytes(tmp_path):
    path = tmp_path / "file"
    write_whole(path, lambda file: file.write(b"some bytes"))
    assert path.read_bytes() == b"some bytes"
    assert list(tmp_path.iterdir()) == [path]


def test_an_unfinished_file_leaves_the_one_before(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"before")

    def fail(file):
        file.write(b"half")
        raise OSError(28, "no space left")

    with pytest.raises(OSError, match="no space left"):
        write_whole(path, fail)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "file"
    seen = []

    def look(number):
        seen.append([file.stat().st_size for file in tmp_path.iterdir()])
        assert not path.exists()

    monkeypatch.setattr(os, "fsync", look)
    write_whole(path, lambda file: file.write(b"half") and file.write(b" and half"))
    assert seen == [[13]]
    assert path.read_bytes() == b"half and half"


# A run's files


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


def test_16_bits_are_the_image_times_257(tmp_path):
    prefix = str(tmp_path / "run")
    with begun(new_record(1, output="tiff16"), prefix) as run:
        carry_out(run, 1)
        run.finish()
    mean = np.array([103.939, 116.779, 123.68], np.float32).astype(np.float64)
    exact = (image(0)[0].astype(np.float64) + mean)[:, :, ::-1] * 257
    expected = np.clip(np.floor(exact + 0.5), 0, 65535)
    for name in ("run.tif", "run_at_iteration_0.tif"):
        np.testing.assert_array_equal(tifffile.imread(tmp_path / name), expected)
        with tifffile.TiffFile(tmp_path / name) as file:
            settings = json.loads(file.pages[0].tags["ImageDescription"].value)
        assert settings == dataclasses.asdict(make_settings(iter=1, output="tiff16"))
    names = sorted(path.name for path in tmp_path.iterdir() if path.is_file())
    assert names == ["run.json", "run.tif", "run_at_iteration_0.tif"]


def test_another_format_leaves_no_earlier_pictures(prefix):
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


def test_a_photograph_beside_a_run_is_none_of_its_pictures(tmp_path):
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


def test_without_a_journal_a_sizes_rest_is_its_own_call(prefix):
    events = []
    with resumed(prefix, listeners=[events.append]) as run:
        assert next_size(run) == Size(0, 5, 7, first_iteration=2, iterations=2)
        assert [size.iterations for size in run.record.sizes] == [2, 2]
        assert len(run.record.iterations) == len(run.record.evaluations) == 2
    lines = lines_of(events)
    assert len(lines) == 1 and "iteration 1" in lines[0]


def test_with_a_journal_a_run_goes_back_to_its_sizes_start(tmp_path):
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


def test_a_run_stopped_in_its_replay_loses_no_iteration(tmp_path):
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


def test_a_vanished_folder_is_an_error_of_the_system(prefix):
    with resumed(prefix) as run:
        size = next_size(run)
        shutil.rmtree(Path(prefix).parent)
        with pytest.raises(FileNotFoundError):
            run.iteration_done(size, image(2), 1.0)


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


def test_a_listener_that_stops_keeps_no_other_from_hearing():
    heard = []

    def stop(event):
        raise StopRun

    with pytest.raises(StopRun), begun(new_record(1), None, [stop, heard.append]):
        pass
    assert len(heard) == 1
