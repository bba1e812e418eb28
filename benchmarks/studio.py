"""What watchers cost: a run's evaluations with nobody and with many browsers at its page.

    python benchmarks/studio.py --clients 20
    python benchmarks/studio.py --runs 50 --program tests/light_studio.py

The first paints the same picture again and again by studio.py's own processes, without and with
clients that ask for state and picture as the page's script does (each 1.2 s), in turn, and compares
the seconds that the evaluations took.

The second orders tiny runs one after another as the page does: it uploads both pictures, presses
Paint, and watches until the run has finished. After every fifth run it prints the server's resident
memory and its open files. The server is the same with --program tests/light_studio.py, whose runs
paint without a network and so take a second each.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    from benchmarks import common
except ModuleNotFoundError:
    if __package__:
        import benchmarks.not_installed  # noqa: F401
    else:
        import not_installed  # noqa: F401 (either ends the process)

from style_transfer.studio.library import key_of
from style_transfer.studio.order import Order

PAUSE = 1.2  # seconds, as SOON in studio.js
LOOK = 0.3


class Client(threading.Thread):
    """Asks as one browser does, until it is told to stop."""

    def __init__(self, address: str, key: str, stop: threading.Event):
        super().__init__(daemon=True)
        self.address, self.key, self.stop = address, key, stop

    def run(self) -> None:
        """Ask, and fetch the picture when it is another."""
        version, mark = "", ""
        while not self.stop.wait(PAUSE):
            request = urllib.request.Request(f"{self.address}/studio/state?run={self.key}")
            if mark:
                request.add_header("If-None-Match", mark)
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    mark, run = answer.headers["etag"], json.load(answer)["run"]
            except OSError:  # 304 among them
                continue
            if run and run["version"] != version:
                version = run["version"]
                path = f"/studio/runs/{self.key}/picture?v={version}"
                with urllib.request.urlopen(self.address + path, timeout=10) as answer:
                    answer.read()


def paint(folder: Path, name: str, arguments: dict, address: str, clients: int) -> list[float]:
    """The seconds of a run's evaluations, painted as the studio paints, with watchers."""
    order = folder / ".studio" / "orders" / f"bench-{name}.order"
    Order(name, "transfer", arguments).save(order)
    stop = threading.Event()
    for _ in range(clients):
        Client(address, key_of(name), stop).start()
    command = [sys.executable, "studio.py", "paint-order", str(order), str(folder)]
    subprocess.run(command, check=True, cwd=common.FOLDER, capture_output=True)
    stop.set()
    time.sleep(LOOK)
    record = json.loads((folder / f"{name}.json").read_text())
    return [entry["seconds"] for entry in record["evaluations"]]


class Browser:
    """Does what the page does, by the addresses that the page uses.

    Args:
        address: of the server.
    """

    def __init__(self, address: str):
        self.address = address
        self.config = json.loads(self.get("/en/config"))
        self.parts = {part["id"]: part["props"] for part in self.config["components"]}

    def get(self, path: str) -> bytes:
        """The body at a path."""
        with urllib.request.urlopen(self.address + path, timeout=60) as answer:
            return answer.read()

    def post(self, path: str, body: bytes, kind: str) -> bytes:
        """The answer to a body."""
        request = urllib.request.Request(self.address + path, body, {"Content-Type": kind})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    def upload(self, picture: Path) -> dict:
        """A picture as Gradio's form knows it once it was sent."""
        mark = uuid.uuid4().hex
        head = (
            f'--{mark}\r\nContent-Disposition: form-data; name="files"; filename="{picture.name}"'
            "\r\nContent-Type: image/jpeg\r\n\r\n"
        )
        body = head.encode() + picture.read_bytes() + f"\r\n--{mark}--\r\n".encode()
        kind = f"multipart/form-data; boundary={mark}"
        (path,) = json.loads(self.post("/en/gradio_api/upload", body, kind))
        return {"path": path, "orig_name": picture.name, "meta": {"_type": "gradio.FileData"}}

    def paint(self, given: dict) -> str:
        """Press Paint; the run's key.

        Args:
            given: values by the form's element ids; the rest is as the page shows it first.
        """
        button = next(n for n, props in self.parts.items() if props.get("elem_id") == "paint")
        event = next(d for d in self.config["dependencies"] if [button, "click"] in d["targets"])
        parts = [self.parts[number] for number in event["inputs"]]
        data = [given.get(props.get("elem_id"), props.get("value")) for props in parts]
        session = uuid.uuid4().hex[:10]  # each run from a page of its own
        order = {"data": data, "fn_index": event["id"], "session_hash": session, "event_data": None}
        self.post("/en/gradio_api/queue/join", json.dumps(order).encode(), "application/json")
        for line in self.get(f"/en/gradio_api/queue/data?session_hash={session}").splitlines():
            told = json.loads(line.removeprefix(b"data: ")) if line.startswith(b"data: ") else {}
            if told.get("msg") == "process_completed":
                refusal, key = told["output"]["data"]
                assert key, refusal
                return key
        raise AssertionError("no answer")

    def watch(self, key: str) -> None:
        """Look at a run until it has finished."""
        version = ""
        while True:
            run = json.loads(self.get(f"/studio/state?run={key}"))["run"]
            if run and run["version"] != version:
                version = run["version"]
                for what in ("picture", "thumbnail"):
                    with suppress(urllib.error.HTTPError):  # it is another picture by now
                        self.get(f"/studio/runs/{key}/{what}?v={version}")
            if run and run["status"] == "finished":
                return
            assert not run or run["status"] != "failed", run["lines"]
            time.sleep(LOOK)


