"""Valid files of every kind that numcnn reads, ways to damage them, and what may become of it.

``python tests/hostile.py 20000`` runs so many cases and reports; tests/test_hostile.py runs some hundred of them.
"""

import contextlib
import dataclasses
import functools
import gzip
import hashlib
import importlib.util
import io
import json
import math
import os
import resource
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from conftest import lzw, unipen
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image, features

import numcnn
from numcnn.data import idx, mnist, pendigits
from numcnn.errors import NumcnnError
from numcnn.imaging import picture_files
from numcnn.pad import canvas, store
from numcnn.recognition.answer_log import AnswerLog
from numcnn.recognition.documents import COLUMNS
from numcnn.training import run_folder, seeds, sweeps
from numcnn.training.config import TrainConfig
from numcnn.training.session import Options, new_session

SECONDS = 1.0  # of processor time for one file
AT_A_TIME = 250  # cases; Hypothesis slows down with more
MEGABYTES = 200  # that reading one file may add to the process

RNG = np.random.default_rng(1)
INK = RNG.integers(0, 256, (28, 28), np.uint8)


# Valid files: kind -> contents


def _weights() -> list[bytes]:
    from numcnn import AveragePool2D, BatchNorm, Conv2D, Dense, Dropout, Flatten, LeakyReLU, MaxPool2D, ReLU, Tanh

    networks = [
        numcnn.Network([Conv2D(2, 3), ReLU(), MaxPool2D(2), Flatten(), Dense(10)], seed=1),
        numcnn.Network([Conv2D(2, 3, padding=1, stride=2), BatchNorm(), Tanh(), AveragePool2D(2), Flatten(),
                        Dropout(0.5), Dense(10)], seed=2),
        numcnn.Network([Flatten(), Dense(4), LeakyReLU(), Dense(10)], dtype=np.float64, seed=3),
    ]  # fmt: skip
    networks[0].info = {
        "dataset": "mnist",
        "refuse_below": 0.5,
        "risks": [[0.9, 100, 50, 1, 0.1]],
        "config": {"lr": 0.1},
    }
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for network in networks:
            network.save(Path(folder, "net.npz"))
            found.append(Path(folder, "net.npz").read_bytes())
    return found


def _idx(write: Callable, array: np.ndarray) -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder, "raw"), array)
        raw = Path(folder, "raw").read_bytes()
    return [raw, gzip.compress(raw)]


HEIF = importlib.util.find_spec("pillow_heif") is not None
if HEIF:
    importlib.import_module("pillow_heif").register_heif_opener()


def _pictures() -> list[bytes]:
    grey = Image.fromarray(np.kron(INK, np.ones((2, 2), np.uint8)))
    colour, deep = grey.convert("RGB"), Image.fromarray(INK.astype(np.uint16) * 257)
    found = []
    for image, name, options in [
        (grey, "PNG", {}), (colour.convert("P"), "PNG", {"transparency": 0}), (deep, "PNG", {}), (colour, "JPEG", {}),
        (colour, "BMP", {}), (colour, "GIF", {}), (colour, "WEBP", {}), (grey, "WEBP", {"lossless": True}),
        (grey, "TIFF", {"save_all": True, "append_images": [grey]}), (colour, "TIFF", {"compression": "tiff_lzw"}),
        (colour, "PPM", {}), (grey.convert("1"), "PPM", {}),
        *([(colour, "AVIF", {})] if features.check("avif") else []), *([(colour, "HEIF", {})] if HEIF else []),
    ]:  # fmt: skip
        file = io.BytesIO()
        image.save(file, name, **options)
        found.append(file.getvalue())
    return found


def _json(*values: object) -> list[bytes]:
    return [json.dumps(value).encode() for value in values]


