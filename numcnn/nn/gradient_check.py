"""Check backward against numeric differences, entry by entry."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from numcnn.errors import ConfigError, ShapeError
from numcnn.kernels import get_backend
from numcnn.kernels.arrays import AnyArray, Float64s, Floats, as_array
from numcnn.kernels.protocol import Kernels
from numcnn.kernels.thread_team import one_blas_thread
from numcnn.nn.gradient_report import GradientReport, GradientRow
from numcnn.nn.layer import Layer
from numcnn.nn.losses import SoftmaxCrossEntropy
from numcnn.nn.network import Network

# Differences over a smaller step miss more kinks but keep fewer correct digits.
STEP_SHRINKS = (1.0, 0.5, 0.25, 0.125)

# An entry that seems wrong is measured again with steps smaller by these factors.  The error counts only as far as it
# exceeds the spread of these differences.  They spread where the function bends sharply, as batch normalisation of two
# values does, and where they are all rounding, as for a bias before a BatchNorm, whose true gradient is zero.  If
# backward is wrong, they agree with each other.  An entry whose differences spread by more than the tolerance counts as
# not checked, unless its error exceeds even that.
SECOND_LOOKS = (1 / 8, 1 / 64)

# Entries tried per entry wanted, before giving up on an array whose entries are all near kinks.
TRIES = 5

# An entry's error is relative to its own size or, where that is larger, to these fractions of the largest entry of its
# array and of the whole report.
SMALL_ENTRY = 1e-3
SMALL_ARRAY = 1e-5


@runtime_checkable
class HasKinks(Protocol):
    """A layer that is piecewise linear, such as ReLU: around its kinks a difference is no derivative."""

    def decisions(self) -> tuple[AnyArray, ...]:
        """Return arrays that say which of its linear pieces the layer was on in the last training forward."""
        ...


class _Subject(NamedTuple):
    """What is checked: the report's title, the probe that measures slopes, name -> (array, gradient by backward)."""

    title: str
    probe: "_Probe"
    arrays: dict[str, tuple[Floats, Floats]]


@dataclass(frozen=True)
class _Settings:
    """See ``gradcheck``."""

    n: int
    samples: int | None
    eps: float
    tolerance: float
    backend: str | Kernels
    seed: int

    def __post_init__(self) -> None:
        if self.samples is not None and self.samples < 1:
            raise ConfigError(f"gradcheck samples is {self.samples}; wants 1 or more")
        if self.seed < 0 or self.n < 1 or not self.eps > 0:
            raise ConfigError(
                f"gradcheck got seed {self.seed}, n {self.n}, eps {self.eps}; wants a seed of 0 or more, "
                "n of 1 or more, eps > 0"
            )


def gradcheck(  # noqa: PLR0913 (settings, by keyword)
    subject: Network | Layer | SoftmaxCrossEntropy,
    x: npt.ArrayLike | None = None,
    *,
    input_shape: Sequence[int] | None = None,
    n: int = 2,
    samples: int | None = 200,
    eps: float = 1e-3,
    tolerance: float = 1e-7,
    backend: str | Kernels = "reference",
    seed: int = 0,
    progress: Callable[[str, int, int], object] | None = None,
) -> GradientReport:
    """Compare backward with central differences in float64, for input and every parameter.  Return a GradientReport.

    For an entry p of any array, (f(p + eps) - f(p - eps)) / (2 eps) must equal the result of backward, where f is the
    sum of the outputs weighted by a random upstream gradient: with all weights 1 some wrong backwards would pass.  Two
    such differences, over eps and eps / 2, are combined into one that is exact to eps^4.

    subject: a Network, a Layer, or a SoftmaxCrossEntropy; it isn't changed, a float64 copy is checked.
    x: an input (N, *shape); by default ``n`` images of ``input_shape`` (default: the one the subject was built for),
    a shuffled sequence of distinct values, so that no max-pool has a tie.
    samples: entries checked per array, drawn at random where it has more; None: all of them.
    progress: called after each entry with the array's name, the number of entries done and of all entries.
    Raises ConfigError for a layer that changes x or dout in place: the gradients of its neighbours would be wrong.
    """
    if x is not None and (x := as_array("gradcheck: x", x)).ndim == 0:
        raise ShapeError(f"gradcheck got {x!r}; wants an input (N, *shape)")
    settings = _Settings(n, samples, eps, tolerance, backend, seed)
    with one_blas_thread:  # the matrix products are too small to split among threads
        return _check(subject, x, input_shape, settings, progress)


