"""style_transfer/studio: orders, queue, runs of the folder, uploads, masks, guard, texts."""

import asyncio
import base64
import dataclasses
import io
import json
import os
import shlex
import signal
import struct
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from conftest import draw
from light_program import light_objectives
from PIL import Image

import neural_style_transfer
from neural_style_transfer import resume, transfer
from style_transfer.errors import InputError
from style_transfer.events import Evaluated, StopRun
from style_transfer.presets import PRESETS, make_settings
from style_transfer.settings import Settings
from style_transfer.studio import brush, uploads
from style_transfer.studio.chinese import FIELDS
from style_transfer.studio.commands import command_lines
from style_transfer.studio.deep import write_deep
from style_transfer.studio.desk import Desk, differing
from style_transfer.studio.guard import Guard, Refused, check_origin, check_path
from style_transfer.studio.library import Library, key_of
from style_transfer.studio.live import MOST_POINTS, Live, curves, load_live
from style_transfer.studio.order import Order, waiting_orders
from style_transfer.studio.painter import Painter
from style_transfer.studio.places import is_held, locked, places_in
from style_transfer.studio.state import Teller
from style_transfer.studio.texts import GROUPS, LANGUAGES

LIGHT = Path(__file__).parent / "light_studio.py"
SMALL = {"size": "64", "iter": 3, "evaluations": 4, "scales": "1"}


class Atelier:
    """Everything of a studio but its server.

    Args:
        folder: of the runs.
        jobs: at a time.
    """

    def __init__(self, folder: Path, jobs: int = 1):
        self.places = places_in(folder)
        self.places.make()
        self.painter = Painter(self.places, [sys.executable, str(LIGHT), "paint-order"], jobs)
        self.library = Library(self.places, self.painter)
        self.desk = Desk(self.places, self.painter, self.library)
        self.teller = Teller(self.places, self.painter, self.library)

    def picture(self, name: str, seed: int) -> Path:
        """A picture among the inputs."""
        path = self.places.uploads / f"{name}.png"
        draw(48, 64, seed).save(path)
        return uploads.keep(path, self.places, "picture")

    def begin(self, **choices) -> str:
        """The key of a new run."""
        run = self.desk.begin(
            self.picture("cat", 1), [self.picture("night", 2)], "default", SMALL | choices
        )
        return key_of(run)

    def run(self, key: str) -> dict:
        """A run in detail."""
        self.library.look_again()
        return self.teller.state(key)["run"]

    def until(self, key: str, *statuses: str) -> dict:
        """A run, once it has one of some statuses."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            run = self.run(key)
            if run and run["status"] in statuses:
                return run
            time.sleep(0.05)
        raise AssertionError(self.run(key))

    def found(self, key: str):
        """A run as the library knows it."""
        self.library.look_again()
        return self.library.find(key)


@pytest.fixture
def atelier(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDIO_FAULTS", "{}")
    made = Atelier(tmp_path / "out")
    made.painter.start()
    yield made
    made.painter.close()


def painted_again(atelier, key, prefix) -> bytes:
    """The bytes of a run's picture, painted again here by its orders."""
    run = atelier.found(key).run
    orders = json.loads((atelier.places.live / f"{run}.orders").read_text())
    for order in orders:
        function = {"transfer": transfer, "resume": resume}[order["kind"]]
        function(prefix=prefix, objectives=light_objectives, **order["arguments"])
    return Path(f"{prefix}.png").read_bytes()


# Runs


def test_a_run_is_painted_in_a_process_of_its_own_as_by_the_script(atelier, tmp_path):
    key = atelier.begin()
    run = atelier.until(key, "finished")
    assert run["iterations"] == [0, 1, 2] and run["planned"] == 12
    assert (run["columns"], run["rows"]) == (64, 48)
    assert len(run["curves"]["at"]) == run["evaluations"] >= 12
    result = atelier.found(key).files.picture().read_bytes()
    assert result == painted_again(atelier, key, tmp_path / "again")
    assert not waiting_orders(atelier.places.orders) and not list(atelier.places.orders.iterdir())


