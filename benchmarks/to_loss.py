"""Time to reach the loss at which the original's method ends, for several pictures and starts.

    python benchmarks/to_loss.py

The original's method: a batch of three, float32, 10 calls of L-BFGS with 20 evaluations each, and
its memory lost in between. Its path is computed with cached targets, which give the same loss, and
its time is that of its evaluations, measured along the path; so the suite takes minutes, not hours.

Everything uses the original's own formulas, with content and style in balance: the style picture's
content loss equals the content picture's style loss times --balance, and the content picture's
total variation is a hundredth of that.

There are two ratios: of the seconds, including compilation and scipy's own work; and of the work,
which is evaluations times pixels times the cost of an evaluation, and depends less on other
programs.
"""

import dataclasses
import importlib.util
import sys
import time
from dataclasses import dataclass
from pathlib import Path

try:
    from benchmarks import common
except ModuleNotFoundError:
    if __package__:
        import benchmarks.not_installed  # noqa: F401
    else:
        import not_installed  # noqa: F401 (either ends the process)

import numpy as np
from PIL import Image

from style_transfer.console import say
from style_transfer.errors import InputError
from style_transfer.paths import existing_file
from style_transfer.presets import make_settings
from style_transfer.settings import INITS, STYLE_LAYERS, Settings
from style_transfer.vgg import Filters

NAME = "to_loss.py"
SAMPLES = common.FOLDER / "samples"
STARTS = ("content", "noise")
# Each method's settings, and its evaluations at smaller sizes (fractions of the height) before.
UNCUT = {"restarts": False}
PRECONDITIONED = {"restarts": False, "precondition": 0.25}
WAYS = {
    "uncut": (UNCUT, []),
    "preconditioned": (PRECONDITIONED, []),
    "half": (PRECONDITIONED, [(0.5, 40)]),
    "quarter, half": (PRECONDITIONED, [(0.25, 60), (0.5, 40)]),
}


# Content and style by name; names without a folder are pictures that scikit-image ships.
PAIRS = {
    "portrait": ("astronaut.png", SAMPLES / "painting.jpg"),
    "animal": (SAMPLES / "photo.jpg", SAMPLES / "abstract.jpg"),
    "landscape": ("rocket.jpg", "ihc.png"),
    "street": ("motorcycle_left.png", SAMPLES / "painting.jpg"),
    "texture": ("coffee.png", "gravel.png"),
    "abstract": (SAMPLES / "abstract.jpg", "hubble_deep_field.jpg"),
}


class Reached(Exception):
    """The target loss has been reached."""


@dataclass(frozen=True)
class Case:
    """A pair of pictures from one start, at one size.

    Attributes:
        pictures: content and style picture, PIL.Images.
        filters: the network's filters.
        size: (rows, columns) of full size.
    """

    pictures: list
    filters: Filters
    size: tuple[int, int]

    def objective_at(self, size: tuple[int, int], settings: Settings):
        """(objective, content image) at a size."""
        return common.objective_at(size, self.pictures, self.filters, settings)


@dataclass
class Descent:
    """The course of one method.

    Attributes:
        image: the image at its end.
        seconds: seconds in all.
        evaluations: (fraction of the height, seconds) of each evaluation.
        losses: the losses at full size.
    """

    image: np.ndarray | None
    seconds: float
    evaluations: list[tuple[float, float]]
    losses: list[float]


def find_pair(text: str) -> tuple[str, tuple[Path, Path]]:
    """The name and the two files of a pair.

    Args:
        text: a key of `PAIRS`, or CONTENT:STYLE.

    Raises:
        InputError: it is neither; or a file, or the package that ships it, is missing.
    """
    if text in PAIRS:
        return text, tuple(_shipped(picture) for picture in PAIRS[text])
    content, colon, style = text.partition(":")
    if not colon:
        raise InputError(
            f"--pairs: expected any of {', '.join(PAIRS)}, or CONTENT:STYLE. Received: {text!r}"
        )
    paths = existing_file(content, "--pairs"), existing_file(style, "--pairs")
    return paths[0].stem, paths


def _shipped(picture: str | Path) -> Path:
    if isinstance(picture, Path):
        return picture
    if not importlib.util.find_spec("skimage"):
        raise InputError(
            f"--pairs: expected the package scikit-image, which ships {picture}. Received: none; "
            "install it with: pip install scikit-image"
        )
    import skimage

    return existing_file(Path(skimage.__file__).parent / "data" / picture, "--pairs")


