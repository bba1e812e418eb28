"""One contract for the three backends of Keras: gradients, memory, precision, and a quiet start.

Each file beside this one fulfills the contract for one backend, and no other file names a backend:

    compiled(terms, stages)   from tensors to (terms, gradient by the first tensor)
    forward(function)         the function of tensors, compiled without a gradient
    isolated(function)        the function, so that what it captures is not kept for good
    allocation_failed(error)  whether an exception means that memory ran out
    float64()                 a context in which tensors of float64 exist
    eigh(matrix)              eigenvalues, smallest first, and eigenvectors, in the matrix's type
    graded_eigh(matrix)       likewise of a graded matrix of float32
    BFLOAT16_UNITS_HELP       whether bfloat16 is the faster one on a processor with units for it
    JIT_COMPILE               whether Keras is to compile a step of training

This file imports neither Keras nor a backend by itself: `start` does, in a way that stays quiet.
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
    """Compile a sum of terms together with its gradient by their first argument.

    Args:
        terms: from a tensor x (float32), and further tensors if it takes them, to a vector.
        stages: pairs (function, terms), in order. The first function takes x, each other one what
            the function before it returns; the terms are of what the function returns, and are
            added to the vector.

    Returns:
        A function from NumPy arrays to (vector, gradient of the vector's sum), NumPy arrays. It
        raises OutOfMemory, a RunStopped, where the backend cannot allocate what it needs.
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
    """Compile a function of tensors whose gradient nobody wants.

    Args:
        function: from tensors to a list of tensors.

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
    """A function whose gradient is given instead of derived.

    Args:
        function: from a tensor x, and constants, to a tensor.
        gradient_of: from the gradient by what the function returns, and the constants, to the
            gradient by x.

    Returns:
        A function of x and constants. Make it once for a module, not once for each use: a backend
        may keep it for good.
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
    """Raise OutOfMemory, in one line that names `what`, where an allocation fails."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, MemoryError) and not _contract().allocation_failed(error):
            raise
        raise OutOfMemory(
            f"not enough memory for {what}: a smaller --height or --size needs less"
        ) from error


def float64() -> contextlib.AbstractContextManager:
    """A context in which tensors of float64 exist: without it, JAX makes them float32."""
    return _contract().float64()


def eigh(matrix) -> tuple:
    """Eigenvalues (n,), smallest first, and eigenvectors (n, n) of a symmetric matrix (n, n).

    Constant to the gradient.
    """
    from keras import ops

    return _contract().eigh(ops.stop_gradient(matrix))


def graded_eigh(matrix) -> tuple:
    """As `eigh`, of a symmetric matrix, float32, whose rows and columns fall off from the first on.

    Small eigenvalues are exact in relation to the rows that they come from, not only to the largest
    eigenvalue.
    """
    from keras import ops

    return _contract().graded_eigh(ops.stop_gradient(matrix))


def bfloat16_units_help() -> bool:
    """Whether the backend computes faster in bfloat16 on a processor with units for it."""
    return _contract().BFLOAT16_UNITS_HELP


def jit_compile() -> bool:
    """Whether `keras.Model.compile` is to have steps of training compiled by the backend."""
    return _contract().JIT_COMPILE
