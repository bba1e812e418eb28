"""Runs of `light_program.py`, the program with a NumPy objective in the network's place."""

import dataclasses
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from style_transfer.runs import resume as rules
from style_transfer.runs.files import RunFiles
from style_transfer.runs.record import Record

HERE = Path(__file__).parent
LIGHT = [sys.executable, str(HERE / "light_program.py")]
SIZE = ["--height", "64", "--iter", "3", "--evaluations", "10"]
SCALES = [*SIZE, "--scales", "0.5:1,1:2"]
JOBS = {
    "coarse to fine": SCALES,
    "adam": [*SCALES, "--optimizer", "adam"],
    "preconditioned": [*SCALES, "--precondition", "0.25"],
    "memory restarts": ["--preset", "keras-2", "--weights", "random", *SIZE],
}


def load_record(prefix) -> Record:
    return rules.load_record(RunFiles(Path(prefix)))


def draw_pictures(folder: Path) -> None:
    rng = np.random.default_rng(5)
    for name, size in (("base", (72, 64)), ("style", (60, 80)), ("other", (72, 64))):
        colours = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        colours.resize(size, Image.Resampling.BICUBIC).save(folder / f"{name}.png")


def outcome(prefix) -> tuple:
    """The result's bytes, and the losses of all evaluations and iterations."""
    record = load_record(prefix)
    assert record.status == "finished"
    losses = [dataclasses.replace(entry, seconds=0) for entry in record.evaluations]
    return Path(f"{prefix}.png").read_bytes(), losses, record.iterations


class Light:
    """A folder with pictures, and the light program to run in it, in forks of one process."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.runs = 0
        self.wholes = {}
        self.base, self.style = str(folder / "base.png"), str(folder / "style.png")
        draw_pictures(folder)
        self.server = subprocess.Popen(
            [*LIGHT, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, faults: dict, *arguments) -> int:
        """Start the program; returns its process's id. To be followed by `end`."""
        command = [faults, list(map(str, arguments)), *map(str, self.outputs)]
        self.server.stdin.write(json.dumps(command) + "\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline())

    def end(self) -> tuple[int, str, str]:
        """Wait for the program; returns its exit code and what it printed, out and err."""
        code = int(self.server.stdout.readline())
        return code, *(path.read_text() for path in self.outputs)

    @property
    def outputs(self) -> list[Path]:
        return [self.folder / "stdout", self.folder / "stderr"]

    def run(self, faults: dict, *arguments) -> tuple[int, str, str]:
        self.start(faults, *arguments)
        return self.end()

    def begin(self, faults: dict, prefix, *options) -> tuple[int, str, str]:
        return self.run(faults, self.base, self.style, prefix, *(options or SCALES))

    def finish(self, prefix, *options) -> str:
        """Resume to the end; returns what was printed."""
        code, said, errors = self.run({}, "--resume", prefix, *options)
        assert (code, errors) == (0, ""), errors
        return said

    def prefix(self) -> Path:
        """A new one, in a folder of its own."""
        self.runs += 1
        folder = self.folder / str(self.runs)
        folder.mkdir()
        return folder / "run"

    def whole(self, job: str = "coarse to fine") -> Path:
        """The prefix of an uninterrupted run."""
        if job not in self.wholes:
            self.wholes[job] = prefix = self.prefix()
            code, _, errors = self.begin({}, prefix, *JOBS[job])
            assert (code, errors) == (0, ""), errors
        return self.wholes[job]

    def killed(self, *options, evaluation: int = 25, **faults) -> Path:
        """The prefix of a run killed at an evaluation; by default in the middle of full size."""
        prefix = self.prefix()
        code, _, _ = self.begin(
            {"evaluation": evaluation, "do": "kill", **faults}, prefix, *options
        )
        assert code == -signal.SIGKILL
        return prefix


def one_line(errors: str, *parts: str) -> None:
    assert errors.count("\n") == 1 and errors.startswith("neural_style_transfer.py: "), errors
    for part in parts:
        assert part in errors, errors


def files_of(prefix: Path) -> dict[str, bytes]:
    folder = prefix.parent
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("lock", "about.txt")
    }


def saved_files_are_whole(prefix: Path) -> None:
    """Every picture opens; the record, where there is one, and its images are what was saved."""
    for path in prefix.parent.glob("*.png"):
        Image.open(path).load()
    if Path(f"{prefix}.json").exists():
        for entry in load_record(prefix).iterations:
            np.load(f"{prefix}_state/iteration_{entry.number}.npy")
            assert Path(f"{prefix}_at_iteration_{entry.number}.png").exists()
