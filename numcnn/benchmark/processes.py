"""The parent's side of the workers: start them, send requests, and leave none behind."""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

from numcnn.benchmark import BenchmarkError
from numcnn.benchmark.contestants import Contestant
from numcnn.children import child_environment

PATIENCE_SECONDS = 600  # for one answer; compiling takes longest


class WorkerFailed(BenchmarkError):
    """A contestant that could not carry out a request; the message is its reason."""


# -P: this numcnn, whatever is in the current folder.
PYTHON_MODULE = (sys.executable, "-P", "-m")

# Makes the frameworks up to 1.9 times as fast (PyTorch): they allocate large arrays anew in every step, and the C
# library would return their pages to the system each time, which must clear them again.
TUNED = {
    "MALLOC_MMAP_THRESHOLD_": "1000000000",
    "MALLOC_TRIM_THRESHOLD_": "2000000000",
    "MALLOC_TOP_PAD_": "100000000",
    "THP_MEM_ALLOC_ENABLE": "1",
}


def environment(threads: int | None = None, tuned: bool = False) -> dict[str, str]:
    """Return the environment for a process that computes with ``threads`` and finds this numcnn.

    tuned: for a framework, set up for the most speed.  numcnn itself runs as its users start it.
    """
    env = child_environment()
    if threads:
        # NPROC is what XLA counts its threads by.
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC"):
            env[name] = str(threads)
    env.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="2", JAX_PLATFORMS="cpu")
    return {**TUNED, **env} if tuned else env


class WorkerProcess:
    """The worker of one contestant."""

    def __init__(self, contestant: Contestant, folder: str | os.PathLike[str], threads: int) -> None:
        self.contestant, self.threads = contestant, contestant.threads or threads
        self._stderr = Path(folder) / f"{contestant.name}.stderr"
        with open(self._stderr, "wb") as stderr:
            self._process = subprocess.Popen(
                [*PYTHON_MODULE, "numcnn.benchmark.worker", str(folder), contestant.name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=environment(self.threads, tuned=contestant.peer is not None),
                text=True,
                encoding="utf-8",
                start_new_session=True,  # so that Ctrl-C reaches the parent alone, which then ends its workers
            )
        self._answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put(None)

    def ask(self, do: str, **arguments: object) -> None:
        """Send a request; ``answer`` returns its result."""
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise WorkerFailed(self._how_it_ended()) from None

    def answer(self, seconds: float = PATIENCE_SECONDS) -> Any:
        """Wait for the result of the request.  Raises WorkerFailed with the reason."""
        try:
            line = self._answers.get(timeout=seconds)
        except queue.Empty:
            raise WorkerFailed(f"gave no answer within {seconds} s") from None
        if line is None:
            raise WorkerFailed(self._how_it_ended())
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerFailed(answer["error"])
        return answer["result"]

    def call(self, do: str, **arguments: object) -> Any:
        """Send a request and wait for its result."""
        self.ask(do, **arguments)
        return self.answer()

    def _how_it_ended(self) -> str:
        code = self._process.wait()
        lines = self._stderr.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"its process ended with code {code}" + (f": {lines[-1]}" if lines else "")

    def stop(self) -> None:
        """Kill the process: there is nothing in it to keep."""
        assert self._process.stdin and self._process.stdout
        self._process.kill()
        self._process.wait()
        self._listener.join()
        with contextlib.suppress(OSError):  # a request that it will never read
            self._process.stdin.close()
        self._process.stdout.close()


class Workers:
    """The workers of some contestants, by name.  As a context, ends all of them in any case."""

    def __init__(self, contestants: Iterable[Contestant], folder: str | os.PathLike[str], threads: int) -> None:
        self.failed: dict[str, str] = {}  # name -> reason
        self._contestants, self._folder, self._threads = contestants, folder, threads
        self._alive: dict[str, WorkerProcess] = {}

    def __enter__(self) -> Self:
        try:
            for contestant in self._contestants:
                self._alive[contestant.name] = WorkerProcess(contestant, self._folder, self._threads)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._alive.values():
            worker.stop()

    @property
    def names(self) -> list[str]:
        """The names of the workers that have not failed."""
        return list(self._alive)

    def call(self, name: str, do: str, **arguments: object) -> Any:
        """Return the result of one worker's request; None if it fails: it is out then, and ``failed`` says why."""
        try:
            return self._alive[name].call(do, **arguments)
        except WorkerFailed as error:
            self._drop(name, error)
            return None

    def load(self, **options: object) -> dict[str, dict[str, str]]:
        """Let all load, numcnn with more ``options``.  Return name -> versions."""

        def arguments(worker: WorkerProcess) -> dict[str, Any]:
            contestant = worker.contestant
            more = options if contestant.peer is None else {}
            return {"where": contestant.where, "threads": worker.threads, "options": {**contestant.options, **more}}

        return self.together("load", arguments)

    def together(
        self, do: str, arguments: Callable[[WorkerProcess], dict[str, Any]] = lambda worker: {}
    ) -> dict[str, Any]:
        """Send an untimed request to all at once.  Return name -> result of those that did not fail."""
        results: dict[str, Any] = {}
        for step in ("ask", "answer"):
            for name, worker in list(self._alive.items()):
                try:
                    if step == "ask":
                        worker.ask(do, **arguments(worker))
                    else:
                        results[name] = worker.answer()
                except WorkerFailed as error:
                    self._drop(name, error)
        return results

    def _drop(self, name: str, error: WorkerFailed) -> None:
        self.failed[name] = str(error)
        self._alive.pop(name).stop()
