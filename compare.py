"""Side by side with the original Keras example.

    python compare.py base.jpg style.jpg result_prefix --original neural_style_transfer.py

PATH is your own copy of the original, of Keras 1 or 2: it runs unchanged, in a process of its own, in
graph mode under the legacy package tf_keras. All runs get the same pictures and the same filters:

    original    the original, or the preset with --targets batch where no PATH is given
    preset      ours in the preset of the original: the same path, computed faster
    uncut       the same loss, but L-BFGS is preconditioned and never loses its memory
    default     ours in the default preset, which has a loss of its own
"""

import importlib
import importlib.util
import json
import os
import re
import runpy
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from settings import InputError, existing_file, layers_in_use, make_settings

FOLDER = Path(__file__).resolve().parent
RUNS = ("original", "preset", "uncut", "default")
# The original's loss, minimised as the default preset does, at full size alone: for this loss a
# coarse scale first has gained nothing clear (benchmarks/to_loss.py).
UNCUT = {"restarts": False, "precondition": 0.25}


def make_parser():
    """The parser of the command line."""
    from arguments import Parser

    parser = Parser(prog="compare.py", description="Side by side with the original Keras example.")
    parser.add_argument("base", metavar="BASE", help="the photograph")
    parser.add_argument("style", metavar="REF", help="the painting")
    parser.add_argument("prefix", metavar="PREFIX", help="beginning of the results' names")
    parser.add_argument("--original", metavar="PATH", help="your copy of the original script")
    parser.add_argument(
        "--preset", metavar="keras-1|keras-2", help="of the original (default: seen from PATH)"
    )
    parser.add_argument("--weights", default="auto", help="filters for all runs, as in --help")
    parser.add_argument("--iter", type=int, default=10, metavar="N", help="(default: 10)")
    parser.add_argument(
        "--height", type=int, metavar="N", help="rows (default: 400; with --original, its own)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier comparison")
    return parser


def compare(
    base: str,
    style: str,
    prefix: str,
    original: str | None = None,
    preset: str | None = None,
    weights: str = "auto",
    iter: int = 10,
    height: int | None = None,
    overwrite: bool = False,
) -> dict:
    """Run all, print the table, write the sheet `PREFIX_compare.png` and `PREFIX_compare.json`.

    Args:
        base: path of the content picture.
        style: path of the style picture.
        prefix: beginning of the names of all files.
        original: path of the original script, or None.
        preset: `keras-1` or `keras-2`; None sees it from the script's network.
        weights: filters for all, as in `settings.Settings`; a file must reach the deepest layer.
        iter: iterations of 20 evaluations.
        height: rows of the pictures; the original has its own.
        overwrite: replace the files of an earlier comparison.

    Returns:
        By run: "losses" and "seconds" of all evaluations, "pictures" (paths, by iteration), and
        "iterations", the loss in the original's formulas after each.

    Raises:
        InputError: naming the argument, what was expected and received.
    """
    import preprocessing
    from results import check_prefix, write_whole

    need("matplotlib")
    prefix = str(Path(prefix).expanduser())
    text = ""
    if original:
        need("tf_keras")
        text = existing_file(original, "--original").read_text(errors="replace")
        if height:
            raise InputError(
                "--height: expected none with --original, whose height is written in it. "
                f"Received: {height}"
            )
    preset = preset or ("keras-1" if "vgg16" in text.lower() else "keras-2")
    if preset not in ("keras-1", "keras-2"):
        raise InputError(f"--preset: expected keras-1 or keras-2. Received: {preset!r}")
    settings = make_settings(preset, iter=iter, height=height or 400, weights=weights)
    pictures = [
        preprocessing.load_picture(path, what) for path, what in ((base, "BASE"), (style, "REF"))
    ]
    prefixes = {run: f"{prefix}_{run}" for run in RUNS}
    for path in (f"{prefix}_compare", *prefixes.values()):
        check_prefix(path, overwrite)
    Path(prefix).parent.mkdir(parents=True, exist_ok=True)

    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{folder}/base.png", f"{folder}/style.png"]
        for picture, path in zip(pictures, paths, strict=True):
            picture.save(path)  # upright and sRGB, so that all see the same pixels
        file = f"{folder}/filters.npz"
        filters = save_filters(file, settings, pictures)
        runs = {}
        if original:
            runs["original"] = run_original(original, paths, prefixes["original"], file, iter)
            size = preprocessing.load_picture(runs["original"]["pictures"][0]).size[::-1]
            settings = make_settings(preset, iter=iter, height=size[0], weights=weights)
            if size != preprocessing.size_for(pictures[0], size[0]):  # Keras 1.1 made squares
                pictures[0] = pictures[0].resize(size[::-1], 0)
                pictures[0].save(paths[0])
        choices = {
            "original": {"preset": preset, "targets": "batch"},
            "preset": {"preset": preset},
            "uncut": {"preset": preset, "precision": "auto", **UNCUT},
            "default": {"network": settings.network},
        }
        for run in RUNS:
            if run not in runs:
                runs[run] = run_ours(run, paths, prefixes[run], file, settings, choices[run])
    loss_of = original_loss(settings, filters, pictures)
    runs["default"]["iterations"] = [loss_of(path) for path in runs["default"]["pictures"]]
    write_whole(
        Path(f"{prefix}_compare.json"),
        lambda file: file.write(json.dumps(runs, indent=1).encode()),
    )
    print_table(runs, preset, original)
    draw_sheet(runs, preset, pictures, f"{prefix}_compare.png")
    return runs


