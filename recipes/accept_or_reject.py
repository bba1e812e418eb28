"""Plain gradient steps, accepted only for pixel values that stay in range, against L-BFGS.

Readers of Gatys, Ecker and Bethge, arXiv 1508.06576, often start with the simplest optimizer:
subtract the gradient times a rate, and accept the step for a pixel value only if it stays within
0..255. The rate is chosen so that the first step moves the farthest value by --step. Both
optimizers get the same loss, start and number of evaluations. The table shows the lowest loss so
far; PREFIX.png shows both results.
"""

import sys

try:
    from recipes.command import Recipe, run_recipe
    from recipes.sheet import check_sheet, make_sheet, save_sheet
except ModuleNotFoundError:
    if __package__:
        import recipes.not_installed  # noqa: F401
    else:
        import not_installed  # noqa: F401 (either ends the process)

import numpy as np
from PIL import Image

from neural_style_transfer import transfer, vgg_objectives
from preprocessing import deprocess, start_image
from style_transfer.console import say
from style_transfer.images import VALID_RANGE
from style_transfer.parsing import positive
from style_transfer.pictures import load_picture

STEP = "8"  # pixel values
DEFAULTS = {"height": 256, "init": "mixed", "scales": "1", "iter": 5, "precondition": 0.0}


def compare(base: str, style: str, prefix: str, *, step: str = STEP, overwrite=False, **choices):
    """Lower one loss with both optimizers, print the table, write the sheet to PREFIX.png.

    Args:
        base: path of the content picture.
        style: path of the style picture.
        prefix: how the sheet's name starts.
        step: how far the first step moves the farthest pixel value.
        overwrite: replace an earlier sheet.
        **choices: fields of `Settings`.

    Returns:
        (sheet, {optimizer: lowest loss after each evaluation}).
    """
    choices = {**DEFAULTS, **choices, "scales": "1", "optimizer": "lbfgs"}
    farthest = positive(step, "--step")
    cell = {"base": base, "styles": style, **choices}
    path = check_sheet(prefix, overwrite, {"BASE": base, "STYLE": style}, [cell])
    objectives = []

    def remembered(run, inputs):
        objective_at = vgg_objectives(run, inputs)

        def at(size):
            objectives.append(objective_at(size))
            return objectives[-1]

        return at

    picture, record = transfer(base, style, objectives=remembered, quiet=False, **choices)
    losses = {"L-BFGS": [entry.total for entry in record.evaluations]}
    start = start_image(load_picture(base).image, record.sizes[-1].shape, record.settings)
    evaluations = len(losses["L-BFGS"])
    image, losses["accept or reject"] = descend(objectives[-1], start, evaluations, farthest)
    lowest = {name: np.minimum.accumulate(values) for name, values in losses.items()}
    say(report(lowest), sys.stdout)
    pictures = [Image.fromarray(deprocess(image)), picture]
    labels = [f"{name}: {lowest[name][-1]:.4g}" for name in ("accept or reject", "L-BFGS")]
    sheet = make_sheet([pictures], [""], labels)
    save_sheet(sheet, path)
    return sheet, lowest


def descend(
    objective, start: np.ndarray, evaluations: int, farthest: float
) -> tuple[np.ndarray, list[float]]:
    """Take plain gradient steps, each accepted only for the values that stay in range.

    Args:
        objective: takes an image, float32 (1, H, W, 3), and returns (terms, gradient).
        start: the image to start from.
        evaluations: how many to make.
        farthest: how far the first step moves the farthest pixel value.

    Returns:
        The image with the lowest loss, and the loss at each evaluation.
    """
    low, high = VALID_RANGE.T.astype(np.float32)
    image = best = np.clip(start, low, high)
    losses: list[float] = []
    rate = None
    for _ in range(evaluations):
        terms, gradient = objective(image)
        losses.append(float(terms.sum(dtype=np.float64)))
        if losses[-1] == min(losses):
            best = image
        if rate is None:
            rate = np.float32(farthest / (np.abs(gradient).max() or 1))
        moved = image - rate * gradient
        image = np.where((moved >= low) & (moved <= high), moved, image)
    return best, losses


def report(lowest: dict[str, np.ndarray]) -> str:
    """The table as text: each optimizer's lowest loss so far, after more and more evaluations."""
    counts = [len(values) for values in lowest.values()]
    marks = sorted({max(1, round(min(counts) * share)) for share in (0.05, 0.1, 0.2, 0.5, 1)})
    lines = ["evaluations" + "".join(f"{name:>20}" for name in lowest)]
    lines += [
        f"{mark:11}" + "".join(f"{values[mark - 1]:20.5g}" for values in lowest.values())
        for mark in marks
    ]
    return "\n".join(lines)


RECIPE = Recipe(
    name="accept_or_reject.py",
    function=compare,
    text=__doc__,
    paths={
        "BASE": "the content picture",
        "STYLE": "the style picture",
        "PREFIX": "the sheet's name without .png",
    },
    defaults=DEFAULTS,
    options=(("step", STEP, "how far the first step moves the farthest pixel value"),),
    taken=("scales", "optimizer"),
)

if __name__ == "__main__":
    sys.exit(run_recipe(RECIPE))
