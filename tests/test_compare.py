"""compare.py, against a small script of our own in the manner of the Keras examples of old."""

import dataclasses
import importlib.util
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import draw
from light_program import light_objectives
from PIL import Image

import compare
import neural_style_transfer
from style_transfer.errors import InputError
from style_transfer.presets import make_settings
from style_transfer.side_by_side import PaintedRun, last_rows, psnr
from style_transfer.vgg import Filters

installed = importlib.util.find_spec
with_matplotlib = pytest.mark.skipif(not installed("matplotlib"), reason="needs matplotlib")
with_tf_keras = pytest.mark.skipif(
    not (installed("tf_keras") and installed("matplotlib")), reason="needs tf_keras and matplotlib"
)

# Calls, layers and formulas of Keras 2 at 32 rows. Keras 1 differs in the places put in below.
SCRIPT = """
import sys
import numpy as np
from scipy.optimize import fmin_l_bfgs_b
from keras import backend as K
from keras.applications import {module}
from keras.preprocessing.image import load_img, img_to_array
{imports}

base, ref, prefix = sys.argv[1:4]
rounds = {rounds}
w, h = load_img(base).size
rows = 32
cols = {columns}


def read(path):
    pixels = img_to_array(load_img(path, target_size=(rows, cols)))
    return {module}.preprocess_input(np.expand_dims(pixels, 0))


{layout}
picture = K.placeholder((1, rows, cols, 3))
batch = K.concatenate([K.variable(read(base)), K.variable(read(ref)), picture], axis=0)
model = {module}.{network}(input_tensor=batch, weights='imagenet', include_top=False)
features = {{layer.name: layer.output for layer in model.layers}}


def gram(one):
    flat = K.batch_flatten(K.permute_dimensions(one, (2, 0, 1)))
    return K.dot(flat, K.transpose(flat))


loss = K.variable(0.)
deep = features['{content}']
{add} 0.025 * K.sum(K.square(deep[2] - deep[0]))
for block in range(1, 6):
    layer = features['block%d_conv1' % block]
    error = K.sum(K.square(gram(layer[1]) - gram(layer[2])))
    {add} error / 5 / (36. * (rows * cols) ** 2)
down = K.square(picture[:, :-1, :-1] - picture[:, 1:, :-1])
right = K.square(picture[:, :-1, :-1] - picture[:, :-1, 1:])
{add} K.sum(K.pow(down + right, 1.25))
both = K.function([picture], [loss] + K.gradients(loss, picture))
kept = []


def value(x):
    kept[:] = both([x.reshape((1, rows, cols, 3))])
    return kept[0]


def slope(x):
    return kept[1].flatten().astype('float64')


x = {start}
for i in range(rounds):
    x, lowest, _ = fmin_l_bfgs_b(value, x.flatten(), fprime=slope, maxfun=20)
    print('Current loss value:', lowest)
    pixels = x.reshape((rows, cols, 3)) + [103.939, 116.779, 123.68]
    name = prefix + '_at_iteration_%d.png' % i
    {save}(name, np.clip(pixels[:, :, ::-1], 0, 255).astype('uint8'))
    print('Image saved as', name)
    print('Iteration %d completed in %ds' % (i, 0))
"""
KERAS_2 = SCRIPT.format(
    module="vgg19",
    network="VGG19",
    imports="from keras.preprocessing.image import save_img",
    rounds="int(sys.argv[sys.argv.index('--iter') + 1])",
    columns="int(w * rows / h)",
    layout="assert K.image_data_format() == 'channels_last'",
    content="block5_conv2",
    add="loss = loss +",
    start="read(base)",
    save="save_img",
)
KERAS_1 = SCRIPT.format(
    module="vgg16",
    network="VGG16",
    imports="from scipy.misc import imsave",
    rounds="10",
    columns="32",
    layout="assert K.image_dim_ordering() == 'tf'",
    content="block4_conv2",
    add="loss +=",
    start="np.random.uniform(0, 255, (1, rows, cols, 3)) - 128.",
    save="imsave",
)


@pytest.fixture
def places(base, style, tmp_path):
    """The paths of a command line."""
    return [base, style, str(tmp_path / "it")]


def difference(runs: dict, which: str, index: int) -> float:
    ours, theirs = (getattr(runs[name], which)[index] for name in ("preset", "original"))
    return abs(ours / theirs - 1)


