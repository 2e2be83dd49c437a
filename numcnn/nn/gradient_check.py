"""Gradients one can see: check backward against numeric differences, and watch gradients while a network trains."""

from dataclasses import dataclass

import numpy as np

from numcnn.errors import ConfigError
from numcnn.kernels import get_backend
from numcnn.nn.layers import Layer
from numcnn.nn.losses import SoftmaxCrossEntropy
from numcnn.nn.network import Network

# Differences over a smaller step miss more kinks but keep fewer correct digits.
STEP_SHRINKS = (1.0, 0.5, 0.25, 0.125)

# Entries tried for each one wanted, before an array whose every entry lies near a kink is given up.
TRIES = 5

# An entry's error is relative to its own size, or to this share of the array's largest entry where that is larger:
# below it the rounding of the differences, about 1e-12, would be all that one sees.
SMALL_ENTRY = 1e-3


@dataclass(frozen=True)
class GradientRow:
    """The check of one array: ``analytic`` and ``numeric`` (1-D) hold the two values of every entry that was checked.

    ``worst_index`` points into the array; ``kinks`` counts entries left out because the function has a corner there.
    """

    name: str
    shape: tuple
    max_error: float
    worst_index: tuple
    worst_analytic: float
    worst_numeric: float
    kinks: int
    passed: bool
    analytic: np.ndarray
    numeric: np.ndarray


@dataclass(frozen=True)
class GradientReport:
    """What ``gradcheck`` found: one row per array.  Print it for a table, ``plot()`` it for a picture."""

    title: str
    rows: list
    tolerance: float

    @property
    def passed(self):
        """Whether every array's largest relative error is within the tolerance."""
        return all(row.passed for row in self.rows)

    @property
    def max_error(self):
        """The largest relative error of all arrays."""
        return max(row.max_error for row in self.rows)

    def __str__(self):
        head = ("array", "shape", "checked", "max error", "at", "backward", "numeric", "")
        table = [head]
        for row in self.rows:
            table.append(
                (
                    row.name,
                    "x".join(map(str, row.shape)),
                    str(len(row.analytic)) + (f" (-{row.kinks})" if row.kinks else ""),
                    f"{row.max_error:.1e}",
                    ",".join(map(str, row.worst_index)),
                    f"{row.worst_analytic:+.3e}",
                    f"{row.worst_numeric:+.3e}",
                    "ok" if row.passed else "WRONG",
                )
            )
        widths = [max(len(line[i]) for line in table) for i in range(len(head))]
        left = (0, 7)
        lines = [
            " ".join(
                f"{c:<{w}}" if i in left else f"{c:>{w}}" for i, (c, w) in enumerate(zip(row, widths, strict=True))
            )
            for row in table
        ]
        verdict = "every gradient agrees" if self.passed else "backward is WRONG where marked"
        closing = [f"{verdict}: largest relative error {self.max_error:.1e}, tolerance {self.tolerance:.0e}"]
        if any(row.kinks for row in self.rows):
            closing.append("(-n): n entries passed over, where a ReLU or max-pool changes its mind nearby")
        return "\n".join([self.title, *(line.rstrip() for line in lines), *closing])

    def to_json(self):
        """Return the report as a dict that JSON can hold, without the single values."""
        rows = [
            {
                "array": row.name,
                "shape": list(row.shape),
                "checked": len(row.analytic),
                "kinks": row.kinks,
                "max_error": _finite(row.max_error),
                "worst_index": list(row.worst_index),
                "backward": _finite(row.worst_analytic),
                "numeric": _finite(row.worst_numeric),
                "passed": row.passed,
            }
            for row in self.rows
        ]
        worst = _finite(max((row.max_error for row in self.rows), key=lambda error: (error != error, error)))
        return {"passed": self.passed, "max_error": worst, "tolerance": self.tolerance, "arrays": rows}

    def plot(self, path=None):
        """Return a matplotlib Figure of the report; also write it to ``path`` (.png) if given."""
        from numcnn.evaluation import plots

        figure = plots.gradcheck_plot(self)
        if path is not None:
            plots.save(figure, path)
        return figure


def _finite(value):
    """Return ``value``, or None for what JSON has no word for."""
    return value if np.isfinite(value) else None


