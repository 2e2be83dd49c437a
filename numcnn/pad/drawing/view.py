"""How the pad looks.  It draws on any pygame surface, so no window is needed."""

from dataclasses import dataclass, field

import numpy as np
import pygame

from numcnn.evaluation.metrics import percent
from numcnn.pad.drawing import overlays
from numcnn.pad.drawing.icons import icon
from numcnn.pad.drawing.ink import Ink
from numcnn.pad.drawing.inside import TIMES, Inside
from numcnn.pad.drawing.layout import SEEN, Layout, Place
from numcnn.pad.drawing.painter import Painter, Part
from numcnn.pad.drawing.theme import THEMES, Theme, Type, mix, rounded
from numcnn.recognition.reading import smooth

WORDS = {
    "undo": "Undo",
    "redo": "Redo",
    "erase": "Erase",
    "clear": "Clear",
    "inside": "Inside",
    "why": "Why?",
    "learn": "Learn",
    "save": "Save",
    "theme": "Theme",
    "help": "Help",
}
PALE = 0.3  # how strong ink is below a saliency
SURE = 1.1  # height of the line that says how sure the answer is, in small texts
HALO = 0.16  # how strongly is painted what ink would do where there is none
STATUS = (("0-9", "tell what it is"), ("F", "look inside"), ("W", "why"), ("T", "learn"), ("H", "all keys"))


@dataclass
class Scene:
    """Everything there is to see.  The `View` only looks at it."""

    canvas: object
    readings: tuple = ()
    focus: int | None = None  # the reading whose bars are shown
    bars: np.ndarray = field(default_factory=lambda: np.zeros(10))  # how long they are now, 0..1; they follow gently
    picture: object = None  # a surface: a picture that was dropped lies over the sheet
    theme: str = "light"
    pen: float = 0.032  # the pen's width on the screen, in shorter sides of the sheet
    erasing: bool = False  # the eraser is chosen
    pointer: tuple | None = None  # (x, y, radius): a ring around the mouse
    hovered: str | None = None  # a button
    inside: bool = False
    maps: object = None  # the ``Insight`` whose maps the inside shows; while one draws they come a little later
    blank: object = None  # and what its outputs show when nothing is drawn: see ``Mind.blank``
    why: object = None  # a ``mind.Why``: the reading in focus is explained
    help: bool = False
    toast: object = None  # a ``cards.Toast``
    progress: tuple | None = None  # (words, 0..1) of the learning
    note: str = ""  # at the end of the status line

    @property
    def reading(self):
        """The reading in focus, or None."""
        return None if self.focus is None else self.readings[self.focus]


