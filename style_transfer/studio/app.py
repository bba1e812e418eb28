"""The application: Gradio's pages, the studio's own routes, and the guard around both."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import gradio as gr
from fastapi import FastAPI

from style_transfer.studio.address import Address
from style_transfer.studio.desk import Desk
from style_transfer.studio.guard import Guard
from style_transfer.studio.library import Library
from style_transfer.studio.networks import Networks
from style_transfer.studio.page import Page, head
from style_transfer.studio.painter import Painter
from style_transfer.studio.places import Places
from style_transfer.studio.routes import STATIC, Routes, Studio
from style_transfer.studio.state import Teller
from style_transfer.studio.texts import LANGUAGES
from style_transfer.studio.uploads import LARGEST_FILE, keep

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = {"photo": "photo.jpg", "painting": "painting.jpg", "abstract": "abstract.jpg"}
FONTS = ["system-ui", "-apple-system", "Segoe UI", "Noto Sans", "Noto Sans CJK SC", "sans-serif"]
MONO = ["ui-monospace", "Menlo", "Consolas", "monospace"]
MOST_SESSIONS = 100  # pages whose forms Gradio remembers, 0.2 MB each
OLD = 24 * 3600  # seconds after which an upload is removed; files that runs need are in inputs/


def make_app(
    places: Places, painter: Painter, networks: Networks, at: Address, deepen: Sequence[str]
) -> Guard:
    """The whole application.

    Args:
        places: the studio's places, already made.
        painter: paints runs.
        networks: paint at once.
        at: the address where it will listen.
        deepen: the command that writes a picture with 16 bits.
    """
    logging.getLogger("httpx").setLevel(logging.WARNING)
    empty(places.uploads)
    library = Library(places, painter)
    desk = Desk(places, painter, library)
    teller = Teller(places, painter, library)
    samples_kept = kept_samples(places)
    studio = Studio(places, painter, library, desk, teller, networks, deepen, samples_kept)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.router.routes.extend(Routes(studio).all())
    for language in LANGUAGES:
        page = Page(studio, language)
        page.blocks.delete_cache = (3600, OLD)
        page.blocks.state_session_capacity = MOST_SESSIONS
        gr.mount_gradio_app(
            app,
            page.blocks,
            f"/{language}",
            server_name=at.host,
            footer_links=[],
            run_history=False,
            show_error=False,
            allowed_paths=[str(places.inputs)],
            max_file_size=LARGEST_FILE,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            theme=theme(),
            css_paths=[STATIC / "studio.css"],
            head=head(language),
        )
    return Guard(app, at.loopback, at.password, places.folder)


def theme() -> gr.themes.Base:
    """A plain theme with the machine's own fonts; colors come from studio.css."""
    return gr.themes.Base(font=FONTS, font_mono=MONO, radius_size="md", spacing_size="sm")


def samples() -> dict[str, Path]:
    """Pictures to try, if the program's folder has them."""
    found = {name: ROOT / "samples" / file for name, file in SAMPLES.items()}
    return {name: path for name, path in found.items() if path.is_file()}


def kept_samples(places: Places) -> dict[str, Path]:
    """The samples, copied to the studio's inputs, where runs may refer to them."""
    found = {}
    for name, path in samples().items():
        copy = places.uploads / path.name
        shutil.copyfile(path, copy)
        found[name] = keep(copy, places, name)
    return found


def empty(folder: Path) -> None:
    """Remove uploads that an earlier server left."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
