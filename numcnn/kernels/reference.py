"""Every kernel in plain NumPy: the specification.  The contract is in the docstring of the package, ``numcnn.kernels``.

"Kernel" has two meanings: a function of this file, which computes one operation on whole arrays; and the KH x KW
weights of a convolution.

``numcnn/walkthrough.py`` calls these functions in order, for a whole network; read the two side by side, from
``conv2d_forward`` on.  Each operation is two adjacent functions, so that the chain rule can be checked by looking down:

    forward   computes ``out`` from its input ``x`` (and parameters ``w``, ``b``).
    backward  is given ``dout``, the gradient of the loss with respect to ``out``, and computes ``dx`` (and ``dw``,
              ``db``).  For each number x[i] the question is: in which outputs out[j] does it occur, and how fast does
              each of them rise with it?  That is a slope: dx[i] = sum over j of dout[j] * (slope of out[j] with
              respect to x[i]).  The same holds for each number in w and b.

Nothing is returned: a function fills arrays that it is given.  These are ``out``, ``which``, ``losses``, ``log_probs``,
and every ``d...`` but ``dout``.  For ``batchnorm_statistics`` and the optimisers see their docstrings.
Dimensions: N images, H x W pixels, C channels in, F filters (channels out), KH x KW kernel, SH x SW stride, OH x OW
outputs, PH x PW pooling window; D_in, D_out features of a dense layer; C classes where there are logits; P parameters.
"""

import contextlib
from collections.abc import Callable, Iterator

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from numcnn.kernels.arrays import AnyArray, Bools, Bytes, Floats, Ints, Pair
from numcnn.kernels.fused_shapes import DEAD
from numcnn.kernels.reference_augment import augment_images  # noqa: F401
from numcnn.kernels.thread_team import one_blas_thread


@contextlib.contextmanager
def computing() -> Iterator[None]:
    """Run a forward or backward pass: without warnings of overflow, which the loss shows, and on one thread of BLAS.

    Several would wait for each other at each matrix product, and that takes far longer than they save where other
    programs want the processors.
    """
    with one_blas_thread, np.errstate(over="ignore", invalid="ignore"):
        yield


def threads() -> int:
    """Return the number of threads that ``run_parallel`` uses: the reference has one."""
    return 1


def run_parallel(size: int, task: Callable[[int, int, int], object]) -> None:
    """Cut ``range(size)`` into one part per thread; call ``task(number, first, last)`` for all parts at once."""
    task(0, 0, size)


def _taps(array: Floats, window: Pair, stride: Pair, OH: int, OW: int) -> Iterator[tuple[int, int, Floats]]:
    """Yield ``(ky, kx, pixels)`` for each position (ky, kx) in a window: the pixel there, of all windows at once.

    array (N,H,W,C); the window of output (oy, ox) begins at row oy * SH, column ox * SW.  So pixels (N,OH,OW,C) holds
    array[n, oy * SH + ky, ox * SW + kx, c] at [n, oy, ox, c].  It is a view, not a copy: adding to it adds to
    ``array``.
    """
    (KH, KW), (SH, SW) = window, stride
    for ky in range(KH):
        for kx in range(KW):
            yield ky, kx, array[:, ky : ky + SH * (OH - 1) + 1 : SH, kx : kx + SW * (OW - 1) + 1 : SW, :]


def conv2d_forward(x: Floats, w: Floats, b: Floats, out: Floats, stride: Pair) -> None:
    """Slide F kernels over the image.

    out[n,oy,ox,f] = b[f] + sum over ky, kx, c of x[n, oy*SH+ky, ox*SW+kx, c] * w[ky,kx,c,f]

    x (N,H,W,C), padded already; w (KH,KW,C,F); b (F,) -> out (N,OH,OW,F).  stride (SH,SW).
    One matrix product per image: each row of the left matrix is the window of one output, each column of the right
    matrix is one filter.
    """
    KH, KW, C, F = w.shape
    windows = sliding_window_view(x, (KH, KW), axis=(1, 2))[:, :: stride[0], :: stride[1]]  # (N,OH,OW,C,KH,KW), a view
    for pixels, result in zip(windows, out, strict=True):  # one image at a time: reshape copies each window
        pixels = pixels.transpose(0, 1, 3, 4, 2).reshape(-1, KH * KW * C)  # (OH*OW, KH*KW*C), in the order of w
        result[...] = (pixels @ w.reshape(-1, F)).reshape(result.shape)
    out += b


