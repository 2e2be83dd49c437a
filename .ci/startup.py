"""Check how long a start takes: import under 0.3 s, the first prediction under 3 s, later ones under 1 s.

Run it from a checkout, on a machine that does nothing else.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time

from PIL import Image

from numcnn.data import generated


def best_of(times, *command, env=None):
    """Return the shortest of several runs (s): other work on the machine can only slow a run down."""
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, env=env, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - started)
    return min(seconds)


loading = best_of(7, "-c", "import numcnn")
with tempfile.TemporaryDirectory() as folder:
    picture = os.path.join(folder, "digit.png")
    Image.fromarray(generated.generate(1, 3, backend="reference")[0][0]).save(picture)
    fresh = os.path.join(folder, "checkout")  # with no compiled Python, no cached kernels
    for name in ("numcnn", "scripts", "weights"):
        shutil.copytree(name, os.path.join(fresh, name), ignore=shutil.ignore_patterns("__pycache__"))
    script = os.path.join(fresh, "scripts", "predict.py")
    env = {**os.environ, "XDG_CACHE_HOME": os.path.join(folder, "cache")}
    first, later = best_of(1, script, picture, env=env), best_of(5, script, picture, env=env)
generated.generate(2000, 0)
started = time.perf_counter()
generated.generate(20_000, 1)
drawn = 20_000 / (time.perf_counter() - started)
print(f"import {loading:.2f} s, first prediction {first:.2f} s, later {later:.2f} s, {drawn:,.0f} generated digits/s")
assert loading < 0.3 and first < 3 and later < 1 and drawn > 10_000
