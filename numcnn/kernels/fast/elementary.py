"""exp, log, sine and cosine, from sums and products alone: equal bytes on every machine.

Those of NumPy and the C library differ in their last digits from one processor, system and version to the next.  These
compute in float64, with an error of at most 3 units in its last place: rounded to float32 they are as good as exact.
None branches, so that LLVM can vectorise the loops that call them.
"""

import math

import numpy as np

from numcnn.kernels.arrays import Scalar
from numcnn.kernels.fast.jit import kernel

# Added to a number below 2^51, it rounds that to a whole number, which the lowest bits of the sum then hold.
ROUNDER = 1.5 * 2.0**52

# ln 2 and pi / 2 in two parts.  The first has so few digits that its products with numbers up to 2^16 are exact.
LN2, LN2_REST = 0.6931471805582987, 1.6465949582897082e-12
QUARTER, QUARTER_REST = 1.5707963267341256, 6.077100506506192e-11
PER_LN2, PER_QUARTER = 1.4426950408889634, 0.6366197723675814  # 1 / ln 2, 2 / pi

# Between these exp(x) is neither infinite nor denormal.
LEAST, MOST = -708.0, 709.0

# Taylor series: exp(r) = 1 + r + r^2 (1/2! + r/3! + ...); with z = r^2, sin(r) = r + r z (-1/3! + z/5! - ...) and
# cos(r) = 1 + z (-1/2! + z/4! - ...); with z = s^2, log((1 + s) / (1 - s)) = 2s + 2s z (1/3 + z/5 + ...).
EXP = tuple(1 / math.factorial(n) for n in range(13, 1, -1))
SIN = tuple((-1) ** (n // 2) / math.factorial(n) for n in range(17, 2, -2))
COS = tuple((-1) ** (n // 2) / math.factorial(n) for n in range(18, 1, -2))
LOG = tuple(2 / n for n in range(23, 2, -2))

MANTISSA_BITS, BIAS, ROOT_HALF = 52, 1023, 0x3FE6A09E667F3BCD  # those of float64; the bits of sqrt(1/2)


@kernel
def _polynomial(x: Scalar, coefficients: tuple[float, ...]) -> Scalar:
    """Return the polynomial in x with these coefficients, the highest power's first (Horner's scheme)."""
    total = 0.0
    for coefficient in coefficients:
        total = total * x + coefficient
    return total


@kernel
def _split_exp(x: Scalar) -> tuple[Scalar, Scalar]:
    """Return 2^k and exp(r) - 1 for the x = k ln 2 + r with whole k and abs(r) <= ln(2) / 2."""
    x = np.float64(x)
    rounded = np.float64(x * PER_LN2 + ROUNDER)
    k = rounded - ROUNDER
    r = (x - k * LN2) - k * LN2_REST
    power = np.int64((rounded.view(np.int64) + BIAS) << MANTISSA_BITS).view(np.float64)
    return power, r + r * r * _polynomial(r, EXP)


@kernel
def exp(x: Scalar) -> Scalar:
    """Return e to the power of x, float64; below -708 it is 0."""
    power, rest = _split_exp(min(max(x, LEAST), MOST))
    finite = power + power * rest
    return x if x != x else np.inf if x > MOST else 0.0 if x < LEAST else finite


@kernel
def tanh(x: Scalar) -> Scalar:
    """Return the hyperbolic tangent of x, float64: with m = exp(-2 abs(x)) - 1 it is -m / (2 + m), with x's sign."""
    power, rest = _split_exp(max(-2 * abs(x), -80.0))
    m = (power - 1) + power * rest
    size = -m / (2 + m)
    return x if x != x else size if x > 0 else -size


@kernel
def log(x: Scalar) -> Scalar:
    """Return the natural logarithm of x, float64.  x: positive and not denormal, infinity, or NaN.

    x is 2^k m with m from sqrt(1/2) to sqrt(2), and m is (1 + s) / (1 - s).
    """
    bits = np.float64(x).view(np.int64)
    k = (bits - ROOT_HALF) >> MANTISSA_BITS
    m = np.int64(bits - (k << MANTISSA_BITS)).view(np.float64)
    s = (m - 1) / (m + 1)
    z = s * s
    found = k * LN2 + (2 * s + (s * z * _polynomial(z, LOG) + k * LN2_REST))
    return found if x < np.inf else x


@kernel
def sin_cos(x: Scalar) -> tuple[Scalar, Scalar]:
    """Return sine and cosine of x, float64, below 100,000 radians: quarter turns, and the series for the rest."""
    x = np.float64(x)
    rounded = np.float64(x * PER_QUARTER + ROUNDER)
    k, quarters = rounded - ROUNDER, rounded.view(np.int64)
    r = (x - k * QUARTER) - k * QUARTER_REST
    z = r * r
    sin, cos = r + r * z * _polynomial(z, SIN), 1 + z * _polynomial(z, COS)
    odd = quarters & 1
    up, along = cos if odd else sin, sin if odd else cos
    return -up if quarters & 2 else up, -along if (quarters + 1) & 2 else along
