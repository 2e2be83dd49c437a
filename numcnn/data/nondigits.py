"""Non-digits, prepared as digits are: a network trained on some can say that it isn't sure.

Letters and signs, printed and handwritten, scribbles, figures, blots.  The kinds, characters and fonts that are
``held_out`` are never trained on: they measure how often the network refuses what it has not seen.
"""

import zlib
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from numcnn.data import generated
from numcnn.data.generated import Glyph
from numcnn.errors import ConfigError
from numcnn.imaging import painting, preprocess, raster
from numcnn.kernels.arrays import Bytes, Float64s

STREAM = 1001  # which of a seed's streams of random numbers chooses the kinds; the next one draws them
NO_DIGIT = 10  # the label of non-digits
MOST_PEN = 3.0  # pixels; thicker ones fill the gaps of a figure

# Pairs of digits that nobody reads as one; 11 might be a 4 or an H, 13 a B and thus an 8, 00 an 8 lying down.
NOT_ONE_DIGIT = [(a, b) for a in range(10) for b in range(10) if (a, b) not in ((1, 1), (1, 3), (0, 0))]

Rng = np.random.Generator
Make = Callable[[int, Rng, str], Bytes]  # makes n pictures of one kind: count, random numbers, back-end -> (n,28,28)

# Characters that many would read as a digit, in some hand or font.  Neither part has them: refusing them would be as
# wrong as accepting them.  The same goes for a bare line, which is a 1.
LOOKALIKES = {
    0: "OoDQcUuaΘθΦφ°",  # c, U and a: an oval that isn't closed; C is wide open
    1: "IiLlJj|!/\\()[]{}'.,;:-_~t†",  # L and t: a 1 with a foot or a bar
    2: "Zz",
    3: "ЗЭ∃",
    4: "YyЧ",  # with a straight stem, an open 4
    5: "Ss§$",
    6: "bhGδ",  # h: a 6 that isn't closed
    7: ">¬",
    8: "B&β∞",  # infinity: an 8 lying down
    9: "qgPp¶♪",  # P and p: mirrored, but beginners write so
}

