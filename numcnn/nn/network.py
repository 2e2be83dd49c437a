"""A network: layers in a row over one flat buffer of parameters and one of gradients."""

import copy
import html
import math
import numbers

import numpy as np

from numcnn import kernels
from numcnn.errors import CheckpointError, ConfigError, DataError, NumcnnError, ShapeError
from numcnn.kernels.buffers import zeros
from numcnn.nn import fusion, initializers
from numcnn.nn.data_parallel import Readers, Replicas, count_shares, on_threads, with_gradients
from numcnn.nn.layers import LAYERS, Dropout, Layer
from numcnn.nn.losses import SoftmaxCrossEntropy, checked_labels, softmax
from numcnn.nn.pixels import PixelReader, check_values, readable

MAX_PARAMETERS = 1 << 27

# Images that inference runs through the layers at a time: what bounds its memory.
INFERENCE_BATCH = 128

# Which of a seed's streams of random numbers is whose.  (Stream 0 would be that of the seed alone.)
FIRST_WEIGHTS, DROPOUT = 1, 2

# With the "auto" back-end, so many images are worth loading and warming up the compiled kernels.
AUTO_FAST_IMAGES = 129


class Network:
    """Layers in a row, from images to logits, one score per class.

    ``params`` and ``grads`` are flat arrays (P,); every layer's arrays are views into them, so write them in place.
    ``state`` (S,) holds likewise what layers learn otherwise than by gradients, such as BatchNorm's running statistics.
    Copy, pickle and save keep parameters, state and the random numbers' state; gradients begin at zero.
    Attributes: layers (what the network is), steps (what runs), input_shape (H, W, C), dtype, normalisation (mean,
    std) of 0..1 pixels, flops (of one image's forward pass), info (a dict that goes into the weights file and comes
    back with it), temperature (by which logits are divided before they become probabilities: see ``calibrate``).

    Any number of threads may read with one network at a time (``logits``, ``predict``, ``predict_proba``, ``evaluate``,
    ``forward`` without training ...), also while one thread trains it; each gets the answers it would get alone.
    """

    def __init__(
        self,
        layers,
        input_shape=(28, 28, 1),
        *,
        dtype=np.float32,
        backend="auto",
        seed=0,
        normalisation=(0.0, 1.0),
        most_parameters=MAX_PARAMETERS,
        fuse=True,
    ):
        """Build the layers for images of ``input_shape`` and draw first weights from ``seed``.

        dtype: float32 or float64.  backend: "reference", "fast", a module of kernels, or "auto": fast for training and
        for many images, reference for a few (which then needn't wait for Numba).  seed: None leaves all parameters
        zero, for somebody who is going to fill them.  most_parameters: more of them are refused before they are made.
        fuse: run layers together where there is a kernel for it; see ``numcnn.nn.fusion``.
        Raises ConfigError, and ShapeError when a layer doesn't fit the one before it.
        """
        self.dtype = _checked_dtype(dtype)
        self.layers = _checked_layers(layers)
        self.input_shape = tuple(input_shape)
        self.normalisation = _checked_normalisation(normalisation)
        self.seed = _checked_seed(seed)
        self.info, self.temperature = {}, 1.0
        self._build_layers()
        self._bind_parameters(most_parameters)
        self.flops = max(1, sum(layer.flops() for layer in self.layers))
        if seed is not None:
            self._draw_parameters(np.random.default_rng([seed, FIRST_WEIGHTS]))
        self.rng = np.random.default_rng([seed or 0, DROPOUT])
        for layer in self.layers:
            layer.rng = self.rng
        self._backend, self._fuse = _checked_backend(backend), bool(fuse)
        self._make_replicas()
        for layer in self.layers:  # at the end: layers of a network that couldn't be built may go into another
            layer.in_network = True

    def _build_layers(self):
        """Tell each layer its input's shape, and name it after its kind: conv1, relu1, pool1, conv2 ..."""
        shape, count = self.input_shape, {}
        for layer in self.layers:
            short = layer.short_name or type(layer).__name__.lower()
            count[short] = count.get(short, 0) + 1
            shape = layer.build(shape, self.dtype, f"{short}{count[short]}")
        self.output_shape = shape

    def _bind_parameters(self, most):
        """Lay all parameters out in one flat array, the gradients in another, and give the layers their views."""
        specs = [(layer, spec) for layer in self.layers for spec in layer.specs]
        total = sum(_size(spec) for _, spec in specs)
        state_total = sum(_size(spec) for layer in self.layers for spec in layer.state_specs)
        if total + state_total > most:
            raise ConfigError(f"the network has {total + state_total:,} parameters; {most:,} are the most here")
        self.params, self.grads = zeros((total,), self.dtype), zeros((total,), self.dtype)
        self.state, self.next_state = zeros((state_total,), self.dtype), zeros((state_total,), self.dtype)
        self.decay = zeros((total,), self.dtype)  # 1 where weight decay applies
        self.slices = {}  # "conv1.w" -> where it lies in the flat arrays
        views = {layer: ({}, {}) for layer in self.layers}
        start = 0
        for layer, spec in specs:
            place = slice(start, start + _size(spec))
            self.slices[f"{layer.name}.{spec.name}"] = place
            self.decay[place] = spec.decay
            params, grads = views[layer]
            params[spec.name] = self.params[place].reshape(spec.shape)
            grads[spec.name] = self.grads[place].reshape(spec.shape)
            start = place.stop
        state, next_state = self.state_of_layers(self.state), self.state_of_layers(self.next_state)
        for i, (layer, (params, grads)) in enumerate(views.items()):
            layer.bind(params, grads, state[i], next_state[i])
            for spec in layer.state_specs:
                layer.state[spec.name][...] = spec.initial
        self.next_state[...] = self.state

    def _draw_parameters(self, rng):
        for layer in self.layers:
            for spec in layer.specs:
                values = initializers.draw(spec.init, rng, f"{layer.name}.{spec.name}", spec.shape)
                layer.params[spec.name][...] = values

    @property
    def fuse(self):
        """Whether layers run together where there is a kernel for it.  ``steps`` are what runs."""
        return self._fuse

    @fuse.setter
    def fuse(self, fuse):
        self._fuse = bool(fuse)
        for layer in self.layers:
            layer.forget()
        self._make_replicas()

    def _make_replicas(self):
        self._replicas = Replicas(self, self._fuse)
        self._readers = Readers(self, self._fuse)
        self._plain_readers = Readers(self, fuse=False)  # their steps are the layers
        self._give_layers_kernels()

    def _give_layers_kernels(self):
        """Let layers that are called by themselves run, with "auto" without waiting for Numba."""
        kernels = self._kernels_for(1)
        for layer in self.layers:
            layer.kernels = kernels
        self._replicas.first(kernels)

    @property
    def steps(self):
        """What runs: the layers, those that go together as one."""
        return self._replicas.first().steps

    @property
    def backend(self):
        """The name of the back-end, or the module of kernels that was given."""
        return self._backend

    @backend.setter
    def backend(self, backend):
        self._backend = _checked_backend(backend)
        self._give_layers_kernels()

    @property
    def kernels(self):
        """The module of kernels that training runs on; with "auto", asking loads Numba."""
        return self._kernels_for(None)

    @property
    def backend_name(self):
        """The name of the kernels that training runs on: "reference", "fast", or that of the module given."""
        return kernels.name_of(self.kernels)

    @property
    def pixel_reader(self):
        """The ``PixelReader`` that fills training's batches."""
        return PixelReader(self.normalisation, self.kernels)

    def _kernels_for(self, images):
        """Return the module of kernels for so many images; None: for training.  Here alone "auto" is resolved."""
        backend = self._backend
        if isinstance(backend, str) and backend == "auto":
            backend = "fast" if images is None or images >= AUTO_FAST_IMAGES else "reference"
        return kernels.get_backend(backend)

    def named_arrays(self, flat):
        """Return name -> view, shaped like the parameter, of a flat array (P,): ``params``, ``grads`` or an update."""
        return {
            f"{layer.name}.{spec.name}": flat[self.slices[f"{layer.name}.{spec.name}"]].reshape(spec.shape)
            for layer in self.layers
            for spec in layer.specs
        }

    def state_of_layers(self, flat):
        """Return for each layer name -> view, shaped as declared, of a flat array (S,) like ``state``."""
        views, start = [], 0
        for layer in self.layers:
            views.append({})
            for spec in layer.state_specs:
                views[-1][spec.name] = flat[start : start + _size(spec)].reshape(spec.shape)
                start += _size(spec)
        return views

    def named_state(self):
        """Return name -> view, shaped as declared, of the state: "bn1.mean" ...; empty for most networks."""
        return {f"{layer.name}.{name}": values for layer in self.layers for name, values in layer.state.items()}

    # Forward and backward

    def forward(self, x, training=False):
        """Run x (N, *input_shape), normalised, through all layers, on one thread.  Return the logits (N, classes).

        ``training`` remembers what backward needs; the result is then a buffer of the network's: copy it to keep it.
        """
        if not training:
            kernels = self._kernels_for(len(x) if np.ndim(x) else 0)
            with kernels.computing(), self._readers.borrow(kernels) as reader:
                return reader.forward(x).copy()
        kernels = self.kernels
        with kernels.computing():
            return self._replicas.first(kernels).forward(x, training=True)

    def backward(self, dlogits, need_dx=False):
        """Run the gradient of the loss back through the layers: the chain rule, last layer first.

        Overwrites ``grads``.  Returns the input's gradient dx (N, *input_shape) if ``need_dx``, else None: then what
        lies before the first layer with parameters isn't computed.  The state becomes what the forward pass made of it.
        """
        replica = self._replicas.first()
        with replica.kernels.computing():
            dx = replica.backward(dlogits, need_dx)
        self.state[...] = self.next_state
        return dx

    def backpropagate(self, batch, criterion):
        """Take a batch forward, through the loss and backward, on all threads: what a training step does.

        batch: a ``data.batches.Batch``.  criterion: the loss, such as ``SoftmaxCrossEntropy``.
        Overwrites ``grads`` with the gradient of the mean loss, updates ``state``.  Return the loss, a float, and
        the logits (N, classes), a buffer of the network's.
        """
        kernels = self.kernels
        with kernels.computing():
            return self._replicas.backpropagate(batch, criterion, kernels)

    # Inference: any number of threads may call it at once, also while one trains

    def logits(self, images):
        """Return the logits (N, classes) of pictures (H,W), (N,H,W) or (N,H,W,C).

        They are integers 0..255, floats 0..1 or bool, for no ink and full ink.
        Memory beside the result is bounded for any N.  Raises ShapeError for another shape, dtype or range.
        """
        images = self.check_images(images)
        out = np.empty((len(images), *self.output_shape), self.dtype)
        kernels, readers = self._kernels_for(len(images)), self._readers
        pixels = PixelReader(self.normalisation, kernels)
        shares = count_shares(len(images), self.flops, kernels)
        most = max(1, min(INFERENCE_BATCH, -(-len(images) // shares)))
        firsts = iter(range(0, len(images), most))  # who has time takes the next: the cut doesn't depend on that

        def read(_):
            with readers.borrow(kernels) as reader:
                for first in firsts:
                    some = np.ascontiguousarray(readable(images[first : first + most], self.dtype))
                    x = pixels.read(some, np.arange(len(some)), reader.x(len(some)))
                    out[first : first + len(some)] = reader.forward(x)

        with kernels.computing():
            on_threads(kernels, shares, read)
        return out

    def activations(self, image):
        """Return what comes out of every layer for one picture: pairs (layer, output (1, *out_shape)).

        The layers run one by one, not fused.  The outputs are the caller's own.  Raises ShapeError, as ``logits``.
        """
        kernels = self._kernels_for(1)
        with kernels.computing(), self._plain_readers.borrow(kernels) as reader:
            outputs = [out.copy() for _, out in reader.activations(self._read(image, kernels))]
        return list(zip(self.layers, outputs, strict=True))

    def input_gradient(self, image, dlogits):
        """Return the gradient (H, W, C) by one picture's pixels, on the scale 0..1, of sum(dlogits * logits).

        dlogits: (classes,).  The layers run one by one, as when training but without dropout; ``grads`` stays as it is.
        """
        kernels = self._kernels_for(1)
        layers = [layer for layer in self.layers if type(layer) is not Dropout]
        replica = with_gradients(self, layers, fuse=False).use(kernels)
        with kernels.computing():
            out = replica.forward(self._read(image, kernels), training=True)
            dx = replica.backward(np.asarray(dlogits, out.dtype).reshape(out.shape), need_dx=True)
        return dx[0] / self.normalisation[1]

    def _read(self, image, kernels):
        """Return one picture, checked, as the first layer wants it: (1, *input_shape)."""
        images = np.ascontiguousarray(readable(self.check_images(image), self.dtype))
        x = np.empty((1, *self.input_shape), self.dtype)
        return PixelReader(self.normalisation, kernels).read(images, np.arange(1), x)

    def predict_proba(self, images):
        """Return the probabilities (N, classes) of pictures: see ``logits`` for what they may be."""
        return self.probabilities(self.logits(images))

    def probabilities(self, logits):
        """Return the probabilities (N, classes) that logits (N, classes) stand for, at the network's temperature."""
        return softmax(self._tempered(logits))

    def _tempered(self, logits):
        return logits / self.dtype.type(self.temperature)

    def predict(self, images):
        """Return the labels (N,) of pictures: see ``logits`` for what they may be."""
        return self.logits(images).argmax(axis=1)

    def evaluate(self, images, labels):
        """Compare predictions with labels (N,).  Return a ``metrics.Evaluation``: accuracy, loss, confusion ..."""
        from numcnn.evaluation import metrics  # here, as below: importing numcnn doesn't wait for what few need

        images = self.check_images(images)
        if len(images) == 0:
            raise DataError("there are no images to evaluate on; wants 1 or more")
        labels = checked_labels("evaluate", labels, len(images), *self.output_shape)
        logits = self.logits(images)
        criterion = SoftmaxCrossEntropy(self._kernels_for(len(images)))
        loss = criterion.forward(self._tempered(logits), labels)
        return metrics.evaluation(labels, np.exp(criterion.log_probs), loss)

    def calibrate(self, images, labels):
        """Set the temperature so that probabilities say how sure one may be, and return the pictures' (N, classes).

        images, labels: some that were not trained on.  No answer changes.  See ``calibration.fit_temperature``.
        """
        from numcnn.evaluation.calibration import fit_temperature

        images = self.check_images(images)
        labels = checked_labels("calibrate", labels, len(images), *self.output_shape)
        logits = self.logits(images)
        self.temperature = fit_temperature(logits, labels)
        return self.probabilities(logits)

    def reader(self):
        """Return a ``reader.Reader``: a snapshot of this network that reads one picture at a time without delay."""
        from numcnn.nn.reader import Reader

        return Reader(self)

    def check_reads_pictures(self):
        """Raise ShapeError unless the network goes from pictures to a score for each class."""
        if len(self.input_shape) != 3 or len(self.output_shape) != 1:
            raise ShapeError(
                f"this network goes from {self.input_shape} to {self.output_shape}; reading pictures wants one from "
                "(H, W, C) to (classes,)"
            )

    def check_images(self, images):
        """Return pictures as (N,H,W) or (N,H,W,C); see ``logits`` for what they may be.  Raises ShapeError."""
        images = np.asarray(images)
        self.check_reads_pictures()
        H, W, C = self.input_shape
        if (images.shape == (H, W) and C == 1) or images.shape == (H, W, C):
            images = images[None]
        if images.shape[1:] != (H, W, C) and (C != 1 or images.shape[1:] != (H, W)):
            raise ShapeError(f"pictures are {images.shape}; wants ({H}, {W}), (N, {H}, {W}) or (N, {H}, {W}, {C})")
        check_values(images)
        return images

    # Training, in the module of that name

    def fit(self, images, labels, *, validation=None, monitor=None, verbose=False, **settings):
        """Train on images and labels (N,); validation: (images, labels).  Return a ``TrainState``, with its history.

        monitor: a ``training.monitor.Monitor``, called as training goes on.  verbose: show a progress bar.
        settings: epochs, batch_size, optimizer, lr ... : the fields of ``config.TrainConfig`` but for those that choose
        network and data.  See ``numcnn.training.loop.fit``: the one training loop.
        """
        from numcnn.training.config import FOR_COMMAND_LINE, TrainConfig
        from numcnn.training.loop import fit

        for name in settings:
            if name in FOR_COMMAND_LINE:
                raise ConfigError(
                    f"fit takes no {name}: the network, the images and validation=... decide that already"
                )
        return fit(self, (images, labels), validation, TrainConfig(**settings), monitor=monitor, verbose=verbose)

    # Description and disk

    def summary(self):
        """Return a table: layer, output shape, parameters, FLOP per image; and below it the steps that run."""
        rows = self._summary_rows()
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        lines = [f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}" for a, b, c, d in rows]
        rule = "-" * len(lines[0])
        return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1], "", *fusion.describe(self.steps)])

    def _summary_rows(self):
        rows = [("layer", "output", "parameters", "FLOP per image")]
        for layer in self.layers:
            size = sum(_size(spec) for spec in layer.specs)
            rows.append(
                (f"{layer.name} ({type(layer).__name__})", _by(layer.out_shape), f"{size:,}", f"{layer.flops():,}")
            )
        rows.append(("total", "", f"{self.params.size:,}", f"{sum(layer.flops() for layer in self.layers):,}"))
        return rows

    def __repr__(self):
        names = ", ".join(layer.name for layer in self.layers)
        shapes = f"{_by(self.input_shape)} -> {_by(self.output_shape)}"
        return f"<Network {shapes}: {names}; {self.params.size:,} parameters, {self.dtype.name}>"

    def _repr_html_(self):
        """Return the summary as an HTML table, which notebooks show."""
        head, *rows = (tuple(html.escape(cell) for cell in row) for row in self._summary_rows())
        lines = [f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows]
        return f"<table><tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>{''.join(lines)}</table>"

    def architecture(self):
        """Return the layers as a list of dicts that JSON can hold.

        Raises ConfigError for an initialiser that is a function without a registered name.
        """
        return [{"type": type(layer).__name__, **_named_init(layer)} for layer in self.layers]

    def copy(self, dtype=None, backend=None):
        """Return a twin with the same parameters, in another dtype or on another back-end if given."""
        twin = Network.__new__(Network)
        twin.__setstate__(self.__getstate__(), dtype=dtype, backend=backend)
        return twin

    def __getstate__(self):
        """Return what makes a twin, for pickle and ``copy``: how to build the layers, and the arrays."""
        return {
            "layers": [(type(layer), layer.config()) for layer in self.layers],
            "settings": {
                "input_shape": self.input_shape,
                "dtype": self.dtype,
                "backend": self._backend,
                "normalisation": self.normalisation,
                "fuse": self.fuse,
            },
            "params": self.params,
            "state": self.state,
            "rng": self.rng.bit_generator.state,
            "info": self.info,
            "temperature": self.temperature,
        }

    def __setstate__(self, state, *, dtype=None, backend=None):
        layers = [kind(**config) for kind, config in state["layers"]]
        changes = {"dtype": dtype, "backend": backend}
        settings = {**state["settings"], **{name: value for name, value in changes.items() if value is not None}}
        self.__init__(layers, seed=None, **settings)
        self.params[...], self.state[...] = state["params"], state["state"]
        self.rng.bit_generator.state = state["rng"]
        self.info, self.temperature = dict(state["info"]), state["temperature"]

    def __deepcopy__(self, memo):
        twin = self.copy()
        twin.info = copy.deepcopy(self.info, memo)
        return twin

    def save(self, path, extra_arrays=None):
        """Write parameters, state, architecture, normalisation and ``info`` to ``path`` (.npz), atomically.

        extra_arrays (name -> array) are stored beside the parameters, for a training run to continue from.
        """
        from numcnn.nn import checkpoint

        meta = {
            "architecture": self.architecture(),
            "input_shape": list(self.input_shape),
            "dtype": self.dtype.name,
            "normalisation": {"mean": self.normalisation[0], "std": self.normalisation[1]},
            "temperature": self.temperature,
            "info": self.info,
        }
        arrays = {**self.named_arrays(self.params), **self.named_state(), **(extra_arrays or {})}
        checkpoint.save(path, arrays, meta)


