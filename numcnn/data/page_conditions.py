"""The conditions under which synthetic pages are written and photographed, one by one, each with a strength.

A `Plan` says how one picture is made; `plain` draws one without difficulties.  A condition changes a plan: it takes the
plan, a strength, 0 (hardly anything) to 1 (hard, but people read it without effort), and random numbers.  `CONDITIONS`
names them all.  Lengths are in heights of a digit unless they say pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from numcnn.imaging import photo
from numcnn.kernels.arrays import Float64s, Floats

Rng = np.random.Generator
Colour = tuple[float, float, float]  # red, green, blue, 0..1

SMALLEST, LARGEST = 26.0, 130.0  # pixels that a digit is high
FINEST, BROADEST = 0.055, 0.13  # widths of a pen
BEYOND = 0.4  # how far lines run out of the sheet, in its sides: a turned picture shows more of it
SAME_LIGHT = 0.03  # luminances of colours that differ by less are equal
APART = 0.4  # between colours of equal luminance: the distance of red, green and blue
FRAME_TOUCHED = 0.4  # fraction of the digits in cells that touch the frame, at full strength
TEXT_PITCH = 1.9  # from a line of text to the next, on average


class Page(NamedTuple):
    """What a plan's printer sees: the sheet (width, height) in pixels, the feet of the lines, pixels of a height."""

    width: float
    height: float
    feet: list[float]
    unit: float


class Print(NamedTuple):
    """Lines, dots or blots on a sheet: strokes (n,2) in its pixels, their width, colour, and how far it covers."""

    strokes: list[Float64s]
    width: float
    colour: Colour
    cover: float = 1.0


Printer = Callable[[Page, Rng], list[Print]]
Effect = Callable[[Floats, Rng], Floats]


@dataclass
class Cells:
    """The printed frames of a form or a table.

    most: digits in each, at most.  height: of a cell; line: its width.  touched: the fraction of digits that touch it.
    style: "joined", "apart" or "comb".  around: empty rows and columns of cells on each side, as in a table.
    """

    most: int = 1
    height: float = 1.7
    line: float = 0.04
    colour: Colour = (0.1, 0.1, 0.1)
    touched: float = 0.0
    style: str = "joined"
    around: int = 0


@dataclass
class Plan:
    """How one picture is made.

    unit: pixels that a digit is high.  pen: width of the strokes.  ink, paper: colours.  cover: how much of the paper
    the ink hides, 0..1; grain: how uneven it is, 0..1.  margins: the least and the most room on each side.  pitch: from
    a line to the next.  touching: fraction of neighbours that touch.  cut: digits that are cut off by the edge.  sheet:
    (width, height) of a large sheet, 0 for a tight one.  turn (radians), tilt (radians, about both axes): how the sheet
    lies; desk: the colour of what it lies on, None if the sheet fills the picture.  printers, effects: what is printed
    before the writing, and what the camera does, in order.
    """

    unit: float
    pen: float
    ink: Colour
    paper: Colour
    grey: bool = False
    cover: float = 1.0
    grain: float = 0.0
    margins: tuple[float, float] = (0.5, 1.6)
    pitch: float = TEXT_PITCH
    touching: float = 0.0
    cut: bool = False
    sheet: tuple[float, float] = (0.0, 0.0)
    turn: float = 0.0
    tilt: tuple[float, float] = (0.0, 0.0)
    desk: Colour | None = None
    cells: Cells | None = None
    printers: list[Printer] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)


Condition = Callable[[Plan, float, Rng], None]


