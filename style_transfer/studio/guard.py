"""Refuses requests: foreign hosts and pages, wrong passwords, large bodies, odd paths.

This is pure ASGI around everything else: a refused request reaches neither Gradio nor the studio's
own routes.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from style_transfer.studio.address import LOOPBACK
from style_transfer.studio.uploads import LARGEST_FILE

LARGEST_BODY = LARGEST_FILE + (1 << 16)  # bytes: a picture and its envelope
LEAST_ROOM = 32 << 20  # free bytes on the disk below which nothing more is accepted
LARGEST_MESSAGE = 32 << 20  # bytes of any other request: masks come as text
LONGEST_PATH = 2000  # characters

# Those of Gradio's routes that the page needs.
GRADIO = re.compile(
    r"/(en|zh)/(|config|theme\.css|favicon\.ico|manifest\.json|pwa_icon(/\d+)?|"
    r"(assets|static|svelte)/[\w./@~+-]+|"
    r"gradio_api/(info|app_id|startup-events|theme\.css|upload|upload_progress|queue/(join|data)|"
    r"heartbeat/\w+|cancel|reset|component_server|file=.+))/?"
)
OURS = re.compile(r"/|/favicon\.ico|/studio/[\w./-]*")
# Gradio's page needs inline scripts and styles, and turns its components' code into functions.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "frame-src 'none'; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
FILE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"  # for files from users
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=()"),
)

Scope = dict[str, Any]
App = Callable[[Scope, Callable, Callable], Awaitable[None]]


class Refused(Exception):
    """A request is refused.

    Args:
        status: the response's status.
        line: the response's text.
    """

    def __init__(self, status: int, line: str):
        super().__init__(line)
        self.status, self.line = status, line


class Guard:
    """The middleware.

    Args:
        app: answers requests that are not refused.
        loopback: whether the server listens only on this machine; then it refuses other host names,
            which another site could have pointed at this machine (DNS rebinding).
        password: for all users, through HTTP's Basic scheme with any name; empty: none.
        folder: the folder on whose disk Gradio saves uploads; None: do not check its free space.
    """

    def __init__(self, app: App, loopback: bool, password: str = "", folder: Path | None = None):
        self.app, self.loopback, self.password, self.folder = app, loopback, password, folder

    async def __call__(self, scope: Scope, receive: Callable, send: Callable) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # the page uses no web sockets
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            self._check(scope, headers)
            if scope["method"] == "POST" and "/gradio_api/" in scope["path"]:
                self._check_room()
            limit = LARGEST_BODY if scope["path"].endswith("/upload") else LARGEST_MESSAGE
            limited = Limited(receive, limit, headers.get(b"content-length", "0"))
            await self.app(scope, limited, with_headers(scope["path"], send))
        except Refused as refused:
            await refuse(send, refused)

    def _check_room(self) -> None:
        if self.folder and shutil.disk_usage(self.folder).free < LEAST_ROOM:
            raise Refused(
                507, f"folder: expected {LEAST_ROOM >> 20} MB free on its disk. Received: fewer"
            )

    def _check(self, scope: Scope, headers: dict[bytes, str]) -> None:
        check_path(scope)
        host = headers.get(b"host", "")
        if self.loopback and host_name(host) not in (*LOOPBACK, "[::1]"):
            raise Refused(403, "this studio answers to its own machine only")
        check_origin(scope, headers, host)
        if self.password and not self._knows_password(headers.get(b"authorization", "")):
            raise Refused(401, "expected the studio's password")

    def _knows_password(self, header: str) -> bool:
        kind, _, value = header.partition(" ")
        if kind.lower() != "basic":
            return False
        try:
            _, _, given = base64.b64decode(value, validate=True).partition(b":")
        except (binascii.Error, ValueError):
            return False
        return hmac.compare_digest(given, self.password.encode())


def check_path(scope: Scope) -> None:
    """Refuse a path that the page does not use, or that tries to leave a folder."""
    raw = scope.get("raw_path") or scope["path"].encode()
    text = raw.decode("latin-1").partition("?")[0]
    for _ in range(3):  # %252e is a dot, too
        text = unquote(text)
    parts = re.split(r"[/\\]", text)
    odd = ".." in parts or "\\" in text or "\0" in text or "//" in text
    if odd or len(raw) > LONGEST_PATH or any(ord(letter) < 32 for letter in text):
        raise Refused(400, "expected a path without tricks")
    if scope["path"].startswith(("/en/gradio_api/file=", "/zh/gradio_api/file=")):
        return  # an absolute path, which Gradio accepts only for files that it was given
    if not (OURS.fullmatch(scope["path"]) or GRADIO.fullmatch(scope["path"])):
        raise Refused(404, "no such page")


def check_origin(scope: Scope, headers: dict[bytes, str], host: str) -> None:
    """Refuse requests from another site's page, except for following a link to the studio."""
    origin = headers.get(b"origin")
    own = origin is None or urlsplit(origin).netloc == host
    site = headers.get(b"sec-fetch-site", "same-origin")
    followed = (
        scope["method"] == "GET"
        and headers.get(b"sec-fetch-mode") == "navigate"
        and headers.get(b"sec-fetch-dest") == "document"
        and "gradio_api" not in scope["path"]
    )
    if not own or (site not in ("same-origin", "none") and not followed):
        raise Refused(403, "this request comes from another site's page")
    if scope["method"] not in ("GET", "HEAD", "POST"):
        raise Refused(405, "expected GET, HEAD or POST")


def host_name(host: str) -> str:
    """The name in a Host header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


class Limited:
    """Receives a request's body, up to a number of bytes."""

    def __init__(self, receive: Callable, limit: int, announced: str):
        self._receive, self._left = receive, limit
        if not announced.isdecimal():
            raise Refused(400, "expected the length of the request as a number")
        if int(announced) > limit:
            raise Refused(413, f"expected at most {limit >> 20} MB")

    async def __call__(self) -> dict:
        """The next message."""
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise Refused(413, "expected fewer bytes")
        return message


def with_headers(path: str, send: Callable) -> Callable:
    """Send with headers that let a browser do no more than the page needs."""
    sent_by_people = "/gradio_api/file=" in path
    policy = FILE_POLICY if sent_by_people else POLICY
    added = [*HEADERS, (b"content-security-policy", policy.encode())]

    async def sending(message: dict) -> None:
        if message["type"] == "http.response.start":
            names = {name for name, _ in added}
            kept = [
                (name, value)
                for name, value in message.get("headers", [])
                if name.lower() not in names and not name.lower().startswith(b"access-control-")
            ]
            message = {**message, "headers": [*kept, *added]}
        await send(message)

    return sending


async def refuse(send: Callable, refused: Refused) -> None:
    """Answer with a line."""
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *HEADERS, (b"connection", b"close")]
    if refused.status == 401:
        headers.append((b"www-authenticate", b'Basic realm="studio", charset="UTF-8"'))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": refused.line.encode()})
