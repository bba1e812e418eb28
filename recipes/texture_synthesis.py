"""A texture of any size, made from noise after a single picture.

Gatys, Ecker and Bethge, arXiv 1505.07376; coarse to fine as in Risser, Wilmot and Barnes, arXiv
1701.08893. Only the style loss and a little smoothing are at work: the texture has the source's
colors, strokes and small shapes, but in other places. With --style_scale 0.5 it shows four times as
much as the source. PREFIX.png is the texture.
"""

import sys

try:
    from recipes.command import Recipe, run_recipe
except ModuleNotFoundError:
    if __package__:
        import recipes.not_installed  # noqa: F401
    else:
        import not_installed  # noqa: F401 (either ends the process)

from neural_style_transfer import transfer

DEFAULTS = {
    "height": 256,
    "init": "noise",
    "content_weight": 0.0,
    "scales": "0.25:2,0.5:2,1:2",
    "iter": 6,
}


def synthesize(style: str, prefix: str | None, *, overwrite: bool = False, **choices):
    """Paint the texture to PREFIX.png.

    Args:
        style: path of the source.
        prefix: as in `transfer`.
        overwrite: as in `transfer`.
        **choices: fields of `Settings`.

    Returns:
        (picture, record), as `transfer`.
    """
    # Only the base's aspect is used, and only if no width is given.
    choices = {**DEFAULTS, **choices}
    return transfer(style, style, prefix, overwrite=overwrite, quiet=False, **choices)


RECIPE = Recipe(
    name="texture_synthesis.py",
    function=synthesize,
    text=__doc__,
    paths={"STYLE": "the picture of the texture", "PREFIX": "how the results' names start"},
    defaults=DEFAULTS,
)

if __name__ == "__main__":
    sys.exit(run_recipe(RECIPE))
