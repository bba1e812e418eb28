"""The studio's page in Chromium: painting, stopping, reloading, wrong files, a killed server."""

import io
import json
import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest
from atelier import png_that_claims
from conftest import draw
from PIL import Image
from studio_server import Server, unbroken

pytest.importorskip("gradio", reason="needs gradio: pip install -r requirements-studio.txt")
playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")

CHROMIUM = next(filter(os.path.exists, ("/usr/bin/chromium", "/usr/bin/chromium-browser")), None)
if CHROMIUM is None:
    pytest.skip("needs Chromium: apt-get install chromium", allow_module_level=True)
ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
)
AXE = Path(os.environ.get("NST_AXE", "node_modules/axe-core/axe.min.js"))
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS.split())
        yield browser
        browser.close()


@pytest.fixture
def server(tmp_path):
    (tmp_path / "out").mkdir()
    made = Server(tmp_path / "out", sleep=0.08)
    yield made
    made.close()


class Visitor:
    """A browser's page on the studio.

    Args:
        browser: Chromium.
        server: the studio.
        viewport: of the window.
        locale: of the browser.
    """

    def __init__(self, browser, server, viewport=DESKTOP, locale="en-US"):
        self.server = server
        self.context = browser.new_context(viewport=viewport, locale=locale)
        self.page = self.context.new_page()
        self.errors, self.elsewhere = [], []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self._requested(request.url))
        self.open()

    def _requested(self, url: str) -> None:
        if not url.startswith((self.server.address, "data:", "blob:")):
            self.elsewhere.append(url)

    def open(self) -> None:
        self.page.goto(self.server.address)
        self.page.wait_for_selector("#studio .easel")
        self.page.wait_for_selector("#photograph input[type=file]", state="attached")

    def give(self, place: str, picture: Image.Image | bytes, name: str = "picture.png") -> None:
        """Upload a picture."""
        if isinstance(picture, Image.Image):
            file = io.BytesIO()
            picture.save(file, "PNG")
            picture = file.getvalue()
        file = {"name": name, "mimeType": "image/png", "buffer": picture}
        for _ in range(3):  # Gradio may not listen yet
            try:
                with self.page.expect_response(
                    lambda answer: "/upload" in answer.url, timeout=8000
                ):
                    self.page.set_input_files(f"{place} input[type=file]", file)
                return
            except playwright.TimeoutError:
                continue
        raise AssertionError("the page takes no file")

    def give_both(self, size: int = 96) -> None:
        """A photograph, a painting and a size."""
        self.give("#photograph", draw(72, 96, 1), "cat.png")
        self.page.wait_for_selector("#photograph img")
        self.give("#painting-1", draw(60, 80, 2), "night.png")
        self.page.wait_for_selector("#painting-1 img")
        self.page.fill("#size input[type=number]", str(size))
        self.page.press("#size input[type=number]", "Tab")

    def paint(self) -> str:
        """Press the button; the run's key."""
        before = self.key
        self.page.click("#paint")
        self.server.wait(lambda: self.page.wait_for_timeout(50) or self.key not in (None, before))
        return self.key

    @property
    def key(self) -> str | None:
        found = re.search(r"#run=(\w+)", self.page.url)
        return found and found[1]

    @property
    def status(self) -> str | None:
        return self.page.get_attribute("#studio .status", "data-status")

    def until(self, *statuses: str) -> None:
        self.server.wait(lambda: self.page.wait_for_timeout(50) or self.status in statuses)

    def changes(self) -> int:
        """How often the picture has changed."""
        return int(self.page.get_attribute("#studio .now", "data-changes") or 0)

    def axe(self) -> list[str]:
        """Serious findings of axe-core, one a line."""
        if not AXE.is_file():
            return []
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("axe.run()")["violations"]
        return [
            f"{item['id']}: {node['target']}"
            for item in found
            if item["impact"] in ("serious", "critical")
            for node in item["nodes"]
        ]


@pytest.fixture
def visitor(chromium, server):
    made = Visitor(chromium, server)
    yield made
    made.context.close()
    assert made.errors == [] and made.elsewhere == []


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


def test_the_page_in_chinese(chromium, server):
    visitor = Visitor(chromium, server, locale="zh-CN")
    assert visitor.page.url.endswith("/zh/")
    assert visitor.page.inner_text("#paint") == "开始绘制"
    assert visitor.page.get_attribute("html", "lang") == "zh-CN"
    assert "画架" in visitor.page.inner_text("#studio .empty")
    visitor.context.close()


@pytest.mark.skipif(not AXE.is_file(), reason="needs axe-core: npm install axe-core")
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_has_no_serious_finding(viewport, scheme, chromium, server):
    visitor = Visitor(chromium, server, viewport)
    visitor.page.emulate_media(color_scheme=scheme)
    visitor.open()
    assert visitor.axe() == []
    visitor.give_both()
    visitor.paint()
    visitor.until("painting")
    assert visitor.axe() == []
    visitor.until("finished")
    visitor.page.click("#studio summary")
    assert visitor.axe() == []
    visitor.context.close()
