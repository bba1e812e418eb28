"""The program with a light NumPy objective in the network's place, and faults on request.

    python light_program.py '{"evaluation": 7, "do": "interrupt"}' BASE REF PREFIX [options]
    python light_program.py serve

Arguments, loop, optimizer, journal, lock and files are the real ones; only the objective is not, so
that a process starts, is killed and resumes in a fraction of a second.

Faults, in JSON: with `do`, what happens (a key of `FAULTS`) at the fresh evaluation number
`evaluation`, or at the `nth` opening of a file named `open`; `line`, to be killed at that executed
line of runs/ and evaluator.py; `count`, a file to write the number of such lines to; `sleep`,
seconds an evaluation takes; `alarm`, seconds until one kills it; `clock`, to let time.time() run
backwards; `filters`, their SHA-256.
"""

import itertools
import json
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # threads that spin make small work slow
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # Keras's Adam is used, without the program's quiet start

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

import neural_style_transfer
import preprocessing
from style_transfer.errors import InputError
from style_transfer.signals import ONE_WISH
from style_transfer.vgg import FilterSource


def light_objectives(run, inputs):
    """The losses of a run without a network, as `vgg_objectives` gives them."""
    source = FilterSource("random", None, faults.get("filters", "0"))
    if run.record.filters not in (None, source) and not run.options.overwrite:
        raise InputError(
            "--weights: expected the filters that the run began with. Received: others"
        )
    run.record.filters, run.record.precision = source, "float32"
    run.record.versions.append({"program": "light"})

    def objective_at(size):
        settings = run.record.settings
        images = preprocessing.images_at(inputs.images, size.shape, settings)
        return light_objective(images[0], images[1])

    return objective_at


def light_objective(content, style):
    """Content, mean colour products for style, and total variation; with their gradient."""
    colors = style.reshape(-1, 3).astype(np.float64)
    target = colors.T @ colors / len(colors)

    def evaluate(image):
        number = next(evaluations)
        time.sleep(faults.get("sleep", 0))
        bad = FAULTS[faults["do"]]() if number == faults.get("evaluation") else None
        x = image.astype(np.float64)
        flat = x.reshape(-1, 3)
        off = x - content
        gram = flat.T @ flat / len(flat) - target
        steps = np.diff(x, axis=1), np.diff(x, axis=2)
        terms = [np.mean(off**2), np.sum(gram**2) / 1e4, sum(np.mean(abs(s) ** 2.5) for s in steps)]
        gradient = 2 * off / x.size + (4 * flat @ gram / len(flat) / 1e4).reshape(x.shape)
        for axis, step in enumerate(steps, start=1):
            slope = 2.5 * abs(step) ** 1.5 * np.sign(step) / step.size
            before, after = [(0, 0)] * 4, [(0, 0)] * 4
            before[axis], after[axis] = (1, 0), (0, 1)
            gradient += np.pad(slope, before) - np.pad(slope, after)
        if bad in range(3):
            terms[bad] = np.nan
        if bad == "gradient":
            gradient[0, 0, 0, 0] = np.inf
        return np.array(terms, np.float32), gradient.astype(np.float32)

    return evaluate


faults = {}
RUNS = Path(__file__).parent.parent / "style_transfer" / "runs"
WATCHED = ("evaluator.py", *(str(file) for file in RUNS.glob("*.py")))
evaluations = itertools.count()
prefix = Path()


def send(*signals):
    for number in signals:
        os.kill(os.getpid(), number)
        time.sleep(0.3)  # the program's listener is a thread


def send_twice():
    send(signal.SIGINT)
    time.sleep(ONE_WISH)
    send(signal.SIGINT)
    time.sleep(20)  # an evaluation in flight: the program must not wait for it
    print("survived")


def fill_disk():
    """Use up what is left of the file system the run writes to."""
    with (prefix.parent / "ballast").open("wb", buffering=0) as file:
        while True:
            try:
                file.write(bytes(4096))
            except OSError:
                return


def limit_files():
    """From now on, writing a file beyond 1000 bytes, or than the journal has now, is an error."""
    journal = Path(f"{prefix}_state/journal")
    size = journal.stat().st_size if "evaluation" in faults else 0
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 1000, resource.RLIM_INFINITY))


FAULTS = {
    "interrupt": lambda: send(signal.SIGINT),
    "terminate": lambda: send(signal.SIGTERM),
    "terminate group and child": lambda: send(signal.SIGTERM, signal.SIGTERM),
    "interrupt twice": send_twice,
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "vanish": lambda: shutil.rmtree(prefix.parent),
    "fill disk": fill_disk,
    "limit files": limit_files,
    "content": lambda: 0,
    "style": lambda: 1,
    "total_variation": lambda: 2,
    "gradient": lambda: "gradient",
}


def watch_openings():
    openings = itertools.count(1)

    def hook(event, arguments):
        hit = event == "open" and str(arguments[0]).endswith(faults["open"])
        if hit and next(openings) == faults["nth"]:
            FAULTS[faults["do"]]()

    sys.addaudithook(hook)


def watch_lines():
    """Count the lines executed in runs/ and evaluator.py; be killed at one."""
    lines = itertools.count(1)

    def trace(frame, event, argument):
        if not frame.f_code.co_filename.endswith(WATCHED):
            return None
        if event == "line":
            watch_lines.last = next(lines)
            if watch_lines.last == faults.get("line"):
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)


def run(chosen: dict, arguments: list[str]) -> int:
    """The program's exit code."""
    global prefix
    faults.update(chosen)
    prefix = Path(arguments[1] if arguments[0] == "--resume" else arguments[2])
    if "open" in faults:
        watch_openings()
    if "alarm" in faults:
        signal.setitimer(signal.ITIMER_REAL, faults["alarm"])
    if "clock" in faults:
        clock = itertools.count(2e9, -3600)
        time.time = lambda: next(clock)
    if "line" in faults or "count" in faults:
        watch_lines()
    code = neural_style_transfer.main(arguments, objectives=light_objectives)
    sys.settrace(None)
    if "count" in faults:
        Path(faults["count"]).write_text(str(watch_lines.last))
    return code


def leave(chosen: dict, arguments: list[str]) -> None:
    """Run the program and end this process, without the second that TensorFlow's own end takes."""
    try:
        code = run(chosen, arguments)
    except SystemExit as stop:
        code = stop.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code & 255)


def serve() -> None:
    """Run the program again and again, each time in a fork that starts with all imports done.

    Reads lines of JSON, [faults, arguments, file for standard output, file for standard error];
    prints the process's id, and its exit code when it has ended.
    """
    import keras  # noqa: F401
    import scipy.optimize  # noqa: F401

    import evaluator  # noqa: F401
    import style_transfer.arguments
    import style_transfer.memory
    import style_transfer.runs.opening  # noqa: F401

    for line in sys.stdin:
        chosen, command, *files = json.loads(line)
        process = os.fork()
        if not process:
            for number, file in enumerate(files, start=1):
                os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
            leave(chosen, command)
        print(process, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve()
    else:
        sys.exit(run(json.loads(sys.argv[1]), sys.argv[2:]))
