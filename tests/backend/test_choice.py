"""FASTBP_BACKEND and FASTBP_ISA: what is asked for runs, or an error says why not."""

import shutil
import sys
from importlib.machinery import PathFinder
from pathlib import Path

import pytest
from support import child
from support.kernels import needs_kernels
from support.refusal import bad_input

import fastbp as fb
from fastbp.backend import INSTRUCTION_SETS, compiled_modules

INFO = """
import json
import fastbp as fb
network = fb.Network([2, 3, 1], seed=0)
network.fit([[1, 2]], [3])
config = fb.show_config("dict")
own = [network.backend, network.instruction_set]
print(json.dumps([fb.backend(), *own, config["instruction set"]]))
"""

BUILT = [isa for isa in INSTRUCTION_SETS if (isa, "float32") in compiled_modules()]


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch):
    """Whatever these tests themselves run on."""
    monkeypatch.delenv("FASTBP_ISA", raising=False)


def _last_line(code: str = "import fastbp", **environment: str) -> str:
    done = child.run(code, **environment)
    assert done.returncode == 1, done.stdout
    return done.stderr.splitlines()[-1]


def test_numpy_on_request():
    assert child.result(INFO, FASTBP_BACKEND="numpy") == ["numpy", "numpy", "numpy", "none (NumPy)"]


@needs_kernels
def test_the_best_there_is_by_default():
    assert child.result(INFO) == ["cython", "cython", BUILT[0], BUILT[0]]
    assert child.result(INFO, FASTBP_BACKEND=" Cython ") == ["cython", "cython", BUILT[0], BUILT[0]]
    assert child.result(INFO, FASTBP_BACKEND="", FASTBP_ISA="") == [
        "cython",
        "cython",
        BUILT[0],
        BUILT[0],
    ]


@bad_input("instruction set")
@needs_kernels
@pytest.mark.parametrize("isa", INSTRUCTION_SETS)
def test_instruction_set_on_request(isa):
    if isa in BUILT:
        assert child.result(INFO, FASTBP_ISA=isa) == ["cython", "cython", isa, isa]
    else:
        assert _last_line(FASTBP_ISA=isa).startswith(f"RuntimeError: FASTBP_ISA={isa} but this ")


@needs_kernels
@pytest.mark.parametrize(("alias", "isa"), [("avx512", "v4"), ("AVX2", "v3"), ("sse4.2", "v2")])
@pytest.mark.slow
def test_other_names_of_instruction_sets(alias, isa):
    if isa not in BUILT:
        pytest.skip(f"{isa} does not run here")
    assert child.result(INFO, FASTBP_ISA=alias)[2] == isa


@bad_input("instruction set")
@needs_kernels
def test_unknown_names():
    text = _last_line(FASTBP_ISA="v9")
    assert text == "ValueError: FASTBP_ISA='v9' is unknown; known: v4, v3, v2, neon, portable"
    text = _last_line(FASTBP_BACKEND="torch")
    assert text == "ValueError: FASTBP_BACKEND='torch' is unknown; known: cython, numpy"


@bad_input("instruction set")
@needs_kernels
@pytest.mark.slow
def test_an_instruction_set_this_processor_lacks():
    """Refused by name, before any of its code runs: its modules are not even imported."""
    weak = """
import sys
from importlib import abc, util

class Weak(abc.MetaPathFinder, abc.Loader):
    def find_spec(self, name, path, target=None):
        return util.spec_from_loader(name, self) if name == "fastbp.backend._cpu" else None
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        module.instruction_sets = lambda: ("v2", "portable")

sys.meta_path.insert(0, Weak())
import fastbp
print([name for name in sys.modules if name.endswith(("_v3", "_v4"))])
"""
    done = child.run(weak)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
    text = _last_line(weak, FASTBP_ISA="v4")
    assert text == "RuntimeError: FASTBP_ISA=v4 but this CPU has v2, portable"


def test_choice_of_one_network():
    assert fb.Network([1, 1], backend="numpy").backend == "numpy"
    assert fb.Network([1, 1], backend=None).backend == fb.backend()
    with pytest.raises(ValueError, match="unknown backend"):
        fb.Network([1, 1], backend="cuda")


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Path:
    """A folder with the package as it is where nothing could be compiled."""
    folder = tmp_path_factory.mktemp("bare")
    source = Path(fb.__file__).parent
    shutil.copytree(
        source, folder / "fastbp", ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
    )
    return folder


