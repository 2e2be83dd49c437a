"""What the pad does with files: on a thread of its own, so that no frame waits for a disk."""

import io
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pygame

from numcnn.errors import DataError, NumcnnError
from numcnn.files import atomic_write
from numcnn.imaging.preprocess import load_picture, prepare_file
from numcnn.nn.network import load
from numcnn.pad import store
from numcnn.pad.learner import Learner, in_words
from numcnn.recognition.reading import check_network

MOST_NAMES, REFERENCE = 100_000, "reference"
PERSONAL = "your weights"


@dataclass(frozen=True, eq=False)
class Done:
    """What came of an errand: words to show (kind and button as of ``cards.Toast``), a picture, a network."""

    words: str = ""
    kind: str = "good"
    button: str = ""
    picture: tuple | None = None  # (surface, (28,28) uint8)
    network: object = None


class Keeper:
    """Runs the pad's errands, one after the other, and keeps what came of them until ``done`` is asked.

    own: a ``store.OwnSet``, autosave: a ``store.Autosave``, settings: a ``store.Settings``; without them nothing of
    that kind is kept.
    shipped: the network to learn with, which ``swap`` goes back to, and weights: its name or path.  Without them there
    is no learning.
    """

    def __init__(self, own=None, autosave=None, save_dir=".", shipped=None, weights=None, settings=None):
        self.own, self.autosave, self.save_dir, self._settings = own, autosave, Path(save_dir), settings
        self.shipped, self.weights = shipped, weights
        self.note = ""
        self._personal = False  # whether the network handed out last is the personal one; the worker's affair
        self._lesson = self._learner = None  # what the teacher's thread does, and the process that it waits for
        self._worker, self._teacher = ThreadPoolExecutor(1, "numcnn-pad"), ThreadPoolExecutor(1, "numcnn-learn")
        self._running, self._finished = [], []
        self._watched, self._problem = (), None
        self.lost = []  # texts, once it is closed: what went wrong when there was no window any more to tell it

    @property
    def busy(self):
        """Whether an errand is under way."""
        return bool(self._running or self._lesson)

    @property
    def progress(self):
        """What is being learnt, in words, and how much of it is done, 0..1; None while nothing is."""
        learner = self._learner
        return ("learning your digits", learner.share) if learner else None

    def done(self):
        """Return a ``Done`` for each errand that has ended since the last time."""
        if self._lesson and self._lesson.done():
            self._send(self._take_up, self._lesson)  # so that networks come one by one, in the order of the files
            self._lesson = None
        ended = [errand for errand in self._running if errand.done()]
        self._running = [errand for errand in self._running if errand not in ended]
        finished, self._finished = self._finished, []
        finished += [done for errand in ended if (done := _outcome(errand))]
        for done in finished:
            if done.network is not None:
                self.note = "" if done.network is self.shipped else PERSONAL
        return finished

    def close(self, strokes):
        """End all errands, and keep the drawing."""
        self._teacher.shutdown(wait=False, cancel_futures=True)
        while self._lesson and not self._lesson.done():
            if learner := self._learner:  # once: the teacher's thread sets it to None
                learner.stop()
            time.sleep(0.01)
        self._worker.shutdown()
        problem = None
        if self.autosave:
            self.autosave.flush(strokes)
            problem = self.autosave.problem
        ended = [done for errand in self._running if (done := _outcome(errand))]
        self.lost = [done.words for done in ended if done.kind == "bad" and done.words != problem]
        if problem and strokes:
            self.lost.append(f"{problem}; what was drawn last is lost")

    def last_drawing(self):
        """Return the strokes of the drawing that was kept last, and the text of what went wrong or None."""
        return (self.autosave.restore(), self.autosave.problem) if self.autosave else ([], None)

    def last_settings(self):
        """Return the settings that were kept last, a dict of whatever was in the file."""
        return self._settings.read() if self._settings else {}

    def keep_settings(self, settings):
        """Keep settings, a dict, for the next start; those that it does not name stay as they are."""
        if self._settings:
            self._send(self._settings.change, settings)

    def own_network(self):
        """Return the network that has learnt from the own set, or None when there is none or it is not to be used."""
        path = store.personal_weights()
        if not path.exists():
            return None
        try:
            network = _personal_network(path)
        except NumcnnError as error:
            self._finished.append(Done(str(error), "bad"))
            return None
        self.note, self._personal = PERSONAL, True
        return network

    def watch(self, strokes):
        """Keep the drawing, now and then: best called while the pen is up."""
        if self.autosave and strokes is not self._watched:
            self._watched = strokes
            self._send(self._autosave, strokes)

    def open_picture(self, path):
        """Read a picture file."""
        self._send(_open_picture, path)

    def save_drawing(self, surface):
        """Write a picture of the drawing into the folder for them, under a name that is free."""
        self._send(self._save, surface)

    def keep(self, label, strokes):
        """Add a digit to the own set; in place of the one added last, if it has the same strokes."""
        self._send(self._keep, label, strokes)

    def take_back(self):
        """Take the digit out of the own set again that was added last."""
        self._send(self._take_back)

    def learn(self):
        """Train on the own set, while everything else goes on."""
        if self._lesson:
            self._finished.append(Done("already learning", "note"))
        elif self.own is None or not self.weights:
            self._finished.append(Done("this pad doesn't learn", "note"))
        else:
            self._lesson = self._teacher.submit(self._learn)

    def swap(self):
        """Change between the shipped weights and the personal ones."""
        self._send(self._swap)

    def _send(self, errand, *arguments):
        self._running.append(self._worker.submit(errand, *arguments))

    def _autosave(self, strokes):
        self.autosave.flush(strokes)
        told, self._problem = self._problem, self.autosave.problem
        return Done(self._problem, "bad") if self._problem and self._problem != told else None

    def _save(self, surface):
        path = _free_name(self.save_dir)
        write_png(surface, path)
        return Done(f"saved as {path}")

    def _keep(self, label, strokes):
        if self.own is None:
            return Done("this pad keeps no digits", "note")
        before = self.own.last_label(strokes)
        if before == label:
            words = f"kept already: this is a {label}"
        else:
            if before is not None:  # first, so that a full disk has room for the new one
                self.own.remove_last()
            self.own.add(label, strokes)
            words = f"kept: this is a {label}" if before is None else f"was {before}, now {label}"
        return Done(f"{words}  ({len(self.own)} of yours)", button="Undo")

    def _take_back(self):
        label = self.own.remove_last() if self.own else None
        return Done("there is nothing to take back" if label is None else f"taken back: the {label}", "note")

    def _learn(self):
        """Learn, and return what came of it in words; None when there is nothing to learn from."""
        if not len(self.own):
            return None
        try:
            self._learner = Learner(self.weights)
            return in_words(self._learner.report())
        finally:
            self._learner = None

    def _take_up(self, lesson):
        words = lesson.result()
        if words is None:
            return Done("no digits of yours yet: draw some, and say by 0-9 what each is", "note")
        return self._bring_personal(words)

    def _swap(self):
        if self.shipped is None:
            return Done("this pad has one network only", "note")
        if self._personal:
            return self._bring_shipped()
        if store.kept_weights().exists():
            return self._bring_personal("your weights; B goes back to the shipped ones")
        return Done("no weights of yours yet: say by 0-9 what your digits are, then T learns them", "note")

    def _bring_personal(self, words):
        """Hand out the personal network; only when it could be loaded is its file moved to where it is in use."""
        network = _personal_network(store.kept_weights())
        store.restore()
        self._personal = True
        return Done(words, network=network)

    def _bring_shipped(self):
        store.forget()
        self._personal = False
        back = "B brings yours back" if store.kept_weights().exists() else "the file of yours is gone"
        return Done(f"the shipped weights; {back}", "note", network=self.shipped)


