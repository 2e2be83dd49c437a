"""Every kernel in plain NumPy: the specification.  The contract is in the package's docstring.

``numcnn/walkthrough.py`` calls these functions in order, for a whole network; read the two side by side, from
``conv2d_forward`` on.  Each operation is two adjacent functions, so that the chain rule can be checked by looking down:

    forward   computes ``out`` from its input ``x`` (and parameters ``w``, ``b``).
    backward  is given ``dout``, the gradient of the loss with respect to ``out``, and computes ``dx`` (and ``dw``,
              ``db``).  For each number the question is: in which outputs does it occur, and how fast does each of
              them rise with it?  Every occurrence contributes its ``dout`` times that slope, and the contributions
              add up.

Arrays that a function fills are arguments too; they come last but for the settings, and nothing is returned.
Dimensions: N images, H x W pixels, C channels in, F filters (channels out), KH x KW kernel, SH x SW stride, OH x OW
outputs, PH x PW pooling window; D features of a dense layer.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from numcnn.kernels.fused_shapes import DEAD
from numcnn.kernels.reference_augment import augment_images  # noqa: F401


def computing():
    """Return the context that a pass runs in: overflow raises no warning, because the loss will show it."""
    return np.errstate(over="ignore", invalid="ignore")


def threads():
    """Return how many threads ``share`` gives work to: the reference has one."""
    return 1


def share(size, task):
    """Cut ``range(size)`` into one part a thread; call ``task(number, first, last)`` for all of them at once."""
    task(0, 0, size)


def _taps(array, window, stride, OH, OW):
    """Yield ``(ky, kx, pixels)`` for each position in a window: what of ``array`` (N,H,W,C) lies there.

    pixels (N,OH,OW,C): pixel ``(oy * SH + ky, ox * SW + kx)`` for every output ``(oy, ox)``.  It is a view, no copy:
    who adds to it adds to ``array``.
    """
    (KH, KW), (SH, SW) = window, stride
    for ky in range(KH):
        for kx in range(KW):
            yield ky, kx, array[:, ky : ky + SH * (OH - 1) + 1 : SH, kx : kx + SW * (OW - 1) + 1 : SW, :]


def conv2d_forward(x, w, b, out, stride):
    """Slide F kernels over the image.

    out[n,oy,ox,f] = b[f] + sum over ky, kx, c of x[n, oy*SH+ky, ox*SW+kx, c] * w[ky,kx,c,f]

    x (N,H,W,C), padded already; w (KH,KW,C,F); b (F,) -> out (N,OH,OW,F).  stride (SH,SW).
    One matrix product an image: a row of the left matrix is the window of an output, a column of the right a kernel.
    """
    KH, KW, C, F = w.shape
    windows = sliding_window_view(x, (KH, KW), axis=(1, 2))[:, :: stride[0], :: stride[1]]  # (N,OH,OW,C,KH,KW), a view
    for pixels, result in zip(windows, out, strict=True):  # one image at a time: the copy is KH * KW times as large
        pixels = pixels.transpose(0, 1, 3, 4, 2).reshape(-1, KH * KW * C)  # (OH*OW, KH*KW*C)
        result[...] = (pixels @ w.reshape(-1, F)).reshape(result.shape)
    out += b


def conv2d_backward(dout, x, w, dx, dw, db, stride):
    """Send dout (N,OH,OW,F) back to dx (N,H,W,C), dw (KH,KW,C,F), db (F,).  dx None: it isn't needed.

    The forward sum is made of products x * w.  The slope of a product is its other factor, so each contributes x * dout
    to dw and w * dout to dx.  One kernel position (ky, kx) at a time: there w (C,F) is the same for all outputs, and
    the sums over images and outputs (for dw), and over filters (for dx), are matrix products.
    """
    _, OH, OW, F = dout.shape
    C = x.shape[3]
    db[...] = dout.sum(axis=(0, 1, 2))
    for ky, kx, pixels in _taps(x, w.shape[:2], stride, OH, OW):
        dw[ky, kx] = pixels.reshape(-1, C).T @ dout.reshape(-1, F)
    if dx is not None:
        dx[...] = 0
        for ky, kx, dpixels in _taps(dx, w.shape[:2], stride, OH, OW):
            dpixels += (dout.reshape(-1, F) @ w[ky, kx].T).reshape(dpixels.shape)


def relu_forward(x, out):
    """Replace negative values by zero: out = max(x, 0).  x, out: any shape, the same."""
    np.maximum(x, 0, out=out)


def relu_backward(dout, out, dx):
    """Send dout back to dx through ``out``, which relu_forward filled; all of one shape.

    Where out is positive it equals x: slope 1.  Elsewhere it stays 0 whatever x does: slope 0.
    """
    np.multiply(dout, out > 0, out=dx)


def leaky_relu_forward(x, slope, out):
    """Scale down what is negative: out = x where x > 0, else slope * x (Maas et al. 2013).  Any shape."""
    np.multiply(x, np.where(x > 0, x.dtype.type(1), x.dtype.type(slope)), out=out)


def leaky_relu_backward(dout, out, slope, dx):
    """Scale the gradient alike.  ``out`` is what leaky_relu_forward gave: its sign is that of x, as slope > 0."""
    np.multiply(dout, np.where(out > 0, dout.dtype.type(1), dout.dtype.type(slope)), out=dx)


def tanh_forward(x, out):
    """Squash to -1..1: out = tanh(x).  Any shape."""
    np.tanh(x, out=out)


def tanh_backward(dout, out, dx):
    """Multiply by the derivative, tanh' = 1 - tanh^2.  ``out`` is what tanh_forward gave."""
    np.multiply(dout, 1 - out * out, out=dx)


