"""Neural style transfer: a photograph repainted in the manner of a painting.

    python neural_style_transfer.py base.jpg style.jpg result_prefix

The picture itself is optimized. VGG, a network trained to recognize objects, serves as the eye: its
deep features tell what is in a picture, and the correlations among its features, the Gram matrices,
tell how it is painted. Starting from the photograph, L-BFGS lowers the sum of

- the content loss: how far the picture's deep features are from the photograph's,
- the style loss: how far its Gram matrices are from the painting's, at several layers,
- the total variation loss, which keeps neighboring pixels similar,

first at a small size, where large strokes form, then at larger ones.

Gatys, Ecker and Bethge, "A Neural Algorithm of Artistic Style", arXiv 1508.06576.
"""

import sys
import warnings
from functools import partial

from style_transfer.console import listening, say
from style_transfer.events import Listener
from style_transfer.presets import make_settings
from style_transfer.programs import run_command
from style_transfer.settings import Settings

# NumPy, scipy and Keras are imported inside functions, so that --help and a mistyped option answer
# at once.


def transfer(  # noqa: PLR0913 (its keywords are the user's choices)
    base,
    styles,
    prefix=None,
    *,
    preset: str = "default",
    overwrite: bool = False,
    journal: bool = True,
    force: bool = False,
    quiet: bool = True,
    on_event: Listener | None = None,
    objectives=None,
    **choices,
):
    """Repaint a picture in the manner of one or more others.

    Args:
        base: the content picture: a path, a PIL.Image, or an array, uint8 (H, W, 3).
        styles: the style picture, or a list of several.
        prefix: how the names of all files start, or a folder for them; None writes nothing.
        preset: a key of `presets.PRESETS`.
        overwrite: replace an earlier run with the same prefix.
        journal: while running, keep what an exact resume needs.
        force: run even if memory seems too small.
        quiet: print nothing; where the program uses something else than was asked for, it issues a
            Python warning.
        on_event: called with every event of the run; see `style_transfer.events`.
        objectives: replaces `vgg_objectives`. `partial(vgg_objectives, shared=Shared())` lets
            several calls share network and targets.
        **choices: fields of `Settings`, such as `height=256`.

    Returns:
        (picture, record): a PIL.Image with 8 bits per channel, and the `Record` in PREFIX.json.

    Raises:
        InputError: an argument cannot be used. This is a ValueError; its message names the
            argument, what was expected, and what was received.
        StopRun: a listener stopped the run.
        RunStopped: the loss was not finite, or memory ran out.
    """
    from style_transfer.inputs import Sources, given_pictures
    from style_transfer.memory import check_memory
    from style_transfer.runs.guard import output_by_ending
    from style_transfer.runs.opening import Opening, new_run

    given, choices = given_pictures(choices)
    settings = make_settings(preset, **output_by_ending(prefix, choices))
    sources = Sources.chosen(base, styles, settings, given)
    with listening(quiet, on_event) as listeners:
        opening = Opening(make_render, check_memory(force), journal, listeners)
        with new_run(prefix, preset, settings, sources, overwrite, opening) as (run, inputs):
            return paint(run, inputs, objectives)


def resume(  # noqa: PLR0913
    prefix,
    *,
    base=None,
    styles=None,
    from_iteration: int | None = None,
    overwrite: bool = False,
    journal: bool = True,
    force: bool = False,
    quiet: bool = True,
    on_event: Listener | None = None,
    objectives=None,
    **choices,
):
    """Continue an earlier run that was killed, interrupted or finished.

    Args:
        prefix: the run's prefix.
        base: where the content picture is now, if it is no longer where the run found it.
        styles: where the style pictures are now, likewise.
        from_iteration: go back to the image after this iteration; later pictures are kept under a
            new prefix.
        overwrite: remove later pictures instead; allow choices that change the loss, and pictures
            and filters that have changed since.
        **choices: `iter`, for more iterations; with `overwrite`, any field of `Settings`.

    The other arguments, the result and the errors are those of `transfer`.
    """
    from style_transfer.inputs import listed
    from style_transfer.memory import check_memory
    from style_transfer.runs.opening import Opening, earlier_run
    from style_transfer.runs.resume import Changes

    styles = None if styles is None else listed(styles)
    changes = Changes(choices, from_iteration, overwrite, base, styles)
    with listening(quiet, on_event) as listeners:
        opening = Opening(make_render, check_memory(force), journal, listeners)
        with earlier_run(prefix, changes, opening) as (run, inputs):
            return paint(run, inputs, objectives)


