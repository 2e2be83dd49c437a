"""JAX: one jitted step, NHWC, with Adam written by hand; parameters and moments are donated: updated in place."""

import functools
from collections.abc import Callable, Mapping

import jax
import jaxlib
import numpy as np
from jax import lax
from jax import numpy as jnp

from numcnn.benchmark.contestants import Call, Training
from numcnn.benchmark.workload import LEARNING_RATE, Workload
from numcnn.kernels.arrays import AnyArray

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8

Pool = Callable[[jax.Array], jax.Array]
Params = Mapping[str, jax.Array]
State = tuple[Params, Params, Params, jax.Array]  # parameters, both moments, number of steps


def pool_by_window(x: jax.Array) -> jax.Array:
    """Take the largest of each 2x2 window, as JAX's libraries do."""
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def pool_by_shape(x: jax.Array) -> jax.Array:
    """Take the largest of each 2x2 window along two axes of their own, which has another backward pass."""
    N, H, W, C = x.shape
    return x[:, : H // 2 * 2, : W // 2 * 2].reshape(N, H // 2, 2, W // 2, 2, C).max(axis=(2, 4))


def logits_of(pool: Pool, params: Params, x: jax.Array) -> jax.Array:
    """Run the network: x (N,28,28,1) -> logits (N,10)."""
    for layer in ("conv1", "conv2"):
        x = lax.conv_general_dilated(
            x, params[f"{layer}.w"], (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        x = pool(jax.nn.relu(x + params[f"{layer}.b"]))
    x = x.reshape(len(x), -1)
    x = jax.nn.relu(x @ params["dense1.w"] + params["dense1.b"])
    return x @ params["dense2.w"] + params["dense2.b"]


def loss_of(pool: Pool, params: Params, x: jax.Array, labels: jax.Array) -> jax.Array:
    """Return the mean cross-entropy of a batch."""
    log_probs = jax.nn.log_softmax(logits_of(pool, params, x))
    return -jnp.take_along_axis(log_probs, labels[:, None], axis=1).mean()


def train_step(pool: Pool, state: State, x: jax.Array, labels: jax.Array) -> tuple[State, jax.Array]:
    """Take one step of Adam (Kingma & Ba 2015).  Return the new state and the loss."""
    params, m, v, steps = state
    loss, gradients = jax.value_and_grad(functools.partial(loss_of, pool))(params, x, labels)
    steps = steps + 1
    m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, gradients)
    v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, gradients)
    rate = LEARNING_RATE * jnp.sqrt(1 - BETA2**steps) / (1 - BETA1**steps)
    params = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + EPS), params, m, v)
    return (params, m, v, steps), loss


POOLS = {"reduce_window": pool_by_window, "reshape and max": pool_by_shape}


class JaxTraining(Training):
    """The weights' layout is numcnn's.  XLA takes its number of threads from NPROC, which the parent sets."""

    def __init__(self, workload: Workload, threads: int) -> None:
        super().__init__()
        params = {name: jnp.array(values) for name, values in workload.params.items()}
        zeros = jax.tree.map(jnp.zeros_like, params)
        self._state: State = (params, zeros, jax.tree.map(jnp.copy, zeros), jnp.float32(0))
        pixels, labels = workload.training_batches()
        self.x, self.labels = [jnp.array(x[..., None]) for x in pixels], [jnp.array(y, jnp.int32) for y in labels]
        self._loss: jax.Array | None = None
        self.variants = {"step": {name: self._caller(pool) for name, pool in POOLS.items()}}

    def versions(self) -> dict[str, str]:
        """See ``Timed``."""
        return {"jax": jax.__version__, "jaxlib": jaxlib.__version__}

    def arrays(self) -> dict[str, AnyArray]:
        """Return the loss of the first batch, and every parameter's gradient, with each pool."""
        found = {}
        for name, pool in POOLS.items():
            both = jax.jit(jax.value_and_grad(functools.partial(loss_of, pool)))
            loss, gradients = both(self._state[0], self.x[0], self.labels[0])
            found[f"loss, {name}"] = np.array(loss)
            found |= {f"d{key}, {name}": np.array(g) for key, g in gradients.items()}
        return found

    def _caller(self, pool: Pool) -> Call:
        jitted = jax.jit(functools.partial(train_step, pool), donate_argnums=0)

        def call(i: int) -> None:
            batch = i % len(self.x)
            self._state, self._loss = jitted(self._state, self.x[batch], self.labels[batch])

        return call

    def wait(self) -> float | None:
        """See ``Timed``; a step returns before it is computed."""
        return None if self._loss is None else float(self._loss)
