"""Counter-based random streams: the bits depend on (seed, purpose, epoch) and on nothing else.

The source is Philox 4x64-10, of which only the raw 64-bit words are used: NumPy keeps those stable
between versions, but not what its `Generator` makes of them. Orders of rows, which the compiled
engine draws for itself, come from Philox 4x32-10, whose products fit vectors. Everything derived
here uses only IEEE additions, multiplications, divisions and square roots, because the logarithm
and cosine of a mathematical library may differ by a bit from one processor to the next.
"""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
from numpy.random import Philox
from numpy.typing import NDArray

SHUFFLE = 1
INITIALIZE = 2
FOLD = 3
HELD_OUT = 4
CHUNK = 5
LAYER = 6

TRUNCATED_VARIANCE = 0.7737413035499232  # 1 - 4 phi(2) / (2 Phi(2) - 1)

_GROUP = 32  # SHUFFLE_LANES of src/kernel/shuffle.pxi
_MASK = 2**32 - 1
_LOW_BITS = np.array(11, np.uint64)  # of a word, beyond what a float64 holds
_UNIT = np.array(2.0**-53)
_UNIT_31, _UNIT_32 = np.array(2.0**-31), np.array(2.0**-32)

_LOG2_HIGH = float.fromhex("0x1.62e42fee00000p-1")  # 32 bits: exponent * _LOG2_HIGH is exact
_LOG2_LOW = float.fromhex("0x1.a39ef35793c76p-33")
_COSINE = tuple((-1) ** k / math.factorial(2 * k) for k in range(8))
_SINE = tuple((-1) ** k / math.factorial(2 * k + 1) for k in range(8))
_ATANH = tuple(2.0 / (2 * k + 1) for k in range(12))


# Idle sources, and the state with its key that each is set to: making one takes five times as long.
# A caller takes one out, so that no other thread and no signal handler can use it meanwhile.
_idle: list[tuple[Philox, Any, list[int]]] = []


def draw_seed() -> int:
    """A seed from the operating system's entropy, in 0 .. 2**63 - 1."""
    return int.from_bytes(os.urandom(8), "little") >> 1


def raw(seed: int, purpose: int, epoch: int, n: int) -> NDArray[np.uint64]:
    """The first `n` 64-bit words of the stream (seed, purpose, epoch).

    >>> [int(word) for word in raw(0, SHUFFLE, 0, 2)]
    [7562284617978849011, 11919942092398276961]
    """
    if not 0 <= epoch < 2**32:
        raise ValueError(f"epoch of a random stream must be in 0..2**32-1, got {epoch}")
    try:
        source, state, key = _idle.pop()
    except IndexError:
        source, key = Philox(key=0), [0, 0]
        begin = {"counter": [0] * 4, "key": key}  # lists are read in half the time of arrays
        state = source.state | {"state": begin, "buffer": [0] * 4}
    key[0], key[1] = seed, purpose * 2**32 + epoch
    source.state = state
    words: NDArray[np.uint64] = source.random_raw(n)
    _idle.append((source, state, key))
    return words


def uniform(seed: int, purpose: int, epoch: int, n: int) -> NDArray[np.float64]:
    """`n` multiples of 2**-53, uniform in [0, 1)."""
    return unit_interval(raw(seed, purpose, epoch, n))


