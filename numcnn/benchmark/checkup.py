"""Checks of an installation, for ``numcnn doctor``: each returns a ``Finding``, none raises.

What may crash a process (compiled kernels, a display's driver) runs in one of its own: ``python -m
numcnn.benchmark.checkup kernels`` prints its findings as JSON.
"""

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

import numcnn
from numcnn.benchmark import machine
from numcnn.children import child_environment
from numcnn.data import mnist
from numcnn.data.batches import Batch
from numcnn.errors import NumcnnError
from numcnn.files import as_path, check_folder_writable
from numcnn.kernels import get_backend, has_fast
from numcnn.kernels.thread_team import available_threads, use_threads
from numcnn.nn import checkpoint
from numcnn.nn.gradient_check import gradcheck
from numcnn.nn.losses import SoftmaxCrossEntropy
from numcnn.nn.models import make_layers
from numcnn.nn.network import Network, load
from numcnn.pad import store

OPTIONAL = ("dask", "distributed", "mpi4py")  # for trainings on several machines
# The oldest versions that work, as in pyproject.toml.
LOWEST = {
    "numpy": "2.0",
    "numba": "0.62",
    "threadpoolctl": "3.5",
    "pillow": "11.3",
    "matplotlib": "3.11",
    "pygame-ce": "2.5.2",
    "platformdirs": "4.0",
    "pooch": "1.8",
    "requests": "2.31",
    "tqdm": "4.66",
}
LOWEST_PYTHON = (3, 11)
VARIABLES = re.compile(r"NUMCNN_\w+|NUMBA_\w+|(OMP|OPENBLAS|MKL)_NUM_THREADS|SDL_VIDEODRIVER|XDG_CACHE_HOME")

SUMS = "SHA256SUMS"  # in the folder of the weights, as sha256sum writes it
CHILD_SECONDS = 300  # the first start compiles the kernels, a minute on a busy machine
LEAST_FREE = 200 << 20  # bytes: the kernel cache takes 40 MB, a training's files some MB
INVISIBLE = ("dummy", "offscreen")  # SDL's drivers without a display
SPEED_SECONDS = 1.0
BATCH = 64
GRADIENT_TOLERANCE = 1e-3  # of float32 kernels beside the reference, relative to an array's largest value

FINE, NOTE, FAILED = "fine", "note", "failed"
UNBUILT = "the fast kernels can't be built, the plain ones answer"


@dataclass(frozen=True)
class Finding:
    """What a check found.  state: fine, note (worth knowing, works all the same) or failed; figures: for JSON."""

    name: str
    state: str
    text: str
    figures: dict[str, Any]


def findings() -> Iterator[Finding]:
    """Run all checks, one after the other."""
    for name, check in (
        ("versions", _versions),
        ("processor", _processor),
        ("environment", _environment),
        ("BLAS", _blas),
        ("pygame", _pygame),
        ("weights", _weights),
        ("data", _data),
        ("your folder", _home),
    ):
        yield _guarded(name, check)
    for part in ("display", "kernels"):
        yield from _in_a_process(part)


def _guarded(name: str, check: Callable[[], tuple[str, str, dict[str, Any]]]) -> Finding:
    """Run one check; what it raises is its finding."""
    try:
        return Finding(name, *check())
    except Exception as error:
        return Finding(name, FAILED, f"{type(error).__name__}: {error}", {})


def _versions() -> tuple[str, str, dict[str, Any]]:
    found: dict[str, Any] = {"numcnn": numcnn.__version__, "python": platform.python_version()}
    wrong = [f"python {found['python']} (wants 3.11)"] if sys.version_info < LOWEST_PYTHON else []
    for name, lowest in LOWEST.items():
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
            wrong.append(f"{name} is missing")
            continue
        if _numbers(found[name]) < _numbers(lowest):
            wrong.append(f"{name} {found[name]} (wants {lowest})")
    for name in OPTIONAL:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    text = ", ".join(f"{name} {version}" for name, version in found.items())
    advice = f"{'; '.join(wrong)}: pip install --upgrade numcnn. " if wrong else ""
    return FAILED if wrong else FINE, advice + text, found | {"file": numcnn.__file__}


def _numbers(version: str) -> list[int]:
    """Return the leading numbers of a version: "2.5.2rc1" -> [2, 5, 2]."""
    return [int(number) for number in re.findall(r"\d+", re.split(r"[a-zA-Z+]", version)[0])]


def _processor() -> tuple[str, str, dict[str, Any]]:
    threads = available_threads()
    found = machine.describe(threads)
    busy = machine.is_busy(found)
    text = f"{found['cpu']}, {found['vectors'] or 'no vector instructions known'}, {found['processors']} processors, "
    text += f"{threads} usable, {found['system']}"
    return (NOTE if busy else FINE), text + ("; other programs keep it busy" if busy else ""), found


