"""The lens: a card about one number of the inside panel, with large views and its sum, and lines to its inputs."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pygame

from numcnn.kernels.arrays import AnyArray, Floats
from numcnn.nn.inspection import DENSE, MAPS, Inspection
from numcnn.nn.layers import Conv2D
from numcnn.nn.terms import border_of, window_of
from numcnn.nn.traced import Explanation
from numcnn.pad.drawing.inside import GREYS
from numcnn.pad.drawing.inside_layout import TIMES, Band
from numcnn.pad.drawing.painter import Part
from numcnn.pad.drawing.theme import Color, Theme, Type, draw_card, draw_close_button, heat, mix, signed
from numcnn.pad.explaining import Explained, Spot, channel_of, value_at, values_of

LINES = 10  # to the inputs that added most
LINE = 1.4  # from line to line, in heights of the text
LARGEST_VIEW = 0.34  # of the card's height
TITLE = 2  # lines
BOLD = 1.15  # width of bold words, in widths of others


class Shown(NamedTuple):
    """What the lens shows."""

    spot: Spot  # what is pointed at
    explained: Explained | None  # how it was made, as soon as that is known
    pinned: bool  # whether it stays when the mouse leaves
    inspection: Inspection


class Look(NamedTuple):
    """What everything is drawn with: type, colours, height of the text in pixels."""

    type: Type
    theme: Theme
    text: int


class ImageView(NamedTuple):
    """A large view in the card: its place, the values (H,W), the palette's name, and a frame (y, x, high, wide)."""

    rect: pygame.Rect
    words: str
    values: AnyArray
    colors: str
    frame: tuple[int, int, int, int] | None

    def pixel(self, position: Sequence[float]) -> tuple[int, int]:
        """Return the pixel (y, x) at a position of the window, inside the view."""
        H, W = self.values.shape
        y, x = (
            (position[1] - self.rect.top) * H / self.rect.height,
            (position[0] - self.rect.left) * W / self.rect.width,
        )
        return min(max(int(y), 0), H - 1), min(max(int(x), 0), W - 1)


def titles(shown: Shown) -> list[str]:
    """Return what is pointed at in words, the longest first."""
    spot, inspection = shown.spot, shown.inspection
    count = values_of(inspection, spot.band).shape[-1]
    if spot.band == 0:
        return [f"pixel, row {spot.y}, column {spot.x}", f"pixel {spot.y}, {spot.x}"]
    if spot.band > len(inspection.stages):
        return [f"the score of {spot.i}"]
    if inspection.stages[spot.band - 1].kind == DENSE:
        return [f"neuron {spot.i + 1} of {count}", f"neuron {spot.i + 1}"]
    place = f", row {spot.y}, column {spot.x}"
    return [f"map {spot.i + 1} of {count}{place}", f"map {spot.i + 1}{place}", f"map {spot.i + 1}: {spot.y}, {spot.x}"]


