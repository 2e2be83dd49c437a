"""Check what the shipped weights read of MNIST's test set.  shipped_weights.py FOLDER, with NAME.json of `evaluate`"""

import json
import sys
from pathlib import Path

FLOORS = {"canonical": 0.995, "everyone": 0.995}

for weights, floor in FLOORS.items():
    accuracy = json.loads(Path(sys.argv[1], f"{weights}.json").read_text())["accuracy"]
    print(f"{weights}.npz {accuracy:.2%}")
    assert accuracy >= floor, f"the floor of {weights}.npz is {floor:.1%}"
