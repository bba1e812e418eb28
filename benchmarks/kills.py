"""Kills runs at random moments and resumes them: how many are lost, how many differ.

    python benchmarks/kills.py --rounds 1000

Each round draws a preset, an optimizer, a source of filters and a format, starts the program, kills
it (SIGKILL) at a random moment, resumes it, kills the resumed run up to three more times, and lets
the last one finish. Pictures, images in full precision, and losses are compared with those of the
same run without kills. Most rounds use a light NumPy objective instead of the network, in a process
forked after all imports (so not on Windows); a share of them, --real, runs the real program.
Filters from a .pth file are included if PyTorch is installed. Prints how many runs were lost or
different; the exit code is 1 unless both are 0.
"""

import argparse
import contextlib
import dataclasses
import hashlib
import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

try:
    from benchmarks import common
    from benchmarks.light import imagenet_path, make_inputs
except ModuleNotFoundError:
    if __package__:
        import benchmarks.not_installed  # noqa: F401
    else:
        import not_installed  # noqa: F401 (either ends the process)

from style_transfer.arguments import Parser, underscored
from style_transfer.console import say
from style_transfer.errors import RunStopped
from style_transfer.presets import PRESETS
from style_transfer.programs import run_program

NAME = "kills.py"
SOURCES = ("random", "fitted", "auto", "imagenet", "npz", "h5", "mat")
SOURCES += ("pth",) if importlib.util.find_spec("torch") else ()
OPTIMIZERS = ("lbfgs", "adam")
FORMATS = ("png", "png16", "tiff16")
SIZES = ("0.6:1,1:1", "1")
MORE_KILLS = 3  # of a run after the first, at most
PATIENCE = 300  # seconds that a run may take
SMALL = {  # pictures and networks that take a fraction of a second
    "height": 40,
    "iter": 4,
    "evaluations": 5,
    "precision": "float32",
    "content_layers": "block1_conv2",
    "style_layers": "block1_conv1",
    "histogram_layers": "block1_conv1",
}

UNATTENDED = ["--quiet", "--force"]  # another program may leave no memory for a moment


@dataclass(frozen=True)
class Way:
    """One kind of run.

    Attributes:
        preset: a key of `PRESETS`.
        optimizer: one of `OPTIMIZERS`.
        source: the source of the filters, one of `SOURCES`.
        output: one of `FORMATS`.
        scales: one of `SIZES`.
        real: whether the network is real.
    """

    preset: str
    optimizer: str
    source: str
    output: str
    scales: str
    real: bool

    def command(self, folder: Path, prefix: Path) -> list[str]:
        """Arguments of the program, with the inputs in a folder."""
        network = PRESETS[self.preset].get("network", "vgg19")
        files = {kind: folder / f"{network}.{kind}" for kind in ("npz", "mat", "pth")}
        files["h5"] = imagenet_path(folder / "keras", network)
        options = {
            **SMALL,
            **dataclasses.asdict(self),
            "weights": files.get(self.source, self.source),
        }
        del options["source"], options["real"]
        paths = [str(folder / "base.png"), str(folder / "style.png"), str(prefix)]
        return paths + [f"--{name}={value}" for name, value in options.items()] + UNATTENDED


@dataclass
class Unbroken:
    """The results of a run that is not killed, and the seconds it takes."""

    results: dict[str, str]
    seconds: float


@dataclass
class Tally:
    """The results so far."""

    rounds: int = 0
    kills: int = 0
    ended_first: int = 0  # runs that ended before the kill
    lost: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)

    def line(self) -> str:
        """The numbers in one line."""
        return (
            f"{self.rounds} rounds, {self.kills} kills ({self.ended_first} runs ended before "
            f"theirs): lost {len(self.lost)}, different {len(self.different)}"
        )

    def lose(self, line: str) -> None:
        """Note a run that is lost, and print it at once."""
        self.lost.append(line)
        say(f"lost: {line}", sys.stdout)


class Programs:
    """Starts the program, light or real, and kills it.

    Args:
        folder: for the inputs and everything that is written.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.errors = folder / "errors"
        self.checksums = make_inputs(folder)
        self.environment = {
            **os.environ,
            "KERAS_HOME": str(folder / "keras"),
            "OPENBLAS_NUM_THREADS": "1",  # spinning threads slow small work down
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        self.server = self._start("serve", stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def _start(self, *arguments: str, **options) -> subprocess.Popen:
        command = [sys.executable, "-m", "benchmarks.light", json.dumps(self.checksums), *arguments]
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            text=True,
            env=self.environment,
            cwd=common.FOLDER,
            **options,
        )

    def run(self, light: bool, arguments: list[str], kill_after: float | None) -> tuple[int, float]:
        """(exit code, seconds) of one start; −9 means killed.

        Args:
            light: run the program without a network.
            arguments: the program's arguments.
            kill_after: seconds after which to kill it; None lets it finish.
        """
        if light:
            self.server.stdin.write(json.dumps([arguments, str(self.errors)]) + "\n")
            self.server.stdin.flush()
            line = self.server.stdout.readline()
            if not line:
                raise RunStopped("the process that forks the light program has ended")
            process, started = int(line), time.monotonic()
            wait = self.server.stdout.readline
        else:
            with self.errors.open("w") as stderr:
                real = self._start("run", *arguments, stderr=stderr)
            process, started = real.pid, time.monotonic()
            wait = real.communicate
        timer = Timer(process, PATIENCE if kill_after is None else kill_after)
        try:
            answer = wait()
        except BaseException:  # after Ctrl-C, nothing should keep painting
            timer.kill()
            raise
        finally:
            timer.cancel()
        return (int(answer) if light else real.returncode), time.monotonic() - started

    def last_error(self) -> str:
        """The last line that the program wrote to standard error."""
        return (self.errors.read_text(errors="replace").strip().splitlines() or ["no error"])[-1]

    def close(self) -> None:
        """End the server."""
        self.server.kill()
        self.server.wait()


class Timer:
    """Kills a process after some seconds, unless it is canceled before."""

    def __init__(self, process: int, seconds: float):
        self._process = process
        self._timer = threading.Timer(seconds, self.kill)
        self._timer.daemon = True
        self._timer.start()

    def kill(self) -> None:
        """Kill it now."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process, signal.SIGKILL)

    def cancel(self) -> None:
        """Do not kill it anymore."""
        self._timer.cancel()


