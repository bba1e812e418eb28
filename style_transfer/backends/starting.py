"""The start of Keras and its backend: quiet, and with faults of the installation in one line."""

import contextlib
import importlib
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from style_transfer.errors import InputError

BACKENDS = ("tensorflow", "torch", "jax")
# One operation at a time, always in the same order, each on all cores. TensorFlow starts a sum of
# three or more gradients with whichever of them has a free buffer for the result; with several
# operations at a time that varies, and with it the last bits of the sum.
# TensorFlow's log on standard error is silenced; errors are also exceptions.
ENVIRONMENT = {"TF_NUM_INTEROP_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
_started: list[str] = []  # the backend that has been started


def start() -> None:
    """Import Keras with its backend and trigger device discovery, without any of their output.

    After this call, modules that import Keras can be imported. A second call does nothing.

    Raises:
        InputError: the backend is unknown or not installed, or keras.json cannot be used.
    """
    if _started:
        return
    _check_configuration()
    before = set(sys.modules)
    try:
        with _captured_stderr(), _environment(ENVIRONMENT):
            _started.append(_import_keras())
    except BaseException:
        # Otherwise a half-imported Keras would not read its settings again.
        for name in set(sys.modules) - before:
            if name.split(".")[0] == "keras":
                del sys.modules[name]
        raise


def _check_configuration() -> None:
    """Refuse a keras.json that Keras would silently ignore, along with the backend it names."""
    file = _configuration_file()
    try:
        json.loads(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{file}: expected a configuration of Keras that can be read. Received: {reason}"
        ) from None


def _import_keras() -> str:
    """Import Keras and trigger device discovery; returns the backend's name."""
    try:
        import keras

        backend = keras.backend.backend()
        if backend in BACKENDS:
            keras.ops.zeros((), dtype="float32")  # devices are looked for at the first tensor
            return backend
    except Exception as error:
        raise InputError(_fault_of_installation(error)) from error
    raise InputError(_backend_expected(backend))


def _fault_of_installation(error: Exception) -> str:
    """What is wrong with the user's installation, in one line."""
    config = sys.modules.get("keras.src.backend.config")
    backend = getattr(config, "_BACKEND", None)
    reason = " ".join(f"{error}".split())
    if isinstance(error, ModuleNotFoundError) and error.name:
        missing = error.name.split(".")[0]
        if missing in (*BACKENDS, "jaxlib"):
            return _backend_expected(backend or missing)  # Keras may need it before its settings
        expected = "version 3, installed" if missing == "keras" else "to be installed"
        return f"{missing}: expected {expected}. Received: {reason}"
    if "backend" in reason and backend is not None and backend not in BACKENDS:
        return _backend_expected(backend)
    # Libraries that do not fit the machine or each other fail to import, each in its own way.
    if isinstance(error, ImportError) or not _raised_in(error, ("backend", "config.py")):
        kind = "" if isinstance(error, ImportError) else f"{type(error).__name__}: "
        return (
            f"{backend or 'keras'}: expected an installation that can be imported. "
            f"Received: {kind}{reason}"
        )
    for name in ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH"):
        if not os.environ.get(name, "0").strip().isdecimal():
            return f"{name}: expected a whole number. Received: {os.environ[name]!r}"
    return (
        f"{_configuration_file()}: expected a configuration of Keras that can be read. "
        f"Received: {reason or _content_of_configuration()}"
    )


def _content_of_configuration() -> str:
    """The start of keras.json, for versions of Keras that refuse it without a message."""
    try:
        return repr(_configuration_file().read_text(errors="replace")[:200])
    except OSError as error:
        return str(error)


def _backend_expected(received: object) -> str:
    """The error about a backend that cannot be used, which names where it was chosen."""
    if os.environ.get("KERAS_BACKEND"):
        where = "KERAS_BACKEND"
    elif isinstance(received, str) and received in BACKENDS:
        where = "KERAS_BACKEND or keras.json"
    else:
        where = str(_configuration_file())
    installed = " or ".join(filter(_installed, BACKENDS))
    return (
        f"{where}: expected a backend that is installed, {installed or 'but none is'}. "
        f"Received: {received!r}" + (", which is not installed" if received in BACKENDS else "")
    )


def _installed(name: str) -> bool:
    """Whether a package can be found."""
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False


def _configuration_file() -> Path:
    """The file of Keras's configuration, by the rule in keras/src/backend/config.py."""
    if "KERAS_HOME" in os.environ:
        folder = os.environ["KERAS_HOME"]
    else:
        home = os.path.expanduser("~")  # noqa: PTH111 (Path.expanduser fails without a home)
        folder = f"{home if os.access(home, os.W_OK) else '/tmp'}/.keras"
    return Path(os.path.expanduser(folder)) / "keras.json"  # noqa: PTH111


def _raised_in(error: BaseException, ending: tuple[str, ...]) -> bool:
    """Whether an exception passed through a file whose path ends in these parts."""
    traceback = error.__traceback__
    while traceback is not None:
        file = Path(traceback.tb_frame.f_code.co_filename)
        if file.parts[-len(ending) :] == ending:
            return True
        traceback = traceback.tb_next
    return False


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables, except those that the user has set, while this is open."""
    added = [name for name in values if name not in os.environ]
    os.environ |= {name: values[name] for name in added}
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextlib.contextmanager
def _captured_stderr() -> Iterator[None]:
    """Hide what libraries write to standard error, even below Python.

    TensorFlow prints notes on its build before any log level takes effect. They are shown if the
    import ends in anything but an InputError. If there is no standard error to capture (pythonw, a
    closed descriptor), nothing is hidden.
    """
    with contextlib.ExitStack() as stack:
        try:
            if sys.stderr is not None:
                sys.stderr.flush()
            held = stack.enter_context(tempfile.TemporaryFile())
            stderr = os.dup(2)
            stack.callback(os.close, stderr)
            os.dup2(held.fileno(), 2)
            stack.callback(os.dup2, stderr, 2)
        except (OSError, ValueError):
            yield
            return
        try:
            yield
        except (InputError, KeyboardInterrupt):
            raise
        except BaseException:
            held.seek(0)
            os.write(stderr, held.read())
            raise
