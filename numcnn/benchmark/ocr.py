"""Reading pictures of handwritten digits beside OCR engines: the same pictures to each, in a process of its own.

Every engine may read in several ways, such as Tesseract's page modes.  All are tried, and the one that gets most
strings right on a kind of pictures stands for the engine there, so that no engine loses for want of a setting.
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from numcnn.benchmark import BenchmarkError, Say
from numcnn.benchmark.contestants import NUMCNN, Contestant
from numcnn.benchmark.measure import PICTURES_SEED, Settings, contestants_for
from numcnn.benchmark.processes import Workers
from numcnn.data import pages
from numcnn.data.hands import Hand
from numcnn.errors import DataError
from numcnn.kernels.arrays import Bytes
from numcnn.nn.network import load
from numcnn.recognition.page import read
from numcnn.recognition.scoring import score_text, text_of, total
from numcnn.training.run_folder import versions

PICTURES_FILE = "pictures.npz"
COUNT, QUICK_COUNT = 200, 40  # pictures of each task
IN_TURN = 20  # pictures that one reads before the next has its turn

Pictures: TypeAlias = dict[str, list[Bytes]]  # task -> its pictures
Ways: TypeAlias = dict[str, dict[str, list[Any]]]  # name of a way -> "texts" and "seconds", one of each a picture
Way: TypeAlias = Callable[[Bytes], str]  # reads the digits of a picture


class Task(NamedTuple):
    """One table: pictures of one kind, under these conditions in turn."""

    name: str
    kind: str
    conditions: Sequence[str]


HARD = (
    *("shadow edge", "vignette", "slope of light", "ruled", "squared", "framed cells", "coloured", "light on dark"),
    *("faint pencil", "felt pen", "jpeg", "blurred", "noisy", "low resolution", "turned", "perspective", "dust"),
)
TASKS = (
    Task("single digits, clean", "digit", ("clean",)),
    Task("single digits, hard", "digit", HARD),
    Task("rows of four, clean", "row of four", ("clean",)),
    Task("rows of four, hard", "row of four", HARD),
)


class Engine:
    """Something that reads digits, in its worker.  A subclass gives ``ways(task)``."""

    def __init__(self, pictures: Pictures) -> None:
        self.pictures = pictures

    @classmethod
    def load_workload(cls, folder: str | os.PathLike[str]) -> Pictures:
        """Read the pictures that ``save`` has written."""
        with np.load(Path(folder) / PICTURES_FILE, allow_pickle=False) as stored:
            found: Pictures = {}
            for name in stored:  # in the order of writing
                found.setdefault(name.rpartition("/")[0], []).append(stored[name])
        return found

    def versions(self) -> dict[str, str]:
        """Return package -> version of what reads."""
        return {}

    def ways(self, single: bool) -> dict[str, Way]:
        """Return the ways to read pictures by name.  single: each is known to hold one digit."""
        raise NotImplementedError

    def read(self, task: str, single: bool, first: int, last: int) -> dict[str, dict[str, list[Any]]]:
        """Read a task's pictures from ``first`` to before ``last`` in every way -> way -> its "texts" and "seconds"."""
        found = {}
        for name, way in self.ways(single).items():
            way(self.pictures[task][0])  # untimed: whatever is loaded at the first call
            texts, seconds = [], []
            for picture in self.pictures[task][first:last]:
                started = time.perf_counter()
                texts.append(way(picture))
                seconds.append(time.perf_counter() - started)
            found[name] = {"texts": texts, "seconds": seconds}
        return found


class NumcnnEngine(Engine):
    """numcnn with the shipped weights.  A digit counts as read even if the network isn't sure of it."""

    def __init__(self, pictures: Pictures, threads: int, backend: str) -> None:
        super().__init__(pictures)
        self.network = load()

    def versions(self) -> dict[str, str]:
        """See ``Engine``."""
        return versions()

    def ways(self, single: bool) -> dict[str, Way]:
        """See ``Engine``."""
        ways = {"any page": self._reader(single=False)}
        return ways | ({"single digit": self._reader(single=True)} if single else {})

    def _reader(self, single: bool) -> Way:
        def reader(picture: Bytes) -> str:
            try:
                return only_digits(text_of(read(picture, network=self.network, single=single)))
            except DataError:  # with ``single``, where no ink was found
                return ""

        return reader


