"""What else is on pictures: sheets without a digit, on which nothing should be read.

A subject draws strokes in heights of a digit, y downwards, or changes the plan, such as its paper.  `SUBJECTS` names
them.
"""

from collections.abc import Callable, Sequence

import numpy as np

from numcnn.data import generated, nondigits
from numcnn.data.generated import Glyph
from numcnn.data.hands import side_by_side
from numcnn.data.page_conditions import Page, Plan, Print, framed_cells, ruled, squared, table
from numcnn.imaging.raster import Strokes
from numcnn.kernels.arrays import Float64s

Rng = np.random.Generator
Subject = Callable[[Plan, Rng], list[Strokes]]

LETTERS = (*nondigits.WRITTEN_LETTERS, *nondigits.HELD_OUT_WRITTEN_LETTERS)
SIGNS = (*nondigits.WRITTEN_SIGNS, *nondigits.HELD_OUT_WRITTEN_SIGNS)


def blank_paper(plan: Plan, rng: Rng) -> list[Strokes]:
    """Nothing but paper."""
    return []


def ruled_paper(plan: Plan, rng: Rng) -> list[Strokes]:
    """Ruled paper, blank."""
    ruled(plan, rng.uniform(0.3, 1), rng)
    return []


def squared_paper(plan: Plan, rng: Rng) -> list[Strokes]:
    """Squared paper, blank."""
    squared(plan, rng.uniform(0.3, 1), rng)
    return []


def empty_table(plan: Plan, rng: Rng) -> list[Strokes]:
    """A table that nobody has filled in."""
    table(plan, 0, rng)
    if plan.cells:
        plan.cells.around = int(rng.integers(1, 4))
    return []


def empty_form(plan: Plan, rng: Rng) -> list[Strokes]:
    """A form's frames that nobody has filled in."""
    framed_cells(plan, 0, rng)
    if plan.cells:
        plan.cells.around = int(rng.integers(1, 3))
    return []


def letters(plan: Plan, rng: Rng) -> list[Strokes]:
    """Words in handwriting, of letters that nobody takes for digits."""
    return _words(LETTERS, plan, rng, int(rng.integers(1, 5)), 7)


def signs(plan: Plan, rng: Rng) -> list[Strokes]:
    """Drawn signs: a heart, a house, an arrow."""
    plan.unit = min(plan.unit, 70.0)
    return _words(SIGNS, plan, rng, 1, 3)


def _words(glyphs: Sequence[Glyph], plan: Plan, rng: Rng, lines: int, most: int) -> list[Strokes]:
    plan.unit = min(plan.unit, 80.0)
    found: list[Strokes] = []
    for line in range(lines):
        which = rng.integers(0, len(glyphs), rng.integers(1, most + 1))
        written, _ = generated.write(glyphs, which, rng)
        foot = np.array([0, line * plan.pitch])
        found += [[stroke + foot for stroke in own] for own in side_by_side(written, plan.pen, rng)]
    return found


def face(plan: Plan, rng: Rng) -> list[Strokes]:
    """A face, drawn simply: an outline, eyes, a nose, a mouth, some with ears and hair."""
    size = rng.uniform(1.5, 4)
    tall = rng.uniform(1.0, 1.4)
    strokes = [_oval((0, 0), (1, tall), rng)]
    eye, kind = rng.uniform(0.3, 0.45), rng.choice(("dots", "ovals", "arcs"))
    for side in (-eye, eye):
        at = side, -0.3 * tall
        if kind == "dots":
            strokes.append(np.array([at, (side, at[1] + 0.05)]))
        elif kind == "arcs":
            strokes.append(_arc(at, 0.18, -1, rng))
        else:
            strokes += [_oval(at, (0.2, 0.12), rng), np.array([at, (side, at[1] + 0.03)])]
        if rng.random() < 0.5:
            strokes.append(_arc((side, at[1] - 0.25), 0.2, -0.5, rng))
    strokes.append(np.array([(0, -0.1), (-0.1, 0.2), (0.06, 0.24)]) + rng.normal(0, 0.02, (3, 2)))
    strokes.append(_arc((0, 0.45 * tall), rng.uniform(0.3, 0.5), rng.choice((1.0, 0.4, -0.6)), rng))
    if rng.random() < 0.5:
        strokes += [_arc((side * 1.08, 0), 0.18, side, rng, upright=True) for side in (-1, 1)]
    for x in np.linspace(-0.7, 0.7, rng.integers(0, 12)):
        root = np.array([x, -tall * np.sqrt(1 - x * x)])
        strokes.append(np.array([root, root + rng.uniform((-0.15, -0.45), (0.15, -0.2))]))
    return [[size * stroke for stroke in strokes]]


def scene(plan: Plan, rng: Rng) -> list[Strokes]:
    """A photo of large shapes in even colours, such as furniture out of focus."""
    colours = rng.uniform(0.1, 0.95, (int(rng.integers(3, 8)), 3))

    def printer(page: Page, rng: Rng) -> list[Print]:
        prints = []
        for red, green, blue in colours.tolist():
            ends = rng.uniform(-0.1, 1.1, (rng.integers(1, 3), 2)) * (page.width, page.height)
            prints.append(Print([ends], rng.uniform(0.2, 0.6) * page.width, (red, green, blue)))
        return prints

    plan.grey = bool(rng.random() < 0.3)
    plan.printers.append(printer)
    return []


def _oval(middle: tuple[float, float], half: tuple[float, float], rng: Rng) -> Float64s:
    angle = np.linspace(0, 2 * np.pi, 40) + rng.uniform(0, 6)
    wobble = 1 + 0.02 * np.sin(3 * angle + rng.uniform(0, 6))
    return np.asarray(middle) + np.column_stack([half[0] * wobble * np.cos(angle), half[1] * wobble * np.sin(angle)])


def _arc(middle: tuple[float, float], half: float, bow: float, rng: Rng, *, upright: bool = False) -> Float64s:
    """Return an arc, ``half`` to either side of its middle; bow: how far it hangs down, or stands out to the right."""
    along = np.linspace(-half, half, 12)
    off = 0.5 * bow * half * (1 - (along / half) ** 2) + rng.normal(0, 0.01)
    return np.asarray(middle) + (np.column_stack([off, along]) if upright else np.column_stack([along, off]))


SUBJECTS: dict[str, Subject] = {
    function.__name__.replace("_", " "): function
    for function in (
        blank_paper, ruled_paper, squared_paper, empty_table, empty_form, letters, signs, face, scene,
    )
}  # fmt: skip