STROKES = [[[0.0, 0.5], [50, 80], [50.25, 81]], [[10, 10]], []]
DIGIT = {"label": 4, "strokes": STROKES, "time": "2026-11-26T12:00:00+00:00"}
ANSWER = {"path": "a.png", "text": "4", "digits": [{"label": 4, "probability": 0.9, "box": [1, 2, 3, 4]}]}
LINES = b"\n".join(_json(DIGIT, DIGIT | {"label": 0}, DIGIT | {"strokes": [[[1, 1]]]})) + b"\n"
LOG = b"\n".join(_json(ANSWER, ANSWER | {"path": "b.tif#1"}, ANSWER | {"path": "b.tif#2"})) + b"\n"
CSV = (",".join(COLUMNS) + '\na.png,4,True,0.9,1\n"b, c\n.png",7,False,0.5,1\n').encode()


PLAN = b"""seeds = 2
dataset = "generated"
preset = "fast"
[settings]
epochs = 1
augment = 0.5
[grid]
lr = [0.001, 3e-3]
optimizer = ["sgd", "adamw"]
"""
PENS = unipen([3, 8], [1, 2])
PENS_ORIGIN = pendigits.Origin(sha256=hashlib.sha256(PENS).hexdigest())


def _pen_strokes() -> list[bytes]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(f"data/{pendigits.NAME}.Z", lzw(PENS))
    return [lzw(PENS), gzip.compress(PENS), archive.getvalue()]


@functools.cache
def _run() -> tuple[bytes, bytes]:
    """Return last.npz of a run that is stopped in its first epoch, and run.json of one that has ended."""
    from numcnn import Dense, Flatten
    from numcnn.nn.models import MODELS

    whole, MODELS["canonical"] = MODELS["canonical"], lambda classes, dropout: [Flatten(), Dense(classes)]
    try:
        with tempfile.TemporaryDirectory() as folder:
            data = Path(folder, "data")
            data.mkdir()
            for part, count in (("train", 40), ("test", 10)):
                idx.write_images(data / mnist.FILES[f"{part}_images"].name, np.stack([INK] * count))
                idx.write_labels(data / mnist.FILES[f"{part}_labels"].name, np.arange(count, dtype=np.uint8) % 10)
            config = TrainConfig(epochs=1, batch_size=10, val=10, backend="reference", average=0.5)
            found = []
            for name, stops in (("last.npz", True), ("run.json", False)):
                session = new_session(config, data, Options(quiet=True), watch_gradients=True)
                files = session.open_folder(Path(folder, name.partition(".")[0]))
                files.stop_signal = 2 if stops else None
                session.train()
                if not stops:
                    session.finish()
                session.release()
                found.append((files.best.parent / name).read_bytes())
            return found[0], found[1]
    finally:
        MODELS["canonical"] = whole


def _saved(plan: sweeps.Sweep | seeds.Series, name: str) -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        dataclasses.replace(plan, folder=Path(folder)).save()
        return [Path(folder, name).read_bytes()]


def _sweep() -> list[bytes]:
    grid = {"lr": [0.1, 0.2], "optimizer": ["sgd", "adamw"]}
    return _saved(sweeps.Sweep(Path(), TrainConfig(epochs=1), grid, 2, "mnist", 1, "numcnn sweep"), "sweep.json")


def _series() -> list[bytes]:
    settings = {"dataset_argument": "mnist", "command": "numcnn train", "watch_gradients": True, "ensemble": False}
    return _saved(seeds.Series(folder=Path(), config=TrainConfig(epochs=1), count=3, **settings), "series.json")


# What reading must come to: nothing is raised but NumcnnError


def read_weights(path: Path) -> None:
    network = numcnn.load(path, backend="reference")
    shape = network.input_shape
    if len(shape) == 3 and len(network.output_shape) == 1:
        (answer,) = network.read(np.full((1, *shape), 0.5, np.float32))
        assert math.isfinite(answer.probability) and 0 <= answer.label < network.output_shape[0]
        json.dumps(network.info, allow_nan=False).encode()


