"""Check the run card of a small training on real MNIST: accuracy and memory.  training_smoke.py CARD"""

import json
import sys
from pathlib import Path

card = json.loads(Path(sys.argv[1]).read_text())
print({key: card[key] for key in ("test_accuracy", "images_per_second", "seconds", "peak_memory_mb")})
assert card["dataset"] == "mnist" and card["test_accuracy"] >= 0.965, "the floor is 96.5%"
assert card["peak_memory_mb"] < 500, "the limit is 500 MB"
