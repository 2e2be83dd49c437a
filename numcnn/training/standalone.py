"""A network as one Python file that needs NumPy alone: `numcnn eject`.

No formula is written here: the file's kernels, initial weights, learning rate and pixel statistics are the source of
numcnn's own functions, without annotations.  ``EMITTERS`` turns each layer into the lines that call them, forward and
backward; ``PROGRAM`` is what the file has around them.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from numcnn.data import batches
from numcnn.errors import ConfigError
from numcnn.kernels import reference
from numcnn.nn import initializers, losses, summary
from numcnn.nn.activations import LeakyReLU, Sigmoid, Tanh
from numcnn.nn.batchnorm import BatchNorm
from numcnn.nn.initializers import INITIALIZERS, Initializer
from numcnn.nn.layer import Layer, ParamSpec, Shape
from numcnn.nn.layers import Conv2D, Dense, Dropout, Flatten, MaxPool2D, Pool2D, ReLU
from numcnn.nn.models import MODELS
from numcnn.nn.network import DROPOUT, FIRST_WEIGHTS, INFERENCE_BATCH, Network
from numcnn.nn.pooling import AveragePool2D, GlobalAveragePool2D
from numcnn.training import schedules
from numcnn.training.config import PRESETS, TrainConfig
from numcnn.training.optim import Adam

MOST_LINES = 300
WIDTH = 120
PRESET = "fast"  # whose settings the file trains with

# Where the file's functions come from, in the order in which it has them.
SOURCES: tuple[ModuleType, ...] = (reference, schedules, batches)


class Place(NamedTuple):
    """A layer of a network as the file writes it: the names of its input's and output's arrays.

    need_dx: whether the gradient goes on to the layer before.
    """

    layer: Any
    x: str
    out: str
    need_dx: bool

    @property
    def dx(self) -> str:
        """What backward fills: a new array for the input's gradient, or None."""
        return f"d{self.x} := {_new(self.layer.in_shape)}" if self.need_dx else "None"


class Lines(NamedTuple):
    """The lines that compute a layer, and those that send the gradient back through it."""

    forward: list[str]
    backward: list[str]


Emitter: TypeAlias = Callable[[Place], Lines]


def _new(shape: Shape, dtype: str = "") -> str:
    sizes = ", ".join(map(str, shape))
    return f"new({sizes}, dtype={dtype})" if dtype else f"new({sizes})"


def _arrays(layer: Layer, of: str) -> str:
    """Return a layer's parameters as the file names them: p["conv1.w"], p["conv1.b"]."""
    return ", ".join(f'{of}["{layer.name}.{spec.name}"]' for spec in layer.specs)


def _conv(place: Place) -> Lines:
    layer: Conv2D = place.layer
    x, out, number = place.x, place.out, layer.name.removeprefix("conv")
    weights, stride = f'p["{layer.name}.w"]', layer.stride
    forward, dx, unpad = [], place.dx, []
    if layer.pads:
        (top, bottom), (left, right) = layer._pads  # pyright: ignore[reportPrivateUsage]
        H, W, _ = layer.in_shape
        border = f"((0, 0), ({top}, {bottom}), ({left}, {right}), (0, 0))"
        forward = [f"padded{number} = np.pad({x}, {border})  # zeros on each side"]
        x = f"padded{number}"
        if place.need_dx:
            dx = f"dpadded{number} := np.empty_like({x})"
            inside = f"[:, {top} : {top + H}, {left} : {left + W}]"
            unpad = [f"d{place.x} = np.ascontiguousarray(dpadded{number}{inside})"]
    forward += [f"conv2d_forward({x}, {_arrays(layer, 'p')}, {out} := {_new(layer.out_shape)}, {stride})"]
    return Lines(forward, [f"conv2d_backward(d{out}, {x}, {weights}, {dx}, {_arrays(layer, 'g')}, {stride})", *unpad])


