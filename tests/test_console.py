"""The bar on a terminal, and plain lines elsewhere."""

import io
import json
import os
import re
import subprocess
from contextlib import redirect_stdout

import pytest
from light import LIGHT

from style_transfer.console import duration
from style_transfer.events import Said
from style_transfer.feedforward.console import TrainingConsole
from style_transfer.feedforward.events import StepDone
from style_transfer.gallery.status import Status as GalleryStatus
from style_transfer.video.progress import Status as ClipStatus

CODES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


def lines_of(written: str) -> list[str]:
    """What was on the terminal at one time or another, without codes and the bar's own strokes."""
    plain = re.sub("[━╸╺]+", "|", CODES.sub("", written))
    return [" ".join(line.split()) for line in re.split("[\r\n]+", plain) if line.strip()]


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch):
    """A terminal of 120 columns, for `redirect_stdout`."""
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    return Terminal()


def on_a_terminal(command: list[str], **environment: str) -> tuple[int, str]:
    """Exit code of a command on a pseudoterminal, and all that it writes there."""
    pty = pytest.importorskip("pty", reason="needs pseudoterminals")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command, stdout=theirs, stderr=theirs, env={**os.environ, **environment}
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # Linux's way to say that nobody writes any more
            break
        if not part:
            break
        written += part
    os.close(ours)
    return process.wait(60), written.decode()


def test_a_run_has_a_bar_on_a_terminal(base, style, tmp_path):
    prefix = str(tmp_path / "run")
    choices = ["--height", "40", "--iter", "2", "--evaluations", "4", "--scales", "0.5:1,1:1"]
    code, written = on_a_terminal(
        [*LIGHT, "{}", base, style, prefix, *choices], COLUMNS="150", TERM="xterm"
    )
    assert code == 0
    lines = lines_of(written)
    record = json.loads((tmp_path / "run.json").read_text())
    # The bar's last state: the last evaluation's size, iteration and loss.
    bar = [line for line in lines if " | loss " in line][-1]
    loss = record["evaluations"][-1]["total"]
    assert bar.startswith(f"56 x 40, iteration 1 | loss {loss:.4g} 0:00:")
    # A line for each iteration stands above it, and nothing else is written.
    told = [line for line in lines if line.startswith("Iteration ")]
    assert len(told) == 2 and "\x1b[?25h" in written  # the cursor is back
    for number, size in enumerate(("28 x 20", "56 x 40")):
        total = record["iterations"][number]["total"]
        assert told[number].startswith(f"Iteration {number}: {size}, loss {total:.4g}, ")
        assert told[number].endswith(f"saved as {prefix}_at_iteration_{number}.png")
    assert all("|" in line or line in told for line in lines)


def test_a_gallery_has_one_bar(terminal):
    with redirect_stdout(terminal), GalleryStatus(3, 1, quiet=False) as status:
        status.part(0.5)
        status.say("[red]a line[/] :cat: ü")
        status.cell_done("a--x", "painted", painted=True)
        status.cell_done("b--x", "failed", painted=False)
    lines = lines_of(terminal.getvalue())
    assert lines[0].startswith("1 of 3 |") and "[red]a line[/] :cat: ü" in lines
    assert re.fullmatch(r"3 of 3 \| \S+ pictures per minute", lines[-1])


def test_a_clip_has_one_bar(terminal):
    with redirect_stdout(terminal), ClipStatus(10, 2, quiet=False) as status:
        status.painted(4, seconds_left=3600 + 25 * 60)
    lines = lines_of(terminal.getvalue())
    assert lines[0].startswith("frame 2 of 10 |")
    assert lines[-1] == "frame 4 of 10 | 85 min left"


def test_a_training_has_a_bar(terminal):
    losses = {"loss": 12.5, "content": 4.0, "total_variation": 0.25}
    with redirect_stdout(terminal), TrainingConsole() as console:
        console(StepDone(7, 0.5, 42.0, 42.0, losses))
        console(Said("a line"))
    lines = lines_of(terminal.getvalue())
    assert "a line" in lines
    expected = r"step 7 \| loss 12\.5 \(content 4, total variation 0\.25\) \d:\d\d:\d\d 42 s left"
    assert re.fullmatch(expected, lines[-1])


@pytest.mark.parametrize("status", [GalleryStatus, ClipStatus])
def test_quiet_is_quiet(status, terminal):
    with redirect_stdout(terminal), status(3, 0, quiet=True) as quiet:
        quiet.say("a line")
    assert terminal.getvalue() == ""


@pytest.mark.parametrize(
    "seconds, text",
    [
        (0.04, "0.0 s"),
        (9.5, "9.5 s"),
        (35.4, "35 s"),
        (119, "119 s"),
        (720, "12 min"),
        (5340, "89 min"),
        (12_000, "3 h 20 min"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text