def sigmoid_forward(x, out):
    """Squash to 0..1: out = 1 / (1 + exp(-x)).  Any shape.

    For x < 0 it is written exp(x) / (1 + exp(x)), so that exp() sees no positive number and cannot overflow.
    """
    e = np.exp(-np.abs(x))
    np.divide(np.where(x >= 0, x.dtype.type(1), e), 1 + e, out=out)


def sigmoid_backward(dout, out, dx):
    """Multiply by the derivative, s' = s (1 - s).  ``out`` is what sigmoid_forward gave."""
    np.multiply(dout, out * (1 - out), out=dx)


def maxpool2d_forward(x, out, which, window, stride):
    """Keep the largest value of each window.  x (N,H,W,C) -> out, which (N,OH,OW,C).

    which: the winner's position in its window, ``ky * PW + kx``, an unsigned integer that backward needs; the first of
    equals wins.  None: it isn't needed.  window (PH,PW), stride (SH,SW).
    """
    _, OH, OW, _ = out.shape
    candidates = np.stack([pixels for _, _, pixels in _taps(x, window, stride, OH, OW)])  # (PH*PW, N, OH, OW, C)
    candidates.max(axis=0, out=out)  # a NaN in the window comes out as NaN
    if which is not None:
        which[...] = candidates.argmax(axis=0)  # the first of equals; a NaN beats any number


def maxpool2d_backward(dout, which, dx, window, stride):
    """Send dout (N,OH,OW,C) back to dx (N,H,W,C): all of it to each window's winner.

    The output is a copy of the winner: slope 1.  A small change of a loser changes nothing: slope 0.  Where windows
    overlap, a pixel may win several; its gradients add up.
    """
    _, OH, OW, _ = dout.shape
    _, PW = window
    dx[...] = 0
    for ky, kx, dpixels in _taps(dx, window, stride, OH, OW):
        dpixels += np.where(which == ky * PW + kx, dout, 0)


def averagepool2d_forward(x, out, window, stride):
    """Take the mean of each window.  x (N,H,W,C) -> out (N,OH,OW,C)."""
    _, OH, OW, _ = out.shape
    out[...] = 0
    for _, _, pixels in _taps(x, window, stride, OH, OW):
        out += pixels
    out /= window[0] * window[1]


def averagepool2d_backward(dout, dx, window, stride):
    """Spread each window's gradient evenly over its pixels.  dout (N,OH,OW,C) -> dx (N,H,W,C).

    Where windows overlap, a pixel's gradients add up.
    """
    _, OH, OW, _ = dout.shape
    dx[...] = 0
    for _, _, dpixels in _taps(dx, window, stride, OH, OW):
        dpixels += dout / (window[0] * window[1])


def batchnorm_statistics(x, mean, var):
    """Fill mean and var (C,) with those of each column of x (M,C); var is the biased one.  Sums are in float64."""
    mean[...] = x.mean(axis=0, dtype=np.float64)
    var[...] = np.square(x - mean).mean(axis=0, dtype=np.float64)