@with_tf_keras
@pytest.mark.parametrize("text, count", [(KERAS_2, 2), (KERAS_1, 1)], ids=["keras-2", "keras-1"])
def test_the_preset_meets_the_old_script(text, count, base, style, tmp_path, capsys):
    script = tmp_path / "neural_style_transfer.py"
    script.write_text(text)
    prefix = str(tmp_path / "out" / "it")
    choices = compare.Choices(original=str(script), weights="random", iter=count)
    runs = compare.compare(base, style, prefix, choices)
    assert difference(runs, "losses", 0) < 1e-5
    assert all(difference(runs, "iterations", i) < 1e-2 for i in range(count))
    assert len(runs["original"].iterations) == count  # Keras 1's script would go on to ten
    assert runs["original"].iterations[-1] == pytest.approx(min(runs["original"].losses))
    assert psnr(runs["preset"].pictures[-1], runs["original"].pictures[-1]) > 25
    sizes = {Image.open(run.pictures[-1]).size for run in runs.values()}
    assert sizes == {(32, 32) if text == KERAS_1 else (44, 32)}  # the base picture is 56 x 40
    assert Image.open(f"{prefix}_compare.png").width > 1000
    written = json.loads(Path(f"{prefix}_compare.json").read_text())
    assert list(written)[0] == "program"
    assert written["runs"] == {name: dataclasses.asdict(run) for name, run in runs.items()}
    assert Path(runs["original"].pictures[0]).parent == Path(prefix).parent
    printed = capsys.readouterr().out
    assert f"original: Image saved as {prefix}_original_at_iteration_0.png" in printed
    assert str(script) in printed and "instead" not in printed
    assert ("keras-1" if text == KERAS_1 else "keras-2") in printed


@with_matplotlib
def test_without_a_script_our_batch_stands_in(base, style, tmp_path, capsys):
    prefix = str(tmp_path / "it")
    arguments = [base, style, prefix, "--height", "32", "--iter", "1", "--weights", "random"]
    assert compare.main(arguments) == 0
    assert "this program with --targets batch, in its place" in capsys.readouterr().out
    assert Path(f"{prefix}_compare.png").exists()


@with_matplotlib
def test_an_earlier_comparison_is_replaced_where_asked(places, capsys, monkeypatch):
    monkeypatch.setattr(neural_style_transfer, "vgg_objectives", light_objectives)
    *_, prefix = places
    arguments = [*places, "--height", "32", "--iter", "1", "--weights", "random"]
    assert compare.main(arguments) == 0
    files = {path: path.stat().st_mtime_ns for path in Path(prefix).parent.glob("*.*")}
    assert compare.main(arguments) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert compare.main([*arguments, "--overwrite"]) == 0
    assert all(path.stat().st_mtime_ns > time for path, time in files.items())
    Image.new("RGB", (20, 20)).save(f"{prefix}_compare.png")
    assert compare.main([*arguments, "--overwrite"]) == 2
    assert "it_compare.png is not one of them" in capsys.readouterr().err