def memory_of(pid: int) -> float:
    """Resident memory of a process in MB."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) / 1024


def open_files(pid: int) -> int:
    """How many files, sockets and pipes a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@contextmanager
def served(place: str, program: str) -> Iterator[tuple[subprocess.Popen, str]]:
    """A studio in a folder: its process and address."""
    command = [sys.executable, program, "--folder", place, "--port", "0"]
    server = subprocess.Popen(command, cwd=common.FOLDER, stdout=subprocess.PIPE, text=True)
    assert server.stdout
    try:
        yield server, server.stdout.readline().split()[1].rstrip("/")
    finally:
        server.terminate()
        server.wait()


def watchers(place: str, clients: int, rounds: int, size: str) -> None:
    """Compare evaluations without and with clients."""
    folder, samples = Path(place).resolve(), common.FOLDER / "samples"
    arguments = {
        "base": str(samples / "photo.jpg"),
        "styles": [str(samples / "painting.jpg")],
        "size": size,
        "weights": "fitted",
        "scales": "1",
        "iter": 3,
    }
    medians: dict[int, list[float]] = {0: [], clients: []}
    with served(place, "studio.py") as (server, address):
        for number in range(rounds):
            for watching, found in medians.items():
                name = f"run-{number}-{watching}"
                seconds = paint(folder, name, arguments, address, watching)
                found.append(statistics.median(seconds))
                print(
                    f"{watching} clients: {found[-1]:.3f} s an evaluation (median of "
                    f"{len(seconds)}); server {memory_of(server.pid):.0f} MB",
                    flush=True,
                )
    without, watched = (statistics.median(found) for found in medians.values())
    print(f"{clients} clients: {100 * (watched / without - 1):+.1f} %")


def memory_over(place: str, runs: int, program: str) -> None:
    """The server's memory and open files over many runs."""
    samples = common.FOLDER / "samples"
    tiny = {"size": 64, "set-iter": 1, "set-evaluations": 4, "set-scales": "1"}
    tiny |= {"set-weights": "random"}
    with served(place, program) as (server, address):
        browser = Browser(address)
        print("| runs | MB | open files |\n|---|---|---|")
        for number in range(1, runs + 1):
            pictures = {
                "photograph": browser.upload(samples / "photo.jpg"),
                "painting-1": browser.upload(samples / "painting.jpg"),
            }
            browser.watch(browser.paint(pictures | tiny))
            if number % 5 == 0:
                memory, files = memory_of(server.pid), open_files(server.pid)
                print(f"| {number} | {memory:.1f} | {files} |", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", default="384")
    parser.add_argument("--runs", type=int, default=0, help="tiny ones, for memory, instead")
    parser.add_argument("--program", default="studio.py", help="of the server and of --runs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        if options.runs:
            memory_over(place, options.runs, options.program)
        else:
            watchers(place, options.clients, options.rounds, options.size)


if __name__ == "__main__":
    main()
