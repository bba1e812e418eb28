# Filters made here


@pytest.mark.parametrize("source", ["fitted", "random"])
def test_made_filters_are_the_same_bytes_for_the_same_seed(source):
    (first, about), (second, again) = load(source), load(source)
    assert about == again and about["source"] == source and len(about["sha256"]) == 64
    for layer in LAYERS:
        assert first[layer][0].tobytes() == second[layer][0].tobytes()
        assert first[layer][1].tobytes() == second[layer][1].tobytes()


def test_random_filters_have_he_s_variance_and_another_seed_gives_others():
    first = weights.random_filters("vgg19", LAYERS, seed=0)
    other = weights.random_filters("vgg19", LAYERS, seed=1)
    for name in LAYERS:
        kernel, bias = first[name]
        assert kernel.shape == weights.kernel_shape("vgg19", name) and not bias.any()
        assert kernel.var() == pytest.approx(2 / (9 * kernel.shape[2]), rel=0.1)
        assert (kernel != other[name][0]).all()


@pytest.mark.parametrize("network", ["vgg16", "vgg19"])
def test_shapes_of_kernels_are_those_of_keras_applications(network, filters):
    application = {"vgg16": keras.applications.VGG16, "vgg19": keras.applications.VGG19}[network]
    model = application(include_top=False, weights=None)
    for layer in filters[network]:
        assert weights.kernel_shape(network, layer) == model.get_layer(layer).kernel.shape


@pytest.fixture(scope="module")
def fitted():
    """Filters fitted to two pictures, up to block3_conv1, and the pictures."""
    layers = [*LAYERS, "block2_conv2", "block3_conv1"]
    pictures = [preprocess(np.asarray(draw(48, 40, seed))) for seed in (1, 2)]
    return weights.fitted_filters("vgg19", layers, pictures, 0, loudness=64), pictures


def patches_before(layer, filters, pictures):
    """All 3 x 3 patches that a layer sees, (n, 9·C), edges continued."""
    rows = []
    for image in pictures:
        maps = image[0].astype(np.float64)
        for name in filters:
            if name.endswith("_conv1") and name != "block1_conv1":
                high, wide = maps.shape[0] // 2, maps.shape[1] // 2
                maps = maps[: 2 * high, : 2 * wide].reshape(high, 2, wide, 2, -1).mean(axis=(1, 3))
            padded = np.pad(maps, ((1, 1), (1, 1), (0, 0)), mode="edge")
            windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))
            windows = windows.transpose(0, 1, 3, 4, 2).reshape(*maps.shape[:2], -1)
            if name == layer:
                rows.append(windows.reshape(-1, windows.shape[-1]))
                break
            kernel, bias = filters[name]
            maps = np.maximum(windows @ kernel.reshape(-1, kernel.shape[-1]) + bias, 0)
    return np.concatenate(rows)


# Root mean square of the fitted filters' responses.
RESPONSES = {"block1_conv1": 64, "block1_conv2": 64, "block2_conv2": 128, "block3_conv1": 256}


@pytest.mark.parametrize("layer", RESPONSES)
def test_fitted_filters_answer_about_as_loud_as_vgg_s_and_with_mean_0(layer, fitted):
    filters, pictures = fitted
    kernel, bias = filters[layer]
    patches = patches_before(layer, filters, pictures)
    response = patches @ kernel.reshape(-1, kernel.shape[-1]).astype(np.float64) + bias
    response /= RESPONSES[layer]
    speaking = np.abs(kernel).sum(axis=(0, 1, 2)) > 0
    # Few enough positions here that every patch was drawn.
    assert (response[:, speaking] ** 2).mean() == pytest.approx(1, rel=1e-2)
    assert_allclose(response.mean(axis=0), 0, atol=1e-3)
    assert_allclose(response[:, ~speaking], 0)


