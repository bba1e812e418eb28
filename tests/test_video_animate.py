"""recipes/animate.py: a run as an animation."""

import hashlib

import numpy as np
import pytest
from conftest import draw
from PIL import Image

pytest.importorskip("av", reason="needs requirements-video.txt")

import av
import clips

from neural_style_transfer import transfer
from recipes import animate
from style_transfer.video.outputs import FORMATS

CHOICES = {
    **{"height": 32, "weights": "random", "precision": "float32", "iter": 2, "evaluations": 4},
    **{"content_layers": "block1_conv2", "style_layers": "block1_conv1"},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The prefix of a run of two iterations."""
    folder = tmp_path_factory.mktemp("run")
    draw(40, 60, 1).save(folder / "base.png")
    draw(40, 50, 2).save(folder / "style.png")
    transfer(str(folder / "base.png"), str(folder / "style.png"), str(folder / "p"), **CHOICES)
    return folder / "p"


def animated(*arguments) -> tuple[int, str, str]:
    """The command's exit code, and what it prints."""
    return clips.in_process(animate.main, *arguments)


def pixels_of(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(float)


def frames_of(path):
    """(seconds from the start, pixels) of each frame, and the seconds of all."""
    if path.suffix != ".webp":
        with av.open(str(path)) as container:
            seconds = container.duration / av.time_base
        return [(float(time), pixels) for time, pixels in clips.shown(path)], seconds
    found, time = [], 0
    with Image.open(path) as file:
        for number in range(file.n_frames):
            file.seek(number)
            file.load()
            found.append((time / 1000, np.asarray(file.convert("RGB"))))
            time += file.info["duration"]
    return found, time / 1000


def content(folder):
    return {
        path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("ending", FORMATS)
def test_iterations_dissolve_into_the_painting(run, tmp_path, ending):
    before = content(run.parent)
    path = tmp_path / f"film{ending}"
    code, out, errors = animated(run, path, "--seconds=1", "--fps=10", "--hold=0.5")
    assert (code, errors) == (0, "") and "3 pictures" in out
    frames, seconds = frames_of(path)
    assert seconds == pytest.approx(1.5, abs=0.02)
    steps = [round(10 * time) for time, _ in frames]
    assert [time for time, _ in frames] == pytest.approx([n / 10 for n in steps], abs=0.011)
    # WebP's encoder makes one of neighbors that are nearly equal.
    assert steps == list(range(10)) or (ending == ".webp" and steps[0] == 0 and len(steps) > 4)
    photograph = Image.open(run.with_name("base.png")).resize((48, 32), Image.Resampling.LANCZOS)
    first, last = (pixels.astype(float) for _, pixels in (frames[0], frames[-1]))
    one, other = np.asarray(photograph.convert("RGB")), pixels_of(f"{run}.png")
    assert abs(first - one).mean() < 12 < abs(first - other).mean()
    assert abs(last - other).mean() < 12 < abs(last - one).mean()
    assert content(run.parent) == before


def test_a_frame_between_two_pictures_is_their_mixture(run, tmp_path):
    path = tmp_path / "film.mp4"
    film = animate.Film(path, seconds=1, fps=9, hold=0, every="iteration")
    pictures = [np.full((32, 48, 3), value, np.uint8) for value in (0, 100, 200)]
    with film:
        for picture in pictures:
            film.add(picture)
    means = [pixels.mean() for _, pixels in frames_of(path)[0]]
    assert means == pytest.approx([25 * n for n in range(9)], abs=2)


def test_every_evaluation_that_lowers_the_loss_is_a_picture(run, tmp_path):
    before, path = content(run.parent), tmp_path / "film.mp4"
    code, out, errors = animated(run, path, "--every=evaluation", "--seconds=1", "--hold=0")
    assert (code, errors) == (0, "")
    count = int(out.splitlines()[-1].split(": ")[1].split()[0])
    assert 4 <= count <= 9  # of 8 evaluations; a line search may take one more
    frames, _ = frames_of(path)
    photograph = Image.open(run.with_name("base.png")).resize((48, 32), Image.Resampling.LANCZOS)
    assert abs(frames[0][1].astype(float) - np.asarray(photograph.convert("RGB"))).mean() < 12
    assert abs(frames[-1][1].astype(float) - pixels_of(f"{run}.png")).mean() < 12
    assert content(run.parent) == before


def test_a_film_listens_to_any_run(run, tmp_path):
    folder, path = run.parent, tmp_path / "film.gif"
    with animate.Film(path, seconds=0.5, hold=0) as film:
        picture, _ = transfer(
            str(folder / "base.png"),
            str(folder / "style.png"),
            on_event=film,
            objectives=film.objectives,
            **CHOICES,
        )
    frames, _ = frames_of(path)
    assert frames[0][1].shape == np.asarray(picture.convert("RGB")).shape


REFUSED = {
    "no run": (["{0}/none", "{1}/o.mp4"], ["PREFIX", "none"]),
    "an unknown ending": (["{0}/p", "{1}/o.avi"], ["OUT", "o.avi"]),
    "a folder": (["{0}/p", "{1}/o"], ["OUT", ".mp4"]),
    "it exists": (["{0}/p", "{1}/old.mp4"], ["OUT", "--overwrite", "old.mp4"]),
    "every": (["{0}/p", "{1}/o.mp4", "--every=hour"], ["--every", "hour"]),
    "fps": (["{0}/p", "{1}/o.mp4", "--fps=0"], ["--fps", "0"]),
    "seconds": (["{0}/p", "{1}/o.mp4", "--seconds=long"], ["--seconds", "long"]),
}


@pytest.mark.parametrize(("arguments", "named"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_used_is_told_in_a_line(run, tmp_path, arguments, named):
    (tmp_path / "old.mp4").write_bytes(b"old")
    before = content(run.parent), content(tmp_path)
    code, _, errors = animated(*(part.format(run.parent, tmp_path) for part in arguments))
    assert code == 2 and errors.count("\n") == 1
    assert all(part in errors for part in named), errors
    assert (content(run.parent), content(tmp_path)) == before


def test_a_run_without_one_of_its_pictures_is_refused(run, tmp_path):
    folder = tmp_path / "copy"
    folder.mkdir()
    for path in run.parent.glob("*.*"):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "p_at_iteration_0.png").unlink()
    code, _, errors = animated(folder / "p", tmp_path / "o.mp4")
    assert code == 2 and "p_at_iteration_0.png" in errors and errors.count("\n") == 1
