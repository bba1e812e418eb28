"""The contract of `style_transfer.backends` for TensorFlow."""

import contextlib
from collections.abc import Callable

import tensorflow as tf

BFLOAT16_UNITS_HELP = True
JIT_COMPILE = False  # XLA has no fast convolutions on a processor


def compiled(terms: Callable, stages: tuple[tuple[Callable, Callable], ...]) -> Callable:
    """From tensors to (terms, gradient); see `value_and_grad`.

    The terms of a stage are computed on the way back, when the gradient from all deeper stages is
    there. Otherwise TensorFlow would compute all of them and their gradients as soon as it can, and
    keep the gradients until it adds them up: those of Gram matrices, each as large as the features.
    """
    # Without autograph: translating plain Python would take seconds.
    return tf.function(_Evaluation(terms, stages), autograph=False)


class _Evaluation:
    """Terms and gradient, to be traced.

    An object, since TensorFlow counts how often a piece of code is traced, and warns of it: a
    function made here would be the same piece of code for every objective.
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
    """(terms of x, gradient by x with theirs added); `gradient` is that of all deeper stages."""
    if gradient is not None:
        with tf.control_dependencies([gradient]):
            x = tf.identity(x)
    values, slope_of = _differentiated(terms, x, *others)
    slope = slope_of()
    if slope is None:  # no part of the loss looks at this stage
        return values, gradient
    return values, slope if gradient is None else gradient + slope


def _differentiated(function: Callable, x, *others) -> tuple:
    """(function of x, function from the gradient by that to the gradient by x)."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        result = function(x, *others)
    return result, lambda gradient=None: tape.gradient(result, x, gradient)


def forward(function: Callable) -> Callable:
    """The function, compiled for each shape of what it gets."""
    compiled = _Isolated(function)
    return lambda *arrays: compiled(*map(tf.convert_to_tensor, arrays))


def isolated(function: Callable) -> Callable:
    """The function in graphs of its own, which capture nothing; one for each shape.

    TensorFlow keeps gradients that are given for good, and with them the graph that they are in,
    with all that it captured: the filters of a network that nobody uses any more.
    """
    return _Isolated(function)


class _Isolated:
    """A function compiled once for each signature.

    One `tf.function` would do the same, but warn of being traced for several shapes.
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
    """A function under a name of its own, for TensorFlow's count of tracings."""

    def __init__(self, function: Callable):
        self.function = function

    def __call__(self, *arguments):
        return self.function(*arguments)


def _signature(argument):
    """What a graph is made for: shape and type of a tensor, any other value itself."""
    if tf.is_tensor(argument):
        return tuple(argument.shape), argument.dtype
    return argument


def allocation_failed(error: BaseException) -> bool:
    """Whether an exception means that memory ran out."""
    return isinstance(error, tf.errors.ResourceExhaustedError)


def float64() -> contextlib.AbstractContextManager:
    """Nothing to do: TensorFlow has tensors of float64."""
    return contextlib.nullcontext()


def eigh(matrix) -> tuple:
    """Eigenvalues and eigenvectors of a symmetric matrix.

    NumPy's LAPACK takes a third less time on one thread (28 and 43 ms of processor time for 512 x
    512 values), but beside other work two of its threads wait for each other for most of a second.
    """
    return tf.linalg.eigh(matrix)


def graded_eigh(matrix) -> tuple:
    """Eigenvalues and eigenvectors of a graded matrix of float32.

    Eigen's QR iterations keep the order of a matrix that falls off from the first row on (in the
    other direction errors are ten times as large), and take half the time of those in float64. What
    TensorFlow has on a GPU divides and conquers, with errors that are relative to the largest
    eigenvalue.
    """
    with tf.device("CPU"):
        return tf.linalg.eigh(matrix)
