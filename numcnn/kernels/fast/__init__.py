"""The kernels in Numba, compiled on first use.  ``ops`` is the back-end; importing it loads Numba."""
