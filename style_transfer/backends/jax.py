"""The contract of `style_transfer.backends` for JAX."""

import contextlib
from collections.abc import Callable

import jax
from keras import ops

# XLA computes convolutions in bfloat16 on a processor more slowly than in float32: 0.43 s an
# evaluation instead of 0.33 (300 x 200 pixels, with units for bfloat16).
BFLOAT16_UNITS_HELP = False
JIT_COMPILE = True  # otherwise each operation is compiled by itself


def compiled(terms: Callable, stages: tuple[tuple[Callable, Callable], ...]) -> Callable:
    """From tensors to (terms, gradient); see `value_and_grad`."""

    def total(x, *others):
        values = terms(x, *others)
        for function, further in stages:
            x = function(x)
            values = values + further(x, *others)
        return values.sum(), values

    differentiated = jax.jit(jax.value_and_grad(total, has_aux=True))

    def evaluate(x, *others):
        (_, values), gradient = differentiated(x, *others)
        return values, gradient

    return evaluate


def forward(function: Callable) -> Callable:
    """The function, compiled for each shape of what it gets."""
    return jax.jit(function)


def isolated(function: Callable) -> Callable:
    """The function itself: JAX keeps no gradient that was given."""
    return function


def allocation_failed(error: BaseException) -> bool:
    """Whether an exception means that memory ran out."""
    return isinstance(error, jax.errors.JaxRuntimeError) and (
        "RESOURCE_EXHAUSTED" in str(error) or "out of memory" in str(error).lower()
    )


def float64() -> contextlib.AbstractContextManager:
    """A context in which "float64" is taken at its word, and not as float32."""
    return jax.enable_x64(True)


def eigh(matrix) -> tuple:
    """Eigenvalues and eigenvectors of a symmetric matrix, by LAPACK."""
    return ops.eigh(matrix)


def graded_eigh(matrix) -> tuple:
    """As `eigh`, in float64: LAPACK divides and conquers, with errors relative to the largest."""
    return tuple(ops.cast(found, "float32") for found in eigh(ops.cast(matrix, "float64")))
