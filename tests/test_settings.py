"""Choices: what is refused and in what words, and the plan of a run."""

import dataclasses
import math
from itertools import pairwise

import keras
import pytest

from style_transfer.errors import InputError
from style_transfer.parsing import layers_in_use, parse_blend, parse_layers, parse_scales
from style_transfer.paths import existing_file, expanded
from style_transfer.presets import AUTO_SHARES, PRESETS, make_settings, with_choices
from style_transfer.schedule import full_size, plan
from style_transfer.settings import Settings
from style_transfer.vgg import layer_names

NUMBERS = [
    "content_weight",
    "style_weight",
    "tv_weight",
    "style_scale",
    "learning_rate",
    "precondition",
]
WHOLE = ["height", "iter", "evaluations", "seed"]


def refused(call, *args, **kwargs) -> str:
    with pytest.raises(InputError) as error:
        call(*args, **kwargs)
    message = str(error.value)
    assert ": expected " in message and " Received: " in message and "\n" not in message
    return message


@pytest.mark.parametrize("value", [math.nan, -1, -1e-9, math.inf, -math.inf, "many", "", None, [1]])
@pytest.mark.parametrize("name", NUMBERS + WHOLE)
def test_what_is_no_sensible_number_is_refused_by_name(name, value):
    message = refused(make_settings, **{name: value})
    assert message.startswith(f"--{name}: ") and message.endswith(f"Received: {value!r}")


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("value", [16.5, "16.5", "1e400"])
def test_a_broken_number_is_refused_where_a_whole_one_is_due(name, value):
    assert refused(make_settings, **{name: value}).startswith(f"--{name}: ")


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("value", [20, 20.0, "20"])
def test_a_whole_number_is_taken_in_any_spelling(name, value):
    number = getattr(make_settings(**{name: value}), name)
    assert number == 20 and isinstance(number, int)


@pytest.mark.parametrize("name, value", [("height", 15), ("iter", 0), ("evaluations", 0)])
def test_too_small_a_number_is_refused(name, value):
    assert refused(make_settings, **{name: value}).startswith(f"--{name}: ")


CHOSEN = [item.name for item in dataclasses.fields(Settings) if item.metadata["values"]]


@pytest.mark.parametrize("name", CHOSEN)
def test_an_unknown_name_is_refused_with_the_known_ones(name):
    message = refused(make_settings, **{name: "vgg17"})
    assert message.startswith(f"--{name}: expected one of ")
    values = next(f.metadata["values"] for f in dataclasses.fields(Settings) if f.name == name)
    assert all(value in message for value in values) and "'vgg17'" in message


def test_an_unknown_preset_and_an_unknown_choice_are_refused():
    message = refused(make_settings, "keras-9")
    assert message.startswith("--preset: ") and all(name in message for name in PRESETS)
    assert "'contentweight'" in refused(make_settings, contentweight=1)


@pytest.mark.parametrize("name", ["content_layers", "style_layers"])
@pytest.mark.parametrize(
    "text, named",
    [
        ("block9_conv1", "'block9_conv1'"),
        ("block3_conv5", "'block3_conv5'"),
        ("conv4_2", "'conv4_2'"),
        ("block1_conv1,block1_conv1", "'block1_conv1' twice"),
        ("block1_conv1,block1_conv1:2", "'block1_conv1' twice"),
        ("block1_conv1:nan", "'nan'"),
        ("block1_conv1:-1", "'-1'"),
        ("block1_conv1:0", "'0'"),
        ("block1_conv1:inf", "'inf'"),
        ("block1_conv1:1:2", "'1:2'"),
        ("", "''"),
        (" , ", "' , '"),
    ],
)
def test_a_bad_list_of_layers_is_refused_by_name(name, text, named):
    message = refused(make_settings, **{name: text})
    assert message.startswith(f"--{name}: ") and named in message


def test_vgg16_lacks_a_layer_that_vgg19_has():
    assert make_settings(style_layers="block3_conv4").network == "vgg19"
    refused(make_settings, network="vgg16", style_layers="block3_conv4")


@pytest.mark.parametrize("network", ["vgg16", "vgg19"])
def test_layers_are_those_of_keras_applications(network):
    application = {"vgg16": keras.applications.VGG16, "vgg19": keras.applications.VGG19}[network]
    layers = application(include_top=False, weights=None).layers
    expected = [layer.name for layer in layers if isinstance(layer, keras.layers.Conv2D)]
    assert layer_names(network) == expected


def test_layers_have_the_weight_given_or_else_equal_shares():
    settings = make_settings(
        style_layers="block1_conv1, block2_conv1:0.5 ,block3_conv1,block4_conv1"
    )
    assert parse_layers(settings, "style_layers") == {
        "block1_conv1": 0.25,
        "block2_conv1": 0.5,
        "block3_conv1": 0.25,
        "block4_conv1": 0.25,
    }


