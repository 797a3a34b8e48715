"""Random networks of every loss, activation and optimizer: the same bits however they are run."""

from __future__ import annotations

import pytest
from support import child
from support.mark import slow_but
from support.random_network import EACH_LOSS
from support.random_training import OPTIMIZERS, digest, losses_met

from fastbp.backend import compiled_modules

SEEDS = range(1000, 1000 + len(EACH_LOSS) * len(OPTIMIZERS))  # each loss with each optimizer
needs_kernels = pytest.mark.skipif(not compiled_modules(), reason="no compiled kernels")


def test_every_loss_meets_every_optimizer() -> None:
    assert losses_met(SEEDS) == set(EACH_LOSS) and len(SEEDS) >= 300


@needs_kernels
@pytest.mark.usefixtures("eager_threads")
@pytest.mark.filterwarnings("ignore:column .* times as large as")
@pytest.mark.parametrize("seed", slow_but(SEEDS[::23], SEEDS[:300]))
def test_any_number_of_threads(seed: int) -> None:
    for dtype in ("float32", "float64"):
        assert len({digest(seed, dtype, n) for n in (1, 2, 3, 4)}) == 1


@needs_kernels
@pytest.mark.slow
def test_instruction_sets() -> None:
    runs = [name for name in ("v3", "v4") if (name, "float32") in compiled_modules()]
    if len(runs) < 2:
        pytest.skip(f"this processor and build have {runs}")
    code = "import json; from support.random_training import digests\n"
    code += f"print(json.dumps(digests(range({SEEDS.start}, {SEEDS.start + 300}))))"
    first, second = (child.result(code, FASTBP_ISA=name) for name in runs)
    assert first == second and len(set(first)) > 590