def test_the_command_lines_make_the_same_picture(atelier, tmp_path, monkeypatch):
    key = atelier.begin(style_weight=2.0, clip=True, precondition=0.0, seed=7)
    atelier.until(key, "finished")
    atelier.desk.resume(atelier.found(key), more=2, from_iteration=1, content_weight=0.5)
    time.sleep(0.3)
    run = atelier.until(key, "finished")
    assert run["iterations"] == [0, 1, 2, 3] and len(run["commands"]) == 2
    result = atelier.found(key).files.picture().read_bytes()
    for line in run["commands"]:
        _, program, *arguments = shlex.split(line)
        assert program == "neural_style_transfer.py"
        arguments = [
            text.replace(str(atelier.places.folder / "cat"), str(tmp_path / "cat"))
            for text in arguments
        ]
        assert any(str(tmp_path / "cat") in text for text in arguments)
        assert neural_style_transfer.main([*arguments, "--quiet"], light_objectives) == 0
    again = next(path for path in tmp_path.glob("cat*.png") if "iteration" not in path.name)
    assert again.read_bytes() == result


def test_the_command_line_of_a_run_started_elsewhere(atelier, base, style):
    choices = SMALL | {"preserve_color": "luminance", "preset": "gram"}
    prefix = atelier.places.folder / "elsewhere"
    transfer(base, style, prefix, objectives=light_objectives, **choices)
    found = atelier.found(key_of("elsewhere"))
    (line,) = command_lines(atelier.places, found)
    result = found.files.picture().read_bytes()
    _, _, *arguments = shlex.split(line)
    code = neural_style_transfer.main([*arguments, "--overwrite", "--quiet"], light_objectives)
    assert code == 0 and found.files.picture().read_bytes() == result


def test_one_run_at_a_time_and_the_others_see_their_place(atelier, monkeypatch):
    monkeypatch.setenv("STUDIO_FAULTS", '{"sleep": 0.1}')
    keys = [atelier.begin() for _ in range(3)]
    atelier.until(keys[0], "painting")
    assert [atelier.run(key).get("place") for key in keys] == [None, 1, 2]
    assert atelier.painter.stop(atelier.found(keys[1]).run)  # not painted at all
    assert atelier.run(keys[2])["place"] == 1
    assert len(atelier.painter.runs()) == 2
    for key in (keys[0], keys[2]):
        assert atelier.until(key, "finished")["iterations"] == [0, 1, 2]
    assert len({atelier.found(key).run for key in (keys[0], keys[2])}) == 2


def test_a_stopped_run_keeps_its_picture_and_goes_on_exactly(atelier, tmp_path, monkeypatch):
    monkeypatch.setenv("STUDIO_FAULTS", '{"sleep": 0.1}')
    key = atelier.begin()
    atelier.until(key, "painting")
    while atelier.run(key)["evaluations"] < 6:
        time.sleep(0.02)
    assert atelier.painter.stop(atelier.found(key).run)
    run = atelier.until(key, "stopped")
    assert 6 <= run["evaluations"] < 12
    assert atelier.found(key).files.picture().exists()
    atelier.desk.resume(atelier.found(key))
    time.sleep(0.3)
    atelier.until(key, "finished")
    result = atelier.found(key).files.picture().read_bytes()
    assert result == painted_again(atelier, key, tmp_path / "again")


@pytest.mark.parametrize("runner_too", [False, True])
def test_a_killed_server_is_followed_by_one_that_finishes_its_run(
    runner_too, tmp_path, monkeypatch
):
    monkeypatch.setenv("STUDIO_FAULTS", '{"sleep": 0.1}')
    first = Atelier(tmp_path / "out")
    first.painter.start()
    key, waiting = first.begin(), first.begin()
    while not (first.run(key) or {}).get("evaluations", 0) >= 6:
        time.sleep(0.02)
    # The thread of a server that is killed does nothing more.
    first.painter._closing.set()
    first.painter._thread.join()
    process = first.painter.job_of(first.found(key).run).process
    if runner_too:
        process.kill()
        process.wait()
    second = Atelier(tmp_path / "out")
    second.painter.start()
    try:
        assert second.run(key)["status"] in ("painting", "starting", "waiting")
        for run in (key, waiting):
            second.until(run, "finished")
            result = second.found(run).files.picture().read_bytes()
            assert result == painted_again(second, run, tmp_path / f"again-{run}")
        assert process.wait() == (-signal.SIGKILL if runner_too else 0)
    finally:
        second.painter.close()


