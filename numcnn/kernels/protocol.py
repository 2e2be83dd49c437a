"""What a back-end offers: one method a kernel, its arguments and their shapes.  Formulas are in ``reference.py``.

``self.kernels`` of a layer is a module that implements ``Kernels``; the type checker holds both back-ends to it.
Dimensions: N images, H x W pixels, C channels, F filters, KH x KW kernel, OH x OW outputs, PH x PW pooled outputs;
D features; M rows (images and positions) of batch normalisation; P parameters.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np

from numcnn.kernels.arrays import AnyArray, Bytes, Floats, Ints, Pair
from numcnn.kernels.reference_augment import Strengths


class Kernels(Protocol):
    """A back-end: a module, or any object with these functions.

    Arrays that a kernel fills are arguments: ``out``, ``which``, ``losses``, ``log_probs``, and every ``d...`` but
    ``dout``.  Where ``dx`` or ``which`` may be None, None means that it isn't needed.
    """

    # Running a pass

    def computing(self) -> AbstractContextManager[object]:
        """Return the context that a forward or backward pass runs in."""
        ...

    def threads(self) -> int:
        """Return the number of threads that ``run_parallel`` uses."""
        ...

    def run_parallel(self, size: int, task: Callable[[int, int, int], object]) -> None:
        """Cut ``range(size)`` into one part a thread; call ``task(number, first, last)`` for all of them at once."""
        ...

    # Layers

    def conv2d_forward(self, x: Floats, w: Floats, b: Floats, out: Floats, stride: Pair) -> None:
        """Convolve x (N,H,W,C), padded already, with w (KH,KW,C,F), add b (F,) -> out (N,OH,OW,F).  stride (SH,SW)."""
        ...

    def conv2d_backward(
        self, dout: Floats, x: Floats, w: Floats, dx: Floats | None, dw: Floats, db: Floats, stride: Pair
    ) -> None:
        """Send dout (N,OH,OW,F) back -> dx (N,H,W,C), dw (KH,KW,C,F), db (F,)."""
        ...

    def relu_forward(self, x: Floats, out: Floats) -> None:
        """Replace negative values by zero.  x, out: any shape, the same."""
        ...

    def relu_backward(self, dout: Floats, out: Floats, dx: Floats) -> None:
        """Send dout back to dx through ``out``, which relu_forward filled; all of one shape."""
        ...

    def leaky_relu_forward(self, x: Floats, slope: float, out: Floats) -> None:
        """Multiply negative values by ``slope``, above 0.  x, out: any shape, the same."""
        ...

    def leaky_relu_backward(self, dout: Floats, out: Floats, slope: float, dx: Floats) -> None:
        """Send dout back to dx through ``out``, which leaky_relu_forward filled; all of one shape."""
        ...

    def tanh_forward(self, x: Floats, out: Floats) -> None:
        """Fill out = tanh(x).  x, out: any shape, the same."""
        ...

    def tanh_backward(self, dout: Floats, out: Floats, dx: Floats) -> None:
        """Send dout back to dx through ``out``, which tanh_forward filled; all of one shape."""
        ...

    def sigmoid_forward(self, x: Floats, out: Floats) -> None:
        """Fill out = 1 / (1 + exp(-x)).  x, out: any shape, the same."""
        ...

    def sigmoid_backward(self, dout: Floats, out: Floats, dx: Floats) -> None:
        """Send dout back to dx through ``out``, which sigmoid_forward filled; all of one shape."""
        ...

    def maxpool2d_forward(self, x: Floats, out: Floats, which: AnyArray | None, window: Pair, stride: Pair) -> None:
        """Keep the largest value of each window.  x (N,H,W,C) -> out, which (N,OH,OW,C); which: unsigned integers."""
        ...

    def maxpool2d_backward(self, dout: Floats, which: AnyArray, dx: Floats, window: Pair, stride: Pair) -> None:
        """Send dout (N,OH,OW,C) back to each window's winner -> dx (N,H,W,C)."""
        ...

    def averagepool2d_forward(self, x: Floats, out: Floats, window: Pair, stride: Pair) -> None:
        """Take the mean of each window.  x (N,H,W,C) -> out (N,OH,OW,C)."""
        ...

    def averagepool2d_backward(self, dout: Floats, dx: Floats, window: Pair, stride: Pair) -> None:
        """Spread each window's gradient evenly.  dout (N,OH,OW,C) -> dx (N,H,W,C)."""
        ...

    def batchnorm_statistics(self, x: Floats, mean: Floats, var: Floats) -> None:
        """Fill mean and var (C,) with those of the columns of x (M,C)."""
        ...

    def batchnorm_forward(
        self, x: Floats, mean: Floats, var: Floats, gamma: Floats, beta: Floats, eps: float, out: Floats
    ) -> None:
        """Normalise, scale and shift x (M,C) -> out (M,C).  mean, var, gamma, beta (C,)."""
        ...

    def batchnorm_backward(
        self,
        dout: Floats,
        x: Floats,
        mean: Floats,
        var: Floats,
        gamma: Floats,
        eps: float,
        dx: Floats | None,
        dgamma: Floats,
        dbeta: Floats,
    ) -> None:
        """Send dout (M,C) back -> dx (M,C), dgamma, dbeta (C,).  mean, var (C,): those of x itself."""
        ...

    def conv_relu_pool_forward(self, x: Floats, w: Floats, b: Floats, out: Floats, which: Bytes | None) -> None:
        """Convolve with stride 1, apply ReLU, pool 2x2.  x, w, b: as ``conv2d_forward`` -> out, which (N,PH,PW,F)."""
        ...

    def conv_relu_pool_backward(
        self, dout: Floats, which: Bytes, x: Floats, w: Floats, dx: Floats | None, dw: Floats, db: Floats
    ) -> None:
        """Send dout (N,PH,PW,F) back -> dx (N,H,W,C), dw (KH,KW,C,F), db (F,)."""
        ...

    def dense_forward(self, x: Floats, w: Floats, b: Floats, out: Floats) -> None:
        """Fill out = x @ w + b.  x (N,D), w (D,F), b (F,) -> out (N,F)."""
        ...

    def dense_backward(self, dout: Floats, x: Floats, w: Floats, dx: Floats | None, dw: Floats, db: Floats) -> None:
        """Send dout (N,F) back -> dx (N,D), dw (D,F), db (F,)."""
        ...

    def dropout_forward(self, x: Floats, u: Floats, rate: float, out: Floats) -> None:
        """Zero the values whose random number u in [0, 1) is below ``rate``.  x, u, out: any shape, the same."""
        ...

    def dropout_backward(self, dout: Floats, u: Floats, rate: float, dx: Floats) -> None:
        """Send dout back to dx, with the random numbers u of the forward pass; all of one shape."""
        ...

    # Loss

    def softmax_cross_entropy_forward(
        self, logits: Floats, labels: Ints, smoothing: float, log_probs: Floats, losses: Floats
    ) -> None:
        """Compare softmax(logits) with the labels.  logits (N,C), labels (N,) -> log_probs (N,C), losses (N,)."""
        ...

    def softmax_cross_entropy_backward(
        self, log_probs: Floats, labels: Ints, of: int, smoothing: float, dlogits: Floats
    ) -> None:
        """Fill dlogits (N,C) with the gradient of the mean loss over ``of`` images."""
        ...

    # Batches

    def gather_images(self, images: AnyArray, index: Ints, scale: float, shift: float, out: Floats) -> None:
        """Fill out[n] = images[index[n]] * scale + shift.  images (M,H,W), index (N,) -> out (N,H,W,1)."""
        ...

    def augment_images(
        self,
        images: AnyArray,
        index: Ints,
        numbers: Ints,
        key: np.uint64,
        augmentation: Strengths,
        scale: float,
        shift: float,
        out: Floats,
    ) -> None:
        """Do as ``gather_images`` with changed images.  numbers (N,) and key: what decides each image's changes."""
        ...

    # Optimisers, in place on flat arrays (P,)

    def add(self, array: Floats, other: Floats) -> None:
        """Add: array += other, both (P,)."""
        ...

    def average_step(self, average: Floats, params: Floats, rate: float) -> None:
        """Move a running average towards the parameters.  Both (P,)."""
        ...

    def sgd_step(
        self,
        params: Floats,
        grads: Floats,
        velocity: Floats,
        decay: Floats,
        lr: float,
        momentum: float,
        nesterov: bool,
        weight_decay: float,
    ) -> None:
        """Take one step of SGD.  params, grads, velocity, decay (P,)."""
        ...

    def adam_step(
        self,
        params: Floats,
        grads: Floats,
        m: Floats,
        v: Floats,
        decay: Floats,
        step: int,
        lr: float,
        beta1: float,
        beta2: float,
        eps: float,
        weight_decay: float,
    ) -> None:
        """Take step number ``step`` (1, 2, ...) of Adam.  params, grads, m, v, decay (P,)."""
        ...


# The names of all that a back-end offers.
OPS = tuple(name for name in vars(Kernels) if not name.startswith("_"))
