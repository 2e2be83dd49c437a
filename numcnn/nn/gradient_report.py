"""What ``gradcheck`` found: a row for each array, as a table, as HTML, as JSON and as a picture."""

import html
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from numcnn.kernels.arrays import AnyArray, Float64s

if TYPE_CHECKING:
    from numcnn.evaluation.plots.style import Figure


@dataclass(frozen=True)
class GradientRow:
    """The check of one array: ``analytic`` and ``numeric`` (1-D) hold the two values of every entry that was checked.

    ``worst_index`` points into the array; ``kinks`` counts entries left out because of a kink nearby.
    If no entry could be checked, ``passed`` is None and ``max_error`` is NaN.
    """

    name: str
    shape: tuple[int, ...]
    max_error: float
    worst_index: tuple[int, ...]
    worst_analytic: float
    worst_numeric: float
    kinks: int
    passed: bool | None
    analytic: AnyArray
    numeric: Float64s

    @property
    def verdict(self) -> str:
        """The row's result in a word: "ok", "WRONG" or "not checked"."""
        return {True: "ok", False: "WRONG", None: "not checked"}[self.passed]

    def cells(self) -> tuple[str, ...]:
        """Return the row's texts, one for each name in ``COLUMNS``."""
        checked = str(len(self.analytic)) + (f" (-{self.kinks})" if self.kinks else "")
        found = ("-", "-", "-", "-")
        if self.passed is not None:
            at = ",".join(map(str, self.worst_index))
            found = (f"{self.max_error:.1e}", at, f"{self.worst_analytic:+.3e}", f"{self.worst_numeric:+.3e}")
        return self.name, "x".join(map(str, self.shape)), checked, *found, self.verdict


COLUMNS = ("array", "shape", "checked", "max error", "at", "backward", "numeric", "")


@dataclass(frozen=True)
class GradientReport:
    """What ``gradcheck`` found: one row per array.  Print it for a table, ``plot()`` it for a picture."""

    title: str
    rows: list[GradientRow]
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether no array is wrong and at least one was checked; ``unchecked`` names the others."""
        return any(row.passed for row in self.rows) and not any(row.passed is False for row in self.rows)

    @property
    def unchecked(self) -> list[str]:
        """The names of arrays without an entry that could be checked."""
        return [row.name for row in self.rows if row.passed is None]

    @property
    def max_error(self) -> float:
        """The largest relative error of all arrays checked, NaN if one of them is NaN or none was checked."""
        return float(np.max([row.max_error for row in self.rows if row.passed is not None] or [np.nan]))

    def conclusion(self) -> list[str]:
        """Return the lines that sum up the table."""
        unchecked = ", ".join(self.unchecked)
        if all(row.passed is None for row in self.rows):
            return ["nothing could be checked: try another seed or input, or more samples"]
        if not self.passed:
            verdict = "backward is WRONG where marked"
        elif unchecked:
            verdict = "every gradient that could be checked agrees"
        else:
            verdict = "every gradient agrees"
        lines = [f"{verdict}: largest relative error {self.max_error:.1e}, tolerance {self.tolerance:.0e}"]
        if unchecked:
            lines.append(f"not checked: {unchecked}; try another seed or input, or more samples")
        if any(row.kinks for row in self.rows):
            lines.append("(-n): n entries passed over, where a ReLU or max-pool switches nearby")
        return lines

    def __str__(self) -> str:
        table = [COLUMNS, *(row.cells() for row in self.rows)]
        widths = [max(len(line[i]) for line in table) for i in range(len(COLUMNS))]
        left = (0, 7)
        lines = [
            " ".join(
                f"{c:<{w}}" if i in left else f"{c:>{w}}" for i, (c, w) in enumerate(zip(row, widths, strict=True))
            )
            for row in table
        ]
        return "\n".join([self.title, *(line.rstrip() for line in lines), *self.conclusion()])

    def _repr_html_(self) -> str:
        """Return the table as HTML, for a notebook."""

        def line(tag: str, cells: Iterable[str]) -> str:
            return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

        rows = "".join(line("td", row.cells()) for row in self.rows)
        foot = "<br>".join(map(html.escape, self.conclusion()))
        return (
            f"<table><caption>{html.escape(self.title)}</caption>"
            f"<thead>{line('th', COLUMNS)}</thead><tbody>{rows}</tbody></table><p>{foot}</p>"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the report as a dict that JSON can hold, without the single values."""
        rows = [
            {
                "array": row.name,
                "shape": list(row.shape),
                "checked": len(row.analytic),
                "kinks": row.kinks,
                "max_error": _finite(row.max_error),
                "worst_index": list(row.worst_index),
                "backward": _finite(row.worst_analytic),
                "numeric": _finite(row.worst_numeric),
                "passed": row.passed,
            }
            for row in self.rows
        ]
        return {
            "passed": self.passed,
            "max_error": _finite(self.max_error),
            "tolerance": self.tolerance,
            "unchecked": self.unchecked,
            "arrays": rows,
        }

    def plot(self, path: str | os.PathLike[str] | None = None) -> "Figure":
        """Return a matplotlib Figure of the report; also write it to ``path`` (.png) if given."""
        from numcnn.evaluation import plots  # noqa: PLC0415  (loads matplotlib)

        figure = plots.gradcheck_plot(self)
        if path is not None:
            plots.save(figure, path)
        return figure


def _finite(value: float) -> float | None:
    """Return ``value``, or None for NaN and infinity, which JSON doesn't have."""
    return value if np.isfinite(value) else None
