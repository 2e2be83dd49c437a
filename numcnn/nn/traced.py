"""What a trace keeps: its stations with their arrays, the rows of its table, and the explanation of an entry."""

import html
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from numcnn.errors import ConfigError
from numcnn.kernels.arrays import AnyArray, Float64s
from numcnn.nn import terms
from numcnn.nn.layer import Layer
from numcnn.nn.layers import MaxPool2D
from numcnn.nn.summary import shape_in_words
from numcnn.nn.terms import Index, Term

PICTURE, LOSS = "picture", "loss"  # the two ends, which are no layers

COLUMNS = ("layer", "array", "shape", "norm", "zeros")
FEW_TERMS = 12  # that an explanation prints, the largest first


@dataclass(frozen=True, eq=False, repr=False)
class Stop:
    """One station of the trace, a layer or an end: its arrays by name, for one picture (shapes without N).

    "x" and "out", the parameters ("w", "b" ...), the state; and of each the gradient, "dout", "dx", "dw" ...
    """

    name: str  # "conv1"; PICTURE or LOSS at the ends
    kind: str  # "Conv2D(32, 3)"
    arrays: Mapping[str, Float64s]
    layer: Layer | None

    @property
    def lessons(self) -> tuple[str, str]:
        """What happens here, in words: forward, and to the gradient that comes back."""
        if self.layer is None:
            return terms.PICTURE_LESSON if self.name == PICTURE else terms.LOSS_LESSON
        forward, back = terms.LESSONS.get(type(self.layer), terms.OWN_LESSON)
        if type(self.layer) is MaxPool2D:
            windows, pixels = (math.prod(shape[:2]) for shape in (self.layer.out_shape, self.layer.in_shape))
            if windows < pixels:
                back += f" Here {windows} windows choose among the {pixels} pixels of a map: at least "
                back += f"{1 - windows / pixels:.0%} of dx are 0, and more where dout is 0."
        return forward, back

    def given(self, array: str) -> str:
        """Say why an array is no sum of others, such as a weight; "" if it is one."""
        if self.layer is None:
            given = {"x": "a pixel of the picture"} if self.name == PICTURE else {"target": "1 at the label, else 0"}
            return given.get(array, "")
        if array in ("out", "dx", *(f"d{name}" for name in self.layer.params)):
            return ""
        if array == "keep":
            return "what a value is multiplied by: drawn at random in training, 1 in inference"
        return "stored in the network"

    def __getitem__(self, array: str) -> Float64s:
        if array not in self.arrays:
            raise ConfigError(f"{self.name} has no array {array!r}; it has {', '.join(self.arrays)}")
        return self.arrays[array]

    def __repr__(self) -> str:
        shapes = [f"{name} {shape_in_words(values.shape) or '1'}" for name, values in self.arrays.items()]
        return f"<{self.name}, {self.kind}: {', '.join(shapes)}>"