def save(pictures: Pictures, folder: str | os.PathLike[str]) -> None:
    """Write pictures into a folder, for the workers."""
    arrays = {f"{task}/{i}": picture for task, some in pictures.items() for i, picture in enumerate(some)}
    np.savez(Path(folder) / PICTURES_FILE, **arrays)  # pyright: ignore[reportArgumentType]  (none is allow_pickle)


def draw(hand: Hand, count: int, seed: int = PICTURES_SEED) -> dict[str, list[pages.Sheet]]:
    """Draw ``count`` pictures of each task -> task -> sheets."""
    return {
        task.name: [
            pages.make(task.kind, task.conditions[i % len(task.conditions)], hand, seed=seed, number=i)
            for i in range(count)
        ]
        for task in TASKS
    }


def measure(
    hand: Hand, settings: Settings, folder: str | os.PathLike[str], say: Say, count: int | None = None
) -> dict[str, Any]:
    """Let all read -> a dict for JSON: versions, failed, and for each task and contestant what it got right.

    Raises BenchmarkError when numcnn's own worker fails.
    """
    count = count or (QUICK_COUNT if settings.quick else COUNT)
    drawn = draw(hand, count, settings.seed)
    save({task: [sheet.picture for sheet in sheets] for task, sheets in drawn.items()}, folder)
    contestants = contestants_for("ocr", settings)
    say(f"ocr: {count} pictures of each kind to {'; '.join(c.label for c in contestants)}")
    found: dict[str, Any] = {"pictures": count, "seed": settings.seed, "versions": {}, "failed": {}, "tasks": []}
    results: dict[str, dict[str, Ways]] = {}  # task -> contestant -> how it read
    with Workers(contestants, folder, settings.threads) as workers:
        for own in workers.load(backend=settings.backend).values():
            found["versions"].update(own)
        for task in TASKS:
            say(f"ocr: {task.name}")
            results[task.name] = _read(workers, task, count)
        found["failed"] = dict(workers.failed)
    if NUMCNN in found["failed"]:
        raise BenchmarkError(f"the worker of {NUMCNN} failed: {found['failed'][NUMCNN]}")
    for task in TASKS:
        truths = [sheet.text for sheet in drawn[task.name]]
        rows = [
            _row(contestant, _best_way(contestant.name, task.kind, results, drawn), results[task.name], truths)
            for contestant in contestants
            if contestant.name in results[task.name]
        ]
        found["tasks"].append({"task": task.name, "kind": task.kind, "rows": rows})
    return found


def _read(workers: Workers, task: Task, count: int) -> dict[str, Ways]:
    """Let all read a task's pictures, in turn, some at a time -> contestant -> how it read; without those that fail."""
    found: dict[str, Ways] = {}
    for first in range(0, count, IN_TURN):
        for name in workers.names:
            arguments = {"task": task.name, "single": task.kind == "digit", "first": first, "last": first + IN_TURN}
            for way, some in (workers.call(name, "read", **arguments) or {}).items():
                own = found.setdefault(name, {}).setdefault(way, {"texts": [], "seconds": []})
                for key, values in some.items():
                    own[key] += values
    return {name: found[name] for name in workers.names}


def _best_way(name: str, kind: str, results: dict[str, dict[str, Ways]], drawn: dict[str, list[pages.Sheet]]) -> str:
    """Return the way in which a contestant gets most strings of a kind right, and of equals most digits."""
    tasks = [task.name for task in TASKS if task.kind == kind and name in results[task.name]]
    ways = results[tasks[0]][name]

    def merit(way: str) -> tuple[int, int]:
        scores = [
            total(map(score_text, results[task][name][way]["texts"], (sheet.text for sheet in drawn[task])))
            for task in tasks
        ]
        return sum(one.strings for one in scores), sum(one.right for one in scores)

    return max(ways, key=merit)


def _row(contestant: Contestant, way: str, read: dict[str, Ways], truths: list[str]) -> dict[str, Any]:
    """Return what a contestant got right on one task, as plain values."""
    own = read[contestant.name][way]
    score = total(map(score_text, own["texts"], truths))
    return {
        "name": contestant.name,
        "label": contestant.label,
        "way": way,
        **{key: score.to_json()[key] for key in ("pictures", "written", "right", "strings")},
        **{key: score.to_json()[key] for key in ("digits_right", "strings_right", "made_up_per_picture")},
        "seconds": float(np.median(own["seconds"])),
    }


def only_digits(text: str) -> str:
    """Return the digits of a text: other signs and line ends are taken out, since every picture here holds one line."""
    return "".join(sign for sign in text if sign in "0123456789")
