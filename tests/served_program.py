"""The real program again and again, each time in a fork of one process with its imports done.

    python served_program.py warm|cold

`warm` has imported TensorFlow and everything else, and run no operation of it; `cold` has not
imported Keras, for what goes wrong on its way in. Both read lines of JSON, an object with

    arguments   of the command line
    folder      to run in
    environment variables to set, or to remove where null
    stdout, stderr  files for what is printed
    encoding    of both, instead of UTF-8
    closed      descriptors to close before the program starts
    gibibytes   of memory that the program is to find
    kill_after  evaluations after which the process is killed
    md5         of what is to count as ImageNet's file, by network
    light       whether light_program.py's objective takes the network's place

and print the exit code.
"""

import contextlib
import faulthandler
import importlib
import io
import json
import os
import signal
import sys
import traceback
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
sys.path.insert(0, str(Path(__file__).parent.parent))

COLD = [
    "numpy",
    "scipy.fft",
    "scipy.optimize",
    "PIL.Image",
    "filelock",
    "tifffile",
    "evaluator",
    "style_transfer.arguments",
    "style_transfer.memory",
    "style_transfer.runs.opening",
    "style_transfer.backends",
]
# Not those that start the backend: its threads do not outlive a fork.
WARM = ["keras", "h5py", "preprocessing", "style_transfer.filters.imagenet"]


def prepare(order: dict) -> None:
    """Make this process what the order describes."""
    os.chdir(order["folder"])
    for name, value in order.get("environment", {}).items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    for number, name in enumerate(("stdout", "stderr"), start=1):
        file = os.open(order[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)
        stream = io.TextIOWrapper(
            open(number, "wb", closefd=False),  # noqa: SIM115
            encoding=order.get("encoding", "utf-8"),
            errors="backslashreplace" if name == "stderr" else "strict",
        )
        if number in order.get("closed", []):
            os.close(number)
            stream = None
        setattr(sys, name, stream)
    if "gibibytes" in order:
        from style_transfer import memory

        memory.usable_memory = lambda: order["gibibytes"] * 2**30
    if "kill_after" in order:
        kill_after(order["kill_after"])
    if "md5" in order:
        from style_transfer.filters import imagenet

        imagenet.IMAGENET_MD5.update(order["md5"])


def kill_after(evaluations: int) -> None:
    """Let the process be killed when it has made some evaluations, all of them in the journal."""
    from style_transfer.runs.run import Run

    evaluated, made = Run.evaluated, 0

    def counted(self, *arguments):
        nonlocal made
        evaluated(self, *arguments)
        made += 1
        if made == evaluations:
            os.kill(os.getpid(), signal.SIGKILL)

    Run.evaluated = counted


def serve() -> None:
    from light_program import light_objectives

    from neural_style_transfer import main

    for line in sys.stdin:
        process = os.fork()
        if not process:
            with contextlib.suppress(OSError):
                os.close(0)
                os.open(os.devnull, os.O_RDONLY)
            order = json.loads(line)
            faulthandler.dump_traceback_later(100, exit=True)  # a test that hangs tells where
            prepare(order)
            objectives = light_objectives if order.get("light") else None
            try:
                code = main(order["arguments"], objectives)
            except SystemExit as stop:
                code = stop.code or 0
            except BaseException:
                traceback.print_exc()
                code = -1
            for stream in filter(None, (sys.stdout, sys.stderr)):
                with contextlib.suppress(OSError, ValueError):
                    stream.flush()
            os._exit(code & 255)  # TensorFlow's own end takes a while
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)


if __name__ == "__main__":
    for name in COLD + (WARM if sys.argv[1] == "warm" else []):
        importlib.import_module(name)
    serve()
