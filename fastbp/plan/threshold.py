"""The sizes at which a plan changes what it does: one table for the plan and for its explanation.

Measured on an AMD EPYC with AVX-512, where no other machine is named, and on one core where no
threads are.  A threshold that decides bits is compared with sizes alone, never with anything of the
machine or of the threads: those are WEIGHT_PARALLEL_PARAMETERS, ACTIVATIONS_FOR_EACH, LANE_WIDTH,
LANE_WASTE, LANE_ROWS, BLOCK_WORK, TILE_BYTES and FEW_OUTPUTS.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass  # not frozen: tests move a threshold to see both of its sides
class Threshold:
    """One number that decides.

    Attributes:
        value: in the unit of `size`.
        size: what is compared with it.
        decides: what it decides.
        evidence: the measurement, or where there is none the reason, that set it.
        reached, missed: for an explanation, what follows where the size is at least the value, and
            where it is less; {size} and {limit} are what was compared.
    """

    value: int
    size: str
    decides: str
    evidence: str
    reached: str = ""
    missed: str = ""

    def compare(self, size: float, *, times: int = 1) -> Comparison:
        """A size beside so many times the threshold."""
        return Comparison(size, self.value * times, self)


@dataclass(frozen=True)
class Comparison:
    """A size beside the threshold that it was compared with."""

    value: float
    threshold: float
    rule: Threshold

    @property
    def reached(self) -> bool:
        return self.value >= self.threshold

    @property
    def question(self) -> str:
        """What was compared."""
        return self.rule.size

    @property
    def source(self) -> str:
        """What set the threshold."""
        return self.rule.evidence

    @property
    def sentence(self) -> str:
        """What was compared, and what followed."""
        text = self.rule.reached if self.reached else self.rule.missed
        return text.format(size=f"{self.value:,.0f}", limit=f"{self.threshold:,.0f}")


_REGIMES = (
    "a step took 175 ms where threads shared kernels and 248 ms where they shared rows at "
    "1024-1024-1024-1024 with batches of 2048 (4 activations for each parameter), 20.1 and 21.3 at "
    "512-512-512-512 with 1024 (4), 48.4 and 43.0 with 2048 (8), 2.33 and 2.36 at 64-256-256-10 "
    "with 1024 (13), 5.0 and 4.7 with 2048 (25), 0.51 and 0.54 at 23-256-256-1 with 256 (4); on "
    "an Intel server core, where backward and update are one pass, 640 and 1032 at "
    "1024-1024-1024-1024 with 4096 (8), 80 and 110 at 512-512-512-512 with 2048 (8), 8.0 and 9.2 "
    "at 256-256-256-256 with 1024 (8), 0.97 and 0.96 at 128-128-128-128 with 512 (8), 1.13 and "
    "1.05 with 600 (9.3), 4.8 and 4.6 at 64-256-256-10 with 1024 (12)"
)
_THREADS = (
    "with two threads for one, calls of 0.3, 1 and 5 ms were 0.9, 1.4 and 1.5 times as fast at "
    "4-32-16-1 with batches of 200 (8 us a step), 1.1, 1.7 and 1.8 times at 10-64-64-1 with 442 "
    "(74 us), and 1.0 times beside a process that kept one of two cores busy; starting a thread "
    "takes 10 to 70 us, dealing out a step 0.7 us"
)

_LANES = (
    "on an Intel server core, of the time with the units side by side a step took 0.49 at "
    "4-3-7-4-5-25-7 with batches of 336 (216 hundredths of the work with padding), 0.52 at "
    "2-5-9-13 with 409 (170), 0.91 at 20-20-20 with 32 (160), 0.69 at 1-16-7-30 with 323 (158; "
    "0.87 in float64, 109), 0.80 at 16-2-30-30 with 1121 (120), 1.00 at 11-31-30 with 100 (105), "
    "0.99 at 32-32-32 with 256, 1.04 at 4-32-16-1 with 200 and 1.02 at 10-64-64-1 with 442 (100)"
)

# ---- the regime of training, compared in this order

WEIGHT_PARALLEL_PARAMETERS = Threshold(
    8192, "parameters, padding included",
    decides="whether kernels are large enough for threads to share them",
    evidence=_REGIMES,
    reached="{size} parameters, padding included, are at least {limit}: the kernels are large "
    "enough for threads to share.",
    missed="{size} parameters, padding included, are less than {limit}: the kernels are too small "
    "to share, so threads share the rows of a batch.",
)  # fmt: skip

ACTIVATIONS_FOR_EACH = Threshold(
    9, "activations of a batch and their gradients",
    decides="from how many for each parameter on a step costs less where threads share rows",
    evidence=_REGIMES,
    reached="A batch has {size} activations and gradients of activations, at least {limit}, nine "
    "for each parameter: too many to keep them all, so threads share the rows of a batch.",
    missed="A batch has {size} activations and gradients of activations, less than {limit}, nine "
    "for each parameter: they can all be kept, so threads share the kernels.",
)  # fmt: skip

LANE_WIDTH = Threshold(
    33, "units of the widest layer, for rows in the lanes",
    decides="from what width on the units of a layer lie side by side, not the rows",
    evidence=_LANES,
    reached="The widest layer has {size} units, at least {limit}: they fill vectors well enough.",
    missed="The widest layer has {size} units, less than {limit}: vectors of units may have "
    "lanes to spare.",
)  # fmt: skip

LANE_WASTE = Threshold(
    108, "products in whole vectors of units, in hundredths of those without padding",
    decides="from what padding on rows lie in the lanes where layers are narrow",
    evidence=_LANES,
    reached="In whole vectors of units the products would take {size} hundredths of their work, at "
    "least {limit}: better rows in the lanes, if there are enough.",
    missed="In whole vectors of units the products take {size} hundredths of their work, less than "
    "{limit}: rows in the lanes would gain nothing.",
)  # fmt: skip

LANE_ROWS = Threshold(
    16, "rows of a batch, for rows in the lanes",
    decides="from how many rows on they lie side by side where layers are narrow",
    evidence="at 8-8-8 with 9, 12 and 16 rows a step took 1.23, 1.01 and 0.99 of the time with "
    "the units side by side, at 32-32-32 1.18 with 9 rows",
    reached="A batch has {size} rows, at least {limit}: the compiled backend puts rows in the "
    "lanes of its vectors, so that none is empty; a kernel's gradient is then the sum of "
    "interleaved partial sums.",
    missed="A batch has {size} rows, less than {limit}: too few to put rows in the lanes of "
    "vectors.",
)  # fmt: skip

LATENCY_ROWS = Threshold(
    9, "rows of a batch, where no layer is wider than 64 bytes",
    decides="from how many rows on such a network does not take the latency path",
    evidence="a step of 2-8-1 with tanh and Adam took 0.075 us on the latency path and 0.141 "
    "without it for 1 row, 0.165 and 0.230 for 8 rows; 16 rows were a draw",
    reached="No layer is wider than 64 bytes, but the rows of a batch are {size}, at least "
    "{limit}: the latency path, which keeps a step in registers, would hardly be faster.",
    missed="No layer is wider than 64 bytes, and the rows of a batch are {size}, less than "
    "{limit}: the compiled backend takes its latency path, which keeps a step in registers.",
)  # fmt: skip

BLOCK_WORK = Threshold(
    500_000, "work of a step, for more than one block",
    decides="whether a batch of 32 rows or more is cut into blocks that threads can share",
    evidence="so much work takes about 3 us on one core, dealing it out to threads 0.7 us",
    reached="The work of a step, 6 x parameters x rows, is {size}, at least {limit}: worth more "
    "than one thread, so 32 rows or more make two blocks for threads to share, 256 or more four.",
    missed="The work of a step, 6 x parameters x rows, is {size}, less than {limit}: not worth a "
    "second thread, so the rows of a batch are one block.",
)  # fmt: skip

# ---- tiles and chunks

TILE_BYTES = Threshold(
    256 * 1024, "bytes of a tile's activations",
    decides="the rows of a tile, where threads share rows",
    evidence="half of a second-level cache of 1 MB, with room for the weights",
)  # fmt: skip

# One kernel's gradient goes to the optimizer in chunks that stay in the second-level cache; the
# gradient by the layer's output is read once a chunk.
CHUNK_BYTES = Threshold(
    256 * 1024, "bytes of a kernel's gradient",
    decides="the rows of a kernel whose gradient is summed at a time, where threads share kernels; "
    "half of a second-level cache that is smaller than twice as much",
    evidence="784-512-128-512-784, batch 256: 6.8 ms with chunks of 128 KB, 6.3 ms with 256 KB, "
    "6.6 ms with 512 KB (AMD EPYC); at 1024-1024-1024-1024 with batches of 512, 1.17, 1 and 0.98 "
    "times as long with 128, 256 and 384 KB (Intel Xeon, 2 MB of second-level cache)",
)  # fmt: skip

LARGE_CHUNK_PART = Threshold(
    100, "bytes of the two factors of a kernel's gradient, in hundredths of a third-level cache",
    decides="from which on chunks are as large as a second-level cache: each reads them from "
    "memory",
    evidence="1024-1024-1024-1024, AMD EPYC, of the time with chunks of 256 KB: with batches of"
    " 4096 (34 MB) 0.95, 0.93 and 0.93 with 512 KB, 768 KB and 1 MB, with 2048 (17 MB) 1.00, 0.99 "
    "and 1.04, with 512 1.01, 1.02 and 1.02",
)  # fmt: skip

PACKING_CACHE = Threshold(
    2**20 + 2**18, "bytes of a second-level cache",
    decides="from which on the panels of right factors larger than half of it are copied, not read "
    "where they lie",
    evidence="AMD EPYC, 1 MB and a fast third level: the product of (128, 1024) and (1024, 1024) "
    "took 8 % longer with copied panels. Intel Xeon, 2 MB and a slow third level: a step took 0.95 "
    "times as long at 1024-1024-1024-1024 with batches of 512, 0.95 with 64, 0.75 at "
    "2048-2048-2048 with 64, 0.65 at 1536-1536-1536 with 48, 0.94 at 784-512-128-512-784 with 256; "
    "0.98 and 0.97 with AVX2 at the first two",
)  # fmt: skip

# Batches of one row read nothing again, and their chunks fit the first level.
CHUNK_BYTES_ONE_ROW = Threshold(
    32 * 1024, "bytes of a kernel's gradient",
    decides="the same for batches of one row",
    evidence="784-500-10, SGD: 70 us with chunks of 256 KB, 61 with 32 KB",
)  # fmt: skip

TURNED_CHAINS = Threshold(
    2, "blocks of 64 bytes in a chunk of a kernel that passes its gradient on",
    decides="the least of them: what one row passes on is a chain for each vector, and one chain "
    "alone waits for its own last addition",
    evidence="batches of 1, of the time with one block: 0.92 with two and 0.97 with four at "
    "512-512-512-512, 0.95 and 0.95 at 1024-1024-1024-1024; a kernel that passes nothing on is "
    "better off with one, 0.94 of the time with two at 784-500-10",
)  # fmt: skip

FETCHED_PART = Threshold(
    70, "bytes of parameters and optimizer state, in hundredths of a third-level cache",
    decides="from which on a step asks for them ahead of time",
    evidence="AMD EPYC, 32 MB of third level, Adam, batches of 1: a step took 0.80 of the time at "
    "1024-1024-1024-1024 (38 MB), 0.90 at 2048-2048-2048-2048 (151 MB), 0.78 at 850-850-850-850 "
    "(26 MB), 1.04 at 700-700-700-700 (18 MB), 1.12 at 512-512-512-512 (9 MB), 1.17 at 784-500-10 "
    "(5 MB); stores past the caches, beside that, 1.00 to 1.05",
)  # fmt: skip

FEW_OUTPUTS = Threshold(
    5, "outputs of a layer",
    decides="from how many on its kernel is stored by rows",
    evidence="padding the rows of fewer to 64 bytes would multiply the kernel's size",
)  # fmt: skip

FEW_INPUTS = Threshold(
    5, "inputs of a layer",
    decides="from how many on a step passes its gradient on from a transposed copy of its kernel, "
    "if its outputs are more than 64 bytes",
    evidence="without the copy a step with SGD took 0.81 of the time at 3-1-532 with batches of 38 "
    "and 256, 0.76 with 10, 0.80 at 3-2-532, 0.89 at 3-4-532, 0.95 at 3-4-48, 1.00 at 3-2-20 with "
    "256 (in float64 0.96, 0.95, 0.99, 1.00, 1.00)",
)  # fmt: skip

# ---- threads and calls, in the unit of `ParameterLayout.work_per_row`, about 100 in a ns on a core

THREAD_STEP_WORK = Threshold(
    800_000, "work of a step, for another thread",
    decides="whether n_threads='auto' deals a step out to more than one thread",
    evidence=_THREADS,
    reached="The work of a step is {size}, at least {limit}: long enough to deal out to threads.",
    missed="The work of a step is {size}, less than {limit}: n_threads='auto' keeps to one thread, "
    "as dealing out so short a step would not pay.",
)  # fmt: skip

THREAD_CALL_WORK = Threshold(
    100_000_000, "work of an epoch, for another thread",
    decides="whether n_threads='auto' starts more than one thread for a call",
    evidence=_THREADS,
    reached="The work of an epoch is {size}, at least {limit}: long enough to start threads for.",
    missed="The work of an epoch is {size}, less than {limit}: n_threads='auto' keeps to one "
    "thread, as starting another would not pay.",
)  # fmt: skip

PREDICT_THREAD_WORK = Threshold(
    20_000_000, "work of a forward pass: 2 x parameters x rows",
    decides="from what work on a prediction starts threads, however long ago the last one was",
    evidence="with two threads for one on an Intel server core, 64-100-10: 450 rows (7 million) 62 "
    "and 54 us, 1000 rows (15 million) 95 and 116, 2000 rows 165 and 235; 784-256-128-10: 64 rows "
    "(30 million) 177 and 166, 128 rows 315 and 359; on an AMD EPYC, 64-100-10: 45 and 40, 66 and "
    "85, 111 and 168; 784-256-128-10: 32 rows (15 million) 56 and 67 at best, 91 and 67 at the "
    "median, 64 rows 94 and 126, 140 and 127, 128 rows 159 and 250, 203 and 253",
)  # fmt: skip

PREDICT_SHARE_WORK = Threshold(
    2_500_000, "work of a forward pass: 2 x parameters x rows",
    decides="how much of a prediction each of its threads has at least",
    evidence="calls in close succession on an AMD EPYC, one and two threads, at best and, beside "
    "other processes, at the median: 64-100-10: 202 rows (3 million) 18 and 17, 18 and 18 us, 270 "
    "rows 22 and 14, 23 and 23, 405 rows 32 and 19, 33 and 34; 784-256-128-10: 8 rows (4 million) "
    "18 and 14, 18 and 22, 21 rows 44 and 41, 46 and 47; 256-256-256: 38 rows (10 million) 42 and "
    "24, 43 and 43",
)  # fmt: skip

BRIEF_WORK = Threshold(
    1_000_000, "work of a forward pass: 2 x parameters x rows",
    decides="up to what work a call keeps the interpreter to itself",
    evidence="about 20 us on one core",
)  # fmt: skip
