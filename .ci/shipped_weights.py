"""Check what the shipped weights read of MNIST's test set.  shipped_weights.py FOLDER, with NAME.json of `evaluate`"""

import json
import sys

FLOORS = {"mnist": 0.99, "best": 0.993, "pad": 0.994}

for weights, floor in FLOORS.items():
    accuracy = json.load(open(f"{sys.argv[1]}/{weights}.json"))["accuracy"]
    print(f"{weights}.npz {accuracy:.2%}")
    assert accuracy >= floor, f"the floor of {weights}.npz is {floor:.1%}"