def need(package: str) -> None:
    """InputError where a package that only the comparison needs is not installed."""
    if not importlib.util.find_spec(package):
        raise InputError(
            f"compare.py: expected the package {package}, not installed. "
            f"Install it with: pip install -r requirements-compare.txt"
        )


def save_filters(path: str, settings, pictures: list) -> dict:
    """The filters that `settings` asks for, up to the deepest layer of any run; also as .npz."""
    import numpy as np

    import preprocessing
    from neural_style_transfer import quiet_imports

    with quiet_imports():
        import keras

        from weights import FITTING_ROWS, load_filters

        keras.ops.zeros(())  # the backend looks for devices now, and talks of it

    size = preprocessing.size_for(pictures[0], FITTING_ROWS)
    images = preprocessing.images_at(pictures, size, settings)
    layers = layers_in_use(settings) + layers_in_use(make_settings(network=settings.network))
    filters, about = load_filters(settings.weights, settings, layers, images)
    if about["input"] != "caffe":
        raise InputError(
            "--weights: expected filters for the input of the original, BGR minus mean. "
            f"Received: {settings.weights!r}, torchvision's"
        )
    np.savez(
        path,
        **{f"{layer}/kernel": kernel for layer, (kernel, _) in filters.items()},
        **{f"{layer}/bias": bias for layer, (_, bias) in filters.items()},
    )
    return filters


def run_ours(
    name: str, paths: list[str], prefix: str, filters: str, settings, choices: dict
) -> dict:
    """One of our runs, from pictures and filters in files; see `compare` for what it returns."""
    from neural_style_transfer import transfer
    from results import pictures_of

    print(f"{name}: {settings.iter} iterations …", flush=True)
    _, record = transfer(
        *paths,
        prefix,
        overwrite=True,
        journal=False,
        weights=filters,
        iter=settings.iter,
        height=settings.height,
        **choices,
    )
    files = pictures_of(prefix)
    return {
        "losses": [entry["total"] for entry in record["evaluations"]],
        "seconds": [entry["seconds"] for entry in record["evaluations"]],
        "iteration": [entry["iteration"] for entry in record["evaluations"]],
        "iterations": [entry["total"] for entry in record["iterations"]],
        "pictures": [str(files[number]) for number in range(settings.iter)],
        "precision": record["precision"],
    }


