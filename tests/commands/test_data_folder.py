"""What ``--data-dir`` names is found again by ``--resume``, which need not be told: real processes, and no network."""

import json
import shutil

import pytest
from conftest import BACKEND, write_digits
from processes import ROOT, running, weights_below

from numcnn.data import idx, mnist

pytestmark = [pytest.mark.compiled, pytest.mark.usefixtures("no_tracker")]
SETTINGS = ["--limit", "200", "--val", "50", "--epochs", "1", "--batch-size", "30", "--backend", BACKEND]
KINDS = {
    "sweep": ["sweep", "--grid", "lr=1e-3", "--seeds", "2", "--jobs", "1"],
    "jobs": ["train", "--seeds", "2", "--jobs", "1"],
    "seeds": ["train", "--seeds", "2", "--threads", "1"],
    "train": ["train", "--threads", "1"],
}
# In each process, also in workers: the SHA-256 of MNIST are those of digits that numcnn has drawn.
CUSTOM = """
from numcnn.data import mnist
for role, sha256 in {hashes!r}.items():
    mnist.FILES[role] = mnist.FILES[role]._replace(sha256=sha256)
"""


@pytest.fixture
def run(tmp_path):
    """A function that runs numcnn in a folder where "digits" is MNIST, which can't be downloaded; exit code, stderr."""
    write_digits(tmp_path / "digits")
    hashes = {role: idx.sha256(array) for role, array in mnist.read_folder(tmp_path / "digits").items()}
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(CUSTOM.format(hashes=hashes))
    nowhere = {"NUMCNN_MIRRORS": "http://127.0.0.1:1/", "XDG_CACHE_HOME": str(tmp_path / "cache"), "NUMCNN_DATA": ""}
    environment = {**nowhere, "PYTHONPATH": f"{tmp_path / 'site'}:{ROOT}"}

    def call(*arguments, **more):
        with running("-m", "numcnn", *arguments, cwd=tmp_path, **(environment | more)) as process:
            _, stderr = process.communicate()
        return process.returncode, stderr

    return call


def unfinish(out, kind):
    """Let the last run be one that is still to be done."""
    if kind == "train":
        (out / "run.json").unlink()
    else:
        shutil.rmtree(next(out.rglob("seed-1")))


@pytest.mark.parametrize("kind", KINDS)
def test_resume_goes_on_with_the_folder_of_the_data(run, tmp_path, kind):
    out = tmp_path / "out"
    code, stderr = run(*KINDS[kind], *SETTINGS, "--data-dir", "digits", "--out", out)
    assert code == 0, stderr
    whole = weights_below(out)
    unfinish(out, kind)
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
def test_a_folder_that_is_refused_is_not_kept(run, tmp_path, kind, record, data, folder, text):
    out, half = tmp_path / "out", tmp_path / "half"
    shutil.copytree(tmp_path / "digits", half)
    next(half.glob("train-images*")).unlink()
    assert run(*KINDS[kind], *SETTINGS, data, "digits", "--out", out)[0] == 0
    kept = (out / record).read_bytes()
    code, stderr = run(KINDS[kind][0], "--resume", out, "--data-dir", folder)
    assert code == 2 and text in stderr.splitlines()[-1], stderr
    assert (out / record).read_bytes() == kept


@pytest.mark.parametrize("kind", ["sweep", "jobs"])
def test_where_that_folder_has_moved_data_are_looked_for_as_usual(run, tmp_path, kind):
    out = tmp_path / "out"
    assert run(*KINDS[kind], *SETTINGS, "--data-dir", "digits", "--out", out)[0] == 0
    whole = weights_below(out)
    unfinish(out, kind)
    (tmp_path / "digits").rename(tmp_path / "moved")
    code, stderr = run(KINDS[kind][0], "--resume", out, "--jobs", "1")
    assert code == 2 and stderr.splitlines()[-1].startswith(f"numcnn {KINDS[kind][0]}: MNIST is not on this machine"), (
        stderr
    )
    code, stderr = run(KINDS[kind][0], "--resume", out, "--jobs", "1", NUMCNN_DATA=str(tmp_path / "moved"))
    assert code == 0 and weights_below(out) == whole, stderr


@pytest.mark.parametrize(("kind", "record"), [("sweep", "sweep.json"), ("jobs", "series.json")])
def test_an_older_record_without_the_folder_goes_on_as_before(run, tmp_path, kind, record):
    out = tmp_path / "out"
    assert run(*KINDS[kind], *SETTINGS, "--data-dir", "digits", "--out", out)[0] == 0
    whole = weights_below(out)
    unfinish(out, kind)
    document = json.loads((out / record).read_text())
    assert document.pop("data_dir") == str(tmp_path / "digits")
    (out / record).write_text(json.dumps(document))
    code, stderr = run(KINDS[kind][0], "--resume", out, "--jobs", "1", "--data-dir", "digits")
    assert code == 0 and weights_below(out) == whole, stderr
    assert json.loads((out / record).read_text())["data_dir"] == str(tmp_path / "digits"), "kept for next time"
