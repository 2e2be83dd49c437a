"""Check the installed wheel: it brings its weights, and they read.  Writes digit.png for the commands that follow."""

from PIL import Image

import numcnn
from numcnn.data import generated

network = numcnn.load()
assert "site-packages" in numcnn.__file__ and network.info["dataset"] == "everyone"
images, labels = generated.generate(10, 5, backend="reference")
Image.fromarray(255 - images[0]).resize((200, 200)).save("digit.png")
right = int((network.predict(images) == labels).sum())
print(f"of ten generated digits the shipped weights read {right}")
assert right >= 7
