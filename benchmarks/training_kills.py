"""Trainings of style networks, killed at random moments and started again: what is lost.

    python benchmarks/training_kills.py --kills 10 --seeds 3

For each seed a tiny network is trained twice by the program as it is: once unbroken, once killed
(SIGKILL) at random moments and started again by the same command, until it comes to its end. Says
how many seconds of training each kill has cost, and how far the losses at the end are apart, beside
the spread of the unbroken ones over the seeds.
"""

import dataclasses
import json
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

try:
    from benchmarks import common
except ModuleNotFoundError:
    if __package__:
        import benchmarks.not_installed  # noqa: F401
    else:
        import not_installed  # noqa: F401 (either ends the process)

from style_transfer.arguments import Parser
from style_transfer.console import say
from style_transfer.errors import RunStopped

NAME = "training_kills.py"
PHOTOGRAPHS = 10
TINY = {
    "size": 32,
    "batch": 2,
    "width": 4,
    "learning_rate": 0.01,
    "weights": "random",
    "content_layers": "block2_conv1",
    "style_layers": "block1_conv1,block2_conv1",
    "precision": "float32",
}
LAST = 0.2  # share of the training whose mean loss counts as the loss at the end
STARTS = 100  # of one training, at most


@dataclass
class Training:
    """One training to its end.

    Attributes:
        loss: at the end.
        seconds: of training, by its own clock.
        lost: seconds of training that each kill has cost.
    """

    loss: float = 0.0
    seconds: float = 0.0
    lost: list[float] = field(default_factory=list)


Told = list[tuple[int, float]]  # by one process: (step, seconds of training)


def train_here(arguments: str) -> None:
    """Train in this process, and tell each step on standard output.

    Args:
        arguments: JSON: the folder, the model's name, the seconds between backups, the choices.
    """
    from fast_style_transfer import train
    from style_transfer.feedforward import callbacks
    from style_transfer.feedforward.events import StepDone

    folder, name, every, choices = json.loads(arguments)
    callbacks.BACKUP_EVERY = every

    def tell(event) -> None:
        if isinstance(event, StepDone):
            sys.stdout.write(f"{event.step} {event.seconds}\n")
            sys.stdout.flush()

    train(f"{folder}/style.png", f"{folder}/photos", f"{folder}/{name}", on_event=tell, **choices)


def run_part(arguments: list, kill_after: float | None) -> tuple[int, Told]:
    """(exit code, what was told) of one process; −9 is killed.

    Args:
        arguments: of `train_here`.
        kill_after: seconds after its first step; None lets it come to its end.
    """
    command = [sys.executable, "-m", "benchmarks.training_kills", "--here", json.dumps(arguments)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=common.FOLDER
    )
    assert process.stdout and process.stderr  # as they are pipes
    errors: list[str] = []
    reader = threading.Thread(target=errors.extend, args=(process.stderr,), daemon=True)
    reader.start()
    told: Told = []
    timer = None
    try:
        for line in process.stdout:
            if not line.endswith("\n"):
                break  # killed while writing it
            step, seconds = line.split()
            told.append((int(step), float(seconds)))
            if kill_after is not None and timer is None:
                timer = threading.Timer(kill_after, process.kill)
                timer.start()
        code = process.wait()
    finally:
        if timer:
            timer.cancel()
        process.kill()
    reader.join()
    if code not in (0, -signal.SIGKILL):
        raise RunStopped(f"the training ended with {code}: {''.join(errors[-1:]).strip()}")
    return code, told


