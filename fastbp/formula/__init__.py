"""The formulas: each written once, for the compiled kernels and for NumPy.

A formula is a function of one number of a kind, in the Python that Cython reads too.  The build
makes loops of it (src/generate.py); the NumPy backend calls it with arrays.  What it calls, such as
`real_fma`, is in `number` for NumPy and in src/function and src/machine for the kernels.

    activation  name(z[, alpha]) -> a, and its derivative: name_backward(d[, a][, alpha]) -> d times
                the slope, or name_slope(z[, alpha]) -> the slope, which a step keeps
    loss        name(out, target[, parameters]) -> value, slope
    optimizer   name(w, g, slots, scalars) -> w, slots; and where scalars are not numbers of the
                optimizer, name_scalars(numbers, powers) -> scalars

The names of the arguments are read: see `activation`, `loss` and `optimizer`.
"""
