"""What decides the last digits of a result, beside the settings: libraries and the processor."""

import platform
import sys

from style_transfer.machine import processor_flags

# What libraries choose their routines by; other flags come and go with kernel versions.
ARITHMETIC = ("avx", "amx", "fma", "sse4", "asimd", "sve", "bf16", "i8mm")


def environment() -> dict[str, str]:
    """Versions of Python, of the libraries that decide the result, the backend, the processor.

    Versions are asked of the modules: distributions have many names, such as tensorflow-cpu. All
    must be imported already.
    """
    import keras
    import numpy
    import PIL
    import scipy

    backend = keras.backend.backend()
    modules = {"keras": keras, "numpy": numpy, "pillow": PIL, "scipy": scipy}
    modules[backend] = sys.modules[backend]
    flags = sorted(flag for flag in processor_flags() if flag.startswith(ARITHMETIC))
    return {
        "python": platform.python_version(),
        "backend": backend,
        **{name: str(module.__version__) for name, module in modules.items()},
        "processor": " ".join([platform.machine(), *flags]),
    }