def lens_parts(look: Look, shown: Shown, bands: Sequence[Band], room: pygame.Rect) -> list[Part]:
    """Return the parts of the lens: marks and lines on the panel, and the card in ``room``."""
    key = shown.spot, shown.explained, shown.pinned, shown.inspection
    parts = [Part("lens card", room, key, lambda surface: Card(look, shown, room).draw(surface))]
    target = place_of(bands, shown.spot)
    edge = max(2, look.text // 6)
    for number, (start, end, positive) in enumerate(_lines(bands, shown)):
        color = look.theme.accent if positive else look.theme.against
        rect = pygame.Rect(start.center, (1, 1)).union(pygame.Rect(end.center, (1, 1))).union(end.inflate(edge, edge))
        parts.append(Part(f"lens line {number}", rect.inflate(4, 4), (*start, *end, color),
                          lambda s, a=start, b=end, c=color: _line(s, a, b, c, edge)))  # fmt: skip
    around = target.inflate(2 * edge, 2 * edge)
    parts.append(Part("lens mark", around.inflate(2, 2), tuple(around), lambda surface: _frame(
        surface, around, look.theme.ink, edge)))  # fmt: skip
    return parts


def place_of(bands: Sequence[Band], spot: Spot) -> pygame.Rect:
    """Return the Rect of a pixel, neuron or output in the panel."""
    band = bands[spot.band]
    return band.pixel(spot.i, spot.y, spot.x)


def _lines(bands: Sequence[Band], shown: Shown) -> Iterator[tuple[pygame.Rect, pygame.Rect, bool]]:
    """Yield the ends of the lines to the inputs that added most, one for each map or neuron, and its sign."""
    if shown.explained is None:
        return
    target, drawn = place_of(bands, shown.spot), set[int]()
    for spot, product in shown.explained.inputs:
        if spot.i not in drawn:
            yield target, place_of(bands, spot), product > 0
            drawn.add(spot.i)
        if len(drawn) == LINES:
            return


def _line(surface: pygame.Surface, start: pygame.Rect, end: pygame.Rect, color: Color, edge: int) -> None:
    pygame.draw.aaline(surface, color, start.center, end.center)
    if edge > 3:  # a wider line where pixels are small
        pygame.draw.line(surface, color, start.center, end.center, edge // 2)
    _frame(surface, end.inflate(edge, edge), color, max(1, edge // 2))


def _frame(surface: pygame.Surface, rect: pygame.Rect, color: Color, edge: int) -> None:
    pygame.draw.rect(surface, color, rect, edge)


class Card:
    """The card: a title, large views, the formula, the terms, the sum."""

    def __init__(self, look: Look, shown: Shown, room: pygame.Rect) -> None:
        self.look, self.shown, self.room = look, shown, room
        pad = round(0.8 * look.text)
        self.inner = room.inflate(-2 * pad, -2 * pad)
        side = round(1.7 * look.text)
        self.close = pygame.Rect(self.inner.right - side, self.inner.top, side, side)
        self.views = self._placed_views()

    def map_view(self) -> ImageView | None:
        """Return the view of the map, in which a pixel can be pointed at; None for a neuron or a score."""
        return self.views[-1] if self.views else None

    def draw(self, surface: pygame.Surface) -> None:
        """Draw the card."""
        look, inner, shown = self.look, self.inner, self.shown
        type_, theme, text = look
        draw_card(surface, self.room, theme, text)
        width = inner.width - (self.close.width if shown.pinned else 0)
        value, top = f" = {value_at(shown.inspection, shown.spot):.4g}", inner.top
        wrapped = [type_.wrapped(words + value, 1.08 * text, width / BOLD) for words in titles(shown)]
        for line in next((lines for lines in wrapped if len(lines) <= TITLE), wrapped[-1]):
            type_.write(surface, line, text, theme.ink, True, topleft=(inner.left, top))
            top += round(LINE * text)
        if shown.pinned:
            draw_close_button(surface, self.close, theme, text)
        for view in self.views:
            self._draw_view(surface, view)
        if self.views:
            top = max(view.rect.bottom for view in self.views) + round(1.6 * text)
        self._draw_sum(surface, pygame.Rect(inner.left, top, inner.width, inner.bottom - top))

    # Views

    def _placed_views(self) -> list[ImageView]:
        """Return the large views, side by side below the title."""
        look, inner = self.look, self.inner
        found = list(self._contents())
        if not found:
            return []
        text, gap = look.text, round(0.8 * look.text)
        # Room for the highest title, so that the views don't move from pixel to pixel.
        top = inner.top + round(TITLE * LINE * text) + text // 4
        side = min((inner.width - gap * (len(found) - 1)) // len(found), round(LARGEST_VIEW * inner.height))
        views: list[ImageView] = []
        for number, (words, values, colors, frame) in enumerate(found):
            H, W = values.shape
            whole = max(1, side // max(H, W))
            size = (whole * W, whole * H) if whole > 2 else (round(side * W / max(H, W)), round(side * H / max(H, W)))
            rect = pygame.Rect((inner.left + number * (side + gap), top), (max(1, size[0]), max(1, size[1])))
            views.append(ImageView(rect, words, values, colors, frame))
        return views

    def _contents(self) -> Iterator[tuple[str, AnyArray, str, tuple[int, int, int, int] | None]]:
        """Yield the views' words, values, colours and frames: input, filter, map."""
        spot, inspection = self.shown.spot, self.shown.inspection
        values = values_of(inspection, spot.band)
        if values.ndim == 1:
            return
        if spot.band:
            stage = inspection.stages[spot.band - 1]
            before = values_of(inspection, spot.band - 1)
            channel = channel_of(self.shown.explained)
            if isinstance(stage.layer, Conv2D):
                yield *self._window(before, channel, spot), _window_frame(stage.layer, spot)
                yield "filter", stage.layer.params["w"][:, :, min(channel, before.shape[2] - 1), spot.i], "signed", None
            elif before.ndim == 3 and hasattr(stage.layer, "pool_size"):
                yield *self._window(before, spot.i, spot), _window_frame(stage.layer, spot)
        words = "picture" if spot.band == 0 else f"map {spot.i + 1}"
        yield words, values[..., spot.i], "grey" if spot.band == 0 else "heat", (spot.y, spot.x, 1, 1)

    def _window(self, before: Floats, channel: int, spot: Spot) -> tuple[str, AnyArray, str]:
        if spot.band == 1:
            return "picture", before[..., 0], "grey"
        return f"from map {channel + 1}", before[..., channel], "heat"

    def _draw_view(self, surface: pygame.Surface, view: ImageView) -> None:
        type_, theme, text = self.look
        values = view.values.astype(np.float64)
        if view.colors == "signed":
            levels = 127.5 + 127.5 * values / (np.abs(values).max() or 1)
            palette = signed(theme)
        else:
            shown = np.maximum(values, 0) / (values.max() if values.max() > 0 else 1)
            levels = 255 * (shown if view.colors == "grey" else np.sqrt(shown))
            palette = GREYS if view.colors == "grey" else heat(theme)
        picture = pygame.surfarray.make_surface(palette[np.rint(levels).astype(np.uint8)].swapaxes(0, 1))
        surface.blit(pygame.transform.scale(picture, view.rect.size), view.rect)
        pygame.draw.rect(surface, theme.line, view.rect.inflate(2, 2), 1)
        if view.frame:
            H, W = values.shape
            y, x, high, wide = view.frame
            across, down = view.rect.width / W, view.rect.height / H
            left, top = view.rect.left + x * across, view.rect.top + y * down
            frame = pygame.Rect(round(left), round(top), round(wide * across), round(high * down))
            _frame(surface, frame.inflate(4, 4), theme.against, max(2, text // 8))
        bottom, room = max(each.rect.bottom for each in self.views), max(view.rect.width, 4 * text)
        fitting = view.words if type_.width(view.words, text) <= room else view.words.removeprefix("from ")
        type_.write(surface, fitting, text, theme.muted, topleft=(view.rect.left, bottom + 2))

    # The sum

    def _draw_sum(self, surface: pygame.Surface, rect: pygame.Rect) -> None:
        """Write formula, note, terms and sum, as many terms as fit, the largest first."""
        type_, theme, text = self.look
        explained, step = self.shown.explained, round(LINE * text)
        if explained is None or explained.found is None:
            words = explained.problem if explained else "adding up …"
            for i, line in enumerate(type_.wrapped(words, text, rect.width)):
                type_.write(surface, line, text, theme.muted, topleft=(rect.left, rect.top + i * step))
            return
        found = explained.found
        heads = type_.wrapped(found.formula, text, rect.width)
        notes = [line for words in self._notes(found) for line in type_.wrapped(words, text, rect.width)]
        lines = rect.height // step
        if len(heads) + len(notes) + 3 > lines:  # terms come before words
            heads = []
        if len(notes) + 2 > lines:
            notes = []
        top = rect.top
        for line in heads:
            type_.write(surface, line, text, theme.muted, topleft=(rect.left, top))
            top += step
        room = lines - len(heads) - len(notes)
        top = draw_terms(surface, self.look, pygame.Rect(rect.left, top, rect.width, room * step), found)
        for line in notes:
            type_.write(surface, line, text, theme.muted, topleft=(rect.left, top))
            top += step

    def _notes(self, found: Explanation) -> Iterator[str]:
        """Yield what happens to the sum, in words."""
        spot, inspection = self.shown.spot, self.shown.inspection
        if 0 < spot.band <= len(inspection.stages):
            value = value_at(inspection, spot)
            if inspection.stages[spot.band - 1].kind in (MAPS, DENSE) and not math.isclose(
                value, found.value, rel_tol=1e-3
            ):
                yield f"ReLU: below 0, so {value:.4g}"
        elif spot.band > len(inspection.stages):
            if inspection.temperature != 1:
                yield f"divided by the temperature {inspection.temperature:.3g}: {inspection.scores[spot.i]:.4g}"
            yield f"softmax: p = {inspection.probabilities[spot.i]:.4g}"
        if found.note:
            yield found.note


def draw_terms(surface: pygame.Surface, look: Look, rect: pygame.Rect, found: Explanation) -> int:
    """Write as many terms as fit into a Rect, the largest first, and their sum.  Return where it ends."""
    type_, theme, text = look
    step, top = round(LINE * text), rect.top
    rows = _rows(look, found, rect.height // step, rect.width)
    widest = max((sum(type_.width(words, text) for words in row) for row in rows if row[0] and row[1]), default=0)
    named = widest + 1.5 * text < rect.width  # all factors, or none
    for names, numbers, product in rows:
        color = theme.against if product.startswith("-") else theme.accent
        right = type_.write(surface, product, text, color, topright=(rect.right, top)).left
        at = right - text - type_.width(numbers, text)
        type_.write(surface, numbers, text, theme.ink, topleft=(at, top))
        if named or not numbers:
            type_.write(surface, names, text, theme.muted, topleft=(rect.left, top))
        top += step
    total = f"{found.sum:+.4g}"
    pygame.draw.line(surface, theme.line, (rect.left, top), (rect.right, top))
    type_.write(surface, total, text, theme.ink, True, topright=(rect.right, top + 2))
    words = type_.shortened(f"sum of {len(found.terms):,}", text, rect.width - type_.width(total, text, True) - text)
    type_.write(surface, words, text, theme.ink, True, topleft=(rect.left, top + 2))
    return top + step


def _rows(look: Look, found: Explanation, room: int, width: int) -> list[tuple[str, str, str]]:
    """Return names, numbers and product of the largest terms, one line left for the sum, one for the rest."""
    products, room = found.products, max(0, room - 1)
    order = [int(i) for i in np.argsort(-np.abs(products), kind="stable")]
    order = [i for i in order if products[i] != 0 or len(order) <= room] or order[:1]
    most = room if len(order) <= room else max(0, room - 1)
    rows = [_row(look, found, i, width) for i in order[:most]]
    rest = order[most:]
    if rest and room > most:
        rows.append(("", f"and {len(rest):,} smaller", f"{math.fsum(products[rest]):+.3g}"))
    return rows


def _row(look: Look, found: Explanation, i: int, width: int) -> tuple[str, str, str]:
    term = found.terms[i]
    times, numbers, product = f" {TIMES} ", "", ""
    for digits in (3, 2):
        numbers = times.join(f"{factor.value:.{digits}g}" for factor in term.factors)
        product = f"{term.product:+.{digits}g}"
        if look.type.width(f"{numbers}{product}", look.text) + 2 * look.text < width:
            break
    return times.join(map(str, term.factors)), numbers if len(term.factors) > 1 else "", product


def _window_frame(layer: object, spot: Spot) -> tuple[int, int, int, int]:
    """Return the window (y, x, height, width) of a layer's input from which an output was made."""
    (KH, KW), (SH, SW), (top, left) = window_of(layer), layer.stride, border_of(layer)  # type: ignore[attr-defined]
    return spot.y * SH - top, spot.x * SW - left, KH, KW


def faded(theme: Theme) -> Color:
    """Return the colour of an outline that says: this can be pointed at."""
    return mix(theme.background, theme.accent, 0.6)
