"""Data parallelism: a batch is cut into shards, and each thread takes one through all layers, forward and backward.

If the threads split every kernel, they would wait for each other after each one; this way they wait once a step.  Each
works on a *replica* of the network: the same parameters, but its own gradients, outputs and buffers.  Afterwards the
gradients are added in the order of the shards, so results are exactly repeatable for a fixed number of them.  The
layers' next state (see ``Layer``) becomes the mean of the shards', weighted by their numbers of images.

Several processes (``Ranks``) do the same: each takes some shards of the batch, one for each of its threads.  They too
add all gradients in the order of the shards, so it makes no difference which process has computed which.

Inference also runs on replicas: each caller borrows one, so any number of threads may use a network at a time.
"""

import contextlib
import copy
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Protocol, Self, runtime_checkable

import numpy as np

from numcnn.kernels.arrays import Floats, Ints
from numcnn.kernels.buffers import zeros
from numcnn.kernels.protocol import Kernels
from numcnn.nn import fusion
from numcnn.nn.flat_arrays import FlatArrays
from numcnn.nn.layer import Layer, settings_of
from numcnn.nn.losses import SoftmaxCrossEntropy

# Shards of a batch in a reproducible training, whatever the threads.  More would serve more threads, but each thread
# that takes several adds up the gradients of all parameters for each.
REPRODUCIBLE_SHARDS = 4

# FLOP of a forward pass that make one more thread worthwhile: about 7 MNIST images.
LEAST_FLOPS = 1 << 25

# Most replicas that are kept for the next inference.
MOST_IDLE = 16


class Batch(Protocol):
    """Training examples: labels (n,), and images that ``fill`` writes to an array.  See ``data.batches.Batch``."""

    labels: Ints

    def __len__(self) -> int: ...

    def fill(self, x: Floats, first: int = 0, last: int | None = None) -> Floats:
        """Write the images from ``first`` to ``last``, normalised, to x and return it."""
        ...


class Ranks(Protocol):
    """Processes that train one network together, each on its shards of every batch: ``training.ranks``."""

    @property
    def rank(self) -> int:
        """The number of this process."""
        ...

    @property
    def size(self) -> int:
        """How many there are."""
        ...

    def add_up(self, own: Sequence[Floats], count: int, total: Floats) -> None:
        """Set total (P,) to the sum of all ``count`` shards' arrays, in the order of the shards.  own: this rank's."""
        ...

    def gather(self, array: Floats, bounds: Sequence[int]) -> None:
        """Complete an array of which rank r has filled the rows from bounds[r] to bounds[r + 1]."""
        ...


@runtime_checkable
class DrawsNumbers(Protocol):
    """A layer whose training forward uses random numbers, such as ``Dropout``.

    They are drawn for the whole batch at once, so that they don't depend on the shards.
    """

    def draw(self, n: int) -> None:
        """Draw the random numbers of a training forward of n images, and use them in the next one."""
        ...

    def take_drawn(self, layer: Self, first: int, last: int) -> None:
        """Use in the next forward the numbers that ``layer`` drew for the images from ``first`` to ``last``."""
        ...


def replica_of(layer: Layer, grads: dict[str, Floats], next_state: dict[str, Floats] | None = None) -> Layer:
    """Return a layer over the same parameters and state, with its own gradients, next state and buffers.

    next_state: None for a replica that only reads.
    """
    twin = copy.copy(layer)
    twin.grads = grads
    twin.next_state = {k: v.copy() for k, v in layer.state.items()} if next_state is None else next_state
    twin.forget()
    return twin


