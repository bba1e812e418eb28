"""fast_style_transfer.py as people use it: trained, killed, resumed, applied; and refusals."""

import csv
import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import draw
from PIL import Image

import fast_style_transfer
from style_transfer.errors import InputError
from style_transfer.events import StopRun
from style_transfer.feedforward.about import about_of_file
from style_transfer.feedforward.choices import Choices
from style_transfer.feedforward.events import StepDone
from style_transfer.pictures import load_picture

SCRIPT = Path(fast_style_transfer.__file__)
TINY = {
    "size": 32,
    "batch": 2,
    "width": 4,
    "weights": "random",
    "content_layers": "block2_conv1",
    "style_layers": "block1_conv1,block2_conv1",
    "precision": "float32",
}


# As people have it; conftest.py lets TensorFlow's errors through.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}


def options(choices):
    return [part for name, value in choices.items() for part in (f"--{name}", str(value))]


def run(*arguments, **popen):
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=200, env=ENVIRONMENT, **popen
    )


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for number in range(11):
        draw(40 + number, 56 - number, seed=number).save(folder / f"photo {number}.png")
    return folder


@pytest.fixture(scope="module")
def painting(tmp_path_factory):
    path = tmp_path_factory.mktemp("painting") / "night.png"
    draw(48, 36, seed=20).save(path)
    return path


@pytest.fixture(scope="module")
def network(photos, painting, tmp_path_factory):
    """A network that has learned for a few steps."""
    path = tmp_path_factory.mktemp("network") / "night.keras"
    fast_style_transfer.train(painting, photos, path, steps=30, learning_rate=0.01, **TINY)
    return path


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_training_lowers_the_loss_and_leaves_what_it_says(network):
    folder = network.parent
    assert {path.name for path in folder.iterdir()} == {
        "night.keras",
        "night_preview.png",
        "night_log.csv",
    }
    log = rows(folder / "night_log.csv")
    assert [int(row["step"]) for row in log] == [5, 10, 15, 20, 25, 30]
    assert float(log[-1]["loss"]) < 0.7 * float(log[0]["loss"])
    about = about_of_file(network)
    assert (about.steps, about.photographs, about.finished) == (30, 8, True)
    assert about.styles[0].name == "night" and about.filters["source"] == "random"
    assert about.settings["content_layers"] == "block2_conv1"
    assert Image.open(folder / "night_preview.png").size[1] == 2 * 256 + 8


