"""Remake the results shown in README.md and recipes/README.md from the sample pictures.

    python samples/make_results.py [NAME ...]

NAME is `result`, a preset or a recipe; without one, all are made (about half an hour on two cores).
Filters are fitted, so that nothing is downloaded.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

SAMPLES = Path(__file__).resolve().parent
ROOT = SAMPLES.parent
PHOTO, PAINTING, ABSTRACT = (str(SAMPLES / f"{n}.jpg") for n in ("photo", "painting", "abstract"))
MASKS = ROOT / "recipes" / "masks"
PRESETS = (
    "default",
    "gram",
    "keras-1",
    "keras-2",
    "gatys",
    "tensorflow-vgg19",
    "pytorch",
    "histogram",
)
RECIPES = {
    "texture_synthesis": [PAINTING],
    "painting_by_numbers": [MASKS / "plan.png", PAINTING, MASKS / "painting_regions.png"],
    "style_interpolation": [PHOTO, PAINTING, ABSTRACT],
    "reconstruct_layers": [PHOTO, PAINTING],
    "weight_grid": [PHOTO, PAINTING],
    "stability": [PAINTING],
    "accept_or_reject": [PHOTO, PAINTING],
}
ROWS = {"result": 512, "preset": 256, "recipe": 256}
GAP = 8  # pixels between the pictures of a row


def run(*arguments: object) -> None:
    """Run a script of the project with fitted filters."""
    command = [sys.executable, *map(str, arguments), "--weights", "fitted"]
    subprocess.run(command, cwd=ROOT, check=True)


def in_a_row(pictures: list[Image.Image], rows: int) -> Image.Image:
    """Pictures side by side, each with `rows` rows."""
    resized = [
        picture.resize((round(picture.width * rows / picture.height), rows), Image.LANCZOS)
        for picture in pictures
    ]
    width = sum(picture.width + GAP for picture in resized) - GAP
    row, left = Image.new("RGB", (width, rows), "white"), 0
    for picture in resized:
        row.paste(picture, (left, 0))
        left += picture.width + GAP
    return row


def make(name: str, folder: Path) -> None:
    """Make one of the pictures and put it in its place."""
    made = folder / f"{name}.png"
    if name in RECIPES:
        size = ["--height", ROWS["recipe"]]
        run("-m", f"recipes.{name}", *RECIPES[name], made, *size)
        goal = ROOT / "recipes" / "pictures" / f"{name}.jpg"
        picture = Image.open(made).convert("RGB")
    else:
        preset = "default" if name == "result" else name
        rows = ROWS["result" if name == "result" else "preset"]
        run("neural_style_transfer.py", PHOTO, PAINTING, made, "--preset", preset, "--height", rows)
        goal = SAMPLES / "presets" / f"{name}.jpg"
        picture = Image.open(made).convert("RGB")
        if name == "result":
            goal = SAMPLES / "result.jpg"
            picture = in_a_row([Image.open(PHOTO), Image.open(PAINTING), picture], rows)
    picture.save(goal, quality=90)
    print(f"{goal.relative_to(ROOT)}: {picture.width} x {picture.height}", flush=True)


def main() -> int:
    """Make the pictures that are named, or all."""
    known = ["result", *PRESETS, *RECIPES]
    names = sys.argv[1:] or known
    for name in names:
        if name not in known:
            expected = f"expected one of {', '.join(known)}. Received: {name!r}"
            print(f"make_results.py: error: NAME: {expected}", file=sys.stderr)
            return 2
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            make(name, Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
