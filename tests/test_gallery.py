"""gallery.py in this process: what it paints, what it refuses, its page."""

import json
import re
import shutil
from html.parser import HTMLParser
from urllib.parse import unquote

import numpy as np
import pytest
from conftest import draw
from galleries import ALL, OPTIONS, SMALL, Count, evaluations_of, paint, results
from PIL import Image

import gallery
import neural_style_transfer
from benchmarks.cluster import Picture, gallery_seconds
from style_transfer.errors import InputError
from style_transfer.events import Evaluated, StopRun


def test_each_cell_is_the_picture_and_record_of_the_script(folders):
    album, evaluations = paint(folders)
    assert evaluations == evaluations_of(folders / "out")
    assert list(results(folders / "out")) == ALL
    assert all(entry.status == "done" for entry in album.entries.values())
    sources_before = results(folders / "photos") | results(folders / "paintings")
    neural_style_transfer.transfer(
        folders / "photos" / "b.png", folders / "paintings" / "y.png", folders / "alone", **SMALL
    )
    alone = (folders / "alone.png").read_bytes()
    assert (folders / "out" / "b--y.png").read_bytes() == alone
    mine, other = (
        json.loads(path.read_bytes())
        for path in (folders / "out" / "b--y.json", folders / "alone.json")
    )
    for record in (mine, other):
        del record["checksum"], record["content"]["beside"], record["styles"][0]["beside"]
        for evaluation in record["evaluations"]:
            del evaluation["seconds"]
    assert mine == other
    # The script goes on with it.
    _, record = neural_style_transfer.resume(folders / "out" / "b--y", iter=3)
    assert len(record.iterations) == 3
    assert results(folders / "photos") | results(folders / "paintings") == sources_before


def test_the_same_command_paints_what_is_missing_or_changed(folders):
    paint(folders)
    before = results(folders / "out")
    assert paint(folders)[1] == 0
    (folders / "out" / "a--x.png").unlink()
    draw(40, 52, 77).save(folders / "photos" / "b.png")
    draw(40, 52, 78).save(folders / "photos" / "d.png")
    out = folders / "out"
    new = paint(folders)[1]
    assert new == sum(evaluations_of(out, pattern) for pattern in ("a--x", "b--*", "d--*"))
    after = results(out)
    assert {name for name in before if before[name] != after[name]} == {"b--x.png", "b--y.png"}
    assert paint(folders, style_weight=2.0)[1] == evaluations_of(out)
    assert paint(folders, style_weight=2.0)[1] == 0
    assert paint(folders, style_weight=2.0, force=True)[1] == evaluations_of(out)
    record = out / "a--x.json"
    record.write_text(record.read_text()[:-20])
    assert paint(folders, style_weight=2.0)[1] == evaluations_of(out, "a--x")


def test_filters_that_changed_paint_all_again(folders, filters_file, tmp_path):
    file = tmp_path / "filters.npz"
    shutil.copy(filters_file("vgg19"), file)
    paint(folders, weights=str(file))
    assert paint(folders, weights=str(file))[1] == 0
    with np.load(file) as arrays:
        changed = {name: array * 1.5 for name, array in arrays.items()}
    np.savez(file, **changed)
    assert paint(folders, weights=str(file))[1] == evaluations_of(folders / "out")


@pytest.mark.parametrize("after", [1, 7, 23])
def test_started_again_nothing_is_evaluated_twice(folders, after):
    count = Count(stop_after=after)
    with pytest.raises(StopRun):
        paint(folders, count=count)
    listed = json.loads((folders / "out" / "gallery.json").read_text())["cells"]
    assert {cell["status"] for cell in listed} <= {"done", "missing"}
    rest = paint(folders)[1]
    assert paint(folders, "whole")[1] == after + rest
    assert results(folders / "out") == results(folders / "whole")


def test_a_cell_with_a_lost_state_is_painted_again(folders):
    with pytest.raises(StopRun):
        paint(folders, count=Count(stop_after=3))
    for file in (folders / "out" / "a--x_state").glob("*.npy"):
        file.write_bytes(b"")
    album, _ = paint(folders)
    assert all(entry.status == "done" for entry in album.entries.values())
    paint(folders, "whole")
    assert results(folders / "out") == results(folders / "whole")


def test_a_worker_killed_early_leaves_nothing_in_the_way(folders):
    state = folders / "out" / "a--x_state"
    state.mkdir(parents=True)
    for name in ("lock", "about.txt.unfinished"):
        (state / name).touch()
    album, _ = paint(folders)
    assert all(entry.status == "done" for entry in album.entries.values())


