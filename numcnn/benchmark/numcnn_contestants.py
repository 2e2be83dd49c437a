"""numcnn's own contestants, and the measure of the machine: NumPy's product of large matrices."""

import itertools
import time

import numpy as np

from numcnn.benchmark.contestants import Inference, Timed, Training
from numcnn.benchmark.workload import INFERENCE_BATCH, LEARNING_RATE, TRAINING_BATCH
from numcnn.data.batches import Batch, Batches, Examples
from numcnn.kernels.thread_team import use_threads
from numcnn.nn.losses import SoftmaxCrossEntropy
from numcnn.training.config import TrainConfig
from numcnn.training.loop import fit
from numcnn.training.optim import Adam
from numcnn.training.run_folder import versions


class NumcnnTraining(Training):
    """Steps as the training loop takes them: batches are gathered from uint8 pictures, in a new order every epoch.

    The others get theirs ready-made, as float32 in the layout that suits them.
    """

    def __init__(self, task, threads, backend, fuse=True, augment=0.0):
        super().__init__()
        use_threads(threads)
        self.task, self.network = task, task.network(backend, fuse)
        self.criterion = SoftmaxCrossEntropy(self.network.kernels)
        self.optimizer = Adam(self.network.params, self.network.grads, self.network.kernels)
        examples = Examples.all_of(task.images, task.labels)
        augmentation = TrainConfig(augment=augment).augmentation
        batches = Batches(examples, TRAINING_BATCH, 0, self.network.pixel_reader, augmentation)
        self._stream = itertools.chain.from_iterable(batches.epoch(number) for number in itertools.count())
        self._loss = None
        self.variants = {"step": {self.network.backend_name: self._step}}

    def versions(self):
        """See ``Timed``."""
        return versions()

    def running(self):
        """See ``Timed``."""
        return self.network.kernels.computing()

    def arrays(self):
        """Return the loss of the first batch, and every parameter's gradient."""
        rows = np.arange(TRAINING_BATCH)
        return loss_and_gradients(self.network, self.criterion, self.task.images, rows, self.task.labels[rows])

    def _step(self, _):
        self._loss, _ = self.network.backpropagate(next(self._stream), self.criterion)
        self.optimizer.step(LEARNING_RATE)

    def wait(self):
        """See ``Timed``."""
        return self._loss


def loss_and_gradients(network, criterion, images, rows, labels):
    """Return the loss of the batch images[rows] and every parameter's gradient, by name."""
    loss, _ = network.backpropagate(Batch(images, rows, labels, network.pixel_reader), criterion)
    gradients = network.named_arrays(network.grads)
    return {"loss": np.array(loss), **{f"d{name}": values.copy() for name, values in gradients.items()}}


class NumcnnInference(Inference):
    """``network.logits`` as anybody calls it, from uint8 pictures, checks included; for one image ``reader()`` too."""

    def __init__(self, task, threads, backend):
        super().__init__()
        use_threads(threads)
        self.task, self.network = task, task.network(backend)
        self.variants = {"batch": {"logits": self._batch}, "single": {"logits": self._single}}
        if backend == "fast":
            self.reader = self.network.reader()
            self.variants["single"]["reader"] = lambda i: self.reader.logits(task.images[i % len(task.images)])

    def versions(self):
        """See ``Timed``."""
        return versions()

    def _batch(self, i):
        first = i % (len(self.task.images) // INFERENCE_BATCH) * INFERENCE_BATCH
        return self.network.logits(self.task.images[first : first + INFERENCE_BATCH])

    def _single(self, i):
        return self.network.logits(self.task.images[i % len(self.task.images)])


class Sgemm(Timed):
    """The machine's peak: float32 products of large square matrices with BLAS, on all threads and on one."""

    TRIES = 3

    def __init__(self, task, threads, backend, size):
        super().__init__()
        self.threads = threads
        a, b = np.random.default_rng(0).random((2, size, size), np.float32)
        self._product = (a, b, np.empty_like(a))

    def warm_up(self):
        """See ``Timed``."""
        self._best(self.threads, tries=1)

    def burst(self):
        """Return the best of several products, in GFLOP/s, on all threads and on one."""
        best = self._best(self.threads)
        return {"gflops": best, "gflops_one_thread": best if self.threads == 1 else self._best(1)}

    def _best(self, threads, tries=TRIES):
        from threadpoolctl import threadpool_limits

        a, b, out = self._product
        seconds = []
        with threadpool_limits(threads, user_api="blas"):
            for _ in range(tries):
                started = time.perf_counter()
                np.matmul(a, b, out=out)
                seconds.append(time.perf_counter() - started)
        return 2e-9 * len(a) ** 3 / min(seconds)


class Scan(Timed):
    """How numcnn's cost for an image changes with the size of the batch and of the data set."""

    def __init__(self, task, threads, backend):
        super().__init__()
        use_threads(threads)
        self.task, self.network = task, task.network(backend)
        self.criterion = SoftmaxCrossEntropy(self.network.kernels)
        self.optimizer = Adam(self.network.params, self.network.grads, self.network.kernels)

    def burst(self, what, size, seconds):
        """Return the microseconds that one image costs: what = "training", "inference" or "epoch", size = images."""
        return {"us": self._epoch(size) if what == "epoch" else self._batches(what, size, seconds)}

    def _batches(self, what, size, seconds):
        call = self._trainer(size) if what == "training" else self._inferrer(size)
        with self.network.kernels.computing():
            self._run(call, 2)
            count = max(2, round(seconds / (self._timed(call, 2) / 2)))
            return 1e6 * self._timed(call, count) / count / size

    def _trainer(self, size):
        examples = Examples.all_of(self.task.images, self.task.labels)
        batches = Batches(examples, size, 0, self.network.pixel_reader)
        full = len(self.task.images) // size
        stream = (pair for number in itertools.count() for pair in itertools.islice(batches.epoch(number), full))

        def step(_):
            self.network.backpropagate(next(stream), self.criterion)
            self.optimizer.step(LEARNING_RATE)

        return step

    def _inferrer(self, size):
        starts = range(0, len(self.task.images) - size + 1, size)
        return lambda i: self.network.logits(self.task.images[(first := starts[i % len(starts)]) : first + size])

    def _epoch(self, size):
        """Train for one epoch on ``size`` images with the real loop; the seconds are its own."""
        config = TrainConfig(epochs=1, batch_size=TRAINING_BATCH, lr=LEARNING_RATE, schedule="constant", val=0)
        state = fit(self.network, (self.task.images[:size], self.task.labels[:size]), None, config)
        return 1e6 * state.history[-1]["seconds"] / size
