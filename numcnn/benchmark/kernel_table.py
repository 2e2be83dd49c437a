"""Where the time of a training step goes: arithmetic, bytes and time of each kernel, with plain and with fused layers.

Arithmetic is counted from the shapes.  "dense": all products of the layer, as a framework computes them; "done": those
that the fused kernel computes.  Bytes count each array that must be read or written once.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from numcnn.benchmark.measure import Settings, quartiles
from numcnn.benchmark.numcnn_contestants import Sgemm
from numcnn.benchmark.workload import LEARNING_RATE, TRAINING_BATCH, Workload
from numcnn.kernels.fused_shapes import DEAD, backward_way, forward_way
from numcnn.kernels.thread_team import use_threads
from numcnn.nn.fusion import ConvReluPool
from numcnn.nn.layers import Conv2D, Dense
from numcnn.nn.losses import SoftmaxCrossEntropy
from numcnn.training.optim import Adam

WARM_UP, STEPS = 3, 10  # untimed and timed steps of each network in each round
PEAK_SIZE = 2048  # of the matrices whose product is the machine's peak

Result = TypeVar("Result")


def measure_kernels(workload: Workload, settings: Settings, sgemm_gflops: float | None) -> list[dict[str, Any]]:
    """Take steps with plain and with fused layers in turn, on one thread.  Return a row, a dict, for each kernel.

    sgemm_gflops: the machine's peak on one thread; None: measure it first.
    """
    if sgemm_gflops is None:
        sgemm_gflops = Sgemm(workload, 1, settings.backend, PEAK_SIZE).burst()["gflops"]
    use_threads(1)
    fused, plain = _Steps(workload, settings.backend, True), _Steps(workload, settings.backend, False)
    for _ in range(settings.rounds):
        for run in (fused, plain):
            run.take(WARM_UP, STEPS)
    rows = []
    for (name, direction), seconds in fused.seconds.items():
        parts = [key for key in plain.seconds if key[1] == direction and key[0] in name.split("+")]
        plain_seconds = np.sum([plain.seconds[key] for key in parts], axis=0)
        dense, done = _products(fused, name, direction)
        us = quartiles(1e6 * np.array(seconds) / TRAINING_BATCH)["median"]
        rows.append(
            {
                "kernel": f"{name.replace('+', ' ')} {direction}".strip(),
                "plain_us": quartiles(1e6 * plain_seconds / TRAINING_BATCH)["median"],
                "us": us,
                "mflop_dense": dense / 1e6,
                "mflop_done": done / 1e6,
                "kilobytes": _bytes(fused, name, direction) / 1e3,
                "share_of_peak": done / us / 1e3 / sgemm_gflops,
            }
        )
    return rows


class _Steps:
    """Training steps, each part of which is timed.  seconds: (kernel, direction) -> those of every timed step."""

    def __init__(self, workload: Workload, backend: str, fuse: bool) -> None:
        self.workload, self.network = workload, workload.network(backend)
        self.network.fuse = fuse
        self.criterion = SoftmaxCrossEntropy(self.network.kernels)
        self.optimizer = Adam(self.network.params, self.network.grads, self.network.kernels)
        self.steps = {step.name: step for step in self.network.steps}
        self.x = np.zeros((TRAINING_BATCH, *self.network.input_shape), self.network.dtype)
        self.seconds: dict[tuple[str, str], list[float]] = {}
        self._next = 0

    def take(self, warm_up: int, steps: int) -> None:
        """Take ``warm_up`` untimed steps, then ``steps`` timed ones."""
        with self.network.kernels.computing():
            for i in range(warm_up + steps):
                self._step(timing=i >= warm_up)

    def _step(self, timing: bool) -> None:
        def timed(name: str, direction: str, call: Callable[..., Result], *arguments: object) -> Result:
            started = time.perf_counter()
            result = call(*arguments)
            if timing:
                self.seconds.setdefault((name, direction), []).append(time.perf_counter() - started)
            return result

        rows = (self._next * TRAINING_BATCH + np.arange(TRAINING_BATCH)) % len(self.workload.images)
        self._next += 1
        h = timed("gather", "", self.network.pixel_reader.read, self.workload.images, rows, self.x)
        for step in self.network.steps:
            h = timed(step.name, "forward", step.forward, h, True)
        timed("loss", "forward", self.criterion.forward, h, self.workload.labels[rows])
        gradient = timed("loss", "backward", self.criterion.backward)
        for step in reversed(self.network.steps):
            gradient = timed(step.name, "backward", step.backward, gradient, step is not self.network.steps[0])
        timed("Adam", "", self.optimizer.step, LEARNING_RATE)


def _products(run: _Steps, name: str, direction: str) -> tuple[int, float]:
    """Return the floating-point operations of a kernel for one image: those of all products, and those computed."""
    step = run.steps.get(name)
    if isinstance(step, Dense):
        flops = step.flops() * (1 if direction == "forward" else 2)
        return flops, flops
    if not isinstance(step, ConvReluPool):
        return 0, 0
    conv, is_first = step.layers[0], step is run.network.steps[0]
    PH, PW, F = step.out_shape
    w_shape = conv.params["w"].shape
    weights = int(np.prod(w_shape[:3]))  # of each filter
    used = 2 * 4 * PH * PW * F * weights  # for the outputs that the pool reads
    if direction == "forward":
        winograd = forward_way(w_shape, PH * PW) == "winograd"
        return conv.flops(), used * 16 // 36 if winograd else used
    passes = 1 if is_first else 2
    if backward_way(w_shape) == "masks":
        return passes * conv.flops(), passes * used
    alive = float((step.decisions()[0] != DEAD).mean())
    return passes * conv.flops(), passes * used / 4 * alive


def _bytes(run: _Steps, name: str, direction: str) -> float:
    """Return the bytes that a kernel must read or write for one image, each array once."""
    params, step = run.network.params, run.steps.get(name)
    if name == "Adam":
        return (
            8 * params.nbytes / TRAINING_BATCH
        )  # reads parameters, gradients, moments, decay; writes all but gradients and decay
    if name == "gather":
        return run.x[0].nbytes * 5 / 4  # floats, and a quarter as many bytes of uint8 pixels
    if step is None:
        return 0
    outputs = int(np.prod(step.out_shape)) * params.itemsize
    inputs = int(np.prod(step.in_shape)) * params.itemsize
    weights = sum(array.nbytes for array in step.params.values()) / TRAINING_BATCH
    winners = int(np.prod(step.out_shape)) if isinstance(step, ConvReluPool) else 0
    if direction == "forward":
        return inputs + weights + outputs + winners
    dinputs = 0 if step is run.network.steps[0] else inputs
    keeps_input = isinstance(step, (Dense, ConvReluPool, Conv2D))
    return outputs + winners + (inputs if keeps_input else 0) + dinputs + 2 * weights


def kernel_table(rows: Sequence[dict[str, Any]]) -> tuple[str, tuple[str, ...], list[tuple[str, ...]]]:
    """Return the rows as a table: (title, header, rows of texts)."""
    header = ("", "plain us", "fused us", "MFLOP dense", "done", "of peak", "kB")
    texts = []
    for row in rows:
        flops = (f"{row['mflop_dense']:.2f}", f"{row['mflop_done']:.2f}", f"{row['share_of_peak']:.0%}")
        if not row["mflop_dense"]:
            flops = ("", "", "")
        texts.append((row["kernel"], f"{row['plain_us']:.2f}", f"{row['us']:.2f}", *flops, f"{row['kilobytes']:.1f}"))
    total = {key: sum(row[key] for row in rows) for key in ("plain_us", "us", "mflop_dense", "mflop_done")}
    sums = (f"{total['plain_us']:.2f}", f"{total['us']:.2f}", f"{total['mflop_dense']:.2f}")
    texts.append(("whole step", *sums, f"{total['mflop_done']:.2f}", "", ""))
    return "a training step, for one image", header, texts
