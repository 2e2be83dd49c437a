"""Downloads of MNIST from real servers on the loopback: good ones, broken ones and dead ones.

The "MNIST" served here is small and of our own making (fixture tiny_mnist); its hashes are passed in.
"""

import contextlib
import gzip
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import stat
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from processes import PATIENCE_SECONDS, running, wait_for

from numcnn.data import download, idx, mnist
from numcnn.errors import DataError

TRAIN = "train-images-idx3-ubyte"  # the one file large enough to break in the middle


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch):
    monkeypatch.delenv("NUMCNN_MIRRORS", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


class Mirror:
    """A web server on the loopback that hands out ``files`` (name: bytes), as badly as its settings say.

    status: answer with this instead.  page: answer everything with it.  ranges: respect the Range header.
    cuts: after how many bytes to hang up, one number per answer, then no more.  stall: ... or not hang up but fall
    silent until ``hang_up`` is set.  gate: a barrier that answers with the training images wait at.
    """

    def __init__(self, files):
        self.files, self.asked, self.sent = files, [], {}
        self.status, self.page, self.ranges, self.cuts, self.stall, self.gate = 200, None, True, [], False, None
        self.hang_up = threading.Event()
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                mirror.answer(self)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server.server_port}/mnist/"

    def answer(self, request):
        name, wanted = request.path.removeprefix("/mnist/"), request.headers["Range"]
        self.asked.append((name, wanted))
        if self.status != 200:
            return request.send_error(self.status)
        content = self.page if self.page is not None else self.files[name]
        size, start = len(content), 0
        if wanted and self.ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
            if start >= size:
                return request.send_error(416)
            content = content[start:]
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        with contextlib.suppress(ConnectionError):
            self.send(request, name, content, self.cuts.pop(0) if self.cuts else len(content))

    def send(self, request, name, content, cut):
        if self.gate and name.startswith(TRAIN):
            self.gate.wait()
        request.wfile.write(content[:cut])
        self.sent[name] = self.sent.get(name, 0) + cut
        if cut < len(content) and self.stall:
            self.hang_up.wait()


@pytest.fixture
def mirror_of():
    """Start a Mirror of a folder's files; stopped after the test."""
    mirrors = []

    def start(folder):
        mirrors.append(Mirror({path.name: path.read_bytes() for path in Path(folder).iterdir()}))
        return mirrors[-1]

    yield start
    for mirror in mirrors:
        mirror.hang_up.set()
        mirror.server.shutdown()
        mirror.server.server_close()


@pytest.fixture
def closed_port():
    """The address of a port on which nobody listens."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{reserved.getsockname()[1]}/"


@pytest.fixture
def black_hole():
    """The address of a server that takes every connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield f"http://127.0.0.1:{silent.getsockname()[1]}/"


class Fetcher:
    """Calls mnist.fetch with a cache, files and mirrors; keeps the lines that were reported."""

    def __init__(self, cache, files):
        self.cache, self.files, self.lines = cache, files, []

    def __call__(self, *mirrors, roles=tuple(mnist.FILES), **how):
        addresses = tuple(getattr(mirror, "address", mirror) for mirror in mirrors)
        origin = mnist.Origin(self.files, self.cache, addresses, **how)
        return mnist.fetch(roles, origin, report=self.lines.append)

    def names(self):
        return sorted(path.name for path in self.cache.iterdir())


@pytest.fixture
def fetch(tmp_path, tiny_mnist):
    return Fetcher(tmp_path / "cache" / "mnist", tiny_mnist[1])


def assert_is_tiny(arrays, tiny_mnist):
    for role, expected in mnist.read_folder(tiny_mnist[0]).items():
        np.testing.assert_array_equal(arrays[role], expected)


ALL_NAMES = sorted(file.name for file in mnist.FILES.values())

# ------------------------------------------------------------------------------------------------------ downloads


def test_download_then_cache(fetch, mirror_of, tiny_mnist, capfd):
    mirror = mirror_of(tiny_mnist[0])
    assert_is_tiny(fetch(mirror), tiny_mnist)
    assert fetch.names() == ALL_NAMES  # and no .part, no temporary file
    assert len(fetch.lines) == 4 and fetch.lines[0] == f"Downloading {mirror.address}{TRAIN}.gz."
    assert len(mirror.asked) == 4
    assert_is_tiny(fetch(mirror), tiny_mnist)
    assert len(mirror.asked) == 4  # the second time came from the cache
    assert capfd.readouterr() == ("", "")  # neither pooch nor a bar talks where there is no terminal
    if os.name == "posix":
        assert {stat.S_IMODE(path.stat().st_mode) for path in fetch.cache.iterdir()} == {0o644}


