"""What ``--data-dir`` names is found again by ``--resume``, which need not be told: real processes, and no network."""

import json
import shutil

import pytest
from conftest import write_digits
from processes import ROOT, running, weights_below

from numcnn.data import idx, mnist

pytestmark = [pytest.mark.compiled, pytest.mark.usefixtures("no_tracker")]
SETTINGS = ["--limit", "200", "--val", "50", "--epochs", "1", "--batch-size", "30", "--backend", "reference"]
KINDS = {
    "sweep": ["sweep", "--grid", "lr=1e-3", "--seeds", "2", "--jobs", "1"],
    "jobs": ["train", "--seeds", "2", "--jobs", "1"],
    "seeds": ["train", "--seeds", "2", "--threads", "1"],
    "train": ["train", "--threads", "1"],
}
# In each process, also in workers: the SHA-256 of MNIST are those of digits that numcnn has drawn, and "canonical" is a
# small network.
CUSTOM = """
from numcnn import Conv2D, Dense, Dropout, Flatten, MaxPool2D, ReLU
from numcnn.data import mnist
from numcnn.nn.models import MODELS
for role, sha256 in {hashes!r}.items():
    mnist.FILES[role] = mnist.FILES[role]._replace(sha256=sha256)
MODELS["canonical"] = lambda classes, dropout: [
    Conv2D(4, 5, stride=2), ReLU(), MaxPool2D(2), Flatten(), Dropout(dropout), Dense(classes)
]
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A function that runs numcnn in a folder where "digits" is MNIST, which can't be downloaded; exit code, stderr."""
    base = tmp_path_factory.mktemp("data_folder")
    write_digits(base / "digits")
    hashes = {role: idx.sha256(array) for role, array in mnist.read_folder(base / "digits").items()}
    (base / "site").mkdir()
    (base / "site" / "sitecustomize.py").write_text(CUSTOM.format(hashes=hashes))
    nowhere = {"NUMCNN_MIRRORS": "http://127.0.0.1:1/", "XDG_CACHE_HOME": str(base / "cache"), "NUMCNN_DATA": ""}
    environment = {**nowhere, "PYTHONPATH": f"{base / 'site'}:{ROOT}"}

    def call(*arguments, **more):
        with running("-m", "numcnn", *arguments, cwd=base, **(environment | more)) as process:
            _, stderr = process.communicate()
        return process.returncode, stderr

    call.base = base
    return call


@pytest.fixture(scope="module")
def finished(run):
    """A function that returns the folder of a finished run of a kind, trained once."""

    def of(kind):
        out = run.base / f"finished-{kind}"
        if not out.exists():
            code, stderr = run(*KINDS[kind], *SETTINGS, "--data-dir", "digits", "--out", out)
            assert code == 0, stderr
        return out

    return of


def unfinish(finished, kind, tmp_path):
    """Return a copy of a run, of which the last part is still to be done, and the weights that it ends with."""
    out = tmp_path / "out"
    shutil.copytree(finished(kind), out)
    whole = weights_below(out)
    if kind == "train":
        (out / "run.json").unlink()
    else:
        shutil.rmtree(next(out.rglob("seed-1")))
    return out, whole


@pytest.mark.parametrize("kind", KINDS)
def test_resume_goes_on_with_the_folder_of_the_data(run, finished, tmp_path, kind):
    out, whole = unfinish(finished, kind, tmp_path)
    code, stderr = run(KINDS[kind][0], "--resume", out, *KINDS[kind][-2:] * (kind != "sweep"))
    assert code == 0, stderr
    assert weights_below(out) == whole and len(whole) == (1 if kind == "train" else 2)


@pytest.mark.parametrize(
    ("kind", "record", "data", "folder", "text"),
    [
        ("sweep", "sweep.json", "--dataset", "digits", "--data-dir is where MNIST is looked for"),
        ("seeds", "series.json", "--data-dir", "half", "half"),
    ],
    ids=["the data aren't MNIST", "without training images"],
)
def test_a_folder_that_is_refused_is_not_kept(run, finished, tmp_path, kind, record, data, folder, text):
    out, half = tmp_path / "out", tmp_path / "half"
    shutil.copytree(run.base / "digits", half)
    next(half.glob("train-images*")).unlink()
    if data == "--data-dir":
        shutil.copytree(finished(kind), out)
    else:
        assert run(*KINDS[kind], *SETTINGS, data, "digits", "--out", out)[0] == 0
    kept = (out / record).read_bytes()
    code, stderr = run(KINDS[kind][0], "--resume", out, "--data-dir", tmp_path / folder if folder == "half" else folder)
    assert code == 2 and text in stderr.splitlines()[-1], stderr
    assert (out / record).read_bytes() == kept


@pytest.mark.parametrize("kind", ["sweep", "jobs"])
def test_where_that_folder_has_moved_data_are_looked_for_as_usual(run, finished, tmp_path, kind):
    out, whole = unfinish(finished, kind, tmp_path)
    moved = (run.base / "digits").rename(tmp_path / "moved")
    try:
        goes_on_where_digits_have_moved(run, out, whole, kind, moved)
    finally:
        moved.rename(run.base / "digits")


def goes_on_where_digits_have_moved(run, out, whole, kind, moved):
    code, stderr = run(KINDS[kind][0], "--resume", out, "--jobs", "1")
    assert code == 2 and stderr.splitlines()[-1].startswith(f"numcnn {KINDS[kind][0]}: MNIST is not on this machine"), (
        stderr
    )
    code, stderr = run(KINDS[kind][0], "--resume", out, "--jobs", "1", NUMCNN_DATA=str(moved))
    assert code == 0 and weights_below(out) == whole, stderr


@pytest.mark.parametrize(("kind", "record"), [("sweep", "sweep.json"), ("jobs", "series.json")])
def test_an_older_record_without_the_folder_goes_on_as_before(run, finished, tmp_path, kind, record):
    out, whole = unfinish(finished, kind, tmp_path)
    document = json.loads((out / record).read_text())
    assert document.pop("data_dir") == str(run.base / "digits")
    (out / record).write_text(json.dumps(document))
    code, stderr = run(KINDS[kind][0], "--resume", out, "--jobs", "1", "--data-dir", "digits")
    assert code == 0 and weights_below(out) == whole, stderr
    assert json.loads((out / record).read_text())["data_dir"] == str(run.base / "digits"), "kept for next time"
