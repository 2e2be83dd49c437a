"""``python -m numcnn``: the same as the command ``numcnn``."""

import sys

from numcnn.cli import main

if __name__ == "__main__":
    sys.exit(main())
