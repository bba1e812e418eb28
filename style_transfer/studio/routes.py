"""The studio's own routes: state for the page's script, pictures, downloads, stop and continue."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from style_transfer.errors import InputError
from style_transfer.studio.desk import Desk
from style_transfer.studio.library import Found, Library, picture_file, settings_of, source_file
from style_transfer.studio.networks import Networks
from style_transfer.studio.painter import Painter
from style_transfer.studio.places import Places
from style_transfer.studio.state import Teller
from style_transfer.studio.thumbnails import Thumbnails

STATIC = Path(__file__).parent / "static"
THUMBNAIL, SCREEN = 320, 1600  # pixels of the long side
LARGEST_FORM = 4096  # bytes that the page's script may post
FOREVER = {"cache-control": "private, max-age=31536000, immutable"}  # the address has a version
NEVER = {"cache-control": "no-store"}


@dataclass(frozen=True)
class Studio:
    """The objects that the routes use.

    Attributes:
        places, painter, library, desk, teller, networks: see their files.
        deepen: the command that writes a picture with 16 bits.
        samples: pictures to try, by name.
    """

    places: Places
    painter: Painter
    library: Library
    desk: Desk
    teller: Teller
    networks: Networks
    deepen: Sequence[str]
    samples: dict[str, Path]


class Routes:
    """The answers to the routes.

    Args:
        studio: see `Studio`.
    """

    def __init__(self, studio: Studio):
        self.studio = studio
        self.thumbnails = Thumbnails()

    def all(self) -> list:
        """The routes, for Starlette."""
        run = "/studio/runs/{key}"
        return [
            Route("/", self.home),
            Route("/favicon.ico", self.icon),
            Route("/studio/state", self.state),
            Route("/studio/static/{name}", self.static),
            Route("/studio/samples/{name}", self.sample),
            Route(run + "/picture", self.picture),
            Route(run + "/thumbnail", self.thumbnail),
            Route(run + "/photograph", self.photograph),
            Route(run + "/iterations/{number:int}", self.iteration),
            Route(run + "/download/{what}", self.download),
            Route(run + "/stop", self.stop, methods=["POST"]),
            Route(run + "/continue", self.go_on, methods=["POST"]),
        ]

    async def home(self, request: Request) -> Response:
        """The page in the browser's language."""
        return RedirectResponse(f"/{language_of(request.headers.get('accept-language', ''))}/")

    async def icon(self, request: Request) -> Response:
        """The browser's icon."""
        return FileResponse(STATIC / "icon.svg", media_type="image/svg+xml")

    async def static(self, request: Request) -> Response:
        """The page's script and style."""
        name = request.path_params["name"]
        known = {path.name: path for path in STATIC.iterdir()}
        if name not in known:
            return missing()
        return FileResponse(known[name], headers={"cache-control": "no-cache"})

    async def sample(self, request: Request) -> Response:
        """A small sample picture."""
        path = self.studio.samples.get(request.path_params["name"])
        return await self._small(path, THUMBNAIL)

    async def state(self, request: Request) -> Response:
        """All runs in brief, one in detail; nothing if the browser already has it."""
        key = request.query_params.get("run")
        told = await run_in_threadpool(self.studio.teller.state, key)
        text = json.dumps(told, separators=(",", ":"))
        mark = f'"{hash(text) & (1 << 64) - 1:x}"'
        if request.headers.get("if-none-match") == mark:
            return Response(status_code=304, headers={"etag": mark, **NEVER})
        return Response(text, media_type="application/json", headers={"etag": mark, **NEVER})

    async def picture(self, request: Request) -> Response:
        """A run's current picture at the size of a screen."""
        found = await self._found(request)
        path = await run_in_threadpool(self.studio.teller.shown, found) if found else None
        if path and path.suffix == ".jpg":
            return FileResponse(path, media_type="image/jpeg", headers=FOREVER)
        return await self._small(path, SCREEN)

    async def thumbnail(self, request: Request) -> Response:
        """A run's current picture, small."""
        found = await self._found(request)
        path = await run_in_threadpool(self.studio.teller.shown, found) if found else None
        return await self._small(path, THUMBNAIL)

    async def photograph(self, request: Request) -> Response:
        """The photograph that a run repaints, if it is in the folder."""
        found = await self._found(request)
        if found is None or found.record is None:
            return missing()
        path = source_file(self.studio.places, found, found.record.content)
        return await self._small(path, SCREEN)

    async def iteration(self, request: Request) -> Response:
        """The picture of an iteration."""
        found = await self._found(request)
        number = request.path_params["number"]
        return await self._small(picture_file(found, number) if found else None, SCREEN)

    async def _small(self, path: Path | None, side: int) -> Response:
        data = path and await run_in_threadpool(self.thumbnails.of, path, side)
        return Response(data, media_type="image/jpeg", headers=FOREVER) if data else missing()

    async def download(self, request: Request) -> Response:
        """The result, the result with 16 bits per channel, the settings, or the commands."""
        found, what = await self._found(request), request.path_params["what"]
        if found is None or found.record is None:
            return missing()
        name = Path(found.run).name
        if what == "settings":
            told = {"preset": found.record.preset, **settings_of(found.record)}
            return attachment(
                json.dumps(told, indent=1), "application/json", f"{name}.settings.json"
            )
        if what == "16bit":
            path = await run_in_threadpool(self._deepened, found)
            name = f"{name}-16bit.png"
        elif what == "picture":
            path = picture_file(found)
            name = path.name if path else ""
        else:
            return missing()
        if path is None:
            return missing()
        return FileResponse(path, filename=name, headers=NEVER)

    def _deepened(self, found: Found) -> Path | None:
        """The last iteration with 16 bits per channel, made by a separate process."""
        record = found.record
        if record is None or not record.iterations:
            return None
        if record.settings.output == "png16" and record.status == "finished":
            return picture_file(found)
        target = self.studio.places.live / f"{found.key}.16bit.png"
        command = [*self.studio.deepen, str(found.files.prefix), str(target)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=300)
        return target if done.returncode == 0 and target.is_file() else None

    async def stop(self, request: Request) -> Response:
        """Stop a run; it keeps its picture."""
        if refusal := await posted(request, {}):
            return refusal
        found = await self._found(request)
        if found is None or not await run_in_threadpool(self.studio.painter.stop, found.run):
            return missing()
        self.studio.library.look_again()
        return JSONResponse({})

    async def go_on(self, request: Request) -> Response:
        """Continue a run: more iterations, another loss weight, back to an earlier iteration."""
        form: dict[str, Any] = {}
        if refusal := await posted(request, form):
            return refusal
        found = await self._found(request)
        if found is None:
            return missing()
        try:
            numbers = checked_form(form)
            await run_in_threadpool(lambda: self.studio.desk.resume(found, **numbers))
        except InputError as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        except OSError as error:
            return JSONResponse({"error": f"folder: {error.strerror}"}, status_code=507)
        return JSONResponse({})

    async def _found(self, request: Request) -> Found | None:
        return await run_in_threadpool(self.studio.library.find, request.path_params["key"])