def _dense(place: Place) -> Lines:
    layer, x, out = place.layer, place.x, place.out
    weights, biases = (f'p["{layer.name}.{spec.name}"]' for spec in layer.specs)
    forward = {"x": x, "w": weights, "b": biases, "out": f"{out} := {_new(layer.out_shape)}"}
    backward = f"dense_backward(d{out}, {x}, {weights}, {place.dx}, {_arrays(layer, 'g')})"
    return Lines(_body("dense_forward", forward), [backward])


def _max_pool(place: Place) -> Lines:
    layer: MaxPool2D = place.layer
    out, geometry = place.out, _geometry(layer)
    which = "None"
    if place.need_dx:
        dtype = np.min_scalar_type(layer.pool_size[0] * layer.pool_size[1] - 1)
        which = f"winner{layer.name.removeprefix('pool')} := {_new(layer.out_shape, f'np.{dtype}')}"
    return Lines(
        [f"maxpool2d_forward({place.x}, {out} := {_new(layer.out_shape)}, {which}, {geometry})"],
        [f"maxpool2d_backward(d{out}, {which.split(' ')[0]}, {place.dx}, {geometry})"],
    )


def _geometry(layer: Pool2D) -> str:
    return f"{layer.pool_size}, {layer.stride}"


def _average_pool(place: Place) -> Lines:
    layer, out = place.layer, place.out
    return Lines(
        [f"averagepool2d_forward({place.x}, {out} := {_new(layer.out_shape)}, {_geometry(layer)})"],
        [f"averagepool2d_backward(d{out}, {place.dx}, {_geometry(layer)})"],
    )


def _global_pool(place: Place) -> Lines:
    layer, out = place.layer, place.out
    geometry = f"{layer.in_shape[:2]}, (1, 1)"  # one window, the whole image
    return Lines(
        [f"averagepool2d_forward({place.x}, ({out} := {_new(layer.out_shape)})[:, None, None], {geometry})"],
        [f"averagepool2d_backward(d{out}[:, None, None], {place.dx}, {geometry})"],
    )


def _activation(name: str) -> Emitter:
    """Return what emits the bodies of name_forward(x, out) and name_backward(dout, out, dx), which are short."""

    def emit(place: Place) -> Lines:
        layer, out = place.layer, place.out
        more = {"slope": str(layer.slope)} if isinstance(layer, LeakyReLU) else {}
        forward = {"x": place.x, "out": f"{out} := {_new(layer.out_shape)}", "e": f"e_{out}", **more}
        backward = {"dout": f"d{out}", "out": out, "dx": place.dx, **more}
        return Lines(_body(f"{name}_forward", forward), _body(f"{name}_backward", backward) if place.need_dx else [])

    return emit


def _flatten(place: Place) -> Lines:
    x, out = place.x, place.out
    return Lines(
        [f"{out} = {x}.reshape(len(x), {place.layer.out_shape[0]})"],
        [f"d{x} = d{out}.reshape({x}.shape)  # the same numbers"],
    )


def _dropout(place: Place) -> Lines:
    layer, x, out = place.layer, place.x, place.out
    drawn = f"drawn{layer.name.removeprefix('dropout')}"
    names = {"u": drawn, "rate": str(layer.rate)}
    forward = {"x": x, "out": f"{out} := {_new(layer.out_shape)}", **names}
    backward = {"x": f"d{out}", "out": place.dx, **names}  # dropout_backward calls dropout_forward
    return Lines(
        [
            f"{out} = {x}  # nothing is dropped when the network answers",
            "if labels is not None:",
            f"    {drawn} = rng.random({x}.shape, {x}.dtype)",
            *(f"    {line}" for line in _body("dropout_forward", forward)),
        ],
        _body("dropout_forward", backward) if place.need_dx else [],
    )


