"""How the pad looks.  It draws on any pygame surface, so no window is needed."""

from dataclasses import dataclass, field

import numpy as np
import pygame

from numcnn.evaluation.metrics import percent
from numcnn.kernels.arrays import Bytes, Float64s, Floats
from numcnn.nn.inspection import Inspection
from numcnn.pad.canvas import Canvas
from numcnn.pad.drawing import overlays
from numcnn.pad.drawing.icons import icon
from numcnn.pad.drawing.ink import Ink
from numcnn.pad.drawing.inside import Inside
from numcnn.pad.drawing.inside_layout import TIMES
from numcnn.pad.drawing.layout import SEEN, Layout, Place
from numcnn.pad.drawing.live_view import LivePanel, TrainingScene
from numcnn.pad.drawing.painter import Painter, Part
from numcnn.pad.drawing.picture import LEAST_LABEL, Picture, PictureLayer, ink_opacity
from numcnn.pad.drawing.theme import THEMES, Color, Theme, Type, grey_surface, mix, rgb, rounded
from numcnn.pad.eraser import Stroke
from numcnn.pad.keys import STATUS
from numcnn.recognition.reading import Explanation, Reading, smooth

WORDS = {
    "undo": "Undo",
    "redo": "Redo",
    "erase": "Erase",
    "clear": "Clear",
    "inside": "Inside",
    "why": "Why?",
    "train": "Train",
    "learn": "Learn",
    "save": "Save",
    "theme": "Theme",
    "help": "Help",
}
PALE = 0.3  # opacity of the ink below a saliency
SURE = 1.1  # height of the line with the answer's probability, in small texts
HALO = 0.16  # opacity of the saliency where there is no ink
LEADING = 0.4  # between lines of the answer, in heights of its digits
LEAST_ANSWER = 1.1  # height of a line of the answer, in small texts; of more lines than fit, those around the focus
LEAST_TILE = 14  # pixels: sides of what the network sees


@dataclass
class Scene:
    """Everything that the pad shows.  The `View` only reads it."""

    canvas: Canvas
    readings: tuple[Reading, ...] = ()
    focus: int | None = None  # index of the reading whose bars are shown
    bars: Float64s = field(default_factory=lambda: np.zeros(10))  # their lengths now, 0..1; they follow gently
    picture: Picture | None = None  # a dropped picture, shown on the sheet instead of the drawing
    theme: str = "light"
    pen: float = 0.032  # the pen's width on the screen, in shorter sides of the sheet
    erasing: bool = False  # whether the eraser is chosen
    pointer: tuple[int, int, int] | None = None  # (x, y, radius): a ring around the mouse
    hovered: str | None = None  # the name of the button under the mouse
    inside: bool = False  # whether the panel is open
    maps: Inspection | None = None  # for its feature maps; while the user draws it may be an earlier reading's
    blank: Inspection | None = None  # for the panel when nothing is drawn: see ``Recognizer.blank``
    why: Explanation | None = None  # of the reading in focus
    training: TrainingScene | None = None  # what the panel of a training run shows, while there is one
    stepping: bool = False  # whether one step of learning is shown
    help: bool = False  # whether the list of keys is open
    toast: overlays.Toast | None = None
    progress: tuple[str, float] | None = None  # of learning: (words, 0..1)
    note: str = ""  # at the end of the status line
    large: bool = False  # whether words are large, for a presentation
    above: list[Part] = field(default_factory=list[Part])  # what the tools draw above the pad: see ``tools.py``

    @property
    def reading(self) -> Reading | None:
        """The reading in focus, or None."""
        return None if self.focus is None else self.readings[self.focus]

    @property
    def mode(self) -> str:
        """Which of the ``keys.LISTS`` the keys are those of."""
        return "step" if self.stepping else "drawing" if self.training is None else "training"


