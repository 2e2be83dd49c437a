"""Every number between a picture and its gradient, and how each is made: ``numcnn.trace``.

    trace = numcnn.trace(network, "seven.png", 7)
    print(trace)                                         # each array: shape, norm, share of zeros
    trace["conv2"]["dw"]                                 # (3,3,32,64)
    print(trace.explain("conv2", "dw", (1, 2, 3, 4)))    # the terms whose sum is that entry
    trace.plot("pool1")                                  # a matplotlib figure; without a name an overview
    trace.save_html("lens.html")                         # all of it, to click through in a browser

The layers run one by one in float64 on the reference kernels, so that a sum of terms equals the stored value to about
twelve digits.  Weights are those of the network, so the numbers agree with its own to float32's seven digits.
"""

import base64
import html
import io
import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from numcnn.errors import ConfigError
from numcnn.kernels.arrays import AnyArray, Float64s
from numcnn.kernels.thread_team import one_blas_thread
from numcnn.nn import terms
from numcnn.nn.layer import Layer
from numcnn.nn.layers import Dropout
from numcnn.nn.losses import SoftmaxCrossEntropy
from numcnn.nn.network import Network
from numcnn.nn.pixels import Pictures, PixelReader, readable
from numcnn.nn.summary import shape_in_words
from numcnn.nn.terms import Explains, Index, Jacobian, Made
from numcnn.nn.traced import COLUMNS, LOSS, PICTURE, Explanation, Row, Stop, finite, statistics

if TYPE_CHECKING:
    from numcnn.evaluation.plots.style import Figure

# A sum of terms may differ from the stored value by this much of it, or of all terms' sizes (where they cancel).
SUM_TOLERANCE, CANCELLED = 1e-6, 1e-12


