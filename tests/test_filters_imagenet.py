# ImageNet's filters


SETTINGS = make_settings(content_layers="block2_conv1", style_layers="block1_conv1")


@pytest.fixture
def cache(few, tmp_path, monkeypatch):
    """An empty Keras cache, the file that belongs there (`imagenet`), and no network."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "*")
    (tmp_path / "home" / "models").mkdir(parents=True)
    write_legacy(tmp_path / "imagenet", few)
    md5 = hashlib.md5((tmp_path / "imagenet").read_bytes()).hexdigest()
    monkeypatch.setitem(weights.IMAGENET_MD5, "vgg19", md5)
    monkeypatch.setattr(weights, "PATIENCE", 0.5)

    def unreachable(*args, **kwargs):
        raise urllib.error.URLError("no network in tests")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    return tmp_path / "home" / "models" / "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"


def load(source, said=None):
    images = [preprocess(np.asarray(draw(24, 24, seed))) for seed in (1, 2)]
    say = said.append if said is not None else pytest.fail
    return weights.load_filters(source, SETTINGS, ["block1_conv1", "block2_conv1"], images, say)


@pytest.mark.parametrize("source", ["auto", "imagenet"])
def test_imagenet_s_filters_are_found_in_keras_s_cache(source, cache, few, tmp_path):
    cache.write_bytes((tmp_path / "imagenet").read_bytes())
    filters, about = load(source)
    assert about["source"] == "imagenet" and about["file"] == str(cache)
    assert about["input"] == "caffe"
    assert about["sha256"] == hashlib.sha256(cache.read_bytes()).hexdigest()
    for layer in LAYERS:
        assert_array_equal(filters[layer][0], few[layer][0])
        assert_array_equal(filters[layer][1], few[layer][1])


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


def test_without_imagenet_s_filters_auto_says_in_one_line_that_fitted_ones_are_used(unavailable):
    said = []
    filters, about = load("auto", said)
    assert about["source"] == "fitted" and about["file"] is None
    assert len(said) == 1 and "\n" not in said[0]
    assert "ImageNet" in said[0] and "fitted" in said[0] and "--weights FILE" in said[0]
    expected, _ = load("fitted")
    assert_array_equal(filters["block2_conv1"][0], expected["block2_conv1"][0])


def test_without_imagenet_s_filters_asking_for_them_is_an_error(unavailable):
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


def test_imagenet_s_filters_are_downloaded_into_keras_s_cache(server, cache, few, tmp_path):
    def answer(request):
        request.send_response(200)
        request.end_headers()
        request.wfile.write((tmp_path / "imagenet").read_bytes())

    server.answer = answer
    filters, about = load("auto")
    assert about["source"] == "imagenet" and cache.exists()
    assert_array_equal(filters["block1_conv2"][0], few["block1_conv2"][0])


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
def test_a_download_that_fails_is_an_error_and_leaves_no_file_that_would_be_used(
    answer, server, cache
):
    server.answer = answer
    with pytest.raises(InputError, match="^--weights: expected ImageNet's filters"):
        load("imagenet")
    with pytest.raises(InputError, match="^--weights: expected ImageNet's filters"):
        load("imagenet")  # a file left by the first download is not taken for whole


def test_a_server_that_speaks_no_http_is_no_server(server, capsys):
    server.RequestHandlerClass.do_HEAD = nonsense
    with pytest.raises(InputError, match="the download failed"):
        load("imagenet")
    assert "Traceback" not in capsys.readouterr().err
