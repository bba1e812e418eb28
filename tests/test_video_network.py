"""video.py with a style network: one pass a frame, steadied; and every kind of clip written."""

from fractions import Fraction

import numpy as np
import pytest
from conftest import draw
from PIL import Image

pytest.importorskip("av", reason="needs requirements-video.txt")
pytest.importorskip("cv2", reason="needs requirements-video.txt")

import clips
from keras import ops
from test_fast_network import ABOUT

import video
from style_transfer.feedforward.model_file import save_network
from style_transfer.feedforward.network import style_network
from style_transfer.video.any_clip import open_clip
from style_transfer.video.by_network import ByNetwork
from style_transfer.video.motion import Motion, TakenOver


def some_network():
    """A small one that changes every pixel, and the more the more detail there is around it."""
    network, rng = style_network(4), np.random.default_rng(7)
    for variable in network.last.weights:
        variable.assign(rng.normal(0, 0.04, variable.shape))
    network.about = ABOUT.to_json()
    return network


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a network, and a clip with sound."""
    folder = tmp_path_factory.mktemp("network")
    save_network(some_network(), folder / "night.keras", folder)
    clips.write(folder / "clip.mp4", clips.pan(6, (32, 48)), [0, 1, 2, 4, 5, 6], sound="aac")
    return folder


def painted(folder, out, clip="clip.mp4", **choices):
    """The clip that video.py writes."""
    options = [f"--{name}={value}" for name, value in choices.items()]
    code, _, errors = clips.here(
        folder / clip, folder / "night.keras", out, "--height=32", "--quiet", *options
    )
    assert (code, errors) == (0, "")
    return out


def frames_of(folder):
    return [np.asarray(Image.open(path)) for path in sorted(folder.iterdir())]


def test_a_frame_is_blended_where_the_one_before_shows_the_same(folder):
    network, painter = some_network(), ByNetwork(folder / "night.keras", 0.75)
    frame = clips.pan(1, (32, 48))[0]
    alone = ops.convert_to_numpy(network(frame[None]))[0].astype(np.float64)
    np.testing.assert_allclose(painter.first(frame), np.clip(alone, 0, 255), atol=0.51)
    rng = np.random.default_rng(3)
    earlier = rng.uniform(0, 255, frame.shape).astype(np.float32)
    seen = rng.choice([0, 0.5, 1], (32, 48, 1)).astype(np.float32)
    share = 0.75 * seen
    wanted = share * earlier + (1 - share) * alone
    found = painter.next(frame, TakenOver(earlier, seen))
    np.testing.assert_allclose(found, np.clip(wanted, 0, 255), atol=0.51)


def test_a_clip_is_painted_frame_after_frame(folder, tmp_path):
    found = frames_of(painted(folder, tmp_path / "frames"))
    painter, motion = ByNetwork(folder / "night.keras", 0.8), Motion()
    for shown, pixels in zip(open_clip(folder / "clip.mp4").frames(), found, strict=True):
        frame = np.asarray(shown.picture())
        over = motion.taken_over(frame)
        wanted = painter.first(frame) if over is None else painter.next(frame, over)
        np.testing.assert_array_equal(pixels, wanted)
        motion.add(frame, wanted)


def flicker(frames, step=2):
    """Mean absolute difference of frames of a pan and the ones before, moved by the true motion."""
    pairs = zip(frames, frames[1:], strict=False)
    return np.mean([abs(b[:, :-step].astype(float) - a[:, step:]).mean() for a, b in pairs])


def test_steadiness_takes_flicker_away(folder, tmp_path):
    """Noise that differs from frame to frame, as a camera's: the network makes more of it."""
    rng, shots = np.random.default_rng(1), tmp_path / "shots"
    shots.mkdir()
    for number, frame in enumerate(clips.pan(8, (32, 48))):
        noisy = np.clip(frame + rng.normal(0, 4, frame.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(shots / f"{number}.png")
    free, held = (
        flicker(frames_of(painted(folder, tmp_path / f"{s:.0%}", shots, steadiness=s, fps=24)))
        for s in (0, 0.8)
    )
    assert held < free / 3 and free > 2


@pytest.mark.parametrize("ending", [".mp4", ".webm", ".gif", ".webp", ""])
def test_every_kind_of_clip_is_written(folder, tmp_path, ending):
    out = painted(folder, tmp_path / f"out{ending}")
    assert {path.name for path in tmp_path.iterdir()} == {out.name, f"{out.name}_state"}
    if ending == "":
        assert len(frames_of(out)) == 6
        return
    if ending == ".webp":
        with Image.open(out) as file:
            assert (file.n_frames, file.size) == (6, (48, 32))
        return
    times = [Fraction(n, 24) for n in (0, 1, 2, 4, 5, 6)]
    step = {".mp4": Fraction(1, 24), ".webm": Fraction(1, 1000), ".gif": Fraction(1, 100)}[ending]
    assert clips.times_of(out) == [round(time / step) * step for time in times]
    if ending == ".mp4":
        before, after = clips.sound_of(folder / "clip.mp4"), clips.sound_of(out)
        assert [data for _, data in after] == [data for _, data in before]


def test_sound_that_a_format_cannot_hold_is_told(folder, tmp_path):
    code, out, _ = clips.here(
        folder / "clip.mp4", folder / "night.keras", tmp_path / "o.webm", "--height=32"
    )
    assert code == 0 and ".webm cannot hold the clip's sound (aac)" in out and ".mp4 can" in out


def test_sound_and_pictures_stay_together_without_a_start(folder, tmp_path):
    """The first key frame is missing, so the pictures begin later than the sound."""
    path = clips.write(
        tmp_path / "c.mkv", clips.pan(8, (32, 48)), skipped=1, gop_size=4, sound="libopus"
    )
    out = painted(folder, tmp_path / "o.mp4", path)
    (sound, data), *_ = clips.sound_of(path)
    (later, same), *_ = clips.sound_of(out)
    gap, new_gap = clips.times_of(path)[-1] - sound, clips.times_of(out)[-1] - later
    assert abs(gap - new_gap) < 2e-3 and data == same


def test_fps_start_end_height_and_crf(folder, tmp_path):
    out = painted(folder, tmp_path / "o.mp4", fps=12, start="0.04", end="0:00.2", height=20, crf=40)
    frames = clips.shown(out)
    # From 1/24 to 4/24, at most every second one.
    assert [time for time, _ in frames] == [0, Fraction(1, 12)]
    assert frames[0][1].shape == (20, 30, 3)
    best = painted(
        folder, tmp_path / "best.mp4", fps=12, start="0.04", end="0:00.2", height=20, crf=1
    )
    assert best.stat().st_size > out.stat().st_size
    sound = clips.sound_of(out)
    assert 0 < len(sound) < len(clips.sound_of(folder / "clip.mp4"))


def test_odd_sides_are_told_and_made_even(folder, tmp_path):
    path = clips.write(tmp_path / "c.mkv", clips.pan(2, (33, 49)), codec="ffv1", pix_fmt="bgr0")
    code, out, _ = clips.here(path, folder / "night.keras", tmp_path / "o.mp4", "--height=33")
    assert code == 0 and "even sides" in out
    assert clips.shown(tmp_path / "o.mp4")[0][1].shape == (34, 50, 3)


def test_a_turned_clip_of_one_frame_is_painted_upright(folder, tmp_path):
    path = clips.write(tmp_path / "c.mp4", clips.pan(1, (32, 48)))
    clips.turn(path, (0, 1, -1, 0))
    out = painted(folder, tmp_path / "o.mp4", path, height=48)
    assert [pixels.shape for _, pixels in clips.shown(out)] == [(48, 32, 3)]


def test_an_animation_and_a_folder_are_clips(folder, tmp_path):
    pictures = [Image.fromarray(frame) for frame in clips.pan(3, (32, 48))]
    path = tmp_path / "a.gif"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=[50, 120, 70])
    out = painted(folder, tmp_path / "o.mp4", path)
    assert clips.times_of(out) == [0, Fraction(50, 1000), Fraction(170, 1000)]
    shots = tmp_path / "shots"
    shots.mkdir()
    for number, picture in enumerate(pictures):
        picture.save(shots / f"{number}.png")
    out = painted(folder, tmp_path / "p.mp4", shots, fps=10)
    assert clips.times_of(out) == [Fraction(n, 10) for n in range(3)]


def test_a_network_that_was_damaged_is_told_in_a_line(folder, tmp_path):
    content = (folder / "night.keras").read_bytes()
    (tmp_path / "b.keras").write_bytes(content[: len(content) // 2])
    code, _, errors = clips.here(folder / "clip.mp4", tmp_path / "b.keras", tmp_path / "o.mp4")
    assert code == 2 and "b.keras" in errors and errors.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"b.keras"}


def test_a_painting_after_a_network_is_another_clip(folder, tmp_path):
    """OUT belongs to what it was painted with."""
    draw(40, 32, 2).save(tmp_path / "style.png")
    out = painted(folder, tmp_path / "o.mp4")
    with pytest.raises(video.InputError, match="--overwrite"):
        video.video(folder / "clip.mp4", tmp_path / "style.png", out, height=32)
