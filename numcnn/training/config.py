"""The settings of a training run: one frozen dataclass, from which the command line's options are made too."""

import dataclasses
import math
import numbers
import re
import types
import typing
from dataclasses import dataclass

from numcnn.data.augmentation import DISTURBED, FULL
from numcnn.errors import ConfigError
from numcnn.kernels import BACKENDS
from numcnn.nn.models import MODELS
from numcnn.training.schedules import SCHEDULES

# Settings that choose network and data, which ``Network.fit`` is given otherwise.
FOR_COMMAND_LINE = ("model", "val", "test", "limit", "backend", "fuse")

# The learning rate and the weight decay that suit each optimiser, where none is given.
OPTIMIZERS = {"adamw": (3e-3, 0.05), "adam": (1e-3, 0.0), "sgd": (0.05, 0.0)}

# Which epoch's weights a run keeps.  Where the learning rate ends at zero the last epoch is the best but for chance.
KEPT = ("best", "last")

# Settings that go together, chosen on validation data: "fast" is the shortest way to 99% of MNIST.
PRESETS = {
    "default": {"epochs": 30, "augment": 0.6, "label_smoothing": 0.05},
    "best": {
        "model": "best",
        "epochs": 20,
        "augment": 0.7,
        "disturb": 0.8,
        "label_smoothing": 0.05,
        "keep": "last",
    },
    "pad": {
        "epochs": 24,
        "augment": 0.6,
        "pen": 0.8,
        "label_smoothing": 0.05,
        "outliers": True,
        "keep": "last",
    },
    "fast": {"epochs": 3, "lr": 0.012, "label_smoothing": 0.05, "val": 0},
}


def _option(default, text, choices=None, off=None):
    """Declare a field with what ``--help`` says of it; off: what it says of the option that switches the field off."""
    return dataclasses.field(default=default, metadata={"help": text, "off": off, "choices": choices})


@dataclass(frozen=True)
class TrainConfig:
    """What decides the result of a training run.  Raises ConfigError for a value out of its range."""

    model: str = _option("canonical", "the architecture", tuple(MODELS))
    epochs: int = _option(10, "passes over the training images")
    batch_size: int = _option(128, "images per step")
    optimizer: str = _option("adamw", "how a gradient becomes a step", tuple(OPTIMIZERS))
    lr: float | None = _option(None, "highest learning rate (default: what suits the optimiser)")
    schedule: str = _option("one-cycle", "how the learning rate goes over the run", SCHEDULES)
    warmup: float = _option(1.0, "epochs over which the cosine schedule rises; the others don't use it")
    momentum: float = _option(0.9, "momentum of sgd; the others don't use it")
    nesterov: bool = _option(False, "sgd looks ahead along its momentum")
    weight_decay: float | None = _option(None, "decoupled weight decay (default: what suits the optimiser)")
    average: float = _option(0.0, "share that a running average of the weights keeps of itself in a step; 0: none")
    dropout: float = _option(0.0, "share of the values dropped before the last layer")
    augment: float = _option(0.0, "how strongly pictures are changed each time they are trained on; 0: not, 1: fully")
    pen: float | None = _option(
        None, "pixels by which the pen grows or shrinks on each side at most (default: what --augment says)"
    )
    disturb: float = _option(0.0, "how strongly light, noise and patches disturb every other picture; 0: not, 1: fully")
    outliers: bool = _option(
        False, "take the label after the last class for pictures of none of them, and learn to be unsure of those"
    )
    clip: float = _option(0.0, "largest norm of the whole gradient; 0: no limit")
    label_smoothing: float = _option(0.0, "share of the target spread over all classes")
    val: float | None = _option(
        None, "images, or a share below 1, held out of the training set (default: a twelfth, 5,000 of MNIST's)"
    )
    test: bool = _option(
        True,
        "read the test set once, at the end",
        off="leave the test set unread: to choose between settings by validation images alone",
    )
    limit: int | None = _option(None, "use only so many of the training images, chosen by chance")
    keep: str = _option(
        "best", "whose weights are kept: those of the epoch that did best on validation, or the last one's", KEPT
    )
    patience: int = _option(0, "stop after so many epochs without a better validation accuracy; 0: never")
    seed: int = _option(0, "decides first weights, order of images, split, dropout and generated digits")
    backend: str = _option("fast", "the kernels: compiled, or plain NumPy", BACKENDS[::-1])
    fuse: bool = _option(
        True,
        "let one kernel do convolution, ReLU and pool, where there is one",
        off="run every layer by itself, also where one kernel could do convolution, ReLU and pool",
    )

    def __post_init__(self):
        for field in dataclasses.fields(self):
            self._check_kind(field)
        below = {"momentum": 1, "label_smoothing": 1, "warmup": 10_000, "average": 1, "dropout": 1, "augment": 2.5}
        most = {"disturb": 1, "pen": 1}
        least = {
            "momentum": 0,
            "label_smoothing": 0,
            "average": 0,
            "dropout": 0,
            "augment": 0,
            "pen": 0,
            "disturb": 0,
            "weight_decay": 0,
            "limit": 1,
            "epochs": 1,
            "batch_size": 1,
            "warmup": 0,
            "clip": 0,
            "val": 0,
            "patience": 0,
            "seed": 0,
        }
        for name, low in least.items():
            value, high = getattr(self, name), below.get(name, math.inf)
            if value is not None and not low <= value < high:
                upper = f" and below {high}" if name in below else ""
                raise ConfigError(f"`{name}` is {value}; wants {low} or more{upper}")
            if value is not None and value > most.get(name, math.inf):
                raise ConfigError(f"`{name}` is {value}; wants {most[name]} or less")
        if self.lr is not None and self.lr <= 0:
            raise ConfigError(f"`lr` is {self.lr}; wants a number above 0")
        if self.optimizer == "adam" and self.weight_decay:
            raise ConfigError("`weight_decay` goes with sgd or adamw: adam with weight decay is adamw")
        if self.optimizer != "sgd" and self.nesterov:
            raise ConfigError(f"`nesterov` goes with `optimizer='sgd'`; {self.optimizer} has no such momentum")
        if self.patience and self.val == 0:
            raise ConfigError("`patience` waits for a better validation accuracy; it can't go with `val=0`")
        if self.patience and self.keep == "last":
            raise ConfigError(
                "`patience` waits for a better validation accuracy, but `keep='last'` keeps the last epoch whatever "
                "that is; leave out `patience`, or add `keep='best'`"
            )
        if not self.test and self.val == 0:
            raise ConfigError(
                "`test=False` judges by validation images, but none are held out; add `val`, such as `val=0.1`"
            )

    def _check_kind(self, field):
        """Check one field's type, its choices, and that a number is finite."""
        value, choices = getattr(self, field.name), field.metadata["choices"]
        if choices and value not in choices:
            raise ConfigError(f"`{field.name}` is {value!r}; choose one of {', '.join(choices)}")
        kind, optional = _kind(field)
        if optional and value is None:
            return
        numeric = {int: numbers.Integral, float: numbers.Real}.get(kind, kind)
        if kind is bool and not isinstance(value, bool):
            raise ConfigError(f"`{field.name}` is {value!r}; wants True or False")
        if not isinstance(value, numeric) or (isinstance(value, bool) and kind is not bool):
            raise ConfigError(f"`{field.name}` is {value!r}; wants {kind.__name__}")
        if kind is float and not math.isfinite(value):
            raise ConfigError(f"`{field.name}` is {value}; wants a finite number")

    @property
    def peak_lr(self):
        """The highest learning rate: the one given, or the optimiser's own."""
        return OPTIMIZERS[self.optimizer][0] if self.lr is None else self.lr

    @property
    def augmentation(self):
        """The ``Augmentation`` that ``augment``, ``pen`` and ``disturb`` make together; None for none."""
        together = FULL.times(self.augment).plus(DISTURBED.times(self.disturb))
        if self.pen is not None:
            together = dataclasses.replace(together, thicken=self.pen, thin=self.pen)
        return together if any(dataclasses.astuple(together)) else None

    @property
    def decay_rate(self):
        """The weight decay: the one given, or the optimiser's own."""
        return OPTIMIZERS[self.optimizer][1] if self.weight_decay is None else self.weight_decay

    def to_json(self):
        """Return a dict that JSON can hold; ``TrainConfig(**d)`` makes a twin."""
        return dataclasses.asdict(self)


