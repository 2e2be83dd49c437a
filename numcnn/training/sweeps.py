"""Sweeps: train with each combination of some settings, each with several seeds; which is best on validation images.

The folder of a sweep:
  sweep.json                          what was asked for, from which a stopped sweep goes on
  lr=0.001,batch_size=64/seed-0/ ...  a run's folder for each combination and seed
  results.json                        the table, best first
"""

import dataclasses
import difflib
import itertools
import json
import math
import shlex
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias, cast

from numcnn.errors import CheckpointError, ConfigError
from numcnn.evaluation import metrics
from numcnn.files import atomic_write, named_errors
from numcnn.training import run_record
from numcnn.training.config import PRESETS, TrainConfig, flag, kind_of, names_of_settings
from numcnn.training.run_folder import begun_by
from numcnn.training.run_record import Document
from numcnn.training.train_job import Trained, TrainJob

Grid: TypeAlias = dict[str, list[Any]]  # a setting's name -> its values

MOST_RUNS = 10_000
LINES = "lines such as: seeds = 5, [settings] epochs = 3, [grid] lr = [0.001, 0.003]"
ADVICE = f"wants {LINES}"
NOT_IN_GRID = {"seed", "test"}
IN_WORDS = {bool: "true or false", int: "a whole number", float: "a number"}
FILE_KEYS = {"seeds", "dataset", "preset", "settings", "grid"}


@dataclass(frozen=True)
class Sweep:
    """What a sweep is to do.  config: settings of all runs, but for those in the grid and the seed."""

    folder: Path
    config: TrainConfig
    grid: Grid
    count: int  # seeds, from config.seed on
    dataset_argument: str
    threads: int  # of each run
    command: str
    data_dir: str | None = None  # MNIST's folder, if it was named

    def __post_init__(self) -> None:
        """Raises ConfigError for a combination of settings that can't be."""
        check_grid(self.grid)
        if not 1 <= self.count <= MOST_RUNS or math.prod(map(len, self.grid.values())) * self.count > MOST_RUNS:
            raise ConfigError(f"a sweep wants 1 to {MOST_RUNS:,} runs; `seeds` is {self.count}, and there is the grid")
        for settings in self.combinations():
            replace(self.config, **settings)

    def combinations(self) -> list[dict[str, Any]]:
        """Return all combinations of the grid's values, each setting -> value."""
        return [dict(zip(self.grid, values, strict=True)) for values in itertools.product(*self.grid.values())]

    def jobs(self) -> list[TrainJob]:
        """Return the trainings: the first seed of each combination, then the second, so that a table soon says much."""
        return [
            TrainJob(
                folder=self.folder / folder_name(settings) / f"seed-{seed}",
                config=replace(self.config, **settings, seed=seed),
                dataset=self.dataset_argument,
                data_dir=self.data_dir,
                threads=self.threads,
                command=self.command,
            )
            for seed in range(self.config.seed, self.config.seed + self.count)
            for settings in self.combinations()
        ]

    def save(self) -> None:
        """Write sweep.json."""
        document: Document = {key: value for key, value in vars(self).items() if key != "folder"}
        _write(self.folder / "sweep.json", {**document, "config": self.config.to_json()})

    def table(self, results: Mapping[Path, Trained]) -> Document:
        """Return the results: a row for each combination, the one with the best mean validation accuracy first."""
        rows: list[Document] = []
        for settings in self.combinations():
            folder = self.folder / folder_name(settings)
            cards = [found.card for path, found in results.items() if path.parent == folder and found.card]
            if any(card["val_accuracy"] is None for card in cards):
                raise CheckpointError(f"{folder}: no images were held out, so nothing can be compared")
            accuracies = [float(card["val_accuracy"]) for card in cards]
            spread = metrics.spread(accuracies, 1) if len(cards) > 1 else {"n": len(cards), "mean": sum(accuracies)}
            row = {"settings": settings, "folder": str(folder), "diverged": self.count - len(cards)}
            seconds = sum(card["seconds"] for card in cards) / max(1, len(cards))
            rows.append({**row, "val_accuracy": spread, "seconds": seconds})
        rows.sort(key=lambda row: (row["diverged"], -row["val_accuracy"]["mean"]))
        return {
            "dataset": self.dataset_argument,
            "config": self.config.to_json(),
            "command": self.command,
            "rows": rows,
        }


def best_rows(table: Document) -> list[Document]:
    """Return the first row of a table, and those whose results are as good."""

    def rank(row: Document) -> tuple[int, float]:
        return row["diverged"], round(row["val_accuracy"]["mean"], 9)  # a sum's last digits depend on its order

    return [row for row in table["rows"] if rank(row) == rank(table["rows"][0])]


def save_table(table: Document, folder: Path) -> None:
    """Write results.json."""
    _write(folder / "results.json", table)


def _write(path: Path, document: Document) -> None:
    with atomic_write(path) as file:
        file.write((json.dumps(document, indent=1) + "\n").encode())


