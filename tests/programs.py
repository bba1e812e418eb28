"""Starts the real program quickly, by way of served_program.py."""

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple


class Ended(NamedTuple):
    """How a run of the program ended."""

    code: int
    out: str
    err: str


class Program:
    """The real program, in forks of one process.

    Args:
        kind: `warm` or `cold`; see served_program.py.
        folder: for what it prints.
    """

    def __init__(self, kind: str, folder: Path):
        self.outputs = {name: str(folder / f"{kind}-{name}") for name in ("stdout", "stderr")}
        self.server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("served_program.py")), kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, arguments: list, folder: Path, **order) -> Ended:
        """Run the program in a folder; `order` as served_program.py takes it."""
        order |= {"arguments": list(map(str, arguments)), "folder": str(folder), **self.outputs}
        self.server.stdin.write(json.dumps(order) + "\n")
        self.server.stdin.flush()
        code = int(self.server.stdout.readline())
        return Ended(
            code, *(Path(p).read_text(errors="surrogateescape") for p in self.outputs.values())
        )

    def close(self) -> None:
        """End the process that forks are made of."""
        self.server.stdin.close()
        self.server.wait()