def conv2d_backward(
    dout: Floats, x: Floats, w: Floats, dx: Floats | None, dw: Floats, db: Floats, stride: Pair
) -> None:
    """Turn dout (N,OH,OW,F) into dx (N,H,W,C), dw (KH,KW,C,F), db (F,).  If dx is None, it is not computed.

    out[n,oy,ox,f] is b[f] plus a sum of products x * w.  The slope of a product with respect to one factor is the
    other factor, so each product contributes x * dout to dw and w * dout to dx.  For each kernel position (ky, kx):

        dw[ky,kx,c,f]                   = sum over n, oy, ox of x[n, oy*SH+ky, ox*SW+kx, c] * dout[n,oy,ox,f]
        dx[n, oy*SH+ky, ox*SW+kx, c]   += sum over f of w[ky,kx,c,f] * dout[n,oy,ox,f]    for all n, oy, ox, c

    Both sums are matrix products.  += because windows may overlap: a pixel is then at one position of one window and at
    another position of the next.  b[f] has slope 1 in every output of filter f: db[f] is the sum of their dout.
    """
    _, OH, OW, F = dout.shape
    C = x.shape[3]
    db[...] = dout.sum(axis=(0, 1, 2))
    for ky, kx, pixels in _taps(x, w.shape[:2], stride, OH, OW):
        dw[ky, kx] = pixels.reshape(-1, C).T @ dout.reshape(-1, F)  # (C, N*OH*OW) @ (N*OH*OW, F)
    if dx is not None:
        dx[...] = 0
        for ky, kx, dpixels in _taps(dx, w.shape[:2], stride, OH, OW):
            dpixels += (dout.reshape(-1, F) @ w[ky, kx].T).reshape(dpixels.shape)  # (N*OH*OW, F) @ (F, C), into dx


def relu_forward(x: Floats, out: Floats) -> None:
    """Replace negative values by zero: out = max(x, 0).  x, out: any shape, the same."""
    np.maximum(x, 0, out=out)


def relu_backward(dout: Floats, out: Floats, dx: Floats) -> None:
    """Turn dout into dx.  out: what relu_forward filled.  All have one shape.

    Where out is positive it equals x: slope 1.  Elsewhere it is 0: slope 0, by convention also at x = 0.
    """
    np.multiply(dout, out > 0, out=dx)


def leaky_relu_forward(x: Floats, slope: float, out: Floats) -> None:
    """Scale negative values down: out = x where x > 0, else slope * x (Maas et al. 2013).  x, out: any shape."""
    np.multiply(x, np.where(x > 0, x.dtype.type(1), x.dtype.type(slope)), out=out)


def leaky_relu_backward(dout: Floats, out: Floats, slope: float, dx: Floats) -> None:
    """Turn dout into dx: slope 1 where x > 0, else ``slope``.  As slope > 0, ``out`` has the sign of x."""
    np.multiply(dout, np.where(out > 0, dout.dtype.type(1), dout.dtype.type(slope)), out=dx)


def tanh_forward(x: Floats, out: Floats) -> None:
    """Squash values to -1..1: out = tanh(x).  x, out: any shape, the same."""
    np.tanh(x, out=out)


def tanh_backward(dout: Floats, out: Floats, dx: Floats) -> None:
    """Turn dout into dx: the slope of tanh is 1 - tanh^2, and ``out`` is tanh(x)."""
    np.multiply(dout, 1 - out * out, out=dx)


def sigmoid_forward(x: Floats, out: Floats) -> None:
    """Squash values to 0..1: out = 1 / (1 + exp(-x)).  x, out: any shape, the same.

    For x < 0 it is computed as exp(x) / (1 + exp(x)): exp() of a negative number can't overflow.
    """
    e = np.exp(-np.abs(x))
    np.divide(np.where(x >= 0, x.dtype.type(1), e), 1 + e, out=out)


def sigmoid_backward(dout: Floats, out: Floats, dx: Floats) -> None:
    """Turn dout into dx: the slope of the sigmoid s is s * (1 - s), and ``out`` is s(x)."""
    np.multiply(dout, out * (1 - out), out=dx)


def maxpool2d_forward(x: Floats, out: Floats, which: AnyArray | None, window: Pair, stride: Pair) -> None:
    """Keep the largest value of each window.  x (N,H,W,C) -> out, which (N,OH,OW,C).

    which: the position ``ky * PW + kx`` of the largest value, the winner, in its window: an unsigned integer that
    backward needs.  Of equal values the first wins, counted row by row.  If which is None, it is not computed.
    window (PH,PW), stride (SH,SW).
    """
    _, OH, OW, _ = out.shape
    candidates = [pixels for _, _, pixels in _taps(x, window, stride, OH, OW)]  # PH*PW views (N,OH,OW,C)
    out[...] = candidates[0]
    for pixels in candidates[1:]:
        np.maximum(out, pixels, out=out)  # a NaN in the window comes out as NaN
    if which is not None:
        which[...] = np.argmax(candidates, axis=0)  # the first of equals; a NaN beats any number


