"""video.py: the real program on small clips, made here with PyAV."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from conftest import draw
from PIL import Image

av = pytest.importorskip("av", reason="needs requirements-video.txt")
pytest.importorskip("cv2", reason="needs requirements-video.txt")

ROOT = Path(__file__).parent.parent
SMALL = ["--height=48", "--iter=1", "--evaluations=2", "--weights=random", "--quiet"]
SHALLOW = ["--content_layers=block1_conv2", "--style_layers=block1_conv1"]


def make_clip(path, times, size=(48, 64)):
    """A clip whose frames are shown at the given times, in 1/24 s."""
    picture = np.asarray(draw(96, 128, 1).convert("RGB"))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        for number, time in enumerate(times):
            part = np.ascontiguousarray(picture[: size[0], 2 * number : 2 * number + size[1]])
            frame = av.VideoFrame.from_ndarray(part, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 24)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def times_of(path):
    """Seconds at which the frames of a clip are shown."""
    with av.open(str(path)) as container:
        return [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]


def video(*arguments):
    command = [sys.executable, str(ROOT / "video.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=250)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    draw(48, 64, 2).convert("RGB").save(folder / "style.png")
    make_clip(folder / "clip.mp4", [0, 1, 2, 5, 6])
    (folder / "text.mp4").write_text("no clip")
    return folder


def test_every_frame_is_painted_and_shown_at_its_time(folder):
    clip, out = folder / "clip.mp4", folder / "out.mp4"
    result = video(clip, folder / "style.png", out, *SMALL, *SHALLOW)
    assert result.returncode == 0, result.stderr
    np.testing.assert_allclose(times_of(out), times_of(clip), atol=1e-3)


def test_a_folder_of_pictures_gets_the_frames_of_the_clip(folder):
    out = folder / "frames"
    result = video(folder / "clip.mp4", folder / "style.png", f"{out}/", *SMALL, *SHALLOW)
    assert result.returncode == 0, result.stderr
    pictures = sorted(out.glob("*.png"))
    assert len(pictures) == 5
    with av.open(str(folder / "clip.mp4")) as container:
        originals = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    for path, original in zip(pictures, originals, strict=True):
        painted = np.asarray(Image.open(path).convert("RGB"), float)
        assert painted.shape == original.shape
        # Two evaluations from the frame: changed, and still the frame.
        assert 0 < np.abs(painted - original).mean() < 64


@pytest.mark.parametrize(
    ("clip", "style", "named"),
    [("text.mp4", "style.png", "text.mp4"), ("none.mp4", "style.png", "none.mp4")],
)
def test_what_is_no_clip_is_told_in_a_line(folder, clip, style, named):
    result = video(folder / clip, folder / style, folder / "no.mp4", *SMALL)
    assert result.returncode == 2
    assert named in result.stderr and "Traceback" not in result.stderr
    assert not (folder / "no.mp4").exists()
