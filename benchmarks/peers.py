"""The same network, losses and pictures written plainly in PyTorch, eager, against ours.

    pip install torch
    python benchmarks/peers.py

PyTorch runs channels-last, in float32 and bfloat16, minimised by torch.optim.LBFGS with its line
search and the memory of ours; in a process of its own, since two sets of threads would disturb each
other. It may be that of another environment: --torch_python.
"""

import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def torch_side(folder: str, precision: str, evaluations: int) -> dict:
    """Seconds and losses of PyTorch. Imports nothing of the project.

    Args:
        folder: holds filters.npz, images.npz and task.json.
        precision: `float32` or `bfloat16`, of the network; the losses are float32.
        evaluations: how many, at most.
    """
    import torch
    from torch.nn import functional

    task = json.loads(Path(folder, "task.json").read_text())
    dtype = getattr(torch, precision)
    filters = {}
    with np.load(Path(folder, "filters.npz")) as file:
        for name in task["convolutions"]:
            kernel = torch.from_numpy(file[f"{name}/kernel"]).permute(3, 2, 0, 1)
            kernel = kernel.to(dtype).contiguous(memory_format=torch.channels_last)
            filters[name] = kernel, torch.from_numpy(file[f"{name}/bias"]).to(dtype)
    with np.load(Path(folder, "images.npz")) as file:
        content, style, start = (
            torch.from_numpy(file[name]).permute(0, 3, 1, 2).contiguous()
            for name in ("content", "style", "start")
        )

    def features(image):
        wanted, x = {}, image.to(dtype).contiguous(memory_format=torch.channels_last)
        for name, (kernel, bias) in filters.items():
            if name.endswith("conv1") and not name.startswith("block1"):
                x = functional.max_pool2d(x, 2)
            x = functional.relu(functional.conv2d(x, kernel, bias, padding=1))
            wanted[name] = x.float()
        return wanted

    def gram(x):
        flat = x.flatten(2)[0]  # (N, M)
        return flat @ flat.T

    with torch.no_grad():
        content_target = features(content)[task["content_layer"]]
        kept = features(style)
        style_targets = {name: gram(kept[name]) for name in task["style_layers"]}
    rows, columns = content.shape[2:]

    def loss_of(image):
        current = features(image)
        loss = (current[task["content_layer"]] - content_target).square().sum()
        loss = task["content_weight"] * loss
        for name, target in style_targets.items():
            error = (gram(current[name]) - target).square().sum()
            error = error / (4 * 3**2 * (rows * columns) ** 2)
            loss = loss + task["style_weight"] / len(style_targets) * error
        down = (image[:, :, :-1, :-1] - image[:, :, 1:, :-1]).square()
        right = (image[:, :, :-1, :-1] - image[:, :, :-1, 1:]).square()
        return loss + task["tv_weight"] * (down + right).pow(1.25).sum()

    image = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [image],
        max_iter=evaluations,
        max_eval=evaluations,
        history_size=10,  # as scipy's
        tolerance_grad=0,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )
    losses, seconds = [], []
    began = time.perf_counter()

    def closure():
        started = time.perf_counter()
        optimizer.zero_grad()
        loss = loss_of(image)
        loss.backward()
        losses.append(float(loss.detach()))
        seconds.append(time.perf_counter() - started)
        return loss

    optimizer.step(closure)
    wall = time.perf_counter() - began
    return {"losses": losses, "seconds": seconds, "wall": wall, "torch": torch.__version__}


def our_side(size, pictures, filters, settings) -> dict:
    """Seconds and losses of ours: one uninterrupted call."""
    import common

    from evaluator import Evaluator
    from neural_style_transfer import minimise

    objective, image = common.objective_at(size, pictures, filters, settings)
    objective(image)  # compiles
    losses, seconds = [], []

    def on_evaluation(terms, spent):
        losses.append(float(terms.sum(dtype=np.float64)))
        seconds.append(spent)

    evaluator = Evaluator(objective, image, None, on_evaluation)
    began = time.perf_counter()
    minimise(evaluator, 1, settings, lambda image: None)
    return {"losses": losses, "seconds": seconds, "wall": time.perf_counter() - began}


def main() -> None:
    if sys.argv[1:2] == ["--torch_side"]:
        print(json.dumps(torch_side(sys.argv[2], sys.argv[3], int(sys.argv[4]))))
        return
    import common

    from preprocessing import images_at, size_for
    from settings import make_settings, parse_layers

    parser = common.make_parser(__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--evaluations", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--torch_python", default=sys.executable, help="a Python that has torch")
    options = common.parse(parser, rows=96, evaluations=20)
    settings = make_settings(
        "keras-2",
        content_layers="block4_conv2",
        weights=options.weights,
        restarts=False,
        evaluations=options.evaluations,
    )
    pictures, filters = common.load([options.content, options.style], settings)
    size = size_for(pictures[0], options.rows)
    content, style = images_at(pictures, size, settings)

    runs = {}
    with tempfile.TemporaryDirectory() as folder:
        arrays = {f"{name}/kernel": kernel for name, (kernel, _) in filters.items()}
        arrays |= {f"{name}/bias": bias for name, (_, bias) in filters.items()}
        np.savez(Path(folder, "filters.npz"), **arrays)
        np.savez(Path(folder, "images.npz"), content=content, style=style, start=content)
        (content_layer,) = parse_layers(settings, "content_layers")
        task = {
            "convolutions": list(filters),
            "content_layer": content_layer,
            "style_layers": list(parse_layers(settings, "style_layers")),
        }
        for name in ("content_weight", "style_weight", "tv_weight"):
            task[name] = getattr(settings, name)
        Path(folder, "task.json").write_text(json.dumps(task))
        for _ in range(options.rounds):  # in turn, so that all meet the same machine
            for precision in options.precisions:
                command = [options.torch_python, __file__, "--torch_side", folder, precision]
                command.append(str(options.evaluations))
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                result = json.loads(done.stdout.splitlines()[-1])
                runs.setdefault(("PyTorch", precision), []).append(result)
                ours = dataclasses.replace(settings, precision=precision)
                result = our_side(size, pictures, filters, ours)
                runs.setdefault(("ours", precision), []).append(result)

    # The loss that the slowest descent reaches, for the time to it.
    target = max(min(results[-1]["losses"]) for results in runs.values())
    table, data = [], []
    for (program, precision), results in runs.items():
        last = results[-1]
        needed = next(i for i, loss in enumerate(last["losses"], 1) if loss <= target)
        each = min(min(result["seconds"]) for result in results)
        # What is between evaluations: the optimiser's own work.
        between = min((r["wall"] - sum(r["seconds"])) / len(r["seconds"]) for r in results)
        entry = {
            "program": program,
            "precision": precision,
            "first_loss": last["losses"][0],
            "last_loss": min(last["losses"]),
            "seconds_per_evaluation": each,
            "seconds_between": between,
            "evaluations_to_target": needed,
            "seconds_to_target": needed * (each + between),
        }
        data.append({**entry, "runs": results})
        table.append(list(entry.values()))
    headings = ["program", "precision", "first loss", "last loss", "s per evaluation", "between"]
    headings += [f"evaluations to {target:.4g}", "s"]
    title = f"{__doc__.splitlines()[0]} {size[1]} x {size[0]}"
    common.report(title, headings, table, {"target": target, "results": data}, options.json)


if __name__ == "__main__":
    main()