def _environment() -> tuple[str, str, dict[str, Any]]:
    found = {name: value for name, value in sorted(os.environ.items()) if VARIABLES.fullmatch(name)}
    return FINE, ", ".join(f"{name}={value}" for name, value in found.items()) or "no variables are set", found


def _blas() -> tuple[str, str, dict[str, Any]]:
    from threadpoolctl import threadpool_info  # noqa: PLC0415  (slow to load)

    np.matmul(np.ones((2, 2)), np.ones((2, 2)))  # loads it
    libraries = [library for library in threadpool_info() if library.get("user_api") == "blas"]
    text = ", ".join(
        f"{each['internal_api']} {each.get('version')} ({each.get('architecture', '')}), {each['num_threads']} threads"
        for each in libraries
    )
    if not text:
        return NOTE, "no BLAS whose threads can be set; NumPy's own may be slow", {}
    return FINE, text, {"libraries": libraries}


def _pygame() -> tuple[str, str, dict[str, Any]]:
    installed: dict[str, Any] = {}
    for name in ("pygame", "pygame-ce"):
        try:
            installed[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            installed[name] = None
    if installed["pygame"] and installed["pygame-ce"]:
        advice = "pygame and pygame-ce are both installed and overwrite each other's files: pip uninstall pygame "
        return FAILED, advice + "pygame-ce, then pip install pygame-ce", installed
    if installed["pygame"]:
        return NOTE, f"pygame {installed['pygame']}, not pygame-ce, which numcnn is tested with", installed
    return FINE, f"pygame-ce {installed['pygame-ce']}, no other pygame beside it", installed


def _weights() -> tuple[str, str, dict[str, Any]]:
    """Check the shipped weights beside their hashes, and load them."""
    folder = checkpoint.weights_folder()
    sums = [line.split() for line in (folder / SUMS).read_text(encoding="utf-8").splitlines()]
    found: dict[str, Any] = {"folder": str(folder)}
    wrong: list[str] = []
    for want, name in sums:
        path = folder / name
        have = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        found[name] = have
        if have != want:
            wrong.append(f"{path} {'is missing' if have is None else 'is damaged'}")
        else:
            load(path, backend="reference")
    if wrong:
        return FAILED, f"{'; '.join(wrong)}; install numcnn again", found
    return FINE, f"{', '.join(name for _, name in sums)} as shipped, in {folder}", found


def _data() -> tuple[str, str, dict[str, Any]]:
    named = os.environ.get(mnist.VARIABLE)
    folder = as_path(named) if named else mnist.cache_folder()
    if not named and not any(mnist.locate(folder, role) for role in mnist.FILES):
        return NOTE, f"MNIST isn't in {folder} yet; training downloads it, or draws digits itself", {"mnist": None}
    try:
        mnist.read_mnist(folder)
    except NumcnnError as error:
        return FAILED, str(error), {"mnist": str(folder)}
    return FINE, f"MNIST in {folder}, each file's SHA-256 is right", {"mnist": str(folder)}


def _home() -> tuple[str, str, dict[str, Any]]:
    """Check the folder of the user's digits and of the personal weights."""
    folder = store.home()
    check_folder_writable(folder)
    digits, problems = store.OwnSet().read()
    personal = store.personal_weights()
    found = {"folder": str(folder), "digits": len(digits), "damaged_lines": len(problems), "personal": False}
    if personal.exists():
        load(personal, backend="reference")
        found["personal"] = True
    text = f"{folder}: {len(digits)} digits of your own, {'with' if found['personal'] else 'no'} personal weights"
    if problems:
        return NOTE, f"{text}; {len(problems)} lines can't be read: {problems[0]}", found
    return FINE, text, found


# In processes of their own


def _in_a_process(part: str) -> list[Finding]:
    """Run the checks of ``part`` in another process, which may crash."""
    command = [sys.executable, "-m", "numcnn.benchmark.checkup", part]
    try:
        done = subprocess.run(command, env=child_environment(), capture_output=True, text=True, timeout=CHILD_SECONDS)
    except subprocess.TimeoutExpired:
        return [Finding(part, FAILED, f"no answer within {CHILD_SECONDS} s", {})]
    notes = done.stderr.strip().splitlines()
    try:
        found = [Finding(**each) for each in json.loads(done.stdout)]
    except ValueError:
        end = f"it was ended by {signal.Signals(-done.returncode).name}" if done.returncode < 0 else "it failed"
        advice = "; delete the kernel cache, or set NUMBA_DISABLE_JIT=1" if part == "kernels" else ""
        return [Finding(part, FAILED, f"{end}{advice}{': ' + notes[-1] if notes else ''}", {"stderr": notes})]
    if part == "display":  # SDL warns there of much that doesn't matter
        return found
    return [*found, *(Finding(part, NOTE, line, {}) for line in notes)]


def _display() -> tuple[str, str, dict[str, Any]]:
    from numcnn.pad import display  # noqa: PLC0415  (loads pygame)

    missing = "no window can be shown here, so the pad can't open; numcnn draw --screenshot works"
    try:
        found = display.describe()
    except Exception as error:  # pygame.error, which only pad/ may import
        return NOTE, f"{missing} ({error})", {"driver": None}
    text = f"driver {found['driver']}, {found['pygame']}, SDL {found['SDL']}"
    return (NOTE, f"{missing} ({text})", found) if found["driver"] in INVISIBLE else (FINE, text, found)


def _cache() -> tuple[str, str, dict[str, Any]]:
    """Check every file of the kernel cache."""
    if not has_fast():
        return NOTE, UNBUILT, {"folder": None}
    from numcnn.kernels.fast import jit, kernel_cache  # noqa: PLC0415  (loads Numba)

    folder = jit.cache_folder()
    if folder is None:
        return (
            NOTE,
            "no folder is writable, so each process compiles the kernels; set NUMBA_CACHE_DIR",
            {"folder": None},
        )
    files = [*folder.rglob("*.nbi"), *folder.rglob("*.nbc")]
    damaged = [str(path) for path in files if not kernel_cache.is_sound(path)]
    free = shutil.disk_usage(folder if folder.exists() else folder.parent).free
    found = {"folder": str(folder), "files": len(files), "damaged": damaged, "free_bytes": free}
    text = f"{len(files)} files in {folder}, {free / 1e9:.1f} GB free"
    if damaged:
        return NOTE, f"{text}; {len(damaged)} are damaged, which are compiled again when needed: {damaged[0]}", found
    return (NOTE if free < LEAST_FREE else FINE), text, found


def _gradients() -> tuple[str, str, dict[str, Any]]:
    """Compare the reference's gradients with numeric differences, and the compiled kernels' with the reference's."""
    small = Network([numcnn.Conv2D(3, 3), numcnn.ReLU(), numcnn.MaxPool2D(2), numcnn.Flatten(), numcnn.Dense(10)])
    report = gradcheck(small, samples=8, backend="reference")
    worst = 0.0
    grads: list[np.ndarray] = []
    for backend in ("reference", "fast"):
        network = Network(make_layers("canonical"), backend=backend, seed=1)
        network.backpropagate(_batch(network), SoftmaxCrossEntropy(get_backend(backend)))
        grads.append(network.grads.copy())
    for place in network.slices.values():
        scale = np.abs(grads[0][place]).max() or 1.0
        worst = max(worst, float(np.abs(grads[0][place] - grads[1][place]).max() / scale))
    found = {"passed": report.passed, "compiled_differ_by": worst}
    if report.passed and not has_fast():
        return NOTE, f"right beside numeric differences; {UNBUILT}", found
    right = report.passed and worst <= GRADIENT_TOLERANCE
    text = f"{'right' if report.passed else 'WRONG'} beside numeric differences; compiled kernels differ by {worst:.1e}"
    advice = "" if right else "; please report this, with the whole output of numcnn doctor --json"
    return FINE if right else FAILED, text + advice, found


def _batch(network: Network) -> Batch:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (BATCH, *network.input_shape[:2]), dtype=np.uint8)
    rows = np.arange(BATCH)
    return Batch(images, rows, rows % 10, network.pixel_reader)


