"""The contract of `style_transfer.backends` for TensorFlow."""

import contextlib
from collections.abc import Callable

import tensorflow as tf

BFLOAT16_UNITS_HELP = True
JIT_COMPILE = False  # XLA has no fast convolutions on a processor


def compiled(terms: Callable, stages: tuple[tuple[Callable, Callable], ...]) -> Callable:
    """From tensors to (terms, gradient); see `value_and_grad`.

    The terms of a stage are computed in the backward pass, once the gradient from all deeper stages
    has arrived. Otherwise TensorFlow would compute all of them and their gradients as early as it
    can, and keep the gradients until it adds them up; those of Gram matrices are each as large as
    the features.
    """
    # Without autograph, which would spend seconds on translating plain Python.
    return tf.function(_Evaluation(terms, stages), autograph=False)


class _Evaluation:
    """Terms and gradient, for tracing.

    This is an object because TensorFlow counts and warns of repeated tracings of the same code: a
    nested function would be the same code for every objective.
    """

    def __init__(self, terms: Callable, stages: tuple[tuple[Callable, Callable], ...]):
        self.terms = terms
        self.stages = stages

    def __call__(self, x, *others):
        seen, backward = [(x, self.terms)], [None]
        for function, terms in self.stages:
            x, slope_of = _differentiated(function, x)
            seen.append((x, terms))
            backward.append(slope_of)
        total, gradient = 0.0, None
        for (x, terms), slope_of in zip(reversed(seen), reversed(backward), strict=True):
            values, gradient = _with_terms_of(terms, x, gradient, others)
            total += values
            if slope_of and gradient is not None:
                gradient = slope_of(gradient)
        return total, gradient


def _with_terms_of(terms: Callable, x, gradient, others: tuple) -> tuple:
    """(terms of x, their gradient with respect to x plus `gradient`, that of all deeper stages)."""
    if gradient is not None:
        with tf.control_dependencies([gradient]):
            x = tf.identity(x)
    values, slope_of = _differentiated(terms, x, *others)
    slope = slope_of()
    if slope is None:  # no part of the loss uses this stage
        return values, gradient
    return values, slope if gradient is None else gradient + slope


def _differentiated(function: Callable, x, *others) -> tuple:
    """(the function's result, a function from its gradient to the gradient with respect to x)."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        result = function(x, *others)
    return result, lambda gradient=None: tape.gradient(result, x, gradient)


def forward(function: Callable) -> Callable:
    """The function, compiled once per shape of its arguments."""
    compiled = _Isolated(function)
    return lambda *arrays: compiled(*map(tf.convert_to_tensor, arrays))


def isolated(function: Callable) -> Callable:
    """The function in its own graphs, one per shape, which capture nothing.

    TensorFlow keeps given gradients forever, and with them their graph and everything it captured,
    such as the filters of a network that is no longer used.
    """
    return _Isolated(function)


class _Isolated:
    """A function compiled once for each signature.

    A single `tf.function` would do the same, but warn about being traced for several shapes.
    """

    def __init__(self, function: Callable):
        self.function = function
        self.graphs = {}

    def __call__(self, *arguments):
        signature = tuple(map(_signature, arguments))
        if signature not in self.graphs:
            self.graphs[signature] = tf.function(_Untracked(self.function), autograph=False)
        return self.graphs[signature](*arguments)


class _Untracked:
    """A function under its own name, for TensorFlow's count of tracings."""

    def __init__(self, function: Callable):
        self.function = function

    def __call__(self, *arguments):
        return self.function(*arguments)


def _signature(argument):
    """The key of a graph: a tensor's shape and type, or any other value itself."""
    if tf.is_tensor(argument):
        return tuple(argument.shape), argument.dtype
    return argument


def allocation_failed(error: BaseException) -> bool:
    """Whether an exception means that memory ran out."""
    return isinstance(error, tf.errors.ResourceExhaustedError)


def float64() -> contextlib.AbstractContextManager:
    """Nothing to do: TensorFlow has float64 tensors."""
    return contextlib.nullcontext()


def eigh(matrix) -> tuple:
    """Eigenvalues and eigenvectors of a symmetric matrix.

    NumPy's LAPACK takes a third less time on one thread (28 instead of 43 ms of processor time for
    512 x 512 values), but under load two of its threads wait for each other for most of a second.
    """
    return tf.linalg.eigh(matrix)


def graded_eigh(matrix) -> tuple:
    """Eigenvalues and eigenvectors of a graded float32 matrix.

    Eigen's QR iterations respect the order of a matrix that decreases from the first row (in the
    other direction errors are ten times as large), and take half the time of those in float64. On a
    GPU, TensorFlow uses divide and conquer, whose errors are relative to the largest eigenvalue.
    """
    with tf.device("CPU"):
        return tf.linalg.eigh(matrix)
