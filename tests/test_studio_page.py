"""The studio's page in Chromium: languages, keyboard, accessibility, and ways to give a picture."""

import io
import re

import pytest
import visitors
from conftest import draw
from visitors import AXE, DESKTOP, PHONE, Visitor

chromium, server, visitor = visitors.chromium, visitors.server, visitors.visitor  # fixtures

# What a Chinese page may say in Latin letters: names, values of options, units.
LATIN = re.compile(
    r"English|Adam|Gatys|CVPR|GiB|JPEG|L-BFGS|PNG|TIFF|ReLU|adam|auto|bfloat16|block\d_conv\d|cat--night|"
    r"content|dpi|fast_style_transfer\.py|fitted|gray|imagenet|keep|mixed|nearest|noise|precondition|"
    r"random|refuse|tif|in|cm|conv|f\^-X"
)
LABELS = """() => {
  const seen = (e) => e.checkVisibility() && !["SCRIPT", "STYLE", "CODE"].includes(e.tagName);
  const found = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    if (seen(walker.currentNode.parentElement)) found.add(walker.currentNode.textContent.trim());
  }
  for (const name of ["aria-label", "title", "alt", "placeholder"]) {
    const named = [...document.querySelectorAll(`[${name}]`)].filter(seen);
    named.forEach((e) => found.add(e.getAttribute(name)));
  }
  return [...found];
}"""
# Numbers what Tab should reach, and tells of what has the focus.
FOCUSABLE = """() => {
  document.activeElement.blur();
  const kinds = "a[href], button, input, textarea, summary, [tabindex]";
  const all = [...document.querySelectorAll(kinds)]
    .filter((e) => e.checkVisibility({ checkVisibilityCSS: true }) && !e.disabled)
    .filter((e) => e.tabIndex >= 0 && e.type !== "file");
  all.forEach((e, n) => { e.dataset.n = n; });
  return all.map((e) => e.outerHTML.slice(0, 120));
}"""
FOCUSED = """() => {
  const e = document.activeElement;
  const style = getComputedStyle(e);
  const box = e.getBoundingClientRect();
  const ringed = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  const inside = box.bottom > 0 && box.top < innerHeight;
  return { n: Number(e.dataset.n ?? -1), told: e.outerHTML.slice(0, 120), ringed, inside };
}"""
DROP = """(bytes) => {
  const carried = new DataTransfer();
  carried.items.add(new File([new Uint8Array(bytes)], "dropped.png", { type: "image/png" }));
  const place = document.querySelector("#photograph .upload-container");
  for (const name of ["dragenter", "dragover", "drop"]) {
    const options = { dataTransfer: carried, bubbles: true, cancelable: true };
    place.dispatchEvent(new DragEvent(name, options));
  }
}"""
COPY = """async (bytes) => {
  const picture = new Blob([new Uint8Array(bytes)], { type: "image/png" });
  await navigator.clipboard.write([new ClipboardItem({ "image/png": picture })]);
}"""


def png(seed: int) -> list[int]:
    """The bytes of a small PNG."""
    file = io.BytesIO()
    draw(72, 96, seed).save(file, "PNG")
    return list(file.getvalue())


def unfold(page) -> None:
    """Open everything that is folded."""
    for button in page.query_selector_all("#form button.label-wrap"):
        if button.is_visible() and "open" not in button.get_attribute("class"):
            button.click()
            page.wait_for_timeout(200)
    page.click("#studio summary")
    page.wait_for_timeout(1000)


def test_all_of_the_page_is_in_chinese(chromium, server):
    visitor = Visitor(chromium, server, locale="zh-CN")
    page = visitor.page
    assert page.url.endswith("/zh/") and page.get_attribute("html", "lang") == "zh-CN"
    assert page.inner_text("#paint") == "开始绘制"
    assert "画架" in page.inner_text("#studio .empty")
    visitor.give_both()
    visitor.paint()
    visitor.until("finished")
    unfold(page)
    english = [
        label for label in page.evaluate(LABELS) if re.search("[A-Za-z]{2}", LATIN.sub("", label))
    ]
    assert english == []
    visitor.context.close()


def test_tab_reaches_everything_and_is_seen(visitor):
    page = visitor.page
    visitor.give_both()
    visitor.paint()
    visitor.until("finished")
    page.click("#studio [aria-pressed]")
    unfold(page)
    names = page.evaluate(FOCUSABLE)
    assert len(names) > 80
    reached, faint, outside = set(), set(), set()
    for _ in range(len(names) + 10):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        if focused["n"] < 0:
            continue
        reached.add(focused["n"])
        if not focused["ringed"] and "cut" not in focused["told"]:  # whose frame shows it
            faint.add(focused["told"])
        if not focused["inside"]:
            outside.add(focused["told"])
    assert [name for n, name in enumerate(names) if n not in reached] == []
    assert faint == set() and outside == set()


def test_a_picture_is_dropped(visitor):
    visitor.page.evaluate(DROP, png(3))
    visitor.page.wait_for_selector("#photograph img")


def test_a_picture_is_pasted(visitor):
    page = visitor.page
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate(COPY, png(4))
    page.click("#painting-1 button[aria-label='Paste from clipboard']")
    page.wait_for_selector("#painting-1 img")


def test_a_picture_is_taken_by_the_camera(visitor):
    page = visitor.page
    visitor.context.grant_permissions(["camera"])
    page.click("#photograph button[aria-label='Capture from camera']")
    page.click("#photograph button >> text=Access Webcam", timeout=10_000)
    page.wait_for_function(  # before its first frame, there is nothing to capture
        "() => document.querySelector('#photograph video')?.readyState >= 2"
    )
    page.click("#photograph button[aria-label*='capture photo' i]", timeout=10_000)
    page.wait_for_selector("#photograph img")


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
    unfold(visitor.page)
    assert visitor.axe() == []
    visitor.context.close()
