"""video.py with a painting: the whole program on small clips, killed, stopped, and gone on with."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import draw
from PIL import Image

pytest.importorskip("av", reason="needs requirements-video.txt")
pytest.importorskip("cv2", reason="needs requirements-video.txt")

import clips

import video
from style_transfer.events import StopRun
from style_transfer.video.any_clip import open_clip
from style_transfer.video.by_painting import Steps
from style_transfer.video.clip_files import ClipFiles
from style_transfer.video.clip_record import ClipRecord
from style_transfer.video.progress import FrameDone

CHEAP = ["--height=48", "--quiet", *clips.CHEAP]
CHOICES = {
    **{"height": 48, "weights": "random", "precision": "float32", "iter": 1, "evaluations": 3},
    **{"frame_evaluations": 3, "content_layers": "block1_conv2", "style_layers": "block1_conv1"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a painting and clips: of uneven times, and of two scenes."""
    folder = tmp_path_factory.mktemp("clips")
    draw(48, 64, 2).save(folder / "style.png")
    clips.write(folder / "clip.mp4", clips.pan(5), [0, 1, 2, 5, 6])
    scenes = [*clips.pan(3), *clips.pan(3, seed=7)]
    clips.write(folder / "scenes.mp4", scenes, sound="aac")
    return folder


@pytest.fixture(scope="module")
def whole(folder):
    """The clip of two scenes, painted without a break: its bytes."""
    code, _, errors = clips.here(
        folder / "scenes.mp4", folder / "style.png", folder / "w.mp4", *CHEAP
    )
    assert (code, errors) == (0, "")
    return (folder / "w.mp4").read_bytes()


def pictures(folder):
    return [np.asarray(Image.open(path).convert("RGB")) for path in sorted(folder.glob("*.png"))]


def test_every_frame_is_painted_and_shown_at_its_time(folder, tmp_path):
    clip, out = folder / "clip.mp4", tmp_path / "out.mp4"
    result = clips.program(clip, folder / "style.png", out, *CHEAP)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert clips.times_of(out) == clips.times_of(clip)
    assert {path.name for path in tmp_path.iterdir()} == {"out.mp4", "out.mp4_state"}
    kept = {path.name for path in (tmp_path / "out.mp4_state").iterdir()}
    assert kept == {"record.json", "about.txt"}


def test_frames_are_changed_and_still_show_the_clip(folder, tmp_path):
    code, _, errors = clips.here(folder / "clip.mp4", folder / "style.png", tmp_path / "f", *CHEAP)
    assert (code, errors) == (0, "")
    painted, frames = pictures(tmp_path / "f"), clips.shown(folder / "clip.mp4")
    for pixels, (_, frame) in zip(painted, frames, strict=True):
        assert pixels.shape == frame.shape
        assert 2 < abs(pixels.astype(float) - frame).mean() < 64


def painted_frames(clip, folder, **choices):
    """The frames of a clip, painted, and what was told meanwhile."""
    told = []
    out = folder / "frames"
    video.video(clip, folder.parent / "style.png", out, on_event=told.append, **CHOICES | choices)
    return pictures(out), [event for event in told if isinstance(event, FrameDone)]


@pytest.fixture
def beside(folder, tmp_path):
    """A new folder below the one of the clips."""
    new = folder / tmp_path.name
    new.mkdir()
    return new


def test_a_still_clip_stays_as_its_first_frame_was_painted(folder, beside, tmp_path_factory):
    """The temporal loss, at work: nothing moves, so nothing changes; without it everything does."""
    still = clips.write(beside / "still.mp4", clips.pan(1) * 3, options={"qp": "0"})

    def change(weight):
        new = folder / f"{beside.name} {weight}"
        new.mkdir()
        frames, _ = painted_frames(still, new, temporal_weight=weight, frame_evaluations=6)
        return [abs(frame.astype(float) - frames[0]).mean() for frame in frames[1:]]

    held, free = change(1e4), change(0)
    assert max(held) < 0.6 < 3 * 0.6 < min(free)


def test_steps_are_the_chain_rule():
    """Some pixels move less: the same loss, and its gradient, by finite differences."""
    rng = np.random.default_rng(1)
    start, z, target = rng.normal(0, 1, (3, 1, 4, 5, 3))
    steps = Steps(start, rng.uniform(0.1, 1, (1, 4, 5, 1)))

    def objective(x):
        return np.array([np.sum((x - target) ** 4)]), 4 * (x - target) ** 3

    terms, gradient = steps.of(objective)(z)
    assert terms == objective(steps.image(z))[0]
    np.testing.assert_array_equal(steps.image(start), start)
    for index in np.ndindex(z.shape):
        change = np.zeros_like(z)
        change[index] = 1e-5
        up, down = (steps.of(objective)(z + side * change)[0][0] for side in (1, -1))
        assert gradient[index] == pytest.approx((up - down) / 2e-5, rel=1e-5, abs=1e-6)


