"""Exports a network for other programs with Keras's own export: ONNX or LiteRT."""

import importlib.util
import io
import os
import tempfile
import warnings
import zipfile
from pathlib import Path

from style_transfer.errors import InputError
from style_transfer.feedforward.about import PROGRAM
from style_transfer.feedforward.files import check_apart, check_ours
from style_transfer.paths import check_writable_at, existing_file, expanded
from style_transfer.runs.files import TEMPORARY, write_whole

FORMATS = {".onnx": "onnx", ".tflite": "litert"}
# The packages that Keras needs for a format, by backend.
PACKAGES = {
    ("tensorflow", "onnx"): ("tf2onnx", "onnx"),
    ("torch", "onnx"): ("onnx", "onnxscript"),
    ("jax", "onnx"): ("tf2onnx", "onnx", "tensorflow"),
    ("tensorflow", "litert"): ("tensorflow",),
}


def _onnx_mark() -> bytes:
    """An entry of a model's `metadata_props`, field 14 of onnx.proto's ModelProto.

    Protobuf reads bytes that are appended to a message as more entries of a repeated field.
    """

    def field(number: int, value: bytes) -> bytes:
        assert len(value) < 128  # the length is one byte
        return bytes([number << 3 | 2, len(value)]) + value

    return field(14, field(1, b"Software") + field(2, PROGRAM.encode()))


def _litert_mark() -> bytes:
    """A zip archive, which LiteRT's models carry as metadata at their end."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(zipfile.ZipInfo("software.txt"), PROGRAM)
    return archive.getvalue()


# Appended to a file, so that --overwrite recognizes it.
MARKS = {"onnx": _onnx_mark, "litert": _litert_mark}


def export_network(
    model: str | os.PathLike, out: str | os.PathLike, overwrite: bool = False
) -> Path:
    """Write a network in the format given by OUT's ending.

    Returns:
        The path of the file.

    Raises:
        InputError: an argument cannot be used, or a package is missing.
    """
    source = existing_file(model, "MODEL").absolute()
    target = expanded(out, "OUT").absolute()
    if target.suffix not in FORMATS or target.is_dir():
        raise InputError(
            f"OUT: expected a name that ends in {' or '.join(FORMATS)}. "
            f"Received: {os.fspath(out)!r}"
        )
    check_writable_at(target, "OUT", TEMPORARY)
    check_apart([target], [("MODEL", source)], "OUT")
    if os.path.lexists(target):
        check_ours(target, "OUT")
        if not overwrite:
            raise InputError(
                f"OUT: expected a name without a file, or --overwrite. Received: {str(target)!r}"
            )
    from style_transfer.backends import start

    start()
    import keras

    backend, form = keras.backend.backend(), FORMATS[target.suffix]
    packages = PACKAGES.get((backend, form))
    if packages is None:
        raise InputError(f"OUT: expected another format on {backend}. Received: {str(target)!r}")
    missing = [name for name in packages if not importlib.util.find_spec(name)]
    if missing:
        raise InputError(
            f"OUT: expected the package {missing[0]} for {target.suffix}; "
            "pip install -r requirements-export.txt"
        )
    with tempfile.TemporaryDirectory(prefix="nst-fast-") as folder:
        written = Path(folder, f"network{target.suffix}")
        _export(source, written, form)
        content = written.read_bytes() + MARKS[form]()
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, lambda file: file.write(content))
    return target


def _export(source: Path, path: Path, form: str) -> None:
    """Let Keras write a network that takes pictures of any size, if the format supports it.

    Raises:
        InputError: this version of Keras does not know the format.
    """
    import keras

    from style_transfer.feedforward.model_file import read_network

    network = read_network(source)
    signature = [keras.InputSpec(shape=(1, None, None, 3), dtype="float32", name="photograph")]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the converters' libraries warn
            network.export(str(path), format=form, verbose=False, input_signature=signature)
    except (TypeError, ValueError) as error:
        if path.exists() or "format" not in str(error):
            raise
        raise InputError(
            f"OUT: expected a version of Keras that exports {form}: pip install -U keras. "
            f"Received: {keras.__version__}"
        ) from None
