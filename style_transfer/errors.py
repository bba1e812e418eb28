"""Errors that are not the program's fault, and the exit codes."""

import enum


class InputError(ValueError):
    """A choice or a file of the user cannot be used.

    The message is written for the user: the argument, what was expected, "Received: …".
    """


def shown(value: object) -> str:
    """Any value as one line of at most 200 characters, for messages."""
    line = " ".join(repr(value).split())
    return line if len(line) <= 200 else f"{line[:199]}…"


class RunStopped(Exception):
    """A run stopped early, for a reason that the user can act on; it can be resumed."""


class NotFinite(RunStopped):
    """A term of the loss, or the gradient, is NaN or infinite."""


class OutOfMemory(RunStopped):
    """The backend could not allocate the memory for an evaluation."""


class ExitCode(enum.IntEnum):
    """What the scripts return to the shell."""

    DONE = 0
    STOPPED = 1  # the run had to stop; it can be resumed
    INPUT = 2  # the input cannot be used; nothing was written
    INTERRUPTED = 130  # Ctrl-C (128 + SIGINT)
    TERMINATED = 143  # 128 + SIGTERM