def _batch_norm(place: Place) -> Lines:
    layer, x, out, name = place.layer, place.x, place.out, place.layer.name
    number, columns = name.removeprefix("bn"), f"reshape(-1, {layer.in_shape[-1]})"
    names = {key: f'p["{name}.{key}"]' for key in ("gamma", "beta")}
    names |= {"x": x, "mean": f"mean{number}", "var": f"var{number}", "eps": str(layer.eps)}
    running = f'p["{name}.mean"], p["{name}.var"], {layer.momentum}'
    dx = f"(d{x} := {_new(layer.in_shape)}).{columns}" if place.need_dx else "None"
    return Lines(
        [
            f"mean{number}, var{number} = batch_statistics({x}.{columns}, {running}, labels is not None)",
            *_body("batchnorm_forward", {**names, "out": f"{out} := {_new(layer.out_shape)}"}),
        ],
        [
            f"batchnorm_backward(d{out}.{columns}, {x}.{columns}, mean{number}, var{number}, {names['gamma']}, "
            f"{layer.eps}, {dx}, {_arrays(layer, 'g')})"
        ],
    )


EMITTERS: dict[type[Layer], Emitter] = {
    Conv2D: _conv,
    Dense: _dense,
    MaxPool2D: _max_pool,
    AveragePool2D: _average_pool,
    GlobalAveragePool2D: _global_pool,
    Flatten: _flatten,
    Dropout: _dropout,
    BatchNorm: _batch_norm,
    ReLU: _activation("relu"),
    LeakyReLU: _activation("leaky_relu"),
    Tanh: _activation("tanh"),
    Sigmoid: _activation("sigmoid"),
}

BATCH_STATISTICS = '''
def batch_statistics(x, running_mean, running_var, momentum, training):
    """Return mean and variance of the columns of x (M,C): in training the batch's, else the running ones."""
    if not training:
        return running_mean, running_var
    mean, var, M = np.empty_like(running_mean), np.empty_like(running_var), len(x)
    @STATISTICS@
    running_mean += (1 - momentum) * (mean - running_mean)
    running_var += (1 - momentum) * (var * (M / max(1, M - 1)) - running_var)  # the unbiased estimate
    return mean, var
'''

