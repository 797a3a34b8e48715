"""The optimizers beside plain SGD, Adam and AdamW, each with every option that changes its step."""

from __future__ import annotations

from typing import Any

import fastbp as fb

MORE_OPTIMIZERS: list[Any] = [
    fb.SGD(0.1, weight_decay=0.2, decoupled_weight_decay=True),
    fb.SGD(0.1, momentum=0.9, weight_decay=0.2, decoupled_weight_decay=True),
    fb.SGD(0.1, momentum=0.5, nesterov=True, weight_decay=0.2, decoupled_weight_decay=True),
    fb.SGD(0.1, momentum=0.9, weight_decay=0.2, decoupled_weight_decay=True, scaled_momentum=True),
    fb.SGD(
        0.1,
        momentum=0.5,
        nesterov=True,
        weight_decay=0.2,
        decoupled_weight_decay=True,
        scaled_momentum=True,
    ),  # fmt: skip
    fb.Adam(0.01, epsilon=0.1, amsgrad=True),
    fb.Adam(0.01, epsilon=0.3, amsgrad=True, epsilon_hat=True),
    fb.AdamW(0.01, epsilon=0.1, amsgrad=True, weight_decay=0.5),
    fb.RMSprop(0.01, epsilon=0.1),
    fb.RMSprop(0.01, epsilon=0.3, centered=True, weight_decay=0.5),
    fb.RMSprop(0.01, epsilon=0.1, momentum=0.5, rho=0.8),
    fb.RMSprop(0.01, epsilon=0.3, momentum=0.5, centered=True),
    fb.Adagrad(0.05, initial_accumulator_value=0.1),
    fb.Adagrad(0.05, epsilon=0.1, weight_decay=0.2, decay_bias=True),
    fb.Adadelta(0.5, epsilon=0.1),
    fb.Adamax(0.01, epsilon=0.1),
    fb.NAdam(0.01, epsilon=0.1, weight_decay=0.5),
    fb.NAdam(0.01, epsilon=0.1, momentum_decay=1),
    fb.RAdam(0.01, epsilon=0.1),
    fb.RAdam(0.01, beta1=0.5, beta2=0.9, epsilon=0.1, weight_decay=0.5),
    fb.Lion(0.01, weight_decay=0.5),
    fb.Rprop(0.01, step_max=0.1),
]