class View:
    """Draws a `Scene`, and of the next one only what differs.  Wants ``pygame.font.init()`` before."""

    def __init__(self):
        self.type = Type()
        self._ink, self._inside = Ink(), Inside(self.type)
        self._painter = Painter()
        self._painted = None, None  # what saliency was painted last, and the surface
        self.toast_button = None  # the Rect of the button on a toast, once it is drawn

    def draw(self, surface, scene, places, place):
        """Draw a scene as a `Layout` and a `Place` say.  Return the Rects that changed."""
        self._theme, self._text = THEMES[scene.theme], places.text
        self._pen = scene.pen * place.scale * min(scene.canvas.width, scene.canvas.height)
        # Pale below what is painted on it.
        color = mix(self._theme.paper, self._theme.ink, 1.0 if scene.why is None else PALE)
        inked = self._ink.update(scene.canvas.strokes, place, self._pen, color)
        parts = self._all_parts(scene, places, place)
        frame = surface.get_size(), places, self._theme
        return self._painter.paint(surface, self._theme.background, parts, frame, [inked])

    def forget(self):
        """Draw everything the next time: the window may have been covered."""
        self._painter.forget()

    def drawing(self):
        """Return the drawing as it was shown last, dark on white."""
        picture = pygame.Surface(self._ink.layer.get_size())
        picture.fill("#ffffff")
        ink = self._ink.layer.copy()
        ink.fill((0, 0, 0, 255), special_flags=pygame.BLEND_RGBA_MIN)
        picture.blit(ink, (0, 0))
        return picture

    def _all_parts(self, scene, places, place):
        """Return the parts from the bottom to the top."""
        reading, sheet = scene.reading, places.sheet
        progress = scene.progress and round(40 * scene.progress[1])
        marks = self._marks(scene, place)
        parts = [
            Part("sheet", sheet.inflate(2, 2), (scene.picture,), lambda surface: self._sheet(surface, scene, place)),
            *self._glow(scene, place, marks),
            *self._boxes(scene, marks),
            *(self._button(scene, name, rect) for name, rect in places.buttons.items()),
            *self._answer(places.answer, scene),
            *self._seen(places.seen, scene),
            Part("status", places.status, (scene.note, progress), lambda s: self._status(s, places, scene)),
        ]  # fmt: skip
        if scene.inside:
            insight = reading.insight if reading else scene.blank
            maps = scene.maps or insight
            parts += self._inside.parts(places.inside, self._theme, places.text, maps, insight, scene.bars)
        else:
            parts += self._rows(scene, places)
        if scene.why is not None and reading:
            rect = pygame.Rect(sheet.left, sheet.bottom - 2 * places.text, sheet.width, 2 * places.text)
            why = scene.why
            key = why.answer, why.runner_up
            parts.append(Part("legend", rect, key, lambda surface: self._legend(surface, rect, why)))
        if not scene.readings and scene.picture is None and not scene.canvas.strokes:
            rect = pygame.Rect(0, 0, sheet.width, 6 * places.text)
            rect.center = sheet.center
            parts.append(Part("hint", rect, (), lambda surface: self._hint(surface, sheet)))
        return parts + self._overlays(scene, places)

    def _overlays(self, scene, places):
        """Return the parts that lie above all others."""
        parts, theme, self.toast_button = [], self._theme, None
        if scene.pointer:
            x, y, radius = scene.pointer
            rect = pygame.Rect(x - radius - 2, y - radius - 2, 2 * radius + 4, 2 * radius + 4).clip(places.sheet)
            ring = mix(theme.paper, theme.ink, 0.45)
            parts.append(Part("pointer", rect, (x, y, radius), lambda surface: pygame.draw.circle(
                surface, ring, (x, y), radius, max(1, places.text // 10))))  # fmt: skip
        if scene.hovered and not scene.help:
            rect, draw = overlays.tooltip(self.type, theme, places, scene.hovered)
            parts.append(Part("tooltip", rect, (scene.hovered,), draw))
        if scene.toast:
            rect, draw, self.toast_button = overlays.toast(self.type, theme, places, scene.toast)
            parts.append(Part("toast", rect, (scene.toast,), draw))
        if scene.help:
            rect, draw = overlays.help_card(self.type, theme, places)
            parts.append(Part("help", rect, (), draw))
        return parts

    # The sheet

    def _sheet(self, surface, scene, place):
        theme, sheet = self._theme, place.sheet
        surface.fill(theme.paper, sheet)
        if scene.picture is not None:
            picture = _fitted(scene.picture, sheet.inflate(-2 * self._text, -2 * self._text).size)
            surface.blit(picture, picture.get_rect(center=sheet.center))
        else:
            surface.blit(self._ink.layer, sheet)
        pygame.draw.rect(surface, theme.line, sheet.inflate(2, 2), 1)

    def _glow(self, scene, place, marks):
        """Return the part that paints, over the digit in focus, what spoke for the answer and what for another."""
        why = scene.why
        if why is None or why.square is None or scene.reading is None or scene.picture is not None:
            return []
        square = place.rect(why.square)
        whole = halo = square.clip(place.sheet)
        if len(marks) > 1:  # not over the neighbours
            whole, halo = whole.clip(marks[scene.focus]), whole.clip(_apart(marks, scene.focus))
        strokes = [scene.canvas.strokes[i] for i in scene.reading.strokes]
        return [Part("glow", whole, (why, square, tuple(halo)), lambda surface: self._paint_glow(
            surface, whole, halo, why, square, strokes, place.sheet))]  # fmt: skip

    def _paint_glow(self, surface, whole, halo, why, square, strokes, sheet):
        """Paint a digit's strokes by what they spoke for and, faintly, what ink would do elsewhere in a Rect, halo."""
        part = whole.clip(surface.get_clip())
        if not part.width or not part.height:
            return
        strong = self._ink.of(strokes, part.move(-sheet.left, -sheet.top))
        around = halo.clip(part).move(-part.left, -part.top)
        around = strong[around.left : around.right, around.top : around.bottom]
        np.maximum(around, round(255 * HALO), out=around)
        colors = self._colors(why, square).subsurface(part.move(-square.left, -square.top)).copy()
        alpha = pygame.surfarray.pixels_alpha(colors)
        alpha[...] = (np.multiply(alpha, strong, dtype=np.uint16) + 255) >> 8
        del alpha  # it locks the surface
        surface.blit(colors, part)

    def _colors(self, why, square):
        """Return the saliency painted, as large as the square that it covers."""
        key = why, square.size, self._theme
        if key != self._painted[0]:
            self._painted = key, pygame.transform.smoothscale(_painted(why.shares, self._theme), square.size)
        return self._painted[1]

    def _marks(self, scene, place):
        """Return the Rect around each digit, pen included; none for a picture."""
        if scene.picture is not None:
            return []
        around = self._pen + 0.6 * self._text
        edges = place.sheet.inflate(-4, -4)
        return [place.rect(reading.box).inflate(around, around).clip(edges) for reading in scene.readings]

    def _boxes(self, scene, marks):
        """Return the parts that mark each digit's place, where there are several."""
        if len(marks) < 2:
            return []
        parts, theme = [], self._theme
        for i, rect in enumerate(marks):
            color = theme.accent if i == scene.focus else mix(theme.paper, theme.muted, 0.35)
            parts.append(Part(f"box {i}", rect, (color,), lambda surface, rect=rect, color=color: pygame.draw.rect(
                surface, color, rect, max(1, self._text // 9), border_radius=self._text // 2)))  # fmt: skip
        return parts

    def _hint(self, surface, sheet):
        x, y, text = *sheet.center, self._text
        self.type.write(surface, "Draw a digit", 1.9 * text, self._theme.ink, midbottom=(x, y))
        words = "or several, as in 2026"
        self.type.write(surface, words, 1.1 * text, self._theme.muted, midtop=(x, y + text // 2))

    def _legend(self, surface, rect, why):
        theme, text = self._theme, self._text
        lines = f"speaks for {why.answer}", f"speaks for {why.runner_up} instead"
        if sum(self.type.width(words, text) for words in lines) + 6 * text > rect.width:
            lines = f"for {why.answer}", f"for {why.runner_up} instead"
        x, y = rect.left + text, rect.centery
        for color, words in zip((theme.accent, theme.against), lines, strict=True):
            spot = pygame.Rect(0, 0, text, text)
            spot.midleft = x, y
            rounded(surface, spot, color, text // 4)
            place = spot.right + text // 2, y
            x = self.type.write(surface, words, text, theme.ink, midleft=place).right + round(1.5 * text)

    # What the network says

    def _answer(self, rect, scene):
        """Return the parts that tell the answer: large, and in a line below how sure it is."""
        text, letters = self._text, tuple((r.insight.answer, r.sure) for r in scene.readings)
        low = rect.bottom - self.type.font(SURE * text).get_height()  # with what hangs below the line: y, g
        number = pygame.Rect(rect.left, rect.top, rect.width, low - rect.top - round(0.5 * text))
        line = pygame.Rect(rect.left, low, rect.width, rect.bottom - low)
        words = _in_words(scene) if letters else "no answer yet"
        strong = len(letters) == 1
        parts = [Part("words", line, (words, strong), lambda surface: self._line(surface, line, words, strong))]
        if letters:
            # Its line below a digit reaches into the words'.
            parts.append(Part("answer", rect, (letters, scene.focus), lambda s: self._number(s, number, scene)))
        return parts

    def _line(self, surface, rect, words, strong):
        color, size = self._theme.ink if strong else self._theme.muted, SURE * self._text
        self.type.write(surface, self.type.fitted(words, size, rect.width), size, color, topleft=rect.topleft)

    def _number(self, surface, rect, scene):
        """Write the number that was read, as large as it fits; digits that are not sure are a question mark."""
        theme = self._theme
        if len(scene.readings) == 1 and not scene.readings[0].sure:
            size = min(0.5 * rect.height, rect.width / 4.6)
            place = rect.left, rect.bottom + round(0.5 * self._text)
            self.type.write(surface, "not sure", size, theme.muted, True, bottomleft=place)
            return
        letters = [(str(r.insight.answer), True) if r.sure else ("?", False) for r in scene.readings]
        size = min(1.3 * rect.height, 1.4 * rect.width / len(letters))
        images = [self.type.cropped(word, size, theme.accent if sure else theme.muted, True) for word, sure in letters]
        gap = round(0.08 * size)
        x = rect.left
        for i, image in enumerate(images):
            surface.blit(image, image.get_rect(bottomleft=(x, rect.bottom)))
            if len(images) > 1 and i == scene.focus:
                line = max(2, round(0.03 * size))
                surface.fill(theme.accent, (x, rect.bottom + line, image.get_width(), line))
            x += image.get_width() + gap

    def _seen(self, rect, scene):
        """Return the parts that show what the network sees: a picture a digit, beside a single one what it is."""
        count, text = max(1, len(scene.readings)), self._text
        gap = round(0.5 * text)
        side = min(rect.height, (rect.width - (count - 1) * gap) // count)
        side = max(SEEN * (side // SEEN), min(side, SEEN), 4)
        parts = []
        for i in range(count):
            tile = pygame.Rect(rect.left + i * (side + gap), rect.top, side, side)
            insight, marked = scene.readings[i].insight if scene.readings else None, count > 1 and i == scene.focus
            parts.append(Part(f"seen {i}", tile.inflate(8, 8), (insight, marked),
                              lambda s, t=tile, i=insight, m=marked: self._tile(s, t, i, m)))  # fmt: skip
        room = pygame.Rect(rect.left + side + text, rect.top, rect.width - side - text, side)
        if count == 1 and room.width > 5 * text:
            parts.append(Part("seen", room, (), lambda surface: self._seen_words(surface, room)))
        return parts

    def _tile(self, surface, tile, insight, marked):
        """Draw one picture as the network sees it, or none."""
        if insight is None:
            surface.fill(self._theme.track, tile)
            return
        small = grey(insight.image).convert(surface)  # before it is large
        surface.blit(pygame.transform.scale(small, tile.size), tile)
        if marked:
            pygame.draw.rect(surface, self._theme.accent, tile.inflate(6, 6), max(2, self._text // 8), border_radius=3)

    def _seen_words(self, surface, room):
        text = self._text
        lines = self.type.folded(f"what the network sees, 28{TIMES}28 pixels", text, room.width)
        for i, line in enumerate(lines):
            y = room.bottom - round(1.3 * text * (len(lines) - i)) + text // 4
            self.type.write(surface, line, text, self._theme.muted, topleft=(room.left, y))

    def _rows(self, scene, places):
        """Return the parts that are the ten bars."""
        rect, parts = places.bars, []
        for digit in range(10):
            top, bottom = (rect.top + round(rect.height * (digit + i) / 10) for i in (0, 1))
            row = pygame.Rect(rect.left, top, rect.width, bottom - top)
            parts += self._row(row, digit, scene)
        return parts

    def _row(self, row, digit, scene):
        """Return the parts of a bar: its digit, itself and its probability."""
        theme, text, reading = self._theme, self._text, scene.reading
        best, sure = reading is not None and digit == reading.insight.answer, reading is None or reading.sure
        color = (theme.accent if sure else theme.ink) if best else theme.muted
        fill = (theme.accent if sure else theme.muted) if best else theme.other
        share = percent(reading.insight.probabilities[digit]) if reading else ""
        left, right = (pygame.Rect(row.left, row.top, round(wide * text), row.height) for wide in (1.6, 5.2))
        right.right = row.right
        bar = pygame.Rect(left.right, 0, right.left - left.right, max(3, min(row.height // 2, round(1.2 * text))))
        bar.centery = row.centery
        length = round(scene.bars[digit] * bar.width)
        write = self.type.write
        return [
            Part(f"digit {digit}", left, (color,), lambda surface: write(
                surface, str(digit), 1.1 * text, color, best, midleft=left.midleft)),
            Part(f"bar {digit}", bar, (length, fill), lambda surface: self._bar(surface, bar, length, fill)),
            Part(f"share {digit}", right, (share, color), lambda surface: write(
                surface, share, text, color, best, midright=right.midright)),
        ]  # fmt: skip

    def _bar(self, surface, rect, length, color):
        rounded(surface, rect, self._theme.track, rect.height // 2)
        clip = surface.get_clip()
        surface.set_clip(
            clip.clip((rect.topleft, (length, rect.height)))
        )  # shorter than it is thick: a part of its end
        rounded(surface, pygame.Rect(rect.topleft, (max(length, rect.height), rect.height)), color, rect.height // 2)
        surface.set_clip(clip)

    # The frame

    def _button(self, scene, name, rect):
        on = {"erase": scene.erasing, "inside": scene.inside, "why": scene.why is not None, "help": scene.help}
        state = on.get(name, False), scene.hovered == name
        return Part(name, rect, state, lambda surface: self._draw_button(surface, name, rect, *state))

    def _draw_button(self, surface, name, rect, on, hovered):
        theme, text = self._theme, self._text
        if on or hovered:
            rounded(surface, rect, theme.active if on else theme.hover, text // 2)
        color = _rgb(theme.accent if on else theme.ink if hovered else theme.muted)
        word = max(10, round(0.78 * text))
        side = min(rect.height - round(1.5 * word), round(1.75 * text))
        if side < text:  # no room for words
            side, word = min(rect.height - 2, round(1.75 * text)), 0
        picture = icon(name, side, color)
        top = rect.top + (rect.height - side - round(1.25 * word)) // 2
        surface.blit(picture, picture.get_rect(midtop=(rect.centerx, top)))
        if word:
            self.type.write(surface, WORDS[name], word, color, midtop=(rect.centerx, top + side + word // 8))

    def _status(self, surface, places, scene):
        rect, theme, text = places.status, self._theme, self._text
        right = rect.right
        if scene.progress:
            words, share = scene.progress
            right = self.type.write(surface, words, text, theme.ink, midright=(right, rect.centery)).left - text
            bar = pygame.Rect(right - 8 * text, 0, 8 * text, max(3, text // 3))
            bar.centery = rect.centery
            rounded(surface, bar, theme.track, bar.height)
            done = pygame.Rect(bar.topleft, (max(bar.height, round(share * bar.width)), bar.height))
            rounded(surface, done, theme.accent, bar.height)
            right = bar.left - text
        elif scene.note:
            right = self.type.write(surface, scene.note, text, theme.muted, midright=(right, rect.centery)).left - text
        x = rect.left
        for key, action in STATUS:
            wide = self.type.width(key, text, True) + self.type.width(action, text) + text // 2
            if x + wide > right:
                break
            at = self.type.write(surface, key, text, theme.ink, True, midleft=(x, rect.centery)).right + text // 2
            x = self.type.write(surface, action, text, theme.muted, midleft=(at, rect.centery)).right
            x += round(1.3 * text)


def grey(image):
    """Return a picture (H,W) uint8 as a surface."""
    return pygame.surfarray.make_surface(np.repeat(image.T[:, :, None], 3, axis=2))  # surfarray is [x][y]


def _apart(rects, i):
    """Return one of some Rects, cut half-way through what it shares with others."""
    rect = rects[i].copy()
    for other in rects[:i] + rects[i + 1 :]:
        shared = rect.clip(other)
        if shared.width == 0 or shared.height == 0:
            continue
        if shared.width <= shared.height:
            left, right = (rect.left, shared.centerx) if rect.centerx < other.centerx else (shared.centerx, rect.right)
            rect.left, rect.width = left, right - left
        else:
            top, bottom = (rect.top, shared.centery) if rect.centery < other.centery else (shared.centery, rect.bottom)
            rect.top, rect.height = top, bottom - top
    return rect


def _in_words(scene):
    """Return a line that says how sure the answer in focus is."""
    insight = scene.reading.insight
    share = percent(insight.probabilities[insight.answer])
    if len(scene.readings) == 1:
        return f"{share} sure" if scene.reading.sure else f"maybe a {insight.answer}, {share}"
    return f"{insight.answer}: {share} sure" if scene.reading.sure else f"not sure: maybe a {insight.answer}, {share}"


def _fitted(picture, size):
    """Return a surface, scaled to fit a size; the aspect is kept."""
    width, height = picture.get_size()
    scale = min(size[0] / width, size[1] / height)
    resize = pygame.transform.smoothscale if scale < 4 else pygame.transform.scale
    return resize(picture, (max(1, round(scale * width)), max(1, round(scale * height))))


def _painted(shares, theme):
    """Return saliency (28,28), -1..1, as a small surface: the hue says for or against, the alpha how strongly."""
    for _ in range(2):  # smoothly, for scaling would show the pixels' corners
        shares = smooth(shares.repeat(2, axis=0).repeat(2, axis=1))
    surface = pygame.Surface(shares.shape[::-1], pygame.SRCALPHA)
    pixels, alpha = pygame.surfarray.pixels3d(surface), pygame.surfarray.pixels_alpha(surface)
    pixels[...] = np.where(shares.T[:, :, None] > 0, _rgb(theme.accent), _rgb(theme.against))
    alpha[...] = np.rint(255 * np.sqrt(np.abs(shares.T)))
    del pixels, alpha
    return surface


def _rgb(color):
    return tuple(pygame.Color(color)[:3])


__all__ = ["Layout", "Place", "Scene", "Theme", "View"]
