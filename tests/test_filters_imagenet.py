"""ImageNet's filters: Keras's cache, a download, and what happens without either."""

import hashlib
import http.server
import inspect
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import keras
import pytest
from filter_files import LAYERS, few, image, write_legacy
from imagenet_files import imagenet_arrays, write_imagenet
from numpy.testing import assert_array_equal

from style_transfer.errors import InputError
from style_transfer.filters import imagenet, load_filters
from style_transfer.presets import make_settings

SETTINGS = make_settings(content_layers="block2_conv1", style_layers="block1_conv1")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty Keras cache, the file that belongs there (`imagenet`), and no network."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "*")
    (tmp_path / "home" / "models").mkdir(parents=True)
    write_legacy(tmp_path / "imagenet", few())
    md5 = hashlib.md5((tmp_path / "imagenet").read_bytes()).hexdigest()
    monkeypatch.setitem(imagenet.IMAGENET_MD5, "vgg19", md5)
    monkeypatch.setattr(imagenet, "PATIENCE", 0.5)

    def unreachable(*args, **kwargs):
        raise urllib.error.URLError("no network in tests")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    return tmp_path / "home" / "models" / "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"


class Said(list):
    """Collects lines with whether each is a warning."""

    def __call__(self, line, warning=False):
        assert "\n" not in line
        self.append((line, warning))


def load(source, said=None):
    images = [image(24, 24, seed) for seed in (1, 2)]
    return load_filters(source, SETTINGS, images, pytest.fail if said is None else said)


@pytest.mark.parametrize("source", ["auto", "imagenet"])
def test_imagenet_s_filters_are_found_in_keras_s_cache(source, cache, tmp_path):
    cache.write_bytes((tmp_path / "imagenet").read_bytes())
    filters, about = load(source)
    assert about.source == "imagenet" and about.file == str(cache)
    assert about.convention == filters.convention == "caffe" and filters.network == "vgg19"
    assert about.sha256 == hashlib.sha256(cache.read_bytes()).hexdigest()
    for layer in LAYERS:
        assert_array_equal(filters.arrays[layer][0], few()[layer][0])
        assert_array_equal(filters.arrays[layer][1], few()[layer][1])


@pytest.mark.parametrize("network", ["vgg16", "vgg19"])
def test_a_file_of_the_true_layout_is_read_whole(network, tmp_path, monkeypatch):
    file = write_imagenet(tmp_path, network)
    assert file.path.stat().st_size < 2e6
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setitem(imagenet.IMAGENET_MD5, network, file.md5)
    deepest = {"vgg16": "block5_conv3", "vgg19": "block5_conv4"}[network]
    settings = make_settings(network=network, content_layers=deepest)
    filters, source = load_filters("auto", settings, [], pytest.fail)
    assert (source.file, source.sha256) == (str(file.path), file.sha256)
    expected = imagenet_arrays(network)
    assert list(filters.arrays) == list(expected)
    for layer, pair in expected.items():
        for found, array in zip(filters.arrays[layer], pair, strict=True):
            assert_array_equal(found, array)
    keras_model = imagenet.APPLICATIONS[network](include_top=False, weights=None)
    keras_model.load_weights(file.path)  # Keras itself reads it
    assert_array_equal(keras_model.get_layer(deepest).kernel, expected[deepest][0])


def hang(*args, **kwargs):
    time.sleep(3)
    raise OSError("too late")


@pytest.fixture(params=["refused at once", "no answer", "wrong checksum", "wrong and no answer"])
def unavailable(request, cache, tmp_path, monkeypatch):
    """Reasons why there are no ImageNet filters."""
    if "wrong" in request.param:
        cache.write_bytes((tmp_path / "imagenet").read_bytes() + b"changed")
    if "no answer" in request.param:
        monkeypatch.setattr(urllib.request, "urlopen", hang)


def test_auto_says_in_one_line_that_it_fits_filters(unavailable):
    said = Said()
    filters, about = load("auto", said)
    assert about.source == "fitted" and about.file is None
    [(line, warning)] = said
    assert warning
    assert "ImageNet" in line and "fitted" in line and "--weights FILE" in line
    expected, _ = load("fitted")
    assert_array_equal(filters.arrays["block2_conv1"][0], expected.arrays["block2_conv1"][0])


def test_asking_for_missing_imagenet_filters_is_an_error(unavailable):
    with pytest.raises(InputError) as error:
        load("imagenet")
    message = str(error.value)
    assert message.startswith("--weights: expected ImageNet's filters") and "Received: " in message
    assert "--weights FILE" in message and "\n" not in message


