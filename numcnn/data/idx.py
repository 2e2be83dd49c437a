"""Read and write IDX, the file format of MNIST, strictly: a file with any error is refused with the reason.

An IDX file is a magic number, one size per dimension (all big-endian 32-bit), then the values, last dimension fastest.
Source of the format: http://yann.lecun.com/exdb/mnist/ (bottom of the page).  The magic number is 0, 0, the type code
(8 = unsigned byte) and the number of dimensions: 2051 for images (N,H,W), 2049 for labels (N,).
"""

import contextlib
import gzip
import hashlib
import io
import math
import stat
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from numcnn.errors import DataError, ShapeError
from numcnn.files import atomic_write
from numcnn.kernels.arrays import Bytes

IMAGES_MAGIC, LABELS_MAGIC = 2051, 2049
GZIP_MAGIC = b"\x1f\x8b"
MAX_BYTES = 1 << 30  # more than any digit data set; a header that promises more is damaged or an attack
CHUNK = 1 << 20
_DEFLATE_RATIO = 1032  # DEFLATE cannot inflate a byte into more than this (zlib's technical notes)
_KIND = {IMAGES_MAGIC: "images", LABELS_MAGIC: "labels"}
GET_AGAIN = "Delete it and download it, or copy it, again."


def read_images(path: str | Path, *, max_bytes: int = MAX_BYTES) -> Bytes:
    """Read an IDX file of images, raw or gzip -> uint8 (N,H,W).  Raises DataError with the path and what to do."""
    return _read(path, IMAGES_MAGIC, max_bytes)


def read_labels(path: str | Path, *, classes: int = 10, max_bytes: int = MAX_BYTES) -> Bytes:
    """Read an IDX file of labels, raw or gzip -> uint8 (N,), each below ``classes``.  Raises DataError."""
    labels = _read(path, LABELS_MAGIC, max_bytes)
    wrong = np.flatnonzero(labels >= classes)
    if len(wrong):
        at = wrong[0]
        raise DataError(f"{path}: label {at} is {labels[at]}, but labels must be 0 to {classes - 1}. {GET_AGAIN}")
    return labels


def write_images(path: str | Path, images: npt.ArrayLike) -> None:
    """Write images uint8 (N,H,W) as IDX, gzip-compressed where the name ends in .gz.  Raises ShapeError, DataError."""
    _write(path, images, 3)


def write_labels(path: str | Path, labels: npt.ArrayLike) -> None:
    """Write labels uint8 (N,) as IDX, gzip-compressed where the name ends in .gz.  Raises ShapeError, DataError."""
    _write(path, labels, 1)


def header(array: Bytes) -> bytes:
    """Return the bytes before ``array`` (uint8, N >= 0) in an IDX file."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)


def sha256(*arrays: Bytes) -> str:
    """Return the SHA-256 (hex) of the arrays' uncompressed IDX files, one after the other."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(header(array))
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def is_web_page(start: bytes) -> bool:
    """Say whether a file that begins like this is HTML or XML."""
    return start.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def uncompressed(file: io.BufferedIOBase) -> io.BufferedIOBase:
    """Return a stream of the uncompressed bytes of an open file; its content, not its name, says if it is gzip."""
    file.seek(0)
    magic = file.read(2)
    file.seek(0)
    return gzip.GzipFile(fileobj=file, mode="rb") if magic == GZIP_MAGIC else file


def _read(path: str | Path, magic: int, max_bytes: int) -> Bytes:
    path = Path(path)
    with _failures_named(path):
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{path} is not a file; an IDX {_KIND[magic]} file is wanted.")
        if status.st_size == 0:
            raise DataError(f"{path} is empty. {GET_AGAIN}")
        with path.open("rb") as file:
            stream = uncompressed(file)
            most = status.st_size * (1 if stream is file else _DEFLATE_RATIO)
            shape = _read_shape(path, stream, magic, max_bytes, most)
            array = np.empty(shape, np.uint8)
            _fill(path, stream, array)
    return array