def plain(rng: Rng) -> Plan:
    """Plan a picture without difficulties: drawn on a screen, scanned, or photographed in even light."""
    unit = float(np.exp(rng.uniform(np.log(SMALLEST), np.log(LARGEST))))
    pen = float(np.exp(rng.uniform(np.log(FINEST), np.log(BROADEST))))
    pitch = TEXT_PITCH * float(np.exp(rng.normal(0, 0.1)))
    kind = rng.choice(3, p=(0.3, 0.4, 0.3))
    if kind == 0:
        return Plan(unit, pen, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), grey=True, pitch=pitch)
    white = rng.uniform(0.9, 1) if kind == 1 else rng.uniform(0.68, 0.9)
    paper = _tinted(white, 0.015 if kind == 1 else 0.04, rng)
    ink = _PENS[rng.integers(len(_PENS))]
    plan = Plan(unit, pen, ink, paper, grey=bool(rng.random() < 0.4), cover=rng.uniform(0.85, 1), pitch=pitch)
    plan.grain = rng.uniform(0, 0.15)
    noise = rng.uniform(0.003, 0.008) if kind == 1 else rng.uniform(0.006, 0.014)
    if kind == 2:
        depth = rng.uniform(0, 0.12)
        plan.effects.append(lambda picture, rng: photo.uneven_paper(picture, 0.006, rng))
        plan.effects.append(lambda picture, rng: photo.slope(picture, depth, rng))
    soft = rng.uniform(0.3, 0.8)
    plan.effects.append(lambda picture, rng: photo.blur(picture, soft))
    plan.effects.append(lambda picture, rng: photo.sensor_noise(picture, noise, rng))
    return plan


_PENS: tuple[Colour, ...] = (  # black, blue-black, blue, dark green and dark red ballpoint, soft pencil
    *((0.08, 0.08, 0.09), (0.1, 0.1, 0.25), (0.1, 0.15, 0.5), (0.12, 0.14, 0.4)),
    *((0.05, 0.3, 0.15), (0.5, 0.08, 0.1), (0.25, 0.25, 0.27)),
)
_LINES: tuple[Colour, ...] = ((0.45, 0.6, 0.8), (0.55, 0.55, 0.58), (0.4, 0.65, 0.6), (0.75, 0.5, 0.5))
_FRAMES: tuple[Colour, ...] = (
    *((0.05, 0.05, 0.05), (0.05, 0.05, 0.05), (0.3, 0.3, 0.32), (0.55, 0.55, 0.6)),
    *((0.3, 0.5, 0.75), (0.8, 0.35, 0.3), (0.35, 0.6, 0.4)),
)


def _tinted(light: float, spread: float, rng: Rng) -> Colour:
    red, green, blue = np.clip(light + rng.normal(0, spread, 3), 0, 1).tolist()
    return red, green, blue


# ------------------------------------------------------------------------------------------------------------- light


def clean(plan: Plan, strength: float, rng: Rng) -> None:
    """Change nothing."""


def shadow_edge(plan: Plan, strength: float, rng: Rng) -> None:
    """A shadow with a hard edge lies across the sheet."""
    _add_light(plan, lambda picture, rng: photo.shadow_edge(picture, 0.25 + 0.4 * strength, rng))


def vignette(plan: Plan, strength: float, rng: Rng) -> None:
    """The corners are darker than the middle."""
    _add_light(plan, lambda picture, rng: photo.vignette(picture, 0.2 + 0.5 * strength))


def slope_of_light(plan: Plan, strength: float, rng: Rng) -> None:
    """The light falls off from one side to the other."""
    _add_light(plan, lambda picture, rng: photo.slope(picture, 0.2 + 0.5 * strength, rng))


def _add_light(plan: Plan, effect: Effect) -> None:
    plan.effects.insert(0, effect)


# ----------------------------------------------------------------------------------------------------- printed paper


def ruled(plan: Plan, strength: float, rng: Rng) -> None:
    """The paper is ruled, and people write on the lines; some sheets have a margin line, too."""
    margin_line = rng.random() < 0.3
    colour, cover = _LINES[rng.integers(len(_LINES))], 0.4 + 0.5 * strength
    width = max(1.0, rng.uniform(0.02, 0.035) * plan.unit)
    sink = rng.uniform(-0.05, 0.15)  # how far the writing stands above its line
    plan.margins = (0.8, 2.2)
    plan.pitch = rng.uniform(1.4, 1.9)
    pitch = plan.pitch

    def printer(page: Page, rng: Rng) -> list[Print]:
        first = page.feet[0] + sink * page.unit
        lines = _across(page, _steps(first, pitch * page.unit, page.height))
        down = _down(page, [rng.uniform(0.1, 0.3) * page.unit]) if margin_line else []
        return [Print(lines, width, colour, cover), Print(down, width, (0.85, 0.4, 0.4), cover)]

    plan.printers.append(printer)


