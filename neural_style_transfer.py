"""Neural style transfer: a photograph repainted in the manner of a painting.

    python neural_style_transfer.py base.jpg style.jpg result_prefix

The picture itself is optimised. A network trained to recognise things, VGG, serves as the eye: its
deep features say what is in a picture, and the correlations among its features, the Gram matrices,
say in what manner it is painted. Starting from the photograph, L-BFGS lowers the sum of

- the content loss, the distance of the picture's deep features from the photograph's,
- the style loss, the distance of its Gram matrices from the painting's, on several layers,
- the total variation loss, which keeps neighbouring pixels together,

first at a small size, where large strokes form, then at larger ones.

Gatys, Ecker and Bethge, "A Neural Algorithm of Artistic Style", arXiv 1508.06576.
"""

import dataclasses
import os
import shlex
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

from settings import (
    INITS,
    InputError,
    Settings,
    Stretch,
    existing_file,
    layers_in_use,
    make_settings,
    parse_blend,
    plan,
    replan,
)


class Interrupted(Exception):
    """The run was asked to stop, by Ctrl-C or SIGTERM."""


interrupts: list[int] = []  # numbers of the signals received so far


def transfer(
    base: str,
    styles: str | list[str],
    prefix: str | None = None,
    *,
    preset: str = "default",
    overwrite: bool = False,
    journal: bool = True,
    quiet: bool = True,
    kept: dict | None = None,
    **choices,
):
    """Repaint a picture in the manner of others.

    Args:
        base: path of the content picture.
        styles: path of the style picture, or several.
        prefix: beginning of the names of all files; None writes nothing.
        preset: a key of `settings.PRESETS`.
        overwrite: replace an earlier run with the same prefix.
        journal: keep what an exact resume needs while running.
        quiet: print nothing.
        kept: where the network and the features of content and style pictures stay for a further
            call with the same dict; those of the last network only.
        **choices: fields of `settings.Settings`, such as `height=256`.

    Returns:
        (picture, record): a PIL.Image of mode RGB, 8 bits a channel whatever `output` is, and what
        PREFIX.json holds.

    Raises:
        InputError: a ValueError whose message names the argument, what was expected and received.
    """
    settings = make_settings(preset, **choices)
    styles = [styles] if isinstance(styles, str | os.PathLike) else list(styles)
    parse_blend(settings.style_blend, len(styles))
    from results import SUFFIXES, check_prefix, locked

    record = {
        "status": "running",
        "preset": preset,
        "base": {"path": os.path.abspath(base)},
        "styles": [{"path": os.path.abspath(style)} for style in styles],
        "settings": dataclasses.asdict(settings),
        "iterations": [],
        "evaluations": [],
    }
    if prefix is not None:
        check_prefix(prefix, overwrite, SUFFIXES[settings.output])
    with locked(prefix):
        return paint(record, prefix, overwrite, journal, quiet, kept=kept)


def paint(
    record: dict,
    prefix: str | None,
    overwrite: bool,
    journal: bool,
    quiet: bool,
    done: int | None = None,
    kept: dict | None = None,
):
    """Carry out what is left of the run that `record` describes, behind `done` iterations of it.

    See `transfer`; `done` is None for a new run.
    """
    import numpy as np
    from PIL import Image

    import preprocessing
    from progress import Progress
    from results import Run

    # What the user may have got wrong is found before anything heavy is imported.
    settings = Settings(**record["settings"])
    pictures, start_picture, mask_pictures = read_pictures(record, settings)
    if "stretches" not in record:
        stretches = plan(settings, *pictures[0].size)
        record["stretches"] = [dataclasses.asdict(stretch) for stretch in stretches]
    progress = Progress(record, quiet)
    extractor = build_extractor(record, settings, pictures, overwrite, progress.say, kept)
    from objective import balanced_weights, make_objective

    def render(image, dtype=np.uint8):
        pixels = preprocessing.deprocess(image, dtype)
        if settings.preserve_color != "luminance":
            return pixels
        content = preprocessing.resize(pictures[0], image.shape[1:3], settings.resize)
        return preprocessing.with_colors_of(pixels, content)

    if interrupts:
        raise Interrupted
    with Run(record, prefix, overwrite, journal, progress.say, done, render) as run, progress:
        if prefix is not None and not journal:
            progress.say(
                "No journal is kept: a kill loses the iteration begun and, for the rest of "
                "its size, the optimiser's memory."
            )
        if done == settings.iter:
            progress.say(f"All {done} iterations are done; --iter N makes it N in all.")
        size, image = None, None
        while stretch := run.next_stretch():
            if (stretch.rows, stretch.columns) != size:
                size = stretch.rows, stretch.columns
                images = preprocessing.images_at(pictures, size, settings)
                masks = None
                if mask_pictures:
                    sizes = preprocessing.sizes_at(pictures, size, settings)
                    masks = list(map(preprocessing.regions, mask_pictures, sizes))
                about = extractor, images[0], images[1:], settings, masks
                weights = None
                if settings.auto_weights:
                    measured = record.setdefault("auto_weights", {})
                    if (key := str(stretch.scale)) not in measured:
                        measured[key] = balanced_weights(*about, kept)
                        if prefix is not None:
                            run.save_record()  # a resume goes on with the same numbers
                    weights = measured[key]
                objective = make_objective(*about, weights, kept)
            if stretch.first_iteration:
                image = run.image(stretch.first_iteration - 1)
                image = preprocessing.image_at_next_size(image, start_picture, size, settings)
            else:
                image = preprocessing.start_image(start_picture, size, settings)
            paint_stretch(stretch, image, objective, settings, run, progress)
        image = run.image(len(record["iterations"]) - 1)
        run.stop("finished", image)
    return Image.fromarray(render(image)), record


