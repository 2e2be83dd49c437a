"""Every kernel in plain NumPy: the specification.  The contract is in the package's docstring.

Each operation is two adjacent functions, so that the chain rule can be checked by looking down.
Dimensions: N images, H x W pixels, C channels in, F filters (channels out), KH x KW kernel, OH x OW outputs.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from numcnn.data.augmentation import augment_images  # noqa: F401  (its specification)
from numcnn.kernels.fused_shapes import DEAD


def computing():
    """Return what a long computation is wrapped in: numbers may overflow, for the loss is what notices."""
    return np.errstate(over="ignore", invalid="ignore")


def threads():
    """Return how many threads ``share`` gives work to."""
    return 1


def share(size, task):
    """Cut ``range(size)`` into a share a thread; call ``task(number, first, last)`` for each, all at once."""
    task(0, 0, size)


def _taps(array, window, stride, OH, OW):
    """Yield ``(ky, kx, view)``: for each position in a window, the pixels of ``array`` (N,H,W,C) that lie there.

    Each view is (N,OH,OW,C): pixel ``(oy * SH + ky, ox * SW + kx)`` for every output ``(oy, ox)``.
    """
    (KH, KW), (SH, SW) = window, stride
    for ky in range(KH):
        for kx in range(KW):
            yield ky, kx, array[:, ky : ky + SH * (OH - 1) + 1 : SH, kx : kx + SW * (OW - 1) + 1 : SW, :]


def conv2d_forward(x, w, b, out, stride):
    """Slide the kernel over the image.

    out[n,oy,ox,f] = b[f] + sum over ky, kx, c of x[n, oy*SH+ky, ox*SW+kx, c] * w[ky,kx,c,f]

    x (N,H,W,C), padded already; w (KH,KW,C,F); b (F,) -> out (N,OH,OW,F).
    """
    KH, KW, C, F = w.shape
    windows = sliding_window_view(x, (KH, KW), axis=(1, 2))[:, :: stride[0], :: stride[1]]  # (N,OH,OW,C,KH,KW)
    for pixels, result in zip(windows, out, strict=True):  # image by image: their windows are KH * KW times as large
        pixels = pixels.transpose(0, 1, 3, 4, 2).reshape(-1, KH * KW * C)
        result[...] = (pixels @ w.reshape(-1, F)).reshape(result.shape)
    out += b


def conv2d_backward(dout, x, w, dx, dw, db, stride):
    """Send dout (N,OH,OW,F) back to dx (N,H,W,C), dw (KH,KW,C,F), db (F,).  dx None: not wanted.

    Each product x[...] w[ky,kx] of the forward sum gives w[ky,kx] to dx and x[...] to dw, times its dout.
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
    """Cut off what is negative: out = max(x, 0).  Any shape."""
    np.maximum(x, 0, out=out)


def relu_backward(dout, out, dx):
    """Let the gradient through where the output is positive.  ``out`` is what relu_forward gave."""
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
    """Keep the largest of each window.  x (N,H,W,C) -> out (N,OH,OW,C).

    which (N,OH,OW,C), an unsigned integer: the winner's position ``ky * PW + kx``; first wins ties.  None: not wanted.
    """
    _, OH, OW, _ = out.shape
    candidates = np.stack([pixels for _, _, pixels in _taps(x, window, stride, OH, OW)])  # (PH*PW, N, OH, OW, C)
    candidates.max(axis=0, out=out)  # NaN, where there is one
    if which is not None:
        which[...] = candidates.argmax(axis=0)  # the first of equals, and a NaN before any number