def test_layers_in_use_are_those_of_both_losses_in_order():
    settings = make_settings(
        content_layers="block3_conv2", style_layers="block3_conv2,block1_conv1"
    )
    assert layers_in_use(settings) == ["block1_conv1", "block3_conv2"]


def test_all_weights_0_leave_nothing_to_do():
    refused(make_settings, content_weight=0, style_weight=0, tv_weight=0)
    assert make_settings(content_weight=0, style_weight=0).tv_weight == 1


def test_a_style_scale_needs_targets_of_their_own_size():
    assert refused(make_settings, targets="batch", style_scale=2).startswith("--style_scale: ")


@pytest.mark.parametrize(
    "text",
    ["", "0.5", "1,0.5", "0.5,0.5,1", "0.5,2", "0,1", "-1,1", "nan,1", "a,1", "0.5:0,1", "1:x"],
)
def test_scales_that_do_not_increase_to_1_are_refused(text):
    assert refused(make_settings, scales=text).startswith("--scales: ")


def test_scales_without_a_share_have_share_1():
    assert parse_scales("0.25, 0.5:3,1:0.5") == [(0.25, 1), (0.5, 3), (1, 0.5)]


@pytest.mark.parametrize("text, styles", [("1", 2), ("1,2,3", 2), ("1,2", 1)])
def test_the_wrong_number_of_blend_weights_is_refused(text, styles):
    message = refused(parse_blend, text, styles)
    assert message.startswith("--style_blend: ") and f"{styles} weights" in message


@pytest.mark.parametrize("text", ["1,nan", "1,-1", "1,0", "1,", "1;2,3", "inf,1"])
def test_a_bad_blend_weight_is_refused(text):
    assert refused(parse_blend, text, 2).startswith("--style_blend: ")


def test_blend_weights_sum_to_1():
    assert parse_blend("3,1", 2) == [0.75, 0.25]
    assert parse_blend("", 4) == [0.25] * 4


def test_settings_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        make_settings().height = 3


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_admissible_and_yields_to_a_choice(preset):
    for name, value in PRESETS[preset].items():
        assert getattr(make_settings(preset), name) == value
    assert make_settings(preset, iter=3, pooling="l2").iter == 3
    assert make_settings(preset, pooling="l2").pooling == "l2"


@pytest.mark.parametrize(
    "preset, network, content, init",
    [
        ("keras-1", "vgg16", "block4_conv2", "noise"),
        ("keras-2", "vgg19", "block5_conv2", "content"),
    ],
)
def test_the_original_s_presets_are_its_own_choices(preset, network, content, init):
    settings = make_settings(preset)
    assert (settings.network, settings.init, settings.pooling) == (network, init, "max")
    assert (settings.height, settings.iter, settings.evaluations) == (400, 10, 20)
    weights = settings.content_weight, settings.style_weight, settings.tv_weight
    assert weights == (0.025, 1, 1)
    assert parse_layers(settings, "content_layers") == {content: 1}
    fifths = {f"block{block}_conv1": 0.2 for block in range(1, 6)}
    assert parse_layers(settings, "style_layers") == fifths
    assert settings.weights == "imagenet" and settings.precision == "float32"
    # Ten calls of the optimizer at full size, each without memory of the last.
    assert [size.iterations for size in plan(settings, 533, 400)] == [1] * 10
    assert {(s.rows, s.columns) for s in plan(settings, 533, 400)} == {(400, 533)}


def test_a_run_from_a_given_picture_stays_at_full_size():
    assert make_settings(init="start.png").scales == "1"
    assert make_settings(init="start.png", scales="0.5,1").scales == "0.5,1"
    assert make_settings(init="noise").scales == Settings().scales


@pytest.mark.parametrize("iterations", [1, 2, 3, 5, 7, 10, 100])
@pytest.mark.parametrize("scales", ["1", "0.5,1", "0.25:9,0.5:1,1:0.01", "0.3:3,0.6:2,1:2"])
@pytest.mark.parametrize("restarts", [False, True])
def test_the_plan_has_all_iterations_and_ends_at_full_size(iterations, scales, restarts):
    settings = make_settings(iter=iterations, scales=scales, restarts=restarts, height=200)
    sizes = plan(settings, 300, 150)
    assert sum(size.iterations for size in sizes) == iterations
    assert all(size.iterations >= 1 for size in sizes)
    assert (sizes[-1].rows, sizes[-1].columns) == (200, 400)
    firsts = [size.first_iteration for size in sizes]
    assert firsts == [sum(s.iterations for s in sizes[:i]) for i in range(len(sizes))]
    assert [s.rows for s in sizes] == sorted(s.rows for s in sizes)
    if restarts:
        assert len(sizes) == iterations


