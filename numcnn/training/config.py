"""The settings of a training run: one frozen dataclass.  The options of `numcnn train` are made from its fields."""

import argparse
import dataclasses
import math
import numbers
import re
import sys
import types
import typing
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from numcnn.data.augmentation import DISTURBED, FULL, Augmentation
from numcnn.errors import ConfigError
from numcnn.kernels import BACKENDS
from numcnn.nn.models import MODELS
from numcnn.training.schedules import SCHEDULES

Field: TypeAlias = "dataclasses.Field[Any]"

NUMBERS: dict[type, type] = {int: numbers.Integral, float: numbers.Real}  # NumPy's numbers pass too

# Settings that choose the network and the data; ``Network.fit`` has these already.
FOR_COMMAND_LINE = ("model", "val", "test", "limit", "backend", "fuse")

# Each optimiser's default learning rate and weight decay.
OPTIMIZERS = {"adamw": (3e-3, 0.05), "adam": (1e-3, 0.0), "sgd": (0.05, 0.0)}

# Which epoch's weights a run keeps.  If the learning rate ends at zero, the last epoch is the best except by chance.
KEPT = ("best", "last")

# Settings that go together, chosen on validation data: "everyone" and after it "harden" made the shipped network.
# "fast" is the shortest way to 99% of MNIST.
PRESETS: dict[str, dict[str, Any]] = {
    "default": {"epochs": 30, "augment": 0.6, "label_smoothing": 0.05},
    "everyone": {
        "model": "wide",
        "epochs": 16,
        "augment": 0.6,
        "pen": 0.8,
        "disturb": 0.5,
        "label_smoothing": 0.05,
        "outliers": True,
        "keep": "last",
    },
    # Goes on with a network of "everyone".  Its weights are a running average that begins with those before: so what it
    # learns about disturbed pictures costs strokes less.
    "harden": {
        "model": "wide",
        "epochs": 5,
        "lr": 0.0005,
        "augment": 0.6,
        "pen": 1.0,
        "disturb": 1.0,
        "average": 0.9998,
        "label_smoothing": 0.05,
        "outliers": True,
        "keep": "last",
    },
    "fast": {"epochs": 3, "lr": 0.012, "label_smoothing": 0.05, "val": 0},
}


# The data set that a preset is made for; for others, MNIST if available.
DATASETS = {"everyone": "everyone", "harden": "everyone"}