def load(path=None, *, backend="auto", layers=None):
    """Return the network stored in a weights file, given by path or by the name of a shipped one; None: "mnist".

    layers: name -> class, for types of layer that aren't numcnn's own and weren't given to ``register_layer``.
    Raises CheckpointError, with the path, when there is no such file or something is wrong with it.
    """
    from numcnn.nn import checkpoint

    path = checkpoint.find_weights(path)
    with checkpoint.Checkpoint(path) as stored:
        try:
            network = _from_meta(stored.meta, backend, {**LAYERS, **(layers or {})}, most_parameters=stored.values)
        except (NumcnnError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(f"{path}: its architecture makes no network ({error})") from error
        for name, values in {**network.named_arrays(network.params), **network.named_state()}.items():
            values[...] = stored.read(name, values.shape)
    return network


def _from_meta(meta, backend, known, most_parameters):
    """Build the network that ``meta`` describes, of layer types in ``known`` (name -> class).

    Its parameters are zero, and no more than the file has values for.
    """
    layers = []
    for arguments in meta["architecture"]:
        arguments = dict(arguments)
        kind = arguments.pop("type")
        if kind in known and not (isinstance(known[kind], type) and issubclass(known[kind], Layer)):
            raise ConfigError(f"layers has {kind!r}: {known[kind]!r}; wants a subclass of numcnn.Layer")
        if kind not in known:
            raise ConfigError(
                f"layer type {kind!r} is unknown; this numcnn knows {', '.join(known)}; "
                "for a layer of your own: numcnn.register_layer(cls), or load(path, layers={name: cls})"
            )
        layers.append(known[kind](**arguments))
    mean, std = (float(meta["normalisation"][key]) for key in ("mean", "std"))
    network = Network(
        layers,
        meta["input_shape"],
        dtype=meta["dtype"],
        backend=backend,
        seed=None,
        normalisation=(mean, std),
        most_parameters=most_parameters,
    )
    network.info, network.temperature = dict(meta["info"]), _checked_temperature(meta.get("temperature", 1.0))
    return network


def _size(spec):
    return math.prod(spec.shape)


def _by(shape):
    """Return a shape in words: "28 x 28 x 1"."""
    return " x ".join(map(str, shape))


def _named_init(layer):
    """Return the layer's arguments with the initialiser's name in the place of a function."""
    config = layer.config()
    if "init" in config:
        config["init"] = initializers.name_of(config["init"], layer.name)
    return config


def _checked_dtype(dtype):
    try:
        checked = np.dtype(dtype)
    except TypeError:
        checked = None
    if checked not in (np.float32, np.float64):
        raise ConfigError(f"dtype is {dtype!r}; wants float32 or float64")
    return checked


def _checked_backend(backend):
    if not isinstance(backend, str) or backend != "auto":
        kernels.get_backend(backend)
    return backend


def _checked_layers(layers):
    layers = list(layers)
    for i, layer in enumerate(layers):
        if not isinstance(layer, Layer):
            raise ConfigError(f"layer {i} is {layer!r}; wants a Layer, such as Dense(10)")
        if not hasattr(layer, "next_state"):
            raise ConfigError(
                f"layer {i}: {type(layer).__name__}.__init__ doesn't call super().__init__(), as it has to"
            )
        if any(layer is other for other in layers[:i]):
            raise ConfigError(f"layer {i}, {layer!r}, is in the network twice; it keeps one memory: make two layers")
        if layer.in_network:
            raise ConfigError(
                f"layer {i}, {layer!r}, is in another network already; make new layers, or copy the whole network "
                "with network.copy()"
            )
    return layers


def _checked_normalisation(normalisation):
    mean, std = (float(value) for value in normalisation)
    if not (math.isfinite(mean) and math.isfinite(std) and std > 0):
        raise ConfigError(f"normalisation is ({mean}, {std}); wants a finite mean and a standard deviation above 0")
    return mean, std


def _checked_temperature(temperature):
    if not isinstance(temperature, numbers.Real) or not 0 < temperature < math.inf:
        raise ConfigError(f"temperature is {temperature!r}; wants a number above 0")
    return float(temperature)


def _checked_seed(seed):
    if seed is not None and (not isinstance(seed, numbers.Integral) or seed < 0):
        raise ConfigError(f"seed is {seed!r}; wants a whole number, 0 or more")
    return seed
