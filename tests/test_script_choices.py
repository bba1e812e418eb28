"""What each choice of a run changes: styles, weights of the losses, starts, filters, loops."""

import functools
import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
import reference
from conftest import draw
from light_program import light_objectives
from numpy.testing import assert_array_equal
from PIL import Image
from shallow_runs import OPTIONS, QUICK, first_loss, totals_of

from neural_style_transfer import main, resume, transfer, vgg_objectives
from style_transfer import losses, network, shared
from style_transfer.vgg import FilterSource


@pytest.mark.parametrize("hyphens", [False, True])
def test_the_command_and_python_paint_the_same_picture(hyphens, base, style, tmp_path, capsys):
    options = [re.sub("_(?=.*=)", "-", option) if hyphens else option for option in OPTIONS]
    name = "--style-weight" if hyphens else "--style_weight"
    assert main([base, style, str(tmp_path / "result"), *options, name, "3", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    picture, _ = transfer(base, style, **QUICK, style_weight=3)
    assert_array_equal(Image.open(tmp_path / "result.png"), picture)


def test_without_quiet_each_iteration_is_told(base, style, tmp_path, capsys):
    assert main([base, style, str(tmp_path / "result"), *OPTIONS]) == 0
    out, err = capsys.readouterr()
    assert err == "" and [f"Iteration {n}" in out for n in range(4)] == [True] * 3 + [False]


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


def test_automatic_scales_make_several_sizes(base, style, tmp_path):
    prefix = str(tmp_path / "run")
    choices = {"scales": "auto", "height": 200, "iter": 3, "evaluations": 2}
    picture, record = transfer(base, style, prefix, objectives=light_objectives, **choices)
    assert [size.shape for size in record.sizes] == [(141, 197), (200, 280)]
    assert {entry.size for entry in record.evaluations} == {0, 1}
    saved = [Image.open(f"{prefix}_at_iteration_{number}.png").size for number in range(3)]
    assert saved[0] == (197, 141) and saved[-1] == picture.size == (280, 200)


def test_a_home_folder_in_init_is_found(base, style, pictures, monkeypatch):
    monkeypatch.setenv("HOME", str(pictures))
    assert first_loss(base, style, init="~/style2.png")["content"] > 0


def test_the_seed_decides_the_noise(base, style):
    runs = [
        transfer(base, style, **{**QUICK, "init": "noise", "iter": 1, "seed": seed})[0].tobytes()
        for seed in (0, 0, 1)
    ]
    assert runs[0] == runs[1] != runs[2]


def test_what_runs_share_is_made_once(base, style, style2, monkeypatch):
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
    alone = [transfer(base, **run, **QUICK) for run in runs]
    monkeypatch.setattr(shared, "feature_extractor", counted)
    objectives, counts = functools.partial(vgg_objectives, shared=shared.Shared()), []
    for run, (picture, record) in zip(runs, alone, strict=True):
        again, same = transfer(base, **run, **QUICK, objectives=objectives)
        assert_array_equal(again, picture)
        assert totals_of(same) == totals_of(record)
        counts.append((len(built), len(seen)))
    # Networks built and pictures looked at, in all: only what is new costs.
    assert counts == [(1, 2), (1, 2), (1, 3), (2, 5), (3, 7), (4, 9)]


def test_the_style_scale_changes_the_style_loss(base, style):
    one, two = (first_loss(base, style, style_scale=scale)["style"] for scale in (1, 2))
    assert one != pytest.approx(two, rel=1e-3)


@pytest.mark.parametrize("choices", [{"network": "vgg16"}, {"pooling": "max"}, {"pooling": "l2"}])
def test_another_network_or_pooling_gives_another_loss(choices, base, style):
    deeper = {"content_layers": "block4_conv1", "init": "gray"}
    usual, other = (first_loss(base, style, **deeper, **c)["content"] for c in ({}, choices))
    assert np.isfinite(other) and other != pytest.approx(usual, rel=1e-6)


def test_normalized_filters_keep_their_checksum(base, style, tmp_path):
    choices = {**QUICK, "height": 32, "loss_scale": "gatys"}
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
    picture, record = transfer(base, style, **{**QUICK, "weights": "fitted"})
    again, _ = transfer(base, style, **{**QUICK, "weights": "fitted"})
    assert record.filters.source == "fitted" and picture.tobytes() == again.tobytes()


def test_a_file_of_filters_is_used_and_its_checksum_recorded(base, style, filters_file):
    path = filters_file("vgg19")
    _, record = transfer(base, style, **{**QUICK, "weights": path, "iter": 1})
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    assert record.filters == FilterSource("file", path, digest, "caffe")


def test_a_long_strip_of_a_style_picture_is_painted_from(base, tmp_path):
    draw(1200, 17, seed=1).save(tmp_path / "strip.png")
    deep = {"content_layers": "block4_conv2", "style_layers": "block5_conv1"}
    assert np.isfinite(first_loss(base, str(tmp_path / "strip.png"), **deep)["style"])


@pytest.mark.parametrize("style_loss", ["histogram", "gram+histogram", "wasserstein", "moments"])
def test_each_style_loss_is_lowered(style_loss, base, style):
    choices = {**QUICK, "style_loss": style_loss, "histogram_layers": "block2_conv1,block1_conv1"}
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
