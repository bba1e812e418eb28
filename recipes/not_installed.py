"""Imported if a script in this folder does not find a module: explains what to do, and exits."""

import runpy
import sys
from pathlib import Path

NOT_INSTALLED = Path(__file__).parents[1] / "style_transfer" / "not_installed.py"
runpy.run_path(str(NOT_INSTALLED), {"started": sys.argv[0]})
