"""Read any picture of digits: ``read`` finds them and returns a ``Page``, digit by digit and as text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple, overload

import numpy as np

from numcnn.errors import DataError
from numcnn.imaging import paper
from numcnn.imaging.preprocess import Picture
from numcnn.kernels.arrays import AnyArray, Bytes, Floats
from numcnn.kernels.thread_team import one_blas_thread
from numcnn.nn.answers import answers, least_probability
from numcnn.nn.network import Network, load
from numcnn.recognition import find, glance
from numcnn.recognition.reading import check_network

LEAST = 0.5  # the probability from which a digit counts as one while digits are looked for, for networks without any
BATCH = 128  # pictures that the network reads at a time: more would load the compiled kernels


class Digit(NamedTuple):
    """One digit of a page.

    box: x, y, width, height in the picture's pixels, upright as EXIF says; label: the most probable class; probability
    (0..1); sure: whether that reaches the network's threshold; line: 0, 1 ..., which line of text; probabilities (10,);
    image (28,28) uint8: what the network read.
    """

    box: tuple[int, int, int, int]
    label: int
    probability: float
    sure: bool
    line: int
    probabilities: Floats
    image: Bytes


class Page(Sequence[Digit]):
    """The digits of a picture: lines from top to bottom, digits from left to right.

    size: width and height of the picture.  steps: with ``explain``, name -> picture, in order; else None.
    """

    def __init__(
        self, digits: Sequence[Digit], size: tuple[int, int], steps: dict[str, AnyArray] | None = None
    ) -> None:
        self.digits = tuple(digits)
        self.size = size
        self.steps = steps

    @overload
    def __getitem__(self, index: int) -> Digit: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Digit]: ...

    def __getitem__(self, index: int | slice) -> Digit | Sequence[Digit]:
        return self.digits[index]

    def __len__(self) -> int:
        return len(self.digits)

    @property
    def text(self) -> str:
        """The digits as text: lines separated by a newline; a digit that is not sure is "?"."""
        lines: dict[int, str] = {}
        for digit in self.digits:
            lines[digit.line] = lines.get(digit.line, "") + (str(digit.label) if digit.sure else "?")
        return "\n".join(lines.values())

    def __repr__(self) -> str:
        return f"<Page {self.size[0]} x {self.size[1]}: {self.text!r}>"


@cache
def _shipped() -> Network:
    return load()


def read(
    picture: Picture,
    *,
    network: Network | None = None,
    at_most: float | None = None,
    single: bool = False,
    explain: bool = False,
) -> Page:
    """Find and read the digits of a picture -> ``Page``, empty if there are none.

    picture: a path, bytes of a file, a PIL image or an array, as ``preprocess.prepare`` takes it.  network: the shipped
    one if None.  at_most: the share of wrong answers among sure ones that is allowed; see ``Network.read``.  single:
    the picture is known to hold one digit: the page has exactly one.  explain: keep every step in ``steps``.
    Raises DataError when it is no picture, or with ``single`` when it is blank, and ConfigError.
    """
    network = _shipped() if network is None else network
    (found,) = read_many([picture], network=network, at_most=at_most, single=single, explain=explain)
    if isinstance(found, DataError):
        raise found
    return found


def read_many(
    pictures: Iterable[Picture],
    *,
    network: Network,
    at_most: float | None = None,
    single: bool = False,
    explain: bool = False,
) -> list[Page | DataError]:
    """Return what ``read`` returns for each picture, or its error; the network reads all plain ones at once."""
    network = check_network(network)
    least = least_probability(network.info, at_most)
    found: list[Page | DataError | None] = []
    plain: list[tuple[int, glance.Plain, tuple[int, int]]] = []
    others: list[tuple[int, Bytes, tuple[int, int]]] = []
    for i, picture in enumerate(pictures):
        found.append(None)
        try:
            colours, size = paper.load_colours(picture)
        except DataError as error:
            found[i] = error
            continue
        seen = None if explain else glance.glance(colours)
        others.append((i, colours, size))
        if seen is not None:
            plain.append((i, seen, size))
    probabilities = network.predict_proba(np.array([seen.image for _, seen, _ in plain])) if plain else ()
    for (i, seen, size), each in zip(plain, probabilities, strict=True):
        found[i] = _plain_page(seen, each, size, least)
    for i, colours, size in others:
        if found[i] is None:
            try:
                found[i] = _found_page(colours, size, network, least, single=single, explain=explain)
            except DataError as error:
                found[i] = error
    return [one for one in found if one is not None]


def _plain_page(plain: glance.Plain, probabilities: Floats, size: tuple[int, int], least: float) -> Page | None:
    """Return the page of a plain picture, or None if the network is not sure enough of it."""
    (answer,) = answers(probabilities[None], max(least, plain.least))
    if not answer.sure:
        return None
    return Page([Digit(plain.box, answer.label, answer.probability, True, 0, answer.probabilities, plain.image)], size)


def _found_page(
    colours: Bytes,
    size: tuple[int, int],
    network: Network,
    least: float,
    *,
    single: bool = False,
    explain: bool = False,
) -> Page:
    """Find the digits of a picture, read them, and return the page."""

    def judge(images: Bytes) -> Floats:
        parts = [network.predict_proba(images[i : i + BATCH]) for i in range(0, len(images), BATCH)]
        return np.concatenate(parts) if parts else np.empty((0, 10), np.float32)

    with one_blas_thread:
        spots, steps = find.find(colours, judge, max(least, LEAST))
        if single:
            spots = [find.only_one(spots, colours, judge)]
    digits = [_digit(spot, size[0] / colours.shape[1], size, least) for spot in spots]
    return Page(digits, size, steps if explain else None)


def _digit(spot: find.Spot, factor: float, size: tuple[int, int], least: float) -> Digit:
    """Return a spot as a ``Digit`` in the picture's own pixels."""
    (answer,) = answers(spot.probabilities[None], least)
    left, top, right, bottom = (round(factor * edge) for edge in spot.box)
    box = left, top, min(right, size[0]) - left, min(bottom, size[1]) - top
    sure = answer.sure and not spot.doubtful
    return Digit(box, answer.label, answer.probability, sure, spot.line, answer.probabilities, spot.image)