@bad_input("nothing compiled")
def test_without_extension_one_warning_and_numpy(bare):
    code = """
import json, warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import fastbp as fb
network = fb.Network([2, 3, 1], seed=0)
network.fit([[1, 2]], [3])
warned = [[w.category.__name__, str(w.message)] for w in caught]
print(json.dumps([fb.__file__, network.backend, warned]))
"""
    file, backend, warned = child.result(code, path=bare)
    assert Path(file).parent == bare / "fastbp"
    assert backend == "numpy"
    assert len(warned) == 1 and warned[0][0] == "RuntimeWarning"
    assert "no compiled kernels" in warned[0][1] and "reinstall" in warned[0][1]


@bad_input("nothing compiled")
def test_the_first_words_in_a_clone_say_what_to_do(bare, tmp_path, monkeypatch):
    """Whether another fastbp is installed, as here, or none."""
    shutil.copytree(bare / "fastbp", tmp_path / "fastbp")
    (tmp_path / "src").mkdir()
    (tmp_path / "setup.py").touch()
    first = child.run("import fastbp", path=tmp_path).stderr.partition("RuntimeWarning: ")[2]
    assert first.startswith(f"start Python outside of the source folder {tmp_path}, or as `python")
    module = sys.modules["fastbp.backend"]
    monkeypatch.setattr(module, "__file__", str(tmp_path / "fastbp" / "backend" / "__init__.py"))
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(sys, "meta_path", [PathFinder])  # no editable installation
    assert module._remedy().startswith(f"run `pip install -e .` in {tmp_path}: ")


def test_without_extension_the_warning_is_seen_by_default(bare):
    done = child.run("import fastbp; import fastbp.backend", path=bare)
    assert done.returncode == 0
    assert done.stderr.count("RuntimeWarning") == 1


def test_without_extension_numpy_on_request_is_silent(bare):
    done = child.run("import fastbp", path=bare, FASTBP_BACKEND="numpy")
    assert (done.returncode, done.stderr) == (0, "")


def test_without_extension_cython_is_an_error(bare):
    done = child.run("import fastbp", path=bare, FASTBP_BACKEND="cython")
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 1
    assert last.startswith(
        "ImportError: FASTBP_BACKEND=cython but the compiled kernels are missing; "
    )
    done = child.run(
        "import fastbp as fb; fb.Network([1, 1], backend='cython')",
        path=bare,
        FASTBP_BACKEND="numpy",
    )
    assert done.stderr.splitlines()[-1].startswith("ImportError: backend 'cython' is not there")


def test_without_extension_an_instruction_set_is_an_error(bare):
    """Nothing compiled has it: silence would let one believe it ran."""
    done = child.run("import fastbp", path=bare, FASTBP_ISA="v3")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("RuntimeError: FASTBP_ISA=v3 but ")
    done = child.run("import fastbp", path=bare, FASTBP_ISA="v9")
    assert done.stderr.splitlines()[-1].startswith("ValueError: FASTBP_ISA='v9' is unknown")


@bad_input("nothing compiled")
def test_a_broken_extension_is_not_hidden(bare, tmp_path):
    """An extension that is there and cannot be loaded is an error, not a slow network."""
    shutil.copytree(
        bare / "fastbp", tmp_path / "fastbp", ignore=shutil.ignore_patterns("__pycache__")
    )
    (tmp_path / "fastbp" / "backend" / "_cpu.py").write_text("import a_module_that_is_missing\n")
    done = child.run("import fastbp", path=tmp_path)
    assert done.returncode == 1
    assert "a_module_that_is_missing" in done.stderr.splitlines()[-1]


def test_import_is_quick_and_light():
    """Nothing but NumPy and the standard library, and no command line."""
    code = "import json, sys, fastbp; print(json.dumps(sorted(sys.modules)))"
    modules = child.result(code)
    foreign = {"pandas", "scipy", "sklearn", "torch", "matplotlib", "argparse", "Cython", "pytest"}
    assert not foreign & {name.split(".")[0] for name in modules}
