"""Pictures saved and read again, for the tests."""

import numpy as np
from conftest import draw

from style_transfer.pictures import Picture, load_picture

PIXELS = np.asarray(draw(24, 30, seed=1))

ALPHA = np.resize(np.arange(256, dtype=np.uint8), PIXELS.shape[:2])


def read(picture, tmp_path, name="picture.png", **options) -> Picture:
    """A picture saved with some options and read again."""
    picture.save(tmp_path / name, **options)
    found = load_picture(tmp_path / name)
    assert found.image.mode == "RGB"
    return found


def load(picture, tmp_path, name="picture.png", **options) -> np.ndarray:
    """Its pixels, where there is nothing odd about it."""
    found = read(picture, tmp_path, name, **options)
    assert not found.remarks
    return np.asarray(found.image)