def run_original(script: str, paths: list[str], prefix: str, filters: str, iterations: int) -> dict:
    """The user's script as it is, in a process of its own; see `compare` for what it returns.

    Losses and pictures of the iterations are those that it prints; its evaluations are watched.
    A script without --iter (Keras 1.1) is ended behind the last iteration wanted.
    """
    text = Path(script).read_text(errors="replace")
    arguments = [*paths, prefix] + (["--iter", str(iterations)] if "--iter" in text else [])
    with tempfile.TemporaryDirectory() as folder:
        log, errors = Path(folder, "evaluations"), Path(folder, "errors")
        command = [sys.executable, "-c", "import sys; sys.path.insert(0, sys.argv[1]); "]
        command[-1] += "from compare import run_as_before; run_as_before(*sys.argv[2:])"
        command += [FOLDER, script, filters, log, *arguments]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
        losses, pictures = [], []
        with (
            open(errors, "w") as stderr,
            subprocess.Popen(
                list(map(str, command)),
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env=environment,
            ) as process,
        ):
            for line in process.stdout:
                print(f"original: {line.rstrip()}", flush=True)
                if found := re.match(r"Current loss value:\s*(\S+)", line):
                    losses.append(float(found[1]))
                if found := re.match(r"Image saved as\s+(.*\S)", line):
                    pictures.append(found[1])
                if re.match(r"Iteration \d+ completed", line) and len(losses) == iterations:
                    process.terminate()
        if len(losses) < iterations or len(pictures) < iterations:
            last = (errors.read_text().strip().splitlines() or ["nothing on standard error"])[-1]
            raise InputError(
                f"--original: expected a script that prints {iterations} iterations' losses and "
                f"pictures. Received: {script!r}, which printed {len(losses)} and ended: {last}"
            )
        evaluations = [json.loads(line) for line in log.read_text().splitlines()]
    return {
        "losses": [loss for _, _, loss in evaluations],
        "seconds": [seconds for _, seconds, _ in evaluations],
        "iteration": [iteration for iteration, _, _ in evaluations],
        "iterations": losses,
        "pictures": pictures,
        "precision": "float32",
    }


def run_as_before(script: str, filters: str, log: str, *arguments: str) -> None:
    """Run a script written for Keras 1 or 2, here and now, as its own command line would.

    `keras` becomes the legacy package in graph mode; ImageNet's filters are those of a file; what
    Keras 1 and its scipy had and today's have not is put in place; and `fmin_l_bfgs_b` writes
    [call, seconds, loss] of each evaluation to a file.

    Args:
        script: path of the script.
        filters: path of an .npz file, LAYER/kernel and LAYER/bias.
        log: path of the file for the evaluations.
        *arguments: the script's own.
    """
    import numpy as np
    import scipy.optimize
    import tensorflow as tf
    import tf_keras
    from PIL import Image

    tf.compat.v1.disable_eager_execution()
    names = ("backend", "applications", "preprocessing", "preprocessing.image")
    names += ("applications.vgg16", "applications.vgg19", "utils", "layers", "models")
    sys.modules["keras"] = tf_keras
    for name in names:
        sys.modules[f"keras.{name}"] = importlib.import_module(f"tf_keras.{name}")

    def with_filters(build):
        def network(weights="imagenet", **options):
            model = build(weights=None, **options)
            with np.load(filters) as file:
                for layer in model.layers:
                    if f"{layer.name}/kernel" in file:
                        layer.set_weights([file[f"{layer.name}/{w}"] for w in ("kernel", "bias")])
            return model

        return network

    for module, network in (("vgg16", "VGG16"), ("vgg19", "VGG19")):
        module = sys.modules[f"keras.applications.{module}"]
        setattr(module, network, with_filters(getattr(module, network)))
        setattr(sys.modules["keras.applications"], network, getattr(module, network))

    # Keras 1: another name for the layout; `loss += …` on a variable made a new tensor.
    backend, variable = tf_keras.backend, tf_keras.backend.variable
    backend.image_dim_ordering = lambda: "tf"
    backend.variable = lambda value, *rest, **options: (
        variable(value, *rest, **options) if np.ndim(value) else tf.constant(value, tf.float32)
    )
    misc = type(sys)("scipy.misc")
    misc.imsave = lambda path, pixels: Image.fromarray(pixels).save(path)
    sys.modules["scipy.misc"] = misc
    # The noise that our --init noise starts from.
    rng = np.random.default_rng(0)
    np.random.uniform = lambda *range_and_shape: rng.uniform(*range_and_shape).astype(np.float32)

    call, minimise = 0, scipy.optimize.fmin_l_bfgs_b

    def watched(loss, *rest, **options):
        nonlocal call

        def timed(x):
            started = time.perf_counter()
            value = loss(x)
            entry = [call, time.perf_counter() - started, float(value)]
            with open(log, "a") as file:
                file.write(json.dumps(entry) + "\n")
            return value

        result = minimise(timed, *rest, **options)
        call += 1
        return result

    scipy.optimize.fmin_l_bfgs_b = watched
    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name="__main__")


