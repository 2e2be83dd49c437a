"""What the pad makes of a drawing: each digit as the network sees it, the answer, and what spoke for it.

The reference kernels answer, always.  On one BLAS thread they read a picture in 1 to 2 ms, a tenth of a frame, so
there is nothing to compile, to warm up or to swap in; and on more threads BLAS waits for whatever else is running.
"""

from dataclasses import dataclass, replace

import numpy as np

from numcnn.errors import ConfigError
from numcnn.imaging import raster
from numcnn.imaging.preprocess import BOX, SIDE, prepare_file
from numcnn.kernels.thread_team import one_blas_thread
from numcnn.nn.inspection import Insight, look, saliency


@dataclass(frozen=True, eq=False)
class Reading:
    """One digit of a drawing, or of a picture."""

    image: np.ndarray  # (28,28) uint8
    insight: Insight
    sure: bool  # or the answer had better not be given
    box: tuple | None  # (left, top, right, bottom) of its points on the canvas; None for a picture
    strokes: tuple  # their indices in ``canvas.strokes``


@dataclass(frozen=True, eq=False)
class Why:
    """What made it the answer and not the runner-up: shares (28,28), -1..1, positive where ink speaks for it.

    square: (left, top, right, bottom), where on the canvas these 28x28 pixels lie; None for a dot.
    """

    answer: int
    runner_up: int
    shares: np.ndarray
    square: tuple | None


class Mind:
    """A network that reads a canvas; what it has read once it keeps until it has read something else.

    ``refuse_below``: the probability under which an answer is "not sure", from the network's ``info``.
    """

    def __init__(self, network):
        """Take a network to read with.  Raises ConfigError for one that doesn't read digits."""
        self.network = check_network(network)
        self.refuse_below = float(network.info.get("refuse_below", 0.0))
        self._known = {}  # a picture's bytes -> Insight
        self._blank = None
        self._why = None, None  # the picture that was asked about last, and the answer

    def read(self, canvas):
        """Return a ``Reading`` for each digit on the canvas, from left to right."""
        digits = zip(canvas.digits(), canvas.boxes(), canvas.groups(), strict=True)
        known, self._known = self._known, {}
        return tuple(self._reading(image, box, strokes, known) for image, box, strokes in digits)

    def read_picture(self, image):
        """Return the ``Reading`` of a picture, (28,28) uint8, as a tuple of one."""
        return (self._reading(image, None, (), {}),)

    def blank(self):
        """Return an ``Insight`` in which nothing is seen: all values are zero."""
        if self._blank is None:
            insight = look(self.network, np.zeros((SIDE, SIDE), np.uint8))
            stages = tuple(stage._replace(out=np.zeros_like(stage.out)) for stage in insight.stages)
            nothing = np.zeros_like(insight.logits)
            self._blank = replace(insight, stages=stages, logits=nothing, probabilities=nothing)
        return self._blank

    def why(self, reading, canvas):
        """Return ``Why`` a reading has its answer: the saliency, smoothed a little, in shares of its largest value."""
        if self._why[0] is not reading.image:
            insight = reading.insight
            with one_blas_thread:
                slopes = saliency(self.network, reading.image, insight.answer, insight.runner_up)
            slopes = smooth(slopes)
            shares = slopes / (np.abs(slopes).max() or 1)
            square = square_of([canvas.strokes[i] for i in reading.strokes], reading.image)
            self._why = reading.image, Why(insight.answer, insight.runner_up, shares, square)
        return self._why[1]

    def _reading(self, image, box, strokes, known):
        key = image.tobytes()
        if key not in known:
            with one_blas_thread:
                known[key] = look(self.network, image)
        insight = self._known[key] = known[key]
        return Reading(image, insight, bool(insight.probabilities.max() >= self.refuse_below), box, strokes)


def check_network(network):
    """Return the network if it reads 28x28 pictures as ten digits with finite weights, else raise ConfigError."""
    if network.input_shape != (28, 28, 1) or network.output_shape != (10,):
        raise ConfigError(
            f"the pad wants a network from (28, 28, 1) to ten digits; this one goes from {network.input_shape} "
            f"to {network.output_shape}"
        )
    if not np.isfinite(network.params).all():
        raise ConfigError("the network has weights that are NaN or infinite; choose another, or train it again")
    return network


def square_of(strokes, image):
    """Return where the 28x28 picture of a digit lies on the canvas: (left, top, right, bottom); None for a dot."""
    points = np.concatenate([np.asarray(stroke, np.float64) for stroke in strokes])
    fitted = raster.fit(strokes)
    extent = np.ptp(points, axis=0).max()
    if extent <= 0:
        return None
    scale = np.ptp(np.concatenate(fitted), axis=0).max() / extent  # pixels of the picture for one of the canvas
    ink = raster.draw(fitted, (BOX, BOX))
    box = np.rint(255 / ink.max() * ink)
    # The box was moved by whole pixels, to bring its centre of mass to the middle.
    moved = [np.flatnonzero(image.any(axis=i))[0] - np.flatnonzero(box.any(axis=i))[0] for i in (0, 1)]
    left, top = points[0] - (fitted[0][0] + moved) / scale
    side = SIDE / scale
    return left, top, left + side, top + side


def smooth(values):
    """Take the mean over neighbours, 1:2:1 in both directions.  (H,W) -> (H,W)."""
    padded = np.pad(values, 1, mode="edge")
    padded = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    return (padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]) / 4


def predict_file(network, path):
    """Return ``{"path", "label", "probabilities"}`` of the picture in ``path``, as JSON can hold it.

    Raises DataError, with the path, when it is no readable picture or shows no ink.
    """
    probabilities = network.predict_proba(prepare_file(path))[0]
    return {
        "path": str(path),
        "label": int(probabilities.argmax()),
        "probabilities": [float(p) for p in probabilities],
    }
