"""The kernels in Numba and BLAS, compiled on first use.  ``ops`` is the back-end; it loads Numba, so import it late."""