def original_loss(settings, filters: dict, pictures: list):
    """A function from a picture's path to its loss in the original's formulas.

    A picture of a coarser scale is brought to full size first.
    """
    import numpy as np

    import network
    import preprocessing
    from objective import make_objective

    extractor = network.feature_extractor(
        settings.network,
        filters,
        layers_in_use(settings),
        settings.pooling,
        borders=settings.borders,
    )
    size = preprocessing.size_for(pictures[0], settings.height)
    content, style = preprocessing.images_at(pictures, size, settings)
    objective = make_objective(extractor, content, [style], settings)

    def loss(path: str) -> float:
        image = preprocessing.preprocess(np.array(preprocessing.load_picture(path)))
        terms, _ = objective(preprocessing.resize_image(image, size))
        return float(terms.sum())

    return loss


def psnr(path: str, other: str) -> float:
    """Peak signal-to-noise ratio between two pictures of one size, in dB.

    Keras 2's `save_img` stretches a picture's values to 0..255; so both are stretched first.
    """
    import numpy as np

    from preprocessing import load_picture

    def stretched(path: str):
        pixels = np.asarray(load_picture(path), np.float64)
        pixels = pixels - pixels.min()
        return pixels * (255 / max(pixels.max(), 1))

    error = np.mean((stretched(path) - stretched(other)) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def seconds_of(run: dict, iteration: int) -> float:
    """Seconds of the evaluations of one iteration."""
    pairs = zip(run["iteration"], run["seconds"], strict=True)
    return sum(seconds for number, seconds in pairs if number == iteration)


def seconds_to(run: dict, loss: float) -> float | None:
    """Seconds of evaluations until a loss is reached, but for rounding along the path, or None."""
    spent = 0.0
    for value, seconds in zip(run["losses"], run["seconds"], strict=True):
        spent += seconds
        if value <= loss * (1 + 1e-4):
            return spent
    return None


def print_table(runs: dict, preset: str, original: str | None) -> None:
    """The table: losses and seconds an iteration, side by side."""
    from rich.console import Console
    from rich.table import Table

    reference = runs["original"]
    title = f"original: {original}" if original else "original: ours with --targets batch, instead"
    table = Table(title=f"{title}; preset: {preset}")
    for heading in ("iteration", "original", "s", "preset", "difference", "s", "uncut", "s"):
        table.add_column(heading, justify="right")
    for heading in ("default*", "s"):
        table.add_column(heading, justify="right")

    def row(name: str, losses: dict, seconds: dict) -> None:
        cells = [name]
        for run in RUNS:
            cells.append(f"{losses[run]:.6g}" if run in losses else "")
            if run == "preset":
                cells.append(f"{abs(losses[run] / losses['original'] - 1):.1e}")
            cells.append(f"{seconds[run]:.1f}")
        table.add_row(*cells)

    row(
        "start",
        {run: runs[run]["losses"][0] for run in RUNS if run != "default"},
        {run: runs[run]["seconds"][0] for run in RUNS},
    )
    for iteration in range(len(reference["iterations"])):
        row(
            str(iteration),
            {run: runs[run]["iterations"][iteration] for run in RUNS},
            {run: seconds_of(runs[run], iteration) for run in RUNS},
        )
    total = {run: sum(runs[run]["seconds"]) for run in RUNS}
    reached = {run: seconds_to(runs[run], reference["iterations"][-1]) for run in RUNS[:3]}
    table.add_section()

    def last_rows(name: str, cells: dict) -> None:
        columns = {"original": 2, "preset": 5, "uncut": 7, "default": 9}
        line = [name] + [""] * 9
        for run, cell in cells.items():
            line[columns[run]] = cell
        table.add_row(*line)

    last_rows("all, s", {run: f"{total[run]:.1f}" for run in RUNS})
    last_rows("times faster", {run: f"{total['original'] / total[run]:.2f}" for run in RUNS})
    last_rows(
        "original's last loss, s",
        {run: f"{seconds:.1f}" if seconds else "not" for run, seconds in reached.items()},
    )
    last_rows(
        "times sooner",
        {run: f"{reached['original'] / s:.2f}" if s else "not" for run, s in reached.items()},
    )
    last = {run: runs[run]["pictures"][-1] for run in RUNS}
    last_rows("PSNR, dB", {run: f"{psnr(last[run], last['original']):.1f}" for run in RUNS[1:]})
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    print(
        "Seconds are those of evaluations of loss and gradient; the first of each size includes its "
        "compilation.\n* Its loss is another one. Shown is the original's loss of its pictures."
    )


def draw_sheet(runs: dict, preset: str, pictures: list, path: str) -> None:
    """The pictures of all runs, and loss over time, as one PNG."""
    import io

    import matplotlib

    matplotlib.use("Agg")
    import numpy as np
    from matplotlib import pyplot
    from PIL import Image

    from results import write_whole

    figure = pyplot.figure(figsize=(15, 11), layout="constrained")
    grid = figure.add_gridspec(3, 3)
    shown = {"BASE": pictures[0], "REF": pictures[1]}
    shown |= {run: Image.open(runs[run]["pictures"][-1]) for run in RUNS}
    labels = {**{name: name for name in shown}, "preset": preset, "uncut": f"{preset}, uncut"}
    for place, (name, picture) in enumerate(shown.items()):
        axes = figure.add_subplot(grid[divmod(place, 3)])
        axes.imshow(picture)
        axes.set_axis_off()
        seconds = f": {sum(runs[name]['seconds']):.0f} s" if name in runs else ""
        axes.set_title(labels[name] + seconds)
    axes = figure.add_subplot(grid[2, :])
    for name in RUNS[:3]:
        run = runs[name]
        lowest = np.minimum.accumulate(run["losses"])
        axes.plot(np.cumsum(run["seconds"]), lowest, label=labels[name])
    ends = [seconds_of(runs["default"], i) for i in range(len(runs["default"]["iterations"]))]
    axes.plot(np.cumsum(ends), runs["default"]["iterations"], "o:", label="default (its pictures)")
    axes.set(yscale="log", xlabel="seconds", ylabel="loss in the original's formulas")
    axes.legend()
    with io.BytesIO() as sheet:
        figure.savefig(sheet, format="png", dpi=100)
        write_whole(Path(path), lambda file: file.write(sheet.getvalue()))
    pyplot.close(figure)
    print(f"Sheet saved as {path}")


def main(arguments: list[str] | None = None) -> int:
    """The command line; the exit code is 0, or 2 for input that cannot be used."""
    try:
        compare(**vars(make_parser().parse_args(arguments)))
    except InputError as error:
        print(f"compare.py: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