def test_a_run_whose_process_dies_is_told_and_goes_on(atelier, tmp_path, monkeypatch):
    monkeypatch.setenv("STUDIO_FAULTS", '{"do": "kill", "evaluation": 7}')
    key = atelier.begin()
    run = atelier.until(key, "failed")
    assert "signal 9" in run["lines"][-1]
    monkeypatch.setenv("STUDIO_FAULTS", "{}")
    atelier.desk.resume(atelier.found(key))
    time.sleep(0.3)
    assert atelier.until(key, "finished")["iterations"] == [0, 1, 2]
    result = atelier.found(key).files.picture().read_bytes()
    assert result == painted_again(atelier, key, tmp_path / "again")


def test_a_loss_that_is_no_number_is_told_in_a_line(atelier, monkeypatch):
    monkeypatch.setenv("STUDIO_FAULTS", '{"do": "style", "evaluation": 2}')
    run = atelier.until(atelier.begin(), "failed")
    assert "style" in run["lines"][-1] and "\n" not in run["lines"][-1]


def test_a_run_that_cannot_begin_is_told(atelier):
    key = atelier.begin(size="4000", memory=0.05, tile="0")
    told = atelier.until(key, "failed")
    assert "memory" in told["lines"][-1] and not told.get("iterations")
    assert not list(atelier.places.folder.glob("*.json"))


