"""From Python, as in a notebook: pictures of all kinds, and a process that is as it was before."""

import logging
import os
import shutil
import signal
import socket
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from conftest import draw
from light_program import light_objectives
from PIL import Image

from neural_style_transfer import resume, transfer
from style_transfer.errors import InputError
from style_transfer.events import Evaluated, StopRun

QUICK = {
    "weights": "random",
    "content_layers": "block1_conv1",
    "style_layers": "block1_conv1",
    "height": 32,
    "iter": 2,
    "evaluations": 3,
    "scales": "1",
}


def state() -> dict:
    """What a program may change of its process, and other code relies on."""
    names = ["", "PIL", "tensorflow", "absl", "h5py"]
    return {
        "handlers": [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)],
        "descriptors": [(os.fstat(n).st_dev, os.fstat(n).st_ino) for n in (1, 2)],
        "open": len(list(Path("/proc/self/fd").iterdir())),
        "timeout": socket.getdefaulttimeout(),
        "environment": dict(os.environ),
        "levels": [logging.getLogger(name).level for name in names],
        "filters": list(warnings.filters),
        "streams": (sys.stdout, sys.stderr),
        "folder": Path.cwd(),
        "pixels": Image.MAX_IMAGE_PIXELS,
        "random": np.random.get_state()[1].tobytes(),
    }


def stop_at(number: int, error: type[BaseException]):
    def listener(event):
        if isinstance(event, Evaluated) and event.number == number:
            raise error

    return listener


@pytest.fixture(scope="module", autouse=True)
def started(base, style):
    """The backend is started once, as by the first cell of a notebook."""
    transfer(base, style, **QUICK)


def test_the_process_is_as_before_and_nothing_printed(base, style, tmp_path, capfd):
    socket.setdefaulttimeout(3)
    try:
        before = state()
        transfer(base, style, tmp_path / "run", **QUICK)
        assert state() == before
        with pytest.raises(InputError):
            transfer(base, style, tmp_path / "run", **QUICK)
        assert state() == before
        with pytest.raises(InputError):
            transfer(base, style, **{**QUICK, "weights": "none.npz"})
        assert state() == before
        with pytest.raises(StopRun):
            transfer(base, style, on_event=stop_at(2, StopRun), **QUICK)
        assert state() == before
    finally:
        socket.setdefaulttimeout(None)
    assert capfd.readouterr() == ("", "")


