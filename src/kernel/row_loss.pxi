# Losses of whole rows beside the cross-entropy of cross_entropy.pxi, for fewer users and by plain loops; a row's weight
# multiplies its loss and its gradient.  In a plan with the rows in the lanes they go by way of rows.

cdef double class_loss_rows(LossRows* own) noexcept nogil:
    """sum_j t_j ((1 - p_j)^gamma (-log p_j) [+ log t_j]) of p = softmax(z), t = (1 - smoothing) y + smoothing / n.

    By class indices or rows of probabilities.  Parameters: gamma, smoothing, and whether log t is in it.  A row's largest
    logit is taken apart: what the others add to it keeps its digits, and so does a small loss.
    """
    cdef Py_ssize_t r, j, at, most, label, n = own.n
    cdef real gamma = own.parameters.at[0], smoothing = own.parameters.at[1]
    cdef bint is_divergence = own.parameters.at[2] != 0
    cdef const real* z
    cdef const real* y = NULL
    cdef real* d
    cdef real shift, rest, log_total, t, p, other, surprise, power, own_slope, slopes, value, weight, scale
    cdef double loss = 0
    for r in range(own.rows):
        at = own.order[r] if own.order != NULL else r
        z = own.out + r * own.ld
        d = own.d + r * own.ld
        weight = own.weight[r] if own.weight != NULL else 1
        if weight == 0:
            memset(d, 0, own.ld * sizeof(real))
            continue
        label = own.label[at * own.label_step] if own.label != NULL else -1
        if own.label != NULL and not 0 <= label < n:
            label = 0
        if own.label == NULL:
            y = own.y + at * own.y_row
        most = largest(n, z, 1)
        exponentials(n, own.ld, z, d, &shift)
        rest = 0
        for j in range(n):
            rest += d[j] if j != most else 0
        log_total = real_log1p(rest) if rest <= 1 else real_log(1 + rest)
        value = slopes = 0
        for j in range(n):      # d from exponentials to the slopes by p_j, times p_j
            t = (<real>(j == label) if y == NULL else y[j * own.y_column])
            t = t + smoothing * (<real>1 / n - t)
            p = d[j] / (1 + rest)
            other = rest / (1 + rest) if j == most else 1 - p
            surprise = (shift - z[j]) + log_total
            own_slope = -t
            if gamma > 0:
                power = real_exp((gamma - 1) * real_log(real_positive(other)))
                own_slope = -t * power * (other + gamma * p * surprise)
                surprise = power * other * surprise
            if t != 0:
                value += t * (surprise + real_log(t) if is_divergence else surprise)
            else:
                own_slope = 0
            slopes += own_slope
            d[j] = own_slope
        scale = own.scale * weight
        for j in range(n):
            p = real_exp((z[j] - shift) - log_total)
            other = rest / (1 + rest) if j == most else 1 - p
            d[j] = scale * (d[j] * other - p * (slopes - d[j]))
        loss += weight * value
    return loss


cdef double cosine_rows(LossRows* own) noexcept nogil:
    """1 - cos of the angle between output a and target b, as half the square of the distance of their directions.

    1 with a gradient of 0 where one of them is 0.
    """
    cdef Py_ssize_t r, j, at, n = own.n, ld = own.ld
    cdef const real* a
    cdef const real* y
    cdef real* d
    cdef real weight, apart
    cdef double size_a, size_b, length_a, length_b, square, along, loss = 0
    for r in range(own.rows):
        at = own.order[r] if own.order != NULL else r
        a = own.out + r * ld
        y = own.y + at * own.y_row
        d = own.d + r * ld
        weight = own.weight[r] if own.weight != NULL else 1
        memset(d, 0, ld * sizeof(real))
        if weight == 0:
            continue
        size_a = size_b = length_a = length_b = square = along = 0
        for j in range(n):
            size_a = max(size_a, abs(<double>a[j]))
            size_b = max(size_b, abs(<double>y[j * own.y_column]))
        for j in range(n):
            if size_a > 0 and size_b > 0:
                length_a += (a[j] / size_a) * (a[j] / size_a)
                length_b += (y[j * own.y_column] / size_b) * (y[j * own.y_column] / size_b)
        if length_a == 0 or length_b == 0 or size_a - size_a != 0:
            loss += weight * (1 + (size_a - size_a))
            continue
        length_a = sqrt(length_a)
        length_b = sqrt(length_b)
        for j in range(n):
            apart = <real>((a[j] / size_a) / length_a - (y[j * own.y_column] / size_b) / length_b)
            square += <double>apart * apart
            along += (a[j] / size_a) / length_a * apart
            d[j] = apart
        for j in range(n):
            d[j] = <real>(own.scale * weight * (d[j] - along * ((a[j] / size_a) / length_a)) / (size_a * length_a))
        loss += weight * (0.5 * square)
    return loss
