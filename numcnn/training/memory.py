"""How much memory the process has used."""

import sys


def peak_memory_mb():
    """Return the most memory (MB, resident) that this process has used so far; None where the system doesn't say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e6 / 1024)