PROGRAM = '''"""@NAME@.py: a network that reads handwritten digits, forward and backward, in NumPy alone.

    python @NAME@.py train FOLDER [NEW.npz]   learn MNIST, from its four IDX files in FOLDER (.gz or not)
    python @NAME@.py test FOLDER [FILE.npz]   read MNIST's test digits
    python @NAME@.py predict FILE [FILE.npz]  read pictures (N,@H@,@W@), uint8, 255 is ink: an .npy or IDX file

FILE.npz holds the weights, by default @NAME@.npz beside this file.  Made by `numcnn eject` from numcnn's own functions:
@SAME@ computes the same numbers, to the last bit.
@HOW@"""
import gzip
import json
import math
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
@IMPORTS@
EPOCHS, BATCH_SIZE, LEARNING_RATE = @EPOCHS@, @BATCH@, @LR@  # the highest learning rate: see one_cycle
WEIGHT_DECAY, LABEL_SMOOTHING, SEED = @DECAY@, @SMOOTHING@, @SEED@
Network = namedtuple("Network", "parameters mean std temperature")  # name -> array; of the pixels; see predict
@FUNCTIONS@
def first_parameters(seed):
    """Return the parameters before training, name -> array: random weights, biases of zero."""
    rng = np.random.default_rng([seed, @FIRST@])
    p = {
@PARAMETERS@
    }
    return {name: values.astype(np.@DTYPE@) for name, values in p.items()}

def run(net, images, labels=None, rng=None):
    """Return the logits of pictures (N,@H@,@W@) uint8; with labels (N,) instead the mean loss and its gradients."""
    def new(*shape, dtype=np.@DTYPE@):  # an array (N, *shape) for a call to fill; name := new(...) also names it
        return np.empty((len(images), *shape), dtype)

    if images.shape[1:] != (@H@, @W@) or images.dtype != np.uint8:
        raise ValueError(f"the pictures are {images.dtype} {images.shape}; wants uint8 (N, @H@, @W@)")
    p, x = net.parameters, new(@H@, @W@, 1)
@GATHER@
    # Forward, from the pixels to the logits.
@FORWARD@
    if labels is None:
        return logits
    softmax_cross_entropy_forward(logits, labels, LABEL_SMOOTHING, log_probs := new(@CLASSES@), losses := new())
    # Backward, the same layers from last to first: dname is the gradient of the mean loss with respect to name.
    g = @GRADIENTS@
    softmax_cross_entropy_backward(log_probs, labels, len(x), LABEL_SMOOTHING, dlogits := new(@CLASSES@))
@BACKWARD@
    return float(losses.sum(dtype=np.float64) / len(x)), g

def train(net, images, labels, epochs=EPOCHS, batch_size=BATCH_SIZE, seed=SEED):
    """Change the network's parameters to read images (M,@H@,@W@) uint8 as labels (M,).  Yield each step's loss."""
    if len(labels) != len(images) or labels.max() >= @CLASSES@:
        raise ValueError(f"wants a label from 0 to @LAST@ for each of {len(images)} pictures")
    p, rng, step = net.parameters, np.random.default_rng([seed, @DROPOUT@]), 0
    m, v = ({name: np.zeros_like(array) for name, array in p.items()} for _ in "mv")  # Adam's running averages
    learning_rate = one_cycle(LEARNING_RATE, epochs * math.ceil(len(images) / batch_size))
    for epoch in range(epochs):
        order = np.random.default_rng([seed, @ORDER@, epoch]).permutation(len(images))
        for index in np.split(order, range(batch_size, len(order), batch_size)):
            loss, g = run(net, images[index], labels[index], rng)
            lr, step = learning_rate(step), step + 1
            for name in g:
                decay = float(name.endswith(".w"))  # weights decay, all else doesn't
                adam_step(p[name], g[name], m[name], v[name], decay, step, lr, @ADAM@, WEIGHT_DECAY)
            yield loss

def predict(net, images):
    """Return probabilities (N,@CLASSES@) of pictures uint8; numcnn's temperature makes them match accuracies."""
    logits = [run(net, images[first : first + @PART@]) for first in range(0, len(images), @PART@)]
    logits = np.concatenate(logits) / np.@DTYPE@(net.temperature)
@SOFTMAX@

def load(path):
    """Return the Network in a weights file, numcnn's or this program's."""
    p = first_parameters(SEED)
    with np.load(path) as file:
        meta = json.loads(bytes(file["meta.json"]))
        for name in p:
            p[name][...] = file[name]
    return Network(p, *meta["normalisation"].values(), meta.get("temperature", 1.0))

def read_idx(path):
    """Return the array in an IDX file, MNIST's format, compressed by gzip or not."""
    data = (Path(path) if Path(path).exists() else Path(f"{path}.gz")).read_bytes()
    data = gzip.decompress(data) if data[:2] == b"\\x1f\\x8b" else data
    if data[:3] != b"\\0\\0\\x08":
        raise ValueError(f"{path} is no IDX file of bytes")
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(np.frombuffer(data, ">u4", data[3], 4))

if __name__ == "__main__":
    if len(sys.argv) not in (3, 4) or sys.argv[1] not in ("train", "test", "predict"):
        sys.exit(__doc__)
    command, path, weights = [*sys.argv[1:], None][:3]
    part, kinds = "train" if command == "train" else "t10k", ("images-idx3", "labels-idx1")
    if command == "train" and Path(weights := weights or "trained.npz").exists():
        sys.exit(f"{weights} exists; name another file")
    if command != "predict":
        images, labels = (read_idx(f"{path}/{part}-{kind}-ubyte") for kind in kinds)
    if command == "train":
        net = Network(first_parameters(SEED), *mean_and_std(images, np.arange(len(images))), 1.0)
        for step, loss in enumerate(train(net, images, labels), 1):
            print(f"step {step}: loss {loss:.4f}", end="\\n" if step % 50 == 0 else "\\r", flush=True)
        meta = {"normalisation": {"mean": net.mean, "std": net.std}}
        with open(weights, "xb") as file:
            np.savez(file, **net.parameters, **{"meta.json": np.bytes_(json.dumps(meta))})
    elif command == "test":
        right = predict(load(weights or Path(__file__).with_suffix(".npz")), images).argmax(axis=1) == labels
        print(f"{right.mean():.2%} of {len(right):,} test digits read correctly")
    else:
        net = load(weights or Path(__file__).with_suffix(".npz"))
        for number, p in enumerate(predict(net, np.load(path) if path.endswith(".npy") else read_idx(path))):
            print(f"{number}: {p.argmax()} ({p.max():.1%})")
'''