@dataclass(frozen=True)
class Row:
    """What the table says of one array."""

    layer: str
    array: str
    shape: tuple[int, ...]
    norm: float  # the root of the sum of squares
    zeros: float  # share of entries that are exactly 0, 0..1

    def cells(self) -> tuple[str, ...]:
        """Return the row's texts, one for each name in ``COLUMNS``."""
        shape = shape_in_words(self.shape) or "1"
        return self.layer, self.array, shape, f"{self.norm:.4g}", f"{self.zeros:.1%}"

    def to_json(self) -> dict[str, Any]:
        """Return the row as a dict that JSON can hold."""
        numbers = {"norm": finite(self.norm), "zeros": self.zeros}
        return {"layer": self.layer, "array": self.array, "shape": list(self.shape), **numbers}


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """One entry of one array, and the terms whose sum it is."""

    layer: str
    array: str
    index: Index
    value: float  # as stored
    formula: str  # for any entry of the array
    terms: list[Term]
    note: str  # in words: what decided, such as who won a max-pool's window

    @property
    def products(self) -> Float64s:
        """Each term's value (T,)."""
        return np.array([term.product for term in self.terms], np.float64)

    @property
    def sum(self) -> float:
        """The sum of the terms, rounded once."""
        return math.fsum(self.products)

    @property
    def entry(self) -> str:
        """The entry's name: "conv2.dw[1,2,3,4]"."""
        return f"{self.layer}.{self.array}" + (f"[{','.join(map(str, self.index))}]" if self.index else "")

    def to_json(self) -> dict[str, Any]:
        """Return the explanation as a dict that JSON can hold: each term as its factors [name, index, value]."""
        products = [[[*factor[:2], finite(factor.value)] for factor in term.factors] for term in self.terms]
        about = {"entry": self.entry, "value": finite(self.value), "sum": finite(self.sum)}
        about |= {"formula": self.formula, "note": self.note}
        return {**about, "terms": products}

    def __repr__(self) -> str:
        return f"<Explanation of {self.entry} = {self.value:.6g}: {self._count}>"

    def _lines(self) -> Iterator[tuple[str, str, str]]:
        """Yield (names, numbers, product) of the largest terms, as text."""
        order = np.argsort(-np.abs(self.products), kind="stable")[:FEW_TERMS]
        if self.products.any():
            order = order[self.products[order] != 0]  # zeros only where there is nothing else
        largest: list[int] = order.tolist()
        for i in largest:
            numbers = " * ".join(f"{factor.value:.6g}" for factor in self.terms[i].factors)
            yield str(self.terms[i]), numbers, f"{self.terms[i].product:+.6g}"

    @property
    def _count(self) -> str:
        return f"{len(self.terms):,} term{'' if len(self.terms) == 1 else 's'}"

    def _rest(self) -> list[str]:
        """Say how many terms aren't shown, and how many of all are zero."""
        zeros = int((self.products == 0).sum())
        left = len(self.terms) - len(list(self._lines())) - (zeros if self.products.any() else 0)
        more = [f"and {left:,} smaller terms: see .terms"] if left > 0 else []
        return more + ([f"{zeros:,} of {self._count} {'is' if zeros == 1 else 'are'} 0"] if zeros else [])

    def __str__(self) -> str:
        lines = list(self._lines())
        widths = [max((len(line[i]) for line in lines), default=0) for i in range(3)]
        table = [f"  {a:<{widths[0]}}  = {b:<{widths[1]}} = {c:>{widths[2]}}" for a, b, c in lines]
        rest = [f"  {line}" for line in self._rest()]
        total = f"  sum of {self._count} = {self.sum:.9g}; stored: {self.value:.9g}"
        head = [f"{self.entry} = {self.value:.6g}", f"  {self.formula}", *([f"  {self.note}"] if self.note else [])]
        return "\n".join([*head, *table, *rest, total])

    def _repr_html_(self) -> str:
        """Return the explanation as HTML, which notebooks show."""
        rows = "".join(
            f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in line)}</tr>" for line in self._lines()
        )
        rest = "".join(f"<br>{html.escape(line)}" for line in self._rest())
        return (
            f"<p><b>{html.escape(self.entry)} = {self.value:.6g}</b><br><code>{html.escape(self.formula)}</code>"
            f"<br>{html.escape(self.note)}</p><table>{rows}</table><p>sum of {self._count} = {self.sum:.9g}"
            f"; stored: {self.value:.9g}{rest}</p>"
        )


def finite(value: float) -> float | None:
    """Return ``value``, or None for NaN and infinity, which JSON doesn't have."""
    return value if math.isfinite(value) else None


def statistics(array: AnyArray) -> tuple[float, float, float]:
    """Return an array's norm, the root of the sum of squares; its share of zeros, 0..1; and its largest size."""
    return float(np.sqrt((array**2).sum())), float((array == 0).mean()), float(np.abs(array).max(initial=0))
