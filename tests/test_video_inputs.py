"""What video.py cannot use: one line, exit code 2, nothing written and no input touched."""

import hashlib
import sys
import wave

import numpy as np
import pytest
from conftest import draw
from PIL import Image

pytest.importorskip("av", reason="needs requirements-video.txt")
pytest.importorskip("cv2", reason="needs requirements-video.txt")

import clips

CHEAP = ["--height=32", *clips.CHEAP]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A folder with a clip, a painting, and what is neither."""
    folder = tmp_path_factory.mktemp("inputs")
    clips.write(folder / "clip.mp4", clips.pan(3, (32, 40)))
    clips.write(folder / "tiny.mp4", clips.pan(2, (8, 8)))
    draw(40, 32, 2).save(folder / "style.png")
    (folder / "text.mp4").write_text("no clip")
    (folder / "empty.mp4").touch()
    (folder / "empty").mkdir()
    (folder / "unnumbered").mkdir()
    draw(32, 32, 2).save(folder / "unnumbered" / "a.png")
    (folder / "broken.keras").write_bytes(b"PK no network")
    (folder / "broken.gif").write_bytes(b"GIF89a" + bytes(30))
    with wave.open(str(folder / "sound.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 800, "NONE", ""))
        file.writeframes(bytes(1600))
    cut = (folder / "clip.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(cut[: len(cut) // 2])
    (folder / "link.mp4").symlink_to(folder / "clip.mp4")
    return folder


def content(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


REFUSED = {
    "a text": (["text.mp4", "style.png", "out.mp4"], ["CLIP", "text.mp4"]),
    "0 bytes": (["empty.mp4", "style.png", "out.mp4"], ["CLIP", "empty.mp4", "0 bytes"]),
    "no file": (["none.mp4", "style.png", "out.mp4"], ["CLIP", "none.mp4"]),
    "sound only": (["sound.wav", "style.png", "out.mp4"], ["CLIP", "sound.wav", "no video"]),
    "a file cut off": (["cut.mp4", "style.png", "out.mp4"], ["CLIP", "cut.mp4"]),
    "a broken animation": (["broken.gif", "style.png", "out.mp4"], ["CLIP", "broken.gif"]),
    "frames too small": (["tiny.mp4", "style.png", "out.mp4"], ["CLIP", "tiny.mp4", "8 x 8"]),
    "an empty folder": (["empty", "style.png", "out.mp4"], ["CLIP", "empty", "number"]),
    "no numbers": (["unnumbered", "style.png", "out.mp4"], ["CLIP", "unnumbered", "number"]),
    "no painting": (["clip.mp4", "none.png", "out.mp4"], ["STYLE", "none.png"]),
    "a clip as painting": (["clip.mp4", "clip.mp4", "out.mp4"], ["STYLE", "clip.mp4"]),
    "no network": (["clip.mp4", "broken.keras", "out.mp4"], ["STYLE", "broken.keras"]),
    "network and painting": (
        ["clip.mp4", "broken.keras", "style.png", "out.mp4"],
        ["STYLE", "one style network"],
    ),
    "too few": (["clip.mp4", "style.png"], ["CLIP STYLE OUT"]),
    "nothing": ([], ["CLIP STYLE OUT", "nothing"]),
    "OUT is CLIP": (["clip.mp4", "style.png", "clip.mp4"], ["OUT", "CLIP"]),
    "OUT is CLIP by a link": (["clip.mp4", "style.png", "link.mp4"], ["OUT", "CLIP"]),
    "OUT is STYLE's name": (["clip.mp4", "style.png", "style.png"], ["OUT", ".mp4", "style.png"]),
    "OUT in CLIP": (["unnumbered", "style.png", "unnumbered/o.mp4"], ["OUT", "CLIP"]),
    "OUT lies there": (["clip.mp4", "style.png", "sound.wav"], ["OUT", ".mp4", "sound.wav"]),
    "OUT is another's": (["clip.mp4", "style.png", "text.mp4"], ["OUT", "text.mp4"]),
    "OUT's folder is another's": (["clip.mp4", "style.png", "unnumbered"], ["OUT", "unnumbered"]),
    "another's, to be replaced": (
        ["clip.mp4", "style.png", "text.mp4", "--overwrite"],
        ["OUT", "text.mp4", "does not know"],
    ),
    "OUT below a file": (["clip.mp4", "style.png", "text.mp4/out.mp4"], ["OUT", "text.mp4/out"]),
    "an unknown ending": (["clip.mp4", "style.png", "out.avi"], ["OUT", ".mp4", "out.avi"]),
    "crf": (["clip.mp4", "style.png", "out.mp4", "--crf=64"], ["--crf", "51", "64"]),
    "crf for VP9": (["clip.mp4", "style.png", "out.webm", "--crf=64"], ["--crf", "63", "64"]),
    "crf for GIF": (["clip.mp4", "style.png", "out.gif", "--crf=20"], ["--crf", ".mp4", "20"]),
    "crf a word": (["clip.mp4", "style.png", "out.mp4", "--crf=best"], ["--crf", "best"]),
    "fps": (["clip.mp4", "style.png", "out.mp4", "--fps=-1"], ["--fps", "-1"]),
    "fps a word": (["clip.mp4", "style.png", "out.mp4", "--fps=all"], ["--fps", "all"]),
    "start": (["clip.mp4", "style.png", "out.mp4", "--start=1:60"], ["--start", "1:60"]),
    "end before start": (
        ["clip.mp4", "style.png", "out.mp4", "--start=2", "--end=1"],
        ["--end", "'1'"],
    ),
    "after the end": (["clip.mp4", "style.png", "out.mp4", "--start=5"], ["--start", "5 to"]),
    "height": (["clip.mp4", "style.png", "out.mp4", "--height=4"], ["--height", "4"]),
    "evaluations": (
        ["clip.mp4", "style.png", "out.mp4", "--frame_evaluations=0"],
        ["--frame_evaluations", "0"],
    ),
    "workers": (["clip.mp4", "style.png", "out.mp4", "--workers=0"], ["--workers", "0"]),
    "a mask": (["clip.mp4", "style.png", "out.mp4", "--content_mask=a.png"], ["content_mask"]),
    "a preset without sense": (
        ["clip.mp4", "style.png", "out.mp4", "--preset=histogram"],
        ["--preset", "auto_weights"],
    ),
    "an unknown preset": (["clip.mp4", "style.png", "out.mp4", "--preset=best"], ["best"]),
    "an unknown option": (["clip.mp4", "style.png", "out.mp4", "--speed=2"], ["--speed"]),
}


@pytest.mark.parametrize(("arguments", "named"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_used_is_told_in_a_line(inputs, monkeypatch, arguments, named):
    monkeypatch.chdir(inputs)
    before = content(inputs)
    code, _, errors = clips.here(*(CHEAP if arguments else []), *arguments)
    assert code == 2
    assert errors.startswith("video.py: error: ") and errors.count("\n") == 1, errors
    assert all(part in errors for part in named), errors
    assert content(inputs) == before


def test_the_program_says_nothing_else(inputs):
    result = clips.program(inputs / "text.mp4", inputs / "style.png", inputs / "out.mp4")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1 and result.stderr.startswith("video.py: error: CLIP")
    assert not result.stdout


def test_a_missing_package_is_named(inputs, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    code, _, errors = clips.here(inputs / "clip.mp4", inputs / "style.png", inputs / "o.mp4")
    assert code == 2 and "pip install -r requirements-video.txt" in errors
    assert "opencv-python-headless" in errors and errors.count("\n") == 1


def test_folders_are_made_as_needed(inputs, tmp_path):
    out = tmp_path / "new" / "folder" / "out.mp4"
    code, _, errors = clips.here(inputs / "clip.mp4", inputs / "style.png", out, *CHEAP, "--quiet")
    assert (code, errors) == (0, "")
    assert len(clips.shown(out)) == 3


def test_a_picture_in_the_middle_that_cannot_be_read_is_named(inputs, tmp_path):
    folder = tmp_path / "shots"
    folder.mkdir()
    for number, frame in enumerate(clips.pan(3, (32, 40))):
        Image.fromarray(np.ascontiguousarray(frame)).save(folder / f"{number}.png")
    (folder / "1.png").write_bytes(b"no picture")
    code, _, errors = clips.here(folder, inputs / "style.png", tmp_path / "o.mp4", *CHEAP)
    assert code == 2 and "1.png" in errors and errors.count("\n") == 1
    assert not (tmp_path / "o.mp4_state").exists()
