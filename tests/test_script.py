"""The script end to end: runs and their files, the original's loss, bad input."""

import dataclasses
import functools
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import reference
import tifffile
from conftest import draw
from numpy.testing import assert_array_equal
from PIL import Image
from scipy.optimize import fmin_l_bfgs_b

import preprocessing
from neural_style_transfer import main, resume, transfer, vgg_objectives
from style_transfer import losses, network, objective, shared
from style_transfer.errors import InputError
from style_transfer.events import TERMS
from style_transfer.presets import make_settings
from style_transfer.runs.files import RunFiles
from style_transfer.runs.record import Record
from style_transfer.runs.resume import load_record
from style_transfer.targets import make_targets
from style_transfer.vgg import Filters, FilterSource

SCRIPT = Path(__file__).parent.parent / "neural_style_transfer.py"
# A shallow network and a small picture, so that a run takes a second.
LIGHT = {
    "weights": "random",
    "content_layers": "block2_conv1",
    "style_layers": "block1_conv1,block2_conv1",
    "height": 24,
    "precision": "float32",
    "iter": 3,
    "evaluations": 3,
    "scales": "1",
}
OPTIONS = [f"--{name}={value}" for name, value in LIGHT.items()]


def files_in(folder):
    """Names, sizes and times of all that lies below a folder."""
    paths = sorted(folder.rglob("*"))
    return [(str(path.relative_to(folder)), path.stat().st_mtime_ns) for path in paths]


def totals_of(record: Record) -> list[float]:
    return [entry.total for entry in record.evaluations]


# A run


@pytest.fixture(scope="module")
def run(base, style, tmp_path_factory):
    """A finished run of three iterations at two sizes: (picture, record, its folder)."""
    folder = tmp_path_factory.mktemp("run")
    prefix = str(folder / "made" / "on the way" / "result")
    choices = {**LIGHT, "scales": "0.7,1", "height": 32}
    picture, record = transfer(base, style, prefix, **choices)
    return picture, record, folder / "made" / "on the way"


def test_a_run_leaves_a_picture_an_iteration_the_result_and_the_record(run):
    names = {path.name for path in run[2].iterdir() if path.is_file()}
    pictures = {f"result_at_iteration_{number}.png" for number in range(3)}
    assert names == {"result.png", "result.json"} | pictures


def test_pictures_have_the_size_of_their_scale_and_the_content_s_aspect(run):
    sizes = [Image.open(run[2] / f"result_at_iteration_{number}.png").size for number in range(3)]
    assert sizes[-1] == (int(56 * 32 / 40), 32) == run[0].size
    assert sizes[0] == (int(56 * 22 / 40), 22)


def test_the_result_is_the_picture_returned_and_the_last_iteration_s(run):
    picture, _, folder = run
    assert picture.mode == "RGB"
    assert_array_equal(Image.open(folder / "result.png"), picture)
    assert_array_equal(Image.open(folder / "result_at_iteration_2.png"), picture)


def test_pictures_carry_the_settings_as_text(run):
    for path in run[2].glob("*.png"):
        assert json.loads(Image.open(path).text["Settings"]) == dataclasses.asdict(run[1].settings)


def test_the_record_on_disk_is_the_one_returned(run):
    assert load_record(RunFiles(run[2] / "result")) == run[1]


def test_the_record_holds_every_setting_and_what_the_result_depends_on(run, base, style):
    record = run[1]
    assert record.status == "finished" and record.preset == "default"
    assert record.settings == make_settings(**{**LIGHT, "scales": "0.7,1", "height": 32})
    for entry, path in [(record.content, base), (record.styles[0], style)]:
        assert entry.path == path
        assert (run[2] / entry.beside).samefile(path)
        assert entry.sha256 == hashlib.sha256(Path(path).read_bytes()).hexdigest()
    assert record.filters.source == "random" and record.filters.file is None
    assert re.fullmatch("[0-9a-f]{64}", record.filters.sha256)
    assert record.precision == "float32"
    (versions,) = record.versions
    assert versions["keras"] == keras.__version__
    assert versions["backend"] == keras.backend.backend()
    assert versions["numpy"] == np.__version__


