"""Measure what several processes cost and bring: the figures of "Many machines" in numcnn/training/README.md.

mpiexec -n 2 python tests/many.py steps [THREADS] [STEPS]   the parts of a training step, in ms
python tests/many.py engines ADDRESS [JOBS] [SECONDS]       Dask (two workers) beside two local processes
python tests/many.py kills DATA FOLDER [COUNT] [SEED]       kill ranks and workers, also of Dask, at random times;
                                                            DATA: IDX files
python tests/many.py bulk FOLDER [COUNT]                    read so many pictures; kill two workers meanwhile, and then
                                                            the command itself, three times
"""

import contextlib
import importlib.util
import json
import os
import random
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
from clusters import dask_scheduler, worker
from conftest import draw_digits
from PIL import Image
from processes import parents, wait_for, weights_below

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
            ranks.any_rank(False)  # so that all begin together
            started = time.perf_counter()
            ranks.add_up([some] * threads, threads * ranks.size, network.grads)
            exchange.append(time.perf_counter() - started)
    if ranks is None or ranks.rank == 0:
        size = 1 if ranks is None else ranks.size
        said = f"{size} x {threads}: step {in_ms(whole[count:])}"
        print(said + (f"; gradients of {network.params.size:,} parameters {in_ms(exchange[count:])}" if ranks else ""))


def in_ms(times):
    return f"median {1000 * statistics.median(times):.2f} ms, fastest {1000 * min(times):.2f} ms"


def wait(seconds):
    time.sleep(seconds)
    return seconds


def engines(address, count=20, seconds=5.0):
    """Time jobs that only wait, so that what is measured is the engine."""
    for name, engine in (("local", jobs.local(2)), ("dask", jobs.cluster(address))):
        started = time.perf_counter()
        done = [
            time.perf_counter() - started
            for _ in jobs.run_all(wait, [seconds + 1e-6 * i for i in range(count)], engine)
        ]
        print(
            f"{name}: {count} jobs of {seconds:g} s on two workers: {done[-1]:.1f} s, the first after {done[0]:.1f} s"
        )


SETTINGS = ["--limit", "200", "--val", "40", "--batch-size", "40", "--epochs", "20", "--dropout", "0.1"]


def kills(data, folder, count=20, seed=0):
    """Let runs of two ranks, and sweeps of two workers, lose one of these at a random time; compare how they end."""
    chance, folder = random.Random(seed), Path(folder)
    train = ["train", "--processes", "2", "--restarts", "3", "--threads", "1"]
    sweep = ["sweep", "--grid", "lr=1e-3,3e-3", "--seeds", "1"]
    kill_some("rank", train, data, folder, count, chance)
    kill_some("worker", [*sweep, "--jobs", "2"], data, folder, count, chance)
    if importlib.util.find_spec("distributed") is None:
        return
    with dask_scheduler() as (_, address), worker(address, folder / "dask", "--nworkers", "2") as (nanny, _):
        kill_some("Dask's worker", [*sweep, "--cluster", address], data, folder, count, chance, nanny.pid)


def kill_some(name, command, data, folder, count, chance, above=None):
    """Run a command until ``count`` of its processes, or of those that ``above`` has started, are killed."""
    folder = folder / name.replace(" ", "-")
    one_run(command, data, folder / "warm")  # compiles, which would make the next one seem to take long
    whole, seconds, _ = one_run(command, data, folder / "whole")
    killed = runs = 0
    while killed < count:
        runs += 1
        out = folder / str(runs)
        found, _, hit = one_run(command, data, out, chance.uniform(0.1, 1) * seconds, chance, above)
        killed += hit
        assert found == whole, f"{out} ends otherwise"
        assert not list(out.rglob(".*")), f"{out} holds {list(out.rglob('.*'))}"
        shutil.rmtree(out)
    print(f"{name}: {killed} killed in {runs} runs: all ended with the same bytes", flush=True)


