"""Who takes part, and the base classes that time all contestants in the same way."""

import gc
import importlib.util
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from numcnn.benchmark.workload import CLASSES, INFERENCE_BATCH, WORKLOAD_FILE, Workload
from numcnn.kernels.arrays import AnyArray, Floats

# Untimed, at the start of a burst: caches are cold and threads asleep after the others' turns.
WARM_UP_SECONDS, WARM_UP_CALLS = 0.1, 2
PATIENCE = 3  # a burst ends after this many times its planned duration: other processes have the processors
TRIAL_SECONDS, TRIAL_CALLS = 0.1, 10  # limits of the trial of a variant, when the fastest is chosen

Call: TypeAlias = Callable[[int], Any]  # does one step; its argument is the number of the call


@dataclass(frozen=True)
class Contestant:
    """An entry of the table below.

    where: "module:Class", loaded by the contestant's worker alone.  peer: the framework, None for numcnn itself.
    packages: what it imports.  threads: None for the number that the benchmark runs with.  options: arguments of the
    class.  quick: takes part in a quick run too.
    """

    name: str
    label: str
    part: str
    where: str
    peer: str | None = None
    packages: tuple[str, ...] = ()
    threads: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    quick: bool = True

    def missing_packages(self) -> list[str]:
        """Return which of the packages are not installed, without importing any."""
        return [name for name in self.packages if importlib.util.find_spec(name) is None]


_PEERS = "numcnn.benchmark.peers"
_TRAINING = "numcnn.benchmark.numcnn_contestants:NumcnnTraining"
NUMCNN = "numcnn"
ONE_THREAD = "numcnn-one-thread"
UNFUSED = "numcnn-unfused"
AUGMENTED = "numcnn-augmented"
SGEMM = Contestant("sgemm", "sgemm", "training", "numcnn.benchmark.numcnn_contestants:Sgemm", options={"size": 2048})

CONTESTANTS = (
    Contestant(NUMCNN, "numcnn", "training", _TRAINING),
    Contestant(ONE_THREAD, "numcnn, one thread", "training", _TRAINING, threads=1),
    Contestant(UNFUSED, "numcnn, layer by layer", "training", _TRAINING, options={"fuse": False}, quick=False),
    Contestant(AUGMENTED, "numcnn, augmented", "training", _TRAINING, options={"augment": 1.0}, quick=False),
    Contestant(
        "pytorch-contiguous",
        "PyTorch, contiguous",
        "training",
        f"{_PEERS}.pytorch:TorchTraining",
        "pytorch",
        ("torch",),
    ),
    Contestant(
        "pytorch-channels-last",
        "PyTorch, channels_last",
        "training",
        f"{_PEERS}.pytorch:TorchTraining",
        "pytorch",
        ("torch",),
        options={"channels_last": True},
    ),
    Contestant(
        "keras", "Keras/TensorFlow", "training", f"{_PEERS}.keras:KerasTraining", "keras", ("keras", "tensorflow")
    ),
    Contestant("jax", "JAX", "training", f"{_PEERS}.jax:JaxTraining", "jax", ("jax", "jaxlib")),
    Contestant(NUMCNN, "numcnn", "inference", "numcnn.benchmark.numcnn_contestants:NumcnnInference"),
    Contestant(
        "onnxruntime",
        "ONNX Runtime",
        "inference",
        f"{_PEERS}.onnx_runtime:OnnxRuntimeInference",
        "onnxruntime",
        ("onnxruntime", "onnx"),
    ),
    Contestant(
        "openvino",
        "OpenVINO",
        "inference",
        f"{_PEERS}.openvino:OpenVinoInference",
        "openvino",
        ("openvino", "onnx"),
    ),
    Contestant("pytorch", "PyTorch", "inference", f"{_PEERS}.pytorch:TorchInference", "pytorch", ("torch",)),
    Contestant(NUMCNN, "numcnn", "ocr", "numcnn.benchmark.ocr:NumcnnEngine"),
    Contestant("tesseract", "Tesseract", "ocr", f"{_PEERS}.tesseract:Tesseract", "tesseract", ("tesserocr",)),
    Contestant("rapidocr", "PP-OCR", "ocr", f"{_PEERS}.rapidocr:RapidOcr", "rapidocr", ("rapidocr", "onnxruntime")),
)
PEERS = tuple(dict.fromkeys(contestant.peer for contestant in CONTESTANTS if contestant.peer))
# Of these the engines that read pictures of text; the others are frameworks.
OCR_PEERS = tuple(contestant.peer for contestant in CONTESTANTS if contestant.peer and contestant.part == "ocr")


