"""Names for the arrays that functions take and return.  The name says the dtype, the docstring says the shape."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.floating[Any]]  # float32 or float64: all of a network's arrays have the same
Float64s: TypeAlias = npt.NDArray[np.float64]  # coordinates, statistics
Bytes: TypeAlias = npt.NDArray[np.uint8]  # pictures 0..255, labels, winners of a max-pool
Ints: TypeAlias = npt.NDArray[np.integer[Any]]  # labels, indices, counts
Bools: TypeAlias = npt.NDArray[np.bool_]  # masks
AnyArray: TypeAlias = npt.NDArray[Any]

Pair: TypeAlias = tuple[int, int]  # (height, width): a stride, a window
Scalar: TypeAlias = float | np.floating[Any]  # of the arrays' dtype
