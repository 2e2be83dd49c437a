"""The one function that gets a data set: MNIST, a folder of IDX files, generated digits, or the mixture."""

import textwrap
from collections.abc import Callable
from pathlib import Path

from numcnn.data import generated, mixture, mnist
from numcnn.data.dataset import KEYWORDS, MIXTURES, Dataset, check_seed
from numcnn.data.download import to_stderr
from numcnn.data.sources import Sources
from numcnn.errors import ConfigError
from numcnn.files import as_path

TEST_SEED = 1  # of the generated test set; training seeds are doubled, so that none equals it


def title_of(name: str) -> str:
    """Return a data set's name for reports; generated digits are marked so that nobody mistakes them for MNIST."""
    titles = {
        "mnist": "MNIST",
        "generated": "GENERATED DIGITS, not MNIST",
        "everyone": "the mixture everyone (tested on MNIST)",
    }
    titles |= {name: f"the mixture {name} (tested on strangers' pen strokes)" for name in MIXTURES[1:]}
    return titles.get(name, str(name))


def load(  # noqa: PLR0913  (the public door documents each keyword; inside, they travel as one record)
    dataset: str | Path = "auto",
    data_dir: str | Path | None = None,
    *,
    seed: int = 0,
    limit: int | None = None,
    test_only: bool = False,
    generated_train: int = 60_000,
    generated_test: int = 10_000,
    backend: str = "fast",
    progress: bool = True,
    report: Callable[[str], object] = to_stderr,
    origin: mnist.Origin = mnist.OFFICIAL,
) -> Dataset:
    """Get a data set -> Dataset.

    dataset: "mnist" (looked for in ``data_dir``, else ``NUMCNN_DATA``, else the user's cache, else downloaded),
        "generated" (digits drawn by numcnn; the test set is the same for every seed), "auto" (MNIST if available, else
        generated), "everyone" or "everyone-0" to "everyone-4" (the mixture, see `mixture.load`), or a folder with
        four IDX files named like MNIST's.
    seed, limit: keep ``limit`` of the training images, drawn at random; the test set stays whole.
    test_only: skip the training set; the data set then has no training images.
    backend: the kernels that draw the generated digits.
    progress: show a bar while downloading, on a terminal.
    report: called with each line that people should see, such as why "auto" fell back.
    origin: where MNIST is downloaded from and kept, and its hashes.

    Raises ConfigError for invalid settings, DataError for data that is missing or damaged.
    """
    _check_settings(dataset, data_dir, seed, limit)
    sources = Sources(data_dir, origin=origin, backend=backend, progress=progress, report=report)
    counts = 0 if test_only else min(generated_train, limit or generated_train), generated_test
    if str(dataset) not in KEYWORDS:
        whole = _from_folder(Path(dataset), test_only, origin)
    elif dataset == "generated":
        whole = _generated(*counts, seed, sources)
    elif dataset in MIXTURES:
        whole = mixture.load(str(dataset), sources, seed=seed, test_only=test_only)
    else:
        try:
            whole = sources.load_mnist(test_only=test_only)
        except mnist.UnavailableError as error:
            if dataset == "mnist":
                raise
            report("MNIST can't be downloaded: using generated digits instead.")
            report(textwrap.shorten(f"The reason: {error.reason}", 80, placeholder=" ..."))
            report("To use MNIST, name the folder of its files: NUMCNN_DATA=DIR, or --data-dir DIR.")
            whole = _generated(*counts, seed, sources)
    return whole.limited(limit, seed)


def _from_folder(folder: Path, test_only: bool, origin: mnist.Origin) -> Dataset:
    """Read IDX files named like MNIST's.  The data set is named after its folder, or "mnist" if the hashes match."""
    arrays = mnist.read_folder(as_path(folder), mnist.roles(test_only))
    name = folder.resolve().name
    if mnist.mismatch(arrays, origin.files) is None:
        name = "mnist"
    elif name in KEYWORDS:
        name = f"custom-{name}"
    return Dataset.from_arrays(name, f"IDX files from {folder}", arrays)


def _generated(n_train: int, n_test: int, seed: int, sources: Sources) -> Dataset:
    training = f"{n_train:,} for training and " if n_train else ""
    sources.report(f"Drawing digits: {training}{n_test:,} for testing.")
    train = generated.generate(n_train, 2 * seed, backend=sources.backend)
    test = generated.generate(n_test, TEST_SEED, backend=sources.backend)
    return Dataset("generated", *train, *test, f"digits drawn by numcnn, seed {seed}")


def _check_settings(dataset: str | Path, data_dir: str | Path | None, seed: int, limit: int | None) -> None:
    check_seed(seed)
    if limit is not None and limit < 1:
        raise ConfigError(f"limit is {limit}: at least 1 training image is needed.")
    if data_dir and str(dataset) not in ("auto", "mnist", *MIXTURES):
        raise ConfigError(f"`data_dir` is where MNIST is looked for; it cannot be used with `dataset='{dataset}'`.")
    if dataset in mixture.EARLIER and not as_path(dataset).is_dir():
        raise ConfigError(f"the data set {dataset} is now {mixture.EARLIER[str(dataset)]}, with more in it")
    if str(dataset) not in KEYWORDS and not as_path(dataset).is_dir():
        raise ConfigError(f"`dataset='{dataset}'` is neither a folder nor one of {', '.join(KEYWORDS)}.")
