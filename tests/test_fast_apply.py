"""Networks applied and exported."""

import hashlib
import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import draw
from fast_program import ENVIRONMENT, SCRIPT, TINY, run
from PIL import Image, ImageCms

import fast_style_transfer
from style_transfer.errors import InputError
from style_transfer.feedforward.model_file import read_network
from style_transfer.feedforward.painting import painted
from style_transfer.pictures import load_picture


def test_one_photograph_without_vgg(network, photos, tmp_path):
    """The command in a process of its own, which loads no network but the style's."""
    code = (
        "import sys, fast_style_transfer as f; code = f.main(); print(sorted(m for m in "
        "sys.modules if m in ('style_transfer.network', 'style_transfer.filters', "
        "'style_transfer.targets'))); sys.exit(code)"
    )
    arguments = ["apply", network, photos / "photo 1.png", tmp_path / "out" / "a.tif"]
    command = [sys.executable, "-c", code, *map(str, arguments), "--size", "80"]
    ended = subprocess.run(
        command, capture_output=True, text=True, cwd=SCRIPT.parent, env=ENVIRONMENT
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines()[-1] == "[]"
    assert Image.open(tmp_path / "out" / "a.tif").size == (80, 60)


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


def test_a_damaged_photograph_among_others_costs_itself(network, tmp_path, capsys):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    draw(30, 40, seed=1).save(folder / "good.png")
    arguments = ["apply", network, folder, tmp_path / "out", "--quiet"]
    assert fast_style_transfer.main(list(map(str, arguments))) == 1
    errors = capsys.readouterr().err
    assert errors.startswith("fast_style_transfer.py: broken.jpg: PHOTO: expected a")
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


def test_a_profile_says_which_colors_are_meant(network, tmp_path):
    """Swapped channels, and a profile that swaps them back."""
    photograph = draw(40, 30, seed=1)
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = profile.index(b"rXYZ"), profile.index(b"bXYZ")
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    swapped = Image.merge("RGB", photograph.split()[::-1])
    swapped.save(tmp_path / "swapped.png", icc_profile=bytes(profile))
    photograph.save(tmp_path / "plain.png")
    for name in ("swapped", "plain"):
        fast_style_transfer.apply(network, tmp_path / f"{name}.png", tmp_path / f"out_{name}.png")
    swapped, plain = (
        np.asarray(Image.open(tmp_path / f"out_{name}.png"), np.float64)
        for name in ("swapped", "plain")
    )
    assert abs(swapped - plain).mean() < 1  # the profile's numbers are rounded


def test_workers_paint_the_same_pictures(network, photos, tmp_path):
    pytest.importorskip("ray", reason="needs requirements-cluster.txt")
    fast_style_transfer.apply(network, photos, tmp_path / "one", strength=0.8)
    options = ("--workers", 2, "--strength", 0.8, "--quiet")
    ended = run("apply", network, photos, tmp_path / "two", *options)
    assert (ended.returncode, ended.stderr) == (0, "")
    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("one", "two")
    )
    assert len(one) == 11 and one == two


def test_workers_need_a_package(network, photos, tmp_path):
    if importlib.util.find_spec("ray"):
        pytest.skip("where Ray is not installed")
    ended = run("apply", network, photos, tmp_path / "two", "--workers", 2)
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1
    assert "pip install -r requirements-cluster.txt" in ended.stderr
    assert not (tmp_path / "two").exists()


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
