"""Time to the loss at which the original's way ends, over a suite of pictures and starts.

    python benchmarks/to_loss.py

The original's way: batch of three, float32, 10 calls of L-BFGS of 20 evaluations each, its memory
lost in between. Its path is computed with cached targets, which give the same loss, and its time is
that of its evaluations, measured along the path; so the suite takes minutes instead of hours.

All in the original's own formulas, with content and style in balance: a picture that is the style
picture has as much content loss as one that is the content picture has style loss, times --balance;
and the content picture's total variation is a hundredth of that.

Two ratios: of the seconds, with compilation and scipy's own work; and of the work, evaluations
times pixels times what an evaluation costs, which depends less on what else the machine does.
"""

import dataclasses
import time
from pathlib import Path

import common
import numpy as np
from PIL import Image

from evaluator import Evaluator
from network import processor_precision
from neural_style_transfer import minimise
from preprocessing import deprocess, image_at_next_size, images_at, size_for, start_image
from settings import STYLE_LAYERS, make_settings

SAMPLES = common.FOLDER / "samples"
STARTS = ("content", "noise")
# What each way does: its settings, and evaluations at smaller sizes (fraction of the height) first.
UNCUT = {"restarts": False}
PRECONDITIONED = {"restarts": False, "precondition": 0.25}
WAYS = {
    "uncut": (UNCUT, []),
    "preconditioned": (PRECONDITIONED, []),
    "half": (PRECONDITIONED, [(0.5, 40)]),
    "quarter, half": (PRECONDITIONED, [(0.25, 60), (0.5, 40)]),
}


class Reached(Exception):
    """The loss that was to be reached."""


def pairs() -> dict[str, tuple[Path, Path]]:
    """Content and style pictures by name: the samples, and pictures that scikit-image ships."""
    import skimage

    shipped = Path(skimage.__file__).parent / "data"
    return {
        "portrait": (shipped / "astronaut.png", SAMPLES / "painting.jpg"),
        "animal": (SAMPLES / "photo.jpg", SAMPLES / "abstract.jpg"),
        "landscape": (shipped / "rocket.jpg", shipped / "ihc.png"),
        "street": (shipped / "motorcycle_left.png", SAMPLES / "painting.jpg"),
        "texture": (shipped / "coffee.png", shipped / "gravel.png"),
        "abstract": (SAMPLES / "abstract.jpg", shipped / "hubble_deep_field.jpg"),
    }


def balanced(settings, size, pictures: list, filters: dict, balance: float):
    """`settings` with the weights set by the rule above, at (rows, columns)."""
    unit = dataclasses.replace(settings, content_weight=1, style_weight=1, tv_weight=1)
    objective, content = common.objective_at(size, pictures, filters, unit)
    _, style = images_at(pictures, size, settings)
    (_, away_from_style, variation), _ = objective(content)
    (away_from_content, _, _), _ = objective(style)
    return dataclasses.replace(
        settings,
        content_weight=float(balance * away_from_style / away_from_content),
        tv_weight=float(0.01 * away_from_style / variation),
    )


def costs(size, pictures: list, filters: dict, settings) -> tuple[float, float]:
    """Seconds of an evaluation of the batch of three, and of ours, over cached in float32.

    Measured in turn, since only what happens side by side compares.
    """
    ways = [
        dataclasses.replace(settings, targets=targets, precision=precision)
        for targets, precision in (
            ("batch", "float32"),
            ("cached", "float32"),
            ("cached", settings.precision),
        )
    ]
    objectives = [common.objective_at(size, pictures, filters, way) for way in ways]
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


def run(settings, coarse: list, size, pictures: list, filters: dict, target=-np.inf) -> dict:
    """One way from its start until it reaches a loss, or to the end of its evaluations.

    Args:
        settings: of full size.
        coarse: pairs of (fraction of the height, evaluations), before that.
        size: (rows, columns) of full size.
        pictures: content and style picture.
        filters: of the network.
        target: the loss to reach at full size.

    Returns:
        "seconds" in all, "evaluations" [(fraction, seconds)], "losses" at full size, and "image".
    """
    started = time.perf_counter()
    evaluations, losses = [], []
    calls = settings.iter if settings.restarts else 1
    each = settings.evaluations * settings.iter // calls
    image = None
    for fraction, count, times in [(*step, 1) for step in coarse] + [(1.0, each, calls)]:
        step_size = size if fraction == 1 else size_for(pictures[0], round(size[0] * fraction))
        # The original's content and total variation are sums over pixels; its style is not.
        level = dataclasses.replace(
            settings,
            content_weight=settings.content_weight / fraction**2,
            tv_weight=settings.tv_weight / fraction**2,
            evaluations=count,
        )
        objective, _ = common.objective_at(step_size, pictures, filters, level)
        if image is None:
            image = start_image(pictures[0], step_size, settings)
        else:
            image = image_at_next_size(image, pictures[0], step_size, settings)

        def on_evaluation(terms, seconds, fraction=fraction):
            evaluations.append((fraction, seconds))
            if fraction == 1:
                losses.append(float(terms.sum(dtype=np.float64)))
                if losses[-1] <= target:
                    raise Reached

        for _ in range(times):
            evaluator = Evaluator(objective, image, None, on_evaluation, level.precondition)
            images = []
            try:
                minimise(evaluator, 1, level, images.append)
                image = images[-1]
            except Reached:
                image = evaluator.best
                break
    return {
        "seconds": time.perf_counter() - started,
        "evaluations": evaluations,
        "losses": losses,
        "image": image,
    }


