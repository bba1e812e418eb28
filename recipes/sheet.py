"""A labeled sheet of pictures: checks its file before anything is computed, and draws it."""

import os
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from recipes.cells import settings_of
from style_transfer.console import say
from style_transfer.errors import InputError
from style_transfer.inputs import Sources, given_pictures
from style_transfer.pictures import load_picture
from style_transfer.runs.files import write_whole
from style_transfer.runs.guard import check_inputs_apart, check_writable, is_ours, run_files
from style_transfer.runs.opening import named_files
from style_transfer.runs.record import PROGRAM

GAP = 6  # pixels around cells and labels
TEXT = 13  # pixels, the labels' size


def check_sheet(prefix: str, overwrite: bool, named: dict, cells: list[dict]) -> Path:
    """Find the user's mistakes before anything heavy starts.

    Args:
        prefix: how the sheet's name starts, its name with .png, or a folder.
        overwrite: whether an earlier sheet may be replaced.
        named: the pictures by the arguments that name them.
        cells: keyword arguments of `transfer`, which may name more files.

    Returns:
        The sheet's path.

    Raises:
        InputError: a picture or setting cannot be used; or the sheet would replace an input,
            somebody else's file, or, without `overwrite`, an earlier sheet.
    """
    pictures = {what: load_picture(source, what) for what, source in named.items()}
    inputs = [(what, Path(picture.path)) for what, picture in pictures.items() if picture.path]
    for cell in cells:
        settings = settings_of(cell)
        given, _ = given_pictures(cell)
        sources = Sources.chosen(cell["base"], cell["styles"], settings, given)
        inputs += named_files(sources, settings)
    first, *others = named.values()
    files = run_files(prefix, "png", Sources(first, others).names())
    check_writable(files)
    check_inputs_apart(files, inputs)
    path, received = files.picture(), f"Received: {str(files.prefix)!r}"
    if os.path.lexists(path) and not overwrite:
        raise InputError(
            f"PREFIX: expected one without a sheet, or --overwrite. {received}, which has "
            f"{path.name}"
        )
    if os.path.lexists(path) and not is_ours(path):
        raise InputError(
            f"PREFIX: expected no file but this program's. {received}, where {path.name} is not "
            "one; move it, or choose another prefix"
        )
    return path


def save_sheet(sheet: Image.Image, path: Path) -> None:
    """Write a sheet with the program's mark, and say so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    info = PngInfo()
    info.add_text("Software", PROGRAM)
    write_whole(path, lambda file: sheet.save(file, "PNG", pnginfo=info))
    say(f"Sheet saved as {path}", sys.stdout)


def make_sheet(
    rows: list[list[Image.Image]], row_labels: list[str], column_labels: list[str]
) -> Image.Image:
    """Pictures in rows and columns on white, with a label for each row and column.

    Args:
        rows: the pictures; all rows have the same length. A cell is as large as the largest picture
            of its row and column, or its column's label; the picture is at its top left.
        row_labels: one per row.
        column_labels: one per column.

    Returns:
        A picture of mode RGB.
    """
    font = ImageFont.load_default(TEXT)
    left = GAP + max(GAP + round(font.getlength(label)) if label else 0 for label in row_labels)
    top = GAP + (TEXT + 2 * GAP if any(column_labels) else 0)
    widths = [
        max(round(font.getlength(label)), *(picture.width for picture in column), 1)
        for label, column in zip(column_labels, zip(*rows, strict=True), strict=True)
    ]
    heights = [max(picture.height for picture in row) for row in rows]
    size = left + sum(widths) + GAP * len(widths), top + sum(heights) + GAP * len(heights)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    y = top
    for row, height, row_label in zip(rows, heights, row_labels, strict=True):
        x = left
        draw.text((GAP, y + height // 2), row_label, "black", font, anchor="lm")
        for picture, width, label in zip(row, widths, column_labels, strict=True):
            if y == top:
                draw.text((x, GAP), label, "black", font, anchor="lt")
            sheet.paste(picture, (x, y))
            x += width + GAP
        y += height + GAP
    return sheet
