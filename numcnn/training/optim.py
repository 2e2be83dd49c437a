"""Optimisers, written by hand.  They update flat arrays in place and know nothing about layers."""

import contextlib
import math
import numbers
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, TypedDict, Unpack

import numpy as np

from numcnn.errors import ConfigError
from numcnn.kernels.arrays import Floats
from numcnn.nn.network import Network
from numcnn.training.config import TrainConfig

if TYPE_CHECKING:
    from numcnn.kernels.protocol import Kernels

BLOCK = 4096  # gradients whose squares are added up at a time
# The names of the running averages of parameters and state among the moments.
AVERAGE, AVERAGE_STATE = "average", "average state"


def clip_gradients(grads: Floats, max_norm: float) -> float:
    """Scale grads (P,) down in place so that their Euclidean norm is at most ``max_norm``.  Return the norm before."""
    # Not np.dot: BLAS adds up in an order of each machine's own.  Blocks, so that the squares take little memory.
    norm = math.sqrt(sum(float(np.square(grads[i : i + BLOCK]).sum()) for i in range(0, grads.size, BLOCK)))
    if norm > max_norm:
        grads *= max_norm / norm
    return norm


class Shared(TypedDict, total=False):
    """The settings of every optimiser; see ``Optimizer``."""

    decay: Floats | None
    weight_decay: float
    average: float
    state: Floats | None
    pull: float


class Optimizer:
    """The base class of both optimisers.  params, grads: flat arrays (P,) of one dtype; params are updated in place.

    decay (P,), 1 or 0 per parameter: where weight decay applies (None: everywhere).  kernels: a back-end.
    average: decay d of a running average of the parameters, mean = d * mean + (1 - d) * params (Polyak & Juditsky 1992,
    the exponential form); 0: no average.  state: a network's state (S,), such as BatchNorm's statistics; steps don't
    change it, but it is averaged too, to match the averaged parameters.
    pull: after each step, the fraction by which the parameters move back towards their initial values; 0: none.  This
    is L2-SP (Li, Grandvalet & Davoine 2018), decoupled from the gradient.
    Attributes: moments (name -> array kept between steps: those of ``MOMENTS``, and the averages); trained: whether the
    initial parameters count in the average for as long as its decay says; else they are random, and soon drop out.
    """

    # Names of the arrays (P,) that a subclass keeps between steps; they start at zero.
    MOMENTS: tuple[str, ...] = ()

    def __init__(
        self,
        params: Floats,
        grads: Floats,
        kernels: "Kernels",
        *,
        decay: Floats | None = None,
        weight_decay: float = 0.0,
        average: float = 0.0,
        state: Floats | None = None,
        pull: float = 0.0,
    ) -> None:
        self.params, self.grads, self.kernels = params, grads, kernels
        self.decay: Floats = np.ones_like(params) if decay is None else np.asarray(decay, params.dtype)
        self.weight_decay = _in_range("weight decay", weight_decay, 0, math.inf)
        self.average = _in_range("average", average, 0, 1)
        self.pull = _in_range("pull", pull, 0, 1)
        self.trained = False
        self._start = params.copy() if self.pull else None  # the initial values
        self.steps = 0
        self.moments: dict[str, Floats] = {name: np.zeros_like(params) for name in self.MOMENTS}
        self._averaged: dict[str, Floats] = {}  # name of an average in ``moments`` -> the array that it averages
        if self.average:
            self._averaged[AVERAGE] = params
            if state is not None and state.size:
                self._averaged[AVERAGE_STATE] = state
        self.moments.update({name: array.copy() for name, array in self._averaged.items()})

    def step(self, lr: float) -> None:
        """Take one step with learning rate ``lr`` along the current gradients."""
        self.steps += 1
        self._step(lr)
        if self._start is not None:
            self.params += self.params.dtype.type(self.pull) * (self._start - self.params)
        if self.average:
            # The first averages span fewer steps, so that random initial values soon drop out.
            most = 1.0 if self.trained else self.steps / (self.steps + 9)
            rate = 1 - min(self.average, most)
            for name, array in self._averaged.items():
                self.kernels.average_step(self.moments[name], array, rate)

    def _step(self, lr: float) -> None:
        raise NotImplementedError

    def take_average(self) -> None:
        """Replace parameters and state by their averages; does nothing without averages."""
        for name, array in self._averaged.items():
            array[...] = self.moments[name]

    @contextlib.contextmanager
    def averaged(self) -> Generator[None, None, None]:
        """Replace parameters and state by their averages within a ``with`` block; does nothing without averages."""
        latest = [(array, array.copy()) for array in self._averaged.values()]
        self.take_average()
        try:
            yield
        finally:
            for array, values in latest:
                array[...] = values


