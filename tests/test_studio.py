"""style_transfer/studio: its folder, settings, uploads, masks, texts; studio.py's command line."""

import dataclasses
import io
import os
import socket
from pathlib import Path

import numpy as np
import pytest
from atelier import SMALL, png_that_claims
from conftest import draw
from light_program import light_objectives
from PIL import Image

from neural_style_transfer import transfer
from style_transfer.errors import InputError
from style_transfer.presets import PRESETS, make_settings
from style_transfer.settings import Settings
from style_transfer.studio import brush, uploads
from style_transfer.studio.desk import differing
from style_transfer.studio.library import key_of
from style_transfer.studio.live import MOST_POINTS, Live, curves, load_live
from style_transfer.studio.order import waiting_orders
from style_transfer.studio.places import is_held, locked, places_in
from style_transfer.studio.texts import FIELDS, GROUPS, LANGUAGES

# Files of the folder


def test_no_link_leads_out_of_the_folder(atelier, tmp_path, base, style):
    outside = tmp_path / "outside"
    transfer(base, style, outside / "secret", objectives=light_objectives, **SMALL)
    (atelier.places.folder / "link").symlink_to(outside)
    (atelier.places.folder / "secret.json").symlink_to(outside / "secret.json")
    (atelier.places.folder / "secret_state").symlink_to(outside / "secret_state")
    assert atelier.teller.state(None)["runs"] == []
    assert not atelier.places.holds(atelier.places.folder / "link" / "secret.png")


def test_a_photograph_outside_the_folder_is_not_shown(atelier, base, style):
    transfer(base, style, atelier.places.folder / "run", objectives=light_objectives, **SMALL)
    assert atelier.run(key_of("run"))["photograph"] is False
    key = atelier.begin()
    assert atelier.until(key, "finished")["photograph"] is True


def test_files_that_are_no_runs_are_not_shown(atelier):
    for name, text in (("a", "{}"), ("b", "no json"), ("c", '{"checksum": "0"}')):
        (atelier.places.folder / f"{name}.json").write_text(text)
        (atelier.places.folder / f"{name}_state").mkdir()
    assert atelier.teller.state(None)["runs"] == []


def test_one_studio_a_folder(tmp_path):
    places = places_in(tmp_path / "out")
    places.make()
    with locked(places):
        assert is_held(places.lock)
        with pytest.raises(InputError, match="no running studio"), locked(places):
            pass
    assert not is_held(places.lock)


def test_a_folder_that_cannot_be_one(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="--folder"):
        places_in(tmp_path / "file").make()


# Settings


@pytest.mark.parametrize(
    "choices, said",
    [
        ({"weights": "/etc/passwd"}, "--weights"),
        ({"weights": "../secret.npz"}, "--weights"),
        ({"init": "/etc/passwd"}, "--init"),
        ({"content_mask": "/etc/passwd", "style_mask": "/etc/passwd"}, "masks"),
        ({"style_weight": -1.0}, "--style_weight"),
        ({"style_layers": "none"}, "--style_layers"),
    ],
)
def test_settings_that_reach_outside_are_refused(atelier, choices, said):
    with pytest.raises(InputError, match=said):
        atelier.begin(**choices)
    assert not waiting_orders(atelier.places.orders)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_a_presets_own_settings_need_no_options(preset):
    values = dataclasses.asdict(make_settings(preset))
    assert differing(preset, values) == {}
    chosen = differing(preset, values | {"iter": 17, "style_weight": 3.5})
    assert chosen == {"iter": 17, "style_weight": 3.5}


# Uploads


@pytest.mark.parametrize(
    "name, data, said",
    [
        ("text.png", b"not a picture at all", "expected a picture"),
        ("empty.png", b"", "0 bytes"),
        ("bomb.png", png_that_claims(60_000, 60_000), "60 million pixels"),
        ("large.png", png_that_claims(9_000, 9_000), "60 million pixels"),
        ("page.html", b"<script>alert(1)</script>", "expected a picture"),
        ("small.png", None, "16 x 16"),
    ],
)
def test_uploads_that_are_refused(atelier, name, data, said):
    path = atelier.places.uploads / name
    if data is None:
        file = io.BytesIO()
        Image.new("RGB", (8, 8)).save(file, "PNG")
        data = file.getvalue()
    path.write_bytes(data)
    with pytest.raises(InputError, match=said) as raised:
        uploads.keep(path, atelier.places, "photograph")
    assert str(atelier.places.folder) not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_with_too_many_bytes(atelier, monkeypatch):
    path = atelier.places.uploads / "a.png"
    draw(48, 64, 3).save(path)
    monkeypatch.setattr(uploads, "LARGEST_FILE", 100)
    with pytest.raises(InputError, match="MB"):
        uploads.keep(path, atelier.places, "photograph")


def test_uploads_are_written_anew_pixel_for_pixel(atelier):
    path = atelier.places.uploads / "a b<c>.jpg"
    draw(48, 64, 3).save(path, exif=b"Exif\0\0secret place", comment=b"secret")
    kept = uploads.keep(path, atelier.places, "photograph")
    assert kept.parent == atelier.places.inputs and kept.suffix == ".png"
    assert b"secret" not in kept.read_bytes() and "<" not in kept.name
    with Image.open(kept) as new, Image.open(path) as old:
        assert np.array_equal(np.asarray(new), np.asarray(old))
    assert uploads.keep(kept, atelier.places, "photograph") == kept  # the same picture once more


