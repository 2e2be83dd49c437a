#!/usr/bin/env python3
"""Run ``numcnn inspect`` from a checkout, with the same arguments.

Not called inspect.py: Python's own module of that name would be hidden from every script here.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from numcnn.cli import main

if __name__ == "__main__":
    sys.exit(main(["inspect", *sys.argv[1:]]))
