"""Networks trained alike with several seeds: mean and spread, their ensemble, and the images that all misread.

The folder of a series:
  series.json       what was asked for, from which a stopped series goes on
  seed-0/ ...       a run's folder for each seed
  seeds.json        the result
  wrong_by_all.png  the test images that all misread, if there are any
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from numcnn.data.dataset import Dataset
from numcnn.errors import CheckpointError
from numcnn.evaluation import metrics, plots
from numcnn.files import atomic_write
from numcnn.kernels.arrays import Bytes, Floats, Ints
from numcnn.training import run_record
from numcnn.training.config import TrainConfig
from numcnn.training.run_record import Document

MOST_WRONG = 100  # pictures in wrong_by_all.png
MOST_SEEDS = 10_000


@dataclass(frozen=True)
class Series:
    """What a series of runs is to do.  config: of its first run; the others differ in their seeds alone."""

    folder: Path
    config: TrainConfig
    count: int
    dataset_argument: str  # loads the data again, from any folder
    watch_gradients: bool
    ensemble: bool
    command: str
    data_dir: str | None = None  # MNIST's folder, if it was named

    @property
    def seeds(self) -> range:
        """The seeds, in order."""
        return range(self.config.seed, self.config.seed + self.count)

    def save(self) -> None:
        """Write series.json."""
        document: Document = {key: value for key, value in vars(self).items() if key != "folder"}
        document["config"] = self.config.to_json()
        with atomic_write(self.folder / "series.json") as file:
            file.write((json.dumps(document, indent=1) + "\n").encode())


def is_series(folder: str | Path) -> bool:
    """Return whether a folder is that of a series."""
    try:
        return (Path(folder) / "series.json").exists()
    except OSError:  # the name is too long
        return False


def load_series(folder: str | Path) -> Series:
    """Return the series in ``folder``, to go on with it.  Raises CheckpointError if its series.json is damaged."""
    path = Path(folder) / "series.json"
    try:
        found = run_record.mapping(run_record.read_json(path), "the series")
        run_record.plain(found)
        run_record.count(found, "count", 2)
        if found["count"] > MOST_SEEDS:
            raise ValueError(f"count is {found['count']}")
        for key in ("dataset_argument", "command"):
            run_record.text(found, key)
        for key in ("watch_gradients", "ensemble"):
            if not isinstance(found[key], bool):
                raise ValueError(f"{key} is neither true nor false")
        run_record.place(found, "data_dir")
        settings: dict[str, Any] = {**found, "config": run_record.config_of(found)}
        return Series(folder=path.parent, **settings)
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: it isn't the plan of a series of runs ({run_record.reason(error)})") from error


class Readings:
    """The answers of several networks on one test set, and the images that all of them misread."""

    def __init__(self) -> None:
        self.answers: list[Bytes] = []  # (N,) of each network
        self.wrong: Ints = np.zeros(0, int)  # which images all of them misread
        self._probabilities: Floats = np.zeros(1)  # (N,C), summed
        self._labels: Bytes = np.zeros(0, np.uint8)
        self.wrong_images: Bytes = np.zeros(0, np.uint8)

    def add(self, dataset: Dataset, test: metrics.Evaluation) -> None:
        """Add one more network's evaluation on the data set's test images."""
        self.answers.append(test.probabilities.argmax(axis=1).astype(np.uint8))
        self._probabilities = self._probabilities + test.probabilities
        self._labels = dataset.test_labels
        self.wrong = np.flatnonzero(np.all([answers != self._labels for answers in self.answers], axis=0))
        self.wrong_images = dataset.test_images[self.wrong]  # a copy, so that the others can be freed

    def ensemble(self) -> Document:
        """Evaluate the mean of all networks' probabilities.  Return accuracy, interval and number of networks."""
        found = metrics.evaluation(self._labels, self._probabilities / len(self.answers))
        return {"test_accuracy": found.accuracy, "interval": list(found.interval), "networks": len(self.answers)}

    def draw_wrong(self, path: Path) -> None:
        """Draw the images that all misread, each with the most frequent answer."""
        shown, n = self.wrong[:MOST_WRONG], len(self.answers)
        votes = [np.bincount([answers[i] for answers in self.answers]) for i in shown]
        answers = [f"{f'all {n}' if v.max() == n else f'{v.max()} of {n}'} read {v.argmax()}" for v in votes]
        title = f"{len(self.wrong):,} of {len(self._labels):,} test images are misread by all {n} networks"
        title += f"; the first {len(shown)}" if len(shown) < len(self.wrong) else ""
        images = self.wrong_images[: len(shown)]
        plots.save(plots.gallery(images, shown, self._labels[shown], answers, title), path)


def summarise(series: Series, cards: Sequence[Document], readings: Readings, diverged: Sequence[Document]) -> Document:
    """Return mean and spread of runs that differ in their seeds alone, from their run cards.

    diverged: the seeds without a result, and why.  With fewer than two results there is no mean.
    """
    keys = ("test_accuracy", "val_accuracy", "seconds")
    judged = [key for key in keys if all(card[key] is not None for card in cards)]
    measured = judged if len(cards) > 1 else []
    summary: Document = {
        "dataset": cards[0]["dataset"] if cards else Path(series.dataset_argument).name,
        "model": series.config.model,
        **{key: metrics.spread([card[key] for card in cards], np.inf if key == "seconds" else 1) for key in measured},
        "runs": [{key: card[key] for key in ("seed", *judged, "weights")} for card in cards],
        "config": series.config.to_json(),
        "command": series.command,
    }
    if diverged:
        summary["diverged"] = list(diverged)
    if series.ensemble and readings.answers:
        summary["ensemble"] = readings.ensemble()
    if readings.answers:
        summary["wrong_by_all"] = readings.wrong.tolist()
    return summary


def write(summary: Document, readings: Readings, folder: Path) -> None:
    """Write seeds.json, and wrong_by_all.png if there are images that all misread."""
    if len(readings.wrong):
        readings.draw_wrong(folder / "wrong_by_all.png")
    with atomic_write(folder / "seeds.json") as file:
        file.write((json.dumps(summary, indent=1) + "\n").encode())
