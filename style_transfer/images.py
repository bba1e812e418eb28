"""Images as the network takes them: float32 (1, H, W, 3), BGR, 0..255 minus ImageNet's mean."""

import numpy as np
from PIL import Image

# Mean color of ImageNet's training pictures, B, G, R, 0..255 (keras.applications, mode "caffe").
IMAGENET_MEAN = np.array([103.939, 116.779, 123.68], dtype=np.float32)
# The range of an image's values: (lowest, highest) for B, G, R.
VALID_RANGE = np.stack([-IMAGENET_MEAN, 255 - IMAGENET_MEAN], axis=1).astype(np.float64)
# torchvision's models take values 0..1, normalized by this mean and standard deviation, here in the
# order B, G, R; the documentation of its models gives them for R, G, B.
TORCH_MEAN = np.array([0.406, 0.456, 0.485])
TORCH_DEVIATION = np.array([0.225, 0.224, 0.229])


def resize_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize an image, bicubic.

    Args:
        image: float32 (1, H, W, 3); values may be outside a pixel's range.
        size: (rows, columns).

    Returns:
        float32 (1, rows, columns, 3); `image` itself if it already has that size.
    """
    if image.shape[1:3] == size:
        return image
    resized = np.empty((1, *size, 3), np.float32)
    for channel in range(3):
        picture = Image.fromarray(np.ascontiguousarray(image[0, :, :, channel]))
        picture = picture.resize(size[::-1], Image.Resampling.BICUBIC)
        resized[0, :, :, channel] = np.asarray(picture)
    return resized


def reduced(image: np.ndarray, side: int) -> np.ndarray:
    """Reduce an image to a long side of `side` pixels; unchanged if smaller or if `side` is 0."""
    rows, columns = image.shape[1:3]
    factor = side / max(rows, columns)
    if not 0 < factor < 1:
        return image
    return resize_image(image, (max(1, round(rows * factor)), max(1, round(columns * factor))))