# Fonts that come with matplotlib, and the characters printed in them.
FONTS = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSansMono-BoldOblique"),
    *("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic"),
)
SIGN_FONTS = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono")
LETTERS = "ACEFHMNRTWXefmnrwx"
SIGNS = "#@%+*=^√ΔΩπ♥→↓☎☀☂✂⌂♫☺ЖШЫЯДЩЮЙЛМИ↗↘∇÷✗✘✚✿❀❄☯☮⚑⌘✉✈☕⚓⚡♞♜♘"
HELD_OUT_FONTS = ("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "cmr10", "cmss10", "cmtt10", "cmti10", "cmb10")
HELD_OUT_SIGN_FONTS = ("STIXGeneral",)
HELD_OUT_LETTERS = "KVkvd"
HELD_OUT_SIGNS = "ΣΨλ≈≡♠♦∀‡✓★⇑⋈↔⇌∴⊗⊥¥€≠±"


def _glyphs(**paths: str) -> tuple[Glyph, ...]:
    return tuple(Glyph(NO_DIGIT, name, 1, path) for name, path in paths.items())


WRITTEN_LETTERS = _glyphs(
    A="50,0 28,50 4,100 / 50,0 74,50 96,100 / 20,62 80,60",
    A_in_one="4,100 50,0! 96,100 / 22,62 78,62",
    C="92,12 70,0 30,4 4,36 6,72 34,98 72,98 96,84",
    C_angular="96,6 40,0 4,30 4,70 40,100 96,94",
    E="88,2 10,2! 10,98! 90,98 / 12,50 78,50",
    E_in_strokes="10,0 10,100 / 10,2 86,2 / 10,50 74,50 / 10,98 88,98",
    E_round="86,10 50,0 20,14 26,40 52,46! 14,60 12,90 50,100 90,88",
    F="10,0 10,100 / 10,2 86,2 / 10,48 70,48",
    F_in_one="88,2 12,4! 10,50 10,100 / 12,48 70,46",
    H="8,0 8,100 / 92,0 92,100 / 8,50 92,50",
    M="4,100 10,0! 50,60! 90,0! 96,100",
    N="8,100 10,0! 88,100! 92,0",
    R="10,0 10,100 / 10,2 60,2 84,24 60,48 12,50! 90,100",
    T="2,4 98,4 / 50,4 50,100",
    W="0,0 24,100! 50,30! 76,100! 100,0",
    W_round="0,0 14,80 28,96 50,20! 60,84 78,96 100,0",
    X="6,0 94,100 / 94,0 6,100",
    m="4,30 6,100! 14,50 34,32 48,50 50,100! 58,50 78,32 94,52 96,100",
    n="6,20 10,100! 24,44 54,20 78,40 84,100",
)
WRITTEN_SIGNS = _glyphs(
    heart="50,96 -8,48 -8,16 20,2 50,24! 80,2 108,16 108,48 50,98",
    arrow="0,50 100,50 / 66,18 100,50! 66,82",
    arrow_down="50,0 50,100 / 18,64 50,100! 82,64",
    house="-6,100 -6,44! 50,0! 106,44! 106,100! -6,100 / 38,100 38,70! 62,70! 62,100",
    tick="0,58 32,98! 100,0",
    sun="50,26 28,36 26,60 48,74 72,62 74,38 50,26 / 50,0 50,14 / 100,50 86,50 / 50,100 50,86 / 0,50 14,50",
    fir="50,0 -10,70! 110,70! 50,0 / 50,70 50,100",
    envelope="0,10 100,10! 100,90! 0,90! 0,10 / 0,12 50,56! 100,12",
    hash="34,0 26,100 / 74,0 66,100 / 0,34 100,32 / 0,68 100,66",
)
HELD_OUT_WRITTEN_LETTERS = _glyphs(
    K="10,0 10,100 / 88,0 12,54! 92,100",
    K_in_strokes="10,0 10,100 / 86,0 12,56 / 34,42 92,100",
    V="4,0 50,100! 96,0",
    Sigma="88,12 86,2! 12,4! 56,50! 12,96! 92,96! 92,86",
    Pi="14,6 12,100 / 86,6 88,100 / 0,4 100,4",
    Psi="50,0 50,100 / 6,4 10,46 50,62 90,46 94,4",
)
HELD_OUT_WRITTEN_SIGNS = _glyphs(
    star="50,0 80,100! 2,36! 98,36! 20,100! 50,0",
    smiley="50,0 0,18 -12,60 24,96 78,96 112,58 100,16 50,0 / 28,34 28,42 / 72,34 72,42 / 16,62 50,80 84,60",
    fish="120,14 70,70 24,80 -10,50 24,20 70,30 120,86 / 14,44 16,46",
    person="50,0 34,10 38,28 56,28 64,12 50,0 / 50,28 50,66 / 0,42 100,42 / 50,66 4,100 / 50,66 96,100",
    car="0,70 4,46! 24,44! 34,20! 72,20! 84,46! 100,50! 100,70! 0,70 / 24,70 14,80 24,90 34,80 24,70 / "
    "78,70 68,80 78,90 88,80 78,70",
    question="8,22 30,2 66,2 84,24 70,46 50,56 50,72 / 50,98 54,104",
    boat="-10,60 110,60! 86,96! 14,96! -10,60 / 50,60 50,0! 94,50! 50,52",
    cat="0,40 -8,0! 30,18! 70,18! 108,0! 100,40 106,70 74,98 26,98 -6,70 0,40 / "
    "28,48 30,54 / 70,48 72,54 / 34,76 50,82 66,76",
)


def generate(n: int, seed: int, *, held_out: bool = False, backend: str = "fast") -> Bytes:
    """Draw n non-digits, a random mix of all kinds -> images (n,28,28) uint8.

    held_out: of the kinds that are never trained on.  The same seed gives the same bytes.  backend is that of
    `raster.mnist_images`.
    """
    kinds = HELD_OUT_KINDS if held_out else KINDS
    weights = np.array([weight for weight, _ in kinds.values()])
    which = np.random.default_rng([seed, STREAM]).choice(len(kinds), n, p=weights / weights.sum())
    images = np.empty((n, raster.SIDE, raster.SIDE), np.uint8)
    for number, kind in enumerate(kinds):
        mine = which == number
        images[mine] = generate_kind(kind, int(np.count_nonzero(mine)), seed, backend=backend)
    return images


def generate_kind(kind: str, n: int, seed: int, *, backend: str = "fast") -> Bytes:
    """Draw n non-digits of one kind, a key of KINDS or HELD_OUT_KINDS -> (n,28,28) uint8.  Raises ConfigError."""
    names = [*KINDS, *HELD_OUT_KINDS]
    if kind not in names:
        raise ConfigError(f"there is no kind {kind!r} of non-digits; choose one of {', '.join(names)}")
    _, make = (KINDS | HELD_OUT_KINDS)[kind]
    return make(n, np.random.default_rng([seed, STREAM + 1, zlib.crc32(kind.encode())]), backend)


# ------------------------------------------------------------------------------------------- how kinds are made


def _printed(fonts: Sequence[str], characters: str) -> Make:
    """Return a function that prints characters in these fonts."""

    def make(n: int, rng: Rng, backend: str) -> Bytes:
        def printed() -> Bytes:
            return painting.print_character(str(rng.choice(fonts)), str(rng.choice(list(characters))), rng)

        return _prepared([printed() for _ in range(n)])

    return make


def _written(glyphs: Sequence[Glyph]) -> Make:
    """Return a function that writes glyphs by hand, as `generated.generate` writes digits."""

    def make(n: int, rng: Rng, backend: str) -> Bytes:
        return raster.mnist_images(*generated.write(glyphs, rng.integers(0, len(glyphs), n), rng), backend)

    return make


def _drawn(*figures: Callable[[Rng], list[Float64s]], most_pen: float = MOST_PEN) -> Make:
    """Return a function that draws figures, which are functions that return strokes, with a pen up to ``most_pen``."""

    def make(n: int, rng: Rng, backend: str) -> Bytes:
        drawings = [figures[i](rng) for i in rng.integers(0, len(figures), n)]
        pens = np.minimum(generated.pen_widths(n, rng), most_pen)
        return raster.mnist_images(drawings, pens, backend)

    return make


def _painted(*shapes: Callable[[Rng], Bytes]) -> Make:
    """Return a function that paints shapes; each shape returns a grey picture, ink high."""

    def make(n: int, rng: Rng, backend: str) -> Bytes:
        return _prepared([shapes[i](rng) for i in rng.integers(0, len(shapes), n)])

    return make


def _prepared(pictures: list[Bytes]) -> Bytes:
    return np.array([preprocess.prepare(picture) for picture in pictures], np.uint8).reshape(
        -1, raster.SIDE, raster.SIDE
    )


# -------------------------------------------------------------------------------------------------- drawn with a pen


def _smooth(points: Float64s) -> Float64s:
    """Return a smooth stroke through points (n,2)."""
    return generated.curve(points[None], np.ones((1, len(points))))[0]


def _turned(drawing: list[Float64s], rng: Rng, most: float = np.pi) -> list[Float64s]:
    """Turn strokes by up to ``most`` radians, and add the shaking of a hand."""
    turn = rng.uniform(-most, most)
    cos, sin = np.cos(turn), np.sin(turn)
    return [stroke @ [[cos, sin], [-sin, cos]] + 0.012 * rng.standard_normal(stroke.shape) for stroke in drawing]


def _scribble(rng: Rng) -> list[Float64s]:
    return [_smooth(rng.uniform(-0.5, 0.5, (rng.integers(7, 16), 2))) for _ in range(rng.integers(1, 3))]


def _zigzag(rng: Rng) -> list[Float64s]:
    corners = rng.integers(7, 10)  # fewer make a Z, turned a 3
    x = np.linspace(-0.5, 0.5, corners) + rng.normal(0, 0.03, corners)
    y = rng.uniform(0.25, 0.5) * (-1.0) ** np.arange(corners) * rng.uniform(0.6, 1, corners)
    path = np.column_stack([x, y])
    return _turned([_smooth(path) if rng.random() < 0.4 else path], rng)


def _spiral(rng: Rng) -> list[Float64s]:
    turns = rng.uniform(2.4, 5)
    angle = np.linspace(0, 2 * np.pi * turns, int(20 * turns)) * rng.choice([-1, 1])
    radius = np.linspace(0, 0.5, len(angle))
    return _turned([np.column_stack([radius * np.cos(angle), rng.uniform(0.6, 1) * radius * np.sin(angle)])], rng)


def _loops(rng: Rng) -> list[Float64s]:
    turns = rng.integers(3, 6)
    angle = np.linspace(0, 2 * np.pi * turns, 16 * turns)
    size = rng.uniform(0.8, 2)
    path = np.column_stack([0.3 * angle + size * np.sin(angle), size * rng.uniform(0.7, 2) * np.cos(angle)])
    return _turned([path / np.ptp(path, axis=0).max()], rng)


def _line(start: npt.ArrayLike, end: npt.ArrayLike, rng: Rng) -> Float64s:
    """Return a line drawn by hand, (6,2)."""
    along = np.linspace(0, 1, 6)[:, None]
    bend = rng.normal(0, 0.02, 2) * np.sin(np.pi * along)
    return (
        np.asarray(start) * (1 - along)
        + np.asarray(end) * along
        + bend
        + rng.normal(0, 0.02, (2, 2))[[0] * 3 + [1] * 3]
    )


def _parallels(rng: Rng) -> list[Float64s]:
    count = rng.integers(2, 6)
    offsets = rng.uniform(0.22, 0.4) * (np.arange(count) - count / 2)  # closer ones might grow into one thick line
    return _turned([_line((-0.5, y), (0.5, y), rng) for y in offsets], rng)


def _cross(rng: Rng) -> list[Float64s]:
    count = rng.integers(2, 5)
    angles = np.arange(count) * np.pi / count + rng.normal(0, 0.08, count)
    ends = 0.5 * np.column_stack([np.cos(angles), np.sin(angles)])
    return _turned([_line(-end, end, rng) for end in ends], rng)


def _grid(rng: Rng) -> list[Float64s]:
    across, down = (np.linspace(-0.4, 0.4, rng.integers(3, 6)) for _ in range(2))
    lines = [_line((x, -0.5), (x, 0.5), rng) for x in across] + [_line((-0.5, y), (0.5, y), rng) for y in down]
    return _turned(lines, rng, most=0.8)


def _outline(corners: npt.ArrayLike, rng: Rng) -> Float64s:
    """Return the closed line around corners (n,2)."""
    drawn = np.asarray(corners, float) + rng.normal(0, 0.02, np.shape(corners))
    return np.concatenate([drawn, drawn[:1]])


def _boxes(rng: Rng) -> list[Float64s]:
    boxes = []
    for _ in range(rng.integers(4, 7)):
        (left, top), (wide, high) = rng.uniform(-0.5, 0.2, 2), rng.uniform(0.15, 0.6, 2)
        boxes.append(_outline([(left, top), (left + wide, top), (left + wide, top + high), (left, top + high)], rng))
    return boxes


def _crossed_box(rng: Rng) -> list[Float64s]:
    x, y = 0.5, rng.uniform(0.3, 0.6)
    box = [(-x, -y), (x, -y), (x, y), (-x, y)]
    diagonals = [_line(box[0], box[2], rng), _line(box[1], box[3], rng)][: rng.integers(1, 3)]
    return _turned([_outline(box, rng), *diagonals], rng, most=0.3)


def _triangle(rng: Rng) -> list[Float64s]:
    return _turned([_outline([(0, -0.5), (rng.uniform(0.35, 0.6), 0.4), (-rng.uniform(0.35, 0.6), 0.4)], rng)], rng)


def _pair(rng: Rng) -> list[Float64s]:
    """Write two digits side by side, close or touching: no single digit, though each is one."""
    left, right = NOT_ONE_DIGIT[rng.integers(len(NOT_ONE_DIGIT))]
    first, second = (generated.digit_strokes(label, rng) for label in (left, right))
    gap = rng.uniform(0.05 if 1 in (left, right) else -0.06, 0.25)
    shift = np.concatenate(first)[:, 0].max() + gap - np.concatenate(second)[:, 0].min()
    offset = np.array([shift, rng.normal(0, 0.06)])
    return [*first, *(stroke + offset for stroke in second)]


def _hatching(rng: Rng) -> list[Float64s]:
    lines = [_line((x, -0.5), (x, 0.5), rng) for x in np.linspace(-0.5, 0.5, rng.integers(7, 11))]
    return _turned(lines, rng)


def _dots(rng: Rng) -> list[Float64s]:
    places = rng.uniform(-0.5, 0.5, (rng.integers(3, 10), 2))
    return [place + 0.02 * rng.standard_normal((3, 2)) for place in places]


def _waves(rng: Rng) -> list[Float64s]:
    x = np.linspace(-0.5, 0.5, 40)
    rate, phase, high = rng.uniform(8, 20), rng.uniform(0, 6), rng.uniform(0.03, 0.08)
    offsets = np.linspace(-0.3, 0.3, rng.integers(2, 5))
    return _turned([np.column_stack([x, y + high * np.sin(rate * x + phase)]) for y in offsets], rng, most=0.4)


def _rings(rng: Rng) -> list[Float64s]:
    angle = np.linspace(0, 2 * np.pi, 30)
    ring = np.column_stack([np.cos(angle), np.sin(angle)])
    return _turned([radius * ring for radius in np.linspace(0.5, 0.1, rng.integers(3, 5))], rng)


# Each kind's weight in the mix, and the function that makes its pictures.
KINDS: dict[str, tuple[float, Make]] = {
    "printed letters": (5, _printed(FONTS, LETTERS)),
    "printed signs": (2, _printed(SIGN_FONTS, SIGNS)),
    "written letters": (5, _written(WRITTEN_LETTERS)),
    "written signs": (2, _written(WRITTEN_SIGNS)),
    "scribbles": (3, _drawn(_scribble, _zigzag, _spiral, _loops)),
    "lines": (2, _drawn(_parallels, _cross, _grid)),
    "figures": (1.5, _drawn(_boxes, _crossed_box, _triangle)),
    "two digits": (2.5, _drawn(_pair, most_pen=2.0)),
    "blots": (1.5, _painted(painting.blot, painting.slabs, painting.texture)),
}
HELD_OUT_KINDS: dict[str, tuple[float, Make]] = {
    "other printed letters": (2, _printed(HELD_OUT_FONTS, HELD_OUT_LETTERS)),
    "other printed signs": (2, _printed(HELD_OUT_SIGN_FONTS, HELD_OUT_SIGNS)),
    "other written letters": (2, _written(HELD_OUT_WRITTEN_LETTERS)),
    "other written signs": (2, _written(HELD_OUT_WRITTEN_SIGNS)),
    "hatching": (1, _drawn(_hatching, _rings)),
    "dots and waves": (1, _drawn(_dots, _waves)),
    "clothes": (1, _painted(painting.clothes)),
    "animals": (1, _painted(painting.animal)),
}
