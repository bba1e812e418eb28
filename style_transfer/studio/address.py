"""Where the studio's server listens."""

import secrets
from dataclasses import dataclass

from style_transfer.errors import InputError

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Address:
    """Where the server listens.

    Attributes:
        host: a name or address of this machine.
        port: the port; 0 takes a free one.
        password: for all users; empty: none, only on loopback.
        made_up: whether the program chose the password and must print it.
    """

    host: str
    port: int
    password: str = ""
    made_up: bool = False

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in LOOPBACK


def address(host: str, port: int, password: str | None) -> Address:
    """The address for the user's choices; always with a password unless it is loopback.

    Raises:
        InputError: the password is too short.
    """
    if password is not None and len(password) < 8:
        raise InputError(
            f"--password: expected at least 8 characters. Received: {len(password)} of them"
        )
    if password is None and host not in LOOPBACK:
        return Address(host, port, secrets.token_urlsafe(12), made_up=True)
    return Address(host, port, password or "")
