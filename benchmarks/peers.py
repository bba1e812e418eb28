"""The same network, losses and pictures, written plainly in eager PyTorch, against this program.

    pip install torch
    python benchmarks/peers.py

PyTorch runs channels-last, in float32 and bfloat16, with torch.optim.LBFGS, its line search and a
memory as long as ours. It has its own process, because two sets of threads would disturb each
other; --torch_python can name another environment's Python.
"""

import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

try:
    from benchmarks import common
except ModuleNotFoundError:
    if __package__:
        import benchmarks.not_installed  # noqa: F401
    else:
        import not_installed  # noqa: F401 (either ends the process)

import numpy as np

from style_transfer.errors import InputError
from style_transfer.parsing import parse_layers
from style_transfer.presets import make_settings
from style_transfer.settings import Settings
from style_transfer.vgg import Filters

NAME = "peers.py"


def check_torch(python: str) -> None:
    """Raise InputError if a Python is missing, or has no PyTorch."""
    try:
        done = subprocess.run([python, "-P", "-c", "import torch, numpy"], capture_output=True)
    except OSError as error:
        raise InputError(
            f"--torch_python: expected a Python that has torch. Received: {python!r} ({error})"
        ) from None
    if done.returncode:
        raise InputError(
            f"--torch_python: expected a Python that has torch. Received: {python!r}, which has "
            "none; install it with: pip install torch"
        )


def torch_side(python: str, folder: str, precision: str, evaluations: int) -> dict:
    """Seconds and losses of PyTorch, from files in a folder; see torch_side.py."""
    script = Path(__file__).with_name("torch_side.py")
    command = [python, "-P", str(script), folder, precision, str(evaluations)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise InputError(
            f"--torch_python: expected a PyTorch that runs {script.name}. Received: exit code "
            f"{done.returncode}"
        )
    return json.loads(done.stdout.splitlines()[-1])


def our_side(size: tuple[int, int], pictures: list, filters: Filters, settings: Settings) -> dict:
    """Seconds and losses of this program: one uninterrupted call."""
    from evaluator import Evaluator
    from neural_style_transfer import minimize

    objective, image = common.objective_at(size, pictures, filters, settings)
    objective(image)  # compiles
    losses, seconds = [], []

    def on_evaluation(terms, spent, replayed):
        losses.append(float(terms.sum(dtype=np.float64)))
        seconds.append(spent)

    evaluator = Evaluator(objective, image, None, on_evaluation)
    began = time.perf_counter()
    minimize(evaluator, 1, settings, lambda image, loss: None)
    return {"losses": losses, "seconds": seconds, "wall": time.perf_counter() - began}


def write_task(folder: str, filters: Filters, images: list, settings: Settings) -> None:
    """Write the files that torch_side.py reads."""
    from style_transfer.filters.writing import write_filters

    content, style = images
    write_filters(filters, Path(folder, "filters.npz"))
    np.savez(Path(folder, "images.npz"), content=content, style=style, start=content)
    (content_layer,) = parse_layers(settings, "content_layers")
    task = {
        "convolutions": list(filters.arrays),
        "content_layer": content_layer,
        "style_layers": list(parse_layers(settings, "style_layers")),
    }
    for name in ("content_weight", "style_weight", "tv_weight"):
        task[name] = getattr(settings, name)
    Path(folder, "task.json").write_text(json.dumps(task))


def entries_of(runs: dict, target: float) -> list[dict]:
    """The numbers of each program and precision."""
    entries = []
    for (program, precision), results in runs.items():
        last = results[-1]
        needed = next(i for i, loss in enumerate(last["losses"], 1) if loss <= target)
        each = min(min(result["seconds"]) for result in results)
        # The time between evaluations is the optimizer's own work.
        between = min((r["wall"] - sum(r["seconds"])) / len(r["seconds"]) for r in results)
        entries.append(
            {
                "program": program,
                "precision": precision,
                "first_loss": last["losses"][0],
                "last_loss": min(last["losses"]),
                "seconds_per_evaluation": each,
                "seconds_between": between,
                "evaluations_to_target": needed,
                "seconds_to_target": needed * (each + between),
            }
        )
    return entries


def measure(options) -> None:
    """Measure both alternately; print the table."""
    check_torch(options.torch_python)
    settings = make_settings(
        "keras-2",
        content_layers="block4_conv2",
        weights=options.weights,
        restarts=False,
        evaluations=options.evaluations,
    )
    paths = [("--content", options.content), ("--style", options.style)]
    pictures, filters = common.load(paths, settings)
    if filters.convention != "caffe":
        raise InputError(
            "--weights: expected filters for the original's input, BGR minus mean. "
            f"Received: {options.weights!r}, torchvision's"
        )
    from preprocessing import images_at, size_for

    size = size_for(pictures[0], options.rows)
    runs = {}
    with tempfile.TemporaryDirectory() as folder:
        write_task(folder, filters, images_at(pictures, size, settings), settings)
        for _ in range(options.rounds):  # alternately, so that all find the same conditions
            for precision in options.precisions:
                result = torch_side(options.torch_python, folder, precision, options.evaluations)
                runs.setdefault(("PyTorch", precision), []).append(result)
                ours = dataclasses.replace(settings, precision=precision)
                result = our_side(size, pictures, filters, ours)
                runs.setdefault(("ours", precision), []).append(result)
    # The time to the loss that the slowest descent reaches.
    target = max(min(results[-1]["losses"]) for results in runs.values())
    entries = entries_of(runs, target)
    table = [list(entry.values()) for entry in entries]
    headings = ["program", "precision", "first loss", "last loss", "s per evaluation", "between"]
    headings += [f"evaluations to {target:.4g}", "s"]
    results = [
        {**entry, "runs": found} for entry, found in zip(entries, runs.values(), strict=True)
    ]
    title = f"{__doc__.splitlines()[0]} {size[1]} x {size[0]}"
    common.report(title, headings, table, {"target": target, "results": results}, options.json)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns an exit code."""
    parser = common.make_parser(NAME, __doc__)
    parser.add_argument("--rows", type=common.rows, default=400)
    parser.add_argument("--evaluations", type=common.count, default=60)
    parser.add_argument("--rounds", type=common.count, default=2)
    parser.add_argument(
        "--precisions", nargs="+", default=common.PRECISIONS, choices=common.PRECISIONS
    )
    parser.add_argument("--torch_python", default=sys.executable, help="a Python that has torch")
    return common.run(NAME, parser, measure, {"rows": 96, "evaluations": 20}, arguments)


if __name__ == "__main__":
    sys.exit(main())