def maxpool2d_backward(dout, which, dx, window, stride):
    """Give each window's gradient to its winner alone.  dout, which (N,OH,OW,C) -> dx (N,H,W,C).

    Where windows overlap a pixel may win several: its gradients add up.
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
    """Return the view of x (N,H,W,C) that the pooled outputs depend on: an odd line or column at the end fills none."""
    KH, KW, _, _ = w.shape
    _, PH, PW, _ = out.shape
    return x[:, : 2 * PH + KH - 1, : 2 * PW + KW - 1]


def conv_relu_pool_forward(x, w, b, out, which):
    """Convolve with stride 1, cut off what is negative, keep the largest of each 2x2 window.

    x, w, b as for conv2d_forward -> out (N,PH,PW,F); which (N,PH,PW,F), uint8: the winner's position 2 ky + kx, and
    DEAD where it isn't positive, so that no gradient passes.
    """
    N, PH, PW, F = out.shape
    convolved = np.empty((N, 2 * PH, 2 * PW, F), out.dtype)
    conv2d_forward(_read_by_pool(x, w, out), w, b, convolved, (1, 1))
    maxpool2d_forward(convolved, out, which, (2, 2), (2, 2))
    which[out <= 0] = DEAD
    relu_forward(out, out)  # the largest of what is left: the pool and the ReLU may change places


def conv_relu_pool_backward(dout, which, x, w, dx, dw, db):
    """Send dout (N,PH,PW,F) back to dx (N,H,W,C), dw (KH,KW,C,F), db (F,).  dx None: not wanted."""
    N, PH, PW, F = dout.shape
    dconvolved = np.empty((N, 2 * PH, 2 * PW, F), dout.dtype)
    maxpool2d_backward(dout, which, dconvolved, (2, 2), (2, 2))  # DEAD is no position: nothing passes
    read, dread = _read_by_pool(x, w, dout), None
    if dx is not None:
        dx[...] = 0
        dread = _read_by_pool(dx, w, dout)
    conv2d_backward(dconvolved, read, w, dread, dw, db, (1, 1))


def dense_forward(x, w, b, out):
    """Take weighted sums: out = x w + b.  x (N,D_in), w (D_in,D_out), b (D_out,) -> out (N,D_out)."""
    np.matmul(x, w, out=out)
    out += b


def dense_backward(dout, x, w, dx, dw, db):
    """Send dout (N,D_out) back to dx (N,D_in), dw (D_in,D_out), db (D_out,).  dx None: not wanted."""
    np.matmul(x.T, dout, out=dw)
    np.sum(dout, axis=0, out=db)
    if dx is not None:
        np.matmul(dout, w.T, out=dx)


def dropout_forward(x, u, rate, out):
    """Drop the values whose random number u, uniform in [0, 1), is below ``rate``; scale the others by 1 / (1 - rate).

    Scaling now ("inverted dropout") keeps the expected value, so inference needs nothing.  x, u, out: one shape.
    """
    np.multiply(x, (u >= rate) * x.dtype.type(1 / (1 - rate)), out=out)


def dropout_backward(dout, u, rate, dx):
    """Send the gradient through the values that were kept, with the same scale."""
    dropout_forward(dout, u, rate, dx)


def softmax_cross_entropy_forward(logits, labels, smoothing, log_probs, losses):
    """Compare softmax(logits) with the labels.  logits (N,C), labels (N,) integers -> log_probs (N,C), losses (N,).

    With smoothing s the target is (1-s) on the label plus s/C everywhere; losses = -sum(target * log_probs).  The label
    C stands for none of the classes: its target is 1/C everywhere, as with s = 1.
    Subtracting the largest logit first leaves the softmax as it is and keeps exp() from overflowing.
    """
    np.subtract(logits, logits.max(axis=1, keepdims=True), out=log_probs)
    log_probs -= np.log(np.exp(log_probs).sum(axis=1, keepdims=True))
    spread, labelled = _spread_of_target(labels, smoothing, logits.shape[1])
    losses[...] = 0
    losses[labelled] = -(1 - smoothing) * log_probs[labelled, labels[labelled]]
    spreading = spread > 0  # elsewhere an impossible class costs nothing, and nothing times infinity is no number
    losses[spreading] -= spread[spreading] * log_probs[spreading].mean(axis=1)


def _spread_of_target(labels, smoothing, C):
    """Return which share of each target is spread over all classes (N,), and which labels are a class's (N,), bool."""
    labelled = labels < C
    return np.where(labelled, smoothing, 1.0), labelled


def add(array, other):
    """array += other, both flat (P,)."""
    array += other


def softmax_cross_entropy_backward(log_probs, labels, of, smoothing, dlogits):
    """Fill dlogits (N,C) with the gradient of the *mean* loss: (softmax - target) / of.  The only 1/N there is.

    of: how many images the mean is over: N, or more when these are one thread's share of a batch.
    """
    C = log_probs.shape[1]
    spread, labelled = _spread_of_target(labels, smoothing, C)
    np.exp(log_probs, out=dlogits)
    dlogits -= (spread / C)[:, None].astype(dlogits.dtype)
    dlogits[np.flatnonzero(labelled), labels[labelled]] -= 1 - smoothing
    dlogits /= of


def gather_images(images, index, scale, shift, out):
    """Collect a batch: out[i] = images[index[i]] * scale + shift.  images (M,H,W) uint8 or float -> out (N,H,W,1)."""
    np.multiply(images[index].reshape(out.shape), scale, out=out, dtype=out.dtype, casting="unsafe")
    out += shift


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
