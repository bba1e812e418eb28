"""A picture reconstructed from noise through each layer, on one sheet.

Gatys, Ecker and Bethge, arXiv 1508.06576, figure 1. Top row: pictures with the same features as
BASE at one layer, block1_conv2, block2_conv2, …, block5_conv2. Bottom row: pictures with the same
Gram matrices as STYLE at block1_conv1, then at block1_conv1 and block2_conv1, and so on up to all
five. PREFIX.png is the sheet.
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

BLOCKS = range(1, 6)
DEFAULTS = {
    "height": 192,
    "init": "noise",
    "scales": "0.5:1,1:1",
    "iter": 2,
    "evaluations": 40,
    "tv_weight": 0.0,
}


def reconstruct(
    base: str,
    style: str,
    prefix: str,
    *,
    workers: int = 1,
    overwrite: bool = False,
    **choices,
):
    """Paint both rows of reconstructions, and write the sheet to PREFIX.png.

    Args:
        base: path of the content picture.
        style: path of the style picture.
        prefix: how the sheet's name starts.
        workers: the number of processes that paint cells.
        overwrite: replace an earlier sheet.
        **choices: fields of `Settings`.

    Returns:
        The sheet, a PIL.Image.
    """
    common = {**DEFAULTS, **choices}
    content_cells = [
        {"base": base, "styles": base, **common, **content_of(block)} for block in BLOCKS
    ]
    style_cells = [{"base": style, "styles": style, **common, **style_of(b)} for b in BLOCKS]
    cells = content_cells + style_cells
    path = check_sheet(prefix, overwrite, {"BASE": base, "STYLE": style}, cells)
    pictures = paint_cells([base, style], cells, workers)
    sheet = make_sheet(
        [pictures[: len(BLOCKS)], pictures[len(BLOCKS) :]],
        ["content", "style"],
        [f"block{block}" if block == 1 else f"block{block} / 1-{block}" for block in BLOCKS],
    )
    save_sheet(sheet, path)
    return sheet


def content_of(block: int) -> dict:
    """Settings with which only the features of one layer count."""
    return {
        "content_weight": 1.0,
        "style_weight": 0.0,
        "content_layers": f"block{block}_conv2",
        "style_layers": "block1_conv1",  # the network should not be deeper than needed
    }


def style_of(block: int) -> dict:
    """Settings with which only the Gram matrices up to a block count."""
    return {
        "content_weight": 0.0,
        "style_weight": 1.0,
        "content_layers": "block1_conv1",
        "style_layers": ",".join(f"block{number}_conv1" for number in range(1, block + 1)),
    }


RECIPE = Recipe(
    name="reconstruct_layers.py",
    function=reconstruct,
    text=__doc__,
    paths={
        "BASE": "the content picture",
        "STYLE": "the style picture",
        "PREFIX": "the sheet's name without .png",
    },
    defaults=DEFAULTS,
    options=(WORKERS,),
    taken=("content_weight", "style_weight", "content_layers", "style_layers"),
)

if __name__ == "__main__":
    sys.exit(run_recipe(RECIPE))
