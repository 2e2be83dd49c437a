"""The ink of a picture, without the lines printed across it, in connected pieces."""

from dataclasses import dataclass, field

import numpy as np

from numcnn.imaging import paper, pieces, rules
from numcnn.imaging.frame_lines import printed_lines
from numcnn.imaging.preprocess import otsu_threshold
from numcnn.kernels.arrays import Bools, Bytes, Floats, Ints

CLEAR = 0.45  # of a piece's strongest ink: weaker pixels of it are paper, a rule behind it, or its blurred edge
HALO, HALO_LEAST = 12, 0.3  # pixels around strong ink, and the part of its strength that other ink there must have
STAIN = 0.15  # of the sheet's strong ink: weaker marks are stains
ALL_INK = 0.995  # of the ink: lines that are more than this are all that there is
MOSTLY = 3  # times the rules' pixels: where so many are of lines that hold each other, the rules are as strong as these
LARGE = 800  # pixels: a picture's shorter side, from which a quarter of the pixels tells how wide strokes are
# Dots of dotted paper, at least and at most, as more are noise; and of so many it is measured how far the next one is.
DOTS, MOST_DOTS, MEASURED = 20, 10_000, 100
DOT_UNLIKE = 0.35  # of a dot's side: by how much width and height, and the sides of two dots, may differ
DOT_SIDE = 0.45  # of the median side of larger pieces, at most: larger round pieces may be digits
DOT_FILLED = 0.55  # of its box, at least, is ink
DOT_APART = 2.5  # sides from one dot to the next, at least
DOT_OFF, REGULAR = 0.1, 0.8  # of that distance: how much it may vary; and the share of the dots that keep to it
GRAINS, GRAIN_SIDE = 8, 5  # the least pieces that show grain, and their least longer side, in pixels
GRAINY = 0.6  # of the pieces, at most, stay when gaps of grain are closed
HIGHER = 1.5  # times as high, at least, is their median then
STROKES = 4  # widths of a stroke from which on something dark is a shadow, to either side


@dataclass(eq=False)
class Sheet:
    """Ink of one polarity: its strength (H,W), from which rules are erased; clear ink (H,W); its pieces.

    erased (H,W): the rules.  portraits: what the network sees of parts, by their boxes and pixels; whoever changes
    strength clears them.
    """

    ink: paper.Ink
    strength: Bytes
    clear: Bools
    pieces: pieces.Pieces
    erased: Bools
    portraits: dict[tuple[tuple[int, int, int, int], bytes], Bytes] = field(default_factory=dict)


def lay_out(colours: Bytes, light: bool = False) -> Sheet:
    """Find the ink in a picture.  colours: uint8 (H,W) or (H,W,3) -> ``Sheet``.  light: light ink on a dark ground.

    The window that tells strokes from shadows is first a third of the picture, then eight strokes wide.
    """
    if colours.ndim == 3:
        same = [lighter == light for lighter in paper.lighter_channels(colours)]
        colours = colours[:, :, same] if any(same) and not all(same) else colours
    ink, dots = without_dots(paper.ink_on_paper(colours, _window(colours, light), light=light))
    ink, erased = without_printed_lines(ink)
    erased |= dots
    clear = clear_ink(ink)
    clear, found = _without_grain(clear, pieces.find_pieces(clear))
    return Sheet(ink, ink.strength.copy(), clear, found, erased)


def _without_grain(clear: Bools, found: pieces.Pieces) -> tuple[Bools, pieces.Pieces]:
    """Return clear ink (H,W) and its pieces, with gaps of a pixel or two closed if these cut most strokes to pieces.

    A pencil on rough paper leaves such gaps all along its strokes.  Then what is joined is higher than its pieces;
    digits that stand so near to each other are not.
    """
    heights = _sizable_heights(found)
    if len(heights) < max(GRAINS, len(found) / 2):  # too few to tell, or mostly noise
        return clear, found
    closed = paper.closing(255 * clear.astype(np.uint8), 1) > 0
    joined = pieces.find_pieces(closed)
    higher = _sizable_heights(joined)
    grainy = 1 < len(higher) <= GRAINY * len(heights) and np.median(higher) >= HIGHER * np.median(heights)
    return (closed, joined) if grainy else (clear, found)


def _sizable_heights(found: pieces.Pieces) -> Ints:
    """Return the heights of the pieces that are no specks."""
    left, top, right, bottom = found.boxes.T
    return (bottom - top)[np.maximum(right - left, bottom - top) >= GRAIN_SIDE]


