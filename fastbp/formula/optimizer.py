"""Optimizer steps of one parameter w, from its gradient g with the penalties in it.

After w and g come the slots, which are as many as the results beside w, then the scalars of the
step.  A scalar is the number of the optimizer that has its name; where one has to be computed,
`name_scalars` gives all of them, in their order, from numbers of the optimizer and from running
powers: `beta1_power` is beta1^t at step t = 1, 2, ...  They are computed as doubles and rounded
once.

The scalar `decay` is 0 for tensors that do not decay; it takes its part of w before the step.
"""

from __future__ import annotations

from fastbp.formula.number import (
    double,
    log,
    real,
    real_abs,
    real_fma,
    real_max,
    real_min,
    real_positive,
    real_select,
    real_sign,
    real_sqrt,
    sqrt,
)


def sgd(w: real, g: real, learning_rate: real) -> real:
    return real_fma(-learning_rate, g, w)


def momentum(
    w: real, g: real, velocity: real, learning_rate: real, momentum: real
) -> tuple[real, real]:
    """Sutskever et al., On the importance of initialization and momentum in deep learning, 2013,
    with the learning rate outside the velocity.
    """
    velocity = real_fma(momentum, velocity, g)
    return real_fma(-learning_rate, velocity, w), velocity


def nesterov(
    w: real, g: real, velocity: real, learning_rate: real, momentum: real
) -> tuple[real, real]:
    velocity = real_fma(momentum, velocity, g)
    return real_fma(-learning_rate, real_fma(momentum, velocity, g), w), velocity


def scaled_momentum(
    w: real, g: real, velocity: real, learning_rate: real, momentum: real
) -> tuple[real, real]:
    """Sutskever's own form, with the learning rate inside the velocity."""
    velocity = real_fma(momentum, velocity, learning_rate * g)
    return w - velocity, velocity


def scaled_nesterov(
    w: real, g: real, velocity: real, learning_rate: real, momentum: real
) -> tuple[real, real]:
    velocity = real_fma(momentum, velocity, learning_rate * g)
    return w - real_fma(momentum, velocity, learning_rate * g), velocity


def adam(
    w: real, g: real, m: real, v: real,
    beta1: real, beta2: real, one_minus_beta1: real, one_minus_beta2: real, epsilon: real,
    step_size: real, root_scale: real, decay: real,
) -> tuple[real, real, real]:  # fmt: skip
    """Kingma & Ba, Adam, 2015, algorithm 1; `decay` is AdamW's (Loshchilov & Hutter, Decoupled
    Weight Decay Regularization, 2019), zero for Adam.
    """
    m = real_fma(beta1, m, one_minus_beta1 * g)
    v = real_fma(beta2, v, one_minus_beta2 * g * g)
    w = real_fma(-decay, w, w)
    return w - step_size * m / (real_sqrt(v) * root_scale + real_positive(epsilon)), m, v


def adam_scalars(
    learning_rate: double, beta1: double, beta2: double, epsilon: double, weight_decay: double,
    epsilon_hat: double, beta1_power: double, beta2_power: double,
) -> tuple[double, double, double, double, double, double, double, double]:  # fmt: skip
    """`epsilon_hat` is 1 where epsilon joins sqrt(v) before that is corrected, else 0."""
    return (
        beta1,
        beta2,
        1 - beta1,
        1 - beta2,
        epsilon * (1 + epsilon_hat * (1 / sqrt(1 - beta2_power) - 1)),
        learning_rate / (1 - beta1_power),
        1 / sqrt(1 - beta2_power),
        learning_rate * weight_decay,
    )


def amsgrad(
    w: real, g: real, m: real, v: real, v_max: real,
    beta1: real, beta2: real, one_minus_beta1: real, one_minus_beta2: real, epsilon: real,
    step_size: real, root_scale: real, decay: real,
) -> tuple[real, real, real, real]:  # fmt: skip
    """Reddi et al., On the Convergence of Adam and Beyond, 2018, with Adam's bias correction."""
    m = real_fma(beta1, m, one_minus_beta1 * g)
    v = real_fma(beta2, v, one_minus_beta2 * g * g)
    v_max = real_max(v_max, v)
    w = real_fma(-decay, w, w)
    root: real = real_sqrt(v_max) * root_scale + real_positive(epsilon)
    return w - step_size * m / root, m, v, v_max


