"""Training a style network: a `keras.Model` whose loss is the script's, and its `fit`."""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import ops

from style_transfer import backends
from style_transfer.events import TERMS
from style_transfer.feedforward.network import StyleNetwork

# Adam's epsilon; the default is for gradients of order 1. See also adam.py.
EPSILON = 1e-8


class StyleTraining(keras.Model):
    """The training of a style network; only the network itself is saved.

    Args:
        network: the network to train.
        loss: a `BatchLoss`: takes photographs and the network's pictures of them, RGB 0..255,
            (B, H, W, 3); returns the terms of their loss, (3,), in the order of `TERMS`.
        rate: Adam's initial learning rate.
    """

    def __init__(self, network: StyleNetwork, loss: Callable, rate: float):
        super().__init__(name="training")
        self.network, self.terms_of = network, loss
        self.parts = [keras.metrics.Mean(name=name) for name in TERMS]
        self.compile(
            optimizer=keras.optimizers.Adam(rate, epsilon=EPSILON),
            jit_compile=backends.jit_compile(),
        )
        self.built = True  # as the network is
        self.optimizer.build(self.trainable_variables)  # so that a backup can be read before step 1

    def call(self, photographs):
        return self.network(photographs)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The loss of a batch; enters its terms into the metrics of the same names."""
        terms = self.terms_of(x, y_pred)
        for number, part in enumerate(self.parts):
            part.update_state(terms[number])
        return ops.sum(terms)