@with_tf_keras
def test_a_script_that_fails_is_said_in_one_line(base, style, tmp_path, capsys):
    script = tmp_path / "broken.py"
    script.write_text("print('Start')\nraise RuntimeError('no such thing')\n")
    arguments = [base, style, str(tmp_path / "it"), "--original", str(script)]
    assert compare.main([*arguments, "--weights", "random"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--original" in line and "no such thing" in line


@pytest.mark.parametrize("missing", ["tf_keras", "matplotlib"])
def test_a_missing_package_is_said_in_one_line(missing, base, style, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        compare.importlib.util,
        "find_spec",
        lambda name: None if name == missing else sys,
    )
    assert compare.main([base, style, str(tmp_path / "it"), "--original", __file__]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert missing in line and "pip install -r requirements-compare.txt" in line


@with_matplotlib
@pytest.mark.parametrize(
    "options, named",
    [
        (["--original", "missing.py"], "--original"),
        (["--preset", "gatys"], "--preset"),
        (["--iter", "0"], "--iter"),
        (["--iter", "many"], "--iter"),
        (["--height", "tall"], "--height"),
        (["--height", "0"], "--height"),
        (["--weights", "missing.npz"], "--weights"),
    ],
)
def test_what_cannot_be_used_is_named(options, named, places, capsys, monkeypatch):
    monkeypatch.setattr(compare, "need", lambda package: None)
    assert compare.main([*places, *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"compare.py: error: {named}: expected")


@with_matplotlib
@pytest.mark.parametrize("place", [0, 1])
def test_a_missing_picture_is_named(place, base, style, tmp_path, capsys):
    arguments = [base, style, str(tmp_path / "it")]
    arguments[place] = "no-such.jpg"
    assert compare.main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"compare.py: error: {('BASE', 'REF')[place]}: expected an existing")
    assert not list(tmp_path.iterdir())


@with_matplotlib
@pytest.mark.parametrize(
    "name", ["it_preset.png", "it_compare.png", "it_default_at_iteration_3.png"]
)
def test_no_input_is_ever_written(name, base, style, tmp_path, capsys):
    shutil.copyfile(base, tmp_path / name)
    arguments = [str(tmp_path / name), style, str(tmp_path / "it"), "--weights", "random"]
    assert compare.main([*arguments, "--overwrite"]) == 2
    assert "PREFIX: expected one that replaces no input" in capsys.readouterr().err
    assert (tmp_path / name).read_bytes() == Path(base).read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == [name]


@with_matplotlib
def test_a_script_is_no_place_for_results(base, style, tmp_path, capsys):
    script = tmp_path / "it_compare.json"
    script.write_text("# vgg19")
    arguments = [base, style, str(tmp_path / "it"), "--original", str(script), "--overwrite"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare, "need", lambda package: None)
        assert compare.main(arguments) == 2
    assert "is --original" in capsys.readouterr().err
    assert script.read_text() == "# vgg19"


def test_filters_for_another_input_are_refused(base, tmp_path, monkeypatch):
    from style_transfer import filters

    task = compare.Task(make_settings(), compare.Choices(), tmp_path / "it", tmp_path)
    torch = Filters("vgg19", {}, "torch")
    monkeypatch.setattr(filters, "load_filters", lambda *_: (torch, None))
    with pytest.raises(InputError, match=r"--weights: expected .* torchvision's"):
        compare.save_filters(task, [Image.open(base)] * 2)
    assert not list(tmp_path.iterdir())


@with_matplotlib
def test_the_height_is_the_original_s_own(base, style, tmp_path, monkeypatch):
    monkeypatch.setattr(compare, "need", lambda package: None)
    with pytest.raises(InputError, match="--height"):
        choices = compare.Choices(original=__file__, height=64)
        compare.compare(base, style, str(tmp_path / "it"), choices)


def test_psnr(tmp_path):
    picture = np.asarray(draw(20, 20, seed=4)).astype(np.float64)
    picture[0, 0], picture[0, 1] = 0, 255
    error = np.zeros_like(picture)
    error[1:] = np.where(picture[1:] < 128, 5, -5)
    darker = picture / 2 + 20  # as the other program saves it, without stretching
    for name, pixels in (("a", picture), ("b", picture + error), ("c", darker)):
        Image.fromarray(np.rint(pixels).astype(np.uint8)).save(tmp_path / f"{name}.png")
    expected = 10 * np.log10(255**2 / np.mean(error**2))
    assert psnr(tmp_path / "a.png", tmp_path / "b.png") == pytest.approx(expected)
    assert psnr(tmp_path / "a.png", tmp_path / "c.png") > 45
    assert psnr(tmp_path / "a.png", tmp_path / "a.png") == float("inf")


def painted(losses, seconds, **others) -> PaintedRun:
    count = len(losses)
    fields = {"iteration": [0] * count, "iterations": [min(losses)], "pictures": []}
    return PaintedRun(losses, seconds, precision="float32", **{**fields, **others})


def test_seconds_to_a_loss():
    run = painted([9.0, 5.0, 6.0, 2.0], [1.0, 2.0, 4.0, 8.0], iteration=[0, 0, 1, 1])
    assert run.seconds_to(5.5) == 3.0
    assert run.seconds_to(2.0) == 15.0
    assert run.seconds_to(1.0) is None
    assert [run.seconds_of(iteration) for iteration in range(3)] == [3.0, 12.0, 0]


def test_the_last_rows_tell_how_much_faster_and_sooner(base):
    slow = painted([8.0, 4.0], [4.0, 4.0], pictures=[base])
    fast = painted([8.0, 3.0], [1.0, 1.0], pictures=[base])
    never = painted([8.0, 5.0], [1.0, 3.0], pictures=[base])
    rows = last_rows({"original": slow, "preset": fast, "uncut": never, "default": fast})
    assert rows["times faster"]["preset"] == "4.00" and rows["times faster"]["uncut"] == "2.00"
    assert rows["times sooner"] == {"original": "1.00", "preset": "4.00", "uncut": "not"}
    assert rows["PSNR, dB"]["preset"] == "inf"