def test_fitted_filters_fit_the_network_that_a_system_s_weights_were_made_for():
    pictures = [preprocess(np.asarray(draw(48, 40, seed))) for seed in (1, 2)]
    loud, soft = (
        weights.load_filters("fitted", make_settings(loss_scale=scale), LAYERS, pictures)[0]
        for scale in ("keras", "pytorch")
    )
    response = network.feature_extractor("vgg19", loud, LAYERS)(pictures[0])
    softer = network.feature_extractor("vgg19", soft, LAYERS)(pictures[0])
    for layer in LAYERS:
        assert_array_equal(softer[layer] * 64, response[layer])


@pytest.mark.parametrize("layer", ["block1_conv2", "block2_conv2", "block3_conv1"])
def test_fitted_filters_are_half_whitened_components(layer, fitted):
    filters, pictures = fitted
    kernel, _ = filters[layer]
    count = min(kernel.shape[-1] // 2, 9 * kernel.shape[2])
    patches = patches_before(layer, filters, pictures)
    covariance = np.cov(patches.T, bias=True)
    values = np.linalg.eigh(covariance)[0][::-1][:count]
    basis = kernel.reshape(-1, kernel.shape[-1]).astype(np.float64)[:, :count]
    response = np.einsum("ij,ik,kj->j", basis, covariance, basis)  # variance of each
    response /= RESPONSES[layer] ** 2
    # A component of variance λ answers with √λ, all scaled to mean 1.
    strong = values > 1e-3 * values[0]
    strong[-8:] = False  # the weakest of a subspace iteration are found roughly
    expected = np.sqrt(values) / np.sqrt(values).mean()
    assert strong.sum() >= 10
    assert_allclose(response[strong], expected[strong], rtol=0.02)


@pytest.mark.parametrize("layer", LAYERS)
def test_fitted_filters_come_in_both_signs(layer, fitted):
    kernel, bias = fitted[0][layer]
    count = min(kernel.shape[-1] // 2, 9 * kernel.shape[2])
    assert_array_equal(kernel[..., :count], -kernel[..., count : 2 * count])
    assert_allclose(bias[:count], -bias[count : 2 * count], rtol=1e-5, atol=1e-5)


def test_filters_beyond_the_components_are_silent(fitted):
    kernel, bias = fitted[0]["block1_conv1"]  # 27 components at most, of 64 filters
    assert not kernel[..., 54:].any() and not bias[54:].any()
    assert np.abs(kernel[..., :54]).sum(axis=(0, 1, 2)).all()


def test_filters_fitted_to_flat_pictures_are_finite():
    flat = [preprocess(np.full((32, 32, 3), value, np.uint8)) for value in (0, 200)]
    filters = weights.fitted_filters("vgg19", LAYERS, flat, 0)
    assert all(np.isfinite(array).all() for pair in filters.values() for array in pair)


@pytest.mark.parametrize("rows, size", [(400, 90), (150, 300)])
def test_leading_components_span_what_a_full_decomposition_finds(rows, size):
    rng = np.random.default_rng(1)
    # Variances falling off as those of picture patches do.
    mixing = rng.normal(size=(size, size)) * np.arange(1, size + 1)[:, None] ** -1.0
    data = rng.normal(size=(rows, size)) @ mixing
    data = (data - data.mean(axis=0)).astype(np.float32)
    count = 12
    components, variance = weights.leading_components(data, count, np.random.default_rng(2))
    values, vectors = np.linalg.eigh(data.T.astype(np.float64) @ data / rows)
    values, vectors = values[::-1], vectors[:, ::-1]
    assert components.shape == (size, count) and variance.shape == (count,)
    assert_allclose(components.T @ components, np.eye(count), atol=1e-4)
    assert_allclose(variance, values[:count], rtol=0.02)
    # All but the last few, whose neighbours outside have all but their variance.
    angles = subspace_angles(components[:, :6].astype(np.float64), vectors[:, :6])
    assert np.rad2deg(angles.max()) < 5
    signs = np.sign(components[np.abs(components).argmax(axis=0), np.arange(count)])
    assert (signs == 1).all()
