"""Ctrl-C and SIGTERM: stop a run after the current evaluation, or interrupt at once."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from style_transfer.events import Event, IterationDone, StopRun

NUMBERS = (signal.SIGINT, signal.SIGTERM)
# Signals this close together count as one: `timeout` and `uv run` signal both the group and the
# child.
ONE_WISH = 1.0  # seconds


class Signals:
    """Remembers the first signal received; as a run's listener, stops the run after it.

    Attributes:
        number: the signal's number, or None.
    """

    def __init__(self) -> None:
        self.number: int | None = None

    def __call__(self, event: Event) -> None:
        """Listen to an event: stop the run if a signal has arrived."""
        if self.number is not None and not isinstance(event, IterationDone):
            raise StopRun

    def received(self, number: int, first_at: float | None) -> None:
        """Process a signal; `first_at` is the time of the first one, or None."""
        if first_at is None:
            self.number = number
        elif time.monotonic() - first_at > ONE_WISH:
            os._exit(128 + number)  # files appear whole or not at all


@contextmanager
def stopping() -> Iterator[Signals]:
    """While this is open, the first signal stops the run, and a second ends the process.

    Python's own handlers wait until the main thread returns from the network's evaluation, so a
    separate thread reads the signals' numbers from a socket.
    """
    import socket

    heard = Signals()
    if threading.current_thread() is not threading.main_thread():
        yield heard  # only the main thread may set handlers
        return
    listener, speaker = socket.socketpair()  # on Windows, set_wakeup_fd does not take pipes
    listener.settimeout(None)  # whatever socket.setdefaulttimeout says
    speaker.setblocking(False)

    def wait() -> None:
        first_at = None
        while (data := listener.recv(1)) not in (b"", b"\0"):
            if data[0] in NUMBERS:
                heard.received(data[0], first_at)
                first_at = first_at or time.monotonic()

    thread = threading.Thread(target=wait, daemon=True)
    before = {number: signal.signal(number, lambda number, frame: None) for number in NUMBERS}
    wakeup = signal.set_wakeup_fd(speaker.fileno(), warn_on_full_buffer=False)
    thread.start()
    try:
        yield heard
    finally:
        signal.set_wakeup_fd(wakeup)
        _restore(before)
        speaker.send(b"\0")
        thread.join()
        listener.close()
        speaker.close()


@contextmanager
def interrupting() -> Iterator[Signals]:
    """While this is open, SIGTERM raises KeyboardInterrupt, as Ctrl-C does."""
    heard = Signals()
    if threading.current_thread() is not threading.main_thread():
        yield heard
        return

    def interrupt(number: int, frame: object) -> None:
        heard.number = number
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in NUMBERS}
    try:
        yield heard
    finally:
        _restore(before)


def _restore(handlers: dict) -> None:
    for number, handler in handlers.items():
        if handler is not None:  # None: not set from Python
            signal.signal(number, handler)
