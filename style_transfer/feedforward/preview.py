"""The preview of a training: held-out photographs above the network's pictures of them."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from keras import ops
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from style_transfer.feedforward.about import PROGRAM
from style_transfer.feedforward.network import StyleNetwork
from style_transfer.runs.files import write_whole

GAP = 8  # pixels between pictures


def sheet(network: StyleNetwork, styles: Sequence[Image.Image], pictures: Sequence[np.ndarray]):
    """A PIL.Image: the styles on the left, then photographs, each above the network's picture.

    Args:
        network: the network in its current state.
        styles: the style pictures.
        pictures: photographs, uint8 (H, W, 3), all with the same number of rows.
    """
    rows = pictures[0].shape[0]
    columns = [_column(styles, rows)]
    for pixels in pictures:
        painted = ops.convert_to_numpy(network(pixels[None]))[0]
        repainted = np.clip(np.rint(painted), 0, 255).astype(np.uint8)
        columns.append([Image.fromarray(pixels), Image.fromarray(repainted)])
    widths = [max(image.width for image in column) for column in columns]
    whole = Image.new("RGB", (sum(widths) + GAP * (len(widths) - 1), 2 * rows + GAP), "white")
    left = 0
    for column, width in zip(columns, widths, strict=True):
        top = 0
        for image in column:
            whole.paste(image, (left, top))
            top += image.height + GAP
        left += width + GAP
    return whole


def write_sheet(path: Path, image: Image.Image) -> None:
    """Write a sheet with this program's mark, whole or not at all."""
    info, file = PngInfo(), io.BytesIO()
    info.add_text("Software", PROGRAM)
    image.save(file, "PNG", pnginfo=info)
    write_whole(path, lambda target: target.write(file.getvalue()))


def _column(styles: Sequence[Image.Image], rows: int) -> list[Image.Image]:
    """The styles, as many as fit in one column, each `rows` pixels wide."""
    side = (2 * rows - GAP * (len(styles) - 1)) // len(styles)
    column = []
    for style in styles:
        small = style.copy()
        small.thumbnail((rows, max(16, side)), Image.Resampling.LANCZOS)
        column.append(small)
    return column
