"""Data parallelism: a batch is cut into shares, and each thread takes one through all layers, forward and backward.

Threads that share every single kernel wait for each other after each; this way they do once a step.  Each works on a
*replica* of the network: the same parameters, with gradients, outputs and memory of its own.  Afterwards the gradients
are added up in the order of the shards, so results are exactly repeatable for a fixed number of threads.  The layers'
next state (see ``Layer``) is merged alike: the mean of the shards', weighted by their numbers of images.

Inference runs on replicas, too: each caller borrows one, so any number of threads may read with one network at a time.
"""

import contextlib
from collections import deque

from numcnn.kernels.buffers import zeros
from numcnn.nn import fusion

# Arithmetic of a forward pass below which another thread costs more than it saves: some 7 of MNIST's images.
LEAST_FLOPS = 1 << 25


# Replicas that wait for the next inference: as many as call at once, up to this number, find one ready-made.
MOST_IDLE = 16


class Replica:
    """The steps that run, the flat arrays that they fill (gradients (P,), next state (S,)), a place for the input."""

    def __init__(self, network, layers, grads, next_state, fuse):
        """grads, next_state: None for a replica that only reads."""
        self.steps = fusion.fuse(layers) if fuse else list(layers)
        self.grads, self.next_state, self.kernels = grads, next_state, None
        self._x = zeros((0, *network.input_shape), network.dtype)
        self._criterion = self._criterion_of = None

    def use(self, kernels):
        """Hand all steps the back-end's module.  Return the replica."""
        if self.kernels is not kernels:
            self.kernels = kernels
            for step in self.steps:
                step.kernels = kernels
        return self

    def x(self, n):
        """Return an array (n, *input_shape) for the input: the same one each time."""
        if len(self._x) < n:
            self._x = zeros((n, *self._x.shape[1:]), self._x.dtype)
        return self._x[:n]

    def criterion(self, criterion):
        """Return a replica of the loss ``criterion``: the same one each time."""
        if self._criterion_of is not criterion:
            self._criterion_of, self._criterion = criterion, criterion.replica()
        return self._criterion

    def activations(self, x, training=False):
        """Run x (n, *input_shape) through all steps.  Yield each step with its output, a buffer of the step's own."""
        for step in self.steps:
            x = step.forward(x, training)
            yield step, x

    def forward(self, x, training=False):
        """Run x (n, *input_shape) through all steps.  Return the last one's output, a buffer of its own."""
        out = x
        for _, out in self.activations(x, training):  # noqa: B007 (the last one is the result)
            pass
        return out

    def backward(self, gradient, need_dx=False):
        """Run the output's gradient back through the steps: the chain rule, last step first.

        Return dx, or None if it isn't needed: then what lies before the first step with parameters isn't computed.
        """
        first = next((i for i, step in enumerate(self.steps) if step.specs), len(self.steps))
        last = 0 if need_dx else first
        for i in range(len(self.steps) - 1, last - 1, -1):
            gradient = self.steps[i].backward(gradient, need_dx=need_dx or i > first)
        return gradient if need_dx else None


def with_gradients(network, layers, fuse):
    """Return a replica of the network's ``layers``, with gradients of its own."""
    grads, next_state = zeros(network.grads.shape, network.dtype), zeros(network.state.shape, network.dtype)
    views = network.named_arrays(grads)
    states = dict(zip(network.layers, network.state_of_layers(next_state), strict=True))
    layers = [
        layer.replica({spec.name: views[f"{layer.name}.{spec.name}"] for spec in layer.specs}, states[layer])
        for layer in layers
    ]
    return Replica(network, layers, grads, next_state, fuse)


class Readers:
    """Replicas for inference, which any number of threads may run at once: each borrows one for itself.

    Training's replicas are never among them, so reading disturbs no training step.
    """

    def __init__(self, network, fuse):
        self._network, self._fuse = network, fuse
        self._idle = deque(maxlen=MOST_IDLE)  # its append and pop are single steps: no lock; what is too much falls off

    @contextlib.contextmanager
    def borrow(self, kernels):
        """Lend a replica that runs on ``kernels``, one that lies idle or a new one."""
        try:
            replica = self._idle.pop()
        except IndexError:
            layers = [layer.replica({}) for layer in self._network.layers]
            replica = Replica(self._network, layers, None, None, self._fuse)
        try:
            yield replica.use(kernels)
        finally:
            self._idle.append(replica)


def count_shares(n, flops, kernels):
    """Return into how many shares n images of ``flops`` each are cut: one a thread, fewer for little work."""
    return max(1, min(kernels.threads(), n, n * flops // LEAST_FLOPS))


class Replicas:
    """Training's replicas.  The first is the network itself; the others are made when there is work for them."""

    def __init__(self, network, fuse):
        self._network, self._fuse = network, fuse
        self._all = [Replica(network, network.layers, network.grads, network.next_state, fuse)]

    def first(self, kernels=None):
        """Return the replica that is the network itself, to run on ``kernels``; None: those it ran on last."""
        return self._all[0] if kernels is None else self._all[0].use(kernels)

    def shares(self, n, kernels):
        """Return into how many shares a batch of n images is cut, and make ready a replica for each."""
        count = count_shares(n, self._network.flops, kernels)
        while len(self._all) < count:
            self._all.append(with_gradients(self._network, self._network.layers, self._fuse))
        for replica in self._all[:count]:
            replica.use(kernels)
        return count

    def backpropagate(self, batch, criterion, kernels):
        """See ``Network.backpropagate``."""
        n, network = len(batch), self._network
        count = self.shares(n, kernels)
        out = network.steps[-1].buffer("out of all shares", (n, *network.output_shape))
        losses = [0.0] * count
        self._draw(n, count)

        def run(number):
            first, last = _share(n, count, number)
            replica = self._all[number]
            loss, x = replica.criterion(criterion), replica.x(last - first)
            batch.fill(x, first, last)
            logits = replica.forward(x, training=True)
            losses[number] = loss.forward(logits, batch.labels[first:last], n)
            replica.backward(loss.backward())
            out[first:last] = logits

        on_threads(kernels, count, run)
        for replica in self._all[1:count]:
            kernels.add(network.grads, replica.grads)
        if network.state.size:
            self._merge_state(n, count)
        return sum(losses), out

    def _merge_state(self, n, count):
        """Let the state become the mean of what each share's forward made of it, in the order of the shares."""
        merged = 0
        for number, replica in enumerate(self._all[:count]):
            first, last = _share(n, count, number)
            merged = merged + (last - first) / n * replica.next_state
        self._network.state[...] = merged

    def _draw(self, n, count):
        """Draw random numbers for the whole batch at once, so that they don't depend on how it is cut."""
        for i, step in enumerate(self._network.steps):
            step.draw(n)
            for number in reversed(range(count)):  # the first, which has drawn them, comes last
                self._all[number].steps[i].take_drawn(step, *_share(n, count, number))


def on_threads(kernels, count, run):
    """Call ``run(number)`` for the numbers from 0 to ``count`` - 1, all at once."""

    def share(_, first, last):
        for number in range(first, last):
            run(number)

    kernels.run_parallel(count, share)


def _share(n, count, number):
    """Return the first image of a share, and where it ends."""
    return n * number // count, n * (number + 1) // count