def gradcheck(
    subject, x=None, *, input_shape=None, n=2, samples=200, eps=1e-3, tolerance=1e-7, backend="reference", seed=0
):
    """Compare backward with central differences in float64, for input and every parameter.  Return a GradientReport.

    For an entry p of any array, (f(p + eps) - f(p - eps)) / (2 eps) must be what backward says, where f is the sum of
    the outputs weighted with a random upstream gradient: with all weights 1 some wrong backwards would pass.  Two such
    differences, over eps and eps / 2, are combined to one that is exact to eps^4.

    subject: a Network, a Layer, or a SoftmaxCrossEntropy; it isn't changed, a float64 twin is checked.
    x: an input (N, *shape); by default ``n`` images of ``input_shape`` (default: the one the subject was built for),
    a shuffled sequence of distinct values, so that no max-pool sees a tie.
    samples: entries checked per array, drawn at random where it has more; None: all of them.
    """
    if samples is not None and samples < 1:
        raise ConfigError(f"gradcheck samples is {samples}; wants 1 or more")
    if seed < 0 or n < 1 or not eps > 0:
        raise ConfigError(
            f"gradcheck got seed {seed}, n {n}, eps {eps}; wants a seed of 0 or more, n of 1 or more, eps > 0"
        )
    rng = np.random.default_rng(seed)
    if isinstance(subject, SoftmaxCrossEntropy):
        return _check_loss(subject, x, input_shape or (10,), n, samples, eps, tolerance, backend, rng)
    network = _twin(subject, input_shape if x is None else np.shape(x)[1:], backend)
    if x is None:
        x = _distinct_values(rng, (n, *network.input_shape))
    x = np.array(x, np.float64)
    random_state = network.rng.bit_generator.state

    def forward():
        network.rng.bit_generator.state = random_state  # dropout draws the same mask every time
        return network.forward(x, training=True)

    def decisions():
        return [choice.copy() for step in network.steps for choice in step.decisions()]

    dout, state = rng.standard_normal(forward().shape), network.state.copy()
    dx = network.backward(dout, need_dx=True).copy()
    network.state[...] = state  # backward has updated it, but the differences are of the function it started from
    params, grads = network.named_arrays(network.params), network.named_arrays(network.grads.copy())
    rows = [_check("x", x, dx, forward, decisions, dout, samples, eps, tolerance, rng)]
    rows += [_check(k, params[k], grads[k], forward, decisions, dout, samples, eps, tolerance, rng) for k in params]
    title = f"{type(subject).__name__}: backward against central differences, float64, {network.backend_name} kernels"
    return GradientReport(title, rows, tolerance)


def _check_loss(loss, logits, shape, n, samples, eps, tolerance, backend, rng):
    """Check dlogits of the mean loss, with random labels."""
    logits = 2 * rng.standard_normal((n, *shape)) if logits is None else np.array(logits, np.float64)
    labels = rng.integers(0, logits.shape[1], len(logits))
    twin = SoftmaxCrossEntropy(get_backend(backend), loss.smoothing)

    def forward():
        return np.array(twin.forward(logits, labels))

    forward()
    dlogits = twin.backward().copy()
    row = _check("logits", logits, dlogits, forward, list, np.ones(()), samples, eps, tolerance, rng)
    title = f"softmax cross-entropy, smoothing {loss.smoothing:g}: backward against central differences, float64"
    return GradientReport(title, [row], tolerance)


def _twin(subject, input_shape, backend):
    """Return a float64 Network with the subject's parameters that can be perturbed freely."""
    if isinstance(subject, Network):
        return subject.copy(dtype=np.float64, backend=backend)
    if not isinstance(subject, Layer):
        raise ConfigError(
            f"gradcheck got a {type(subject).__name__}; wants a Layer, a Network or a SoftmaxCrossEntropy"
        )
    shape = input_shape or subject.in_shape
    if shape is None:
        raise ConfigError(f"gradcheck of {subject!r} needs input_shape, such as input_shape=(6, 8, 3)")
    layer = type(subject)(**subject.config())
    network = Network([layer], shape, dtype=np.float64, backend=backend)
    for name, values in subject.params.items():
        layer.params[name][...] = values
    for name, values in subject.state.items():
        layer.state[name][...] = values
    return network


def _distinct_values(rng, shape):
    """Return a shuffled sequence of evenly spaced values in [-1, 1]: no ties, no zero."""
    size = int(np.prod(shape))
    return rng.permutation(np.linspace(-1, 1, size + size % 2)[:size]).reshape(shape)


