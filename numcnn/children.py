"""What the processes that numcnn starts have in common."""

import os
from pathlib import Path

import numcnn


def child_environment(**more: str) -> dict[str, str]:
    """Return the environment of a process that imports the numcnn that runs here; ``more`` variables are set in it."""
    path = os.pathsep.join(filter(None, (str(Path(numcnn.__file__).parents[1]), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, **more}
