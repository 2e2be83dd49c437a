"""Show what was read in a picture: boxes and labels on it, and every step of the reading on one sheet."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from numcnn.files import atomic_write
from numcnn.kernels.arrays import AnyArray

if TYPE_CHECKING:
    from PIL import Image, ImageFont

SURE, UNSURE = (0, 90, 181), (213, 94, 0)  # blue and orange, which also colour-blind people tell apart
WHITE, PAPER, INK = (255, 255, 255), (250, 250, 250), (40, 40, 40)
LEAST_SIDE = 240  # smaller pictures are enlarged, so that labels can be read
TILE = 320  # largest side of a step on the sheet
TILES_IN_A_ROW = 4
GAP, CAPTION = 12, 18  # pixels around a tile, and for its name


class Label(NamedTuple):
    """A box (x, y, width, height) in pixels of the picture, and what to write at it."""

    box: tuple[int, int, int, int]
    text: str
    sure: bool


class Boxed(Protocol):
    """What a label is made of; ``recognition.page.Digit`` has it."""

    @property
    def box(self) -> tuple[int, int, int, int]: ...  # noqa: D102

    @property
    def label(self) -> int: ...  # noqa: D102

    @property
    def sure(self) -> bool: ...  # noqa: D102


def labels_of(digits: Iterable[Boxed], scale: float = 1.0) -> list[Label]:
    """Return what to write at each digit's box: its label, with a question mark if it isn't sure.

    scale: pixels of the picture that is shown for one of the picture that the boxes are in.
    """
    return [
        Label(_scaled_box(digit.box, scale), f"{digit.label}{'' if digit.sure else '?'}", digit.sure)
        for digit in digits
    ]


def _scaled_box(box: tuple[int, int, int, int], scale: float) -> tuple[int, int, int, int]:
    x, y, width, height = (round(scale * value) for value in box)
    return x, y, width, height


def annotated(pixels: AnyArray, labels: Iterable[Label]) -> Image.Image:
    """Return a picture with boxes and labels: blue where the answer is sure, else orange.

    pixels: as ``PicturePage`` holds them.  A picture under 240 pixels is enlarged by a whole number.
    """
    from PIL import ImageDraw  # noqa: PLC0415  (loads slowly)

    image = as_image(pixels).convert("RGB")
    factor = max(1, math.ceil(LEAST_SIDE / max(image.size)))
    if factor > 1:
        image = image.resize((factor * image.width, factor * image.height), 0)
    draw = ImageDraw.Draw(image)
    width = max(2, round(max(image.size) / 500))
    for label in labels:
        x, y, w, h = (factor * value for value in label.box)
        colour = SURE if label.sure else UNSURE
        draw.rectangle((x - width, y - width, x + w + width - 1, y + h + width - 1), outline=colour, width=width)
        font = _font(min(max(12, round(0.4 * h)), max(12, max(image.size) // 12)))
        left, top, right, bottom = font.getbbox(label.text)
        tall, wide = bottom - top + 4, right - left + 6
        at = min(max(0, x - width), max(0, image.width - wide))
        above = y - width - tall
        at_top = above if above >= 0 else min(y + h + width, image.height - tall)
        draw.rectangle((at, at_top, at + wide - 1, at_top + tall - 1), fill=colour)
        draw.text((at + 3 - left, at_top + 2 - top), label.text, fill=WHITE, font=font)
    return image


def as_image(array: AnyArray) -> Image.Image:
    """Return an array as a picture.  (H,W) or (H,W,3) -> PIL image; (N,h,w) -> N pictures side by side, in rows.

    uint8 stays as it is; bool becomes black and white; others are scaled so that the lowest value is black and the
    highest white.
    """
    from PIL import Image  # noqa: PLC0415  (loads slowly)

    array = np.asarray(array)
    if array.dtype == bool:
        array = array.astype(np.uint8) * np.uint8(255)
    elif array.dtype != np.uint8:
        values = np.nan_to_num(array.astype(np.float64))
        low, high = (values.min(), values.max()) if values.size else (0.0, 1.0)
        array = np.rint((values - low) * (255 / ((high - low) or 1))).astype(np.uint8)
    if array.ndim == 3 and array.shape[2] != 3:
        array = _in_rows(array)
    return Image.fromarray(np.ascontiguousarray(array))


def _in_rows(pictures: AnyArray) -> AnyArray:
    """Lay pictures (N,h,w) uint8 side by side, in about as many rows as columns, with grey lines between."""
    count, height, width = pictures.shape
    columns = max(1, math.ceil(math.sqrt(count * height / max(width, 1)))) if count else 1
    rows = max(1, math.ceil(count / columns))
    sheet = np.full((rows * (height + 1) + 1, columns * (width + 1) + 1), 128, np.uint8)
    for i, picture in enumerate(pictures):
        top, left = 1 + (i // columns) * (height + 1), 1 + (i % columns) * (width + 1)
        sheet[top : top + height, left : left + width] = picture
    return sheet


def sheet(steps: Mapping[str, AnyArray], columns: int = TILES_IN_A_ROW, side: int = TILE) -> Image.Image:
    """Return all steps of a reading on one picture, numbered.  steps: name -> array, in order; side: in pixels."""
    from PIL import Image, ImageDraw  # noqa: PLC0415  (loads slowly)

    numbered = enumerate(steps.items(), 1)
    tiles = [(f"{number}  {name}", _tile(as_image(array), side)) for number, (name, array) in numbered]
    rows = [tiles[i : i + columns] for i in range(0, len(tiles), columns)]
    heights = [CAPTION + GAP + max(tile.height for _, tile in row) for row in rows]
    image = Image.new("RGB", (GAP + columns * (side + GAP), GAP + sum(heights)), PAPER)
    draw = ImageDraw.Draw(image)
    top = GAP
    for row, height in zip(rows, heights, strict=True):
        for column, (caption, tile) in enumerate(row):
            left = GAP + column * (side + GAP)
            draw.text((left, top), caption, fill=INK, font=_font(12))
            image.paste(tile, (left, top + CAPTION))
        top += height
    return image


def save_steps(steps: Mapping[str, AnyArray], folder: str | os.PathLike[str]) -> None:
    """Save each step as ``01-original.png`` ... and all on one sheet, ``sheet.png``, into a folder, made if missing."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for number, (name, array) in enumerate(steps.items(), 1):
        plain = re.sub(r"[^\w.]+", "-", name).strip("-.") or "step"
        save_png(as_image(array), Path(folder) / f"{number:02}-{plain}.png")
    save_png(sheet(steps), Path(folder) / "sheet.png")


