"""More activations: tanh, sigmoid and the leaky ReLU.  Each keeps only its output for backward."""

from numcnn.kernels.arrays import AnyArray, Floats
from numcnn.nn.checks import real_number
from numcnn.nn.layer import register_layer
from numcnn.nn.layers import Activation


@register_layer
class Tanh(Activation):
    """Squash each value to -1..1.  Any shape."""

    short_name = "tanh"

    def _apply(self, x: Floats, out: Floats) -> None:
        self.kernels.tanh_forward(x, out)

    def _apply_gradient(self, dout: Floats, out: Floats, dx: Floats) -> None:
        self.kernels.tanh_backward(dout, out, dx)


@register_layer
class Sigmoid(Activation):
    """Squash each value to 0..1: 1 / (1 + exp(-x)).  Any shape."""

    short_name = "sigmoid"

    def _apply(self, x: Floats, out: Floats) -> None:
        self.kernels.sigmoid_forward(x, out)

    def _apply_gradient(self, dout: Floats, out: Floats, dx: Floats) -> None:
        self.kernels.sigmoid_backward(dout, out, dx)


@register_layer
class LeakyReLU(Activation):
    """Scale negative values by ``slope`` (0 < slope < 1).  Any shape."""

    short_name = "leakyrelu"

    def __init__(self, slope: float = 0.01) -> None:
        super().__init__()
        self.slope = real_number("LeakyReLU slope", slope, 0, 1, "a number between 0 and 1 (for 0 there is ReLU)")

    def decisions(self) -> tuple[AnyArray, ...]:
        """Return which values are positive: see ``gradient_check.HasKinks``."""
        return (self._saved > 0,)

    def _apply(self, x: Floats, out: Floats) -> None:
        self.kernels.leaky_relu_forward(x, self.slope, out)

    def _apply_gradient(self, dout: Floats, out: Floats, dx: Floats) -> None:
        self.kernels.leaky_relu_backward(dout, out, self.slope, dx)
