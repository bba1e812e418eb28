"""Pictures of several settings side by side, judged for style, structure, noise and time.

    NST_TEST_WEIGHTS=vgg19.npz python benchmarks/pictures.py --rows 256 --sheet sheet.png \\
        --settings "new" "old preset=gram" "weak preset=gram content_weight=0.01"

The judge uses trained VGG19 filters of blocks 1 to 3, from the .npz file that NST_TEST_WEIGHTS
names (arrays LAYER/kernel and LAYER/bias). Without it, only noise and time are measured. The judge
shares no code with the program.
"""

import argparse
import json
import os
import shlex
import sys
import tempfile
import time
from pathlib import Path

try:
    import numpy as np
    from PIL import Image, ImageDraw
    from scipy.ndimage import convolve, gaussian_filter, uniform_filter

    from neural_style_transfer import transfer
except ModuleNotFoundError:
    if __package__:
        import benchmarks.not_installed  # noqa: F401
    else:
        import not_installed  # noqa: F401 (either ends the process)

from style_transfer.errors import InputError

NAME = "pictures.py"
FOLDER = Path(__file__).resolve().parent.parent

# Pairs of content and style, named by what makes them difficult.
PAIRS = {
    "portrait": ("astronaut", "painting"),
    "lines": ("rocket", "painting"),
    "sky": ("camera", "abstract"),
    "texture": ("gravel", "painting"),
    "night": ("night", "abstract"),
    "flat": ("photo", "abstract"),
    "pencil": ("coffee", "pencil"),
    "photograph": ("photo", "coffee"),
}
LAYERS = ("block1_conv2", "block2_conv2", "block3_conv3")  # not used by the program's own losses
CONVOLUTIONS = {1: 2, 2: 2, 3: 3}  # in the judge's blocks, up to the last of LAYERS
MEAN = np.array([103.939, 116.779, 123.68])  # ImageNet's, BGR: what the filters expect subtracted
SUFFIXES = (".png", ".jpg", ".jpeg")


class Judge:
    """Style left, structure and noise of a result, given its content and style pictures."""

    def __init__(self, path: str | None):
        self.filters = dict(np.load(path)) if path else {}

    def features(self, picture: np.ndarray) -> dict[str, np.ndarray]:
        """Features (h, w, N) at LAYERS of a picture (H, W, 3), RGB 0..255."""
        from keras import ops

        features = ops.convert_to_tensor((picture[None, ..., ::-1] - MEAN).astype(np.float32))
        found = {}
        for block, count in CONVOLUTIONS.items():
            if block > 1:
                features = ops.max_pool(features, 2, 2)
            for name in (f"block{block}_conv{number}" for number in range(1, count + 1)):
                features = ops.pad(features, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="symmetric")
                features = ops.conv(features, self.filters[f"{name}/kernel"])
                features = ops.relu(features + self.filters[f"{name}/bias"])
                if name in LAYERS:
                    found[name] = ops.convert_to_numpy(features)[0]
        return found

    def __call__(self, content: np.ndarray, style: np.ndarray, result: np.ndarray) -> dict:
        """Numbers for pictures (H, W, 3), RGB 0..255; content and result of the same size.

        Returns:
            style: distance of the Gram matrices from the style's, divided by the content picture's
                distance; mean over LAYERS (0: the style's, 1: no closer than the photograph).
            structure: correlation of local detail with the content's in LAYERS except the first,
                weighted by the content's energy (1: the same shapes).
            noise: grain where the content is smooth, in gray values; see `noise`.
        """
        numbers = {"noise": noise(content, result)}
        if not self.filters:
            return numbers
        of_content, of_style, of_result = map(self.features, (content, style, result))
        left, kept = [], []
        for layer in LAYERS:
            grams = [gram(features[layer]) for features in (of_content, of_style, of_result)]
            left.append(np.linalg.norm(grams[2] - grams[1]) / np.linalg.norm(grams[0] - grams[1]))
            if layer != LAYERS[0]:
                kept.append(correlation(of_content[layer], of_result[layer]))
        return {"style": float(np.mean(left)), "structure": float(np.mean(kept)), **numbers}


