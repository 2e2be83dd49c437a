"""The kernels in Numba and BLAS, compiled on first use.  ``ops`` is the back-end; importing it loads Numba."""
