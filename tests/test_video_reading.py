"""Clips as cameras and other programs write them: every odd one is read right, or refused."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("av", reason="needs requirements-video.txt")
pytest.importorskip("cv2", reason="needs requirements-video.txt")

import av
import clips

from style_transfer.errors import InputError
from style_transfer.video.any_clip import open_clip
from style_transfer.video.choices import ClipChoices
from style_transfer.video.picture_series import Folder
from style_transfer.video.survey import survey

# Without loss, in Matroska and in MP4.
LOSSLESS = {"codec": "ffv1", "pix_fmt": "bgr0"}
EXACT = {"codec": "libx264rgb", "pix_fmt": "rgb24", "options": {"qp": "0"}}


def read(path, rate=None):
    """(seconds, pixels) of all frames, and the remarks."""
    clip = open_clip(path, rate)
    found = [(frame.time * clip.unit, np.asarray(frame.picture())) for frame in clip.frames()]
    return found, clip.remarks


def surveyed(path, rate=None, **choices):
    clip = open_clip(path, rate)
    return survey(clip, ClipChoices(**choices), thinned=not isinstance(clip, Folder))


def times(found):
    return [time * found.timing.unit for time in found.timing.times]


def test_frames_come_as_they_are_at_their_times(tmp_path):
    frames = clips.pan(4)
    # 30000/1001 frames a second, with gaps: no float says these times.
    path = clips.write(
        tmp_path / "a.mkv", frames, [0, 1001, 5005, 6006], Fraction(1, 30000), **LOSSLESS
    )
    found, remarks = read(path)
    assert not remarks
    # Matroska counts milliseconds.
    assert [time for time, _ in found] == [Fraction(n, 1000) for n in (0, 33, 167, 200)]
    for (_, pixels), frame in zip(found, frames, strict=True):
        np.testing.assert_array_equal(pixels, frame)


def test_a_variable_rate_is_kept_to_the_step(tmp_path):
    path = clips.write(tmp_path / "a.mp4", clips.pan(4), [0, 1001, 5005, 6006], Fraction(1, 30000))
    found = surveyed(path)
    assert times(found) == [Fraction(n, 30000) for n in (0, 1001, 5005, 6006)]
    assert found.numbers == [0, 1, 2, 3]


# As (a, b, c, d) of the display matrix: turns, and mirrors.
ORIENTATIONS = [
    turn
    for turn in itertools.product((-1, 0, 1), repeat=4)
    if abs(turn[0] * turn[3] - turn[1] * turn[2]) == 1 and sum(map(abs, turn)) == 2
]


@pytest.mark.parametrize("matrix", ORIENTATIONS)
def test_frames_are_upright(tmp_path, matrix):
    [frame] = clips.pan(1, (32, 48))
    path = clips.write(tmp_path / "a.mp4", [frame], **EXACT)
    clips.turn(path, matrix)
    a, b, c, d = matrix
    rows, columns = np.indices(frame.shape[:2])
    across, down = a * columns + c * rows, b * columns + d * rows
    across, down = across - across.min(), down - down.min()
    wanted = np.zeros((down.max() + 1, across.max() + 1, 3), np.uint8)
    wanted[down, across] = frame
    [(_, pixels)], _ = read(path)
    np.testing.assert_array_equal(pixels, wanted)
    assert (surveyed(path).height, surveyed(path).width) == wanted.shape[:2]


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", ["BT.601", "BT.709"])
def test_color_bars_have_their_colors(tmp_path, matrix, full, bits):
    bars = clips.bars()
    frame = clips.planes(clips.to_ycc(bars, matrix, full, bits), bits)
    kind = {"colorspace": clips.NUMBER[matrix], "color_range": 2 if full else 1}
    path = clips.write(tmp_path / "a.mkv", [frame], codec="ffv1", pix_fmt=frame.format.name, **kind)
    [(_, pixels)], _ = read(path)
    assert abs(pixels.astype(int) - bars).max() <= 2


def test_a_clip_that_names_no_matrix_is_read_by_its_size(tmp_path):
    for rows, matrix in ((32, "BT.601"), (720, "BT.709")):
        bars = clips.bars(rows)
        frame = clips.planes(clips.to_ycc(bars, matrix, full=False), 8)
        path = clips.write(tmp_path / f"{rows}.mkv", [frame], codec="ffv1", pix_fmt="yuv444p")
        [(_, pixels)], _ = read(path)
        assert abs(pixels.astype(int) - bars).max() <= 2


def test_pixels_that_are_not_square_become_so(tmp_path):
    [frame] = clips.pan(1, (32, 48))
    path = clips.write(tmp_path / "a.mp4", [frame], sample_aspect_ratio=Fraction(3, 2), **EXACT)
    [(_, pixels)], _ = read(path)
    wanted = Image.fromarray(frame).resize((72, 32), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(pixels, wanted)
    # A turned frame is stretched before it is turned.
    clips.turn(path, (0, 1, -1, 0))
    assert (surveyed(path).height, surveyed(path).width) == (72, 32)


@pytest.mark.parametrize("size", [(33, 49), (32, 49), (33, 48)])
def test_sides_may_be_odd(tmp_path, size):
    frames = clips.pan(2, size)
    path = clips.write(tmp_path / "a.mkv", frames, **LOSSLESS)
    found, _ = read(path)
    np.testing.assert_array_equal(found[1][1], frames[1])


def test_a_clip_of_one_frame(tmp_path):
    found = surveyed(clips.write(tmp_path / "a.mp4", clips.pan(1)))
    assert times(found) == [0] and found.cuts == [0]
    assert found.timing.end * found.timing.unit == Fraction(1, 24)


@pytest.mark.parametrize("codec", ["libx264", "mpeg4", "libvpx-vp9"])
def test_what_comes_before_the_first_key_frame_is_left_out(tmp_path, codec):
    frames = clips.pan(8)
    # Key frames at 0 and 4, of which the first is lost.
    path = clips.write(
        tmp_path / "a.mkv", frames, skipped=1, gop_size=4, codec=codec, bit_rate=4_000_000
    )
    found, remarks = read(path)
    assert [time for time, _ in found] == [Fraction(n, 1000) for n in (167, 208, 250, 292)]
    for (_, pixels), frame in zip(found, frames[4:], strict=True):
        assert abs(pixels.astype(int) - frame).mean() < 12
    assert any("key frame" in line for line in remarks)


def test_a_clip_cut_off_is_read_as_far_as_it_goes(tmp_path):
    path = clips.write(tmp_path / "a.mkv", clips.pan(8), **LOSSLESS)
    content = path.read_bytes()
    whole, _ = read(path)
    path.write_bytes(content[: len(content) * 5 // 8])
    found, _ = read(path)
    assert 3 <= len(found) < 8
    for (time, pixels), (when, frame) in zip(found[:-1], whole, strict=False):
        assert time == when
        np.testing.assert_array_equal(pixels, frame)
    again, _ = read(path)
    assert [time for time, _ in again] == [time for time, _ in found]


def test_an_mp4_whose_index_is_cut_off_is_refused(tmp_path):
    path = clips.write(tmp_path / "a.mp4", clips.pan(8))
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(InputError, match="^CLIP: .*a.mp4"):
        read(path)


def test_damaged_frames_are_left_out_with_a_remark(tmp_path):
    path = clips.write(
        tmp_path / "a.mp4",
        clips.pan(8),
        gop_size=1,
        codec="mpeg4",
        options={"err_detect": "explode"},
    )
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + 4
    content[start + 1500 : start + 2500] = bytes(1000)
    path.write_bytes(content)
    found, _ = read(path)
    assert 0 < len(found) <= 8
    stamps = [time for time, _ in found]
    assert stamps == sorted(set(stamps))


def test_what_is_transparent_lies_on_white(tmp_path):
    frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 4), np.uint8), format="rgba")
    path = clips.write(tmp_path / "a.mov", [frame], codec="png", pix_fmt="rgba")
    [(_, pixels)], _ = read(path)
    assert (pixels == 255).all()


@pytest.mark.parametrize("ending", ["gif", "webp", "png"])
def test_animated_pictures(tmp_path, ending):
    frames = clips.pan(3, (32, 40))
    pictures = [Image.fromarray(frame) for frame in frames]
    path = tmp_path / f"a.{ending}"
    exact = {"lossless": True} if ending == "webp" else {}
    pictures[0].save(
        path, save_all=True, append_images=pictures[1:], duration=[40, 200, 70], loop=0, **exact
    )
    found, _ = read(path)
    assert [time for time, _ in found] == [Fraction(n, 1000) for n in (0, 40, 240)]
    assert surveyed(path).timing.seconds == pytest.approx(0.31)
    for (_, pixels), frame in zip(found, frames, strict=True):
        error = abs(pixels.astype(int) - frame)
        assert error.max() == 0 if ending != "gif" else error.mean() < 12  # of 256 colors


def test_a_folder_is_read_in_the_order_of_its_numbers(tmp_path):
    for number, frame in zip((10, 9, 100, 1), clips.pan(4), strict=True):
        Image.fromarray(frame).save(tmp_path / f"shot2_{number}.png")
    (tmp_path / "notes.txt").write_text("1")
    found, remarks = read(tmp_path)
    assert [time for time, _ in found] == [Fraction(n, 25) for n in range(4)]
    assert "--fps" in remarks[0]
    order = clips.pan(4)
    for (_, pixels), number in zip(found, (3, 1, 0, 2), strict=True):
        np.testing.assert_array_equal(pixels, order[number])
    found, remarks = read(tmp_path, rate=10)
    assert found[3][0] == Fraction(3, 10) and not remarks


def test_the_pictures_of_a_folder_have_one_size(tmp_path):
    for number, size in enumerate([(32, 40), (32, 41)]):
        Image.fromarray(clips.pan(1, size)[0]).save(tmp_path / f"{number}.png")
    with pytest.raises(InputError, match="one size, 40 x 32"):
        read(tmp_path)


def test_start_and_end_choose_a_part(tmp_path):
    path = clips.write(tmp_path / "a.mp4", clips.pan(8), [10 + n for n in range(8)])
    found = surveyed(path, start="0.1", end="0:00.25")
    # Seconds count from the first frame: 3/24 is the first at or after 0.1.
    assert found.numbers == [3, 4, 5]
    assert times(found) == [0, Fraction(1, 24), Fraction(2, 24)]
    with pytest.raises(InputError, match="--start, --end"):
        surveyed(path, start="9")


def test_fps_leaves_frames_out_and_never_adds_any(tmp_path):
    path = clips.write(tmp_path / "a.mp4", clips.pan(9), [0, 1, 2, 3, 4, 5, 6, 30, 31])
    found = surveyed(path, fps=8)
    assert found.numbers == [0, 3, 6, 7]
    assert times(found) == [Fraction(n, 8) for n in (0, 1, 2, 10)]
    assert surveyed(path, fps=100).numbers == list(range(9))


def test_cuts_are_found_and_motion_is_none(tmp_path):
    frames = [*clips.pan(5), *clips.pan(5, seed=7), *clips.pan(3, seed=8)]
    assert surveyed(clips.write(tmp_path / "a.mp4", frames)).cuts == [0, 5, 10]
    # A flash is one bright frame: two cuts at most, and the motion after it is none.
    assert surveyed(clips.write(tmp_path / "b.mp4", clips.pan(10, step=6))).cuts == [0]