def test_closing_keeps_the_order_for_the_next_start(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDIO_FAULTS", '{"sleep": 0.1}')
    first = Atelier(tmp_path / "out")
    first.painter.start()
    key = first.begin()
    while not (first.run(key) or {}).get("evaluations", 0) >= 3:
        time.sleep(0.02)
    first.painter.close()
    assert len(waiting_orders(first.places.orders)) == 1
    second = Atelier(tmp_path / "out")
    second.painter.start()
    second.until(key, "finished")
    result = second.found(key).files.picture().read_bytes()
    assert result == painted_again(second, key, tmp_path / "again")
    second.painter.close()


def test_back_to_an_earlier_iteration(atelier):
    key = atelier.begin()
    atelier.until(key, "finished")
    found = atelier.found(key)
    with pytest.raises(InputError, match="at least 1 more"):
        atelier.desk.resume(found)
    atelier.desk.resume(found, more=1, from_iteration=0)
    time.sleep(0.3)
    assert atelier.until(key, "finished")["iterations"] == [0, 1]
    kept = list(atelier.places.folder.glob("*_before_1_at_iteration_2.png"))
    assert len(kept) == 1  # what came after is kept beside it
    for wrong in ({"more": -1}, {"more": 10**6}):
        with pytest.raises(InputError, match="0 to 1000"):
            atelier.desk.resume(atelier.found(key), **wrong)


def test_a_run_painted_elsewhere_is_seen_live_and_left_alone(atelier, base, style):
    prefix = atelier.places.folder / "sub" / "other"
    seen = []

    def listener(event):
        if isinstance(event, Evaluated) and event.number == 9:
            run = atelier.run(key_of("sub/other"))
            seen.append((run["status"], run["iterations"], run["version"] != ""))
            with pytest.raises(InputError, match="at rest"):
                atelier.desk.resume(atelier.found(key_of("sub/other")), more=1)
            raise StopRun

    with pytest.raises(StopRun):
        transfer(base, style, prefix, objectives=light_objectives, on_event=listener, **SMALL)
    assert seen == [("elsewhere", [0, 1], True)]
    assert atelier.run(key_of("sub/other"))["status"] == "stopped"


def test_16_bits_are_those_of_the_last_image(atelier):
    key = atelier.begin()
    atelier.until(key, "finished")
    files = atelier.found(key).files
    target = atelier.places.folder / "deep.png"
    write_deep(str(files.prefix), target, neural_style_transfer.make_render)
    image = np.load(files.image(2))[0]
    pixels = image[..., ::-1].astype(np.float64) + [123.68, 116.779, 103.939]
    expected = np.clip(np.rint(pixels * 257), 0, 65535)
    assert abs(read_png16(target).astype(np.float64) - expected).max() <= 1


def read_png16(path: Path) -> np.ndarray:
    """RGB of a PNG whose lines have filter 4, decoded by the specification."""
    data, place, packed = path.read_bytes(), 8, b""
    while place < len(data):
        (length,), kind = struct.unpack(">I", data[place : place + 4]), data[place + 4 : place + 8]
        content = data[place + 8 : place + 8 + length]
        if kind == b"IHDR":
            columns, rows, bits, color = struct.unpack(">IIBB", content[:10])
        packed += content if kind == b"IDAT" else b""
        place += 12 + length
    assert (bits, color) == (16, 2)
    raw, width = zlib.decompress(packed), 6 * columns
    lines = [[0] * (width + 6)]
    for row in range(rows):
        line, above = [0] * (width + 6), lines[-1]
        assert raw[row * (width + 1)] == 4
        for at in range(width):
            a, b, c = line[at], above[at + 6], above[at]
            p = a + b - c
            nearest = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            line[at + 6] = (raw[row * (width + 1) + 1 + at] + nearest) & 255
        lines.append(line)
    values = np.array(lines, np.uint8)[1:, 6:]
    return values.reshape(rows, columns, 3, 2).astype(np.int32) @ [256, 1]


# Files of the folder


def test_no_link_leads_out_of_the_folder(atelier, tmp_path, base, style):
    outside = tmp_path / "outside"
    transfer(base, style, outside / "secret", objectives=light_objectives, **SMALL)
    (atelier.places.folder / "link").symlink_to(outside)
    (atelier.places.folder / "secret.json").symlink_to(outside / "secret.json")
    (atelier.places.folder / "secret_state").symlink_to(outside / "secret_state")
    assert atelier.teller.state(None)["runs"] == []
    assert not atelier.places.holds(atelier.places.folder / "link" / "secret.png")


def test_a_photograph_outside_the_folder_is_not_shown(atelier, base, style):
    transfer(base, style, atelier.places.folder / "run", objectives=light_objectives, **SMALL)
    assert atelier.run(key_of("run"))["photograph"] is False
    key = atelier.begin()
    assert atelier.until(key, "finished")["photograph"] is True


def test_files_that_are_no_runs_are_not_shown(atelier):
    for name, text in (("a", "{}"), ("b", "no json"), ("c", '{"checksum": "0"}')):
        (atelier.places.folder / f"{name}.json").write_text(text)
        (atelier.places.folder / f"{name}_state").mkdir()
    assert atelier.teller.state(None)["runs"] == []


def test_one_studio_a_folder(tmp_path):
    places = places_in(tmp_path / "out")
    places.make()
    with locked(places):
        assert is_held(places.lock)
        with pytest.raises(InputError, match="no running studio"), locked(places):
            pass
    assert not is_held(places.lock)


def test_a_folder_that_cannot_be_one(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="--folder"):
        places_in(tmp_path / "file").make()


# Settings


@pytest.mark.parametrize(
    "choices, said",
    [
        ({"weights": "/etc/passwd"}, "--weights"),
        ({"weights": "../secret.npz"}, "--weights"),
        ({"init": "/etc/passwd"}, "--init"),
        ({"content_mask": "/etc/passwd", "style_mask": "/etc/passwd"}, "masks"),
        ({"style_weight": -1.0}, "--style_weight"),
        ({"style_layers": "none"}, "--style_layers"),
    ],
)
def test_settings_that_reach_outside_or_cannot_be_are_refused(atelier, choices, said):
    with pytest.raises(InputError, match=said):
        atelier.begin(**choices)
    assert not waiting_orders(atelier.places.orders)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_a_presets_own_settings_need_no_options(preset):
    values = dataclasses.asdict(make_settings(preset))
    assert differing(preset, values) == {}
    chosen = differing(preset, values | {"iter": 17, "style_weight": 3.5})
    assert chosen == {"iter": 17, "style_weight": 3.5}


# Uploads


def png_that_claims(columns: int, rows: int) -> bytes:
    """A small file whose header claims many pixels."""

    def chunk(kind, content):
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "name, data, said",
    [
        ("text.png", b"not a picture at all", "expected a picture"),
        ("empty.png", b"", "0 bytes"),
        ("bomb.png", png_that_claims(60_000, 60_000), "60 million pixels"),
        ("large.png", png_that_claims(9_000, 9_000), "60 million pixels"),
        ("page.html", b"<script>alert(1)</script>", "expected a picture"),
        ("small.png", None, "16 x 16"),
    ],
)
def test_uploads_that_are_refused(atelier, name, data, said):
    path = atelier.places.uploads / name
    if data is None:
        file = io.BytesIO()
        Image.new("RGB", (8, 8)).save(file, "PNG")
        data = file.getvalue()
    path.write_bytes(data)
    with pytest.raises(InputError, match=said) as raised:
        uploads.keep(path, atelier.places, "photograph")
    assert str(atelier.places.folder) not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_with_too_many_bytes(atelier, monkeypatch):
    path = atelier.places.uploads / "a.png"
    draw(48, 64, 3).save(path)
    monkeypatch.setattr(uploads, "LARGEST_FILE", 100)
    with pytest.raises(InputError, match="MB"):
        uploads.keep(path, atelier.places, "photograph")


