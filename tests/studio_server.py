"""A studio in a process of its own, for the tests."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from light_program import light_objectives

from neural_style_transfer import resume, transfer

LIGHT = Path(__file__).parent / "light_studio.py"
PATIENCE = 150  # seconds; machines may be busy


class Server:
    """`light_studio.py` on a free port.

    Args:
        folder: of the studio.
        options: more of the command line.
        faults: of the light program.
    """

    def __init__(self, folder: Path, *options: str, **faults):
        self.folder = folder
        self.options = options
        self.environment = {**os.environ, "STUDIO_FAULTS": json.dumps(faults)}
        self.start()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        command = [sys.executable, str(LIGHT), "--folder", str(self.folder), "--port", "0"]
        self.log = (self.folder.parent / "studio.log").open("w+")
        self.process = subprocess.Popen(
            [*command, *self.options],
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env=self.environment,
            start_new_session=True,
        )
        self.address = self.wait(self._listening)

    def _listening(self) -> str | None:
        text = Path(self.log.name).read_text()
        assert self.process.poll() is None, text
        found = [line for line in text.splitlines() if line.startswith("Studio: ")]
        return found[0].split()[1].rstrip("/") if found else None

    def wait(self, question):
        """The first true answer to a question, asked again and again."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if answer := question():
                return answer
            time.sleep(0.05)
        raise AssertionError(f"{question} had no answer; {Path(self.log.name).read_text()}")

    def request(self, method: str, path: str, body=None, headers=None):
        """(status, headers, bytes) of one request, sent as it is."""
        where = urlsplit(self.address)
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=30)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        sent = {"Host": where.netloc} | (headers or {})
        if body is not None:
            sent.setdefault("Content-Length", str(len(body)))
        for name, value in sent.items():
            if value is not None:
                connection.putheader(name, value)
        try:
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def get(self, path: str, **headers):
        """The body of what must be there."""
        status, _, body = self.request("GET", path, headers=headers)
        assert status == 200, (status, body[:200])
        return body

    def state(self, key: str = "") -> dict:
        """What the page is told."""
        return json.loads(self.get(f"/studio/state?run={key}"))

    def post(self, path: str, **form):
        """(status, object) of a request of the page's script."""
        body = json.dumps(form).encode()
        status, _, answer = self.request("POST", path, body, {"Content-Type": "application/json"})
        return status, json.loads(answer) if answer.startswith(b"{") else answer

    def run_with(self, key: str, *statuses: str) -> dict:
        """A run, once it has one of some statuses."""

        def question():
            run = self.state(key)["run"]
            return run if run and run["status"] in statuses else None

        return self.wait(question)

    def kill(self) -> None:
        """SIGKILL for the server alone; its runs live on."""
        self.process.kill()
        self.process.wait()

    def interrupt(self) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        """End it and its runs."""
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
        for file in (self.folder / ".studio" / "live").rglob("*.json"):
            live = json.loads(file.read_text())
            if live["phase"] in ("starting", "painting") and live["pid"]:
                with contextlib.suppress(OSError):
                    os.kill(live["pid"], signal.SIGKILL)
        self.log.close()


def unbroken(folder: Path, run: str, prefix: Path, **more) -> bytes:
    """The bytes of a run's picture, painted again in this process by its orders."""
    orders = json.loads((folder / ".studio" / "live" / f"{run}.orders").read_text())
    for order in orders:
        function = {"transfer": transfer, "resume": resume}[order["kind"]]
        function(prefix=prefix, objectives=light_objectives, **order["arguments"], **more)
    return prefix.with_name(f"{prefix.name}.png").read_bytes()
