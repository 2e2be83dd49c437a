"""The whole network on one page: from a picture to the loss, from the loss back to every pixel, and an epoch of SGD.

Read it beside ``numcnn/kernels/reference.py``: it has the formula of every call made here, each ``*_backward`` right
under its ``*_forward``.  ``numcnn train`` trains this network, ``canonical``, by the same formulas, compiled, with
label smoothing and normalised pixels, (pixel - mean) / std.  Run this: ``python -m numcnn.walkthrough``; see these
arrays for a picture, each number with the sum that it is: ``numcnn inspect seven.png --html lens.html``.

Names: ``x`` is the input; other arrays are named after the layer that computes them (``logits``: dense2).  ``dname``
is the gradient of a batch's mean loss with respect to ``name``, of its shape: how fast the loss rises with each value.
"""

import numpy as np

from numcnn.data import generated
from numcnn.kernels.reference import (
    conv2d_backward,
    conv2d_forward,
    dense_backward,
    dense_forward,
    gather_images,
    maxpool2d_backward,
    maxpool2d_forward,
    relu_backward,
    relu_forward,
    softmax_cross_entropy_backward,
    softmax_cross_entropy_forward,
)
from numcnn.kernels.thread_team import one_blas_thread
from numcnn.nn.initializers import glorot_uniform, he_normal, zeros

STRIDE = (1, 1)  # how far a convolution's weights move from one output to the next, down and across
POOL = (2, 2)  # the size of a pool's window, and its stride: windows don't overlap


def first_parameters(rng):
    """Return the parameters before training, float32: random weights (see ``nn/initializers.py``), biases of zero."""
    w1, b1 = he_normal(rng, (3, 3, 1, 32)), zeros(rng, 32)  # conv1: 32 filters of 3 x 3 pixels, 1 channel
    w2, b2 = he_normal(rng, (3, 3, 32, 64)), zeros(rng, 64)  # conv2: 64 filters of 3 x 3 pixels, 32 channels
    w3, b3 = he_normal(rng, (1600, 128)), zeros(rng, 128)  # dense1: 128 weighted sums of 5 * 5 * 64 values
    w4, b4 = glorot_uniform(rng, (128, 10)), zeros(rng, 10)  # dense2: 10 weighted sums of 128 values
    return [parameter.astype(np.float32) for parameter in (w1, b1, w2, b2, w3, b3, w4, b4)]


def backpropagate(x, labels, parameters):
    """Run pictures x (N,28,28,1) with labels (N,) through the network, and the gradient of their mean loss back.

    Return that loss, log_probs (N,10), a list of the gradients of ``parameters``, and dx (N,28,28,1).
    """
    w1, b1, w2, b2, w3, b3, w4, b4 = parameters

    def new(*shape, dtype=x.dtype):  # an array (N, *shape) for a call to fill; name := new(...) also names it
        return np.empty((len(x), *shape), dtype)

    # Forward, from the pixels to the loss: each call reads its first arrays and fills those that new() makes, here with
    # their shape for one picture.  winner1, winner2: which of the 4 values in each window, 0 to 3, was the largest.
    conv2d_forward(x, w1, b1, conv1 := new(26, 26, 32), STRIDE)
    relu_forward(conv1, relu1 := new(26, 26, 32))
    maxpool2d_forward(relu1, pool1 := new(13, 13, 32), winner1 := new(13, 13, 32, dtype=np.uint8), POOL, POOL)
    conv2d_forward(pool1, w2, b2, conv2 := new(11, 11, 64), STRIDE)
    relu_forward(conv2, relu2 := new(11, 11, 64))
    maxpool2d_forward(relu2, pool2 := new(5, 5, 64), winner2 := new(5, 5, 64, dtype=np.uint8), POOL, POOL)
    flat = pool2.reshape(len(x), 1600)
    dense_forward(flat, w3, b3, dense1 := new(128))
    relu_forward(dense1, relu3 := new(128))
    dense_forward(relu3, w4, b4, logits := new(10))
    softmax_cross_entropy_forward(logits, labels, 0.0, log_probs := new(10), losses := new())  # smoothing 0.0

    # Backward, the same layers from last to first: by the chain rule a call turns the gradient of a layer's output and
    # what the forward call read or filled into the gradients of the layer's parameters (dw, db) and of its input.
    dw1, db1, dw2, db2, dw3, db3, dw4, db4 = gradients = [np.empty_like(parameter) for parameter in parameters]
    softmax_cross_entropy_backward(log_probs, labels, len(x), 0.0, dlogits := new(10))  # mean: divided by len(x)
    dense_backward(dlogits, relu3, w4, drelu3 := new(128), dw4, db4)
    relu_backward(drelu3, relu3, ddense1 := new(128))
    dense_backward(ddense1, flat, w3, dflat := new(1600), dw3, db3)
    dpool2 = dflat.reshape(pool2.shape)  # the same numbers
    maxpool2d_backward(dpool2, winner2, drelu2 := new(11, 11, 64), POOL, POOL)
    relu_backward(drelu2, relu2, dconv2 := new(11, 11, 64))
    conv2d_backward(dconv2, pool1, w2, dpool1 := new(13, 13, 32), dw2, db2, STRIDE)
    maxpool2d_backward(dpool1, winner1, drelu1 := new(26, 26, 32), POOL, POOL)
    relu_backward(drelu1, relu1, dconv1 := new(26, 26, 32))
    conv2d_backward(dconv1, x, w1, dx := new(28, 28, 1), dw1, db1, STRIDE)  # training needs no dx and skips it
    return losses.mean(), log_probs, gradients, dx


def batch_of(images, index):
    """Return images[index] (N,28,28) uint8 as x (N,28,28,1) float32, 0..1."""
    gather_images(images, index, 1 / 255, 0.0, x := np.empty((len(index), 28, 28, 1), np.float32))
    return x


def epoch(images, labels, parameters, rng, learning_rate=0.05, batch_size=8):
    """Learn from each picture once, in random order: stochastic gradient descent.  Changes ``parameters`` in place.

    Yield each batch's loss and the fraction of it read correctly, before the step: nothing is learned from it yet.
    """
    order = rng.permutation(len(images))
    for index in np.split(order, range(batch_size, len(order), batch_size)):  # cut after every batch_size
        loss, log_probs, gradients, _ = backpropagate(batch_of(images, index), labels[index], parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter -= learning_rate * gradient  # against the gradient: the loss falls
        yield loss, (log_probs.argmax(axis=1) == labels[index]).mean()


if __name__ == "__main__":
    images, labels = generated.generate(2000, seed=1, backend="reference")
    rng, steps = np.random.default_rng(0), []
    parameters = first_parameters(rng)
    with one_blas_thread:  # the matrix products are too small to split among threads
        for step in epoch(images, labels, parameters, rng):
            steps.append(step)
            if len(steps) % 25 == 0:
                loss, correct = np.mean(steps[-25:], axis=0)
                print(f"step {len(steps):3}: loss {loss:.3f}, {correct:.0%} of the last 200 digits read correctly")
    x, label = batch_of(images, [0]), labels[:1]
    loss, _, _, dx = backpropagate(x, label, parameters)
    pixel = np.unravel_index(np.abs(dx).argmax(), dx.shape)
    print(f"A {label[0]}: loss {loss:.5f}.  It depends most on the pixel in row {pixel[1]}, column {pixel[2]}:")
    x[pixel] += 0.01
    change = backpropagate(x, label, parameters)[0] - loss
    print(f"the gradient there is {dx[pixel]:+.5f}; made brighter by 0.01, it changes the loss by {change:+.7f}.")
