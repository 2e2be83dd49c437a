"""Read any picture of digits: ``read`` finds them and returns a ``Page``, digit by digit and as text."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple, Self, overload

import numpy as np

from numcnn.errors import DataError
from numcnn.evaluation import plots
from numcnn.evaluation.calibration import Threshold
from numcnn.imaging import paper
from numcnn.imaging.annotate import annotated, labels_of, sheet
from numcnn.imaging.preprocess import Picture
from numcnn.kernels.arrays import AnyArray, Bytes, Floats
from numcnn.nn.answers import answers, threshold_of
from numcnn.nn.network import Network, load
from numcnn.recognition import find, glance
from numcnn.recognition.explained import explained_steps
from numcnn.recognition.reading import check_network, text_of

if TYPE_CHECKING:
    from numcnn.evaluation.plots.style import Figure

LEAST = 0.78  # the probability from which a digit counts as one while digits are looked for, whatever at_most is
BATCH = 128  # pictures that the network reads at a time: more would load the compiled kernels
MOST_KNOWN = 10_000  # pictures of a page whose probabilities are kept: about 10 MB


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

    size: width and height of the picture.  steps: with ``explain``, name -> picture, in order; else None.  A notebook
    shows a page as its picture with boxes and labels.
    """

    def __init__(
        self, digits: Sequence[Digit], size: tuple[int, int], steps: dict[str, AnyArray] | None = None
    ) -> None:
        self.digits = tuple(digits)
        self.size = size
        self.steps = steps
        self._picture: Picture | None = None  # as it was given

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
        return text_of(self.digits)

    def plot(self) -> Figure:
        """Draw the picture with boxes and labels; with ``explain``, every step from the picture to the answers.

        Without steps a file is read again.  Raises DataError if it is gone, or if no picture was read for the page.
        """
        if self.steps is not None:
            return plots.page_plot(np.asarray(sheet(self.steps)), [], "")
        colours, scale = self._seen()
        return plots.page_plot(colours, labels_of(self, scale), self.text)

    def _repr_png_(self) -> bytes:
        """Return the picture with boxes and labels as PNG, for notebooks."""
        colours, scale = self._seen()
        file = io.BytesIO()
        annotated(colours, labels_of(self, scale)).save(file, "PNG")
        return file.getvalue()

    def _seen(self) -> tuple[Bytes, float]:
        """Return the picture as it was read, and how many of its pixels make one of the boxes'."""
        if self._picture is None:
            raise DataError("this page was made without a picture; numcnn.read makes one that can show itself")
        colours, size = paper.load_colours(self._picture)
        return colours, colours.shape[1] / size[0]

    def _of(self, picture: Picture) -> Self:
        self._picture = picture
        return self

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
    threshold = threshold_of(network.info, at_most)
    found: list[Page | DataError | None] = []
    plain: list[tuple[int, glance.Plain, tuple[int, int]]] = []
    others: list[tuple[int, Bytes, tuple[int, int]]] = []
    given: list[Picture] = []
    for i, picture in enumerate(pictures):
        found.append(None)
        given.append(picture)
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
        found[i] = _plain_page(seen, each, size, threshold)
    for i, colours, size in others:
        if found[i] is None:
            try:
                found[i] = _found_page(colours, size, network, threshold, single=single, explain=explain)
            except DataError as error:
                found[i] = error
    both = zip(found, given, strict=True)
    return [one._of(picture) if isinstance(one, Page) else one for one, picture in both if one is not None]


def _plain_page(plain: glance.Plain, probabilities: Floats, size: tuple[int, int], threshold: Threshold) -> Page | None:
    """Return the page of a plain picture, or None if the network is not sure enough of it."""
    (answer,) = answers(probabilities[None], threshold)
    if not answer.sure or answer.probability < plain.least:
        return None
    return Page([Digit(plain.box, answer.label, answer.probability, True, 0, answer.probabilities, plain.image)], size)


def _found_page(
    colours: Bytes,
    size: tuple[int, int],
    network: Network,
    threshold: Threshold,
    *,
    single: bool = False,
    explain: bool = False,
) -> Page:
    """Find the digits of a picture, read them, and return the page."""
    judge = _Judge(network)
    found = find.find(colours, judge, LEAST)
    spots = [find.only_one(found, colours, judge)] if single else found.spots
    digits = [_digit(spot, size[0] / colours.shape[1], size, threshold) for spot in spots]
    page = Page(digits, size)
    if explain:
        page.steps = explained_steps(found.sheet, page, colours, network)
    return page


class _Judge:
    """The network as the judge of one page: it reads each 28x28 picture once, though several steps ask about it."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._known: dict[bytes, Floats] = {}  # picture -> probabilities

    def __call__(self, images: Bytes) -> Floats:
        """Return the probabilities (N,10) of pictures (N,28,28)."""
        if len(self._known) > MOST_KNOWN:
            self._known.clear()
        keys = [image.tobytes() for image in images]
        new = {key: k for k, key in enumerate(keys) if key not in self._known}
        unknown = list(new)
        for i in range(0, len(unknown), BATCH):
            some = unknown[i : i + BATCH]
            self._known.update(zip(some, self._network.predict_proba(images[[new[key] for key in some]]), strict=True))
        return np.array([self._known[key] for key in keys]) if keys else np.empty((0, 10), np.float32)


def _digit(spot: find.Spot, factor: float, size: tuple[int, int], threshold: Threshold) -> Digit:
    """Return a spot as a ``Digit`` in the picture's own pixels."""
    (answer,) = answers(spot.probabilities[None], threshold)
    left, top, right, bottom = (round(factor * edge) for edge in spot.box)
    box = left, top, min(right, size[0]) - left, min(bottom, size[1]) - top
    sure = answer.sure and not spot.doubtful
    return Digit(box, answer.label, answer.probability, sure, spot.line, answer.probabilities, spot.image)
