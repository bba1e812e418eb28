"""Lets the original example's unchanged script, written for Keras 1 or 2, run today.

    python -P style_transfer/legacy_keras.py SCRIPT FILTERS LOG [arguments of the script]

Needs TensorFlow and tf_keras, and imports nothing else of this package.
"""

import importlib
import json
import runpy
import sys
import time
from pathlib import Path
from typing import Any

MODULES = (
    "backend",
    "applications",
    "applications.vgg16",
    "applications.vgg19",
    "preprocessing",
    "preprocessing.image",
    "utils",
    "layers",
    "models",
)


def run_as_before(script: str, filters: str, log: str, *arguments: str) -> None:
    """Run a script written for Keras 1 or 2 in this process, as its own command line would.

    `keras` becomes the legacy package in graph mode; ImageNet's filters come from a file; functions
    that Keras 1 and its scipy had and today's lack are added; and `fmin_l_bfgs_b` writes
    [call, seconds, loss] of each evaluation to a file.

    Args:
        script: path of the script.
        filters: path of an .npz file, LAYER/kernel and LAYER/bias.
        log: path of the file for the evaluations.
        *arguments: the script's own.
    """
    import tensorflow as tf
    import tf_keras

    tf.compat.v1.disable_eager_execution()
    sys.modules["keras"] = tf_keras
    for name in MODULES:
        sys.modules[f"keras.{name}"] = importlib.import_module(f"tf_keras.{name}")
    use_filters(filters)
    add_what_is_gone()
    watch_evaluations(Path(log))
    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name="__main__")


def use_filters(file: str) -> None:
    """Give VGG16 and VGG19 of the module `keras` the filters of an .npz file."""
    import numpy as np

    def with_filters(build):
        def network(weights="imagenet", **options):
            model = build(weights=None, **options)
            with np.load(file) as arrays:
                for layer in model.layers:
                    if f"{layer.name}/kernel" in arrays:
                        layer.set_weights([arrays[f"{layer.name}/{w}"] for w in ("kernel", "bias")])
            return model

        return network

    for name, network in (("vgg16", "VGG16"), ("vgg19", "VGG19")):
        module = sys.modules[f"keras.applications.{name}"]
        setattr(module, network, with_filters(getattr(module, network)))
        setattr(sys.modules["keras.applications"], network, getattr(module, network))


def add_what_is_gone() -> None:
    """Add functions that Keras 1 and its scipy had, and draw the noise that our runs start from."""
    import numpy as np
    import tensorflow as tf
    from PIL import Image

    # Keras 1: another name for the layout; `loss += …` on a variable made a new tensor.
    backend: Any = sys.modules["keras.backend"]
    variable = backend.variable
    backend.image_dim_ordering = lambda: "tf"
    backend.variable = lambda value, *rest, **options: (
        variable(value, *rest, **options) if np.ndim(value) else tf.constant(value, tf.float32)
    )
    misc: Any = type(sys)("scipy.misc")
    misc.imsave = lambda path, pixels: Image.fromarray(pixels).save(path)
    sys.modules["scipy.misc"] = misc
    random: Any = np.random
    rng = np.random.default_rng(0)
    random.uniform = lambda *range_and_shape: np.float32(rng.uniform(*range_and_shape))


def watch_evaluations(log: Path) -> None:
    """Make `fmin_l_bfgs_b` write a line, [call, seconds, loss], for each evaluation to a file."""
    import scipy.optimize

    call, minimize = 0, scipy.optimize.fmin_l_bfgs_b

    def watched(loss, *rest, **options):
        nonlocal call

        def timed(x):
            started = time.perf_counter()
            value = loss(x)
            entry = [call, time.perf_counter() - started, float(value)]
            with log.open("a") as file:
                file.write(json.dumps(entry) + "\n")
            return value

        result = minimize(timed, *rest, **options)
        call += 1
        return result

    scipy.optimize.fmin_l_bfgs_b = watched


if __name__ == "__main__":
    run_as_before(*sys.argv[1:])