def run_training(arguments: list, kills: Sequence[float]) -> Training:
    """One training, killed so many seconds after the first step of each start."""
    folder, name, *_ = arguments
    training, left, killed = Training(), list(kills), []
    for _ in range(STARTS):
        code, told = run_part(arguments, left.pop(0) if left else None)
        if killed and told:
            training.lost.append(seconds_lost(killed, told[0][0]))
        if code == 0 or _is_finished(Path(folder, name)):  # some are killed after their end
            break
        killed = told or killed
    log = Path(folder, name).with_name(f"{Path(name).stem}_log.csv")
    header, *rows = (line.split(",") for line in log.read_text().splitlines())
    losses = [float(row[header.index("loss")]) for row in rows]
    epochs = [int(row[header.index("epoch")]) for row in rows]
    if epochs != list(range(len(epochs))):
        raise RunStopped(f"the log's epochs are not in order: {epochs}")
    training.loss = statistics.fmean(losses[-max(1, round(LAST * len(losses))) :])
    training.seconds = float(rows[-1][header.index("seconds")])
    return training


def _is_finished(model: Path) -> bool:
    """Whether a network's training has come to its end."""
    from style_transfer.feedforward.about import about_of_file

    return model.exists() and about_of_file(model).finished


def seconds_lost(told: Told, again: int) -> float:
    """Seconds that a killed process spent on steps that are made again.

    Args:
        told: by the process.
        again: the first step after it.
    """
    kept = [seconds for step, seconds in told if step < again]
    return told[-1][1] - (kept[-1] if kept else told[0][1])


def make_inputs(folder: Path) -> None:
    """Draw a style and photographs of soft colors."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    (folder / "photos").mkdir()
    for path in [folder / "style.png", *(folder / f"photos/{n}.png" for n in range(PHOTOGRAPHS))]:
        colors = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
        soft = np.asarray(colors.resize((60, 50), Image.Resampling.BICUBIC), np.float64)
        grainy = soft + rng.normal(0, 12, soft.shape)
        Image.fromarray(np.clip(grainy, 0, 255).astype(np.uint8)).save(path)


def measure(options) -> None:
    """All trainings; print a line for each seed."""
    rng = random.Random(options.seed)
    shares = [options.kills * n // options.seeds for n in range(options.seeds + 1)]
    found = []
    with tempfile.TemporaryDirectory() as name:
        make_inputs(Path(name))
        for seed in range(options.seeds):
            choices = {**TINY, "steps": options.steps, "seed": seed}
            unbroken = run_training([name, f"unbroken{seed}.keras", options.every, choices], [])
            count = shares[seed + 1] - shares[seed]
            # On average they are over the whole training, and at times two in one interval.
            kills = [rng.uniform(0, 2 * unbroken.seconds / (count + 1)) for _ in range(count)]
            killed = run_training([name, f"killed{seed}.keras", options.every, choices], kills)
            found.append((unbroken, killed))
            say(
                f"seed {seed}: unbroken {unbroken.loss:.4g} after {unbroken.seconds:.0f} s; "
                f"{len(killed.lost)} kills, at most {max(killed.lost, default=0):.1f} s lost each; "
                f"{killed.loss:.4g} after {killed.seconds:.0f} s",
                sys.stdout,
            )
    spread = statistics.pstdev([unbroken.loss for unbroken, _ in found])
    apart = statistics.fmean([abs(killed.loss - unbroken.loss) for unbroken, killed in found])
    say(f"losses are {apart:.3g} apart; over the seeds they spread by {spread:.3g}", sys.stdout)
    if options.json:
        pairs = [[dataclasses.asdict(training) for training in pair] for pair in found]
        common.save({"every": options.every, "trainings": pairs}, options.json)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns an exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given[:1] == ["--here"]:
        train_here(given[1])
        return 0
    parser = Parser(prog=NAME, description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--kills", type=common.count, default=10, help="(default: 10)")
    parser.add_argument("--seeds", type=common.count, default=3, help="trainings (default: 3)")
    text = "batches of each training (default: 600)"
    parser.add_argument("--steps", type=common.count, default=600, help=text)
    text = "seconds between backups (default: 5; the program's own are 30 apart)"
    parser.add_argument("--every", type=common.positive, default=5.0, help=text)
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    parser.add_argument("--json", metavar="PATH", help="also write the numbers there")
    return common.run(NAME, parser, measure, {}, given)


if __name__ == "__main__":
    sys.exit(main())
