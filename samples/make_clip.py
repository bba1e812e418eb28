"""Make samples/pan.webp: a pan across the photograph, repainted by video.py without flicker.

    python samples/make_clip.py

It needs requirements-video.txt, and paints for a few minutes, with fitted filters, which need no
download. The frames and the clip on its way lie in a temporary folder.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

ROWS, COLUMNS, FRAMES, FPS = 120, 180, 16, 8


def frame(photo: Image.Image, number: int) -> Image.Image:
    """The window of a frame: its corner moves across the photograph, its size stays."""
    along = number / (FRAMES - 1)
    height = photo.height * 0.78
    width = height * COLUMNS / ROWS
    left, upper = along * (photo.width - width), (1 - along) * (photo.height - height) * 0.6
    box = (left, upper, left + width, upper + height)
    return photo.resize((COLUMNS, ROWS), Image.Resampling.LANCZOS, box)


def main() -> None:
    """Write the frames, and let video.py paint them."""
    from video import video

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=str(HERE / "pan.webp"), help="default: samples/pan.webp")
    out = Path(parser.parse_args().out)
    photo = Image.open(HERE / "photo.jpg").convert("RGB")
    with tempfile.TemporaryDirectory() as folder:
        frames, painted = Path(folder, "frames"), Path(folder, "pan.webp")
        frames.mkdir()
        for number in range(FRAMES):
            frame(photo, number).save(frames / f"{number:02d}.png")
        style = HERE / "painting.jpg"
        video(frames, style, painted, fps=FPS, height=ROWS, iter=3, weights="fitted", quiet=False)
        out.write_bytes(painted.read_bytes())
    with Image.open(out) as clip:
        clip.seek(FRAMES - 1)
        print(f"{out}: {out.stat().st_size} bytes, {np.asarray(clip.convert('RGB')).shape}")


if __name__ == "__main__":
    main()
