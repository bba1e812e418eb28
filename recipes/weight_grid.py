"""Style layers against content weight: a grid of results on one sheet.

Gatys, Ecker and Bethge, arXiv 1508.06576, figure 3. From top to bottom the style is matched at
block1_conv1, then at block1_conv1 and block2_conv1, and so on up to all five: local structures
grow. From left to right the ratio α/β of content to style weight grows: the content shows more. The
paper's α/β of 1e-5 to 1e-2 are for its own loss (--loss_scale gatys) and ImageNet's filters; the
`relative` loss from noise is balanced near 1. PREFIX.png is the sheet.
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

from style_transfer.parsing import positive

BLOCKS = range(1, 6)
RATIOS = "0.1,0.5,2,10"
DEFAULTS = {
    "height": 160,
    "init": "noise",
    "scales": "0.5:1,1:1",
    "iter": 2,
    "evaluations": 30,
}


def paint_grid(
    base: str,
    style: str,
    prefix: str,
    *,
    ratios: str = RATIOS,
    workers: int = 1,
    overwrite: bool = False,
    **choices,
):
    """Paint the grid, and write the sheet to PREFIX.png.

    Args:
        base: path of the content picture.
        style: path of the style picture.
        prefix: how the sheet's name starts.
        ratios: ratios of content to style weight, separated by commas; one per column.
        workers: the number of processes that paint cells.
        overwrite: replace an earlier sheet.
        **choices: fields of `Settings`.

    Returns:
        The sheet, a PIL.Image.
    """
    numbers = [positive(ratio, "--ratios") for ratio in ratios.split(",")]
    cells = [
        {
            "base": base,
            "styles": style,
            **DEFAULTS,
            **choices,
            "content_weight": number,
            "style_weight": 1.0,
            "style_layers": ",".join(f"block{each}_conv1" for each in range(1, block + 1)),
        }
        for block in BLOCKS
        for number in numbers
    ]
    path = check_sheet(prefix, overwrite, {"BASE": base, "STYLE": style}, cells)
    pictures = paint_cells([base, style], cells, workers)
    count = len(numbers)
    sheet = make_sheet(
        [pictures[start : start + count] for start in range(0, len(pictures), count)],
        ["block1"] + [f"to block{block}" for block in BLOCKS[1:]],
        [f"ratio {number:g}" for number in numbers],
    )
    save_sheet(sheet, path)
    return sheet


RECIPE = Recipe(
    name="weight_grid.py",
    function=paint_grid,
    text=__doc__,
    paths={
        "BASE": "the content picture",
        "STYLE": "the style picture",
        "PREFIX": "the sheet's name without .png",
    },
    defaults=DEFAULTS,
    options=(
        WORKERS,
        ("ratios", RATIOS, "ratios of content to style weight, one per column"),
    ),
    taken=("content_weight", "style_weight", "style_layers"),
)

if __name__ == "__main__":
    sys.exit(run_recipe(RECIPE))
