"""The contract of `style_transfer.backends` for JAX."""

import contextlib
from collections.abc import Callable

import jax
from keras import ops

# On a processor, XLA computes convolutions more slowly in bfloat16 than in float32: 0.43 s per
# evaluation instead of 0.33 (300 x 200 pixels, with units for bfloat16).
BFLOAT16_UNITS_HELP = False
JIT_COMPILE = True  # otherwise each operation is compiled separately


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
    """The function, compiled once per shape of its arguments."""
    return jax.jit(function)


def isolated(function: Callable) -> Callable:
    """The function itself: JAX does not keep given gradients."""
    return function


def allocation_failed(error: BaseException) -> bool:
    """Whether an exception means that memory ran out."""
    return isinstance(error, jax.errors.JaxRuntimeError) and (
        "RESOURCE_EXHAUSTED" in str(error) or "out of memory" in str(error).lower()
    )


def float64() -> contextlib.AbstractContextManager:
    """A context in which "float64" means float64, and not float32."""
    return jax.enable_x64(True)


def eigh(matrix) -> tuple:
    """Eigenvalues and eigenvectors of a symmetric matrix, by LAPACK."""
    return ops.eigh(matrix)


def graded_eigh(matrix) -> tuple:
    """Like `eigh`, in float64: LAPACK's divide and conquer has errors relative to the largest."""
    return tuple(ops.cast(found, "float32") for found in eigh(ops.cast(matrix, "float64")))