def read_images(path: Path) -> None:
    assert idx.read_images(path).ndim == 3


def read_labels(path: Path) -> None:
    assert idx.read_labels(path).max() < 10


def read_picture(path: Path) -> None:
    for page in picture_files.pages(path):
        assert np.isfinite(page.pixels).all() and max(page.pixels.shape[:2]) <= 2048


def read_strokes(path: Path) -> None:
    assert all(np.isfinite(points).all() for points in canvas.read_strokes(path))


def read_own(path: Path) -> None:
    digits, problems = store.OwnSet(path).read()
    assert all(0 <= digit.label <= 9 for digit in digits) and all(str(path) in problem for problem in problems)


def read_settings(path: Path) -> None:
    assert isinstance(store.Settings(path).read(), dict)


def read_drawing(path: Path) -> None:
    drawing = store.Autosave(path)
    strokes = drawing.restore()
    assert drawing.problem is None or (strokes == [] and str(path) in drawing.problem)


def read_log(path: Path) -> None:
    before = path.read_bytes()
    try:
        with AnswerLog(path) as log:
            assert all(isinstance(name, str) for name in log.answered)
    except NumcnnError:
        assert path.read_bytes() == before  # what isn't ours stays as it is
        raise


def read_run(path: Path) -> None:
    run = run_folder.load_run(path.parent)
    assert run.state.epoch <= run.config.epochs and np.isfinite(run.network.params).all()


def read_card(path: Path) -> None:
    json.dumps(run_folder.load_card(path), allow_nan=False).encode()


def read_sweep(path: Path) -> None:
    assert 1 <= len(sweeps.load_sweep(path.parent).jobs()) <= sweeps.MOST_RUNS


def read_series(path: Path) -> None:
    assert 2 <= seeds.load_series(path.parent).count <= seeds.MOST_SEEDS


def read_plan(path: Path) -> None:
    assert set(sweeps.read_plan(path)) <= sweeps.FILE_KEYS


def read_pen_strokes(path: Path) -> None:
    assert len(pendigits.load(path, origin=PENS_ORIGIN)) == 2


def read_pen_text(path: Path) -> None:
    people = pendigits.parse(path.read_bytes(), path)
    assert len(people) == len(people.labels) == len(people.writers) > 0


class Kind(NamedTuple):
    """A kind of file: its name on the disk, valid contents, and what reads it."""

    name: str
    contents: Callable[[], list[bytes]]
    read: Callable[[Path], None]
    share: int  # of all cases


KINDS = {
    "weights": Kind("net.npz", _weights, read_weights, 6),
    "idx images": Kind("images-idx3-ubyte", lambda: _idx(idx.write_images, np.stack([INK, INK])), read_images, 2),
    "idx labels": Kind("labels-idx1-ubyte", lambda: _idx(idx.write_labels, INK[0] % 10), read_labels, 1),
    "pictures": Kind("picture.png", _pictures, read_picture, 4),
    "strokes": Kind("strokes.json", lambda: _json(STROKES, STROKES[:1] * 50), read_strokes, 2),
    "own digits": Kind("own.jsonl", lambda: [LINES], read_own, 2),
    "settings": Kind("settings.json", lambda: _json({"theme": "dark", "pen": 0.04}), read_settings, 1),
    "drawing": Kind("drawing.json", lambda: _json(STROKES), read_drawing, 1),
    "answers, JSON": Kind("out.jsonl", lambda: [LOG], read_log, 1),
    "answers, CSV": Kind("out.csv", lambda: [CSV], read_log, 1),
    "run, last.npz": Kind("last.npz", lambda: [_run()[0]], read_run, 3),
    "run card": Kind("run.json", lambda: [_run()[1]], read_card, 1),
    "sweep": Kind("sweep.json", _sweep, read_sweep, 1),
    "series": Kind("series.json", _series, read_series, 1),
    "plan, TOML": Kind("plan.toml", lambda: [PLAN], read_plan, 1),
    "pens, packed": Kind("pendigits-orig.tra.Z", _pen_strokes, read_pen_strokes, 1),
    "pens, text": Kind("pendigits-orig.tra", lambda: [PENS], read_pen_text, 1),
}  # fmt: skip


