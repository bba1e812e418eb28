"""The benchmarks' command lines, what they make of measurements, and runs killed for a test."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import common, evaluation, kills, light, peers, scaling, to_loss
from style_transfer.errors import InputError
from style_transfer.presets import make_settings
from style_transfer.vgg import Filters

ALL = {"evaluation": evaluation, "scaling": scaling, "peers": peers, "to_loss": to_loss}


def run(module, arguments: list[str]) -> int:
    """The exit code of a benchmark's command line, in this process."""
    try:
        return module.main(arguments)
    except SystemExit as stopped:
        return stopped.code


# Command lines


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    "options",
    [["--rows", "3"], ["--rows", "tall"], ["--json", "/no/such/folder/x"], ["--nonsense"]],
    ids=lambda options: " ".join(options),
)
def test_bad_options_end_in_one_line(name, options, capsys):
    assert run(ALL[name], options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{name}.py: error: ") and options[0] in line


@pytest.mark.parametrize(
    "module, options, named",
    [
        (to_loss, ["--pairs", "city"], "--pairs"),
        (to_loss, ["--pairs", "no.jpg:no.jpg"], "--pairs"),
        (to_loss, ["--balance", "0"], "--balance"),
        (to_loss, ["--content_layers", "block9_conv1", "--pairs", "animal"], "--content_layers"),
        (evaluation, ["--content", "no.jpg"], "--content"),
        (evaluation, ["--style", __file__], "--style"),
        (evaluation, ["--weights", "no.npz"], "--weights"),
        (evaluation, ["--rounds", "0"], "--rounds"),
        (evaluation, ["--precisions", "float16"], "--precisions"),
        (scaling, ["--rows", "32", "--content", "no.jpg"], "--content"),
        (peers, ["--torch_python", "/no/such/python"], "--torch_python"),
        (kills, ["--rounds", "0"], "--rounds"),
        (kills, ["--real", "2"], "--real"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_used_is_named(module, options, named, capsys):
    assert run(module, options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{module.NAME}: error: {named}: ")


def test_pictures_that_a_missing_package_ships_are_named(monkeypatch):
    monkeypatch.setattr(to_loss.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install scikit-image"):
        to_loss.find_pair("portrait")
    assert to_loss.find_pair("animal")[0] == "animal"  # the samples need no package


def test_quick_changes_defaults_and_no_more():
    seen = []
    for arguments in (["--quick"], ["--quick", "--rows", "40"], []):
        parser = common.make_parser("x.py", "X.")
        parser.add_argument("--rows", type=common.rows, default=400)
        assert common.run("x.py", parser, seen.append, {"rows": 64}, arguments) == 0
    assert [options.rows for options in seen] == [64, 40, 400]


# Filters


def test_filters_keep_the_input_that_they_expect(base, monkeypatch):
    from style_transfer import filters, network

    torch, seen = Filters("vgg19", {}, "torch"), []
    monkeypatch.setattr(filters, "load_filters", lambda *_: (torch, None))
    monkeypatch.setattr(network, "feature_extractor", lambda *given: seen.append(given[0]) or 1 / 0)
    settings = make_settings(precision="float32")
    pictures, loaded = common.load([("--content", base)] * 2, settings)
    with pytest.raises(ZeroDivisionError):
        common.objective_at((32, 44), pictures, loaded, settings)
    assert seen == [torch]


# Numbers


def test_the_exponent_of_a_power():
    sizes = np.array([1.0, 2.0, 5.0])
    assert scaling.exponent(sizes, 3 * sizes**1.7) == pytest.approx(1.7)
    assert scaling.exponent(sizes, np.array([1.0, 0.0, 5.0])) == pytest.approx(1.0)
    assert scaling.exponent(sizes, np.zeros(3)) is None
    assert scaling.exponent(sizes[:1], sizes[:1]) is None


@pytest.mark.parametrize("peaks", [(0.8, 0.8, 0.8), (0.8, 0.9, 0.85), (0.8,)])
def test_peaks_that_do_not_grow_give_no_exponent(peaks):
    results = [
        {"megapixels": float(n), "seconds": 0.1 * n, "gib": gib} for n, gib in enumerate(peaks, 1)
    ]
    fit = scaling.fit_of(results)
    assert fit["memory_exponent"] is None
    assert fit["seconds_exponent"] == (None if len(peaks) == 1 else pytest.approx(1))
    json.dumps(fit, allow_nan=False)


def test_a_straight_line_through_the_memory():
    results = [{"megapixels": n, "seconds": n, "gib": 0.8 + 1.5 * n} for n in (0.1, 0.4, 1.6, 6.4)]
    fit = scaling.fit_of(results)
    assert fit["gib_per_megapixel"] == pytest.approx(1.5)
    assert fit["gib_constant"] == pytest.approx(0.8)
    assert fit["memory_exponent"] == pytest.approx(1)


def test_operations_of_a_picture():
    settings = make_settings(content_layers="block1_conv2", style_layers="block1_conv1")
    forward = 40 * 50 * 2 * (9 * 3 * 64 + 9 * 64 * 64 + 64**2)
    assert common.operations((40, 50), settings) == 2 * forward


def test_the_target_of_peers_is_reached_where_the_losses_say():
    results = [{"losses": [9.0, 5.0, 4.0], "seconds": [1.0, 1.0, 2.0], "wall": 4.3}]
    (entry,) = peers.entries_of({("ours", "float32"): results}, 5.0)
    assert entry["evaluations_to_target"] == 2 and entry["last_loss"] == 4
    assert entry["seconds_between"] == pytest.approx(0.1)
    assert entry["seconds_to_target"] == pytest.approx(2 * 1.1)


# Kills


def test_the_light_gradient_is_that_of_the_light_loss():
    rng = np.random.default_rng(0)
    content, style, image, direction = rng.normal(0, 50, (4, 1, 6, 5, 3)).astype(np.float32)
    evaluate = light.light_objective(content, style, rng.normal(size=(3, 8)), 2.0)
    step = 0.05 * direction / np.abs(direction).max()
    ahead, behind = (evaluate(image + sign * step)[0].sum(dtype=float) for sign in (1, -1))
    slope = np.sum(evaluate(image)[1].astype(np.float64) * step)
    assert (ahead - behind) / 2 == pytest.approx(slope, rel=2e-3)


def test_what_a_run_has_made_is_told_by_its_bytes(tmp_path):
    prefix = tmp_path / "it"
    (tmp_path / "it_state").mkdir()
    (tmp_path / "it.json").write_text('{"evaluations": [{"total": 2.5}], "status": "finished"}')
    (tmp_path / "it.png").write_bytes(b"a")
    (tmp_path / "it_state" / "iteration_0.npy").write_bytes(b"b")
    first = kills.results_of(prefix)
    state = str(Path("it_state", "iteration_0.npy"))
    assert set(first) == {"it.png", state, "losses", "status"}
    (tmp_path / "it.png").write_bytes(b"c")
    second = kills.results_of(prefix)
    assert {name for name in first if first[name] != second[name]} == {"it.png"}


class Scripted:
    """Programs that do what they are told to, in turn."""

    def __init__(self, folder, answers):
        self.folder, self.answers, self.commands = folder, answers, []

    def run(self, light, arguments, kill_after):
        self.commands.append(arguments)
        code, losses = self.answers.pop(0)
        out = self.folder / "out"
        out.mkdir(exist_ok=True)
        if losses is not None:
            record = {"evaluations": [{"total": loss} for loss in losses], "status": "finished"}
            (out / "killed.json").write_text(json.dumps(record))
        return code, 1.0

    def last_error(self):
        return "error: refused"


class Once:
    """Draws for a round with one kill."""

    def randint(self, low, high):
        return 0

    def uniform(self, low, high):
        return high


WAY = kills.Way("default", "lbfgs", "random", "png", "1", False)


@pytest.mark.parametrize(
    "answers, lost, different, resumed",
    [
        ([(-9, [1.0]), (0, [1.0, 2.0])], 0, 0, True),
        ([(-9, None), (0, [1.0, 2.0])], 0, 0, False),  # killed before there was a run
        ([(0, [1.0, 2.0]), (0, [1.0, 2.0])], 0, 0, True),  # quicker than the kill
        ([(-9, [1.0]), (0, [1.0, 2.5])], 0, 1, True),
        ([(-9, [1.0]), (2, None)], 1, 0, True),
    ],
)
def test_lost_and_different_are_counted(answers, lost, different, resumed, tmp_path):
    programs, tally = Scripted(tmp_path, answers), kills.Tally()
    unbroken = kills.Unbroken({"losses": "[1.0, 2.0]", "status": "finished"}, 1.0)
    kills.play(WAY, programs, unbroken, Once(), tally)
    assert (len(tally.lost), len(tally.different)) == (lost, different)
    assert (programs.commands[1][0] == "--resume") == resumed


def test_light_runs_survive_kills(capsys):
    assert run(kills, ["--rounds", "2", "--real", "0"]) == 0
    assert "2 rounds" in (said := capsys.readouterr().out) and "lost 0, different 0" in said
