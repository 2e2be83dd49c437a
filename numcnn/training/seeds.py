"""Networks trained alike with several seeds: mean and spread, their ensemble, and the images that all misread."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from numcnn.data.dataset import Dataset
from numcnn.evaluation import metrics, plots
from numcnn.files import atomic_write
from numcnn.kernels.arrays import Bytes, Floats, Ints
from numcnn.training.run_folder import Document

MOST_WRONG = 100  # pictures in wrong_by_all.png


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


def summarise(cards: Sequence[Document], readings: Readings, *, ensemble: bool, command: str) -> Document:
    """Return mean and spread of runs that differ in their seeds alone, from their run cards."""
    first = cards[0]
    judged = [key for key in ("test_accuracy", "val_accuracy", "seconds") if first[key] is not None]
    summary = {
        "dataset": first["dataset"],
        "model": first["model"],
        **{key: metrics.spread([card[key] for card in cards], np.inf if key == "seconds" else 1) for key in judged},
        "runs": [{key: card[key] for key in ("seed", *judged, "weights")} for card in cards],
        "config": first["config"],
        "command": command,
    }
    if ensemble:
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