def _check(
    subject: Network | Layer | SoftmaxCrossEntropy,
    x: npt.ArrayLike | None,
    input_shape: Sequence[int] | None,
    settings: _Settings,
    progress: Callable[[str, int, int], object] | None,
) -> GradientReport:
    """See ``gradcheck``."""
    rng = np.random.default_rng(settings.seed)
    if isinstance(subject, SoftmaxCrossEntropy):
        checked = _loss_to_check(subject, x, tuple(input_shape or (10,)), settings, rng)
    else:
        checked = _network_to_check(subject, x, input_shape, settings, rng)
    measured = _measure_all(checked, settings.samples, rng, progress)
    # From the numeric values alone, so that a wrong backward can't raise the floor for others.
    largest = max((np.abs(one.numeric).max() for one in measured if len(one.numeric)), default=0.0)
    floor = SMALL_ARRAY * float(largest)
    rows = [_row(one, checked.probe, floor, settings.tolerance) for one in measured]
    return GradientReport(checked.title, rows, settings.tolerance)


def _network_to_check(
    subject: Network | Layer,
    x: npt.ArrayLike | None,
    input_shape: Sequence[int] | None,
    settings: _Settings,
    rng: np.random.Generator,
) -> _Subject:
    """Return the arrays to check of a network or layer: x and all parameters."""
    network = _twin(subject, input_shape if x is None else np.shape(x)[1:], settings.backend)
    if x is None:
        x = _distinct_values(rng, (settings.n, *network.input_shape))
    inputs = np.array(x, np.float64)
    random_state = network.rng.bit_generator.state

    def forward() -> Floats:
        network.rng.bit_generator.state = random_state  # dropout draws the same mask every time
        return network.forward(inputs, training=True)

    kinked = [step for step in network.steps if isinstance(step, HasKinks)]

    def decisions() -> list[AnyArray]:
        return [choice.copy() for step in kinked for choice in step.decisions()]

    dout, state = rng.standard_normal((len(inputs), *network.output_shape)), network.state.copy()
    _refuse_changes_in_place(network, inputs, dout)
    forward()
    dx = network.backward(dout, need_dx=True)
    assert dx is not None
    dx = dx.copy()
    network.state[...] = state  # backward has updated it, but the differences need the state from before
    params, grads = network.named_arrays(network.params), network.named_arrays(network.grads.copy())
    arrays = {"x": (inputs, dx), **{name: (params[name], grads[name]) for name in params}}
    title = f"{type(subject).__name__}: backward against central differences, float64, {network.backend_name} kernels"
    return _Subject(title, _Probe(forward, decisions, dout, settings.eps), arrays)


def _refuse_changes_in_place(network: Network, x: Float64s, dout: Float64s) -> None:
    """Run a copy of x (N, *input_shape) forward and of dout back; ConfigError for a step that writes to either."""
    inputs: list[Floats] = [x.copy()]
    gradient: Floats | None = dout.copy()
    with network.kernels.computing():
        for step in network.steps:
            before = inputs[-1].tobytes()
            out = step.forward(inputs[-1], training=True)
            _refuse_change(step, "_forward", "its input x", before, inputs[-1])
            inputs.append(out)
        for step, one_input in zip(reversed(network.steps), reversed(inputs[:-1]), strict=True):
            assert gradient is not None  # each step is asked for dx
            before = one_input.tobytes(), gradient.tobytes()
            dx = step.backward(gradient)
            _refuse_change(step, "_backward", "its dout", before[1], gradient)
            _refuse_change(step, "_backward", "forward's input x", before[0], one_input)
            gradient = dx


def _refuse_change(step: Layer, method: str, what: str, before: bytes, array: Floats) -> None:
    if array.tobytes() != before:
        raise ConfigError(
            f"{step.name}: {type(step).__name__}.{method} changed {what} in place; other layers need it as it "
            "was: compute a new array (y = 2 * x, not x *= 2)"
        )