def test_a_stopped_training_ends_as_an_uninterrupted_one(photos, painting, network, tmp_path):
    """Stopped by a listener at the end of an epoch: the crops that follow are the same."""
    path = tmp_path / "night.keras"

    def train(stop_at=None):
        def listen(event):
            if isinstance(event, StepDone) and event.step == stop_at:
                raise StopRun

        choices = TINY | {"steps": 30, "learning_rate": 0.01}
        return fast_style_transfer.train(painting, photos, path, on_event=listen, **choices)

    for stop_at in (1, 11):
        with pytest.raises(StopRun):
            train(stop_at)
    assert (tmp_path / "night_state" / "backup.weights.h5").exists()
    train()
    assert not (tmp_path / "night_state").exists()
    ends = [float(rows(p.with_name("night_log.csv"))[-1]["loss"]) for p in (network, path)]
    assert abs(ends[0] - ends[1]) < 0.25 * ends[0]
    steps = [int(row["step"]) for row in rows(tmp_path / "night_log.csv")]
    assert steps == sorted(set(steps))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_training_goes_on_by_the_same_command(number, photos, painting, tmp_path):
    choices = TINY | {"steps": 150}
    command = ["train", painting, photos, "night.keras", *options(choices)]
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), *map(str, command)],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    log = tmp_path / "night_log.csv"
    deadline = time.monotonic() + 120
    while not (log.exists() and len(rows(log)) >= 2) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=100)
    if number == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 128 + number
        text = "fast_style_transfer.py: stopped; run the same command again to continue\n"
        assert errors == text
    ended = run(*command, cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ("Goes on after" in ended.stdout) == (number != signal.SIGKILL)  # within 30 seconds
    assert not (tmp_path / "night_state").exists()
    assert about_of_file(tmp_path / "night.keras").steps >= 150
    epochs = [int(row["epoch"]) for row in rows(log)]
    assert epochs == list(range(len(epochs)))


def test_another_training_is_not_taken_for_the_stopped_one(photos, painting, tmp_path):
    path = tmp_path / "night.keras"

    def stop(event):
        if isinstance(event, StepDone):
            raise StopRun

    with pytest.raises(StopRun):
        fast_style_transfer.train(painting, photos, path, steps=10, on_event=stop, **TINY)
    other = TINY | {"content_layers": "block1_conv1"}
    with pytest.raises(InputError, match=r"^--content_layers: expected 'block2_conv1', as in"):
        fast_style_transfer.train(painting, photos, path, steps=10, **other)
    backup = tmp_path / "night_state" / "backup.weights.h5"
    backup.write_bytes(backup.read_bytes()[:5000])
    with pytest.raises(InputError, match="expected a whole backup"):
        fast_style_transfer.train(painting, photos, path, steps=10, **TINY)
    fast_style_transfer.train(painting, photos, path, steps=5, overwrite=True, **other)
    assert about_of_file(path).steps == 5


def test_every_option_of_the_loss_trains(photos, painting, tmp_path):
    second = tmp_path / "second.png"
    draw(33, 70, seed=21).save(second)
    for number, choices in enumerate(
        [
            {"auto_weights": True, "style_loss": "wasserstein"},
            {"normalize_gradients": True, "style_scale": 1.5, "style_fit": "stretch"},
            {"weights": "fitted", "style_loss": "gram+histogram", "normalize_filters": True},
            {"precision": "bfloat16", "style_blend": "0.8,0.2", "network": "vgg16"},
        ]
    ):
        styles = [painting, second] if "style_blend" in choices else [painting]
        model = tmp_path / f"{number}.keras"
        about = fast_style_transfer.train(styles, photos, model, steps=2, **TINY | choices)
        assert about.steps == 2 and np.isfinite(about.losses["loss"])


# Applied


def test_one_photograph(network, photos, tmp_path):
    ended = run("apply", network, photos / "photo 1.png", tmp_path / "out" / "a.tif", "--size", 80)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert Image.open(tmp_path / "out" / "a.tif").size == (80, 60)


def test_apply_imports_no_vgg(network, photos, tmp_path):
    code = (
        "import sys, fast_style_transfer as f; f.apply(sys.argv[1], sys.argv[2], sys.argv[3]);"
        "print(sorted(m for m in sys.modules if m in ('style_transfer.network', "
        "'style_transfer.filters', 'style_transfer.targets')))"
    )
    arguments = [network, photos / "photo 1.png", tmp_path / "a.png"]
    command = [sys.executable, "-c", code, *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=SCRIPT.parent)
    assert ended.stdout == "[]\n"


def test_a_folder_is_painted_once(network, photos, tmp_path):
    lines = fast_style_transfer.apply(network, photos, tmp_path / "out")
    assert lines == []
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    assert {path.name for path in made} == {path.name for path in photos.iterdir()}
    missing = tmp_path / "out" / "photo 3.png"
    missing.unlink()
    fast_style_transfer.apply(network, photos, tmp_path / "out")
    changed = [p for p in made if p.stat().st_mtime_ns != made[p]]
    assert changed == [missing]
    with pytest.raises(InputError, match="or --overwrite"):  # another way: not without being told
        fast_style_transfer.apply(network, photos, tmp_path / "out", strength=0.5)


def test_a_damaged_photograph_among_others_costs_itself(network, photos, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    draw(30, 40, seed=1).save(folder / "good.png")
    ended = run("apply", network, folder, tmp_path / "out", "--quiet")
    assert ended.returncode == 1
    assert ended.stderr.startswith("fast_style_transfer.py: broken.jpg: PHOTO: expected a")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.png"]


def test_strength_and_colors(network):
    paint, photograph = fast_style_transfer.load_style(network), draw(40, 30, seed=1)
    pixels = np.asarray(photograph).astype(float)
    whole, half = (np.asarray(paint(photograph, strength=s)).astype(float) for s in (1, 0.5))
    assert np.array_equal(paint(photograph, strength=0), photograph)
    assert abs(half - (whole + pixels) / 2).max() <= 1  # each is rounded
    gray = np.asarray(paint(photograph, preserve_color="luminance")).astype(float) - pixels
    inside = abs(gray - gray.mean(axis=2, keepdims=True)).max(axis=2)
    assert np.median(inside) < 1  # the same was added to R, G and B


def test_alpha_and_16_bits_are_kept(network, tmp_path):
    photograph = draw(40, 30, seed=1)
    alpha = Image.linear_gradient("L").resize(photograph.size)
    photograph.putalpha(alpha)
    photograph.save(tmp_path / "in.png")
    fast_style_transfer.apply(network, tmp_path / "in.png", tmp_path / "out.png", output="png16")
    assert (tmp_path / "out.png").read_bytes()[24] == 16  # bits, in PNG's header
    assert load_picture(tmp_path / "out.png").alpha.tobytes() == alpha.tobytes()


def test_a_picture_may_be_a_path_an_image_or_an_array(network, photos):
    paint, path = fast_style_transfer.load_style(network), photos / "photo 2.png"
    image = Image.open(path)
    found = [np.asarray(paint(picture)) for picture in (path, str(path), image, np.asarray(image))]
    assert all(np.array_equal(found[0], other) for other in found[1:])


def test_a_run_starts_from_a_networks_picture(network, photos, painting, tmp_path):
    from neural_style_transfer import resume, transfer

    choices = {name: TINY[name] for name in ("weights", "content_layers", "style_layers")}
    base = photos / "photo 1.png"
    _, record = transfer(
        base, painting, tmp_path / "a", init=network, height=40, iter=1, evaluations=2, **choices
    )
    small = Image.open(base).resize((53, 40), Image.Resampling.LANCZOS)
    painted = fast_style_transfer.load_style(network)(small)
    _, given = transfer(base, painting, init=painted, height=40, iter=1, evaluations=2, **choices)
    assert record.start.path == str(network)
    assert record.start.sha256 == hashlib.sha256(network.read_bytes()).hexdigest()
    assert record.evaluations[0].total == given.evaluations[0].total
    resume(tmp_path / "a", iter=2)  # the picture is made again


# Exported


def test_onnx_gives_the_same_picture(network, tmp_path):
    from style_transfer.feedforward.model_file import read_network
    from style_transfer.feedforward.painting import painted

    pytest.importorskip("tf2onnx", reason="needs requirements-export.txt")
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs requirements-export.txt")
    fast_style_transfer.export(network, tmp_path / "night.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "night.onnx")
    mark = session.get_modelmeta().custom_metadata_map
    assert mark == {"Software": "fast_style_transfer.py"}
    for size in ((40, 56), (33, 21)):
        photograph = draw(*size, seed=5)
        pixels = np.asarray(photograph, np.float32)[None]
        (found,) = session.run(None, {session.get_inputs()[0].name: pixels})
        expected = painted(read_network(network), np.asarray(photograph))
        assert abs(found[0] - expected).max() < 1e-3 * 255


def test_litert_gives_the_same_picture(network, tmp_path):
    from style_transfer.feedforward.model_file import read_network
    from style_transfer.feedforward.painting import painted

    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="needs ai-edge-litert")
    fast_style_transfer.export(network, tmp_path / "night.tflite")
    interpreter = litert.Interpreter(str(tmp_path / "night.tflite"))
    for size in ((40, 56), (33, 21)):
        photograph = draw(*size, seed=5)
        pixels = np.asarray(photograph, np.float32)[None]
        (given,) = interpreter.get_input_details()
        interpreter.resize_tensor_input(given["index"], pixels.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(given["index"], pixels)
        interpreter.invoke()
        found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        expected = painted(read_network(network), np.asarray(photograph))
        assert abs(found[0] - expected).max() < 1e-3 * 255


@pytest.mark.parametrize("ending", [".onnx", ".tflite"])
def test_export_replaces_its_own_files_alone(ending, network, tmp_path, monkeypatch):
    """The converters are left out: a file of any content, with the mark that ours bear."""
    from style_transfer.feedforward import export

    def write(source, path, form):
        path.write_bytes(b"model")

    pytest.importorskip("tf2onnx", reason="needs requirements-export.txt")
    monkeypatch.setattr(export, "_export", write)
    out = tmp_path / f"night{ending}"
    fast_style_transfer.export(network, out)
    content = out.read_bytes()
    assert content.startswith(b"model") and b"fast_style_transfer.py" in content
    with pytest.raises(InputError, match="^OUT: expected a name without a file, or --overwrite"):
        fast_style_transfer.export(network, out)
    fast_style_transfer.export(network, out, overwrite=True)
    assert out.read_bytes() == content
    out.write_bytes(b"somebody's")
    with pytest.raises(InputError, match="^OUT: expected no files but this program's"):
        fast_style_transfer.export(network, out, overwrite=True)
    assert out.read_bytes() == b"somebody's"
    out.unlink()
    os.link(network, out)
    with pytest.raises(InputError, match="^OUT: expected one that replaces no input"):
        fast_style_transfer.export(network, out, overwrite=True)


# Refused


def refused(*arguments, cwd):
    before = sorted(cwd.rglob("*"))
    ended = run(*arguments, cwd=cwd)
    assert ended.returncode == 2 and ended.stdout == ""
    assert ended.stderr.count("\n") == 1 and "Traceback" not in ended.stderr
    assert sorted(cwd.rglob("*")) == before
    return ended.stderr.removeprefix("fast_style_transfer.py: error: ").rstrip()


def test_wrong_inputs_are_one_line_and_write_nothing(photos, painting, network, tmp_path):
    (tmp_path / "few").mkdir()
    draw(30, 40, seed=1).save(tmp_path / "few" / "a.png")
    (tmp_path / "mine.keras").write_text("mine")
    train = ("train", painting, photos)
    for arguments, beginning in [
        (("train", painting, tmp_path / "few", "m.keras"), "PHOTOS: expected at least 10"),
        (("train", painting, tmp_path / "none", "m.keras"), "PHOTOS: expected"),
        (("train", tmp_path / "no.png", photos, "m.keras"), "STYLE: expected an existing file"),
        ((*train, "m.h5"), "MODEL: expected a file's name that ends in .keras"),
        ((*train, "mine.keras", "--overwrite"), "MODEL: expected no files but this program's"),
        ((*train, "m.keras", "--minutes", "1", "--steps", "3"), "--minutes, --steps: expected one"),
        ((*train, "m.keras", "--size", "8"), "--size: expected a whole number from 32"),
        ((*train, "m.keras", "--style_layers", "block9"), "--style_layers: expected layers"),
        ((*train, network), "MODEL: expected a name without a network, or --overwrite"),
        (("apply", painting, painting, "a.png"), "MODEL: expected a network trained by"),
        (
            ("apply", network, painting, painting, "--overwrite"),
            "OUT: expected one that replaces no input",
        ),
        (("apply", network, painting, "a.png", "--strength", "3"), "--strength: expected a number"),
        (("export", network, "a.h5"), "OUT: expected a name that ends in .onnx or .tflite"),
    ]:
        assert refused(*arguments, cwd=tmp_path).startswith(beginning), arguments
    assert (tmp_path / "mine.keras").read_text() == "mine"


def test_no_input_is_written_over_by_any_name(photos, painting, tmp_path):
    """The style's hard link under the preview's name."""
    os.link(painting, tmp_path / "m_preview.png")
    before = painting.read_bytes()
    with pytest.raises(InputError, match="which is STYLE"):
        fast_style_transfer.train(painting, photos, tmp_path / "m.keras", overwrite=True, **TINY)
    assert painting.read_bytes() == before


def test_the_rate_falls_with_the_share_of_time():
    choices = Choices(minutes=10, learning_rate=0.01)
    assert choices.share(300, 7) == 0.5
    assert choices.rate(0.5) == pytest.approx(0.005)
    assert choices.rate(1) == 0
    assert [Choices(steps=n).steps_of_epoch for n in (30, 7, 8)] == [5, 1, 4]