def _personal_network(path):
    """Return the network that has learnt from the own set.  Raises NumcnnError for a file that holds none."""
    try:
        return check_network(load(path, backend=REFERENCE))
    except NumcnnError as error:
        raise NumcnnError(f"{path.name} can't be used: T learns your digits anew\n{error}") from error


def _outcome(errand):
    try:
        return errand.result()
    except (NumcnnError, OSError) as error:
        return Done(str(error), "bad")


def _open_picture(path):
    image = prepare_file(path)
    picture = load_picture(path)
    grey = picture if picture.dtype == np.uint8 else np.rint(255 * picture).astype(np.uint8)
    surface = pygame.surfarray.make_surface(np.repeat(grey.T[:, :, None], 3, axis=2))
    return Done(f"read from {Path(path).name}; draw or clear to go on", "note", picture=(surface, image))


def _free_name(folder):
    """Return a path in the folder that doesn't exist: drawing-1.png, drawing-2.png ..."""
    for number in range(1, MOST_NAMES):
        path = folder / f"drawing-{number}.png"
        if not path.exists():
            return path
    raise DataError(f"{folder} is full of drawings; choose another folder by --save-dir")


def write_png(surface, path):
    """Write a surface as PNG.  Raises NumcnnError, with the path."""
    png = io.BytesIO()  # in memory first: pygame doesn't tell what went wrong with a file
    pygame.image.save(surface, png, "drawing.png")
    try:
        with atomic_write(path) as file:
            file.write(png.getvalue())
    except OSError as error:
        reason = error.strerror or error
        raise NumcnnError(f"cannot write {path}: {reason}; check the folder and the space left") from error
