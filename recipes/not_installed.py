"""Imported where a script of this folder does not find a module: says what to do, and ends."""

import runpy
import sys
from pathlib import Path

NOT_INSTALLED = Path(__file__).parents[1] / "style_transfer" / "not_installed.py"
runpy.run_path(str(NOT_INSTALLED), {"started": sys.argv[0]})
