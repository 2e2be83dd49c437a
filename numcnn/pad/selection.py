"""Which digit the user means: by a click, or by an arrow key from the one in focus."""

from collections.abc import Sequence

from numcnn.pad.drawing.layout import Place
from numcnn.recognition.reading import Reading


def digit_at(readings: Sequence[Reading], place: Place, position: Sequence[float], reach: float) -> int | None:
    """Return the digit whose box is at a position of the window, else the nearest within ``reach`` pixels, or None."""
    x, y = position
    away: list[float] = []
    for reading in readings:
        rect = place.rect(reading.box)
        away.append(max(rect.left - x, x - rect.right, rect.top - y, y - rect.bottom))
    best = min(range(len(away)), key=away.__getitem__, default=None)
    return best if best is not None and away[best] <= reach else None


def neighbour(readings: Sequence[Reading], focus: int | None, right: int, down: int) -> int | None:
    """Return the digit one step away from the one in focus; where there is none, that in focus.

    right: 1 the next in the order of reading, -1 the one before.  down: 1 the nearest one in the next line, -1 in the
    line before.
    """
    if focus is None or not down:
        return None if focus is None else min(max(focus + right, 0), len(readings) - 1)
    line = readings[focus].line + down
    here = _middle(readings[focus])
    others = [i for i, reading in enumerate(readings) if reading.line == line]
    return min(others, key=lambda i: abs(_middle(readings[i]) - here), default=focus)


def _middle(reading: Reading) -> float:
    return (reading.box[0] + reading.box[2]) / 2
