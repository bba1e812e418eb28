"""A painting from a plan of coloured regions, without a content picture.

Risser, Wilmot and Barnes, arXiv 1701.08893, section 5, "painting by numbers": STYLE_MASK says which
part of the painting is what, CONTENT_MASK where that is to be in the new picture. Each region is
painted from noise with the style loss of its own region alone. Masks are PNG pictures of a few flat
colours; a colour of CONTENT_MASK must be in STYLE_MASK too. PREFIX.png is the painting.
"""

import sys

from sheet import run_recipe  # first: the path

from neural_style_transfer import transfer
from preprocessing import load_picture, size_for
from settings import make_settings

DEFAULTS = {
    "height": 256,
    "init": "noise",
    "content_weight": 0.0,
    "scales": "0.5:1,1:1",
    "iter": 4,
}


def paint(
    content_mask: str,
    style: str,
    style_mask: str,
    prefix: str | None,
    *,
    overwrite: bool = False,
    **choices,
):
    """Paint the plan to PREFIX.png.

    Args:
        content_mask: path of the plan, whose aspect the painting has.
        style: path of the painting to learn from.
        style_mask: path of that painting's regions.
        prefix: as in `transfer`.
        overwrite: as in `transfer`.
        **choices: fields of `Settings`.

    Returns:
        (picture, record), as `transfer`.
    """
    choices = {**DEFAULTS, **choices, "content_mask": content_mask, "style_mask": style_mask}
    settings = make_settings(**choices)
    # With the style for a base, filters are fitted to it alone; the size is the plan's.
    _, columns = size_for(load_picture(content_mask, "CONTENT_MASK"), settings.height)
    choices["width"] = settings.width or columns
    return transfer(style, style, prefix, overwrite=overwrite, quiet=False, **choices)


PATHS = {
    "CONTENT_MASK": "the plan: a picture of flat colours",
    "STYLE": "the painting to learn from",
    "STYLE_MASK": "which of the plan's colours each part of the painting is",
    "PREFIX": "beginning of the results' names",
}
TAKEN = ("content_mask", "style_mask")

if __name__ == "__main__":
    sys.exit(run_recipe(paint, __doc__, PATHS, DEFAULTS, taken=TAKEN))
