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