def test_filters_other_than_asked_for_are_a_warning(base, style, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.warns(UserWarning, match="fitted to these pictures"):
        transfer(base, style, **{**QUICK, "weights": "auto"})
    assert capfd.readouterr() == ("", "")


def test_paths_pictures_and_arrays_paint_the_same(base, style):
    whole, _ = transfer(base, style, objectives=light_objectives, **QUICK)
    with Image.open(base) as content, Image.open(style) as painting:
        for kind in (lambda image: image, np.asarray):
            picture, _ = transfer(
                kind(content), [kind(painting)], objectives=light_objectives, **QUICK
            )
            assert picture.tobytes() == whole.tobytes()
    picture, _ = transfer(Path(base), (Path(style),), objectives=light_objectives, **QUICK)
    assert picture.tobytes() == whole.tobytes()


@pytest.mark.parametrize(
    "arguments, said",
    [
        (([], [], "p"), "styles"),
        (("base", []), "styles"),
        (("base", None), "styles|REF"),
        (("base", 5), "REF"),
        ((None, "style"), "BASE"),
        ((5, "style"), "BASE"),
        (("base", "style", 5), "PREFIX"),
        (("base", "style", ""), "PREFIX"),
        ((np.zeros((40, 40, 3)), "style"), "uint8"),
        ((np.zeros((40, 40, 2), np.uint8), "style"), "shape"),
        ((np.zeros((4, 4, 3), np.uint8), "style"), "16 x 16"),
    ],
)
def test_what_is_no_picture_is_refused(arguments, said, base, style):
    names = {"base": base, "style": style}
    given = [names.get(value, value) if isinstance(value, str) else value for value in arguments]
    with pytest.raises(InputError, match=said):
        transfer(*given, **QUICK)


@pytest.mark.parametrize("number", [-1, 2, "1"])
def test_an_iteration_that_is_not_there_is_refused(number, base, style, tmp_path):
    transfer(base, style, tmp_path / "run", objectives=light_objectives, **QUICK)
    with pytest.raises(InputError, match="--from_iteration"):
        resume(tmp_path / "run", from_iteration=number, objectives=light_objectives)


@pytest.mark.parametrize("error", [KeyboardInterrupt, StopRun])
def test_a_run_stopped_from_python_goes_on(error, base, style, tmp_path):
    whole, _ = transfer(base, style, **QUICK)
    with pytest.raises(error):
        transfer(base, style, tmp_path / "run", on_event=stop_at(4, error), **QUICK)
    picture, record = resume(tmp_path / "run")
    assert picture.tobytes() == whole.tobytes() and record.status == "finished"


def test_a_moved_run_of_pictures_in_memory_goes_on(tmp_path):
    content, painting, start = (draw(40, 56, seed) for seed in (1, 2, 3))
    chosen = {**QUICK, "init": start, "objectives": light_objectives}
    whole, _ = transfer(content, np.asarray(painting), **chosen)
    folder = tmp_path / "project"
    with pytest.raises(StopRun):
        transfer(
            content, np.asarray(painting), folder / "run", on_event=stop_at(4, StopRun), **chosen
        )
    folder = folder.rename(tmp_path / "renamed")
    picture, _ = resume(folder / "run", objectives=light_objectives)
    assert picture.tobytes() == whole.tobytes()


def test_pictures_moved_elsewhere_are_named(base, style, tmp_path):
    whole, _ = transfer(base, style, objectives=light_objectives, **QUICK)
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    project.mkdir(), elsewhere.mkdir()
    shutil.copy(base, project / "b.png"), shutil.copy(style, project / "s.png")
    stop = stop_at(4, StopRun)
    with pytest.raises(StopRun):
        transfer(
            project / "b.png",
            project / "s.png",
            project / "run",
            on_event=stop,
            objectives=light_objectives,
            **QUICK,
        )
    (project / "b.png").rename(elsewhere / "x.png")
    (project / "s.png").rename(elsewhere / "y.png")
    with pytest.raises(InputError, match="--base PATH"):
        resume(project / "run", objectives=light_objectives)
    with pytest.raises(InputError, match="--styles PATH"):
        resume(project / "run", base=elsewhere / "x.png", objectives=light_objectives)
    picture, _ = resume(
        project / "run",
        base=elsewhere / "x.png",
        styles=elsewhere / "y.png",
        objectives=light_objectives,
    )
    assert picture.tobytes() == whole.tobytes()


def test_a_run_that_cannot_begin_leaves_the_earlier_one(tmp_path):
    prefix = tmp_path / "run"
    content, painting = draw(40, 56, 1), draw(48, 36, 2)
    transfer(content, painting, prefix, objectives=light_objectives, **QUICK)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match="none.npz"):
        transfer(
            draw(40, 56, 5), painting, prefix, overwrite=True, **{**QUICK, "weights": "none.npz"}
        )
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def halves(rows: int, columns: int) -> Image.Image:
    """A mask: red above, blue below."""
    pixels = np.zeros((rows, columns, 3), np.uint8)
    pixels[: rows // 2, :, 0] = pixels[rows // 2 :, :, 2] = 255
    return Image.fromarray(pixels)


def test_masks_in_memory_paint_as_files_do_and_the_run_goes_on(tmp_path):
    content, paintings = draw(40, 56, 1), [draw(40, 48, 2), draw(44, 40, 3)]
    masks = [halves(40, 56), np.asarray(halves(40, 48)), halves(44, 40)]
    names = [tmp_path / f"mask{number}.png" for number in range(3)]
    for mask, name in zip(masks, names, strict=True):
        Image.fromarray(np.asarray(mask)).save(name)
    files = {"content_mask": names[0], "style_mask": ",".join(map(str, names[1:]))}
    whole, _ = transfer(content, paintings, **files, **QUICK)
    unmasked, _ = transfer(content, paintings, **QUICK)
    assert whole.tobytes() != unmasked.tobytes()
    given = {"content_mask": masks[0], "style_mask": masks[1:]}
    stop = stop_at(4, StopRun)
    with pytest.raises(StopRun):
        transfer(content, paintings, tmp_path / "run", on_event=stop, **given, **QUICK)
    picture, _ = resume(tmp_path / "run")
    assert picture.tobytes() == whole.tobytes()


@pytest.mark.parametrize(
    "masks, said",
    [
        ({"content_mask": halves(40, 56)}, "expected both or neither"),
        ({"style_mask": [halves(40, 56)]}, "expected both or neither"),
        ({"content_mask": halves(40, 56), "style_mask": [halves(40, 48)] * 2}, "one for each"),
        ({"content_mask": 5, "style_mask": halves(40, 48)}, "--content_mask: expected a path"),
        ({"content_mask": halves(40, 56), "style_mask": [5]}, "--style_mask: expected a path"),
    ],
)
def test_masks_that_do_not_fit_are_refused(masks, said):
    with pytest.raises(InputError, match=said):
        transfer(draw(40, 56, 1), draw(40, 48, 2), **masks, **QUICK)


@pytest.mark.parametrize(
    "choices, said",
    [
        ({"hieght": 32}, "such as height"),
        ({"preset": []}, "--preset: expected one of"),
        ({"network": np.zeros((30, 30))}, "--network"),
        ({"style_layers": np.zeros((30, 30))}, "--style_layers"),
    ],
)
def test_any_value_is_refused_in_one_line(choices, said):
    with pytest.raises(InputError, match=said) as caught:
        transfer(draw(40, 56, 1), draw(40, 48, 2), **{**QUICK, **choices})
    assert "\n" not in str(caught.value)
