"""From probabilities to an answer: a label, how probable it is, and whether that is enough to be sure.

A network's ``info`` holds three things for this, which ``numcnn calibrate`` writes: "refuse_below", the least certainty
of a sure answer, with "certainty_temperature" (1 if missing: certainty is then the probability); and "risks", how many
sure answers at each probability were wrong, on the pen strokes of thirty people that the network has not seen.  The
last turns "at most 0.5% of the answers wrong" into a probability.
"""

import numbers
import reprlib
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from numcnn.errors import ConfigError
from numcnn.evaluation.calibration import HIGHEST, LOWEST, Risk, Threshold, threshold_for
from numcnn.kernels.arrays import Floats

KEYS = ("refuse_below", "certainty_temperature", "risks")  # of a network's info; they hold for its present weights only


class Answer(NamedTuple):
    """What a network says about one picture.

    label: the most probable class; probability (0..1); sure: whether that reaches the threshold; probabilities (C,).
    """

    label: int
    probability: float
    sure: bool
    probabilities: Floats


def checked_info(info: object) -> dict[str, Any]:
    """Return a weights file's ``info`` as a dict whose entries have the types that the commands rely on.

    Raises ConfigError.
    """
    if not isinstance(info, dict):
        raise ConfigError(f"info is {reprlib.repr(info)}; wants an object")
    checked = cast(dict[str, Any], info)
    for key in ("dataset", "dataset_sha256"):
        if not isinstance(checked.get(key, ""), str):
            raise ConfigError(f"info: {key} is {reprlib.repr(checked[key])}; wants a text")
    for key in ("config", "personal", "result", "resume"):
        if not isinstance(checked.get(key, {}), dict):
            raise ConfigError(f"info: {key} is {reprlib.repr(checked[key])}; wants an object")
    if not _is_share(checked.get("refuse_below", 0.0)):
        raise ConfigError(f"info: refuse_below is {reprlib.repr(checked['refuse_below'])}; wants a certainty, 0 to 1")
    if not _is_temperature(checked.get("certainty_temperature", 1.0)):
        raise ConfigError(
            f"info: certainty_temperature is {reprlib.repr(checked['certainty_temperature'])}; wants a number from "
            f"{LOWEST} to {HIGHEST}"
        )
    risks: object = checked.get("risks", cast(list[Any], []))
    if not (isinstance(risks, list) and all(map(_is_risk, cast(list[Any], risks)))):
        raise ConfigError(
            f"info: risks is {reprlib.repr(cast(object, risks))}; wants rows of {', '.join(Risk._fields)}"
        )
    return dict(checked)


def _is_share(value: object) -> bool:
    return type(value) in (int, float) and 0 <= cast(float, value) <= 1


def _is_temperature(value: object) -> bool:
    return type(value) in (int, float) and LOWEST <= cast(float, value) <= HIGHEST


def _is_risk(row: Any) -> bool:
    """Say whether ``row`` is a threshold, three counts, the second and third within the first, and a bound."""
    if not isinstance(row, list) or len(cast(list[Any], row)) != len(Risk._fields):
        return False
    threshold, n, answered, wrong, bound = cast(list[Any], row)
    counts = all(type(count) is int for count in (n, answered, wrong))
    return _is_share(threshold) and _is_share(bound) and counts and 0 <= wrong <= answered <= n and n > 0


def answers(probabilities: Floats, threshold: Threshold) -> list[Answer]:
    """Return the ``Answer`` to each picture.  probabilities (N,C); threshold: of a sure answer."""
    labels, highest = probabilities.argmax(axis=1).tolist(), probabilities.max(axis=1)
    found = zip(labels, highest.tolist(), threshold.sure(probabilities).tolist(), probabilities, strict=True)
    return [Answer(*each) for each in found]


def threshold_of(info: Mapping[str, Any], at_most: float | None = None) -> Threshold:
    """Return from when on a network's answer is sure.

    info: the network's.  at_most: the share of wrong answers that is allowed, such as 0.005; None: the file's own
    threshold, 0 if it has none.  ``at_most`` comes in addition to that one, which rejects non-digits.
    Raises ConfigError for a share that is no share, for one that could not be shown for the network, and when its file
    has no figures for it.
    """
    usual = Threshold(float(info.get("refuse_below", 0.0)), float(info.get("certainty_temperature", 1.0)))
    if at_most is None:
        return usual
    if not isinstance(at_most, numbers.Real) or not 0 < at_most < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(f"`at_most` is {at_most!r}; wants a share of wrong answers between 0 and 1, such as 0.005")
    if not info.get("risks"):
        raise ConfigError(
            "`at_most` needs weights with figures of strangers' digits, and these have none: use the shipped ones, "
            "everyone, or measure with numcnn calibrate"
        )
    rows = [Risk(*row) for row in info["risks"]]
    chosen = threshold_for(rows, at_most)
    if chosen is None:
        strictest = max(rows, key=lambda row: row.threshold)
        raise ConfigError(
            f"`at_most` is {at_most:.3%}, but with {rows[0].n:,} digits no less than {strictest.bound:.3%} can be "
            "shown for these weights; allow more"
        )
    return usual._replace(probability=chosen.threshold)