def gram(features: np.ndarray) -> np.ndarray:
    """Gram matrix (N, N) of features (h, w, N), averaged over positions."""
    flat = features.reshape(-1, features.shape[-1])
    return flat.T @ flat / len(flat)


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of features (h, w, N) after their mean over 9 x 9 positions is subtracted."""
    one, other = (part - uniform_filter(part, (9, 9, 0)) for part in (one, other))
    across = (one * other).sum(axis=(0, 1))
    norms = np.sqrt((one**2).sum(axis=(0, 1)) * (other**2).sum(axis=(0, 1)))
    energy = (one**2).sum(axis=(0, 1))
    return float((across / (norms + 1e-9) * energy).sum() / energy.sum())


def noise(content: np.ndarray, result: np.ndarray) -> float:
    """Grain of a result (H, W, 3) in the third of the picture where the content is smoothest.

    Immerkær, "Fast noise variance estimation", CVIU 1996: a mask that is blind to slopes and edges,
    so strokes hardly count.

    Returns:
        The standard deviation of white noise with the same response, in gray values.
    """
    gray = gaussian_filter(content.mean(axis=2), 1)
    unevenness = gaussian_filter(np.hypot(*np.gradient(gray)), 4)
    even = unevenness <= np.quantile(unevenness, 1 / 3)
    mask = np.outer([1, -2, 1], [1, -2, 1])
    answer = np.abs(convolve(result.mean(axis=2), mask))
    return float(np.sqrt(np.pi / 2) / 6 * np.mean(answer[even]))


def find_pictures(folders: list[str], made: Path) -> dict[str, Path]:
    """Paths of pictures by name: scikit-image's, the samples, those made here, and `folders`'."""
    import skimage

    shipped = Path(skimage.__file__).parent / "data"
    found = {}
    for folder in (shipped, FOLDER / "samples", *map(Path, folders)):
        found |= {path.stem: path for path in folder.iterdir() if path.suffix in SUFFIXES}
    with Image.open(found["astronaut"]) as picture:
        pencil_drawing(picture.convert("L")).save(made / "pencil.png")
    with Image.open(found["rocket"]) as picture:
        dark = 255 * (np.asarray(picture.convert("RGB")) / 255) ** 2.2 * [0.5, 0.55, 0.8]
    Image.fromarray(dark.astype(np.uint8)).save(made / "night.png")
    return found | {name: made / f"{name}.png" for name in ("pencil", "night")}


def pencil_drawing(photograph: Image.Image) -> Image.Image:
    """Outlines and hatching of a gray photograph: darker tones get more directions of strokes."""
    tone = gaussian_filter(np.asarray(photograph, np.float64), 1.5)
    rng = np.random.default_rng(0)
    grain = rng.normal(size=tone.shape)
    down, right = np.mgrid[: tone.shape[0], : tone.shape[1]]
    paper = np.full(tone.shape, 244.0)
    for darker_than, angle in ((190, 0.8), (130, -0.7), (80, 0.1)):
        along = down * np.cos(angle) + right * np.sin(angle)
        wobble = gaussian_filter(grain, 6) * 12
        strokes = np.clip(np.sin(2 * np.pi * (along + wobble) / 6), 0, 1) ** 2
        paper -= 90 * strokes * np.clip((darker_than - tone) / 60, 0, 1)
    edges = np.hypot(*np.gradient(tone))
    paper -= 150 * np.clip(edges / 25 - 0.15, 0, 1) + 5 * np.abs(grain)
    gray = np.clip(gaussian_filter(paper, 0.5), 0, 255).astype(np.uint8)
    return Image.fromarray(gray).convert("RGB")


def parse_settings(text: str) -> tuple[str, dict]:
    """A name and choices of `transfer` from `NAME [preset=...] [FIELD=VALUE ...]`."""
    name, *parts = shlex.split(text)
    choices = {}
    for part in parts:
        field, _, value = part.partition("=")
        try:
            choices[field] = json.loads(value)
        except json.JSONDecodeError:
            choices[field] = value
    return name, choices


def as_array(path: Path, rows: int) -> np.ndarray:
    """A picture with `rows` rows as float64 (H, W, 3)."""
    with Image.open(path) as picture:
        size = (round(picture.width * rows / picture.height), rows)
        scaled = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    return np.asarray(scaled, np.float64)


def make_sheet(rows: list[list[np.ndarray]], titles: list[str], height: int) -> Image.Image:
    """Pictures in a grid, one pair per row, under the columns' titles."""
    scaled = [
        [Image.fromarray(np.uint8(np.clip(picture, 0, 255))) for picture in row] for row in rows
    ]
    scaled = [
        [
            picture.resize((round(picture.width * height / picture.height), height))
            for picture in row
        ]
        for row in scaled
    ]
    widths = [max(row[column].width for row in scaled) for column in range(len(titles))]
    sheet = Image.new(
        "RGB", (sum(widths) + 4 * len(widths), 16 + (height + 4) * len(rows)), "white"
    )
    left = 0
    for column, title in enumerate(titles):
        ImageDraw.Draw(sheet).text((left + 4, 2), title, fill="black")
        for row, pictures in enumerate(scaled):
            sheet.paste(pictures[column], (left, 16 + row * (height + 4)))
        left += widths[column] + 4
    return sheet


