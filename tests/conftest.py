"""Fixtures that several test files share."""

import gc
import os
import re
import signal
import threading
from multiprocessing import resource_tracker

import numpy as np
import pytest
from processes import wait_for

from numcnn import Conv2D, Dense, Dropout, Flatten, MaxPool2D, ReLU
from numcnn.data import generated, idx, mnist
from numcnn.kernels import get_backend, thread_team
from numcnn.nn.models import MODELS

REAL = {name: os.environ.get(name) for name in ("NUMCNN_DATA", "NUMCNN_PENDIGITS")}

# Test files of these folders are marked ``once`` unless they choose kernels: compiled or not makes no difference there.
ANY_KERNELS = {"commands", "data", "evaluation", "imaging", "pad", "recognition"}
CHOOSES_KERNELS = re.compile(r"\b(BACKEND|COMPILED|fast)\b")


def pytest_collection_modifyitems(items):
    """Mark what CI runs in one of its two lanes only, for lack of time: see ``markers`` in pyproject.toml.

    Tests with real data run compiled even where their whole file is marked ``once``: the other lane has no such data.
    """
    once = {
        path
        for path in {item.path for item in items}
        if path.parent.name in ANY_KERNELS and not CHOOSES_KERNELS.search(path.read_text(encoding="utf-8"))
    }
    for item in items:
        if {"real_mnist", "real_pens"} & set(item.fixturenames):
            if item.get_closest_marker("once"):
                item.add_marker("compiled")
        elif item.path in once:
            item.add_marker("once")


@pytest.fixture(scope="session", autouse=True)
def no_real_data(tmp_path_factory):
    """Hide real data from all tests but those that ask for them by ``real_mnist`` and ``real_pens``.

    So no other test can depend on whether they are there, and .ci/run needn't run them both with and without.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENBLAS_NUM_THREADS", "1")  # in the processes that tests start, as in ``one_blas_thread`` here
        for name in (*REAL, "PYTHONUNBUFFERED"):  # where it is set, nothing is left for Python to write when it ends
            patch.delenv(name, raising=False)
        get_backend("fast")  # while the user's cache is there, in which compiled kernels are
        # Where downloads are kept.
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def _real(name, monkeypatch):
    if not REAL[name]:
        pytest.skip(f"{name} does not say where the real data are")
    monkeypatch.setenv(name, REAL[name])
    return REAL[name]


@pytest.fixture
def real_mnist(monkeypatch):
    """The folder of the real MNIST, which ``NUMCNN_DATA`` names meanwhile."""
    return _real("NUMCNN_DATA", monkeypatch)


@pytest.fixture
def real_pens(monkeypatch):
    """The folder of UCI's pen digits, which ``NUMCNN_PENDIGITS`` names meanwhile."""
    return _real("NUMCNN_PENDIGITS", monkeypatch)


@pytest.fixture(autouse=True)
def one_blas_thread():
    """Let BLAS have one thread: two wait for each other by spinning, which takes long where others work, too."""
    thread_team.one_blas_thread.otherwise(1)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A data folder for the pad that need not exist: no test can touch a real user's."""
    monkeypatch.setenv("NUMCNN_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(autouse=True)
def nothing_left_running():
    """Fail a test that leaves a process behind, or a thread that Python would wait for at its end."""
    before = set(threading.enumerate())
    yield

    def left():
        return [thread for thread in set(threading.enumerate()) - before if not thread.daemon]

    wait_for(lambda: not left(), "threads to end")
    if hasattr(os, "waitid"):
        with pytest.raises(ChildProcessError):  # there is none
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)


@pytest.fixture
def open_pad():
    """Give a function that opens a pad; close it in the end."""
    from pads import opened_pads  # here, so that only the pad's tests load pygame

    with opened_pads() as opened:
        yield opened


@pytest.fixture
def no_tracker(nothing_left_running):
    """End the process with which multiprocessing tidies up; it would live as long as this one."""
    yield
    gc.collect()  # the semaphores of a pool that is a part of a circle
    resource_tracker._resource_tracker._stop()


@pytest.fixture
def no_collection():
    """No garbage is collected: a finalizer that runs where a recursion has come to its limit fails, and so the test."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def no_display(monkeypatch):
    """SDL's dummy driver: an invisible window."""
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


