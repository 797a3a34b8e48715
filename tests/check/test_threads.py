"""What "auto" may take: set_num_threads, FASTBP_NUM_THREADS, OMP_NUM_THREADS, the processors."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from support import child
from support.refusal import bad_input, refuses

import fastbp as fb
from fastbp.check import threads
from fastbp.check.scalar import check_n_threads
from fastbp.runtime import engine_cache

TOLD = """
import json
import fastbp as fb
config = fb.show_config("dict")
print(json.dumps([fb.get_num_threads(), config["threads"], config["threads set by"]]))
"""
PROCESSORS = threads.available_threads()
FREE = [PROCESSORS, PROCESSORS, "the processors this process may use"]


@pytest.fixture(autouse=True)
def unlimited(monkeypatch):
    monkeypatch.setattr(threads, "_inherited", (None, ""))
    fb.set_num_threads(None)
    yield
    monkeypatch.undo()
    fb.set_num_threads(None)


def told(**environment: str):
    return child.result(TOLD, **({"OMP_NUM_THREADS": "", "FASTBP_NUM_THREADS": ""} | environment))


def test_a_limit_holds_for_auto_alone():
    assert fb.get_num_threads() == PROCESSORS
    fb.set_num_threads(np.int64(1))
    assert fb.get_num_threads() == check_n_threads("auto") == 1
    assert check_n_threads("auto", available=64) == 1
    assert check_n_threads(2, available=64) == 2 and check_n_threads(-1, available=64) == 64
    config = fb.show_config("dict")
    assert config is not None
    assert config["threads"] == 1 and config["threads set by"] == "set_num_threads(1)"
    fb.set_num_threads(10**6)  # there are no more than processors
    assert fb.get_num_threads() == PROCESSORS
    fb.set_num_threads(None)
    assert fb.get_num_threads() == PROCESSORS


def test_training_keeps_to_it_and_its_bits(backend, monkeypatch):
    """An epoch that "auto" would deal out to two threads."""
    X, y = np.random.default_rng(0).standard_normal((2, 4096, 64))
    used, taken = [], {}
    take = engine_cache.take_trainer

    def watched(*arguments):
        found = take(*arguments)
        used.append(found[2])
        return found

    monkeypatch.setattr(engine_cache, "take_trainer", watched)
    monkeypatch.setattr("fastbp.check.scalar.available_threads", lambda: 2)
    for limit in (None, 1):
        fb.set_num_threads(limit)
        net = fb.Network([64, 64, 64], seed=0, backend=backend)
        net.fit(X, y, batch_size=1024, verbose=False)
        taken[limit] = net.get_weights()[0].tobytes()
    assert taken[None] == taken[1]
    assert used == ([2, 1] if backend == "cython" else [1, 1])


@bad_input("limit of threads")
def test_bad_limits():
    for bad, error in ((0, ValueError), (-1, ValueError), (1.0, TypeError), (True, TypeError),
                       ("2", TypeError)):  # fmt: skip
        with pytest.raises(error, match="^n of set_num_threads must be None or an integer >= 1"):
            fb.set_num_threads(bad)
    with refuses(ValueError, "n of set_num_threads must be None or an integer >= 1, got 0"):
        fb.set_num_threads(0)
    assert fb.get_num_threads() == PROCESSORS


@bad_input("number of threads")
def test_environment():
    read = threads._from_environment
    assert read({})[0] is None
    assert read({"OMP_NUM_THREADS": " 4,2 "}) == (4, "OMP_NUM_THREADS=4,2")
    assert read({"OMP_NUM_THREADS": "4", "FASTBP_NUM_THREADS": "3"})[0] == 3
    assert read({"OMP_NUM_THREADS": "nonsense", "FASTBP_NUM_THREADS": "3"})[0] == 3
    for bad in ("0", "-1", "2.0", "many", "²", "1e3"):
        with refuses(ValueError, f"FASTBP_NUM_THREADS={bad!r} must be an integer >= 1"):
            read({"FASTBP_NUM_THREADS": bad})
        with pytest.warns(RuntimeWarning, match=rf"^OMP_NUM_THREADS='{bad}' must be .*; ignored"):
            assert read({"OMP_NUM_THREADS": bad})[0] is None


@bad_input("number of threads")
def test_environment_at_import():
    assert told() == FREE
    assert told(OMP_NUM_THREADS="1,8") == [1, 1, "OMP_NUM_THREADS=1,8"]
    assert told(OMP_NUM_THREADS="8", FASTBP_NUM_THREADS="1") == [1, 1, "FASTBP_NUM_THREADS=1"]
    done = child.run("import fastbp", FASTBP_NUM_THREADS="none")
    last = done.stderr.splitlines()[-1]
    assert last == "ValueError: FASTBP_NUM_THREADS='none' must be an integer >= 1"
    done = child.run("import fastbp", OMP_NUM_THREADS="none")
    assert done.returncode == 0 and "RuntimeWarning: OMP_NUM_THREADS='none'" in done.stderr


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_affinity():
    code = "import os\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n" + TOLD
    found = child.result(code, OMP_NUM_THREADS="2", FASTBP_NUM_THREADS="")
    assert found == [1, 1, "the processors this process may use"]


JOBLIB = """
import json, os
from joblib import Parallel, delayed, cpu_count

def work(i):
    import fastbp as fb
    return fb.get_num_threads()

if __name__ == "__main__":
    found = Parallel(n_jobs=2)(delayed(work)(i) for i in range(4))
    print(json.dumps([found, max(1, cpu_count() // 2)]))
"""


@pytest.mark.slow
def test_workers_of_joblib_share_the_processors(tmp_path):
    pytest.importorskip("joblib", reason="joblib is not installed")
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    environment["PYTHONPATH"] = os.pathsep.join(
        [os.path.dirname(os.path.dirname(fb.__file__)), os.environ.get("PYTHONPATH", "")]
    )
    (tmp_path / "parallel.py").write_text(JOBLIB)
    done = subprocess.run(
        [sys.executable, "-P", "parallel.py"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found, share = json.loads(done.stdout.splitlines()[-1])
    assert found == [min(share, PROCESSORS)] * 4
