"""One contestant's process: ``python -m numcnn.benchmark.worker FOLDER NAME``.

Requests are lines of JSON on stdin, ``{"do": "burst", ...}``, answers lines of JSON on stdout: ``{"result": ...}`` or
``{"error": "..."}``.  Between requests it blocks on reading, and so takes no time from the others; it ends when stdin
ends.  Arrays go through files in FOLDER.
"""

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np


class Worker:
    """Carries out requests: each public method is one."""

    def __init__(self, folder: str | os.PathLike[str], name: str) -> None:
        self._folder, self._name = Path(folder), name
        self._contestant: Any = None  # made by ``load``

    def load(self, where: str, threads: int, options: dict[str, Any]) -> dict[str, str]:
        """Import the contestant's class and construct it with the workload.  Return the versions it runs on."""
        module, _, name = where.partition(":")
        kind = getattr(importlib.import_module(module), name)
        self._contestant = kind(kind.load_workload(self._folder), threads, **options)
        return self._contestant.versions()

    def agree(self) -> str | None:
        """Write the results that must agree to a file, then warm up.  Return the file's name; None: no results."""
        arrays = self._contestant.arrays()
        file = f"{self._name}.npz"
        if arrays:
            np.savez(self._folder / file, **arrays)
        self._contestant.warm_up()
        return file if arrays else None

    def settle(self, seconds: float) -> dict[str, str]:
        """Choose the fastest variants.  Return their names by action."""
        return self._contestant.settle(seconds)

    def burst(self, **arguments: object) -> dict[str, Any]:
        """Work for a moment.  Return what was measured, with the processor time of all threads."""
        began = time.process_time()
        return {**self._contestant.burst(**arguments), "processor_seconds": time.process_time() - began}

    def read(self, **arguments: object) -> dict[str, dict[str, list[Any]]]:
        """Read pictures: see ``ocr.Engine``."""
        return self._contestant.read(**arguments)


def main(folder: str, name: str) -> None:
    """Answer requests until stdin ends."""
    # What a framework prints must not mix with the answers: they get a descriptor of their own, prints go to stderr.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    worker = Worker(folder, name)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"result": getattr(worker, request.pop("do"))(**request)}
        except Exception as error:  # the parent reports whatever a framework raises
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