def maxpool2d_backward(dout: Floats, which: AnyArray, dx: Floats, window: Pair, stride: Pair) -> None:
    """Turn dout (N,OH,OW,C) into dx (N,H,W,C): the gradient of each output goes to the winner of its window.

    The output is a copy of the winner: slope 1.  A small change of any other value in the window changes nothing:
    slope 0.  Where windows overlap, a pixel may win in several; their gradients add up.
    """
    _, OH, OW, _ = dout.shape
    _, PW = window
    dx[...] = 0
    for ky, kx, dpixels in _taps(dx, window, stride, OH, OW):
        dpixels += np.where(which == ky * PW + kx, dout, 0)


def averagepool2d_forward(x: Floats, out: Floats, window: Pair, stride: Pair) -> None:
    """Take the mean of each window.  x (N,H,W,C) -> out (N,OH,OW,C)."""
    _, OH, OW, _ = out.shape
    out[...] = 0
    for _, _, pixels in _taps(x, window, stride, OH, OW):
        out += pixels
    out /= window[0] * window[1]


def averagepool2d_backward(dout: Floats, dx: Floats, window: Pair, stride: Pair) -> None:
    """Spread each window's gradient evenly over its pixels.  dout (N,OH,OW,C) -> dx (N,H,W,C).

    Each pixel has slope 1 / (PH * PW) in the mean.  Where windows overlap, a pixel's gradients add up.
    """
    _, OH, OW, _ = dout.shape
    dx[...] = 0
    for _, _, dpixels in _taps(dx, window, stride, OH, OW):
        dpixels += dout / (window[0] * window[1])


def batchnorm_statistics(x: Floats, mean: Floats, var: Floats) -> None:
    """Fill mean and var (C,) with those of each column of x (M,C), M values per channel.

    var is the mean squared distance from the mean: divided by M, not M - 1.  Sums are in float64.
    """
    mean[...] = x.mean(axis=0, dtype=np.float64)
    var[...] = np.square(x - mean).mean(axis=0, dtype=np.float64)


def batchnorm_forward(
    x: Floats, mean: Floats, var: Floats, gamma: Floats, beta: Floats, eps: float, out: Floats
) -> None:
    """Normalise, then scale and shift: out = gamma * (x - mean) / sqrt(var + eps) + beta (Ioffe & Szegedy 2015).

    x (M,C); mean, var, gamma, beta (C,) -> out (M,C).
    """
    np.multiply(x - mean, gamma / np.sqrt(var + x.dtype.type(eps)), out=out)
    out += beta


