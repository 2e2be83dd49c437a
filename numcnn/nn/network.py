"""A network: layers in a row over one flat array of parameters and one of gradients."""

from __future__ import annotations

import copy
import math
import os
import reprlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from numcnn import kernels
from numcnn.errors import CheckpointError, ConfigError, DataError, NumcnnError, ShapeError
from numcnn.evaluation import metrics
from numcnn.evaluation.calibration import fit_temperature
from numcnn.kernels.arrays import AnyArray, Floats, Ints, as_array
from numcnn.kernels.protocol import Kernels
from numcnn.nn import answers, checkpoint, pixels, summary
from numcnn.nn.checks import (
    checked_dtype,
    checked_input_shape,
    checked_normalisation,
    checked_seed,
    checked_temperature,
)
from numcnn.nn.data_parallel import Batch, Ranks, Readers, Replicas, count_shards, on_threads, with_gradients
from numcnn.nn.flat_arrays import FlatArrays
from numcnn.nn.layer import LAYERS, Layer, checked_layers, layer_from, unknown_types
from numcnn.nn.limits import MAX_LAYERS, MAX_RANK, check_size, values_of
from numcnn.nn.losses import SoftmaxCrossEntropy, checked_labels, softmax
from numcnn.nn.pixels import Pictures, PixelReader, readable
from numcnn.nn.reader import Reader

if TYPE_CHECKING:
    from numcnn.training.loop import Monitor, TrainState

MAX_PARAMETERS = 1 << 27

# Images that inference runs through the layers at a time, fewer if they need more values: bounds its memory.
INFERENCE_BATCH, INFERENCE_VALUES = 128, 1 << 25

# Which of a seed's streams of random numbers serves what.  (Stream 0 would be that of the seed alone.)
FIRST_WEIGHTS, DROPOUT = 1, 2

# With the "auto" back-end: from this many images on, loading the compiled kernels pays off.
AUTO_FAST_IMAGES = 129