def test_uploads_are_written_anew_pixel_for_pixel(atelier):
    path = atelier.places.uploads / "a b<c>.jpg"
    draw(48, 64, 3).save(path, exif=b"Exif\0\0secret place", comment=b"secret")
    kept = uploads.keep(path, atelier.places, "photograph")
    assert kept.parent == atelier.places.inputs and kept.suffix == ".png"
    assert b"secret" not in kept.read_bytes() and "<" not in kept.name
    with Image.open(kept) as new, Image.open(path) as old:
        assert np.array_equal(np.asarray(new), np.asarray(old))
    assert uploads.keep(kept, atelier.places, "photograph") == kept  # the same picture once more


def test_a_file_that_nobody_sent_is_refused(atelier, base):
    with pytest.raises(InputError, match="that was sent"):
        uploads.keep(base, atelier.places, "photograph")
    link = atelier.places.uploads / "link.png"
    link.symlink_to(base)
    with pytest.raises(InputError, match="that was sent"):
        uploads.keep(link, atelier.places, "photograph")


# Masks


def test_strokes_become_flat_regions(tmp_path):
    layer = np.zeros((20, 30, 4), np.uint8)
    layer[2:8, 3:9] = (*bytes.fromhex(brush.COLORS[0][1:]), 255)
    layer[10:15, 20:28] = (*bytes.fromhex(brush.COLORS[2][1:]), 200)
    layer[16:18, :] = (0, 0, 0, 30)  # hardly there
    file, bare = tmp_path / "layer.png", tmp_path / "bare.png"
    Image.fromarray(layer).save(file)
    Image.new("RGBA", (20, 20)).save(bare)
    mask = np.asarray(brush.mask_of([file]))
    expected = np.full((20, 30, 3), 255, np.uint8)
    expected[2:8, 3:9] = list(bytes.fromhex(brush.COLORS[0][1:]))
    expected[10:15, 20:28] = list(bytes.fromhex(brush.COLORS[2][1:]))
    assert np.array_equal(mask, expected)
    assert brush.mask_of([bare]) is None and brush.mask_of([]) is None
    assert brush.mask_of(None) is None


