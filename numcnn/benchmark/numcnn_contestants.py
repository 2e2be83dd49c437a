"""numcnn's own contestants, and the machine's peak: NumPy's product of large matrices."""

import itertools
import time
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from numcnn.benchmark.contestants import Call, Inference, Timed, Training
from numcnn.benchmark.workload import INFERENCE_BATCH, LEARNING_RATE, TRAINING_BATCH, Workload
from numcnn.data.batches import Batch, Batches, Examples
from numcnn.kernels.arrays import AnyArray, Bytes, Floats, Ints
from numcnn.kernels.thread_team import use_threads
from numcnn.nn.losses import SoftmaxCrossEntropy
from numcnn.nn.network import Network
from numcnn.training.config import TrainConfig
from numcnn.training.loop import fit
from numcnn.training.optim import Adam
from numcnn.training.run_folder import versions


class NumcnnTraining(Training):
    """Steps as the training loop takes them: batches are gathered from uint8 pictures, in a new order every epoch.

    The frameworks get their batches ready-made, as float32 in the layout that suits them best.
    """

    def __init__(self, workload: Workload, threads: int, backend: str, fuse: bool = True, augment: float = 0.0) -> None:
        super().__init__()
        use_threads(threads)
        self.workload, self.network = workload, workload.network(backend, fuse)
        self.criterion = SoftmaxCrossEntropy(self.network.kernels)
        self.optimizer = Adam(self.network.params, self.network.grads, self.network.kernels)
        examples = Examples.all_of(workload.images, workload.labels)
        augmentation = TrainConfig(augment=augment).augmentation
        batches = Batches(examples, TRAINING_BATCH, 0, self.network.pixel_reader)
        self._stream = itertools.chain.from_iterable(
            batches.epoch(number, 0, augmentation) for number in itertools.count()
        )
        self._loss: float | None = None
        self.variants = {"step": {self.network.backend_name: self._step}}

    def versions(self) -> dict[str, str]:
        """See ``Timed``."""
        return versions()

    def running(self) -> AbstractContextManager[Any]:
        """See ``Timed``."""
        return self.network.kernels.computing()

    def arrays(self) -> dict[str, AnyArray]:
        """Return the loss of the first batch, and every parameter's gradient."""
        rows = np.arange(TRAINING_BATCH)
        labels = self.workload.labels[rows]
        return loss_and_gradients(self.network, self.criterion, self.workload.images, rows, labels)

    def _step(self, _: int) -> None:
        self._loss = self.network.backpropagate(next(self._stream), self.criterion)[0]
        self.optimizer.step(LEARNING_RATE)

    def wait(self) -> float | None:
        """See ``Timed``."""
        return self._loss


def loss_and_gradients(
    network: Network, criterion: SoftmaxCrossEntropy, images: Bytes, rows: Ints, labels: Ints
) -> dict[str, AnyArray]:
    """Return the loss of the batch images[rows] and every parameter's gradient, by name."""
    loss, _ = network.backpropagate(Batch(images, rows, labels, network.pixel_reader), criterion)
    gradients = network.named_arrays(network.grads)
    return {"loss": np.array(loss), **{f"d{name}": values.copy() for name, values in gradients.items()}}


class NumcnnInference(Inference):
    """``network.logits`` as users call it, from uint8 pictures, checks included; for one image also ``reader()``."""

    def __init__(self, workload: Workload, threads: int, backend: str) -> None:
        super().__init__()
        use_threads(threads)
        self.workload, self.network = workload, workload.network(backend)
        self.variants = {"batch": {"logits": self._batch}, "single": {"logits": self._single}}
        if backend == "fast":
            self.reader = self.network.reader()
            self.variants["single"]["reader"] = lambda i: self.reader.logits(workload.images[i % len(workload.images)])

    def versions(self) -> dict[str, str]:
        """See ``Timed``."""
        return versions()

    def _batch(self, i: int) -> Floats:
        first = i % (len(self.workload.images) // INFERENCE_BATCH) * INFERENCE_BATCH
        return self.network.logits(self.workload.images[first : first + INFERENCE_BATCH])

    def _single(self, i: int) -> Floats:
        return self.network.logits(self.workload.images[i % len(self.workload.images)])


class Sgemm(Timed):
    """The machine's peak: float32 products of large square matrices with BLAS, on all threads and on one."""

    TRIES = 3

    def __init__(self, workload: Workload, threads: int, backend: str, size: int) -> None:
        super().__init__()
        self.threads = threads
        a, b = np.random.default_rng(0).random((2, size, size), np.float32)
        self._product = (a, b, np.empty_like(a))

    def warm_up(self) -> None:
        """See ``Timed``."""
        self._best(self.threads, tries=1)

    def burst(self) -> dict[str, float]:
        """Return the best of several products, in GFLOP/s, on all threads and on one."""
        best = self._best(self.threads)
        return {"gflops": best, "gflops_one_thread": best if self.threads == 1 else self._best(1)}

    def _best(self, threads: int, tries: int = TRIES) -> float:
        a, b, out = self._product
        seconds = []
        with threadpool_limits(threads, user_api="blas"):
            for _ in range(tries):
                started = time.perf_counter()
                np.matmul(a, b, out=out)
                seconds.append(time.perf_counter() - started)
        return 2e-9 * len(a) ** 3 / min(seconds)


class Scan(Timed):
    """numcnn's cost for an image by the size of the batch and of the data set."""

    def __init__(self, workload: Workload, threads: int, backend: str) -> None:
        super().__init__()
        use_threads(threads)
        self.workload, self.network = workload, workload.network(backend)
        self.criterion = SoftmaxCrossEntropy(self.network.kernels)
        self.optimizer = Adam(self.network.params, self.network.grads, self.network.kernels)

    def burst(self, what: str, size: int, seconds: float) -> dict[str, float]:
        """Return the microseconds that one image costs: what = "training", "inference" or "epoch", size = images."""
        return {"us": self._epoch(size) if what == "epoch" else self._batches(what, size, seconds)}

    def _batches(self, what: str, size: int, seconds: float) -> float:
        call = self._trainer(size) if what == "training" else self._inferrer(size)
        with self.network.kernels.computing():
            self._run(call, 2)
            count = max(2, round(seconds / (self._timed(call, 2) / 2)))
            return 1e6 * self._timed(call, count) / count / size

    def _trainer(self, size: int) -> Call:
        examples = Examples.all_of(self.workload.images, self.workload.labels)
        batches = Batches(examples, size, 0, self.network.pixel_reader)
        full = len(self.workload.images) // size
        stream = (pair for number in itertools.count() for pair in itertools.islice(batches.epoch(number), full))

        def step(_: int) -> None:
            self.network.backpropagate(next(stream), self.criterion)
            self.optimizer.step(LEARNING_RATE)

        return step

    def _inferrer(self, size: int) -> Call:
        starts = range(0, len(self.workload.images) - size + 1, size)
        return lambda i: self.network.logits(self.workload.images[(first := starts[i % len(starts)]) : first + size])

    def _epoch(self, size: int) -> float:
        """Train one epoch on ``size`` images with the real loop, and return the microseconds an image by its log."""
        config = TrainConfig(epochs=1, batch_size=TRAINING_BATCH, lr=LEARNING_RATE, schedule="constant", val=0)
        state = fit(self.network, (self.workload.images[:size], self.workload.labels[:size]), None, config)
        return 1e6 * state.history[-1]["seconds"] / size
