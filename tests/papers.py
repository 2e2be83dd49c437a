"""Digits on paper for tests: drawn at any size and place, with what cameras, printers and dust add.

A picture is float, 0..255; a kind takes one, random numbers, and returns what the picture looks like under it.
"""

import io

import numpy as np
from PIL import Image, ImageDraw

import numcnn
from numcnn.data import generated
from numcnn.imaging import raster

# One plain way of writing each digit.
WAYS = {0: 0, 1: 0, 2: 0, 3: 0, 4: 3, 5: 0, 6: 0, 7: 0, 8: 0, 9: 0}
SEVEN = ((0.2, 0.15), (0.8, 0.15), (0.45, 0.9))  # no symmetry: a turned or mirrored picture is a different one


def strokes_of(label, height, at=(0.0, 0.0), way=None, slant=0.1):
    """Return the strokes of a digit, ``height`` pixels high, its upper left corner at ``at`` (x, y)."""
    ways = [glyph for glyph in generated.GLYPHS if glyph.digit == label]
    glyph = next(g for g in ways if g.name == way) if way else ways[WAYS[label]]
    strokes = []
    for control, corners in glyph.strokes():
        points = generated.curve(control[None], np.where(corners, 0.0, 1.0)[None])[0]
        strokes.append(np.stack([0.65 * points[:, 0] - slant * (points[:, 1] - 1), points[:, 1]], axis=1))
    low = np.concatenate(strokes).min(axis=0)
    return [(stroke - low) * height + at for stroke in strokes]


def ink_of(strokes, shape, pen):
    """Return the coverage 0..1 of ink, (H,W)."""
    return raster.draw(strokes, shape, pen)


def one(label, rng, shape=(300, 300), height=None, pen=None, **how):
    """Draw one digit somewhere on a sheet -> coverage (H,W)."""
    height = height or rng.uniform(0.4, 0.55) * min(shape)
    pen = pen or rng.uniform(0.06, 0.1) * height
    room = np.array([shape[1] - 0.75 * height, shape[0] - height])
    at = room * rng.uniform(0.35, 0.65, 2)
    return ink_of(strokes_of(label, height, at, **how), shape, pen)


def row(text, height, shape, rng, pen=None, top=None, gap=0.3):
    """Draw digits side by side -> coverage (H,W)."""
    return ink_of(row_strokes(text, height, shape, rng, top, gap), shape, pen or 0.08 * height)


def row_strokes(text, height, shape, rng, top=None, gap=0.3, left=None):
    """Return the strokes of digits side by side."""
    strokes, x = [], left if left is not None else 0.08 * shape[1]
    top = (shape[0] - height) / 2 if top is None else top
    for character in text:
        own = strokes_of(int(character), height * rng.uniform(0.92, 1.05), (x, top + height * rng.uniform(-0.04, 0.04)))
        strokes += own
        x = np.concatenate(own)[:, 0].max() + gap * height
    return strokes


def on_paper(coverage, paper=235.0, ink=40.0):
    """Return dark ink on light paper, or whatever the two tones are."""
    return paper + (ink - paper) * coverage


def lines(shape, *strokes, pen=5, paper=235, ink=40):
    """Return a picture, uint8, of strokes, each a list of (x, y)."""
    return on_paper(ink_of([np.array(s, float) for s in strokes], shape, pen), paper, ink).astype(np.uint8)


def noisy(picture, rng, sigma=2.0):
    """Add a sensor's noise and round -> uint8."""
    return np.clip(picture + rng.normal(0, sigma, picture.shape), 0, 255).round().astype(np.uint8)


def jpeg(picture, quality):
    """Return what is left of a picture after JPEG."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def corner_shadow(picture, rng, depth=0.6):
    """Lay a shadow with a hard edge over one side or corner."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[:height, :width]
    angle = rng.uniform(0, 2 * np.pi)
    along = (x - width / 2) * np.cos(angle) + (y - height / 2) * np.sin(angle)
    return picture * np.where(along > rng.uniform(0.05, 0.35) * min(height, width), depth, 1.0)


def vignette(picture, depth=0.5):
    """Darken the picture towards its corners."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return picture * (1 - depth * (x**2 + y**2) / 2)


def slope(picture, rng, depth=0.5):
    """Let the light fall off evenly in some direction."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    angle = rng.uniform(0, np.pi / 2)
    return picture * (1 - depth * (x * np.cos(angle) + y * np.sin(angle)) / 1.42)


def grid(picture, rng, pitch, tone=0.8, width=1, only_level=False):
    """Print a grid, or ruled lines, below the ink."""
    rules = np.ones(picture.shape[:2])
    for first in np.arange(rng.uniform(0, pitch), picture.shape[0], pitch):
        rules[int(first) : int(first) + width] = tone
    if not only_level:
        for first in np.arange(rng.uniform(0, pitch), picture.shape[1], pitch):
            rules[:, int(first) : int(first) + width] = tone
    return np.minimum(picture, picture.max() * rules)


def frame(picture, box, tone=60.0, width=2):
    """Print a frame: box left, top, right, bottom."""
    picture = picture.copy()
    left, top, right, bottom = box
    for rows, columns in (
        (slice(top, top + width), slice(left, right)),
        (slice(bottom - width, bottom), slice(left, right)),
        (slice(top, bottom), slice(left, left + width)),
        (slice(top, bottom), slice(right - width, right)),
    ):
        picture[rows, columns] = np.minimum(picture[rows, columns], tone)
    return picture


def dust(picture, rng, count=30, size=2):
    """Scatter specks."""
    picture = picture.copy()
    height, width = picture.shape[:2]
    for _ in range(count):
        y, x, s = rng.integers(0, height), rng.integers(0, width), rng.integers(1, size + 1)
        picture[y : y + s, x : x + s] = np.minimum(picture[y : y + s, x : x + s], rng.uniform(40, 160))
    return picture


def rng_of(label, kind):
    return np.random.default_rng([label, *kind.encode()])


def reads(picture, text):
    """Read a picture, which must give this text, and return its page."""
    found = numcnn.read(picture)
    assert found.text == text, [(digit.box, digit.label, round(digit.probability, 3)) for digit in found]
    return found


def draw(side=120, width=0.09, points=SEVEN):
    """Draw a stroke, ink 255 on 0, with smooth edges.  -> (side,side) uint8."""
    big = Image.new("L", (4 * side, 4 * side), 0)
    pen = ImageDraw.Draw(big)
    places = [(4 * side * x, 4 * side * y) for x, y in points]
    pen.line(places, fill=255, width=round(4 * side * width), joint="curve")
    return np.asarray(big.reduce(4))


def difference(a, b):
    return np.abs(a.astype(int) - b.astype(int)).mean()


def ink_box(picture):
    rows, columns = np.flatnonzero(picture.any(axis=1)), np.flatnonzero(picture.any(axis=0))
    return rows[0], rows[-1], columns[0], columns[-1]


def saved(tmp_path, image, name, **options):
    path = tmp_path / name
    image.save(path, **options)
    return path