def test_damaged_pictures_are_told_and_the_others_painted(folders, capsys):
    (folders / "photos" / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n garbage")
    (folders / "photos" / "d.png").write_bytes(b"")
    places = [str(folders / name) for name in ("photos", "paintings", "out")]
    assert gallery.main([*places, *OPTIONS]) == 1
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert lines[0].startswith("gallery.py: b--x and 1 more: PHOTOS: expected a whole picture")
    assert lines[1].startswith("gallery.py: d--x and 1 more: PHOTOS: expected a file with content")
    assert lines[2:] == [
        "gallery.py: stopped: 4 of 8 pictures could not be painted; run the same command again to "
        "continue"
    ]
    assert "8 of 8" in out
    assert list(results(folders / "out")) == [name for name in ALL if name[0] != "b"]
    page = (folders / "out" / "index.html").read_text()
    assert str(folders) not in page
    shutil.copy(folders / "photos" / "a.png", folders / "photos" / "b.png")
    (folders / "photos" / "d.png").unlink()
    assert gallery.main([*places, *OPTIONS, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert list(results(folders / "out")) == ALL


def test_pairs(folders):
    (folders / "photos" / "c.png").unlink()
    _, evaluations = paint(folders, pair=True)
    assert evaluations == evaluations_of(folders / "out")
    assert list(results(folders / "out")) == ["a--x.png", "b--y.png"]


def test_files_of_others_stay_as_they_are(folders):
    out = folders / "out"
    out.mkdir()
    mine = draw(20, 20, 5)
    mine.save(out / "a--x.png")
    album, _ = paint(folders)
    assert album.entries["a--x"].status == "failed"
    assert "a--x.png is not one of them" in album.entries["a--x"].error
    with Image.open(out / "a--x.png") as image:
        np.testing.assert_array_equal(image, mine)
    for name in ("gallery.json", "index.html"):
        other = folders / name[0]
        other.mkdir()
        (other / name).write_text("{}")
        with pytest.raises(
            InputError, match=f"OUT: expected a folder without somebody else's {name}"
        ):
            paint(folders, name[0])


def test_one_gallery_at_a_time(folders):
    refused = []

    def again(event):
        if isinstance(event, Evaluated) and not refused:
            with pytest.raises(InputError, match="OUT: expected one that no running gallery uses"):
                paint(folders)
            refused.append(True)

    places = [str(folders / name) for name in ("photos", "paintings", "out")]
    gallery.gallery(*places, on_event=again, **SMALL)
    assert refused
    assert not (folders / "out" / "gallery.lock").exists()


def test_pictures_on_the_way_are_removed(folders):
    paint(folders)
    assert not list((folders / "out").glob("*_at_iteration_*"))
    assert len(list((folders / "out").glob("*_state/*.npy"))) == len(ALL)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["--workers", "0"],
            "--workers: expected a number from 1 to 100,000, or auto. Received: '0'",
        ),
        (["--content_mask", "m.png", "--style_mask", "n.png"], "--content_mask: expected none"),
        (["--style_blend", "1,2"], "--style_blend: expected 1 weights"),
        (["--weights", "none.npz"], "--weights: expected an existing file"),
        (["--init", "none.png"], "--init: expected an existing file"),
        (["--preset", "none"], "--preset: expected one of"),
        (["--pair"], "--pair: expected as many photographs as paintings. Received: 3 and 2"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_code_2(folders, capsys, arguments, expected):
    places = [str(folders / name) for name in ("photos", "paintings", "out")]
    try:
        code = gallery.main([*places, *OPTIONS, *arguments])
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    assert capsys.readouterr().err.startswith(f"gallery.py: error: {expected}")
    assert not (folders / "out").exists()


class Page(HTMLParser):
    """Collects attributes of links and pictures, and checks that elements are closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.links, self.images = [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag == "img":
            self.images.append(attributes)
        if tag == "a":
            self.links.append(attributes["href"])
        assert tag != "script"
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_asks_for_nothing_from_elsewhere(folders):
    (folders / "photos" / "c.png").rename(folders / "photos" / 'c <&"> ü 100%.png')
    (folders / "photos" / "e.png").write_bytes(b"no picture")
    paint(folders)
    out = folders / "out"
    text = (out / "index.html").read_text()
    page = Page(text)
    assert len(page.links) == len(ALL)
    assert len(page.images) == len(ALL) + 3 + 2
    for name in page.links + [image["src"] for image in page.images]:
        assert (out / unquote(name)).is_file()
    assert all(image["alt"] for image in page.images)
    assert not re.search(r"https?:|//", text)
    draw(40, 50, 9).save(folders / "paintings" / "z.png")
    (folders / "photos" / "e.png").unlink()
    paint(folders, "pairs", pair=True)
    assert len(Page((folders / "pairs" / "index.html").read_text()).links) == 3


@pytest.mark.parametrize(
    ("picture", "a_second"),
    [
        (Picture(node=10.0, driver=0.001, there=1000, back=1000), 10.0),  # 100 nodes
        (Picture(node=10.0, driver=0.5, there=1000, back=1000), 2.0),  # the driver
        (Picture(node=10.0, driver=0.001, there=1000, back=10**6), 1.0),  # the network
    ],
)
def test_what_limits_a_simulated_gallery(picture, a_second):
    seconds = gallery_seconds(picture, nodes=100, pictures=5000, bandwidth=1e6)
    assert 5000 / seconds == pytest.approx(a_second, rel=0.05)


def test_one_simulated_node_does_one_thing_after_the_other():
    picture = Picture(node=2.0, driver=0.25, there=2000, back=4000)
    expected = 7 * (2.0 + 0.25 + 2 + 4)
    assert gallery_seconds(picture, nodes=1, pictures=7, bandwidth=1000) == pytest.approx(expected)
