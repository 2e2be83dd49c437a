"""How a number that is pointed at was made: the terms of ``numcnn.trace``, found on a thread of their own.

A trace takes 30 ms and the 3,201 terms of a neuron 20 ms, more than a frame has.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from numcnn.errors import NumcnnError
from numcnn.kernels.arrays import AnyArray, Floats
from numcnn.nn.inspection import DENSE, Inspection
from numcnn.nn.network import Network
from numcnn.nn.terms import Index
from numcnn.nn.trace import Trace, trace
from numcnn.nn.traced import PICTURE, Explanation
from numcnn.pad.drawing.inside_layout import ON_FILTER


class Spot(NamedTuple):
    """What is pointed at: pixel (y, x) of map i, or neuron or output i, of a band of the inside panel."""

    band: int  # 0: the picture; 1 to S: the stages; S + 1: the outputs
    i: int
    y: int = 0
    x: int = 0


class Input(NamedTuple):
    """A place in an earlier band that went into a number, with how much it added to it."""

    spot: Spot
    product: float


class Explained(NamedTuple):
    """How the number at a spot was made."""

    spot: Spot
    found: Explanation | None
    problem: str  # why it can't be explained, or ""
    inputs: tuple[Input, ...]  # the largest first


def settled(spot: Spot, inspection: Inspection) -> Spot:
    """Return the number that a spot stands for: for a filter, the place of its map where it answers most."""
    if spot.y != ON_FILTER:
        return spot
    y, x = np.unravel_index(inspection.stages[spot.band - 1].out[..., spot.i].argmax(), _shape(inspection, spot.band))
    return spot._replace(y=int(y), x=int(x))


def _shape(inspection: Inspection, band: int) -> tuple[int, ...]:
    return inspection.stages[band - 1].out.shape[:2]


def address(spot: Spot, inspection: Inspection, network: Network) -> tuple[str, str, Index]:
    """Return layer, array and index of a spot in a ``Trace``."""
    if spot.band == 0:
        return PICTURE, "out", (spot.y, spot.x, 0)
    if spot.band > len(inspection.stages):
        return network.layers[-1].name, "out", (spot.i,)
    stage = inspection.stages[spot.band - 1]
    return stage.layer.name, "out", (spot.i,) if stage.kind == DENSE else (spot.y, spot.x, spot.i)


def inputs_of(found: Explanation, spot: Spot, inspection: Inspection, shape: tuple[int, ...]) -> tuple[Input, ...]:
    """Return where the numbers came from that went into a sum, the largest first.

    shape: of the layer's input; inputs whose band isn't shown, or has another shape, are left out.
    """
    band = spot.band - 1
    if band < 0:
        return ()
    there = (28, 28, 1) if band == 0 else inspection.stages[band - 1].out.shape
    if np.prod(there) != np.prod(shape):
        return ()
    inputs: list[Input] = []
    for term, product in zip(found.terms, found.products.tolist(), strict=True):
        at = next((factor.at for factor in term.factors if factor.name == "x"), None)
        if at is None or product == 0:
            continue
        index = tuple(map(int, np.unravel_index(int(np.ravel_multi_index(at, shape)), there)))
        place = Spot(band, index[0]) if len(index) == 1 else Spot(band, index[2], index[0], index[1])
        inputs.append(Input(place, product))
    return tuple(sorted(inputs, key=lambda each: -abs(each.product)))


class Explainer:
    """Traces pictures and explains numbers on a thread of its own, one at a time: the last one that was asked for."""

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None
        self._task: Future[Explained] | None = None
        self._wanted: Callable[[], Explained] | None = None
        self._trace: tuple[Network, AnyArray, Trace] | None = None  # used by the thread only

    @property
    def busy(self) -> bool:
        """Whether something is being explained, or is done and not fetched yet."""
        return self._task is not None

    def ask(self, spot: Spot, inspection: Inspection, network: Network) -> None:
        """Begin to explain the number at a spot; one that was asked for before and hasn't begun is dropped."""
        self._wanted = lambda: self._explain(spot, inspection, network)
        if self._task is None:
            self._begin()

    def result(self) -> Explained | None:
        """Return what was explained since the last call, or None."""
        if self._task is None or not self._task.done():
            return None
        done, self._task = self._task.result(), None
        if self._wanted:
            self._begin()
        return done

    def close(self) -> None:
        """Stop; what is being computed is computed to its end, for nothing."""
        self._wanted = self._task = None
        if self._thread:
            self._thread.shutdown(wait=False)
            self._thread = None

    def _begin(self) -> None:
        assert self._wanted is not None
        self._thread = self._thread or ThreadPoolExecutor(1, "numcnn-explain")
        self._task, self._wanted = self._thread.submit(self._wanted), None

    def _explain(self, spot: Spot, inspection: Inspection, network: Network) -> Explained:
        at = settled(spot, inspection)
        try:
            if self._trace is None or self._trace[0] is not network or self._trace[1] is not inspection.image:
                self._trace = network, inspection.image, trace(network, inspection.image)
            traced = self._trace[2]
            layer, array, index = address(at, inspection, network)
            found = traced.explain(layer, array, index)
            return Explained(at, found, "", inputs_of(found, at, inspection, traced[layer]["x"].shape))
        except NumcnnError as error:
            return Explained(at, None, str(error), ())


def channel_of(explained: Explained | None) -> int:
    """Return the map of the band before that added most to a sum; 0 as long as that isn't known."""
    added: dict[int, float] = {}
    for spot, product in explained.inputs if explained else ():
        added[spot.i] = added.get(spot.i, 0.0) + product
    return max(added, key=lambda i: abs(added[i]), default=0)


def values_of(inspection: Inspection, band: int) -> Floats:
    """Return what a band shows: the picture (28,28,1) from 0 to 1, maps (H,W,F), neurons (D,) or scores (10,)."""
    if band == 0:
        return np.asarray(inspection.image, np.float32).reshape(28, 28, 1) / 255
    return inspection.scores if band > len(inspection.stages) else inspection.stages[band - 1].out


def value_at(inspection: Inspection, spot: Spot) -> float:
    """Return the number that a band shows at a spot."""
    values = values_of(inspection, spot.band)
    return float(values[spot.i] if values.ndim == 1 else values[spot.y, spot.x, spot.i])


def moved(spot: Spot, inspection: Inspection, right: int, down: int) -> Spot:
    """Return the spot one step away, where there is one: the next pixel of a map, the next neuron or output."""
    shape: Sequence[int] = values_of(inspection, spot.band).shape
    if len(shape) == 1:
        return spot._replace(i=min(max(spot.i + right, 0), shape[0] - 1))
    y, x = spot.y + down, spot.x + right
    return spot._replace(y=min(max(y, 0), shape[0] - 1), x=min(max(x, 0), shape[1] - 1))
