"""Gradients one can see: check backward against numeric differences."""

import html
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

# An entry's error is relative to its own size, or to a share of the largest entry of its array or of the whole report
# where that is larger.  Below these the rounding of the differences, about 1e-12 of the network's largest gradient, is
# all that one sees: so for a bias before a batch normalisation, whose true gradient is zero.
SMALL_ENTRY = 1e-3
SMALL_ARRAY = 1e-5


@dataclass(frozen=True)
class GradientRow:
    """The check of one array: ``analytic`` and ``numeric`` (1-D) hold the two values of every entry that was checked.

    ``worst_index`` points into the array; ``kinks`` counts entries left out because the function has a corner there.
    ``passed`` is None where no entry could be checked, and then ``max_error`` is NaN.
    """

    name: str
    shape: tuple
    max_error: float
    worst_index: tuple
    worst_analytic: float
    worst_numeric: float
    kinks: int
    passed: bool | None
    analytic: np.ndarray
    numeric: np.ndarray

    @property
    def verdict(self):
        """The row's result in a word: "ok", "WRONG" or "not checked"."""
        return {True: "ok", False: "WRONG", None: "not checked"}[self.passed]

    def cells(self):
        """Return the row's texts, one for each name in ``COLUMNS``."""
        checked = str(len(self.analytic)) + (f" (-{self.kinks})" if self.kinks else "")
        found = ("-", "-", "-", "-")
        if self.passed is not None:
            at = ",".join(map(str, self.worst_index))
            found = (f"{self.max_error:.1e}", at, f"{self.worst_analytic:+.3e}", f"{self.worst_numeric:+.3e}")
        return self.name, "x".join(map(str, self.shape)), checked, *found, self.verdict


COLUMNS = ("array", "shape", "checked", "max error", "at", "backward", "numeric", "")


@dataclass(frozen=True)
class GradientReport:
    """What ``gradcheck`` found: one row per array.  Print it for a table, ``plot()`` it for a picture."""

    title: str
    rows: list
    tolerance: float

    @property
    def passed(self):
        """Whether no array is wrong and at least one was checked; ``unchecked`` names those that say nothing."""
        return any(row.passed for row in self.rows) and not any(row.passed is False for row in self.rows)

    @property
    def unchecked(self):
        """The names of the arrays of which no entry could be checked."""
        return [row.name for row in self.rows if row.passed is None]

    @property
    def max_error(self):
        """The largest relative error of all arrays checked, NaN if one of them is NaN or none was checked."""
        return float(np.max([row.max_error for row in self.rows if row.passed is not None] or [np.nan]))

    def conclusion(self):
        """Return the lines that sum up the table."""
        unchecked = ", ".join(self.unchecked)
        if all(row.passed is None for row in self.rows):
            return ["nothing could be checked: try another seed or input, or more samples"]
        if not self.passed:
            verdict = "backward is WRONG where marked"
        elif unchecked:
            verdict = "every gradient that could be checked agrees"
        else:
            verdict = "every gradient agrees"
        lines = [f"{verdict}: largest relative error {self.max_error:.1e}, tolerance {self.tolerance:.0e}"]
        if unchecked:
            lines.append(f"not checked: {unchecked}; try another seed or input, or more samples")
        if any(row.kinks for row in self.rows):
            lines.append("(-n): n entries passed over, where a ReLU or max-pool changes its mind nearby")
        return lines

    def __str__(self):
        table = [COLUMNS, *(row.cells() for row in self.rows)]
        widths = [max(len(line[i]) for line in table) for i in range(len(COLUMNS))]
        left = (0, 7)
        lines = [
            " ".join(
                f"{c:<{w}}" if i in left else f"{c:>{w}}" for i, (c, w) in enumerate(zip(row, widths, strict=True))
            )
            for row in table
        ]
        return "\n".join([self.title, *(line.rstrip() for line in lines), *self.conclusion()])

    def _repr_html_(self):
        """Return the table as HTML, for a notebook."""

        def line(tag, cells):
            return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

        rows = "".join(line("td", row.cells()) for row in self.rows)
        foot = "<br>".join(map(html.escape, self.conclusion()))
        return (
            f"<table><caption>{html.escape(self.title)}</caption>"
            f"<thead>{line('th', COLUMNS)}</thead><tbody>{rows}</tbody></table><p>{foot}</p>"
        )

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
        return {
            "passed": self.passed,
            "max_error": _finite(self.max_error),
            "tolerance": self.tolerance,
            "unchecked": self.unchecked,
            "arrays": rows,
        }

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
    subject,
    x=None,
    *,
    input_shape=None,
    n=2,
    samples=200,
    eps=1e-3,
    tolerance=1e-7,
    backend="reference",
    seed=0,
    progress=None,
):
    """Compare backward with central differences in float64, for input and every parameter.  Return a GradientReport.

    For an entry p of any array, (f(p + eps) - f(p - eps)) / (2 eps) must be what backward says, where f is the sum of
    the outputs weighted with a random upstream gradient: with all weights 1 some wrong backwards would pass.  Two such
    differences, over eps and eps / 2, are combined to one that is exact to eps^4.

    subject: a Network, a Layer, or a SoftmaxCrossEntropy; it isn't changed, a float64 twin is checked.
    x: an input (N, *shape); by default ``n`` images of ``input_shape`` (default: the one the subject was built for),
    a shuffled sequence of distinct values, so that no max-pool sees a tie.
    samples: entries checked per array, drawn at random where it has more; None: all of them.
    progress: called after each entry with the array's name, the number of entries dealt with and that of all.
    """
    if samples is not None and samples < 1:
        raise ConfigError(f"gradcheck samples is {samples}; wants 1 or more")
    if seed < 0 or n < 1 or not eps > 0:
        raise ConfigError(
            f"gradcheck got seed {seed}, n {n}, eps {eps}; wants a seed of 0 or more, n of 1 or more, eps > 0"
        )
    rng = np.random.default_rng(seed)
    if isinstance(subject, SoftmaxCrossEntropy):
        title, probe, arrays = _loss_to_check(subject, x, input_shape or (10,), n, eps, backend, rng)
    else:
        title, probe, arrays = _network_to_check(subject, x, input_shape, n, eps, backend, rng)

    wanted = {name: array.size if samples is None else min(samples, array.size) for name, (array, _) in arrays.items()}
    total, before, found = sum(wanted.values()), 0, []
    for name, (array, gradient) in arrays.items():
        entries = _compare(probe, array, wanted[name], rng)
        checked, numeric, kinks = [], [], 0
        for i, slope in entries:
            if slope is None:
                kinks += 1
            else:
                checked.append(i)
                numeric.append(slope)
            if progress:
                progress(name, before + len(checked), total)
        before += wanted[name]
        found.append(
            (name, array.shape, np.array(checked, int), gradient.reshape(-1)[checked], np.array(numeric), kinks)
        )
    if progress:
        progress(name, total, total)
    # The scale of the numeric values alone: a wrong backward must not raise the floor for the others.
    floor = SMALL_ARRAY * max((np.abs(numeric).max() for *_, numeric, _ in found if len(numeric)), default=0.0)
    return GradientReport(title, [_row(*one, floor, tolerance) for one in found], tolerance)