def batchnorm_forward(x, mean, var, gamma, beta, eps, out):
    """Normalise, then scale and shift: out = gamma * (x - mean) / sqrt(var + eps) + beta (Ioffe & Szegedy 2015).

    x (M,C); mean, var, gamma, beta (C,) -> out (M,C).
    """
    np.multiply(x - mean, gamma / np.sqrt(var + x.dtype.type(eps)), out=out)
    out += beta


def batchnorm_backward(dout, x, mean, var, gamma, eps, dx, dgamma, dbeta):
    """Send dout (M,C) back to dx (M,C), dgamma and dbeta (C,).  mean, var: those of x itself.  dx None: not wanted.

    With s = sqrt(var + eps) and xhat = (x - mean) / s: out = gamma xhat + beta gives dgamma = sum(dout xhat) and
    dbeta = sum(dout).  x also moves mean and var, which takes the parts of dout along 1 and along xhat away:
    dx = gamma / s * (dout - sum(dout) / M - xhat sum(dout xhat) / M).
    """
    scale = 1 / np.sqrt(var + x.dtype.type(eps))
    xhat = (x - mean) * scale
    dgamma[...] = (dout * xhat).sum(axis=0, dtype=np.float64)
    dbeta[...] = dout.sum(axis=0, dtype=np.float64)
    if dx is not None:
        M = len(x)
        np.multiply(gamma * scale, dout - dbeta / M - xhat * (dgamma / M), out=dx)


def _read_by_pool(x, w, out):
    """Return the view of x (N,H,W,C) that pooled outputs depend on: the last row or column may fill no window."""
    KH, KW, _, _ = w.shape
    _, PH, PW, _ = out.shape
    return x[:, : 2 * PH + KH - 1, : 2 * PW + KW - 1]


def conv_relu_pool_forward(x, w, b, out, which):
    """Convolve with stride 1, apply ReLU, keep the largest of each 2x2 window: three layers in one kernel.

    x, w, b as for conv2d_forward -> out, which (N,PH,PW,F), here with PH x PW the pooled size.  which, uint8: the
    winner's position 2 ky + kx, or DEAD where it isn't positive, so that no gradient passes.
    """
    N, PH, PW, F = out.shape
    convolved = np.empty((N, 2 * PH, 2 * PW, F), out.dtype)
    conv2d_forward(_read_by_pool(x, w, out), w, b, convolved, (1, 1))
    maxpool2d_forward(convolved, out, which, (2, 2), (2, 2))
    which[out <= 0] = DEAD
    relu_forward(out, out)  # max(max(a, b), 0) = max(max(a, 0), max(b, 0)): ReLU may come after the pool


def conv_relu_pool_backward(dout, which, x, w, dx, dw, db):
    """Send dout (N,PH,PW,F) back to dx (N,H,W,C), dw (KH,KW,C,F), db (F,).  dx None: it isn't needed."""
    N, PH, PW, F = dout.shape
    dconvolved = np.empty((N, 2 * PH, 2 * PW, F), dout.dtype)
    maxpool2d_backward(dout, which, dconvolved, (2, 2), (2, 2))  # DEAD equals no position: nothing passes
    read, dread = _read_by_pool(x, w, dout), None
    if dx is not None:
        dx[...] = 0
        dread = _read_by_pool(dx, w, dout)
    conv2d_backward(dconvolved, read, w, dread, dw, db, (1, 1))


def dense_forward(x, w, b, out):
    """Take weighted sums: out[n,j] = b[j] + sum over i of x[n,i] * w[i,j], that is out = x w + b.

    x (N,D_in), w (D_in,D_out), b (D_out,) -> out (N,D_out).
    """
    np.matmul(x, w, out=out)
    out += b


def dense_backward(dout, x, w, dx, dw, db):
    """Send dout (N,D_out) back to dx (N,D_in), dw (D_in,D_out), db (D_out,).  dx None: it isn't needed.

    A product x[n,i] * w[i,j] contributes x[n,i] * dout[n,j] to dw[i,j], summed over images: dw = x^T dout.  It
    contributes w[i,j] * dout[n,j] to dx[n,i], summed over outputs: dx = dout w^T.  b occurs once in each
    image's sum: db is the sum of dout over images.
    """
    np.matmul(x.T, dout, out=dw)
    np.sum(dout, axis=0, out=db)
    if dx is not None:
        np.matmul(dout, w.T, out=dx)


def dropout_forward(x, u, rate, out):
    """Zero the values whose random number u, uniform in [0, 1), is below ``rate``; scale the rest by 1 / (1 - rate).

    That keeps the expected value ("inverted dropout"), so inference uses x as it is.  x, u, out: any shape, the same.
    """
    np.multiply(x, (u >= rate) * x.dtype.type(1 / (1 - rate)), out=out)