def _read_shape(path: Path, stream: io.BufferedIOBase, magic: int, max_bytes: int, most: int) -> tuple[int, ...]:
    """Return the sizes in the header; ``most`` is an upper limit for the bytes in the file."""
    start = stream.read(4)
    if start != struct.pack(">I", magic):
        raise DataError(f"{path} {_what_it_is(start + stream.read(60), magic)}")
    rank = magic % 256
    sizes = stream.read(4 * rank)
    if len(sizes) < 4 * rank:
        raise DataError(f"{path} is cut off within its header. {GET_AGAIN}")
    shape = struct.unpack(f">{rank}I", sizes)
    count = math.prod(shape)
    sizes_text = "x".join(map(str, shape))
    if count == 0:
        raise DataError(f"{path} holds no {_KIND[magic]}: its header says {sizes_text}.")
    if count > max_bytes:
        raise DataError(
            f"{path} claims to hold {sizes_text} bytes, above the limit of {max_bytes:,}: damaged, or a bomb."
        )
    if 4 + 4 * rank + count > most:
        raise DataError(f"{path} is cut off: its header promises {count:,} bytes of {_KIND[magic]}. {GET_AGAIN}")
    return shape


def _fill(path: Path, stream: io.BufferedIOBase, array: Bytes) -> None:
    """Read exactly as many bytes as ``array`` holds; the stream must end there (which also checks gzip's CRC)."""
    view = array.reshape(-1).data
    done = 0
    while done < len(view):
        got = stream.readinto(view[done : done + CHUNK])
        if not got:
            raise DataError(f"{path} is cut off: {done:,} of {len(view):,} bytes of data are there. {GET_AGAIN}")
        done += got
    if stream.read(1):
        raise DataError(f"{path} is longer than the {len(view):,} bytes that its header promises. {GET_AGAIN}")


def _what_it_is(start: bytes, magic: int) -> str:
    """Say what a file with the wrong first bytes seems to be, and what to do about it."""
    kind = _KIND[magic]
    number = int.from_bytes(start[:4], "big")
    if not start:
        return f"holds nothing once decompressed. {GET_AGAIN}"
    if is_web_page(start):
        return (
            "is a web page, not IDX: a download that was answered with an error page. Delete it and download it again."
        )
    if start.startswith(GZIP_MAGIC):
        return "is gzip-compressed twice. Decompress it once (gzip -d)."
    if start.startswith(b"PK\x03\x04"):
        return "is a ZIP archive. Unpack it and use the IDX files inside."
    if number in _KIND:
        return (
            f"holds {_KIND[number]}, but {kind} are wanted here (magic {number}, not {magic}). Are two files swapped?"
        )
    if number < 1 << 16 and len(start) >= 4:
        return (
            f"is IDX of type 0x{number >> 8:02x} with {number % 256} dimensions, but {kind} must be "
            f"unsigned bytes (0x08) with {magic % 256} (magic {magic})."
        )
    return f"is not an IDX {kind} file: it begins with 0x{start[:4].hex()} ({number}), not {magic}. {GET_AGAIN}"


def _write(path: str | Path, values: npt.ArrayLike, rank: int) -> None:
    array = np.asarray(values)
    if array.dtype != np.uint8 or array.ndim != rank:
        raise ShapeError(
            f"{path}: IDX {_KIND[2048 + rank]} must be uint8 with {rank} dimensions, "
            f"not {array.dtype} with shape {array.shape}."
        )
    path = Path(path)
    with _failures_named(path), atomic_write(path) as file, contextlib.ExitStack() as stack:
        if path.suffix == ".gz":  # no name and no time inside: the same array makes the same file
            file = stack.enter_context(gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0))
        file.write(header(array))
        file.write(np.ascontiguousarray(array).data)


@contextlib.contextmanager
def _failures_named(path: Path) -> Iterator[None]:
    """Turn the errors of the file system and the decompressor into a DataError that names the file."""
    try:
        yield
    except EOFError as error:
        raise DataError(f"{path} is cut off: the gzip stream ends early. {GET_AGAIN}") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is damaged: {error}. {GET_AGAIN}") from error
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}.") from error