def paint(run, inputs, objectives=None):
    """Paint the rest of a run, coarse to fine.

    Args:
        run: a `style_transfer.runs.run.Run`.
        inputs: its `style_transfer.inputs.Inputs`.
        objectives: as in `transfer`.

    Returns:
        As `transfer`.
    """
    from evaluator import Evaluator
    from preprocessing import flatness_remark, image_at_next_size, start_image
    from style_transfer.descent import minimize_in_place

    settings = run.record.settings
    objective_at = (objectives or vgg_objectives)(run, inputs) if run.remaining else None
    objective, shape, moments = None, None, None
    for size in run.sizes():
        if size.shape != shape:
            objective, shape = objective_at(size), size.shape
        image = run.image_before(size)
        if image is None:
            image = start_image(inputs.start_image, size.shape, settings)
            run.remark(flatness_remark(inputs.start_image, size.shape, settings))
        else:
            image = image_at_next_size(image, inputs.start_image, size.shape, settings)
        if run.in_place(size):  # too large for L-BFGS
            moments = minimize_in_place(run, size, objective, image, moments)
            continue
        precondition = settings.precondition if settings.optimizer == "lbfgs" else 0.0
        evaluated = partial(run.evaluated, size)
        evaluator = Evaluator(objective, image, run.journal, evaluated, precondition)
        with run.painting(size, evaluator):
            minimize(evaluator, size.iterations, settings, partial(run.iteration_done, size))
    return run.picture_of(run.finish()), run.record


def vgg_objectives(run, inputs, shared=None, workers=1, address=None):
    """Load VGG with its filters, and make the losses that its features define.

    Args:
        run: the run to paint.
        inputs: its pictures.
        shared: a `style_transfer.shared.Shared` through which several runs share network and
            targets.
        workers: how many processes compute the tiles of a large picture; `auto` chooses.
        address: the address of a Ray cluster whose nodes compute them.

    Returns:
        A function from a `Size` to the objective at that size. The objective takes an image,
        float32 (1, H, W, 3), and returns (terms, gradient).
    """
    from style_transfer.backends import start

    start()
    from preprocessing import fitting_images, images_at, regions_at
    from style_transfer.runs.filters import filters_of_run
    from style_transfer.runs.losses import RunLosses, crew_for
    from style_transfer.shared import Shared

    settings, shared = run.record.settings, shared or Shared()
    filters = filters_of_run(run, fitting_images(inputs.images, settings))
    network = shared.network(filters, settings, run.record.precision)
    losses = RunLosses(run, network, shared, crew_for(run, filters, workers, address))

    def objective_at(size):
        images = images_at(inputs.images, size.shape, settings)
        regions = regions_at(inputs.masks, inputs.images, size.shape, settings)
        targets = losses.targets(size, images, regions)
        return losses.objective(size, targets)

    return objective_at


def minimize(evaluator, iterations: int, settings: Settings, on_iteration) -> None:
    """Lower the loss, starting from the evaluator's image.

    L-BFGS is called once for all iterations, so it keeps what it has learned about the curvature.
    An iteration is a mark along the way, at which a picture is saved. If L-BFGS ends early because
    rounding hides any further descent, it is called again from where it stopped.

    Args:
        evaluator: an `Evaluator`; an exception that it raises ends the optimization.
        iterations: how many to run, with `settings.evaluations` evaluations each.
        settings: the optimizer and its options.
        on_iteration: called after each iteration with the image, float32 (1, H, W, 3), and its
            loss.
    """
    import numpy as np
    from scipy.optimize import fmin_l_bfgs_b

    from style_transfer.images import VALID_RANGE

    budget = iterations * settings.evaluations
    marks = 0

    def mark(x, last: bool = False) -> None:
        nonlocal marks
        due = evaluator.evaluations >= (marks + 1) * settings.evaluations
        if last or (due and marks + 1 < iterations):
            marks += 1
            on_iteration(evaluator.image_at(x), evaluator.last_loss)

    if settings.optimizer == "adam":
        from style_transfer.adam import descend_with_adam

        x = descend_with_adam(evaluator, budget, settings, mark)
        mark(x, last=True)
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
    while marks < iterations:  # a line search may pass several marks if they are close together
        mark(x, last=True)


def make_render(inputs, settings: Settings):
    """The function that turns an image, (1, H, W, 3), into pixels to save, (H, W, 3 or 4)."""
    import preprocessing

    def render(image, dtype):
        pixels = preprocessing.deprocess(image, dtype)
        if settings.preserve_color == "luminance":
            content = preprocessing.resize(inputs.images[0], image.shape[1:3], settings.resize)
            pixels = preprocessing.with_colors_of(pixels, content)
        return preprocessing.with_alpha(pixels, inputs.content.alpha)

    return render


def main(arguments: list[str] | None = None, objectives=None) -> int:
    """Run the command line (by default the process's own); returns an `ExitCode`."""
    from style_transfer.arguments import parse, preset_table

    def command(on_event: Listener) -> None:
        name, options = parse(arguments)
        if name == "list":
            say(preset_table(), sys.stdout)
            return
        if options["quiet"]:
            warnings.simplefilter("ignore")
        if name == "estimate":
            from style_transfer.estimate import estimate

            estimate(**options)
            return
        crew = {key: options.pop(key) for key in ("workers", "address") if key in options}
        run = {"transfer": transfer, "resume": resume}[name]
        made = objectives or partial(vgg_objectives, **crew)
        run(**options, on_event=on_event, objectives=made)

    return run_command("neural_style_transfer.py", command)


if __name__ == "__main__":
    sys.exit(main())
