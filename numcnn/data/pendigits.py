"""Pen strokes of digits that thirty people drew on a tablet: UCI's pen digits, from this machine or downloaded.

E. Alpaydin and F. Alimoglu, "Pen-Based Recognition of Handwritten Digits", UCI Machine Learning Repository, 1996,
https://doi.org/10.24432/C5MG6K (CC BY 4.0): the original training file, whose strokes are not normalised.  The SHA-256
of its text identifies it, however that is packed.
"""

import dataclasses
import gzip
import hashlib
import io
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from numcnn.data import unix_compress
from numcnn.data.download import MirrorFailed, Report, download_bytes, to_stderr, user_cache
from numcnn.data.idx import GET_AGAIN, GZIP_MAGIC, is_web_page
from numcnn.errors import DataError
from numcnn.files import as_path, atomic_write
from numcnn.imaging.raster import Strokes
from numcnn.kernels.arrays import Bytes, Float64s, Ints

NAME = "pendigits-orig.tra"
SUFFIXES = ("", ".gz", ".Z", ".zip")
VARIABLE = "NUMCNN_PENDIGITS"
WRITERS = 30
HEIGHT = 500  # of the tablet's box; there y runs upwards
ZIP_MAGIC = b"PK\x03\x04"
MOST_BYTES = 50_000_000  # of a file, packed or not
MOST_TEXT = 4_000_000  # bytes that compress packed, which Python unpacks slowly; the real text has 3.6 million
_HEAD = re.compile(r'\s+DIGIT\s+\S+\s+\?\s+"(\d)"\s+\.COMMENT\s+\d\s+(\d+)')


class Origin(NamedTuple):
    """Where the file comes from, and the SHA-256 of its text.  The defaults are the real one's; tests use their own."""

    sha256: str = "a66225d68d7d68591e62944df1ad33b3f5aa608e2df2505844b41f5568a80da4"
    urls: Sequence[str] = (
        f"https://archive.ics.uci.edu/ml/machine-learning-databases/pendigits/{NAME}.Z",
        "https://archive.ics.uci.edu/static/public/81/pen+based+recognition+of+handwritten+digits.zip",
    )
    cache: str | Path | None = None  # by default the user's
    seconds: float = 10.0  # waiting for a server to answer, and for the next bytes


OFFICIAL = Origin()


@dataclasses.dataclass(frozen=True)
class PenDigits:
    """Digits as strokes: per digit a list of arrays (n,2) x,y with y downwards; labels and writers (N,) uint8."""

    strokes: Sequence[Strokes]
    labels: Bytes
    writers: Bytes

    def __len__(self) -> int:
        return len(self.labels)

    def of(self, writers: Collection[int]) -> "PenDigits":
        """Return the digits of some writers."""
        return self.at(np.flatnonzero(np.isin(self.writers, list(writers))))

    def at(self, rows: Ints) -> "PenDigits":
        """Return the digits in these rows (n,)."""
        return PenDigits([self.strokes[row] for row in rows], self.labels[rows], self.writers[rows])


def load(path: str | Path | None = None, *, origin: Origin = OFFICIAL, report: Report = to_stderr) -> PenDigits:
    """Read the pen digits -> PenDigits, writers numbered from 1 to 30.

    path: the file, or a folder with it: plain text, .gz, .Z, or UCI's .zip.  By default ``NUMCNN_PENDIGITS``, else the
    user's cache, into which it is downloaded if it isn't there.
    report: called with each line that people should see.
    Raises DataError for a file that is missing, damaged or another one.
    """
    named = path or os.environ.get(VARIABLE)
    if named:
        return _read(_find(as_path(named)), origin.sha256)
    folder = Path(origin.cache or user_cache() / "pendigits")
    cached = folder / NAME
    if cached.is_file():
        try:
            return _read(cached, origin.sha256)
        except DataError as error:
            report(f"{error} Downloading it again.")
    return parse(_download(cached, origin, report), cached)


def parse(text: bytes, path: str | Path = NAME) -> PenDigits:
    """Read UNIPEN text as bytes -> PenDigits.  Raises DataError, with ``path``, for any digit that is malformed."""
    strokes: list[list[Float64s]] = []
    labels: list[int] = []
    writers: list[int] = []
    for number, segment in enumerate(text.decode("ascii", "replace").split(".SEGMENT")[1:]):
        head = _HEAD.match(segment)
        drawn = [block.split(".PEN_UP")[0].split() for block in segment.split(".PEN_DOWN")[1:]]
        try:
            if head is None or not drawn or not all(drawn):
                raise ValueError
            points = [np.array(numbers, np.float64).reshape(-1, 2) for numbers in drawn]
        except ValueError:
            raise DataError(f"{path}: digit {number} has no label, no writer or no points x y. {GET_AGAIN}") from None
        strokes.append([np.column_stack([xy[:, 0], HEIGHT - xy[:, 1]]) for xy in points])
        labels.append(int(head[1]))
        writers.append(int(head[2]))
    if not labels:
        raise DataError(f"{path} holds no digits: it has no line that begins with .SEGMENT. {GET_AGAIN}")
    return PenDigits(strokes, np.array(labels, np.uint8), np.array(writers, np.uint8))