def test_masks_are_kept_for_each_painting(atelier):
    layer = np.zeros((40, 60, 4), np.uint8)
    layer[:20] = (*bytes.fromhex(brush.COLORS[1][1:]), 255)
    painted = [atelier.places.uploads / "layer.png"]
    Image.fromarray(layer).save(painted[0])
    chosen = brush.keep_masks(painted, [painted, None], atelier.places)
    paths = [chosen["content_mask"], *chosen["style_mask"].split(",")]
    assert len(paths) == 3 and all(Path(path).parent == atelier.places.inputs for path in paths)
    assert brush.keep_masks(None, [painted], atelier.places) == {}


# What the page is told


def test_curves_are_thinned_out_and_keep_the_last():
    @dataclasses.dataclass
    class Entry:
        number: int
        total: float
        terms: dict

    entries = [Entry(n, 1 / (n + 1), {"content": 0.5, "style": n}) for n in range(1003)]
    told = curves(entries)
    assert len(told["at"]) <= MOST_POINTS + 1 and told["at"][0] == 0 and told["at"][-1] == 1002
    for at, total in zip(told["at"], told["total"], strict=True):
        assert total == pytest.approx(1 / (at + 1), rel=1e-3)
    assert curves([])["at"] == []


def test_a_damaged_live_file_is_as_none(tmp_path):
    path = tmp_path / "a.json"
    for text in ("", "{", "[]", '{"unknown": 1}'):
        path.write_text(text)
        assert load_live(path) is None
    Live("painting", pid=7).save(path)
    assert load_live(path) == Live("painting", pid=7)


def test_orders_survive_and_damaged_ones_are_dropped(tmp_path):
    places = places_in(tmp_path / "out")
    places.make()
    (places.orders / "000001.json").write_text("{")
    Order("x", "transfer", {"base": "nowhere.png", "styles": ["no.png"]}).save(
        places.orders / "000007.json"
    )
    painter = Painter(places, [sys.executable, str(LIGHT), "paint-order"])
    painter.start()
    end = time.monotonic() + 60
    while painter.runs() and time.monotonic() < end:
        time.sleep(0.05)
    assert painter.failed() == ["x"]
    assert "nowhere.png" in load_live(places.live / "x.json").lines[-1]
    painter.close()


def test_both_languages_have_all_texts():
    english, chinese = LANGUAGES["en"], LANGUAGES["zh"]
    assert english.keys() == chinese.keys()
    for key, value in english.items():
        fields = {part.partition("}")[0] for part in value.split("{")[1:]}
        assert fields == {part.partition("}")[0] for part in chinese[key].split("{")[1:]}, key
    assert GROUPS["en"].keys() == GROUPS["zh"].keys()
    names = {item.name for item in dataclasses.fields(Settings)}
    assert {item.metadata["group"] for item in dataclasses.fields(Settings)} <= GROUPS["en"].keys()
    assert FIELDS.keys() <= names


# The guard


def scope(path="/en/", method="GET", **headers):
    sent = {"host": "127.0.0.1:7860"} | {k.replace("_", "-"): v for k, v in headers.items()}
    return {
        "type": "http",
        "method": method,
        "path": path.partition("?")[0],
        "raw_path": path.encode("latin-1"),
        "headers": [(k.encode(), v.encode()) for k, v in sent.items()],
    }


async def inner(scope, receive, send):
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"inside"})


def answer(guard: Guard, request: dict, *parts: bytes) -> int:
    """The status that a guard answers a request with."""
    sent, left = [], list(parts) or [b""]

    async def receive():
        body = left.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(left)}

    async def send(message):
        sent.append(message)

    asyncio.run(guard(request, receive, send))
    return sent[0]["status"]


def test_the_guard_lets_the_page_through():
    guard = Guard(inner, loopback=True)
    for path in (
        "/",
        "/en/",
        "/zh/",
        "/studio/state?run=0123456789abcdef",
        "/studio/static/studio.js",
        "/en/config",
        "/en/assets/index-abc_1.js",
        "/en/gradio_api/queue/data?session_hash=abc",
        "/en/gradio_api/heartbeat/abc123",
    ):
        assert answer(guard, scope(path)) == 200, path
    link = {
        "sec_fetch_site": "cross-site",
        "sec_fetch_mode": "navigate",
        "sec_fetch_dest": "document",
    }
    assert answer(guard, scope("/", **link)) == 200
    assert answer(guard, scope("/", host="localhost:1", origin="http://localhost:1")) == 200


