"""Every step from a picture to its text, as pictures: what ``page.read`` kept, and what the network made of it."""

import contextlib
from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol, overload

import numpy as np

from numcnn.errors import ConfigError
from numcnn.imaging import pieces
from numcnn.imaging.annotate import Boxed, annotated, labels_of
from numcnn.imaging.sheet import Sheet
from numcnn.kernels.arrays import AnyArray, Bytes, Floats
from numcnn.nn.inspection import saliency
from numcnn.nn.network import Network
from numcnn.recognition.reading import smooth

MOST_DIGITS = 64  # whose saliency is shown: a millisecond each


class ReadDigit(Boxed, Protocol):
    """What is explained of a digit; ``page.Digit`` has it."""

    @property
    def image(self) -> Bytes: ...  # noqa: D102

    @property
    def probabilities(self) -> Floats: ...  # noqa: D102

    @property
    def line(self) -> int: ...  # noqa: D102


class ReadPage(Protocol):
    """What is explained of a page; ``page.Page`` has it."""

    size: tuple[int, int]

    def __len__(self) -> int: ...

    @overload
    def __getitem__(self, index: int) -> ReadDigit: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[ReadDigit]: ...


def explained_steps(sheet: Sheet, page: ReadPage, pixels: AnyArray, network: Network) -> dict[str, AnyArray]:
    """Return the steps from a picture to its answers: name -> array, in order.

    sheet: what the digits were found on.  pixels: the picture that was read, (H,W) or (H,W,3).  The steps of finding
    are (H,W) each; paper in three colours is (H,W,3), in two of them (2,H,W).  Then come the boxes on the picture,
    (H,W,3), each digit, (N,28,28), each layer's maps of the first digit, (C,h,w), and the saliency of each answer,
    (N,28,28) uint8: light where ink spoke for it, dark where it spoke for the runner-up, grey where it made no
    difference.
    """
    papers = sheet.ink.papers
    scale = pixels.shape[1] / page.size[0]
    steps: dict[str, AnyArray] = {
        "original": pixels,
        "paper": papers[0] if len(papers) == 1 else np.stack(papers, axis=2 if len(papers) == 3 else 0),
        "light divided out": 255 - sheet.ink.strength,
        "ink": 255 * sheet.clear.astype(np.uint8),
        "pieces": pieces.as_picture(sheet.pieces),
        "lines": _lines_drawn(sheet, page, scale),
        "boxes": np.asarray(annotated(pixels, labels_of(page[:], scale))),
        "each 28x28": np.array([digit.image for digit in page[:]], np.uint8).reshape(-1, 28, 28),
    }
    if not len(page):
        return steps
    for layer, out in network.activations(page[0].image):
        if out.ndim == 4:
            steps[f"maps of {layer.name}"] = out[0].transpose(2, 0, 1)
    with contextlib.suppress(ConfigError):  # a layer of one's own has no gradient for a single picture
        steps["what spoke for each answer"] = np.array([_spoke(network, *pair) for pair in _answers(page)])
    return steps


def _lines_drawn(sheet: Sheet, page: ReadPage, scale: float) -> Bytes:
    """Return clear ink, grey, with a white path from digit to digit along each line of text, (H,W)."""
    picture = 110 * sheet.clear.astype(np.uint8)
    for one, other in pairwise(page[:]):
        if one.line == other.line:
            (x, y), (x_too, y_too) = (_middle(digit, scale) for digit in (one, other))
            places = np.linspace(0, 1, 1 + max(abs(x_too - x), abs(y_too - y)))
            picture[np.rint(y + places * (y_too - y)).astype(int), np.rint(x + places * (x_too - x)).astype(int)] = 255
    return picture


def _middle(digit: ReadDigit, scale: float) -> tuple[int, int]:
    x, y, width, height = digit.box
    return int(scale * (x + width / 2)), int(scale * (y + height / 2))


def _answers(page: ReadPage) -> list[tuple[Bytes, int, int]]:
    """Return the picture, the answer and the runner-up of each digit."""
    found = [(digit.image, np.argsort(-digit.probabilities, kind="stable")) for digit in page[:MOST_DIGITS]]
    return [(image, int(order[0]), int(order[1])) for image, order in found]


def _spoke(network: Network, image: Bytes, answer: int, runner_up: int) -> Bytes:
    slopes = smooth(saliency(network, image, answer, runner_up))
    return np.rint(127.5 + 127.5 * slopes / (np.abs(slopes).max() or 1)).astype(np.uint8)