def dropout_backward(dout, u, rate, dx):
    """Send dout back to dx: each value's slope is the factor that forward multiplied it by."""
    dropout_forward(dout, u, rate, dx)


def _spread_of_target(labels, smoothing, C):
    """Return the part of each target that is spread over all classes (N,), and whether its label is a class (N,)."""
    labelled = labels < C
    return np.where(labelled, smoothing, 1.0), labelled


def softmax_cross_entropy_forward(logits, labels, smoothing, log_probs, losses):
    """Compare softmax(logits) with the labels.  logits (N,C), labels (N,) integers -> log_probs (N,C), losses (N,).

    softmax: p = exp(logits) / sum(exp(logits)), here its logarithm log_probs.  The loss is -log p of the label.
    In general it is -sum(target * log_probs): with smoothing s the target is (1-s) on the label plus s/C everywhere;
    the label C stands for none of the classes and has the target 1/C everywhere, as with s = 1.
    Subtracting the largest logit first leaves the softmax as it is and keeps exp() from overflowing.
    """
    np.subtract(logits, logits.max(axis=1, keepdims=True), out=log_probs)
    log_probs -= np.log(np.exp(log_probs).sum(axis=1, keepdims=True))
    spread, labelled = _spread_of_target(labels, smoothing, logits.shape[1])
    losses[...] = 0
    losses[labelled] = -(1 - smoothing) * log_probs[labelled, labels[labelled]]
    spreading = spread > 0  # elsewhere 0 * -inf, the log of an impossible class, would be NaN
    losses[spreading] -= spread[spreading] * log_probs[spreading].mean(axis=1)


def softmax_cross_entropy_backward(log_probs, labels, of, smoothing, dlogits):
    """Fill dlogits (N,C) with the gradient of the *mean* loss: (softmax - target) / of.

    An image's loss is log(sum(exp(logits))) - sum(target * logits): the slope of the first term is the softmax, that of
    the second the target.  of: the number of images the mean is over: N, or more when these are one thread's part of a
    batch.  It is the only 1/N there is: all gradients further back are of the mean loss because this one is.
    """
    C = log_probs.shape[1]
    spread, labelled = _spread_of_target(labels, smoothing, C)
    np.exp(log_probs, out=dlogits)
    dlogits -= (spread / C)[:, None].astype(dlogits.dtype)
    dlogits[np.flatnonzero(labelled), labels[labelled]] -= 1 - smoothing
    dlogits /= of


def gather_images(images, index, scale, shift, out):
    """Collect a batch: out[n] = images[index[n]] * scale + shift.  images (M,H,W) uint8 or float -> out (N,H,W,1)."""
    np.multiply(images[index].reshape(out.shape), scale, out=out, dtype=out.dtype, casting="unsafe")
    out += shift


def add(array, other):
    """array += other, both flat (P,)."""
    array += other


def average_step(average, params, rate):
    """Move a running average of the parameters towards them: average += rate (params - average).  Both (P,)."""
    average += rate * (params - average)


def sgd_step(params, grads, velocity, decay, lr, momentum, nesterov, weight_decay):
    """Take one step of SGD on flat arrays (P,), in place.  decay (P,) is 1 where weight decay applies, else 0.

    velocity = momentum * velocity + grads (Sutskever et al. 2013, in the form PyTorch uses); the weight decay is
    decoupled from the gradient (Loshchilov & Hutter 2019).
    """
    params -= lr * weight_decay * decay * params
    velocity *= momentum
    velocity += grads
    params -= lr * (grads + momentum * velocity if nesterov else velocity)


def adam_step(params, grads, m, v, decay, step, lr, beta1, beta2, eps, weight_decay):
    """Take step number ``step`` (1, 2, ...) of Adam on flat arrays (P,), in place (Kingma & Ba 2015, algorithm 1).

    With weight_decay it is AdamW (Loshchilov & Hutter 2019, algorithm 2).  decay (P,) is 1 where it applies, else 0.
    """
    params -= lr * weight_decay * decay * params
    m += (1 - beta1) * (grads - m)
    v += (1 - beta2) * (grads * grads - v)
    m_hat = m / (1 - beta1**step)
    v_hat = v / (1 - beta2**step)
    params -= lr * m_hat / (np.sqrt(v_hat) + eps)
