"""The optimisers' steps, which follow once the threads' gradients are joined: in parallel, on parts of flat arrays."""

from collections.abc import Callable

import numpy as np

from numcnn.kernels.arrays import Floats, Scalar
from numcnn.kernels.fast.jit import kernel
from numcnn.kernels.thread_team import the_team

# Parameters below which waking another thread costs more than it saves.
LEAST_PARAMETERS = 1 << 16


def _step_in_parallel(step: Callable[..., None], arrays: tuple[Floats, ...], *arguments: Scalar) -> None:
    """Call a compiled function on parts of flat ``arrays``, which have one size, and its other ``arguments``."""

    def task(_: int, first: int, last: int) -> None:
        step(*(array[first:last] for array in arrays), *arguments)

    the_team().run_parallel(arrays[0].size, task, least=LEAST_PARAMETERS)


@kernel
def _add(array: Floats, other: Floats) -> None:
    for i in range(array.size):
        array[i] += other[i]


def add(array: Floats, other: Floats) -> None:
    """See ``reference.add``."""
    _step_in_parallel(_add, (array, other))


@kernel
def _average_step(average: Floats, params: Floats, rate: Scalar) -> None:
    for i in range(average.size):
        average[i] += rate * (params[i] - average[i])


def average_step(average: Floats, params: Floats, rate: float) -> None:
    """See ``reference.average_step``."""
    _step_in_parallel(_average_step, (average, params), params.dtype.type(rate))


@kernel
def _sgd_step(
    params: Floats,
    grads: Floats,
    velocity: Floats,
    decay: Floats,
    lr: Scalar,
    momentum: Scalar,
    nesterov: bool,
    shrink: Scalar,
) -> None:
    for i in range(params.size):
        v = momentum * velocity[i] + grads[i]
        velocity[i] = v
        direction = grads[i] + momentum * v if nesterov else v
        params[i] = params[i] - shrink * decay[i] * params[i] - lr * direction


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
    """See ``reference.sgd_step``."""
    dtype = params.dtype.type
    arguments = dtype(lr), dtype(momentum), nesterov, dtype(lr * weight_decay)
    _step_in_parallel(_sgd_step, (params, grads, velocity, decay), *arguments)


@kernel
def _adam_step(
    params: Floats,
    grads: Floats,
    m: Floats,
    v: Floats,
    decay: Floats,
    rate: Scalar,
    root: Scalar,
    beta1: Scalar,
    beta2: Scalar,
    eps: Scalar,
    shrink: Scalar,
) -> None:
    one = params.dtype.type(1)
    for i in range(params.size):
        g = grads[i]
        m[i] += (one - beta1) * (g - m[i])
        v[i] += (one - beta2) * (g * g - v[i])
        params[i] = params[i] - shrink * decay[i] * params[i] - rate * m[i] / (np.sqrt(v[i]) * root + eps)


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
    """See ``reference.adam_step``.  The bias corrections, equal for all parameters, are taken out of the loop."""
    dtype = params.dtype.type
    rate, root = dtype(lr / (1 - beta1**step)), dtype(1 / np.sqrt(1 - beta2**step))
    arguments = rate, root, dtype(beta1), dtype(beta2), dtype(eps), dtype(lr * weight_decay)
    _step_in_parallel(_adam_step, (params, grads, m, v, decay), *arguments)
