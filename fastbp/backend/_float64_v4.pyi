# What the float64 builds but v2 and portable have beside the others.
from typing import final

from fastbp.backend._float64_portable import *
from fastbp.backend._float64_portable import Engine, _Real

@final
class TangentPass:
    def __new__(cls, value: Engine, tangent: Engine, gradient: _Real, /) -> TangentPass: ...
    def refresh(self) -> None: ...
    def run(
        self, program: int, begin: int, rows: int, is_first: bool, y: _Real | None, scale: float, /
    ) -> int: ...  # fmt: skip
