"""PyTorch: eager, a Sequential and its fused optimizer; or a whole step in one compiled graph.

Losses are fetched once, at the end of a call.  Subnormal numbers are flushed to zero, as fastbp
does.
"""

from typing import Any

import numpy as np

from fastbp.benchmark.peer import Call, Refused, Run
from fastbp.benchmark.workload import (
    BATCH_NORM,
    BATCH_NORM_MOMENTUM,
    BETA1,
    BETA2,
    DROPOUT,
    DROPOUT_RATE,
    EMBEDDING,
    EPSILON,
    LAYER_NORM,
    LEARNING_RATE,
    NORM_EPSILON,
    WEIGHT_DECAY,
    Array,
    Workload,
)

NAME = "PyTorch"


def network(workload: Workload) -> Any:
    import torch
    from torch import nn

    weights, modules = workload.weights(), []
    for kernel, bias in zip(weights[::2], weights[1::2], strict=True):
        linear = nn.Linear(*kernel.shape)
        linear.weight.data = torch.from_numpy(np.ascontiguousarray(kernel.T))
        linear.bias.data = torch.from_numpy(bias)
        norm: list[Any] = []
        if workload.part == LAYER_NORM:
            norm = [nn.LayerNorm(len(bias), eps=NORM_EPSILON)]
        elif workload.part == BATCH_NORM:
            norm = [nn.BatchNorm1d(len(bias), eps=NORM_EPSILON, momentum=1 - BATCH_NORM_MOMENTUM)]
        behind = [nn.Dropout(DROPOUT_RATE)] if workload.part == DROPOUT else []
        layer = [linear, *norm, activation_of(workload), *behind]
        modules += layer
    chain = nn.Sequential(*modules[: 1 - len(layer)])
    return embedding(workload, chain) if workload.part == EMBEDDING else chain


def embedding(workload: Workload, chain: Any) -> Any:
    """The last columns of x by their tables, then the chain."""
    import torch
    from torch import nn

    class Embedded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tables = nn.ModuleList(
                nn.Embedding.from_pretrained(torch.from_numpy(table), freeze=False)
                for table in workload.tables()
            )
            self.chain = chain

        def forward(self, x: Any) -> Any:
            first = x.shape[1] - len(self.tables)
            rows = [table(x[:, first + i].long()) for i, table in enumerate(self.tables)]
            return self.chain(torch.cat([x[:, :first], *rows], 1))

    return Embedded()


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
    elif workload.optimizer == "amsgrad":
        optimizer = torch.optim.Adam(parameters, amsgrad=True, **about)
    elif workload.optimizer == "adamw":
        biases = {"params": parameters[1::2], "weight_decay": 0.0}
        groups = [{"params": parameters[::2]}, biases]
        optimizer = torch.optim.AdamW(groups, weight_decay=WEIGHT_DECAY, **about)
    elif workload.optimizer in ("sgd", "adagrad"):
        known = {"sgd": torch.optim.SGD, "adagrad": torch.optim.Adagrad}
        optimizer = known[workload.optimizer](parameters, LEARNING_RATE, fused=True)
    else:
        optimizer = further_optimizer(workload.optimizer)(parameters, LEARNING_RATE)

    def step(x: Any, target: Any) -> Any:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(net(x), target)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def further_optimizer(name: str) -> Any:
    from torch import optim

    known = {"rmsprop": optim.RMSprop, "adadelta": optim.Adadelta, "adamax": optim.Adamax}
    known |= {"nadam": optim.NAdam, "radam": optim.RAdam}
    if name not in known:
        raise Refused(f"PyTorch has no {name}")
    return known[name]


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
