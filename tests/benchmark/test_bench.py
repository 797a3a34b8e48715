"""The benchmark's harness, with NumPy and fastbp alone: nothing is claimed of times here."""

import dataclasses
import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import numpy as np
import pytest
from support import oracle as independent
from support.page import parsed
from support.tolerance import (
    BENCHMARK_COMMAND,
    BENCHMARK_LOSS,
    BENCHMARK_PARAMETER,
    assert_rounded,
    assert_same_training,
)

from fastbp.benchmark import call, contestant, fresh, oracle, part, run, sweep, table, worker
from fastbp.benchmark.chart import chart
from fastbp.benchmark.contestant import BUILDS, Contestant, environment, processors, select
from fastbp.benchmark.peer import fastbp as own
from fastbp.benchmark.peer import numpy as by_hand
from fastbp.benchmark.report import generate, generate_page
from fastbp.benchmark.run import Settings
from fastbp.benchmark.workload import FURTHER, USUAL, Workload
from fastbp.command import main

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads(Path(run.__file__).with_name("schema.json").read_text(encoding="utf-8"))
TANH = Workload((3, 6, 5, 2), "tanh", "mse", 8, 3)
RELU = Workload((3, 6, 5, 4), "relu", "cross_entropy", 8, 3)
OTHER_LOSSES = [name for name in sweep.LOSSES if name not in ("mse", "cross_entropy")]
ORACLE_CASES = (
    RELU,
    *(dataclasses.replace(TANH, activation=name) for name in oracle.ACTIVATIONS),
    *(
        dataclasses.replace(TANH, loss=name)
        for name in sweep.LOSSES
        if name not in ("mse", "cross_entropy")
    ),
)
SHORT = Settings(rounds=2, seconds=0.005)

RESULTS = sorted((ROOT / "bench" / "result").glob("*.json"))
REPORT = "run python -m bench.report"
in_repository = pytest.mark.skipif(not (ROOT / "bench").exists(), reason="no repository around")


class TestOracle:
    @pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
    @pytest.mark.parametrize("workload", ORACLE_CASES, ids=lambda one: one.network)
    def test_agrees_with_the_suites_own(self, workload, optimizer):
        """Another derivation of the same two epochs: other formulas, read from fastbp's layers."""
        workload = dataclasses.replace(workload, optimizer=optimizer, dtype="float64")
        network = own.network(workload, "numpy")
        X, y = workload.data()
        weights, steps, losses = workload.weights(), 2 * workload.n_batches, []
        state = [[np.zeros_like(part)] * 2 for part in weights]
        for t in range(1, steps + 1):
            rows = slice((t - 1) % 3 * 8, (t - 1) % 3 * 8 + 8)
            loss, _, tape = independent.gradient(
                network.layers, network.loss, weights, X[rows], y[rows]
            )
            losses.append(loss)
            for i, g in enumerate(tape.gradients):
                weights[i], state[i] = independent.step(
                    network.optimizer, weights[i], g, state[i], t, decays=i % 2 == 0
                )
        found, parameters = oracle.train(workload, steps)
        assert_rounded(found, losses, dtype="float64", roundings=2**10)
        for one, other in zip(parameters, weights, strict=True):
            assert_same_training(one, other, dtype="float64")

    @pytest.mark.parametrize("variant", ["usual", "tuned"])
    @pytest.mark.parametrize("workload", [TANH, RELU], ids=["tanh", "relu"])
    @pytest.mark.parametrize("optimizer", ["adam", "sgd"])
    def test_hand_written_loops_agree_with_it(self, workload, variant, optimizer):
        workload = dataclasses.replace(workload, optimizer=optimizer, dtype="float64")
        losses, parameters = oracle.train(workload, 9)
        loss, found = by_hand.trainer(workload, variant, 1)(9)
        assert_rounded(loss, losses[-3:].mean(), dtype="float64", roundings=2**10)
        for one, other in zip(found, parameters, strict=True):
            assert_same_training(one, other, dtype="float64")


