"""The commands with ``--backend reference``, where neither Numba nor LLVM can be loaded.

But for ``learn``, which takes minutes so.
"""

import json

import numpy as np
import pytest
from conftest import draw_digits, write_digits
from PIL import Image
from processes import ROOT, running

pytestmark = pytest.mark.once

BLOCK = "import sys\nsys.modules['numba'] = sys.modules['llvmlite'] = None"
REFERENCE = ["--backend", "reference"]
WEIGHTS = ["--weights", "run/best.npz"]
SMALL = ["--limit", "60", "--val", "20", "--epochs", "1"]
COMMANDS = {
    "train": ["train", "--dataset", "drawn", *SMALL, *REFERENCE, "--out", "run"],
    "a sweep in two processes": ["sweep", "--dataset", "drawn", "--grid", "lr=1e-3,3e-3", "--seeds", "1", "--jobs", "2",
                                 *SMALL, *REFERENCE, "--out", "sweep"],
    "evaluate": ["evaluate", *WEIGHTS, "--dataset", "drawn", *REFERENCE],
    "predict": ["predict", "crops", "--single", "--json", *REFERENCE],
    "gradcheck": ["gradcheck", "--samples", "2", *REFERENCE],
    "inspect": ["inspect", "crops/4/0.png"],
    "eject": ["eject", *WEIGHTS, "--out", "alone.py"],
}  # fmt: skip


def test_every_command_runs_without_a_word_about_kernels(tmp_path):
    write_digits(tmp_path / "drawn")
    images, labels = draw_digits(600, 11)
    for label in range(10):
        (tmp_path / "crops" / str(label)).mkdir(parents=True)
        for k, image in enumerate(images[labels == label][:4]):
            Image.fromarray(255 - np.kron(image, np.ones((3, 3), np.uint8))).save(
                tmp_path / "crops" / str(label) / f"{k}.png"
            )
    (tmp_path / "sitecustomize.py").write_text(BLOCK)
    for name, command in COMMANDS.items():
        with running(
            "-m", "numcnn", *command, cwd=tmp_path, PYTHONPATH=f"{tmp_path}:{ROOT}", NUMCNN_DATA=""
        ) as process:
            stdout, stderr = process.communicate()
        assert process.returncode == 0, (name, stderr)
        assert "kernels" not in stderr and "Traceback" not in stderr, (name, stderr)
        if name == "predict":
            found = [(document["path"].split("/")[-2], document["text"]) for document in json.loads(stdout)]
            assert np.mean([folder == text for folder, text in found]) >= 0.9
    assert (tmp_path / "alone.py").exists()
    assert len(list((tmp_path / "sweep").rglob("best.npz"))) == 2
