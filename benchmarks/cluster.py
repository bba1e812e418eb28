"""A gallery in one process or several: pictures per minute, memory, open files; and on N nodes.

    python benchmarks/cluster.py --pictures 1000 --workers 1 2
    python benchmarks/cluster.py --simulate 1000

The first command paints crops of the samples, and compares the driver's and the workers' memory and
open files at the start with those at the end. The second measures what one picture costs a node,
the network and the driver, and simulates a gallery and a poster on 1 to N nodes from that.
"""

import dataclasses
import heapq
import importlib.util
import pickle
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

try:
    from benchmarks import common
except ModuleNotFoundError:
    if __package__:
        import benchmarks.not_installed  # noqa: F401
    else:
        import not_installed  # noqa: F401 (either ends the process)

import numpy as np
from PIL import Image

from style_transfer.console import say
from style_transfer.errors import InputError
from style_transfer.presets import make_settings

NAME = "cluster.py"
GIGABIT = 117e6  # bytes per second that arrive over a network of 1 Gbit/s
SHALLOW = {"style_layers": "block1_conv1,block2_conv1", "content_layers": "block2_conv1"}
POSTER = (8100, 10800)  # rows, columns: 36 x 27 inches at 300 dpi
POSTER_EVALUATIONS = 40  # at the largest size, which takes nearly all the time


@dataclass(frozen=True)
class Picture:
    """The costs of a picture.

    Attributes:
        node: seconds on a node.
        driver: seconds on the driver, which hands out work and writes results.
        there: bytes from the driver to the node.
        back: bytes from the node to the driver.
    """

    node: float
    driver: float
    there: int
    back: int


@dataclass(frozen=True)
class Poster:
    """The costs of a poster's evaluation.

    Attributes:
        seconds: seconds per megapixel of a tile, for loss and gradient of one pass.
        step: seconds of the optimizer on the driver, for the whole picture.
        adding: seconds in which the driver adds one tile's sums to the others.
    """

    seconds: float
    step: float
    adding: float


def crops(folder: Path, count: int, rows: int) -> None:
    """Make photographs from the samples: crops with twice the rows of the results."""
    rng = np.random.default_rng(0)
    samples = [Image.open(common.FOLDER / "samples" / f"{n}.jpg") for n in ("photo", "painting")]
    for number in range(count):
        image = samples[number % 2].convert("RGB")
        side = min(2 * rows, *image.size)
        left, top = (int(rng.integers(0, length - side + 1)) for length in image.size)
        image.crop((left, top, left + side, top + side)).save(folder / f"{number:05}.jpg")


