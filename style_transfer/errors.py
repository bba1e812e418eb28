"""What can go wrong that is no fault of the program, and the exit codes that tell of it."""

import enum


class InputError(ValueError):
    """A choice or a file of the user's that cannot be used.

    The message is written for the user: the argument, what was expected, "Received: …".
    """


def shown(value: object) -> str:
    """Any value as one line of at most 200 characters, for a message."""
    line = " ".join(repr(value).split())
    return line if len(line) <= 200 else f"{line[:199]}…"


class RunStopped(Exception):
    """A run stopped before its end, for a reason that the user can act on; it can be resumed."""


class NotFinite(RunStopped):
    """A term of the loss, or the gradient, is NaN or infinite."""


class OutOfMemory(RunStopped):
    """The backend could not allocate what an evaluation needs."""


class ExitCode(enum.IntEnum):
    """What the scripts return to the shell."""

    DONE = 0
    STOPPED = 1  # the run had to stop; it can be resumed
    INPUT = 2  # input that cannot be used; nothing was written
    INTERRUPTED = 130  # Ctrl-C (128 + SIGINT)
    TERMINATED = 143  # 128 + SIGTERM