def _window(colours: Bytes, light: bool) -> int:
    """Return the reach of the window that tells strokes from shadows; in large pictures from every second pixel."""
    side = min(colours.shape[:2])
    if side < 40:
        return side
    widest = max(3, side // 6)
    step = 2 if side >= LARGE else 1
    some = np.ascontiguousarray(colours[::step, ::step])
    ink = paper.ink_on_paper(some, widest // step, light=light)
    better = max(6, round(STROKES * step * pieces.find_pieces(clear_ink(ink)).typical_run()))
    return better if better < 0.6 * widest else widest


def without_dots(ink: paper.Ink) -> tuple[paper.Ink, Bools]:
    """Return ink without the dots of dotted paper; and these, (H,W): many round pieces as large, and as far apart."""
    inked = ink.smooth >= ink.least
    found = pieces.find_pieces(inked)
    dots = _dots(found, inked)
    if not len(dots):
        return ink, np.zeros_like(inked)
    gone = pieces.dilate(found.mask(dots.tolist(), (0, 0, *inked.shape[::-1])), 1)
    return _erased(ink, gone), gone


def _dots(found: pieces.Pieces, inked: Bools) -> Ints:
    """Return which pieces of ink are dots of dotted paper, (K,): many that are as large and as far apart, or none."""
    nothing = np.empty(0, np.intp)
    widths, heights = (found.boxes[:, 2:] - found.boxes[:, :2]).T
    sides = np.maximum(widths, heights)
    round_ones = (np.abs(widths - heights) <= 1 + DOT_UNLIKE * sides) & (found.areas >= DOT_FILLED * widths * heights)
    columns, rows = ((found.boxes[:, :2] + found.boxes[:, 2:]) // 2).T
    round_ones &= (sides > 1) & inked[rows, columns]  # a 0 has a hole there
    if not DOTS <= round_ones.sum() <= MOST_DOTS:
        return nothing
    side = float(np.median(sides[round_ones]))
    dots = np.flatnonzero(round_ones & (np.abs(sides - side) <= 1 + DOT_UNLIKE * side))
    larger = sides[sides > (1 + DOT_UNLIKE) * side + 1]
    if len(dots) < DOTS or not len(larger) or side > DOT_SIDE * np.median(larger):
        return nothing
    middles = (found.boxes[dots, :2] + found.boxes[dots, 2:]) / 2
    some = middles[:: max(1, len(dots) // MEASURED)]
    away = np.sqrt(((some[:, None] - middles) ** 2).sum(axis=2))
    nearest = np.where(away > 0, away, np.inf).min(axis=1)
    apart = float(np.median(nearest))
    as_far = np.abs(nearest - apart) <= 1 + DOT_OFF * apart
    if apart < DOT_APART * side or as_far.mean() < REGULAR:
        return nothing
    return dots


def without_printed_lines(ink: paper.Ink) -> tuple[paper.Ink, Bools]:
    """Return ink without frames, tables and rules of the page, unless there is nothing else; and these, (H,W)."""
    frames, across, along = printed_lines(ink.smooth, ink.least)
    before = ink.smooth
    ink, framed = _without(ink, frames)
    if min(ink.smooth.shape) < rules.LEAST_RULED:
        return ink, framed
    gone = rules.rules_of_the_page(ink.smooth, ink.least, along, framed)
    if gone.any():
        usual = np.quantile(ink.smooth[gone], 0.6)
        if framed.sum() >= MOSTLY * gone.sum():  # a grid: what looks like one more rule may be a stroke along a line
            usual = min(usual, np.quantile(before[framed], 0.6))
        gone &= ink.smooth <= rules.DARKER * usual  # darker ink crosses the rule
    ink, ruled = _without(ink, gone | (across & ~framed))
    return ink, framed | ruled


def _without(ink: paper.Ink, gone: Bools) -> tuple[paper.Ink, Bools]:
    if not gone.any() or gone.sum() > ALL_INK * (ink.smooth >= ink.least).sum():
        return ink, np.zeros_like(gone)
    return _erased(ink, gone), gone


def _erased(ink: paper.Ink, gone: Bools) -> paper.Ink:
    return ink._replace(strength=np.where(gone, 0, ink.strength), smooth=np.where(gone, 0, ink.smooth))


def clear_ink(ink: paper.Ink) -> Bools:
    """Return where there is ink, (H,W): each piece of all that is no paper counts from half its own strength on.

    Marks much weaker than strong ink beside them are what JPEG and a lens leave around strokes; marks much weaker than
    the sheet's ink are stains.
    """
    beside = paper.running(ink.smooth, HALO, 0, largest=True)
    beside = paper.running(beside, HALO, 1, largest=True)
    found = pieces.find_pieces(ink.smooth >= ink.least)
    clear = np.zeros(ink.smooth.size, bool)
    if len(found):
        indices, owners = found.pixels()
        strengths = ink.smooth.ravel()[indices]
        peaks = _peaks(strengths, owners, found.areas)
        level = float(np.mean(strengths[strengths >= otsu_threshold(strengths.astype(np.float32))]))
        least = np.maximum(np.maximum(CLEAR * peaks, STAIN * level), ink.least)
        clear[indices] = strengths >= np.maximum(least[owners], HALO_LEAST * beside.ravel()[indices])
    return clear.reshape(ink.smooth.shape)


def _peaks(strengths: Bytes, owners: Ints, areas: Ints) -> Floats:
    """Return the strength that 0.5% of each piece's pixels, but at least three of them, exceed -> (P,)."""
    ordered = np.sort(256 * owners + strengths)
    ends = np.cumsum(areas)
    above = np.clip(areas // 200, 2, None)
    at = np.maximum(ends - 1 - above, ends - areas)
    return (ordered[at] % 256).astype(np.float32)
