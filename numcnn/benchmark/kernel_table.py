"""Where a training step's time goes: each kernel's arithmetic, bytes and time, by plain layers and fused.

Arithmetic is counted from the shapes.  "dense" is every product of the layer, as a framework computes it; "done" is
what the fused kernel computes of them.  Bytes are those of the arrays that must be read and written once.
"""

import time

import numpy as np

from numcnn.benchmark.measure import spread
from numcnn.benchmark.numcnn_contestants import Sgemm
from numcnn.benchmark.workload import LEARNING_RATE, TRAINING_BATCH
from numcnn.kernels.fused_shapes import DEAD, backward_way, forward_way
from numcnn.kernels.thread_team import use_threads
from numcnn.nn.fusion import ConvReluPool
from numcnn.nn.layers import Conv2D, Dense
from numcnn.nn.losses import SoftmaxCrossEntropy
from numcnn.training.optim import Adam

WARM_UP, STEPS = 3, 10  # steps of each network in each round; the first ones aren't timed
PEAK_SIZE = 2048  # of the matrices whose product is the machine's peak


def measure_kernels(task, settings, sgemm_gflops):
    """Take steps with plain and with fused layers in turn, on one thread.  Return a row, a dict, for each kernel.

    sgemm_gflops: the machine's peak on one thread, for the shares of it; None: not measured yet.
    """
    if sgemm_gflops is None:
        sgemm_gflops = Sgemm(task, 1, settings.backend, PEAK_SIZE).burst()["gflops"]
    use_threads(1)
    runs = {True: _Steps(task, settings.backend, True), False: _Steps(task, settings.backend, False)}
    for _ in range(settings.rounds):
        for run in runs.values():
            run.take(WARM_UP, STEPS)
    fused, plain = runs[True], runs[False]
    rows = []
    for (name, direction), seconds in fused.seconds.items():
        parts = [key for key in plain.seconds if key[1] == direction and key[0] in name.split("+")]
        before = sum(np.array(plain.seconds[key]) for key in parts)
        dense, done = _products(fused, name, direction)
        us = spread(1e6 * np.array(seconds) / TRAINING_BATCH)["median"]
        rows.append(
            {
                "kernel": f"{name.replace('+', ' ')} {direction}".strip(),
                "plain_us": spread(1e6 * before / TRAINING_BATCH)["median"],
                "us": us,
                "mflop_dense": dense / 1e6,
                "mflop_done": done / 1e6,
                "kilobytes": _bytes(fused, name, direction) / 1e3,
                "share_of_peak": done / us / 1e3 / sgemm_gflops,
            }
        )
    return rows


class _Steps:
    """Training steps whose parts are timed one by one."""

    def __init__(self, task, backend, fuse):
        self.task, self.network = task, task.network(backend)
        self.network.fuse = fuse
        self.criterion = SoftmaxCrossEntropy(self.network.kernels)
        self.optimizer = Adam(self.network.params, self.network.grads, self.network.kernels)
        self.steps = {step.name: step for step in self.network.steps}
        self.x = np.zeros((TRAINING_BATCH, *self.network.input_shape), self.network.dtype)
        self.seconds = {}
        self._next = 0

    def take(self, warm_up, steps):
        """Take ``steps`` steps and note the seconds of their parts; before them some that aren't noted."""
        with self.network.kernels.computing():
            for i in range(warm_up + steps):
                self._step(i >= warm_up)

    def _step(self, noted):
        def timed(name, direction, call, *arguments):
            started = time.perf_counter()
            result = call(*arguments)
            if noted:
                self.seconds.setdefault((name, direction), []).append(time.perf_counter() - started)
            return result

        rows = (self._next * TRAINING_BATCH + np.arange(TRAINING_BATCH)) % len(self.task.images)
        self._next += 1
        h = timed("gather", "", self.network.pixel_reader.read, self.task.images, rows, self.x)
        for step in self.network.steps:
            h = timed(step.name, "forward", step.forward, h, True)
        timed("loss", "forward", self.criterion.forward, h, self.task.labels[rows])
        gradient = timed("loss", "backward", self.criterion.backward)
        for step in reversed(self.network.steps):
            gradient = timed(step.name, "backward", step.backward, gradient, step is not self.network.steps[0])
        timed("Adam", "", self.optimizer.step, LEARNING_RATE)


def _products(run, name, direction):
    """Return the floating-point operations of a step for one image: if all products are computed, and those done."""
    step = run.steps.get(name)
    if isinstance(step, Dense):
        return (step.flops() * (1 if direction == "forward" else 2),) * 2
    if not isinstance(step, ConvReluPool):
        return 0, 0
    conv, is_first = step.layers[0], step is run.network.steps[0]
    PH, PW, F = step.out_shape
    w_shape = conv.params["w"].shape
    weights = int(np.prod(w_shape[:3]))  # of each filter
    used = 2 * 4 * PH * PW * F * weights  # the outputs that the pool reads
    if direction == "forward":
        winograd = forward_way(w_shape, PH * PW) == "winograd"
        return conv.flops(), used * 16 // 36 if winograd else used
    passes = 1 if is_first else 2
    if backward_way(w_shape) == "masks":
        return passes * conv.flops(), passes * used
    alive = float((step.decisions()[0] != DEAD).mean())
    return passes * conv.flops(), passes * used / 4 * alive


def _bytes(run, name, direction):
    """Return the bytes of a step for one image that have to be read or written, each array once."""
    params, step = run.network.params, run.steps.get(name)
    if name == "Adam":
        return 8 * params.nbytes / TRAINING_BATCH  # reads parameters, gradients, moments, decay; writes all but two
    if name == "gather":
        return run.x[0].nbytes * 5 / 4  # a quarter of it are the uint8 pixels
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


def kernel_table(rows):
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