def _network_to_check(subject, x, input_shape, n, eps, backend, rng):
    """Return the report's title, the ``_Probe`` and name -> (array, gradient) of a network or layer."""
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
    arrays = {"x": (x, dx), **{name: (params[name], grads[name]) for name in params}}
    title = f"{type(subject).__name__}: backward against central differences, float64, {network.backend_name} kernels"
    return title, _Probe(forward, decisions, dout, eps), arrays


def _loss_to_check(loss, logits, shape, n, eps, backend, rng):
    """Return the report's title, the ``_Probe`` and name -> (array, gradient) of the mean loss, with random labels."""
    logits = 2 * rng.standard_normal((n, *shape)) if logits is None else np.array(logits, np.float64)
    labels = rng.integers(0, logits.shape[1], len(logits))
    twin = SoftmaxCrossEntropy(get_backend(backend), loss.smoothing)

    def forward():
        return np.array(twin.forward(logits, labels))

    forward()
    title = f"softmax cross-entropy, smoothing {loss.smoothing:g}: backward against central differences, float64"
    return title, _Probe(forward, list, np.ones(()), eps), {"logits": (logits, twin.backward().copy())}


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


def _compare(probe, array, wanted, rng):
    """Yield (entry, slope) for entries of ``array`` until ``wanted`` of them have a slope; None across a kink."""
    probe.start()
    candidates = np.arange(array.size) if wanted == array.size else rng.permutation(array.size)[: TRIES * wanted]
    for i in candidates:
        slope = probe.slope(array, np.unravel_index(i, array.shape))
        yield i, slope
        wanted -= slope is not None
        if not wanted:
            return


class _Probe:
    """Measures slopes of sum(dout * forward()), a function of arrays that it perturbs in place."""

    def __init__(self, forward, decisions, dout, eps):
        self._forward, self._decisions, self._dout, self._eps = forward, decisions, dout, eps

    def start(self):
        """Remember which way each ReLU and max-pool decides, unperturbed."""
        self._forward()
        self._base = self._decisions()

    def slope(self, array, index):
        """Return the slope at one entry, or None where a ReLU or pool changes its mind nearby.

        Around such a kink a difference is no derivative.  A smaller step may stay clear of it.
        """
        value = array[index]
        try:
            for shrink in STEP_SHRINKS:
                step = self._eps * shrink
                whole, half = (self._central_difference(array, index, value, h) for h in (step, step / 2))
                if whole is not None and half is not None:
                    # The error of a central difference is a step^2 + b step^4 + ...; together they are rid of the
                    # first term (Richardson 1911), so that the step can be large and rounding small.
                    return (4 * half - whole) / 3
            return None
        finally:
            array[index] = value

    def _central_difference(self, array, index, value, step):
        """Return the difference quotient over value +- step; None across a kink."""
        outputs = []
        for moved in (value + step, value - step):
            array[index] = moved
            outputs.append(self._forward().copy())
            if not all(np.array_equal(a, b) for a, b in zip(self._decisions(), self._base, strict=True)):
                return None
        taken = (value + step) - (value - step)  # 2 * step as it was rounded
        return float(((outputs[0] - outputs[1]) * self._dout).sum() / taken)


def _row(name, shape, checked, analytic, numeric, kinks, floor, tolerance):
    """Return the GradientRow of entries ``checked``; floor: the size below which an error is not relative any more."""
    if len(checked) == 0:
        nothing = np.zeros(0)
        return GradientRow(name, shape, np.nan, (), np.nan, np.nan, kinks, None, nothing, nothing)
    small = max(SMALL_ENTRY * np.abs(numeric).max(), floor)
    size = np.maximum(np.maximum(np.abs(analytic), np.abs(numeric)), small)
    error = np.abs(analytic - numeric) / np.where(size > 0, size, 1)
    worst = int(np.argmax(error))  # a NaN counts as the worst
    return GradientRow(
        name=name,
        shape=shape,
        max_error=float(error[worst]),
        worst_index=tuple(int(i) for i in np.unravel_index(checked[worst], shape)),
        worst_analytic=float(analytic[worst]),
        worst_numeric=float(numeric[worst]),
        kinks=kinks,
        passed=bool(error[worst] <= tolerance),
        analytic=analytic,
        numeric=numeric,
    )