def squared(plan: Plan, strength: float, rng: Rng) -> None:
    """The paper is squared, with squares somewhat smaller than the digits."""
    _print_grid(
        plan, rng.uniform(0.55, 0.95), max(1.0, rng.uniform(0.02, 0.035) * plan.unit), 0.4 + 0.5 * strength, rng
    )


def thin_grid(plan: Plan, strength: float, rng: Rng) -> None:
    """The paper has a close grid of fine lines, and the pen is nearly as fine."""
    plan.unit = max(plan.unit, 40.0)
    plan.pen = max(rng.uniform(0.03, 0.05), 1.6 / plan.unit)
    plan.cover = rng.uniform(0.75, 0.95)
    _print_grid(plan, rng.uniform(0.25, 0.5), 1.0, 0.25 + 0.3 * strength, rng)


def _print_grid(plan: Plan, pitch: float, width: float, cover: float, rng: Rng) -> None:
    colour = _LINES[rng.integers(len(_LINES))]
    plan.margins = (0.7, 2.0)
    down, across = rng.random(2)

    def printer(page: Page, rng: Rng) -> list[Print]:
        step = pitch * page.unit
        rows = _across(page, _steps(across * step, step, page.height))
        columns = _down(page, _steps(down * step, step, page.width))
        return [Print([*rows, *columns], width, colour, cover)]

    plan.printers.append(printer)


def _steps(through: float, step: float, length: float) -> list[float]:
    """Return the places of lines ``step`` apart, one of them at ``through``, on a sheet of this length and beyond."""
    first = -np.floor((through + BEYOND * length) / step)
    return (through + step * np.arange(first, np.ceil(((1 + BEYOND) * length - through) / step))).tolist()


def _across(page: Page, places: list[float]) -> list[Float64s]:
    ends = -BEYOND * page.width, (1 + BEYOND) * page.width
    return [np.array([(ends[0], y), (ends[1], y)]) for y in places]


def _down(page: Page, places: list[float]) -> list[Float64s]:
    ends = -BEYOND * page.height, (1 + BEYOND) * page.height
    return [np.array([(x, ends[0]), (x, ends[1])]) for x in places]


def framed_cells(plan: Plan, strength: float, rng: Rng) -> None:
    """Each digit stands in a printed frame of a form, and some touch it."""
    style = str(rng.choice(("joined", "apart", "comb"), p=(0.45, 0.4, 0.15)))
    plan.cells = Cells(
        height=rng.uniform(1.35, 1.9),
        line=rng.uniform(0.02, 0.06),
        colour=_FRAMES[rng.integers(len(_FRAMES))],
        touched=FRAME_TOUCHED * strength,
        style=style,
    )
    plan.margins = (0.1, 0.8)


def table(plan: Plan, strength: float, rng: Rng) -> None:
    """The numbers, of one to three digits, stand in the cells of a table; the cells around are empty."""
    plan.cells = Cells(
        most=3,
        height=rng.uniform(1.5, 2.1),
        line=rng.uniform(0.02, 0.05),
        colour=_FRAMES[rng.integers(len(_FRAMES))],
        touched=0.3 * FRAME_TOUCHED * strength,
        around=int(rng.integers(0, 3)),
    )
    plan.margins = (0.2, 1.0)


def scanner_border(plan: Plan, strength: float, rng: Rng) -> None:
    """The scan shows black beyond one or two sides of the sheet, or a bar on top of it."""
    sides = rng.permutation(4)[: rng.integers(1, 3)].tolist()
    bar = rng.random() < 0.3
    width = rng.uniform(0.02, 0.1 + 0.2 * strength)
    dark = _tinted(rng.uniform(0, 0.25), 0.01, rng)

    def printer(page: Page, rng: Rng) -> list[Print]:
        band = 2 * max(2.0, width * page.unit)
        if bar:  # across a part of the top, like a title bar's remains
            ends = np.sort(rng.uniform(0, page.width, 2))
            return [Print([np.array([(ends[0], 0.0), (ends[1], 0.0)])], band, dark)]
        edges = {0: _across(page, [0.0]), 1: _across(page, [page.height]), 2: _down(page, [0.0])}
        edges[3] = _down(page, [page.width])
        return [Print([line for side in sides for line in edges[side]], band, dark)]

    plan.printers.append(printer)


# ---------------------------------------------------------------------------------------------------- colour and pen