def test_scenes_are_found_and_painted_by_themselves(folder, beside):
    frames, told = painted_frames(folder / "scenes.mp4", beside)
    assert [event.begins for event in told] == [True, False, False, True, False, False]
    assert [event.number for event in told] == list(range(6))
    np.testing.assert_array_equal(told[4].picture(), frames[4])
    new = folder / f"{beside.name} second"
    new.mkdir()
    second, _ = painted_frames(folder / "scenes.mp4", new, start="0.125")
    for one, other in zip(frames[3:], second, strict=True):
        np.testing.assert_array_equal(one, other)


def test_luminance_keeps_the_colors_of_the_clip(folder, beside):
    frames, _ = painted_frames(folder / "clip.mp4", beside, preserve_color="luminance")
    clip = open_clip(folder / "clip.mp4")
    for pixels, shown in zip(frames, clip.frames(), strict=True):
        frame = np.asarray(shown.picture())
        one, other = (clips.to_ycc(p, "BT.601", full=True) for p in (pixels, frame))
        inside = ((pixels > 0) & (pixels < 255)).all(axis=-1)
        assert abs(one - other)[inside][:, 1:].max() <= 2
        assert abs(one - other)[..., 0].mean() > 1


def test_a_clip_goes_on_from_a_look_at_its_first_frame(folder, whole, tmp_path):
    command = [folder / "scenes.mp4", folder / "style.png", tmp_path / "o.mp4", *CHEAP]
    command.remove("--quiet")
    code, out, errors = clips.here(*command, "--dry_run")
    assert (code, errors) == (0, "")
    assert "6 frames of 64 x 48, 2 scenes" in out and "All 6 frames take about" in out
    assert not (tmp_path / "o.mp4").exists()
    assert Image.open(tmp_path / "o_preview.png").size == (64, 48)
    code, out, errors = clips.here(*command)
    assert (code, errors) == (0, "") and "Frame 6 of 6" in out
    assert (tmp_path / "o.mp4").read_bytes() == whole
    assert not (tmp_path / "o_preview.png").exists()


def test_killed_at_random_it_ends_with_the_same_bytes(folder, whole, tmp_path):
    """SIGKILL twice: once while frames are painted, once at any moment."""
    out = tmp_path / "o.mp4"
    command = clips.command(folder / "scenes.mp4", folder / "style.png", out, *CHEAP)
    rng, painted = random.Random(os.getpid()), []
    for count in (1, 4):
        process = subprocess.Popen(command)
        while process.poll() is None and frames_kept(out) < count:
            time.sleep(0.002)
        time.sleep(rng.random() * 0.02)  # the whole clip takes a fifth of a second
        process.kill()
        process.wait()
        painted.append(frames_kept(out))
    assert 1 <= painted[0] <= painted[1] <= 6
    result = clips.program(*command[2:])
    assert (result.returncode, result.stderr) == (0, "")
    assert out.read_bytes() == whole


def frames_kept(out: Path) -> int:
    return len(list(out.with_name(out.name + "_state").glob("frame_*.png")))


def test_ctrl_c_keeps_the_frames_and_says_how_to_go_on(folder, whole, tmp_path):
    out = tmp_path / "o.mp4"
    command = clips.command(folder / "scenes.mp4", folder / "style.png", out, *CHEAP)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and frames_kept(out) < 2:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert not said and errors.count("\n") == 1 and "the same command" in errors
    kept = frames_kept(out)
    assert kept >= 2 and not out.exists()
    code, _, errors = clips.here(*command[2:])
    assert (code, errors) == (0, "") and out.read_bytes() == whole


def stops_at(number):
    """A listener that stops after a frame."""

    def listen(event):
        if isinstance(event, FrameDone) and event.number == number:
            raise StopRun

    return listen


def begin(folder, out, number=1, **choices):
    with pytest.raises(StopRun):
        video.video(
            folder / "scenes.mp4",
            folder / "style.png",
            out,
            on_event=stops_at(number),
            **CHOICES | choices,
        )


