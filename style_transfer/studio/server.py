"""The server: pages in each language, the routes, the guard around them."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from style_transfer.console import say
from style_transfer.errors import InputError
from style_transfer.studio.address import Address
from style_transfer.studio.places import Places, locked

NOT_INSTALLED = "studio.py needs Gradio: pip install -r requirements-studio.txt"


@dataclass(frozen=True)
class Commands:
    """The commands with which the server starts other processes.

    Attributes:
        paint: carries out an order; its file and the folder follow.
        deepen: writes a picture with 16 bits; a run's prefix and the file follow.
        networks: paints with style networks; see networks.py.
    """

    paint: Sequence[str]
    deepen: Sequence[str]
    networks: Sequence[str]


def serve(places: Places, at: Address, commands: Commands, jobs: int) -> None:
    """Serve the studio until it is interrupted.

    Args:
        places: the studio's places.
        at: where to listen.
        commands: see `Commands`.
        jobs: how many runs are painted at a time.

    Raises:
        InputError: the port or the folder is in use, or Gradio is missing.
    """
    prepare_environment(places)
    try:
        import gradio  # noqa: F401
        import uvicorn
    except ImportError:
        raise InputError(NOT_INSTALLED) from None
    from style_transfer.studio.app import make_app
    from style_transfer.studio.networks import Networks
    from style_transfer.studio.painter import Painter

    with listen(at) as listener, taken(places):
        painter = Painter(places, commands.paint, jobs)
        networks = Networks(places, commands.networks)
        app = make_app(places, painter, networks, at, commands.deepen)
        painter.start()
        port = listener.getsockname()[1]
        shown = f"[{at.host}]" if ":" in at.host else at.host
        if at.made_up:
            say(f"Password, with any name: {at.password}", sys.stdout)
        say(f"Studio: http://{shown}:{port}/  (Ctrl-C ends it)", sys.stdout)
        config = uvicorn.Config(
            app,
            log_level="error",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        try:
            uvicorn.Server(config).run(sockets=[listener])
        finally:
            painter.close()
            networks.close()


@contextmanager
def taken(places: Places) -> Iterator[None]:
    """Make the folders, and keep other studios out of them."""
    places.make()
    with locked(places):
        yield


def prepare_environment(places: Places) -> None:
    """Set variables that Gradio reads on import: no telemetry, uploads in the studio's folder."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["GRADIO_TEMP_DIR"] = str(places.uploads)
    os.environ.pop("GRADIO_SHARE", None)


def listen(at: Address) -> socket.socket:
    """Open a listening socket.

    Raises:
        InputError: the address cannot be used.
    """
    try:
        family, _, _, _, where = socket.getaddrinfo(at.host, at.port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(128)
    except OSError as error:
        raise InputError(
            f"--host, --port: expected an address of this machine that is free. "
            f"Received: {at.host}, {at.port} ({error.strerror or error})"
        ) from None
    return listener