class TestWorker:
    def asked(self, adapter, workload, folder, variant="usual"):
        with np.load(run.step_truth(workload, folder / "truth.npz")) as truth:
            asked = {"variant": variant, "threads": 1, "seconds": 0.001}
            return worker.prepare_steps(adapter, workload, asked, truth)

    @pytest.mark.parametrize("workload", [TANH, RELU], ids=["tanh", "relu"])
    def test_right_answers_are_timed(self, workload, tmp_path):
        found, timed = self.asked(by_hand, workload, tmp_path)
        assert found["status"] == "ok" and found["steps"] % workload.n_batches == 0
        assert found["loss_deviation"] < BENCHMARK_LOSS
        assert found["parameter_deviation"] < BENCHMARK_PARAMETER
        assert timed() > 0

    @pytest.mark.parametrize(
        ("name", "value"), [("LEARNING_RATE", 1.02e-3), ("BETA1", 0.8), ("BETA2", 0.9)]
    )
    @pytest.mark.parametrize("workload", [TANH, RELU], ids=["tanh", "relu"])
    def test_other_steps_are_not(self, workload, name, value, tmp_path, monkeypatch):
        monkeypatch.setattr(by_hand, name, value)
        found, timed = self.asked(by_hand, workload, tmp_path)
        assert found["status"] == "wrong" and "deviation" in found["note"] and timed is None

    @pytest.mark.parametrize("loss", [float("nan"), 1.0])
    def test_another_loss_is_not(self, loss, tmp_path):
        def trainer(*arguments):
            right = by_hand.trainer(*arguments)
            return lambda steps: (loss, right(steps)[1])

        found, timed = self.asked(SimpleNamespace(trainer=trainer), TANH, tmp_path)
        assert found["status"] == "wrong" and "loss deviation" in found["note"] and timed is None

    @pytest.mark.parametrize("error", [0.0, 1e-3])
    def test_outputs_of_a_call_are_compared(self, error, tmp_path):
        adapter = SimpleNamespace(call=lambda *asked: lambda: own.call(*asked)() + error)
        workload = dataclasses.replace(call.SMALL, batch_size=3)
        with np.load(call.call_truth(workload, tmp_path / "truth.npz")) as truth:
            asked = {"variant": "predict", "threads": 1, "seconds": 0.001}
            found, timed = worker.prepare_call(adapter, workload, asked, truth)
        assert found["status"] == ("wrong" if error else "ok") and (timed is None) == bool(error)


@pytest.mark.slow
class TestTeam:
    def test_rows_of_a_missing_peer_and_of_a_process_that_died(self, tmp_path):
        both = Contestant("none", "no_such_peer", ""), Contestant("NumPy", "numpy", "usual")
        asked = "steps", TANH, run.step_truth(TANH, tmp_path / "truth.npz"), SHORT
        with closing(run.Team(both, threads=1)) as team:
            missing, first = team.time(*asked)
            assert missing["status"] == "missing" and "no_such_peer" in missing["note"]
            assert first["status"] == "ok" and 0 < first["us_min"] <= first["us_median"]
            assert first["version"] == f"NumPy {np.__version__}"
            team.processes[1].process.kill()
            team.processes[1].process.wait()
            _, second = team.time(*asked)
            assert second["status"] == "failed" and "us_min" not in second
            _, third = team.time(*asked)
            assert third["status"] == "ok"

    def test_threads_reach_every_library(self):
        one, two = environment(1), environment(2)
        assert one["OMP_NUM_THREADS"] == "1" and "eigen=false" in one["XLA_FLAGS"]
        assert two["MKL_NUM_THREADS"] == "2" and two["XLA_FLAGS"] == ""

    @pytest.mark.slow
    def test_sections_beside_the_steps(self):
        (row,) = call.shuffle_rows([TANH], SHORT)
        assert row["ratio"] == row["shuffled_us"] / row["us"] > 0
        plain, shuffled = fresh.memory_rows(n_rows=1000)
        assert (plain["shuffle"], shuffled["shuffle"]) == (False, True)
        assert 0 <= plain["peak_bytes"] < 1e8
        (start,) = fresh.start_rows(starts=1)
        assert start["import_ms_min"] > 0 and start["fit_ms_min"] > 0

    @pytest.mark.slow
    def test_parts_and_who_lacks_them(self, monkeypatch):
        """Each of fastbp's: beside the peers, which may not be there, and what they said."""
        chosen = {one.part or one.optimizer: one for one in part.WORKLOADS if one.batch_size == 32}
        monkeypatch.setattr(part, "WORKLOADS", tuple(chosen.values()))
        rows = list(part.part_rows(Settings(rounds=1, seconds=0.002)))
        assert [row["workload"] for row in rows] == [one.network for one in chosen.values()]
        assert all(row["fastbp_us"] > 0 for row in rows)
        jsonschema.validate(rows, {**SCHEMA["properties"]["parts"], "$defs": SCHEMA["$defs"]})
        for row in rows:
            said = row.get("note", "")
            assert all((f"{key}_us" in row) != (name in said) for key, name in PEERS.items())
            assert row["workload"] in table.part_line(row)

    def test_a_loss_that_is_off_has_no_time(self):
        fine = {"status": "ok", "us_min": 2.0, "loss": 1.0}
        answers = {"fastbp": fine, "PyTorch": fine | {"loss": 1.02, "us_min": 9.0}}
        row = part._row(part.WORKLOADS[1], answers | {"JAX": fine | {"us_min": 5.0}})
        assert row["jax_ratio"] == 2.5 and "pytorch_us" not in row
        assert row["note"] == "PyTorch wrong: loss 1.02, fastbp 1.0"


