"""Read the digits of a drawing, or found in a picture: the answers, whether they are sure, the pixels behind them.

The pad reads with the reference kernels on one BLAS thread.  A digit takes 1 to 2 ms, a tenth of a frame, so there is
nothing to compile or warm up; on more threads BLAS waits for whatever else is running.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from numcnn.errors import ConfigError
from numcnn.imaging import raster
from numcnn.imaging.preprocess import BOX, SIDE
from numcnn.kernels.arrays import Bytes, Floats
from numcnn.nn.answers import answers, threshold_of
from numcnn.nn.inspection import Inspection, inspect_picture, saliency
from numcnn.nn.network import Network
from numcnn.recognition.grouping import Box


class Drawing(Protocol):
    """Strokes that are grouped into digits, in the order of reading; ``pad.Canvas`` is one."""

    @property
    def strokes(self) -> Sequence[npt.ArrayLike]:
        """All strokes, (n,2) each."""
        ...

    def groups(self) -> list[tuple[int, ...]]:
        """Return the indices of each digit's strokes."""
        ...

    def lines(self) -> list[int]:
        """Return the line of each digit: 0, 1, ..."""
        ...

    def digits(self) -> list[Bytes]:
        """Return the picture of each digit, (28,28)."""
        ...

    def boxes(self) -> list[Box]:
        """Return the bounding box of each digit."""
        ...


class Found(Protocol):
    """A digit in a picture; ``page.Digit`` is one, where its parts are explained."""

    @property
    def box(self) -> tuple[int, int, int, int]: ...  # noqa: D102

    @property
    def image(self) -> Bytes: ...  # noqa: D102

    @property
    def line(self) -> int: ...  # noqa: D102

    @property
    def sure(self) -> bool: ...  # noqa: D102


@dataclass(frozen=True, eq=False)
class Reading:
    """One digit of a drawing, or of a picture."""

    image: Bytes  # (28,28)
    inspection: Inspection
    sure: bool  # False: the probability is below the network's threshold
    box: Box  # of its points on the canvas, or of its ink in the picture
    line: int = 0  # of text: 0, 1, ...
    strokes: tuple[int, ...] = ()  # indices in the drawing's strokes; none in a picture

    @property
    def label(self) -> int:
        """The most probable class."""
        return self.inspection.answer


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why a digit was read as ``answer`` and not as ``runner_up``.

    saliency (28,28), -1..1: positive where ink speaks for the answer, in fractions of the largest magnitude.
    square: the position of these 28x28 pixels on the canvas or the picture; None for a dot.
    """

    answer: int
    runner_up: int
    saliency: Floats
    square: Box | None


class Recognizer:
    """A network that reads a drawing; digits that haven't changed since the last call are not read again.

    ``threshold``: an answer below it is "not sure"; see ``nn/answers.py``.
    """

    def __init__(self, network: Network) -> None:
        """Take the network to read with.  Raises ConfigError if it doesn't read digits."""
        self.network = check_network(network)
        self.threshold = threshold_of(network.info)
        self._inspections: dict[bytes, Inspection] = {}  # by the bytes of the picture
        self._blank: Inspection | None = None
        self._explained: tuple[Bytes, Explanation] | None = None  # the last picture, and its explanation

    def judge(self, images: Bytes) -> Floats:
        """Return the probabilities (N,10) of pictures (N,28,28)."""
        return self.network.predict_proba(images)

    def read(self, drawing: Drawing) -> tuple[Reading, ...]:
        """Return a ``Reading`` for each digit of a drawing, in the order of reading."""
        digits = zip(drawing.digits(), drawing.boxes(), drawing.lines(), drawing.groups(), strict=True)
        earlier, self._inspections = self._inspections, {}
        for image in drawing.digits():
            key = image.tobytes()
            self._inspections[key] = earlier.get(key) or self._inspections.get(key) or self._inspect(image)
        return tuple(self._reading(self._inspections[digit[0].tobytes()], *digit) for digit in digits)

    def read_page(self, page: Sequence[Found]) -> tuple[Reading, ...]:
        """Return a ``Reading`` for each digit of a picture; see ``page.read``."""
        found: list[Reading] = []
        for digit in page:
            x, y, width, height = digit.box
            reading = self._reading(
                self._inspect(digit.image), digit.image, (x, y, x + width, y + height), digit.line, ()
            )
            found.append(replace(reading, sure=digit.sure))
        return tuple(found)

    def again(self, readings: Sequence[Reading]) -> tuple[Reading, ...]:
        """Return a ``Reading`` of each one's picture by this network, which is not the one that made them."""
        return tuple(self._reading(self._inspect(r.image), r.image, r.box, r.line, r.strokes) for r in readings)

    def blank(self) -> Inspection:
        """Return an ``Inspection`` whose maps, logits and probabilities are all zero."""
        if self._blank is None:
            inspection = inspect_picture(self.network, np.zeros((SIDE, SIDE), np.uint8))
            stages = tuple(stage._replace(out=np.zeros_like(stage.out)) for stage in inspection.stages)
            zeros = np.zeros_like(inspection.logits)
            self._blank = replace(inspection, stages=stages, logits=zeros, probabilities=zeros)
        return self._blank

    def explain(self, reading: Reading, drawing: Drawing) -> Explanation:
        """Return the smoothed saliency of a reading's answer, scaled to a largest magnitude of 1.

        drawing: where the reading's strokes are; a digit in a picture has none.
        """
        if self._explained is None or self._explained[0] is not reading.image:
            answer, runner_up = reading.inspection.answer, reading.inspection.runner_up
            slopes = smooth(saliency(self.network, reading.image, answer, runner_up))
            strokes = [drawing.strokes[i] for i in reading.strokes]
            square = square_of(strokes, reading.image) if strokes else square_around(reading.box, reading.image)
            scaled = slopes / (np.abs(slopes).max() or 1)
            self._explained = reading.image, Explanation(answer, runner_up, scaled, square)
        return self._explained[1]

    def _inspect(self, image: Bytes) -> Inspection:
        return inspect_picture(self.network, image)

    def _reading(self, inspection: Inspection, image: Bytes, box: Box, line: int, strokes: tuple[int, ...]) -> Reading:
        (answer,) = answers(inspection.probabilities[None], self.threshold)
        return Reading(image, inspection, answer.sure, box, line, strokes)


