ctypedef float real
include "function_float32.pxi"
include "kernels.pxi"
