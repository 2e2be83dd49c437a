"""Read picture files, some at a time: decode them, let the network read them together, say what was found."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from numcnn.errors import DataError, NumcnnError
from numcnn.files import named_errors
from numcnn.imaging.annotate import annotated, labels_of, save_png, save_steps
from numcnn.imaging.picture_files import PictureFile, PicturePage
from numcnn.nn.answers import threshold_of
from numcnn.nn.network import Network, load
from numcnn.recognition import page
from numcnn.recognition.documents import csv_line, document, json_line, plain, text_lines

JSON, CSV, TEXT = "json", "csv", "text"
MOST_PIXELS = 8_000_000  # of decoded pages that are kept until the network has read them: 24 MB in RGB


class Item(NamedTuple):
    """A picture to read.  path: its file.  copy: where copies of it go, a path below the folders for them.

    size: the bytes of the file when it was begun, or None.
    """

    path: str
    copy: str = ""
    size: int | None = None


class Outcome(NamedTuple):
    """What became of a picture file: a line (or more) for each page that was read, and a message for each failure.

    blank: how many of the pages that were read have no digits.
    """

    path: str
    lines: list[str]
    failures: list[str]
    blank: int = 0


@dataclass(frozen=True)
class Settings:
    """How to read.  weights, backend: see ``network.load``; at_most, single: see ``page.read``.

    form: of the lines, "json", "csv" or "text" (with verbose, and paths ``width`` characters wide).
    annotate, explain: folders for annotated copies and for every step, or None.
    """

    weights: str | None = None
    backend: str = "reference"
    at_most: float | None = None
    single: bool = False
    form: str = JSON
    verbose: bool = False
    width: int = 0
    annotate: str | None = None
    explain: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return all fields."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Return the settings that ``to_json`` gave."""
        return cls(**fields)


def digest_of(network: Network) -> str:
    """Return the SHA-256 of all that a network's answers depend on: parameters, state, temperature, thresholds."""
    digest = hashlib.sha256(network.params.tobytes() + network.state.tobytes())
    digest.update(repr((network.temperature, threshold_of(network.info))).encode())
    return digest.hexdigest()


class _Decoded(NamedTuple):
    """A page to be read, of the picture with this index."""

    index: int
    name: str
    copy: str
    picture: PicturePage


class FileReader:
    """Reads picture files with one network."""

    def __init__(self, settings: Settings, network: Network | None = None) -> None:
        """network: that of the settings, if it is loaded already."""
        self._settings = settings
        self._network = network or load(settings.weights, backend=settings.backend)

    def read(self, items: Iterable[Item | tuple[Item, str | bytes]]) -> list[Outcome]:
        """Return the ``Outcome`` of each picture, in order.  A picture may come with
        another path to its file, or with the file's bytes.

        Memory is bounded by the outcomes, one picture, and 8 million pixels more.
        """
        outcomes: list[Outcome] = []
        waiting: list[_Decoded] = []
        pixels = 0
        for index, item in enumerate(items):
            item, source = item if not isinstance(item, Item) else (item, item.path)
            outcomes.append(Outcome(item.path, [], []))
            for decoded in self._decoded(index, item, source, outcomes[-1]):
                waiting.append(decoded)
                pixels += decoded.picture.pixels.size
                if pixels > MOST_PIXELS or self._settings.explain:  # the steps of one page take more than the page
                    self._answer(waiting, outcomes)
                    waiting, pixels = [], 0
        self._answer(waiting, outcomes)
        return outcomes

    def _decoded(self, index: int, item: Item, source: str | bytes, outcome: Outcome) -> Iterator[_Decoded]:
        """Yield the pages of a file that can be decoded; note the others as failures."""
        try:
            with PictureFile(source, item.path) as file:
                for number in range(1, file.count + 1):
                    several = f"#{number}" if file.count > 1 else ""
                    try:
                        yield _Decoded(index, item.path + several, item.copy + several, file.page(number))
                    except DataError as error:
                        outcome.failures.append(plain(str(error)))
        except DataError as error:
            outcome.failures.append(plain(str(error)))

    def _answer(self, waiting: list[_Decoded], outcomes: list[Outcome]) -> None:
        """Read decoded pages, and note what was found in each."""
        settings = self._settings
        pages = page.read_many(
            [decoded.picture.pixels for decoded in waiting],
            network=self._network,
            at_most=settings.at_most,
            single=settings.single,
            explain=settings.explain is not None,
        )
        for decoded, found in zip(waiting, pages, strict=True):
            outcome = outcomes[decoded.index]
            try:
                if isinstance(found, DataError):
                    raise found
                if settings.explain and found.steps is not None:
                    target = Path(settings.explain) / decoded.copy
                    with named_errors(target, action="write into"):
                        save_steps(found.steps, target)
                if settings.annotate:
                    target = Path(settings.annotate) / f"{decoded.copy}.png"
                    with named_errors(target, action="write"):
                        save_png(annotated(decoded.picture.pixels, labels_of(found)), target)
                outcomes[decoded.index] = outcome._replace(blank=outcome.blank + (not found))
                outcome.lines.append(self._line(document(decoded.name, found, decoded.picture)))
            except NumcnnError as error:
                outcome.failures.append(plain(f"{decoded.name}: {error}"))

    def _line(self, found: dict[str, Any]) -> str:
        settings = self._settings
        if settings.form == JSON:
            return json_line(found)
        if settings.form == CSV:
            return csv_line(found)
        return text_lines(found, settings.width, settings.verbose)