@pytest.mark.parametrize("iterations", [4, 9, 20, 33])
def test_shares_of_the_plan_are_kept_to_within_one_iteration(iterations):
    settings = make_settings(iter=iterations, scales="0.3:3,0.6:2,1:2")
    for size, share in zip(plan(settings, 400, 400), (3, 2, 2), strict=True):
        assert abs(size.iterations - iterations * share / 7) < 1


@pytest.mark.parametrize("height", [16, 139, 197, 198, 244, 245, 400, 1000, 3000])
@pytest.mark.parametrize("scales, step", [("auto", 2**0.5), ("auto:1.75", 1.75), ("auto:3", 3)])
def test_automatic_scales_go_in_even_steps_from_140_rows(height, scales, step):
    settings = make_settings(height=height, iter=50, scales=scales)
    rows = [size.rows for size in plan(settings, 640, 640)]
    assert rows[-1] == height
    assert all(fine / coarse == pytest.approx(step, rel=0.01) for coarse, fine in pairwise(rows))
    assert min(rows) >= 140 or len(rows) == 1
    assert rows[0] < step * 140.5 or len(rows) == 1  # as coarse as that allows


@pytest.mark.parametrize("text", ["auto:1", "auto:x", "auto:-2", "auto:nan", "automatic"])
def test_steps_that_are_none_are_refused(text):
    assert refused(make_settings, scales=text).startswith("--scales: expected ")


def test_scales_too_small_for_the_deepest_layer_are_left_out():
    settings = make_settings(height=64, scales="0.2,0.5,1", iter=6)
    assert [size.rows for size in plan(settings, 64, 64)] == [32, 64]  # 13 < 16
    shallow = make_settings(
        height=64,
        scales="0.2,0.5,1",
        iter=6,
        content_layers="block1_conv1",
        style_layers="block2_conv1",
    )
    assert [size.rows for size in plan(shallow, 64, 64)] == [13, 32, 64]


def test_a_picture_too_small_for_its_layers_is_refused():
    message = refused(plan, make_settings(height=40), 10, 40)
    assert message.startswith("--height: ") and "block5_conv1" in message and "10 x 40" in message


def test_a_path_s_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "picture.png").write_text("x")
    assert existing_file("~/picture.png", "BASE") == tmp_path / "picture.png"


def test_a_home_that_does_not_exist_is_taken_literally():
    assert str(expanded("~nobody_at_all/x", "BASE")) == "~nobody_at_all/x"


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_what_is_no_path_is_refused(path):
    assert refused(existing_file, path, "BASE").startswith("BASE: expected a path")


@pytest.mark.parametrize("name", ["x" * 300, "no/such/file.png"])
def test_a_name_too_long_is_as_missing_as_any_other(name, tmp_path):
    assert refused(existing_file, tmp_path / name, "REF").startswith("REF: expected ")


# The long side


@pytest.mark.parametrize(
    "size, width, height, expected",
    [
        ("600", 300, 200, (400, 600)),
        ("600", 200, 300, (600, 400)),
        ("100", 333, 1000, (100, 33)),
        ("content", 301, 207, (207, 301)),
        ("", 300, 200, (400, 600)),
    ],
)
def test_the_size_is_that_of_the_long_side(size, width, height, expected):
    assert full_size(make_settings(size=size), width, height) == expected


@pytest.mark.parametrize("text", ["15", "0", "-3", "many", "1.5", "1e3", "\u0663\u0663"])
def test_a_size_that_is_none_is_refused(text):
    assert refused(make_settings, size=text).startswith("--size: expected the long side")


@pytest.mark.parametrize("name", ["height", "width"])
def test_a_size_and_a_height_are_one_too_many(name):
    assert refused(make_settings, size="600", **{name: 300}).startswith("--size: expected without")


@pytest.mark.parametrize(
    "choices, option", [({"width": 4}, "--width"), ({"size": "16"}, "--size"), ({}, "--height")]
)
def test_the_option_that_made_a_side_too_small_is_named(choices, option):
    message = refused(plan, make_settings(**choices), 10, 400)
    assert message.startswith(f"{option}: expected a picture of at least 16 x 16 pixels")


def test_coarse_sizes_of_a_long_side_keep_the_aspect():
    for size in plan(make_settings(size="1200"), 400, 300):
        assert size.columns / size.rows == pytest.approx(4 / 3, rel=0.01)


# Choices of a resume


def test_automatic_weights_turned_on_later_get_their_shares():
    before = make_settings(tv_weight=3)
    after = with_choices(before, {"auto_weights": True})
    assert (after.content_weight, after.style_weight, after.tv_weight) == tuple(
        AUTO_SHARES.values()
    )
    kept = with_choices(after, {"iter": 9})
    assert dataclasses.replace(kept, iter=after.iter) == after
    given = with_choices(before, {"auto_weights": True, "content_weight": 0.5})
    assert given.content_weight == 0.5