# ------------------------------------------------------------------------------------------ finding and unpacking


def _find(path: Path) -> Path:
    """Return the file that ``path`` is, or the one in the folder that it is.  Raises DataError."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise DataError(f"{path}: no such file or folder; wants {NAME} of UCI's pen digits ({VARIABLE} or an argument)")
    for suffix in SUFFIXES:
        if (path / (NAME + suffix)).is_file():
            return path / (NAME + suffix)
    raise DataError(f"{path} has no {NAME} (nor with {', '.join(SUFFIXES[1:])}).")


def _read(path: Path, sha256: str) -> PenDigits:
    """Read a file -> PenDigits.  Raises DataError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}.") from error
    return parse(_verified(path, data, sha256), path)


def _verified(path: str | Path, data: bytes, sha256: str) -> bytes:
    """Return the text (bytes) that the content of a file unpacks to.  Raises DataError if it is another file's."""
    try:
        text = _unpacked(data, path)
    except (OSError, EOFError, ValueError, RuntimeError, zlib.error, struct.error, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is damaged or cut off: {error}. {GET_AGAIN}") from error
    found = hashlib.sha256(text).hexdigest()
    if found == sha256:
        return text
    if not text:
        problem = "is empty."
    elif is_web_page(text):
        problem = "is a web page: a download that was answered with an error page."
    elif b".SEGMENT" in text:
        problem = f"is cut off, damaged or another file: the SHA-256 of its text is {found}, it should be {sha256}."
    else:
        problem = "is not UNIPEN text (no line begins with .SEGMENT)."
    raise DataError(f"{path} {problem} {NAME} of UCI's pen digits is wanted. {GET_AGAIN}")


def _unpacked(data: bytes, path: str | Path) -> bytes:
    """Return the uncompressed bytes; the content, not the name, says how they are packed."""
    if len(data) > MOST_BYTES:
        raise DataError(f"{path} has {len(data):,} bytes, far more than {NAME}: it is another file.")
    if data.startswith(GZIP_MAGIC):
        return gzip.GzipFile(fileobj=io.BytesIO(data)).read(MOST_BYTES)
    if data.startswith(unix_compress.MAGIC):
        return unix_compress.unpack(data, MOST_TEXT)
    if data.startswith(ZIP_MAGIC):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [name for name in archive.namelist() if Path(name).name in (NAME, f"{NAME}.gz", f"{NAME}.Z")]
            if not members:
                raise DataError(f"{path} is a ZIP archive without {NAME}.")
            if archive.getinfo(members[0]).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError("its compression is none that UCI uses")
            with archive.open(members[0]) as member:
                packed = member.read(MOST_BYTES)
            if packed.startswith(ZIP_MAGIC):  # each archive within another one would take its size once more
                raise ValueError("it holds another archive")
            return _unpacked(packed, path)
    return data


# ------------------------------------------------------------------------------------------------------ downloading


def _download(cached: Path, origin: Origin, report: Report) -> bytes:
    """Download the file from the first address that has it; keep its text, and return it.  Raises DataError."""
    failures = []
    for url in origin.urls:
        report(f"Downloading {url}.")
        try:
            cached.parent.mkdir(parents=True, exist_ok=True)
            data = download_bytes(url, origin.seconds, MOST_BYTES)
            text = _verified(url, data, origin.sha256)
            with atomic_write(cached) as file:
                file.write(text)
            return text
        except MirrorFailed as error:
            failures.append(f"{url} {error}")
        except DataError as error:
            failures.append(str(error).removesuffix(f" {GET_AGAIN}").rstrip("."))
        except OSError as error:
            failures.append(f"cannot write to the cache folder {cached.parent} ({error.strerror or error})")
            break
    raise DataError(
        f"UCI's pen digits are not on this machine, and could not be downloaded: {'; '.join(failures)}. To get them by "
        f"hand, download {NAME}.Z or the .zip from https://archive.ics.uci.edu/dataset/81 and set {VARIABLE} to it."
    )
