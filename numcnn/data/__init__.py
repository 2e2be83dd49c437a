"""Where the pictures come from: IDX files, MNIST, generated digits.  Importing this loads nothing beyond NumPy."""

from numcnn.data.dataset import Dataset
from numcnn.data.loading import load, title_of

__all__ = ["Dataset", "load", "title_of"]
