# The interface of every build of the kernels: _{float32,float64}_{v2,v3,v4,portable}.
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from fastbp.plan import Plan

_Real = NDArray[Any]  # of the build's real type
_Double = NDArray[np.float64]
_Long = NDArray[np.int64]

@final
class Engine:
    def __new__(
        cls, plan: Plan, parameters: _Real, state: _Real, scratch: _Real, tile_loss: _Double
    ) -> Engine: ...
    def train(
        self,
        x: _Real,
        y: NDArray[Any],
        *,
        batch_size: int,
        epochs: int,
        losses: _Double,
        hyper: _Double,
        power: _Double,
        n_threads: int = 1,
        order: _Long | None = None,
        given: _Long | None = None,
        limits: _Long | None = None,
        seed: int = 0,
        first_epoch: int = 0,
        max_steps: int = -1,
        guarded: bool = True,
    ) -> None: ...
    def take_progress(self) -> tuple[int, int, int, int]: ...
    def predict(
        self, x: _Real, out: _Real, *, transform: int = 0, n_threads: int = 1
    ) -> int: ...
    def evaluate(
        self, x: _Real, y: NDArray[Any], tile_loss: _Double, *, n_threads: int = 1
    ) -> int: ...
    def forward(self, x: _Real) -> None: ...
    def loss_gradient(self, y: NDArray[Any]) -> float: ...
    def backward(self) -> None: ...
    def step(self, hyper: _Double, power: _Double) -> None: ...
    def work(self, index: int) -> None: ...
    def take_pending(self) -> BaseException | None: ...

def first_nonfinite(x: _Real) -> int: ...
def build_info() -> dict[str, Any]: ...
def matrix_product(
    a: _Real,
    b: _Real,
    c: _Real,
    *,
    start: int = 0,
    bias: _Real | None = None,
) -> None: ...
def column_product(a: _Real, w: _Real, c: _Real, *, bias: _Real | None = None) -> None: ...
def apply_function(name: str, x: _Real, out: _Real) -> None: ...
def apply_activation(code: int, z: _Real, a: _Real, alpha: float = 1.0) -> None: ...
def apply_derivative(code: int, z: _Real, a: _Real, d: _Real, alpha: float = 1.0) -> None: ...
def apply_step(
    hyper: _Double,
    power: _Double,
    w: _Real,
    g: _Real,
    m: _Real,
    v: _Real,
    *,
    l1: float = 0.0,
    l2: float = 0.0,
    decays: bool = True,
) -> None: ...
def shuffled(n: int, seed: int, epoch: int, order: _Long) -> None: ...
def sizes() -> dict[str, int]: ...
