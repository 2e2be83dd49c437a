"""What keys do, in one table: what the list of keys and the status line say, and the action that each key runs."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pygame

NONE: Mapping[Any, str] = MappingProxyType({})


class Row(NamedTuple):
    """A line of the list of keys.  keys, control (with Ctrl), characters: the names of the actions that they run."""

    names: str
    words: str
    keys: Mapping[int, str] = NONE
    control: Mapping[int, str] = NONE
    characters: Mapping[str, str] = NONE  # for keyboard layouts that have them on other keys


DRAWING = (
    Row("Left button, pen", "draw"),
    Row("E, right button", "erase", {pygame.K_e: "erase"}),
    Row("Wheel, [ and ]", "brush on the screen", {pygame.K_LEFTBRACKET: "thinner", pygame.K_RIGHTBRACKET: "thicker"},
        characters={"[": "thinner", "]": "thicker"}),
    Row("Ctrl Z, Ctrl Y", "undo, redo", control={pygame.K_z: "undo", pygame.K_y: "redo"}),
    Row("C, Space", "clear", {pygame.K_c: "clear", pygame.K_SPACE: "clear"}),
    Row("Ctrl C", "copy the digits", control={pygame.K_c: "copy"}),
    Row("S", "save the drawing", {pygame.K_s: "save"}, {pygame.K_s: "save"}),
    Row("Drop, Ctrl V", "read a picture", control={pygame.K_v: "paste"}),
    Row("O", "open a picture", {pygame.K_o: "open"}, {pygame.K_o: "open"}),
    Row("Click, arrow keys", "choose a digit", {
        pygame.K_LEFT: "left", pygame.K_RIGHT: "right", pygame.K_UP: "up", pygame.K_DOWN: "down"}),
    Row("F, Tab", "inside the network", {pygame.K_f: "inside", pygame.K_TAB: "inside"}),
    Row("Point, tap", "how a number is made"),
    Row("W", "why this answer", {pygame.K_w: "why"}),
    Row("0 to 9, U", "say what it is; take back", {pygame.K_u: "unlabel"}),
    Row("G", "one step of learning", {pygame.K_g: "step"}),
    Row("R", "watch a network learn", {pygame.K_r: "train"}),
    Row("T", "learn from your digits", {pygame.K_t: "learn"}),
    Row("B", "shipped weights or yours", {pygame.K_b: "swap"}),
    Row("N, P", "next, previous test digit", {pygame.K_n: "next", pygame.K_p: "previous"}),
    Row("M", "next misread digit", {pygame.K_m: "misread"}),
    Row("D, F11", "dark or light; full screen", {pygame.K_d: "theme", pygame.K_F11: "present"}),
    Row("H, ?", "these keys", {pygame.K_h: "help", pygame.K_F1: "help"}, characters={"?": "help"}),
    Row("Esc", "close, quit"),
)  # fmt: skip
# While a network learns; the actions are those of ``Watching``.
TRAINING = (
    Row("Space", "pause, go on", {pygame.K_SPACE: "go"}),
    Row(", and .", "a step back, on", {pygame.K_COMMA: "back", pygame.K_PERIOD: "step"},
        characters={",": "back", ".": "step"}),
    Row("Home, End", "first step, the latest", {pygame.K_HOME: "first", pygame.K_END: "latest"}),
    Row("Tab", "choose speed, a setting", {pygame.K_TAB: "choose"}),
    Row("- and +", "change it", {
        pygame.K_MINUS: "less", pygame.K_KP_MINUS: "less", pygame.K_PLUS: "more", pygame.K_KP_PLUS: "more"},
        characters={"-": "less", "+": "more", "=": "more"}),
    Row("Enter", "start again with it", {pygame.K_RETURN: "again", pygame.K_KP_ENTER: "again"}),
    Row("R, Esc", "end training"),
)  # fmt: skip
# While one step of learning is shown; the actions are those of ``OneStep``.
STEP = (
    Row("Left, Right", "a frame back, on", {pygame.K_LEFT: "back", pygame.K_RIGHT: "forth"}),
    Row("Home, End", "first frame, last", {pygame.K_HOME: "first", pygame.K_END: "last"}),
    Row("Space", "play, pause", {pygame.K_SPACE: "play"}),
    Row("Up, Down", "learning rate", {pygame.K_UP: "more", pygame.K_DOWN: "less"}),
    Row("0 to 9", "label to learn"),
    Row("G, Esc", "close"),
)
LISTS = {"training": ("While a network learns", TRAINING), "step": ("One step of learning", STEP),
         "drawing": ("While you draw", DRAWING)}  # fmt: skip
# The same in short, below the sheet.
STATUS = {
    "drawing": (("0-9", "tell what it is"), ("F", "look inside"), ("W", "why"), ("R", "train"), ("T", "learn"),
                ("H", "all keys")),
    "training": (("Space", "pause"), (", .", "step back, on"), ("Tab - +", "settings"), ("Enter", "start again"),
                 ("H", "all keys"), ("Esc", "end training")),
    "step": (("\N{LEFTWARDS ARROW} \N{RIGHTWARDS ARROW}", "back, on"), ("Space", "play"),
             ("\N{UPWARDS ARROW} \N{DOWNWARDS ARROW}", "rate"), ("0-9", "label"), ("H", "all keys"), ("Esc", "close")),
}  # fmt: skip
DIGITS = {key: digit for digit in range(10) for key in (pygame.K_0 + digit, getattr(pygame, f"K_KP{digit}"))}
SHORTCUTS = pygame.KMOD_CTRL | pygame.KMOD_META


def action_of(event: pygame.event.Event, mode: str = "drawing") -> str:
    """Return the name of the action that a pressed key runs in one of the ``LISTS``, or ""."""
    rows, character = LISTS[mode][1], getattr(event, "unicode", "")
    if event.mod & pygame.KMOD_ALT and not event.mod & SHORTCUTS:
        return ""
    if event.mod & SHORTCUTS:
        name = next((row.control[event.key] for row in rows if event.key in row.control), "")
        return "redo" if name == "undo" and event.mod & pygame.KMOD_SHIFT else name
    by_character = next((row.characters[character] for row in rows if character in row.characters), "")
    return by_character or next((row.keys[event.key] for row in rows if event.key in row.keys), "")


def digit_of(event: pygame.event.Event) -> int | None:
    """Return the digit that a pressed key writes, or None."""
    character = getattr(event, "unicode", "")
    if event.mod & (SHORTCUTS | pygame.KMOD_ALT):
        return None
    digit = DIGITS.get(event.key)
    return int(character) if digit is None and character.isdecimal() else digit
