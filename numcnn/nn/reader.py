"""Reading one picture at a time, without delay."""

from collections import deque
from typing import NamedTuple

import numpy as np

from numcnn.errors import ShapeError
from numcnn.kernels.buffers import zeros
from numcnn.nn.data_parallel import MOST_IDLE
from numcnn.nn.fusion import ConvReluPool
from numcnn.nn.layers import Dense, Dropout, Flatten, ReLU


class _Stages(NamedTuple):
    """Compiled stages, in turn, that read ``image`` and end in ``out`` (classes,): for one caller at a time."""

    image: np.ndarray
    stages: list
    out: np.ndarray


class Reader:
    """A snapshot of a network for one picture at a time.  Later changes of the network don't reach it.

    ``Network.logits`` is made for many pictures; for a single one the checks and the bookkeeping around its arithmetic
    take longer than the arithmetic.  Here all that is done once.  Any number of threads may read with it at a time.
    """

    def __init__(self, network):
        """Prepare to read pictures with the parameters that ``network`` has now.

        Raises ShapeError for a network that doesn't go from pictures to classes.
        """
        network.check_reads_pictures()
        self._network = network.copy(backend="fast")
        H, W, C = network.input_shape
        self._shape = (H, W) if C == 1 else (H, W, C)
        self._idle = deque(maxlen=MOST_IDLE)  # each caller takes one; append and pop are single steps
        # A weight that is no number would be passed over where it is multiplied by zero.
        usual = C == 1 and network.fuse and np.isfinite(network.params).all()
        self._plan = self._planned() if usual else None
        if self._plan is not None:
            self._idle.append(self._make_stages())

    def _planned(self):
        """Return for each stage (shape of its output, makes it of x and out); None: there is a layer without one.

        Subclasses of the layers may do something else, so only these very types have stages.
        """
        from numcnn.kernels.fast import single_image

        steps, plan = [step for step in self._network.steps if type(step) is not Dropout], []
        for i, step in enumerate(steps):
            before = type(steps[i - 1]) if i > 0 else None
            if type(step) is Flatten:
                plan.append((step.out_shape, None))
            elif type(step) is ReLU and before is Dense:
                continue  # the dense stage before it does it
            elif type(step) is ConvReluPool and step.layers[0].padded_shape == step.in_shape:
                PH, PW, _ = step.out_shape
                plan.append((step.out_shape, _conv_stage_maker(single_image, step.params, PH * PW)))
            elif type(step) is Dense:
                relu = i + 1 < len(steps) and type(steps[i + 1]) is ReLU
                plan.append((step.out_shape, _dense_stage_maker(single_image, step.params, relu)))
            else:
                return None
        return plan

    def _make_stages(self):
        from numcnn.kernels.fast import single_image

        network = self._network
        mean, std = network.normalisation
        image = np.zeros((1, *self._shape), np.uint8)
        x = zeros((1, *network.input_shape), network.dtype)
        stages = [single_image.gather_stage(image, 1 / 255 / std, -mean / std, x)]
        for shape, make in self._plan:
            if make is None:
                x = x.reshape(1, *shape)
                continue
            out = zeros((1, *shape), network.dtype)
            stages.append(make(x, out))
            x = out
        return _Stages(image[0], stages, x[0])

    def logits(self, image):
        """Return the logits (classes,) of one picture, uint8, (H,W), or (H,W,C) of several colours.

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

    def predict_proba(self, image):
        """Return the probabilities (classes,) of one picture: see ``logits`` for what it may be."""
        return self._network.probabilities(self.logits(image)[None])[0]


def _conv_stage_maker(single_image, params, windows):
    w_shape, b = params["w"].shape, params["b"].copy()
    weights = single_image.conv_weights(params["w"], windows)
    return lambda x, out: single_image.conv_relu_pool_stage(x, w_shape, weights, b, out)


def _dense_stage_maker(single_image, params, relu):
    weights, b = single_image.dense_weights(params["w"]), params["b"].copy()
    return lambda x, out: single_image.dense_stage(x, weights, b, out, relu)
