"""Pictures to the network's arrays and back."""

import keras
import numpy as np
import pytest
from conftest import draw
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from scipy import ndimage

import preprocessing
from preprocessing import deprocess, preprocess, resize, size_for
from style_transfer.images import resize_image
from style_transfer.masks import load_masks
from style_transfer.presets import make_settings

PIXELS = np.asarray(draw(24, 30, seed=1))
EVERY_VALUE = np.stack([np.roll(np.arange(256, dtype=np.uint8), 85 * c) for c in range(3)], axis=-1)


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_every_8_bit_value_comes_back_in_each_channel(channel):
    picture = np.full((16, 16, 3), 100, np.uint8)
    picture[:, :, channel] = np.arange(256).reshape(16, 16)
    assert_array_equal(deprocess(preprocess(picture)), picture)
    sixteen = deprocess(preprocess(picture), np.uint16)
    assert sixteen.dtype == np.uint16
    assert_array_equal(sixteen, picture * 257.0)


def test_preprocess_is_that_of_keras_applications():
    expected = keras.applications.vgg19.preprocess_input(EVERY_VALUE.astype(np.float32)[None, None])
    found = preprocess(EVERY_VALUE[None])
    assert found.dtype == np.float32 and found.shape == (1, 1, 256, 3)
    assert_allclose(found, expected, atol=1e-5)


def test_deprocess_rounds_and_clips():
    image = preprocess(np.full((1, 4, 3), 200, np.uint8))
    image[0, 0, :, 0] += [0.4, 0.6, 100, -300]  # blue
    assert_array_equal(deprocess(image)[0, :, 2], [200, 201, 255, 0])
    assert_array_equal(deprocess(image)[0, :, :2], np.full((4, 2), 200))


@pytest.mark.parametrize("size", [(10, 13), (24, 30), (37, 61), (100, 20), (16, 16)])
def test_nearest_is_what_keras_load_img_does(size, tmp_path):
    path = tmp_path / "picture.png"
    Image.fromarray(PIXELS).save(path)
    expected = keras.utils.img_to_array(keras.utils.load_img(path, target_size=size))
    assert_array_equal(resize(Image.open(path), size, "nearest"), expected)


@pytest.mark.parametrize("resampling", ["nearest", "bicubic", "lanczos"])
def test_resizing_keeps_a_color_and_gives_rows_by_columns(resampling):
    picture = Image.new("RGB", (30, 24), (10, 100, 250))
    found = resize(picture, (11, 17), resampling)
    assert found.shape == (11, 17, 3)
    assert_array_equal(found, np.broadcast_to(np.uint8([10, 100, 250]), found.shape))


@pytest.mark.parametrize("width, height", [(533, 400), (1280, 852), (999, 1000), (17, 3000)])
@pytest.mark.parametrize("rows", [400, 257, 16])
def test_the_width_is_rounded_as_in_the_original(width, height, rows):
    picture = Image.new("L", (width, height))
    assert size_for(picture, rows) == (rows, max(1, int(width * rows / height)))


@pytest.mark.parametrize("scale", [1, 0.5, 2])
@pytest.mark.parametrize("size", [(100, 50), (64, 300)])
def test_a_style_picture_has_the_contents_area_by_scale(size, scale):
    picture = Image.new("L", (70, 40))
    rows, columns = preprocessing.style_size(picture, size, scale)
    assert rows * columns == pytest.approx(size[0] * size[1] * scale**2, rel=0.03)
    assert columns / rows == pytest.approx(70 / 40, rel=0.05)


@pytest.mark.parametrize("width, height", [(17, 2000), (2000, 17), (60, 40)])
@pytest.mark.parametrize("scale", [0.05, 1])
def test_a_style_picture_is_large_enough_for_the_network(width, height, scale):
    rows, columns = preprocessing.style_size(Image.new("L", (width, height)), (32, 40), scale)
    assert min(rows, columns) >= 16
    assert rows / columns == pytest.approx(height / width, rel=0.07)