def test_only_what_is_asked_for_is_downloaded(fetch, mirror_of, tiny_mnist):
    arrays = fetch(mirror_of(tiny_mnist[0]), roles=("test_images", "test_labels"))
    assert list(arrays) == ["test_images", "test_labels"]
    assert fetch.names() == [name for name in ALL_NAMES if name.startswith("t10k")]


@pytest.mark.parametrize("again", [lambda raw: gzip.compress(raw, 1, mtime=12345), lambda raw: raw])
def test_uncompressed_bytes_are_what_counts(fetch, mirror_of, tiny_mnist, again):
    mirror = mirror_of(tiny_mnist[0])
    mirror.files = {name: again(gzip.decompress(content)) for name, content in mirror.files.items()}
    assert_is_tiny(fetch(mirror), tiny_mnist)


def test_first_mirror_is_down(fetch, mirror_of, tiny_mnist, closed_port):
    assert_is_tiny(fetch(closed_port, mirror_of(tiny_mnist[0])), tiny_mnist)
    assert len(fetch.lines) == 5  # it is asked once, not once for each file
    assert re.fullmatch(
        rf"{closed_port} cannot be reached \(.*refused.*\); asking the next mirror\.", fetch.lines[0], re.I
    )


@pytest.mark.parametrize(
    ("status", "page", "reason"),
    [
        (403, None, "answered 403 Forbidden"),
        (404, None, "answered 404 Not Found"),
        (500, None, "answered 500 Internal Server Error"),
        (200, b"<html>Log in to use this network</html>", "sent something else than an IDX file, such as a web page"),
        (200, b"", "broke off after 0 bytes of train-images-idx3-ubyte.gz"),
        (200, gzip.compress(bytes(1000)) + bytes(300_000), "sent more than the 156,816 bytes of train-images-idx3"),
    ],
)
def test_mirror_without_the_file(fetch, mirror_of, tiny_mnist, status, page, reason):
    bad, good = mirror_of(tiny_mnist[0]), mirror_of(tiny_mnist[0])
    bad.status, bad.page = status, page
    assert_is_tiny(fetch(bad, good), tiny_mnist)
    assert any(line.startswith(f"{bad.address} {reason}") for line in fetch.lines)
    assert len(bad.asked) == 1
    assert (TRAIN + ".gz", None) in good.asked  # nothing of the page is continued
    assert fetch.names() == ALL_NAMES


