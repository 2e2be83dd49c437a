"""Pictures of things that aren't digits, drawn by Pillow: printed characters, blots, clothes, animals.

Each function takes a random generator and returns a grey picture (SHEET,SHEET) uint8, ink high.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from numcnn.errors import DataError
from numcnn.kernels.arrays import AnyArray, Bytes, Float64s

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import Image, ImageDraw

SHEET = 72  # pixels that a picture is wide and high before it is prepared
LETTER_SIDE = 48  # pixels, about the height of a printed letter

# The right half of each silhouette from top to bottom, x to the right of the middle; the left half mirrors it.
CLOTHES = {
    "T-shirt": "0,-42 10,-46 18,-46 46,-30 40,-10 26,-18 26,46 0,46",
    "pullover": "0,-42 10,-46 18,-46 40,-34 48,38 38,40 28,-6 26,46 0,46",
    "trousers": "0,-48 20,-48 26,46 8,46 2,-20 0,-20",
    "dress": "0,-34 8,-48 14,-48 14,-20 8,-8 30,46 0,46",
    "bag": "0,-28 12,-28 14,-44 20,-44 20,-26 46,-22 42,40 0,40",
    "coat": "0,-46 14,-46 34,-36 42,30 34,32 28,-8 30,48 2,48 2,-30 0,-30",
}
SHOES = ("-48,10 -44,-24 -24,-28 -8,-8 28,4 48,16 48,30 -48,30", "-30,-46 0,-46 2,8 40,20 46,44 -30,44")


# ------------------------------------------------------------------------------------------------ printed characters


def print_character(font: str, character: str, rng: np.random.Generator) -> Bytes:
    """Print a character in a font that comes with matplotlib, turned, slanted and fattened a little.

    Raises DataError when the font can't be read.
    """
    from PIL import Image  # noqa: PLC0415  (loads slowly)

    slant, turn, wide = rng.normal(0, (0.12, 0.12, 0.12))
    cos, sin = np.cos(turn), np.sin(turn)
    # Maps the place on the sheet to that in the printed character, both from their middles.
    matrix = np.array([[1 / np.exp(wide), slant], [0, 1]]) @ np.array([[cos, sin], [-sin, cos]]) * 1.15
    middle = np.full(2, SHEET / 2)
    shift = middle - matrix @ middle
    coefficients = (*matrix[0], shift[0], *matrix[1], shift[1])
    mask = character_mask(font, character, int(rng.integers(0, 2 if "Bol" in font else 3)))
    affine, bilinear = Image.Transform.AFFINE, Image.Resampling.BILINEAR
    return np.asarray(mask.transform((SHEET, SHEET), affine, coefficients, bilinear))


@functools.cache
def character_mask(font: str, character: str, fatter: int) -> Image.Image:
    """Print a character upright in the middle, ``fatter`` pixels fatter on each side.  Raises DataError."""
    from PIL import Image, ImageDraw, ImageFilter, ImageFont  # noqa: PLC0415  (loads slowly)

    path = font_folder() / f"{font}.ttf"
    try:
        face = ImageFont.truetype(str(path), LETTER_SIDE)
    except OSError as error:
        raise DataError(f"{path}: the font can't be read ({error}); install matplotlib again") from error
    sheet = Image.new("L", (SHEET, SHEET))
    left, top, right, bottom = face.getbbox(character)
    at = (SHEET - left - right) / 2, (SHEET - top - bottom) / 2
    ImageDraw.Draw(sheet).text(at, character, fill=255, font=face)
    return sheet.filter(ImageFilter.MaxFilter(2 * fatter + 1)) if fatter else sheet


def font_folder() -> Path:
    """Return the folder of the fonts that matplotlib brings; finding it doesn't load matplotlib."""
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or spec.origin is None:
        raise DataError(
            "printed characters use the fonts of matplotlib, which is not installed: pip install matplotlib"
        )
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"


# ------------------------------------------------------------------------------------------------------------ shapes


def blot(rng: np.random.Generator) -> Bytes:
    """Paint one to three blots."""
    sheet, pen = _canvas()
    angle = np.linspace(0, 2 * np.pi, 60)
    for _ in range(rng.integers(1, 4)):
        radius = np.ones(60)
        for wave in range(2, 7):
            radius += rng.normal(0, 0.4 / wave) * np.cos(wave * angle + rng.uniform(0, 6))
        radius = np.maximum(radius, 0.1) * rng.uniform(0.12, 0.3)
        shape = np.column_stack([radius * np.cos(angle) * rng.uniform(0.8, 1.5), radius * np.sin(angle)])
        pen.polygon(_on_sheet(shape + rng.uniform(-0.2, 0.2, 2)), fill=int(rng.integers(120, 256)))
    return np.asarray(sheet)