def _check(name, array, gradient, forward, decisions, dout, samples, eps, tolerance, rng):
    """Compare entries of ``gradient`` with differences of the forward pass around ``array``, perturbed in place."""
    wanted = array.size if samples is None else min(samples, array.size)
    forward()
    base = decisions()
    checked, numeric, kinks = [], [], 0
    candidates = np.arange(array.size) if wanted == array.size else rng.permutation(array.size)[: TRIES * wanted]
    for i in candidates:
        slope = _slope(array, np.unravel_index(i, array.shape), forward, decisions, base, dout, eps)
        if slope is None:
            kinks += 1
        else:
            checked.append(i)
            numeric.append(slope)
        if len(checked) == wanted:
            break
    analytic = gradient.reshape(-1)[checked]
    return _row(name, array.shape, np.array(checked, int), analytic, np.array(numeric), kinks, tolerance)


def _slope(array, index, forward, decisions, base, dout, eps):
    """Return the slope of sum(dout * output) at one entry, or None where a ReLU or pool changes its mind nearby.

    Around such a kink a difference is no derivative.  A smaller step may stay clear of it.
    """
    value = array[index]

    def central_difference(step):
        """Return the difference quotient over +-step; None across a kink."""
        outputs = []
        for moved in (value + step, value - step):
            array[index] = moved
            outputs.append(forward().copy())
            if not all(np.array_equal(a, b) for a, b in zip(decisions(), base, strict=True)):
                return None
        taken = (value + step) - (value - step)  # 2 * step as it was rounded
        return float(((outputs[0] - outputs[1]) * dout).sum() / taken)

    try:
        for shrink in STEP_SHRINKS:
            whole, half = central_difference(eps * shrink), central_difference(eps * shrink / 2)
            if whole is not None and half is not None:
                # The error of a central difference is a step^2 + b step^4 + ...; together they are rid of the first
                # term (Richardson 1911), so that the step can be large and rounding small.
                return (4 * half - whole) / 3
        return None
    finally:
        array[index] = value


def _row(name, shape, checked, analytic, numeric, kinks, tolerance):
    if len(checked) == 0:  # nothing could be compared: that is no pass
        nothing = np.zeros(0)
        return GradientRow(name, shape, np.inf, (), np.nan, np.nan, kinks, False, nothing, nothing)
    small = SMALL_ENTRY * np.abs(numeric).max()
    size = np.maximum(np.maximum(np.abs(analytic), np.abs(numeric)), small)
    error = np.abs(analytic - numeric) / np.where(size > 0, size, 1)
    worst = int(np.argmax(error))  # a NaN counts as the worst
    at = tuple(int(i) for i in np.unravel_index(checked[worst], shape))
    return GradientRow(
        name=name,
        shape=shape,
        max_error=float(error[worst]),
        worst_index=at,
        worst_analytic=float(analytic[worst]),
        worst_numeric=float(numeric[worst]),
        kinks=kinks,
        passed=bool(error[worst] <= tolerance),
        analytic=analytic,
        numeric=numeric,
    )


class GradientWatch:
    """Follow each layer's gradient norm (before any clipping), weight norm and update/weight ratio over an epoch.

    A healthy update is about a thousandth of the weights; far more shakes them, far less learns nothing.
    """

    def __init__(self, network):
        self._network = network
        self._places = {}  # layer -> its part of the flat arrays
        for key, place in network.slices.items():
            layer = key.split(".")[0]
            start = self._places[layer].start if layer in self._places else place.start
            self._places[layer] = slice(start, place.stop)
        self._before = np.empty_like(network.params)
        self.sums = {name: 0.0 for name in self.columns}

    @property
    def columns(self):
        """The names of the values: ``conv1.gradient_norm``, ``conv1.weight_norm``, ``conv1.update_ratio`` ..."""
        return [
            f"{layer}.{kind}" for layer in self._places for kind in ("gradient_norm", "weight_norm", "update_ratio")
        ]

    def before_step(self):
        """Call right after backward, before gradients are clipped and the optimiser steps."""
        self._before[...] = self._network.params
        for layer, place in self._places.items():
            self.sums[f"{layer}.gradient_norm"] += float(np.linalg.norm(self._network.grads[place]))

    def after_step(self):
        """Call after the optimiser's step."""
        for layer, place in self._places.items():
            weights = self._before[place]
            weight_norm = float(np.linalg.norm(weights))
            np.subtract(self._network.params[place], weights, out=weights)
            update_norm = float(np.linalg.norm(weights))
            self.sums[f"{layer}.weight_norm"] += weight_norm
            self.sums[f"{layer}.update_ratio"] += update_norm / weight_norm if weight_norm else 0.0

    def row(self, steps):
        """Return name -> mean over the ``steps`` since the last call, and start over."""
        means = {name: total / steps for name, total in self.sums.items()}
        self.sums = {name: 0.0 for name in self.columns}
        return means
