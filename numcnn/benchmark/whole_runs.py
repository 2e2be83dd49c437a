"""Whole training runs as a user starts them, timed from outside: start-up, memory, and the time to a test accuracy."""

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from numcnn.benchmark import BenchmarkError
from numcnn.benchmark.machine import OtherWork
from numcnn.benchmark.measure import missing_peers, spread
from numcnn.benchmark.processes import PYTHON_MODULE, environment
from numcnn.data import idx, mnist

FIRST_RUNS, LATER_RUNS = 3, 7
GOAL = 0.99

# Starts the command that follows, and prints the most memory that it ever had.
STARTER = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""

# What `numcnn train` is told for the time to 99%; what PyTorch is told comes from its run card.
RECIPE = ("--preset", "fast")


def start_up(settings, dataset_arguments, report):
    """Measure process start to the second training step: the first run ever, compiling, and later ones.

    Also the most memory that one epoch on the whole data set takes, compiling and later.  PyTorch beside it, if it
    takes part.
    """
    result = {"steps": 2, "first_run_s": [], "later_run_s": []}
    train = _numcnn("train", *dataset_arguments, "--threads", settings.threads, "--backend", settings.backend)
    report("start-up: the first run ever, compiling; then later ones")
    with tempfile.TemporaryDirectory(prefix="numcnn-bench-") as scratch:
        for number in range(FIRST_RUNS):
            cache = Path(scratch) / f"cache{number}"
            cache.mkdir()
            result["first_run_s"].append(_until_dry_run([*train, "--dry-run"], settings, cache))
        for _ in range(LATER_RUNS):
            result["later_run_s"].append(_until_dry_run([*train, "--dry-run"], settings, cache))
        report("start-up: the memory of one epoch")
        one_epoch = [*train, "--epochs", "1", "--quiet", "--json"]
        # The first compiles what two steps had no use for.
        for key in ("peak_memory_first_mb", "peak_memory_mb"):
            result[key] = _peak_memory([*one_epoch, "--out", f"{scratch}/{key}"], settings, cache)
        peer = _pytorch_start_up(settings, dataset_arguments, scratch)
    for key in ("first_run_s", "later_run_s"):
        result[key] = spread(result[key])["median"]
    return result, peer


def _pytorch_start_up(settings, dataset_arguments, scratch):
    """Return the same figures of PyTorch, which compiles nothing; None if it takes no part."""
    if not takes_part("pytorch", settings):
        return None
    run = _pytorch(settings, dataset_arguments, {"epochs": 1})
    later = [_until_dry_run([*run, "--dry-run"], settings) for _ in range(FIRST_RUNS)]
    memory = _peak_memory([*run, "--out", f"{scratch}/card.json"], settings)
    return {"later_run_s": spread(later)["median"], "peak_memory_mb": memory}


def takes_part(peer, settings):
    """Say whether a peer is asked and installed."""
    return peer in settings.peers and not missing_peers([peer])


def time_to_accuracy(settings, dataset_arguments, seeds, report):
    """Time whole runs, process start to test accuracy, for seeds 0 ...: numcnn and PyTorch in turn, with one recipe.

    Return numcnn's figures and PyTorch's (None if it takes no part).  The cache of compiled kernels is warm.
    """
    runs = {"numcnn": [], "pytorch": []}
    with tempfile.TemporaryDirectory(prefix="numcnn-bench-") as scratch:
        warm_up = _numcnn("train", *dataset_arguments, "--backend", settings.backend, "--dry-run")
        _until_dry_run(warm_up, settings)  # so that the kernels are compiled
        for seed in range(seeds):
            runs["numcnn"].append(_numcnn_run(settings, dataset_arguments, seed, Path(scratch)) | {"seed": seed})
            config = runs["numcnn"][-1]["config"]
            if takes_part("pytorch", settings):
                run = _pytorch(settings, dataset_arguments, config)
                card = Path(scratch) / f"pytorch{seed}.json"
                runs["pytorch"].append(_timed_run([*run, "--out", card], settings, card, tuned=True) | {"seed": seed})
            told = [f"{name} {r[-1]['seconds']:.2f} s {r[-1]['test_accuracy']:.2%}" for name, r in runs.items() if r]
            report(f"time to {GOAL:.0%}: seed {seed}: {', '.join(told)}")
    ours, theirs = (_summary(runs[name]) for name in ("numcnn", "pytorch"))
    ours["config"] = config
    if theirs:
        pairs = [a["seconds"] / b["seconds"] for a, b in zip(runs["numcnn"], runs["pytorch"], strict=True)]
        ours["share_of_pytorch"] = round(float(np.mean(pairs)), 4)
    return ours, theirs


def _numcnn_run(settings, dataset_arguments, seed, scratch):
    """Time one run of numcnn; see ``_timed_run``."""
    out = scratch / f"numcnn{seed}"
    recipe = [*RECIPE, "--seed", seed, "--threads", settings.threads, "--backend", settings.backend]
    command = _numcnn("train", *dataset_arguments, *recipe, "--out", out, "--quiet")
    return _timed_run(command, settings, out / "run.json")