def unit_interval(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """A multiple of 2**-53 in [0, 1) of each word."""
    part = (words >> _LOW_BITS).astype(np.float64)
    part *= _UNIT
    return part


def normal(seed: int, purpose: int, epoch: int, n: int) -> NDArray[np.float64]:
    """`n` standard normal values: z = sqrt(-2 log(1 - u)) (cos, sin)(2 pi v), in pairs.

    A shorter request is a prefix of a longer one.
    """
    pairs = (n + 1) // 2
    u = uniform(seed, purpose, epoch, 2 * pairs)
    radius = np.sqrt(-2.0 * _log(1.0 - u[0::2]))  # 1 - u is in (0, 1]: the log is finite
    cosine, sine = _cos_sin(u[1::2])
    result = np.empty(2 * pairs)
    result[0::2] = radius * cosine
    result[1::2] = radius * sine
    return result[:n]


def truncated_normal(seed: int, purpose: int, epoch: int, n: int) -> NDArray[np.float64]:
    """`n` normal values of absolute value below 2: those of `normal`'s stream which are.

    Their variance is TRUNCATED_VARIANCE.  A shorter request is a prefix of a longer one.
    """
    drawn = n + n // 8 + 16  # 4.6 % of them are too large
    while True:
        value = normal(seed, purpose, epoch, drawn)
        value = value[np.abs(value) < 2.0]
        if len(value) >= n:
            return value[:n]
        drawn *= 2


def shuffle_words(seed: int, epoch: int, n: int) -> NDArray[np.uint32]:
    """The first `n` 32-bit words that shuffle an epoch: Philox 4x32-10 with the key `seed`.

    The counters are (0, epoch, SHUFFLE, 0), (1, epoch, SHUFFLE, 0), ...; of each group of 32 come
    the first words, then the second ones, and so on.

    >>> shuffle_words(0, 0, 2).tolist()
    [2219120097, 3397187230]
    """
    return _philox(seed, 0, -(-n // _GROUP // 4), (epoch & _MASK, SHUFFLE, 0))[:n]


def _philox(seed: int, begin: int, groups: int, rest: tuple[int, int, int]) -> NDArray[np.uint32]:
    """The words of Philox 4x32-10 from group `begin` on, 128 of each: of its 32 counters
    (32 group + i, *rest) the first words, then the second ones, and so on.
    """
    c = np.zeros((4, groups * _GROUP), dtype=np.uint64)
    c[0] = np.arange(begin * _GROUP, (begin + groups) * _GROUP, dtype=np.uint64) & np.uint64(_MASK)
    c[1], c[2], c[3] = rest
    key0, key1 = seed & _MASK, seed >> 32
    for _ in range(10):
        product0, product2 = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c[0] = (product2 >> np.uint64(32)) ^ c[1] ^ np.uint64(key0)
        c[2] = (product0 >> np.uint64(32)) ^ c[3] ^ np.uint64(key1)
        c[1], c[3] = product2 & np.uint64(_MASK), product0 & np.uint64(_MASK)
        key0, key1 = (key0 + 0x9E3779B9) & _MASK, (key1 + 0xBB67AE85) & _MASK
    words = c.reshape(4, groups, _GROUP).swapaxes(0, 1)
    return words.reshape(-1).astype(np.uint32)


def dropout(
    shape: tuple[int, int], rate: float, *, seed: int, step: int, row: int, layer: int
) -> NDArray[np.float64]:
    """What the elements of `shape` rows and columns are multiplied by: 0 with a chance of `rate`,
    to within 2**-32, else 1 / (1 - rate).

    Of element row * columns + column, counted through the batch of which `row` is the first row
    here, the counter is (32 (element // 128) + element % 32, step, LAYER + 256 layer,
    step // 2**32), and its word number element // 32 % 4.

    >>> dropout((2, 3), 0.5, seed=0, step=0, row=0, layer=0).tolist()
    [[0.0, 2.0, 0.0], [0.0, 0.0, 2.0]]
    """
    least = min(math.floor(rate * 2.0**32 + 0.5), _MASK)
    words, place = _layer_words(shape, seed, step, row, layer)
    return np.where(words.reshape(-1)[place] >= least, 1 / (1 - rate), 0.0).reshape(shape)


def layer_noise(
    shape: tuple[int, int], *, seed: int, step: int, row: int, layer: int
) -> NDArray[np.float64]:
    """Standard normal numbers by the same counters, z = sqrt(-2 log u) (cos, sin)(2 pi v): the
    first 64 of a group's words give u, the others v, and so the numbers.

    >>> layer_noise((1, 2), seed=0, step=0, row=0, layer=0).round(4).tolist()
    [[0.3919, -0.6928]]
    """
    words, place = _layer_words(shape, seed, step, row, layer)
    halves = words.reshape(-1, 2, 2 * _GROUP)
    u = ((halves[:, 0] >> np.uint32(1)).astype(np.float64) + 0.5) * _UNIT_31
    radius = np.sqrt(-2.0 * _log(u))
    cosine, sine = _cos_sin(halves[:, 1].astype(np.float64) * _UNIT_32)
    found: NDArray[np.float64] = np.stack([radius * cosine, radius * sine], axis=1)
    return found.reshape(-1)[place].reshape(shape)


def _layer_words(
    shape: tuple[int, int], seed: int, step: int, row: int, layer: int
) -> tuple[NDArray[np.uint32], slice]:
    """Whole groups of words, and which of them are those of the elements."""
    n_rows, n = shape
    size = 4 * _GROUP
    group, at = divmod(row * n, size)
    rest = step & _MASK, LAYER | layer << 8, step >> 32 & _MASK
    words = _philox(seed, group, -(-(at + n_rows * n) // size), rest)
    return words, slice(at, at + n_rows * n)


def permutation(n: int, *, seed: int, epoch: int) -> NDArray[np.uint32]:
    """The order in which epoch `epoch` visits `n` < 2**32 rows (Fisher-Yates from the end).

    For i = n-1 .. 1: j = (word[n-1-i] * (i+1)) >> 32, each j within n / 2**32 of its chance, and
    order[i] and order[j] change places.

    >>> permutation(5, seed=0, epoch=0).tolist()
    [1, 0, 4, 3, 2]
    """
    if n < 2:
        return np.arange(n, dtype=np.uint32)
    bound = np.arange(n, 1, -1, dtype=np.uint64)
    place = ((shuffle_words(seed, epoch, n - 1) * bound) >> np.uint64(32)).tolist()
    order = list(range(n))
    for i, j in zip(range(n - 1, 0, -1), place, strict=True):
        order[i], order[j] = order[j], order[i]
    return np.array(order, dtype=np.uint32)


def chunk_order(n: int, *, seed: int, epoch: int, chunk: int) -> NDArray[np.int64]:
    """The order of the `n` rows of one chunk of a stream: that of the raw words of Philox 4x64-10
    whose counter begins at (0, chunk, 0, 0).

    >>> chunk_order(5, seed=0, epoch=0, chunk=1).tolist()
    [3, 2, 1, 4, 0]
    """
    key = np.array([seed, CHUNK * 2**32 + (epoch & _MASK)], dtype=np.uint64)
    counter = np.array([0, chunk, 0, 0], dtype=np.uint64)
    words = Philox(key=key, counter=counter).random_raw(n)
    return np.argsort(words, kind="stable")


def _polynomial(x: NDArray[np.float64], coefficients: tuple[float, ...]) -> NDArray[np.float64]:
    result = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        result = result * x + coefficient
    return result


def _log(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """log(2**e m) = e log 2 + 2 atanh((m - 1) / (m + 1)), with m in [sqrt(1/2), sqrt(2))."""
    mantissa, exponent = np.frexp(x)
    small = mantissa < 0.7071067811865476
    mantissa = np.where(small, 2.0 * mantissa, mantissa)
    power = (exponent - small).astype(np.float64)
    s = (mantissa - 1.0) / (mantissa + 1.0)
    return power * _LOG2_HIGH + (power * _LOG2_LOW + s * _polynomial(s * s, _ATANH))


def _cos_sin(turn: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cosine and sine of 2 pi turn, turn in [0, 1): the nearest quarter turn and a rest."""
    quarter = np.floor(4.0 * turn + 0.5)
    angle = (turn - 0.25 * quarter) * (2.0 * np.pi)  # the difference is exact, |angle| <= pi/4
    square = angle * angle
    cosine, sine = _polynomial(square, _COSINE), angle * _polynomial(square, _SINE)
    side = quarter.astype(np.int64) & 3
    return (
        np.choose(side, [cosine, -sine, -cosine, sine]),
        np.choose(side, [sine, cosine, -sine, -cosine]),
    )
