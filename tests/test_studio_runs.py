"""style_transfer/studio: runs painted in processes of their own, stopped, killed and resumed."""

import errno
import shlex
import signal
import struct
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from atelier import SMALL, Atelier, painted_again
from light_program import light_objectives
from studio_server import LIGHT

import neural_style_transfer
from neural_style_transfer import transfer
from style_transfer.errors import InputError
from style_transfer.events import Evaluated, StopRun
from style_transfer.studio.commands import command_lines
from style_transfer.studio.deep import write_deep
from style_transfer.studio.library import key_of
from style_transfer.studio.live import Live, load_live
from style_transfer.studio.order import Order, waiting_orders
from style_transfer.studio.painter import Painter
from style_transfer.studio.places import places_in


def test_a_process_of_its_own_paints_as_the_script(atelier, tmp_path):
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
def test_the_next_server_finishes_a_killed_ones_run(runner_too, tmp_path, monkeypatch):
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
    check_goes_on(atelier, key, tmp_path, monkeypatch)


def check_goes_on(atelier, key, tmp_path, monkeypatch):
    """Continue a run without faults: it ends with the unbroken run's bytes."""
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


def test_a_run_stopped_in_its_first_iteration_goes_on(atelier, tmp_path, monkeypatch):
    monkeypatch.setenv("STUDIO_FAULTS", '{"sleep": 0.3}')
    key = atelier.begin()
    while not (atelier.run(key) or {}).get("evaluations"):
        time.sleep(0.02)
    assert atelier.painter.stop(atelier.found(key).run)
    assert atelier.until(key, "stopped")["iterations"] == []
    check_goes_on(atelier, key, tmp_path, monkeypatch)


def test_a_full_disk_is_told_though_nothing_can_be_written(atelier, monkeypatch):
    monkeypatch.setenv("STUDIO_FAULTS", '{"sleep": 0.1, "do": "kill", "evaluation": 6}')
    key = atelier.begin()
    while not (atelier.run(key) or {}).get("evaluations"):
        time.sleep(0.02)

    def full(self, path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Live, "save", full)
    assert "signal 9" in atelier.until(key, "failed")["lines"][-1]
    with pytest.raises(InputError, match="folder: .*No space left on device"):
        atelier.desk.resume(atelier.found(key))
    assert atelier.run(key)["status"] == "failed"


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
    assert list(painter.failed()) == ["x"] and "nowhere.png" in painter.failed()["x"]
    assert "nowhere.png" in load_live(places.live / "x.json").lines[-1]
    painter.close()