def amsgrad_scalars(
    learning_rate: double, beta1: double, beta2: double, epsilon: double, weight_decay: double,
    epsilon_hat: double, beta1_power: double, beta2_power: double,
) -> tuple[double, double, double, double, double, double, double, double]:  # fmt: skip
    return (
        beta1,
        beta2,
        1 - beta1,
        1 - beta2,
        epsilon * (1 + epsilon_hat * (1 / sqrt(1 - beta2_power) - 1)),
        learning_rate / (1 - beta1_power),
        1 / sqrt(1 - beta2_power),
        learning_rate * weight_decay,
    )


def decayed_sgd(w: real, g: real, learning_rate: real, decay: real) -> real:
    return real_fma(-learning_rate, g, real_fma(-decay, w, w))


def decayed_sgd_scalars(learning_rate: double, weight_decay: double) -> tuple[double, double]:
    return learning_rate, learning_rate * weight_decay


def decayed_momentum(
    w: real, g: real, velocity: real, learning_rate: real, momentum: real, decay: real
) -> tuple[real, real]:
    velocity = real_fma(momentum, velocity, g)
    return real_fma(-learning_rate, velocity, real_fma(-decay, w, w)), velocity


def decayed_momentum_scalars(
    learning_rate: double, momentum: double, weight_decay: double
) -> tuple[double, double, double]:
    return learning_rate, momentum, learning_rate * weight_decay


def decayed_nesterov(
    w: real, g: real, velocity: real, learning_rate: real, momentum: real, decay: real
) -> tuple[real, real]:
    velocity = real_fma(momentum, velocity, g)
    step: real = real_fma(momentum, velocity, g)
    return real_fma(-learning_rate, step, real_fma(-decay, w, w)), velocity


def decayed_nesterov_scalars(
    learning_rate: double, momentum: double, weight_decay: double
) -> tuple[double, double, double]:
    return learning_rate, momentum, learning_rate * weight_decay


def decayed_scaled_momentum(
    w: real, g: real, velocity: real, learning_rate: real, momentum: real, decay: real
) -> tuple[real, real]:
    velocity = real_fma(momentum, velocity, learning_rate * g)
    return real_fma(-decay, w, w) - velocity, velocity


def decayed_scaled_momentum_scalars(
    learning_rate: double, momentum: double, weight_decay: double
) -> tuple[double, double, double]:
    return learning_rate, momentum, learning_rate * weight_decay


def decayed_scaled_nesterov(
    w: real, g: real, velocity: real, learning_rate: real, momentum: real, decay: real
) -> tuple[real, real]:
    velocity = real_fma(momentum, velocity, learning_rate * g)
    step: real = real_fma(momentum, velocity, learning_rate * g)
    return real_fma(-decay, w, w) - step, velocity


def decayed_scaled_nesterov_scalars(
    learning_rate: double, momentum: double, weight_decay: double
) -> tuple[double, double, double]:
    return learning_rate, momentum, learning_rate * weight_decay


def rmsprop(
    w: real, g: real, v: real,
    rho: real, one_minus_rho: real, epsilon: real, learning_rate: real, decay: real,
) -> tuple[real, real]:  # fmt: skip
    v = real_fma(rho, v, one_minus_rho * g * g)
    w = real_fma(-decay, w, w)
    return w - learning_rate * g / (real_sqrt(v) + real_positive(epsilon)), v


def rmsprop_scalars(
    learning_rate: double, rho: double, epsilon: double, weight_decay: double
) -> tuple[double, double, double, double, double]:
    return rho, 1 - rho, epsilon, learning_rate, learning_rate * weight_decay


def centered_rmsprop(
    w: real, g: real, v: real, mean: real,
    rho: real, one_minus_rho: real, epsilon: real, learning_rate: real, decay: real,
) -> tuple[real, real, real]:  # fmt: skip
    v = real_fma(rho, v, one_minus_rho * g * g)
    mean = real_fma(rho, mean, one_minus_rho * g)
    w = real_fma(-decay, w, w)
    root: real = real_sqrt(real_max(v - mean * mean, 0))
    return w - learning_rate * g / (root + real_positive(epsilon)), v, mean


def centered_rmsprop_scalars(
    learning_rate: double, rho: double, epsilon: double, weight_decay: double
) -> tuple[double, double, double, double, double]:
    return rho, 1 - rho, epsilon, learning_rate, learning_rate * weight_decay


def momentum_rmsprop(
    w: real, g: real, v: real, velocity: real,
    rho: real, one_minus_rho: real, epsilon: real, learning_rate: real, momentum: real,
    decay: real,
) -> tuple[real, real, real]:  # fmt: skip
    v = real_fma(rho, v, one_minus_rho * g * g)
    velocity = real_fma(momentum, velocity, g / (real_sqrt(v) + real_positive(epsilon)))
    return real_fma(-learning_rate, velocity, real_fma(-decay, w, w)), v, velocity


