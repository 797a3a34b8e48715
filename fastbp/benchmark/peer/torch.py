"""PyTorch: eager, a Sequential and its fused optimizer; or a whole step in one compiled graph.

Losses are fetched once, at the end of a call.  Subnormal numbers are flushed to zero, as fastbp
does.
"""

from typing import Any

import numpy as np

from fastbp.benchmark.peer import Call, Run
from fastbp.benchmark.workload import (
    BETA1,
    BETA2,
    EPSILON,
    LEARNING_RATE,
    WEIGHT_DECAY,
    Array,
    Workload,
)

NAME = "PyTorch"


def network(workload: Workload) -> Any:
    import torch

    weights, modules = workload.weights(), []
    for kernel, bias in zip(weights[::2], weights[1::2], strict=True):
        linear = torch.nn.Linear(*kernel.shape)
        linear.weight.data = torch.from_numpy(np.ascontiguousarray(kernel.T))
        linear.bias.data = torch.from_numpy(bias)
        modules += [linear, activation_of(workload)]
    return torch.nn.Sequential(*modules[:-1])


def activation_of(workload: Workload) -> Any:
    from torch import nn

    known: dict[str, Any] = {
        "linear": nn.Identity, "relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "elu": nn.ELU,
        "selu": nn.SELU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid,
        "softplus": lambda: nn.Softplus(threshold=40),  # z beyond; 20 shows in float64
    }  # fmt: skip
    return known[workload.activation]()


def trainer(workload: Workload, variant: str, threads: int) -> Run:
    import torch

    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    X, y = (torch.from_numpy(part).split(workload.batch_size) for part in workload.data())
    batches, net = list(zip(X, y, strict=True)), network(workload)
    parameters = list(net.parameters())
    step = (compiled_step if variant == "compiled" else eager_step)(workload, net)

    def run(steps: int) -> tuple[float, list[Array]]:
        for _ in range(steps // len(batches)):
            losses = [step(x, target) for x, target in batches]
        found = [part.detach().numpy().T for part in parameters]
        return float(torch.stack(losses).mean()), found

    return run


def loss_function(workload: Workload) -> Any:
    from torch.nn import functional

    known = {
        "mse": functional.mse_loss, "mae": functional.l1_loss, "huber": functional.huber_loss,
        "binary_cross_entropy": functional.binary_cross_entropy_with_logits,
        "half_sse": lambda z, target: functional.mse_loss(z, target) * (z.shape[1] / 2),
    }  # fmt: skip
    return known.get(workload.loss, functional.cross_entropy)


def eager_step(workload: Workload, net: Any) -> Any:
    import torch

    parameters, loss_of = list(net.parameters()), loss_function(workload)
    about: Any = {"lr": LEARNING_RATE, "betas": (BETA1, BETA2), "eps": EPSILON, "fused": True}
    if workload.optimizer == "adam":
        optimizer: Any = torch.optim.Adam(parameters, **about)
    elif workload.optimizer == "adamw":
        biases = {"params": parameters[1::2], "weight_decay": 0.0}
        groups = [{"params": parameters[::2]}, biases]
        optimizer = torch.optim.AdamW(groups, weight_decay=WEIGHT_DECAY, **about)
    else:
        optimizer = torch.optim.SGD(parameters, LEARNING_RATE, fused=True)

    def step(x: Any, target: Any) -> Any:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(net(x), target)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def compiled_step(workload: Workload, net: Any) -> Any:
    """Forward, loss, backward and update in one graph; the step number is a tensor in it."""
    import torch

    parameters = dict(net.named_parameters())
    w = {name: part.detach() for name, part in parameters.items()}
    m = {name: torch.zeros_like(part) for name, part in w.items()}
    v = {name: torch.zeros_like(part) for name, part in w.items()}
    powers = torch.ones(2, dtype=torch.float64)
    betas, loss_of = torch.tensor([BETA1, BETA2], dtype=torch.float64), loss_function(workload)

    def objective(w: Any, x: Any, target: Any) -> Any:
        return loss_of(torch.func.functional_call(net, w, (x,)), target)

    def step(x: Any, target: Any) -> Any:
        g, loss = torch.func.grad_and_value(objective)(w, x, target)
        if workload.optimizer == "sgd":
            for name, part in w.items():
                part.sub_(LEARNING_RATE * g[name])
            return loss
        powers.mul_(betas)
        root = (1 - powers[1]).sqrt()
        scale = (LEARNING_RATE * root / (1 - powers[0])).to(x.dtype)
        epsilon = (EPSILON * root).to(x.dtype)
        for name, part in w.items():
            m[name].mul_(BETA1).add_((1 - BETA1) * g[name])
            v[name].mul_(BETA2).add_((1 - BETA2) * g[name] * g[name])
            part.sub_(scale * m[name] / (v[name].sqrt() + epsilon))
        return loss

    return torch.no_grad()(torch.compile(step, fullgraph=True, dynamic=False))


def call(workload: Workload, variant: str, threads: int) -> Call:
    import torch

    torch.set_num_threads(threads)
    net, (X, y) = network(workload), workload.data()
    x, target = (torch.from_numpy(part[: workload.batch_size]) for part in (X, y))
    if variant == "step":
        step = eager_step(workload, net)
        return lambda: step(x, target)
    return torch.inference_mode()(lambda: net(x))
