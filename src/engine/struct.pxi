# The structs that an engine fills from a plan, and their fields by name.

# What the plan and its arena say in numbers, each by its name there.
cdef struct Sizes:
    Py_ssize_t n_features
    Py_ssize_t n_outputs
    Py_ssize_t n_states
    Py_ssize_t input            # offsets in the activations
    Py_ssize_t ld_input
    Py_ssize_t output
    Py_ssize_t ld_output
    Py_ssize_t output_gradient
    Py_ssize_t tile_rows
    Py_ssize_t block_rows
    Py_ssize_t chunk_rows
    Py_ssize_t turned_rows
    Py_ssize_t panel_depth
    Py_ssize_t packed_block
    Py_ssize_t packed_from
    Py_ssize_t max_rows
    Py_ssize_t prompt_rows      # from so many on a forward pass starts workers without a call just before
    Py_ssize_t n_workers
    Py_ssize_t latency_rows
    bint keeps_batch
    bint weight_parallel
    bint layered
    bint staged
    bint gathers
    bint fetches
    bint rows_in_lanes
    Py_ssize_t staging          # in the activations, with rows in the lanes: room for rows on their way there
    double loss_divisor
    double seconds_per_row

cdef struct ArenaSizes:
    Py_ssize_t gradient
    Py_ssize_t transposes
    Py_ssize_t activations
    Py_ssize_t activation_stride
    Py_ssize_t chunk
    Py_ssize_t chunk_stride
    Py_ssize_t packing
    Py_ssize_t packing_stride
    Py_ssize_t last_good

# A struct is a dict of its fields to Python.
cdef Sizes SIZES
cdef ArenaSizes ARENA_SIZES
cdef Operation OPERATION
cdef Segment SEGMENT
memset(&SIZES, 0, sizeof(SIZES))
memset(&ARENA_SIZES, 0, sizeof(ARENA_SIZES))
memset(&OPERATION, 0, sizeof(OPERATION))
memset(&SEGMENT, 0, sizeof(SEGMENT))
cdef tuple SIZE_NAMES = tuple(SIZES)
cdef tuple ARENA_NAMES = tuple(ARENA_SIZES)
cdef tuple OPERATION_NAMES = tuple(OPERATION)
cdef tuple SEGMENT_NAMES = tuple(SEGMENT)
