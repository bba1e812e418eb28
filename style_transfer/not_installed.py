"""Tells what to do where a script of a folder, run by its path, does not find a module.

Python looks for modules in the script's folder then, and finds the project only if it is
installed. So each such folder has a not_installed.py of its own, which runs this file by its path.
"""

import sys
from pathlib import Path

script = Path(globals()["started"])  # which runpy gives
folder = script.resolve().parent.name
missing = getattr(sys.exc_info()[1], "name", None) or folder
if missing == folder:
    advice = (
        "expected the project to be installed, or a run as a module. Do: pip install -e . or, from "
        f"the project's folder: python -m {folder}.{script.stem}"
    )
else:
    advice = (
        f"expected the package {missing}, not installed. Install it with: pip install -r "
        "requirements.txt"
    )
sys.stderr.write(f"{script.name}: error: {advice}\n")
sys.exit(2)