def test_images_have_the_sizes_that_the_settings_say():
    content, style = draw(30, 40, seed=1), draw(50, 25, seed=2)
    sizes = {
        name: [
            image.shape for image in preprocessing.images_at([content, style], (60, 80), settings)
        ]
        for name, settings in {
            "aspect": make_settings(),
            "larger": make_settings(style_scale=2),
            "stretch": make_settings(style_fit="stretch"),
            "batch": make_settings(targets="batch"),
        }.items()
    }
    assert {shapes[0] for shapes in sizes.values()} == {(1, 60, 80, 3)}
    assert sizes["aspect"][1] == (1, 98, 49, 3)  # √(60·80·2), half of it
    assert sizes["larger"][1] == (1, 196, 98, 3)
    assert sizes["stretch"][1] == sizes["batch"][1] == (1, 60, 80, 3)


def test_the_starts_detail_comes_back_at_the_next_size():
    picture, settings = draw(48, 60, seed=3), make_settings()
    small = preprocessing.start_image(picture, (24, 30), settings)
    full = preprocessing.start_image(picture, (48, 60), settings)
    found = preprocessing.image_at_next_size(small, picture, (48, 60), settings)
    assert_array_equal(found, full)
    found = preprocessing.image_at_next_size(small + 7, picture, (48, 60), settings)
    assert found.dtype == np.float32
    assert_allclose(found, full + 7, atol=1e-4)
    settings = make_settings(init="noise")
    found = preprocessing.image_at_next_size(small, picture, (48, 60), settings)
    assert_array_equal(found, resize_image(small, (48, 60)))


@pytest.mark.parametrize("size", [(48, 60), (31, 44), (24, 30)])
def test_a_resized_image_keeps_slopes_and_extremes(size):
    down, right = np.mgrid[0:24, 0:30]
    image = np.stack([9 * down - 200, 11 * right + 90, 3 * down - 5 * right], axis=-1)
    found = resize_image(image[None].astype(np.float32), size)
    assert found.shape == (1, *size, 3) and found.dtype == np.float32
    # Pixel centres: position (i + 1/2)·24/rows − 1/2.
    down = (np.arange(size[0]) + 0.5) * 24 / size[0] - 0.5
    right = (np.arange(size[1]) + 0.5) * 30 / size[1] - 0.5
    for channel in range(3):
        expected = ndimage.map_coordinates(
            image[:, :, channel].astype(float), np.meshgrid(down, right, indexing="ij"), order=1
        )
        inside = slice(5, -5)
        assert_allclose(found[0, inside, inside, channel], expected[inside, inside], atol=1e-3)


def test_the_noise_start_is_uniform_and_seeded():
    picture, size = draw(20, 20, seed=1), (40, 60)
    first, again, other = (
        preprocessing.start_image(picture, size, make_settings(init="noise", seed=seed))
        for seed in (0, 0, 1)
    )
    assert first.shape == (1, 40, 60, 3) and first.dtype == np.float32
    assert_array_equal(first, again)
    assert (first != other).mean() > 0.99
    # uniform(0, 255) − 128, as in the original; deciles within four standard errors.
    assert first.min() >= -128 and first.max() <= 127
    deciles = np.quantile(first, np.arange(0.1, 1, 0.1))
    assert_allclose(deciles, np.arange(0.1, 1, 0.1) * 255 - 128, atol=6)


def test_the_gray_and_content_starts_are_what_they_say():
    picture = draw(20, 30, seed=1)
    gray = preprocessing.start_image(picture, (8, 9), make_settings(init="gray"))
    assert_array_equal(deprocess(gray), np.full((8, 9, 3), 128))
    content = preprocessing.start_image(picture, (20, 30), make_settings())
    assert_array_equal(deprocess(content), np.asarray(picture))


# Colors


def statistics(pixels):
    colors = pixels.reshape(-1, 3).astype(np.float64)
    return colors.mean(axis=0), np.cov(colors.T)


def soft(rows, columns, seed, low, high):
    """A picture whose colors keep away from 0 and 255."""
    pixels = np.asarray(draw(rows, columns, seed), np.float64)
    return (low + pixels * (high - low) / 255).astype(np.uint8)


def test_matched_colors_have_the_contents_statistics():
    style, content = soft(80, 90, 1, 60, 200), soft(70, 60, 2, 100, 160)
    found = preprocessing.match_colors(style, content)
    assert found.shape == style.shape and found.dtype == np.uint8
    assert found.min() > 0 and found.max() < 255  # nothing is clipped
    (mean, covariance), (content_mean, content_covariance) = map(statistics, (found, content))
    assert_allclose(mean, content_mean, atol=0.1)
    # Rounding to whole values adds 1/12.
    assert_allclose(covariance, content_covariance, atol=0.2 + 0.01 * content_covariance.max())