def balanced(settings: Settings, case: Case, balance: float) -> Settings:
    """`settings` with the loss weights set by the rule above."""
    from preprocessing import images_at

    unit = dataclasses.replace(settings, content_weight=1, style_weight=1, tv_weight=1)
    objective, content = case.objective_at(case.size, unit)
    _, style = images_at(case.pictures, case.size, settings)
    (_, away_from_style, variation), _ = objective(content)
    (away_from_content, _, _), _ = objective(style)
    return dataclasses.replace(
        settings,
        content_weight=float(balance * away_from_style / away_from_content),
        tv_weight=float(0.01 * away_from_style / variation),
    )


def costs(case: Case, settings: Settings) -> tuple[float, float]:
    """Seconds of an evaluation in a batch of three, and of ours, relative to cached in float32.

    Measured alternately, because only measurements made side by side can be compared.
    """
    ways = [
        dataclasses.replace(settings, targets=targets, precision=precision)
        for targets, precision in (
            ("batch", "float32"),
            ("cached", "float32"),
            ("cached", settings.precision),
        )
    ]
    objectives = [case.objective_at(case.size, way) for way in ways]
    seconds, losses = [], []
    for _ in range(6):
        for objective, content in objectives:
            started = time.perf_counter()
            losses.append(objective(content)[0].sum())
            seconds.append(time.perf_counter() - started)
    assert abs(losses[0] / losses[1] - 1) < 1e-4, "batch and cached differ"
    batch, cached, ours = np.reshape(seconds, (-1, 3))[1:].T  # the first round compiles
    ours = ours if settings.precision != "float32" else cached
    return float(np.median(batch / cached)), float(np.median(ours / cached))


def descend(settings: Settings, coarse: list, case: Case, target: float = -np.inf) -> Descent:
    """Run one method until it reaches a loss or the end of its evaluations.

    Args:
        settings: the settings at full size.
        coarse: pairs of (fraction of the height, evaluations) before full size.
        case: pictures, filters and size.
        target: the loss to reach at full size.
    """
    from preprocessing import image_at_next_size, size_for, start_image

    started, done = time.perf_counter(), Descent(None, 0.0, [], [])
    calls = settings.iter if settings.restarts else 1
    each = settings.evaluations * settings.iter // calls
    picture = case.pictures[0]
    for fraction, count, times in [(*step, 1) for step in coarse] + [(1.0, each, calls)]:
        size = case.size if fraction == 1 else size_for(picture, round(case.size[0] * fraction))
        # The original's content and total variation are sums over pixels; its style is not.
        level = dataclasses.replace(
            settings,
            content_weight=settings.content_weight / fraction**2,
            tv_weight=settings.tv_weight / fraction**2,
            evaluations=count,
        )
        if done.image is None:
            done.image = start_image(picture, size, settings)
        else:
            done.image = image_at_next_size(done.image, picture, size, settings)
        minimize_at(case.objective_at(size, level)[0], level, done, (fraction, times, target))
    done.seconds = time.perf_counter() - started
    return done


def minimize_at(objective, level: Settings, done: Descent, step: tuple[float, int, float]) -> None:
    """Call the optimizer at one size, and enter the evaluations into `done`.

    Args:
        objective: the objective at that size.
        level: the settings at that size.
        done: the course so far.
        step: fraction of the height, calls, and the loss to reach at full size.
    """
    from evaluator import Evaluator
    from neural_style_transfer import minimize

    fraction, times, target = step

    def on_evaluation(terms, seconds, replayed):
        done.evaluations.append((fraction, seconds))
        if fraction == 1:
            done.losses.append(float(terms.sum(dtype=np.float64)))
            if done.losses[-1] <= target:
                raise Reached

    def keep(image, loss):
        done.image = image

    for _ in range(times):
        evaluator = Evaluator(objective, done.image, None, on_evaluation, level.precondition)
        try:
            minimize(evaluator, 1, level, keep)
        except Reached:
            done.image = evaluator.best
            return