def as_python(network: Network, name: str = "mynet") -> str:
    """Return ``network`` as the text of one Python file, ``name``.py, of at most ``MOST_LINES`` lines.

    The file needs NumPy alone.  It trains the network from new weights, reads and writes weights files, and answers.
    Raises ConfigError, which says what in the network can't be put into such a file.
    """
    _check(network)
    text = _filled(network, name)
    functions = _functions_used(text)
    while (lines := _with_functions(text, functions).count("\n")) > MOST_LINES:
        # What says least about backpropagation goes first: the last words of the longest docstring.
        longest = max(functions, key=lambda name: (_docstring_lines(functions[name]) > 1, *_worth(name, functions)))
        if _docstring_lines(functions[longest]) > 1:
            functions[longest] = _without_last_paragraph(functions[longest])
        elif _how_to_read() in text:
            text = text.replace(_how_to_read(), "")
        elif (joined := _without_gaps(functions)) != functions:
            functions = joined
        else:
            raise ConfigError(
                f"this network of {len(network.layers)} layers would take {lines} lines; a file of {MOST_LINES} is the "
                "most: use fewer layers"
            )
    return _with_functions(text, functions)


def _without_gaps(functions: dict[str, str]) -> dict[str, str]:
    """Return functions without blank lines between forward and backward; if there are none, without any between them.

    Blank lines make the file easier to read, so they are the last thing to go.
    """
    pairs = {name: f"{name.removesuffix('_forward')}_backward" for name in functions}
    pairs = {name: other for name, other in pairs.items() if name.endswith("_forward") and other in functions}
    if not pairs:
        return {"all": "\n".join(functions.values())}
    joined = {name: f"{functions[name]}\n{functions[other]}" for name, other in pairs.items()}
    return {f"{name}+": joined.get(name, text) for name, text in functions.items() if name not in pairs.values()}


def _worth(name: str, functions: Mapping[str, str]) -> tuple[bool, int]:
    """Return what to sort functions by whose docstrings may be shortened, the first last."""
    return not name.endswith("_backward"), _docstring_lines(functions[name])


def _check(network: Network) -> None:
    """Raise ConfigError for what can't be ejected."""
    network.check_reads_pictures()
    cant = "can't be ejected"
    for layer in network.layers:
        if type(layer) not in EMITTERS:
            known = ", ".join(kind.__name__ for kind in EMITTERS)
            raise ConfigError(f"{layer.name}: {type(layer).__name__} {cant}: only numcnn's own layers can ({known})")
        if layer.frozen:
            raise ConfigError(f"{layer.name} is frozen, which {cant}; set {layer.name}.frozen = False first")
        for spec in layer.specs:
            if _own_initializer(spec.init) is None:
                raise ConfigError(
                    f"{layer.name}: its initialiser {spec.init!r} {cant}; numcnn's own can: {', '.join(_OWN_INIT)}"
                )
    if not any(layer.specs for layer in network.layers):
        raise ConfigError(f"a network without parameters {cant}: there is nothing to learn")
    if network.input_shape[2] != 1:
        raise ConfigError(
            f"a network that reads {network.input_shape} {cant}: the file reads IDX files of grey pictures, (H, W, 1)"
        )