def _loss_to_check(
    loss: SoftmaxCrossEntropy,
    x: npt.ArrayLike | None,
    shape: tuple[int, ...],
    settings: _Settings,
    rng: np.random.Generator,
) -> _Subject:
    """Return the array to check of a loss: the logits x, with random labels."""
    logits = 2 * rng.standard_normal((settings.n, *shape)) if x is None else np.array(x, np.float64)
    labels = rng.integers(0, logits.shape[1], len(logits))
    twin = SoftmaxCrossEntropy(get_backend(settings.backend), loss.smoothing)

    def forward() -> Floats:
        return np.array(twin.forward(logits, labels))

    def decisions() -> list[AnyArray]:
        return []

    forward()
    title = f"softmax cross-entropy, smoothing {loss.smoothing:g}: backward against central differences, float64"
    probe = _Probe(forward, decisions, np.ones(()), settings.eps)
    return _Subject(title, probe, {"logits": (logits, twin.backward().copy())})


def _twin(subject: object, input_shape: Sequence[int] | None, backend: str | Kernels) -> Network:
    """Return a float64 Network with the subject's parameters that can be perturbed freely."""
    if isinstance(subject, Network):
        return subject.copy(dtype=np.float64, backend=backend)
    if not isinstance(subject, Layer):
        raise ConfigError(
            f"gradcheck got a {type(subject).__name__}; wants a Layer, a Network or a SoftmaxCrossEntropy"
        )
    shape: Sequence[int] | None = input_shape or getattr(subject, "in_shape", None)
    if shape is None:
        raise ConfigError(f"gradcheck of {subject!r} needs input_shape, such as input_shape=(6, 8, 3)")
    layer = type(subject)(**subject.config())
    network = Network([layer], shape, dtype=np.float64, backend=backend)
    for name, values in subject.params.items():
        layer.params[name][...] = values
    for name, values in subject.state.items():
        layer.state[name][...] = values
    return network


def _distinct_values(rng: np.random.Generator, shape: tuple[int, ...]) -> Float64s:
    """Return a shuffled sequence of evenly spaced values in [-1, 1]: no ties, no zero."""
    size = int(np.prod(shape))
    return rng.permutation(np.linspace(-1, 1, size + size % 2)[:size]).reshape(shape)


class _Measured(NamedTuple):
    """The slopes of one array's entries, by backward and by differences."""

    name: str
    array: Floats
    entries: "np.ndarray[Any, np.dtype[np.intp]]"  # which, in the flattened array
    analytic: Floats
    numeric: Float64s
    kinks: int


def _measure_all(
    subject: _Subject,
    samples: int | None,
    rng: np.random.Generator,
    progress: Callable[[str, int, int], object] | None,
) -> list[_Measured]:
    """Measure the slopes of up to ``samples`` entries of each array."""
    arrays = subject.arrays
    wanted = {name: array.size if samples is None else min(samples, array.size) for name, (array, _) in arrays.items()}
    total, before, found = sum(wanted.values()), 0, list[_Measured]()
    for name, (array, gradient) in arrays.items():
        entries, numeric, kinks = list[int](), list[float](), 0
        for i, slope in _slopes(subject.probe, array, wanted[name], rng):
            if slope is None:
                kinks += 1
            else:
                entries.append(i)
                numeric.append(slope)
            if progress:
                progress(name, before + len(entries), total)
        before += wanted[name]
        index = np.array(entries, np.intp)
        found.append(_Measured(name, array, index, gradient.reshape(-1)[index], np.array(numeric), kinks))
    if progress:
        progress(found[-1].name, total, total)
    return found


def _slopes(
    probe: "_Probe", array: Floats, wanted: int, rng: np.random.Generator
) -> Iterator[tuple[int, float | None]]:
    """Yield (entry, slope) for entries of ``array`` until ``wanted`` of them have a slope; None across a kink."""
    probe.start()
    candidates = np.arange(array.size) if wanted == array.size else rng.permutation(array.size)[: TRIES * wanted]
    for i in candidates:
        slope = probe.slope(array, int(i))
        yield int(i), slope
        wanted -= slope is not None
        if not wanted:
            return


