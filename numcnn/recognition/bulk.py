"""Read many pictures in several processes: outcomes in order, in bounded memory, and no picture lost."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeAlias

from numcnn.children import child_environment
from numcnn.errors import NumcnnError
from numcnn.recognition.documents import plain
from numcnn.recognition.file_reader import Item, Outcome, Settings

MOST_IN_CHUNK = 64  # pictures that go to a worker at a time
MOST_BYTES_IN_CHUNK = 2_000_000  # of their files: a chunk of photos would take a minute
CHUNKS_AHEAD = 2  # for each worker: how much may be read but not yet taken

# Begins to read a list of pictures, and returns what waits for their outcomes, or raises WorkerEnded.
Begin: TypeAlias = "Callable[[list[Item]], Callable[[], list[Outcome]]]"
_Begun: TypeAlias = "tuple[list[Item], Callable[[], list[Outcome]]]"  # a list of pictures, and what waits for it


class WorkerEnded(Exception):
    """A worker ended in the middle of its work; the message says how."""


def read_in_order(items: Iterable[Item], begin: Begin, most: int) -> Iterator[Outcome]:
    """Yield the outcome of each picture, in order.  Whoever takes them slowly holds up the workers.

    most: how many lists of pictures are begun and not yet taken.  If a worker ends over a list, its pictures are read
    again one by one, while nothing else is read, as a cluster also counts the end of a worker against what waits for
    that worker; one over which a worker ends then, as when a decoder crashes, is a failure.
    """
    waiting: deque[_Begun] = deque()
    for chunk in chunks(items):
        waiting.append((chunk, begin(chunk)))
        if len(waiting) >= most:
            yield from _outcomes(*waiting.popleft(), begin, waiting)
    while waiting:
        yield from _outcomes(*waiting.popleft(), begin, waiting)


def _outcomes(
    chunk: list[Item], wait: Callable[[], list[Outcome]], begin: Begin, others: Iterable[_Begun]
) -> list[Outcome]:
    try:
        return wait()
    except WorkerEnded as error:
        if len(chunk) == 1:
            failure = f"{chunk[0].path}: the process that read it ended ({error}); save the picture again as PNG"
            return [Outcome(chunk[0].path, [], [plain(failure)])]
    for _, wait_for_other in others:
        with contextlib.suppress(Exception):  # which is raised again when it is the turn of that list
            wait_for_other()
    return [outcome for item in chunk for outcome in _outcomes([item], begin([item]), begin, ())]


def chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Yield pictures in lists that take about equally long."""
    chunk: list[Item] = []
    total = 0
    for item in items:
        with contextlib.suppress(OSError, ValueError):  # which the worker will report
            size = os.stat(item.path).st_size
            item, total = item._replace(size=size), total + size
        chunk.append(item)
        if len(chunk) >= MOST_IN_CHUNK or total >= MOST_BYTES_IN_CHUNK:
            yield chunk
            chunk, total = [], 0
    if chunk:
        yield chunk


class Workers:
    """Processes that read pictures; ``with`` ends them."""

    def __init__(self, settings: Settings, count: int) -> None:
        """count: how many processes.  They start when there is work."""
        self._settings, self._count = settings, count
        self._ended = False
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._all: set[_Worker] = set()
        self._threads = ThreadPoolExecutor(count)  # each waits for one worker

    def read(self, items: Iterable[Item]) -> Iterator[Outcome]:
        """Yield the outcome of each picture: see ``read_in_order``."""
        return read_in_order(items, self._begin, (1 + CHUNKS_AHEAD) * self._count)

    def _begin(self, chunk: list[Item]) -> Callable[[], list[Outcome]]:
        return self._threads.submit(self._on_a_worker, chunk).result

    def _on_a_worker(self, chunk: list[Item]) -> list[Outcome]:
        """Let an idle worker, or a new one, read a chunk.  Raises WorkerEnded."""
        if self._ended:
            raise NumcnnError("reading was stopped")
        try:
            worker = self._idle.get_nowait()
        except queue.Empty:
            worker = _Worker(self._settings)
            self._all.add(worker)
        try:
            outcomes = worker.read(chunk)
        except WorkerEnded:
            self._all.discard(worker)
            if self._ended:
                raise NumcnnError("reading was stopped") from None
            raise
        self._idle.put(worker)
        return outcomes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._ended = True
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in list(self._all):
            worker.end()
        self._threads.shutdown(wait=True)
        for worker in list(self._all):  # one that was started meanwhile
            worker.end()


class _Worker:
    """One process: see ``bulk_worker.py``."""

    def __init__(self, settings: Settings) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "numcnn.recognition.bulk_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=child_environment(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1"),
            start_new_session=True,  # so that Ctrl-C reaches the parent alone, which then ends its workers
        )
        self._first = json.dumps(settings.to_json()).encode() + b"\n"

    def read(self, items: list[Item]) -> list[Outcome]:
        """Return the outcomes.  Raises WorkerEnded."""
        assert self._process.stdin and self._process.stdout
        try:
            self._process.stdin.write(self._first + json.dumps(items).encode() + b"\n")
            self._process.stdin.flush()
            self._first = b""
            answer = self._process.stdout.readline()
        except (OSError, ValueError):  # it has ended, or ``end`` has closed the pipes
            answer = b""
        if not answer.endswith(b"\n"):
            raise WorkerEnded(self._reason())
        return [Outcome(*outcome) for outcome in json.loads(answer)]

    def _reason(self) -> str:
        code = self._process.wait()
        self.end()
        if code < 0:
            with contextlib.suppress(ValueError):
                return f"by {signal.Signals(-code).name}"
        return f"with exit code {code}"

    def end(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if pipe:
                    pipe.close()
