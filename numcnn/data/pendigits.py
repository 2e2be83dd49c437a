"""Digits that thirty people drew with a pen on a tablet, as strokes: UCI's pen digits, found here or downloaded.

E. Alpaydin and F. Alimoglu, "Pen-Based Recognition of Handwritten Digits", UCI Machine Learning Repository, 1996,
https://doi.org/10.24432/C5MG6K (CC BY 4.0): the original training file, whose strokes nobody has normalised.  It counts
by the SHA-256 of its text, however that is packed.
"""

import dataclasses
import gzip
import hashlib
import io
import os
import re
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from numcnn.data import mnist
from numcnn.data.idx import GZIP_MAGIC
from numcnn.errors import DataError
from numcnn.files import atomic_write

NAME = "pendigits-orig.tra"
SUFFIXES = ("", ".gz", ".Z", ".zip")
VARIABLE = "NUMCNN_PENDIGITS"
WRITERS = 30
HEIGHT = 500  # of the tablet's box; there y runs upwards
LZW_MAGIC, ZIP_MAGIC = b"\x1f\x9d", b"PK\x03\x04"  # of Unix compress, and of ZIP archives
MOST_BYTES = 50_000_000  # of a file, packed or not; the real text has 3.6 million
_HEAD = re.compile(r'\s+DIGIT\s+\S+\s+\?\s+"(\d)"\s+\.COMMENT\s+\d\s+(\d+)')


class Origin(NamedTuple):
    """Where the file comes from, and the SHA-256 of its text.  The defaults are the real one's; tests have others."""

    sha256: str = "a66225d68d7d68591e62944df1ad33b3f5aa608e2df2505844b41f5568a80da4"
    urls: tuple = (
        f"https://archive.ics.uci.edu/ml/machine-learning-databases/pendigits/{NAME}.Z",
        "https://archive.ics.uci.edu/static/public/81/pen+based+recognition+of+handwritten+digits.zip",
    )
    cache: Path | None = None  # by default the user's
    seconds: float = 10.0  # waiting for a server to answer, and for the next bytes


OFFICIAL = Origin()


@dataclasses.dataclass(frozen=True)
class PenDigits:
    """Digits as strokes: per digit a list of arrays (n,2) x,y with y downwards; labels and writers (N,) uint8."""

    strokes: list
    labels: np.ndarray
    writers: np.ndarray

    def __len__(self):
        return len(self.labels)

    def of(self, writers):
        """Return the digits of these writers only."""
        return self.at(np.flatnonzero(np.isin(self.writers, list(writers))))

    def at(self, rows):
        """Return the digits in these rows (n,)."""
        return PenDigits([self.strokes[row] for row in rows], self.labels[rows], self.writers[rows])


def load(path=None, *, origin=OFFICIAL, report=mnist.to_stderr):
    """Read the pen digits -> PenDigits, writers numbered from 1 to 30.

    path: the file, or a folder with it: plain text, .gz, .Z, or UCI's .zip.  By default ``NUMCNN_PENDIGITS``, else the
    user's cache, into which it is downloaded if it isn't there.
    report: called with each line that a person should see.
    Raises DataError for a file that is missing, damaged or another one.
    """
    named = path or os.environ.get(VARIABLE)
    if named:
        found = _find(Path(named).expanduser())
        return parse(_checked(found, found.read_bytes, origin.sha256), found)
    folder = Path(origin.cache or mnist.cache_folder().parent / "pendigits")
    cached = folder / NAME
    if cached.is_file():
        try:
            return parse(_checked(cached, cached.read_bytes, origin.sha256), cached)
        except DataError as error:
            report(f"{error} Downloading it again.")
    return parse(_download(cached, origin, report), cached)


def parse(text, path=NAME):
    """Read UNIPEN text as bytes -> PenDigits.  Raises DataError, with ``path``, where it is not as it should be."""
    strokes, labels, writers = [], [], []
    for number, segment in enumerate(text.decode("ascii", "replace").split(".SEGMENT")[1:]):
        head = _HEAD.match(segment)
        drawn = [block.split(".PEN_UP")[0].split() for block in segment.split(".PEN_DOWN")[1:]]
        try:
            if head is None or not drawn or not all(drawn):
                raise ValueError
            points = [np.array(numbers, np.float64).reshape(-1, 2) for numbers in drawn]
        except ValueError:
            raise DataError(f"{path}: digit {number} has no label, no writer or no points x y. {_GET_AGAIN}") from None
        strokes.append([np.column_stack([xy[:, 0], HEIGHT - xy[:, 1]]) for xy in points])
        labels.append(int(head[1]))
        writers.append(int(head[2]))
    if not labels:
        raise DataError(f"{path} holds no digits: it has no line that begins with .SEGMENT. {_GET_AGAIN}")
    return PenDigits(strokes, np.array(labels, np.uint8), np.array(writers, np.uint8))


