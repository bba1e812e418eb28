"""Make the sample pictures: one free photograph and two paintings of our own.

The photograph comes out of the scikit-image package, without a download. The paintings are
procedural. A scene is composed as three maps (color, stroke direction, depth), and a small
stroke engine then paints it as one would with oils: broad strokes first, finer ones on top,
every stroke a ribbon that follows the direction map and lays down both color and thickness.
Lighting the thickness from the upper left gives the relief of the paint.

    python samples/make_samples.py            # writes into the folder of this script
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

WIDTH, HEIGHT = 640, 480
SUPERSAMPLE = 2
XX, YY = np.meshgrid(np.arange(WIDTH, dtype=float), np.arange(HEIGHT, dtype=float))


@dataclass(frozen=True)
class Brush:
    """How one layer of strokes is painted; lengths are in pixels of the finished picture."""

    width: float
    length: float
    spacing: float  # mean distance between the starting points of strokes
    bristle: float = 1.0  # strength of the furrows that run along a stroke
    ridge: float = 0.5  # paint pushed up along both edges
    taper: float = 0.5  # 0: square ends, 1: pointed ends
    dry: float = 0.7  # how much the paint runs out towards the end
    jitter: float = 0.1  # spread of color from stroke to stroke
    relief: float = 1.0  # thickness of the paint
    straight: bool = False  # a palette knife does not turn on its way


@dataclass
class Scene:
    """What is painted: color, direction of the strokes (radians) and depth (0 is farthest)."""

    color: np.ndarray
    angle: np.ndarray
    depth: np.ndarray


def noise(rng: np.random.Generator, *sigma: float, shape: tuple[int, int] = XX.shape) -> np.ndarray:
    """Smooth wrapping noise of zero mean and unit deviation."""
    field = gaussian_filter(
        rng.standard_normal(shape), sigma if len(sigma) > 1 else sigma[0], mode="wrap"
    )
    return (field - field.mean()) / field.std()


def smear(field: np.ndarray, angle: np.ndarray, steps: int) -> np.ndarray:
    """Average a field along the direction map, which turns noise into flowing bands."""
    total = field.copy()
    for sign in (-1.5, 1.5):
        x, y = XX.copy(), YY.copy()
        for _ in range(steps):
            row, col = pixel(x, y)
            x += sign * np.cos(angle[row, col])
            y += sign * np.sin(angle[row, col])
            total += field[pixel(x, y)]
    return (total - total.mean()) / total.std()


def pixel(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of a position, held inside the picture."""
    return (np.clip(y, 0, HEIGHT - 1).astype(np.int32), np.clip(x, 0, WIDTH - 1).astype(np.int32))


def ramp(value: np.ndarray, *stops: tuple[float, str]) -> np.ndarray:
    """Colors along a scale, from (position, hexadecimal color) pairs."""
    at = [stop[0] for stop in stops]
    rgb = np.array([[int(stop[1][i : i + 2], 16) / 255 for i in (0, 2, 4)] for stop in stops])
    return np.stack([np.interp(value, at, rgb[:, i]) for i in range(3)], axis=-1)


