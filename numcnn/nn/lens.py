"""A trace as one HTML file: ``lens.html``, the page, with every number put into it.  It asks no network for anything.

Numbers are float64, as the sums shown must equal the values shown; weights are float32 where that is exact, as in every
shipped network.  Zeros take a bit each.  What follows from other arrays isn't stored: a layer's x is the out of the
one before it, a dense layer's dw the products of x and dout.  Of a large dense layer those weights are left out that
are multiplied by 0 only, forward and backward, in this picture.  So a page takes about 2 MB.
"""

import base64
import html
import json
import os
from importlib import resources
from typing import Any, Protocol

import numpy as np

from numcnn.errors import ConfigError
from numcnn.files import atomic_write
from numcnn.kernels.arrays import AnyArray
from numcnn.nn import terms
from numcnn.nn.batchnorm import BatchNorm
from numcnn.nn.layer import Layer
from numcnn.nn.layers import Conv2D, Dense, Flatten, Pool2D
from numcnn.nn.network import Network
from numcnn.nn.terms import Index, Jacobian, Made
from numcnn.nn.traced import LOSS, PICTURE, Stop, statistics

MOST_SLOPES = 60_000  # of a layer of the user's own: 16 bytes each
MOST_WEIGHTS = 300_000  # of a dense layer; of a larger one only those that meet a number which isn't 0


class Traced(Protocol):
    """What the page shows of a ``trace.Trace``."""

    network: Network
    stops: list[Stop]
    label: int

    @property
    def title(self) -> str:
        """A line about the trace."""
        ...

    def make(self, stop: Stop, array: str, index: Index) -> Made:
        """Return how an entry is made."""
        ...

    def slopes(self, stop: Stop) -> dict[str, Jacobian]:
        """Return the slopes of a layer of the user's own."""
        ...


def save(trace: Traced, path: str | os.PathLike[str]) -> None:
    """Write the page, completely or not at all."""
    with atomic_write(path) as file:
        file.write(page(trace).encode())


def page(trace: Traced) -> str:
    """Return the page as text."""
    template = resources.files("numcnn.nn").joinpath("lens.html").read_text(encoding="utf-8")
    data = {
        "title": f"a picture, with the label {trace.label}",
        "subtitle": trace.title,
        "label": trace.label,
        "stops": [_stop(trace, stop) for stop in trace.stops],
    }
    text = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("</", "<\\/")
    return template.replace("@TITLE@", html.escape(trace.title)).replace("@DATA@", text)


def _stop(trace: Traced, stop: Stop) -> dict[str, Any]:
    """Return one layer as the page reads it: arrays, settings, words, and a formula for each array that is a sum."""
    kind, settings = _settings(trace, stop)
    formulas: dict[str, str] = {}
    given: dict[str, str] = {}
    for name, values in stop.arrays.items():
        index = (0,) * values.ndim
        if kind == "opaque" and not stop.given(name):
            given[name] = f"it is too large for this page; in Python: trace.explain({stop.name!r}, {name!r}, index)"
        elif stop.given(name):
            given[name] = f"it is {stop.given(name)}"
        elif kind == "slopes" and stop.layer:
            formulas[name] = terms.by_slopes(stop.layer, name, index, stop.arrays, trace.slopes(stop)).formula
        else:
            formulas[name] = trace.make(stop, name, index).formula
    kept = {name: values for name, values in stop.arrays.items() if not (stop.layer and name in ("x", "dout"))}
    if stop.name == PICTURE:
        kept.pop("dout")  # the first layer's dx
    if stop.name == LOSS:
        kept.pop("x")
    return {
        "name": stop.name,
        "kind": stop.kind,
        "type": kind,
        "lessons": stop.lessons,
        "settings": settings,
        "formulas": formulas,
        "given": given,
        "arrays": {name: _array(stop, name, values) for name, values in kept.items()},
    }


def _settings(trace: Traced, stop: Stop) -> tuple[str, dict[str, Any]]:
    """Return how the page makes a layer's terms, and what it needs to know for it."""
    layer = stop.layer
    if layer is None:
        mean, std = trace.network.normalisation
        return stop.name, {"mean": mean, "std": std} if stop.name == PICTURE else {}
    settings: dict[str, Any] = {"in": layer.in_shape, "out": layer.out_shape}
    if type(layer) not in terms.BY_LAYER:
        return _own(trace, stop, layer)
    if isinstance(layer, Conv2D | Pool2D):
        settings |= {"window": terms.window_of(layer), "stride": layer.stride, "border": terms.border_of(layer)}
    if isinstance(layer, BatchNorm):
        mean, std = terms.statistics_of(layer, stop.arrays)
        settings |= {"mean": mean.tolist(), "std": std.tolist(), "frozen": layer.frozen}
    if hasattr(layer, "slope"):
        settings["slope"] = layer.config()["slope"]
    return type(layer).__name__, settings


def _own(trace: Traced, stop: Stop, layer: Layer) -> tuple[str, dict[str, Any]]:
    """Return the slopes of a layer of the user's own, or "opaque" if there are too many for a page."""
    try:
        slopes = trace.slopes(stop)
    except ConfigError:
        return "opaque", {}
    if sum(len(one.rows) for one in slopes.values()) > MOST_SLOPES:
        return "opaque", {}
    tables = {
        name: {
            "rows": _base64(one.rows.astype("<i4")),
            "columns": _base64(one.columns.astype("<i4")),
            "slopes": _base64(one.slopes.astype("<f8")),
        }
        for name, one in slopes.items()
    }
    return "slopes", {"in": layer.in_shape, "out": layer.out_shape, "slopes": tables}


def _array(stop: Stop, name: str, values: AnyArray) -> dict[str, Any]:
    """Return an array as the page decodes it."""
    shared = {"shape": values.shape, "stats": list(statistics(values))}
    kind = type(stop.layer)
    if kind is Dense and name == "dw":
        return {**shared, "outer": ["x", "dout"]}
    if kind is Flatten and name in ("out", "dx"):
        return {**shared, "same": "x" if name == "out" else "dout"}
    if not np.isfinite(values).all():
        raise ConfigError(f"{stop.name}.{name} holds values that are no numbers; the network has diverged")
    if kind is Dense and name == "w" and values.size > MOST_WEIGHTS:
        used = (stop["x"] != 0)[:, None] | (stop["dout"] != 0)
        return {**shared, "used": ["x", "dout"], **_numbers(values[used])}
    nonzero = values != 0
    if nonzero.all():
        return {**shared, **_numbers(values)}
    return {**shared, **_numbers(values[nonzero]), "mask": _base64(np.packbits(nonzero))}


def _numbers(values: AnyArray) -> dict[str, str]:
    """Return numbers as text, and how they are written: as float32 where that is exact, else as float64."""
    single = values.astype("<f4")
    exact = bool((single == values).all())
    return {"type": "f4" if exact else "f8", "values": _base64(single if exact else values.astype("<f8"))}


def _base64(array: AnyArray) -> str:
    return base64.b64encode(array.tobytes()).decode()
