"""The original's network and losses, written plainly in PyTorch, for peers.py.

    python benchmarks/torch_side.py FOLDER float32 60

Imports nothing from the project, so that it runs in an environment with only PyTorch and NumPy.
FOLDER holds filters.npz, images.npz and task.json. Prints seconds and losses as JSON.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional


def load(folder: Path, dtype: torch.dtype) -> tuple[dict, dict, dict]:
    """The task, filters by layer, and images (1, 3, H, W) by name."""
    task, filters = json.loads((folder / "task.json").read_text()), {}
    with np.load(folder / "filters.npz") as file:
        for name in task["convolutions"]:
            kernel = torch.from_numpy(file[f"{name}/kernel"]).permute(3, 2, 0, 1)
            kernel = kernel.to(dtype).contiguous(memory_format=torch.channels_last)
            filters[name] = kernel, torch.from_numpy(file[f"{name}/bias"]).to(dtype)
    with np.load(folder / "images.npz") as file:
        images = {
            name: torch.from_numpy(file[name]).permute(0, 3, 1, 2).contiguous() for name in file
        }
    return task, filters, images


def features_of(image: torch.Tensor, filters: dict, dtype: torch.dtype) -> dict:
    """Features by layer, float32, after the ReLU."""
    found, x = {}, image.to(dtype).contiguous(memory_format=torch.channels_last)
    for name, (kernel, bias) in filters.items():
        if name.endswith("conv1") and not name.startswith("block1"):
            x = functional.max_pool2d(x, 2)
        x = functional.relu(functional.conv2d(x, kernel, bias, padding=1))
        found[name] = x.float()
    return found


def gram(features: torch.Tensor) -> torch.Tensor:
    """The Gram matrix, (N, N), of features (1, N, H, W)."""
    flat = features.flatten(2)[0]  # (N, M)
    return flat @ flat.T


def make_loss(task: dict, filters: dict, images: dict, dtype: torch.dtype):
    """A function from an image, (1, 3, H, W), to its loss."""
    with torch.no_grad():
        content_target = features_of(images["content"], filters, dtype)[task["content_layer"]]
        style = features_of(images["style"], filters, dtype)
        style_targets = {name: gram(style[name]) for name in task["style_layers"]}
    rows, columns = images["content"].shape[2:]

    def loss_of(image):
        current = features_of(image, filters, dtype)
        loss = (current[task["content_layer"]] - content_target).square().sum()
        loss = task["content_weight"] * loss
        for name, target in style_targets.items():
            error = (gram(current[name]) - target).square().sum()
            error = error / (4 * 3**2 * (rows * columns) ** 2)
            loss = loss + task["style_weight"] / len(style_targets) * error
        down = (image[:, :, :-1, :-1] - image[:, :, 1:, :-1]).square()
        right = (image[:, :, :-1, :-1] - image[:, :, :-1, 1:]).square()
        return loss + task["tv_weight"] * (down + right).pow(1.25).sum()

    return loss_of


def minimize(loss_of, start: torch.Tensor, evaluations: int) -> dict:
    """Seconds and losses of one call of L-BFGS."""
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


if __name__ == "__main__":
    kind = getattr(torch, sys.argv[2])
    job, kernels, pictures = load(Path(sys.argv[1]), kind)
    loss = make_loss(job, kernels, pictures, kind)
    print(json.dumps(minimize(loss, pictures["start"], int(sys.argv[3]))))