def _option(
    default: object,
    text: str,
    choices: Sequence[str] | None = None,
    *,
    least: float = -math.inf,
    most: float = math.inf,
    below: float = math.inf,
    off: str | None = None,
) -> Any:
    """Declare a field: its text in ``--help`` (off: that of the option that switches it off) and its range."""
    metadata = {"help": text, "off": off, "choices": choices, "least": least, "most": most, "below": below}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class TrainConfig:
    """All settings that affect the result of a training run.  Raises ConfigError for a value out of range."""

    model: str = _option("canonical", "the architecture", tuple(MODELS))
    epochs: int = _option(10, "passes over the training images", least=1)
    batch_size: int = _option(128, "images per step", least=1)
    optimizer: str = _option("adamw", "the optimiser", tuple(OPTIMIZERS))
    lr: float | None = _option(None, "highest learning rate (default: depends on the optimiser)")
    schedule: str = _option("one-cycle", "how the learning rate changes over the run", SCHEDULES)
    warmup: float = _option(
        1.0, "epochs of rising learning rate, for the cosine schedule; ignored by others", least=0, below=10_000
    )
    momentum: float = _option(0.9, "momentum of sgd; ignored by others", least=0, below=1)
    nesterov: bool = _option(False, "use Nesterov momentum; for sgd")
    weight_decay: float | None = _option(None, "decoupled weight decay (default: depends on the optimiser)", least=0)
    average: float = _option(
        0.0, "decay of a running average of the weights, such as 0.995; 0: no average", least=0, below=1
    )
    dropout: float = _option(0.0, "fraction of the values dropped before the last layer", least=0, below=1)
    augment: float = _option(
        0.0, "how strongly pictures vary from epoch to epoch; 0: not at all, 1: fully", least=0, below=2.5
    )
    pen: float | None = _option(
        None, "most pixels by which the pen grows or shrinks on each side (default: set by --augment)", least=0, most=1
    )
    disturb: float = _option(
        0.0,
        "how strongly light, noise and patches disturb every other picture; 0: not at all, 1: fully",
        least=0,
        most=1,
    )
    outliers: bool = _option(
        False, "the label after the last class marks pictures of no class: the network learns to be unsure about them"
    )
    clip: float = _option(0.0, "largest norm of the whole gradient; 0: no limit", least=0)
    label_smoothing: float = _option(0.0, "fraction of the target spread over all classes", least=0, below=1)
    val: float | None = _option(
        None,
        "images, or a fraction below 1, held out of the training set (default: a twelfth, 5,000 of MNIST's)",
        least=0,
    )
    test: bool = _option(
        True,
        "read the test set once, at the end",
        off="don't read the test set, to compare settings on validation images alone",
    )
    limit: int | None = _option(None, "use only this many training images, drawn at random", least=1)
    keep: str = _option("best", "which weights to keep: of the epoch best on validation, or of the last", KEPT)
    patience: int = _option(
        0, "stop after this many epochs without a better validation accuracy; 0: never stop early", least=0
    )
    seed: int = _option(0, "seed of initial weights, image order, split, dropout and generated digits", least=0)
    reproducible: bool = _option(
        False, "the same weights to the last bit for any number of threads and processes, on any machine with FMA"
    )
    backend: str = _option("fast", "the kernels: compiled, or plain NumPy", BACKENDS[::-1])
    fuse: bool = _option(
        True,
        "run convolution, ReLU and pool as one kernel where possible",
        off="run every layer by itself, even where one kernel could do convolution, ReLU and pool",
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            self._check_kind(field)
        for field in dataclasses.fields(self):
            self._check_range(field)
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
                "`patience` waits for a better validation accuracy, but `keep='last'` keeps the last epoch anyway; "
                "leave out `patience`, or add `keep='best'`"
            )
        if self.reproducible and self.backend != "fast":
            raise ConfigError(
                f"`reproducible` wants the compiled kernels; {self.backend} adds up as this machine's BLAS does"
            )
        if not self.test and self.val == 0:
            raise ConfigError(
                "`test=False` judges by validation images, but none are held out; add `val`, such as `val=0.1`"
            )

    def _check_kind(self, field: Field) -> None:
        """Check one field's type, its choices, and that a number is finite."""
        value, choices = getattr(self, field.name), field.metadata["choices"]
        if choices and value not in choices:
            raise ConfigError(f"`{field.name}` is {value!r}; choose one of {', '.join(choices)}")
        kind, optional = kind_of(field)
        if optional and value is None:
            return
        if kind is bool and not isinstance(value, bool):
            raise ConfigError(f"`{field.name}` is {value!r}; wants True or False")
        wanted = NUMBERS.get(kind, kind)
        if not isinstance(value, wanted) or (isinstance(value, bool) and kind is not bool):
            raise ConfigError(f"`{field.name}` is {value!r}; wants {kind.__name__}")
        if kind is float and not abs(value) <= sys.float_info.max:  # NaN, too; an integer may be larger
            shown = value if isinstance(value, float) else "too large"
            raise ConfigError(f"`{field.name}` is {shown}; wants a finite number")

    def _check_range(self, field: Field) -> None:
        """Check that a number is within the range that its field declares."""
        value = getattr(self, field.name)
        least, most, below = (field.metadata[key] for key in ("least", "most", "below"))
        if value is None or least == -math.inf:
            return
        if not least <= value < below:
            upper = "" if below == math.inf else f" and below {below}"
            raise ConfigError(f"`{field.name}` is {value}; wants {least} or more{upper}")
        if value > most:
            raise ConfigError(f"`{field.name}` is {value}; wants {most} or less")

    @property
    def peak_lr(self) -> float:
        """The highest learning rate: the one given, or the optimiser's default."""
        return OPTIMIZERS[self.optimizer][0] if self.lr is None else self.lr

    @property
    def augmentation(self) -> Augmentation | None:
        """What ``augment``, ``pen`` and ``disturb`` ask for together; None for no augmentation."""
        together: Augmentation = FULL.times(self.augment).plus(DISTURBED.times(self.disturb))
        if self.pen is not None:
            together = dataclasses.replace(together, thicken=self.pen, thin=self.pen)
        return together if any(dataclasses.astuple(together)) else None

    @property
    def decay_rate(self) -> float:
        """The weight decay: the one given, or the optimiser's default."""
        return OPTIMIZERS[self.optimizer][1] if self.weight_decay is None else self.weight_decay

    def to_json(self) -> dict[str, Any]:
        """Return a dict for JSON; ``TrainConfig(**d)`` is an equal config."""
        return dataclasses.asdict(self)