class Network:
    """Layers in a row, from images to logits, one score per class.

    ``params`` and ``grads`` are flat arrays (P,); every layer's arrays are views into them, so write them in place.
    ``state`` (S,), flat too, holds what layers learn without gradients, such as BatchNorm's running statistics.
    Copies, pickles and saved files keep parameters, state and the random generator's state; gradients start at zero.
    Attributes: layers (what the network is), steps (what runs), input_shape (H, W, C), output_shape, dtype,
    normalisation (mean, std) of 0..1 pixels, flops (of one image's forward pass), decay (P,) (1 where weight decay
    applies), slices ("conv1.w" -> its slice of the flat arrays), info (a dict that is saved with the weights),
    temperature (probabilities are softmax(logits / temperature): see ``calibrate``).

    Inference (``logits``, ``predict``, ``predict_proba``, ``evaluate``, ``forward`` without training ...) may run in
    any number of threads at once, also while one thread trains; each gets the answers it would get alone.
    """

    def __init__(
        self,
        layers: Iterable[Layer],
        input_shape: Iterable[int] = (28, 28, 1),
        *,
        dtype: npt.DTypeLike = np.float32,
        backend: str | Kernels = "auto",
        seed: int | None = 0,
        normalisation: tuple[float, float] = (0.0, 1.0),
        most_parameters: int = MAX_PARAMETERS,
        fuse: bool = True,
    ) -> None:
        """Build the layers for images of ``input_shape`` and draw the initial weights from ``seed``.

        dtype: float32 or float64.  backend: "reference", "fast", a module of kernels, or "auto": fast for training and
        for many images, reference for a few, which saves loading Numba.  seed: None leaves all parameters zero, for
        the caller to fill.  most_parameters: the limit, checked before anything is allocated.
        fuse: run layers together where a kernel can; see ``numcnn.nn.fusion``.
        Raises ConfigError, and ShapeError when a layer doesn't fit the one before it.
        """
        self.dtype = checked_dtype(dtype)
        self.layers = checked_layers(layers)
        self.input_shape = checked_input_shape(input_shape)
        self.normalisation = checked_normalisation(normalisation)
        self.seed = checked_seed(seed)
        self.info: dict[str, Any] = {}
        self.temperature = 1.0
        self.output_shape = self._build_layers()
        self.flops = max(1, sum(layer.flops() for layer in self.layers))
        self._flat = FlatArrays(self.layers, self.input_shape, self.dtype, most_parameters)
        self.grads, self.decay = self._flat.grads, self._flat.decay
        self.state, self.next_state, self.slices = self._flat.state, self._flat.next_state, self._flat.slices
        if seed is not None:
            self._flat.draw(np.random.default_rng([seed, FIRST_WEIGHTS]))
        self.rng = np.random.default_rng([seed or 0, DROPOUT])
        for layer in self.layers:
            layer.rng = self.rng
        self._backend, self._fuse = _checked_backend(backend), bool(fuse)
        self._make_replicas()
        for layer in self.layers:  # last: if building fails, the layers can still go into another network
            layer.in_network = True

    def _build_layers(self) -> tuple[int, ...]:
        """Build each layer for its input's shape, and name it after its kind: conv1, relu1, pool1, conv2 ..."""
        shape = self.input_shape
        count: dict[str, int] = {}
        for layer in self.layers:
            short = layer.short_name or type(layer).__name__.lower()
            count[short] = count.get(short, 0) + 1
            shape = layer.build(shape, self.dtype, f"{short}{count[short]}")
        return shape

    @property
    def params(self) -> Floats:
        """All parameters, one flat array (P,); write into it, as in ``network.params[...] = values``."""
        return self._flat.params

    @params.setter
    def params(self, params: Floats) -> None:
        if params is not self._flat.params:  # ``network.params -= step`` hands the same array back
            raise ConfigError(
                "network.params can't be replaced by another array: the layers' weights are views into it; write into "
                "it instead: network.params[...] = values"
            )

    @property
    def fuse(self) -> bool:
        """Whether layers run together where a kernel can.  ``steps`` are what runs."""
        return self._fuse

    @fuse.setter
    def fuse(self, fuse: bool) -> None:
        self._fuse = bool(fuse)
        for layer in self.layers:
            layer.forget()
        self._make_replicas()

    def _make_replicas(self) -> None:
        self._replicas = Replicas(self._flat, self.flops, self._fuse)
        self._readers = Readers(self._flat, self._fuse)
        self._plain_readers = Readers(self._flat, fuse=False)  # their steps are the layers
        self._give_layers_kernels()

    def _give_layers_kernels(self) -> None:
        """Set the layers' kernels, so that a layer can be called on its own; "auto" doesn't load Numba here."""
        kernels = self._kernels_for(1)
        for layer in self.layers:
            layer.kernels = kernels
        self._replicas.first(kernels)

    @property
    def steps(self) -> list[Layer]:
        """What runs: the layers, fused ones as one step."""
        return self._replicas.first().steps

    @property
    def backend(self) -> str | Kernels:
        """The name of the back-end, or the module of kernels that was given."""
        return self._backend

    @backend.setter
    def backend(self, backend: str | Kernels) -> None:
        self._backend = _checked_backend(backend)
        self._give_layers_kernels()

    @property
    def kernels(self) -> Kernels:
        """The module of kernels that training runs on; with "auto", reading this property loads Numba."""
        return self._kernels_for(None)

    @property
    def backend_name(self) -> str:
        """The name of the kernels that training runs on: "reference", "fast", or that of the module given."""
        return kernels.name_of(self.kernels)

    @property
    def pixel_reader(self) -> PixelReader:
        """The ``PixelReader`` that fills training's batches."""
        return PixelReader(self.normalisation, self.kernels)

    def _kernels_for(self, images: int | None) -> Kernels:
        """Return the kernels for this many images; None: for training.  The one place that resolves "auto"."""
        backend = self._backend
        if isinstance(backend, str) and backend == "auto":
            backend = "fast" if images is None or images >= AUTO_FAST_IMAGES else "reference"
        return kernels.get_backend(backend)

    def named_arrays(self, flat: Floats) -> dict[str, Floats]:
        """Return name -> view, shaped like the parameter, of a flat array (P,): ``params``, ``grads`` or an update."""
        return self._flat.named(flat)

    def named_state(self) -> dict[str, Floats]:
        """Return name -> view, shaped as declared, of the state: "bn1.mean" ...; empty for most networks."""
        return self._flat.named_state()

    # Forward and backward

    def forward(self, x: Floats, training: bool = False) -> Floats:
        """Run x (N, *input_shape), normalised, through all layers on one thread.  Return the logits (N, classes).

        If training, layers keep what backward needs, and the result is a buffer that the next call overwrites.
        """
        if not training:
            kernels = self._kernels_for(len(x) if np.ndim(x) else 0)
            with kernels.computing(), self._readers.borrow(kernels) as reader:
                return reader.forward(x).copy()
        kernels = self.kernels
        with kernels.computing():
            return self._replicas.first(kernels).forward(x, training=True)

    def backward(self, dlogits: Floats, need_dx: bool = False) -> Floats | None:
        """Run the gradient of the loss back through the layers: the chain rule, last layer first.

        Overwrites ``grads``.  Returns dx (N, *input_shape), the input's gradient, if ``need_dx``; else None, and the
        gradient stops at the first layer with parameters.  The state (BatchNorm's running statistics) becomes
        ``next_state``.
        """
        replica = self._replicas.first()
        with (replica.kernels or self.kernels).computing():
            dx = replica.backward(dlogits, need_dx)
        self.state[...] = self.next_state
        return dx

    def backpropagate(self, batch: Batch, criterion: SoftmaxCrossEntropy) -> tuple[float, Floats]:
        """Run a batch forward, through the loss and backward, on all threads: a training step without the optimiser.

        Overwrites ``grads`` with the gradient of the mean loss, updates ``state``.  Return the loss and the logits
        (N, classes), a buffer that the next step overwrites.
        """
        kernels = self.kernels
        with kernels.computing():
            return self._replicas.backpropagate(batch, criterion, kernels)

    def train_together(self, ranks: Ranks | None) -> None:
        """From now on share each step of training with other processes, which call the same at the same time."""
        self._replicas.ranks = ranks

    def fix_shards(self, count: int | None) -> None:
        """From now on cut each batch of training into ``count`` shards whatever the threads; None: one a thread.

        The sum over a batch is that of its shards' sums, so its last digits depend on their number.
        """
        self._replicas.fixed = count

    # Inference: from any number of threads at once, also while one trains

    def logits(self, images: Pictures) -> Floats:
        """Return the logits (N, classes) of pictures (H,W), (N,H,W) or (N,H,W,C), or of one picture in another form.

        Arrays hold integers 0..255, floats 0..1 or bool, from no ink to full ink, and are the network's input
        unchanged.  A path, a PIL image and a colour array (height, width, 3 or 4) of any size are prepared like MNIST's
        pictures, by ``preprocess.prepare``.  Memory beside the result is bounded for any N.  Raises ShapeError for
        another shape, dtype or range, and DataError for a file that isn't a picture or contains no digit.
        """
        images = self.as_pictures(images)
        out = np.empty((len(images), *self.output_shape), self.dtype)
        kernels, readers = self._kernels_for(len(images)), self._readers
        pixels = PixelReader(self.normalisation, kernels)
        ranks = self._replicas.ranks
        threads = kernels.threads() * (ranks.size if ranks else 1)  # all must cut the images alike
        shards = count_shards(len(images), self.flops, threads)
        fit = INFERENCE_VALUES // max(1, sum(map(values_of, self.layers)))
        most = max(1, min(INFERENCE_BATCH, fit, -(-len(images) // shards)))
        firsts = iter(
            range(0, len(images), most)
        )  # a free thread takes the next part; the parts never depend on timing

        def read(_: int) -> None:
            with readers.borrow(kernels) as reader:
                for first in firsts:
                    some = np.ascontiguousarray(readable(images[first : first + most], self.dtype))
                    x = pixels.read(some, np.arange(len(some)), reader.x(len(some)))
                    out[first : first + len(some)] = reader.forward(x)

        with kernels.computing():
            on_threads(kernels, shards, read)
        return out

    def activations(self, image: Pictures) -> list[tuple[Layer, Floats]]:
        """Return the output of every layer for one picture: pairs (layer, output (1, *out_shape)).

        The layers run one by one, not fused.  The outputs belong to the caller.  Raises ShapeError, as ``logits``.
        """
        kernels = self._kernels_for(1)
        with kernels.computing(), self._plain_readers.borrow(kernels) as reader:
            outputs = [out.copy() for _, out in reader.activations(self._read(image, kernels))]
        return list(zip(self.layers, outputs, strict=True))

    def input_gradient(self, image: Pictures, dlogits: npt.ArrayLike) -> Floats:
        """Return the gradient (H, W, C) of sum(dlogits * logits) with respect to one picture's pixels, scaled to 0..1.

        dlogits: (classes,).  For the loss's gradient pass dlogits = softmax - target.  The layers are ``frozen``: it is
        the gradient of what ``logits`` returns, without dropout and with running statistics.  The layers run one by
        one; ``grads`` and ``state`` don't change.
        Raises ShapeError, and ConfigError for a custom layer that changes its state although it is frozen.
        """
        gradient = as_array("dlogits", dlogits)
        if gradient.size != math.prod(self.output_shape) or gradient.dtype.kind not in "buif":
            raise ShapeError(f"dlogits is {gradient.shape}, {gradient.dtype}; wants numbers, {self.output_shape}")
        kernels = self._kernels_for(1)
        replica = with_gradients(self._flat, fuse=False).use(kernels)
        for layer in replica.steps:
            layer.frozen = True
        with kernels.computing():
            out = replica.forward(self._read(image, kernels), training=True)
            _check_frozen(replica.steps)
            dx = replica.backward(gradient.astype(out.dtype).reshape(out.shape), need_dx=True)
        assert dx is not None
        return dx[0] / self.normalisation[1]  # chain rule: x = (pixel - mean) / std

    def _read(self, image: Pictures, kernels: Kernels) -> Floats:
        """Check one picture; return it as the first layer's input: (1, *input_shape)."""
        images = np.ascontiguousarray(readable(self.as_pictures(image), self.dtype))
        if len(images) != 1:
            raise ShapeError(f"got {len(images)} pictures; wants one")
        x = np.empty((1, *self.input_shape), self.dtype)
        return PixelReader(self.normalisation, kernels).read(images, np.arange(1), x)

    def predict_proba(self, images: Pictures) -> Floats:
        """Return the probabilities (N, classes) of pictures, in any form that ``logits`` takes."""
        return self.probabilities(self.logits(images))

    def probabilities(self, logits: Floats) -> Floats:
        """Return softmax(logits / temperature), the probabilities (N, classes) of logits (N, classes).

        Raises CheckpointError for logits that are NaN or infinite.
        """
        if not np.isfinite(logits).all():
            raise CheckpointError(
                "the network's answer is no finite number: its weights are damaged, or its training diverged; use "
                "other weights"
            )
        return softmax(self._tempered(logits))

    def _tempered(self, logits: Floats) -> Floats:
        return logits / self.dtype.type(self.temperature)

    def predict(self, images: Pictures) -> Ints:
        """Return the labels (N,) of pictures, in any form that ``logits`` takes."""
        return self.logits(images).argmax(axis=1)

    def read(self, images: Pictures, *, at_most: float | None = None) -> list[answers.Answer]:
        """Return an ``Answer`` for each picture: label, probability, and whether the network is sure of it.

        images: in any form that ``logits`` takes.  at_most: the share of wrong answers that is allowed, such as 0.005;
        None: the threshold in the weights file.  See ``answers.threshold_of``, which may raise ConfigError.
        """
        threshold = answers.threshold_of(self.info, at_most)
        return answers.answers(self.predict_proba(images), threshold)

    def evaluate(self, images: npt.ArrayLike, labels: npt.ArrayLike) -> metrics.Evaluation:
        """Compare predictions with labels (N,).  Return a ``metrics.Evaluation``: accuracy, loss, confusion ...

        images: (N,H,W) or (N,H,W,C).
        """
        images = self.check_images(images)
        if len(images) == 0:
            raise DataError("there are no images to evaluate on; wants 1 or more")
        labels = checked_labels("evaluate", labels, len(images), self.output_shape[0])
        logits = self.logits(images)
        criterion = SoftmaxCrossEntropy(self._kernels_for(len(images)))
        loss = criterion.forward(self._tempered(logits), labels)
        return metrics.evaluation(labels, np.exp(criterion.log_probs), loss)

    def calibrate(self, images: npt.ArrayLike, labels: npt.ArrayLike) -> Floats:
        """Set the temperature so that probabilities are calibrated, and return the pictures' (N, classes).

        images, labels: not trained on.  The predicted labels don't change.  See ``calibration.fit_temperature``.
        """
        images = self.check_images(images)
        labels = checked_labels("calibrate", labels, len(images), self.output_shape[0])
        logits = self.logits(images)
        temperature = fit_temperature(logits, labels)
        self.forget_calibration()
        self.temperature = temperature
        return self.probabilities(logits)

    def forget_calibration(self) -> None:
        """Set the temperature to 1, and drop the thresholds for sure answers, which hold for one temperature only."""
        self.temperature = 1.0
        for key in answers.KEYS:
            self.info.pop(key, None)

    def answers_are_finite(self) -> bool:
        """Return whether the answers to an empty, a full and a striped picture are numbers, not NaN or infinite.

        (Weights may be finite and their sums not.)  Layers of the user's own are not run: then it is True.
        """
        if not all(type(layer).__module__.startswith("numcnn.") for layer in self.layers):
            return True
        mean, std = self.normalisation
        reference = kernels.get_backend("reference")
        pictures = np.zeros((3, *self.input_shape), self.dtype)
        pictures[1], pictures[2].flat[::2] = 1, 1
        with reference.computing(), self._readers.borrow(reference) as reader:
            return all(np.isfinite(reader.forward((some[None] - mean) / std)).all() for some in pictures)

    def reader(self) -> Reader:
        """Return a ``reader.Reader``: a snapshot of this network for single pictures, with little overhead."""
        return Reader(self)

    def check_reads_pictures(self) -> None:
        """Raise ShapeError unless the network goes from pictures to a score for each class."""
        if len(self.input_shape) != 3 or len(self.output_shape) != 1:
            raise ShapeError(
                f"this network goes from {self.input_shape} to {self.output_shape}; reading pictures wants one from "
                "(H, W, C) to (classes,)"
            )

    def as_pictures(self, images: Pictures) -> AnyArray:
        """Return any form that ``logits`` takes as (N,H,W) or (N,H,W,C), checked and, where necessary, prepared."""
        self.check_reads_pictures()
        return pixels.as_pictures(images, self.input_shape)

    def check_images(self, images: npt.ArrayLike) -> AnyArray:
        """Return arrays of the network's input shape as (N,H,W) or (N,H,W,C).  Raises ShapeError for any other."""
        self.check_reads_pictures()
        return pixels.check_images(images, self.input_shape)

    # Training: see training/loop.py

    def fit(
        self,
        images: npt.ArrayLike,
        labels: npt.ArrayLike,
        *,
        validation: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
        monitor: Monitor | None = None,
        verbose: bool = False,
        **settings: object,
    ) -> TrainState:
        """Train on images and labels (N,); validation: (images, labels).  Return a ``TrainState``, with its history.

        monitor: called during training.  verbose: show a progress bar.
        settings: epochs, batch_size, optimizer, lr ... : the fields of ``config.TrainConfig`` except those that choose
        network and data.  See ``numcnn.training.loop.fit``, the one training loop.
        """
        # The one import upwards.
        from numcnn.training.config import FOR_COMMAND_LINE, TrainConfig, names_of_settings  # noqa: PLC0415
        from numcnn.training.loop import fit  # noqa: PLC0415

        for name in settings:
            if name in FOR_COMMAND_LINE:
                raise ConfigError(
                    f"fit takes no {name}: the network, the images and validation=... decide that already"
                )
            if name not in names_of_settings():
                known = ", ".join(known for known in names_of_settings() if known not in FOR_COMMAND_LINE)
                raise ConfigError(f"fit has no setting {name}; it has {known}")
        config = TrainConfig(**cast(dict[str, Any], settings))
        return fit(self, (images, labels), validation, config, monitor=monitor, verbose=verbose)

    # Description and disk

    def summary(self) -> str:
        """Return a table: layer, output shape, parameters, FLOP per image; and below it which layers run together."""
        return summary.as_text(self.layers, self.steps)

    def __repr__(self) -> str:
        names = ", ".join(layer.name for layer in self.layers)
        shapes = f"{summary.shape_in_words(self.input_shape)} -> {summary.shape_in_words(self.output_shape)}"
        return f"<Network {shapes}: {names}; {self.params.size:,} parameters, {self.dtype.name}>"

    def _repr_html_(self) -> str:
        """Return the summary as an HTML table, which notebooks show."""
        return summary.as_html(self.layers)

    def architecture(self) -> list[dict[str, Any]]:
        """Return the layers as a list of dicts that JSON can hold.

        Raises ConfigError for an initialiser that is a function without a registered name.
        """
        return summary.architecture(self.layers)

    def copy(self, dtype: npt.DTypeLike | None = None, backend: str | Kernels | None = None) -> Network:
        """Return an independent copy, in another dtype or on another back-end if given."""
        twin = type(self).__new__(type(self))
        twin.__setstate__(self.__getstate__(), dtype=dtype, backend=backend)
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy is made from, for pickle and ``copy``: how to build the layers, and the arrays."""
        return {
            "layers": [(type(layer), layer.config()) for layer in self.layers],
            "frozen": [layer.frozen for layer in self.layers],
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

    def __setstate__(
        self, state: dict[str, Any], *, dtype: npt.DTypeLike | None = None, backend: str | Kernels | None = None
    ) -> None:
        layers = [kind(**config) for kind, config in state["layers"]]
        changes: dict[str, Any] = {"dtype": dtype, "backend": backend}
        settings = {**state["settings"], **{name: value for name, value in changes.items() if value is not None}}
        Network.__init__(self, layers, seed=None, **settings)  # a subclass's own may take other arguments
        for layer, frozen in zip(self.layers, state["frozen"], strict=True):
            layer.frozen = frozen
        self.params[...], self.state[...] = state["params"], state["state"]
        self.rng.bit_generator.state = state["rng"]
        self.info, self.temperature = dict(state["info"]), state["temperature"]

    def __deepcopy__(self, memo: dict[int, Any]) -> Network:
        twin = self.copy()
        twin.info = copy.deepcopy(self.info, memo)
        return twin

    def sha256(self) -> str:
        """Return the SHA-256 of parameters and state: for each array its name, dtype and shape, and its numbers."""
        return checkpoint.digest({**self.named_arrays(self.params), **self.named_state()})

    def save(self, path: str | os.PathLike[str], extra_arrays: Mapping[str, AnyArray] | None = None) -> None:
        """Write parameters, state, architecture, normalisation and ``info`` to ``path`` (.npz), atomically.

        extra_arrays (name -> array) are stored too, such as an optimiser's moments, from which a run resumes.
        """
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


def load(
    path: str | os.PathLike[str] | None = None,
    *,
    backend: str | Kernels = "auto",
    layers: Mapping[str, type[Layer]] | None = None,
) -> Network:
    """Return the network stored in a weights file, given by path or by the name of a shipped one; None: "everyone".

    layers: name -> class, for custom layers that weren't registered with ``register_layer``.
    Raises CheckpointError, with the path, if the file is missing, damaged or of another kind.
    """
    if not isinstance(layers, Mapping | None):  # pyright: ignore[reportUnnecessaryIsInstance] (a list is a likely slip)
        raise ConfigError(f"load got layers={layers!r}; wants a dict, name -> class: layers={{'MyLayer': MyLayer}}")
    path = checkpoint.find_weights(path)
    with checkpoint.Checkpoint(path) as stored:
        try:
            known = {**LAYERS, **(layers or {})}
            if len(stored.meta["architecture"]) > MAX_LAYERS:
                raise ConfigError(f"it has {len(stored.meta['architecture']):,} layers; {MAX_LAYERS:,} are the most")
            unknown = unknown_types(stored.meta["architecture"], known)
            network = None if unknown else _from_meta(stored.meta, backend, known, most_parameters=stored.values)
        except (NumcnnError, KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            raise CheckpointError(f"{path}: it describes no valid network ({error})") from error
        if network is None:
            names, types = [repr(name) for name in unknown], "type" if len(unknown) == 1 else "types"
            given = ", ".join(f"{name}: {name[1:-1]}" for name in names)
            raise CheckpointError(
                f"{path} was made with the layer {types} {', '.join(names)}, which numcnn doesn't "
                f"know: in Python, numcnn.load(path, layers={{{given}}}); the commands know only numcnn's own layers"
            )
        for name, values in {**network.named_arrays(network.params), **network.named_state()}.items():
            values[...] = stored.read(name, values.shape)
    if not network.answers_are_finite():
        raise CheckpointError(
            f"{path}: its answers are no finite numbers, so its weights are damaged or its training diverged; use "
            "another copy, or train one with: numcnn train"
        )
    return network


def _from_meta(meta: dict[str, Any], backend: str | Kernels, known: Mapping[str, Any], most_parameters: int) -> Network:
    """Build the network that ``meta`` describes, of layer types in ``known`` (name -> class), all parameters zero."""
    if len(meta["input_shape"]) > MAX_RANK:
        raise ConfigError(f"input_shape has {len(meta['input_shape'])} sizes; {MAX_RANK} are the most")
    if meta["dtype"] not in ("float32", "float64"):
        raise ConfigError(f"dtype is {reprlib.repr(meta['dtype'])}; wants float32 or float64")
    network = Network(
        [layer_from(arguments, known) for arguments in meta["architecture"]],
        meta["input_shape"],
        dtype=meta["dtype"],
        backend=backend,
        seed=None,
        normalisation=(meta["normalisation"]["mean"], meta["normalisation"]["std"]),
        most_parameters=most_parameters,
    )
    check_size(network.layers)
    network.info = answers.checked_info(meta["info"])
    network.temperature = checked_temperature(meta.get("temperature", 1.0))
    return network


def _checked_backend(backend: str | Kernels) -> str | Kernels:
    if not isinstance(backend, str) or backend != "auto":
        kernels.get_backend(backend)
    return backend


def _check_frozen(steps: Iterable[Layer]) -> None:
    """Raise ConfigError for a layer whose last forward changed its state though it was frozen."""
    for step in steps:
        for name, values in step.state.items():
            if not np.array_equal(step.next_state[name], values, equal_nan=True):
                raise ConfigError(
                    f"{step.name}: {type(step).__name__}._forward changed its state {name!r} though self.frozen is "
                    "True; there it must compute what it computes when training is False"
                )