def read_pictures(record: dict, settings: Settings) -> tuple[list, object, list]:
    """The pictures a run reads, entered into its record with their SHA-256.

    Returns:
        Content and style pictures, the picture to start from, and the masks (none: []).
    """
    from preprocessing import load_masks, load_picture
    from results import pictures_read, sha256_of_file

    def absolute(path: str) -> dict:
        return {"path": os.path.abspath(os.path.expanduser(path))}

    pictures = [load_picture(record["base"]["path"], "BASE")]
    pictures += [load_picture(style["path"], "REF") for style in record["styles"]]
    start_picture, masks = pictures[0], []
    if settings.init not in INITS:
        record.setdefault("init", absolute(settings.init))
        start_picture = load_picture(record["init"]["path"], "--init")
    if settings.content_mask:
        style_masks = settings.style_mask.split(",")
        if len(style_masks) != len(record["styles"]):
            raise InputError(
                f"--style_mask: expected {len(record['styles'])}, one for each style picture. "
                f"Received: {settings.style_mask!r}"
            )
        record.setdefault("masks", list(map(absolute, [settings.content_mask, *style_masks])))
        masks = load_masks(*[entry["path"] for entry in record["masks"]])
    for entry in pictures_read(record):
        entry["sha256"] = sha256_of_file(entry["path"])
    return pictures, start_picture, masks


def build_extractor(
    record: dict,
    settings: Settings,
    pictures: list,
    overwrite: bool,
    say: Callable,
    kept: dict | None,
):
    """The network with its filters; where they are from is entered into the record."""
    import preprocessing

    with quiet_imports():
        import keras

        import network
        from weights import FITTING_ROWS, filters_sha256, load_filters, normalized_filters

        keras.ops.zeros(())  # the backend looks for devices now, and talks of it

    layers = layers_in_use(settings)
    enough = preprocessing.SMALLEST_SIDE * pictures[0].height // pictures[0].width + 1
    small = preprocessing.size_for(pictures[0], max(FITTING_ROWS, enough))
    fitting_images = preprocessing.images_at(pictures, small, settings)
    source = settings.weights
    if "weights" in record:  # what `auto` once chose, it stays with
        source = record["weights"]["file"] or record["weights"]["source"]
    filters, weights = load_filters(source, settings, layers, fitting_images, say)
    if not overwrite and weights != {"input": "caffe"} | record.get("weights", weights):
        raise InputError(
            f"--weights: expected the filters that the run began with, or --overwrite. "
            f"Received: others from {source}"
        )
    if settings.normalize_filters:
        filters = normalized_filters(filters, fitting_images, settings, weights["input"])
    precision = settings.precision
    if precision == "auto":
        precision = record.get("precision") or network.processor_precision()
    record |= {"weights": weights, "precision": precision, "versions": versions()}
    choices = {
        "layers": layers,
        "pooling": settings.pooling,
        "precision": precision,
        "borders": settings.borders,
        "taps": settings.taps,
        "input_convention": weights["input"],
    }
    if kept is None:
        return network.feature_extractor(settings.network, filters, **choices)
    key = str((settings.network, choices, filters_sha256(filters)))
    if key not in kept:
        kept.clear()  # of another network, with its features
        kept[key] = network.feature_extractor(settings.network, filters, **choices)
    return kept[key]


