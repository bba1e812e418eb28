"""The choice of filters, and their being known again on a resume."""

import dataclasses
import shutil
import urllib.error
import urllib.request

import numpy as np
import pytest
from filter_files import LAYERS, drawn, few, image, write_npz
from imagenet_files import write_imagenet
from numpy.testing import assert_array_equal

from style_transfer.errors import InputError
from style_transfer.filters import imagenet, load_filters, reload_filters, sha256_of_arrays
from style_transfer.presets import make_settings
from style_transfer.vgg import Filters, FilterSource

FEW = {"content_layers": "block2_conv1", "style_layers": "block1_conv1"}
IMAGES = [image(24, 24, seed) for seed in (1, 2)]


def quiet(line, warning=False):
    pass


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A Keras cache of both networks' files, without a network."""

    def unreachable(*args, **options):
        raise urllib.error.URLError("no network in tests")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    for network in ("vgg16", "vgg19"):
        file = write_imagenet(tmp_path / "home", network)
        monkeypatch.setitem(imagenet.IMAGENET_MD5, network, file.md5)
    return tmp_path / "home" / "models"


def same(first, again):
    (filters, before), (reloaded, after) = first, again
    assert (after.sha256, after.convention) == (before.sha256, before.convention)
    assert after.source == before.source
    assert reloaded.network == filters.network and reloaded.convention == filters.convention
    assert list(reloaded.arrays) == list(filters.arrays)
    for layer in filters.arrays:
        for a, b in zip(filters.arrays[layer], reloaded.arrays[layer], strict=True):
            assert_array_equal(a, b)


def refused(*args) -> str:
    with pytest.raises(InputError) as error:
        reload_filters(*args)
    message = str(error.value)
    assert message.startswith("--weights: expected the filters that the run began with (SHA-256 ")
    assert "or --overwrite. Received: " in message and "\n" not in message
    return message


@pytest.mark.parametrize("weights", ["auto", "imagenet", "fitted", "random", "file"])
def test_a_resume_has_the_filters_that_the_run_began_with(weights, home, tmp_path):
    if weights == "file":
        weights = str(tmp_path / "f.npz")
        write_npz(weights, few())
    settings = make_settings(weights=weights, **FEW)
    first = load_filters(weights, settings, IMAGES, pytest.fail)
    again = reload_filters(first[1], settings, IMAGES, pytest.fail, tmp_path)
    same(first, again)
    assert again[1] == first[1]
    # The record knows them from JSON.
    same(
        first, reload_filters(FilterSource(**dataclasses.asdict(first[1])), settings, IMAGES, quiet)
    )


def test_auto_that_chose_fitted_filters_stays_with_them(home, tmp_path):
    settings = make_settings(**FEW)
    shutil.move(home, tmp_path / "away")
    first = load_filters("auto", settings, IMAGES, quiet)
    assert first[1].source == "fitted"
    shutil.move(tmp_path / "away", home)
    assert load_filters("auto", settings, IMAGES, quiet)[1].source == "imagenet"
    same(first, reload_filters(first[1], settings, IMAGES, pytest.fail, tmp_path))


def test_auto_that_chose_imagenet_s_is_refused_without_them(home, tmp_path):
    settings = make_settings(**FEW)
    first = load_filters("auto", settings, IMAGES, pytest.fail)
    (home / "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5").unlink()
    message = refused(first[1], settings, IMAGES, pytest.fail, tmp_path)
    assert first[1].sha256[:12] in message and first[1].file in message
    assert message.endswith("no such file")


@pytest.mark.parametrize(
    "place", ["beside the record", "beside itself", "relative", "cache", "--weights"]
)
def test_a_file_that_moved_is_found(place, home, tmp_path, monkeypatch):
    settings = make_settings(**FEW)
    name = "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
    if place == "cache":
        first = load_filters("auto", settings, IMAGES, pytest.fail)
        shutil.move(home.parent, tmp_path / "elsewhere")
        monkeypatch.setenv("KERAS_HOME", str(tmp_path / "elsewhere"))
        beside = None
    else:
        (tmp_path / "project").mkdir()
        write_npz(tmp_path / "project" / "f.npz", few())
        first = load_filters(str(tmp_path / "project" / "f.npz"), settings, IMAGES, pytest.fail)
        shutil.move(tmp_path / "project", tmp_path / "moved")
        beside = tmp_path / "moved"
        if place == "beside itself":  # the caller knows the file's place relative to the record
            beside = beside / "f.npz"
        elif place == "relative":
            first = first[0], dataclasses.replace(first[1], file="moved/f.npz")
            beside = tmp_path
        elif place == "--weights":
            settings = make_settings(weights=str(tmp_path / "moved" / "f.npz"), **FEW)
            beside = tmp_path
    again = reload_filters(first[1], settings, IMAGES, pytest.fail, beside)
    same(first, again)
    place = {"cache": tmp_path / "elsewhere" / "models" / name}
    assert again[1].file == str(
        place.get("cache" if beside is None else "", tmp_path / "moved/f.npz")
    )


