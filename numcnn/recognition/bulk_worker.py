"""A process that reads pictures for ``bulk.py``: ``python -m numcnn.recognition.bulk_worker``.

It speaks JSON, a line each way: first the settings, then lists of [path, copy, size], each answered by the outcomes.
It ends when its stdin does, so none is left behind when the parent is killed.
"""

import json
import os
import sys
from typing import BinaryIO

from numcnn.kernels.thread_team import use_threads
from numcnn.recognition.file_reader import FileReader, Item, Settings


def main() -> int:
    """Answer until stdin ends.  Return the exit code."""
    requests = sys.stdin.buffer
    with _stdout_alone() as answers:
        first = requests.readline()
        if not first:
            return 0
        use_threads(1)  # there is a worker for each processor
        reader = FileReader(Settings.from_json(json.loads(first)))
        for request in requests:
            outcomes = reader.read([Item(*item) for item in json.loads(request)])
            answers.write(json.dumps(outcomes).encode() + b"\n")
            answers.flush()
    return 0


def _stdout_alone() -> BinaryIO:
    """Return stdout as a file of its own, and send whatever else is printed to stderr."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


if __name__ == "__main__":
    try:
        code = main()
    except BrokenPipeError:  # the parent has ended
        code = 1
    os._exit(code)  # nothing is left to flush, and a closed pipe would make Python complain
