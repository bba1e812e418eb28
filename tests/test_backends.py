"""The contract of the backends, below the one that KERAS_BACKEND names.

    KERAS_BACKEND=torch python -m pytest tests/test_backends.py

All comparisons are with NumPy in float64, or with finite differences of it.
"""

import json
import logging
import os
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
import reference
from conftest import draw
from keras import ops
from numpy.testing import assert_allclose

from style_transfer import backends, losses
from style_transfer.backends import value_and_grad, with_gradient
from style_transfer.errors import OutOfMemory
from style_transfer.images import IMAGENET_MEAN
from style_transfer.network import feature_extractor, processor_precision
from style_transfer.objective import make_objective
from style_transfer.parsing import layers_in_use, parse_layers, style_parts
from style_transfer.presets import make_settings
from style_transfer.targets import make_targets
from style_transfer.vgg import Filters

BACKEND = keras.backend.backend()


def image_of(size, seed):
    """BGR minus mean, float32 (1, *size, 3)."""
    return np.asarray(draw(*size, seed), np.float32)[None, :, :, ::-1] - IMAGENET_MEAN


def nothing(x, factor):
    return ops.zeros((2,), "float32")


def squares(x, factor):
    return ops.stack([ops.sum(ops.square(x)), ops.zeros((), "float32")])


def sines(y, factor):
    return ops.stack([ops.zeros((), "float32"), factor * ops.sum(ops.sin(y))])


@pytest.mark.parametrize("deepest", [False, True])
def test_terms_of_all_stages_add_up(deepest):
    # y = 2x, then no terms, then z = y² with terms or without.
    stages = [
        (lambda x: 2 * x, sines),
        (lambda y: y, nothing),
        (ops.square, sines if deepest else nothing),
    ]
    x = np.random.default_rng(1).normal(size=(4, 5)).astype(np.float32)
    terms, gradient = value_and_grad(squares, stages)(x, np.float32(3))
    x = x.astype(np.float64)
    y, z = 2 * x, 4 * x**2
    expected = [np.sum(x**2), 3 * (np.sin(y).sum() + deepest * np.sin(z).sum())]
    slope = 2 * x + 3 * (2 * np.cos(y) + deepest * 8 * x * np.cos(z))
    assert_allclose(terms, expected, rtol=1e-5)
    assert_allclose(gradient, slope, rtol=1e-5, atol=1e-5)
    assert isinstance(gradient, np.ndarray) and gradient.dtype == np.float32


def test_without_stages_the_input_stays_as_it_is():
    x = np.arange(6, dtype=np.float32)
    evaluate = value_and_grad(lambda x: ops.stack([ops.sum(x**3), ops.sum(x)]))
    for _ in range(2):
        values, gradient = evaluate(x)
        assert_allclose(values, [225, 15], rtol=1e-6)
        assert_allclose(gradient, 3 * x**2 + 1, rtol=1e-6)
    assert (x == np.arange(6)).all()


def test_given_gradient_takes_the_place_of_the_derived_one(caplog):
    caplog.set_level(logging.WARNING)
    tripled = with_gradient(lambda x, factor: x * factor, lambda g, factor: 10 * g + factor)
    for size in range(1, 9):  # several shapes, without a warning
        x = np.linspace(1, 2, size, dtype=np.float32)
        values, gradient = value_and_grad(lambda x: ops.sum(tripled(x, 3.0) ** 2)[None])(x)
        assert_allclose(values, [np.sum((3 * x) ** 2)], rtol=1e-6)
        assert_allclose(gradient, 10 * (2 * 3 * x) + 3, rtol=1e-6)
    assert not caplog.records


@pytest.mark.parametrize("scale", ["keras", "relative", "gatys", "matconvnet", "pytorch"])
def test_content_and_gram_losses(scale):
    rng = np.random.default_rng(2)
    f, p, s = rng.uniform(0, 50, (3, 1, 7, 9, 5)).astype(np.float32)
    at = losses.LayerScale(scale, (28, 36), 63, 2)
    content_target, target = ops.convert_to_tensor(p), losses.mean_gram(ops.convert_to_tensor(s))

    def both(x):
        gram = losses.gram_loss(losses.gram_matrix(x), target, at)
        return ops.stack([losses.content_loss(x, content_target, scale, 2), gram])

    values, gradient = value_and_grad(both)(f)
    flat, content, style = (x.reshape(63, 5).astype(np.float64) for x in (f, p, s))
    expected = [
        reference.content_loss(scale, flat, content, 2),
        reference.style_loss(scale, flat, style, (28, 36), 2),
    ]
    assert_allclose(values, expected, rtol=1e-5)
    # d Σ(F−P)² = 2(F−P), d Σ(G−A)² = 4 F(G−A), with the factors that the values have.
    error, gram = flat - content, flat.T @ flat - style.T @ style
    slope = expected[0] / np.sum(error**2) * 2 * error
    slope += expected[1] / np.sum(gram**2) * 4 * flat @ gram
    assert_allclose(gradient.reshape(63, 5), slope, rtol=1e-5, atol=1e-5 * np.abs(slope).max())