def coloured(plan: Plan, strength: float, rng: Rng) -> None:
    """Coloured ink on coloured paper, darker than the paper."""
    plan.grey = False
    while True:
        ink, paper = rng.uniform(0, 0.7, 3), rng.uniform(0.35, 1, 3)
        contrast = float((paper - ink) @ photo.LUMINANCE)
        if 0.45 - 0.25 * strength < contrast and np.ptp(paper) > 0.25 and np.ptp(ink) > 0.25:
            break
    _paint(plan, ink, paper)


def equal_luminance(plan: Plan, strength: float, rng: Rng) -> None:
    """Ink and paper differ in colour only: as grey they are one."""
    plan.grey = False
    while True:
        ink, paper = rng.uniform(0, 1, 3), rng.uniform(0, 1, 3)
        if abs((paper - ink) @ photo.LUMINANCE) < SAME_LIGHT and np.linalg.norm(paper - ink) > APART * (2 - strength):
            break
    _paint(plan, ink, paper)
    plan.cover, plan.grain = 1.0, 0.0


def _paint(plan: Plan, ink: Floats, paper: Floats) -> None:
    (red, green, blue), (r, g, b) = ink.tolist(), paper.tolist()
    plan.ink, plan.paper = (red, green, blue), (r, g, b)


def light_on_dark(plan: Plan, strength: float, rng: Rng) -> None:
    """Chalk on a board, or white on black."""
    plan.paper = _tinted(rng.uniform(0, 0.1 + 0.2 * strength), 0.02, rng)
    plan.ink = _tinted(rng.uniform(0.95 - 0.3 * strength, 1), 0.03, rng)
    plan.grain = 0.4 * strength * (rng.random() < 0.5)


def faint_pencil(plan: Plan, strength: float, rng: Rng) -> None:
    """A hard pencil, pressed lightly: thin, grey and grainy."""
    plan.ink = _tinted(rng.uniform(0.3, 0.4), 0.01, rng)
    plan.unit = max(plan.unit, 32.0)
    plan.pen = max(rng.uniform(0.04, 0.07), 1.6 / plan.unit)
    plan.cover = 0.8 - 0.45 * strength
    plan.grain = rng.uniform(0.3, 0.6)
    if plan.paper == (1.0, 1.0, 1.0):
        plan.paper = _tinted(0.95, 0.01, rng)


def felt_pen(plan: Plan, strength: float, rng: Rng) -> None:
    """A broad felt pen, whose loops nearly close."""
    plan.pen = rng.uniform(0.14, 0.15 + 0.05 * strength)
    plan.ink = ((0.03, 0.03, 0.03), (0.1, 0.1, 0.6), (0.75, 0.05, 0.1), (0.0, 0.4, 0.2))[rng.integers(4)]


# --------------------------------------------------------------------------------------------------- camera and file


def jpeg(plan: Plan, strength: float, rng: Rng) -> None:
    """Packed as JPEG of low quality, perhaps twice."""
    quality, times = round(60 - 45 * strength), int(rng.integers(1, 3))
    plan.effects += [lambda picture, rng: photo.jpeg(picture, quality)] * times


def blurred(plan: Plan, strength: float, rng: Rng) -> None:
    """Out of focus."""
    sigma = (0.02 + 0.035 * strength) * plan.unit
    plan.effects.insert(0, lambda picture, rng: photo.blur(picture, sigma))


def noisy(plan: Plan, strength: float, rng: Rng) -> None:
    """Taken in little light, by a small sensor."""
    sigma = 0.03 + 0.07 * strength
    plan.pen = max(plan.pen, 2.5 / plan.unit)
    plan.effects.append(lambda picture, rng: photo.sensor_noise(picture, sigma, rng))


def low_resolution(plan: Plan, strength: float, rng: Rng) -> None:
    """Few pixels for each digit: 20 down to 12."""
    plan.unit = 20 - 8 * strength
    plan.pen = rng.uniform(0.09, 0.13)


# ---------------------------------------------------------------------------------------------------------- geometry


def turned(plan: Plan, strength: float, rng: Rng) -> None:
    """The sheet lies up to 5 degrees askew."""
    plan.turn = float(np.deg2rad(5 * strength) * rng.choice((-1, 1)))
    _perhaps_on_a_desk(plan, 0.3, rng)


