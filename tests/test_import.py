"""What `import fastbp` reads in: the core, and nothing that only some programs need."""

from support import child

NEEDED = {
    "activation", "backend", "backend._cpu", "backend.show_config", "check", "check.array",
    "check.label", "check.scalar", "check.scale", "check.validation", "error", "formula",
    "formula.activation", "formula.number", "formula.optimizer", "history", "initializer",
    "inspection", "inspection.trace", "layer", "layer.architecture", "loss", "metric", "model",
    "network", "optimizer", "optimizer.adam", "optimizer.base", "optimizer.sgd", "plan",
    "plan.arena", "plan.builder", "plan.compile", "plan.graph", "plan.operation",
    "plan.parameter", "plan.segment", "plan.work", "random", "runtime", "runtime.fit",
    "runtime.predict", "runtime.state", "runtime.step", "runtime.usage",
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
    assert {name for name in own if not name.startswith("backend._float")} <= NEEDED
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
