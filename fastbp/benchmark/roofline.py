"""The least time that a training step can take on one machine: its work over the machine's rates.

A step of widths n_0..n_L and B rows, W = sum n_(l-1) n_l, P = W + sum n_l, V lanes, T threads:

    FMA            (6 B W - 2 B n_0 n_1) / 2V for the products; those of functions and update
    vector         these, and other vector operations: additions, comparisons, shifts, logic
    divide         a quotient for each tanh; with Adam one of a square root for each parameter
    load/store     0.44 loads an FMA (the best register tile), or 1/B where fewer rows than that
                   share a weight; Adam loads and stores three numbers for each parameter
    memory         weights read in the forward pass and for dX, the numbers of the update read and
                   written, at the rates of the level that holds them all; from L1 for nothing
    latency        forth and back through chains of dependent operations, up to 16 long

All but the last are divided by T, and the largest is the limit: perfect overlap is assumed, no
padding of widths to vectors, no loop, no call, no wait.  The operations are those of the
kernels' formulas (`src/function/function.pxi`, `src/kernel/optimizer.pxi`): exact square root and
quotient.
"""

from dataclasses import dataclass
from math import log2

from fastbp.benchmark.workload import Workload

# Vector operations an element, forward and backward: (on the FMA units, elsewhere, quotients).
ELEMENTWISE = {"relu": (0, 2, 0), "tanh": (9, 10, 1), "mse": (2, 1, 0), "cross_entropy": (12, 7, 0)}
FURTHER_COEFFICIENTS = {"tanh": 3, "cross_entropy": 5}  # of the polynomials in float64
# Of a parameter: the same, and numbers loaded and stored again.
UPDATE = {"sgd": (1, 0, 0, 1), "adam": (7, 2, 1, 3)}
LOADS_PER_FMA = 0.44
LONGEST_CHAIN = 16


@dataclass(frozen=True)
class Constants:
    """What one core does with one type of number; `fastbp.benchmark.machine` measures it.

    Rates are of whole vectors and bytes per second, times in seconds; `caches` in bytes; `read` and
    `rewrite` (in and out together) are for L1, L2, L3 and memory.
    """

    lanes: int
    itemsize: int
    fma_per_s: float
    vector_per_s: float
    divide_s: float
    quotient_s: float
    fma_latency_s: float
    divide_latency_s: float
    sqrt_latency_s: float
    caches: tuple[int, ...]
    read: tuple[float, ...]
    rewrite: tuple[float, ...]


def times(workload: Workload, constants: Constants, threads: int = 1) -> dict[str, float]:
    """Seconds that each resource is busy for, by its name."""
    c, rows, sizes = constants, workload.batch_size, workload.sizes
    n_weights = sum(n_in * n_out for n_in, n_out in workload.pairs)
    n_units = sum(sizes[1:])
    n_parameters = n_weights + n_units
    products = workload.flop / (2 * c.lanes)
    update_fma, update_other, update_quotients, words = UPDATE[workload.optimizer]
    fma = products + n_parameters * update_fma / c.lanes
    other = (rows * n_units + n_parameters * update_other) / c.lanes  # gradients of biases
    divisions = 0.0
    functions = [workload.activation] * (len(sizes) - 2) + [workload.loss]
    for n, function in zip(sizes[1:], functions, strict=True):
        vectors = rows * n / c.lanes
        of_fma, elsewhere, quotients = ELEMENTWISE[function]
        if c.itemsize == 8:
            of_fma += FURTHER_COEFFICIENTS.get(function, 0)
        fma, other = fma + vectors * of_fma, other + vectors * elsewhere
        divisions += vectors * quotients
    size = c.itemsize
    loads = size * (max(LOADS_PER_FMA, 1 / rows) * products * c.lanes + words * n_parameters)
    stores = size * (words * n_parameters + rows * n_units)
    footprint = size * words * n_parameters / threads
    # 0 for L1, 1 for L2, 2 for L3, 3 for memory: the first that holds as much
    level = sum(footprint >= 0.9 * cache for cache in c.caches)
    memory = 0.0
    if level:
        memory = size * (2 * n_weights - sizes[0] * sizes[1]) / c.read[level]
        memory += 2 * size * words * n_parameters / c.rewrite[level]
    quotients_of_update = n_parameters / c.lanes * update_quotients
    found = {
        "FMA": fma / c.fma_per_s,
        "vector": (fma + other) / c.vector_per_s,
        "divide": divisions * c.divide_s + quotients_of_update * c.quotient_s,
        "load/store": max(loads / c.read[0], 2 * stores / c.rewrite[0]),
        "memory": memory,
    }
    found = {name: seconds / threads for name, seconds in found.items()}
    return found | {"latency": _latency(workload, c)}


def limit(workload: Workload, constants: Constants, threads: int = 1) -> tuple[float, str]:
    """(seconds, what sets them): no training step of this workload takes less."""
    busy = times(workload, constants, threads)
    bound = max(busy, key=lambda name: busy[name])
    return busy[bound], bound


def _latency(workload: Workload, c: Constants) -> float:
    fma = c.fma_latency_s
    function = {
        "relu": fma, "tanh": 8 * fma + c.divide_latency_s, "mse": fma, "cross_entropy": 20 * fma
    }  # fmt: skip
    total = fma * (1 if workload.optimizer == "sgd" else 5)
    if workload.optimizer == "adam":
        total += c.sqrt_latency_s + c.divide_latency_s
    last = len(workload.sizes) - 2
    for i, (n_in, n_out) in enumerate(workload.pairs):
        total += fma * min(n_in, LONGEST_CHAIN)  # forward
        total += function[workload.loss if i == last else workload.activation]
        if i:
            total += fma * min(n_out, LONGEST_CHAIN)  # dX
    return total + fma * log2(min(workload.batch_size, LONGEST_CHAIN))  # dW over the rows