def slabs(rng: np.random.Generator) -> Bytes:
    """Paint one to four filled rectangles."""
    sheet, pen = _canvas()
    for _ in range(rng.integers(1, 5)):
        middle, half = rng.uniform(-0.25, 0.25, 2), rng.uniform((0.18, 0.12), 0.25)  # a tall one might be a 1
        pen.rectangle(_on_sheet([middle - half, middle + half]), fill=255)
    return np.asarray(sheet)


def texture(rng: np.random.Generator) -> Bytes:
    """Paint a rectangle of uneven grey, as in a photo."""
    from PIL import Image  # noqa: PLC0415  (loads slowly)

    coarse = rng.integers(0, 256, rng.integers(3, 9, 2)).astype(np.uint8)
    width, height = (int(side) for side in rng.integers(SHEET // 2, SHEET - 12, 2))
    sheet = Image.new("L", (SHEET, SHEET))
    patch = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    sheet.paste(patch, ((SHEET - width) // 2, (SHEET - height) // 2))
    return np.asarray(sheet)


def clothes(rng: np.random.Generator) -> Bytes:
    """Paint the silhouette of a garment, a bag or a shoe."""
    which = rng.integers(0, len(CLOTHES) + len(SHOES))
    if which < len(CLOTHES):
        half = _points(list(CLOTHES.values())[which])
        half = half + 0.02 * rng.standard_normal(half.shape) * (half[:, :1] > 0)
        shape = np.concatenate([half, (half * (-1, 1))[::-1]])
    else:
        shape = _points(SHOES[which - len(CLOTHES)])
        shape = (shape + 0.02 * rng.standard_normal(shape.shape)) * (rng.choice([-1, 1]), 1)
    sheet, pen = _canvas()
    pen.polygon(_on_sheet(shape * rng.uniform(0.8, 1.1, 2)), fill=255)
    return _shaded(np.asarray(sheet), rng)


def animal(rng: np.random.Generator) -> Bytes:
    """Paint body, neck, head, legs and tail: a horse, a dog, a sheep ..."""
    sheet, pen = _canvas()
    long, high, leg = rng.uniform(0.22, 0.34), rng.uniform(0.09, 0.17), rng.uniform(0.15, 0.35)
    neck, lean = rng.uniform(0.05, 0.3), rng.uniform(0, 0.15)
    head = np.array([long + lean, -high / 2 - neck])
    width = int(rng.integers(3, 7))

    def oval(middle: Float64s, half: Float64s) -> None:
        pen.ellipse(_on_sheet([middle - half, middle + half]), fill=255)

    def limb(start: npt.ArrayLike, end: npt.ArrayLike) -> None:
        pen.line(_on_sheet(np.array([start, end])), fill=255, width=width)

    oval(np.zeros(2), np.array([long, high]))
    limb((long * 0.8, 0), head)
    limb((long * 0.6, -high / 2), head)
    oval(head + np.array([rng.uniform(0.02, 0.08), 0]), np.array([rng.uniform(0.07, 0.12), rng.uniform(0.05, 0.08)]))
    for at in (-0.85, -0.6, 0.6, 0.85):
        limb((at * long, 0), (at * long + rng.normal(0, 0.05), high + leg))
    limb((-long, -high / 3), (-long - rng.uniform(0.03, 0.15), rng.uniform(-0.2, 0.25)))
    picture = np.asarray(sheet)
    return picture if rng.random() < 0.5 else picture[:, ::-1].copy()  # facing right or left


def _canvas() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """Return an empty sheet and what draws on it."""
    from PIL import Image, ImageDraw  # noqa: PLC0415  (loads slowly)

    sheet = Image.new("L", (SHEET, SHEET))
    return sheet, ImageDraw.Draw(sheet)


def _on_sheet(points: npt.ArrayLike) -> list[tuple[float, float]]:
    """Turn points (n,2), about -0.5..0.5, into places on the sheet."""
    return [(x, y) for x, y in (np.asarray(points) * 0.8 + 0.5) * SHEET]


def _points(path: str) -> Float64s:
    return np.array([point.split(",") for point in path.split()], float) / 100


def _shaded(picture: AnyArray, rng: np.random.Generator) -> Bytes:
    """Give an evenly filled shape stripes, or a slope of light, or nothing.  (H,W) -> (H,W) uint8."""
    along = np.linspace(0, 1, len(picture))
    across = np.linspace(0, 1, len(picture))[:, None]
    light = rng.choice([0.0, 0.25, 0.5]) * (np.cos(rng.uniform(0, 40) * along + rng.uniform(0, 40) * across) + 1) / 2
    return (picture * (1 - light)).astype(np.uint8)
