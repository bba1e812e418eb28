# torchvision's files


@with_torch
@pytest.mark.parametrize("network", ["vgg16", "vgg19"])
def test_torchvision_s_layers_are_found_behind_their_poolings(network, filters, tmp_path):
    layers = [name for name in filters[network] if name <= "block4_conv2"]
    few = {name: filters[network][name] for name in layers}
    write_state(tmp_path / "f.pth", torch_state(few, network))
    found, _ = weights.read_filters(tmp_path / "f.pth", network, layers)
    assert list(found) == layers
    for layer in layers:
        assert_array_equal(found[layer][0], few[layer][0])
        assert_array_equal(found[layer][1], few[layer][1])


@with_torch
def test_features_are_those_that_pytorch_computes_from_the_file(few, tmp_path):
    import torch
    from torch.nn.functional import conv2d, max_pool2d

    write_torch(tmp_path / "f.pth", few)
    filters, convention = weights.read_filters(tmp_path / "f.pth", "vgg19", LAYERS)
    picture = np.asarray(draw(22, 30, seed=9))
    model = feature_extractor("vgg19", filters, LAYERS, "max", input_convention=convention)
    found = model(preprocess(picture))
    # torchvision.transforms: ToTensor and Normalize.
    mean, deviation = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).double()
    x = (torch.tensor(picture).double() / 255 - mean) / deviation
    x = x.permute(2, 0, 1)[None]
    state = torch.load(tmp_path / "f.pth", weights_only=True)
    for layer, position in zip(LAYERS, POSITIONS["vgg19"]):
        if layer == "block2_conv1":
            x = max_pool2d(x, 2)
        kernel, bias = (
            state[f"features.{position}.{part}"].double() for part in ("weight", "bias")
        )
        x = conv2d(x, kernel, bias, padding=1).relu()
        expected = x.permute(0, 2, 3, 1).numpy()
        assert_allclose(np.asarray(found[layer]), expected, atol=1e-5 * expected.max())


@with_torch
@pytest.mark.parametrize(
    "change, said",
    [
        (lambda state: {"state_dict": 1, **{f"module.{k}": v for k, v in state.items()}}, "lacks"),
        (lambda state: {k: v for k, v in state.items() if "features.2." not in k}, "block1_conv2"),
        (lambda state: {**state, "features.1.running_mean": np.ones(64)}, "batch normalisation"),
        (lambda state: {**state, "features.0.weight": np.ones((64, 3, 11, 11))}, "(11, 11, 3, 64)"),
        (lambda state: {**state, "features.0.bias": np.full(64, np.nan)}, "block1_conv1/bias"),
    ],
)
def test_a_state_dict_of_another_network_is_refused(change, said, few, tmp_path):
    import torch

    state = change(torch_state(few))
    tensors = {k: torch.tensor(np.ascontiguousarray(v)) for k, v in state.items()}
    torch.save(tensors, tmp_path / "f.pth")
    assert said in refused(tmp_path / "f.pth")


@with_torch
def test_a_pickle_of_no_state_dict_is_refused(tmp_path):
    import torch

    torch.save([1, 2], tmp_path / "list.pth")
    assert "which holds a list" in refused(tmp_path / "list.pth")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pth")
    assert "a pickle of torch.nn.modules.linear.Linear" in refused(tmp_path / "model.pth")


class Malicious:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def as_pickle(path, thing, protocol=2):
    path.write_bytes(pickle.dumps(thing, protocol))


def as_new_pickle(path, thing):
    as_pickle(path, thing, 5)


def as_oldest_pickle(path, thing):
    as_pickle(path, thing, 0)


def as_legacy(path, thing):
    """As torch.save wrote before 1.6: magic number, version, system, object, keys of storages."""
    parts = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, thing, [])
    path.write_bytes(b"".join(pickle.dumps(part, 2) for part in parts))


def as_zip(path, thing):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps(thing, 2))
        file.writestr("archive/version", "3\n")


@pytest.mark.parametrize("write", [as_pickle, as_new_pickle, as_oldest_pickle, as_legacy, as_zip])
@pytest.mark.parametrize("installed", [pytest.param(True, marks=with_torch), False])
def test_a_pickle_is_not_executed(write, installed, tmp_path, monkeypatch):
    if not installed:
        monkeypatch.setitem(sys.modules, "torch", None)
    folder = tmp_path / "made"
    write(tmp_path / "f.pth", {"features.0.weight": Malicious(folder)})
    message = refused(tmp_path / "f.pth")
    assert not folder.exists()
    if installed and write in (as_legacy, as_zip):
        assert "mkdir" in message and "nothing in it was executed" in message
    pickle.loads(pickle.dumps(Malicious(folder)))
    assert folder.exists()  # it would have been


@pytest.mark.parametrize("version", [None, "2.5.1"])
def test_without_a_safe_pytorch_it_is_said_how_to_get_it(version, tmp_path, monkeypatch):
    torch = version and SimpleNamespace(__version__=version)  # without a `load` to call
    monkeypatch.setitem(sys.modules, "torch", torch)
    as_zip(tmp_path / "f.pth", {})
    assert "PyTorch 2.6 or later" in refused(tmp_path / "f.pth")
    assert "pip install torch" in refused(tmp_path / "f.pth")
