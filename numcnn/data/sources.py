"""Where the pictures of a data set come from, and how they are fetched or drawn: one record for all loaders."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from numcnn.data import mnist, pendigits
from numcnn.data.dataset import Dataset
from numcnn.data.download import to_stderr


@dataclass(frozen=True)
class Sources:
    """What every loader needs besides the name of a data set.

    data_dir: the folder with MNIST's files; pens: UCI's pen digits, a file or a folder; None: the environment, else
        the user's cache, else a download.
    origin, pens_origin: where these are downloaded from and kept, and their hashes.
    backend: the kernels that draw, "fast" or "reference".
    progress: show a bar while downloading, on a terminal.
    report: called with each line that people should see.
    """

    data_dir: str | Path | None = None
    pens: str | Path | None = None
    origin: mnist.Origin = mnist.OFFICIAL
    pens_origin: pendigits.Origin = pendigits.OFFICIAL
    backend: str = "fast"
    progress: bool = True
    report: Callable[[str], object] = to_stderr

    def load_mnist(self, *, test_only: bool = False) -> Dataset:
        """Get MNIST.  Raises DataError."""
        return mnist.load(
            self.data_dir, test_only=test_only, origin=self.origin, progress=self.progress, report=self.report
        )

    def load_pendigits(self) -> pendigits.PenDigits:
        """Get UCI's pen digits.  Raises DataError."""
        return pendigits.load(self.pens, origin=self.pens_origin, report=self.report)


DEFAULT = Sources()
