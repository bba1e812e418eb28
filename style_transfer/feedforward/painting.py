"""Paints a photograph with a network, whole or in strips, as memory allows."""

import numpy as np
from keras import ops

from style_transfer import backends
from style_transfer.feedforward.network import StyleNetwork
from style_transfer.feedforward.streaming import streamed
from style_transfer.machine import usable_memory

WHOLE_BYTES = 40  # per pixel and channel of the first layer; measured, see docs/fast.md
GIB = 2**30


def painted(network: StyleNetwork, pixels: np.ndarray, memory: float = 0) -> np.ndarray:
    """The network's picture of a photograph.

    Args:
        network: the network, in float32.
        pixels: the photograph, uint8 (H, W, 3), of at least 16 x 16 pixels.
        memory: GiB to use at most; 0: half of what the machine or container has available.

    Returns:
        RGB 0..255, float32 (H, W, 3).

    Raises:
        OutOfMemory: the backend cannot allocate memory.
    """
    rows, columns = pixels.shape[:2]
    needed, usable = WHOLE_BYTES * network.width * rows * columns, usable_memory()
    limit = memory * GIB or (usable / 2 if usable else 2 * GIB)
    with backends.memory_for(f"a picture of {columns} x {rows} pixels"):
        if needed > limit:
            return streamed(network, pixels)
        return ops.convert_to_numpy(network(pixels[None]))[0]
