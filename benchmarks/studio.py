"""What watchers cost: a run's evaluations with nobody and with many browsers at its page.

    python benchmarks/studio.py --clients 20

Paints the same picture again and again by studio.py's own processes, without and with clients that
ask for state and picture as the page's script does (each 1.2 s), in turn, and compares the seconds
that the evaluations took. Also prints the server's memory after each run.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
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


def memory_of(pid: int) -> float:
    """Resident memory of a process in MB."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) / 1024


def main() -> None:
    """Measure, in turn, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", default="384")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place).resolve()
        samples = common.FOLDER / "samples"
        command = [sys.executable, "studio.py", "--folder", place, "--port", "0"]
        server = subprocess.Popen(command, cwd=common.FOLDER, stdout=subprocess.PIPE, text=True)
        assert server.stdout
        address = server.stdout.readline().split()[1].rstrip("/")
        arguments = {
            "base": str(samples / "photo.jpg"),
            "styles": [str(samples / "painting.jpg")],
            "size": options.size,
            "weights": "fitted",
            "scales": "1",
            "iter": 3,
        }
        medians: dict[int, list[float]] = {0: [], options.clients: []}
        for number in range(options.rounds):
            for clients, found in medians.items():
                name = f"run-{number}-{clients}"
                seconds = paint(folder, name, arguments, address, clients)
                found.append(statistics.median(seconds))
                print(
                    f"{clients} clients: {found[-1]:.3f} s an evaluation (median of "
                    f"{len(seconds)}); server {memory_of(server.pid):.0f} MB",
                    flush=True,
                )
        without, watched = (statistics.median(found) for found in medians.values())
        print(f"{options.clients} clients: {100 * (watched / without - 1):+.1f} %")
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
