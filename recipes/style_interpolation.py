"""From one style to another in steps: a strip of pictures on one sheet.

The style loss is a weighted sum of both styles' losses (--style_blend). The loss weight moves from
STYLE1 to STYLE2 in equal steps, as in Dumoulin, Shlens and Kudlur, arXiv 1610.07629, figure 7,
where a network blends its parameters instead. PREFIX.png is the sheet.
"""

import sys

try:
    from recipes.cells import paint_cells
    from recipes.command import WORKERS, Recipe, run_recipe
    from recipes.sheet import check_sheet, make_sheet, save_sheet
except ModuleNotFoundError:
    if __package__:
        import recipes.not_installed  # noqa: F401
    else:
        import not_installed  # noqa: F401 (either ends the process)

from style_transfer.errors import InputError

STEPS = 5
DEFAULTS = {"height": 192, "scales": "0.5:1,1:1", "iter": 2, "evaluations": 30}


def interpolate(
    base: str,
    styles: tuple[str, str],
    prefix: str,
    *,
    steps: int = STEPS,
    workers: int = 1,
    overwrite: bool = False,
    **choices,
):
    """Paint the strip to PREFIX.png.

    Args:
        base: path of the content picture.
        styles: paths of the styles on the left and on the right.
        prefix: how the sheet's name starts.
        steps: the number of pictures in the strip, including both ends.
        workers: the number of processes that paint cells.
        overwrite: replace an earlier sheet.
        **choices: fields of `Settings`.

    Returns:
        The sheet, a PIL.Image.
    """
    if steps < 2:
        raise InputError(f"--steps: expected at least 2. Received: {steps}")
    shares = [step / (steps - 1) for step in range(steps)]  # of the second style
    cells = [{"base": base, **DEFAULTS, **choices, **blend(*styles, t)} for t in shares]
    named = dict(zip(("BASE", "STYLE1", "STYLE2"), (base, *styles), strict=True))
    path = check_sheet(prefix, overwrite, named, cells)
    pictures = paint_cells([base, *styles], cells, workers)
    sheet = make_sheet([pictures], [""], [f"{1 - t:.0%} + {t:.0%}" for t in shares])
    save_sheet(sheet, path)
    return sheet


def blend(style1: str, style2: str, share: float) -> dict:
    """Arguments of `transfer` for a share of the second style; an end has only one style."""
    if share in (0, 1):
        return {"styles": style2 if share else style1}
    return {"styles": [style1, style2], "style_blend": f"{1 - share},{share}"}


def from_command(base: str, style1: str, style2: str, prefix: str, **options):
    """`interpolate` with the paths as on the command line."""
    return interpolate(base, (style1, style2), prefix, **options)


RECIPE = Recipe(
    name="style_interpolation.py",
    function=from_command,
    text=__doc__,
    paths={
        "BASE": "the content picture",
        "STYLE1": "the style on the left",
        "STYLE2": "the style on the right",
        "PREFIX": "the sheet's name without .png",
    },
    defaults=DEFAULTS,
    options=(WORKERS, ("steps", STEPS, "pictures in the strip, including both ends")),
    taken=("style_blend", "content_mask", "style_mask"),
)

if __name__ == "__main__":
    sys.exit(run_recipe(RECIPE))