_OWN_INIT = {f.__name__: f for f in (initializers.he_normal, initializers.glorot_uniform, initializers.zeros)}
_OWN_INIT["ones"] = initializers.ones


def _own_initializer(init: str | Initializer) -> Initializer | None:
    """Return an initialiser that is numcnn's own, None for any other."""
    function = init if callable(init) else INITIALIZERS[init]
    return next((own for own in _OWN_INIT.values() if own is function), None)


def _filled(network: Network, name: str) -> str:
    """Return the program without the functions that it takes from numcnn, at whose place @FUNCTIONS@ stays."""
    config = TrainConfig(**PRESETS[PRESET])
    adam = inspect.signature(Adam.__init__).parameters
    forward, backward = _passes(network)
    H, W, _ = network.input_shape
    classes = network.output_shape[0]
    dtype = network.dtype.name
    values = {
        "NAME": name,
        "H": H,
        "W": W,
        "CLASSES": classes,
        "LAST": classes - 1,
        "DTYPE": dtype,
        "SAME": _same_as(network),
        "EPOCHS": config.epochs,
        "BATCH": config.batch_size,
        "LR": config.peak_lr,
        "DECAY": config.decay_rate,
        "SMOOTHING": config.label_smoothing,
        "SEED": config.seed,
        "FIRST": FIRST_WEIGHTS,
        "DROPOUT": DROPOUT,
        "ORDER": batches.ORDER,
        "PART": INFERENCE_BATCH,
        "ADAM": ", ".join(str(adam[key].default) for key in ("beta1", "beta2", "eps")),
        "HOW": _how_to_read(),
        "PARAMETERS": textwrap.indent("\n".join(_parameters(network)), " " * 8),
        "FORWARD": _indented(forward),
        "BACKWARD": _indented(backward),
        "GRADIENTS": _gradients(network),
        "GATHER": _indented(_body("gather_images", GATHERED)),
        "SOFTMAX": _indented(_body("softmax", {})),
    }
    return re.sub(r"@([A-Z]+)@", lambda match: str(values.get(match[1], match[0])), PROGRAM)


# How ``run`` calls gather_images: all pictures that it is given, normalised as (pixel - mean) / std.
GATHERED = {"index": "...", "out": "x", "scale": "1 / 255 / net.std", "shift": "-net.mean / net.std"}


def _indented(lines: list[str]) -> str:
    return textwrap.indent("\n".join(lines), " " * 4)


def _same_as(network: Network) -> str:
    """Return what in numcnn trains as the file does."""
    architecture = network.architecture()
    for name, make in MODELS.items():
        if summary.architecture(make(network.output_shape[0], 0.0)) == architecture:
            model = "" if name == TrainConfig.model else f" --model {name}"
            return f"`numcnn train{model} --preset {PRESET} --backend reference --no-fuse`"
    return f"numcnn's training of this network (preset {PRESET}, reference kernels, unfused)"


def _how_to_read() -> str:
    """Return the names of dimensions, from the docstring of the kernels."""
    _, head, dimensions = (reference.__doc__ or "").partition("Dimensions: ")
    return "\n" + (head + dimensions).strip() + "\n"


def _parameters(network: Network) -> Iterator[str]:
    """Yield a line for each layer that has parameters or state: their first values."""
    for layer in network.layers:
        values = [(spec.name, _drawn(spec)) for spec in layer.specs]
        values += [(spec.name, f"np.full({spec.shape}, {spec.initial})") for spec in layer.state_specs]
        entries = " ".join(f'"{layer.name}.{name}": {value},' for name, value in values)
        yield from textwrap.wrap(entries, WIDTH - 8) if len(entries) > WIDTH - 8 else [entries] * bool(values)


