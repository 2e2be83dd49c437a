"""The numbers of one step of learning: ``numcnn.trace`` before and after a step of ``training.optim.SGD``."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from numcnn.kernels.arrays import Float64s
from numcnn.kernels.thread_team import one_blas_thread
from numcnn.nn.inspection import Inspection
from numcnn.nn.layers import Dropout, Flatten, ReLU
from numcnn.nn.network import Network
from numcnn.nn.trace import Trace, trace
from numcnn.nn.traced import LOSS, PICTURE, Explanation, Stop
from numcnn.pad.explaining import Spot, address, values_of
from numcnn.training.optim import SGD

FORWARD, LOSS_FRAME, BACKWARD, CHANGE, ANSWER = "forward", "loss", "backward", "change", "answer"  # kinds of frames


class Frame(NamedTuple):
    """What is shown at a time: one band of the inside panel, and one station of the trace."""

    kind: str
    band: int
    stop: str


@dataclass(frozen=True, eq=False)
class Lesson:
    """One step of learning: the picture before and after it.  The user's network isn't changed."""

    network: Network
    inspection: Inspection
    before: Trace
    after: Trace
    label: int
    rate: float
    sums: dict[Frame, Explanation]  # how the largest number of a frame was made

    def frames(self) -> list[Frame]:
        """Return what is shown one after the other."""
        last = len(self.inspection.stages) + 1
        changing = [stop for stop in self.before.stops if stop.layer is not None and stop.layer.params]
        names = [stage.layer.name for stage in self.inspection.stages]
        return [
            *(Frame(FORWARD, band, self.stop(band).name) for band in range(last + 1)),
            Frame(LOSS_FRAME, last, LOSS),
            *(Frame(BACKWARD, band, self.maker(band).name) for band in range(last, -1, -1)),
            *(Frame(CHANGE, names.index(s.name) + 1 if s.name in names else last, s.name) for s in changing),
            Frame(ANSWER, last, LOSS),
        ]

    def stop(self, band: int) -> Stop:
        """Return the station of the trace that a band of the inside panel shows."""
        if band == 0:
            return self.before[PICTURE]
        if band > len(self.inspection.stages):
            return self.before.stops[-2]
        return self.before[self.inspection.stages[band - 1].layer.name]

    def maker(self, band: int) -> Stop:
        """Return the station from whose backward the gradient of a band comes: the next that is more than a copy."""
        stops = self.before.stops
        at = stops.index(self.stop(band)) + 1
        while type(stops[at].layer) in (ReLU, Flatten, Dropout):
            at += 1
        return stops[at]

    def gradient(self, band: int) -> Float64s:
        """Return how fast the loss rises with each number that a band shows."""
        return self.maker(band)["dx"].reshape(values_of(self.inspection, band).shape)

    def parameter(self, layer: str) -> str:
        """Return the name of the parameter by which a layer's change is shown."""
        params = self.changed(layer)
        return "w" if "w" in params else next(iter(params))

    def changed(self, layer: str) -> dict[str, tuple[Float64s, Float64s]]:
        """Return a layer's parameters before and after the step, by name."""
        stop, after = self.before[layer], self.after[layer]
        assert stop.layer is not None
        return {name: (stop[name], after[name]) for name in stop.layer.params}


def largest(values: Float64s) -> tuple[int, ...]:
    """Return the index of the value that is farthest from 0."""
    return tuple(map(int, np.unravel_index(int(np.abs(values).argmax()), values.shape)))


def learn_once(network: Network, inspection: Inspection, label: int, rate: float, known: Lesson | None) -> Lesson:
    """Take one step of plain gradient descent for one picture, by a copy of a network.

    known: an earlier lesson, whose trace before the step is taken over if it is the same.
    """
    if known and (known.network, known.inspection, known.label) == (network, inspection, label):
        before, sums = known.before, known.sums
    else:
        before, sums = trace(network, inspection.image, label), None
    twin = network.copy(dtype=np.float64, backend="reference")
    twin.grads[...] = before.network.grads
    with one_blas_thread:
        SGD(twin.params, twin.grads, twin.layers[0].kernels, momentum=0.0).step(rate)
    lesson = Lesson(network, inspection, before, trace(twin, inspection.image, label), label, rate, sums or {})
    if sums is None:
        lesson.sums.update(_sums(lesson))
    return lesson


def _sums(lesson: Lesson) -> dict[Frame, Explanation]:
    """Return how the largest number of each frame was made: forward, backward, and of the weights' gradients."""
    found: dict[Frame, Explanation] = {}
    inspection, before = lesson.inspection, lesson.before
    for frame in lesson.frames():
        if frame.kind == FORWARD and frame.band:
            values = values_of(inspection, frame.band)
            place = np.unravel_index(int(values.argmax()), values.shape)
            spot = Spot(frame.band, int(place[-1]), *map(int, place[:-1]))
            found[frame] = before.explain(*address(spot, inspection, lesson.network))
        elif frame.kind == LOSS_FRAME:
            found[frame] = before.explain(LOSS, "out")
        elif frame.kind in (BACKWARD, CHANGE):
            name = "dx" if frame.kind == BACKWARD else f"d{lesson.parameter(frame.stop)}"
            found[frame] = before.explain(frame.stop, name, largest(before[frame.stop][name]))
    return found
