"""The extension under test is the one built from the sources beside it, with the right flags."""

import hashlib
import os
import sys
from dataclasses import astuple
from importlib import import_module
from pathlib import Path

import pytest
from support.kernels import needs_kernels

import fastbp as fb
from fastbp.backend import compiled_modules, instruction_set, supported
from fastbp.plan import cache

SOURCE = Path(__file__).resolve().parent.parent / "src"
pytestmark = needs_kernels


def _source_hash() -> str:
    """As setup.py computes it."""
    package = Path(fb.__file__).parent
    named = {
        path.relative_to(SOURCE.parent): path
        for path in SOURCE.rglob("*")
        if path.suffix in (".h", ".pxi", ".pyx") or path in SOURCE.glob("*.py")
    }
    named |= {path.relative_to(package.parent): path for path in package.glob("formula/*.py")}
    content = (name.as_posix().encode() + named[name].read_bytes() for name in sorted(named))
    return hashlib.sha256(b"".join(content)).hexdigest()


@pytest.mark.skipif(not SOURCE.is_dir(), reason="no sources beside the tests")
def test_built_from_these_sources():
    """If this fails, build again: `pip install -e .`"""
    expected = _source_hash()
    stale = [
        key
        for key, module in compiled_modules().items()
        if module.build_info()["source_hash"] != expected
    ]
    assert not stale


def test_flags():
    for (isa, _), module in compiled_modules().items():
        flags = module.build_info()["flags"]
        assert "fast-math" not in flags and "Ofast" not in flags and "march=native" not in flags
        if sys.platform == "linux":
            assert "-ffp-contract=off" in flags
            assert "openmp" not in flags
            assert isa in ("neon", "portable") or f"-march=x86-64-{isa}" in flags


def test_each_build_is_what_its_name_says():
    for (isa, dtype), module in compiled_modules().items():
        info = module.build_info()
        assert info["real_bytes"] == {"float32": 4, "float64": 8}[dtype]
        assert module.__name__ == f"fastbp.backend._{dtype}_{isa}"
        if isa in ("v3", "v4", "neon"):
            assert info["fma"]
            assert info["vector_bytes"] == {"v3": 32, "v4": 64, "neon": 16}[isa]
        if isa == "v2":
            assert not info["fma"]


def test_both_real_types_of_every_instruction_set():
    built = {isa for isa, _ in compiled_modules()}
    assert set(compiled_modules()) == {
        (isa, dtype) for isa in built for dtype in ("float32", "float64")
    }


def test_everything_the_processor_supports_was_built():
    if "FASTBP_BUILD" in os.environ:
        pytest.skip("a chosen set of builds")
    assert {isa for isa, _ in compiled_modules()} == set(supported())


def test_what_the_compiler_said_is_quoted(tmp_path, monkeypatch):
    backend = import_module("fastbp.backend")  # fb.backend is the function
    assert backend.build_errors() == {}
    monkeypatch.setattr(backend, "__file__", str(tmp_path / "__init__.py"))
    said = "clang: error: unknown argument: '-fx'"
    lines = [f"float32_v4: {said}", f"float64_v4: {said}", "cpu: cc: No such file or directory"]
    (tmp_path / "build_error.txt").write_text("\n".join(lines) + "\n")
    assert backend.build_errors()[said] == ["float32_v4", "float64_v4"]
    assert f"its compiler said: {said}; put that right" in backend._remedy()
    shown = fb.show_config("dict")["builds that failed"]
    assert shown == [f"float32_v4 float64_v4: {said}", "cpu: cc: No such file or directory"]


def test_show_config_tells_of_what_runs(capsys):
    config = fb.show_config("dict")
    info = compiled_modules()[instruction_set, "float32"].build_info()
    assert config["fastbp"] == fb.__version__
    assert config["compiler"] == info["compiler"]
    assert config["build flags"] == info["flags"]
    assert config["instruction sets of this CPU"] == list(supported())
    assert config["caches (bytes)"] == list(astuple(cache.machine))
    fb.show_config()
    printed = capsys.readouterr().out
    assert all(str(value) in printed for value in config.values() if not isinstance(value, list))
    with pytest.raises(ValueError, match="mode must be"):
        fb.show_config("json")