def test_a_changed_file_is_refused_without_the_old_one(home, tmp_path):
    settings = make_settings(**FEW)
    file = tmp_path / "f.npz"
    write_npz(file, few())
    first = load_filters(str(file), settings, IMAGES, pytest.fail)
    (tmp_path / "record").mkdir()
    shutil.copy(file, tmp_path / "record")
    write_npz(file, {name: (kernel, bias + 1) for name, (kernel, bias) in few().items()})
    message = refused(first[1], settings, IMAGES, pytest.fail, tmp_path)
    assert message.endswith(f"Received: {str(file)!r}, another file")
    again = reload_filters(first[1], settings, IMAGES, pytest.fail, tmp_path / "record")
    same(first, again)
    assert again[1].file == str(tmp_path / "record" / "f.npz")


def test_fitted_filters_of_other_pictures_are_refused(tmp_path):
    settings = make_settings(weights="fitted", **FEW)
    first = load_filters("fitted", settings, IMAGES, pytest.fail)
    message = refused(first[1], settings, IMAGES[::-1], pytest.fail, tmp_path)
    assert "fitted filters that differ" in message
    other = dataclasses.replace(settings, seed=1)
    refused(first[1], other, IMAGES, pytest.fail, tmp_path)


def test_the_other_network_gets_its_own_file(home, tmp_path):
    """`--resume P --network vgg16 --overwrite`: what the caller does with it."""
    first = load_filters("auto", make_settings(**FEW), IMAGES, pytest.fail)
    assert "vgg19" in first[1].file
    settings = make_settings(network="vgg16", **FEW)
    filters, source = load_filters("auto", settings, IMAGES, pytest.fail)
    assert filters.network == "vgg16" and "vgg16" in source.file
    assert source.sha256 != first[1].sha256
    # VGG19's file is never read as VGG16's, though it has all layers in use.
    with pytest.raises(InputError, match="expected vgg16's filters, or --network vgg19"):
        reload_filters(first[1], settings, IMAGES, pytest.fail, tmp_path)
    with pytest.raises(InputError, match="expected vgg16's filters, or --network vgg19"):
        load_filters(first[1].file, settings, IMAGES, pytest.fail)


def test_another_convention_is_refused(tmp_path):
    """As of a record from when Caffe's filters in a .pth were taken for torchvision's."""
    settings = make_settings(**FEW)
    write_npz(tmp_path / "f.npz", few())
    _, source = load_filters(str(tmp_path / "f.npz"), settings, IMAGES, pytest.fail)
    before = dataclasses.replace(source, convention="torch")
    message = refused(before, settings, IMAGES, pytest.fail, tmp_path)
    assert "read as torch's" in message and "reads as caffe's" in message


@pytest.mark.parametrize("file", ["/no/such/file.h5", "x" * 300, "nul\0l", "", None, "~/f.h5", "."])
def test_a_record_s_odd_path_is_no_traceback(file, home, tmp_path):
    refused(FilterSource("file", file, "0" * 64), make_settings(**FEW), IMAGES, quiet, tmp_path)


def test_the_layers_up_to_the_deepest_in_use_are_loaded():
    filters, source = load_filters("random", make_settings(**FEW), [], pytest.fail)
    assert list(filters.arrays) == LAYERS
    assert source.sha256 == sha256_of_arrays(filters)


def test_the_sum_of_arrays_depends_on_every_number():
    arrays = few()
    first = sha256_of_arrays(Filters("vgg19", arrays))
    assert first == sha256_of_arrays(Filters("vgg19", dict(drawn("vgg19", LAYERS[-1]))))
    for layer in LAYERS:
        for part in (0, 1):
            changed = [array.copy() for array in arrays[layer]]
            changed[part].flat[-1] = np.nextafter(changed[part].flat[-1], np.float32(9))
            assert sha256_of_arrays(Filters("vgg19", {**arrays, layer: tuple(changed)})) != first