def _speed() -> tuple[str, str, dict[str, Any]]:
    """Measure training and reading of single pictures with the canonical network, about a second each."""
    threads = use_threads(None)
    network = Network(make_layers("canonical"), backend="fast", seed=1)
    batch, criterion = _batch(network), SoftmaxCrossEntropy(get_backend("fast"))
    reader = network.reader()
    picture = np.zeros(network.input_shape[:2], np.uint8)
    steps = _times(lambda: network.backpropagate(batch, criterion))
    single = _times(lambda: reader.logits(picture))
    found = {"threads": threads, "training_images_per_second": round(BATCH / steps), "picture_seconds": single}
    text = f"gradients of {BATCH / steps:,.0f} images/s on {threads} threads, one picture in {1e6 * single:.0f} µs"
    if not has_fast():
        return NOTE, f"{text}; {UNBUILT}", found
    return FINE, text, found


def _times(work: Callable[[], object]) -> float:
    """Return the seconds that ``work`` takes, the median of what fits into SPEED_SECONDS."""
    work()
    seconds: list[float] = []
    began = time.perf_counter()
    while not seconds or time.perf_counter() - began < SPEED_SECONDS:
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


PARTS = {
    "display": {"display": _display},
    "kernels": {"kernel cache": _cache, "gradients": _gradients, "speed": _speed},
}

if __name__ == "__main__":
    print(json.dumps([asdict(_guarded(name, check)) for name, check in PARTS[sys.argv[1]].items()]))
