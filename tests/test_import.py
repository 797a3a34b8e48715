"""What `import fastbp` reads in, and which module may import which."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from support import child

import fastbp

# Rooms that a program reads in when it uses them.
LATER = {
    "benchmark", "command", "dataset", "examples", "inspection", "picture", "sklearn", "storage",
    "tabular",
}  # fmt: skip

CODE = """
import json, sys
import numpy, numpy.random, numpy.typing
before = set(sys.modules)
import fastbp
print(json.dumps(sorted(set(sys.modules) - before)))
"""
STANDARD = {
    "dataclasses", "copy", "numbers", "platform", "enum", "inspect", "ast", "dis", "opcode",
    "importlib.machinery", "keyword", "linecache", "tokenize", "token", "threading",
}  # fmt: skip


def test_import_reads_in_the_core_alone():
    found = set(child.result(CODE))
    own = {name.partition(".")[2] for name in found if name.startswith("fastbp.")}
    assert "network" in own and not {name.partition(".")[0] for name in own} & LATER
    foreign = {name for name in found if name.partition(".")[0] not in ("fastbp", "cython_runtime")}
    foreign = {name for name in foreign if not name.startswith(("_", "org"))}
    assert foreign <= STANDARD, foreign - STANDARD


def test_examples_are_read_in_when_asked_for():
    code = """
import json, sys, fastbp
before = "fastbp.examples" in sys.modules
print(json.dumps([before, len(fastbp.examples.names())]))
"""
    assert child.result(code) == [False, 5]


def test_unknown_name():
    code = """
import json, fastbp
try:
    fastbp.example
except AttributeError as error:
    print(json.dumps(str(error)))
"""
    assert child.result(code) == "module 'fastbp' has no attribute 'example'"


# which module imports which, at its head, in a function or for the type checker alone

ROOMS = [
    {"version", "error", "history", "picture", "random", "check"},
    {"formula", "activation", "initializer", "loss", "metric", "optimizer", "schedule", "callback"},
    {"plan"},
    {"layer", "description", "backend"},
    {"runtime", "storage", "dataset"},
    {"inspection"},
    {"trainer", "derivative", "saver", "network"},
    {"tabular"},
    {"", "__main__", "benchmark", "command", "examples", "sklearn"},
]  # each may import from its own and those above


def _imports(sources: dict[str, str]) -> dict[str, set[str]]:
    """Module -> modules of the same package, all named as "fastbp.check.array"."""
    found: dict[str, set[str]] = {}
    for name, source in sources.items():
        own = found[name] = set()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                own |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    is_package = any(other.startswith(f"{name}.") for other in sources)
                    parents = name.split(".")[: None if is_package else -1]
                    parents = parents[: len(parents) - node.level + 1]
                    base = ".".join([*parents, *filter(None, [base])])
                for alias in node.names:
                    inner = f"{base}.{alias.name}"
                    own.add(inner if inner in sources else base)
        own.intersection_update(sources)
    return found


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    root = Path(fastbp.__file__).parent
    sources = {}
    for path in root.rglob("*.py"):
        parts = ("fastbp", *path.relative_to(root).with_suffix("").parts)
        sources[".".join(parts).removesuffix(".__init__")] = path.read_text(encoding="utf-8")
    assert len(sources) > 80
    return _imports(sources)


def test_no_circle(imports):
    TopologicalSorter(imports).prepare()


def test_imports_point_one_way(imports):
    floor = {room: i for i, rooms in enumerate(ROOMS) for room in rooms}

    def of(module: str) -> int:
        return floor[module.removeprefix("fastbp").removeprefix(".").partition(".")[0]]

    wrong = [(a, b) for a, targets in imports.items() for b in targets if of(b) > of(a)]
    assert not wrong


def test_nothing_below_knows_the_network(imports):
    who = {name for name, targets in imports.items() if {"fastbp.network", "fastbp"} & targets}
    rooms = {name.split(".")[1] for name in who if name != "fastbp"}
    assert rooms <= {"benchmark", "command", "examples", "sklearn", "tabular"}


def test_every_form_of_import_is_seen():
    sources = {
        "p": "",
        "p.a": "import p.b\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n from p import c",
        "p.b": "def f():\n  from . import c\n  from .c import x",
        "p.c": "from p import version",
    }
    assert _imports(sources) == {"p": set(), "p.a": {"p.b", "p.c"}, "p.b": {"p.c"}, "p.c": {"p"}}