@pytest.fixture
def tiny_mnist(tmp_path):
    """A folder with four IDX files in MNIST's names but of our own making, and what `mnist.FILES` would say of them."""
    rng = np.random.default_rng(7)
    folder = tmp_path / "tiny"
    folder.mkdir()
    files = {}
    for part, n in (("train", 200), ("test", 50)):
        images = rng.integers(0, 256, (n, 28, 28), np.uint8)
        labels = (np.arange(n) % 10).astype(np.uint8)
        for role, array, write in (
            (f"{part}_images", images, idx.write_images),
            (f"{part}_labels", labels, idx.write_labels),
        ):
            name = mnist.FILES[role].name
            write(folder / f"{name}.gz", array)
            files[role] = mnist.IdxFile(name, idx.sha256(array), len(idx.header(array)) + array.size)
    return folder, files


# A shell's background job inherits SIGINT ignored, and hands that on; the tests interrupt things on purpose.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Under nohup SIGHUP is ignored, which is handed on, too; a handler isn't, and it protects the tests alike.
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda number, frame: None)

# With NUMBA_DISABLE_JIT=1 the fast kernels are plain Python: right, but far too slow to train whole networks with.
COMPILED = os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")
BACKEND = "fast" if COMPILED else "reference"

# Each back-end in the lane where it is quick; that the fast one gives the reference's results is tested in both.
EACH_IN_ITS_LANE = [
    pytest.param("reference", marks=pytest.mark.once),
    pytest.param("fast", marks=pytest.mark.compiled),
]


def draw_digits(n, seed):
    """Return n generated digits, drawn once per test session."""
    if (n, seed) not in _drawn:
        _drawn[n, seed] = generated.generate(n, seed, backend=BACKEND)
    return _drawn[n, seed]


_drawn = {}


def write_digits(folder):
    """Write a data set of generated digits in MNIST's form: 600 to train on, 200 to test with."""
    folder.mkdir()
    for part, n, seed in (("train", 600, 11), ("test", 200, 12)):
        images, labels = draw_digits(n, seed)
        idx.write_images(folder / mnist.FILES[f"{part}_images"].name, images)
        idx.write_labels(folder / mnist.FILES[f"{part}_labels"].name, labels)
    return folder


def small_canonical_layers(classes, dropout):
    """Return the layers of what stands in for ``canonical`` where only what surrounds a training is tested."""
    return [Conv2D(4, 5, stride=2), ReLU(), MaxPool2D(2), Flatten(), Dropout(dropout), Dense(classes)]


@pytest.fixture
def small_canonical(monkeypatch):
    """The model ``canonical`` is a small network in this process."""
    monkeypatch.setitem(MODELS, "canonical", small_canonical_layers)


def unipen(labels, writers, seed=1):
    """Return generated digits as UCI's pen digits are written down: UNIPEN text, as bytes."""
    rng = np.random.default_rng(seed)
    lines = ['.LEXICON "0" "1"', ".HIERARCHY      DIGIT", ""]
    for number, (label, writer) in enumerate(zip(labels, writers, strict=True)):
        lines += [f'.SEGMENT DIGIT {number:4}-{number + 1} ? "{label}"', f".COMMENT {label} {writer:2}  {number:3}"]
        for stroke in generated.digit_strokes(label, rng):
            points = np.rint(250 + 200 * stroke * (1, -1)).astype(int)  # there y runs upwards
            lines += [".PEN_DOWN", *(f" {x:3}  {y:3}" for x, y in points), ".PEN_UP", ".DT 100"]
        lines.append("")
    return "\n".join(lines).encode()


def lzw(data, widest=16):
    """Pack as Unix compress does, with codes of at most ``widest`` bits, 10 to 16; a full table is cleared."""
    packed, group, width = bytearray(b"\x1f\x9d" + bytes([128 | widest])), [], 9
    table, size, word = {}, 257, b""

    def write(whole):
        bits = sum(code << width * place for place, code in enumerate(group))
        packed.extend(bits.to_bytes(width if whole else -(-len(group) * width // 8), "little"))
        group.clear()

    for letter in (data[i : i + 1] for i in range(len(data))):
        if word + letter in table or not word:
            word += letter
            continue
        group.append(table.get(word, word[0]))
        if size < 1 << widest:
            table[word + letter], size = size, size + 1
        word = letter
        if len(group) == 8:
            write(whole=True)
        if size > 1 << width and width < widest:
            if group:
                write(whole=True)
            width += 1
        elif size == 1 << widest:
            group.append(256)
            write(whole=True)
            table, size, width = {}, 257, 9
    group += [table.get(word, word[0])] if word else []
    write(whole=False)
    return bytes(packed)


@pytest.fixture
def set_threads():
    """Give the function that sets how many threads compute, more than there are processors too; undo it in the end."""
    before = thread_team.the_team().threads
    yield thread_team.set_threads
    thread_team.set_threads(before)


@pytest.fixture
def one_thread(set_threads):
    """Let one thread compute."""
    set_threads(1)