def test_a_file_that_nobody_sent_is_refused(atelier, base):
    with pytest.raises(InputError, match="that was sent"):
        uploads.keep(base, atelier.places, "photograph")
    link = atelier.places.uploads / "link.png"
    link.symlink_to(base)
    with pytest.raises(InputError, match="that was sent"):
        uploads.keep(link, atelier.places, "photograph")


# Masks


def test_strokes_become_flat_regions(tmp_path):
    layer = np.zeros((20, 30, 4), np.uint8)
    layer[2:8, 3:9] = (*bytes.fromhex(brush.COLORS[0][1:]), 255)
    layer[10:15, 20:28] = (*bytes.fromhex(brush.COLORS[2][1:]), 200)
    layer[16:18, :] = (0, 0, 0, 30)  # hardly there
    file, bare = tmp_path / "layer.png", tmp_path / "bare.png"
    Image.fromarray(layer).save(file)
    Image.new("RGBA", (20, 20)).save(bare)
    mask = np.asarray(brush.mask_of([file]))
    expected = np.full((20, 30, 3), 255, np.uint8)
    expected[2:8, 3:9] = list(bytes.fromhex(brush.COLORS[0][1:]))
    expected[10:15, 20:28] = list(bytes.fromhex(brush.COLORS[2][1:]))
    assert np.array_equal(mask, expected)
    assert brush.mask_of([bare]) is None and brush.mask_of([]) is None
    assert brush.mask_of(None) is None


def test_masks_are_kept_for_each_painting(atelier):
    layer = np.zeros((40, 60, 4), np.uint8)
    layer[:20] = (*bytes.fromhex(brush.COLORS[1][1:]), 255)
    painted = [atelier.places.uploads / "layer.png"]
    Image.fromarray(layer).save(painted[0])
    chosen = brush.keep_masks(painted, [painted, None], atelier.places)
    paths = [chosen["content_mask"], *chosen["style_mask"].split(",")]
    assert len(paths) == 3 and all(Path(path).parent == atelier.places.inputs for path in paths)
    assert brush.keep_masks(None, [painted], atelier.places) == {}


# What the page is told


def test_curves_are_thinned_out_and_keep_the_last():
    @dataclasses.dataclass
    class Entry:
        number: int
        total: float
        terms: dict

    entries = [Entry(n, 1 / (n + 1), {"content": 0.5, "style": n}) for n in range(1003)]
    told = curves(entries)
    assert len(told["at"]) <= MOST_POINTS + 1 and told["at"][0] == 0 and told["at"][-1] == 1002
    for at, total in zip(told["at"], told["total"], strict=True):
        assert total == pytest.approx(1 / (at + 1), rel=1e-3)
    assert curves([])["at"] == []


def test_a_damaged_live_file_is_as_none(tmp_path):
    path = tmp_path / "a.json"
    for text in ("", "{", "[]", '{"unknown": 1}'):
        path.write_text(text)
        assert load_live(path) is None
    Live("painting", pid=7).save(path)
    assert load_live(path) == Live("painting", pid=7)


def test_both_languages_have_all_texts():
    english, chinese = LANGUAGES["en"], LANGUAGES["zh"]
    assert english.keys() == chinese.keys()
    for key, value in english.items():
        fields = {part.partition("}")[0] for part in value.split("{")[1:]}
        assert fields == {part.partition("}")[0] for part in chinese[key].split("{")[1:]}, key
    assert GROUPS["en"].keys() == GROUPS["zh"].keys()
    names = {item.name for item in dataclasses.fields(Settings)}
    assert {item.metadata["group"] for item in dataclasses.fields(Settings)} <= GROUPS["en"].keys()
    assert FIELDS["zh"].keys() == names - {"large_pictures"}
    assert FIELDS["en"].keys() <= names


# The command line


def test_the_command_line_is_refused_in_one_line(capsys, tmp_path, monkeypatch):
    import studio

    monkeypatch.chdir(tmp_path)
    for arguments, said in (
        (["--port", "x"], "--port"),
        (["--port", "70000"], "--port"),
        (["--jobs", "0"], "--jobs"),
        (["--password", "short"], "--password"),
        (["--folder", ""], "--folder"),
    ):
        try:
            code = studio.main(arguments)
        except SystemExit as ended:
            code = ended.code
        assert code == 2
        captured = capsys.readouterr().err
        assert captured.startswith("studio.py: error: ") and said in captured
        assert captured.count("\n") == 1
    assert os.listdir(tmp_path) in ([], ["out"])  # noqa: PTH208


def test_a_refused_start_leaves_nothing_behind(capsys, tmp_path):
    import studio

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert studio.main(["--folder", str(tmp_path / "new"), "--port", port]) == 2
    assert capsys.readouterr().err.count("\n") == 1  # of the port, or that Gradio is missing
    assert not (tmp_path / "new").exists()