class Replica:
    """The steps that run, the flat arrays that they fill (gradients (P,), next state (S,)), and an input buffer."""

    def __init__(
        self, flat: FlatArrays, layers: Sequence[Layer], grads: Floats | None, next_state: Floats | None, fuse: bool
    ) -> None:
        """grads, next_state: None for a replica that only reads."""
        self.steps = fusion.fuse(layers) if fuse else list(layers)
        self.drawing = [step for step in self.steps if isinstance(step, DrawsNumbers)]
        self.grads, self.next_state = grads, next_state
        self.kernels: Kernels | None = None
        # Copies of layers, which follow the layers' own settings: a dropout's rate may change between two runs.
        self._followers = [pair for pair in zip(flat.layers, layers, strict=True) if pair[0] is not pair[1]]
        self._x = zeros((0, *flat.input_shape), flat.dtype)
        self._criteria: tuple[SoftmaxCrossEntropy, SoftmaxCrossEntropy] | None = None  # the caller's, and its copy

    def use(self, kernels: Kernels) -> "Replica":
        """Set the kernels of all steps, and the settings that the layers have now.  Return the replica."""
        for layer, copied in self._followers:
            for name in ("frozen", *settings_of(type(layer))):
                if name in vars(layer):
                    setattr(copied, name, vars(layer)[name])
        if self.kernels is not kernels:
            self.kernels = kernels
            for step in self.steps:
                step.kernels = kernels
        return self

    def x(self, n: int) -> Floats:
        """Return the input buffer for n images: (n, *input_shape)."""
        if len(self._x) < n:
            self._x = zeros((n, *self._x.shape[1:]), self._x.dtype)
        return self._x[:n]

    def criterion(self, criterion: SoftmaxCrossEntropy) -> SoftmaxCrossEntropy:
        """Return this replica's own copy of the loss ``criterion``."""
        if self._criteria is None or self._criteria[0] is not criterion:
            self._criteria = criterion, criterion.replica()
        return self._criteria[1]

    def activations(self, x: Floats) -> Iterator[tuple[Layer, Floats]]:
        """Run x (n, *input_shape) through all steps.  Yield each step with its output, a buffer of the step."""
        for step in self.steps:
            x = step.forward(x)
            yield step, x

    def forward(self, x: Floats, training: bool = False) -> Floats:
        """Run x (n, *input_shape) through all steps.  Return the last one's output, a buffer of that step."""
        for step in self.steps:
            x = step.forward(x, training)
        return x

    def backward(self, dout: Floats, need_dx: bool = False) -> Floats | None:
        """Run dout, the gradient of the last output, back through the steps: the chain rule, last step first.

        Return dx, or None if it isn't needed.  The step at ``first`` needs no dx when training: the gradient ends at
        its parameters and never reaches the pixels.
        """
        first = next((i for i, step in enumerate(self.steps) if step.specs), len(self.steps))
        last = 0 if need_dx else first
        gradient: Floats | None = dout
        for i in range(len(self.steps) - 1, last - 1, -1):  # dx of step i is dout of step i - 1
            assert gradient is not None  # each step but the first was asked for dx
            gradient = self.steps[i].backward(gradient, need_dx=need_dx or i > first)
        return gradient if need_dx else None


def with_gradients(flat: FlatArrays, fuse: bool) -> Replica:
    """Return a replica of the network over ``flat``, with its own gradients and next state."""
    grads, next_state = flat.new_gradients()
    views = zip(flat.layers, flat.of_layers(grads), flat.state_of_layers(next_state), strict=True)
    return Replica(flat, [replica_of(*view) for view in views], grads, next_state, fuse)


class Readers:
    """Replicas for inference in any number of threads at once: each thread borrows one.

    Training has its own replicas, so inference never disturbs a training step.
    """

    def __init__(self, flat: FlatArrays, fuse: bool) -> None:
        self._flat, self._fuse = flat, fuse
        # Append and pop are atomic, so no lock is needed; surplus replicas are dropped.
        self._idle: deque[Replica] = deque(maxlen=MOST_IDLE)

    @contextlib.contextmanager
    def borrow(self, kernels: Kernels) -> Generator[Replica, None, None]:
        """Lend a replica, idle or new, that runs on ``kernels``."""
        try:
            replica = self._idle.pop()
        except IndexError:
            replica = Replica(
                self._flat, [replica_of(layer, {}) for layer in self._flat.layers], None, None, self._fuse
            )
        try:
            yield replica.use(kernels)
        finally:
            self._idle.append(replica)


