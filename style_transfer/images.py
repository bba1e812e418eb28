"""Images of the network's world, float32 (1, H, W, 3), at other sizes."""

import numpy as np
from PIL import Image


def resize_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An image at another size, bicubic.

    Args:
        image: float32 (1, H, W, 3); values may lie outside those of pixels.
        size: (rows, columns).

    Returns:
        float32 (1, rows, columns, 3); `image` itself where it has that size.
    """
    if image.shape[1:3] == size:
        return image
    channels = [
        Image.fromarray(image[0, :, :, channel]).resize(size[::-1], Image.Resampling.BICUBIC)
        for channel in range(3)
    ]
    return np.stack([np.asarray(channel) for channel in channels], axis=-1)[np.newaxis]