def _drawn(spec: ParamSpec) -> str:
    """Return the expression for a parameter's first values: what its initialiser returns, for this shape.

    he_normal, for one, becomes ``rng.standard_normal((3, 3, 1, 32)) * math.sqrt(2 / 9)``.
    """
    function = _own_initializer(spec.init)
    assert function is not None
    *before, last = _function_node(function).body[1:]  # without the docstring
    known: dict[str, Any] = {"shape": spec.shape}
    exec(ast.unparse(ast.Module(before, [])), dict(vars(initializers)), known)
    assert isinstance(last, ast.Return) and last.value is not None
    return _renamed(last.value, {name: repr(value) for name, value in known.items()})


def _gradients(network: Network) -> str:
    """Return the expression for new arrays of gradients; what a layer learns without gradients has none."""
    state = {spec.name for layer in network.layers for spec in layer.state_specs}
    given = {spec.name for layer in network.layers for spec in layer.specs}
    which = f" if not name.endswith({tuple(f'.{name}' for name in sorted(state))})" if state else ""
    assert not state & given
    return f"{{name: np.empty_like(array) for name, array in p.items(){which}}}".replace("'", '"')


def _passes(network: Network) -> tuple[list[str], list[str]]:
    """Return the lines of the forward pass, and those of the backward pass, each layer with its output's shape."""
    layers = network.layers
    first = next(i for i, layer in enumerate(layers) if layer.specs)
    forward: list[str] = []
    backward: list[str] = []
    x = "x"
    for i, layer in enumerate(layers):
        out = "logits" if i == len(layers) - 1 else layer.name
        lines = EMITTERS[type(layer)](Place(layer, x, out, need_dx=i > first))
        forward += _fitted(lines.forward)
        if i >= first:
            backward = _fitted(lines.backward) + backward
        x = out
    return forward, backward


# The functions from numcnn's source


def _function_node(function: Callable[..., Any]) -> ast.FunctionDef:
    (node,) = ast.parse(inspect.getsource(function)).body
    assert isinstance(node, ast.FunctionDef)
    return node


class _Renamer(ast.NodeTransformer):
    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = {name: ast.parse(text, mode="eval").body for name, text in names.items()}

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.names.get(node.id, node)


def _renamed(node: ast.AST, names: Mapping[str, str]) -> str:
    """Return the code of a node in which the names are replaced by expressions."""
    return ast.unparse(_Renamer(names).visit(node)).replace("'", '"')


def _body(name: str, names: Mapping[str, str]) -> list[str]:
    """Return the statements of a short function, its arguments replaced; what it does goes beside the first one.

    An argument "a := new(2)" makes the array where it is first used.
    """
    node = _function_node(getattr(losses if name == "softmax" else reference, name))
    names, lines = dict(names), list[str]()
    for statement in node.body[1:]:
        used = {part.id for part in ast.walk(statement) if isinstance(part, ast.Name)}
        lines.append(_renamed(statement, {key: f"({text})" for key, text in names.items()}))
        names |= {key: names[key].split(" := ")[0] for key in used & names.keys()}
    what = (ast.get_docstring(node) or "").split("\n")[0].split(":")[0].removesuffix(".")
    noted = f"{lines[0]}  # {what[0].lower()}{what[1:]}"
    if name.endswith("_forward") and len(noted) <= WIDTH - 8:
        lines[0] = noted
    return lines


