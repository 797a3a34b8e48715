# Metrics of the rows of a loss, from the same outputs and targets, in the pass that computes the loss.
#
#     return   sum over rows (and outputs) of the metric, each times its weight
#
# An error of a probability is the slope of its cross-entropy: there mae and mse read what the loss has put in `d`.  Outputs
# lie `row` and `column` apart, so that rows in the lanes need no copies; d and weights of elements lie as outputs do.

cdef enum:
    MOST_METRICS = 3        # of one output

ctypedef double (*metric_kernel)(LossRows* rows, Py_ssize_t row, Py_ssize_t column) noexcept nogil

cdef struct Metric:
    metric_kernel kernel
    double divisor          # of the sum, beside the rows: the outputs where it is a mean over these too
    int head                # of several outputs: whose it is; without a kernel, the loss itself


cdef tuple METRICS = ("accuracy", "mae", "mse")


cdef Metric find_metric(str name, str link, Py_ssize_t n_outputs) except *:
    """The kernel of a metric of outputs of a loss.  Raises ValueError for an unknown one."""
    cdef Metric found
    found.head = -1
    found.divisor = n_outputs
    if name == "mae":
        found.kernel = absolute_errors if link == "identity" else absolute_slopes
    elif name == "mse":
        found.kernel = squared_errors if link == "identity" else squared_slopes
    elif name == "accuracy" and link == "softmax":
        found.kernel = right_classes
        found.divisor = 1
    elif name == "accuracy" and link == "logit":
        found.kernel = right_sides
    else:
        raise unknown("metric", name)
    return found


cdef inline const real* target_row(LossRows* own, Py_ssize_t r) noexcept nogil:
    return own.y + (own.order[r] if own.order != NULL else r) * own.y_row


cdef inline Py_ssize_t largest(Py_ssize_t n, const real* x, Py_ssize_t step) noexcept nogil:
    """The place of the first largest number; without branches, which would be guessed wrong half of the time."""
    cdef Py_ssize_t j, place = 0
    cdef real most = x[0]
    for j in range(1, n):
        place = j if x[j * step] > most else place
        most = x[j * step] if x[j * step] > most else most
    return place


cdef double right_classes(LossRows* own, Py_ssize_t row, Py_ssize_t column) noexcept nogil:
    """Rows whose largest output is the class, or the largest probability."""
    cdef Py_ssize_t r, expected, right = 0
    cdef double sum = 0
    cdef bint is_right
    for r in range(own.rows):
        if own.label != NULL:
            expected = own.label[(own.order[r] if own.order != NULL else r) * own.label_step]
        else:
            expected = largest(own.n, target_row(own, r), own.y_column)
        is_right = largest(own.n, own.out + r * row, column) == expected
        if own.weight == NULL:
            right += is_right
        else:
            sum += is_right * own.weight[r]
    return sum + right


cdef double right_sides(LossRows* own, Py_ssize_t row, Py_ssize_t column) noexcept nogil:
    """Elements whose probability is on the target's side of 0.5."""
    cdef Py_ssize_t r, j, at
    cdef const real* y
    cdef double sum = 0
    for r in range(own.rows):
        y = target_row(own, r)
        for j in range(own.n):
            at = r * row + j * column
            if (real_sigmoid(own.out[at]) >= 0.5) == (y[j * own.y_column] >= 0.5):
                sum += own.weight[at] if own.weight != NULL else 1
    return sum


cdef inline double sum_of_errors(const bint squared, LossRows* own, Py_ssize_t row, Py_ssize_t column) noexcept nogil:
    """The sum of |out - y| or of its square, weighted, in float64: of each row, then of the rows."""
    cdef Py_ssize_t r, j, at
    cdef const real* y
    cdef double error, of_row, sum = 0
    for r in range(own.rows):
        y = target_row(own, r)
        of_row = 0
        for j in range(own.n):
            at = r * row + j * column
            error = <double>own.out[at] - <double>y[j * own.y_column]
            error = error * error if squared else abs(error)
            if own.weight == NULL:
                of_row += error
            elif own.weight[at] != 0:
                of_row += own.weight[at] * error
        sum += of_row
    return sum


cdef inline double sum_of_slopes(const bint squared, LossRows* own, Py_ssize_t row, Py_ssize_t column) noexcept nogil:
    """The same where d = scale weight (p - y): of |p - y| or of its square, weighted."""
    cdef Py_ssize_t r, j, at
    cdef double error, weight, of_row, sum = 0
    if own.scale == 0:
        return 0
    for r in range(own.rows):
        of_row = 0
        for j in range(own.n):
            at = r * row + j * column
            error = own.d[at]
            if not squared:
                of_row += abs(error)
            elif own.weight == NULL:
                of_row += error * error
            else:
                weight = own.weight[r] if own.is_by_row else own.weight[at]
                of_row += error * error / weight if weight > 0 else 0
        sum += of_row
    return sum / (<double>own.scale * <double>own.scale if squared else own.scale)


cdef double absolute_errors(LossRows* own, Py_ssize_t row, Py_ssize_t column) noexcept nogil:
    return sum_of_errors(False, own, row, column)


cdef double squared_errors(LossRows* own, Py_ssize_t row, Py_ssize_t column) noexcept nogil:
    return sum_of_errors(True, own, row, column)


cdef double absolute_slopes(LossRows* own, Py_ssize_t row, Py_ssize_t column) noexcept nogil:
    return sum_of_slopes(False, own, row, column)


cdef double squared_slopes(LossRows* own, Py_ssize_t row, Py_ssize_t column) noexcept nogil:
    return sum_of_slopes(True, own, row, column)