def save_png(image: Image.Image, path: str | os.PathLike[str]) -> None:
    """Save a picture as PNG, whole or not at all; its folder is made if missing."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        image.save(file, "PNG")


def save_small_png(
    image: Image.Image, path: str | os.PathLike[str], colours: int, notes: Mapping[str, str] | None = None
) -> None:
    """Save a picture as PNG with a palette of so many colours, whole or not at all.  notes: text that goes with it."""
    from PIL import Image, PngImagePlugin  # noqa: PLC0415  (loads slowly)

    text = PngImagePlugin.PngInfo()
    for name, value in (notes or {}).items():
        text.add_text(name, value)
    with atomic_write(path) as file:
        image.quantize(colours, dither=Image.Dither.NONE).save(file, "PNG", pnginfo=text, optimize=True)


def _tile(image: Image.Image, side: int) -> Image.Image:
    """Return a picture whose larger side is at most ``side``: enlarged by a whole number, or averaged down."""
    from PIL import Image  # noqa: PLC0415  (loads slowly)

    largest = max(image.size)
    if largest > side:
        image = image.convert("RGB") if image.mode not in ("L", "RGB") else image
        scale = side / largest
        size = (max(1, round(scale * image.width)), max(1, round(scale * image.height)))
        return image.resize(size, Image.Resampling.BOX)
    factor = side // largest
    return image.resize((factor * image.width, factor * image.height), Image.Resampling.NEAREST)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    from PIL import ImageFont  # noqa: PLC0415  (loads slowly)

    return ImageFont.load_default(size)
