"""Measure what several processes cost and bring: the figures of "Many machines" in numcnn/training/README.md.

mpiexec -n 2 python tests/many.py steps [THREADS] [STEPS]    the parts of a training step, in ms
python tests/many.py engines ADDRESS [JOBS] [SECONDS]        Dask (two workers) beside two local processes
"""

import statistics
import sys
import time

import numpy as np

from numcnn import Network
from numcnn.data.batches import Batches, Examples
from numcnn.kernels.thread_team import use_threads
from numcnn.nn.losses import SoftmaxCrossEntropy
from numcnn.nn.models import make_layers
from numcnn.training import jobs
from numcnn.training.config import TrainConfig
from numcnn.training.optim import make_optimizer
from numcnn.training.ranks import MpiRanks, count_ranks


def steps(threads=1, count=100):
    """Time steps of the canonical network with batches of 128."""
    use_threads(threads)
    ranks = MpiRanks() if count_ranks() > 1 else None
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (128 * count, 28, 28), np.uint8), rng.integers(0, 10, 128 * count)
    network = Network(make_layers("canonical", 10, 0.0), (28, 28, 1), backend="fast", seed=0)
    network.train_together(ranks)
    optimizer = make_optimizer(network, TrainConfig())
    criterion = SoftmaxCrossEntropy(network.kernels)
    batches = Batches(Examples.all_of(images, labels), 128, 0, network.pixel_reader)
    whole, exchange = [], []
    for batch in [*batches.epoch(0), *batches.epoch(1)]:
        started = time.perf_counter()
        network.backpropagate(batch, criterion)
        optimizer.step(1e-3)
        whole.append(time.perf_counter() - started)
        if ranks is not None:
            some = np.ones_like(network.grads)
            ranks.any(False)  # so that all begin together
            started = time.perf_counter()
            ranks.add_up([some] * threads, threads * ranks.size, network.grads)
            exchange.append(time.perf_counter() - started)
    if ranks is None or ranks.rank == 0:
        size = 1 if ranks is None else ranks.size
        said = f"{size} x {threads}: step {in_ms(whole[count:])}"
        print(said + (f"; gradients of {network.params.size:,} parameters {in_ms(exchange[count:])}" if ranks else ""))


def in_ms(times):
    low, middle = statistics.quantiles(times, n=10)[0], statistics.median(times)
    return f"median {1000 * middle:.2f} ms, fastest tenth {1000 * low:.2f} ms"


def wait(seconds):
    time.sleep(seconds)
    return seconds


def engines(address, count=20, seconds=5.0):
    """Time jobs that only wait, so that what is measured is the engine."""
    for name, engine in (("local", jobs.local(2)), ("dask", jobs.cluster(address))):
        started = time.perf_counter()
        done = [time.perf_counter() - started for _ in jobs.run_all(wait, [seconds] * count, engine)]
        print(
            f"{name}: {count} jobs of {seconds:g} s on two workers: {done[-1]:.1f} s, the first after {done[0]:.1f} s"
        )


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    if what == "steps":
        steps(*map(int, arguments))
    else:
        engines(arguments[0], *map(int, arguments[1:2]), *map(float, arguments[2:3]))