def expected_loss(filters, settings, content, style, image):
    """(content, style, total variation), by the formulas in float64."""
    layers = layers_in_use(settings)
    f, p, s = (
        reference.vgg(
            x, filters, settings.network, layers, settings.pooling, settings.borders, settings.taps
        )
        for x in (image, content, style)
    )
    scale, size = settings.loss_scale, content.shape[1:3]
    own = parse_layers(settings, "content_layers")
    total = settings.content_weight * sum(
        w * reference.content_loss(scale, f[k], p[k], len(own)) for k, w in own.items()
    )
    styles = 0.0
    for kind, weights in style_parts(settings).items():
        for k, w in weights.items():
            if kind == "gram":
                styles += w * reference.style_loss(scale, f[k], s[k], size, len(weights))
            else:
                styles += w * getattr(reference, f"{kind}_loss")(scale, f[k], s[k])
    variation = reference.variation_loss(scale, image, losses.TOTAL_VARIATION_SHARE)
    return np.array([total, settings.style_weight * styles, settings.tv_weight * variation])


CASES = {  # preset, choices, tolerance of the terms, whether gradients can be checked
    "default": ("default", {}, 1e-5, True),
    "keras-1": ("keras-1", {}, 1e-5, True),
    "keras-2 in a batch": ("keras-2", {"targets": "batch"}, 1e-5, True),
    "gatys": ("gatys", {}, 1e-5, True),
    "pytorch": ("pytorch", {}, 1e-5, True),
    "moments": ("default", {"style_loss": "moments"}, 1e-5, True),
    "wasserstein": ("default", {"style_loss": "wasserstein"}, 1e-4, True),
    "histogram": ("default", {"style_loss": "gram+histogram"}, 1e-2, False),
}
SHALLOW = {
    "content_layers": "block2_conv2",
    "style_layers": "block1_conv1:0.7,block3_conv1:0.3",
    "histogram_layers": "block2_conv1",
}


def objective_of(filters, choices: dict, preset: str = "default"):
    """(settings, objective, content, style, image) of small pictures, with shallow layers."""
    settings = make_settings(preset, **SHALLOW, **choices)
    network = feature_extractor(
        Filters(settings.network, filters[settings.network]), settings, "float32"
    )
    content, image, style = image_of((20, 26), 1), image_of((20, 26), 2), image_of((20, 26), 3)
    targets = make_targets(network, [content, style], settings)
    return settings, make_objective(network, targets, settings), content, style, image


@pytest.mark.parametrize("case", CASES)
def test_objectives(filters, case):
    preset, choices, tolerance, smooth = CASES[case]
    settings, evaluate, content, style, image = objective_of(filters, choices, preset)
    terms, gradient = evaluate(image)
    about = filters[settings.network], settings, content, style
    assert_allclose(terms, expected_loss(*about, image), rtol=tolerance)
    assert gradient.shape == image.shape and gradient.dtype == np.float32
    if not smooth:
        assert np.isfinite(gradient).all() and gradient.any()
        return
    rng, step = np.random.default_rng(5), 1e-4
    wide = gradient.astype(np.float64)
    for _ in range(2):
        direction = rng.normal(size=image.shape)
        ahead, behind = (
            expected_loss(*about, image.astype(np.float64) + sign * step * direction).sum()
            for sign in (1, -1)
        )
        error = (ahead - behind) / (2 * step) - (wide * direction).sum()
        assert abs(error) < 1e-3 * np.linalg.norm(wide)


@pytest.fixture
def global_settings():
    """Keras's global settings, put back afterwards."""
    before = keras.config.floatx(), keras.config.image_data_format()
    yield
    keras.config.set_floatx(before[0])
    keras.config.set_image_data_format(before[1])


@pytest.mark.parametrize("floatx", ["float64", "float16"])
@pytest.mark.parametrize(
    "choices",
    [
        {"style_loss": "gram+histogram", "pooling": "l2"},
        {"style_loss": "wasserstein", "borders": "zeros", "targets": "batch"},
        {"style_loss": "moments", "pooling": "max", "loss_scale": "keras"},
        {"normalize_gradients": True, "optimizer": "adam"},
    ],
)
def test_keras_s_global_settings_change_nothing(filters, global_settings, floatx, choices):
    *_, image = about = objective_of(filters, choices)
    terms, gradient = about[1](image)
    keras.config.set_floatx(floatx)
    keras.config.set_image_data_format("channels_first")
    other_terms, other_gradient = objective_of(filters, choices)[1](image)
    assert other_terms.dtype == other_gradient.dtype == np.float32
    assert (other_terms == terms).all() and (other_gradient == gradient).all()