@functools.cache
def contents(name: str) -> list[bytes]:
    """Return the valid files of a kind."""
    return KINDS[name].contents()


# Damage

ODD = [
    b"", b"\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"NaN", b"Infinity", b"-1", b"1e400",
    b"1" * 400, b"null", b"[]", b"{}", b'"\\ud800"', b"[" * 2000, b"(", b"-" * 300, b"True", b"0.5", b"\n", b'"',
    b"PK\5\6", b"PK\1\2",
]  # fmt: skip
VALUES = [
    None, True, False, 0, 1, -1, 2, 5000, 2**31 - 1, 2**31, 10**400, 0.5, -0.5, 1e-300, 1e300,
    float("nan"), float("inf"),
    "", "x", "same", "valid", "\ud800", "a\nb", "a" * 5000, [], {}, [1, 2], [0, 0], [[]], [[1.5]], {"a": 1},
    {"type": "ReLU"}, [{"type": "ReLU"}] * 1500, [1] * 300, "float64", "f4,f4",
]  # fmt: skip
WORDS = [
    "ReLU",
    "Conv2D",
    "Flatten",
    "Dense",
    "MaxPool2D",
    "GlobalAveragePool2D",
    "Dropout",
    "Layer",
    "BatchNorm",
    "Sigmoid",
]

place = st.floats(0, 1, exclude_max=True)
edits = st.lists(
    st.tuples(
        st.sampled_from(["flip", "set", "delete", "insert", "repeat", "cut", "swap"]),
        place,
        place,
        st.one_of(st.sampled_from(ODD), st.binary(min_size=1, max_size=8)),
    ),
    min_size=1,
    max_size=4,
)
changes = st.lists(
    st.tuples(place, st.one_of(st.sampled_from(VALUES), st.sampled_from(WORDS), st.integers(), st.floats())),
    min_size=1,
    max_size=3,
)


def damaged(content: bytes, found: list) -> bytes:
    """Return ``content`` after some edits: (how, where, where to, bytes)."""
    for how, first, last, odd in found:
        a, b = sorted((int(first * len(content)), int(last * len(content))))
        if how == "flip" and content:
            content = content[:a] + bytes([content[a] ^ (1 << (b % 8))]) + content[a + 1 :]
        elif how == "set":
            content = content[:a] + odd + content[a + len(odd) :]
        elif how == "delete":
            content = content[:a] + content[min(b, a + 64) :]
        elif how == "insert":
            content = content[:a] + odd + content[a:]
        elif how == "repeat":
            content = content[:b] + content[a:b][:4096] * 8 + content[b:]
        elif how == "cut":
            content = content[:b]
        elif how == "swap":
            content = content[a:b] + content[:a] + content[b:]
    return content


def changed(value: object, found: list) -> object:
    """Return a copy of a JSON value, some nodes of which are replaced by others."""
    value = json.loads(json.dumps(value))
    for where, new in found:
        new = json.loads(json.dumps(new))  # no element twice: changed once more, a list of 1,500 would hold millions
        nodes: list[tuple[object, object]] = [(None, None)]  # container and key; the first: the whole
        ahead = [value]
        while ahead:
            node = ahead.pop()
            keys = node.keys() if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
            nodes += [(node, key) for key in keys]
            ahead += [node[key] for key in keys]
        container, key = nodes[int(where * len(nodes))]
        if container is None:
            value = new
        else:
            container[key] = new
    return value


