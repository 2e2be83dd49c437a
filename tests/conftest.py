"""Fixtures that several test files share."""

import numpy as np
import pytest

from numcnn.data import idx, mnist


@pytest.fixture
def tiny_mnist(tmp_path):
    """A folder with four IDX files in MNIST's names but of our own making, and what `mnist.FILES` would say of them."""
    rng = np.random.default_rng(7)
    folder = tmp_path / "tiny"
    folder.mkdir()
    files = {}
    for part, n in (("train", 200), ("test", 50)):
        images = rng.integers(0, 256, (n, 28, 28), np.uint8)
        labels = (np.arange(n) % 10).astype(np.uint8)
        for role, array, write in (
            (f"{part}_images", images, idx.write_images),
            (f"{part}_labels", labels, idx.write_labels),
        ):
            name = mnist.FILES[role].name
            write(folder / f"{name}.gz", array)
            files[role] = mnist.IdxFile(name, idx.sha256(array), len(idx.header(array)) + array.size)
    return folder, files


def draw_digits(n, seed):
    """Return n generated digits; drawn once per test session, by the plain NumPy brush where Numba doesn't compile."""
    if (n, seed) not in _drawn:
        import numba

        from numcnn.data import strokes

        backend = "reference" if numba.config.DISABLE_JIT else "fast"
        _drawn[n, seed] = strokes.generate(n, seed, backend=backend)
    return _drawn[n, seed]


_drawn = {}


@pytest.fixture
def digits_folder(tmp_path_factory):
    """A folder with a data set of generated digits in MNIST's form: 600 to train on, 200 to test with."""
    if "folder" not in _drawn:
        folder = tmp_path_factory.mktemp("data") / "drawn"
        folder.mkdir()
        for part, n, seed in (("train", 600, 11), ("test", 200, 12)):
            images, labels = draw_digits(n, seed)
            idx.write_images(folder / mnist.FILES[f"{part}_images"].name, images)
            idx.write_labels(folder / mnist.FILES[f"{part}_labels"].name, labels)
        _drawn["folder"] = folder
    return _drawn["folder"]
