ctypedef double real
include "function_float64.pxi"
include "kernels.pxi"
