"""The script beside the original Keras example: its loss, its loop, its lines."""

import re

import keras
import numpy as np
import pytest
import reference
from PIL import Image
from scipy.optimize import fmin_l_bfgs_b

import preprocessing
from neural_style_transfer import main, transfer
from style_transfer import network, objective
from style_transfer.presets import make_settings
from style_transfer.targets import make_targets
from style_transfer.vgg import Filters


def test_the_originals_iterations_are_calls_without_memory(
    base, style, tmp_path, filters, filters_file
):
    choices = {"weights": filters_file("vgg19"), "height": 32, "iter": 2, "evaluations": 4}
    transfer(base, style, str(tmp_path / "run"), preset="keras-2", **choices)
    settings = make_settings("keras-2", **choices)
    extractor = network.feature_extractor(Filters("vgg19", filters["vgg19"]), settings, "float32")
    size = 32, int(56 * 32 / 40)
    images = [
        preprocessing.preprocess(preprocessing.resize(Image.open(path), size, "nearest"))
        for path in (base, style)
    ]
    evaluate = objective.make_objective(
        extractor, make_targets(extractor, images, settings), settings
    )

    def loss(x):
        return evaluate(x.reshape(images[0].shape).astype(np.float32))[0].sum(dtype=np.float64)

    def grads(x):
        return evaluate(x.reshape(images[0].shape).astype(np.float32))[1].ravel().astype(np.float64)

    x = images[0].ravel()
    for iteration in range(2):  # the original's loop
        x, _, _ = fmin_l_bfgs_b(loss, x.ravel(), fprime=grads, maxfun=4)
        expected = preprocessing.deprocess(x.reshape(images[0].shape).astype(np.float32))
        found = np.asarray(Image.open(tmp_path / f"run_at_iteration_{iteration}.png"), int)
        assert np.abs(found - expected).max() <= 1


def original_loss(base, style, x, size, filters, net, content_layer):
    """Keras 2.3, examples/neural_style_transfer.py, in NumPy and float64; `x` None: the content."""
    rows, columns = size

    def preprocess_image(path):
        image = keras.utils.img_to_array(keras.utils.load_img(path, target_size=size))
        return keras.applications.vgg19.preprocess_input(image[np.newaxis])

    content, painted = preprocess_image(base), preprocess_image(style)
    x = content if x is None else x
    style_layers = [f"block{block}_conv1" for block in range(1, 6)]
    combination, target, reference_style = (
        reference.vgg(image, filters[net], net, {content_layer, *style_layers}, "max")
        for image in (x, content, painted)
    )
    loss = 0.025 * ((combination[content_layer] - target[content_layer]) ** 2).sum()
    for layer in style_layers:
        a, b = combination[layer], reference_style[layer]
        difference = ((a.T @ a - b.T @ b) ** 2).sum()
        loss += 1.0 / len(style_layers) * difference / (4.0 * 3**2 * (rows * columns) ** 2)
    return loss + 1.0 * reference.total_variation(x)


@pytest.mark.parametrize("targets, rows", [("cached", 32), ("batch", 25)])
def test_keras_2_begins_at_the_original_s_loss(targets, rows, base, style, filters, filters_file):
    _, record = transfer(
        base,
        style,
        preset="keras-2",
        weights=filters_file("vgg19"),
        height=rows,
        iter=1,
        evaluations=1,
        targets=targets,
    )
    size = rows, int(56 * rows / 40)
    expected = original_loss(base, style, None, size, filters, "vgg19", "block5_conv2")
    assert record.evaluations[0].total == pytest.approx(expected, rel=1e-5)
    assert record.evaluations[0].terms["content"] < 1e-5 * expected


def test_keras_1_begins_at_the_original_s_loss_of_its_noise(base, style, filters, filters_file):
    _, record = transfer(
        base,
        style,
        preset="keras-1",
        weights=filters_file("vgg16"),
        height=36,
        iter=1,
        evaluations=1,
        seed=5,
    )
    size = 36, int(56 * 36 / 40)
    noise = np.random.default_rng(5).uniform(0, 255, (1, *size, 3)) - 128.0
    expected = original_loss(base, style, noise, size, filters, "vgg16", "block4_conv2")
    assert record.evaluations[0].total == pytest.approx(expected, rel=1e-5)
    assert record.evaluations[0].terms["content"] > 0


def test_presets_of_the_original_print_its_lines(base, style, tmp_path, capsys, filters_file):
    prefix = str(tmp_path / "result")
    arguments = [
        "--preset",
        "keras-2",
        "--weights",
        filters_file("vgg19"),
        "--height=32",
        "--iter=2",
    ]
    assert main([base, style, prefix, *arguments, "--evaluations=2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for iteration in range(2):
        start, loss, saved, completed = lines[4 * iteration : 4 * iteration + 4]
        assert start == f"Start of iteration {iteration}"
        assert float(loss.removeprefix("Current loss value: ")) > 0
        assert saved == f"Image saved as {prefix}_at_iteration_{iteration}.png"
        assert re.fullmatch(rf"Iteration {iteration} completed in \d+s", completed)
    assert len(lines) == 8
