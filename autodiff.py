"""Gradients: the only file that knows an automatic differentiation backend."""

import os
from collections.abc import Callable

# One operation after another, always in the same order, each on all cores: TensorFlow's sum of three
# gradients and more begins with whichever of them has a buffer free for the result. With several
# operations at a time that is not always the same, nor are the last bits of the sum.
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import keras
import numpy as np
from keras import ops


def with_gradient(function: Callable, gradient_of: Callable) -> Callable:
    """A function whose gradient is given instead of derived.

    TensorFlow keeps such gradients for good, and with them the graph they are in with all that it
    captured. So each is in a graph of its own, which captures nothing; it is made once a shape.

    Args:
        function: from a tensor x, and constants, to a tensor.
        gradient_of: from the gradient by what it returns, and the constants, to the gradient by x.

    Returns:
        A function of x and constants. To be made once for a module, not for each use.
    """

    def differentiated(x, *constants):
        @ops.custom_gradient
        def differentiable(x):
            def backward(*gradients, upstream=None):
                # PyTorch gives x as well, and the gradient by name.
                gradient = gradients[0] if upstream is None else upstream
                return gradient_of(gradient, *constants)

            return function(x, *constants), backward

        return differentiable(x)

    if keras.backend.backend() != "tensorflow":
        return differentiated
    import tensorflow as tf

    # Functions are compiled for several shapes on purpose; TensorFlow warns of that.
    tf.get_logger().setLevel("ERROR")
    return tf.function(differentiated, autograph=False)


def value_and_grad(terms: Callable, stages: list[tuple[Callable, Callable]] = ()) -> Callable:
    """Compile a sum of terms with its gradient with respect to their first argument.

    In TensorFlow the terms of a stage are computed on the way back, when the gradient from all
    deeper stages is there. It would else compute all of them, and their gradients, as soon as it
    can, and keep those until they are added up: of Gram matrices, each as large as the features.

    Args:
        terms: from a tensor x (float32), and others if it takes them, to a vector.
        stages: (function, terms) in order: the first function takes x, each other one what the one
            before returns; the terms are of what it returns, and add to the vector.

    Returns:
        A function from NumPy arrays to (terms, gradient of Σ terms), NumPy arrays.
    """
    backend = keras.backend.backend()

    def summed(x, *others):
        total = terms(x, *others)
        for function, further in stages:
            x = function(x)
            total = total + further(x, *others)
        return total

    if backend == "tensorflow":
        import tensorflow as tf

        def differentiated(function, x, *others):
            with tf.GradientTape() as tape:
                tape.watch(x)
                result = function(x, *others)
            return result, lambda gradient=None: tape.gradient(result, x, gradient)

        @tf.function(autograph=False)  # translating plain Python would take seconds
        def compiled(x, *others):
            there = [(x, terms, None)]
            for function, further in stages:
                x, way_back = differentiated(function, x)
                there.append((x, further, way_back))
            total, gradient = 0.0, None
            for x, terms_of, way_back in reversed(there):
                if gradient is not None:
                    with tf.control_dependencies([gradient]):
                        x = tf.identity(x)
                values, slope_of = differentiated(terms_of, x, *others)
                total += values
                if (slope := slope_of()) is not None:  # there may be no part here
                    gradient = slope if gradient is None else gradient + slope
                if way_back and gradient is not None:
                    gradient = way_back(gradient)
            return total, gradient

    elif backend == "jax":
        import jax

        def total(x, *others):
            values = summed(x, *others)
            return values.sum(), values

        differentiated = jax.jit(jax.value_and_grad(total, has_aux=True))

        def compiled(x, *others):
            (_, values), gradient = differentiated(x, *others)
            return values, gradient

    else:
        import torch

        def compiled(x, *others):
            x.requires_grad_()
            values = summed(x, *others)
            return values.detach(), torch.autograd.grad(values.sum(), x)[0]

    def evaluate(*arrays: np.ndarray):
        values, gradient = compiled(*map(ops.convert_to_tensor, arrays))
        return ops.convert_to_numpy(values), ops.convert_to_numpy(gradient)

    return evaluate