def momentum_rmsprop_scalars(
    learning_rate: double, rho: double, epsilon: double, momentum: double, weight_decay: double
) -> tuple[double, double, double, double, double, double]:
    return rho, 1 - rho, epsilon, learning_rate, momentum, learning_rate * weight_decay


def centered_momentum_rmsprop(
    w: real, g: real, v: real, mean: real, velocity: real,
    rho: real, one_minus_rho: real, epsilon: real, learning_rate: real, momentum: real,
    decay: real,
) -> tuple[real, real, real, real]:  # fmt: skip
    v = real_fma(rho, v, one_minus_rho * g * g)
    mean = real_fma(rho, mean, one_minus_rho * g)
    root: real = real_sqrt(real_max(v - mean * mean, 0))
    velocity = real_fma(momentum, velocity, g / (root + real_positive(epsilon)))
    return real_fma(-learning_rate, velocity, real_fma(-decay, w, w)), v, mean, velocity


def centered_momentum_rmsprop_scalars(
    learning_rate: double, rho: double, epsilon: double, momentum: double, weight_decay: double
) -> tuple[double, double, double, double, double, double]:
    return rho, 1 - rho, epsilon, learning_rate, momentum, learning_rate * weight_decay


def adagrad(
    w: real, g: real, total: real,
    initial: real, epsilon: real, learning_rate: real, decay: real,
) -> tuple[real, real]:  # fmt: skip
    """Duchi et al., Adaptive Subgradient Methods, 2011; `total` without what it begins with."""
    total = real_fma(g, g, total)
    w = real_fma(-decay, w, w)
    return w - learning_rate * g / (real_sqrt(total + initial) + real_positive(epsilon)), total


def adagrad_scalars(
    learning_rate: double, initial_accumulator_value: double, epsilon: double, weight_decay: double
) -> tuple[double, double, double, double]:
    return initial_accumulator_value, epsilon, learning_rate, learning_rate * weight_decay


def adadelta(
    w: real, g: real, v: real, change: real,
    rho: real, one_minus_rho: real, epsilon: real, learning_rate: real, decay: real,
) -> tuple[real, real, real]:  # fmt: skip
    """Zeiler, Adadelta, 2012, algorithm 1, with a learning rate."""
    least: real = real_positive(epsilon)
    v = real_fma(rho, v, one_minus_rho * g * g)
    step: real = real_sqrt(change + least) / real_sqrt(v + least) * g
    change = real_fma(rho, change, one_minus_rho * step * step)
    return real_fma(-learning_rate, step, real_fma(-decay, w, w)), v, change


def adadelta_scalars(
    learning_rate: double, rho: double, epsilon: double, weight_decay: double
) -> tuple[double, double, double, double, double]:
    return rho, 1 - rho, epsilon, learning_rate, learning_rate * weight_decay


def adamax(
    w: real, g: real, m: real, u: real,
    beta1: real, one_minus_beta1: real, beta2: real, epsilon: real, step_size: real, decay: real,
) -> tuple[real, real, real]:  # fmt: skip
    """Kingma & Ba, Adam, 2015, algorithm 2; epsilon as in PyTorch."""
    m = real_fma(beta1, m, one_minus_beta1 * g)
    u = real_max(beta2 * u, real_abs(g) + real_positive(epsilon))
    return real_fma(-decay, w, w) - step_size * m / u, m, u


def adamax_scalars(
    learning_rate: double, beta1: double, beta2: double, epsilon: double, weight_decay: double,
    beta1_power: double,
) -> tuple[double, double, double, double, double, double]:  # fmt: skip
    step_size: double = learning_rate / (1 - beta1_power)
    return beta1, 1 - beta1, beta2, epsilon, step_size, learning_rate * weight_decay


def nadam(
    w: real, g: real, m: real, v: real, rest: real,
    beta1: real, one_minus_beta1: real, beta2: real, one_minus_beta2: real, epsilon: real,
    learning_rate: real, mu: real, one_minus_mu: real, next_mu: real, one_minus_next_mu: real,
    root_scale: real, decay: real,
) -> tuple[real, real, real, real]:  # fmt: skip
    """Dozat, Incorporating Nesterov Momentum into Adam, 2016; `rest` is 1 less the product of all
    mu so far.
    """
    m = real_fma(beta1, m, one_minus_beta1 * g)
    v = real_fma(beta2, v, one_minus_beta2 * g * g)
    rest = real_fma(mu, rest, one_minus_mu)
    next_rest: real = real_fma(next_mu, rest, one_minus_next_mu)
    step: real = one_minus_mu / rest * g + next_mu / next_rest * m
    root: real = real_sqrt(v) * root_scale + real_positive(epsilon)
    return real_fma(-decay, w, w) - learning_rate * step / root, m, v, rest


