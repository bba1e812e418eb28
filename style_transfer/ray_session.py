"""Connecting to Ray, and sharing its cores and GPUs among workers."""

import contextlib
import logging
import os
import secrets
import shutil
import socket
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import ray
from ray.exceptions import RayError

from style_transfer.errors import InputError, RunStopped
from style_transfer.machine import usable_cores

# The path that Ray appends to its temporary folder for its longest socket, with an underscore and 7
# digits of a process id; the whole path may have 103 bytes on macOS (sun_path of unix(4)), 107 on
# Linux.
_SOCKET = "/session_2026-01-01_00-00-00_000000_1234567/sockets/plasma_store"
_LONGEST_FOLDER = 103 - len(_SOCKET)
# TensorFlow, OpenMP and OpenBLAS read these when they are loaded, so they are set before.
_THREADS = (
    "TF_NUM_INTRAOP_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
)
# The files of the program that a cluster's nodes need besides the package; the last are optional.
_MODULES = ("neural_style_transfer", "evaluator", "preprocessing", "gallery", "video")


def connect(workers: int | None, address: str | None) -> Path | None:
    """Start Ray for local workers, or connect to the cluster at `address`.

    Returns:
        The folder of a local Ray's files, for `disconnect`; None for a cluster.

    Raises:
        InputError: there is no cluster at the address, or its versions differ.
        RunStopped: a local Ray did not start.
    """
    logging.getLogger("ray").setLevel(logging.ERROR)
    # Ray prints ten lines about a worker that dies; here it is simply replaced.
    ray._private.worker._worker_logs_enabled = False
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        return _start(workers or 1, quiet)
    try:
        ray.init(address=address, runtime_env={"py_modules": _program()}, **quiet)
    except (OSError, RuntimeError, ValueError, RayError) as error:
        raise InputError(
            "--address: expected a running Ray cluster, with this version of Ray and Python. "
            f"Received: {address!r} ({_first_line(error)})"
        ) from None
    return None


def disconnect(folder: Path | None) -> None:
    """Leave a cluster, or end a local Ray and remove its files."""
    ray.shutdown()
    if folder is not None:
        _remove(folder)


def _start(workers: int, quiet: dict) -> Path:
    """Start a local Ray, which listens only on this machine."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if "RAY_AUTH_TOKEN_PATH" not in os.environ:
        # Otherwise Ray leaves a token in the user's home folder.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    folder = _short_folder()
    try:
        with _temporary_files_in(folder):
            ray.init(
                num_cpus=workers,
                include_dashboard=False,
                _temp_dir=str(folder),
                _node_ip_address="127.0.0.1",
                **quiet,
            )
    except BaseException as error:
        disconnect(folder)
        if not isinstance(error, Exception):  # Ctrl-C
            raise
        # Ray raises plain Exceptions if the machine is too busy for it to start in time.
        raise RunStopped(f"Ray did not start on this machine: {_first_line(error)}") from None
    return folder


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextlib.contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """Make processes started now keep temporary files in `folder`; killed ones leave some."""
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before


def shares(workers: int | None, address: str | None) -> tuple[int, dict]:
    """The number of workers, and each actor's options: its share of the cores, and a GPU if any.

    Raises:
        InputError: the cluster has no cores.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = int(sum(node.get("GPU", 0) for node in nodes))
    cores = [int(node["CPU"]) for node in nodes if node.get("CPU", 0) >= 1]
    if workers is None:
        workers = gpus or len(cores)
    if workers < 1:
        raise InputError("--address: expected a cluster with cores. Received: one without")
    if 0 < gpus < workers:
        warnings.warn(
            f"--workers {workers}: {gpus} are used, one per GPU of the cluster", stacklevel=4
        )
        workers = gpus
    if address is None:
        threads, reserved = max(1, usable_cores() // workers), 1
    else:
        threads = reserved = cores_a_worker(cores, workers)
    variables = {variable: str(threads) for variable in _THREADS}
    if address is None:  # Ray passes on only the script's folder and the current one
        variables["PYTHONPATH"] = os.pathsep.join(str(Path(path).absolute()) for path in sys.path)
    options = {"num_cpus": reserved, "runtime_env": {"env_vars": variables}}
    if gpus:
        options["num_gpus"] = 1
    return workers, options | {"scheduling_strategy": "SPREAD"}


def cores_a_worker(nodes: list[int], workers: int) -> int:
    """The most cores that each of `workers` can have, since none can span two nodes.

    Args:
        nodes: the cores of each node.
    """
    for cores in range(max(nodes, default=1), 1, -1):
        if sum(node // cores for node in nodes) >= workers:
            return cores
    return 1


def check_address(address: str | None) -> None:
    """Fail at once if there is no answer; Ray would keep trying for minutes.

    Raises:
        InputError: it is not an address, there is no answer, or Ray is connected to another one.
    """
    if address is None or address == "auto":
        return
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not host or not port.isdecimal():
        raise InputError(f"--address: expected HOST:PORT or auto. Received: {address!r}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise InputError(
            f"--address: expected a running Ray cluster. Received: {address!r} ({error})"
        ) from None
    if ray.is_initialized() and (own := ray.get_runtime_context().gcs_address) != address:
        raise InputError(
            f"--address: expected the cluster that Ray is connected to, {own!r}. "
            f"Received: {address!r}"
        )


def _program() -> list[str]:
    """The package and the top-level modules, which Ray copies to the nodes."""
    package = Path(__file__).resolve().parent
    modules = (package.parent / f"{name}.py" for name in _MODULES)
    return [str(package), *(str(module) for module in modules if module.is_file())]


def _short_folder() -> Path:
    """A new folder for Ray's files, with a path short enough for its sockets.

    Raises:
        InputError: there is no folder with a path that short.
    """
    for parent in dict.fromkeys((tempfile.gettempdir(), "/tmp")):
        length = len(os.fsencode(Path(parent, "nst-12345678")))
        if os.name == "nt" or length <= _LONGEST_FOLDER:  # on Windows, Ray uses no such sockets
            with contextlib.suppress(OSError):
                return Path(tempfile.mkdtemp(prefix="nst-", dir=parent))
    raise InputError(
        f"TMPDIR: expected a folder with a path of at most {_LONGEST_FOLDER - 13} bytes, for "
        f"--workers. Received: {tempfile.gettempdir()!r}"
    )


def _remove(folder: Path) -> None:
    """Remove Ray's files, even though its last processes may still write some while they end."""
    for _ in range(50):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.1)
