"""Libraries and processor, which decide the last digits of a result besides the settings."""

import platform
import sys

from style_transfer.machine import processor_flags

# The flags by which libraries choose their routines; other flags vary with the kernel's version.
ARITHMETIC = ("avx", "amx", "fma", "sse4", "asimd", "sve", "bf16", "i8mm")


def environment() -> dict[str, str]:
    """Versions of Python and of the libraries that decide the result; backend and processor.

    Versions come from the modules, because distributions have many names, such as tensorflow-cpu.
    All modules must have been imported.
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