def check_network(network: Network) -> Network:
    """Return the network if it reads 28x28 pictures as ten digits with finite weights, else raise ConfigError."""
    if network.input_shape != (28, 28, 1) or network.output_shape != (10,):
        raise ConfigError(
            f"the pad needs a network from (28, 28, 1) to ten digits; this one goes from {network.input_shape} "
            f"to {network.output_shape}"
        )
    if not np.isfinite(network.params).all():
        raise ConfigError("the network has weights that are NaN or infinite; choose another, or train it again")
    return network


def square_of(strokes: Sequence[npt.ArrayLike], image: Bytes) -> Box | None:
    """Return the position of a digit's 28x28 picture on the canvas; None for a dot.  strokes: list of (n,2)."""
    points = np.concatenate([np.asarray(stroke, np.float64) for stroke in strokes])
    fitted = raster.fit(strokes)
    extent = np.ptp(points, axis=0).max()
    if extent <= 0:
        return None
    scale = np.ptp(np.concatenate(fitted), axis=0).max() / extent  # pixels of the picture per pixel of the canvas
    ink = raster.draw(fitted, (BOX, BOX))
    box = np.rint(255 / ink.max() * ink)
    # The box was moved by whole pixels, to bring its centre of mass to the middle.
    moved = [np.flatnonzero(image.any(axis=i))[0] - np.flatnonzero(box.any(axis=i))[0] for i in (0, 1)]
    left, top = points[0] - (fitted[0][0] + moved) / scale
    side = SIDE / scale
    return left, top, left + side, top + side


def square_around(box: Box, image: Bytes) -> Box | None:
    """Return the position in a picture of a digit's 28x28 picture; None for a dot.  box: of the digit's ink."""
    left, top, right, bottom = box
    rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
    side = SIDE * max(right - left, bottom - top) / BOX  # the longer side of the ink is 20 pixels
    if side <= 0:
        return None
    x = (left + right) / 2 - side * (columns[0] + columns[-1] + 1) / 2 / SIDE
    y = (top + bottom) / 2 - side * (rows[0] + rows[-1] + 1) / 2 / SIDE
    return x, y, x + side, y + side


class Answered(Protocol):
    """A digit that was read: a ``Reading``, or a ``page.Digit``."""

    @property
    def label(self) -> int: ...  # noqa: D102

    @property
    def sure(self) -> bool: ...  # noqa: D102

    @property
    def line(self) -> int: ...  # noqa: D102


def text_of(digits: Iterable[Answered]) -> str:
    """Return digits as text: lines separated by a newline, "?" for one that is not sure."""
    lines: dict[int, str] = {}
    for digit in digits:
        lines[digit.line] = lines.get(digit.line, "") + (str(digit.label) if digit.sure else "?")
    return "\n".join(lines.values())


def smooth(values: Floats) -> Floats:
    """Average neighbours with weights 1:2:1 in both directions.  (H,W) -> (H,W)."""
    padded = np.pad(values, 1, mode="edge")
    padded = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    return (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4