def damaged_in_the_middle(content):
    return content[: len(content) // 2] + b"\0\1\2\3" + content[len(content) // 2 + 4 :]


def other_images(content):
    return gzip.compress(bytes([255 - byte for byte in gzip.decompress(content)[:16]]) + gzip.decompress(content)[16:])


def with_more_data(content):
    return gzip.compress(gzip.decompress(content) + bytes(100_000))


@pytest.mark.parametrize("spoil", [damaged_in_the_middle, other_images, with_more_data])
def test_damaged_content(fetch, mirror_of, tiny_mnist, spoil):
    bad, good = mirror_of(tiny_mnist[0]), mirror_of(tiny_mnist[0])
    bad.files[TRAIN + ".gz"] = spoil(bad.files[TRAIN + ".gz"])
    assert_is_tiny(fetch(bad, good), tiny_mnist)
    assert f"{bad.address} sent a damaged {TRAIN}.gz; asking the next mirror." in fetch.lines
    assert len(bad.asked) == 1 and good.asked[0] == (TRAIN + ".gz", None)


def test_broken_transfer_goes_on_where_it_stopped(fetch, mirror_of, tiny_mnist):
    mirror = mirror_of(tiny_mnist[0])
    mirror.cuts = [50_000, 40_000]
    assert_is_tiny(fetch(mirror), tiny_mnist)
    assert [wanted for name, wanted in mirror.asked if name.startswith(TRAIN)] == [
        None,
        "bytes=50000-",
        "bytes=90000-",
    ]
    assert mirror.sent[TRAIN + ".gz"] == len(mirror.files[TRAIN + ".gz"])  # not a byte twice
    assert fetch.lines[1] == f"Downloading {mirror.address}{TRAIN}.gz, resuming after 50,000 bytes."


def test_next_run_goes_on_where_this_one_stopped(fetch, mirror_of, tiny_mnist, closed_port):
    breaking, healthy = mirror_of(tiny_mnist[0]), mirror_of(tiny_mnist[0])
    breaking.cuts = [60_000, 0]
    with pytest.raises(mnist.UnavailableError) as failed:
        fetch(breaking, closed_port)
    part = fetch.cache / f"{TRAIN}.gz.part"
    assert f"{breaking.address} broke off after 60,000 bytes of {TRAIN}.gz; {closed_port} cannot" in str(failed.value)
    assert f"60,000 bytes are kept in {part} to resume from." in str(failed.value)
    assert part.read_bytes() == breaking.files[TRAIN + ".gz"][:60_000]
    assert_is_tiny(fetch(healthy), tiny_mnist)
    assert healthy.asked[0] == (TRAIN + ".gz", "bytes=60000-")
    assert healthy.sent[TRAIN + ".gz"] == len(healthy.files[TRAIN + ".gz"]) - 60_000
    assert fetch.names() == ALL_NAMES


def test_server_without_ranges_starts_over(fetch, mirror_of, tiny_mnist):
    mirror = mirror_of(tiny_mnist[0])
    mirror.ranges, mirror.cuts = False, [60_000]
    assert_is_tiny(fetch(mirror), tiny_mnist)
    assert mirror.sent[TRAIN + ".gz"] == len(mirror.files[TRAIN + ".gz"]) + 60_000


def test_transfer_was_complete_but_never_checked(fetch, mirror_of, tiny_mnist):
    mirror = mirror_of(tiny_mnist[0])
    fetch.cache.mkdir(parents=True)
    (fetch.cache / f"{TRAIN}.gz.part").write_bytes(mirror.files[TRAIN + ".gz"])
    assert_is_tiny(fetch(mirror), tiny_mnist)
    assert TRAIN + ".gz" not in mirror.sent
    assert fetch.names() == ALL_NAMES


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("size", [60_000, 400_000])  # less and more than the server has
def test_file_changed_since_the_break(fetch, mirror_of, tiny_mnist, size, ranges):
    mirror = mirror_of(tiny_mnist[0])
    mirror.ranges = ranges
    fetch.cache.mkdir(parents=True)
    old = gzip.compress(np.random.default_rng(1).bytes(500_000))
    (fetch.cache / f"{TRAIN}.gz.part").write_bytes(old[:size])
    assert_is_tiny(fetch(mirror), tiny_mnist)
    asked = [wanted for name, wanted in mirror.asked if name.startswith(TRAIN)]
    assert asked == ([f"bytes={size}-", None] if ranges else [f"bytes={size}-"])


def test_break_at_a_mirror_that_compressed_less(fetch, mirror_of, tiny_mnist):
    """What is kept is longer than the other mirror's whole file, and yet cut off: it must not block for ever."""
    mirror = mirror_of(tiny_mnist[0])
    name = "train-labels-idx1-ubyte.gz"
    loose = gzip.compress(gzip.decompress(mirror.files[name]), 0)
    fetch.cache.mkdir(parents=True)
    (fetch.cache / f"{name}.part").write_bytes(loose[:150])
    assert len(mirror.files[name]) < 150 < len(loose)
    assert_is_tiny(fetch(mirror), tiny_mnist)
    assert [wanted for asked, wanted in mirror.asked if asked == name] == ["bytes=150-", None]


def test_cut_off_on_the_server_itself(fetch, mirror_of, tiny_mnist):
    bad, good = mirror_of(tiny_mnist[0]), mirror_of(tiny_mnist[0])
    bad.files[TRAIN + ".gz"] = bad.files[TRAIN + ".gz"][:50_000]
    assert_is_tiny(fetch(bad, good), tiny_mnist)
    assert len(bad.asked) <= download.TRIES


def test_black_holes_are_given_up_together(fetch, black_hole):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        other = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        started = time.monotonic()
        with pytest.raises(mnist.UnavailableError) as failed:
            fetch(black_hole, other, connect_seconds=1.0)
        seconds = time.monotonic() - started
    assert 0.9 < seconds < 10
    first, second = f"{black_hole} did not answer within 0.5 s; ", f"{other} did not answer within "
    assert re.search(rf"{first}{second}0\.[1-5] s\.", str(failed.value))  # what the first has left
    assert mnist.OFFICIAL.connect_seconds < 9.5  # the default, for all mirrors and files together: "within 10 s"


def test_black_hole_then_a_mirror(fetch, mirror_of, tiny_mnist, black_hole):
    # The good mirror has what is left of the time, and is given enough of it to answer on a busy machine.
    assert_is_tiny(fetch(black_hole, mirror_of(tiny_mnist[0]), connect_seconds=3.0), tiny_mnist)
    assert fetch.lines[0] == f"{black_hole} did not answer within 1.5 s; asking the next mirror."


def test_deadline_reaches_what_sockets_time_outs_do_not():
    with pytest.raises(TimeoutError):  # else it would wait for ever
        download._within(0.1, threading.Event().wait)  # such as a name server that never answers


def test_stalled_transfer_is_continued_elsewhere(fetch, mirror_of, tiny_mnist):
    stalling, healthy = mirror_of(tiny_mnist[0]), mirror_of(tiny_mnist[0])
    stalling.cuts, stalling.stall = [65_536, 0], True  # and never hangs up, so that waiting for it would have no end
    assert_is_tiny(fetch(stalling, healthy, stall_seconds=1.0), tiny_mnist)
    assert healthy.asked[0] == (TRAIN + ".gz", "bytes=65536-")


def test_message_says_how_to_get_it_by_hand(fetch, closed_port):
    with pytest.raises(mnist.UnavailableError) as failed:
        fetch(closed_port)
    assert isinstance(failed.value, DataError)
    for text in [name + ".gz" for name in ALL_NAMES] + [*mnist.MIRRORS, "NUMCNN_DATA", "`data_dir`", closed_port]:
        assert str(failed.value).count(text) == 1
    assert fetch.names() == []


def test_message_names_each_mirror_once(fetch, closed_port, monkeypatch):
    other = closed_port.replace("127.0.0.1", "localhost")
    monkeypatch.setenv("NUMCNN_MIRRORS", f"{closed_port} {other}")
    with pytest.raises(mnist.UnavailableError) as failed:
        fetch()
    message = str(failed.value)
    assert message.count(closed_port) == message.count(other) == 1 and "t10k-labels-idx1-ubyte.gz into" in message
    assert failed.value.reason == "none of the mirrors could be reached"
    assert fetch.lines == []  # the exception says it all


def test_a_mirror_that_was_reached_is_not_called_unreachable(fetch, mirror_of, tiny_mnist, closed_port):
    broken = mirror_of(tiny_mnist[0])
    broken.status = 503
    with pytest.raises(mnist.UnavailableError) as failed:
        fetch(closed_port, broken)
    assert failed.value.reason.startswith("no mirror has sent it; the last one answered 503")


@pytest.mark.parametrize("address", ["no-scheme.example/mnist", "file:///etc/", "http://", "http://127.0.0.1:99999/"])
def test_invalid_address(fetch, address):
    with pytest.raises(mnist.UnavailableError, match=f"{address.rstrip('/')}/? cannot be reached"):
        fetch(address)


def test_cache_cannot_be_written(fetch, mirror_of, tiny_mnist):
    fetch.cache.parent.write_text("a file where the cache folder should be")
    mirror = mirror_of(tiny_mnist[0])
    with pytest.raises(mnist.UnavailableError, match=re.escape(f"cannot write to the cache folder {fetch.cache} (")):
        fetch(mirror)
    assert mirror.asked == []


def test_cache_is_read_only(fetch, mirror_of, tiny_mnist):
    fetch.cache.mkdir(parents=True)
    fetch.cache.chmod(0o555)
    if os.access(fetch.cache, os.W_OK):
        pytest.skip("this user may write even where the mode forbids it")
    with pytest.raises(mnist.UnavailableError, match=r"cannot write to the cache folder .* \(Permission denied\)"):
        fetch(mirror_of(tiny_mnist[0]))


@pytest.mark.parametrize("damage", ["cut", "other bytes", "web page"])
def test_damaged_cache_is_reported_and_replaced(fetch, mirror_of, tiny_mnist, damage):
    fetch(mirror_of(tiny_mnist[0]))
    path = fetch.cache / TRAIN
    good = path.read_bytes()
    path.write_bytes({"cut": good[:-9], "other bytes": good[:-1] + b"\0", "web page": b"<html>"}[damage])
    fetch.lines.clear()
    mirror = mirror_of(tiny_mnist[0])
    assert_is_tiny(fetch(mirror), tiny_mnist)
    assert fetch.lines[0].startswith(str(path)) and fetch.lines[0].endswith(" Downloading it again.")
    assert mirror.asked == [(TRAIN + ".gz", None)]
    assert path.read_bytes() == good


# ------------------------------------------------------------------------------------------------------ processes

FETCH_IN_A_PROCESS = """
import json, sys
from numcnn.data import mnist
files = {role: mnist.IdxFile(*file) for role, file in json.loads(sys.argv[1]).items()}
print("ready", flush=True)
origin = mnist.Origin(files, sys.argv[2], stall_seconds=float(sys.argv[3]))
mnist.fetch(origin=origin, report=lambda line: print(line, flush=True))
"""


def fetching(fetch, mirror):
    """Fetch in a process of its own, which waits for bytes as long as the test does."""
    arguments = json.dumps(fetch.files), fetch.cache, PATIENCE_SECONDS
    return running("-c", FETCH_IN_A_PROCESS, *arguments, NUMCNN_MIRRORS=mirror.address)


def test_two_processes_at_once(fetch, mirror_of, tiny_mnist):
    mirror = mirror_of(tiny_mnist[0])
    mirror.gate = threading.Barrier(2, timeout=PATIENCE_SECONDS)  # neither gets a byte before both have asked
    with fetching(fetch, mirror) as one, fetching(fetch, mirror) as other:
        for process in (one, other):
            output, errors = process.communicate()
            assert process.returncode == 0, errors
            assert output.startswith("ready")
    assert [asked for asked in mirror.asked if asked[0].startswith(TRAIN)] == [(TRAIN + ".gz", None)] * 2
    assert fetch.names() == ALL_NAMES
    assert_is_tiny(mnist.read_mnist(fetch.cache, files=fetch.files), tiny_mnist)


@pytest.mark.skipif(os.name != "posix", reason="sends a POSIX signal")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_download_can_be_continued(fetch, mirror_of, tiny_mnist, how):
    mirror = mirror_of(tiny_mnist[0])
    mirror.cuts, mirror.stall = [60_000], True
    part = fetch.cache / f"{TRAIN}.gz.part"
    with fetching(fetch, mirror) as process:
        wait_for(lambda: part.exists() and part.stat().st_size >= 40_000, "a part of the file")
        process.send_signal(how)
        process.communicate()
        assert process.returncode != 0
    kept = part.read_bytes()
    assert 40_000 <= len(kept) <= 60_000
    assert mirror.files[TRAIN + ".gz"].startswith(kept)
    assert not (fetch.cache / TRAIN).exists()
    assert_is_tiny(fetch(mirror), tiny_mnist)
    assert (TRAIN + ".gz", f"bytes={len(kept)}-") in mirror.asked


# ------------------------------------------------------------------------------------------------ the real MNIST


def test_real_mnist_through_a_mirror(real_mnist, tmp_path, mirror_of):
    """The real names, sizes and hashes, over HTTP with a break, into a cache that then works."""
    folder = tmp_path / "served"
    folder.mkdir()
    for role, file in mnist.FILES.items():
        found = mnist.locate(real_mnist, role)
        content = found.read_bytes()
        packed = content if content.startswith(idx.GZIP_MAGIC) else gzip.compress(content, 1)
        (folder / f"{file.name}.gz").write_bytes(packed)
    mirror = mirror_of(folder)
    mirror.cuts = [5_000_000]
    cache = tmp_path / "cache"
    mnist.fetch(origin=mnist.Origin(cache=cache, mirrors=(mirror.address,)), report=lambda line: None)
    shutil.rmtree(folder)
    for file in mnist.FILES.values():
        assert hashlib.sha256((cache / file.name).read_bytes()).hexdigest() == file.sha256