PEERS = {"pytorch": "PyTorch", "jax": "JAX"}


class TestResult:
    def test_ratio_is_of_the_chosen_build_and_the_best_peer(self):
        times = {"fastbp v3": 2.0, "fastbp v4": 1.0, "fastbp numpy": 7.0, "JAX": 5.0}
        times["PyTorch"] = 9.0
        rows = [{"workload": "w", "batch_size": 1, "threads": 1, "contestant": name, "status": "ok",
                 "is_peer": not name.startswith("fastbp"), "us_min": time, "fraction": 0.5 / time}
                for name, time in times.items()]  # fmt: skip
        rows.append({**rows[-1], "contestant": "NumPy", "status": "missing", "us_min": 0.1})
        (found,) = run.ratios(rows)
        assert (found["fastbp"], found["best_peer"], found["ratio"]) == ("fastbp v4", "JAX", 5.0)
        assert (found["pytorch_ratio"], found["numpy_ratio"], found["fraction"]) == (9.0, 7.0, 0.5)

    @pytest.mark.slow
    def test_command_writes_what_the_schema_describes(self, tmp_path, capsys):
        path = tmp_path / "result.json"
        status = main(["bench", "--workload", "2-2-1", "--threads", "1", "--rounds", "2",
                       "--section", "steps", "--seconds", "0.005", "--contestant", "NumPy",
                       "--contestant", "fastbp numpy", "--contestant", BUILDS[0].name,
                       "--contestant", BUILDS[-1].name, "--json", str(path)])  # fmt: skip
        assert status == 0
        printed, result = capsys.readouterr().out, json.loads(path.read_text(encoding="utf-8"))
        jsonschema.validate(result, SCHEMA)
        ok = {row["contestant"]: row for row in result["steps"] if row["status"] == "ok"}
        assert {"NumPy", "fastbp numpy"} <= set(ok) and "2-2-1 tanh mse, batch 1" in printed
        for row in ok.values():
            assert 0 < row["us_min"] <= row["us_median"]
            assert row["parameter_deviation"] < BENCHMARK_COMMAND
            rate = 1e6 / row["us_min"]
            assert_rounded(row["samples_per_s"], rate, dtype="float64", roundings=8)
        assert main(["bench", "--report", str(path)]) == 0
        assert table.markdown(result) in capsys.readouterr().out

    def test_report_keeps_what_is_around_the_table(self, tmp_path):
        path = tmp_path / "result.json"
        losing = {"workload": "w", "batch_size": 1, "threads": 1, "fastbp_us": 2.0, "ratio": 0.5,
                  "best_peer": "JAX", "best_peer_us": 1.0}  # fmt: skip
        machine = {"processor": "p", "processors": 1, "system": "s", "python": "3"}
        result = {
            "ratios": [losing],
            "steps": [],
            "machine": machine,
            "date": "d",
            "settings": {"dtype": "float32", "rounds": 1},
        }
        path.write_text(json.dumps(result), encoding="utf-8")
        begin, end = "<!-- bench: begin -->", "<!-- bench: end -->"
        text = generate(f"before\n{begin}\nold\n{end}\nafter", path)
        assert text.startswith(f"before\n{begin}\n|") and text.endswith(f"\n{end}\nafter")
        assert "| w | 1 | 2 | JAX | 1 | 0.50 |  |  |" in text and "old" not in text
        assert "d, p, 1 processor, s, Python 3." in text
        with pytest.raises(ValueError, match="each once"):
            generate("no marks", path)

    def test_picture_shows_where_fastbp_loses(self, tmp_path):
        path = tmp_path / "result.json"
        row = {"workload": "a < b", "batch_size": 1, "threads": 1, "ratio": 0.5, "best_peer": "JAX"}
        path.write_text(json.dumps({"ratios": [row, row | {"threads": 2, "ratio": 9.0}]}))
        words = parsed(chart(path).svg()).words
        assert {"a < b", "batch 1", "0.5 JAX", "fastbp"} <= set(words) and "9.0 JAX" not in words

    @in_repository
    @pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
    def test_committed_results_are_what_the_schema_describes(self, path):
        jsonschema.validate(json.loads(path.read_text(encoding="utf-8")), SCHEMA)

    @in_repository
    def test_readme_has_the_table_of_a_committed_result(self):
        readme = (ROOT / "README.md").read_text(encoding="utf-8")
        assert any(generate(readme, one) == readme for one in RESULTS), REPORT

    @in_repository
    def test_page_has_every_committed_result(self):
        page = (ROOT / "docs" / "benchmark.md").read_text(encoding="utf-8")
        assert generate_page(page, RESULTS) == page, REPORT

    @in_repository
    @pytest.mark.parametrize(
        "words",
        [
            ["bench.report", "--check"],
            ["bench.study.report", "--check"],
            ["bench.sklearn.report", "--check"],
            ["bench", "--help"],
        ],
    )
    def test_modules_of_the_repository_run(self, words):
        done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
