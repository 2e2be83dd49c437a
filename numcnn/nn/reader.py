"""Reading one picture at a time, without delay."""

import numpy as np

from numcnn.errors import ShapeError
from numcnn.kernels.buffers import zeros
from numcnn.nn.fusion import ConvReluPool
from numcnn.nn.layers import Dense, Dropout, Flatten, ReLU
from numcnn.nn.losses import softmax


class Reader:
    """A snapshot of a network for one picture at a time.  Later changes of the network don't reach it.

    ``Network.logits`` is made for many pictures; for a single one the checks and the bookkeeping around its arithmetic
    take longer than the arithmetic.  Here all that is done once.  Not for several threads at a time.
    """

    def __init__(self, network):
        """Prepare to read pictures with the parameters that ``network`` has now.

        Raises ShapeError for a network that doesn't go from pictures to classes.
        """
        network.check_reads_pictures()
        self._network = network.copy(backend="fast")
        H, W, C = network.input_shape
        self._image = np.zeros((1, H, W) if C == 1 else (1, H, W, C), np.uint8)
        # A weight that is no number would be passed over where it is multiplied by zero.
        usual = C == 1 and network.fuse and np.isfinite(network.params).all()
        self._stages = self._prepare() if usual else None

    def _prepare(self):
        """Return the stages that read ``self._image`` and end in ``self._out``; None: there is a layer without one.

        Subclasses of the layers may do something else, so only these very types have stages.
        """
        from numcnn.kernels.fast import single_image

        network = self._network
        mean, std = network.normalisation
        x = zeros((1, *network.input_shape), network.dtype)
        stages = [single_image.gather_stage(self._image, 1 / 255 / std, -mean / std, x)]
        steps = [step for step in network.steps if type(step) is not Dropout]
        for i, step in enumerate(steps):
            out = zeros((1, *step.out_shape), network.dtype)
            if type(step) is ConvReluPool and step.layers[0].padded_shape == step.in_shape:
                stages.append(single_image.conv_relu_pool_stage(x, step.params["w"], step.params["b"], out))
            elif type(step) is Flatten:
                out = x.reshape(1, -1)
            elif type(step) is Dense:
                relu = i + 1 < len(steps) and type(steps[i + 1]) is ReLU
                stages.append(single_image.dense_stage(x, step.params["w"], step.params["b"], out, relu))
            elif type(step) is ReLU and i > 0 and type(steps[i - 1]) is Dense:
                out = x  # the dense stage before it has done it
            else:
                return None
            x = out
        self._out = x
        return stages

    def logits(self, image):
        """Return the logits (classes,) of one picture, uint8, (H,W), or (H,W,C) of several colours.

        The result is overwritten by the next call.  Raises ShapeError for another shape or dtype.
        """
        if image.shape != self._image.shape[1:] or image.dtype != np.uint8:
            raise ShapeError(f"the picture is {image.shape}, {image.dtype}; wants {self._image.shape[1:]}, uint8")
        if self._stages is None:
            return self._network.logits(image)[0]
        self._image[0] = image
        for stage in self._stages:
            stage()
        return self._out[0]

    def predict_proba(self, image):
        """Return the probabilities (classes,) of one picture: see ``logits`` for what it may be."""
        return softmax(self.logits(image)[None] / self._network.dtype.type(self._network.temperature))[0]