class View:
    """Draws a `Scene`, and of the next one only what differs.  Call ``pygame.font.init()`` first."""

    def __init__(self, type_: Type | None = None) -> None:
        self.type = type_ or Type()
        self._ink, self._inside, self._picture = Ink(), Inside(self.type), PictureLayer(self.type)
        self._live = LivePanel(self.type)
        self._painter = Painter()
        self._colored: tuple[tuple[object, ...], pygame.Surface] | None = None  # the last saliency, as colours
        self.toast_button: pygame.Rect | None = None  # the button of the message, once it is drawn
        self._theme, self._text, self._pen = THEMES["light"], 0, 0.0  # of the scene; sizes in pixels
        self._large = False

    def draw(self, surface: pygame.Surface, scene: Scene, places: Layout, place: Place) -> list[pygame.Rect]:
        """Draw a scene with a given layout, and place of the canvas or picture.  Return the Rects that changed."""
        self._theme, self._text, self._large = THEMES[scene.theme], places.text, places.large
        self._inside.large = places.large
        self._pen = scene.pen * place.scale * min(scene.canvas.width, scene.canvas.height)
        inked = []
        if scene.picture is None:
            # Pale where a saliency is painted on it.
            color = mix(self._theme.paper, self._theme.ink, 1.0 if scene.why is None else PALE)
            inked = [self._ink.update(scene.canvas.strokes, place, self._pen, color)]
        parts = self._all_parts(scene, places, place)
        frame = surface.get_size(), places, self._theme
        return self._painter.paint(surface, self._theme.background, parts, frame, inked)

    def forget(self) -> None:
        """Draw everything in the next call: the window may have been covered."""
        self._painter.forget()

    def drawing(self) -> pygame.Surface:
        """Return the drawing as it was shown last, dark on white."""
        picture = pygame.Surface(self._ink.layer.get_size())
        picture.fill("#ffffff")
        ink = self._ink.layer.copy()
        ink.fill((0, 0, 0, 255), special_flags=pygame.BLEND_RGBA_MIN)
        picture.blit(ink, (0, 0))
        return picture

    def _all_parts(self, scene: Scene, places: Layout, place: Place) -> list[Part]:
        """Return the parts from the bottom to the top."""
        reading, sheet = scene.reading, places.sheet
        progress = scene.progress and round(40 * scene.progress[1])
        marks = self._marks(scene, place)
        parts = [
            Part("sheet", sheet.inflate(2, 2), (scene.picture, scene.picture and scene.why is not None),
                 lambda surface: self._sheet(surface, scene, place), opaque=True),
            *self._saliency(scene, place, marks),
            *self._boxes(scene, place, marks),
            *(self._button(scene, name, rect) for name, rect in places.buttons.items()),
            *self._answer(places.answer, scene),
            *self._seen(places.seen, scene),
            Part("status", places.status, (scene.note, progress, scene.mode),
                 lambda s: self._status(s, places, scene)),
        ]  # fmt: skip
        inspection = reading.inspection if reading else scene.blank
        if places.inside.width and inspection:
            maps = scene.maps or inspection
            parts += self._inside.parts(places.inside, self._theme, places.text, maps, inspection, scene.bars)
        elif places.bars.width:
            parts += self._rows(scene, places)
        if scene.training is not None and places.training.width:
            parts += self._live.parts(places.training, self._theme, places.text, scene.training)
        if scene.why is not None and reading:
            rect = pygame.Rect(sheet.left, sheet.bottom - 2 * places.text, sheet.width, 2 * places.text)
            why = scene.why
            key = why.answer, why.runner_up
            parts.append(Part("legend", rect, key, lambda surface: self._legend(surface, rect, why)))
        if hint := _hint_for(scene):
            rect = pygame.Rect(0, 0, sheet.width, 6 * places.text)
            rect.center = sheet.center
            if scene.picture is not None:  # above the message
                rect.centery = sheet.top + round(0.3 * sheet.height)
            parts.append(Part("hint", rect, hint, lambda surface: self._hint(surface, rect, *hint)))
        return parts + scene.above + self._overlays(scene, places)

    def _overlays(self, scene: Scene, places: Layout) -> list[Part]:
        """Return the parts above all others."""
        parts: list[Part] = []
        theme, self.toast_button = self._theme, None
        if scene.pointer:
            x, y, radius = scene.pointer
            rect = pygame.Rect(x - radius - 2, y - radius - 2, 2 * radius + 4, 2 * radius + 4).clip(places.sheet)
            ring = mix(theme.paper, theme.ink, 0.45)
            parts.append(Part("pointer", rect, (x, y, radius), lambda surface: pygame.draw.circle(
                surface, ring, (x, y), radius, max(1, places.text // 10))))  # fmt: skip
        if scene.hovered and not scene.help:
            rect, draw = overlays.tooltip(self.type, theme, places, scene.hovered)
            parts.append(Part("tooltip", rect, (scene.hovered,), draw))
        toast = scene.toast
        if scene.picture is not None and scene.picture.readings is None:
            toast = overlays.Toast(f"reading {scene.picture.name} …")
        if toast:
            rect, draw, self.toast_button = overlays.toast(self.type, theme, places, toast, scene.why is not None)
            parts.append(Part("toast", rect, (toast,), draw))
        if scene.help:
            rect, draw = overlays.help_card(self.type, theme, places, scene.mode)
            parts.append(Part("help", rect, (scene.mode,), draw))
        return parts

    # The sheet

    def _sheet(self, surface: pygame.Surface, scene: Scene, place: Place) -> None:
        theme, sheet = self._theme, place.sheet
        surface.fill(theme.paper, sheet)
        if scene.picture is not None:
            self._picture.draw(surface, scene.picture, place, None if scene.why is None else theme.paper)
        else:
            surface.blit(self._ink.layer, sheet)
        pygame.draw.rect(surface, theme.line, sheet.inflate(2, 2), 1)

    def _saliency(self, scene: Scene, place: Place, marks: list[pygame.Rect]) -> list[Part]:
        """Return the part that paints the saliency on the digit in focus."""
        why, reading, focus, sheet = scene.why, scene.reading, scene.focus, place.sheet
        if why is None or why.square is None or reading is None or focus is None:
            return []
        square = place.rect(why.square)
        if not square.width:
            return []
        whole = halo = square.clip(sheet)
        if len(marks) > 1 and scene.picture is None:  # not on the neighbours
            whole, halo = whole.clip(marks[focus]), whole.clip(_apart(marks, focus))
        strokes = [scene.canvas.strokes[i] for i in reading.strokes]

        def draw(surface: pygame.Surface) -> None:
            part = whole.clip(surface.get_clip())
            if part.width and part.height:
                if scene.picture is None:
                    opacity = self._saliency_opacity(strokes, part, halo, sheet)
                else:
                    opacity = ink_opacity(reading, square, part, round(255 * HALO))
                _blit_with(surface, self._saliency_colors(why, square), square, part, opacity)

        return [Part("saliency", whole, (why, square, tuple(halo)), draw)]

    def _saliency_opacity(
        self, strokes: list[Stroke], part: pygame.Rect, halo: pygame.Rect, sheet: pygame.Rect
    ) -> Bytes:
        """Return the opacity (w,h) in a part of the window: that of the strokes' ink, and a faint one in the halo."""
        opacity = self._ink.alpha_of(strokes, part.move(-sheet.left, -sheet.top))
        around = halo.clip(part).move(-part.left, -part.top)
        faint = opacity[around.left : around.right, around.top : around.bottom]
        np.maximum(faint, round(255 * HALO), out=faint)
        return opacity

    def _saliency_colors(self, why: Explanation, square: pygame.Rect) -> pygame.Surface:
        """Return the saliency in colours, as large as the square that it covers."""
        key = why, square.size, self._theme
        if self._colored is None or key != self._colored[0]:
            colors = _saliency_surface(why.saliency, self._theme)
            self._colored = key, pygame.transform.smoothscale(colors, square.size)
        return self._colored[1]

    def _marks(self, scene: Scene, place: Place) -> list[pygame.Rect]:
        """Return the Rect around the ink of each digit."""
        around = 6 if scene.picture is not None else self._pen + 0.6 * self._text
        edges = place.sheet.inflate(-4, -4)
        return [place.rect(reading.box).inflate(around, around).clip(edges) for reading in scene.readings]

    def _boxes(self, scene: Scene, place: Place, marks: list[pygame.Rect]) -> list[Part]:
        """Return the frames around the digits, if there are several; in a picture with labels."""
        if scene.picture is not None:
            sheet, shown, focus = place.sheet.inflate(2, 2), scene.readings, scene.focus or 0
            least = self._text if self._large else LEAST_LABEL
            return [Part("boxes", sheet, (shown, focus, place.scale),
                         lambda s: self._picture.draw_boxes(s, sheet, marks, shown, focus, least))]  # fmt: skip
        if len(marks) < 2:
            return []
        parts: list[Part] = []
        theme = self._theme
        for i, rect in enumerate(marks):
            color: Color = theme.accent if i == scene.focus else mix(theme.paper, theme.muted, 0.35)
            parts.append(Part(f"box {i}", rect, (color,), lambda surface, rect=rect, color=color: pygame.draw.rect(
                surface, color, rect, max(1, self._text // 9), border_radius=self._text // 2)))  # fmt: skip
        return parts

    def _hint(self, surface: pygame.Surface, rect: pygame.Rect, large: str, small: str) -> None:
        x, y, text = *rect.center, self._text
        size = min(1.9 * text, 1.9 * text * rect.width / (self.type.width(large, 1.9 * text) + 2 * text))
        self.type.write(surface, large, size, self._theme.ink, midbottom=(x, y))
        small = self.type.shortened(small, 1.1 * text, rect.width - text)
        self.type.write(surface, small, 1.1 * text, self._theme.muted, midtop=(x, y + text // 2))

    def _legend(self, surface: pygame.Surface, rect: pygame.Rect, why: Explanation) -> None:
        theme, text = self._theme, self._text
        lines = f"speaks for {why.answer}", f"speaks for {why.runner_up} instead"
        for shorter in (("for {}", "for {} instead"), ("for {}", "for {}"), ("{}", "{}")):
            if sum(self.type.width(words, text) for words in lines) + 6 * text > rect.width:
                lines = shorter[0].format(why.answer), shorter[1].format(why.runner_up)
        x, y = rect.left + text, rect.centery
        for color, words in zip((theme.accent, theme.against), lines, strict=True):
            spot = pygame.Rect(0, 0, text, text)
            spot.midleft = x, y
            rounded(surface, spot, color, text // 4)
            place = spot.right + text // 2, y
            x = self.type.write(surface, words, text, theme.ink, midleft=place).right + round(1.5 * text)

    # What the network says

    def _answer(self, rect: pygame.Rect, scene: Scene) -> list[Part]:
        """Return the parts of the answer: large, and in a line below its probability."""
        text, letters = self._text, tuple((r.inspection.answer, r.sure) for r in scene.readings)
        number = self._number_rect(rect)
        line = pygame.Rect(rect.left, number.bottom + round(0.5 * text), rect.width, 0)
        line.height = rect.bottom - line.top
        strong, lines = len(letters) == 1, _by_line(scene.readings)
        words = _in_words(scene.reading, strong) if scene.reading else _without_answer(scene.picture)
        if scene.reading and len(lines) > max(1, number.height // (LEAST_ANSWER * text)):
            words += f", line {scene.reading.line + 1} of {len(lines)}"
        parts = [Part("words", line, (words, strong), lambda surface: self._line(surface, line, words, strong))]
        if letters:
            # The line below a digit extends into the Rect of the words.
            parts.append(Part("answer", rect, (letters, scene.focus), lambda s: self._number(s, number, scene)))
        return parts

    def _number_rect(self, rect: pygame.Rect) -> pygame.Rect:
        """Return the Rect of the large answer, above the line with its probability."""
        low = rect.bottom - self.type.font(SURE * self._text).get_height()  # with descenders: y, g
        return pygame.Rect(rect.left, rect.top, rect.width, low - rect.top - round(0.5 * self._text))

    def digits_shown(self, scene: Scene, places: Layout) -> list[tuple[int, pygame.Rect]]:
        """Return where the digits are written and shown beside the sheet: the index of the reading, and its Rect."""
        if not scene.readings:
            return []
        written = [(i, rect) for i, _, rect in self._letters(self._number_rect(places.answer), scene)]
        return written + self._tiles(places.seen, scene)

    def _line(self, surface: pygame.Surface, rect: pygame.Rect, words: str, strong: bool) -> None:
        color, size = self._theme.ink if strong else self._theme.muted, SURE * self._text
        self.type.write(surface, self.type.shortened(words, size, rect.width), size, color, topleft=rect.topleft)

    def _number(self, surface: pygame.Surface, rect: pygame.Rect, scene: Scene) -> None:
        """Write the number that was read, as large as it fits; a digit that is not sure is a question mark."""
        theme = self._theme
        if len(scene.readings) == 1 and not scene.readings[0].sure:
            size = min(0.5 * rect.height, rect.width / 4.6)
            place = rect.left, rect.bottom + round(0.5 * self._text)
            self.type.write(surface, "not sure", size, theme.muted, True, bottomleft=place)
            return
        for i, image, place in self._letters(rect, scene):
            surface.blit(image, place)
            if len(scene.readings) > 1 and i == scene.focus:
                mark = max(2, round(0.04 * place.height))
                surface.fill(theme.accent, (place.left, place.bottom + mark, place.width, mark))

    def _letters(self, rect: pygame.Rect, scene: Scene) -> list[tuple[int, pygame.Surface, pygame.Rect]]:
        """Return the digits of the answer as they are written: index of the reading, image, place."""
        lines = _around_focus(_by_line(scene.readings), scene.focus, int(rect.height / (LEAST_ANSWER * self._text)))
        high = rect.height / (len(lines) + LEADING * (len(lines) - 1))
        size = min(1.3 * high, 1.4 * rect.width / max(map(len, lines)))
        gap, bottom = round(0.08 * size), float(rect.bottom)
        letters: list[tuple[int, pygame.Surface, pygame.Rect]] = []
        for line in reversed(lines):
            x = rect.left
            for i in line:
                reading = scene.readings[i]
                word, color = (str(reading.label), self._theme.accent) if reading.sure else ("?", self._theme.muted)
                image = self.type.cropped(word, size, color, True)
                letters.append((i, image, image.get_rect(bottomleft=(x, round(bottom)))))
                x += image.get_width() + gap
            bottom -= (1 + LEADING) * size / 1.3
        return letters

    def _tiles(self, rect: pygame.Rect, scene: Scene) -> list[tuple[int, pygame.Rect]]:
        """Return the Rect of each picture that the network sees; of more than there is room for, that in focus."""
        lines, gap = _by_line(scene.readings) or [[0]], round(0.5 * self._text)
        side = _tile_side(rect, lines, gap)
        if side < LEAST_TILE and scene.focus is not None:
            lines = [[scene.focus]]
            side = _tile_side(rect, lines, gap)
        return [
            (i, pygame.Rect(rect.left + column * (side + gap), rect.top + row * (side + gap), side, side))
            for row, line in enumerate(lines)
            for column, i in enumerate(line)
        ]

    def _seen(self, rect: pygame.Rect, scene: Scene) -> list[Part]:
        """Return the parts that show what the network sees: a picture per digit, with words beside a single one."""
        text, tiles = self._text, self._tiles(rect, scene)
        parts: list[Part] = []
        several, side = len(tiles) > 1, tiles[0][1].width
        for i, tile in tiles:
            inspection = scene.readings[i].inspection if scene.readings else None
            marked = several and i == scene.focus
            parts.append(Part(f"seen {i}", tile.inflate(8, 8), (inspection, marked),
                              lambda s, t=tile, i=inspection, m=marked: self._tile(s, t, i, m)))  # fmt: skip
        room = pygame.Rect(rect.left + side + text, rect.top, rect.width - side - text, side)
        if not several and room.width > 5 * text:
            parts.append(Part("seen", room, (), lambda surface: self._seen_words(surface, room)))
        return parts

    def _tile(self, surface: pygame.Surface, tile: pygame.Rect, inspection: Inspection | None, marked: bool) -> None:
        """Draw one picture as the network sees it, or an empty tile."""
        if inspection is None:
            surface.fill(self._theme.track, tile)
            return
        small = grey_surface(inspection.image).convert(surface)  # converting is faster before scaling
        surface.blit(pygame.transform.scale(small, tile.size), tile)
        if marked:
            pygame.draw.rect(surface, self._theme.accent, tile.inflate(6, 6), max(2, self._text // 8), border_radius=3)

    def _seen_words(self, surface: pygame.Surface, room: pygame.Rect) -> None:
        text = self._text
        for words in (f"what the network sees, 28{TIMES}28 pixels", "what the network sees", "as seen", ""):
            lines = self.type.wrapped(words, text, room.width)
            tall, wide = 1.3 * text * len(lines), max(self.type.width(line, text) for line in lines)
            if tall <= room.height + text / 2 and wide <= room.width:
                break
        for i, line in enumerate(lines):
            y = room.bottom - round(1.3 * text * (len(lines) - i)) + text // 4
            self.type.write(surface, line, text, self._theme.muted, topleft=(room.left, y))

    def _rows(self, scene: Scene, places: Layout) -> list[Part]:
        """Return the parts of the ten bars."""
        rect = places.bars
        parts: list[Part] = []
        for digit in range(10):
            top, bottom = (rect.top + round(rect.height * (digit + i) / 10) for i in (0, 1))
            row = pygame.Rect(rect.left, top, rect.width, bottom - top)
            parts += self._row(row, digit, scene)
        return parts

    def _row(self, row: pygame.Rect, digit: int, scene: Scene) -> list[Part]:
        """Return the parts of a row: the digit, the bar and the probability."""
        theme, text, reading = self._theme, self._text, scene.reading
        best, sure = reading is not None and digit == reading.inspection.answer, reading is None or reading.sure
        color = (theme.accent if sure else theme.ink) if best else theme.muted
        fill = (theme.accent if sure else theme.muted) if best else theme.other
        probability = percent(reading.inspection.probabilities[digit]) if reading else ""
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
            Part(f"probability {digit}", right, (probability, color), lambda surface: write(
                surface, probability, text, color, best, midright=right.midright)),
        ]  # fmt: skip

    def _bar(self, surface: pygame.Surface, rect: pygame.Rect, length: int, color: Color) -> None:
        rounded(surface, rect, self._theme.track, rect.height // 2)
        clip = surface.get_clip()
        # A bar that is shorter than it is thick is a part of its round end.
        surface.set_clip(clip.clip((rect.topleft, (length, rect.height))))
        rounded(surface, pygame.Rect(rect.topleft, (max(length, rect.height), rect.height)), color, rect.height // 2)
        surface.set_clip(clip)

    # The frame

    def _button(self, scene: Scene, name: str, rect: pygame.Rect) -> Part:
        on = {"erase": scene.erasing, "inside": scene.inside, "why": scene.why is not None, "help": scene.help,
              "train": scene.training is not None}  # fmt: skip
        state = on.get(name, False), scene.hovered == name
        return Part(name, rect, state, lambda surface: self._draw_button(surface, name, rect, *state))

    def _draw_button(self, surface: pygame.Surface, name: str, rect: pygame.Rect, on: bool, hovered: bool) -> None:
        theme, text = self._theme, self._text
        if on or hovered:
            rounded(surface, rect, theme.active if on else theme.hover, text // 2)
        color = rgb(theme.accent if on else theme.ink if hovered else theme.muted)
        word = max(10, round(0.78 * text))
        side = min(rect.height - round(1.5 * word), round(1.75 * text))
        if side < text or self._large:  # no room for words
            side, word = min(rect.height - 2, round(1.75 * text)), 0
        picture = icon(name, side, color)
        top = rect.top + (rect.height - side - round(1.25 * word)) // 2
        surface.blit(picture, picture.get_rect(midtop=(rect.centerx, top)))
        if word:
            self.type.write(surface, WORDS[name], word, color, midtop=(rect.centerx, top + side + word // 8))

    def _status(self, surface: pygame.Surface, places: Layout, scene: Scene) -> None:
        rect, theme, text = places.status, self._theme, self._text
        right = rect.right
        if scene.progress:
            words, progress = scene.progress
            right = self.type.write(surface, words, text, theme.ink, midright=(right, rect.centery)).left - text
            bar = pygame.Rect(right - 8 * text, 0, 8 * text, max(3, text // 3))
            bar.centery = rect.centery
            rounded(surface, bar, theme.track, bar.height)
            done = pygame.Rect(bar.topleft, (max(bar.height, round(progress * bar.width)), bar.height))
            rounded(surface, done, theme.accent, bar.height)
            right = bar.left - text
        elif scene.note:
            right = self.type.write(surface, scene.note, text, theme.muted, midright=(right, rect.centery)).left - text
        x = rect.left
        for key, action in STATUS[scene.mode]:
            wide = self.type.width(key, text, True) + self.type.width(action, text) + text // 2
            if x + wide > right:
                break
            at = self.type.write(surface, key, text, theme.ink, True, midleft=(x, rect.centery)).right + text // 2
            x = self.type.write(surface, action, text, theme.muted, midleft=(at, rect.centery)).right
            x += round(1.3 * text)


def _hint_for(scene: Scene) -> tuple[str, str] | None:
    """Return the words, large and small, on a sheet where there is nothing; None where there is something."""
    if scene.picture is not None and scene.picture.problem:
        return "Not read", f"C takes {scene.picture.name} off"
    if scene.readings or scene.picture is not None or scene.canvas.strokes:
        return None
    return "Draw a digit", "or several, as in 2026"


def _by_line(readings: tuple[Reading, ...]) -> list[list[int]]:
    """Return the indices of the digits of each line."""
    lines: dict[int, list[int]] = {}
    for i, reading in enumerate(readings):
        lines.setdefault(reading.line, []).append(i)
    return list(lines.values())


def _around_focus(lines: list[list[int]], focus: int | None, most: int) -> list[list[int]]:
    """Return at most so many lines, 1 or more, with the one in focus in the middle if possible."""
    most = max(1, most)
    at = next((number for number, line in enumerate(lines) if focus in line), 0)
    start = max(0, min(at - most // 2, len(lines) - most))
    return lines[start : start + most]


def _tile_side(rect: pygame.Rect, lines: list[list[int]], gap: int) -> int:
    """Return the side of a tile if each digit has one, with whole pixels of the network's if possible."""
    count, rows = max(map(len, lines)), len(lines)
    side = min((rect.height - (rows - 1) * gap) // rows, (rect.width - (count - 1) * gap) // count)
    return max(SEEN * (side // SEEN), min(side, SEEN), 4)


def _apart(rects: list[pygame.Rect], i: int) -> pygame.Rect:
    """Return one of the Rects, cut in the middle of its overlaps with others."""
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


def _in_words(reading: Reading, alone: bool) -> str:
    """Return a line with the probability of a reading's answer; ``alone``: it is the only digit."""
    answer = reading.inspection.answer
    probability = percent(reading.inspection.probabilities[answer])
    if reading.sure:
        return f"{probability} sure" if alone else f"{answer}: {probability} sure"
    maybe = f"maybe a {answer}, {probability}"
    return maybe if alone else f"not sure: {maybe}"


def _without_answer(picture: Picture | None) -> str:
    if picture is None:
        return "no answer yet"
    if picture.problem:
        return "no answer"
    return "reading …" if picture.readings is None else "no digits found"


def _saliency_surface(saliency: Floats, theme: Theme) -> pygame.Surface:
    """Return saliency (28,28), -1..1, as a surface (112,112): hue says for or against, alpha how strongly."""
    for _ in range(2):  # smoothed, because scaling alone would show the corners of the pixels
        saliency = smooth(saliency.repeat(2, axis=0).repeat(2, axis=1))
    surface = pygame.Surface(saliency.shape[::-1], pygame.SRCALPHA)
    pixels, alpha = pygame.surfarray.pixels3d(surface), pygame.surfarray.pixels_alpha(surface)
    pixels[...] = np.where(saliency.T[:, :, None] > 0, rgb(theme.accent), rgb(theme.against))
    alpha[...] = np.rint(255 * np.sqrt(np.abs(saliency.T)))
    del pixels, alpha  # they lock the surface
    return surface


def _blit_with(
    target: pygame.Surface, colors: pygame.Surface, square: pygame.Rect, part: pygame.Rect, opacity: Bytes
) -> None:
    """Draw the part of ``colors``, which cover a square of the target, with its alpha times an opacity (w,h)."""
    piece = colors.subsurface(part.move(-square.left, -square.top)).copy()
    alpha = pygame.surfarray.pixels_alpha(piece)
    alpha[...] = (np.multiply(alpha, opacity, dtype=np.uint16) + 255) >> 8
    del alpha  # it locks the surface
    target.blit(piece, part)