def paint_stretch(
    stretch: Stretch, image, objective: Callable, settings: Settings, run, progress
) -> None:
    """The iterations of one size, from `image` on, entered into `run` and told to `progress`."""
    from evaluator import Evaluator, NotFinite
    from objective import TERMS
    from results import JournalMismatch

    def on_evaluation(terms, seconds: float) -> None:
        terms = dict(zip(TERMS, map(float, terms), strict=True))
        progress.evaluation(stretch, run.evaluated(stretch, terms, seconds))
        if run.journal and evaluator.evaluations == run.journal.replayed + 1 > 1:
            progress.say(f"Replayed {run.journal.replayed} evaluations from the journal.")
        if interrupts:
            raise Interrupted

    def on_iteration(image) -> None:
        if entry := run.iteration_done(image, evaluator.last_loss):
            progress.iteration(stretch, entry, run.picture_path(entry["iteration"]))

    precondition = settings.precondition if settings.optimizer == "lbfgs" else 0.0
    evaluator = Evaluator(objective, image, run.journal, on_evaluation, precondition)
    try:
        minimise(evaluator, stretch.iterations, settings, on_iteration)
    except JournalMismatch:
        run.replay_failed(stretch)
    except (Interrupted, NotFinite) as stopped:
        run.stop(type(stopped).__name__.lower(), evaluator.best)
        raise