def nadam_scalars(
    learning_rate: double, beta1: double, beta2: double, epsilon: double, mu_decay: double,
    weight_decay: double, beta2_power: double, mu_decay_power: double,
) -> tuple[
    double, double, double, double, double, double, double, double, double, double, double, double
]:  # fmt: skip
    mu: double = beta1 * (1 - 0.5 * mu_decay_power)
    next_mu: double = beta1 * (1 - 0.5 * mu_decay_power * mu_decay)
    return (
        beta1,
        1 - beta1,
        beta2,
        1 - beta2,
        epsilon,
        learning_rate,
        mu,
        1 - mu,
        next_mu,
        1 - next_mu,
        1 / sqrt(1 - beta2_power),
        learning_rate * weight_decay,
    )


def radam(
    w: real, g: real, m: real, v: real,
    beta1: real, one_minus_beta1: real, beta2: real, one_minus_beta2: real, epsilon: real,
    step_size: real, adapts: real, decay: real,
) -> tuple[real, real, real]:  # fmt: skip
    """Liu et al., On the Variance of the Adaptive Learning Rate and Beyond, 2020, algorithm 2."""
    m = real_fma(beta1, m, one_minus_beta1 * g)
    v = real_fma(beta2, v, one_minus_beta2 * g * g)
    root: real = real_select(adapts > 0, real_sqrt(v) + real_positive(epsilon), 1)
    return real_fma(-decay, w, w) - step_size * m / root, m, v


def radam_scalars(
    learning_rate: double, beta1: double, beta2: double, epsilon: double, weight_decay: double,
    beta1_power: double, beta2_power: double,
) -> tuple[double, double, double, double, double, double, double, double]:  # fmt: skip
    """The number of the step is found from the power of beta2."""
    power: double = max(beta2_power, 1e-300)
    longest: double = 2 / (1 - beta2) - 1
    length: double = longest - 2 * (log(power) / log(beta2)) * power / (1 - power)
    part: double = (length - 4) * (length - 2) * longest
    adapts: double = 1.0 if length > 5 else 0.0
    rate: double = learning_rate / (1 - beta1_power)
    factor: double = (
        sqrt(part / ((longest - 4) * (longest - 2) * length) * (1 - beta2_power))
        if length > 5
        else 1.0
    )
    return (
        beta1,
        1 - beta1,
        beta2,
        1 - beta2,
        epsilon,
        rate * factor,
        adapts,
        learning_rate * weight_decay,
    )


def lion(
    w: real, g: real, m: real,
    beta1: real, one_minus_beta1: real, beta2: real, one_minus_beta2: real, learning_rate: real,
    decay: real,
) -> tuple[real, real]:  # fmt: skip
    """Chen et al., Symbolic Discovery of Optimization Algorithms, 2023, algorithm 2."""
    sign: real = real_sign(real_fma(beta1, m, one_minus_beta1 * g))
    m = real_fma(beta2, m, one_minus_beta2 * g)
    return real_fma(-learning_rate, sign, real_fma(-decay, w, w)), m


def lion_scalars(
    learning_rate: double, beta1: double, beta2: double, weight_decay: double
) -> tuple[double, double, double, double, double, double]:
    return beta1, 1 - beta1, beta2, 1 - beta2, learning_rate, learning_rate * weight_decay


def rprop(
    w: real, g: real, previous: real, size: real,
    learning_rate: real, eta_minus: real, eta_plus: real, step_min: real, step_max: real,
    decay: real,
) -> tuple[real, real, real]:  # fmt: skip
    """Riedmiller & Braun, A Direct Adaptive Method for Faster Backpropagation Learning, 1993, where
    a change of sign takes no step, as in PyTorch; `size` is 0 before the first.
    """
    turn: real = real_sign(g) * real_sign(previous)
    factor: real = real_select(turn > 0, eta_plus, real_select(turn < 0, eta_minus, 1))
    size = factor * real_select(size > 0, size, learning_rate)
    size = real_min(real_max(size, step_min), step_max)
    previous = real_select(turn < 0, 0, g)
    return real_fma(-size, real_sign(previous), real_fma(-decay, w, w)), previous, size


def rprop_scalars(
    learning_rate: double, eta_minus: double, eta_plus: double, step_min: double, step_max: double,
    weight_decay: double,
) -> tuple[double, double, double, double, double, double]:  # fmt: skip
    decay: double = learning_rate * weight_decay
    return learning_rate, eta_minus, eta_plus, step_min, step_max, decay
