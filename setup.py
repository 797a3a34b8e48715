"""Builds of the kernels: one source, compiled per instruction set and real type.

Everything else is in pyproject.toml.

FASTBP_BUILD          comma-separated builds instead of the default of this machine, such as
                      "portable" or "v3,portable"
FASTBP_REQUIRE_BUILD  "1": a build that fails is an error; by default the package then installs for
                      the NumPy backend
FASTBP_DEBUG          "1": bounds checks and an unoptimised build
"""

import hashlib
import os
import platform
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

sys.path.insert(0, "src")
from generate import FORMULA, formula_source  # noqa: E402

DEBUG = os.environ.get("FASTBP_DEBUG") == "1"
GNU = sys.platform != "win32"
X86_64 = platform.machine().lower() in ("x86_64", "amd64")

# No -ffast-math: it would link code that changes the arithmetic of the whole process, and sums must
# keep their order.
COMMON = [
    "-O1" if DEBUG else "-O3",
    "-g0",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-stack-protector",
    "-fvisibility=hidden",
    # A panel of tiles needs every register: what is not marked inline must stay a function of its
    # own.
    "-fno-inline-functions-called-once",
    "-fno-ipa-cp-clone",
]
INSTRUCTION_SET = {
    "v2": ["-march=x86-64-v2"],
    "v3": ["-march=x86-64-v3"],
    "v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
    "portable": [],
}
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "initializedcheck": DEBUG,
    "wraparound": False,
    "cdivision": True,
    "nonecheck": False,
    "infer_types": False,
    "autotestdict": False,
    "embedsignature": True,
    "embedsignature.format": "python",
    "binding": True,
}


def sources():
    own = [path for path in Path("src").rglob("*") if path.suffix in (".h", ".pxi", ".pyx")]
    return sorted([*own, Path("src/generate.py"), *FORMULA.glob("*.py")])


def source_hash():
    """Of all that the kernels are made of: tests hold what runs against what lies in src."""
    content = b"".join(path.as_posix().encode() + path.read_bytes() for path in sources())
    return hashlib.sha256(content).hexdigest()


def builds():
    default = "v2,v3,v4,portable" if X86_64 and GNU else "portable"
    names = os.environ.get("FASTBP_BUILD", default).split(",")
    unknown = [name for name in names if name not in INSTRUCTION_SET]
    if unknown:
        known = sorted(INSTRUCTION_SET)
        raise SystemExit(f"FASTBP_BUILD={','.join(names)}: unknown {unknown}; known: {known}")
    return names


def generate(name, text):
    path = Path("build/kernels", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:  # a new file would be compiled again
        path.write_text(text)
    return str(path)


def kernel_source(real, name):
    """A file of one build's own: Cython makes one module of a file, whatever the flags."""
    kind = {"float32": "float", "float64": "double"}[real]
    text = f"""ctypedef {kind} real
include "function/function_{real}.pxi"
include "kernels.pxi"
"""
    return generate(f"{real}_{name}.pyx", text)


def kernel_extension(real, name):
    flags = COMMON + INSTRUCTION_SET[name] if GNU else ["/O2", "/fp:precise"]
    macros = [
        ("FASTBP_FLAGS", '"' + " ".join(flags) + '"'),
        ("FASTBP_SOURCE_HASH", f'"{source_hash()}"'),
    ]
    if GNU:
        # The tiles unroll only where they are inlined with literal sizes, and GCC would rather call
        # bodies that long.
        macros.append(("CYTHON_INLINE", "__inline__ __attribute__((always_inline))"))
    if real == "float32":
        macros.append(("FASTBP_FLOAT32", "1"))
    if name == "portable":
        macros.append(("FASTBP_PORTABLE", "1"))
    return Extension(
        f"fastbp.backend._{real}_{name}",
        [kernel_source(real, name)],
        extra_compile_args=flags,
        define_macros=macros,
        depends=[str(path) for path in sources()],
    )


generate("formula.pxi", formula_source())
cpu_flags = ["-O2", "-g0"] if GNU else []
extensions = [
    Extension("fastbp.backend._cpu", ["src/machine/cpu.pyx"], extra_compile_args=cpu_flags)
]
extensions += [kernel_extension(real, name) for real in ("float32", "float64") for name in builds()]
modules = cythonize(
    extensions,
    include_path=["src", "build/kernels"],
    build_dir="build/cython",
    nthreads=0,
    compiler_directives=DIRECTIVES,
)
for module in modules:
    module.optional = os.environ.get("FASTBP_REQUIRE_BUILD") != "1"
    module.include_dirs.append("src")

setup(ext_modules=modules, options={"build_ext": {"parallel": os.cpu_count() or 1}})
