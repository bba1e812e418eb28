"""The command line: every option, both spellings, errors in one line."""

import dataclasses

import pytest

from style_transfer.arguments import make_parser, parse, preset_table, underscored
from style_transfer.errors import InputError
from style_transfer.presets import PRESETS
from style_transfer.settings import Settings

FIELDS = {item.name: item for item in dataclasses.fields(Settings)}
PATHS = ["base.jpg", "style.jpg", "out/result"]


def test_three_paths_are_enough():
    command, options = parse(PATHS)
    assert command == "transfer"
    expected = {"base": "base.jpg", "styles": ["style.jpg"], "prefix": "out/result"}
    assert options == {**expected, "journal": True, "quiet": False}


def test_between_base_and_prefix_all_are_style_pictures():
    _, options = parse(["base.jpg", "a.jpg", "b.jpg", "c.jpg", "result"])
    assert options["styles"] == ["a.jpg", "b.jpg", "c.jpg"]
    assert (options["base"], options["prefix"]) == ("base.jpg", "result")


@pytest.mark.parametrize("arguments", [[], ["base.jpg"], ["base.jpg", "style.jpg"]])
def test_fewer_than_three_paths_are_refused(arguments):
    with pytest.raises(InputError, match="BASE REF PREFIX: expected .* Received: "):
        parse(arguments)


@pytest.mark.parametrize("name", [name for name, item in FIELDS.items() if item.type is not bool])
@pytest.mark.parametrize("hyphens", [False, True])
@pytest.mark.parametrize("joined", [False, True])
def test_every_setting_is_an_option_in_both_spellings(name, hyphens, joined):
    option = "--" + (name.replace("_", "-") if hyphens else name)
    value = "some_value-with_both"
    given = [f"{option}={value}"] if joined else [option, value]
    assert parse([*PATHS, *given])[1][name] == value
    assert parse([*given, *PATHS])[1][name] == value


@pytest.mark.parametrize(
    "arguments, name, value",
    [
        (["--restarts"], "restarts", True),
        (["--no-restarts"], "restarts", False),
        (["--no_restarts"], "restarts", False),
        (["--quiet"], "quiet", True),
        (["--overwrite"], "overwrite", True),
        (["--no-journal"], "journal", False),
        (["--preset", "keras-2"], "preset", "keras-2"),
    ],
)
def test_switches_switch(arguments, name, value):
    assert parse([*PATHS, *arguments])[1][name] == value


def test_options_may_stand_between_the_paths():
    _, options = parse(["base.jpg", "--iter", "3", "style.jpg", "--height=99", "result"])
    assert options["styles"] == ["style.jpg"]
    assert (options["iter"], options["height"]) == ("3", "99")


def test_settings_that_are_not_given_are_not_passed_on():
    assert not FIELDS.keys() & parse(PATHS)[1].keys()


def test_a_negative_number_is_a_value_and_no_option():
    assert parse([*PATHS, "--tv_weight", "-3"])[1]["tv_weight"] == "-3"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--contentweight", "1"],
        ["--content"],
        ["--iter"],
        ["--from_iteration", "x", "--resume", "p"],
    ],
)
def test_an_unknown_or_incomplete_option_is_one_line(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        parse([*PATHS, *arguments])
    out, err = capsys.readouterr()
    assert stop.value.code == 2 and out == ""
    assert err.count("\n") == 1 and "error: " in err


@pytest.mark.parametrize(
    "arguments, named",
    [
        (["--resume", "p", *PATHS], "--resume"),
        (["--resume", "p", "--preset", "keras-1"], "--preset"),
        (["--from_iteration", "3", *PATHS], "--from_iteration"),
        (["--base", "b.png", *PATHS], "--base"),
        ([*PATHS, "--styles", "a.png", "b.png"], "--styles"),
    ],
)
def test_what_does_not_go_with_resume_is_refused(arguments, named):
    with pytest.raises(InputError, match=f"^{named}: expected .* Received: "):
        parse(arguments)


def test_resume_takes_a_prefix_and_choices():
    command, options = parse(["--resume", "out/result", "--iter", "20", "--from-iteration", "4"])
    assert command == "resume"
    assert options == {
        "prefix": "out/result",
        "iter": "20",
        "from_iteration": 4,
        "journal": True,
        "quiet": False,
    }


def test_resume_takes_the_places_of_moved_pictures():
    _, options = parse(["--resume", "p", "--base", "b.png", "--styles", "a.png", "c.png"])
    assert (options["base"], options["styles"]) == ("b.png", ["a.png", "c.png"])


def test_preset_list_asks_for_the_list():
    assert parse(["--preset", "list"]) == ("list", {})


def test_the_table_names_every_preset_and_what_it_sets():
    table = preset_table()
    for name, choices in PRESETS.items():
        assert f"{name}:" in table
        assert all(f"{key} {value}" in table for key, value in choices.items())


def test_help_is_grouped_and_gives_each_option_and_default(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")  # so that no value is broken over two lines
    with pytest.raises(SystemExit) as stop:
        parse(["--help"])
    assert stop.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for group in ("run:", "picture:", "optimization:", "loss:", "network:"):
        assert group in text
    for name, item in FIELDS.items():
        assert f"--{name} " in text
        if item.type is not bool and item.default != "":
            assert f"(default: {item.default})" in text


def test_every_setting_has_a_help_text():
    described = {action.dest: action.help for action in make_parser()._actions}
    assert all(len(described[name]) > 10 for name in FIELDS)


@pytest.mark.parametrize(
    "argument, expected",
    [
        ("--style-weight", "--style_weight"),
        ("--style-weight=a-b", "--style_weight=a-b"),
        ("my-file--x.jpg", "my-file--x.jpg"),
        ("-x-y", "-x-y"),
    ],
)
def test_hyphens_become_underscores_in_names_of_options_only(argument, expected):
    assert underscored(argument) == expected