def perspective(plan: Plan, strength: float, rng: Rng) -> None:
    """The camera looks up to 15 degrees from the side and is held askew; half of the pictures show the desk."""
    direction, angle = rng.uniform(0, 2 * np.pi), np.deg2rad(15 * strength)
    plan.tilt = float(angle * np.cos(direction)), float(angle * np.sin(direction))
    plan.turn = float(np.deg2rad(rng.uniform(-2.5, 2.5)))
    _perhaps_on_a_desk(plan, 0.5, rng)


def _perhaps_on_a_desk(plan: Plan, chance: float, rng: Rng) -> None:
    if rng.random() < chance:
        tone = rng.uniform(0.1, 0.4)
        plan.desk = (tone, 0.75 * tone, 0.55 * tone)
        if min(plan.paper) > 0.98:
            plan.paper = _tinted(0.9, 0.01, rng)


# --------------------------------------------------------------------------------------------- things on the sheet


def dust(plan: Plan, strength: float, rng: Rng) -> None:
    """Specks and short hairs on the sheet."""
    count = int(rng.integers(5, round(10 + 40 * strength)))

    def printer(page: Page, rng: Rng) -> list[Print]:
        prints = []
        for at in rng.uniform((0, 0), (page.width, page.height), (count, 2)):
            size = max(1.0, rng.uniform(0.015, 0.06) * page.unit)
            prints.append(Print([at[None]], size, (0.2, 0.2, 0.2), rng.uniform(0.3, 1)))
        for at in rng.uniform((0, 0), (page.width, page.height), (count // 8, 2)):
            path = at + 0.06 * page.unit * np.cumsum(rng.standard_normal((3, 2)), axis=0)
            prints.append(Print([path], max(0.7, 0.01 * page.unit), (0.25, 0.22, 0.2), rng.uniform(0.3, 0.8)))
        return prints

    plan.printers.append(printer)


def holes_and_staple(plan: Plan, strength: float, rng: Rng) -> None:
    """The sheet was punched on the left, and has a staple in a corner."""
    plan.margins = (1.2, 2.0)
    hole, dark = rng.uniform(0.5, 0.5 + 0.5 * strength), _tinted(rng.uniform(0.05, 0.35), 0.02, rng)

    def printer(page: Page, rng: Rng) -> list[Print]:
        middle, apart = 0.5 * page.height, max(1.2 * hole * page.unit, 0.25 * page.height)
        x = rng.uniform(0.4, 0.6) * page.unit
        holes = [np.array([(x, middle - apart)]), np.array([(x, middle + apart)])]
        at, angle = rng.uniform(0.15, 0.35, 2) * page.unit + (0, 0.3 * page.unit), rng.uniform(0.5, 1.1)
        staple = np.array([at, at + 0.3 * page.unit * np.array([np.cos(angle), -np.sin(angle)])])
        return [Print(holes, hole * page.unit, dark), Print([staple], max(1.2, 0.03 * page.unit), (0.4, 0.4, 0.42))]

    plan.printers.append(printer)


def cut_neighbours(plan: Plan, strength: float, rng: Rng) -> None:
    """The picture was cut out of a larger one: remains of other digits stand at its edges."""
    plan.cut = True
    plan.margins = (0.7, 1.2)


def large_sheet(plan: Plan, strength: float, rng: Rng) -> None:
    """Small writing somewhere on a large sheet."""
    plan.unit = rng.uniform(26, 60)
    plan.pen = max(plan.pen, 2.0 / plan.unit)
    high = rng.uniform(10, 12 + 12 * strength)
    plan.sheet = (high * rng.uniform(0.75, 1.4), high)
    plan.margins = (1.0, 1.0)


def touching_digits(plan: Plan, strength: float, rng: Rng) -> None:
    """The ink of many neighbours runs together."""
    plan.touching = 0.3 + 0.4 * strength


CONDITIONS: dict[str, Condition] = {
    function.__name__.replace("_", " "): function
    for function in (
        clean, shadow_edge, vignette, slope_of_light, ruled, squared, thin_grid, framed_cells, table, scanner_border,
        coloured, equal_luminance, light_on_dark, faint_pencil, felt_pen, jpeg, blurred, noisy, low_resolution, turned,
        perspective, dust, holes_and_staple, cut_neighbours, large_sheet, touching_digits,
    )
}  # fmt: skip
