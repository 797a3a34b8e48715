"""Optimizer steps of one parameter w, from its gradient g with the penalties in it.

After w and g come the slots, which are as many as the results beside w, then the scalars of the
step.  A scalar is the number of the optimizer that has its name; where one has to be computed,
`name_scalars` gives all of them, in their order, from numbers of the optimizer and from running
powers: `beta1_power` is beta1^t at step t = 1, 2, ...  They are computed as doubles and rounded
once.

The scalar `decay` is 0 for tensors that do not decay.
"""

from __future__ import annotations

from fastbp.formula.number import double, real, real_fma, real_positive, real_sqrt, sqrt


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
