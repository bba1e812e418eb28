"""The contract of `style_transfer.backends` for PyTorch."""

import contextlib
from collections.abc import Callable

import torch
from keras import ops

BFLOAT16_UNITS_HELP = True
JIT_COMPILE = False  # torch.compile would need a C++ compiler


def compiled(terms: Callable, stages: tuple[tuple[Callable, Callable], ...]) -> Callable:
    """From tensors to (terms, gradient); see `value_and_grad`. Nothing is compiled: it is eager."""

    def evaluate(x, *others):
        x = x.detach().requires_grad_()
        features, total = x, terms(x, *others)
        for function, further in stages:
            features = function(features)
            total = total + further(features, *others)
        return total.detach(), torch.autograd.grad(total.sum(), x)[0]

    return evaluate


def forward(function: Callable) -> Callable:
    """The function, without the graph that a gradient needs."""

    def evaluate(*arrays):
        with torch.no_grad():
            return function(*map(ops.convert_to_tensor, arrays))

    return evaluate


def isolated(function: Callable) -> Callable:
    """The function itself: a graph lives only as long as its evaluation."""
    return function


def allocation_failed(error: BaseException) -> bool:
    """Whether an exception means that memory ran out; on a processor, only its text shows it."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def float64() -> contextlib.AbstractContextManager:
    """Nothing to do: PyTorch has float64 tensors."""
    return contextlib.nullcontext()


def eigh(matrix) -> tuple:
    """Eigenvalues and eigenvectors of a symmetric matrix, by LAPACK."""
    return ops.eigh(matrix)


def graded_eigh(matrix) -> tuple:
    """Like `eigh`, in float64: LAPACK's divide and conquer has errors relative to the largest."""
    return tuple(ops.cast(found, "float32") for found in eigh(ops.cast(matrix, "float64")))
