"""The benchmark: numcnn beside the frameworks that are installed, on the same batches from the same weights.

Every contestant has a process of its own (``worker``), so that no thread pool disturbs another.  In each round every
contestant works for a moment, one after the other, in an order that changes (``measure``): whatever else the machine
does affects all of them alike.  Before anything is timed, losses, gradients and logits must agree.

The frameworks are no dependencies: only the worker of a contestant in ``peers`` imports one.
"""

from collections.abc import Callable

from numcnn.errors import NumcnnError

Say = Callable[[str], None]  # prints a line about the progress


class BenchmarkError(NumcnnError):
    """Results that must not be compared, or a measurement that failed."""