@pytest.mark.parametrize(
    "request_, status",
    [
        (scope(host="evil.example"), 403),
        (scope(host="127.0.0.1.evil.example:7860"), 403),
        (scope(host=""), 403),
        (scope(origin="http://evil.example"), 403),
        (scope(origin="null"), 403),
        (scope(origin="http://127.0.0.1:7861"), 403),
        (scope(sec_fetch_site="cross-site"), 403),
        (scope(sec_fetch_site="same-site"), 403),
        (scope("/studio/runs/x/stop", "POST", origin="https://evil.example"), 403),
        (scope("/en/", "PUT"), 405),
        (scope("/en/", "OPTIONS"), 405),
        (scope("/../etc/passwd"), 400),
        (scope("/%2e%2e/etc/passwd"), 400),
        (scope("/studio/static/%252e%252e/x"), 400),
        (scope("/studio/static/..%5cx"), 400),
        (scope("/studio//etc"), 400),
        (scope("/studio/%00"), 400),
        (scope("/en/gradio_api/file=/a/../b"), 400),
        (scope("/" + "a" * 3000), 400),
        (scope("/en/monitoring"), 404),
        (scope("/en/gradio_api/proxy=http://x"), 400),
        (scope("/en/gradio_api/proxy=x"), 404),
        (scope("/en/gradio_api/vibe-edit/"), 404),
        (scope("/docs"), 404),
        (scope(content_length="999999999999"), 413),
        (scope(content_length="-1"), 400),
        (scope(content_length="x"), 400),
    ],
)
def test_the_guard_refuses(request_, status):
    assert answer(Guard(inner, loopback=True), request_) == status


def test_a_body_longer_than_announced_is_cut_off(monkeypatch):
    monkeypatch.setattr("style_transfer.studio.guard.LARGEST_MESSAGE", 100)
    guard = Guard(inner, loopback=True)
    assert answer(guard, scope(), b"x" * 60, b"x" * 30) == 200
    assert answer(guard, scope(), b"x" * 60, b"x" * 60) == 413


def test_the_password_opens():
    guard = Guard(inner, loopback=False, password="correct horse")

    def header(text: str) -> dict:
        return {"authorization": "Basic " + base64.b64encode(text.encode()).decode()}

    assert answer(guard, scope(host="studio.example", **header("anybody:correct horse"))) == 200
    for wrong in (
        {},
        header("anybody:correct horsE"),
        header("anybody:"),
        header("correct horse"),
        {"authorization": "Basic ###"},
        {"authorization": "Bearer correct horse"},
    ):
        assert answer(guard, scope(host="studio.example", **wrong)) == 401


def test_refusals_are_raised_for_any_path_that_climbs():
    for path in ("/a/..", "/..%2f", "/%2e%2e%2f%2e%2e", "/en/assets/..%2f..%2fx", "/a\\..\\b"):
        with pytest.raises(Refused):
            check_path(scope(path))
    check_origin(
        scope(origin="http://127.0.0.1:7860"),
        {b"origin": "http://127.0.0.1:7860"},
        "127.0.0.1:7860",
    )


def test_the_command_line_is_refused_in_one_line(capsys, tmp_path, monkeypatch):
    import studio

    monkeypatch.chdir(tmp_path)
    for arguments, said in (
        (["--port", "x"], "--port"),
        (["--port", "70000"], "--port"),
        (["--jobs", "0"], "--jobs"),
        (["--password", "short"], "--password"),
        (["--folder", ""], "--folder"),
    ):
        assert studio.main(arguments) == 2
        captured = capsys.readouterr().err
        assert captured.startswith("studio.py: error: ") and said in captured
        assert captured.count("\n") == 1
    assert os.listdir(tmp_path) in ([], ["out"])  # noqa: PTH208
