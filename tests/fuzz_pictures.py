"""Damaged picture files by the thousand: each gives a picture or one line.

    python tests/fuzz_pictures.py 2000 [--seed 0] [--limit BYTES]

Prints what came of them as JSON: counts, the slowest in seconds, the most memory in MiB.
"""

import argparse
import collections
import contextlib
import io
import json
import random
import struct
import sys
import time
import zlib
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from style_transfer.errors import InputError
from style_transfer.pictures import Picture, load_picture

EXTREMES = [0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]


def samples() -> list[tuple[str, bytes]]:
    """(format, file) of many kinds of picture, of 40 x 48 pixels."""
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
    plain = small.resize((48, 40), Image.Resampling.BICUBIC)
    later = small.resize((48, 40), Image.Resampling.NEAREST)
    clear = plain.copy()
    clear.putalpha(plain.getchannel("G"))
    exif = Image.Exif()
    exif[0x0112], exif[0x011A], exif[0x010E] = 6, 72.0, "a description"
    texts = PngInfo()
    texts.add_text("Comment", "some text " * 9, zip=True)
    texts.add_itxt("Title", "a title", "en", "Title")
    icc = b"not a profile" * 12
    gray16 = Image.fromarray(rng.integers(0, 65536, (40, 48)).astype(np.uint16))
    several = {"save_all": True, "append_images": [later]}
    kinds: list[tuple[str, Image.Image, dict]] = [
        ("JPEG", plain, {"exif": exif, "icc_profile": icc, "dpi": (72, 72)}),
        ("JPEG", plain, {"progressive": True, "comment": b"a comment"}),
        ("JPEG", plain.convert("CMYK"), {}),
        ("PNG", plain, {"pnginfo": texts, "exif": exif, "icc_profile": icc}),
        ("PNG", clear, {}),
        ("PNG", plain.quantize(12), {"transparency": 3}),
        ("PNG", gray16, {}),
        ("PNG", plain, several),
        ("WEBP", plain, {"exif": exif, "icc_profile": icc}),
        ("WEBP", clear, {"lossless": True}),
        ("WEBP", plain, several),
        ("TIFF", plain, {"exif": exif, "icc_profile": icc, "dpi": (72, 72)}),
        ("TIFF", plain, {"compression": "tiff_lzw"}),
        ("TIFF", clear, {"compression": "tiff_adobe_deflate", **several}),
        ("TIFF", plain, {"compression": "jpeg"}),
        ("TIFF", gray16, {}),
        ("TIFF", plain.convert("F"), {}),
        ("GIF", plain, {"comment": b"a comment"}),
        ("GIF", plain.quantize(12), {"transparency": 3, "interlace": True, **several}),
        ("BMP", plain, {}),
        ("BMP", plain.quantize(12), {}),
        ("BMP", clear, {}),
    ]
    files = []
    for kind, picture, options in kinds:
        file = io.BytesIO()
        picture.save(file, kind, **options)
        files.append((kind, file.getvalue()))
    return files


def mutated(kind: str, data: bytes, rng: random.Random) -> bytes:
    """A file with some damage done to its header or body."""
    damaged = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 1, 2, 4))):
        end = rng.choice((min(64, len(damaged)), min(400, len(damaged)), len(damaged)))
        at = rng.randrange(2, max(3, end))
        way = rng.choice((0, 0, 0, 1, 1, 2, 3, 4, 5, 6))
        if way == 0:
            damaged[at : at + 1] = bytes([rng.randrange(256)])
        elif way == 1:
            order, size = rng.choice("<>"), rng.choice("BHI")
            largest = (1 << 8 * struct.calcsize(size)) - 1
            field = struct.pack(order + size, min(largest, rng.choice(EXTREMES)))
            damaged[at : at + len(field)] = field
        elif way == 2:
            damaged[at : at + rng.randrange(1, 64)] = b""
        elif way == 3:
            damaged[at:at] = rng.randbytes(rng.randrange(1, 64))
        elif way == 4:
            damaged[at : at + rng.randrange(1, 64)] = bytes(rng.randrange(1, 64))
        elif way == 5:
            start = rng.randrange(len(damaged))
            damaged[at:at] = damaged[start : start + rng.randrange(1, 200)]
        else:
            del damaged[rng.choice((at, rng.randrange(2, max(3, len(damaged))))) :]
        if len(damaged) < 8:
            break
    if kind == "PNG" and rng.random() < 0.7:
        return with_checksums(bytes(damaged))
    return bytes(damaged)


def with_checksums(data: bytes) -> bytes:
    """A PNG file whose chunks' checksums are right again, so that the damage is looked at."""
    parts, at = [data[:8]], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        content = data[at + 4 : at + 8 + length]
        parts.append(data[at : at + 8 + length] + struct.pack(">I", zlib.crc32(content)))
        at += 12 + length
    return b"".join(parts) + data[at:]


def peak_memory() -> float:
    """The most memory that this process has held, in MiB."""
    with contextlib.suppress(OSError, IndexError):  # Linux; its ru_maxrss knows the parent's, too
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024**2 if sys.platform == "darwin" else 1024)


def run(count: int, seed: int, folder: Path) -> dict:
    """Read `count` damaged files.

    Raises:
        AssertionError: a file gave neither a picture nor one line; it is left in `folder`.
    """
    rng, files = random.Random(seed), samples()
    found: collections.Counter = collections.Counter()
    slowest, path = 0.0, folder / "damaged"
    for number in range(count):
        kind, data = files[number % len(files)]
        path.write_bytes(mutated(kind, data, rng) or b"\0")
        start = time.perf_counter()
        try:
            picture = load_picture(path)
        except InputError as error:
            assert "\n" not in str(error) and "Received: " in str(error), str(error)
            found[f"{kind} refused"] += 1
        else:
            assert isinstance(picture, Picture) and picture.image.mode == "RGB"
            assert not any("\n" in remark for remark in picture.remarks), picture.remarks
            found[f"{kind} read"] += 1
            found["with remarks"] += bool(picture.remarks)
        seconds = time.perf_counter() - start
        if seconds > slowest:
            slowest = seconds
            (folder / "slowest").write_bytes(path.read_bytes())
    return {"found": dict(found), "slowest": round(slowest, 2), "memory": round(peak_memory())}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path())
    parser.add_argument("--limit", type=int, help="bytes of address space")
    arguments = parser.parse_args()
    if arguments.limit:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (arguments.limit, arguments.limit))
    print(json.dumps(run(arguments.count, arguments.seed, arguments.folder)))


if __name__ == "__main__":
    main()
