"""Colors of pictures: profiles, LAB, CMYK, transparency."""

import struct
import zlib

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image, ImageCms
from reading import ALPHA, PIXELS, load, read

from style_transfer import srgb
from style_transfer.pictures import load_picture


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_parts_lie_on_white(mode, tmp_path):
    alpha = np.resize(np.arange(256, dtype=np.uint8), PIXELS.shape[:2])
    colors = PIXELS if mode == "RGBA" else PIXELS[:, :, :1]
    picture = Image.fromarray(np.concatenate([colors, alpha[:, :, None]], axis=-1), mode)
    opacity = alpha[:, :, None] / 255
    expected = colors * opacity + 255 * (1 - opacity)
    found = read(picture, tmp_path)
    assert_allclose(found.image, np.broadcast_to(expected, PIXELS.shape), atol=1)
    assert_array_equal(found.alpha, alpha)


def test_a_transparent_color_of_an_rgb_picture_is_white(tmp_path):
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


# An RGB color space far from sRGB: ProPhoto's primaries, relative to D50 (columns R, G, B), and a
# plain power law of 1.8. sRGB's matrix, adapted to D50 likewise, is that of the ICC's profile.
WIDE = np.array([[0.79767, 0.13519, 0.03135], [0.28804, 0.71188, 0.00009], [0, 0, 0.82521]])

SRGB = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
)


def icc_profile(space: bytes = b"RGB ", gamma: float = 1.8) -> bytes:
    """A display profile (ICC.1:2001-04) of the primaries WIDE, or of gray, and a power law."""

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
    # Soft colors, inside sRGB's gamut in both spaces.
    pixels = (PIXELS // 4 + 90).astype(np.uint8)
    linear = (pixels / 255) ** 1.8 @ WIDE.T @ np.linalg.inv(SRGB).T
    found = load(Image.fromarray(pixels), tmp_path, icc_profile=icc_profile())
    assert_allclose(found, srgb_of(linear), atol=2)
    assert np.abs(found.astype(int) - pixels).max() > 20


def test_a_profile_of_a_transparent_picture_is_converted(tmp_path):
    pixels = (PIXELS // 4 + 90).astype(np.uint8)
    alpha = np.full(pixels.shape[:2], 255, np.uint8)
    alpha[:5] = 0
    linear = (pixels / 255) ** 1.8 @ WIDE.T @ np.linalg.inv(SRGB).T
    picture = Image.fromarray(np.dstack([pixels, alpha]))
    found = load(picture, tmp_path, icc_profile=icc_profile())
    assert_allclose(found[5:], srgb_of(linear)[5:], atol=2)
    assert (found[:5] == 255).all()


def test_a_profile_of_grayscale_is_converted(tmp_path):
    gray = PIXELS[:, :, 0]
    found = load(Image.fromarray(gray), tmp_path, icc_profile=icc_profile(b"GRAY"))
    expected = np.stack([srgb_of((gray / 255) ** 1.8)] * 3, axis=-1)
    assert_allclose(found, expected, atol=2)


@pytest.mark.parametrize("profile", [b"no profile at all", icc_profile(b"GRAY")])
def test_a_profile_that_does_not_fit_is_left_aside(profile, tmp_path, capfd):
    found = read(Image.fromarray(PIXELS), tmp_path, icc_profile=profile)
    assert_array_equal(found.image, PIXELS)
    (remark,) = found.remarks
    assert remark.startswith("picture: the color profile of ") and "\n" not in remark
    assert capfd.readouterr() == ("", "")


def test_lab_is_converted(tmp_path):
    soft = Image.fromarray(PIXELS // 4 + 90)
    spaces = [ImageCms.createProfile(space) for space in ("sRGB", "LAB")]
    lab = ImageCms.profileToProfile(soft, *spaces, outputMode="LAB")
    assert_allclose(load(lab, tmp_path, "picture.tif"), np.asarray(soft), atol=4)  # 8-bit LAB


def test_strips_change_no_pixel(tmp_path, monkeypatch):
    picture = Image.fromarray(np.dstack([PIXELS, ALPHA]))
    whole = read(picture, tmp_path, icc_profile=icc_profile())
    for pixels in (1, 100):
        monkeypatch.setattr(srgb, "_STRIP", pixels)
        found = load_picture(tmp_path / "picture.png")
        assert_array_equal(found.image, whole.image)
        assert_array_equal(found.alpha, ALPHA)


def test_alpha_stands_upright_with_its_picture(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    found = read(Image.fromarray(np.dstack([PIXELS, ALPHA])), tmp_path, exif=exif)
    assert found.alpha.size == found.image.size == (24, 30)
    assert_array_equal(found.alpha, np.rot90(ALPHA, -1))


def test_an_opaque_alpha_channel_is_none(tmp_path):
    picture = Image.fromarray(np.dstack([PIXELS, np.full_like(ALPHA, 255)]))
    found = read(picture, tmp_path)
    assert found.alpha is None
    assert_array_equal(found.image, PIXELS)


def test_a_transparent_value_of_16_bits_is_white(tmp_path):
    values = np.resize(np.arange(100, 60000, 97), (24, 30)).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "picture.png")
    data = (tmp_path / "picture.png").read_bytes()
    chunk = b"tRNS" + struct.pack(">H", 100)
    chunk = struct.pack(">I", 2) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "picture.png").write_bytes(data[:33] + chunk + data[33:])
    found = load_picture(tmp_path / "picture.png")
    clear = values == 100
    assert clear.any() and (np.asarray(found.image)[clear] == 255).all()
    assert_array_equal(found.alpha, np.where(clear, 0, 255))


def test_a_profile_that_cannot_be_unpacked_is_left_aside(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "picture.png")
    data = (tmp_path / "picture.png").read_bytes()
    chunk = b"iCCPname\0\0" + b"not deflated"
    odd = struct.pack(">I", len(chunk) - 4) + chunk + bytes(4)
    (tmp_path / "picture.png").write_bytes(data[:33] + odd + data[33:])
    found = load_picture(tmp_path / "picture.png")
    assert_array_equal(found.image, PIXELS)