@pytest.mark.parametrize("error", [MemoryError(), "the backend's own"])
def test_failed_allocation_is_one_line(error):
    if isinstance(error, str):
        error = allocation_error()
    with (
        pytest.raises(OutOfMemory, match="^not enough memory for the features: ") as raised,
        backends.memory_for("the features"),
    ):
        raise error
    assert "\n" not in str(raised.value)
    with pytest.raises(RuntimeError, match="other"), backends.memory_for("the features"):
        raise RuntimeError("other")


def allocation_error() -> Exception:
    """What the backend raises where memory runs out: made by asking it for 2⁶⁰ bytes."""
    try:
        ops.convert_to_numpy(ops.ones((2**29, 2**29), "float32"))
    except Exception as error:
        return error
    raise AssertionError("expected no memory for 2⁶⁰ bytes")


def test_auto_precision_on_a_processor(monkeypatch):
    flags = {"avx512_bf16"}
    monkeypatch.setattr("style_transfer.machine.processor_flags", lambda: flags)
    monkeypatch.setattr(
        "style_transfer.network.ops.zeros", lambda *_: type("Tensor", (), {"device": "cpu:0"})
    )
    assert processor_precision() == ("float32" if BACKEND == "jax" else "bfloat16")
    flags.clear()
    assert processor_precision() == "float32"


# The start


def started(tmp_path, configuration: str | None = None, code: str = "", **environment):
    """A process that starts the backend; its keras.json is `configuration`."""
    home = tmp_path / "home"
    home.mkdir()
    if configuration is not None:
        (home / "keras.json").write_text(configuration)
    program = f"""
import os, sys
from style_transfer.backends import start
from style_transfer.errors import InputError
try:
    start()
except InputError as error:
    sys.exit(str(error))
assert "TF_NUM_INTEROP_THREADS" not in os.environ
{code}
"""
    base = {k: v for k, v in os.environ.items() if k != "TF_NUM_INTEROP_THREADS"}
    base.pop("TF_CPP_MIN_LOG_LEVEL", None)
    base |= {"KERAS_HOME": str(home), "KERAS_BACKEND": BACKEND, **environment}
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=base, check=False
    )


def test_start_is_quiet_and_quick_the_second_time(tmp_path):
    code = """
import keras, time
begun = time.perf_counter(); start(); assert time.perf_counter() - begun < 0.01
import logging; assert logging.getLogger("tensorflow").level in (0, 30), logging
print(keras.backend.backend())
"""
    found = started(tmp_path, json.dumps({"floatx": "float64"}), code)
    assert (found.returncode, found.stdout.strip(), found.stderr) == (0, BACKEND, "")


@pytest.mark.parametrize(
    "configuration, environment, expected",
    [
        (None, {"KERAS_BACKEND": "theano"}, "KERAS_BACKEND: expected .* Received: 'theano'"),
        (None, {"KERAS_BACKEND": "numpy"}, "KERAS_BACKEND: expected .* Received: 'numpy'"),
        ('{"backend": "theano"}', {"KERAS_BACKEND": ""}, "keras.json: expected .*'theano'"),
        ('{"floatx": "float8"}', {}, "keras.json: expected a configuration .*float8"),
        ("[1, 2]", {}, "keras.json: expected a configuration .*"),
        (None, {"KERAS_MAX_EPOCHS": "many"}, "KERAS_MAX_EPOCHS: expected .*'many'"),
    ],
)
def test_faults_of_the_installation_are_one_line(tmp_path, configuration, environment, expected):
    if "KERAS_MAX_EPOCHS" in environment and not hasattr(keras.config, "max_epochs"):
        pytest.skip("this Keras does not know KERAS_MAX_EPOCHS")
    found = started(tmp_path, configuration, **environment)
    assert found.returncode == 1 and found.stdout == ""
    assert found.stderr.count("\n") == 1
    assert re.search(expected, found.stderr), found.stderr


def test_backend_that_is_not_installed_is_one_line(tmp_path):
    # An import of the backend fails as if it were not there.
    hide = tmp_path / "sitecustomize.py"
    hide.write_text(
        "import sys, importlib.abc\n"
        "class Hide(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] == {BACKEND!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Hide())\n"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    found = started(tmp_path, PYTHONPATH=path)
    assert found.returncode == 1 and found.stderr.count("\n") == 1, found.stderr
    assert f"Received: {BACKEND!r}, which is not installed" in found.stderr