def bulk(folder, count=20_000, weights="canonical"):
    """Read pictures; kill two workers meanwhile, and then the command itself, three times; compare the answers."""
    folder = Path(folder)
    for i, image in enumerate(np.resize(draw_digits(600, 11)[0], (count, 28, 28))):
        place = folder / "pictures" / f"{i // 1000:03}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(255 - image).save(place / f"{i:06}.png")
    command = [sys.executable, "-m", "numcnn", "predict", str(folder / "pictures"), "--weights", str(weights)]
    command += ["--workers", "2", "--out"]
    whole = folder / "whole.jsonl"
    started = time.perf_counter()
    subprocess.run([*command, str(whole)], check=True, stderr=subprocess.DEVNULL)
    seconds, size = time.perf_counter() - started, whole.stat().st_size
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024  # of the largest one
    answered = [json.loads(line)["path"] for line in whole.read_text().splitlines()]
    assert answered == sorted(map(str, (folder / "pictures").rglob("*.png"))) and len(answered) == count

    def written(out, share):
        wait_for(lambda: out.exists() and out.stat().st_size > share * size, "answers")

    out = folder / "workers-killed.jsonl"
    killed = set()
    with subprocess.Popen([*command, str(out)], stderr=subprocess.PIPE, text=True) as process:
        for share in (1 / 3, 2 / 3):
            written(out, share)
            one = next(pid for pid in descendants(process.pid) if pid not in killed)
            os.kill(one, signal.SIGKILL)
            killed.add(one)
        said = process.stderr.read()
    assert process.returncode == 0, said
    check_answers(out, whole)
    out = folder / "command-killed.jsonl"
    for share in (1 / 4, 2 / 4, 3 / 4, None):
        with subprocess.Popen([*command, str(out)], stderr=subprocess.PIPE, text=True) as process:
            if share is not None:
                written(out, share)
                process.kill()
            said = process.stderr.read()
    assert process.returncode == 0, said
    check_answers(out, whole)
    print(
        f"bulk: {count:,} pictures in {seconds:.0f} s, the largest process {peak:.0f} MB; each answered once, in order,"
        f" also when two workers or three times the command were killed; {said.splitlines()[-1]}"
    )


def check_answers(out, whole):
    """Fail unless a file answers the same pictures, in the same order, with the same digits as another.

    What a killed process had is read again in other batches, so probabilities may differ in their last digits.
    """
    with out.open() as lines, whole.open() as others:
        for line, other in zip(lines, others, strict=True):
            found, expected = json.loads(line), json.loads(other)
            assert (found["path"], found["text"]) == (expected["path"], expected["text"])


def one_run(command, data, out, kill_after=None, chance=None, above=None):
    """Run a command; kill one of its processes after some seconds.  Return weights, seconds, whether one was killed.

    above: a process; what it has started is killed instead.
    """
    started, hit = time.perf_counter(), []
    full = [sys.executable, "-m", "numcnn", *command, "--dataset", data, "--out", str(out), *SETTINGS]
    with subprocess.Popen(full, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:

        def kill():
            below = descendants(above or process.pid)
            if below:
                os.kill(chance.choice(below), signal.SIGKILL)
                hit.append(1)

        timer = threading.Timer(kill_after or 0, kill)
        if kill_after:
            timer.start()
        said = process.stderr.read()
        timer.cancel()
    assert process.returncode == 0, said
    weights = weights_below(out)
    return weights, time.perf_counter() - started, bool(hit)


def descendants(pid):
    """Return the processes that train or read below one: they have none below themselves, and run Python."""
    parent_of = parents()
    below, ahead = [], [pid]
    while ahead:
        children = [child for child, parent in parent_of.items() if parent == ahead[0]]
        ahead = ahead[1:] + children
        below += children
    return [child for child in below if child not in parent_of.values() and works(child)]


def works(pid):
    with contextlib.suppress(OSError):
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        return any(name in command for name in (b"numcnn\0train", b"spawn_main", b"bulk_worker"))
    return False


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    if what == "steps":
        steps(*map(int, arguments))
    elif what == "bulk":
        bulk(arguments[0], *map(int, arguments[1:]))
    elif what == "kills":
        kills(*arguments[:2], *map(int, arguments[2:]))
    else:
        engines(arguments[0], *map(int, arguments[1:2]), *map(float, arguments[2:3]))
