"""Make the sample pictures: one free photograph and two paintings.

The photograph comes from the scikit-image package, without a download. The paintings are
procedural: this file composes a scene, and strokes.py paints it.

    python samples/make_samples.py            # writes into this script's folder
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter
from strokes import HEIGHT, WIDTH, XX, YY, Brush, Canvas, Scene, blend, noise, pixel, ramp, smear

# (x, y, radius) of the moon and the stars
LIGHTS = [
    (138, 108, 27),
    (36, 46, 7),
    (258, 40, 9),
    (448, 66, 13),
    (604, 44, 8),
    (50, 204, 8),
    (232, 200, 6),
    (356, 34, 5),
]
EDDIES = [(350, 152, 62, 1, 0.25), (462, 196, 34, -1, 0.22)]  # x, y, radius, turn, inward
HOUSES = [(258, 350, 17), (302, 355, 22), (344, 352, 13)]  # x, y, half the width
BUSHES = [  # x, y, size
    (224, 357, 14),
    (372, 360, 15),
    (394, 362, 22),
    (424, 364, 16),
    (30, 356, 20),
    (66, 360, 14),
    (470, 366, 20),
    (496, 368, 15),
]
CYPRESSES = [(604, 470, 150, 30), (548, 560, 42, 50)]  # x, foot, top, width


def night_scene(rng: np.random.Generator) -> Scene:
    """A moonlit valley: a turning sky, hills, a farm, a wheat field with a path, cypresses."""
    scene = sky(rng)
    add_hills(scene, rng)
    add_field(scene, rng)
    add_farm(scene)
    add_bushes(scene, rng)
    add_cypresses(scene, rng)
    add_bank(scene, rng)
    corner = np.hypot((XX - 290) / 420, (YY - 230) / 330)
    scene.color = scene.color * (1.06 - 0.22 * corner**2)[..., None]
    return scene


def sky(rng: np.random.Generator) -> Scene:
    """Drifting air, two eddies, and air that circles every light."""
    heading = 0.12 + 0.42 * np.sin(XX / 88 + 0.9 * np.sin(YY / 70)) + 0.18 * np.sin(YY / 31 + 1)
    u, v = np.cos(heading), np.sin(heading)
    for x, y, radius, turn, inward in EDDIES + [(x, y, 2 * r + 9, 1, 0) for x, y, r in LIGHTS]:
        dx, dy = XX - x, YY - y
        r = np.hypot(dx, dy) + 1e-6
        pull = 5 * np.exp(-((r / radius) ** 2))
        u += pull * (-turn * dy - inward * dx) / r
        v += pull * (turn * dx - inward * dy) / r
    angle = np.arctan2(v, u)
    band = smear(noise(rng, 4.5), angle, 28)
    color = ramp(
        0.03 + YY / 300 * 0.72 + 0.13 * band,
        (0, "0d1a4d"),
        (0.25, "1b3c8c"),
        (0.45, "2b66b0"),
        (0.6, "4d9abc"),
        (0.78, "9fcfb4"),
        (0.98, "f0e3a0"),
    )
    scene = Scene(color, angle, np.zeros_like(XX))
    for x, y, radius in LIGHTS:
        add_light(scene, np.hypot(XX - x, YY - y), radius, band)
        if radius < 10:  # a small star is a few straight dabs
            scene.angle = np.where(np.hypot(XX - x, YY - y) < radius * 0.8, x, scene.angle)
    return scene


def add_light(scene: Scene, r: np.ndarray, radius: float, band: np.ndarray) -> None:
    """The moon or a star with its halo; `r` is the distance from its center."""
    out = (r - radius) / (radius * 0.9 + 12) + 0.07 * band
    halo = ramp(
        out,
        (-0.1, "ef8f1f"),
        (0.14, "f7be3f"),
        (0.36, "e3d97a"),
        (0.58, "9ed0ae"),
        (0.85, "4a9cc0"),
        (1.1, "2b66b0"),
    )
    disc = ramp(band, (-1.5, "ffcf4f"), (0, "ffec9c"), (1.5, "fff8dc"))
    color = blend(scene.color, halo, 1.5 - out * 1.35)
    scene.color = blend(color, disc, (radius - r) / 1.5 + 0.5)


def add_hills(scene: Scene, rng: np.random.Generator) -> None:
    """Hills, from the farthest to the nearest; strokes run along each slope."""
    ridges = [
        (268 - 26 * np.sin(XX / 92 + 0.4) - 9 * np.sin(XX / 37), "2b3777", "7b86c4"),
        (300 - 20 * np.sin(XX / 120 + 2.6) - 6 * np.sin(XX / 45 + 1), "19406f", "58a0ae"),
        (328 - 15 * np.sin(XX / 105 + 4.4) - 5 * np.sin(XX / 33), "14403f", "86b070"),
    ]
    for ridge, dark, light in ridges:
        slope = np.arctan(np.gradient(ridge, axis=1)) * 1.2 + 0.3 * np.sin(XX / 40 + YY / 14)
        fold = smear(noise(rng, 3.5), slope, 14)
        lit = 0.5 + 0.22 * fold - (YY - ridge) / 70 + 0.3 * np.exp(-(((XX - 170) / 150) ** 2))
        scene.put(ridge < YY, scene.depth + 1, ramp(lit, (0, dark), (1, light)), slope)


def add_field(scene: Scene, rng: np.random.Generator) -> None:
    """A wheat field: furrows that run to a vanishing point, and a pale winding path."""
    edge = 354 + 8 * np.sin(XX / 80 + 1) + 0.02 * XX
    down = np.clip(YY - 318, 1, None)
    run = np.arctan2(down, XX - 250 + 26 * np.sin(YY / 26)) + 0.12 * np.sin(XX / 23)
    furrow = smear(noise(rng, 3), run, 12)
    rows = np.sin((XX - 250) / down * 7 + 0.9 * np.sin(YY / 25)) + 0.6 * furrow
    wheat = ramp(
        rows - 0.004 * (YY - 380),
        (-1.5, "5a4a24"),
        (-0.8, "9a6a1e"),
        (0, "d39a2e"),
        (0.8, "f0c456"),
        (1.5, "f9e39a"),
    )
    wheat = blend(wheat, ramp(rows, (-1, "1f4f4a"), (1, "8aa24c")), (edge + 12 - YY) / 8)
    wheat = blend(wheat, ramp(rows, (-1, "8c2f1c"), (1, "e0602a")), (noise(rng, 3) - 1.7) * 2)
    center = 205 + 62 * np.sin((YY - 345) / 42) + 0.25 * (YY - 354)
    path = np.abs(XX - center) / (4 + 0.3 * np.clip(YY - 354, 0, None))
    way = ramp(furrow, (-1.5, "8b7fa8"), (0, "c9b7b4"), (1.3, "f3e6c4"))
    wheat = blend(wheat, way, (1 - path) * 4)
    run = np.where(path < 1.1, np.arctan2(1.0, np.gradient(center, axis=0)), run)
    scene.put(edge < YY, scene.depth + 1, wheat, run)


def add_farm(scene: Scene) -> None:
    """Houses with a lamp each, at the far side of the field."""
    for x, y, wide in HOUSES:
        left, drop = XX - x, YY - y
        wall = (np.abs(left) < wide) & (np.abs(drop) < 11)
        scene.put(wall, 4.2, ramp(left / wide, (-1, "d8d2c0"), (1, "5f74a0")), 1.57)
        roof = (np.abs(left) < wide + 13 + drop) & (drop < -8) & (drop > -10 - wide * 0.6)
        scene.put(roof, 4.3, ramp(left / wide, (-1, "c4552b"), (1, "5b2433")), 0.15)
        lamp = (np.abs(left + wide * 0.25) < 3.2) & (np.abs(drop - 1) < 4.5)
        scene.put(lamp, 4.4, ramp(left, (0, "ffa41c")), 1.57)


def add_bushes(scene: Scene, rng: np.random.Generator) -> None:
    """Bushes around the farm."""
    for x, y, size in BUSHES:
        r = np.hypot(XX - x, (YY - y) * 1.25) / size + 0.1 * np.sin(XX / 3 + YY / 4)
        sway = rng.normal(0, 0.25) + 0.3 * np.sin(XX / 6 + x)
        leaf = ramp((x - XX + y - YY) / size, (-1.2, "0e2a33"), (0, "245a45"), (1.2, "a3b455"))
        turn = np.arctan2(0.6 * (XX - x), y - YY - size) + sway
        scene.put(r < 1, 4.5 + 0.01 * size, leaf, turn)


def add_cypresses(scene: Scene, rng: np.random.Generator) -> None:
    """Dark flames, with a lighter flicker towards the moon."""
    for x, foot, top, wide in CYPRESSES:
        t = (YY - top) / (foot - top)
        half = wide * np.clip(t, 0, 1) ** 0.75 * np.clip((1.1 - t) * 2.4, 0, 1)
        half = half * (1 + 0.13 * np.sin(YY / 13 + x) + 0.08 * np.sin(YY / 5)) + 0.1
        lean = x + 9 * np.sin(YY / 58 + x)
        rise = -np.pi / 2 + 0.5 * np.sin(YY / 21 + XX / 17) + 0.012 * (lean - XX)
        flame = smear(noise(rng, 3), rise, 12) * 0.35 - 0.55 * (XX - lean) / (half + 4)
        leaf = ramp(flame, (-0.9, "0a1224"), (-0.2, "0f2b2e"), (0.3, "24533a"), (0.9, "9a8a3c"))
        inside = (np.abs(XX - lean) < half) & (t > 0) & (t < 1.1)
        scene.put(inside, 8 + (wide > 40), leaf, rise)


def add_bank(scene: Scene, rng: np.random.Generator) -> None:
    """Grass and poppies on the near bank."""
    bank = 432 + 0.24 * XX + 7 * np.sin(XX / 27) + 9 * noise(rng, 40, 2.2)
    blade = -np.pi / 2 + 0.45 * np.sin(XX / 19 + YY / 30) + 0.15 * noise(rng, 5)
    grass = ramp(
        smear(noise(rng, 2.5), blade, 9),
        (-1.6, "0b1e2c"),
        (-0.4, "17443f"),
        (0.6, "4d7a3c"),
        (1.8, "b7b250"),
    )
    poppy = noise(rng, 3.2)
    grass = blend(grass, ramp(poppy, (1, "b3241a"), (2, "f4683a")), (poppy - 1) * 5)
    scene.put(bank < YY, 7, grass, blade)


def paint_night() -> Image.Image:
    """The landscape, from a broad underpainting to thick lights."""
    rng = np.random.default_rng(1889)
    scene = night_scene(rng)
    soft = np.stack([gaussian_filter(scene.color[..., i], 6) for i in range(3)], axis=-1)
    canvas = Canvas(soft * 0.7, rng)
    canvas.paint(scene, Brush(24, 90, 18, jitter=0.14), source=soft * 0.85)
    canvas.paint(scene, Brush(13, 64, 10, jitter=0.13))
    canvas.paint(scene, Brush(9.5, 50, 8, jitter=0.13, relief=1.3))
    gray = scene.color.mean(axis=-1)
    detail = np.clip(np.hypot(*np.gradient(gaussian_filter(gray, 1.5))) * 25, 0, 1)
    canvas.paint(scene, Brush(5, 26, 5.5, jitter=0.12, relief=1.3), chance=0.05 + 0.8 * detail)
    light = np.clip((gray - gaussian_filter(gray, 9)) * 9, 0, 1)
    canvas.paint(
        scene,
        Brush(5, 30, 7, jitter=0.08, relief=1.9),
        chance=light,
        source=scene.color * 1.07 + 0.05,
    )
    farm = (scene.depth > 4.1) & (scene.depth < 4.45)
    canvas.paint(scene, Brush(3.2, 9, 2.6, jitter=0.07, relief=1.2), chance=farm * 0.9)
    return canvas.finish(0.42)


def paint_abstract() -> Image.Image:
    """Slabs of red, ocher and black, applied with a palette knife."""
    rng = np.random.default_rng(101)
    seeds = rng.uniform((0, 0), (WIDTH, HEIGHT), (24, 2))
    near = np.stack([np.abs(XX - x) * 0.7 + np.abs(YY - y + 0.4 * (XX - x)) for x, y in seeds])
    cell = near.argmin(axis=0)
    mood = noise(rng, 110)[pixel(*seeds.T)] + rng.normal(0, 0.9, 24)
    palette = ramp(
        mood.argsort().argsort() / 23,
        (0, "110d0e"),
        (0.22, "2a1113"),
        (0.34, "7a1414"),
        (0.55, "c32a1c"),
        (0.7, "d9542a"),
        (0.85, "d8962f"),
        (1, "efdcae"),
    )
    angle = rng.choice([-0.4, -0.15, 1.05, 1.4, 0.5], 24)[cell] + 0.1 * noise(rng, 40)
    scene = Scene(palette[cell], angle, np.zeros_like(XX))
    canvas = Canvas(scene.color * 0.6, rng)
    knife = {"bristle": 0.4, "taper": 0.06, "dry": 0.45, "straight": True}
    canvas.paint(scene, Brush(76, 150, 42, jitter=0.1, ridge=0.8, **knife))
    canvas.paint(scene, Brush(48, 115, 36, jitter=0.13, ridge=0.9, relief=1.5, **knife))
    canvas.paint(
        scene,
        Brush(27, 90, 36, jitter=0.16, ridge=1.0, relief=2.0, **knife),
        chance=np.full_like(XX, 0.55),
    )
    accents = np.roll(scene.color, (95, 150), axis=(0, 1))
    canvas.paint(
        scene,
        Brush(16, 66, 46, jitter=0.12, ridge=1.0, relief=2.4, **knife),
        chance=np.full_like(XX, 0.22),
        source=accents,
    )
    return canvas.finish(0.5)


def main() -> None:
    """Write the three pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent)
    folder = parser.parse_args().out
    try:
        from skimage import data  # needed only for the photograph
    except ImportError:
        parser.exit(
            2,
            "make_samples.py: error: expected the package scikit-image, which ships the "
            "photograph. Install it with: pip install scikit-image\n",
        )
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(data.chelsea()).save(folder / "photo.jpg", quality=92)
    paint_night().save(folder / "painting.jpg", quality=90)
    paint_abstract().save(folder / "abstract.jpg", quality=90)


if __name__ == "__main__":
    main()
