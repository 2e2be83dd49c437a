"""Where the pictures come from: IDX files, MNIST, generated digits.  Importing this loads nothing beyond NumPy."""

from numcnn.data.loading import Dataset, load, title_of

__all__ = ["Dataset", "load", "title_of"]
