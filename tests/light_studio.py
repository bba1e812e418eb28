"""studio.py with the light objective of light_program.py in the network's place.

    STUDIO_FAULTS='{"sleep": 0.05}' python light_studio.py --folder out --port 0

The faults are those of light_program.py. Page, server, queue, processes and files are
the real ones.
"""

import json
import os
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

import light_program  # noqa: E402

import studio  # noqa: E402

if __name__ == "__main__":
    light_program.faults.update(json.loads(os.environ.get("STUDIO_FAULTS", "{}")))
    objectives = light_program.light_objectives
    sys.exit(studio.main(objectives=objectives, program=__file__))
