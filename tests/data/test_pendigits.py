"""UCI's pen digits: read however they are packed, refused if they are something else, downloaded from real servers.

The digits here are generated, and their hash is passed in.
"""

import gzip
import hashlib
import io
import shutil
import subprocess
import threading
import tracemalloc
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from conftest import lzw, unipen

from numcnn.data import generated, pendigits, unix_compress
from numcnn.errors import DataError

LABELS, WRITERS = [3, 4, 4, 8], [1, 2, 30, 2]
TEXT = unipen(LABELS, WRITERS)
PAGE = b"<!DOCTYPE html><title>Not found</title>"


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def origin_of(content=TEXT, **settings):
    return pendigits.Origin(sha256=hashlib.sha256(content).hexdigest(), **settings)


def zipped(files):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


PACKED = {
    "pendigits-orig.tra": TEXT,
    "pendigits-orig.tra.gz": gzip.compress(TEXT),
    "pendigits-orig.tra.Z": lzw(TEXT),
    "pendigits-orig.tra.zip": zipped({"pendigits.tes": b"1, 2", "data/pendigits-orig.tra.Z": lzw(TEXT)}),
}


# ------------------------------------------------------------------------------------------------------- reading


def test_strokes_labels_and_writers_are_read_with_y_downwards():
    people = pendigits.parse(TEXT)
    assert len(people) == 4 and people.labels.tolist() == LABELS and people.writers.tolist() == WRITERS
    rng = np.random.default_rng(1)
    for label, digit in zip(LABELS, people.strokes, strict=True):
        written = generated.digit_strokes(label, rng)
        assert len(digit) == len(written)
        for read, stroke in zip(digit, written, strict=True):
            np.testing.assert_allclose(read, 250 + 200 * stroke, atol=0.5)


def test_the_digits_of_some_writers():
    some = pendigits.parse(TEXT).of([2, 7])
    assert some.labels.tolist() == [4, 8] and some.writers.tolist() == [2, 2]
    np.testing.assert_array_equal(some.strokes[1][0], pendigits.parse(TEXT).strokes[3][0])
    assert len(pendigits.parse(TEXT).of([])) == 0


@pytest.mark.parametrize("name", PACKED)
def test_every_packing_is_read_by_file_folder_and_variable(name, tmp_path, monkeypatch):
    path = tmp_path / name
    path.write_bytes(PACKED[name])
    assert len(pendigits.load(path, origin=origin_of())) == 4
    assert len(pendigits.load(str(tmp_path), origin=origin_of())) == 4
    monkeypatch.setenv("NUMCNN_PENDIGITS", str(tmp_path))
    assert pendigits.load(origin=origin_of()).labels.tolist() == LABELS
    other = path.rename(tmp_path / "digits.dat")  # the content matters, not the name
    assert len(pendigits.load(other, origin=origin_of())) == 4


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n" + PAGE, "is a web page: a download that was answered with an error page"),
        (TEXT[:-40], "is cut off, damaged or another file: the SHA-256 of its text is"),
        (b"a,b,c\n1,2,3\n", "is not UNIPEN text"),
        (gzip.compress(TEXT)[:-30], "is damaged or cut off"),
        (gzip.compress(TEXT)[:40] + b"xxxx" + gzip.compress(TEXT)[44:], "is damaged or cut off"),
        (lzw(TEXT)[:4], "is damaged or cut off"),
        (lzw(TEXT)[:3] + b"\xff" * 40, "is damaged or cut off"),
        (zipped({"readme": b"nothing"}), r"is a ZIP archive without pendigits-orig\.tra"),
        (zipped({"pendigits-orig.tra": TEXT})[:-30], "is damaged or cut off"),
    ],
)
def test_another_or_a_damaged_file_is_refused(content, message, tmp_path):
    path = tmp_path / "pendigits-orig.tra"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"pendigits-orig\.tra {message}"):
        pendigits.load(path, origin=origin_of())