# ------------------------------------------------------------------------------------------ finding and unpacking

_GET_AGAIN = "Delete it and download it, or copy it, again."


def _find(path):
    """Return the file that ``path`` is, or the one in the folder that it is.  Raises DataError."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise DataError(f"{path}: no such file or folder; wants {NAME} of UCI's pen digits ({VARIABLE} or an argument)")
    for suffix in SUFFIXES:
        if (path / (NAME + suffix)).is_file():
            return path / (NAME + suffix)
    raise DataError(f"{path} has no {NAME} (nor with {', '.join(SUFFIXES[1:])}).")


def _checked(path, read, sha256):
    """Return the text (bytes) in the file's content, which ``read()`` gives.  Raises DataError if it is another."""
    try:
        text = _unpacked(read(), path)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}.") from error
    except (EOFError, ValueError, IndexError, zlib.error, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is damaged or cut off: {error}. {_GET_AGAIN}") from error
    found = hashlib.sha256(text).hexdigest()
    if found == sha256:
        return text
    if not text:
        told = "is empty."
    elif text.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        told = "is a web page: a download that was answered with an error page."
    elif b".SEGMENT" in text:
        told = f"is cut off, damaged or another file: the SHA-256 of its text is {found}, it should be {sha256}."
    else:
        told = "is not UNIPEN text (no line begins with .SEGMENT)."
    raise DataError(f"{path} {told} {NAME} of UCI's pen digits is wanted. {_GET_AGAIN}")


def _unpacked(data, path):
    """Return the uncompressed bytes: what packed them is told by content, not by name."""
    if len(data) > MOST_BYTES:
        raise DataError(f"{path} has {len(data):,} bytes, far more than {NAME}: it is another file.")
    if data.startswith(GZIP_MAGIC):
        return gzip.GzipFile(fileobj=io.BytesIO(data)).read(MOST_BYTES)
    if data.startswith(LZW_MAGIC):
        return _unlzw(path)(data)
    if data.startswith(ZIP_MAGIC):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [name for name in archive.namelist() if Path(name).name in (NAME, f"{NAME}.gz", f"{NAME}.Z")]
            if not members:
                raise DataError(f"{path} is a ZIP archive without {NAME}.")
            with archive.open(members[0]) as member:
                return _unpacked(member.read(MOST_BYTES), path)
    return data


def _unlzw(what):
    """Return the function that undoes Unix compress, which Python's library can't.  Raises DataError without it."""
    try:
        from unlzw3 import unlzw
    except ImportError:
        raise DataError(
            f"{what} is packed by Unix compress, for which the library unlzw3 is needed: pip install 'numcnn[pad]'"
        ) from None
    return unlzw


# ------------------------------------------------------------------------------------------------------ downloading


def _download(cached, origin, report):
    """Download the file from the first address that has it; keep its text, and return it.  Raises DataError."""
    import pooch
    import requests

    _unlzw("what UCI offers")  # before anything is downloaded in vain

    def transfer(url, output_file, _):
        with requests.get(url, stream=True, timeout=origin.seconds) as answer:
            answer.raise_for_status()
            with open(output_file, "wb") as output:
                output.writelines(answer.iter_content(mnist.CHUNK))

    failures = []
    for url in origin.urls:
        report(f"Downloading {url}.")
        try:
            cached.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=cached.parent) as folder, mnist.quiet(pooch.get_logger()):
                fetched = Path(pooch.retrieve(url, None, NAME, path=folder, downloader=transfer))
                text = _checked(url, fetched.read_bytes, origin.sha256)
            with atomic_write(cached) as file:
                file.write(text)
            return text
        except requests.RequestException as error:
            answer = error.response  # None where nobody answered
            told = mnist.reason_of(error, origin.seconds)
            failures.append(f"{url} {told if answer is None else f'answered {answer.status_code} {answer.reason}'}")
        except DataError as error:
            failures.append(str(error).removesuffix(f" {_GET_AGAIN}").rstrip("."))
        except OSError as error:
            failures.append(f"cannot write to the cache folder {cached.parent} ({error.strerror or error})")
            break
    raise DataError(
        f"UCI's pen digits are not on this machine, and could not be downloaded: {'; '.join(failures)}. To get them by "
        f"hand, download {NAME}.Z or the .zip from https://archive.ics.uci.edu/dataset/81 and set {VARIABLE} to it."
    )
