"""Who takes part, and what a contestant is: the base classes that do the timing alike for all of them."""

import gc
import importlib.util
import math
import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

import numpy as np

from numcnn.benchmark.workload import CLASSES, INFERENCE_BATCH

# Untimed, at the start of a burst: caches are cold and threads asleep after the others' turns.  Two calls at least.
WARM_UP_SECONDS, WARM_UP_CALLS = 0.1, 2
PATIENCE = 3  # times as long as it should take, and a burst is ended: somebody else has the processors
TRIAL_SECONDS, TRIAL_CALLS = 0.1, 10  # for each variant, when the fastest is chosen: until one of them is reached


@dataclass(frozen=True)
class Contestant:
    """An entry of the table below.

    where: "module:Class", loaded by the contestant's worker alone.  peer: the framework, None for numcnn itself.
    packages: what it imports.  threads: None for as many as everybody.  options: arguments for the class.  quick: takes
    part in a quick run too.
    """

    name: str
    label: str
    part: str
    where: str
    peer: str | None = None
    packages: tuple = ()
    threads: int | None = None
    options: dict = field(default_factory=dict)
    quick: bool = True

    def missing_packages(self):
        """Return which of the packages are not installed; nothing is imported to find out."""
        return [name for name in self.packages if importlib.util.find_spec(name) is None]


_PEERS = "numcnn.benchmark.peers"
NUMCNN = "numcnn"
ONE_THREAD = "numcnn-one-thread"
UNFUSED = "numcnn-unfused"
AUGMENTED = "numcnn-augmented"
SGEMM = Contestant("sgemm", "sgemm", "training", "numcnn.benchmark.numcnn_contestants:Sgemm", options={"size": 2048})

CONTESTANTS = (
    Contestant(NUMCNN, "numcnn", "training", "numcnn.benchmark.numcnn_contestants:NumcnnTraining"),
    Contestant(
        ONE_THREAD, "numcnn, one thread", "training", "numcnn.benchmark.numcnn_contestants:NumcnnTraining", threads=1
    ),
    Contestant(
        UNFUSED,
        "numcnn, layer by layer",
        "training",
        "numcnn.benchmark.numcnn_contestants:NumcnnTraining",
        options={"fuse": False},
        quick=False,
    ),
    Contestant(
        AUGMENTED,
        "numcnn, augmented",
        "training",
        "numcnn.benchmark.numcnn_contestants:NumcnnTraining",
        options={"augment": 1.0},
        quick=False,
    ),
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
        f"{_PEERS}.onnx:OnnxRuntimeInference",
        "onnxruntime",
        ("onnxruntime", "onnx"),
    ),
    Contestant(
        "openvino", "OpenVINO", "inference", f"{_PEERS}.onnx:OpenVinoInference", "openvino", ("openvino", "onnx")
    ),
    Contestant("pytorch", "PyTorch", "inference", f"{_PEERS}.pytorch:TorchInference", "pytorch", ("torch",)),
)
PEERS = tuple(dict.fromkeys(contestant.peer for contestant in CONTESTANTS if contestant.peer))


class Timed:
    """A contestant in its worker.

    ``variants``: action -> {name of a way to do it: function of the call's number}.  ``settle`` keeps the fastest of
    each action's ways, so that nobody is beaten for want of a setting.
    """

    def __init__(self):
        self.variants = {}
        self._chosen = {}  # action -> (variant's name, function, calls in a burst)
        self._calls = 0
        self._most_seconds = 0.0

    def versions(self):
        """Return package -> version of what this contestant stands on."""
        return {}

    def arrays(self):
        """Return name -> array of the results that must agree with everybody's."""
        return {}

    def warm_up(self):
        """Call every variant, which compiles it."""
        with self.running():
            for ways in self.variants.values():
                for call in ways.values():
                    self._run(call, WARM_UP_CALLS)

    def wait(self):
        """Return when all work that was handed over is done; the last loss, where there is one."""

    def running(self):
        """Return the context that calls are made in."""
        return nullcontext()

    def settle(self, seconds):
        """Choose the fastest variants, and find how many calls fill ``seconds``.  Return the variants' names."""
        self._most_seconds = PATIENCE * seconds
        with self.running():
            for action, ways in self.variants.items():
                times = {name: self._trial(call) for name, call in ways.items()}
                name = min(times, key=times.get)
                self._chosen[action] = (name, ways[name], max(2, math.ceil(seconds / times[name])))
        return {action: name for action, (name, _, _) in self._chosen.items()}

    def _trial(self, call):
        """Return the seconds that one call takes: the best of two times some, or of one if it is slow."""
        once = self._timed(call, 1)
        count = min(TRIAL_CALLS, int(TRIAL_SECONDS / once))
        return min([once, *(self._timed(call, count) / count for _ in range(2) if count)])

    def _run(self, call, count):
        for _ in range(count):
            call(self._calls)
            self._calls += 1
        self.wait()

    def _timed(self, call, count):
        started = time.perf_counter()
        self._run(call, count)
        return time.perf_counter() - started

    def _burst(self, action):
        """Run one action's share of a burst.  Return seconds a call."""
        _, call, count = self._chosen[action]
        self._get_going(call)
        started, done = time.perf_counter(), 0
        while done < count and time.perf_counter() - started < self._most_seconds:
            call(self._calls)
            self._calls += 1
            done += 1
        self.wait()
        return (time.perf_counter() - started) / done

    def _get_going(self, call):
        started = time.perf_counter()
        self._run(call, WARM_UP_CALLS)
        while time.perf_counter() - started < WARM_UP_SECONDS:
            self._run(call, 1)


class Training(Timed):
    """A contestant that trains.  A subclass gives ``variants["step"]``: train on batch number i, in its own order."""

    def burst(self):
        """Train for a moment.  Return the seconds of a step, and the loss after the last."""
        with self.running(), _no_collection():
            return {"step_seconds": self._burst("step"), "loss": self.wait()}


class Inference(Timed):
    """A contestant that infers.  A subclass gives ``variants["batch"]`` and ``variants["single"]``.

    Both take the number of a call, and return the logits: an array, or a list of a batch's parts.
    """

    def arrays(self):
        """Return the logits of the first batch and of the first image alone, got in every way there is."""
        with self.running():
            logits = {
                f"{action} logits, {name}": call(0)
                for action, ways in self.variants.items()
                for name, call in ways.items()
            }
        parts = {name: x if isinstance(x, list) else [x] for name, x in logits.items()}
        return {name: np.concatenate([np.array(x) for x in some]).reshape(-1, CLASSES) for name, some in parts.items()}

    def burst(self, single_calls):
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


def chunks(pixels):
    """Cut pixels (M,28,28) into full batches for inference."""
    count = len(pixels) // INFERENCE_BATCH
    return np.split(pixels[: count * INFERENCE_BATCH], count)


@contextmanager
def _no_collection():
    """Keep Python's garbage collector out of the timing; afterwards it may run again."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
