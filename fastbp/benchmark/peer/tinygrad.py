"""tinygrad: a TinyJit of the whole step, on the CPU."""

import os
import shutil
from typing import Any

import numpy as np

from fastbp.benchmark.peer import Refused, Run
from fastbp.benchmark.workload import BETA1, BETA2, EPSILON, LEARNING_RATE, Array, Workload

NAME = "tinygrad"


def trainer(workload: Workload, variant: str, threads: int) -> Run:
    if shutil.which(os.environ.get("CC", "clang")) is None:
        raise Refused("it compiles with clang, which is not there")
    from tinygrad import Context, Tensor, TinyJit
    from tinygrad.nn.optim import SGD, Adam

    weights = [Tensor(part).contiguous().realize() for part in workload.weights()]
    if workload.optimizer == "adam":
        optimizer: Any = Adam(weights, lr=LEARNING_RATE, b1=BETA1, b2=BETA2, eps=EPSILON)
    else:
        optimizer = SGD(weights, lr=LEARNING_RATE)
    data, rows = workload.data(), workload.batch_size
    starts = range(0, len(data[0]), rows)
    batches = [[Tensor(part[i : i + rows]).realize() for part in data] for i in starts]

    @TinyJit
    def step(x: Any, target: Any) -> Any:
        optimizer.zero_grad()
        for i in range(0, len(weights), 2):
            x = x @ weights[i] + weights[i + 1]
            if i + 2 < len(weights):
                x = x.tanh() if workload.activation == "tanh" else x.relu()
        if workload.loss == "mse":
            loss = ((x - target) ** 2).mean()
        else:
            loss = x.sparse_categorical_crossentropy(target)
        loss.backward()
        return loss.realize(*optimizer.schedule_step())

    def run(steps: int) -> tuple[float, list[Array]]:
        with Context(TRAINING=1):
            for _ in range(steps // len(batches) - 1):
                for x, target in batches:
                    step(x, target)
            losses = [step(x, target).item() for x, target in batches]
        return float(np.mean(losses)), [part.numpy() for part in weights]

    return run