def print_means(numbers: dict[str, list[dict]]) -> None:
    """Geometric means over the pairs, one line for each of the settings."""
    for name, entries in numbers.items():
        means = {
            key: float(np.exp(np.mean([np.log(max(entry[key], 1e-3)) for entry in entries])))
            for key in entries[0]
        }
        print_line("mean", name, means)


def print_line(pair: str, name: str, numbers: dict) -> None:
    """One line of the table."""
    cells = "  ".join(f"{key} {value:7.3f}" for key, value in numbers.items())
    print(f"{pair:24s} {name:16s} {cells}", flush=True)


def make_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--weights", default="fitted", help="the program's filters")
    parser.add_argument(
        "--settings",
        nargs="+",
        default=["default", "gram preset=gram"],
        metavar="TEXT",
        help="NAME [preset=NAME] [FIELD=VALUE ...] for each column",
    )
    parser.add_argument("--pairs", nargs="+", default=list(PAIRS), help="names, or CONTENT+STYLE")
    parser.add_argument("--folder", action="append", default=[], help="more pictures, by file name")
    parser.add_argument("--out", metavar="FOLDER", help="keep each picture there as PNG")
    parser.add_argument("--sheet", metavar="PATH", help="write all pictures side by side")
    parser.add_argument("--json", metavar="PATH", help="write the numbers")
    return parser


def paths_of(pair: str, pictures: dict[str, Path]) -> tuple[Path, Path]:
    """Paths of the content and the style picture of a pair.

    Raises:
        InputError: there is no picture of that name.
    """
    names = PAIRS.get(pair) or pair.split("+")
    if len(names) != 2 or not set(names) <= set(pictures):
        known = ", ".join(PAIRS)
        raise InputError(
            f"--pairs: expected {known}, or CONTENT+STYLE, names of pictures. Received: {pair!r}"
        )
    return pictures[names[0]], pictures[names[1]]


def paint(base: Path, style: Path, options: argparse.Namespace, choices: dict, judge: Judge):
    """One picture, (H, W, 3), and its numbers."""
    begun = time.perf_counter()
    given = {"height": options.rows, "weights": options.weights, **choices}
    picture, _ = transfer(str(base), [str(style)], None, **given)
    seconds = time.perf_counter() - begun
    result = np.asarray(picture, np.float64)
    content = Image.open(base).convert("RGB").resize(picture.size, Image.Resampling.LANCZOS)
    content = np.asarray(content, np.float64)
    return picture, judge(content, as_array(style, options.rows), result) | {"seconds": seconds}


def run(options: argparse.Namespace) -> None:
    """Make the pictures; print the table; write what was asked for."""
    judge = Judge(os.environ.get("NST_TEST_WEIGHTS"))
    columns = dict(map(parse_settings, options.settings))
    sheet, numbers, table = [], {name: [] for name in columns}, []
    with tempfile.TemporaryDirectory() as made:
        pictures = find_pictures(options.folder, Path(made))
        pairs = {pair: paths_of(pair, pictures) for pair in options.pairs}
        for pair, (base, style) in pairs.items():
            sheet.append([as_array(base, options.rows), as_array(style, options.rows)])
            for name, choices in columns.items():
                picture, entry = paint(base, style, options, choices, judge)
                if options.out:
                    Path(options.out).mkdir(parents=True, exist_ok=True)
                    picture.save(Path(options.out) / f"{pair}-{name}-{options.rows}.png")
                sheet[-1].append(np.asarray(picture, np.float64))
                numbers[name].append(entry)
                table.append({"pair": pair, "settings": name, "rows": options.rows, **entry})
                print_line(pair, name, entry)
    print_means(numbers)
    if options.sheet:
        make_sheet(sheet, ["content", "style", *columns], options.rows).save(options.sheet)
    if options.json:
        Path(options.json).write_text(json.dumps(table, indent=1) + "\n")


def main() -> int:
    """Run the command line; returns 0, or 2 if the input cannot be used."""
    try:
        run(make_parser().parse_args())
    except InputError as error:
        print(f"{NAME}: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
