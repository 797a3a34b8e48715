# All that a build of the kernels is made of, after the lines that say what `real` is.

from libc.math cimport log, sqrt
from libc.string cimport memcpy, memset

cdef extern from "machine/vector.h" nogil:
    ctypedef float vreal    # arithmetic on it is left to C; its width is the build's
    ctypedef unsigned long long vwide   # so is this
    enum: LANES, BLOCK, BLOCK_VECTORS, WIDE_BLOCKS
    enum: MICRO_TILE_ROWS_1, MICRO_TILE_ROWS_2, MICRO_TILE_ROWS, MICRO_TILE_BLOCKS, MICRO_TILE_ACCUMULATORS
    enum: WIDE_VECTORS, ROW_VECTORS, OUTPUT_BLOCKS, UP_TO_FOUR, IN_PLACE_APART
    vreal vload(const real* p) noexcept
    void vstore(real* p, vreal v) noexcept
    vreal vset(real x) noexcept
    vreal vheld(vreal v) noexcept
    vreal vfma(vreal a, vreal b, vreal c) noexcept
    vreal vmax(vreal a, vreal b) noexcept
    vreal vmin(vreal x, vreal bound) noexcept
    vreal vabs(vreal x) noexcept
    vreal vcopysign(vreal x, vreal sign) noexcept
    vreal vpower(vreal t) noexcept
    vreal vbetween(int begin, int end, vreal v) noexcept
    vreal vwhere_equal(vreal a, vreal b, vreal x) noexcept
    vreal vquotient(vreal a, vreal b) noexcept
    int has_slow_divider() noexcept
    vwide wide_set(unsigned int x) noexcept
    vwide wide_product(vwide a, vwide b) noexcept
    void vtranspose(vreal* row) noexcept
    void vreduce(vreal* row, int count) noexcept
    void vturn_columns(const real** row, Py_ssize_t at, vreal* column) noexcept
    void vturn_rows(const real* p, Py_ssize_t ld, vreal* column) noexcept
    const real* opaque(const real* p) noexcept
    const real* loaded_singly(const real* p) noexcept
    const real* tile_row(const real* c, const real* row, int r, Py_ssize_t ld) noexcept
    void prefetch(const void* p) noexcept
    void in_order() noexcept
    void store_row(real* p, real a, real b, real c, real d) noexcept

cdef extern from "machine/four.h" nogil:
    ctypedef float vfour
    enum: HAS_FOUR
    vfour four_load(const real* p) noexcept
    void four_store(real* p, vfour v) noexcept
    void four_store_row(real* p, vfour v) noexcept
    vfour four_set(real x) noexcept
    vfour four_of(real a, real b, real c, real d) noexcept
    vfour four_fma(vfour a, vfour b, vfour c) noexcept
    vfour four_root(vfour v) noexcept
    vfour four_min(vfour x, vfour bound) noexcept
    vfour four_lane(vfour v, int i) noexcept
    real four_at(vfour v, int i) noexcept
    void four_turn(vfour* row) noexcept

cdef extern from "machine/thread.h" nogil:
    enum: FASTBP_HAS_THREADS, SPINS, YIELDS, ABSENT, PRESENT, CLAIMED
    int flag_exchange(int* flag, int expected, int value) noexcept
    int flag_load(int* flag) noexcept
    void flag_store(int* flag, int value) noexcept
    int flag_add(int* flag, int value) noexcept
    void offer(unsigned long long* left, unsigned long long value) noexcept
    int take(unsigned long long* left, int* number, int mine) noexcept
    void cpu_relax() noexcept
    void fastbp_yield() noexcept
    void nap(int microseconds) noexcept
    double monotonic_seconds() noexcept
    unsigned long float_mode_flush() noexcept
    void float_mode_restore(unsigned long mode) noexcept

cdef extern from *:
    """
    #if defined(__clang__)
    #define FASTBP_COMPILER "clang " __clang_version__
    #elif defined(__GNUC__)
    #define FASTBP_COMPILER "gcc " __VERSION__
    #else
    #define FASTBP_COMPILER "unknown"
    #endif
    #if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
    #define FASTBP_HAS_FMA 1
    #else
    #define FASTBP_HAS_FMA 0
    #endif
    """
    const char* COMPILER "FASTBP_COMPILER"
    const char* BUILD_FLAGS "FASTBP_FLAGS"
    const char* SOURCE_HASH "FASTBP_SOURCE_HASH"
    int HAS_FMA "FASTBP_HAS_FMA"


cdef object unknown(str kind, name):
    """The error for a name that no kernel has."""
    return ValueError(f"unknown {kind} {name!r}; known: {', '.join(kernel_names()[kind])}")


include "kernel/packing.pxi"
include "kernel/product.pxi"
include "kernel/dot.pxi"
include "kernel/outputs.pxi"
include "kernel/activation.pxi"
include "kernel/loss.pxi"
include "kernel/cross_entropy.pxi"
include "kernel/lane.pxi"
include "kernel/lane_loss.pxi"
include "kernel/element_loss.pxi"
include "kernel/metric.pxi"
include "kernel/row_loss.pxi"
include "kernel/optimizer.pxi"
include "formula.pxi"       # generate.py makes it of fastbp/formula
include "kernel/adam.pxi"
include "kernel/tanh.pxi"
include "kernel/shuffle.pxi"
include "kernel/draw.pxi"
include "engine/operation.pxi"
include "kernel/gather.pxi"
include "engine/lane.pxi"
include "engine/pointwise.pxi"
include "engine/draw.pxi"
include "engine/normalize.pxi"
include "engine/prelu.pxi"
include "engine/embedding.pxi"
include "engine/batch.pxi"
include "engine/phase.pxi"
include "engine/worker.pxi"
include "engine/head.pxi"
include "engine/layered.pxi"
include "engine/update.pxi"
include "engine/step.pxi"
include "engine/stage.pxi"
include "engine/epoch.pxi"
include "engine/latency.pxi"
include "engine/few.pxi"
include "engine/input.pxi"
include "engine/struct.pxi"
include "engine/engine.pxi"
include "engine/bind.pxi"
include "engine/pass.pxi"
include "engine/response.pxi"
include "probe/machine.pxi"
include "probe/access.pxi"