def compare_case(name: str, start: str, paths, options) -> list[dict]:
    """All ways of one pair from one start; the first entry is the original's way."""
    settings = make_settings(
        "keras-2",
        init=start,
        weights=options.weights,
        content_layers=options.content_layers,
        style_layers=options.style_layers,
        precision=options.precision,
        iter=options.iter,
    )
    pictures, filters = common.load([str(path) for path in paths], settings)
    size = size_for(pictures[0], options.rows)
    settings = balanced(settings, size, pictures, filters, options.balance)
    batch_cost, our_cost = costs(size, pictures, filters, settings)
    path = run(dataclasses.replace(settings, precision="float32"), [], size, pictures, filters)
    target = path["losses"][-1]
    spent = sum(seconds for _, seconds in path["evaluations"])
    results = {
        "original": {**path, "seconds": path["seconds"] + (batch_cost - 1) * spent},
        "cached": path,
    }
    for way in options.ways:
        choices, coarse = WAYS[way]
        changed = dataclasses.replace(settings, **choices)
        results[way] = run(changed, coarse, size, pictures, filters, target)
    entries = []
    for way, result in results.items():
        cost = {"original": batch_cost, "cached": 1}.get(way, our_cost)
        entries.append(
            {
                "pair": name,
                "start": start,
                "rows": size[0],
                "columns": size[1],
                "way": way,
                "loss": min(result["losses"]),
                "reached": min(result["losses"]) <= target,
                "evaluations": len(result["evaluations"]),
                "seconds": result["seconds"],
                "work": cost * sum(fraction**2 for fraction, _ in result["evaluations"]),
            }
        )
        entries[-1]["times_faster"] = entries[0]["seconds"] / result["seconds"]
        entries[-1]["times_less_work"] = entries[0]["work"] / entries[-1]["work"]
        if options.pictures:
            Path(options.pictures).mkdir(parents=True, exist_ok=True)
            file = f"{name}_{start}_{way.replace(', ', '_')}.png"
            Image.fromarray(deprocess(result["image"])).save(Path(options.pictures, file))
    return entries


def summary(entries: list[dict]) -> list[list]:
    """Geometric mean and worst ratio of each way over all cases, as rows of the table."""
    rows = []
    for way in dict.fromkeys(entry["way"] for entry in entries):
        mine = [entry for entry in entries if entry["way"] == way]
        ratios = np.array([[entry["times_faster"], entry["times_less_work"]] for entry in mine])
        reached = f"{sum(entry['reached'] for entry in mine)} of {len(mine)}"
        mean, worst = np.exp(np.log(ratios).mean(axis=0)), ratios.min(axis=0)
        rows.append(["geometric mean", "", way, None, None, None, *mean.tolist(), reached])
        rows.append(["worst", "", way, None, None, None, *worst.tolist(), ""])
    return rows


def main() -> None:
    parser = common.make_parser(__doc__.splitlines()[0], weights="fitted")
    parser.add_argument("--pairs", nargs="+", default=list(pairs()), help="or CONTENT:STYLE")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--iter", type=int, default=10, help="of the original's way")
    parser.add_argument("--precision", default="float32", help="of ours")
    parser.add_argument("--balance", type=float, default=0.1)
    parser.add_argument("--content_layers", default="block5_conv2")
    parser.add_argument("--style_layers", default=STYLE_LAYERS)
    parser.add_argument("--pictures", metavar="FOLDER", help="write all results there, to look at")
    options = common.parse(parser, rows=96, pairs=["portrait", "landscape"])
    if options.precision == "auto":
        options.precision = processor_precision()
    entries, known = [], pairs()
    data = {"options": vars(options), "results": entries}
    for name in options.pairs:
        paths = known.get(name) or name.split(":")
        name = name if name in known else Path(paths[0]).stem
        for start in STARTS:
            case = compare_case(name, start, paths, options)
            less = ", ".join(f"{entry['way']} {entry['times_less_work']:.2f}" for entry in case)
            print(f"{name} from {start}: times less work: {less}", flush=True)
            entries += case
            if options.json:  # the suite takes long, and what is stopped keeps what it has
                common.save(data, options.json)
    keys = ["pair", "start", "way", "loss", "evaluations", "seconds", "times_faster"]
    keys += ["times_less_work", "reached"]
    table = [[entry[key] for key in keys] for entry in entries] + summary(entries)
    headings = [key.replace("_", " ") for key in keys]
    common.report(__doc__.splitlines()[0], headings, table, data, options.json)


if __name__ == "__main__":
    main()
