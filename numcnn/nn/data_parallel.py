"""Data parallelism: a batch is cut into shares, and each thread takes one through all layers, forward and backward.

Threads that share every single kernel wait for each other after each; this way they do once a step.  Each works on a
*replica* of the network: the same parameters, with gradients, outputs and memory of its own.  Afterwards the gradients
are added up in the order of the shares, so results are exactly repeatable for a fixed number of threads.  The layers'
next state (see ``Layer``) is merged alike: the mean of the shares', weighted with their numbers of images.
"""

from numcnn.kernels.buffers import zeros
from numcnn.nn import fusion

# Arithmetic of a forward pass below which another thread costs more than it saves: some 7 of MNIST's images.
LEAST_FLOPS = 1 << 25


class Replica:
    """The steps that run, the flat arrays that they fill (gradients (P,), next state (S,)), a place for the input."""

    def __init__(self, steps, grads, next_state, input_shape, dtype):
        self.steps, self.grads, self.next_state = steps, grads, next_state
        self._x = zeros((0, *input_shape), dtype)
        self._criterion = self._criterion_of = None

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

    def forward(self, x, training):
        """Run x (n, *input_shape) through all steps.  Return the last one's output, a buffer of its own."""
        for step in self.steps:
            x = step.forward(x, training)
        return x

    def backward(self, gradient, need_dx=False):
        """Run the output's gradient back through the steps: the chain rule, last step first.

        Return dx, or None if it isn't needed: then what lies before the first step with parameters isn't computed.
        """
        first = next((i for i, step in enumerate(self.steps) if step.specs), len(self.steps))
        last = 0 if need_dx else first
        for i in range(len(self.steps) - 1, last - 1, -1):
            gradient = self.steps[i].backward(gradient, need_dx=need_dx or i > first)
        return gradient if need_dx else None


class Replicas:
    """A network's replicas.  The first is the network itself; the others are made when there is work for them."""

    def __init__(self, network, fuse):
        self._network, self._fuse = network, fuse
        self._flops = max(1, sum(layer.flops() for layer in network.layers))
        self._all = [self._replica(network.layers, network.grads, network.next_state)]

    def __getitem__(self, number):
        return self._all[number]

    def use(self, kernels):
        """Hand all layers the back-end's module."""
        for step in (*self._network.layers, *(step for replica in self._all for step in replica.steps)):
            step.kernels = kernels

    def shares(self, n):
        """Return into how many shares n images are cut: one a thread, fewer for little work.  Make their replicas."""
        count = max(1, min(self._network.kernels.threads(), n, n * self._flops // LEAST_FLOPS))
        while len(self._all) < count:
            self._all.append(self._another())
            self.use(self._network.kernels)
        return count

    def backpropagate(self, batch, criterion):
        """See ``Network.backpropagate``."""
        n, network = len(batch), self._network
        count = self.shares(n)
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

        self.on_threads(count, run)
        for replica in self._all[1:count]:
            network.kernels.add(network.grads, replica.grads)
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

    def on_threads(self, count, run):
        """Call ``run(number)`` for the numbers from 0 to ``count`` - 1, all at once."""

        def share(_, first, last):
            for number in range(first, last):
                run(number)

        self._network.kernels.share(count, share)

    def _another(self):
        network = self._network
        grads, next_state = zeros(network.grads.shape, network.dtype), zeros(network.state.shape, network.dtype)
        views = network.named_arrays(grads)
        layers = [
            layer.replica({spec.name: views[f"{layer.name}.{spec.name}"] for spec in layer.specs}, state)
            for layer, state in zip(network.layers, network.state_of_layers(next_state), strict=True)
        ]
        return self._replica(layers, grads, next_state)

    def _replica(self, layers, grads, next_state):
        steps = fusion.fuse(layers) if self._fuse else list(layers)
        return Replica(steps, grads, next_state, self._network.input_shape, self._network.dtype)


def _share(n, count, number):
    """Return the first image of a share, and where it ends."""
    return n * number // count, n * (number + 1) // count
