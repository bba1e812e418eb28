"""The user's own copy of the original Keras example, run unchanged through legacy_keras.py."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from style_transfer import legacy_keras
from style_transfer.console import say
from style_transfer.errors import InputError
from style_transfer.pictures import load_picture
from style_transfer.runs.files import RunFiles, write_whole
from style_transfer.runs.pictures import write_picture
from style_transfer.runs.record import PROGRAM
from style_transfer.side_by_side import PaintedRun


@dataclass(frozen=True)
class Common:
    """What the original has in common with the other runs of a comparison.

    Attributes:
        paths: paths of the content picture and the style picture.
        filters: path of an .npz file.
        iterations: the number of iterations.
        folder: for temporary files.
    """

    paths: list[str]
    filters: str
    iterations: int
    folder: Path


def run_original(script: Path, prefix: Path, common: Common) -> PaintedRun:
    """Run the script in its own process.

    Losses and pictures of the iterations are read from the lines it prints; legacy_keras.py logs
    its evaluations. Its pictures are copied to the results, with this program's mark.

    Args:
        script: the example for Keras 1 or 2.
        prefix: how the pictures' names start.
        common: everything else.

    Raises:
        InputError: it ends early, or prints no losses and pictures.
    """
    log, errors = common.folder / "evaluations", common.folder / "errors"
    losses, pictures = [], []
    with closing(_lines(script, common, log, errors)) as lines:
        for line in lines:
            if found := re.match(r"Current loss value:\s*(\S+)", line):
                losses.append(float(found[1]))
            if found := re.match(r"Image saved as\s+(.*\S)", line):
                path = RunFiles(prefix).picture(len(pictures))
                _copy(Path(found[1]), path)
                pictures.append(str(path))
                line = f"Image saved as {path}"
            say(f"original: {line}", sys.stdout)
            if re.match(r"Iteration \d+ completed", line) and len(losses) == common.iterations:
                break
    if min(len(losses), len(pictures)) < common.iterations:
        last = (errors.read_text(errors="replace").strip().splitlines() or ["no error"])[-1]
        raise InputError(
            f"--original: expected a script that prints the losses and pictures of "
            f"{common.iterations} iterations. Received: {str(script)!r}, which printed "
            f"{len(losses)} and ended: {last}"
        )
    evaluations = [json.loads(line) for line in log.read_text().splitlines()]
    return PaintedRun(
        losses=[loss for _, _, loss in evaluations],
        seconds=[seconds for _, seconds, _ in evaluations],
        iteration=[iteration for iteration, _, _ in evaluations],
        iterations=losses,
        pictures=pictures,
        precision="float32",
    )


def _lines(script: Path, common: Common, log: Path, errors: Path) -> Generator[str, None, None]:
    """The lines that the script prints. Closing the iterator ends the script.

    This way a script without --iter (Keras 1.1) ends after the last iteration wanted.
    """
    arguments = [*common.paths, common.folder / "original"]
    if "--iter" in script.read_text(errors="replace"):
        arguments += ["--iter", common.iterations]
    # -P keeps the script from importing the modules of this package.
    command = [sys.executable, "-P", legacy_keras.__file__, script, common.filters, log, *arguments]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    with (
        errors.open("w") as stderr,
        subprocess.Popen(
            list(map(str, command)),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            errors="replace",
            env=environment,
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                yield line.rstrip()
        finally:
            process.terminate()


def _copy(picture: Path, path: Path) -> None:
    """Write a picture again at `path`, with this program's mark."""
    pixels = np.asarray(load_picture(picture, "--original").image)
    write_whole(path, lambda file: write_picture(file, pixels, "png", {"Software": PROGRAM}))
