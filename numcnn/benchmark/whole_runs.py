"""Whole training runs as users start them, timed from outside: start-up, memory, and the time to a test accuracy."""

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from numcnn.benchmark import BenchmarkError, Say
from numcnn.benchmark.machine import OtherWork
from numcnn.benchmark.measure import Settings, missing_peers, quartiles
from numcnn.benchmark.processes import PYTHON_MODULE, environment
from numcnn.data import Dataset, idx, mnist

FIRST_RUNS, LATER_RUNS = 3, 7
GOAL = 0.99

# Starts the command that follows, and prints its peak memory.
STARTER = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""

# The options of `numcnn train` for the time to 99%; PyTorch's settings come from its run card.
RECIPE = ("--preset", "fast")


def start_up(
    settings: Settings, dataset_arguments: Sequence[str], say: Say
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Measure process start to the second training step, compiling and later, and the peak memory of one epoch.

    Return numcnn's figures and PyTorch's (None if it takes no part).
    """
    first, later, memory = [], [], {}
    train = _numcnn("train", *dataset_arguments, "--threads", settings.threads, "--backend", settings.backend)
    say("start-up: the first run ever, compiling; then later ones")
    with tempfile.TemporaryDirectory(prefix="numcnn-bench-") as scratch:
        cache = Path(scratch)
        for number in range(FIRST_RUNS):
            cache = Path(scratch) / f"cache{number}"
            cache.mkdir()
            first.append(_until_dry_run([*train, "--dry-run"], settings, cache))
        for _ in range(LATER_RUNS):
            later.append(_until_dry_run([*train, "--dry-run"], settings, cache))
        say("start-up: the memory of one epoch")
        one_epoch = [*train, "--epochs", "1", "--quiet", "--json"]
        # The first compiles the kernels that two steps did not use.
        for key in ("peak_memory_first_mb", "peak_memory_mb"):
            memory[key] = peak_memory([*one_epoch, "--out", f"{scratch}/{key}"], settings, cache)
        peer = _pytorch_start_up(settings, dataset_arguments, scratch)
    times = {"first_run_s": quartiles(first)["median"], "later_run_s": quartiles(later)["median"]}
    return {"steps": 2, **times, **memory}, peer


def _pytorch_start_up(settings: Settings, dataset_arguments: Sequence[str], scratch: str) -> dict[str, Any] | None:
    """Return the same figures of PyTorch, which compiles nothing; None if it takes no part."""
    if not takes_part("pytorch", settings):
        return None
    run = _pytorch(settings, dataset_arguments, {"epochs": 1})
    later = [_until_dry_run([*run, "--dry-run"], settings) for _ in range(FIRST_RUNS)]
    memory = peak_memory([*run, "--out", f"{scratch}/card.json"], settings)
    return {"later_run_s": quartiles(later)["median"], "peak_memory_mb": memory}


def takes_part(peer: str, settings: Settings) -> bool:
    """Return whether a peer is named and installed."""
    return peer in settings.peers and not missing_peers([peer])


def time_to_accuracy(
    settings: Settings, dataset_arguments: Sequence[str], seeds: int, say: Say
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Time whole runs from process start to test accuracy: numcnn and PyTorch in turn, with one recipe.

    The seeds are 0 to seeds - 1; the cache of compiled kernels is warm.  Return numcnn's figures and PyTorch's (None if
    it takes no part).
    """
    runs: dict[str, list[dict[str, Any]]] = {"numcnn": [], "pytorch": []}
    config: dict[str, Any] = {}
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
            lines = [f"{name} {r[-1]['seconds']:.2f} s {r[-1]['test_accuracy']:.2%}" for name, r in runs.items() if r]
            say(f"time to {GOAL:.0%}: seed {seed}: {', '.join(lines)}")
    own, peer = _summary(runs["numcnn"]) | {"config": config}, None
    if runs["pytorch"]:
        peer = _summary(runs["pytorch"])
        pairs = [a["seconds"] / b["seconds"] for a, b in zip(runs["numcnn"], runs["pytorch"], strict=True)]
        own["share_of_pytorch"] = round(float(np.mean(pairs)), 4)
    return own, peer


def _numcnn_run(settings: Settings, dataset_arguments: Sequence[str], seed: int, scratch: Path) -> dict[str, Any]:
    """Time one run of numcnn; see ``_timed_run``."""
    out = scratch / f"numcnn{seed}"
    recipe = [*RECIPE, "--seed", seed, "--threads", settings.threads, "--backend", settings.backend]
    command = _numcnn("train", *dataset_arguments, *recipe, "--out", out, "--quiet")
    return _timed_run(command, settings, out / "run.json")


def _summary(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return means and spreads over the seeds of one run or more."""
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


def _numcnn(*arguments: object) -> list[str]:
    return [*PYTHON_MODULE, "numcnn", *map(str, arguments)]


def _pytorch(settings: Settings, dataset_arguments: Sequence[str], config: dict[str, Any]) -> list[str]:
    module = "numcnn.benchmark.peers.pytorch_recipe"
    options = ["--threads", str(settings.threads), "--config", json.dumps(config)]
    return [*PYTHON_MODULE, module, *dataset_arguments, *options]


@contextlib.contextmanager
def _process(
    command: Sequence[object],
    settings: Settings,
    cache: Path | None = None,
    tuned: bool = False,
    starter: Sequence[str] = (),
) -> "Iterator[subprocess.Popen[str]]":
    """Start a process as users would; kill it if something goes wrong here.

    cache: its own cache folder.  starter: a command that starts the command.
    """
    env = environment(settings.threads, tuned)
    if cache:
        env = {**env, "XDG_CACHE_HOME": str(cache)}
        env.pop("NUMBA_CACHE_DIR", None)
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [*starter, *map(str, command)],
            stdout=subprocess.PIPE,
            stderr=errors,
            env=env,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )
        assert process.stdout
        try:
            yield process
            process.stdout.read()
            if process.returncode is None:
                process.wait()
            if process.returncode:
                errors.seek(0)
                raise BenchmarkError(_reason(command, process.returncode, errors.read()))
        finally:
            if process.returncode is None:
                if hasattr(os, "killpg"):  # also ends what it has started
                    os.killpg(process.pid, signal.SIGKILL)
                process.kill()
                process.wait()
            process.stdout.close()


def _reason(command: Sequence[object], code: int, errors: str) -> str:
    lines = errors.strip().splitlines() or ["it printed no error"]
    return f"{' '.join(map(str, command[3:5]))} ... ended with code {code}: {lines[-1]}"


def _until_dry_run(command: Sequence[str], settings: Settings, cache: Path | None = None) -> float:
    """Return the seconds from process start until the dry run's steps are done."""
    started = time.perf_counter()
    with _process(command, settings, cache) as process:
        for line in process.stdout or ():
            if line.startswith("dry run: all is well"):
                return time.perf_counter() - started
    raise BenchmarkError(f'{" ".join(command[3:5])} ... --dry-run did not print "dry run: all is well"')


def _timed_run(command: Sequence[object], settings: Settings, path: Path, tuned: bool = False) -> dict[str, Any]:
    """Run a training that writes its run card to ``path``.

    Return a dict: seconds from process start until the card exists, test accuracy, the settings of the run, and the
    share of the machine that other processes took meanwhile.
    """
    others, started, seconds = OtherWork(), time.perf_counter(), None
    with _process(command, settings, tuned=tuned) as process:
        while seconds is None and process.poll() is None:
            time.sleep(0.005)
            if path.exists():  # it is written completely or not at all
                seconds = time.perf_counter() - started
    card = json.loads(path.read_text(encoding="utf-8"))
    return {
        "seconds": round(seconds or time.perf_counter() - started, 3),
        "test_accuracy": card["test_accuracy"],
        "config": card.get("config"),
        "other_work": others.share(),
    }


def peak_memory(command: Sequence[str], settings: Settings, cache: Path | None = None) -> float | None:
    """Run a process and return its peak resident memory (MB); None where the system doesn't say.

    Linux includes the memory of the process that forked it, before it became another program: a small one starts it.
    """
    told = importlib.util.find_spec("resource") is not None  # not on Windows
    with _process(command, settings, cache, starter=(sys.executable, "-S", "-c", STARTER) if told else ()) as process:
        printed = process.stdout.read().split() if process.stdout else []
    if not told:
        return None
    return round(int(printed[-1]) / (1e6 if sys.platform == "darwin" else 1e6 / 1024), 1)


def dataset_arguments(dataset: Dataset, option: str, data_dir: str | None, folder: str) -> list[str]:
    """Return the ``--dataset`` and ``--data-dir`` with which a process gets the same data, without delay.

    option, data_dir: those of this process.  Generated digits are written to ``folder``, so that drawing them is not
    part of what is timed.
    """
    if dataset.is_mnist and option in ("auto", "mnist"):
        place = data_dir or os.environ.get("NUMCNN_DATA") or mnist.cache_folder()
        return ["--dataset", "mnist", "--data-dir", str(place)]
    if dataset.name != "generated":
        return ["--dataset", option]
    place = Path(folder) / "generated-digits"
    place.mkdir()
    for role, file in mnist.FILES.items():
        write = idx.write_labels if role.endswith("labels") else idx.write_images
        write(place / file.name, getattr(dataset, role))
    return ["--dataset", str(place)]
