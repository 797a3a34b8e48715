"""The least time that a training step can take on one machine: its work over the machine's rates.

A step of widths n_0..n_L and B rows, W = sum n_(l-1) n_l, P = W + sum n_l, V lanes, T threads:

    FMA            (6 B W - 2 B n_0 n_1) / 2V for the products; those of functions and update
    vector         these, and other vector operations: additions, comparisons, shifts, logic
    divide         a quotient for each tanh; with Adam one of a square root for each parameter; the
                   divider has to do no more than leaves the FMA units, which can divide too, no
                   less to do
    load/store     0.44 loads an FMA (the best register tile), or 1/B where fewer rows than that
                   share a weight; Adam loads and stores three numbers for each parameter
    memory         weights read in the forward pass, the numbers of the update read and written:
                   what does not fit into L1 at the rates of L2, what does not fit into that at the
                   rates of an array as large; from L1 for nothing
    latency        forth and back through chains of dependent operations, up to 16 long

All but the last are divided by T, and the largest is the limit: perfect overlap is assumed, no
padding of widths to vectors, no loop, no call, no wait.  The operations are those of the
kernels' formulas (`src/function/function.pxi`, `fastbp/formula`), where a slope that the forward
pass has nearly found is stored.
"""

from bisect import bisect_right
from dataclasses import dataclass
from math import log2

from fastbp.benchmark.workload import Workload

# Vector operations an element, forward and backward: (on the FMA units, elsewhere, quotients,
# coefficients that the polynomials have more of in float64), and links of its longest chain.
ELEMENTWISE = {
    "linear": (0, 0, 0, 0, 0),
    "relu": (0, 2, 0, 0, 1),
    "leaky_relu": (2, 2, 0, 0, 1),
    "tanh": (9, 10, 1, 3, 8),
    "sigmoid": (12, 8, 1, 5, 9),
    "silu": (14, 8, 1, 5, 10),
    "softplus": (19, 10, 1, 10, 14),
    "elu": (11, 8, 0, 5, 9),
    "selu": (13, 8, 0, 5, 10),
    "gelu": (32, 12, 1, 15, 16),
    "mse": (2, 1, 0, 0, 1),
    "half_sse": (2, 1, 0, 0, 1),
    "mae": (1, 4, 0, 0, 1),
    "huber": (3, 6, 0, 0, 2),
    "binary_cross_entropy": (19, 12, 1, 10, 9),
    "cross_entropy": (12, 7, 0, 5, 20),
}
# Of a parameter: the first three, and numbers loaded and stored again.
UPDATE = {"sgd": (1, 0, 0, 1), "adam": (7, 2, 1, 3), "adamw": (8, 2, 1, 3)}
# On the FMA units: an estimate, two Newton steps, product, residual and correction.
FMAS_OF_QUOTIENT, FMAS_OF_ROOT = 7, 9
LOADS_PER_FMA = 0.44
LONGEST_CHAIN = 16


@dataclass(frozen=True)
class Constants:
    """What one core does with one type of number; `fastbp.benchmark.machine` measures it.

    Rates are of whole vectors and bytes per second, times in seconds.  `caches` are the bytes of
    L1, L2 and L3; `read` and `rewrite` (in and out together) are rates of arrays of `footprints`
    bytes: one in L1, one in L2, and ever larger ones beyond.
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
    footprints: tuple[int, ...]
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
        of_fma, elsewhere, quotients, further, _ = ELEMENTWISE[function]
        of_fma += further if c.itemsize == 8 else 0
        fma, other = fma + vectors * of_fma, other + vectors * elsewhere
        divisions += vectors * quotients
    size = c.itemsize
    loads = size * (max(LOADS_PER_FMA, 1 / rows) * products * c.lanes + words * n_parameters)
    stores = size * (words * n_parameters + rows * n_units)
    footprint = size * words * n_parameters
    roots = n_parameters / c.lanes * update_quotients
    divide = divisions * c.divide_s + roots * c.quotient_s
    without = fma + FMAS_OF_QUOTIENT * (divisions + roots) + FMAS_OF_ROOT * roots
    if divide > fma / c.fma_per_s:  # both busy until the end, each with its part of the quotients
        divide *= min(1.0, without / (divide * c.fma_per_s + without - fma))
    found = {
        "FMA": fma / c.fma_per_s,
        "vector": (fma + other) / c.vector_per_s,
        "divide": divide,
        "load/store": max(loads / c.read[0], 2 * stores / c.rewrite[0]),
        "memory": _memory(c, footprint / threads, size * n_weights, 2 * footprint),
    }
    found = {name: seconds / threads for name, seconds in found.items()}
    return found | {"latency": _latency(workload, c)}


def limit(workload: Workload, constants: Constants, threads: int = 1) -> tuple[float, str]:
    """(seconds, what sets them): no training step of this workload takes less."""
    busy = times(workload, constants, threads)
    bound = max(busy, key=lambda name: busy[name])
    return busy[bound], bound


def _memory(c: Constants, footprint: float, read: float, rewritten: float) -> float:
    """Seconds to move bytes of a working set; what a level holds comes from nowhere else."""
    in_l1, in_l2 = (min(size, footprint) for size in c.caches[:2])
    beyond = max(2, bisect_right(c.footprints, footprint) - 1)
    seconds = 0.0
    for level, share in ((1, in_l2 - in_l1), (beyond, footprint - in_l2)):
        seconds += share / footprint * (read / c.read[level] + rewritten / c.rewrite[level])
    return seconds


def _latency(workload: Workload, c: Constants) -> float:
    fma = c.fma_latency_s

    def function(name: str) -> float:
        _, _, quotients, _, links = ELEMENTWISE[name]
        return links * fma + (c.divide_latency_s if quotients else 0.0)

    total = fma * (1 if workload.optimizer == "sgd" else 5)
    if workload.optimizer != "sgd":
        total += c.sqrt_latency_s + c.divide_latency_s
    last = len(workload.sizes) - 2
    for i, (n_in, n_out) in enumerate(workload.pairs):
        total += fma * min(n_in, LONGEST_CHAIN)  # forward
        total += function(workload.loss if i == last else workload.activation)
        if i:
            total += fma * min(n_out, LONGEST_CHAIN)  # dX
    return total + fma * log2(min(workload.batch_size, LONGEST_CHAIN))  # dW over the rows