def flag(name: str) -> str:
    """Return the option for the setting ``name``: --batch-size, or --no-test for a field that is True by default."""
    option = name.replace("_", "-")
    return f"--no-{option}" if getattr(TrainConfig, name, None) is True else f"--{option}"


def in_options(message: str) -> str:
    """Return an error's message with options in place of Python's settings.

    Messages name a setting in backquotes: `lr`, `keep='last'`, `test=False`.  The command line prints --lr,
    --keep last and --no-test.
    """

    def option(match: re.Match[str]) -> str:
        name, value = match["name"], match["value"]
        return flag(name) if value in (None, "True", "False") else f"{flag(name)} {value}"

    return re.sub(r"`(?P<name>[a-z_]+)(='?(?P<value>[^`]+?)'?)?`", option, message)


def names_of_settings() -> list[str]:
    """Return the names of TrainConfig's fields."""
    return [field.name for field in dataclasses.fields(TrainConfig)]


def kind_of(field: Field) -> tuple[type, bool]:
    """Return a field's type and whether it may be None."""
    if isinstance(field.type, types.UnionType):
        (kind,) = (t for t in typing.get_args(field.type) if t is not type(None))
        return kind, True
    return typing.cast(type, field.type), False


def add_config_arguments(
    parser: "argparse._ActionsContainer",  # pyright: ignore[reportPrivateUsage]
    hidden: Collection[str] = (),
) -> None:
    """Add --preset, and an option per field of TrainConfig, to an argparse parser or group.

    hidden: settings that the help leaves out, as the command refuses them.
    """
    parser.add_argument(
        "--preset",
        choices=tuple(PRESETS),
        help="a set of settings; other options override it. fast holds out no validation images: it keeps the last "
        "epoch, and its probabilities are not calibrated (default: default)",
    )
    for field in dataclasses.fields(TrainConfig):
        kind, optional = kind_of(field)
        text = field.metadata["help"]
        if kind is bool:
            action = "store_false" if field.default else "store_true"
            text = argparse.SUPPRESS if field.name in hidden else field.metadata["off"] or text
            parser.add_argument(flag(field.name), dest=field.name, default=None, action=action, help=text)
            continue
        parser.add_argument(
            flag(field.name),
            type=kind,
            choices=field.metadata["choices"],
            metavar=None if field.metadata["choices"] else "N" if kind is int else "X",
            help=text if optional else f"{text} (default: {PRESETS['default'].get(field.name, field.default)})",
        )


def config_from_arguments(arguments: argparse.Namespace) -> TrainConfig:
    """Return the TrainConfig of parsed arguments: the preset's settings, overridden by the options given."""
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
            "anyway; leave out --patience, or add --keep best"
        )
    return TrainConfig(**preset | given)


def changed_settings(config: TrainConfig) -> list[str]:
    """Return the options by which a config differs from `numcnn train` without any, such as ``--epochs 3``."""
    found: list[str] = []
    defaults = TrainConfig(**PRESETS["default"])
    for field in dataclasses.fields(TrainConfig):
        value = getattr(config, field.name)
        if value != getattr(defaults, field.name):
            found.append(flag(field.name) if isinstance(value, bool) else f"{flag(field.name)} {value}")
    return found


def given_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the settings that were given as options, even with their default value: name -> value."""
    values = {field.name: getattr(arguments, field.name) for field in dataclasses.fields(TrainConfig)}
    return {name: value for name, value in values.items() if value is not None}