class Trace:
    """What a network computed for one picture, forward and backward.  Made by ``trace``.

    ``stops``: the picture, the layers and the loss, in order of the forward pass; ``trace["conv1"]`` is one of them.
    ``label``, ``loss``, ``probabilities`` (C,): softmax of the logits as in training, without the temperature.
    """

    def __init__(self, stops: list[Stop], label: int, network: Network) -> None:
        """network: the copy whose layers ran."""
        self.stops = stops
        self.label = label
        self.network = network
        self._by_name = {stop.name: stop for stop in stops}
        self._jacobians: dict[str, dict[str, Jacobian]] = {}

    def __getitem__(self, layer: str) -> Stop:
        if layer not in self._by_name:
            raise ConfigError(f"the trace has no layer {layer!r}; it has {', '.join(self._by_name)}")
        return self._by_name[layer]

    @property
    def loss(self) -> float:
        """The loss of the picture with the label: -log of the label's probability."""
        return float(self[LOSS]["out"])

    @property
    def probabilities(self) -> Float64s:
        """Softmax of the logits (C,)."""
        return self[LOSS]["p"]

    @property
    def answer(self) -> int:
        """The class with the largest logit."""
        return int(self.probabilities.argmax())

    def rows(self) -> list[Row]:
        """Return what the table says, an array a row; "x" and "dout" are left out, the neighbours' "out" and "dx"."""
        return [
            Row(stop.name, name, a.shape, *statistics(a)[:2])
            for stop in self.stops
            for name, a in stop.arrays.items()
            if not (stop.layer and name in ("x", "dout"))
        ]

    def to_json(self) -> dict[str, Any]:
        """Return label, answer, probabilities, loss and the rows as a dict that JSON can hold."""
        return {
            "label": self.label,
            "answer": self.answer,
            "probabilities": [finite(float(p)) for p in self.probabilities],
            "loss": finite(self.loss),
            "arrays": [row.to_json() for row in self.rows()],
        }

    # How an entry is made

    def explain(self, layer: str, array: str, index: int | Index = ()) -> Explanation:
        """Return the terms whose sum is the entry ``index`` of an array, such as ("conv2", "dw", (1, 2, 3, 4)).

        "x" is explained as the "out" of the layer before, "dout" as the "dx" of the layer after.  For a layer of your
        own: by its method ``explain`` (see ``terms.Explains``), else by the slopes that its backward returns.
        Raises ConfigError for an unknown layer or array, an index outside it, an array that is given and not computed
        (a weight), a layer too large to take apart, and an ``explain`` whose terms don't add up.
        """
        stop, array = self._maker(self[layer], array)
        values = stop[array]
        index = _checked_index(stop, array, values, index)
        made = self.make(stop, array, index)
        found = Explanation(stop.name, array, index, float(values[index]), made.formula, made.terms, made.note)
        size = math.fsum(np.abs(found.products))
        # Of a network that has diverged, a value that is no number is the sum of such.
        if math.isfinite(found.value) and not abs(found.sum - found.value) <= max(
            SUM_TOLERANCE * abs(found.value), CANCELLED * size
        ):
            raise ConfigError(
                f"{found.entry}: the terms add up to {found.sum:.9g}, but {stop.kind} computed {found.value:.9g}; "
                + ("mend its explain" if isinstance(stop.layer, Explains) else "is its backward right?  Try gradcheck")
            )
        return found

    def _maker(self, stop: Stop, array: str) -> tuple[Stop, str]:
        """Return which stop computed an array, and its name there."""
        place = self.stops.index(stop)
        if array == "x" and place > 0:
            return self.stops[place - 1], "out"
        if array == "dout" and place + 1 < len(self.stops):
            return self.stops[place + 1], "dx"
        return stop, array

    def make(self, stop: Stop, array: str, index: Index) -> Made:
        """Return formula and terms of an entry, unchecked: see ``explain``."""
        if given := stop.given(array):
            gradient = f"; explain its gradient, {'d' + array!r}" if "d" + array in stop.arrays else ""
            raise ConfigError(f"{stop.name}.{array} is no sum: it is {given}{gradient}")
        layer = stop.layer
        if layer is None:
            if stop.name == PICTURE:
                return terms.picture(self.network.normalisation, array, index, stop.arrays)
            return terms.loss(self.label, array, index, stop.arrays)
        if isinstance(layer, Explains):
            found = list(layer.explain(array, index, stop.arrays))
            return Made(f"{array}, by {type(layer).__name__}.explain", found)
        if type(layer) in terms.BY_LAYER:
            return terms.BY_LAYER[type(layer)](layer, array, index, stop.arrays)
        return terms.by_slopes(layer, array, index, stop.arrays, self.slopes(stop))

    def slopes(self, stop: Stop) -> dict[str, Jacobian]:
        """Return the slopes of a layer that numcnn doesn't know: see ``terms.jacobian``.  Raises ConfigError."""
        layer = stop.layer
        assert layer is not None
        if stop.name not in self._jacobians:
            with one_blas_thread:
                found = terms.jacobian(layer)
            if found is None:
                raise ConfigError(
                    f"{stop.name} is too large to be taken apart by its backward ({shape_in_words(layer.in_shape)} -> "
                    f"{shape_in_words(layer.out_shape)}): give {type(layer).__name__} a method "
                    "explain(array, index, arrays) that returns the terms"
                )
            self._jacobians[stop.name] = found
        return self._jacobians[stop.name]

    # Showing

    def __str__(self) -> str:
        table = [COLUMNS, *(row.cells() for row in self.rows())]
        widths = [max(len(line[i]) for line in table) for i in range(5)]
        lines = ["  ".join(f"{c:{'<' if i < 2 else '>'}{widths[i]}}" for i, c in enumerate(line)) for line in table]
        return "\n".join([self.title, *lines])

    @property
    def title(self) -> str:
        """A line about the trace: the label, what the network reads, the loss."""
        sure = f"{self.probabilities[self.answer]:.4g}"
        return f"label {self.label}; the network reads {self.answer} (p = {sure}); loss {self.loss:.4g}"

    def __repr__(self) -> str:
        return f"<Trace of {', '.join(self._by_name)}: {self.title}>"

    def _repr_html_(self) -> str:
        """Return overview and table as HTML, which notebooks show."""
        from numcnn.evaluation import plots  # noqa: PLC0415  (loads matplotlib)

        file = io.BytesIO()
        plots.save(self.plot(), file)
        picture = base64.b64encode(file.getvalue()).decode()
        cells = "".join(f"<tr>{''.join(f'<td>{html.escape(c)}</td>' for c in row.cells())}</tr>" for row in self.rows())
        head = "".join(f"<th>{name}</th>" for name in COLUMNS)
        return (
            f'<img alt="{html.escape(self.title)}" style="max-width: 100%" src="data:image/png;base64,{picture}">'
            f"<table><tr>{head}</tr>{cells}</table>"
        )

    def plot(self, layer: str | None = None) -> "Figure":
        """Return a matplotlib figure: a sheet of one layer's arrays, or, without a name, an overview of all."""
        from numcnn.evaluation import plots  # noqa: PLC0415  (loads matplotlib)

        return plots.trace_overview(self) if layer is None else plots.layer_sheet(self[layer])

    def save_html(self, path: str | os.PathLike[str]) -> None:
        """Write the trace as one HTML file, to click through in any browser, without a network.  See ``nn/lens.py``."""
        from numcnn.nn import lens  # noqa: PLC0415  (few want a page)

        lens.save(self, path)


