"""IDX files: what is written is read back, and every kind of bad file gets its own message."""

import gzip
import hashlib
import os
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numcnn.data import idx
from numcnn.errors import DataError, ShapeError

IMAGES = np.arange(3 * 5 * 4, dtype=np.uint8).reshape(3, 5, 4)
LABELS = np.array([3, 0, 9], np.uint8)
IMAGE_BYTES = struct.pack(">IIII", 2051, 3, 5, 4) + bytes(range(60))
LABEL_BYTES = struct.pack(">II", 2049, 3) + bytes([3, 0, 9])


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_written_files_read_back(tmp_path, suffix):
    images, labels = tmp_path / f"images{suffix}", tmp_path / f"labels{suffix}"
    idx.write_images(images, IMAGES)
    idx.write_labels(labels, LABELS)
    np.testing.assert_array_equal(idx.read_images(images), IMAGES)
    np.testing.assert_array_equal(idx.read_labels(labels), LABELS)
    assert idx.read_images(images).dtype == idx.read_labels(labels).dtype == np.uint8
    assert images.read_bytes()[:2] == (idx.GZIP_MAGIC if suffix else b"\0\0")


def test_bytes_are_the_format_s(tmp_path):
    idx.write_images(tmp_path / "images", IMAGES)
    idx.write_labels(tmp_path / "labels", LABELS)
    assert (tmp_path / "images").read_bytes() == IMAGE_BYTES
    assert (tmp_path / "labels").read_bytes() == LABEL_BYTES


def test_compressed_files_are_deterministic_and_name_nobody(tmp_path):
    for name in ("a.gz", "b.gz"):
        idx.write_images(tmp_path / name, IMAGES)
    content = (tmp_path / "a.gz").read_bytes()
    assert content == (tmp_path / "b.gz").read_bytes()
    assert content[3:8] == bytes(5)  # no flags (so no file name), and time 0
    assert gzip.decompress(content) == IMAGE_BYTES


def test_gzip_is_recognised_by_content_not_by_name(tmp_path):
    (tmp_path / "images.gz").write_bytes(IMAGE_BYTES)
    (tmp_path / "labels").write_bytes(gzip.compress(LABEL_BYTES[:6]) + gzip.compress(LABEL_BYTES[6:]))  # two members
    np.testing.assert_array_equal(idx.read_images(tmp_path / "images.gz"), IMAGES)
    np.testing.assert_array_equal(idx.read_labels(tmp_path / "labels"), LABELS)


@settings(max_examples=25, deadline=None)
@given(shape=st.tuples(*[st.integers(1, 9)] * 3), seed=st.integers(0, 99), packed=st.booleans(), strided=st.booleans())
def test_any_shape_survives(tmp_path_factory, shape, seed, packed, strided):
    images = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    images = images[::-1, :, ::-1] if strided else images
    path = tmp_path_factory.mktemp("idx") / ("i.gz" if packed else "i")
    idx.write_images(path, images)
    np.testing.assert_array_equal(idx.read_images(path), images)


@pytest.mark.parametrize("array", [IMAGES, LABELS, IMAGES[::2, ::-1], np.empty((0, 28, 28), np.uint8)])
def test_sha256_is_that_of_the_file(array):
    content = struct.pack(f">I{array.ndim}I", 2048 + array.ndim, *array.shape) + array.tobytes()
    assert idx.sha256(array) == hashlib.sha256(content).hexdigest()
    assert idx.sha256(LABELS, array) == hashlib.sha256(LABEL_BYTES + content).hexdigest()


