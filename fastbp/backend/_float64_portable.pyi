# The interface of every build of the kernels: _{float32,float64}_{v2,v3,v4,neon,portable}.
from collections.abc import Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from fastbp.plan import Plan

_Real = NDArray[Any]  # of the build's real type
_Double = NDArray[np.float64]
_Long = NDArray[np.int64]
_Row = NDArray[np.uint32]

@final
class Engine:
    plan: Plan
    def __new__(
        cls, plan: Plan, parameters: _Real, state: _Real, scratch: _Real, tile_loss: _Double,
        power: _Double, rate: _Double,
    ) -> Engine: ...  # fmt: skip
    def train(
        self, x: _Real, y: NDArray[Any], *, batch_size: int, epochs: int, losses: _Double,
        n_threads: int = 1, shuffled: _Row | None = None, batch_rows: _Row | None = None,
        batch_offsets: _Long | None = None, seed: int = 0, first_epoch: int = 0,
        max_steps: int = -1, guarded: bool = True, rates: _Double | None = None,
        weight: _Real | None = None, row_weight: _Double | None = None,
        metrics: tuple[str, ...] = (), record: _Double | None = None,
        validator: Engine | None = None, watch: _Double | None = None, best: _Real | None = None,
        outputs: _Real | None = None, total: _Double | None = None,
    ) -> None: ...  # fmt: skip
    def train_batch(
        self, x: _Real, y: NDArray[Any], weight: _Real | None = None,
        row_weight: _Double | None = None, outputs: _Real | None = None,
    ) -> float: ...  # fmt: skip
    def draw_from(self, seed: int, step: int, row: int, is_on: bool) -> None: ...
    def take_progress(self, counter: Any) -> tuple[int, int, int]: ...
    def predict(self, x: _Real, out: _Real, transform: str, n_threads: int) -> int: ...
    def bind(
        self, out: _Real | None, row: _Real | None, *, readers: set[object], writers: set[object],
        most_rows: int, brief_rows: int, n_threads: int,
    ) -> None: ...  # fmt: skip
    def respond(self, x: object, transform: str, n_threads: int = 0) -> _Real | None: ...
    def evaluate(
        self, x: _Real, y: NDArray[Any], found: _Double, *, weight: _Real | None = None,
        metrics: tuple[str, ...] = (), n_threads: int = 1,
    ) -> int: ...  # fmt: skip
    def bind_validation(
        self, x: _Real, y: NDArray[Any], *, weight: _Real | None = None,
        row_weight: _Double | None = None, metrics: tuple[str, ...] = (),
    ) -> None: ...  # fmt: skip
    def forward(self, x: _Real) -> None: ...
    def loss_gradient(
        self, y: NDArray[Any], weight: _Real | None = None, row_weight: _Double | None = None
    ) -> float: ...
    def backward(self) -> None: ...
    def step(self) -> None: ...
    def work(self, thread: int) -> None: ...
    def take_pending(self) -> BaseException | None: ...

def accept(x: object, n_columns: int, check_finite: bool) -> _Real | None: ...
def class_index(y: object, n_classes: int, check_finite: bool) -> NDArray[np.int32] | None: ...
def first_nonfinite(x: _Real) -> int: ...
def first_unknown(x: _Real, categories: _Long) -> int: ...
def kernel_names() -> dict[str, tuple[str, ...]]: ...
def build_info() -> dict[str, Any]: ...
def matrix_product(
    a: _Real, b: _Real, c: _Real, *, start: int = 0, bias: _Real | None = None,
    packing: _Real | None = None, panel_depth: int = 256, packed_block: int = 0,
) -> None: ...  # fmt: skip
def column_product(a: _Real, w: _Real, c: _Real, *, bias: _Real | None = None) -> None: ...
def lane_kernels(
    x: _Real, order: _Row | None, w: _Real, bias: _Real, dz: _Real, turned: _Real, z: _Real,
    dx: _Real, g: _Real, sums: _Real, *, start: int = 0,
) -> None: ...  # fmt: skip
def output_kernels(
    dz: _Real, x: _Real, w: _Real, d: _Real, g: _Real, b: _Real, s: _Real, *, is_tanh: bool,
    start: int = 0,
) -> None: ...  # fmt: skip
def apply_function(name: str, x: _Real, out: _Real) -> None: ...
def apply_activation(name: str, z: _Real, a: _Real, alpha: float = 1.0) -> None: ...
def apply_derivative(name: str, z: _Real, a: _Real, d: _Real, alpha: float = 1.0) -> None: ...
def apply_step(
    formula: str, numbers: Sequence[float], power: _Double, w: _Real, g: _Real, state: _Real, *,
    l1: float = 0.0, l2: float = 0.0, decays: bool = True, kernel: str = "found",
) -> None: ...  # fmt: skip
def quotients(a: _Real, b: _Real, out: _Real) -> None: ...
def gathered(x: _Real, order: _Row | None, out: _Real) -> None: ...
def shuffled(n: int, seed: int, epoch: int, order: _Row) -> None: ...
def sizes() -> dict[str, int]: ...
def probe_arithmetic(kind: str, n: int, a: float, b: float) -> float: ...
def probe_stream(x: _Real, passes: int, a: float, write: bool = False) -> float: ...
