"""A browser's page on a studio, for the tests."""

import io
import os
import re
import shutil
from pathlib import Path

import pytest
from conftest import draw
from PIL import Image
from studio_server import Server

pytest.importorskip("gradio", reason="needs gradio: pip install -r requirements-studio.txt")
playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
if CHROMIUM is None:
    pytest.skip("needs Chromium: apt-get install chromium", allow_module_level=True)
ARGUMENTS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--use-fake-device-for-media-stream --use-fake-ui-for-media-stream"
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
        self.context.set_default_timeout(120_000)  # machines may be busy
        self.context.set_default_navigation_timeout(120_000)
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
