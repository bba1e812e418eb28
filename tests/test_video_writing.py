"""Clips as they are written: times, colors, sound, each kind of file."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("av", reason="needs requirements-video.txt")
pytest.importorskip("cv2", reason="needs requirements-video.txt")

import av
import clips

from style_transfer.video.clip import Timing
from style_transfer.video.outputs import FORMATS, write_clip
from style_transfer.video.sound import Sound

# 30000/1001 frames a second, two of them longer.
UNIT, TIMES, END = Fraction(1, 30000), [0, 1001, 5005, 6006, 9009], 10010
FRAMES = clips.pan(5)


def written(path, frames=FRAMES, timing=None, **options):
    """A clip, written from frames."""
    timing = timing or Timing(UNIT, TIMES[: len(frames)], END)
    write_clip(path, lambda: frames, timing, **options)
    return path


# Seconds in one step of a format's times; None: exact.
STEPS = {".mp4": None, ".webm": Fraction(1, 1000), ".gif": Fraction(1, 100)}


@pytest.mark.parametrize("ending", STEPS)
def test_frames_are_shown_at_their_times(tmp_path, ending):
    path, step = written(tmp_path / f"a{ending}"), STEPS[ending]
    exact = [time * UNIT for time in TIMES]
    wanted = exact if step is None else [round(time / step) * step for time in exact]
    assert clips.times_of(path) == wanted
    with av.open(str(path)) as container:
        seconds = Fraction(container.duration, av.time_base)
    # The last frame is shown up to the end, too.
    assert abs(seconds - END * UNIT) <= (step or Fraction(1, 10_000))


def test_webp_shows_frames_for_as_long_as_they_last(tmp_path):
    with Image.open(written(tmp_path / "a.webp")) as file:
        found = []
        for number in range(file.n_frames):
            file.seek(number)
            file.load()
            found.append(file.info["duration"])
        assert file.info["loop"] == 0
    starts = [round(time * UNIT * 1000) for time in [*TIMES, END]]
    assert found == [after - before for before, after in itertools.pairwise(starts)]


@pytest.mark.parametrize("ending", FORMATS)
def test_one_frame_is_a_clip_too(tmp_path, ending):
    path = written(tmp_path / f"a{ending}", FRAMES[:1])
    with Image.open(path) if ending in (".gif", ".webp") else av.open(str(path)) as file:
        frames = [file.convert("RGB")] if ending in (".gif", ".webp") else file.decode(video=0)
        assert [(frame.width, frame.height) for frame in frames] == [(64, 48)]


@pytest.mark.parametrize("ending", FORMATS)
def test_frames_look_as_they_are(tmp_path, ending):
    path = written(tmp_path / f"a{ending}", crf=4 if FORMATS[ending].crf else None)
    if ending == ".webp":
        with Image.open(path) as file:
            found = []
            for number in range(file.n_frames):
                file.seek(number)
                found.append(np.asarray(file.convert("RGB")))
    else:
        found = [frame for _, frame in clips.shown(path)]
    assert len(found) == len(FRAMES)
    for pixels, frame in zip(found, FRAMES, strict=True):
        assert pixels.shape == frame.shape
        error = abs(pixels.astype(int) - frame).mean()
        others = [abs(pixels.astype(int) - other).mean() for other in FRAMES if other is not frame]
        assert error < 14 and error < min(others)  # grain of 12 loses its color in 4:2:0


@pytest.mark.parametrize("ending", [".mp4", ".webm"])
def test_color_bars_keep_their_colors(tmp_path, ending):
    bars = clips.bars(wide=16)
    path = written(tmp_path / f"a{ending}", [bars], crf=1)
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    assert (int(frame.colorspace), int(frame.color_range)) == (clips.NUMBER["BT.709"], 1)
    luma, *chroma = np.split(frame.to_ndarray(), [32, 40])
    chroma = [plane.reshape(16, -1).repeat(2, 0).repeat(2, 1) for plane in chroma]
    ycc = np.stack([luma, *chroma], axis=-1)
    found = clips.from_ycc(ycc, "BT.709", full=False)
    middles = np.s_[8:-8, 8::16]  # chroma runs over at the edges of the bars
    assert abs(found - bars)[middles].max() <= 3


@pytest.mark.parametrize("ending", [".gif", ".webp"])
def test_color_bars_keep_their_colors_in_pictures(tmp_path, ending):
    bars = clips.bars()
    with Image.open(written(tmp_path / f"a{ending}", [bars, bars])) as file:
        found = np.asarray(file.convert("RGB")).astype(int)
    assert abs(found - bars)[8:-8, 4::8].max() <= 8


def test_a_folder_gets_the_very_pixels(tmp_path):
    written(tmp_path / "frames")
    files = sorted((tmp_path / "frames").iterdir())
    assert [file.name for file in files] == [f"frame_{n:06d}.png" for n in range(5)]
    for file, frame in zip(files, FRAMES, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(file)), frame)


@pytest.mark.parametrize("ending", [*FORMATS, ""])
def test_the_same_frames_make_the_same_bytes(tmp_path, ending):
    paths = [written(tmp_path / f"{name}{ending}") for name in "ab"]
    files = [sorted(path.iterdir()) if path.is_dir() else [path] for path in paths]
    first, second = ([file.read_bytes() for file in found] for found in files)
    assert first == second


def test_odd_sides_become_even_where_they_must(tmp_path):
    odd = clips.pan(1, (33, 49))
    path = written(tmp_path / "a.mp4", odd, crf=1)
    [(_, pixels)] = clips.shown(path)
    assert pixels.shape == (34, 50, 3)
    assert abs(pixels[:33, :49].astype(int) - odd[0]).mean() < 14
    with Image.open(written(tmp_path / "a.webp", odd)) as file:
        assert file.size == (49, 33)


def test_crf_trades_quality_for_bytes(tmp_path):
    for ending in (".mp4", ".webm"):
        good, small = (written(tmp_path / f"{crf}{ending}", crf=crf) for crf in (5, 45))
        assert good.stat().st_size > 2 * small.stat().st_size


def test_frames_faster_than_players_show_are_left_out_of_a_gif(tmp_path):
    timing = Timing(Fraction(1, 100), [0, 1, 2, 3, 8], 9)
    path = written(tmp_path / "a.gif", FRAMES, timing)
    assert clips.times_of(path) == [Fraction(n, 100) for n in (0, 2, 8)]


@pytest.mark.parametrize(
    ("ending", "source", "codec"),
    [(".mp4", ".mp4", "aac"), (".mp4", ".mkv", "libopus"), (".webm", ".mkv", "libopus")],
)
def test_sound_is_copied_packet_by_packet(tmp_path, ending, source, codec):
    clip = clips.write(tmp_path / f"clip{source}", clips.pan(8), sound=codec)
    timing = Timing(Fraction(1, 24), list(range(8)), 8)
    path = written(tmp_path / f"a{ending}", clips.pan(8), timing, sound=Sound(clip))
    before, after = clips.sound_of(clip), clips.sound_of(path)
    assert [data for _, data in after] == [data for _, data in before]
    gap = clips.times_of(clip)[0] - before[0][0]
    new_gap = clips.times_of(path)[0] - after[0][0]
    assert abs(gap - new_gap) < 1.5e-3  # Matroska counts milliseconds
    for (one, _), (other, _) in zip(before, after, strict=True):
        assert abs((one - before[0][0]) - (other - after[0][0])) < 1.5e-3


def test_a_part_of_the_sound_goes_with_a_part_of_the_clip(tmp_path):
    clip = clips.write(tmp_path / "clip.mp4", clips.pan(12), sound="aac")
    start, end = Fraction(4, 24), Fraction(8, 24)
    timing = Timing(Fraction(1, 24), list(range(4)), 4)
    sound = Sound(clip, origin=start, start=start, end=end)
    path = written(tmp_path / "a.mp4", clips.pan(4), timing, sound=sound)
    wanted = [(time - start, data) for time, data in clips.sound_of(clip) if start <= time < end]
    found = clips.sound_of(path)
    assert [data for _, data in found] == [data for _, data in wanted]
    for (time, _), (when, _) in zip(found, wanted, strict=True):
        assert abs(time - when) < 1e-3


def test_a_clip_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")

    def breaks():
        yield FRAMES[0]
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        write_clip(path, breaks, Timing(UNIT, TIMES, END))
    assert path.read_bytes() == b"old" and [file.name for file in tmp_path.iterdir()] == ["a.mp4"]