class Timed:
    """A contestant in its worker.

    ``variants``: action -> {name of a way to do it: function of the call's number}.  ``settle`` keeps the fastest way
    of each action, so that no framework loses for want of a setting.
    """

    def __init__(self) -> None:
        self.variants: dict[str, dict[str, Call]] = {}
        self._chosen: dict[str, tuple[str, Call, int]] = {}  # action -> variant's name, function, calls in a burst
        self._calls = 0
        self._most_seconds = 0.0

    @classmethod
    def load_workload(cls, folder: str | os.PathLike[str]) -> Workload:
        """Read what a contestant is constructed with."""
        return Workload.load(Path(folder) / WORKLOAD_FILE)

    def versions(self) -> dict[str, str]:
        """Return package -> version of what this contestant runs on."""
        return {}

    def arrays(self) -> dict[str, AnyArray]:
        """Return name -> array of the results that must agree among all contestants."""
        return {}

    def warm_up(self) -> None:
        """Call every variant, which compiles it."""
        with self.running():
            for ways in self.variants.values():
                for call in ways.values():
                    self._run(call, WARM_UP_CALLS)

    def wait(self) -> Any:
        """Return when all submitted work is done: the last loss, where there is one."""

    def running(self) -> AbstractContextManager[Any]:
        """Return the context that calls are made in."""
        return nullcontext()

    def settle(self, seconds: float) -> dict[str, str]:
        """Choose the fastest variants, and the number of calls that fills ``seconds``.  Return the variants' names."""
        self._most_seconds = PATIENCE * seconds
        with self.running():
            for action, ways in self.variants.items():
                times = {name: self._trial(call) for name, call in ways.items()}
                name = min(times, key=lambda name: times[name])
                self._chosen[action] = (name, ways[name], max(2, math.ceil(seconds / times[name])))
        return {action: name for action, (name, _, _) in self._chosen.items()}

    def _trial(self, call: Call) -> float:
        """Return the seconds of one call: the best of a single call and, if it is quick, of two series."""
        once = self._timed(call, 1)
        count = min(TRIAL_CALLS, int(TRIAL_SECONDS / once))
        return min([once, *(self._timed(call, count) / count for _ in range(2) if count)])

    def _run(self, call: Call, count: int) -> None:
        for _ in range(count):
            call(self._calls)
            self._calls += 1
        self.wait()

    def _timed(self, call: Call, count: int) -> float:
        started = time.perf_counter()
        self._run(call, count)
        return time.perf_counter() - started

    def _burst(self, action: str) -> float:
        """Repeat one action for the length of a burst.  Return seconds a call."""
        _, call, count = self._chosen[action]
        self._get_going(call)
        started, done = time.perf_counter(), 0
        while done < count and time.perf_counter() - started < self._most_seconds:
            call(self._calls)
            self._calls += 1
            done += 1
        self.wait()
        return (time.perf_counter() - started) / done

    def _get_going(self, call: Call) -> None:
        started = time.perf_counter()
        self._run(call, WARM_UP_CALLS)
        while time.perf_counter() - started < WARM_UP_SECONDS:
            self._run(call, 1)


class Training(Timed):
    """A contestant that trains.  A subclass gives ``variants["step"]``: train on batch number i, in its own order."""

    def burst(self) -> dict[str, Any]:
        """Train for a moment.  Return the seconds of a step, and the loss after the last."""
        with self.running(), _no_collection():
            return {"step_seconds": self._burst("step"), "loss": self.wait()}


class Inference(Timed):
    """A contestant that infers.  A subclass gives ``variants["batch"]`` and ``variants["single"]``.

    Both take the number of a call, and return the logits: an array, or a list of a batch's parts.
    """

    def arrays(self) -> dict[str, AnyArray]:
        """Return the logits of the first batch and of the first image alone, by every variant."""
        with self.running():
            logits = {
                f"{action} logits, {name}": call(0)
                for action, ways in self.variants.items()
                for name, call in ways.items()
            }
        parts = {name: x if isinstance(x, list) else [x] for name, x in logits.items()}
        return {name: np.concatenate([np.array(x) for x in some]).reshape(-1, CLASSES) for name, some in parts.items()}

    def burst(self, single_calls: int) -> dict[str, Any]:
        """Infer for a moment.  Return the seconds of a batch, and the microseconds of each call for one image."""
        with self.running(), _no_collection():
            batch = self._burst("batch")
            _, call, _ = self._chosen["single"]
            self._get_going(call)
            ticks = [time.perf_counter_ns()]
            while len(ticks) <= single_calls and ticks[-1] - ticks[0] < 1e9 * self._most_seconds:
                call(len(ticks))
                ticks.append(time.perf_counter_ns())
        return {"batch_seconds": batch, "single_us": (np.diff(ticks) / 1000).tolist()}


def chunks(pixels: Floats) -> list[Floats]:
    """Cut pixels (M,28,28) into full batches for inference."""
    count = len(pixels) // INFERENCE_BATCH
    return np.split(pixels[: count * INFERENCE_BATCH], count)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep Python's garbage collector out of the timing."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