def test_only_what_is_missing_is_painted(folder, whole, tmp_path):
    out = tmp_path / "o.mp4"
    begin(folder, out)
    told = []
    video.video(folder / "scenes.mp4", folder / "style.png", out, on_event=told.append, **CHOICES)
    assert [event.number for event in told if isinstance(event, FrameDone)] == [2, 3, 4, 5]
    assert out.read_bytes() == whole


def test_long_term_goes_on_as_if_it_had_not_stopped(folder, tmp_path):
    paths = [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    begin(folder, paths[0], number=4, long_term=True)
    for path in paths:
        video.video(folder / "scenes.mp4", folder / "style.png", path, long_term=True, **CHOICES)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_what_was_begun_with_other_choices_is_not_mixed(folder, whole, tmp_path):
    out = tmp_path / "o.mp4"
    begin(folder, out)
    command = [folder / "scenes.mp4", folder / "style.png", out, *CHEAP]
    code, _, errors = clips.here(*command, "--temporal_weight=3")
    assert code == 2 and "2 frames of which were painted" in errors and errors.count("\n") == 1
    assert frames_kept(out) == 2
    code, _, errors = clips.here(*command)
    assert code == 0 and out.read_bytes() == whole


def test_an_earlier_clip_goes_only_when_the_new_one_is_whole(folder, whole, tmp_path):
    out = tmp_path / "o.mp4"
    begin(folder, out)
    command = [folder / "scenes.mp4", folder / "style.png", out, *CHEAP]
    assert clips.here(*command)[0] == 0
    command.remove("--quiet")
    code, said, _ = clips.here(*command)
    assert code == 0 and "is already complete" in said
    code, _, errors = clips.here(*command, "--crf=30")
    assert code == 2 and "--overwrite" in errors
    # Stopped while it replaces the clip, the same command goes on, and the clip is still there.
    begin(folder, out, number=3, overwrite=True, crf=30)
    assert out.read_bytes() == whole and frames_kept(out) == 4
    told = []
    video.video(
        folder / "scenes.mp4",
        folder / "style.png",
        out,
        **{"overwrite": True, "crf": 30, "on_event": told.append} | CHOICES,
    )
    assert [event.number for event in told if isinstance(event, FrameDone)] == [4, 5]
    assert len(out.read_bytes()) < len(whole)


@pytest.mark.parametrize("kind", ["out.mp4", "frames"])
def test_killed_before_its_record_it_knows_the_clip(folder, tmp_path, monkeypatch, kind):
    out = tmp_path / kind
    command = [folder / "scenes.mp4", folder / "style.png", out, *CHEAP]

    clear = ClipFiles.clear

    def kill(files, record=True):
        if not record:
            raise KeyboardInterrupt
        clear(files)

    monkeypatch.setattr(ClipFiles, "clear", kill)
    assert clips.here(*command, "--start=0.125")[0] == 130  # once the clip is in its place
    monkeypatch.undo()
    assert out.exists()
    code, said, errors = clips.here(*command, "--start=0.125")
    assert (code, errors) == (0, "")
    assert clips.here(*command, "--start=0.125", "--overwrite")[0] == 0


def test_a_damaged_frame_is_named_and_painted_again(folder, whole, tmp_path):
    out = tmp_path / "o.mp4"
    begin(folder, out)
    frame = tmp_path / "o.mp4_state" / "frame_000001.png"
    frame.write_bytes(frame.read_bytes()[:100])
    command = [folder / "scenes.mp4", folder / "style.png", out, *CHEAP]
    code, _, errors = clips.here(*command)
    assert code == 2 and "frame_000001.png" in errors and errors.count("\n") == 1
    frame.unlink()
    assert clips.here(*command)[0] == 0
    assert out.read_bytes() == whole


def test_the_record_says_what_was_done(folder, whole):
    record = ClipRecord.from_json((folder / "w.mp4_state" / "record.json").read_bytes())
    assert (record.rows, record.columns, record.cuts) == (48, 64, [0, 3])
    assert record.settings.weights == "random" and record.choices.frame_evaluations == 3
    assert [time * record.timing.unit for time in record.times] == clips.times_of(folder / "w.mp4")


def test_several_processes_paint_scenes_with_the_same_bytes(folder, whole, tmp_path):
    pytest.importorskip("ray", reason="needs requirements-cluster.txt")
    out = tmp_path / "o.mp4"
    result = clips.program(folder / "scenes.mp4", folder / "style.png", out, *CHEAP, "--workers=2")
    assert (result.returncode, result.stderr) == (0, "")
    assert out.read_bytes() == whole