def count_shards(n: int, flops: int, most: int) -> int:
    """Return the number of shards for n images of ``flops`` each: ``most``, one a thread, or fewer for little work."""
    return max(1, min(most, n, n * flops // LEAST_FLOPS))


class Replicas:
    """Training's replicas.  The first is the network itself; the others are made when they are needed."""

    def __init__(self, flat: FlatArrays, flops: int, fuse: bool) -> None:
        """flops: of one image's forward pass."""
        self._flat, self._flops, self._fuse = flat, flops, fuse
        self._all = [Replica(flat, flat.layers, flat.grads, flat.next_state, fuse)]
        self.ranks: Ranks | None = None  # other processes that take a part in each step
        self.fixed: int | None = None  # the number of shards, if it isn't one for each thread of all processes

    def first(self, kernels: Kernels | None = None) -> Replica:
        """Return the replica that is the network itself, set to ``kernels``; None: the kernels of its last run."""
        return self._all[0] if kernels is None else self._all[0].use(kernels)

    def shards(self, n: int, kernels: Kernels) -> tuple[int, range]:
        """Return the number of shards for a batch of n images, and which this process computes, each on a replica."""
        size, rank = (self.ranks.size, self.ranks.rank) if self.ranks else (1, 0)
        count = count_shards(n, self._flops, self.fixed or kernels.threads() * size)
        own = range(*_shard(count, size, rank))
        while len(self._all) < len(own):
            self._all.append(with_gradients(self._flat, self._fuse))
        for replica in self._all[: max(1, len(own))]:
            replica.use(kernels)
        return count, own

    def backpropagate(self, batch: Batch, criterion: SoftmaxCrossEntropy, kernels: Kernels) -> tuple[float, Floats]:
        """See ``Network.backpropagate``."""
        n, last_step = len(batch), self._all[0].steps[-1]
        count, own = self.shards(n, kernels)
        out = last_step.buffer("out of all shards", (n, *last_step.out_shape))
        losses: Floats = np.zeros(count)
        self._draw(n, count, own)

        def run(index: int) -> None:
            number = own[index]
            first, last = _shard(n, count, number)
            replica = self._all[index]
            own_criterion, x = replica.criterion(criterion), replica.x(last - first)
            batch.fill(x, first, last)
            logits = replica.forward(x, training=True)
            # n, not the shard's size: each shard's loss and gradient are parts of the batch's mean, so they only add up
            losses[number] = own_criterion.forward(logits, batch.labels[first:last], n)
            replica.backward(own_criterion.backward())
            out[first:last] = logits

        on_threads(kernels, len(own), run)
        gradients = [replica.grads for replica in self._all[: len(own)] if replica.grads is not None]
        if self.ranks is None:
            for more in gradients[1:]:  # network.grads already holds the first replica's
                kernels.add(self._flat.grads, more)
        else:
            self.ranks.add_up(gradients, count, self._flat.grads)
            bounds = _bounds(count, self.ranks.size)
            self.ranks.gather(losses, bounds)
            self.ranks.gather(out, [n * bound // count for bound in bounds])
        if self._flat.state.size:
            self._merge_state(n, count, own)
        return sum(losses.tolist()), out

    def _merge_state(self, n: int, count: int, own: range) -> None:
        """Set the state to the mean of the shards' next states, in the order of the shards.

        The mean is taken of the changes, so a state that no shard changed, such as a frozen layer's, stays as it is.
        """
        state = self._flat.state
        if count == 1 and self.ranks is None:
            state[...] = self._flat.next_state
            return
        states = zeros((count, *state.shape), self._flat.dtype)
        for number, replica in zip(own, self._all, strict=False):
            assert replica.next_state is not None
            states[number] = replica.next_state
        if self.ranks is not None:
            self.ranks.gather(states, _bounds(count, self.ranks.size))
        if count == 1:
            state[...] = states[0]
            return
        changes = zeros(state.shape, self._flat.dtype)
        for number, next_state in enumerate(states):
            first, last = _shard(n, count, number)
            changes = changes + (last - first) / n * (next_state - state)
        state += changes

    def _draw(self, n: int, count: int, own: range) -> None:
        """Draw random numbers for the whole batch; give each replica those of its shard."""
        for i, layer in enumerate(self._all[0].drawing):
            layer.draw(n)
            for index in reversed(range(len(own))):  # the first replica's layer drew them all, so it cuts its own last
                self._all[index].drawing[i].take_drawn(layer, *_shard(n, count, own[index]))


def on_threads(kernels: Kernels, count: int, run: Callable[[int], None]) -> None:
    """Call ``run(number)`` for the numbers from 0 to ``count`` - 1, in parallel."""

    def run_some(_: int, first: int, last: int) -> None:
        for number in range(first, last):
            run(number)

    kernels.run_parallel(count, run_some)


def _shard(n: int, count: int, number: int) -> tuple[int, int]:
    """Return the index of a shard's first image, and that after its last."""
    return n * number // count, n * (number + 1) // count


def _bounds(n: int, count: int) -> list[int]:
    """Return the index of each shard's first image, and the number of images."""
    return [n * number // count for number in range(count + 1)]