@pytest.fixture
def server(cache, monkeypatch):
    """A server at the address of ImageNet's filters; set `answer` to what a GET is answered."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(200)
            self.end_headers()

        def do_GET(self):
            served.answer(self)

        def log_message(self, *args):
            pass

    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.daemon_threads = True
    threading.Thread(target=served.serve_forever, args=(0.05,), daemon=True).start()
    address = f"http://127.0.0.1:{served.server_port}/{cache.name}"
    module = inspect.getmodule(keras.applications.VGG19)
    monkeypatch.setattr(module, "WEIGHTS_PATH_NO_TOP", address)
    monkeypatch.setattr(urllib.request, "urlopen", URLOPEN)
    yield served
    served.shutdown()
    served.server_close()


URLOPEN = urllib.request.urlopen


def test_imagenets_filters_are_downloaded_to_the_cache(server, cache, tmp_path, capsys):
    def answer(request):
        request.send_response(200)
        request.end_headers()
        request.wfile.write((tmp_path / "imagenet").read_bytes())

    server.answer = answer
    said = Said()
    filters, about = load("auto", said)
    assert about.source == "imagenet" and cache.exists()
    [(line, warning)] = said
    assert "downloading" in line and str(cache.parent) in line and not warning
    assert capsys.readouterr().out == ""  # Keras's progress bar
    assert_array_equal(filters.arrays["block1_conv2"][0], few()["block1_conv2"][0])


def stall(request):
    request.send_response(200)
    request.send_header("Content-Length", "1000000")
    request.end_headers()
    request.wfile.write(b"first bytes")
    request.wfile.flush()
    time.sleep(3)


def gone(request):
    request.send_error(404)


def cut(request):
    request.send_response(200)
    request.send_header("Content-Length", "1000000")
    request.end_headers()
    request.wfile.write(b"first bytes")


def other(request):
    request.send_response(200)
    request.end_headers()
    request.wfile.write(b"<html>Please log in to this network</html>")


def nonsense(request):
    request.wfile.write(b"this is not HTTP\r\n\r\n")


@pytest.mark.parametrize("answer", [stall, gone, cut, other, nonsense])
def test_a_failed_download_leaves_no_file_to_be_used(answer, server, cache):
    server.answer, before = answer, socket.getdefaulttimeout()
    with pytest.raises(InputError, match="^--weights: expected ImageNet's filters"):
        load("imagenet", Said())
    assert socket.getdefaulttimeout() == before
    with pytest.raises(InputError, match="^--weights: expected ImageNet's filters"):
        load("imagenet", Said())  # a file left by the first download is not taken for whole


def test_a_server_that_speaks_no_http_is_no_server(server, capsys):
    server.RequestHandlerClass.do_HEAD = nonsense
    with pytest.raises(InputError, match="the download failed"):
        load("imagenet")
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("home", ["folder", "file", "unwritable", "long", "~nobody-of-this-name/x"])
def test_an_odd_cache_is_one_line(home, cache, tmp_path, monkeypatch, server):
    """With a server that answers, so that something is to be written; and without."""
    (tmp_path / "file").write_text("text")
    (tmp_path / "unwritable").mkdir(mode=0o500)
    (tmp_path / "folder" / "models" / cache.name).mkdir(parents=True)
    path = {"long": "x" * 300}.get(home, home)
    monkeypatch.setenv("KERAS_HOME", path if path.startswith("~") else str(tmp_path / path))
    monkeypatch.chdir(tmp_path)
    for answer in (gone, other):
        server.answer = answer
        with pytest.raises(InputError) as error:
            load("imagenet", Said())
        assert str(error.value).startswith("--weights: expected ImageNet's filters")
        assert "\n" not in str(error.value)
    assert load("auto", said := Said())[1].source == "fitted"
    assert said[-1][1]
    assert not list(tmp_path.glob("~*"))


def test_a_home_is_found_as_keras_finds_it(tmp_path, monkeypatch):
    name = imagenet.cached_files("vgg19")[0].name
    assert name == "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".keras").mkdir()
    assert imagenet.cached_files("vgg19") == [tmp_path / ".keras" / "models" / name]
    monkeypatch.setattr(os, "access", lambda *args: False)
    assert imagenet.cached_files("vgg19") == [
        tmp_path / ".keras" / "models" / name,
        Path("/tmp/.keras/models", name),
    ]
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # there is no home
    assert imagenet.cached_files("vgg19") == [Path("/tmp/.keras/models", name)]


def test_a_damaged_file_in_the_cache_is_named(cache, tmp_path):
    cache.write_bytes((tmp_path / "imagenet").read_bytes()[:-1])
    with pytest.raises(InputError, match="does not have the MD5 that it should") as error:
        load("imagenet")
    assert str(cache) in str(error.value)


def test_without_a_home_filters_are_fitted(tmp_path):
    """The whole choice in a process of a user whom the system does not know."""
    program = """if True:
        import os, sys, urllib.request
        import numpy as np
        def unreachable(*args, **options):
            raise OSError("no network in tests")
        urllib.request.urlopen = unreachable
        from style_transfer.filters import load_filters
        from style_transfer.presets import make_settings
        settings = make_settings(content_layers="block1_conv1", style_layers="block1_conv1")
        images = [np.arange(3 * 400, dtype=np.float32).reshape(1, 20, 20, 3) % 97]
        print(load_filters("auto", settings, images, lambda line, warning=False: None)[1].source)
    """
    environment = {k: v for k, v in os.environ.items() if k not in ("HOME", "KERAS_HOME")}
    environment |= {
        "HOME": "~nobody-of-this-name",
        "KERAS_BACKEND": keras.backend.backend(),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent), *sys.path]),
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["fitted"], done.stderr
    assert "Traceback" not in done.stderr
