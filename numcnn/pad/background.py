"""What the pad does with files: on a thread of its own, so that no frame waits for a disk."""

import io
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pygame

from numcnn.errors import DataError, NumcnnError
from numcnn.files import atomic_write, named_errors
from numcnn.kernels.arrays import Bytes, Float64s
from numcnn.nn.network import Network, load
from numcnn.pad import store
from numcnn.pad.drawing.picture import Picture
from numcnn.pad.eraser import Stroke
from numcnn.pad.learner import Learner, in_words
from numcnn.pad.pictures import PictureReader
from numcnn.recognition.reading import check_network

MOST_NAMES, REFERENCE = 100_000, "reference"
PERSONAL = "your weights"


@dataclass(frozen=True, eq=False)
class TaskResult:
    """The result of a task: words to show (kind and button as of ``overlays.Toast``), a picture, a network."""

    words: str = ""
    kind: str = "good"
    button: str = ""
    picture: Picture | None = None
    network: Network | None = None


class BackgroundTasks:
    """Runs tasks one after the other on a thread, and keeps their results until ``results`` is called.

    pictures: reads dropped and pasted pictures, on a thread of its own.

    own, autosave, settings: where digits, drawing and settings are kept; None: they are not kept.
    shipped: the network that learning starts from and that ``swap`` returns to; weights: its name or path.  Without
    these two there is no learning.
    """

    def __init__(
        self,
        own: store.OwnSet | None = None,
        autosave: store.Autosave | None = None,
        save_dir: str | os.PathLike[str] = ".",
        shipped: Network | None = None,
        weights: str | os.PathLike[str] | None = None,
        settings: store.Settings | None = None,
    ) -> None:
        self.own, self.autosave, self.save_dir, self._settings = own, autosave, Path(save_dir), settings
        self.shipped, self.weights = shipped, weights
        self.note = ""  # which network is shown, for the status line
        self._personal = False  # whether the network returned last is the personal one; used by the worker only
        self._lesson: Future[str | None] | None = None  # runs on the teacher's thread
        self._learner: Learner | None = None  # the process for which the lesson waits
        self._worker, self._teacher = ThreadPoolExecutor(1, "numcnn-pad"), ThreadPoolExecutor(1, "numcnn-learn")
        self.pictures = PictureReader()
        self._running: list[Future[TaskResult | None]] = []
        self._finished: list[TaskResult] = []
        self._watched: Sequence[Stroke] = ()
        self._problem: str | None = None  # the autosave's, as shown last
        self.lost: list[str] = []  # once closed: errors that could no longer be shown in the window

    @property
    def busy(self) -> bool:
        """Whether a task is running or waiting."""
        return bool(self._running or self._lesson or self.pictures.busy)

    @property
    def progress(self) -> tuple[str, float] | None:
        """While learning: a description, and the fraction done, 0..1."""
        learner = self._learner
        return ("learning your digits", learner.progress) if learner else None

    def results(self) -> list[TaskResult]:
        """Return the results of the tasks that have ended since the last call."""
        if self._lesson and self._lesson.done():
            self._submit(self._finish_lesson, self._lesson)  # so that networks come in the order of the file changes
            self._lesson = None
        ended = [task for task in self._running if task.done()]
        self._running = [task for task in self._running if task not in ended]
        finished, self._finished = self._finished, []
        finished += [result for task in ended if (result := _outcome(task))]
        if picture := self.pictures.result():
            finished.append(TaskResult(picture=picture))
        for result in finished:
            if result.network is not None:
                self.note = "" if result.network is self.shipped else PERSONAL
        return finished

    def close(self, strokes: Sequence[Stroke]) -> None:
        """Finish all tasks but learning, which is stopped, and save the drawing."""
        self._teacher.shutdown(wait=False, cancel_futures=True)
        while self._lesson and not self._lesson.done():
            if learner := self._learner:  # read once: the teacher's thread sets it to None
                learner.stop()
            time.sleep(0.01)
        self.pictures.close()
        self._worker.shutdown()
        problem = None
        if self.autosave:
            self.autosave.save(strokes)
            problem = self.autosave.problem
        ended = [result for task in self._running if (result := _outcome(task))]
        self.lost = [result.words for result in ended if result.kind == "bad" and result.words != problem]
        if problem and strokes:
            self.lost.append(f"{problem}; what was drawn last is lost")

    def last_drawing(self) -> tuple[list[Float64s], str | None]:
        """Return the strokes of the last drawing, and an error message or None."""
        return (self.autosave.restore(), self.autosave.problem) if self.autosave else ([], None)

    def last_settings(self) -> dict[str, Any]:
        """Return the saved settings, unchecked."""
        return self._settings.read() if self._settings else {}

    def keep_settings(self, settings: dict[str, Any]) -> None:
        """Save some settings for the next start; the others keep their saved values."""
        if self._settings:
            self._submit(self._settings.change, settings)

    def own_network(self) -> Network | None:
        """Return the network that has learned from the own set, or None if there is none or it can't be used."""
        path = store.personal_weights()
        if not path.exists():
            return None
        try:
            network = _personal_network(path)
        except NumcnnError as error:
            self._finished.append(TaskResult(str(error), "bad"))
            return None
        if self.shipped and network.info.get("dataset_sha256") != self.shipped.info.get("dataset_sha256"):
            self._finished.append(TaskResult("your weights come from an earlier network; T learns anew, B compares"))
        self.note, self._personal = PERSONAL, True
        return network

    def watch(self, strokes: Sequence[Stroke]) -> None:
        """Save the drawing if it has changed; best called while the pen is up."""
        if self.autosave and strokes is not self._watched:
            self._watched = strokes
            self._submit(self._save_drawing, self.autosave, strokes)

    def export(self, surface: pygame.Surface) -> None:
        """Write a picture of the drawing into ``save_dir``, under a free name."""
        self._submit(self._export, surface)

    def keep(self, label: int, strokes: Sequence[Stroke], image: Bytes | None = None) -> None:
        """Add a digit to the own set; it replaces one with the same strokes, or in a picture the same image (28,28)."""
        self._submit(self._keep, label, strokes, image)

    def take_back(self) -> None:
        """Remove the digit that was added to the own set last."""
        self._submit(self._take_back)

    def learn(self) -> None:
        """Train on the own set, in parallel with all other tasks."""
        if self._lesson:
            self._finished.append(TaskResult("already learning", "note"))
        elif self.own is None or not self.weights:
            self._finished.append(TaskResult("this pad doesn't learn", "note"))
        else:
            self._lesson = self._teacher.submit(self._learn, self.own, self.weights)

    def swap(self) -> None:
        """Switch between the shipped weights and the personal ones."""
        self._submit(self._swap)

    def _submit(self, task: Callable[..., TaskResult | None], *arguments: object) -> None:
        self._running.append(self._worker.submit(task, *arguments))

    def _save_drawing(self, autosave: store.Autosave, strokes: Sequence[Stroke]) -> TaskResult | None:
        autosave.save(strokes)
        shown, self._problem = self._problem, autosave.problem
        return TaskResult(self._problem, "bad") if self._problem and self._problem != shown else None

    def _export(self, surface: pygame.Surface) -> TaskResult:
        path = _free_name(self.save_dir)
        write_png(surface, path)
        return TaskResult(f"saved as {path}")

    def _keep(self, label: int, strokes: Sequence[Stroke], image: Bytes | None) -> TaskResult:
        if self.own is None:
            return TaskResult("this pad keeps no digits", "note")
        before = self.own.label_of(strokes, image)
        if before == label:
            words = f"kept already: this is a {label}"
        else:
            if before is not None:  # first, so that a full disk has room for the new one
                self.own.remove(strokes, image)
            self.own.add(label, strokes, image)
            words = f"kept: this is a {label}" if before is None else f"was {before}, now {label}"
        return TaskResult(f"{words}  ({len(self.own)} of yours)", button="Undo")

    def _take_back(self) -> TaskResult:
        label = self.own.remove_last() if self.own else None
        return TaskResult("there is nothing to take back" if label is None else f"taken back: the {label}", "note")

    def _learn(self, own: store.OwnSet, weights: str | os.PathLike[str]) -> str | None:
        """Learn, and return the report in words; None if there is nothing to learn from."""
        if not len(own):
            return None
        try:
            self._learner = Learner(weights)
            return in_words(self._learner.report())
        finally:
            self._learner = None

    def _finish_lesson(self, lesson: Future[str | None]) -> TaskResult:
        words = lesson.result()
        if words is None:
            return TaskResult("no digits of yours yet: draw some, and say by 0-9 what each is", "note")
        return self._use_personal(words)

    def _swap(self) -> TaskResult:
        if self.shipped is None:
            return TaskResult("this pad has one network only", "note")
        if self._personal:
            return self._use_shipped(self.shipped)
        if store.kept_weights().exists():
            return self._use_personal("your weights; B goes back to the shipped ones")
        return TaskResult("no weights of yours yet: say by 0-9 what your digits are, then T learns them", "note")

    def _use_personal(self, words: str) -> TaskResult:
        """Return the personal network; its file is moved into use only after it could be loaded."""
        network = _personal_network(store.kept_weights())
        store.restore()
        self._personal = True
        return TaskResult(words, network=network)

    def _use_shipped(self, shipped: Network) -> TaskResult:
        store.forget()
        self._personal = False
        back = "B brings yours back" if store.kept_weights().exists() else "the file of yours is gone"
        return TaskResult(f"the shipped weights; {back}", "note", network=shipped)


def _personal_network(path: Path) -> Network:
    """Return the network that has learned from the own set.  Raises NumcnnError if the file can't be used."""
    try:
        return check_network(load(path, backend=REFERENCE))
    except NumcnnError as error:
        raise NumcnnError(f"{path.name} can't be used: T learns your digits anew\n{error}") from error


def _outcome(task: Future[TaskResult | None]) -> TaskResult | None:
    try:
        return task.result()
    except (NumcnnError, OSError) as error:
        return TaskResult(str(error), "bad")


def _free_name(folder: Path) -> Path:
    """Return a path in the folder that doesn't exist: drawing-1.png, drawing-2.png ..."""
    for number in range(1, MOST_NAMES):
        path = folder / f"drawing-{number}.png"
        if not path.exists():
            return path
    raise DataError(f"{folder} is full of drawings; choose another folder with --save-dir")


def write_png(surface: pygame.Surface, path: str | os.PathLike[str]) -> None:
    """Write a surface as PNG.  Raises DataError, with the path."""
    png = io.BytesIO()  # in memory first: pygame doesn't say why writing a file failed
    pygame.image.save(surface, png, "drawing.png")
    with named_errors(path, action="write"), atomic_write(path) as file:
        file.write(png.getvalue())
