"""The folder in which the situations of test_situations.py take place."""

import struct
import zlib
from pathlib import Path

import h5py
import numpy as np
from conftest import draw
from PIL import Image


def make_pictures(folder: Path) -> None:
    """Pictures of all kinds; see the names in SITUATIONS."""
    base = draw(40, 56, seed=1)
    base.save(folder / "base.png")
    draw(48, 36, seed=2).save(folder / "style.png")
    draw(33, 70, seed=3).save(folder / "style2.png")
    (folder / "png.jpg").write_bytes((folder / "base.png").read_bytes())
    (folder / "torn.png").write_bytes((folder / "base.png").read_bytes()[:3000])
    draw(64, 64, seed=1).save(folder / "photo.jpg")
    (folder / "torn.jpg").write_bytes((folder / "photo.jpg").read_bytes()[:700])
    Image.new("RGB", (1, 1)).save(folder / "pixel.png")
    draw(300, 17, seed=1).save(folder / "narrow.png")
    Image.new("RGB", (40, 40), "white").save(folder / "white.png")
    transparent = base.copy()
    transparent.putalpha(Image.linear_gradient("L").resize(base.size))
    transparent.save(folder / "alpha.png")
    frames = [draw(40, 56, seed) for seed in (5, 6)]
    for name in ("animated.gif", "animated.png", "animated.webp", "pages.tif"):
        base.save(folder / name, save_all=True, append_images=frames)
    pixels = np.arange(40 * 56, dtype=np.uint16).reshape(40, 56) * 29
    Image.fromarray(pixels).save(folder / "gray16.png")
    real = np.random.default_rng(0).random((40, 56), np.float32)
    Image.fromarray(real).save(folder / "float.tif")
    real[3, 3:6] = np.nan, np.inf, -np.inf
    Image.fromarray(real).save(folder / "nan.tif")
    base.convert("LA").save(folder / "la.png")
    base.quantize(16).save(folder / "clear.gif", transparency=3)
    base.convert("1").save(folder / "bit.png")
    base.save(folder / "profile.png", icc_profile=b"no profile")
    Image.new("RGBA", (40, 40), (255, 0, 0, 0)).save(folder / "invisible.png")
    base.convert("CMYK").save(folder / "cmyk.jpg")
    base.quantize(7).save(folder / "palette.gif")
    base.save(folder / "turned.jpg", exif=exif(struct.pack("<HHII", 0x0112, 3, 1, 6)))
    resolution = struct.pack("<HHII", 0x011A, 10, 1, 26), struct.pack("<ii", -72, 1)
    base.save(folder / "exif.jpg", exif=exif(*resolution))
    base.save(folder / "cut_exif.jpg", exif=exif(struct.pack("<HHII", 0x010E, 2, 9999, 9999)))
    bomb = bytearray((folder / "base.png").read_bytes())
    bomb[16:24] = struct.pack(">II", 100_000, 100_000)
    bomb[29:33] = struct.pack(">I", zlib.crc32(bomb[12:29]))
    (folder / "bomb.png").write_bytes(bomb)
    for name in ("heic", "avif"):
        brand = {"heic": b"heic", "avif": b"avif"}[name]
        head = struct.pack(">I", 24) + b"ftyp" + brand + bytes(4) + b"mif1" + brand
        (folder / f"fake.{name}").write_bytes(head + bytes(range(256)))
    masks = {"two": ["red", "blue"], "red": ["red", "red"]}
    for name, (left, right) in masks.items():
        mask = Image.new("RGB", (40, 30), left)
        mask.paste(Image.new("RGB", (20, 30), right), (20, 0))
        mask.save(folder / f"{name}.png")
    large = Image.open(folder / "two.png").resize((41, 31), Image.Resampling.BICUBIC)
    large.rotate(10, Image.Resampling.BICUBIC, fillcolor="red").save(folder / "soft.png")


def exif(entry: bytes, data: bytes = b"") -> bytes:
    """EXIF data of one entry, as the TIFF 6.0 specification has it."""
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4) + data


def make_others(folder: Path) -> None:
    """Files that are no pictures."""
    (folder / "folder").mkdir()
    (folder / "empty.png").touch()
    for name in ("text.png", "text.h5", "text.npz", "text.mat", "f.pth"):
        (folder / name).write_text("This is neither a picture nor a file of filters.")
    (folder / "page.jpg").write_text("<!DOCTYPE html><title>404</title>")
    (folder / "drawing.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (folder / "deep.json").write_text("[" * 100_000)
    kernel, bias = np.zeros((3, 3, 3, 64), np.float32), np.zeros(64, np.float32)
    few = {"block1_conv1/kernel": kernel, "block1_conv1/bias": bias}
    np.savez(folder / "few.npz", **few)
    np.savez(folder / "shape.npz", **{**few, "block1_conv1/kernel": kernel[:, :, :1]})
    kernel = np.random.default_rng(1).normal(0, 0.3, kernel.shape).astype(np.float32)
    np.savez(folder / "good.npz", **{**few, "block1_conv1/kernel": kernel})
    half = {name: array.astype(np.float16) for name, array in few.items()}
    np.savez(folder / "f16.npz", **{**half, "block1_conv1/kernel": kernel.astype(np.float16)})
    np.savez(folder / "nan.npz", **{**few, "block1_conv1/kernel": kernel * np.nan})
    np.savez(folder / "object.npz", **{**few, "block1_conv1/kernel": np.array({}, object)})
    with h5py.File(folder / "empty.h5", "w"):
        pass
    with h5py.File(folder / "half.h5", "w") as file:
        file["block1_conv1/kernel"] = kernel
    (folder / "half.h5").write_bytes((folder / "half.h5").read_bytes()[:600])
    (folder / "half.npz").write_bytes((folder / "good.npz").read_bytes()[:3000])
