"""How many threads compute, and how much memory the process has used."""

import sys

from numcnn.errors import ConfigError
from numcnn.kernels import thread_team


def use_threads(count=None):
    """Set how many threads compute in this process, in the fast kernels and in BLAS alike.  Return the number.

    None: one for each processor, or what NUMBA_NUM_THREADS says.  Raises ConfigError for more than that.
    """
    import numpy  # noqa: F401  (loads BLAS, whose threads are set below)

    most = thread_team.available_threads()
    count = most if count is None else count
    if not 1 <= count <= most:
        raise ConfigError(f"`threads` is {count}; wants 1 to {most} on this machine")
    thread_team.set_threads(count)
    thread_team.one_blas_thread.otherwise(count)
    return count


def peak_memory_mb():
    """Return the most memory (MB, resident) that this process has used so far; None where the system doesn't say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e6 / 1024)
