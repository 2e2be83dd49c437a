"""Some seconds of what ``python tests/soak.py`` does for hours: memory, threads and open files don't grow."""

import json
import os
import subprocess
import sys

import pytest
from processes import ROOT


@pytest.mark.compiled
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads /proc")
def test_nothing_grows():
    command = [sys.executable, ROOT / "tests" / "soak.py", "0.1"]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [name for part in found for name in part] == ["pad", "training", "predictions"]
