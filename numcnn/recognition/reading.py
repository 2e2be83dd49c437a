"""Read the digits of a drawing or a picture: the network's answer, whether it is sure, and the pixels behind it.

The pad reads with the reference kernels on one BLAS thread.  A digit takes 1 to 2 ms, a tenth of a frame, so there is
nothing to compile or warm up; on more threads BLAS waits for whatever else is running.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from numcnn.errors import ConfigError
from numcnn.imaging import raster
from numcnn.imaging.preprocess import BOX, SIDE
from numcnn.kernels.arrays import Bytes, Floats
from numcnn.kernels.thread_team import one_blas_thread
from numcnn.nn.answers import answers, least_probability
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


@dataclass(frozen=True, eq=False)
class Reading:
    """One digit of a drawing, or of a picture."""

    image: Bytes  # (28,28)
    inspection: Inspection
    sure: bool  # False: the probability is below the network's threshold
    box: Box | None  # of its points on the canvas; None for a picture
    strokes: tuple[int, ...]  # indices in the drawing's strokes


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why a digit was read as ``answer`` and not as ``runner_up``.

    saliency (28,28), -1..1: positive where ink speaks for the answer, in fractions of the largest magnitude.
    square: the position of these 28x28 pixels on the canvas; None for a dot.
    """

    answer: int
    runner_up: int
    saliency: Floats
    square: Box | None


class Recognizer:
    """A network that reads a drawing; digits that haven't changed since the last call are not read again.

    ``least``: an answer with a lower probability is "not sure"; see ``nn/answers.py``.
    """

    def __init__(self, network: Network) -> None:
        """Take the network to read with.  Raises ConfigError if it doesn't read digits."""
        self.network = check_network(network)
        self.least = least_probability(network.info)
        self._inspections: dict[bytes, Inspection] = {}  # by the bytes of the picture
        self._blank: Inspection | None = None
        self._explained: tuple[Bytes, Explanation] | None = None  # the last picture, and its explanation

    def read(self, drawing: Drawing) -> tuple[Reading, ...]:
        """Return a ``Reading`` for each digit of a drawing, from left to right."""
        digits = zip(drawing.digits(), drawing.boxes(), drawing.groups(), strict=True)
        earlier, self._inspections = self._inspections, {}
        return tuple(self._reading(image, box, strokes, earlier) for image, box, strokes in digits)

    def read_picture(self, image: Bytes) -> tuple[Reading, ...]:
        """Return the ``Reading`` of a picture, (28,28) uint8, as a tuple of one."""
        return (self._reading(image, None, (), {}),)

    def blank(self) -> Inspection:
        """Return an ``Inspection`` whose maps, logits and probabilities are all zero."""
        if self._blank is None:
            inspection = inspect_picture(self.network, np.zeros((SIDE, SIDE), np.uint8))
            stages = tuple(stage._replace(out=np.zeros_like(stage.out)) for stage in inspection.stages)
            zeros = np.zeros_like(inspection.logits)
            self._blank = replace(inspection, stages=stages, logits=zeros, probabilities=zeros)
        return self._blank

    def explain(self, reading: Reading, drawing: Drawing) -> Explanation:
        """Return the smoothed saliency of a reading's answer, scaled to a largest magnitude of 1."""
        if self._explained is None or self._explained[0] is not reading.image:
            answer, runner_up = reading.inspection.answer, reading.inspection.runner_up
            with one_blas_thread:
                slopes = smooth(saliency(self.network, reading.image, answer, runner_up))
            square = square_of([drawing.strokes[i] for i in reading.strokes], reading.image)
            scaled = slopes / (np.abs(slopes).max() or 1)
            self._explained = reading.image, Explanation(answer, runner_up, scaled, square)
        return self._explained[1]

    def _reading(
        self, image: Bytes, box: Box | None, strokes: tuple[int, ...], earlier: dict[bytes, Inspection]
    ) -> Reading:
        key = image.tobytes()
        if key not in earlier:
            with one_blas_thread:
                earlier[key] = inspect_picture(self.network, image)
        inspection = self._inspections[key] = earlier[key]
        (answer,) = answers(inspection.probabilities[None], self.least)
        return Reading(image, inspection, answer.sure, box, strokes)


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


def smooth(values: Floats) -> Floats:
    """Average neighbours with weights 1:2:1 in both directions.  (H,W) -> (H,W)."""
    padded = np.pad(values, 1, mode="edge")
    padded = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    return (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4
