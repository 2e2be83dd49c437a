"""One contestant's process: ``python -m numcnn.benchmark.worker FOLDER NAME``.

Requests come as lines of JSON on stdin, ``{"do": "burst", ...}``, answers go as lines of JSON to stdout:
``{"result": ...}`` or ``{"error": "..."}``.  Between them it is blocked on reading, and so disturbs nobody; when stdin
ends, it ends.  Arrays go through files in FOLDER.
"""

import importlib
import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from numcnn.benchmark.workload import Task

TASK_FILE = "task.npz"


class Worker:
    """Carries out requests: a public method each."""

    def __init__(self, folder, name):
        self._folder, self._name, self._contestant = Path(folder), name, None

    def load(self, where, threads, options):
        """Import the contestant's class and make it, with the task.  Return the versions of what it stands on."""
        module, _, name = where.partition(":")
        kind = getattr(importlib.import_module(module), name)
        self._contestant = kind(Task.load(self._folder / TASK_FILE), threads, **options)
        return self._contestant.versions()

    def agree(self):
        """Write what must agree with the others' to a file, then warm up.  Return the file's name; None: nothing."""
        arrays = self._contestant.arrays()
        file = f"{self._name}.npz"
        if arrays:
            np.savez(self._folder / file, **arrays)
        self._contestant.warm_up()
        return file if arrays else None

    def settle(self, **arguments):
        """Choose the fastest variants.  Return their names by action."""
        return self._contestant.settle(**arguments)

    def burst(self, **arguments):
        """Work for a moment.  Return what it took, with the processor time of all threads."""
        began = time.process_time()
        return {**self._contestant.burst(**arguments), "processor_seconds": time.process_time() - began}


def main(folder, name):
    """Answer requests until there are no more."""
    # A framework that prints must not disturb the answers: they have their own way out, and prints go to stderr.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    worker = Worker(folder, name)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"result": getattr(worker, request.pop("do"))(**request)}
        except Exception as error:  # whatever a framework raises is the parent's to report
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
