"""The terms whose sum is one entry of an array, as in out[j] = b[j] + x[0] * w[0,j] + x[1] * w[1,j] ...: see ``trace``.

A function for each kind of layer says which numbers are multiplied, and where they are; ``BY_LAYER`` lists them.  They
follow the formulas in ``kernels/reference.py``, one entry at a time.  For any other layer see ``jacobian``.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np

from numcnn.kernels.arrays import Bools, Float64s, Ints
from numcnn.nn.activations import LeakyReLU, Sigmoid, Tanh
from numcnn.nn.batchnorm import BatchNorm
from numcnn.nn.layer import Layer
from numcnn.nn.layers import Conv2D, Dense, Dropout, Flatten, MaxPool2D, Pool2D, ReLU
from numcnn.nn.pooling import AveragePool2D, GlobalAveragePool2D

Index: TypeAlias = tuple[int, ...]
Arrays: TypeAlias = Mapping[str, Float64s]  # of one layer, of one picture: "x", "out", "dout", "dx", "w", "dw" ...


class Factor(NamedTuple):
    """A number in a product: an entry of an array, such as x[3,4,0]; or, without an index, a number with a name."""

    name: str
    at: Index | None
    value: float

    def __str__(self) -> str:
        return self.name if self.at is None else f"{self.name}[{','.join(map(str, self.at))}]"


class Term(NamedTuple):
    """A product of factors, one part of a sum."""

    factors: tuple[Factor, ...]

    @property
    def product(self) -> float:
        """The factors multiplied."""
        return math.prod(factor.value for factor in self.factors)

    def __str__(self) -> str:
        return " * ".join(map(str, self.factors))


class Made(NamedTuple):
    """How an entry is made.  formula: for any entry of its array; terms: of this one; note: what decided it, or ""."""

    formula: str
    terms: list[Term]
    note: str = ""


@runtime_checkable
class Explains(Protocol):
    """A layer that says itself which terms its arrays are sums of; without it they are taken from its backward."""

    def explain(self, array: str, index: Index, arrays: Arrays) -> Iterable[Term]:
        """Return the terms whose sum is ``arrays[array][index]``, for "out", "dx" and the gradients of parameters."""
        ...


def entry(arrays: Arrays, name: str, *index: int) -> Factor:
    """Return an entry of one of the layer's arrays as a factor."""
    return Factor(name, index, float(arrays[name][index]))


def number(name: str, value: float) -> Factor:
    """Return a number that is in no array as a factor."""
    return Factor(name, None, float(value))


def term(*factors: Factor) -> Term:
    """Return the product of factors."""
    return Term(factors)


# Windows: which pixels an output sees, and which outputs see a pixel