@pytest.mark.parametrize("color", [(0, 0, 0), (255, 255, 255), (10, 100, 200)])
def test_a_picture_of_one_color_is_matched_without_a_fuss(color):
    flat = np.full((20, 20, 3), color, np.uint8)
    assert_allclose(preprocessing.match_colors(PIXELS, flat), flat[:1, :1] + 0.0 * PIXELS, atol=1)
    found = preprocessing.match_colors(flat, PIXELS)
    assert_allclose(found, np.broadcast_to(PIXELS.mean(axis=(0, 1)), found.shape), atol=1)


def test_style_pictures_are_matched_where_asked():
    pictures = [draw(30, 40, seed=1), draw(50, 25, seed=2)]
    plain = preprocessing.images_at(pictures, (30, 40), make_settings())
    found = preprocessing.images_at(pictures, (30, 40), make_settings(preserve_color="match"))
    assert_array_equal(found[0], plain[0])
    expected = preprocessing.match_colors(deprocess(plain[1]), deprocess(plain[0]))
    assert_array_equal(deprocess(found[1]), expected)


def test_luminance_is_of_one_picture_chroma_of_the_other():
    pixels, content = soft(40, 50, 3, 90, 160), soft(40, 50, 4, 90, 160)
    found = preprocessing.with_colors_of(pixels, content).astype(float)
    # ITU-R BT.601, as JPEG has it.
    luma = np.array([0.299, 0.587, 0.114])
    assert_allclose(found @ luma, pixels @ luma, atol=2)  # 8-bit YCbCr in between
    for channel, scale in ((2, 1.772), (0, 1.402)):
        chroma = (found[:, :, channel] - found @ luma) / scale
        expected = (content[:, :, channel] - content @ luma) / scale
        assert_allclose(chroma, expected, atol=2)


