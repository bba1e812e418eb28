"""One contract for Keras's three backends: gradients, memory, precision, and a quiet start.

Each file beside this one fulfills the contract for one backend, and no other file names a backend:

    compiled(terms, stages)   from tensors to (terms, gradient with respect to the first tensor)
    forward(function)         the function of tensors, compiled without a gradient
    isolated(function)        the function, in a form that does not keep its captures forever
    allocation_failed(error)  whether an exception means that memory ran out
    float64()                 a context in which tensors of float64 exist
    eigh(matrix)              eigenvalues, smallest first, and eigenvectors, in the matrix's type
    graded_eigh(matrix)       likewise for a graded float32 matrix
    BFLOAT16_UNITS_HELP       whether bfloat16 is faster on a processor with units for it
    JIT_COMPILE               whether Keras should compile training steps

This file itself imports neither Keras nor a backend; `start` does so quietly.
"""

import contextlib
import importlib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from types import ModuleType

import numpy as np

from style_transfer.backends.starting import start
from style_transfer.errors import OutOfMemory

__all__ = [
    "bfloat16_units_help",
    "eigh",
    "float64",
    "graded_eigh",
    "jit_compile",
    "memory_for",
    "start",
    "value_and_grad",
    "values_of",
    "with_gradient",
]


@cache
def _contract() -> ModuleType:
    """The file of this folder that fulfills the contract for Keras's backend."""
    start()
    import keras

    return importlib.import_module(f"{__name__}.{keras.backend.backend()}")


def value_and_grad(
    terms: Callable, stages: Sequence[tuple[Callable, Callable]] = ()
) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """Compile a sum of terms together with its gradient with respect to their first argument.

    Args:
        terms: takes a tensor x (float32), and other tensors if it needs them; returns a vector.
        stages: pairs (function, terms), in order. The first function takes x, each later one the
            result of the one before. A stage's terms take its function's result; they are added to
            the vector.

    Returns:
        A function that takes NumPy arrays and returns (vector, gradient of the vector's sum) as
        NumPy arrays. It raises OutOfMemory, a RunStopped, if the backend cannot allocate memory.
    """
    contract = _contract()
    compiled = contract.compiled(terms, tuple(stages))

    def evaluate(*arrays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        from keras import ops

        size = " × ".join(map(str, arrays[0].shape[1:3]))
        with memory_for(f"loss and gradient of {size} pixels"), contract.float64():
            values, gradient = compiled(*map(ops.convert_to_tensor, arrays))
            return ops.convert_to_numpy(values), ops.convert_to_numpy(gradient)

    return evaluate


def values_of(function: Callable) -> Callable[..., list[np.ndarray]]:
    """Compile a function of tensors without a gradient.

    Args:
        function: takes tensors and returns a list of tensors.

    Returns:
        A function from NumPy arrays to a list of NumPy arrays; it raises OutOfMemory.
    """
    contract = _contract()
    forward = contract.forward(function)

    def evaluate(*arrays: np.ndarray) -> list[np.ndarray]:
        from keras import ops

        size = " × ".join(map(str, arrays[0].shape[1:3]))
        with memory_for(f"the features of {size} pixels"):
            return [ops.convert_to_numpy(value) for value in forward(*arrays)]

    return evaluate


def with_gradient(function: Callable, gradient_of: Callable) -> Callable:
    """A function with a given gradient instead of the derived one.

    Args:
        function: takes a tensor x and constants, and returns a tensor.
        gradient_of: takes the gradient with respect to the function's result, and the constants;
            returns the gradient with respect to x.

    Returns:
        A function of x and constants. Make it once per module, not once per use: a backend may keep
        it forever.
    """
    from keras import ops

    def differentiable(x, *constants):
        @ops.custom_gradient
        def of_x(x):
            def backward(*gradients, upstream=None):
                # PyTorch passes x as well, and the gradient by name.
                gradient = gradients[0] if upstream is None else upstream
                return gradient_of(gradient, *constants)

            return function(x, *constants), backward

        return of_x(x)

    return _contract().isolated(differentiable)


@contextlib.contextmanager
def memory_for(what: str) -> Iterator[None]:
    """Turn a failed allocation into OutOfMemory, with one line that names `what`."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, MemoryError) and not _contract().allocation_failed(error):
            raise
        raise OutOfMemory(
            f"not enough memory for {what}: a smaller --height or --size needs less"
        ) from error


def float64() -> contextlib.AbstractContextManager:
    """A context in which float64 tensors exist; outside of it, JAX makes them float32."""
    return _contract().float64()


def eigh(matrix) -> tuple:
    """Eigenvalues (n,), smallest first, and eigenvectors (n, n) of a symmetric matrix (n, n).

    The gradient treats them as constant.
    """
    from keras import ops

    return _contract().eigh(ops.stop_gradient(matrix))


def graded_eigh(matrix) -> tuple:
    """Like `eigh`, for a symmetric float32 matrix whose rows and columns decrease from the first.

    Small eigenvalues are exact relative to the rows from which they come, not only relative to the
    largest eigenvalue.
    """
    from keras import ops

    return _contract().graded_eigh(ops.stop_gradient(matrix))


def bfloat16_units_help() -> bool:
    """Whether the backend computes faster in bfloat16 on a processor with units for it."""
    return _contract().BFLOAT16_UNITS_HELP


def jit_compile() -> bool:
    """Whether `keras.Model.compile` should have the backend compile training steps."""
    return _contract().JIT_COMPILE
