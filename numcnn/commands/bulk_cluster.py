"""Read many pictures on a cluster: its workers open the files by their paths, so they must share a file system.

Sent as bytes instead, all pictures would pass through one machine and the scheduler.  ``recognition/bulk.py`` makes the
lists of pictures, keeps their order and deals with workers that end; ``training/jobs.py`` reaches the cluster.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numcnn
from numcnn.errors import ConfigError
from numcnn.kernels.thread_team import use_threads
from numcnn.nn.checkpoint import find_weights, weights_folder
from numcnn.nn.network import load
from numcnn.recognition.bulk import Begin, WorkerEnded, read_in_order
from numcnn.recognition.file_reader import FileReader, Item, Outcome, Settings, digest_of
from numcnn.training import jobs

SHARDS_AHEAD = 1024  # begun and not yet taken, for all workers together: some megabytes of answers

_one_at_a_time = threading.Lock()  # how many threads compute is a setting of the process


@dataclass(frozen=True)
class Shard:
    """Pictures that a worker is to read.

    folder: where relative paths begin.  digest: of the network that must read them, see ``digest_of``.
    """

    settings: Settings
    items: tuple[Item, ...]
    folder: str
    digest: str
    version: str = numcnn.__version__


class ShardRead(NamedTuple):
    """What became of a shard.  unseen: the pictures whose files aren't there, or others, for the worker ``node``."""

    outcomes: list[Outcome]
    unseen: list[Item]
    node: str


def read_on_cluster(items: Sequence[Item], settings: Settings, digest: str, engine: jobs.Engine) -> Iterator[Outcome]:
    """Yield the outcome of each picture, in order, read by the network with this digest.

    Raises ConfigError if a worker doesn't see a file that is here, or has another network or numcnn; WorkerError if the
    cluster can't be reached or is lost.
    """
    if not items:  # then no cluster need be there
        return
    settings = replace(settings, weights=_for_all(settings.weights))
    with engine() as executor:
        yield from read_in_order(items, _begin_on(executor, settings, digest), SHARDS_AHEAD)


def _for_all(weights: str | None) -> str:
    """Return weights as each worker finds them: the name of a shipped file, or an absolute path."""
    path = find_weights(weights)
    return path.stem if path.parent == weights_folder() else str(path.absolute())


def _begin_on(executor: Executor, settings: Settings, digest: str) -> Begin:
    """Return a function that begins to read a list of pictures on the executor."""

    def begin(chunk: list[Item]) -> Callable[[], list[Outcome]]:
        future = jobs.submit(executor, read_shard, Shard(settings, tuple(chunk), os.getcwd(), digest))
        return lambda: _outcomes(future)

    return begin


def _outcomes(future: "Future[ShardRead]") -> list[Outcome]:
    """Wait for a shard.  Raises WorkerEnded, and ConfigError if files are here that its worker didn't see."""
    try:
        outcomes, unseen, node = future.result()
    except Exception as error:
        if jobs.workers_ended(error):
            raise WorkerEnded("workers of the cluster, one after another") from error
        raise
    for item in unseen:
        if _seen(item.path, item.size):  # so it hasn't changed since
            raise ConfigError(
                f"the worker {node} doesn't see {os.path.abspath(item.path)} as it is here; a cluster reads "
                "pictures by their paths: mount the folder there, at the same place, readable"
            )
    return outcomes


def read_shard(shard: Shard) -> ShardRead:
    """Read the pictures of a shard.  A worker calls this.

    Raises ConfigError if the worker's numcnn is another version, or its network another one.
    """
    jobs.check_version(shard.version)
    with _one_at_a_time:
        use_threads(1)  # there is a worker for each processor
        places = {item.path: os.path.join(shard.folder, item.path) for item in shard.items}
        outcomes = _reader(shard.settings, shard.digest).read((item, places[item.path]) for item in shard.items)
    unseen = [item for item in shard.items if item.size is not None and not _seen(places[item.path], item.size)]
    return ShardRead(outcomes, unseen, jobs.here())


def _seen(path: str, size: int | None) -> bool:
    """Return whether a file of this size can be opened here."""
    try:
        with open(path, "rb") as file:
            return os.fstat(file.fileno()).st_size == size
    except OSError:
        return False


@lru_cache(maxsize=1)
def _reader(settings: Settings, digest: str) -> FileReader:
    network = load(settings.weights, backend=settings.backend)
    if digest_of(network) != digest:
        raise ConfigError(
            f"the worker {jobs.here()} has other weights {settings.weights} than this machine; put the same there"
        )
    return FileReader(settings, network)