def minimise(evaluator, iterations: int, settings: Settings, on_iteration: Callable) -> None:
    """Lower the loss from where the evaluator starts.

    L-BFGS is called once for all iterations, so that what it learns of the curvature is kept; an
    iteration is a mark on its way, at which a picture is saved. Where it ends early, since rounding
    hides any further descent, it is called again from where it stands.

    Args:
        evaluator: an `Evaluator`; what it raises ends the optimisation.
        iterations: how many, of `settings.evaluations` evaluations each.
        settings: which optimiser.
        on_iteration: called with the image, float32 (1, H, W, 3), after each iteration.
    """
    import numpy as np
    from scipy.optimize import fmin_l_bfgs_b

    from preprocessing import VALID_RANGE

    budget = iterations * settings.evaluations
    marks = 0

    def mark(x, last: bool = False) -> None:
        nonlocal marks
        due = evaluator.evaluations >= (marks + 1) * settings.evaluations
        if last or (due and marks + 1 < iterations):
            marks += 1
            on_iteration(evaluator.image_at(x))

    if settings.optimizer == "adam":
        import keras

        variable = keras.Variable(evaluator.start.astype(np.float32))
        # Keras's epsilon, 1e-7, is more than a pixel's slope of a relative loss (4e-8 at 200 rows).
        optimizer = keras.optimizers.Adam(settings.learning_rate, epsilon=1e-12)
        for _ in range(budget):
            x = keras.ops.convert_to_numpy(variable).astype(np.float64)
            evaluator.loss(x)
            gradient = keras.ops.convert_to_tensor(evaluator.grads(x).astype(np.float32))
            optimizer.apply([gradient], [variable])
            if settings.clip:
                pixels = keras.ops.convert_to_numpy(variable).reshape(-1, 3)
                variable.assign(np.clip(pixels, *VALID_RANGE.T).ravel())
            mark(keras.ops.convert_to_numpy(variable))
        mark(keras.ops.convert_to_numpy(variable), last=True)
        return

    # scipy's tolerances stop a loss of order 1 at once; the original's losses are of order 1e9.
    options = {} if settings.restarts else {"factr": 0, "pgtol": 0}
    if settings.clip:
        options["bounds"] = np.tile(VALID_RANGE, (len(evaluator.start) // 3, 1))
    x, evaluations = evaluator.start, -1
    while evaluations < evaluator.evaluations < budget:
        evaluations = evaluator.evaluations
        x, _, _ = fmin_l_bfgs_b(
            evaluator.loss,
            x,
            fprime=evaluator.grads,
            maxfun=budget - evaluations,
            callback=mark,
            **options,
        )
    while marks < iterations:  # few evaluations an iteration: a line search may pass several marks
        mark(x, last=True)


def resume(
    prefix: str,
    *,
    from_iteration: int | None = None,
    overwrite: bool = False,
    journal: bool = True,
    quiet: bool = True,
    **choices,
):
    """Go on with an earlier run that was killed, interrupted or finished.

    Args:
        prefix: of the run.
        from_iteration: go back to the image after this iteration. Later pictures are kept under
            a new prefix.
        overwrite: remove later pictures instead; allow choices that change the loss, and pictures
            and filters that have changed since.
        journal: as in `transfer`.
        quiet: print nothing.
        **choices: `iter`, for more iterations; with `overwrite` any field of `settings.Settings`.

    Returns:
        As `transfer`.

    Raises:
        InputError: there is no such run; or something changed that would make it another one.
    """
    from results import load_record, locked

    load_record(prefix)  # where there is no run, no lock is laid
    with locked(prefix):
        record, done = continued(load_record(prefix), from_iteration, overwrite, choices)
        return paint(record, prefix, overwrite, journal, quiet, done)


def continued(
    record: dict, from_iteration: int | None, overwrite: bool, choices: dict
) -> tuple[dict, int]:
    """The record of a run to go on with, and how many of its iterations are kept.

    Arguments and errors are those of `resume`.
    """
    from results import pictures_read, sha256_of_file

    before = make_settings(**record["settings"])
    settings = make_settings(**{**record["settings"], **choices})
    changed = [
        item.name
        for item in dataclasses.fields(settings)
        if getattr(settings, item.name) != getattr(before, item.name)
    ]
    if not overwrite and set(changed) - {"iter"}:
        names = ", ".join(f"--{name}" for name in changed if name != "iter")
        raise InputError(
            f"{names}: expected as in the run that is resumed, or --overwrite. Received: "
            + ", ".join(f"{getattr(settings, name)!r}" for name in changed if name != "iter")
        )
    for name in {"height", "width", "scales"} & set(changed):  # the sizes are what is half done
        raise InputError(
            f"--{name}: expected {getattr(before, name)}, as in the run that is resumed; start "
            f"another run with --init PICTURE instead. Received: {getattr(settings, name)}"
        )
    for name in {"weights", "init"} & set(changed):
        record.pop(name, None)
    if set(changed) - {"iter"}:
        record.pop("auto_weights", None)
    if {"content_mask", "style_mask"} & set(changed):
        record.pop("masks", None)
    for entry in pictures_read(record):
        existing_file(entry["path"], "--resume")
        if not overwrite and sha256_of_file(entry["path"]) != entry["sha256"]:
            raise InputError(
                f"--resume: expected the picture {entry['path']!r} as it was (SHA-256 "
                f"{entry['sha256'][:12]}…), or --overwrite. Received: a changed file"
            )
    done = len(record["iterations"])
    if from_iteration is not None:
        if from_iteration >= done:
            there = f"0 to {done - 1}" if done else "none of which is done yet"
            raise InputError(
                f"--from_iteration: expected one of the run's iterations, {there}. "
                f"Received: {from_iteration}"
            )
        done = from_iteration + 1
    stretches = record["stretches"]
    full_size = min(s["first_iteration"] for s in stretches if s["rows"] == stretches[-1]["rows"])
    least = max(done, full_size + 1)
    if settings.iter < least:
        raise InputError(f"--iter: expected at least {least}. Received: {settings.iter}")
    record["status"] = "running"
    record["settings"] = dataclasses.asdict(settings)
    record["stretches"] = replan(record["stretches"], settings)
    return record, done


def versions() -> dict[str, str]:
    """Versions of Python, of the libraries that decide the result, and the backend's name."""
    import platform
    from importlib.metadata import version

    import keras

    backend = keras.backend.backend()
    names = ["keras", "numpy", "pillow", "scipy", backend]
    return {"python": platform.python_version(), "backend": backend} | {
        name: version(name) for name in names
    }


@contextmanager
def quiet_imports():
    """Keep back what libraries write to standard error while they are imported.

    TensorFlow's notes on its build come before any setting of log levels counts. Where an import
    fails, what was kept back is shown.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as kept:
        stderr = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            os.write(stderr, kept.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def listen() -> None:
    """Let SIGINT and SIGTERM stop the run after the evaluation in flight; a second one, at once.

    Python's own handlers wait until the main thread comes back from the network's evaluation. So
    a thread of its own listens.
    """
    listener, speaker = os.pipe()
    os.set_blocking(speaker, False)
    signal.set_wakeup_fd(speaker)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: None)

    def wait() -> None:
        while True:
            interrupts.extend(os.read(listener, 1))
            if len(interrupts) > 1:
                os._exit(128 + interrupts[0])  # files appear whole or not at all

    threading.Thread(target=wait, daemon=True).start()


def main(arguments: list[str] | None = None) -> int:
    """The command line.

    Returns:
        The exit code: 0; 2 for input that cannot be used; 1 where the run had to stop; 130 or 143
        after Ctrl-C or SIGTERM.
    """
    from arguments import parse, preset_table

    def stopped(reason: object, code: int) -> int:
        print(f"neural_style_transfer.py: {reason}", file=sys.stderr)
        return code

    def way_on() -> str:
        if not Path(f"{Path(prefix).expanduser()}.json").exists():
            return "nothing was saved"
        way = f"go on with --resume {shlex.quote(prefix)}"
        return way if options["journal"] else f"{way}, from the last iteration saved"

    try:
        command, options = parse(arguments)
        if command == "list":
            print(preset_table())
            return 0
        prefix = options["prefix"]
        {"transfer": transfer, "resume": resume}[command](**options)
    except InputError as error:
        return stopped(f"error: {error}", 2)
    except Interrupted:
        return stopped(f"stopped; {way_on()}", 128 + interrupts[0])
    except (ArithmeticError, OSError) as error:
        return stopped(f"stopped: {error}; {way_on()}", 1)
    return 0


if __name__ == "__main__":
    listen()
    sys.exit(main())
