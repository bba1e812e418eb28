"""Textures larger than their source, with and without the histogram loss.

Risser, Wilmot and Barnes, arXiv 1701.08893, figure 2. Many distributions of features have the same
Gram matrix, so brightness and contrast are free to drift under the Gram loss alone; the histogram
loss holds them in place. From several noise starts for each loss, the table shows the mean and
variance of the luminance (0..255), and the distance of the colors' histograms from the source's
(Wasserstein-1 distance, mean of red, green and blue, in levels). PREFIX.png shows the source, then
the textures.
"""

import sys

try:
    import numpy as np
    from PIL import Image
    from scipy.stats import wasserstein_distance

    from recipes.cells import paint_cells
    from recipes.command import WORKERS, Recipe, run_recipe
    from recipes.sheet import check_sheet, make_sheet, save_sheet
except ModuleNotFoundError:
    if __package__:
        import recipes.not_installed  # noqa: F401
    else:
        import not_installed  # noqa: F401 (either ends the process)

from preprocessing import resize, style_size
from style_transfer.console import say
from style_transfer.errors import InputError
from style_transfer.pictures import load_picture
from style_transfer.presets import make_settings

SEEDS = 5
DEFAULTS = {
    "height": 192,
    "style_scale": 0.5,  # the texture shows four times the source's area
    "init": "noise",
    "content_weight": 0.0,
    "scales": "0.5:1,1:1",
    "iter": 2,
    "evaluations": 40,
}
WAYS = {"Gram": "gram", "Gram + histogram": "gram+histogram"}


def compare(
    style: str,
    prefix: str,
    *,
    seeds: int = SEEDS,
    workers: int = 1,
    overwrite: bool = False,
    **choices,
):
    """Paint the textures both ways, print the table, write the sheet to PREFIX.png.

    Args:
        style: path of the source.
        prefix: how the sheet's name starts.
        seeds: the number of noise starts for each loss, numbered from the field `seed`.
        workers: the number of processes that paint cells.
        overwrite: replace an earlier sheet.
        **choices: fields of `Settings`.

    Returns:
        (sheet, {way: statistics of each texture, (seeds, 3)}).
    """
    if seeds < 2:
        raise InputError(f"--seeds: expected at least 2. Received: {seeds}")
    common = {**DEFAULTS, **choices}
    settings = make_settings(**{name: value for name, value in common.items() if name != "force"})
    numbers = range(settings.seed, settings.seed + seeds)
    cells = [
        {"base": style, "styles": style, **common, "style_loss": loss, "seed": seed}
        for loss in WAYS.values()
        for seed in numbers
    ]
    path = check_sheet(prefix, overwrite, {"STYLE": style}, cells)
    pictures = paint_cells([style], cells, workers)
    rows = [pictures[:seeds], pictures[seeds:]]
    picture = load_picture(style).image
    size = style_size(picture, pictures[0].size[::-1], settings.style_scale)
    source = Image.fromarray(resize(picture, size, settings.resize))
    table = {
        way: np.array([statistics(picture, source) for picture in row])
        for way, row in zip(WAYS, rows, strict=True)
    }
    say(report(table, statistics(source, source)), sys.stdout)
    sheet = make_sheet(
        [[source, *row] for row in rows], list(WAYS), ["source", *(f"seed {n}" for n in numbers)]
    )
    save_sheet(sheet, path)
    return sheet, table


def statistics(picture: Image.Image, source: Image.Image) -> tuple[float, float, float]:
    """Mean and variance of the luminance, and the histograms' distance from the source's."""
    luminance = np.asarray(picture.convert("L"), np.float64)
    bands = zip(picture.split(), source.split(), strict=True)
    distances = [wasserstein_distance(*(np.asarray(b).ravel() for b in pair)) for pair in bands]
    return luminance.mean(), luminance.var(), np.mean(distances)


def report(table: dict[str, np.ndarray], source: tuple[float, float, float]) -> str:
    """The table as text: average and spread (standard deviation) over the seeds."""
    lines = [f"{'':18}{'mean':>16}{'variance':>20}{'distance':>16}"]
    lines.append(f"{'source':18}{source[0]:16.2f}{source[1]:20.1f}{source[2]:16.2f}")
    for way, values in table.items():
        each = [f"{a:.2f} ± {s:.2f}" for a, s in zip(values.mean(0), values.std(0), strict=True)]
        lines.append(f"{way:18}{each[0]:>16}{each[1]:>20}{each[2]:>16}")
    plain, held = (values.std(axis=0) for values in table.values())
    ratios = [f"{a / b:.2f}" if b else "-" for a, b in zip(held, plain, strict=True)]
    lines.append(f"{'spread, ratio':18}{ratios[0]:>16}{ratios[1]:>20}{ratios[2]:>16}")
    return "\n".join(lines)


RECIPE = Recipe(
    name="stability.py",
    function=compare,
    text=__doc__,
    paths={"STYLE": "the picture of the texture", "PREFIX": "the sheet's name without .png"},
    defaults=DEFAULTS,
    options=(WORKERS, ("seeds", SEEDS, "noise starts for each loss")),
    taken=("style_loss",),
)

if __name__ == "__main__":
    sys.exit(run_recipe(RECIPE))