def results_of(prefix: Path) -> dict[str, str]:
    """A run's results by name: SHA-256 of its pictures and images, and its losses."""
    record = json.loads(prefix.with_name(f"{prefix.name}.json").read_text())
    losses = [entry["total"] for entry in record["evaluations"]]
    files = [*prefix.parent.glob(f"{prefix.name}*.*"), *Path(f"{prefix}_state").glob("*.npy")]
    found = {
        str(file.relative_to(prefix.parent)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if file.suffix != ".json"
    }
    return found | {"losses": repr(losses), "status": record["status"]}


def draw_way(rng: random.Random, real: float) -> Way:
    """Draw a kind of run; `real` is the share of runs with a network."""
    options = [rng.choice(list(values)) for values in (PRESETS, OPTIMIZERS, SOURCES)]
    return Way(*options, rng.choice(FORMATS), rng.choice(SIZES), rng.random() < real)


def play(way: Way, programs: Programs, unbroken: Unbroken, rng: random.Random, tally: Tally):
    """One round: start, kills, resumes, and the comparison; entered into `tally`."""
    prefix = programs.folder / "out" / "killed"
    shutil.rmtree(prefix.parent, ignore_errors=True)
    begin, resume = way.command(programs.folder, prefix), ["--resume", str(prefix), *UNATTENDED]
    for number in range(1 + rng.randint(0, MORE_KILLS)):
        moment = rng.uniform(0, unbroken.seconds)
        recorded = prefix.with_name("killed.json").exists()
        code, _ = programs.run(not way.real, resume if recorded else begin, moment)
        tally.kills += code == -signal.SIGKILL
        tally.ended_first += code == 0
        if code not in (0, -signal.SIGKILL):
            tally.lose(f"{way}, start {number}: {programs.last_error()}")
            return
    recorded = prefix.with_name("killed.json").exists()
    code, _ = programs.run(not way.real, resume if recorded else begin, None)
    if code:
        tally.lose(f"{way}, the last start: {programs.last_error()}")
        return
    found = results_of(prefix)
    names = sorted(
        name
        for name in found.keys() | unbroken.results.keys()
        if found.get(name) != unbroken.results.get(name)
    )
    if names:
        tally.different.append(f"{way}: {', '.join(names)}")


def measure(options) -> None:
    """Play all rounds; print the runs that were lost or different."""
    rng, tally = random.Random(options.seed), Tally()
    known: dict[Way, Unbroken] = {}
    with tempfile.TemporaryDirectory() as folder:
        programs = Programs(Path(folder))
        try:
            for _ in range(options.rounds):
                way = draw_way(rng, options.real)
                if way not in known:
                    known[way] = run_unbroken(way, programs)
                play(way, programs, known[way], rng, tally)
                tally.rounds += 1
                if tally.rounds % 10 == 0:
                    say(tally.line(), sys.stdout)
        finally:
            programs.close()
    for line in tally.different:
        say(f"different: {line}", sys.stdout)
    say(tally.line(), sys.stdout)
    if options.json:
        common.save(dataclasses.asdict(tally), options.json)
    if tally.lost or tally.different:
        raise RunStopped(f"lost {len(tally.lost)}, different {len(tally.different)}")


def run_unbroken(way: Way, programs: Programs) -> Unbroken:
    """The results of a run that is not killed.

    Raises:
        RunStopped: even so, it does not finish.
    """
    prefix = programs.folder / "out" / "killed"  # the same, because pictures contain their settings
    shutil.rmtree(prefix.parent, ignore_errors=True)
    code, seconds = programs.run(not way.real, way.command(programs.folder, prefix), None)
    if code:
        raise RunStopped(f"{way}, unbroken, ended with {code}: {programs.last_error()}")
    return Unbroken(results_of(prefix), seconds)


def share(text: str) -> float:
    """`text` as a number from 0 to 1."""
    try:
        if 0 <= float(text) <= 1:
            return float(text)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"expected a number from 0 to 1. Received: {text!r}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns an exit code."""
    parser = Parser(prog=NAME, description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--rounds", type=common.count, default=100, help="rounds (default: 100)")
    parser.add_argument(
        "--real", type=share, default=0.05, help="share of runs with a network (default: 0.05)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the draws (default: 0)")
    parser.add_argument("--json", metavar="PATH", help="also write the numbers there")
    arguments = sys.argv[1:] if arguments is None else arguments

    def run() -> None:
        options = parser.parse_args(list(map(underscored, arguments)))
        if options.json:
            common.check_place(options.json)
        measure(options)

    return run_program(NAME, run)


if __name__ == "__main__":
    sys.exit(main())