def _seen(layer: Conv2D | Pool2D, oy: int, ox: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield (ky, kx, y, x) for each pixel (y, x) in the window of output (oy, ox); the padding's zeros are left out."""
    (KH, KW), (SH, SW), (top, left) = window_of(layer), layer.stride, border_of(layer)
    H, W = layer.in_shape[:2]
    for ky in range(KH):
        for kx in range(KW):
            y, x = oy * SH + ky - top, ox * SW + kx - left
            if 0 <= y < H and 0 <= x < W:
                yield ky, kx, y, x


def _seeing(layer: Conv2D | Pool2D, y: int, x: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield (ky, kx, oy, ox) for each output (oy, ox) whose window has pixel (y, x), there at position (ky, kx)."""
    (KH, KW), (SH, SW), (top, left) = window_of(layer), layer.stride, border_of(layer)
    OH, OW = layer.out_shape[:2]
    for ky in range(KH):
        for kx in range(KW):
            (oy, down), (ox, right) = divmod(y + top - ky, SH), divmod(x + left - kx, SW)
            if down == right == 0 and 0 <= oy < OH and 0 <= ox < OW:
                yield ky, kx, oy, ox


def window_of(layer: Conv2D | Pool2D) -> tuple[int, int]:
    """Return the height and width of a layer's window."""
    return layer.kernel_size if isinstance(layer, Conv2D) else layer.pool_size


def border_of(layer: Conv2D | Pool2D) -> tuple[int, int]:
    """Return how many rows and columns of zeros a layer puts above and left of its input."""
    return layer.border if isinstance(layer, Conv2D) else (0, 0)


def _place(name: str, stride: int, before: int) -> str:
    """Return the row or column of a window in a formula: "oy+ky", "2*oy+ky-1"."""
    scaled = f"o{name}" if stride == 1 else f"{stride}*o{name}"
    return f"{scaled}+k{name}" + (f"-{before}" if before else "")


# Layers


def _conv2d(layer: Conv2D, array: str, index: Index, a: Arrays) -> Made:
    y_x = ", ".join(map(_place, "yx", layer.stride, layer.border))
    if array == "out":
        oy, ox, f = index
        formula = f"out[oy,ox,f] = b[f] + sum over ky, kx, c of x[{y_x}, c] * w[ky,kx,c,f]"
        products = [
            term(entry(a, "x", y, x, c), entry(a, "w", ky, kx, c, f))
            for ky, kx, y, x in _seen(layer, oy, ox)
            for c in range(layer.in_shape[2])
        ]
        return Made(formula, [term(entry(a, "b", f)), *products], _outside(layer, oy, ox))
    OH, OW, F = layer.out_shape
    if array == "db":
        (f,) = index
        terms = [term(entry(a, "dout", oy, ox, f)) for oy in range(OH) for ox in range(OW)]
        return Made("db[f] = sum over oy, ox of dout[oy,ox,f]", terms, "the bias is in every output with slope 1")
    if array == "dw":
        ky, kx, c, f = index
        formula = f"dw[ky,kx,c,f] = sum over oy, ox of x[{y_x}, c] * dout[oy,ox,f]"
        pixels = ((oy, ox, *_pixel(layer, oy, ox, ky, kx)) for oy in range(OH) for ox in range(OW))
        H, W = layer.in_shape[:2]
        terms = [
            term(entry(a, "x", y, x, c), entry(a, "dout", oy, ox, f))
            for oy, ox, y, x in pixels
            if 0 <= y < H and 0 <= x < W
        ]
        return Made(formula, terms, f"each output was given w[{ky},{kx},{c},{f}] times one pixel")
    y, x, c = index
    seeing = list(_seeing(layer, y, x))
    terms = [
        term(entry(a, "w", ky, kx, c, f), entry(a, "dout", oy, ox, f)) for ky, kx, oy, ox in seeing for f in range(F)
    ]
    formula = "dx[y,x,c] = sum over f, and over the outputs oy, ox that see the pixel, of w[ky,kx,c,f] * dout[oy,ox,f]"
    return Made(formula, terms, f"{_count(len(seeing), 'window')} of each filter saw this pixel")


def _pixel(layer: Conv2D, oy: int, ox: int, ky: int, kx: int) -> tuple[int, int]:
    return oy * layer.stride[0] + ky - layer.border[0], ox * layer.stride[1] + kx - layer.border[1]


def _outside(layer: Conv2D, oy: int, ox: int) -> str:
    left_out = math.prod(layer.kernel_size) - len(list(_seen(layer, oy, ox)))
    return f"left out: {left_out} of the window's places, which are zeros of the padding" if left_out else ""


def _dense(layer: Dense, array: str, index: Index, a: Arrays) -> Made:
    D_in, D_out = layer.in_shape[0], layer.units
    if array == "dw":
        i, j = index
        return Made("dw[i,j] = x[i] * dout[j]", [term(entry(a, "x", i), entry(a, "dout", j))])
    (i,) = index
    if array == "out":
        products = [term(entry(a, "x", k), entry(a, "w", k, i)) for k in range(D_in)]
        return Made("out[j] = b[j] + sum over i of x[i] * w[i,j]", [term(entry(a, "b", i)), *products])
    if array == "db":
        return Made("db[j] = dout[j]", [term(entry(a, "dout", i))], "the bias is in its output with slope 1")
    products = [term(entry(a, "w", i, j), entry(a, "dout", j)) for j in range(D_out)]
    return Made("dx[i] = sum over j of w[i,j] * dout[j]", products)


def _maxpool(layer: MaxPool2D, array: str, index: Index, a: Arrays) -> Made:
    if array == "out":
        oy, ox, c = index
        y, x = _winner(layer, a, oy, ox, c)
        candidates = [place[2:] for place in _seen(layer, oy, ox)]
        terms = [term(entry(a, "x", *at, c), number("wins", at == (y, x))) for at in candidates]
        return Made("out[oy,ox,c] = the largest x of its window", terms, f"x[{y},{x},{c}] is the largest")
    y, x, c = index
    windows = [place[2:] for place in _seeing(layer, y, x)]
    winners = [_winner(layer, a, *window, c) for window in windows]
    terms = [
        term(entry(a, "dout", *window, c), number("wins", winner == (y, x)))
        for window, winner in zip(windows, winners, strict=True)
    ]
    formula = "dx[y,x,c] = sum of the dout of the windows in which x[y,x,c] is the largest"
    return Made(formula, terms, _who_won(a, index, winners))


def _who_won(a: Arrays, index: Index, winners: list[tuple[int, int]]) -> str:
    """Say in words why a max-pool's input gets a gradient or none."""
    y, x, c = index
    if not winners:
        return "this pixel is in no window: its row or column fills none, so nothing depends on it"
    won, own = winners.count((y, x)), f"{a['x'][index]:.4g}"
    if won:
        return f"x = {own} is the largest of {'its window' if won == 1 else f'{won} windows'}: it gets the gradient"
    (wy, wx), largest = winners[0], float(a["x"][winners[0][0], winners[0][1], c])
    if largest == a["x"][index]:
        return f"x = {own} equals x[{wy},{wx},{c}], which comes first and so counts as the largest: no gradient"
    lost = f"x = {own} lost: x[{wy},{wx},{c}] = {largest:.4g} is larger"
    return f"{lost}.  A small change here changes no output: no gradient"


def _winner(layer: MaxPool2D, a: Arrays, oy: int, ox: int, c: int) -> tuple[int, int]:
    """Return the row and column of the largest value of a window; of equal ones the first."""
    places = [place[2:] for place in _seen(layer, oy, ox)]
    return places[int(np.argmax([a["x"][y, x, c] for y, x in places]))]


def _averagepool(layer: AveragePool2D, array: str, index: Index, a: Arrays) -> Made:
    *place, c = index
    size = math.prod(layer.pool_size)
    share = number(f"1/{size}", 1 / size)
    if array == "out":
        terms = [term(entry(a, "x", y, x, c), share) for _, _, y, x in _seen(layer, place[0], place[1])]
        return Made(f"out[oy,ox,c] = sum over its window of x / {size}", terms)
    terms = [term(entry(a, "dout", oy, ox, c), share) for _, _, oy, ox in _seeing(layer, place[0], place[1])]
    return Made(f"dx[y,x,c] = sum over the windows that have it of dout / {size}", terms)


def _globalpool(layer: GlobalAveragePool2D, array: str, index: Index, a: Arrays) -> Made:
    H, W, _ = layer.in_shape
    share = number(f"1/{H * W}", 1 / (H * W))
    if array == "dx":
        return Made(f"dx[y,x,c] = dout[c] / {H * W}", [term(entry(a, "dout", index[-1]), share)])
    terms = [term(entry(a, "x", y, x, index[0]), share) for y in range(H) for x in range(W)]
    return Made(f"out[c] = sum over y, x of x[y,x,c] / {H * W}", terms)


def _relu(_: ReLU, array: str, index: Index, a: Arrays) -> Made:
    x = float(a["x"][index])
    slope, passes = number("slope", x > 0), f"x = {x:.4g} is {'' if x > 0 else 'not '}positive: slope {int(x > 0)}"
    if array == "out":
        return Made("out = max(x, 0) = x * slope, where slope is 1 if x > 0, else 0", [_times(a, "x", index, slope)])
    return Made("dx = dout * slope, where slope is 1 if x > 0, else 0", [_times(a, "dout", index, slope)], passes)


def _leaky_relu(layer: LeakyReLU, array: str, index: Index, a: Arrays) -> Made:
    slope = number("slope", 1.0 if a["x"][index] > 0 else layer.slope)
    of = "x" if array == "out" else "dout"
    return Made(f"{array} = {of} * slope, where slope is 1 if x > 0, else {layer.slope}", [_times(a, of, index, slope)])


def _tanh(_: Tanh, array: str, index: Index, a: Arrays) -> Made:
    if array == "out":
        return Made("out = tanh(x)", [term(number("tanh(x)", a["out"][index]))], f"x = {a['x'][index]:.6g}")
    slope = number("(1 - out^2)", 1 - a["out"][index] ** 2)
    return Made("dx = dout * (1 - out^2), as the slope of tanh is 1 - tanh^2", [_times(a, "dout", index, slope)])


def _sigmoid(_: Sigmoid, array: str, index: Index, a: Arrays) -> Made:
    if array == "out":
        return Made(
            "out = 1 / (1 + exp(-x))", [term(number("sigmoid(x)", a["out"][index]))], f"x = {a['x'][index]:.6g}"
        )
    slope = number("out * (1 - out)", a["out"][index] * (1 - a["out"][index]))
    return Made("dx = dout * out * (1 - out), the slope of the sigmoid", [_times(a, "dout", index, slope)])


def _dropout(layer: Dropout, array: str, index: Index, a: Arrays) -> Made:
    of = "x" if array == "out" else "dout"
    kept = "1: nothing is dropped in inference" if layer.frozen else f"0 if dropped, else 1 / (1 - {layer.rate:g})"
    return Made(f"{array} = {of} * keep, where keep is {kept}", [_times(a, of, index, entry(a, "keep", *index))])


def _flatten(layer: Flatten, array: str, index: Index, a: Arrays) -> Made:
    if array == "out":
        place = tuple(map(int, np.unravel_index(index[0], layer.in_shape)))
        return Made("out[i] = x[y,x,c]: the same numbers in a row", [term(entry(a, "x", *place))])
    place = int(np.ravel_multi_index(index, layer.in_shape))
    return Made("dx[y,x,c] = dout[i]: the same numbers in their old shape", [term(entry(a, "dout", place))])


def _times(a: Arrays, name: str, index: Index, factor: Factor) -> Term:
    return term(entry(a, name, *index), factor)


def _batchnorm(layer: BatchNorm, array: str, index: Index, a: Arrays) -> Made:
    """Statistics are the layer's running ones when it is frozen, else those of this picture, as in training."""
    c = index[-1]
    mean, stds = statistics_of(layer, a)
    std = float(stds[c])
    gamma, scale = entry(a, "gamma", c), number("1/std", 1 / std)
    if array == "out":
        centred = number("(x - mean)", a["x"][index] - mean[c])
        terms = [term(gamma, scale, centred), term(entry(a, "beta", c))]
        return Made("out = gamma * (x - mean) / std + beta", terms, f"mean = {mean[c]:.6g}, std = {std:.6g}")
    places = list(np.ndindex(*a["x"].shape[:-1]))
    if array == "dbeta":
        return Made("dbeta[c] = sum of dout", [term(entry(a, "dout", *place, c)) for place in places])
    if array == "dgamma":
        terms = [
            term(entry(a, "dout", *place, c), number("xhat", (a["x"][(*place, c)] - mean[c]) / std)) for place in places
        ]
        return Made("dgamma[c] = sum of dout * xhat, xhat = (x - mean) / std", terms)
    direct = term(gamma, scale, entry(a, "dout", *index))
    if layer.frozen:
        return Made("dx = gamma / std * dout: mean and std are constants", [direct])
    M, xhat = len(places), number("xhat", (a["x"][index] - mean[c]) / std)
    share = number(f"-1/{M}", -1 / M)
    through = [
        term(gamma, scale, share, entry(a, "dbeta", c)),
        term(gamma, scale, share, xhat, entry(a, "dgamma", c)),
    ]
    formula = "dx = gamma / std * (dout - dbeta / M - xhat * dgamma / M): directly, by the mean, by the variance"
    return Made(formula, [direct, *through])


def statistics_of(layer: BatchNorm, a: Arrays) -> tuple[Float64s, Float64s]:
    """Return mean and standard deviation (C,) by which a layer normalised: running ones if it was frozen."""
    x = a["x"].reshape(-1, a["x"].shape[-1])
    mean, var = (a["mean"], a["var"]) if layer.frozen else (x.mean(axis=0), x.var(axis=0))
    return mean, np.sqrt(var + layer.eps)


# The two ends: the picture, and the loss.  They are no layers, but have arrays like them.


def picture(normalisation: tuple[float, float], array: str, index: Index, a: Arrays) -> Made:
    """Return how the network's input ("out") is made of the pixels 0..1 ("x"), or their gradient ("dx")."""
    mean, std = normalisation
    scale = number("1/std", 1 / std)
    if array == "out":
        shift = [term(number("-mean/std", -mean / std))] if mean else []
        return Made("out = (x - mean) / std, x the pixel from 0 to 1", [_times(a, "x", index, scale), *shift])
    return Made("dx = dout / std: how fast the loss rises with the pixel", [_times(a, "dout", index, scale)])


def loss(label: int, array: str, index: Index, a: Arrays) -> Made:
    """Return how softmax ("p", "log_p"), loss ("out") and the gradient of the logits ("dx") are made."""
    if array in ("p", "log_p"):
        z, largest = a["x"], a["x"].max()
        total = np.exp(z - largest).sum()
        if array == "log_p":
            terms = [term(entry(a, "x", *index)), term(number("-log(sum of exp(x))", -(largest + np.log(total))))]
            return Made("log_p[j] = x[j] - log(sum of exp(x)), x the logits", terms)
        factors = number(f"exp(x[{index[0]}] - max)", np.exp(z[index] - largest)), number("1/sum", 1 / total)
        return Made("p[j] = exp(x[j]) / sum of exp(x), x the logits", [term(*factors)], f"max = {largest:.6g}")
    if array == "out":
        terms = [term(entry(a, "target", j), number("-1", -1.0), entry(a, "log_p", j)) for j in range(len(a["target"]))]
        return Made("loss = sum over j of target[j] * -log_p[j]", terms, f"only the label, {label}, counts")
    terms = [term(entry(a, "p", *index)), term(number("-1", -1.0), entry(a, "target", *index))]
    return Made("dx[j] = p[j] - target[j], x the logits", terms, f"target is 1 at the label, {label}, else 0")


def _count(n: int, word: str) -> str:
    return f"{n} {word}{'' if n == 1 else 's'}"


# What each layer does, in words: forward, and to the gradient that comes back.
_SLIDES = "A product passes dout on to each factor, times the other one: dw sums x * dout, dx sums w * dout."
LESSONS: dict[type[Layer], tuple[str, str]] = {
    AveragePool2D: ("The mean of each window.", "Each window gives its dout to all its pixels, in equal parts."),
    BatchNorm: (
        "Each channel is normalised, then scaled by gamma and shifted by beta.",
        "dout is scaled by gamma / std; in training what moves the mean and the variance of the batch is taken out.",
    ),
    Conv2D: ("Each filter slides over all maps: at each place a sum of products x * w, plus its bias.", _SLIDES),
    Dense: ("Each output is a sum of all inputs, times its weights, plus its bias.", _SLIDES),
    Dropout: ("In training some values are replaced by 0; in inference nothing changes.", "What was dropped gets 0."),
    Flatten: ("The same numbers in a row.", "The same numbers in their old shape."),
    GlobalAveragePool2D: ("The mean of each map.", "Each map's dout goes to all its pixels, in equal parts."),
    LeakyReLU: ("Negative values become small.", "dout passes where x is positive, and a small part of it elsewhere."),
    MaxPool2D: (
        "The largest value of each window is kept, the others are dropped.",
        "Each window gives its dout to its largest value. The others get 0: a small change of them changes no output.",
    ),
    ReLU: (
        "Negative values become 0.",
        "dout passes where x is positive. Elsewhere the output is 0 whatever x does, so the gradient is 0.",
    ),
    Sigmoid: (
        "Each value is squashed to 0..1.",
        "dout is multiplied by the slope, which is small where out is near 0 or 1.",
    ),
    Tanh: (
        "Each value is squashed to -1..1.",
        "dout is multiplied by the slope, which is small where out is near -1 or 1.",
    ),
}
OWN_LESSON = ("A layer of your own.", "dx is the sum of dout * slope over all outputs.")
PICTURE_LESSON = (
    "The pixels, normalised: what the network reads.",
    "Here the gradient ends: dx says how fast the loss rises with each pixel. Its picture is called saliency.",
)
LOSS_LESSON = (
    "Softmax turns the logits x into probabilities p; the loss is -log p of the label.",
    "Here the gradient begins: dx = p - target, above 0 where the network should say less, below 0 at the label.",
)

# The exact class -> its terms: a subclass may compute something else.
BY_LAYER: dict[type[Layer], Callable[[Any, str, Index, Arrays], Made]] = {
    AveragePool2D: _averagepool,
    BatchNorm: _batchnorm,
    Conv2D: _conv2d,
    Dense: _dense,
    Dropout: _dropout,
    Flatten: _flatten,
    GlobalAveragePool2D: _globalpool,
    LeakyReLU: _leaky_relu,
    MaxPool2D: _maxpool,
    ReLU: _relu,
    Sigmoid: _sigmoid,
    Tanh: _tanh,
}


class Jacobian(NamedTuple):
    """All slopes of a layer's outputs that aren't zero: d out[rows[k]] / d name[columns[k]] = slopes[k].

    name: "x" or a parameter; rows and columns count the entries of the flattened arrays.
    """

    rows: Ints
    columns: Ints
    slopes: Float64s


# More outputs than this would take a layer's backward seconds; more slopes, hundreds of megabytes.
MOST_OUTPUTS, MOST_SLOPES = 20_000, 4_000_000


def jacobian(layer: Layer) -> dict[str, Jacobian] | None:
    """Return a built layer's slopes by its own backward: for "x" and each parameter.  None if they are too many.

    Backward is linear in dout, whatever the layer: with dout = 1 at one output and 0 elsewhere it returns the slopes of
    that output.  The layer must have run forward for one picture, in training or frozen.
    """
    size = math.prod(layer.out_shape)
    if size > MOST_OUTPUTS:
        return None
    names, count = ["x", *layer.params], 0
    found: dict[str, list[tuple[Ints, Float64s]]] = {name: [] for name in names}
    dout = np.zeros((1, size), layer.dtype)
    for row in range(size):
        dout[0, row] = 1
        dx = layer.backward(dout.reshape(1, *layer.out_shape))
        dout[0, row] = 0
        assert dx is not None
        for name in names:
            slopes = np.ravel(dx if name == "x" else layer.grads[name])
            columns = np.flatnonzero(slopes)
            found[name].append((columns, slopes[columns].astype(np.float64)))
            count += len(columns)
        if count > MOST_SLOPES:
            return None
    return {name: _joined(rows) for name, rows in found.items()}


def _joined(found: list[tuple[Ints, Float64s]]) -> Jacobian:
    """Return as one what was found of each row: (columns, slopes)."""
    rows = np.repeat(np.arange(len(found)), [len(columns) for columns, _ in found])
    return Jacobian(rows, np.concatenate([each[0] for each in found]), np.concatenate([each[1] for each in found]))


def by_slopes(layer: Layer, array: str, index: Index, a: Arrays, slopes: Mapping[str, Jacobian]) -> Made:
    """Return how any layer's entry is made, by its slopes.

    A gradient is exactly the sum of dout * slope.  An output is the sum of x * slope and a rest, which is what the
    layer adds (a bias) and how far it bends: f(x) - sum of x * slope.
    """
    flat = int(np.ravel_multi_index(index, a[array].shape))
    if array == "out":
        terms = _with_slopes(a, "x", slopes["x"].columns, slopes["x"].slopes, slopes["x"].rows == flat)
        out, products = float(a["out"][index]), [each.product for each in terms]
        rest = math.fsum([out, *(-product for product in products)])
        if abs(rest) > 1e-12 * (abs(out) + math.fsum(map(abs, products))):
            terms.append(term(number("rest", rest)))
        return Made("out = sum of x * slope + rest, the slopes by the layer's own backward", terms)
    some = slopes[array[1:]]
    terms = _with_slopes(a, "dout", some.rows, some.slopes, some.columns == flat)
    formula = f"{array} = sum over the outputs of dout * slope, the slopes by the layer's own backward"
    return Made(formula, terms, "" if terms else "no output depends on it")


def _with_slopes(a: Arrays, name: str, places: Ints, slopes: Float64s, own: Bools) -> list[Term]:
    """Return the products of an array's entries at ``places`` and slopes, where ``own``."""
    indices = zip(*np.unravel_index(places[own], a[name].shape), strict=True)
    pairs = zip(indices, slopes[own].tolist(), strict=True)
    return [term(entry(a, name, *map(int, index)), number("slope", slope)) for index, slope in pairs]
