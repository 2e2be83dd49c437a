"""kill -9 at random points: a run that is resumed ends as if nothing had happened, and leaves nothing behind.

NUMCNN_KILLS=200 for more of them, NUMCNN_KILLS_SEED for others.
"""

import os
import subprocess
import sys

import pytest
from conftest import BACKEND, write_digits
from processes import ROOT


@pytest.mark.compiled
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the runs are forked")
def test_killed_runs_end_as_if_nothing_had_happened(tmp_path):
    data, runs = write_digits(tmp_path / "drawn"), tmp_path / "runs"
    runs.mkdir()
    count, seed = os.environ.get("NUMCNN_KILLS", "20"), os.environ.get("NUMCNN_KILLS_SEED", "0")
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "kills.py", data, runs, count, seed],
        env={**os.environ, "PYTHONPATH": str(ROOT), "NUMCNN_BACKEND": BACKEND},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) >= int(count)
    if int(count) > 20:
        print(done.stdout)