def test_a_file_that_is_far_too_large_is_not_unpacked(tmp_path, monkeypatch):
    path = tmp_path / "pendigits-orig.tra.gz"
    path.write_bytes(gzip.compress(TEXT))
    monkeypatch.setattr(pendigits, "MOST_BYTES", len(TEXT) - 1)  # the text is cut there, and then isn't the right one
    with pytest.raises(DataError, match="is cut off, damaged or another file"):
        pendigits.load(path, origin=origin_of())
    monkeypatch.setattr(pendigits, "MOST_BYTES", 10)
    with pytest.raises(DataError, match=r"bytes, far more than pendigits-orig\.tra: it is another file"):
        pendigits.load(path, origin=origin_of())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'? "4"', b'? "x"'),
        (b".COMMENT 4", b".REMARK 4"),
        (b".PEN_DOWN\n", b".PEN_DOWN\n.PEN_UP\n"),
        (b"DOWN\n", b"DOWN\nx "),
    ],
)
def test_a_digit_that_is_not_as_it_should_be_is_named(old, new, tmp_path):
    broken = TEXT.replace(old, new)
    assert broken != TEXT
    with pytest.raises(DataError, match=r"here: digit \d has no label, no writer or no points x y"):
        pendigits.parse(broken, "here")
    with pytest.raises(DataError, match="holds no digits"):
        pendigits.parse(b".LEXICON")


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere: no such file or folder; wants pendigits-orig\.tra"):
        pendigits.load(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"has no pendigits-orig\.tra \(nor with \.gz, \.Z, \.zip\)"):
        pendigits.load(tmp_path)


@pytest.mark.parametrize("widest", [10, 12, 16])
def test_codes_of_every_width_and_a_full_table_are_unpacked(widest):
    """The packing is checked by gzip, which unpacks it too, where there is one."""
    random = np.random.default_rng(0).integers(0, 256, 70_000, np.uint8).tobytes()
    for data in (b"", b"a", b"a" * 5000, random):
        packed = lzw(data, widest)
        assert unix_compress.unpack(packed, len(data) + 200_000) == data
        if shutil.which("gzip"):
            done = subprocess.run(["gzip", "-dc"], input=packed, stdout=subprocess.PIPE, check=True)
            assert done.stdout == data


