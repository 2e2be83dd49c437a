"""Presenting: full screen with large words, and test digits one after the other, or only those that are misread.

The data set is loaded, and misread digits are looked for, on a thread of their own.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from threading import Event
from typing import NamedTuple

import numpy as np

from numcnn.data.dataset import Dataset
from numcnn.data.loading import load, title_of
from numcnn.errors import NumcnnError
from numcnn.kernels.arrays import Bytes
from numcnn.nn.answers import answers
from numcnn.nn.network import Network
from numcnn.pad.drawing.picture import Picture
from numcnn.pad.tools import Host, Tool
from numcnn.pad.window import full_screen, screen
from numcnn.recognition.reading import Reading, Recognizer

GENERATED = 500  # digits, where MNIST is not to be had
BATCH = 50  # digits that are read at a time while looking for misread ones
ENLARGED = 8  # a test digit's pixels, in pixels of the picture on the sheet


class Sample(NamedTuple):
    """A digit of the test set."""

    index: int
    count: int  # of the test set
    image: Bytes  # (28,28)
    label: int
    source: str  # the data set in words

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Where its ink is in the picture on the sheet: x, y, width, height."""
        rows, columns = (np.flatnonzero(self.image.any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            return 0, 0, ENLARGED * 28, ENLARGED * 28
        left, top = int(columns[0]), int(rows[0])
        sides = left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top
        x, y, width, height = (ENLARGED * side for side in sides)
        return x, y, width, height

    line, sure = 0, True  # as a digit that was found in a picture: see ``Recognizer.read_page``

    def picture(self, recognizer: Recognizer) -> Picture:
        """Return the digit as a picture on the sheet, dark on white, with its reading."""
        colours = np.kron(255 - self.image, np.ones((ENLARGED, ENLARGED), np.uint8))
        return Picture(f"test digit {self.index}", colours, (self.reading(recognizer),))

    def reading(self, recognizer: Recognizer) -> Reading:
        """Return what a network reads."""
        (reading,) = recognizer.read_page([self])
        (answer,) = answers(reading.inspection.probabilities[None], recognizer.threshold)
        return replace(reading, sure=answer.sure)

    def words(self, answer: int) -> str:
        """Return what to say about it when the network has read it."""
        read = "read right" if answer == self.label else f"misread as {answer}"
        return f"{self.source}, test digit {self.index:,} of {self.count:,}: a {self.label}, {read}"


class Samples:
    """The test digits of MNIST, else generated ones; loaded when the first is asked for."""

    def __init__(self, load_test: Callable[[], Dataset] | None = None) -> None:
        """load_test: what loads the data set, by default as ``numcnn.data.load`` does."""
        self._load = load_test or _load
        self._thread: ThreadPoolExecutor | None = None
        self._task: Future[Sample | str] | None = None
        self._dataset: Dataset | None = None  # used by the thread only, as is the next
        self._index = -1
        self._stop = Event()

    @property
    def busy(self) -> bool:
        """Whether a digit is on its way."""
        return self._task is not None

    def ask(self, step: int, misread_by: Network | None = None) -> bool:
        """Begin to look for the next digit, or the one before (step -1); misread_by: for the next that it misreads.

        Return whether it began: not while another digit is on its way.
        """
        if self._task is not None:
            return False
        self._thread = self._thread or ThreadPoolExecutor(1, "numcnn-test-set")
        self._task = self._thread.submit(self._find, step, misread_by)
        return True

    def result(self) -> Sample | str | None:
        """Return the digit that was found, or in words why there is none; None if there is no news."""
        if self._task is None or not self._task.done():
            return None
        done, self._task = self._task, None
        try:
            return done.result()
        except NumcnnError as error:
            return str(error)

    def close(self) -> None:
        """Stop."""
        self._stop.set()
        if self._thread:
            self._thread.shutdown(wait=False, cancel_futures=True)

    def _find(self, step: int, misread_by: Network | None) -> Sample | str:
        self._dataset = self._dataset or self._load()
        count = len(self._dataset.test_labels)
        if misread_by is None:
            self._index = (self._index + step) % count if self._index >= 0 or step > 0 else count - 1
            return self._digit(self._index)
        network = misread_by.copy(backend="reference")  # the window's thread uses the other one meanwhile
        order = (self._index + 1 + np.arange(count)) % count
        for start in range(0, count, BATCH):
            if self._stop.is_set():
                break
            rows = order[start : start + BATCH]
            read = network.predict(self._dataset.test_images[rows])
            wrong = np.flatnonzero(read != self._dataset.test_labels[rows])
            if len(wrong):
                self._index = int(rows[wrong[0]])
                return self._digit(self._index)
        return f"none of {title_of(self._dataset.name)}'s {count:,} test digits is misread"

    def _digit(self, index: int) -> Sample:
        dataset = self._dataset
        assert dataset is not None
        count, label = len(dataset.test_labels), int(dataset.test_labels[index])
        return Sample(index, count, dataset.test_images[index], label, title_of(dataset.name))


def _load() -> Dataset:
    return load(test_only=True, generated_test=GENERATED, backend="reference", progress=False, report=lambda _: None)


class Presenter(Tool):
    """F11, N, P and M."""

    def __init__(self, pad: Host, samples: Samples | None = None) -> None:
        super().__init__(pad)
        self.samples = samples or Samples()
        self._size = (0, 0)  # of the window before it filled the screen

    @property
    def busy(self) -> bool:
        """Whether a test digit is on its way."""
        return self.samples.busy

    def toggle(self) -> None:
        """Fill the screen, with large words; or go back."""
        scene = self.pad.scene
        if not scene.large:
            self._size = screen().get_size()
        full_screen(not scene.large, self._size)
        scene.large = not scene.large
        self.pad.view.forget()

    def show(self, step: int) -> None:
        """Show the next or the previous (-1) test digit in place of the drawing."""
        self._ask(step, None)

    def show_misread(self) -> None:
        """Show the next test digit that the network misreads."""
        self._ask(1, self.pad.recognizer.network)

    def _ask(self, step: int, network: Network | None) -> None:
        if self.samples.ask(step, network) and network is not None:
            self.pad.say("looking for the next misread digit …")

    def update(self, now: float) -> None:
        """Show a test digit once it is there."""
        found = self.samples.result()
        if isinstance(found, Sample):
            picture = found.picture(self.pad.recognizer)
            self.pad.show_picture(picture)
            assert picture.readings
            self.pad.say(found.words(picture.readings[0].label))
        elif found:
            self.pad.say(found, "note" if found.startswith("none") else "bad")

    def close(self) -> None:
        """Stop looking."""
        self.samples.close()
