"""What a training run has done so far: its curves, and its weights at many steps.  No pygame, no training code."""

from bisect import bisect_right
from collections import OrderedDict
from typing import NamedTuple

from numcnn.kernels.arrays import Floats

MOST_ASKED = 4  # weights of single steps that are kept besides the snapshots


class Validation(NamedTuple):
    """The result of a validation after so many steps.  images: how many it was on."""

    step: int
    loss: float
    accuracy: float
    images: int


class Timeline:
    """The steps of one run.  ``losses`` and ``accuracies`` (0..1) are those of each step's batch, from step 1 on.

    steps, per_epoch: how many the whole run and an epoch have.  ``spacing``: from one snapshot to the next.
    """

    def __init__(self, steps: int, per_epoch: int, spacing: int) -> None:
        self.steps, self.per_epoch, self.spacing = steps, per_epoch, spacing
        self.losses: list[float] = []
        self.accuracies: list[float] = []
        self.validations: list[Validation] = []
        self._kept: dict[int, Floats] = {}
        self._order: list[int] = []  # the steps in ``_kept``
        self._latest: tuple[int, Floats] | None = None
        self._asked: OrderedDict[int, Floats] = OrderedDict()

    @property
    def done(self) -> int:
        """How many steps are done."""
        return len(self.losses)

    @property
    def nbytes(self) -> int:
        """The bytes of all weights that are kept here."""
        latest = self._latest[1].nbytes if self._latest else 0
        return latest + sum(params.nbytes for some in (self._kept, self._asked) for params in some.values())

    def add_steps(self, last: int, losses: list[float], accuracies: list[float], params: Floats, keep: bool) -> None:
        """Add steps up to number ``last``, with the weights after it; keep: as a snapshot."""
        self.losses += losses
        self.accuracies += accuracies
        self._latest = last, params
        if keep and last not in self._kept:
            self._kept[last] = params
            self._order.append(last)

    def add_asked(self, step: int, params: Floats) -> None:
        """Add the weights of a single step that were asked for."""
        self._asked[step] = params
        while len(self._asked) > MOST_ASKED:
            self._asked.popitem(last=False)

    def has(self, step: int) -> bool:
        """Return whether the weights after exactly this step are here."""
        return step in self._kept or step in self._asked or (self._latest is not None and self._latest[0] == step)

    def nearest(self, step: int) -> tuple[int, Floats] | None:
        """Return the last step up to this one whose weights are here, with them; None before the first report."""
        if self._latest is None:
            return None
        if step >= self._latest[0]:
            return self._latest
        if step in self._asked:
            return step, self._asked[step]
        at = self._order[max(0, bisect_right(self._order, step) - 1)]
        return at, self._kept[at]

    def until(self, step: int) -> "Timeline":
        """Return the time line as it was after so many steps; it shares the weights."""
        past = Timeline(self.steps, self.per_epoch, self.spacing)
        past.losses, past.accuracies = self.losses[:step], self.accuracies[:step]
        past.validations = [found for found in self.validations if found.step <= step]
        past._kept, past._order, past._latest = self._kept, self._order, self._latest
        return past

    @property
    def snapshots(self) -> list[int]:
        """The steps whose weights are kept."""
        return list(self._order)

    def validation_at(self, step: int) -> Validation | None:
        """Return the last validation up to this step, or None."""
        return next((found for found in reversed(self.validations) if found.step <= step), None)

    def loss_at(self, step: int) -> float | None:
        """Return the mean loss of up to ten steps up to this one, or None before the first."""
        some = self.losses[max(0, step - 10) : step]
        return sum(some) / len(some) if some else None