NUMBERS: dict[str, Callable] = {"more": int, "from_iteration": int, "content_weight": float}


def checked_form(form: dict[str, Any]) -> dict[str, Any]:
    """The numbers for continuing a run.

    Raises:
        InputError: a name is unknown, or a value is not a number.
    """
    found = {}
    for name, value in form.items():
        if name not in NUMBERS:
            raise InputError(f"{name}: expected one of {', '.join(NUMBERS)}. Received: {name!r}")
        if value is None:
            continue
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or NUMBERS[name](value) != value:
            raise InputError(f"{name}: expected a number. Received: {str(value)[:40]!r}")
        found[name] = NUMBERS[name](value)
    return found


async def posted(request: Request, form: dict[str, Any]) -> Response | None:
    """Read a JSON object into `form`; returns an error response if there is none.

    Only JSON is accepted, because another site's form cannot send it.
    """
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        return Response("expected JSON", status_code=415)
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_FORM:
            return Response("expected fewer bytes", status_code=413)
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return Response("expected JSON", status_code=400)
    if not isinstance(content, dict):
        return Response("expected an object", status_code=400)
    form.update(content)
    return None


def language_of(accepted: str) -> str:
    """`zh` or `en`, whichever a browser's Accept-Language prefers."""
    weights = {"en": 0.0, "zh": 0.0}
    for part in accepted.split(","):
        name, _, quality = part.strip().partition(";q=")
        name = name.partition("-")[0].lower()
        try:
            weight = float(quality or 1)
        except ValueError:
            continue
        if name in weights:
            weights[name] = max(weights[name], weight)
    return "zh" if weights["zh"] > weights["en"] else "en"


def attachment(text: str, kind: str, name: str) -> Response:
    """A text as a file to save."""
    safe = "".join(letter if letter.isascii() and letter.isprintable() else "_" for letter in name)
    safe = safe.replace('"', "_").replace("\\", "_")
    return Response(
        text,
        media_type=kind,
        headers={"content-disposition": f'attachment; filename="{safe}"', **NEVER},
    )


def missing() -> Response:
    """The response if there is nothing."""
    return Response("no such thing", status_code=404, media_type="text/plain", headers=NEVER)
