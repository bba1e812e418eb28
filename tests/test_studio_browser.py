"""The studio in Chromium: painting, stopping, reloading, wrong files, a killed server."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import visitors
from atelier import png_that_claims
from conftest import draw
from PIL import Image
from studio_server import unbroken
from visitors import PHONE, Visitor

chromium, server, visitor = visitors.chromium, visitors.server, visitors.visitor  # fixtures


def test_paint_watch_stop_continue_download(visitor, server, tmp_path):
    page = visitor.page
    visitor.give_both()
    key = visitor.paint()
    visitor.until("painting")
    server.wait(lambda: page.wait_for_timeout(50) or visitor.changes() >= 3)
    assert visitor.status == "painting" and page.is_visible("#studio .curve svg")
    page.click("#studio .stop")
    visitor.until("stopped")
    stopped = server.state(key)["run"]
    page.click("#studio .continuing button")
    visitor.until("starting", "painting", "waiting")
    visitor.until("finished")
    done = server.state(key)["run"]
    assert done["iterations"] == list(range(6)) and done["evaluations"] > stopped["evaluations"]
    with page.expect_download() as download:
        page.click("#studio .links a >> nth=0")
    picture = Path(download.value.path()).read_bytes()
    assert picture == (server.folder / f"{done['name']}.png").read_bytes()
    assert picture == unbroken(server.folder, done["name"], tmp_path / "again")
    with page.expect_download() as download:
        page.click("#studio .links a >> nth=1")
    assert Path(download.value.path()).read_bytes()[24] == 16  # bits, in PNG's header


def test_undo_compare_and_take_the_settings(visitor, server):
    page = visitor.page
    visitor.give_both()
    page.fill("#strength input[type=number]", "0.5")
    page.press("#strength input[type=number]", "Tab")
    page.wait_for_timeout(500)
    key = visitor.paint()
    visitor.until("finished")
    run = server.state(key)["run"]
    assert run["content_weight"] == pytest.approx(0.035 / 10**0.5, rel=0.01)
    page.click("#studio [aria-pressed]")
    page.focus("#studio .cut")
    page.keyboard.press("Home")
    assert (
        page.evaluate("document.querySelector('#studio .frame').style.getPropertyValue('--cut')")
        == "0%"
    )
    page.focus("#studio .continuing input >> nth=0")
    page.keyboard.press("Home")
    server.wait(
        lambda: (
            page.wait_for_timeout(50) or "iterations/0" in page.get_attribute("#studio .now", "src")
        )
    )
    page.click("#studio .continuing button")
    visitor.until("starting", "painting")
    visitor.until("finished")
    assert server.state(key)["run"]["iterations"] == [0, 1, 2, 3]  # 3 more than the first
    visitor.open()
    page.goto(f"{server.address}/en/#run={key}")
    page.wait_for_selector("#studio .links a")
    page.click("#studio .bar button >> text=Use these settings")
    page.wait_for_selector("#photograph img")
    server.wait(
        lambda: (
            page.wait_for_timeout(50) or page.input_value("#strength input[type=number]") == "0.5"
        )
    )
    assert page.input_value("#size input[type=number]") == "96"


def test_a_reload_in_the_middle_finds_the_run(visitor, server):
    visitor.give_both()
    key = visitor.paint()
    visitor.until("painting")
    visitor.page.reload()
    visitor.page.wait_for_selector("#studio .easel")
    visitor.until("painting")
    assert visitor.key == key
    visitor.open()  # without the run in the address, too: it is the one that is painted
    visitor.until("painting", "finished")
    assert visitor.key == key


def test_two_browsers_at_once(visitor, chromium, server):
    other = Visitor(chromium, server, PHONE)
    visitor.give_both()
    other.give_both()
    first = visitor.paint()
    second = other.paint()
    assert first != second
    other.until("waiting")
    assert "1 ahead" in other.page.inner_text("#studio .status")
    visitor.until("finished")
    other.until("finished")
    for page in (visitor.page, other.page):
        server.wait(
            lambda page=page: (
                page.wait_for_timeout(50) or page.locator("#studio .runs li").count() == 2
            )
        )
    pictures = {
        (server.folder / f"{server.state(k)['run']['name']}.png").read_bytes()
        for k in (first, second)
    }
    assert len(pictures) == 1  # the same order twice
    assert other.page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    other.context.close()


@pytest.mark.parametrize(
    "data, said",
    [
        (b"no picture", "expected a picture"),
        (png_that_claims(60_000, 60_000), "million pixels"),
        (b"", "0 bytes"),
    ],
    ids=["text", "bomb", "empty"],
)
def test_a_wrong_file_gives_a_line(data, said, visitor):
    visitor.give("#photograph", data, "wrong.png")
    visitor.page.wait_for_selector(f"#line p:has-text('{said}')")
    visitor.give("#photograph", draw(72, 96, 1), "cat.png")
    visitor.page.wait_for_selector("#photograph img")
    visitor.page.wait_for_function("document.querySelector('#line p').textContent === ''")
    visitor.page.click("#paint")
    visitor.page.wait_for_selector("#line p:has-text('painting')")


@pytest.mark.parametrize("run_too", [False, True])
def test_a_killed_server_started_again(run_too, chromium, server, tmp_path):
    visitor = Visitor(chromium, server)
    visitor.give_both()
    key = visitor.paint()
    server.wait(lambda: visitor.page.wait_for_timeout(50) or visitor.changes() >= 2)
    run = server.state(key)["run"]
    server.kill()
    if run_too:
        live = json.loads((server.folder / ".studio/live" / f"{run['name']}.json").read_text())
        os.kill(live["pid"], signal.SIGKILL)
    visitor.page.wait_for_selector("#studio .lost:not([hidden])")
    server.start()
    visitor.open()
    visitor.page.goto(f"{server.address}/en/#run={key}")
    visitor.until("finished")
    result = (server.folder / f"{run['name']}.png").read_bytes()
    assert result == unbroken(server.folder, run["name"], tmp_path / "again")
    visitor.context.close()


def test_regions_are_painted_by_brush(visitor, server):
    page = visitor.page
    visitor.give_both()
    page.click("button >> text=Regions, painted by brush")
    for name in ("regions-photograph", "regions-painting"):
        canvas = page.locator(f"#{name} canvas").first
        canvas.scroll_into_view_if_needed()
        page.wait_for_timeout(1500)
        box = canvas.bounding_box()
        page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 0.45 * box["height"])
        page.mouse.down()
        page.mouse.move(box["x"] + 0.55 * box["width"], box["y"] + 0.5 * box["height"], steps=5)
        page.mouse.up()
    page.wait_for_timeout(500)
    key = visitor.paint()
    choices = server.wait(lambda: (server.state(key)["run"] or {}).get("choices"))
    mask = np.asarray(Image.open(choices["content_mask"]))
    colors = {tuple(color) for color in mask.reshape(-1, 3)}
    assert len(colors) == 2 and (255, 255, 255) in colors