def flag(name):
    """Return the command-line option that sets the field ``name``; one that is on by itself can be switched off."""
    option = name.replace("_", "-")
    return f"--no-{option}" if getattr(TrainConfig, name, None) is True else f"--{option}"


def in_options(message):
    """Return an error's message as the command line words it.

    Messages name a setting as Python does, in backquotes: `lr`, `keep='last'`, `test=False`.  The options
    are --lr, --keep last and --no-test.
    """

    def option(match):
        name, value = match["name"], match["value"]
        return flag(name) if value in (None, "True", "False") else f"{flag(name)} {value}"

    return re.sub(r"`(?P<name>[a-z_]+)(='?(?P<value>[^'`]+)'?)?`", option, message)


def _kind(field):
    """Return a field's type and whether it may be None."""
    if isinstance(field.type, types.UnionType):
        (kind,) = (t for t in typing.get_args(field.type) if t is not type(None))
        return kind, True
    return field.type, False


def add_config_arguments(parser):
    """Add --preset, and an option per field of TrainConfig, to an argparse parser or group."""
    parser.add_argument(
        "--preset", choices=tuple(PRESETS), help="settings that go together; other options win (default: default)"
    )
    for field in dataclasses.fields(TrainConfig):
        kind, optional = _kind(field)
        text = field.metadata["help"]
        if kind is bool:
            action = "store_false" if field.default else "store_true"
            text = field.metadata["off"] or text
            parser.add_argument(flag(field.name), dest=field.name, default=None, action=action, help=text)
            continue
        parser.add_argument(
            flag(field.name),
            type=kind,
            choices=field.metadata["choices"],
            metavar=None if field.metadata["choices"] else "N" if kind is int else "X",
            help=text if optional else f"{text} (default: {PRESETS['default'].get(field.name, field.default)})",
        )


def config_from_arguments(arguments):
    """Return the TrainConfig that parsed arguments describe: the preset's, but for the options that were given."""
    given = given_settings(arguments)
    preset = PRESETS[arguments.preset or "default"]
    if given.get("patience") and "val" not in given and preset.get("val") == 0:
        raise ConfigError(
            f"--patience waits for a better validation accuracy, but --preset {arguments.preset} holds nothing out "
            "for validation; add --val, such as --val 0.1"
        )
    if given.get("patience") and "keep" not in given and preset.get("keep") == "last":
        raise ConfigError(
            f"--patience waits for a better validation accuracy, but --preset {arguments.preset} keeps the last epoch "
            "whatever that is; leave out --patience, or add --keep best"
        )
    return TrainConfig(**preset | given)


def given_settings(arguments):
    """Return the settings among parsed arguments that somebody gave, the defaults' values too: name -> value."""
    values = {field.name: getattr(arguments, field.name) for field in dataclasses.fields(TrainConfig)}
    return {name: value for name, value in values.items() if value is not None}
