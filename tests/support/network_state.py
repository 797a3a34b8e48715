"""A network's whole state as one hash: what must be equal, or must not have changed."""

import hashlib

import numpy as np

import fastbp as fb
from fastbp.runtime.snapshot import snapshot


def digest(network: fb.Network) -> str:
    """Of parameters, optimizer state, steps and the counters of the random streams."""
    held = snapshot(network._state)
    sha = hashlib.sha256(repr(held.steps).encode())
    for name, array in [*held.parameters.items(), *held.state.items()]:
        sha.update(name.encode() + np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()


def values(network: fb.Network) -> bytes:
    """Of parameters and optimizer state alone."""
    held = [*network.parameters.values(), *network.optimizer_state.values()]
    return b"".join(array.tobytes() for array in held) + network._state.powers.tobytes()


def trained(network: fb.Network) -> list[np.ndarray]:
    """What has a gradient: all but running statistics."""
    tensors = network._state.layout.tensors
    pairs = zip(tensors, network.get_weights(), strict=True)
    return [own for tensor, own in pairs if not tensor.is_running]


def classification(
    n: int, n_features: int, n_classes: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """X (n, n_features) float64 and labels (n,)."""
    random = np.random.default_rng(seed)
    return random.standard_normal((n, n_features)), random.integers(0, n_classes, n)