class _Probe:
    """Measures slopes of f = sum(dout * forward()), a function of arrays that it perturbs in place."""

    def __init__(
        self, forward: Callable[[], Floats], decisions: Callable[[], list[AnyArray]], dout: Float64s, eps: float
    ) -> None:
        self._forward, self._decisions, self._dout, self._eps = forward, decisions, dout, eps
        self.start()

    def start(self) -> None:
        """Record the unperturbed decision of each ReLU and max-pool."""
        self._forward()
        self._base = self._decisions()

    def slope(self, array: Floats, entry: int, shrink: float = 1.0) -> float | None:
        """Return the slope at one entry, or None where a ReLU or pool switches nearby.

        Around such a kink a difference is no derivative.  A smaller step may stay clear of it.
        """
        index = np.unravel_index(entry, array.shape)
        value = array[index]
        try:
            for step in (self._eps * shrink * more for more in STEP_SHRINKS):
                whole, half = (self._central_difference(array, index, value, h) for h in (step, step / 2))
                if whole is not None and half is not None:
                    # The error of a central difference is a step^2 + b step^4 + ...; the combination cancels the
                    # first term (Richardson 1911), so that the step can be large and rounding small.
                    return (4 * half - whole) / 3
            return None
        finally:
            array[index] = value

    def _central_difference(self, array: Floats, index: tuple[np.intp, ...], value: float, step: float) -> float | None:
        """Return the difference quotient over value +- step; None across a kink."""
        outputs: list[Floats] = []
        for moved in (value + step, value - step):
            array[index] = moved
            outputs.append(self._forward().copy())
            if not all(np.array_equal(a, b) for a, b in zip(self._decisions(), self._base, strict=True)):
                return None
        with np.errstate(all="ignore"):  # what isn't finite comes out as NaN or infinite, and so as wrong
            taken = (value + step) - (value - step)  # 2 * step as it was rounded
            return float(((outputs[0] - outputs[1]) * self._dout).sum() / taken)


def _row(measured: _Measured, probe: _Probe, floor: float, tolerance: float) -> GradientRow:
    """Return an array's row; floor: the least size that errors are relative to."""
    name, array, entries, analytic, numeric, kinks = measured
    numeric, doubt = numeric.copy(), np.zeros(len(entries))
    for i in np.flatnonzero(~(_errors(analytic, numeric, doubt, floor) <= tolerance)):
        again = (probe.slope(array, int(entries[i]), shrink) for shrink in SECOND_LOOKS)
        looks = [float(numeric[i]), *(slope for slope in again if slope is not None)]
        numeric[i], doubt[i] = np.median(looks), max(looks) - min(looks)
    error = _errors(analytic, numeric, doubt, floor)
    # Within its doubt, but the doubt exceeds the tolerance: that is neither right nor wrong.
    known = ~((error <= tolerance) & (doubt > tolerance * _sizes(analytic, numeric, floor)))
    entries, analytic, numeric, error = entries[known], analytic[known], numeric[known], error[known]
    kinks += int((~known).sum())
    if len(entries) == 0:
        nothing = np.zeros(0)
        return GradientRow(name, array.shape, np.nan, (), np.nan, np.nan, kinks, None, nothing, nothing)
    worst = int(np.argmax(error))  # a NaN counts as the worst
    return GradientRow(
        name=name,
        shape=array.shape,
        max_error=float(error[worst]),
        worst_index=tuple(int(i) for i in np.unravel_index(int(entries[worst]), array.shape)),
        worst_analytic=float(analytic[worst]),
        worst_numeric=float(numeric[worst]),
        kinks=kinks,
        passed=bool(error[worst] <= tolerance),
        analytic=analytic,
        numeric=numeric,
    )


def _errors(analytic: Floats, numeric: Float64s, doubt: Float64s, floor: float) -> Float64s:
    """Return each entry's error beyond ``doubt``, relative to its size or, if larger, to the floors."""
    size = _sizes(analytic, numeric, floor)
    with np.errstate(all="ignore"):  # NaN stays NaN, which is wrong
        return np.maximum(np.abs(analytic - numeric) - doubt, 0) / np.where(size > 0, size, 1)


def _sizes(analytic: Floats, numeric: Float64s, floor: float) -> Float64s:
    """Return what each entry's error is relative to: its size, or what counts as small."""
    small = max(SMALL_ENTRY * float(np.abs(numeric).max(initial=0)), floor)
    return np.maximum(np.maximum(np.abs(analytic), np.abs(numeric)), small)
