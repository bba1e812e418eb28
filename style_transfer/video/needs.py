"""The packages that clips need and pictures do not."""

import importlib
from types import ModuleType

from style_transfer.errors import InputError

PACKAGES = {"av": "av", "cv2": "opencv-python-headless"}


def needed(module: str) -> ModuleType:
    """A module of requirements-video.txt.

    Raises:
        InputError: it is not installed, or cannot be loaded.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f"video: expected the package {PACKAGES[module]}; "
            f"pip install -r requirements-video.txt. Received: {error}"
        ) from None
