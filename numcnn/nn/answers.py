"""From probabilities to an answer: a label, how probable it is, and whether that is enough to be sure.

A network's ``info`` holds two things for this, which ``numcnn calibrate`` writes: "refuse_below", the least probability
of a sure answer, and "reliability", how many answers at each threshold were wrong, on digits of people that the network
has not seen.  The second turns "at most 0.5% of the answers wrong" into a threshold.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from numcnn.errors import ConfigError
from numcnn.evaluation.calibration import Risk, threshold_for
from numcnn.kernels.arrays import Floats

STRANGERS = "strangers"  # the rows of "reliability" that choose a threshold: people whose digits nobody trained on


class Answer(NamedTuple):
    """What a network says about one picture.

    label: the most probable class; probability (0..1); sure: whether that reaches the threshold; probabilities (C,).
    """

    label: int
    probability: float
    sure: bool
    probabilities: Floats

    @property
    def text(self) -> str:
        """The label, or "?" for an answer that isn't sure."""
        return str(self.label) if self.sure else "?"


def answers(probabilities: Floats, least: float) -> list[Answer]:
    """Return the ``Answer`` to each picture.  probabilities (N,C); least: the probability of a sure answer, 0..1."""
    labels, highest = probabilities.argmax(axis=1).tolist(), probabilities.max(axis=1).tolist()
    found = zip(labels, highest, probabilities, strict=True)
    return [Answer(label, probability, probability >= least, each) for label, probability, each in found]


def least_probability(info: Mapping[str, Any], at_most: float | None = None) -> float:
    """Return the probability from which an answer is sure, 0..1.

    info: a network's.  at_most: the share of wrong answers that is allowed, such as 0.005; None: the file's own
    threshold, 0 if it has none.  Raises ConfigError for a share that is no share, that the network doesn't reach, or
    when its file has no figures for it.
    """
    if at_most is None:
        return float(info.get("refuse_below", 0.0))
    if not 0 < at_most < 1:
        raise ConfigError(f"`at_most` is {at_most}; wants a share of wrong answers between 0 and 1, such as 0.005")
    if STRANGERS not in info.get("reliability", {}):
        raise ConfigError("`at_most` needs weights that numcnn calibrate has measured on strangers; these were not")
    rows = [Risk(*row) for row in info["reliability"][STRANGERS]]
    chosen = threshold_for(rows, at_most)
    if chosen is None:
        least = min(row.bound for row in rows)
        raise ConfigError(f"`at_most` is {at_most:.3%}, but nothing below {least:.3%} could be shown for these weights")
    return chosen.threshold