def _summary(runs):
    """Return means and spreads over the seeds; None for no runs."""
    if not runs:
        return None
    seconds, accuracies = (np.array([run[key] for run in runs]) for key in ("seconds", "test_accuracy"))
    several = len(runs) > 1
    return {
        "runs": [{key: value for key, value in run.items() if key != "config"} for run in runs],
        "seconds": round(float(seconds.mean()), 3),
        "seconds_std": round(float(seconds.std(ddof=1)), 3) if several else None,
        "test_accuracy": round(float(accuracies.mean()), 6),
        "test_accuracy_std": round(float(accuracies.std(ddof=1)), 6) if several else None,
        "reached_99": int((accuracies >= GOAL).sum()),
    }


def _numcnn(*arguments):
    return [*PYTHON_MODULE, "numcnn", *map(str, arguments)]


def _pytorch(settings, dataset_arguments, config):
    module = "numcnn.benchmark.peers.pytorch_recipe"
    options = ["--threads", str(settings.threads), "--config", json.dumps(config)]
    return [*PYTHON_MODULE, module, *dataset_arguments, *options]


@contextlib.contextmanager
def _process(command, settings, cache=None, tuned=False, starter=()):
    """Start a process of a user's kind; end it if something goes wrong here.

    cache: its own cache folder.  starter: a command that starts the command.
    """
    env = environment(settings.threads, tuned)
    if cache:
        env = {**env, "XDG_CACHE_HOME": str(cache)}
        env.pop("NUMBA_CACHE_DIR", None)
    with tempfile.TemporaryFile("w+") as complaints:
        process = subprocess.Popen(
            [*starter, *map(str, command)],
            stdout=subprocess.PIPE,
            stderr=complaints,
            env=env,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        try:
            yield process
            process.stdout.read()
            if process.returncode is None:
                process.wait()
            if process.returncode:
                complaints.seek(0)
                raise BenchmarkError(_reason(command, process.returncode, complaints.read()))
        finally:
            if process.returncode is None:
                if hasattr(os, "killpg"):  # whatever it has started too
                    os.killpg(process.pid, signal.SIGKILL)
                process.kill()
                process.wait()
            process.stdout.close()


def _reason(command, code, complaints):
    lines = complaints.strip().splitlines() or ["it said nothing"]
    return f"{' '.join(map(str, command[3:5]))} ... ended with code {code}: {lines[-1]}"


def _until_dry_run(command, settings, cache=None):
    """Return the seconds from process start until the dry run's steps are done."""
    started = time.perf_counter()
    with _process(command, settings, cache) as process:
        for line in process.stdout:
            if line.startswith("dry run: all is well"):
                return time.perf_counter() - started
    raise BenchmarkError(f"{' '.join(command[3:5])} ... --dry-run did not say that all is well")


def _timed_run(command, settings, path, tuned=False):
    """Run a training; its card appears at ``path``.  Return a dict: seconds from process start until it is there, test
    accuracy, the settings that were used, and the share of the machine that others took meanwhile.
    """
    others, started, seconds = OtherWork(), time.perf_counter(), None
    with _process(command, settings, tuned=tuned) as process:
        while seconds is None and process.poll() is None:
            time.sleep(0.005)
            if path.exists():  # it is written whole or not at all
                seconds = time.perf_counter() - started
    card = json.loads(path.read_text(encoding="utf-8"))
    return {
        "seconds": round(seconds or time.perf_counter() - started, 3),
        "test_accuracy": card["test_accuracy"],
        "config": card.get("config"),
        "other_work": others.share(),
    }


def _peak_memory(command, settings, cache=None):
    """Return the most resident memory (MB) that a process ever had; None where the system doesn't say.

    Linux counts in what the process had that started it, before it became another program.  So a small one starts it.
    """
    if importlib.util.find_spec("resource") is None:  # Windows
        return None
    with _process(command, settings, cache, starter=(sys.executable, "-S", "-c", STARTER)) as process:
        printed = process.stdout.read().split()
    return round(int(printed[-1]) / (1e6 if sys.platform == "darwin" else 1e6 / 1024), 1)


def arguments_for(dataset, arguments, folder):
    """Return the ``--dataset`` and ``--data-dir`` with which a process gets the same data, and at once.

    Generated digits are written to ``folder``, so that drawing them is not part of what is timed.
    """
    if dataset.is_mnist and arguments.dataset in ("auto", "mnist"):
        place = arguments.data_dir or os.environ.get("NUMCNN_DATA") or mnist.cache_folder()
        return ["--dataset", "mnist", "--data-dir", str(place)]
    if dataset.name != "generated":
        return ["--dataset", arguments.dataset]
    place = Path(folder) / "generated-digits"
    place.mkdir()
    for role, file in mnist.FILES.items():
        write = idx.write_labels if role.endswith("labels") else idx.write_images
        write(place / file.name, getattr(dataset, role))
    return ["--dataset", str(place)]