def trace(network: Network, picture: Pictures, label: int | None = None, *, training: bool = False) -> Trace:
    """Run one picture forward, through the loss, and its gradient back to the pixels.  Return a ``Trace`` of all of it.

    picture: in any form that ``Network.logits`` takes.  label: of the loss, softmax and cross-entropy; None: the
    network's own answer.  training: drop values and normalise by this picture's statistics, as a training step would
    with it alone; else the gradient is that of what ``logits`` returns.  The network isn't changed, a copy runs.
    Raises ConfigError for a label that is no class, ShapeError and DataError as ``Network.logits``.
    """
    images = np.ascontiguousarray(readable(network.as_pictures(picture), np.dtype(np.float64)))
    if len(images) != 1:
        raise ConfigError(f"trace got {len(images)} pictures; wants one")
    twin = network.copy(dtype=np.float64, backend="reference")
    kernels = twin.layers[0].kernels
    pixels, x = np.empty((2, 1, *twin.input_shape))
    PixelReader((0.0, 1.0), kernels).read(images, np.arange(1), pixels)
    PixelReader(twin.normalisation, kernels).read(images, np.arange(1), x)
    with kernels.computing():
        outs = [x]
        for layer in twin.layers:
            layer.frozen = layer.frozen or not training
            outs.append(layer.forward(outs[-1], training=True).astype(np.float64))
        label = _checked_label(label, outs[-1][0])
        last = _loss_stop(outs[-1], label)
        douts = [last["dx"][None]]
        for layer in reversed(twin.layers):
            dx = layer.backward(douts[0])
            assert dx is not None
            douts.insert(0, dx.astype(np.float64))
    stops = [_stop(*each) for each in zip(twin.layers, outs, outs[1:], douts, douts[1:], strict=False)]
    ends = {"x": pixels[0], "out": x[0], "dout": douts[0][0], "dx": douts[0][0] / twin.normalisation[1]}
    first = Stop(PICTURE, "the pixels, normalised", _read_only(ends), None)
    return Trace([first, *stops, last], label, twin)


def _stop(layer: Layer, x: Float64s, out: Float64s, dx: Float64s, dout: Float64s) -> Stop:
    """Return a layer's arrays, copied: its own buffers change when it runs again."""
    arrays: dict[str, Any] = {"x": x[0], **layer.params, **layer.state, "out": out[0], "dout": dout[0]}
    arrays |= {f"d{name}": gradient.copy() for name, gradient in layer.grads.items()}
    arrays["dx"] = dx[0]
    if type(layer) is Dropout:  # what each value was multiplied by is the slope
        keep = layer.backward(np.ones_like(dout))
        assert keep is not None
        arrays["keep"] = keep[0].copy()
    settings = ", ".join(f"{name}={value!r}" for name, value in layer.config().items() if name != "init")
    return Stop(layer.name, f"{type(layer).__name__}({settings})", _read_only(arrays), layer)


def _loss_stop(logits: Float64s, label: int) -> Stop:
    from numcnn.kernels import reference  # noqa: PLC0415

    criterion = SoftmaxCrossEntropy(reference)
    loss = criterion.forward(logits, np.array([label]))
    target = np.zeros(logits.shape[1])
    target[label] = 1
    arrays = {"x": logits[0], "log_p": criterion.log_probs[0].copy(), "p": np.exp(criterion.log_probs[0])}
    arrays |= {"target": target, "out": np.array(loss), "dx": criterion.backward()[0].copy()}
    return Stop(LOSS, "softmax and cross-entropy", _read_only(arrays), None)


def _read_only(arrays: Mapping[str, AnyArray]) -> dict[str, Float64s]:
    """Return views that can't be written to: a trace is a record."""
    views = {name: array.view() for name, array in arrays.items()}
    for view in views.values():
        view.setflags(write=False)
    return views


def _checked_label(label: int | None, logits: Float64s) -> int:
    if label is None:
        return int(logits.argmax())
    if not _is_whole(label) or not 0 <= label < len(logits):
        raise ConfigError(
            f"`label` is {label!r}; wants a class of the network: a whole number from 0 to {len(logits) - 1}"
        )
    return int(label)


def _checked_index(stop: Stop, array: str, values: AnyArray, index: int | Index) -> Index:
    """Return an index as a tuple of whole numbers within an array's shape, else ConfigError."""
    numbers = index if isinstance(index, tuple | list) else (index,)
    place = f"{stop.name}.{array} has the shape {values.shape}; index {numbers}"
    if len(numbers) != values.ndim or not all(map(_is_whole, numbers)):
        raise ConfigError(
            f"{place} doesn't fit: wants {values.ndim} whole numbers" if values.ndim else f"{place}: wants ()"
        )
    if not all(0 <= i < size for i, size in zip(numbers, values.shape, strict=True)):
        raise ConfigError(f"{place} is outside: wants up to {tuple(size - 1 for size in values.shape)}")
    return tuple(map(int, numbers))


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer)
