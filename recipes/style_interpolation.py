"""From one style to another in steps: a strip of one picture on one sheet.

The style loss is a weighted sum of both styles' losses (--style_blend), as in Dumoulin, Shlens and
Kudlur, arXiv 1610.07629, figure 7, though there a network made for it blends its parameters. The
weight moves from STYLE1 to STYLE2 in equal steps. PREFIX.png is the sheet.
"""

import sys

from sheet import WORKERS, check, make_sheet, paint_cells, run_recipe, save_sheet  # first: the path

from settings import InputError

STEPS = 5
DEFAULTS = {"height": 192, "scales": "0.5:1,1:1", "iter": 2, "evaluations": 30}


def interpolate(
    base: str,
    style1: str,
    style2: str,
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
        style1: path of the style on the left.
        style2: path of the style on the right.
        prefix: beginning of the sheet's name.
        steps: pictures in the strip, both ends among them.
        workers: processes that share the cells.
        overwrite: replace an earlier sheet.
        **choices: fields of `Settings`.

    Returns:
        The sheet, a PIL.Image.
    """
    if steps < 2:
        raise InputError(f"--steps: expected at least 2. Received: {steps}")
    check(prefix, overwrite, base, style1, style2)
    shares = [step / (steps - 1) for step in range(steps)]  # of the second style
    cells = [{"base": base, **DEFAULTS, **choices, **blend(style1, style2, t)} for t in shares]
    pictures = paint_cells([base, style1, style2], cells, workers)
    sheet = make_sheet([pictures], [""], [f"{1 - t:.0%} + {t:.0%}" for t in shares])
    save_sheet(sheet, prefix)
    return sheet


def blend(style1: str, style2: str, share: float) -> dict:
    """Arguments of `transfer` for a share of the second style; an end has one style alone."""
    if share in (0, 1):
        return {"styles": style2 if share else style1}
    return {"styles": [style1, style2], "style_blend": f"{1 - share},{share}"}


PATHS = {
    "BASE": "the content picture",
    "STYLE1": "the style on the left",
    "STYLE2": "the style on the right",
    "PREFIX": "the sheet's name without .png",
}
OPTIONS = (WORKERS, ("steps", STEPS, "pictures in the strip, both ends among them"))
TAKEN = ("style_blend", "content_mask", "style_mask")

if __name__ == "__main__":
    sys.exit(run_recipe(interpolate, __doc__, PATHS, DEFAULTS, OPTIONS, TAKEN))