HTML = b"<!DOCTYPE html><html><body>404 Not Found</body></html>"
WRONG_IMAGES = {
    "empty": (b"", "is empty. Delete it and download it"),
    "empty in gzip": (gzip.compress(b""), "holds nothing once decompressed"),
    "web page": (HTML, "is a web page, not IDX"),
    "web page in gzip": (gzip.compress(b"\xef\xbb\xbf\r\n" + HTML), "is a web page, not IDX"),
    "zip": (b"PK\x03\x04" + IMAGE_BYTES, "is a ZIP archive. Unpack it"),
    "gzip twice": (gzip.compress(gzip.compress(IMAGE_BYTES)), "gzip-compressed twice. Decompress it once"),
    "labels": (LABEL_BYTES, "holds labels, but images are wanted here (magic 2049, not 2051). Are two files swapped?"),
    "float": (struct.pack(">II", 0x0D03, 1), "is IDX of type 0x0d with 3 dimensions, but images must be unsigned"),
    "colour": (struct.pack(">II", 0x0804, 1), "is IDX of type 0x08 with 4 dimensions, but images must be unsigned"),
    "other": (b"\x93NUMPY" + bytes(80), "is not an IDX images file: it begins with 0x934e554d"),
    "little-endian": (struct.pack("<IIII", 2051, 1, 1, 1) + b"0", "is not an IDX images file: it begins with 0x0308"),
    "three bytes": (IMAGE_BYTES[:3], "is not an IDX images file"),
    "header cut": (IMAGE_BYTES[:11], "is cut off within its header"),
    "data cut": (IMAGE_BYTES[:-1], "is cut off: its header promises 60 bytes of images"),
    "data cut in gzip": (gzip.compress(IMAGE_BYTES[:-1]), "is cut off: 59 of 60 bytes of data are there"),
    "gzip cut": (gzip.compress(IMAGE_BYTES)[:-9], "is cut off"),
    "gzip checksum cut": (gzip.compress(IMAGE_BYTES)[:-1], "is cut off: the gzip stream ends early"),
    "gzip header only": (gzip.compress(IMAGE_BYTES)[:9], "is cut off: the gzip stream ends early"),
    "checksum": (gzip.compress(IMAGE_BYTES)[:-8] + bytes(8), "is damaged: CRC check failed"),
    "not deflate": (gzip.compress(IMAGE_BYTES)[:10] + b"\xff" * 60, "is damaged: Error -3 while decompressing"),
    "bytes after": (IMAGE_BYTES + b"\0", "is longer than the 60 bytes that its header promises"),
    "bytes after in gzip": (gzip.compress(IMAGE_BYTES + b"\0"), "is longer than the 60 bytes"),
    "bytes after gzip": (gzip.compress(IMAGE_BYTES) + b"rubbish", "is damaged: Not a gzipped file"),
    "no images": (struct.pack(">IIII", 2051, 0, 28, 28), "holds no images: its header says 0x28x28"),
    "flat images": (struct.pack(">IIII", 2051, 5, 0, 28), "holds no images: its header says 5x0x28"),
    "huge": (struct.pack(">IIII", 2051, *[2**32 - 1] * 3), "above the limit of 1,073,741,824"),
}


@pytest.mark.parametrize(("content", "message"), WRONG_IMAGES.values(), ids=WRONG_IMAGES)
def test_wrong_file_is_refused_with_path_and_reason(tmp_path, content, message):
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(DataError) as refused:
        idx.read_images(path)
    assert str(refused.value).startswith(str(path))
    assert message in str(refused.value)


@settings(max_examples=200, deadline=None)
@given(content=st.one_of(st.binary(max_size=80), st.binary(max_size=80).map(lambda tail: IMAGE_BYTES[:12] + tail)))
def test_no_content_raises_anything_but_a_data_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any"
    for packed in (content, gzip.compress(content), gzip.compress(content)[:-5]):
        path.write_bytes(packed)
        try:
            images = idx.read_images(path)
        except DataError as error:
            assert str(path) in str(error)
        else:
            assert idx.header(images) + images.tobytes() == content


def test_labels_above_the_classes_are_refused(tmp_path):
    path = tmp_path / "labels"
    idx.write_labels(path, np.array([1, 2, 26, 3], np.uint8))
    with pytest.raises(DataError, match=r"labels: label 2 is 26, but labels must be 0 to 9"):
        idx.read_labels(path)
    assert idx.read_labels(path, classes=27).tolist() == [1, 2, 26, 3]
    (tmp_path / "images").write_bytes(IMAGE_BYTES)
    with pytest.raises(DataError, match="holds images, but labels are wanted here"):
        idx.read_labels(tmp_path / "images")


def test_limit_is_an_argument(tmp_path):
    path = tmp_path / "images"
    idx.write_images(path, IMAGES)
    assert len(idx.read_images(path, max_bytes=60)) == 3
    with pytest.raises(DataError, match="above the limit of 59"):
        idx.read_images(path, max_bytes=59)


def test_bombs_are_not_inflated(tmp_path):
    lying = tmp_path / "lying.gz"  # 25 KB that inflate to 25 MB, behind a header that promises 10 bytes
    lying.write_bytes(gzip.compress(struct.pack(">IIII", 2051, 10, 1, 1) + bytes(25_000_000)))
    promising = tmp_path / "promising"  # a header that promises 900 MB, and nothing after it
    promising.write_bytes(gzip.compress(struct.pack(">IIII", 2051, 9000, 1000, 100)))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="is longer than the 10 bytes"):
            idx.read_images(lying)
        with pytest.raises(DataError, match="is cut off: its header promises 900,000,000 bytes"):
            idx.read_images(promising)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3_000_000


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"missing: No such file"):
        idx.read_images(tmp_path / "missing")
    with pytest.raises(DataError, match=r"is not a file; an IDX labels file is wanted"):
        idx.read_labels(tmp_path)
    with pytest.raises(DataError, match=r"images: No such file"):
        idx.write_images(tmp_path / "nowhere" / "images", IMAGES)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_named_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="pipe is not a file"):
        idx.read_images(tmp_path / "pipe")


def test_wrong_arrays_are_not_written(tmp_path):
    with pytest.raises(ShapeError, match=r"images must be uint8 with 3 dimensions, not float64 with shape \(2, 2, 2\)"):
        idx.write_images(tmp_path / "x", np.zeros((2, 2, 2)))
    with pytest.raises(ShapeError, match=r"labels must be uint8 with 1 dimensions, not uint8 with shape \(3, 5, 4\)"):
        idx.write_labels(tmp_path / "x", IMAGES)
    assert list(tmp_path.iterdir()) == []
