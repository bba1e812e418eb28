"""Rows of test_situations.py: memory, tiles, sheets of paper and pictures on the way."""

USUAL = "nst base.png style.png out"
LIGHT = "light base.png style.png out"
SITUATIONS = [
    (
        "memory for no picture",
        f"{USUAL} --memory 0.001",
        2,
        "--memory: expected at least 0.86 GiB, which even a picture of 16 rows needs, or --force. "
        "Received: 0.001",
    ),
    (
        "memory for no picture, long side",
        "nst base.png style.png out --memory 0.001 --size 64",
        2,
        "--memory: expected at least 0.86 GiB",
    ),
    (
        "memory for no picture, in tiles",
        f"{USUAL} --memory 0.001 --tile 32",
        2,
        "--memory: expected at least 0.",
    ),
    (
        "memory for no picture, tried first",
        f"{USUAL} --memory 0.001 --dry_run",
        2,
        "--memory: expected at least 0.86 GiB",
    ),
    ("memory for no picture, forced", f"{LIGHT} --memory 0.001 --force", 0, "at_iteration_1.png"),
    ("memory that is no number", f"{USUAL} --memory nan", 2, "--memory: expected a number of GiB"),
    ("memory below nothing", f"{USUAL} --memory -1", 2, "--memory: expected a number of GiB"),
    ("memory without end", f"{USUAL} --memory inf", 2, "--memory: expected a number of GiB"),
    ("memory in words", f"{USUAL} --memory all", 2, "--memory: expected a number of GiB"),
    ("memory of no machine", f"{USUAL} --memory 1e9", 2, "--memory: expected at most 1,000,000"),
    ("memory beyond numbers", f"{USUAL} --memory 1e308", 2, "--memory: expected at most"),
    ("memory to spare", f"{LIGHT} --memory 1000000", 0, "at_iteration_1.png"),
    ("memory for a small picture", f"{USUAL} --memory 0.9 --height 4000", 2, "--height: expected"),
    ("a tile of one pixel", f"{USUAL} --tile 1", 2, "--tile: expected auto, 0, or a side of 32"),
    ("a tile of an odd side", f"{USUAL} --tile 17", 2, "--tile: expected auto, 0, or a side of 32"),
    ("a tile below nothing", f"{USUAL} --tile -3", 2, "--tile: expected auto, 0, or a side of 32"),
    ("a tile of 20 digits", f"{USUAL} --tile {'9' * 20}", 2, "--tile: expected auto, 0, or"),
    ("a tile of 5000 digits", f"{USUAL} --tile {'9' * 5000}", 2, "--tile: expected auto, 0, or"),
    ("a tile above the picture", f"{LIGHT} --tile 1000000", 0, "at_iteration_1.png"),
    ("a sheet of nothing", f"{USUAL} --print 0x0in", 2, "--print: expected the width and height"),
    ("a huge sheet", f"{USUAL} --print 1e9x1in", 2, "--print: expected the width and height"),
    ("a sheet too wide", f"{USUAL} --print 10001x1in", 2, "at most 10,000 inches"),
    ("a sheet of less than a pixel", f"{USUAL} --print 0.001x1in", 2, "at least 16 x 16 pixels"),
    ("a sheet too coarse", f"{USUAL} --print 4x3in --dpi 1", 2, "at least 16 x 16 pixels"),
    ("no dots an inch", f"{LIGHT} --dpi 0", 0, "at_iteration_1.png"),
    ("dots an inch below nothing", f"{USUAL} --dpi -1", 2, "--dpi: expected a whole number"),
    ("too many dots an inch", f"{USUAL} --dpi 65536", 2, "--dpi: expected at most 65,535"),
    ("pictures on the way in full", f"{LIGHT} --preview 0", 0, "at_iteration_1.png"),
    ("pictures on the way of a pixel", f"{LIGHT} --preview 1", 0, "at_iteration_1.png"),
    ("pictures on the way below it", f"{USUAL} --preview -1", 2, "--preview: expected a whole"),
]
