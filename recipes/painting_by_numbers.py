"""A painting from a plan of colored regions, without a content picture.

Risser, Wilmot and Barnes, arXiv 1701.08893, section 5, "painting by numbers": STYLE_MASK marks the
painting's regions, CONTENT_MASK where they go in the new picture. Each region is painted from
noise, using only the style loss of its own region. Masks are PNG pictures of a few flat colors;
every color of CONTENT_MASK must also be in STYLE_MASK. PREFIX.png is the painting.
"""

import sys

try:
    from preprocessing import size_for
    from recipes.command import Recipe, run_recipe
except ModuleNotFoundError:
    if __package__:
        import recipes.not_installed  # noqa: F401
    else:
        import not_installed  # noqa: F401 (either ends the process)

from neural_style_transfer import transfer
from style_transfer.pictures import load_picture
from style_transfer.presets import make_settings

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
        content_mask: path of the plan, which gives the result its aspect.
        style: path of the painting to learn from.
        style_mask: path of that painting's mask.
        prefix: as in `transfer`.
        overwrite: as in `transfer`.
        **choices: fields of `Settings`.

    Returns:
        (picture, record), as `transfer`.
    """
    choices = {**DEFAULTS, **choices, "content_mask": content_mask, "style_mask": style_mask}
    settings = make_settings(**{name: value for name, value in choices.items() if name != "force"})
    # With the style as base, filters are fitted only to it; the size is the plan's.
    plan = load_picture(content_mask, "CONTENT_MASK").image
    _, columns = size_for(plan, settings.height)
    choices["width"] = settings.width or columns
    return transfer(style, style, prefix, overwrite=overwrite, quiet=False, **choices)


RECIPE = Recipe(
    name="painting_by_numbers.py",
    function=paint,
    text=__doc__,
    paths={
        "CONTENT_MASK": "the plan: a picture of flat colors",
        "STYLE": "the painting to learn from",
        "STYLE_MASK": "the painting's regions, in the plan's colors",
        "PREFIX": "how the results' names start",
    },
    defaults=DEFAULTS,
    taken=("content_mask", "style_mask"),
)

if __name__ == "__main__":
    sys.exit(run_recipe(RECIPE))