def compare_case(name: str, start: str, paths: tuple[Path, Path], options) -> list[dict]:
    """Run all methods for one pair and start; the first entry is the original's method."""
    from preprocessing import size_for

    settings = make_settings(
        "keras-2",
        init=start,
        weights=options.weights,
        content_layers=options.content_layers,
        style_layers=options.style_layers,
        precision=options.precision,
        iter=options.iter,
    )
    pictures, filters = common.load([("--pairs", path) for path in paths], settings)
    case = Case(pictures, filters, size_for(pictures[0], options.rows))
    settings = balanced(settings, case, options.balance)
    batch_cost, our_cost = costs(case, settings)
    path = descend(dataclasses.replace(settings, precision="float32"), [], case)
    target = path.losses[-1]
    spent = sum(seconds for _, seconds in path.evaluations)
    original = dataclasses.replace(path, seconds=path.seconds + (batch_cost - 1) * spent)
    results = {"original": (original, batch_cost), "cached": (path, 1.0)}
    for way in options.ways:
        choices, coarse = WAYS[way]
        changed = dataclasses.replace(settings, **choices)
        results[way] = descend(changed, coarse, case, target), our_cost
    entries = []
    for way, (result, cost) in results.items():
        about = {"pair": name, "start": start, "way": way, "target": target}
        entries.append(entry_of(about, case, result, cost))
        entries[-1]["times_faster"] = entries[0]["seconds"] / result.seconds
        entries[-1]["times_less_work"] = entries[0]["work"] / entries[-1]["work"]
        if options.pictures:
            save_picture(result.image, Path(options.pictures).expanduser(), about)
    return entries


def entry_of(about: dict, case: Case, result: Descent, cost: float) -> dict:
    """The numbers of one method; `cost` is an evaluation's, relative to cached in float32."""
    loss = min(result.losses)
    return {
        **about,
        "rows": case.size[0],
        "columns": case.size[1],
        "loss": loss,
        "reached": loss <= about["target"],
        "evaluations": len(result.evaluations),
        "seconds": result.seconds,
        "work": cost * sum(fraction**2 for fraction, _ in result.evaluations),
    }


def save_picture(image: np.ndarray, folder: Path, about: dict) -> None:
    """Write the result of one method, to look at."""
    from preprocessing import deprocess

    folder.mkdir(parents=True, exist_ok=True)
    name = "{pair}_{start}_{way}.png".format(**about).replace(", ", "_")
    Image.fromarray(deprocess(image)).save(folder / name)


def summary(entries: list[dict]) -> list[list]:
    """Geometric mean and worst ratio of each method over all cases, as rows of the table."""
    rows = []
    for way in dict.fromkeys(entry["way"] for entry in entries):
        mine = [entry for entry in entries if entry["way"] == way]
        ratios = np.array([[entry["times_faster"], entry["times_less_work"]] for entry in mine])
        reached = f"{sum(entry['reached'] for entry in mine)} of {len(mine)}"
        mean, worst = np.exp(np.log(ratios).mean(axis=0)), ratios.min(axis=0)
        rows.append(["geometric mean", "", way, None, None, None, *mean.tolist(), reached])
        rows.append(["worst", "", way, None, None, None, *worst.tolist(), ""])
    return rows


def measure(options) -> None:
    """All pairs from all starts; print the table."""
    pairs = [find_pair(text) for text in options.pairs]
    entries = []
    data = {"options": vars(options), "results": entries}
    for name, paths in pairs:
        for start in options.starts:
            case = compare_case(name, start, paths, options)
            less = ", ".join(f"{entry['way']} {entry['times_less_work']:.2f}" for entry in case)
            say(f"{name} from {start}: times less work: {less}", sys.stdout)
            entries += case
            if options.json:  # the suite takes long; if it is stopped, the results so far remain
                common.save(data, options.json)
    keys = ["pair", "start", "way", "loss", "evaluations", "seconds", "times_faster"]
    keys += ["times_less_work", "reached"]
    table = [[entry[key] for key in keys] for entry in entries] + summary(entries)
    headings = [key.replace("_", " ") for key in keys]
    common.report(__doc__.splitlines()[0], headings, table, data, options.json)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns an exit code."""
    parser = common.make_parser(NAME, __doc__, weights="fitted")
    parser.add_argument(
        "--pairs", nargs="+", default=list(PAIRS), help="names of pairs, or CONTENT:STYLE"
    )
    parser.add_argument("--starts", nargs="+", default=STARTS, choices=INITS)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--rows", type=common.rows, default=400)
    parser.add_argument(
        "--iter", type=common.count, default=10, help="iterations of the original's method"
    )
    parser.add_argument(
        "--precision",
        default="float32",
        choices=("auto", *common.PRECISIONS),
        help="precision of this program's network",
    )
    parser.add_argument("--balance", type=common.positive, default=0.1)
    parser.add_argument("--content_layers", default="block5_conv2")
    parser.add_argument("--style_layers", default=STYLE_LAYERS)
    parser.add_argument("--pictures", metavar="FOLDER", help="write all results there, to look at")
    return common.run(NAME, parser, measure, {"rows": 96, "pairs": ["portrait"]}, arguments)


if __name__ == "__main__":
    sys.exit(main())
