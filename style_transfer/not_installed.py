"""Explains what to do if a script in a subfolder, run by its path, does not find a module.

Python then looks for modules in the script's folder, and finds the project only if it is installed.
So each such folder has its own not_installed.py, which runs this file by its path.
"""

import sys
from pathlib import Path

script = Path(globals()["started"])  # set by the folder's not_installed.py through runpy
root, folder = script.resolve().parents[1], script.resolve().parent.name
missing = getattr(sys.exc_info()[1], "name", None) or folder
if (root / missing).is_dir() or (root / f"{missing}.py").exists():  # the project's own
    advice = (
        "expected the project to be installed, or to be run as a module. Do: pip install -e . or, "
        f"from the project's folder: python -m {folder}.{script.stem}"
    )
else:
    advice = (
        f"expected the package {missing}, not installed. Install it with: pip install -r "
        "requirements.txt"
    )
sys.stderr.write(f"{script.name}: error: {advice}\n")
sys.exit(2)
