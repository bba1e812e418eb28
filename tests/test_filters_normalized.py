# Normalised filters

DEEP = ["block1_conv1", "block1_conv2", "block2_conv1", "block2_conv2", "block3_conv1"]


@pytest.mark.parametrize("borders", ["zeros", "repeated"])
@pytest.mark.parametrize("pooling", network.POOLING)
@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
def test_normalised_filters_have_mean_activation_1(name, pooling, borders, filters):
    # Two pictures of different and odd sizes; one filter in each layer is silent.
    images = [preprocess(np.asarray(draw(*size, seed=5))) for size in ((21, 30), (18, 15))]
    before = {}
    for layer in DEEP:
        kernel, bias = (array.copy() for array in filters[name][layer])
        kernel[..., 7], bias[7] = 0, -1
        before[layer] = kernel, bias
    settings = make_settings(network=name, pooling=pooling, borders=borders)
    after = weights.normalized_filters(before, images, settings, "caffe")
    assert list(after) == DEEP
    one, other = (
        [reference.vgg(image, used, name, DEEP, pooling, borders) for image in images]
        for used in (before, after)
    )
    # The root's 1e-6 in L2 pooling is the one thing that does not scale.
    within = 1e-3 if pooling == "l2" else 1e-5
    for layer in DEEP:
        original = np.concatenate([features[layer] for features in one])  # (M + M', N)
        normal = np.concatenate([features[layer] for features in other])
        mean = original.mean(axis=0)
        live = mean > 0
        assert not live[7] and live.mean() > 0.5
        assert not normal[:, ~live].any()
        # A filter that hardly ever answers is scaled up, and its rounding with it.
        often = mean > 0.01 * mean.mean()
        assert often.mean() > 0.7
        assert_allclose(normal.mean(axis=0)[often], 1, rtol=10 * within)
        assert_allclose((normal * mean).mean(axis=0), mean, atol=within * mean.max())
        assert_allclose(normal * mean, original, atol=within * original.max())
        assert after[layer][0].dtype == after[layer][1].dtype == np.float32
        assert_array_equal(after[layer][1][7], -1)


def test_filters_of_the_other_input_are_normalised_for_it(filters):
    few = {layer: filters["vgg19"][layer] for layer in DEEP}
    image = preprocess(np.asarray(draw(16, 20, seed=5)))
    settings = make_settings()
    after = weights.normalized_filters(few, [image], settings, "torch")
    options = {"pooling": "average", "borders": settings.borders, "input_convention": "torch"}
    found = feature_extractor("vgg19", after, DEEP, **options)(image)
    for layer in DEEP:
        mean = np.asarray(found[layer]).mean(axis=(0, 1, 2), dtype=np.float64)
        assert_allclose(mean[mean > 0], 1, rtol=1e-2)  # rounding of filters that hardly answer
        assert_allclose(np.median(mean[mean > 0]), 1, rtol=1e-5)
        assert (mean > 0).mean() > 0.5


def test_normalising_twice_changes_nothing_more(filters):
    few = {layer: filters["vgg19"][layer] for layer in DEEP}
    images = [preprocess(np.asarray(draw(20, 20, seed=seed))) for seed in (1, 2)]
    once = weights.normalized_filters(few, images, make_settings(), "caffe")
    twice = weights.normalized_filters(once, images, make_settings(), "caffe")
    for layer in DEEP:
        for a, b in zip(once[layer], twice[layer], strict=True):
            assert_allclose(a, b, rtol=1e-2, atol=1e-5 * np.abs(a).max())