class SGD(Optimizer):
    """Stochastic gradient descent with momentum (Sutskever et al. 2013) and decoupled weight decay."""

    MOMENTS = ("velocity",)

    def __init__(
        self,
        params: Floats,
        grads: Floats,
        kernels: "Kernels",
        *,
        momentum: float = 0.9,
        nesterov: bool = False,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(params, grads, kernels, **shared)
        self.momentum = _in_range("momentum", momentum, 0, 1)
        self.nesterov = bool(nesterov)

    def _step(self, lr: float) -> None:
        self.kernels.sgd_step(
            self.params,
            self.grads,
            self.moments["velocity"],
            self.decay,
            lr,
            self.momentum,
            self.nesterov,
            self.weight_decay,
        )


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015); with weight_decay it is AdamW (Loshchilov & Hutter 2019)."""

    MOMENTS = ("m", "v")

    def __init__(
        self,
        params: Floats,
        grads: Floats,
        kernels: "Kernels",
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        **shared: Unpack[Shared],
    ) -> None:
        super().__init__(params, grads, kernels, **shared)
        self.beta1 = _in_range("beta1", beta1, 0, 1)
        self.beta2 = _in_range("beta2", beta2, 0, 1)
        self.eps = _in_range("eps", eps, 0, math.inf)

    def _step(self, lr: float) -> None:
        self.kernels.adam_step(
            self.params,
            self.grads,
            self.moments["m"],
            self.moments["v"],
            self.decay,
            self.steps,
            lr,
            self.beta1,
            self.beta2,
            self.eps,
            self.weight_decay,
        )


def make_optimizer(
    network: Network,
    config: TrainConfig,
    moments: Mapping[str, Floats] | None = None,
    *,
    pull: float = 0.0,
    trained: bool = False,
) -> Optimizer:
    """Return the optimiser named by ``config`` for the network's parameters; ``moments``: those of a stopped run.

    pull, trained: see ``Optimizer``.
    """
    shared: Shared = {
        "decay": network.decay,
        "weight_decay": config.decay_rate,
        "average": config.average,
        "state": network.state,
        "pull": pull,
    }
    arrays = network.params, network.grads, network.kernels
    if config.optimizer == "sgd":
        optimizer = SGD(*arrays, momentum=config.momentum, nesterov=config.nesterov, **shared)
    else:
        optimizer = Adam(*arrays, **shared)  # AdamW is Adam with weight decay
    optimizer.trained = trained
    for name, values in (moments or {}).items():
        optimizer.moments[name][...] = values
    return optimizer


def moments_of(config: TrainConfig, network: Network) -> dict[str, tuple[int, ...]]:
    """Return name -> shape of the arrays that the optimiser named by ``config`` keeps between steps."""
    names = (*(SGD if config.optimizer == "sgd" else Adam).MOMENTS, *([AVERAGE] if config.average else []))
    shapes = dict.fromkeys(names, network.params.shape)
    if config.average and network.state.size:
        shapes[AVERAGE_STATE] = network.state.shape
    return shapes


def _in_range(what: str, value: float, low: float, high: float) -> float:
    """Return ``value`` as a float; ConfigError unless low <= value < high."""
    if not isinstance(value, numbers.Real) or not low <= value < high:  # pyright: ignore[reportUnnecessaryIsInstance]
        upper = "" if high == math.inf else f" and below {high}"
        raise ConfigError(f"{what} is {value!r}; wants a number, {low} or more{upper}")
    return float(value)
