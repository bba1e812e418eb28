"""A stroke engine: paints a scene as one would with oils.

A scene is three maps: color, stroke direction, depth. Broad strokes go first, finer ones on top.
Every stroke is a ribbon that follows the direction map and adds both color and thickness. Lighting
the thickness from the upper left gives the paint its relief.
"""

from __future__ import annotations

from dataclasses import dataclass

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
    straight: bool = False  # a palette knife does not turn during a stroke


@dataclass
class Scene:
    """What is painted: color, direction of the strokes (radians) and depth (0 is farthest)."""

    color: np.ndarray
    angle: np.ndarray
    depth: np.ndarray

    def put(self, inside: np.ndarray, depth, color: np.ndarray, angle) -> None:
        """Put something in front of the scene, in all three maps."""
        self.angle = np.where(inside, angle, self.angle)
        self.color = np.where(inside[..., None], color, self.color)
        self.depth = np.where(inside, depth, self.depth)


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
    """Row and column of a position, clipped to the picture."""
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


@dataclass(frozen=True)
class Ribbon:
    """A stroke as a grid of samples, denser than the pixels that it lands on."""

    across: np.ndarray  # from -1 to 1, (samples,)
    along: np.ndarray  # from 0 to 1, (samples, 1)
    swell: np.ndarray  # width along the stroke
    heap: np.ndarray  # thickness of the paint
    fading: np.ndarray  # how much paint is left along the stroke
    hair_row: np.ndarray
    hair_col: np.ndarray

    @classmethod
    def of(cls, brush: Brush) -> Ribbon:
        """The ribbon that a brush leaves."""
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
        return cls(across, along, swell, heap, fading, hair_row, hair_col)

    def places(
        self, spine: np.ndarray, usable: np.ndarray, half: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the samples of some strokes, (strokes, along, across)."""
        where = self.along[:, 0] * (usable[:, None] - 1.001)
        low, share = where.astype(int), (where % 1)[..., None]
        rows = np.arange(len(half))[:, None]
        mid = spine[rows, low] * (1 - share) + spine[rows, low + 1] * share
        step = np.gradient(mid, axis=1)
        step /= np.linalg.norm(step, axis=-1, keepdims=True) + 1e-9
        step *= half[:, None, None] * self.swell
        mid, step = (SUPERSAMPLE * a.astype(np.float32) for a in (mid, step))
        col = (mid[..., :1] - step[..., 1:] * self.across).astype(np.int32)
        row = (mid[..., 1:] + step[..., :1] * self.across).astype(np.int32)
        return row, col


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
        # One load of paint per stroke. Some strokes take it from a little farther away, and the two
        # edges of a stroke differ slightly, as with a brush that has not been wiped.
        stray = rng.normal(0, 1, (n, 2)) * np.where(rng.random((n, 1)) < 0.25, 0.6 * brush.width, 2)
        spot = spine[np.arange(n), usable // 2] + stray
        paint = (scene.color if source is None else source)[pixel(*spot.T)]
        paint = paint * np.exp(rng.normal(0, brush.jitter, (n, 1)))
        paint *= 1 + rng.normal(0, brush.jitter * 0.8, (n, 1)) * np.array([1.0, 0.15, -0.8])
        edges = (0.1 + 0.5 * paint) * rng.normal(0, 0.16, (n, 1)) * np.array([1.0, 0.8, 0.5])
        paint, edges = paint.astype(np.float32), edges.astype(np.float32)
        half = brush.width / 2 * rng.uniform(0.75, 1.15, n)
        ribbon = Ribbon.of(brush)
        for first in range(0, n, 24):
            part = slice(first, first + 24)
            row, col = ribbon.places(spine[part], usable[part], half[part])
            self._lay(ribbon, brush, (row, col), paint[part], edges[part])

    def _lay(
        self,
        ribbon: Ribbon,
        brush: Brush,
        places: tuple[np.ndarray, np.ndarray],
        paint: np.ndarray,
        edges: np.ndarray,
    ) -> None:
        """Add the color and the thickness of some strokes."""
        row, col = places
        shift = self.rng.integers(0, 2048, (2, len(row), 1, 1))
        rows, cols = (ribbon.hair_row + shift[0]) % 2048, (ribbon.hair_col + shift[1]) % 512
        hair = self.hairs[rows, cols]
        load = ribbon.fading + hair
        tall, wide = self.height.shape
        keep = (load > 0) & (col >= 0) & (col < wide) & (row >= 0) & (row < tall)
        at = (row * wide + col)[keep]
        which, _, side = np.nonzero(keep)
        opaque = np.clip(0.55 + 0.5 * load[keep], 0, 0.96)[:, None]
        hair = hair[keep]
        rgb = paint[which] + edges[which] * ribbon.across[side, None]
        rgb *= 1 + (0.07 * brush.bristle * hair)[:, None]
        flat, bumps = self.color.reshape(-1, 3), self.height.reshape(-1)
        under = flat[at]
        flat[at] = under + (rgb - under) * opaque
        thick = np.broadcast_to(ribbon.heap, keep.shape)[keep] + 0.28 * brush.bristle * hair
        bumps[at] = 0.35 * bumps[at] + brush.relief * thick

    def finish(self, depth: float = 0.3) -> Image.Image:
        """Light the paint from the upper left, and scale down to the finished size."""
        down, right = np.gradient(gaussian_filter(self.height, 1.1))
        shade = np.tanh(1.6 * (0.75 * down + 0.65 * right))[..., None]
        lit = np.clip(self.color, 0, 1) * (1 + depth * shade) + 0.22 * np.clip(shade - 0.35, 0, 1)
        image = Image.fromarray((np.clip(lit, 0, 1) * 255).astype(np.uint8))
        return image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