def batchnorm_backward(
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
    """Turn dout (M,C) into dx (M,C), dgamma and dbeta (C,).  If dx is None, it is not computed.

    mean, var: those of this x, not running ones.
    With s = sqrt(var + eps) and xhat = (x - mean) / s, out = gamma * xhat + beta.  Over the M values of a channel,
    dgamma = sum(dout * xhat) and dbeta = sum(dout).  x[j] reaches xhat[i] in three ways: directly, where i = j, with
    slope 1 / s; by the mean, with slope -1 / (M * s); by var, with slope -xhat[i] * xhat[j] / (M * s).  Times
    gamma * dout[i], summed over i, that is dx = gamma / s * (dout - sum(dout) / M - xhat * sum(dout * xhat) / M).
    """
    scale = 1 / np.sqrt(var + x.dtype.type(eps))
    xhat = (x - mean) * scale
    dgamma[...] = (dout * xhat).sum(axis=0, dtype=np.float64)
    dbeta[...] = dout.sum(axis=0, dtype=np.float64)
    if dx is not None:
        M = len(x)
        np.multiply(gamma * scale, dout - dbeta / M - xhat * (dgamma / M), out=dx)


def _read_by_pool(x: Floats, w: Floats, out: Floats) -> Floats:
    """Return the view of x (N,H,W,C) without the pixels that no pooled output depends on.

    When the convolution's number of rows is odd, its last row is in no pooling window; likewise its columns.
    """
    KH, KW, _, _ = w.shape
    _, PH, PW, _ = out.shape
    return x[:, : 2 * PH + KH - 1, : 2 * PW + KW - 1]


def conv_relu_pool_forward(x: Floats, w: Floats, b: Floats, out: Floats, which: Bytes | None) -> None:
    """Convolve with stride 1, apply ReLU, keep the largest of each 2x2 window: three layers in one kernel.

    x, w, b as for conv2d_forward -> out, which (N,PH,PW,F), here with PH x PW the pooled size.  which, uint8: the
    winner's position 2 * ky + kx, or DEAD where the winner isn't positive: there ReLU's slope is 0.  If which is None,
    it is not computed.
    """
    N, PH, PW, F = out.shape
    convolved = np.empty((N, 2 * PH, 2 * PW, F), out.dtype)
    conv2d_forward(_read_by_pool(x, w, out), w, b, convolved, (1, 1))
    maxpool2d_forward(convolved, out, which, (2, 2), (2, 2))
    if which is not None:
        which[out <= 0] = DEAD
    relu_forward(out, out)  # max(max(a, b), 0) = max(max(a, 0), max(b, 0)): ReLU may come after the pool


def conv_relu_pool_backward(
    dout: Floats, which: Bytes, x: Floats, w: Floats, dx: Floats | None, dw: Floats, db: Floats
) -> None:
    """Turn dout (N,PH,PW,F) into dx (N,H,W,C), dw (KH,KW,C,F), db (F,).  If dx is None, it is not computed.

    The layers from last to first: pool and ReLU together, by ``which``, then the convolution.
    """
    N, PH, PW, F = dout.shape
    dconvolved = np.empty((N, 2 * PH, 2 * PW, F), dout.dtype)
    maxpool2d_backward(dout, which, dconvolved, (2, 2), (2, 2))  # DEAD equals no position: all 4 get 0
    read, dread = _read_by_pool(x, w, dout), None
    if dx is not None:
        dx[...] = 0
        dread = _read_by_pool(dx, w, dout)
    conv2d_backward(dconvolved, read, w, dread, dw, db, (1, 1))


def dense_forward(x: Floats, w: Floats, b: Floats, out: Floats) -> None:
    """Take weighted sums: out[n,j] = b[j] + sum over i of x[n,i] * w[i,j], that is out = x @ w + b.

    x (N,D_in), w (D_in,D_out), b (D_out,) -> out (N,D_out).
    """
    np.matmul(x, w, out=out)
    out += b


def dense_backward(dout: Floats, x: Floats, w: Floats, dx: Floats | None, dw: Floats, db: Floats) -> None:
    """Turn dout (N,D_out) into dx (N,D_in), dw (D_in,D_out), db (D_out,).  If dx is None, it is not computed.

    A product x[n,i] * w[i,j] contributes x[n,i] * dout[n,j] to dw[i,j], summed over images: dw = x.T @ dout.  It
    contributes w[i,j] * dout[n,j] to dx[n,i], summed over outputs: dx = dout @ w.T.  b[j] occurs in out[n,j] of each
    image with slope 1: db is the sum of dout over images.
    """
    np.matmul(x.T, dout, out=dw)
    np.sum(dout, axis=0, out=db)
    if dx is not None:
        np.matmul(dout, w.T, out=dx)


def dropout_forward(x: Floats, u: Floats, rate: float, out: Floats) -> None:
    """Zero the values whose random number u, uniform in [0, 1), is below ``rate``; scale the rest by 1 / (1 - rate).

    That keeps the expected value ("inverted dropout"), so inference uses x as it is.  x, u, out: any shape, the same.
    """
    np.multiply(x, (u >= rate) * x.dtype.type(1 / (1 - rate)), out=out)


def dropout_backward(dout: Floats, u: Floats, rate: float, dx: Floats) -> None:
    """Turn dout into dx: each value's slope is the factor that forward multiplied it by, 0 or 1 / (1 - rate)."""
    dropout_forward(dout, u, rate, dx)


def _spread_of_target(labels: Ints, smoothing: float, C: int) -> tuple[Floats, Bools]:
    """Return two arrays (N,): the part of each target that all C classes share, and whether the label is a class.

    See ``softmax_cross_entropy_forward``: the part is ``smoothing``, or 1 for the label C, which is no class.
    """
    labelled = labels < C
    return np.where(labelled, smoothing, 1.0), labelled


def softmax_cross_entropy_forward(
    logits: Floats, labels: Ints, smoothing: float, log_probs: Floats, losses: Floats
) -> None:
    """Compare softmax(logits) with the labels.  logits (N,C), labels (N,) integers -> log_probs (N,C), losses (N,).

    softmax is exp(logits) / sum(exp(logits)); log_probs is its logarithm, logits - log(sum(exp(logits))).
    An image's loss is -log_probs[label].  In general it is -sum(target * log_probs), with a target (C,) that sums to 1:
    without smoothing 1 on the label and 0 elsewhere; with smoothing s, (1-s) on the label plus s/C everywhere.
    The label C means "none of the classes"; its target is 1/C everywhere.
    Subtracting the largest logit first leaves the softmax as it is and keeps exp() from overflowing.
    """
    np.subtract(logits, logits.max(axis=1, keepdims=True), out=log_probs)
    log_probs -= np.log(np.exp(log_probs).sum(axis=1, keepdims=True))
    spread, labelled = _spread_of_target(labels, smoothing, logits.shape[1])
    losses[...] = 0
    losses[labelled] = -(1 - smoothing) * log_probs[labelled, labels[labelled]]  # each image's own label
    spreading = spread > 0  # elsewhere 0 * -inf, the log of an impossible class, would be NaN
    losses[spreading] -= spread[spreading] * log_probs[spreading].mean(axis=1)


def softmax_cross_entropy_backward(log_probs: Floats, labels: Ints, of: int, smoothing: float, dlogits: Floats) -> None:
    """Fill dlogits (N,C) with the gradient of the *mean* loss: softmax - target, divided by ``of``.

    ``of`` is the number of images the mean is over: N, or more when these N are one thread's part of a batch.
    An image's loss is log(sum(exp(logits))) - sum(target * logits), as the target sums to 1.  With respect to a
    logit the slope of the first term is that class's softmax, the slope of the second its target.
    No other function divides by the number of images: the gradients of all layers before this are those of the mean
    loss because this one is.
    """
    C = log_probs.shape[1]
    spread, labelled = _spread_of_target(labels, smoothing, C)
    np.exp(log_probs, out=dlogits)
    dlogits -= (spread / C)[:, None].astype(dlogits.dtype)
    dlogits[np.flatnonzero(labelled), labels[labelled]] -= 1 - smoothing
    dlogits /= of


def gather_images(images: AnyArray, index: Ints, scale: float, shift: float, out: Floats) -> None:
    """Collect a batch: out[n] = images[index[n]] * scale + shift.

    images (M,H,W) uint8 or float, M of them in the data set; index (N,) -> out (N,H,W,1).
    """
    np.multiply(images[index].reshape(out.shape), scale, out=out, dtype=out.dtype, casting="unsafe")
    out += shift


def add(array: Floats, other: Floats) -> None:
    """array += other, both flat (P,)."""
    array += other


def average_step(average: Floats, params: Floats, rate: float) -> None:
    """Move a running average of the parameters towards them: average += rate * (params - average).  Both (P,)."""
    average += rate * (params - average)


def sgd_step(
    params: Floats,
    grads: Floats,
    velocity: Floats,
    decay: Floats,
    lr: float,
    momentum: float,
    nesterov: bool,
    weight_decay: float,
) -> None:
    """Take one step of SGD on flat arrays (P,), in place.  decay (P,) is 1 where weight decay applies, else 0.

    velocity = momentum * velocity + grads, then params -= lr * velocity (Sutskever et al. 2013, in the form PyTorch
    uses).  nesterov: params -= lr * (grads + momentum * velocity), with the velocity just computed.  With momentum 0
    both are params -= lr * grads.  Weight decay shrinks the parameters directly; it doesn't enter the velocity
    ("decoupled", Loshchilov & Hutter 2019).
    """
    params -= lr * weight_decay * decay * params
    velocity *= momentum
    velocity += grads
    params -= lr * (grads + momentum * velocity if nesterov else velocity)


def adam_step(
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
    """Take step number ``step`` (1, 2, ...) of Adam on flat arrays (P,), in place (Kingma & Ba 2015, algorithm 1).

    m and v are running averages of the gradient and of its square.  Both start at 0, so the first are too small:
    m_hat and v_hat make up for that.
    With weight_decay it is AdamW (Loshchilov & Hutter 2019, algorithm 2).  decay (P,) is 1 where it applies, else 0.
    """
    params -= lr * weight_decay * decay * params
    m += (1 - beta1) * (grads - m)
    v += (1 - beta2) * (grads * grads - v)
    m_hat = m / (1 - beta1**step)
    v_hat = v / (1 - beta2**step)
    params -= lr * m_hat / (np.sqrt(v_hat) + eps)
