"""Imported where a script of this folder, run by its path, does not find a module: says what to do.

Python looks for modules in this folder then, and not in the project's unless it is installed.
"""

import sys
from pathlib import Path

script, folder = Path(sys.argv[0]), Path(__file__).parent.name
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
