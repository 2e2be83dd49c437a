"""Reading one picture at a time, with little overhead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from numcnn.errors import ShapeError
from numcnn.kernels import has_fast
from numcnn.kernels.arrays import AnyArray, Bytes, Floats
from numcnn.kernels.buffers import zeros
from numcnn.kernels.protocol import Kernels
from numcnn.nn.data_parallel import MOST_IDLE
from numcnn.nn.fusion import ConvReluPool
from numcnn.nn.layer import Layer
from numcnn.nn.layers import Dense, Dropout, Flatten, ReLU

Stage: TypeAlias = Callable[[], object]  # computes one array from another, both bound to it
MakeStage: TypeAlias = Callable[[Floats, Floats], Stage]  # binds the arrays x and out, (1, ...) each


class ReadsPictures(Protocol):
    """What a ``Reader`` uses of a ``Network``."""

    input_shape: tuple[int, ...]
    normalisation: tuple[float, float]
    dtype: np.dtype[Any]

    @property
    def params(self) -> Floats:
        """See ``Network``."""
        ...

    @property
    def fuse(self) -> bool:
        """See ``Network``."""
        ...

    @property
    def steps(self) -> list[Layer]:
        """See ``Network``."""
        ...

    def check_reads_pictures(self) -> None:
        """See ``Network``."""
        ...

    def copy(self, dtype: npt.DTypeLike | None = None, backend: str | Kernels | None = None) -> ReadsPictures:
        """See ``Network``."""
        ...

    def logits(self, images: AnyArray) -> Floats:
        """See ``Network``."""
        ...

    def probabilities(self, logits: Floats) -> Floats:
        """See ``Network``."""
        ...


class _Stages(NamedTuple):
    """Compiled stages, in order, from ``image`` to ``out`` (classes,); for one caller at a time."""

    image: Bytes
    stages: list[Stage]
    out: Floats


class Reader:
    """A snapshot of a network for one picture at a time.  Later changes of the network don't affect it.

    ``Network.logits`` is made for many pictures; for a single one, checks and bookkeeping take longer than the
    arithmetic.  Here they are done once.  Any number of threads may use it at a time; processes
    get copies by pickle.
    """

    def __init__(self, network: ReadsPictures) -> None:
        """Prepare to read pictures with the parameters that ``network`` has now.

        Raises ShapeError for a network that doesn't go from pictures to classes.
        """
        network.check_reads_pictures()
        self._network = network.copy(backend="fast")
        H, W, C = network.input_shape
        self._shape = (H, W) if C == 1 else (H, W, C)
        self._idle: deque[_Stages] = deque(maxlen=MOST_IDLE)  # each caller takes one; append and pop are atomic
        # The compiled stages skip zeros, so a NaN or infinite weight could go unnoticed.
        usual = has_fast() and C == 1 and network.fuse and np.isfinite(network.params).all()
        self._plan = self._planned() if usual else None
        if self._plan is not None:
            self._idle.append(self._make_stages())

    def __reduce__(self) -> tuple[type[Reader], tuple[ReadsPictures]]:
        """Pickle and copy the network alone: stages are compiled code and buffers, which each process makes anew."""
        return type(self), (self._network,)

    def _planned(self) -> list[tuple[tuple[int, ...], MakeStage | None]] | None:
        """Return each stage's output shape and its maker (None: a view); None if a layer has no stage.

        Exactly these types have stages: subclasses may compute something else.
        """
        steps = [step for step in self._network.steps if type(step) is not Dropout]
        plan: list[tuple[tuple[int, ...], MakeStage | None]] = []
        for i, step in enumerate(steps):
            before = type(steps[i - 1]) if i > 0 else None
            if type(step) is Flatten:
                plan.append((step.out_shape, None))
            elif type(step) is ReLU and before is Dense:
                continue  # included in the dense stage before
            elif type(step) is ConvReluPool and not step.conv.pads:
                PH, PW, _ = step.out_shape
                plan.append((step.out_shape, _conv_stage_maker(step.params, PH * PW)))
            elif type(step) is Dense:
                relu = i + 1 < len(steps) and type(steps[i + 1]) is ReLU
                plan.append((step.out_shape, _dense_stage_maker(step.params, relu)))
            else:
                return None
        return plan

    def _make_stages(self) -> _Stages:
        from numcnn.kernels.fast import single_image  # noqa: PLC0415  (loads Numba)

        assert self._plan is not None
        network = self._network
        mean, std = network.normalisation
        image = np.zeros((1, *self._shape), np.uint8)
        x = zeros((1, *network.input_shape), network.dtype)
        stages: list[Stage] = [single_image.gather_stage(image, 1 / 255 / std, -mean / std, x)]
        for shape, make in self._plan:
            if make is None:
                x = x.reshape(1, *shape)
                continue
            out = zeros((1, *shape), network.dtype)
            stages.append(make(x, out))
            x = out
        return _Stages(image[0], stages, x[0])

    def logits(self, image: AnyArray) -> Floats:
        """Return the logits (classes,) of one picture, uint8, (H,W), or (H,W,C) with several channels.

        Raises ShapeError for another shape or dtype.
        """
        if image.shape != self._shape or image.dtype != np.uint8:
            raise ShapeError(f"the picture is {image.shape}, {image.dtype}; wants {self._shape}, uint8")
        if self._plan is None:
            return self._network.logits(image)[0]
        try:
            mine = self._idle.pop()
        except IndexError:
            mine = self._make_stages()
        mine.image[...] = image
        for stage in mine.stages:
            stage()
        logits = mine.out.copy()
        self._idle.append(mine)
        return logits

    def predict_proba(self, image: AnyArray) -> Floats:
        """Return the probabilities (classes,) of one picture, as ``logits`` takes it."""
        return self._network.probabilities(self.logits(image)[None])[0]


def _conv_stage_maker(params: dict[str, Floats], windows: int) -> MakeStage:
    from numcnn.kernels.fast import single_image  # noqa: PLC0415  (loads Numba)

    w_shape, b = params["w"].shape, params["b"].copy()
    weights = single_image.conv_weights(params["w"], windows)
    return lambda x, out: single_image.conv_relu_pool_stage(x, w_shape, weights, b, out)


def _dense_stage_maker(params: dict[str, Floats], relu: bool) -> MakeStage:
    from numcnn.kernels.fast import single_image  # noqa: PLC0415  (loads Numba)

    weights, b = single_image.dense_weights(params["w"]), params["b"].copy()
    return lambda x, out: single_image.dense_stage(x, weights, b, out, relu)
