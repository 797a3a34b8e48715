"""What a plan knows of the machine's caches, and what it makes of them."""

from dataclasses import astuple

import pytest

import fastbp as fb
from fastbp.plan import cache, tiling
from fastbp.plan.cache import Caches, read_caches
from fastbp.runtime import engine_cache


def _write(folder, *indices):
    for i, (kind, level, size) in enumerate(indices):
        (folder / f"index{i}").mkdir()
        for name, text in (("type", kind), ("level", level), ("size", size)):
            (folder / f"index{i}" / name).write_text(f"{text}\n")
    return str(folder)


def test_what_linux_says(tmp_path):
    folder = _write(
        tmp_path, ("Data", 1, "48K"), ("Instruction", 1, "64K"), ("Unified", 2, "2048K"),
        ("Unified", 3, "260M"),
    )  # fmt: skip
    assert read_caches(folder) == Caches(48 * 2**10, 2**21, 260 * 2**20)


def test_usual_caches_where_it_does_not(tmp_path):
    assert read_caches(str(tmp_path / "none")) == Caches(2**15, 2**20, 2**25)
    folder = _write(tmp_path, ("Data", 1, "0K"), ("Unified", 2, "?"), ("Unified", 4, "128M"))
    assert read_caches(folder) == Caches()


def test_of_this_machine():
    assert cache.machine == read_caches()
    assert all(2**12 <= n_bytes <= 2**36 for n_bytes in astuple(cache.machine))


@pytest.mark.parametrize("level_2", [1, 2**17, 2**21, 2**40])
@pytest.mark.parametrize("rows", [1, 20])
@pytest.mark.parametrize("width", [70, 1024])
def test_chunks_are_whole_vectors(width, rows, level_2, dtype, monkeypatch):
    monkeypatch.setattr(cache.machine, "level_2", level_2)
    network = fb.Network([width, width], seed=0, dtype=dtype, backend=None)
    graph = network._state.graph
    chunk_rows, turned_rows, size = tiling.chunk(graph, rows)
    vector = {"float32": 16, "float64": 8}[dtype]
    assert chunk_rows % vector == 0 and vector <= chunk_rows <= 256
    assert turned_rows % vector == 0 and turned_rows == max(chunk_rows, 2 * vector)
    assert size == turned_rows * max(tensor.ld for tensor in graph.parameters.tensors)


@pytest.mark.parametrize(("level_2", "packed"), [(2**20, False), (2**21, True), (2**24, False)])
def test_packing(level_2, packed, monkeypatch):
    """Where the second level is larger than a megabyte, and a kernel larger than half of it."""
    monkeypatch.setattr(cache.machine, "level_2", level_2)
    network = fb.Network([1024, 1024], seed=0, backend=None)
    plans = [engine_cache.engine(network._state, "train", rows, 2)[1] for rows in (8, 512)]
    for plan in plans:
        assert (plan.packed_from > 0) == (plan.arena.packing_stride > 0) == packed
    small = fb.Network([128, 128], seed=0, backend=None)
    assert engine_cache.training_plan(small._state, 8, 1)[0].packed_from == 0


@pytest.mark.parametrize(("level_3", "fetches"), [(2**22, True), (2**25, False)])
def test_what_no_cache_keeps_is_fetched(level_3, fetches, monkeypatch):
    """Parameters and optimizer state beyond the third level: 0.5 million numbers three times."""
    monkeypatch.setattr(cache.machine, "level_3", level_3)
    network = fb.Network([700, 700], seed=0, backend=None)
    assert engine_cache.training_plan(network._state, 1, 1)[0].fetches == fetches
    small = fb.Network([70, 70], seed=0, backend=None)
    assert not engine_cache.training_plan(small._state, 1, 1)[0].fetches
