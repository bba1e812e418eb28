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


def with_gradient(function: Callable, gradient_of: Callable, x):
    """function(x), whose gradient is given instead of derived.

    Args:
        function: from a tensor to a tensor.
        gradient_of: from the gradient by function(x) to the gradient by x.
        x: a tensor.
    """

    @ops.custom_gradient
    def differentiable(x):
        def backward(*gradients, upstream=None):
            # PyTorch gives x as well, and the gradient by name.
            return gradient_of(gradients[0] if upstream is None else upstream)

        return function(x), backward

    return differentiable(x)


def value_and_grad(fn: Callable) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """Compile a function with the gradient of its sum with respect to its first argument.

    Args:
        fn: from a tensor (float32), and others if it takes them, to a vector of terms.

    Returns:
        A function from NumPy arrays to (terms, gradient of Σ terms), NumPy arrays.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        # Several functions are compiled on purpose; TensorFlow warns of that.
        tf.get_logger().setLevel("ERROR")

        @tf.function(autograph=False)  # translating plain Python would take seconds
        def compiled(x, *others):
            with tf.GradientTape() as tape:
                tape.watch(x)
                terms = fn(x, *others)
            return terms, tape.gradient(terms, x)

    elif backend == "jax":
        import jax

        def total(x, *others):
            terms = fn(x, *others)
            return terms.sum(), terms

        differentiated = jax.jit(jax.value_and_grad(total, has_aux=True))

        def compiled(x, *others):
            (_, terms), gradient = differentiated(x, *others)
            return terms, gradient

    else:
        import torch

        def compiled(x, *others):
            x.requires_grad_()
            terms = fn(x, *others)
            return terms.detach(), torch.autograd.grad(terms.sum(), x)[0]

    def evaluate(*arrays: np.ndarray):
        terms, gradient = compiled(*map(ops.convert_to_tensor, arrays))
        return ops.convert_to_numpy(terms), ops.convert_to_numpy(gradient)

    return evaluate