def test_the_record_has_an_entry_for_every_evaluation_whose_terms_add_up(run):
    evaluations = run[1].evaluations
    assert len(evaluations) >= 9
    assert [entry.number for entry in evaluations] == list(range(len(evaluations)))
    for entry in evaluations:
        assert tuple(entry.terms) == TERMS
        assert entry.total == pytest.approx(sum(entry.terms.values()), rel=1e-12)
        assert min(entry.terms.values()) >= 0 and entry.seconds >= 0
    assert {entry.size for entry in evaluations} == {0, 1}
    iterations = [entry.iteration for entry in evaluations]
    assert set(iterations) == {0, 1, 2} and iterations == sorted(iterations)


def test_the_loss_falls_at_each_size(run):
    for number in (0, 1):
        totals = [entry.total for entry in run[1].evaluations if entry.size == number]
        assert totals[-1] < 0.9 * totals[0]


def test_no_temporary_file_and_no_lock_is_left(run):
    left = [
        path.name for path in run[2].rglob("*") if "unfinished" in path.name or "lock" in path.name
    ]
    assert left == []


def test_an_earlier_run_is_not_overwritten_unless_asked(run, base, style, capsys):
    before = files_in(run[2])
    prefix = str(run[2] / "result")
    with pytest.raises(InputError, match="--overwrite"):
        transfer(base, style, prefix, **LIGHT)
    assert main([base, style, prefix, *OPTIONS]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert files_in(run[2]) == before


def test_with_overwrite_the_earlier_run_is_replaced(base, style, tmp_path):
    prefix = str(tmp_path / "result")
    transfer(base, style, prefix, **LIGHT)
    _, record = transfer(base, style, prefix, overwrite=True, **{**LIGHT, "iter": 1})
    names = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert names == {"result.png", "result.json", "result_at_iteration_0.png"}
    assert len(json.loads((tmp_path / "result.json").read_text())["iterations"]) == 1
    assert len(record.iterations) == 1


def test_without_a_prefix_nothing_is_written_and_the_picture_is_the_same(
    run, base, style, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    picture, record = transfer(base, [style], **{**LIGHT, "scales": "0.7,1", "height": 32})
    assert list(tmp_path.iterdir()) == []
    assert picture.tobytes() == run[0].tobytes()
    assert totals_of(record) == totals_of(run[1])


# Iterations


@pytest.mark.parametrize("iterations, evaluations", [(12, 1), (4, 2), (2, 7)])
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_there_are_as_many_iterations_as_asked(optimizer, iterations, evaluations, base, style):
    choices = {"iter": iterations, "evaluations": evaluations, "optimizer": optimizer}
    _, record = transfer(base, style, **{**LIGHT, **choices})
    assert len(record.iterations) == iterations
    budget = iterations * evaluations
    # L-BFGS stops after a line search only, of 20 evaluations at most.
    most = budget if optimizer == "adam" else budget + 19
    assert budget <= len(record.evaluations) <= most
    assert record.iterations[-1].evaluations == len(record.evaluations)
    assert [size.iterations for size in record.sizes] == [iterations]


def test_adam_lowers_the_loss(base, style):
    choices = {"optimizer": "adam", "iter": 2, "evaluations": 10, "learning_rate": 4}
    _, record = transfer(base, style, **{**LIGHT, **choices})
    totals = totals_of(record)
    assert len(totals) == 20 and totals[-1] < 0.5 * totals[0]


def test_adam_s_first_step_is_the_learning_rate_against_the_gradient_s_sign(base, style):
    choices = {"optimizer": "adam", "iter": 1, "evaluations": 1, "learning_rate": 8}
    picture, _ = transfer(base, style, **{**LIGHT, **choices, "style_weight": 10})
    start = preprocessing.resize(Image.open(base), picture.size[::-1], "lanczos").astype(int)
    step = np.abs(np.asarray(picture).astype(int) - start)
    inside = (start >= 8) & (start <= 247)
    assert (step[inside] == 8).mean() > 0.99


def test_lbfgs_keeps_its_memory_over_iterations_and_so_ends_lower_than_with_restarts(base, style):
    choices = {**LIGHT, "iter": 8, "evaluations": 5}
    ends = {}
    for restarts in (False, True):
        _, record = transfer(base, style, restarts=restarts, **choices)
        ends[restarts] = record.evaluations[39].total
    assert ends[False] < ends[True]


def test_the_iterations_of_the_original_are_calls_of_scipy_without_memory(
    base, style, tmp_path, filters, filters_file
):
    choices = {"weights": filters_file("vgg19"), "height": 32, "iter": 2, "evaluations": 4}
    transfer(base, style, str(tmp_path / "run"), preset="keras-2", **choices)
    settings = make_settings("keras-2", **choices)
    extractor = network.feature_extractor(Filters("vgg19", filters["vgg19"]), settings, "float32")
    size = 32, int(56 * 32 / 40)
    images = [
        preprocessing.preprocess(preprocessing.resize(Image.open(path), size, "nearest"))
        for path in (base, style)
    ]
    evaluate = objective.make_objective(
        extractor, make_targets(extractor, images, settings), settings
    )

    def loss(x):
        return evaluate(x.reshape(images[0].shape).astype(np.float32))[0].sum(dtype=np.float64)

    def grads(x):
        return evaluate(x.reshape(images[0].shape).astype(np.float32))[1].ravel().astype(np.float64)

    x = images[0].ravel()
    for iteration in range(2):  # the original's loop
        x, _, _ = fmin_l_bfgs_b(loss, x.ravel(), fprime=grads, maxfun=4)
        expected = preprocessing.deprocess(x.reshape(images[0].shape).astype(np.float32))
        found = np.asarray(Image.open(tmp_path / f"run_at_iteration_{iteration}.png"), int)
        assert np.abs(found - expected).max() <= 1


# The original's loss


def original_loss(base, style, x, size, filters, net, content_layer):
    """Keras 2.3, examples/neural_style_transfer.py, in NumPy and float64; `x` None: the content."""
    rows, columns = size

    def preprocess_image(path):
        image = keras.utils.img_to_array(keras.utils.load_img(path, target_size=size))
        return keras.applications.vgg19.preprocess_input(image[np.newaxis])

    content, painted = preprocess_image(base), preprocess_image(style)
    x = content if x is None else x
    style_layers = [f"block{block}_conv1" for block in range(1, 6)]
    combination, target, reference_style = (
        reference.vgg(image, filters[net], net, {content_layer, *style_layers}, "max")
        for image in (x, content, painted)
    )
    loss = 0.025 * ((combination[content_layer] - target[content_layer]) ** 2).sum()
    for layer in style_layers:
        a, b = combination[layer], reference_style[layer]
        difference = ((a.T @ a - b.T @ b) ** 2).sum()
        loss += 1.0 / len(style_layers) * difference / (4.0 * 3**2 * (rows * columns) ** 2)
    return loss + 1.0 * reference.total_variation(x)


@pytest.mark.parametrize("targets, rows", [("cached", 32), ("batch", 25)])
def test_keras_2_begins_at_the_original_s_loss(targets, rows, base, style, filters, filters_file):
    _, record = transfer(
        base,
        style,
        preset="keras-2",
        weights=filters_file("vgg19"),
        height=rows,
        iter=1,
        evaluations=1,
        targets=targets,
    )
    size = rows, int(56 * rows / 40)
    expected = original_loss(base, style, None, size, filters, "vgg19", "block5_conv2")
    assert record.evaluations[0].total == pytest.approx(expected, rel=1e-5)
    assert record.evaluations[0].terms["content"] < 1e-5 * expected


def test_keras_1_begins_at_the_original_s_loss_of_its_noise(base, style, filters, filters_file):
    _, record = transfer(
        base,
        style,
        preset="keras-1",
        weights=filters_file("vgg16"),
        height=36,
        iter=1,
        evaluations=1,
        seed=5,
    )
    size = 36, int(56 * 36 / 40)
    noise = np.random.default_rng(5).uniform(0, 255, (1, *size, 3)) - 128.0
    expected = original_loss(base, style, noise, size, filters, "vgg16", "block4_conv2")
    assert record.evaluations[0].total == pytest.approx(expected, rel=1e-5)
    assert record.evaluations[0].terms["content"] > 0


def test_presets_of_the_original_print_its_lines(base, style, tmp_path, capsys, filters_file):
    prefix = str(tmp_path / "result")
    arguments = [
        "--preset",
        "keras-2",
        "--weights",
        filters_file("vgg19"),
        "--height=32",
        "--iter=2",
    ]
    assert main([base, style, prefix, *arguments, "--evaluations=2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for iteration in range(2):
        start, loss, saved, completed = lines[4 * iteration : 4 * iteration + 4]
        assert start == f"Start of iteration {iteration}"
        assert float(loss.removeprefix("Current loss value: ")) > 0
        assert saved == f"Image saved as {prefix}_at_iteration_{iteration}.png"
        assert re.fullmatch(rf"Iteration {iteration} completed in \d+s", completed)
    assert len(lines) == 8


# Choices


@pytest.mark.parametrize("hyphens", [False, True])
def test_the_command_and_python_paint_the_same_picture(hyphens, base, style, tmp_path, capsys):
    options = [re.sub("_(?=.*=)", "-", option) if hyphens else option for option in OPTIONS]
    name = "--style-weight" if hyphens else "--style_weight"
    assert main([base, style, str(tmp_path / "result"), *options, name, "3", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    picture, _ = transfer(base, style, **LIGHT, style_weight=3)
    assert_array_equal(Image.open(tmp_path / "result.png"), picture)


def test_without_quiet_each_iteration_is_told(base, style, tmp_path, capsys):
    assert main([base, style, str(tmp_path / "result"), *OPTIONS]) == 0
    out, err = capsys.readouterr()
    assert err == "" and [f"Iteration {n}" in out for n in range(4)] == [True] * 3 + [False]


def first_loss(*args, **choices):
    _, record = transfer(*args, **{**LIGHT, "iter": 1, "evaluations": 1, **choices})
    return record.evaluations[0].terms


def test_several_styles_are_blended_by_weight(base, style, style2):
    alone = [first_loss(base, path)["style"] for path in (style, style2)]
    both = first_loss(base, [style, style2], style_blend="3,1")["style"]
    assert both == pytest.approx(0.75 * alone[0] + 0.25 * alone[1], rel=1e-5)
    equal = first_loss(base, [style, style2])["style"]
    assert equal == pytest.approx(sum(alone) / 2, rel=1e-5)


def test_weights_of_the_losses_scale_their_terms(base, style):
    usual = first_loss(base, style, init="gray", content_weight=0.025)
    heavy = first_loss(base, style, init="gray", content_weight=0.05, style_weight=3, tv_weight=0)
    assert heavy["content"] == pytest.approx(2 * usual["content"], rel=1e-5)
    assert heavy["style"] == pytest.approx(3 * usual["style"], rel=1e-5)
    assert heavy["total_variation"] == 0


def test_the_start_is_content_noise_gray_or_a_file(base, style, style2):
    starts = {
        init: first_loss(base, style, init=init) for init in ("content", "noise", "gray", style)
    }
    assert starts["content"]["content"] < 1e-9 < starts["gray"]["content"]
    assert starts["gray"]["total_variation"] == 0
    variations = [starts[init]["total_variation"] for init in ("noise", "content", style)]
    assert variations[0] > 3 * max(variations[1:])
    # The file as it stands at the content's size.
    picture = Image.open(style).resize((33, 24), Image.Resampling.LANCZOS)
    expected = reference.variation_loss(
        "relative", np.asarray(picture)[None], losses.TOTAL_VARIATION_SHARE
    )
    assert starts[style]["total_variation"] == pytest.approx(expected, rel=1e-5)


def test_a_home_folder_in_init_is_found(base, style, pictures, monkeypatch):
    monkeypatch.setenv("HOME", str(pictures))
    assert first_loss(base, style, init="~/style2.png")["content"] > 0


def test_the_seed_decides_the_noise(base, style):
    runs = [
        transfer(base, style, **{**LIGHT, "init": "noise", "iter": 1, "seed": seed})[0].tobytes()
        for seed in (0, 0, 1)
    ]
    assert runs[0] == runs[1] != runs[2]


def test_what_runs_share_is_not_made_again_and_changes_nothing(base, style, style2, monkeypatch):
    built, seen = [], []
    feature_extractor = network.feature_extractor

    def counted(*args):
        extractor = feature_extractor(*args)
        built.append(extractor)
        one_by_one = extractor.one_by_one
        extractor.one_by_one = lambda image: seen.append(image) or one_by_one(image)
        return extractor

    runs = [
        {"styles": style},
        {"styles": style, "content_weight": 0.1},
        {"styles": [style, style2]},
        {"styles": style2, "normalize_filters": True},
        {"styles": style, "normalize_filters": True},
        {"styles": style, "auto_weights": True},
    ]
    alone = [transfer(base, **run, **LIGHT) for run in runs]
    monkeypatch.setattr(shared, "feature_extractor", counted)
    objectives, counts = functools.partial(vgg_objectives, shared=shared.Shared()), []
    for run, (picture, record) in zip(runs, alone, strict=True):
        again, same = transfer(base, **run, **LIGHT, objectives=objectives)
        assert_array_equal(again, picture)
        assert totals_of(same) == totals_of(record)
        counts.append((len(built), len(seen)))
    # Networks built and pictures looked at, in all: only what is new costs.
    assert counts == [(1, 2), (1, 2), (1, 3), (2, 5), (3, 7), (4, 9)]


def test_the_style_scale_changes_what_the_strokes_are_compared_with(base, style):
    one, two = (first_loss(base, style, style_scale=scale)["style"] for scale in (1, 2))
    assert one != pytest.approx(two, rel=1e-3)


@pytest.mark.parametrize("choices", [{"network": "vgg16"}, {"pooling": "max"}, {"pooling": "l2"}])
def test_another_network_or_pooling_gives_another_loss(choices, base, style):
    deeper = {"content_layers": "block4_conv1", "init": "gray"}
    usual, other = (first_loss(base, style, **deeper, **c)["content"] for c in ({}, choices))
    assert np.isfinite(other) and other != pytest.approx(usual, rel=1e-6)


def test_normalized_filters_reach_the_run_and_do_not_touch_their_checksum(base, style, tmp_path):
    choices = {**LIGHT, "height": 32, "loss_scale": "gatys"}
    _, usual = transfer(base, style, **choices)
    prefix = str(tmp_path / "result")
    _, other = transfer(base, style, prefix, normalize_filters=True, **choices)
    assert other.settings.normalize_filters and not usual.settings.normalize_filters
    assert other.filters == usual.filters
    for ours, theirs in zip(other.evaluations, usual.evaluations, strict=True):
        assert ours.terms["style"] != pytest.approx(theirs.terms["style"], rel=0.1)
    _, resumed = resume(prefix, iter=4)
    assert resumed.evaluations[: len(other.evaluations)] == other.evaluations
    assert resumed.evaluations[-1].total <= other.evaluations[0].total


def test_filters_are_fitted_where_asked(base, style):
    picture, record = transfer(base, style, **{**LIGHT, "weights": "fitted"})
    again, _ = transfer(base, style, **{**LIGHT, "weights": "fitted"})
    assert record.filters.source == "fitted" and picture.tobytes() == again.tobytes()


def test_a_file_of_filters_is_used_and_its_checksum_recorded(base, style, filters_file):
    path = filters_file("vgg19")
    _, record = transfer(base, style, **{**LIGHT, "weights": path, "iter": 1})
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    assert record.filters == FilterSource("file", path, digest, "caffe")


def test_a_long_strip_of_a_style_picture_is_painted_from(base, tmp_path):
    draw(1200, 17, seed=1).save(tmp_path / "strip.png")
    deep = {"content_layers": "block4_conv2", "style_layers": "block5_conv1"}
    assert np.isfinite(first_loss(base, str(tmp_path / "strip.png"), **deep)["style"])


# Masks, colors, range


@pytest.fixture(scope="module")
def masks(tmp_path_factory):
    """Paths of index pictures: of the content, of two styles, and one that lacks a color."""
    folder = tmp_path_factory.mktemp("masks")
    for name, colors in {
        "content": ["red", "blue"],
        "style": ["blue", "red"],
        "style2": ["red", "red"],
        "red": ["red", "red"],
    }.items():
        picture = Image.new("RGB", (20, 30), colors[0])
        picture.paste(Image.new("RGB", (10, 30), colors[1]), (10, 0))
        picture.save(folder / f"{name}.png")
    draw(40, 40, seed=1).save(folder / "photo.jpg")
    return folder


def test_masks_of_any_size_are_carried_and_recorded(base, style, style2, masks, tmp_path):
    chosen = {
        "content_mask": str(masks / "content.png"),
        "style_mask": f"{masks}/style.png,{masks}/style2.png",
    }
    plain = first_loss(base, [style, style2])["style"]
    _, record = transfer(
        base, [style, style2], str(tmp_path / "result"), **{**LIGHT, **chosen, "iter": 1}
    )
    assert record.evaluations[0].terms["style"] != pytest.approx(plain, rel=1e-3)
    paths = [masks / f"{name}.png" for name in ("content", "style", "style2")]
    assert [(mask.path, mask.sha256) for mask in record.masks] == [
        (str(path), hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths
    ]


def test_a_changed_mask_is_noticed_and_another_taken_with_overwrite(base, style, masks, tmp_path):
    mask, other = tmp_path / "mask.png", str(masks / "content.png")
    mask.write_bytes((masks / "style.png").read_bytes())
    prefix = str(tmp_path / "result")
    chosen = {"content_mask": str(mask), "style_mask": str(masks / "style.png"), "iter": 1}
    _, first = transfer(base, style, prefix, **{**LIGHT, **chosen})
    mask.write_bytes(Path(other).read_bytes())
    with pytest.raises(InputError, match=r"--resume: expected the picture .*mask.png.*SHA-256"):
        resume(prefix, iter=2)
    with pytest.raises(InputError, match="--content_mask: expected as in the run"):
        resume(prefix, iter=2, content_mask=other)
    _, record = resume(prefix, iter=2, content_mask=other, overwrite=True)
    assert record.masks[0].path == other
    assert record.masks[1] == first.masks[1] and len(record.iterations) == 2


def test_painting_by_numbers_gives_each_region_its_style(base, masks, tmp_path):
    """From noise and without content: left dark, right bright, as the style under the mask."""
    rng = np.random.default_rng(1)
    pixels = np.clip(rng.normal(60, 10, (40, 40, 3)), 0, 255)
    pixels[:, :20] += 140  # the style's left half is blue in its mask, the content's right one
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "style.png")
    chosen = {
        "content_mask": str(masks / "content.png"),
        "style_mask": str(masks / "style.png"),
        "content_weight": 0,
        "tv_weight": 0,
        "init": "gray",
        "iter": 1,
        "evaluations": 25,
    }
    picture, record = transfer(base, str(tmp_path / "style.png"), **{**LIGHT, **chosen})
    totals = totals_of(record)
    assert totals[-1] < 0.5 * totals[0]
    brightness = np.asarray(picture, float).mean(axis=(0, 2))
    assert (
        brightness[: len(brightness) // 2].mean() + 50 < brightness[len(brightness) // 2 :].mean()
    )


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("init", ["content", "noise"])
def test_clip_keeps_every_image_in_the_valid_range(
    optimizer, init, base, style, tmp_path, monkeypatch
):
    seen = []
    saved = preprocessing.deprocess
    monkeypatch.setattr(preprocessing, "deprocess", lambda x, *_: seen.append(x) or saved(x))
    choices = {"clip": True, "precondition": 0, "optimizer": optimizer, "init": init}
    choices |= {"style_weight": 100, "learning_rate": 40, "scales": "0.7,1"}
    transfer(base, style, str(tmp_path / "result"), **{**LIGHT, **choices})
    assert len(seen) >= 3
    low = -np.array([103.939, 116.779, 123.68])
    for image in seen:
        assert (image >= low - 1e-4).all() and (image <= low + 255 + 1e-4).all()
    assert any((image <= low + 1e-4).any() for image in seen)  # it had something to do


def test_luminance_alone_is_changed_where_asked(base, style, tmp_path):
    choices = {**LIGHT, "preserve_color": "luminance", "style_weight": 100}
    picture, _ = transfer(base, style, str(tmp_path / "result"), **choices)
    content = Image.open(base).resize(picture.size, Image.Resampling.LANCZOS)
    found, expected = (np.asarray(p.convert("YCbCr"), float)[:, :, 1:] for p in (picture, content))
    assert np.median(np.abs(found - expected)) <= 1
    assert_array_equal(Image.open(tmp_path / "result_at_iteration_2.png"), picture)


@pytest.mark.parametrize("preserve_color", ["none", "luminance"])
def test_16_bits_are_those_of_the_8_bits_and_more(preserve_color, base, style, tmp_path):
    choices = {**LIGHT, "style_weight": 100, "preserve_color": preserve_color}
    prefix = str(tmp_path / "result")
    picture, record = transfer(base, style, prefix, output="tiff16", **choices)
    eight, _ = transfer(base, style, **choices)
    assert_array_equal(picture, eight)  # what is returned has 8 bits
    assert record.settings.output == "tiff16"
    for end in ("", "_at_iteration_2"):
        pixels = tifffile.imread(f"{prefix}{end}.tif")
        assert pixels.dtype == np.uint16
        # Luminance rounds twice: the painted pixels, then what comes of them.
        farthest = 0.5 if preserve_color == "none" else 1
        assert np.abs(pixels / 257 - np.asarray(eight)).max() <= farthest + 0.5 / 257
        assert (pixels % 257 != 0).mean() > 0.9
    again, _ = transfer(base, style, init=f"{prefix}_at_iteration_0.tif", **choices)
    assert again.size == picture.size


def test_a_run_of_16_bits_is_resumed_with_the_same_bytes(base, style, tmp_path):
    whole, part = str(tmp_path / "whole"), str(tmp_path / "part")
    transfer(base, style, whole, output="png16", restarts=True, **LIGHT)
    transfer(base, style, part, output="png16", restarts=True, **{**LIGHT, "iter": 2})
    resume(part, iter=3)
    for end in ("", "_at_iteration_2"):
        assert Path(f"{part}{end}.png").read_bytes() == Path(f"{whole}{end}.png").read_bytes()
    with pytest.raises(InputError, match="--output: expected as in the run"):
        resume(part, iter=4, output="tiff16")
    resume(part, iter=4, output="tiff16", overwrite=True)
    names = {path.name for path in tmp_path.glob("part*") if path.is_file()}
    pictures = {f"part_at_iteration_{number}.png" for number in range(3)}
    assert names == {"part.json", "part.tif", "part_at_iteration_3.tif"} | pictures


def test_the_width_is_the_one_asked_for_at_every_scale(base, style):
    picture, record = transfer(base, style, **{**LIGHT, "width": 41, "scales": "0.75,1"})
    assert picture.size == (41, 24)
    assert [size.shape for size in record.sizes] == [(18, 31), (24, 41)]


@pytest.mark.parametrize("style_loss", ["histogram", "gram+histogram", "wasserstein", "moments"])
def test_each_style_loss_is_lowered(style_loss, base, style):
    choices = {**LIGHT, "style_loss": style_loss, "histogram_layers": "block2_conv1,block1_conv1"}
    _, record = transfer(base, style, **choices, style_weight=10)
    totals = totals_of(record)
    assert min(totals) < 0.8 * totals[0]


@pytest.mark.parametrize("preset", ["gatys", "tensorflow-vgg19", "pytorch", "histogram"])
def test_each_preset_runs(preset, base, style, filters_file):
    choices = {"weights": filters_file("vgg19"), "height": 32, "iter": 1, "evaluations": 5}
    picture, record = transfer(base, style, preset=preset, **choices, scales="1")
    assert record.status == "finished" and picture.size == (44, 32)
    totals = totals_of(record)
    assert min(totals) < totals[0]


# The command itself


def test_the_command_runs(base, style, tmp_path):
    command = [sys.executable, str(SCRIPT), base, style, str(tmp_path / "result"), *OPTIONS]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert Image.open(tmp_path / "result.png").size == (33, 24)
    assert done.stdout.count("Iteration ") == 3


@pytest.mark.parametrize(
    "arguments, code, out, err",
    [
        (["--help"], 0, "BASE REF [REF ...] PREFIX", ""),
        (["--preset", "list"], 0, "keras-2:", ""),
        (["--preset", "list"], 0, "tensorflow-vgg19:", ""),
        (["a.jpg", "b.jpg", "result"], 2, "", "a.jpg'"),
    ],
)
def test_the_command_answers_without_the_network_s_libraries(arguments, code, out, err, tmp_path):
    # Where importing Keras fails, these still have to answer.
    (tmp_path / "keras.py").write_text("raise ImportError")
    command = [sys.executable, str(SCRIPT), *arguments]
    environment = {"PATH": "", "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert done.returncode == code and out in done.stdout and err in done.stderr
    assert done.stderr.count("\n") == (1 if err else 0)
