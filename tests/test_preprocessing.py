"""Pictures of every kind to the network's world and back."""

import struct

import keras
import numpy as np
import pytest
from conftest import draw
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from scipy import ndimage

import preprocessing
from preprocessing import deprocess, load_picture, preprocess, resize, size_for
from settings import InputError, make_settings

PIXELS = np.asarray(draw(24, 30, seed=1))
EVERY_VALUE = np.stack([np.roll(np.arange(256, dtype=np.uint8), 85 * c) for c in range(3)], axis=-1)


def load(picture, tmp_path, name="picture.png", **options):
    """What `load_picture` makes of a picture saved with some options."""
    picture.save(tmp_path / name, **options)
    loaded = load_picture(tmp_path / name)
    assert loaded.mode == "RGB"
    return np.asarray(loaded)


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


UPRIGHT = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
    8: lambda p: np.rot90(p, 1),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_picture_stands_upright_whatever_its_exif_orientation(orientation, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = load(Image.fromarray(PIXELS), tmp_path, exif=exif)
    assert_array_equal(found, UPRIGHT[orientation](PIXELS))


def test_greyscale_gets_three_equal_channels(tmp_path):
    grey = PIXELS[:, :, 0]
    assert_array_equal(load(Image.fromarray(grey), tmp_path), np.stack([grey] * 3, axis=-1))


def test_black_and_white_becomes_0_and_255(tmp_path):
    bits = PIXELS[:, :, 0] > 128
    expected = np.stack([bits * np.uint8(255)] * 3, axis=-1)
    assert_array_equal(load(Image.fromarray(bits), tmp_path), expected)


def palette_picture():
    indices = (PIXELS[:, :, 0] // 64).astype(np.uint8)  # 0..3
    palette = np.array([[255, 0, 0], [0, 200, 0], [0, 0, 150], [90, 80, 70]], np.uint8)
    picture = Image.fromarray(indices, "L").convert("L")
    picture.putpalette(palette.tobytes())
    assert picture.mode == "P"
    return picture, indices, palette


@pytest.mark.parametrize("name", ["picture.png", "picture.gif"])
def test_a_palette_is_looked_up(name, tmp_path):
    picture, indices, palette = palette_picture()
    assert_array_equal(load(picture, tmp_path, name), palette[indices])


@pytest.mark.parametrize("name", ["picture.png", "picture.gif"])
def test_a_transparent_entry_of_a_palette_is_white(name, tmp_path):
    picture, indices, palette = palette_picture()
    palette[2] = 255
    assert_array_equal(load(picture, tmp_path, name, transparency=2), palette[indices])


def test_half_transparent_entries_of_a_palette_lie_on_white(tmp_path):
    picture, indices, palette = palette_picture()
    alpha = np.array([255, 128, 0, 60])
    opacity = alpha[:, None] / 255
    expected = palette * opacity + 255 * (1 - opacity)
    found = load(picture, tmp_path, transparency=bytes(alpha.tolist()))
    assert_allclose(found, expected[indices], atol=1)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_parts_lie_on_white(mode, tmp_path):
    alpha = np.resize(np.arange(256, dtype=np.uint8), PIXELS.shape[:2])
    colours = PIXELS if mode == "RGBA" else PIXELS[:, :, :1]
    picture = Image.fromarray(np.concatenate([colours, alpha[:, :, None]], axis=-1), mode)
    opacity = alpha[:, :, None] / 255
    expected = colours * opacity + 255 * (1 - opacity)
    found = load(picture, tmp_path)
    assert_allclose(found, np.broadcast_to(expected, PIXELS.shape), atol=1)


def test_a_transparent_colour_of_an_rgb_picture_is_white(tmp_path):
    pixels = PIXELS.copy()
    pixels[3:9, 4:20] = 10, 20, 30
    found = load(Image.fromarray(pixels), tmp_path, transparency=(10, 20, 30))
    pixels[3:9, 4:20] = 255
    assert_array_equal(found, pixels)


def test_cmyk_is_converted(tmp_path):
    inks = np.concatenate([PIXELS, PIXELS[::-1, :, :1]], axis=-1)
    found = load(Image.fromarray(inks, "CMYK"), tmp_path, "picture.tif")
    expected = (255 - inks[:, :, :3].astype(float)) * (255 - inks[:, :, 3:].astype(float)) / 255
    assert_allclose(found, expected, atol=1)


@pytest.mark.parametrize("name", ["picture.png", "picture.tif"])
def test_16_bit_greyscale_is_rounded_to_8(name, tmp_path):
    values = np.linspace(0, 65535, 24 * 30).reshape(24, 30).astype(np.uint16)
    found = load(Image.fromarray(values), tmp_path, name)
    expected = np.rint(values / 65535 * 255)
    assert_array_equal(found, np.stack([expected] * 3, axis=-1))


def test_floating_point_from_0_to_1_becomes_0_to_255(tmp_path):
    values = np.linspace(0, 1, 24 * 30).reshape(24, 30).astype(np.float32)
    found = load(Image.fromarray(values), tmp_path, "picture.tif")
    assert_allclose(found[:, :, 1], values * 255, atol=0.501)


# An RGB colour space far from sRGB: ProPhoto's primaries, relative to D50 (columns R, G, B), and a
# plain power law of 1.8. sRGB's matrix, adapted to D50 likewise, is that of the ICC's profile.
WIDE = np.array([[0.79767, 0.13519, 0.03135], [0.28804, 0.71188, 0.00009], [0, 0, 0.82521]])
SRGB = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
)


def icc_profile(space: bytes = b"RGB ", gamma: float = 1.8) -> bytes:
    """A display profile (ICC.1:2001-04) of the primaries WIDE, or of grey, and a power law."""

    def fixed(*numbers):
        return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)

    curve = b"curv" + bytes(4) + struct.pack(">IHH", 1, round(gamma * 256), 0)
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78 + 1),
        b"cprt": b"text" + bytes(4) + b"none",
        b"wtpt": b"XYZ " + bytes(4) + fixed(0.9642, 1, 0.82491),
    }
    if space == b"RGB ":
        for index, name in enumerate("rgb"):
            tags[f"{name}XYZ".encode()] = b"XYZ " + bytes(4) + fixed(*WIDE[:, index])
            tags[f"{name}TRC".encode()] = curve
    else:
        tags[b"kTRC"] = curve
    table, data = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    header = struct.pack(
        ">I4sI4s4s4s", start + len(data), bytes(4), 0x02400000, b"mntr", space, b"XYZ "
    )
    header += struct.pack(">6H4s", 2024, 1, 1, 0, 0, 0, b"acsp") + bytes(24 + 4)
    header += fixed(0.9642, 1, 0.82491)
    return header + bytes(128 - len(header)) + table + data