class Watch:
    """Memory and open files of this process and of the workers below it, while a gallery grows."""

    def __init__(self, out: Path):
        self.samples: list[tuple[float, int, dict[str, list[float]]]] = []
        self._out = out
        self._begun = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        import psutil

        this = psutil.Process()
        while not self._ended.wait(2):
            done = sum(1 for _ in self._out.glob("*.png"))
            found: dict[str, list[float]] = {"driver": _use_of(this)}
            for child in this.children(recursive=True):
                try:
                    if "ray::_Actor" in " ".join(child.cmdline()):
                        found[f"worker {child.pid}"] = _use_of(child)
                except psutil.Error:
                    continue
            self.samples.append((time.monotonic() - self._begun, done, found))

    def table(self, pictures: int) -> list[list]:
        """Rows of (process, pictures, MiB, open files), after a tenth of the pictures and last."""
        rows: list[list] = []
        if not self.samples:
            return rows
        early = next((s for s in self.samples if s[1] >= pictures // 10), self.samples[-1])
        # The last one in which the workers still live.
        late = max(self.samples, key=lambda s: (len(s[2]), s[0]))
        for seconds, done, found in (early, late):
            for name, (mib, files) in found.items():
                rows.append([name, done, f"{seconds:.0f}", round(mib), int(files)])
        return sorted(rows, key=lambda row: row[0])


def _use_of(process) -> list[float]:
    return [process.memory_info().rss / 2**20, process.num_fds()]


def choices_of(options) -> dict:
    """The settings of the pictures."""
    names = ("iter", "evaluations", "weights")
    choices = {"height": options.rows} | {name: getattr(options, name) for name in names}
    return choices | (SHALLOW if options.shallow else {})


def measure_gallery(options, workers: int) -> dict:
    """Paint all pictures with some number of workers."""
    from gallery import gallery

    with tempfile.TemporaryDirectory() as folder:
        photos, out = Path(folder, "photos"), Path(folder, "out")
        photos.mkdir()
        crops(photos, options.pictures, options.rows)
        out.mkdir()
        with Watch(out) as watch:
            begun = time.monotonic()
            choices = choices_of(options)
            album = gallery(str(photos), options.style, str(out), workers=workers, **choices)
            seconds = time.monotonic() - begun
        entries = album.entries.values()
        first = next((s[0] for s in watch.samples if s[1]), seconds)
        evaluating = sum(entry.seconds for entry in entries)
        again = time.monotonic()
        gallery(str(photos), options.style, str(out), workers=workers, **choices)
        return {
            "workers": workers,
            "done": sum(entry.status == "done" for entry in entries),
            "seconds": seconds,
            "first_picture_after": first,
            "a_minute": 60 * len(entries) / seconds,
            "not_evaluating": 1 - evaluating / (workers * seconds),
            "nothing_left_seconds": time.monotonic() - again,
            "use": watch.table(options.pictures),
        }


def measure(options) -> None:
    """Paint with each number of workers; print the tables.

    Raises:
        InputError: a package that measures memory is missing.
    """
    if not importlib.util.find_spec("psutil"):
        raise InputError(
            "psutil: expected this package to be installed. Received: it is not; install it with: "
            "pip install -r requirements-cluster.txt"
        )
    results = [measure_gallery(options, workers) for workers in options.workers]
    headings = [
        "workers",
        "pictures",
        "s",
        "first after s",
        "a minute",
        "not evaluating",
        "again s",
    ]
    keys = ["workers", "done", "seconds", "first_picture_after", "a_minute", "not_evaluating"]
    rows = [[result[key] for key in [*keys, "nothing_left_seconds"]] for result in results]
    title = f"{options.pictures} pictures of {options.rows} rows"
    common.report(title, headings, rows, {"results": results}, options.json)
    for result in results:
        say(
            f"\n{result['workers']} workers: process, pictures done, s, MiB, open files", sys.stdout
        )
        for row in result["use"]:
            say("  ".join(map(str, row)), sys.stdout)


# Simulation.


def measure_picture(options) -> Picture:
    """Measure the costs of a picture, painted as on a node, and of sending it there and back."""
    import neural_style_transfer as script
    from style_transfer.gallery.driver import _keep
    from style_transfer.gallery.plan import cells, sources
    from style_transfer.gallery.task import make_task
    from style_transfer.gallery.worker import Job, Painter, Script

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "out")
        out.mkdir()
        task = make_task(out, "default", choices_of(options), lambda line, warning=False: None)
        pictures = [sources([Path(path)], {}) for path in (options.content, options.style)]
        (cell,) = cells(*pictures, pair=False)
        functions = Script(
            script.transfer,
            script.resume,
            script.paint,
            script.make_render,
            script.vgg_objectives,
        )
        painter = Painter(task, functions)
        job = Job(cell, *(Path(s.path).read_bytes() for s in (cell.photo, cell.painting)))
        painter(job)  # compiles
        begun = time.perf_counter()
        painted = painter(job)
        node = time.perf_counter() - begun
        there, begun = len(pickle.dumps(job)), time.perf_counter()
        back = pickle.dumps(painted)
        pickle.loads(back)
        _keep(task, cell, painted)
        return Picture(node, time.perf_counter() - begun, there, len(back))


def gallery_seconds(picture: Picture, nodes: int, pictures: int, bandwidth: float) -> float:
    """How long a gallery takes: nodes that paint, one link each way, and one driver, in turn.

    A node gets its next picture when the driver has entered its last one.
    """
    link_there = link_back = driver = 0.0
    painted: list[float] = []  # when each node has painted its picture
    for handed_out in range(pictures + min(nodes, pictures)):
        asked = 0.0
        if handed_out >= min(nodes, pictures):
            link_back = max(link_back, heapq.heappop(painted)) + picture.back / bandwidth
            asked = driver = max(driver, link_back) + picture.driver
        if handed_out < pictures:
            link_there = max(link_there, asked) + picture.there / bandwidth
            heapq.heappush(painted, link_there + picture.node)
    return driver


def measure_poster(options) -> Poster:
    """Measure the costs of a megapixel, of the optimizer and of a tile's sums."""
    settings = make_settings(weights=options.weights)
    pictures, filters = common.load(
        [("--content", options.content), ("--style", options.style)], settings
    )
    size = (256, 384)
    objective, image = common.objective_at(size, pictures, filters, settings)
    objective(image)
    begun = time.perf_counter()
    for _ in range(3):
        objective(image)
    seconds = (time.perf_counter() - begun) / 3 / (size[0] * size[1] / 1e6)
    arrays = [np.ones(1 << 20, np.float32) for _ in range(4)]
    begun = time.perf_counter()
    for array in arrays[1:3]:  # Adam's moments, and the step
        array *= 0.9
        array += 0.1 * arrays[0]
    arrays[3] -= arrays[1] / (np.sqrt(arrays[2]) + 1e-8)
    step = (time.perf_counter() - begun) / (1 << 20) * POSTER[0] * POSTER[1] * 3
    sums = [np.ones(gram_bytes(settings) // 4, np.float32) for _ in range(2)]
    begun = time.perf_counter()
    sums[0] += sums[1]
    return Poster(seconds, step, time.perf_counter() - begun)


def gram_bytes(settings) -> int:
    """Bytes of a tile's sums: the Gram matrices of the style layers, float32."""
    from style_transfer.grid import channels_of
    from style_transfer.parsing import parse_layers

    return sum(4 * channels_of(layer) ** 2 for layer in parse_layers(settings, "style_layers"))


def poster_seconds(poster: Poster, nodes: int, tile: int, bandwidth: float, tree: bool) -> float:
    """Seconds of one evaluation of the poster on some nodes, in tiles.

    Two passes: the first sends windows and returns sums, the second sends the sums' gradients, the
    same for all, and returns the windows' gradients. The windows stay on their nodes in between.
    """
    from style_transfer.grid import Grid
    from style_transfer.parsing import layers_in_use

    settings = make_settings()
    grid = Grid(POSTER, tile, settings.network, tuple(layers_in_use(settings)), settings.borders)
    shapes = [tile.shape for tile in grid.tiles]
    pixels = max(rows * columns for rows, columns in shapes)
    rounds = -(-len(shapes) // nodes)
    working = rounds * pixels / 1e6 * poster.seconds
    sums, used = gram_bytes(settings), min(nodes, len(shapes))
    windows = sum(rows * columns for rows, columns in shapes) * 12  # float32 RGB
    # In a tree, the nodes add up in pairs: the driver gets one sum, and hands one on.
    added = 2 * int(np.ceil(np.log2(used))) if tree and used > 1 else len(shapes) + used
    moved = (2 * windows + added * sums) / bandwidth
    adding = poster.adding * (1 if tree else len(shapes))
    return 1.5 * working + moved + adding + poster.step


def simulate(options) -> None:
    """Print the simulated results of 1 to N nodes."""
    picture, poster = measure_picture(options), measure_poster(options)
    if options.picture_seconds:
        picture = dataclasses.replace(picture, node=options.picture_seconds)
    if options.megapixel_seconds:
        poster = dataclasses.replace(poster, seconds=options.megapixel_seconds)
    bandwidth = options.gigabits * GIGABIT
    counts = [n for n in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512) if n < options.simulate]
    rows, numbers = [], []
    for nodes in [*counts, options.simulate]:
        pictures = 20 * nodes
        seconds = gallery_seconds(picture, nodes, pictures, bandwidth)
        an_hour = 3600 * pictures / seconds
        tiles = (2048, 1024, 512)
        flat, tree = (
            min((poster_seconds(poster, nodes, tile, bandwidth, way), tile) for tile in tiles)
            for way in (False, True)
        )
        hours = [POSTER_EVALUATIONS * seconds / 3600 for seconds, _ in (flat, tree)]
        efficiency = an_hour * picture.node / 3600 / nodes
        rows.append([nodes, an_hour, efficiency, hours[0], flat[1], hours[1]])
        numbers.append(dict(zip(("nodes", "an_hour", "efficiency"), rows[-1], strict=False)))
    headings = ["nodes", "pictures/h", "of N times one", "poster h", "tile", "poster h, tree"]
    data = {"picture": vars(picture), "poster": vars(poster), "rows": numbers}
    common.report(
        f"{options.rows} rows, {options.gigabits:g} Gbit/s", headings, rows, data, options.json
    )
    network = (picture.there + picture.back) / bandwidth
    say(
        f"\nA picture: {picture.node:.3g} s on a node, {picture.driver:.3g} s on the driver, "
        f"{picture.there:,} bytes there, {picture.back:,} back ({network:.3g} s).\n"
        f"The driver is the limit from {picture.node / picture.driver:.0f} nodes on, the network "
        f"from {picture.node / network:.0f}.\n"
        f"A poster's evaluation: {poster.seconds:.3g} s a megapixel, optimizer {poster.step:.3g} "
        f"s, a tile's sums {gram_bytes(make_settings()):,} bytes, added in {poster.adding:.2g} s.",
        sys.stdout,
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns an exit code."""
    parser = common.make_parser(NAME, __doc__)
    parser.add_argument("--pictures", type=common.count, default=1000)
    parser.add_argument("--workers", type=common.count, nargs="+", default=[1, 2])
    parser.add_argument("--rows", type=common.rows, default=64)
    parser.add_argument("--iter", type=common.count, default=1)
    parser.add_argument("--evaluations", type=common.count, default=5)
    parser.add_argument(
        "--shallow", action="store_true", help="two blocks of the network: many pictures, quickly"
    )
    parser.add_argument("--simulate", type=common.count, metavar="N", help="1 to N nodes")
    parser.add_argument(
        "--gigabits", type=common.positive, default=1.0, help="Gbit/s of the network (default: 1)"
    )
    parser.add_argument(
        "--picture_seconds",
        type=common.positive,
        help="seconds per picture on a node, instead of measuring them",
    )
    parser.add_argument(
        "--megapixel_seconds", type=common.positive, help="likewise, per megapixel of a poster"
    )

    def chosen(options) -> None:
        simulate(options) if options.simulate else measure(options)

    return common.run(NAME, parser, chosen, {"pictures": 8, "workers": [1]}, arguments)


if __name__ == "__main__":
    sys.exit(main())
