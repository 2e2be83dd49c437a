"""Names for the arrays that functions take and return: the name says the dtype, the docstring says the shape.

``as_array`` makes one of what a caller gives.
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from numcnn.errors import ShapeError

Floats: TypeAlias = npt.NDArray[np.floating[Any]]  # float32 or float64: all of a network's arrays have the same
Float64s: TypeAlias = npt.NDArray[np.float64]  # coordinates, statistics
Bytes: TypeAlias = npt.NDArray[np.uint8]  # pictures 0..255, labels, winners of a max-pool
Ints: TypeAlias = npt.NDArray[np.integer[Any]]  # labels, indices, counts
Bools: TypeAlias = npt.NDArray[np.bool_]  # masks
AnyArray: TypeAlias = npt.NDArray[Any]

Pair: TypeAlias = tuple[int, int]  # (height, width): a stride, a window
Scalar: TypeAlias = float | np.floating[Any]  # of the arrays' dtype


def as_array(what: str, values: Any) -> AnyArray:
    """Return ``values`` as an array; ShapeError for what is none, such as lists of different lengths."""
    try:
        return np.asarray(values)
    except (ValueError, TypeError, OverflowError) as error:
        raise ShapeError(f"{what} can't be made an array of: {error}") from None