class TestCommand:
    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (
                ["--workload", "3-3"],
                "no workload begins with '3-3'; there are 2-2-1 tanh mse, batch",
            ),
            (["--contestant", "nobody"], "no contestant 'nobody'; there are fastbp v4, "),
            (["--threads", "9999"], "--threads 9999: this process may use "),
            (["--json", "no/such/folder/file"], "there is no such folder"),
            (["--json", "."], "--json .: this is a folder"),
        ],
    )
    def test_refuses(self, capsys, words, message):
        if "--threads" in words and not processors():
            pytest.skip("the system does not say what processors there are")
        assert main(["bench", *words]) == 2
        assert message in capsys.readouterr().err

    @pytest.mark.parametrize(("cores", "noun"), [([0], "1 processor"), ([0, 1], "2 processors")])
    def test_counts_the_processors(self, capsys, monkeypatch, cores, noun):
        monkeypatch.setattr(contestant, "processors", lambda: cores)
        assert main(["bench", "--threads", "9"]) == 2
        expected = f"fastbp: error: --threads 9: this process may use {noun}\n"
        assert capsys.readouterr().err == expected

    @pytest.mark.parametrize(
        ("code", "message"),
        [
            ("raise ValueError('first\\nand last')", "status 1: and last"),
            ("import os; os._exit(7)", "status 7: it said nothing"),
        ],
    )
    def test_a_process_that_fails_is_one_line(self, capsys, monkeypatch, code, message):
        monkeypatch.setattr(fresh, "START", code)
        assert main(["bench", "--section", "start", "--threads", "1"]) == 1
        assert capsys.readouterr().err == f"fastbp: error: a process ended with {message}\n"

    @pytest.mark.parametrize(
        "words",
        [
            ["--rounds", "0"],
            ["--seconds", "-1"],
            ["--section", "x"],
            ["--dtype", "float16"],
            ["--threads", "0"],
        ],
    )
    def test_refuses_a_value(self, capsys, words):
        with pytest.raises(SystemExit) as ended:
            main(["bench", *words])
        assert ended.value.code == 2 and words[0] in capsys.readouterr().err

    @pytest.mark.parametrize("text", ["", "{}", "[]", '{"ratios": [{}]}'])
    def test_refuses_a_report_of_something_else(self, capsys, tmp_path, text):
        path = tmp_path / "other.json"
        path.write_text(text, encoding="utf-8")
        assert main(["bench", "--report", str(path)]) == 2
        assert f"{path} is no result of fastbp bench --json" in capsys.readouterr().err

    def test_choices(self):
        names = [one.name for one in (*USUAL, *FURTHER)]
        assert len(USUAL) == 11 and len(set(names)) == 19
        assert names[3] == "64-32-10 relu ce, batch 32"
        assert "2-20x8-1 tanh mse, batch 1000" in names
        assert "PyTorch compiled" not in [one.name for one in select(None)]
        assert "PyTorch compiled" in [one.name for one in select(["all"])]

    def test_importing_fastbp_does_not_load_it(self):
        from support import child

        code = "import sys, json, fastbp.command; print(json.dumps(list(sys.modules)))"
        assert not [name for name in child.result(code) if name.startswith("fastbp.benchmark")]
