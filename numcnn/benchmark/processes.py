"""The parent's side of the workers: start them, ask them, and leave none behind."""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path

import numcnn
from numcnn.benchmark import BenchmarkError

PATIENCE_SECONDS = 600  # for one answer; compiling takes longest


class WorkerFailed(BenchmarkError):
    """A contestant that could not do what it was asked; the message is its reason."""


# -P: this numcnn, whatever lies in the current folder.
PYTHON_MODULE = (sys.executable, "-P", "-m")

# What makes the frameworks quicker from outside, up to 1.9 times (PyTorch): large arrays are made anew in every step,
# and the C library would give their pages back to the system each time, which has to clear them again.
TUNED = {
    "MALLOC_MMAP_THRESHOLD_": "1000000000",
    "MALLOC_TRIM_THRESHOLD_": "2000000000",
    "MALLOC_TOP_PAD_": "100000000",
    "THP_MEM_ALLOC_ENABLE": "1",
}


def environment(threads=None, tuned=False):
    """Return the environment for a process that computes with ``threads``: this one's, and numcnn is found in it.

    tuned: for a framework, as whoever wants the most of it sets it up.  numcnn itself runs as anybody starts it.
    """
    root = str(Path(numcnn.__file__).parents[1])
    found = os.environ.get("PYTHONPATH")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([root, *([found] if found else [])])}
    if threads:
        # NPROC is what XLA counts its threads by.
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC"):
            env[name] = str(threads)
    env.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="2", JAX_PLATFORMS="cpu")
    return {**TUNED, **env} if tuned else env


class WorkerProcess:
    """The worker of one contestant."""

    def __init__(self, contestant, folder, threads):
        self.contestant, self.threads = contestant, contestant.threads or threads
        self._complaints = Path(folder) / f"{contestant.name}.stderr"
        with open(self._complaints, "wb") as stderr:
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
        self._answers = queue.SimpleQueue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self):
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put(None)

    def ask(self, do, **arguments):
        """Send a request; ``answer`` brings the result."""
        try:
            self._process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise WorkerFailed(self._how_it_ended()) from None

    def answer(self, seconds=PATIENCE_SECONDS):
        """Wait for the result of what was asked.  Raises WorkerFailed with the reason."""
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

    def call(self, do, **arguments):
        """Ask, and wait for the result."""
        self.ask(do, **arguments)
        return self.answer()

    def _how_it_ended(self):
        code = self._process.wait()
        lines = self._complaints.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"its process ended with code {code}" + (f": {lines[-1]}" if lines else "")

    def stop(self):
        """End the process, at once: there is nothing in it to keep."""
        self._process.kill()
        self._process.wait()
        self._listener.join()
        with contextlib.suppress(OSError):  # what it will never read
            self._process.stdin.close()
        self._process.stdout.close()


class Workers:
    """The workers of some contestants, by name.  As a context: all of them are ended at its end, however it comes."""

    def __init__(self, contestants, folder, threads):
        self.failed = {}  # name -> reason
        self._contestants, self._folder, self._threads = contestants, folder, threads
        self._alive = {}

    def __enter__(self):
        try:
            for contestant in self._contestants:
                self._alive[contestant.name] = WorkerProcess(contestant, self._folder, self._threads)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for worker in self._alive.values():
            worker.stop()

    @property
    def names(self):
        """The names of those that have not failed."""
        return list(self._alive)

    def call(self, name, do, **arguments):
        """Ask one worker and return its result; None when it fails: then it is out, and ``failed`` has the reason."""
        try:
            return self._alive[name].call(do, **arguments)
        except WorkerFailed as error:
            self._drop(name, error)
            return None

    def load(self, **options):
        """Let all load, numcnn with more ``options``.  Return name -> versions."""

        def arguments(worker):
            contestant = worker.contestant
            more = options if contestant.peer is None else {}
            return {"where": contestant.where, "threads": worker.threads, "options": {**contestant.options, **more}}

        return self.together("load", arguments)

    def together(self, do, arguments=lambda worker: {}):
        """Ask all at once, for what isn't timed.  Return name -> result of those that did not fail."""
        results = {}
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

    def _drop(self, name, error):
        self.failed[name] = str(error)
        self._alive.pop(name).stop()
