"""Random workloads: what is drawn, that a run goes on, and the summary of one."""

import json
from pathlib import Path

import jsonschema
import pytest
from support.kernels import needs_kernels

from fastbp.benchmark import run, sweep, table
from fastbp.benchmark.contestant import Contestant
from fastbp.benchmark.roofline import Constants
from fastbp.benchmark.workload import Workload
from fastbp.command import main

SCHEMA = json.loads(Path(run.__file__).with_name("schema.json").read_text(encoding="utf-8"))
SMALL_L2 = Constants(
    lanes=4, itemsize=4, fma_per_s=1.0, vector_per_s=1.0, divide_s=1.0, quotient_s=1.0,
    fma_latency_s=1.0, divide_latency_s=1.0, sqrt_latency_s=1.0, caches=(100, 4000, 9000),
    footprints=(50, 2000, 8000), read=(1.0, 1.0, 1.0), rewrite=(1.0, 1.0, 1.0),
)  # fmt: skip


class TestDraw:
    def test_is_a_function_of_seed_and_index(self):
        assert sweep.draw(3, 5) == sweep.draw(3, 5)
        assert len({sweep.draw(seed, index) for seed in (0, 1) for index in range(20)}) == 40

    def test_reaches_everything_within_its_bounds(self):
        drawn = [sweep.draw(0, index) for index in range(400)]
        for name, known in (("loss", sweep.LOSSES), ("optimizer", sweep.OPTIMIZERS)):
            assert {getattr(one, name) for one in drawn} == set(known)
        assert {one.dtype for one in drawn} == {"float32", "float64"}
        assert {len(one.sizes) - 1 for one in drawn} == set(range(1, 9))
        for one in drawn:
            assert 1 <= min(one.sizes) and max(one.sizes) <= 2048 and 1 <= one.batch_size <= 4096
            assert one.flop * (1 + (one.dtype == "float64")) <= sweep.MOST_FLOP
            assert one.loss != "cross_entropy" or one.sizes[-1] > 1
            assert sweep.CHECKED <= one.checked_steps or one.flop >= 5e8
        kinds = [sweep.kind(one, SMALL_L2) for one in drawn]
        assert all(kinds.count(kind) >= 20 for kind in sweep.KINDS)

    @pytest.mark.parametrize(
        ("sizes", "batch", "kind"),
        [((32, 32, 32), 4000, sweep.NARROW), ((33, 30), 1, sweep.REST),
         ((33, 31), 99, sweep.FAR_SMALL), ((33, 31), 100, sweep.FAR_LARGE)],
    )  # fmt: skip
    def test_kinds(self, sizes, batch, kind):
        """L2 of 4000 bytes holds 1000 weights."""
        assert sweep.kind(Workload(sizes, "relu", "mse", batch, 1), SMALL_L2) == kind


def row(index, ratio, kind=sweep.REST, dtype="float32"):
    return {"index": index, "workload": f"w{index}", "batch_size": 1, "dtype": dtype, "kind": kind,
            "fastbp_us": 2.0, "jax_us": 2.0 * ratio, "best_peer": "JAX", "ratio": ratio,
            "limit_us": 1.0, "bound": "FMA", "fraction": 0.5}  # fmt: skip


class TestSummary:
    rows = [row(i, 0.5 + i / 4) for i in range(12)] + [row(12, 9.0, sweep.NARROW, "float64")]
    untimed = {"index": 13, "workload": "w13", "batch_size": 7, "dtype": "float64",
               "kind": sweep.REST, "limit_us": 1.0, "bound": "FMA",
               "note": "JAX missing: none"}  # fmt: skip

    def test_quantiles_and_the_worst(self):
        found = {name: len(rows) for name, rows in sweep.groups([*self.rows, self.untimed])}
        assert found == {sweep.NARROW: 1, sweep.FAR_LARGE: 0, sweep.FAR_SMALL: 0, sweep.REST: 12,
                         "float32": 12, "float64": 1, "all": 13}  # fmt: skip
        assert sweep.quantiles(self.rows[:11], "ratio") == [0.5, 0.75, 1.75, 2.75]
        assert [one["index"] for one in sweep.worst(self.rows)] == list(range(10))

    def test_text(self):
        lines = table.random_summary([*self.rows, self.untimed])
        (others,) = [line.split() for line in lines if line.startswith("others")]
        assert others[1:3] == ["12", "2"]  # of which 0.5 and 0.75 are below 1
        assert lines[-1] == "no ratio: 13 w13, batch 7: JAX missing: none"
        about = {"seed": 4, "date": "d", "versions": ["JAX 1"], "settings": {"rounds": 3}}
        text = table.markdown_random(about | {"rows": [*self.rows, self.untimed]})
        assert "| others | 12 | 2 | 0.50 |" in text and "seed 4, one thread" in text
        assert "| w0 | 1 | float32 | 2 | JAX | 1 | 0.50 | 0.50 | FMA |" in text
        assert text.endswith("w13, batch 7: JAX missing: none")


@needs_kernels
@pytest.mark.slow
def test_a_run_goes_on_where_it_was(tmp_path, monkeypatch, capsys):
    """The NumPy backend in JAX's place."""
    other = Contestant("JAX", "fastbp", "numpy")
    monkeypatch.setattr(sweep, "CONTESTANTS", (sweep.FASTBP, other))
    path, words = tmp_path / "result.json", ["--rounds", "1", "--seconds", "0.001"]
    command = ["bench", *words, "--json", str(path), "--seed", "7"]
    assert main([*command, "--random", "1"]) == 0
    first = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.validate(first, SCHEMA)
    (found,) = first["random"]["rows"]
    assert found["ratio"] == found["jax_us"] / found["fastbp_us"] and 0 < found["fraction"]
    assert main([*command, "--random", "2"]) == 0
    second = json.loads(path.read_text(encoding="utf-8"))["random"]["rows"]
    assert [one["index"] for one in second] == [0, 1]
    assert second[0]["fastbp_us"] == found["fastbp_us"]
    capsys.readouterr()
    assert main([*command, "--random", "3", "--minutes", "0.0001"]) == 0
    assert "1 of 3 are left" in capsys.readouterr().out
    foreign = first | {"machine": first["machine"] | {"processor": "another"}}
    path.write_text(json.dumps(foreign), encoding="utf-8")
    assert main([*command, "--random", "1"]) == 2
    assert "of another processor: another" in capsys.readouterr().err
    path.write_text("[]", encoding="utf-8")
    assert main([*command, "--random", "1"]) == 2
    assert "is no result of fastbp bench" in capsys.readouterr().err
