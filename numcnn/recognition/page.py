"""Read a picture: its digits, where they are, and its text."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import NamedTuple, overload

import numpy as np

from numcnn.errors import DataError
from numcnn.imaging.picture_files import is_pil_image, load_picture, page_of_image
from numcnn.imaging.preprocess import Picture, as_grey, centred, grey_of_array, separate_ink
from numcnn.kernels.arrays import AnyArray, Bytes, Floats
from numcnn.nn.answers import Answer
from numcnn.nn.network import Network, load


class Digit(NamedTuple):
    """One digit of a picture.

    box: x, y, width, height in pixels of the picture, upright; label: 0..9; probability: 0..1; sure: whether that
    reaches the network's threshold; line: 0, 1, ... of the text; probabilities (10,); image (28,28): what the network
    read.
    """

    box: tuple[int, int, int, int]
    label: int
    probability: float
    sure: bool
    line: int
    probabilities: Floats
    image: Bytes


class Page(Sequence[Digit]):
    """The digits of a picture, lines from top to bottom, each from left to right.

    size: (width, height) of the picture.  steps: with ``explain``, name -> array, in order; else None.
    """

    def __init__(
        self, digits: Iterable[Digit], size: tuple[int, int], steps: dict[str, AnyArray] | None = None
    ) -> None:
        self._digits = tuple(digits)
        self.size, self.steps = size, steps

    @property
    def text(self) -> str:
        """The digits as text, lines separated by a newline; "?" for a digit that is not sure."""
        lines: dict[int, str] = {}
        for digit in self:
            lines[digit.line] = lines.get(digit.line, "") + (str(digit.label) if digit.sure else "?")
        return "\n".join(lines.values())

    def __len__(self) -> int:
        return len(self._digits)

    @overload
    def __getitem__(self, index: int) -> Digit: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Digit, ...]: ...
    def __getitem__(self, index: int | slice) -> Digit | tuple[Digit, ...]:
        return self._digits[index]


def read(
    picture: Picture,
    *,
    network: Network | None = None,
    at_most: float | None = None,
    single: bool = False,
    explain: bool = False,
) -> Page:
    """Return the digits of a picture; a picture without digits gives an empty ``Page``.

    picture: in any form that ``preprocess.prepare`` takes.  network: None for the shipped one.  at_most: the share of
    wrong answers that is allowed; see ``Network.read``.  single: the picture is known to hold one digit.  explain: keep
    every step.  Raises DataError when it is no picture, and ConfigError.
    """
    found = _find(picture, explain, single)
    answers = (network or _shipped()).read(found.image[None], at_most=at_most) if found.image is not None else []
    return _page(found, answers)


def read_many(
    pictures: Sequence[Picture], *, network: Network, at_most: float | None = None, single: bool = False
) -> list[Page | DataError]:
    """Return what ``read`` returns for each picture, or its error.  The network reads all of them at once."""
    found: list[_Found | DataError] = []
    for picture in pictures:
        try:
            found.append(_find(picture, explain=False, single=single))
        except DataError as error:
            found.append(error)
    images = [one.image for one in found if isinstance(one, _Found) and one.image is not None]
    answers = iter(network.read(np.array(images), at_most=at_most) if images else ())
    return [
        one if isinstance(one, DataError) else _page(one, [next(answers)] if one.image is not None else [])
        for one in found
    ]


class _Found(NamedTuple):
    image: Bytes | None
    box: tuple[int, int, int, int]
    size: tuple[int, int]
    steps: dict[str, AnyArray] | None


def _find(picture: Picture, explain: bool, single: bool) -> _Found:
    """Find the one digit.  Raises DataError, also if there has to be one and there is none."""
    if isinstance(picture, (str, bytes)) or hasattr(picture, "__fspath__"):
        pixels = load_picture(picture)  # pyright: ignore[reportArgumentType]
    elif is_pil_image(picture):
        pixels = page_of_image(picture, "picture", grey=True).pixels
    else:
        pixels = grey_of_array(np.asarray(picture))
    grey = as_grey(pixels)
    size = (grey.shape[1], grey.shape[0])
    steps: dict[str, AnyArray] | None = {"original": np.asarray(pixels)} if explain else None
    try:
        ink = separate_ink(grey)
    except DataError:
        if single:
            raise
        return _Found(None, (0, 0, 0, 0), size, steps)
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    x, y = int(columns[0]), int(rows[0])
    image = centred(ink)
    if steps is not None:
        steps |= {"ink": ink, "28x28": image}
    return _Found(image, (x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y), size, steps)


def _page(found: _Found, answers: Sequence[Answer]) -> Page:
    digits = [
        Digit(found.box, answer.label, answer.probability, answer.sure, 0, answer.probabilities, image)
        for answer in answers
        if (image := found.image) is not None
    ]
    return Page(digits, found.size, found.steps)


@functools.cache
def _shipped() -> Network:
    return load()
