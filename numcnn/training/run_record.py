"""What a run's files record in JSON, checked: anybody may have edited them, and a disk may have damaged them.

Each check raises ValueError with the name of the entry that is wrong.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias, cast

from numcnn.training.config import TrainConfig
from numcnn.training.monitor import Row, TrainState

# A run card, or a weights file's record of its training, as JSON stores it.
Document: TypeAlias = dict[str, Any]

MOST_BYTES = 1 << 20  # of a run card
MOST = 1e15  # no number in a run is larger

RESULT = ("epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy")
ROW = (*RESULT, "lr", "seconds", "images_per_second")
OPTIONAL = ("val_loss", "val_accuracy")  # None where nothing is held out
COUNTS = ("epoch", "batch", "correct", "seen", "labelled", "best_epoch", "far_off")


def read_json(path: Path) -> Any:
    """Return what a small JSON file holds.  Raises OSError, RecursionError for what can't be read."""
    if not path.is_file() or path.stat().st_size > MOST_BYTES:
        raise ValueError("it is no small file")
    return json.loads(path.read_bytes())


def number(document: Mapping[str, Any], key: str, *, least: float = -MOST, optional: bool = False) -> None:
    """Check that ``document[key]`` is a finite number, ``least`` or more; or None if that is allowed."""
    value = document[key]
    if optional and value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= MOST:
        raise ValueError(f"{key} is {_short(value)}")


def count(document: Mapping[str, Any], key: str, least: int = 0) -> None:
    """Check that ``document[key]`` is a whole number, ``least`` or more."""
    number(document, key, least=least)
    if not isinstance(document[key], int):
        raise ValueError(f"{key} is {_short(document[key])}")


def text(document: Mapping[str, Any], key: str) -> None:
    """Check that ``document[key]`` is a text that can be printed and can name a file."""
    value = document[key]
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(f"{key} is {_short(value)}")


def place(document: Mapping[str, Any], key: str) -> str | None:
    """Return the path at ``key``; None if there is none, as in older records."""
    if document.get(key) is not None:
        text(document, key)
    return document.get(key)


def mapping(value: object, name: str) -> Document:
    """Return ``value`` if it is a dict."""
    if not isinstance(value, dict):
        raise ValueError(f"{name} is {_short(value)}")
    return cast(Document, value)


def plain(document: Document) -> None:
    """Check that the whole document can be printed and written as JSON."""
    try:
        json.dumps(document, allow_nan=False, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ValueError("it has a text that can't be printed") from error


def check_info(info: Document) -> TrainConfig:
    """Check what a weights file records about its training.  Return the run's settings."""
    plain(info)
    for key in ("model", "dataset", "dataset_sha256"):
        text(info, key)
    count(info, "threads", 1)
    for key in (versions := mapping(info["versions"], "versions")):
        text(versions, key)
    for part in info.get("earlier", []):
        mapping(part, "earlier")
    return config_of(info)


def config_of(document: Document) -> TrainConfig:
    """Return the settings in ``document["config"]``."""
    settings = mapping(document["config"], "config")
    for key, value in settings.items():
        if isinstance(value, int):
            number({key: int(value)}, key)
    return TrainConfig(**settings)


def check_result(result: object) -> Document:
    """Check the results of an epoch, as a weights file records them."""
    result = mapping(result, "result")
    count(result, "epoch", 1)
    for key in RESULT[1:]:
        number(result, key, optional=key in OPTIONAL)
    return result


def check_complete(document: Document) -> None:
    """Check that a state, as it is stored, leaves nothing out that would then begin at zero."""
    missing = {field.name for field in dataclasses.fields(TrainState)} - {"labelled", *document}  # older runs lack that
    if missing:
        raise ValueError(f"the state has no {sorted(missing)[0]}")


def check_state(state: TrainState, config: TrainConfig, watched: list[str]) -> None:
    """Check how far a run is.  watched: the log's columns of the gradient watch; none without it."""
    fields = vars(state)
    for key in COUNTS:
        count(fields, key)
    for key in ("loss_sum", "best_accuracy", "first_loss"):
        number(fields, key)
    number(fields, "seconds", least=1e-9 if state.batch else 0)
    number({"best_loss": None if state.best_loss == math.inf else state.best_loss}, "best_loss", optional=True)
    if not isinstance(cast(object, state.interrupted), bool):
        raise ValueError(f"interrupted is {_short(state.interrupted)}")
    if not state.correct <= state.labelled <= state.seen or bool(state.seen) != bool(state.batch):
        raise ValueError(f"of {_short(state.seen)} images {_short(state.labelled)} are labelled")
    if state.epoch > config.epochs or state.best_epoch > state.epoch or bool(state.best_epoch) != bool(state.epoch):
        raise ValueError(f"epoch is {state.epoch} of {config.epochs}, the best {state.best_epoch}")
    watch = mapping(state.watched, "watched")
    if sorted(watch) != sorted(watched if state.batch else ()):
        raise ValueError("watched names other layers")
    for key in watch:
        number(watch, key)
    _check_history(state, watched)


def _check_history(state: TrainState, watched: list[str]) -> None:
    rows = cast(object, state.history)
    if not isinstance(rows, list) or len(state.history) != state.epoch:
        raise ValueError("history has another number of epochs")
    held_out: bool | None = None
    for index, entry in enumerate(state.history):
        row: Row = mapping(entry, "history")
        if sorted(row) != sorted([*ROW, *watched]):
            raise ValueError("history has other columns")
        for key in row:
            number(row, key, optional=key in OPTIONAL)
        for key in ("seconds", "images_per_second"):
            number(row, key, least=1e-9)
        if row["epoch"] != index + 1:
            raise ValueError(f"history counts epoch {_short(row['epoch'])} as {index + 1}")
        absent = {row[key] is None for key in OPTIONAL}
        if len(absent) > 1 or held_out not in (None, *absent):
            raise ValueError("history has validation results in some places only")
        (held_out,) = absent


def check_card(card: object) -> Document:
    """Check a finished run's card, as far as it is used."""
    card = mapping(card, "the card")
    plain(card)
    for key in ("test_accuracy", "val_accuracy", "peak_memory_mb", "test_loss"):
        number(card, key, least=0, optional=True)
    for key in ("best_epoch", "epochs", "seed"):
        count(card, key)
    for key in ("seconds", "images_per_second"):
        number(card, key, least=0)
    for key in ("dataset", "weights", "model", *(["weights_sha256"] if "weights_sha256" in card else [])):
        text(card, key)  # older cards have no hash
    mapping(card["config"], "config")
    interval = card["test_interval"]
    if (interval is None) != (card["test_accuracy"] is None):
        raise ValueError("test_interval and test_accuracy go together")
    if interval is not None:
        low, high = cast("list[Any]", interval)
        for value in (low, high):
            number({"test_interval": value}, "test_interval")
    return card


def reason(error: Exception) -> str:
    """Return what is wrong, as text that fits a line."""
    return _cut(f"it has no {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__, 200)


def _short(value: object) -> str:
    try:
        return _cut(repr(value), 40)
    except ValueError:  # an integer of more digits than Python turns into text
        return "a huge number"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."