def _fitted(lines: list[str], width: int = WIDTH - 4) -> list[str]:
    """Return lines that aren't longer than ``width``: arrays are made in a line before, arguments go on in a second."""
    fitted: list[str] = []
    for line in lines:
        made: list[str] = []
        while len(line) > width and (found := _MADE.search(line)):
            indent = " " * (len(line) - len(line.lstrip()))
            made.insert(0, f"{indent}{found[1] or found[3]} = {found[2] or found[4]}")
            line = line.replace(found[0], found[1] or found[3], 1)
        fitted += [*made, *_broken(line, width)]
    return fitted


def _broken(line: str, width: int) -> list[str]:
    """Return a line as two, cut after a comma, if it is longer than ``width``."""
    cut = line.rfind(", ", 0, width) + 1
    return [line] if len(line) <= width or not cut else [line[:cut], " " * 8 + line[cut + 1 :]]


_ARRAY = r"(\w+) := (new\([^()]*\)|np\.empty_like\(\w+\))"
_MADE = re.compile(rf"\({_ARRAY}\)|{_ARRAY}")


def _functions_used(text: str) -> dict[str, str]:
    """Return the source of the functions that a program calls, and of those that they call: name -> source."""
    available = {name: function for module in SOURCES for name, function in _functions_of(module)}
    available["batch_statistics"] = None
    found: dict[str, str] = {}
    waiting = _names_in(text.replace("@FUNCTIONS@", "").replace("@IMPORTS@", ""))
    while waiting:
        name = waiting.pop()
        if name in available and name not in found:
            found[name] = _batch_statistics() if available[name] is None else _plain_source(available[name])
            waiting |= _names_in(found[name])
    return {name: found[name] for name in available if name in found}


def _batch_statistics() -> str:
    lines = _body("batchnorm_statistics", {})
    return BATCH_STATISTICS.strip().replace("@STATISTICS@", "\n    ".join(lines))


def _functions_of(module: ModuleType) -> list[tuple[str, Any]]:
    """Return the functions that a module defines itself, in the order of its source."""
    found = [(name, thing) for name, thing in vars(module).items() if inspect.isfunction(thing)]
    return [(name, function) for name, function in found if function.__module__ == module.__name__]


def _names_in(text: str) -> set[str]:
    return {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}


def _plain_source(function: Callable[..., Any]) -> str:
    """Return a function's source with its comments, but without annotations."""
    lines = inspect.getsource(function).splitlines()
    nodes = [node for node in ast.walk(ast.parse("\n".join(lines))) if isinstance(node, ast.FunctionDef)]
    for node in sorted(nodes, key=lambda node: -node.lineno):
        for argument in (*node.args.args, *node.args.kwonlyargs):
            argument.annotation = None
        head = f"{' ' * node.col_offset}def {node.name}({ast.unparse(node.args)}):"
        lines[node.lineno - 1 : node.body[0].lineno - 1] = [head]
    return "\n".join(lines)


def _docstring(source: str) -> ast.stmt:
    function = ast.parse(source).body[0]
    assert isinstance(function, ast.FunctionDef)
    return function.body[0]


def _docstring_lines(source: str) -> int:
    node = _docstring(source)
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _without_last_paragraph(source: str) -> str:
    """Return a function's source without the last paragraph of its docstring, which has several lines."""
    node, lines = _docstring(source), source.splitlines()
    text = lines[node.lineno - 1 : (node.end_lineno or 0) - 1]  # without the closing quotes, which have a line
    gap = max((i for i, line in enumerate(text) if not line.strip()), default=1)
    kept = text[:gap]
    kept = [kept[0] + '"""'] if gap == 1 else [*kept, '    """']
    return "\n".join([*lines[: node.lineno - 1], *kept, *lines[node.end_lineno :]])


def _with_functions(text: str, functions: dict[str, str]) -> str:
    """Return the whole file."""
    body = "\n\n".join(functions.values())
    window = "sliding_window_view"
    imports = f"from numpy.lib.stride_tricks import {window}\n" if window in body else ""
    return text.replace("@IMPORTS@\n", f"{imports}\n").replace("@FUNCTIONS@", f"\n{body}\n")