def srgb_of(linear):
    """Encoded sRGB 0..255 of linear light 0..1 (IEC 61966-2-1)."""
    linear = np.clip(linear, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def test_an_embedded_profile_is_converted_to_srgb(tmp_path):
    # Soft colours, inside sRGB's gamut in both spaces.
    pixels = (PIXELS // 4 + 90).astype(np.uint8)
    linear = (pixels / 255) ** 1.8 @ WIDE.T @ np.linalg.inv(SRGB).T
    found = load(Image.fromarray(pixels), tmp_path, icc_profile=icc_profile())
    assert_allclose(found, srgb_of(linear), atol=2)
    assert np.abs(found.astype(int) - pixels).max() > 20


def test_a_profile_of_a_transparent_picture_is_converted_and_the_rest_is_white(tmp_path):
    pixels = (PIXELS // 4 + 90).astype(np.uint8)
    alpha = np.full(pixels.shape[:2], 255, np.uint8)
    alpha[:5] = 0
    linear = (pixels / 255) ** 1.8 @ WIDE.T @ np.linalg.inv(SRGB).T
    picture = Image.fromarray(np.dstack([pixels, alpha]), "RGBA")
    found = load(picture, tmp_path, icc_profile=icc_profile())
    assert_allclose(found[5:], srgb_of(linear)[5:], atol=2)
    assert (found[:5] == 255).all()


def test_a_profile_of_greyscale_is_converted(tmp_path):
    grey = PIXELS[:, :, 0]
    found = load(Image.fromarray(grey), tmp_path, icc_profile=icc_profile(b"GRAY"))
    expected = np.stack([srgb_of((grey / 255) ** 1.8)] * 3, axis=-1)
    assert_allclose(found, expected, atol=2)


@pytest.mark.parametrize("profile", [b"no profile at all", icc_profile(b"GRAY")])
def test_a_profile_that_does_not_fit_is_left_aside_and_said_so(profile, tmp_path, capsys):
    found = load(Image.fromarray(PIXELS), tmp_path, icc_profile=profile)
    assert_array_equal(found, PIXELS)
    assert "colour profile" in capsys.readouterr().out


@pytest.mark.parametrize("size", [(10, 13), (24, 30), (37, 61), (100, 20), (16, 16)])
def test_nearest_is_what_keras_load_img_does(size, tmp_path):
    path = tmp_path / "picture.png"
    Image.fromarray(PIXELS).save(path)
    expected = keras.utils.img_to_array(keras.utils.load_img(path, target_size=size))
    assert_array_equal(resize(load_picture(path), size, "nearest"), expected)


@pytest.mark.parametrize("resampling", ["nearest", "bicubic", "lanczos"])
def test_resizing_keeps_a_colour_and_gives_rows_by_columns(resampling):
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
def test_a_style_picture_has_the_content_s_area_times_scale_squared(size, scale):
    picture = Image.new("L", (70, 40))
    rows, columns = preprocessing.style_size(picture, size, scale)
    assert rows * columns == pytest.approx(size[0] * size[1] * scale**2, rel=0.03)
    assert columns / rows == pytest.approx(70 / 40, rel=0.05)


@pytest.mark.parametrize("width, height", [(17, 2000), (2000, 17), (60, 40)])
@pytest.mark.parametrize("scale", [0.05, 1])
def test_no_side_of_a_style_picture_is_too_small_for_the_network(width, height, scale):
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


def test_the_detail_of_the_picture_it_started_from_comes_back_at_the_next_size():
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
    assert_array_equal(found, preprocessing.resize_image(small, (48, 60)))


@pytest.mark.parametrize("size", [(48, 60), (31, 44), (24, 30)])
def test_an_image_at_another_size_keeps_a_slope_and_values_beyond_the_picture_s(size):
    down, right = np.mgrid[0:24, 0:30]
    image = np.stack([9 * down - 200, 11 * right + 90, 3 * down - 5 * right], axis=-1)
    found = preprocessing.resize_image(image[None].astype(np.float32), size)
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


def test_the_grey_and_content_starts_are_what_they_say():
    picture = draw(20, 30, seed=1)
    grey = preprocessing.start_image(picture, (8, 9), make_settings(init="gray"))
    assert_array_equal(deprocess(grey), np.full((8, 9, 3), 128))
    content = preprocessing.start_image(picture, (20, 30), make_settings())
    assert_array_equal(deprocess(content), np.asarray(picture))


def garbage(folder):
    (folder / "picture.png").write_bytes(b"this is no picture" * 20)


def truncated(folder):
    draw(64, 64, seed=1).save(folder / "whole.jpg")
    (folder / "picture.png").write_bytes((folder / "whole.jpg").read_bytes()[:600])


def unknown_kind(folder):
    draw(64, 64, seed=1).save(folder / "whole.dds")
    data = bytearray((folder / "whole.dds").read_bytes())
    data[80:88] = struct.pack("<I4s", 4, b"DX10")  # Pillow raises NotImplementedError
    data[128:132] = struct.pack("<I", 999)
    (folder / "picture.png").write_bytes(data)


def empty(folder):
    (folder / "picture.png").touch()


def directory(folder):
    (folder / "picture.png").mkdir()


def one_pixel(folder):
    Image.new("RGB", (1, 1)).save(folder / "picture.png")


def narrow(folder):
    Image.new("RGB", (15, 400)).save(folder / "picture.png")


@pytest.mark.parametrize(
    "spoil, expected",
    [
        (lambda folder: None, "expected an existing file"),
        (garbage, "expected a picture"),
        (truncated, "expected a whole picture"),
        (unknown_kind, "expected a whole picture"),
        (empty, "0 bytes"),
        (directory, "Received: the folder"),
        (one_pixel, "1 x 1"),
        (narrow, "15 x 400"),
    ],
)
def test_what_is_no_usable_picture_is_refused_in_one_line(spoil, expected, tmp_path):
    spoil(tmp_path)
    with pytest.raises(InputError) as error:
        load_picture(tmp_path / "picture.png", "BASE")
    message = str(error.value)
    assert message.startswith("BASE: expected ") and expected in message
    assert "Received: " in message and str(tmp_path) in message and "\n" not in message


def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch):
    Image.new("RGB", (64, 64)).save(tmp_path / "picture.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(InputError, match="expected at most 2,000 pixels"):
        load_picture(tmp_path / "picture.png")


@pytest.mark.filterwarnings("error")
def test_a_large_picture_below_the_limit_is_read_without_a_warning(tmp_path, monkeypatch):
    Image.new("RGB", (64, 64)).save(tmp_path / "picture.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)
    assert load_picture(tmp_path / "picture.png").size == (64, 64)


# Colours


def statistics(pixels):
    colors = pixels.reshape(-1, 3).astype(np.float64)
    return colors.mean(axis=0), np.cov(colors.T)


def soft(rows, columns, seed, low, high):
    """A picture whose colours keep away from 0 and 255."""
    pixels = np.asarray(draw(rows, columns, seed), np.float64)
    return (low + pixels * (high - low) / 255).astype(np.uint8)


def test_matched_colours_have_the_content_s_mean_and_covariance():
    style, content = soft(80, 90, 1, 60, 200), soft(70, 60, 2, 100, 160)
    found = preprocessing.match_colors(style, content)
    assert found.shape == style.shape and found.dtype == np.uint8
    assert 0 < found.min() and found.max() < 255  # nothing is clipped
    (mean, covariance), (content_mean, content_covariance) = map(statistics, (found, content))
    assert_allclose(mean, content_mean, atol=0.1)
    # Rounding to whole values adds 1/12.
    assert_allclose(covariance, content_covariance, atol=0.2 + 0.01 * content_covariance.max())


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (10, 100, 200)])
def test_a_picture_of_one_colour_is_matched_without_a_fuss(colour):
    flat = np.full((20, 20, 3), colour, np.uint8)
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


def test_luminance_is_taken_from_one_picture_and_chroma_from_the_other():
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
def test_a_picture_with_its_own_colours_is_itself(dtype):
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


# Masks


def save_mask(path, pixels):
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)
    return str(path)


def striped(size, *colors):
    """Columns of colours, equally wide."""
    pixels = np.zeros((*size, 3), np.uint8)
    for part, color in zip(np.array_split(np.arange(size[1]), len(colors)), colors, strict=True):
        pixels[:, part] = color
    return pixels


RED, BLUE, GREEN = (255, 0, 0), (0, 0, 255), (0, 255, 0)


def test_regions_are_the_colours_of_a_mask_at_a_size_by_nearest_neighbour(tmp_path):
    path = save_mask(tmp_path / "mask.png", striped((20, 30), RED, BLUE, GREEN))
    (mask, _) = preprocessing.load_masks(path, path)
    for size in [(20, 30), (10, 15), (53, 77)]:
        found = preprocessing.regions(mask, size)
        assert set(found) == {RED, BLUE, GREEN}
        column = ((np.arange(size[1]) + 0.5) * 30 / size[1]).astype(int) // 10
        for number, color in enumerate((RED, BLUE, GREEN)):
            assert_array_equal(found[color], np.broadcast_to(column == number, size))


def test_every_colour_of_the_content_s_mask_must_be_in_a_style_s(tmp_path):
    content = save_mask(tmp_path / "content.png", striped((20, 30), RED, BLUE, GREEN))
    one = save_mask(tmp_path / "one.png", striped((16, 16), RED))
    two = save_mask(tmp_path / "two.png", striped((40, 16), (1, 2, 3), BLUE))
    with pytest.raises(InputError) as error:
        preprocessing.load_masks(content, one)
    message = str(error.value)
    assert message.startswith("--style_mask: expected every colour") and "\n" not in message
    assert "#0000ff, #00ff00" in message and "#ff0000" not in message
    with pytest.raises(InputError, match="none for #00ff00$"):
        preprocessing.load_masks(content, one, two)
    third = save_mask(tmp_path / "third.png", striped((20, 20), GREEN))
    assert len(preprocessing.load_masks(content, one, two, third)) == 4


@pytest.mark.parametrize("which", ["content", "style"])
def test_a_photograph_is_no_mask(which, tmp_path):
    paths = {"content": save_mask(tmp_path / "content.png", striped((20, 30), RED, BLUE))}
    paths["style"] = paths["content"]
    draw(40, 40, seed=1).save(tmp_path / "photo.jpg")
    paths[which] = str(tmp_path / "photo.jpg")
    with pytest.raises(InputError, match="expected index pictures of at most 64 colours.*photo"):
        preprocessing.load_masks(paths["content"], paths["style"])


def test_a_palette_picture_is_a_mask(tmp_path):
    indexed = Image.fromarray(striped((20, 30), RED, BLUE)).convert("P", colors=2)
    indexed.save(tmp_path / "mask.png")
    path = str(tmp_path / "mask.png")
    mask, _ = preprocessing.load_masks(path, path)
    assert len(preprocessing.regions(mask, (20, 30))) == 2