def blend(under: np.ndarray, over: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """Mix two color maps."""
    return under + (over - under) * np.clip(amount, 0, 1)[..., None]


def trace(
    scene: Scene, brush: Brush, rng: np.random.Generator, chance: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Follow the direction map from jittered starting points.

    Returns the spines, shape (strokes, points, 2), and how many points of each are usable: a
    stroke stops where it would leave its own plane of depth. The farthest strokes come first.
    """
    gap = brush.spacing
    x, y = (
        a.ravel()
        for a in np.meshgrid(np.arange(-gap, WIDTH + gap, gap), np.arange(-gap, HEIGHT + gap, gap))
    )
    x = x + rng.uniform(-0.6, 0.6, x.size) * gap
    y = y + rng.uniform(-0.6, 0.6, y.size) * gap
    if chance is not None:
        keep = rng.random(x.size) < chance[pixel(x, y)]
        x, y = x[keep], y[keep]
    order = rng.permutation(x.size)
    order = order[np.argsort(scene.depth[pixel(x[order], y[order])], kind="stable")]
    x, y = x[order], y[order]
    home = scene.depth[pixel(x, y)]
    count = max(4, round(brush.length / 2))
    wanted = count * rng.uniform(0.55, 1.15, x.size)
    heading = scene.angle[pixel(x, y)]
    if brush.straight:  # the starting point is then the middle
        x, y = x - wanted * np.cos(heading), y - wanted * np.sin(heading)
    spine, alive, usable = [], np.ones(x.size, bool), np.zeros(x.size, int)
    for step in range(int(count * 1.15)):
        spine.append(np.stack([x, y], axis=-1))
        alive &= (scene.depth[pixel(x, y)] == home) & (step < wanted)
        usable += alive
        if not brush.straight:
            heading = scene.angle[pixel(x, y)]
        x, y = x + 2 * np.cos(heading), y + 2 * np.sin(heading)
    return np.stack(spine, axis=1), usable


class Canvas:
    """A color buffer and a thickness buffer, both larger than the finished picture."""

    def __init__(self, ground: np.ndarray, rng: np.random.Generator) -> None:
        """Start from a toned ground, so that no bare canvas shows between strokes."""
        self.rng = rng
        self.color = ground.repeat(SUPERSAMPLE, 0).repeat(SUPERSAMPLE, 1).astype(np.float32)
        self.height = np.zeros(self.color.shape[:2], np.float32)
        self.hairs = noise(rng, 45, 1.3, shape=(2048, 512)).astype(np.float32)

    def paint(
        self,
        scene: Scene,
        brush: Brush,
        chance: np.ndarray | None = None,
        source: np.ndarray | None = None,
    ) -> None:
        """Paint one layer of strokes over the whole scene, a few strokes at a time."""
        rng = self.rng
        spine, usable = trace(scene, brush, rng, chance)
        spine, usable = spine[usable > 3], usable[usable > 3]
        n = len(spine)
        # One load of paint for each stroke; some take it from a little farther away, and the
        # two edges of a stroke differ slightly, as with a brush that was not wiped.
        stray = rng.normal(0, 1, (n, 2)) * np.where(rng.random((n, 1)) < 0.25, 0.6 * brush.width, 2)
        spot = spine[np.arange(n), usable // 2] + stray
        paint = (scene.color if source is None else source)[pixel(*spot.T)]
        paint = paint * np.exp(rng.normal(0, brush.jitter, (n, 1)))
        paint *= 1 + rng.normal(0, brush.jitter * 0.8, (n, 1)) * np.array([1.0, 0.15, -0.8])
        edges = (0.1 + 0.5 * paint) * rng.normal(0, 0.16, (n, 1)) * np.array([1.0, 0.8, 0.5])
        paint, edges = paint.astype(np.float32), edges.astype(np.float32)
        half = brush.width / 2 * rng.uniform(0.75, 1.15, n)
        # A stroke is a grid of samples, denser than the pixels it lands on.
        density = 1.45 * SUPERSAMPLE
        across = np.linspace(-1, 1, int(brush.width * 1.15 * density), dtype=np.float32)
        along = np.linspace(0, 1, int(brush.length * 1.15 * density), dtype=np.float32)[:, None]
        end = np.clip(np.minimum(along / 0.12, (1 - along) / 0.25), 0, 1)
        swell = 1 - brush.taper * (1 - np.sqrt(1 - (1 - end) ** 2))
        heap = (1 - across**8) * (0.8 + 0.5 * np.exp(-(((along - 0.9) / 0.07) ** 2)))
        heap = heap + brush.ridge * np.exp(-(((np.abs(across) - 0.8) / 0.14) ** 2))
        fading = 2.3 - brush.dry * 3.2 * np.clip(along * 1.5 - 0.5, 0, 1)
        hair_row = np.arange(along.size)[:, None]
        hair_col = np.linspace(0, brush.width * 1.15 * SUPERSAMPLE, across.size).astype(int)
        for first in range(0, n, 24):
            part = slice(first, first + 24)
            m = len(half[part])
            where = along[:, 0] * (usable[part, None] - 1.001)
            low, share = where.astype(int), (where % 1)[..., None]
            rows = np.arange(m)[:, None]
            mid = spine[part][rows, low] * (1 - share) + spine[part][rows, low + 1] * share
            step = np.gradient(mid, axis=1)
            step /= np.linalg.norm(step, axis=-1, keepdims=True) + 1e-9
            step *= half[part, None, None] * swell
            mid, step = (SUPERSAMPLE * a.astype(np.float32) for a in (mid, step))
            col = (mid[..., :1] - step[..., 1:] * across).astype(np.int32)
            row = (mid[..., 1:] + step[..., :1] * across).astype(np.int32)
            shift = rng.integers(0, 2048, (2, m, 1, 1))
            hair = self.hairs[(hair_row + shift[0]) % 2048, (hair_col + shift[1]) % 512]
            load = fading + hair
            tall, wide = self.height.shape
            keep = (load > 0) & (col >= 0) & (col < wide) & (row >= 0) & (row < tall)
            at = (row * wide + col)[keep]
            which, _, side = np.nonzero(keep)
            opaque = np.clip(0.55 + 0.5 * load[keep], 0, 0.96)[:, None]
            hair = hair[keep]
            rgb = paint[part][which] + edges[part][which] * across[side, None]
            rgb *= 1 + (0.07 * brush.bristle * hair)[:, None]
            flat, bumps = self.color.reshape(-1, 3), self.height.reshape(-1)
            under = flat[at]
            flat[at] = under + (rgb - under) * opaque
            thick = np.broadcast_to(heap, keep.shape)[keep] + 0.28 * brush.bristle * hair
            bumps[at] = 0.35 * bumps[at] + brush.relief * thick

    def finish(self, depth: float = 0.3) -> Image.Image:
        """Light the paint from the upper left, and scale down to the finished size."""
        down, right = np.gradient(gaussian_filter(self.height, 1.1))
        shade = np.tanh(1.6 * (0.75 * down + 0.65 * right))[..., None]
        lit = np.clip(self.color, 0, 1) * (1 + depth * shade) + 0.22 * np.clip(shade - 0.35, 0, 1)
        image = Image.fromarray((np.clip(lit, 0, 1) * 255).astype(np.uint8))
        return image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)


def night_scene(rng: np.random.Generator) -> Scene:
    """A moonlit valley: a turning sky, hills, a farm, a wheat field with a path, cypresses."""
    # Sky: drifting air, two eddies, and air that circles every light.
    heading = 0.12 + 0.42 * np.sin(XX / 88 + 0.9 * np.sin(YY / 70)) + 0.18 * np.sin(YY / 31 + 1)
    u, v = np.cos(heading), np.sin(heading)
    lights = [
        (138, 108, 27),
        (36, 46, 7),
        (258, 40, 9),
        (448, 66, 13),
        (604, 44, 8),
        (50, 204, 8),
        (232, 200, 6),
        (356, 34, 5),
    ]
    eddies = [(350, 152, 62, 1, 0.25), (462, 196, 34, -1, 0.22)]
    for x, y, radius, turn, inward in eddies + [(x, y, 2 * r + 9, 1, 0) for x, y, r in lights]:
        dx, dy = XX - x, YY - y
        r = np.hypot(dx, dy) + 1e-6
        pull = 5 * np.exp(-((r / radius) ** 2))
        u += pull * (-turn * dy - inward * dx) / r
        v += pull * (turn * dx - inward * dy) / r
    angle = np.arctan2(v, u)
    band = smear(noise(rng, 4.5), angle, 28)
    tone = 0.03 + YY / 300 * 0.72 + 0.13 * band
    color = ramp(
        tone,
        (0, "0d1a4d"),
        (0.25, "1b3c8c"),
        (0.45, "2b66b0"),
        (0.6, "4d9abc"),
        (0.78, "9fcfb4"),
        (0.98, "f0e3a0"),
    )
    for x, y, radius in lights:
        r = np.hypot(XX - x, YY - y)
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
        color = blend(color, halo, 1.5 - out * 1.35)
        disc = ramp(band, (-1.5, "ffcf4f"), (0, "ffec9c"), (1.5, "fff8dc"))
        color = blend(color, disc, (radius - r) / 1.5 + 0.5)
        if radius < 10:  # a small star is a few straight dabs
            angle = np.where(r < radius * 0.8, x, angle)
    depth = np.zeros_like(XX)
    # Hills, from the farthest to the nearest; strokes run along each slope.
    ridges = [
        (268 - 26 * np.sin(XX / 92 + 0.4) - 9 * np.sin(XX / 37), "2b3777", "7b86c4"),
        (300 - 20 * np.sin(XX / 120 + 2.6) - 6 * np.sin(XX / 45 + 1), "19406f", "58a0ae"),
        (328 - 15 * np.sin(XX / 105 + 4.4) - 5 * np.sin(XX / 33), "14403f", "86b070"),
    ]
    for ridge, dark, light in ridges:
        below = ridge < YY
        slope = np.arctan(np.gradient(ridge, axis=1)) * 1.2 + 0.3 * np.sin(XX / 40 + YY / 14)
        angle = np.where(below, slope, angle)
        fold = smear(noise(rng, 3.5), slope, 14)
        lit = 0.5 + 0.22 * fold - (YY - ridge) / 70 + 0.3 * np.exp(-(((XX - 170) / 150) ** 2))
        color = np.where(below[..., None], ramp(lit, (0, dark), (1, light)), color)
        depth += below
    # Wheat field: furrows that run to a vanishing point, and a pale winding path.
    edge = 354 + 8 * np.sin(XX / 80 + 1) + 0.02 * XX
    below = edge < YY
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
    centre = 205 + 62 * np.sin((YY - 345) / 42) + 0.25 * (YY - 354)
    path = np.abs(XX - centre) / (4 + 0.3 * np.clip(YY - 354, 0, None))
    way = ramp(furrow, (-1.5, "8b7fa8"), (0, "c9b7b4"), (1.3, "f3e6c4"))
    wheat = blend(wheat, way, (1 - path) * 4)
    run = np.where(path < 1.1, np.arctan2(1.0, np.gradient(centre, axis=0)), run)
    angle, color = np.where(below, run, angle), np.where(below[..., None], wheat, color)
    depth += below

    def put(inside: np.ndarray, plane: float, paint: np.ndarray, turn: np.ndarray) -> None:
        """Set one object, nearer than what is there, into all three maps."""
        nonlocal angle, color, depth
        angle = np.where(inside, turn, angle)
        color = np.where(inside[..., None], paint, color)
        depth = np.where(inside, plane, depth)

    # Farm and bushes at the far side of the field.
    for x, y, wide in [(258, 350, 17), (302, 355, 22), (344, 352, 13)]:
        left, drop = XX - x, YY - y
        wall = (np.abs(left) < wide) & (np.abs(drop) < 11)
        put(wall, 4.2, ramp(left / wide, (-1, "d8d2c0"), (1, "5f74a0")), 1.57 + 0 * XX)
        roof = (np.abs(left) < wide + 13 + drop) & (drop < -8) & (drop > -10 - wide * 0.6)
        put(roof, 4.3, ramp(left / wide, (-1, "c4552b"), (1, "5b2433")), 0.15 + 0 * XX)
        lamp = (np.abs(left + wide * 0.25) < 3.2) & (np.abs(drop - 1) < 4.5)
        put(lamp, 4.4, ramp(left, (0, "ffa41c")), 1.57 + 0 * XX)
    for x, y, size in [
        (224, 357, 14),
        (372, 360, 15),
        (394, 362, 22),
        (424, 364, 16),
        (30, 356, 20),
        (66, 360, 14),
        (470, 366, 20),
        (496, 368, 15),
    ]:
        r = np.hypot(XX - x, (YY - y) * 1.25) / size + 0.1 * np.sin(XX / 3 + YY / 4)
        sway = rng.normal(0, 0.25) + 0.3 * np.sin(XX / 6 + x)
        leaf = ramp((x - XX + y - YY) / size, (-1.2, "0e2a33"), (0, "245a45"), (1.2, "a3b455"))
        put(r < 1, 4.5 + 0.01 * size, leaf, np.arctan2(0.6 * (XX - x), y - YY - size) + sway)
    # Cypresses: dark flames, with a lighter flicker towards the moon.
    for x, foot, top, wide in [(604, 470, 150, 30), (548, 560, 42, 50)]:
        t = (YY - top) / (foot - top)
        half = wide * np.clip(t, 0, 1) ** 0.75 * np.clip((1.1 - t) * 2.4, 0, 1)
        half = half * (1 + 0.13 * np.sin(YY / 13 + x) + 0.08 * np.sin(YY / 5)) + 0.1
        lean = x + 9 * np.sin(YY / 58 + x)
        rise = -np.pi / 2 + 0.5 * np.sin(YY / 21 + XX / 17) + 0.012 * (lean - XX)
        flame = smear(noise(rng, 3), rise, 12) * 0.35 - 0.55 * (XX - lean) / (half + 4)
        leaf = ramp(flame, (-0.9, "0a1224"), (-0.2, "0f2b2e"), (0.3, "24533a"), (0.9, "9a8a3c"))
        put((np.abs(XX - lean) < half) & (t > 0) & (t < 1.1), 8 + (wide > 40), leaf, rise)
    # Grass and poppies on the near bank.
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
    put(bank < YY, 7, grass, blade)
    corner = np.hypot((XX - 290) / 420, (YY - 230) / 330)
    return Scene(color * (1.06 - 0.22 * corner**2)[..., None], angle, depth)


def paint_night() -> Image.Image:
    """The landscape, from a broad underpainting to thick lights."""
    rng = np.random.default_rng(1889)
    scene = night_scene(rng)
    soft = np.stack([gaussian_filter(scene.color[..., i], 6) for i in range(3)], axis=-1)
    canvas = Canvas(soft * 0.7, rng)
    canvas.paint(scene, Brush(24, 90, 18, jitter=0.14), source=soft * 0.85)
    canvas.paint(scene, Brush(13, 64, 10, jitter=0.13))
    canvas.paint(scene, Brush(9.5, 50, 8, jitter=0.13, relief=1.3))
    grey = scene.color.mean(axis=-1)
    detail = np.clip(np.hypot(*np.gradient(gaussian_filter(grey, 1.5))) * 25, 0, 1)
    canvas.paint(scene, Brush(5, 26, 5.5, jitter=0.12, relief=1.3), chance=0.05 + 0.8 * detail)
    light = np.clip((grey - gaussian_filter(grey, 9)) * 9, 0, 1)
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
    """Slabs of red, ochre and black laid on with a palette knife."""
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
        from skimage import data  # only the photograph needs it
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
