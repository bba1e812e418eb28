"""style_transfer/studio/guard.py: which requests are let through."""

import asyncio
import base64
import shutil

import pytest

from style_transfer.studio.guard import Guard, Refused, check_origin, check_path


def scope(path="/en/", method="GET", **headers):
    sent = {"host": "127.0.0.1:7860"} | {k.replace("_", "-"): v for k, v in headers.items()}
    return {
        "type": "http",
        "method": method,
        "path": path.partition("?")[0],
        "raw_path": path.encode("latin-1"),
        "headers": [(k.encode(), v.encode()) for k, v in sent.items()],
    }


async def inner(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"inside"})


def answer(guard: Guard, request: dict, *parts: bytes) -> int:
    """The status that a guard answers a request with."""
    sent, left = [], list(parts) or [b""]

    async def receive():
        body = left.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(left)}

    async def send(message):
        sent.append(message)

    asyncio.run(guard(request, receive, send))
    return sent[0]["status"]


def test_the_guard_lets_the_page_through():
    guard = Guard(inner, loopback=True)
    for path in (
        "/",
        "/en/",
        "/zh/",
        "/studio/state?run=0123456789abcdef",
        "/studio/static/studio.js",
        "/en/config",
        "/en/assets/index-abc_1.js",
        "/en/gradio_api/queue/data?session_hash=abc",
        "/en/gradio_api/heartbeat/abc123",
    ):
        assert answer(guard, scope(path)) == 200, path
    link = {
        "sec_fetch_site": "cross-site",
        "sec_fetch_mode": "navigate",
        "sec_fetch_dest": "document",
    }
    assert answer(guard, scope("/", **link)) == 200
    assert answer(guard, scope("/", host="localhost:1", origin="http://localhost:1")) == 200


@pytest.mark.parametrize(
    "request_, status",
    [
        (scope(host="evil.example"), 403),
        (scope(host="127.0.0.1.evil.example:7860"), 403),
        (scope(host=""), 403),
        (scope(origin="http://evil.example"), 403),
        (scope(origin="null"), 403),
        (scope(origin="http://127.0.0.1:7861"), 403),
        (scope(sec_fetch_site="cross-site"), 403),
        (scope(sec_fetch_site="same-site"), 403),
        (scope("/studio/runs/x/stop", "POST", origin="https://evil.example"), 403),
        (scope("/en/", "PUT"), 405),
        (scope("/en/", "OPTIONS"), 405),
        (scope("/../etc/passwd"), 400),
        (scope("/%2e%2e/etc/passwd"), 400),
        (scope("/studio/static/%252e%252e/x"), 400),
        (scope("/studio/static/..%5cx"), 400),
        (scope("/studio//etc"), 400),
        (scope("/studio/%00"), 400),
        (scope("/en/gradio_api/file=/a/../b"), 400),
        (scope("/" + "a" * 3000), 400),
        (scope("/en/monitoring"), 404),
        (scope("/en/gradio_api/proxy=http://x"), 400),
        (scope("/en/gradio_api/proxy=x"), 404),
        (scope("/en/gradio_api/vibe-edit/"), 404),
        (scope("/docs"), 404),
        (scope(content_length="999999999999"), 413),
        (scope(content_length="-1"), 400),
        (scope(content_length="x"), 400),
    ],
)
def test_the_guard_refuses(request_, status):
    assert answer(Guard(inner, loopback=True), request_) == status


def test_a_body_longer_than_announced_is_cut_off(monkeypatch):
    monkeypatch.setattr("style_transfer.studio.guard.LARGEST_MESSAGE", 100)
    guard = Guard(inner, loopback=True)
    assert answer(guard, scope(), b"x" * 60, b"x" * 30) == 200
    assert answer(guard, scope(), b"x" * 60, b"x" * 60) == 413


def test_nothing_more_is_taken_when_the_disk_is_full(tmp_path, monkeypatch):
    guard = Guard(inner, loopback=True, folder=tmp_path)
    upload = scope("/en/gradio_api/upload", "POST", content_length="10")
    stop = scope("/studio/runs/0123456789abcdef/stop", "POST")
    assert answer(guard, upload) == answer(guard, stop) == 200
    almost_full = shutil._ntuple_diskusage(1 << 40, (1 << 40) - 1000, 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: almost_full)
    assert answer(guard, upload) == 507
    assert answer(guard, stop) == answer(guard, scope("/en/")) == 200


def test_the_password_opens():
    guard = Guard(inner, loopback=False, password="correct horse")

    def header(text: str) -> dict:
        return {"authorization": "Basic " + base64.b64encode(text.encode()).decode()}

    assert answer(guard, scope(host="studio.example", **header("anybody:correct horse"))) == 200
    for wrong in (
        {},
        header("anybody:correct horsE"),
        header("anybody:"),
        header("correct horse"),
        {"authorization": "Basic ###"},
        {"authorization": "Bearer correct horse"},
    ):
        assert answer(guard, scope(host="studio.example", **wrong)) == 401


def test_refusals_are_raised_for_any_path_that_climbs():
    for path in ("/a/..", "/..%2f", "/%2e%2e%2f%2e%2e", "/en/assets/..%2f..%2fx", "/a\\..\\b"):
        with pytest.raises(Refused):
            check_path(scope(path))
    check_origin(
        scope(origin="http://127.0.0.1:7860"),
        {b"origin": "http://127.0.0.1:7860"},
        "127.0.0.1:7860",
    )