@st.composite
def damaged_file(draw: st.DrawFn, name: str) -> bytes:
    """Draw a damaged file: its bytes are changed, or the values in its JSON, or, of a zip, its members."""
    kind, valid = KINDS[name], contents(name)
    content = valid[draw(st.integers(0, len(valid) - 1))]
    way = draw(st.sampled_from(["bytes", "values", "members"]))
    if way == "bytes":
        return damaged(content, draw(edits))
    if kind.name.endswith(".npz"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        if way == "values":
            members["meta.json"] = as_json(changed(json.loads(members["meta.json"]), draw(changes)))
        else:
            member = draw(st.sampled_from(sorted(members)))
            members[member] = damaged(members[member], draw(edits))
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for member, data in members.items():
                archive.writestr(member, data)
        return file.getvalue()
    if kind.name.endswith((".json", ".jsonl")):
        lines = content.splitlines() if kind.name.endswith("l") else [content]
        number = draw(st.integers(0, len(lines) - 1))
        lines[number] = as_json(changed(json.loads(lines[number]), draw(changes)))
        return b"\n".join(lines) + b"\n" * content.endswith(b"\n")
    return damaged(content, draw(edits))


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


# Running


class Report(NamedTuple):
    """What became of some cases."""

    cases: int
    valid: int
    slowest: float  # s of processor time
    grown: float  # MB by which the process grew at most over one file


def run(name: str, cases: int, random: bool = False) -> Report:
    """Read ``cases`` damaged files of a kind; fail at the first that ends in anything but a result or a NumcnnError.

    Or that takes more than SECONDS or MEGABYTES.  random: others each time.  The file that failed is then hostile-NAME
    in the temporary folder.
    """
    kind = KINDS[name]
    valid, slowest, grown, done = 0, 0.0, 0.0, 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, kind.name)

        @settings(
            max_examples=cases,
            deadline=None,
            database=None,
            derandomize=not random,
            phases=[Phase.generate],  # to shrink a failure takes minutes; the file that fails is kept
            suppress_health_check=list(HealthCheck),
        )
        @given(damaged_file(name))
        def check(content: bytes) -> None:
            nonlocal valid, slowest, grown, done
            path.write_bytes(content)
            before, began = _peak(anew=True), time.process_time()
            try:
                valid += _read(kind, path)
                seconds, more = time.process_time() - began, _peak() - before
                assert seconds <= SECONDS and more <= MEGABYTES, f"{name}: {seconds:.2f} s, {more:.0f} MB"
            except BaseException:
                Path(tempfile.gettempdir(), f"hostile-{kind.name}").write_bytes(content)
                raise
            slowest, grown, done = max(slowest, seconds), max(grown, more), done + 1
            for left in os.listdir(folder):
                os.unlink(Path(folder, left))

        for content in contents(name):  # what is loaded now takes no time later
            path.write_bytes(content)
            _read(kind, path)
        check()
    return Report(done, valid, slowest, grown)


def _read(kind: Kind, path: Path) -> bool:
    """Return whether the file was read; it may be refused, by a reason with its path."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            kind.read(path)
        except NumcnnError as error:
            text = str(error)
            assert str(path) in text and len(text) > len(str(path)) + 10, text
            return False
    return True


def _peak(anew: bool = False) -> float:
    """Return the most memory (MB) of the process so far; ``anew``: from now on, where the system can tell that."""
    if anew:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20)


def main(cases: int) -> None:
    """Print a line for each kind of files."""
    whole = sum(kind.share for kind in KINDS.values())
    for name, kind in KINDS.items():
        reports: list[Report] = []
        while sum(report.cases for report in reports) < cases * kind.share / whole:
            reports.append(run(name, AT_A_TIME, random=True))
        count, valid, slowest, grown = zip(*reports, strict=True)
        print(
            f"{name:<14} {sum(count):>6,} cases, {sum(valid):>5,} valid, the others refused; slowest "
            f"{max(slowest):.2f} s, memory +{max(grown):.0f} MB",
            flush=True,
        )


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
