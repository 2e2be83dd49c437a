"""Sheets of small pictures: any digits, misread ones, and digits under growing changes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from numcnn.errors import DataError, ShapeError
from numcnn.evaluation import metrics
from numcnn.evaluation.plots.style import BLUE, INK, WARNING, add_picture, frame, new_figure
from numcnn.kernels.arrays import AnyArray, Bytes, Floats, Ints

if TYPE_CHECKING:
    from numcnn.evaluation.plots.style import Figure


def gallery(
    images: AnyArray, index: Iterable[int] | Ints, labels: Iterable[int] | Ints, answers: Iterable[str], title: str
) -> Figure:
    """Draw misread pictures (N,H,W), each with its index in the data set, its true class and the answer as text."""
    titles = [f"#{i} is a {label}\n{answer}" for i, label, answer in zip(index, labels, answers, strict=True)]
    return digit_grid(images, titles, title=title)


def mistakes_gallery(images: Bytes, labels: Ints, probabilities: Floats, title: str, most: int = 100) -> Figure:
    """Draw which of N examples are misread, the most confident mistakes first, ``most`` at most.

    images (N,H,W) uint8; labels (N,); probabilities (N,C).  Raises ShapeError if none is misread.
    """
    wrong = metrics.mistakes(labels, probabilities)
    shown = wrong[:most]
    answers = [f"read {p.argmax()}, {metrics.percent(p.max())}" for p in probabilities[shown]]
    which = "" if len(shown) == len(wrong) else f"; the {len(shown)} most confident"
    heading = f"{title}: {len(wrong):,} of {len(labels):,} misread{which}"
    return gallery(images[shown], shown, labels[shown], answers, heading)


def digit_grid(
    images: AnyArray, titles: Sequence[str] | None = None, columns: int = 10, title: str | None = None
) -> Figure:
    """Draw a contact sheet, dark ink on white.  images (N,H,W) uint8 or float 0..1; titles: N short texts, or none.

    Raises ShapeError for another rank, no pictures, or another number of titles.
    """
    images = np.asarray(images)
    if images.ndim != 3 or images.size == 0:
        raise ShapeError(f"digit_grid: got shape {images.shape}; wants (N, H, W) with at least one picture")
    if titles is not None and len(titles) != len(images):
        raise ShapeError(f"digit_grid: got {len(titles)} titles for {len(images)} pictures; wants one for each")
    count, height, width = images.shape
    columns = max(1, min(columns, count))
    lines = math.ceil(count / columns)
    ink = images / (255 if images.dtype.kind in "ui" else 1)
    rows_of_text = 0 if titles is None else 1 + max(str(text).count("\n") for text in titles)
    gap, head = 0.14, 0.14 + 0.2 * rows_of_text  # in pictures
    wide = max(0.9 * columns * (1 + gap) + 0.2, 0.1 * len(title or ""))
    figure = new_figure(wide, 0.9 * lines * (1 + head) * height / width + (0.6 if title else 0.2), title)
    axes = figure.add_subplot()
    for number, picture in enumerate(ink):
        left, top = number % columns * (1 + gap) * width, number // columns * (1 + head) * height
        box = (left, left + width, top + height, top)
        axes.imshow(picture, cmap="gray_r", vmin=0, vmax=1, extent=box, interpolation="nearest")
        axes.add_patch(frame(left, top, width, height))
        if titles is not None:
            place = (left + width / 2, top - 0.03 * height)
            axes.text(*place, str(titles[number]), ha="center", va="bottom", size=8, color=INK)
    axes.set_xlim(-0.1 * width, columns * (1 + gap) * width)
    axes.set_ylim(lines * (1 + head) * height - (head - 0.1) * height, -head * height)
    axes.set_axis_off()
    return figure


def picture_sheet(
    pictures: Sequence[Bytes], titles: Sequence[str], columns: int = 8, title: str | None = None
) -> Figure:
    """Draw pictures of any sizes, (H,W) or (H,W,3) uint8, each within a square, with its title below.

    Raises DataError if there are none, ShapeError for another number of titles.
    """
    if not len(pictures):
        raise DataError("picture_sheet: there are no pictures to draw")
    if len(titles) != len(pictures):
        raise ShapeError(f"picture_sheet: got {len(titles)} titles for {len(pictures)} pictures; wants one for each")
    columns = min(columns, len(pictures))
    lines = math.ceil(len(pictures) / columns)
    height = 1.1 + 0.14 * max(text.count("\n") for text in titles)  # of a cell, in sides of its square
    wide = max(1.6 * columns, 2.4, 0.1 * len(title or ""))
    figure = new_figure(wide, 1.6 * height * lines + (0.4 if title else 0), title)
    axes = figure.add_subplot()
    for number, (picture, text) in enumerate(zip(pictures, titles, strict=True)):
        left, top = number % columns * 1.06, number // columns * height
        wide, high = (side / max(picture.shape[:2]) for side in picture.shape[1::-1])
        box = (left + (1 - wide) / 2, left + (1 + wide) / 2, top + high, top)
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255, extent=box, interpolation="antialiased")
        axes.add_patch(frame(box[0], top, wide, high))  # white paper would have no end
        words = axes.text(left + 0.5, top + high + 0.02, text, ha="center", va="top", size=7, color=INK)
        words.set_in_layout(False)  # long ones would leave no room for the pictures
    axes.set_xlim(0, columns * 1.06)
    axes.set_ylim(lines * height, 0)
    axes.set_axis_off()
    return figure


class BoxLabel(Protocol):
    """A box (x, y, width, height) in pixels of a picture, and what to write at it, as in ``imaging.annotate.Label``."""

    @property
    def box(self) -> tuple[int, int, int, int]: ...  # noqa: D102

    @property
    def text(self) -> str: ...  # noqa: D102

    @property
    def sure(self) -> bool: ...  # noqa: D102


def page_plot(picture: Bytes, labels: Iterable[BoxLabel], title: str) -> Figure:
    """Draw a picture, (H,W) or (H,W,3) uint8, with boxes and labels: blue where the answer is sure, else orange."""
    H, W = picture.shape[:2]
    wide = min(8.0, 8.0 * W / H)
    figure = new_figure(
        max(wide, 2.0), max(wide * H / W, 0.5) + 0.25 * title.count("\n") + (0.5 if title else 0), title
    )
    axes = figure.add_subplot()
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="antialiased")
    for label in labels:
        (x, y, width, height), color = label.box, BLUE if label.sure else WARNING
        axes.add_patch(frame(x - 0.5, y - 0.5, width, height, color, 1.2))
        size = min(max(6.0, 0.35 * height / W * wide * 72), 14.0)
        axes.text(x, y, label.text, ha="left", va="bottom", size=size, color=color, weight="bold", clip_on=False)
    axes.set_axis_off()
    return figure


def augmentation_plot(
    rows: Mapping[str, Sequence[Bytes]],
    title: str = "Each change from nothing to its full strength, and all of them together",
) -> Figure:
    """Draw pictures under changes that grow to the right.  rows: name of a change -> its pictures (n,H,W) uint8.

    ``data.augmentation.growing`` makes such pictures.  Raises DataError if there are none.
    """
    count = max(map(len, rows.values()), default=0)
    if not count:
        raise DataError("augmentation_plot: there are no pictures to draw")
    gap = 1.12
    figure = new_figure(1.1 + 0.66 * count, 0.6 + 0.66 * len(rows), title)
    axes = figure.add_subplot()
    for row, (name, pictures) in enumerate(rows.items()):
        for column, picture in enumerate(pictures):
            add_picture(axes, picture, column * gap, row * gap)
        axes.text(-0.15, row * gap + 0.5, name, ha="right", va="center", color=INK)
    axes.set_xlim(-0.05, count * gap)
    axes.set_ylim(len(rows) * gap, -0.05)
    axes.set_axis_off()
    return figure