def test_a_few_kilobytes_do_not_unpack_to_gigabytes(tmp_path, monkeypatch):
    """Here with an eighth of the limit: 130,000 bytes can unpack to 2 GB."""
    monkeypatch.setattr(pendigits, "MOST_TEXT", pendigits.MOST_TEXT // 8)
    path = tmp_path / "pendigits-orig.tra.Z"
    path.write_bytes(lzw(b"a" * 600_000))
    assert path.stat().st_size < 2000
    tracemalloc.start()
    with pytest.raises(DataError, match=r"\.Z is damaged or cut off: it unpacks to more than 500,000 bytes"):
        pendigits.load(path, origin=origin_of())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3e6
    path.write_bytes(lzw(b"a")[:3] + bytes(500_000))
    with pytest.raises(DataError, match="it has more than 500,000 bytes"):
        pendigits.load(path, origin=origin_of())


def test_an_encrypted_archive_is_refused(tmp_path):
    content = bytearray(zipped({"pendigits-orig.tra": TEXT}))
    for header, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(header) + place] |= 1
    (tmp_path / "pendigits-orig.tra.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"is damaged or cut off: .*encrypted"):
        pendigits.load(tmp_path, origin=origin_of())


def test_an_archive_within_an_archive_is_refused(tmp_path):
    inner = zipped({"pendigits-orig.tra": TEXT})
    (tmp_path / "pendigits-orig.tra.zip").write_bytes(zipped({"pendigits-orig.tra": inner}))
    with pytest.raises(DataError, match="is damaged or cut off: it holds another archive"):
        pendigits.load(tmp_path, origin=origin_of())


# --------------------------------------------------------------------------------------------------- downloading


class Server:
    """A web server on the loopback: ``files`` by path, 404 for others; ``longer``: promise so many bytes more."""

    def __init__(self):
        self.files, self.asked, self.longer = {}, [], 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked.append(self.path)
                if self.path not in server.files:
                    return self.send_error(404)
                content = server.files[self.path]
                self.send_response(200)
                self.send_header("Content-Length", str(len(content) + server.longer))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def url(self, path):
        return f"http://127.0.0.1:{self.httpd.server_port}{path}"


@pytest.fixture
def server():
    running = Server()
    yield running
    running.httpd.shutdown()
    running.httpd.server_close()
    running.thread.join()


@pytest.fixture
def fetch(server, tmp_path):
    """Load from a cache that is empty at first, and from the server's /first.Z, then /second.zip -> digits, lines."""
    origin = origin_of(cache=tmp_path / "cache", urls=(server.url("/first.Z"), server.url("/second.zip")), seconds=5)

    def load():
        lines = []
        return pendigits.load(origin=origin, report=lines.append), lines

    return load


def test_it_is_downloaded_once_and_kept_as_text(server, fetch, tmp_path):
    server.files["/first.Z"] = PACKED["pendigits-orig.tra.Z"]
    people, lines = fetch()
    assert people.labels.tolist() == LABELS and lines == [f"Downloading {server.url('/first.Z')}."]
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["pendigits-orig.tra"]
    assert (tmp_path / "cache" / "pendigits-orig.tra").read_bytes() == TEXT
    again, lines = fetch()
    assert again.labels.tolist() == LABELS and lines == [] and server.asked == ["/first.Z"]


def test_the_second_address_is_asked_when_the_first_has_nothing_useful(server, fetch):
    server.files["/second.zip"] = PACKED["pendigits-orig.tra.zip"]
    assert fetch()[0].labels.tolist() == LABELS
    assert server.asked == ["/first.Z", "/second.zip"]


def test_a_damaged_cache_is_mended(server, fetch, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "pendigits-orig.tra").write_bytes(TEXT[:500])
    server.files["/first.Z"] = PACKED["pendigits-orig.tra.Z"]
    people, lines = fetch()
    assert len(people) == 4 and lines[0].endswith("Downloading it again.")
    assert (tmp_path / "cache" / "pendigits-orig.tra").read_bytes() == TEXT


@pytest.mark.parametrize(
    ("files", "longer", "message"),
    [
        ({}, 0, r"first\.Z answered 404 Not Found; .*second\.zip answered 404"),
        ({"/first.Z": PAGE}, 0, r"first\.Z is a web page.*; http.*second\.zip answered 404"),
        ({"/first.Z": lzw(TEXT[:300])}, 0, r"first\.Z is cut off, damaged or another file"),
        ({"/first.Z": lzw(TEXT)}, 100, r"first\.Z broke off after [\d,]+ bytes"),
    ],
)
def test_a_failed_download_says_why_and_leaves_nothing(server, fetch, tmp_path, files, longer, message):
    server.files, server.longer = files, longer
    with pytest.raises(DataError, match=f"could not be downloaded: http.*{message}") as caught:
        fetch()
    assert "dataset/81 and set NUMCNN_PENDIGITS to it" in str(caught.value)
    assert list((tmp_path / "cache").iterdir()) == []


def test_no_more_is_downloaded_than_the_file_can_have(server, fetch, monkeypatch):
    server.files["/first.Z"] = PACKED["pendigits-orig.tra.Z"]
    monkeypatch.setattr(pendigits, "MOST_BYTES", 10)
    with pytest.raises(DataError, match=r"first\.Z has 11 bytes, far more than pendigits-orig\.tra"):
        fetch()


def test_nobody_there_and_no_place_to_write(tmp_path):
    nobody = origin_of(cache=tmp_path / "cache", urls=("http://127.0.0.1:1/x.Z",))
    with pytest.raises(DataError, match=r"127\.0\.0\.1:1/x\.Z cannot be reached \("):
        pendigits.load(origin=nobody, report=[].append)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot write to the cache folder"):
        pendigits.load(origin=nobody._replace(cache=tmp_path / "file" / "cache"), report=[].append)


def test_the_real_ones(real_pens):
    people = pendigits.load(real_pens)
    assert np.bincount(people.labels).tolist() == [780, 779, 780, 719, 780, 720, 720, 778, 719, 719]
    assert sorted(set(people.writers.tolist())) == list(range(1, 31))
    assert len(people.of(range(26, 31))) == 1248