def test_luminance_of_16_bits_has_no_8_bits_in_between():
    content = soft(40, 50, 4, 90, 160)
    pixels = np.random.default_rng(1).integers(90 * 257, 160 * 257, (40, 50, 3)).astype(np.uint16)
    found = preprocessing.with_colors_of(pixels, content)
    assert found.dtype == np.uint16
    found, exact = found / 257, pixels / 257
    luma = np.array([0.299, 0.587, 0.114])
    assert_allclose(found @ luma, exact @ luma, atol=0.5 / 257 + 1e-9)  # no value was clipped
    for channel in (2, 0):
        difference = found[:, :, channel] - found @ luma
        expected = content[:, :, channel] - content @ luma
        assert_allclose(difference, expected, atol=1 / 257)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_picture_with_its_own_colors_is_itself(dtype):
    own = EVERY_VALUE[None].astype(dtype) * dtype(np.iinfo(dtype).max // 255)
    assert_array_equal(preprocessing.with_colors_of(own, EVERY_VALUE[None]), own)


def test_the_mixed_start_is_half_noise_and_half_the_picture():
    picture, size = draw(20, 30, seed=1), (20, 30)
    noise, content, mixed = (
        preprocessing.start_image(picture, size, make_settings(init=init, seed=3))
        for init in ("noise", "content", "mixed")
    )
    assert mixed.dtype == np.float32
    assert_allclose(mixed, noise / 2 + content / 2, atol=1e-4)


# Alpha


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_alpha_comes_back_unchanged_at_its_own_size(dtype):
    alpha = np.resize(np.arange(256, dtype=np.uint8), PIXELS.shape[:2])
    pixels = PIXELS.astype(dtype)
    found = preprocessing.with_alpha(pixels, Image.fromarray(alpha))
    assert found.dtype == dtype and found.shape == (24, 30, 4)
    assert_array_equal(found[:, :, :3], pixels)
    assert_array_equal(found[:, :, 3] / (np.iinfo(dtype).max / 255), alpha)
    assert preprocessing.with_alpha(pixels, None) is pixels


def test_alpha_is_resized_with_the_picture():
    alpha = Image.new("L", (60, 48), 255)
    alpha.paste(0, (0, 0, 30, 48))
    found = preprocessing.with_alpha(PIXELS, alpha)[:, :, 3]
    assert (found[:, :12] == 0).all() and (found[:, 18:] == 255).all()


# Sizes of filters' images


def test_filters_are_fitted_at_192_rows_or_more():
    style = draw(40, 30, seed=2)
    settings = make_settings()
    for content, expected in [
        (draw(300, 400, seed=1), (192, 256)),
        (draw(30, 40, seed=1), (192, 256)),
        (draw(640, 16, seed=1), (641, 16)),
        (draw(1000, 20, seed=1), (801, 16)),
    ]:
        images = preprocessing.fitting_images([content, style], settings)
        again = preprocessing.images_at([content, style], expected, settings)
        for image, other in zip(images, again, strict=True):
            assert_array_equal(image, other)
            assert min(image.shape[1:3]) >= 16


def test_regions_are_at_the_sizes_of_their_pictures():
    pictures = [draw(24, 30, seed=1), draw(50, 25, seed=2)]
    halves = np.zeros((20, 20, 3), np.uint8)
    halves[:, 10:] = 255
    masks = load_masks(halves, [halves])
    found = preprocessing.regions_at(masks, pictures, (48, 60), make_settings())
    shapes = [
        image.shape[1:3] for image in preprocessing.images_at(pictures, (48, 60), make_settings())
    ]
    assert [region[0, 0, 0].shape for region in found] == shapes
    assert preprocessing.regions_at(None, pictures, (48, 60), make_settings()) is None


# Flat pictures


@pytest.mark.parametrize("init", ["content", "gray"])
def test_a_flat_picture_gets_a_trace_of_seeded_noise(init):
    flat, size = Image.new("RGB", (80, 70), (250, 250, 251)), (96, 110)
    plain = preprocess(np.full((96, 110, 3), 128 if init == "gray" else [250, 250, 251], np.uint8))
    first, again, other = (
        preprocessing.start_image(flat, size, make_settings(init=init, seed=seed))
        for seed in (0, 0, 1)
    )
    assert first.dtype == np.float32 and first.shape == (1, 96, 110, 3)
    assert_array_equal(first, again)
    assert (first != other).mean() > 0.99
    noise = (first - plain).ravel()  # 31,680 values: four standard errors
    assert abs(noise.mean()) < 4 / 178 and abs(noise.std() - 1) < 4 / 252
    remark = preprocessing.flatness_remark(flat, size, make_settings(init=init))
    assert remark.startswith("100% ") and "\n" not in remark


def test_only_what_is_flat_gets_noise():
    pixels = np.array(draw(200, 210, seed=1))
    pixels[60:140, 60:150] = 255
    pixels[64:128, 64:128] -= np.indices((64, 64)).sum(axis=0)[:, :, None].astype(np.uint8) % 2
    picture, settings = Image.fromarray(pixels), make_settings()
    found = preprocessing.start_image(picture, (200, 210), settings) != preprocess(pixels)
    expected = np.zeros((200, 210), bool)
    expected[64:128, 64:128] = True  # the one whole block of 64 within: one level up and down
    assert not found[0, ~expected].any()
    assert found[0, expected].mean() > 0.99
    assert preprocessing.flatness_remark(picture, (200, 210), settings).startswith("10% ")


def test_a_picture_with_any_detail_is_left_as_it_is():
    picture, settings = draw(70, 80, seed=1), make_settings()
    found = preprocessing.start_image(picture, (70, 80), settings)
    assert_array_equal(found, preprocess(np.asarray(picture)))
    assert preprocessing.flatness_remark(picture, (70, 80), settings) is None
    flat = Image.new("RGB", (80, 70))
    assert preprocessing.flatness_remark(flat, (70, 80), make_settings(init="noise")) is None


def test_an_unchanged_flat_picture_stays_at_its_start():
    flat, settings = Image.new("RGB", (80, 70), (9, 9, 9)), make_settings()
    small = preprocessing.start_image(flat, (70, 80), settings)
    found = preprocessing.image_at_next_size(small, flat, (96, 110), settings)
    assert_array_equal(found, preprocessing.start_image(flat, (96, 110), settings))