def load_sweep(folder: str | Path) -> Sweep:
    """Return the sweep in ``folder``, to go on with it.  Raises CheckpointError."""
    path = Path(folder) / "sweep.json"
    with named_errors(folder, action="read", error_class=CheckpointError):
        if not path.exists():
            problem = "holds no sweep.json" if path.parent.is_dir() else "is no folder"
            if begun_by(path.parent) == "train":
                again = f"numcnn train `resume` {shlex.quote(str(folder))}"
                raise CheckpointError(f"{folder} is no sweep; to go on with its training: {again}")
            raise CheckpointError(f"{folder} {problem}; `resume` wants the folder of a sweep")
    try:
        found = run_record.mapping(run_record.read_json(path), "the sweep")
        run_record.plain(found)
        for key in ("dataset_argument", "command"):
            run_record.text(found, key)
        for key in ("count", "threads"):
            run_record.count(found, key, 1)
        run_record.place(found, "data_dir")
        settings: dict[str, Any] = {**found, "config": run_record.config_of(found)}
        run_record.mapping(found["grid"], "grid")
        return Sweep(folder=path.parent, **settings)
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: it isn't the plan of a sweep ({run_record.reason(error)})") from error


def folder_name(settings: Mapping[str, Any]) -> str:
    """Return the name of a combination: lr=0.001,batch_size=64."""
    return ",".join(f"{name}={value}" for name, value in settings.items()) or "all"


def as_options(settings: Mapping[str, Any]) -> str:
    """Return a combination as options of `numcnn train`: --lr 0.001 --batch-size 64."""
    options: list[str] = []
    for name, value in settings.items():
        if not isinstance(value, bool):
            options.append(f"{flag(name)} {value}")
        elif value != getattr(TrainConfig, name):
            options.append(flag(name))
    return " ".join(options)


def check_grid(grid: Mapping[str, Any]) -> None:
    """Raise ConfigError for a name that is no setting, or that a sweep sets itself, and for values given twice."""
    for name, values in grid.items():
        if name in NOT_IN_GRID:
            raise ConfigError(f"the grid can't hold {name}: a sweep takes `seeds`, and never reads the test set")
        if name not in names_of_settings():
            raise ConfigError(f"the grid has {name!r}; {_advice(name, NOT_IN_GRID)}")
        several = cast(list[object], values) if isinstance(values, list) else []
        if not several or len({str(value) for value in several}) < len(several):
            raise ConfigError(f"the grid's {name} is {values!r}; wants one or more different values")


def _advice(name: str, without: Collection[str] = ()) -> str:
    """Return which setting may have been meant or, if none is like it, all that there are, some left out."""
    names = [one for one in names_of_settings() if one not in without]
    similar = difflib.get_close_matches(name, names, 1)
    return f"did you mean {similar[0]}?" if similar else f"it wants settings: {', '.join(names)}"


def parse_grid(texts: Sequence[str]) -> Grid:
    """Return the grid that ``--grid lr=1e-3,3e-3`` and further ones describe.  Raises ConfigError."""
    fields = {field.name: field for field in dataclasses.fields(TrainConfig)}
    grid: Grid = {}
    for text in texts:
        option, equals, values = text.partition("=")
        name = option.strip().lstrip("-").replace("-", "_")
        if not equals:
            raise ConfigError(f"`grid` is {text!r}; wants a setting with values, such as lr=1e-3,3e-3")
        if name in grid:
            raise ConfigError(f"`grid` has {name} twice; wants all its values in one, such as lr=1e-3,3e-3")
        check_grid({name: [values]})
        grid[name] = [_value(fields[name], value.strip()) for value in values.split(",")]
    return grid


def _value(field: "dataclasses.Field[Any]", text: str) -> Any:
    """Return a setting's value from its text.  Raises ConfigError."""
    kind, _ = kind_of(field)
    try:
        return {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError) as error:
        raise ConfigError(f"the grid's {field.name} is {text!r}; wants {IN_WORDS.get(kind, 'a text')}") from error


def read_plan(path: str | Path) -> Document:
    """Return the content of a TOML file: seeds, dataset, preset, [settings], [grid].  Raises ConfigError."""
    with named_errors(path, ADVICE, action="read", error_class=ConfigError):
        file = Path(path)
        if not file.exists():
            raise ConfigError(f"there is no file {path}")
        if file.is_dir():
            how = f"; to go on with its sweep: `resume` {shlex.quote(str(path))}"
            more = how if (file / "sweep.json").is_file() else ""
            raise ConfigError(f"{path} is a folder; name a TOML file with {LINES}{more}")
        if not file.is_file() or file.stat().st_size > run_record.MOST_BYTES:
            raise ConfigError(f"{path} is no small file; name a TOML file with {LINES}")
        content = file.read_bytes()
    try:
        plan = tomllib.loads(content.decode())
        if unknown := set(plan) - FILE_KEYS:
            raise ValueError(f"it has {', '.join(sorted(unknown))}")
        for key in ("dataset", "preset"):
            if key in plan:
                run_record.text(plan, key)
        if plan.get("preset", "default") not in PRESETS:
            raise ValueError(f"preset is {plan['preset']!r}; choose one of {', '.join(PRESETS)}")
        run_record.count({"seeds": 1, **plan}, "seeds", 1)
        settings = run_record.mapping(plan.get("settings", {}), "[settings]")
        run_record.mapping(plan.get("grid", {}), "[grid]")
        if both := set(settings) & set(plan.get("grid", {})):
            raise ConfigError(f"{path}: [grid] and [settings] both have {min(both)}; leave out one of them")
        if unknown := set(settings) - set(names_of_settings()):
            name = min(unknown)
            raise ConfigError(f"{path}: [settings] has {name}; {_advice(name)}")
        return plan
    except ConfigError:
        raise
    except (ValueError, RecursionError) as error:  # also TOMLDecodeError, UnicodeDecodeError
        raise ConfigError(f"{path}: {run_record.reason(error)}; {ADVICE}") from error
