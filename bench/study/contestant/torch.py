"""PyTorch: `nn.Linear`'s own initial values and `torch.optim`'s own steps.

The networks of all seeds are trained side by side as stacked tensors: each has its own rows, loss
and gradient, and the optimizers work number by number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bench.study.setting import BATCH_SIZE, LEARNING_RATE, MOMENTUM, Setting, order, rows

_ACTIVATION: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "leaky_relu": functional.leaky_relu,
    "elu": functional.elu,
    "selu": functional.selu,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "softplus": functional.softplus,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}


def version() -> str:
    return f"PyTorch {torch.__version__}"


def losses(setting: Setting, seeds: Sequence[int]) -> NDArray[np.float64]:
    """The test loss of each seed."""
    torch.set_num_threads(1)
    parameters = _initial(setting, seeds)
    rate = LEARNING_RATE[setting.optimizer]
    optimizer: torch.optim.Optimizer
    if setting.optimizer == "adam":
        optimizer = torch.optim.Adam(parameters, lr=rate, fused=True)
    else:
        optimizer = torch.optim.SGD(parameters, lr=rate, momentum=MOMENTUM, fused=True)
    splits = [rows(setting.dataset, seed) for seed in seeds]
    X, y = _stacked([s.X for s in splits]), _stacked([s.y for s in splits])
    orders = torch.from_numpy(np.array([order(setting, seed) for seed in seeds]))
    which = torch.arange(len(seeds))[:, None]
    for epoch in range(setting.epochs):
        shuffled_X, shuffled_y = X[which, orders[:, epoch]], y[which, orders[:, epoch]]
        for start in range(0, X.shape[1], BATCH_SIZE):
            batch = slice(start, start + BATCH_SIZE)
            out = _output(setting, parameters, shuffled_X[:, batch])
            optimizer.zero_grad()
            _loss(setting, out, shuffled_y[:, batch]).sum().backward()
            optimizer.step()
    with torch.no_grad():
        out = _output(setting, parameters, _stacked([s.X_test for s in splits]))
        found = _loss(setting, out, _stacked([s.y_test for s in splits]))
    return found.double().numpy()


def _stacked(arrays: Sequence[NDArray[np.generic]]) -> Tensor:
    return torch.from_numpy(np.array(arrays))


def _initial(setting: Setting, seeds: Sequence[int]) -> list[Tensor]:
    """Kernels (seeds, n_in, n_out) and biases (seeds, 1, n_out) as `nn.Linear` starts them."""
    networks = []
    for seed in seeds:
        torch.manual_seed(seed)
        layers = [nn.Linear(*pair) for pair in zip(setting.sizes, setting.sizes[1:], strict=False)]
        networks.append([p for layer in layers for p in (layer.weight.T, layer.bias[None])])
    return [
        torch.stack(parts).detach().clone().requires_grad_()
        for parts in zip(*networks, strict=True)
    ]


def _output(setting: Setting, parameters: list[Tensor], a: Tensor) -> Tensor:
    activation = _ACTIVATION[setting.activation]
    pairs = list(zip(parameters[::2], parameters[1::2], strict=True))
    for kernel, bias in pairs[:-1]:
        a = activation(torch.baddbmm(bias, a, kernel))
    return torch.baddbmm(pairs[-1][1], a, pairs[-1][0])


def _loss(setting: Setting, out: Tensor, y: Tensor) -> Tensor:
    """Each seed's mean loss."""
    if setting.dataset.n_classes:
        each = functional.cross_entropy(out.flatten(0, 1), y.flatten(), reduction="none")
        return each.view(y.shape).mean(1)
    return ((out[..., 0] - y) ** 2).mean(1)
