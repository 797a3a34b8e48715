"""Builds of the kernels: one source, compiled per instruction set and real type.

Everything else is in pyproject.toml.

FASTBP_BUILD          comma-separated builds instead of the default of this machine, such as
                      "portable" or "v3,portable"
FASTBP_REQUIRE_BUILD  "1": a build that fails is an error; by default the package then installs
                      without it, and fastbp/backend/build_error.txt says why
FASTBP_DEBUG          "1": bounds checks and an unoptimised build
"""

import contextlib
import hashlib
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, ExecError, LinkError

sys.path.insert(0, "src")
from differentiate import tangent_source  # noqa: E402
from generate import FORMULA, formula_source  # noqa: E402

DEBUG = os.environ.get("FASTBP_DEBUG") == "1"
MACHINE = sysconfig.get_platform().rpartition("-")[2]  # what is compiled for, on whatever machine

# What compilers are asked for, and why; each flag is used where the compiler takes it.
FLAGS = {
    "unix": {
        "-O1" if DEBUG else "-O3": "",
        "-g0": "debugging symbols of eight builds are larger than the builds",
        # No -ffast-math: it would link code that changes the arithmetic of the whole process, and
        # sums must keep their order.
        "-ffp-contract=off": "a multiply-add is written out where it is meant",
        "-fno-math-errno": "nobody reads errno after a square root",
        "-fno-trapping-math": "nobody unmasks floating-point traps",
        "-fno-stack-protector": "it would spill registers in the tiles",
        "-fvisibility=hidden": "",
        # A panel of tiles needs every register: what is not marked inline must stay a function of
        # its own.
        "-fno-inline-functions-called-once": "of GCC",
        "-fno-ipa-cp-clone": "of GCC",
        "-fno-version-loops-for-strides": "of GCC: a second copy of each tile, for a stride of 1",
        "-finline-hint-functions": "of clang",
        "-mllvm -unroll-threshold=2000": "of clang, which would leave the largest tiles in memory",
    },
    "msvc": {
        "/O2": "",
        "/fp:precise": "a multiply-add is written out where it is meant",
    },
}
# What bits depend on: a build without it is none.
REQUIRED = {"-ffp-contract=off"}
INLINE = {"unix": "__inline__ __attribute__((always_inline))", "msvc": "__forceinline"}
INSTRUCTION_SET = {
    "v2": ["-march=x86-64-v2"],
    "v3": ["-march=x86-64-v3"],
    "v4": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
    "neon": [],  # which every arm64 processor has
    "portable": [],
}
# Of clang, which would unroll tanh's loop over 32 or 64 numbers before it could make vectors of it:
# twice the time and more. Builds written with vectors need such loops unrolled.
SHORT_LOOPS = "-mllvm -unroll-full-max-count=16"
# Of single builds, behind the others. GCC's -O3 makes of loops over single float32 numbers half as
# much code again, which takes 1.4 times as long; those over float64 become vectors.
OF_A_BUILD = {
    "float32_portable": ["-O2", SHORT_LOOPS],
    "float64_portable": [SHORT_LOOPS],
}
# "portable" elsewhere, also on Windows ("amd64"): there GCC puts vectors of more than 16 bytes
# where they do not belong, and MSVC has none.
DEFAULT_BUILDS = {
    "x86_64": "v2,v3,v4,portable",
    "aarch64": "neon,portable",
    "arm64": "neon,portable",  # macOS
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
    return sorted([*own, *Path("src").glob("*.py"), *FORMULA.glob("*.py")])


def source_hash():
    """Of all that the kernels are made of: tests hold what runs against what lies in src."""
    content = b"".join(path.as_posix().encode() + path.read_bytes() for path in sources())
    return hashlib.sha256(content).hexdigest()


def builds():
    default = DEFAULT_BUILDS.get(MACHINE, "portable")
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


def has_tangents(real, name):
    """Second derivatives are found in float64, whatever a network's type.  They take 20 kB of a
    wheel, which builds for processors of before 2013 do without: NumPy stands in there.
    """
    return real == "float64" and (name in ("v3", "v4", "neon") or MACHINE not in DEFAULT_BUILDS)


def kernel_source(real, name):
    """A file of one build's own: Cython makes one module of a file, whatever the flags."""
    kind = {"float32": "float", "float64": "double"}[real]
    text = f"""ctypedef {kind} real
include "function/function_{real}.pxi"
include "kernels.pxi"
"""
    if has_tangents(real, name):
        text += 'include "engine/tangent.pxi"\n'
    return generate(f"{real}_{name}.pyx", text)


def kernel_extension(real, name):
    macros = [("FASTBP_SOURCE_HASH", f'"{source_hash()}"')]
    if real == "float32":
        macros.append(("FASTBP_FLOAT32", "1"))
    if name == "portable":
        macros.append(("FASTBP_PORTABLE", "1"))
    return Extension(
        f"fastbp.backend._{real}_{name}",
        [kernel_source(real, name)],
        define_macros=macros,
        depends=[str(path) for path in sources()],
    )


class BuildKernels(build_ext):
    """`build_ext` that asks the compiler for its flags and keeps what it says where it fails."""

    def run(self):
        self.errors = {}
        super().run()
        package = self.get_finalized_command("build_py").get_package_dir("fastbp.backend")
        folders = [Path(self.build_lib, "fastbp", "backend")]
        for folder in [*folders, Path(package)] if self.inplace else folders:
            file = folder / "build_error.txt"
            file.unlink(missing_ok=True)
            if self.errors:
                folder.mkdir(parents=True, exist_ok=True)
                lines = (f"{name}: {line}\n" for name, line in sorted(self.errors.items()))
                file.write_text("".join(lines), encoding="utf-8")

    def build_extensions(self):
        kind = "msvc" if self.compiler.compiler_type == "msvc" else "unix"
        if kind == "unix":
            self.compiler.call = self.compiler.spawn = run_compiler
        flags = [flag for flag in FLAGS[kind] if kind == "msvc" or self.takes(flag)]
        for extension in self.extensions:
            build = extension.name.rpartition("._")[2]
            own = flags + INSTRUCTION_SET.get(build.rpartition("_")[2], [])
            if kind == "unix" and not DEBUG:
                own += [flag for flag in OF_A_BUILD.get(build, []) if self.takes(flag)]
            extension.extra_compile_args = " ".join(own).split()
            extension.define_macros.append(("FASTBP_FLAGS", f'"{" ".join(own)}"'))
            # The tiles unroll only where they are inlined with literal sizes, and compilers would
            # rather call bodies that long.
            extension.define_macros.append(("CYTHON_INLINE", INLINE[kind]))
            if sys.platform == "linux" and not DEBUG:  # the names of functions inside
                extension.extra_link_args = ["-Wl,-s"]
        super().build_extensions()

    def takes(self, flag):
        """Whether the compiler takes a flag without a word."""
        if flag in REQUIRED:
            return True
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "empty.c")
            source.write_text("int empty;\n")
            command = [*self.compiler.compiler_so, "-Werror", *flag.split(), "-c", source]
            with contextlib.suppress(OSError):  # a compiler that is not there is told of later
                done = subprocess.run([*command, "-o", f"{source}.o"], capture_output=True)
                return done.returncode == 0
        return False

    def build_extension(self, extension):
        try:
            super().build_extension(extension)
        except (CompileError, LinkError, ExecError) as error:
            self.errors[extension.name.rpartition("._")[2]] = str(error)
            raise


class CompilerError(ExecError, OSError):
    """What setuptools expects of a compiler that fails, before and since version 83."""


def run_compiler(command, **_):
    """Run a command. The error has the first line that tells of one."""
    try:
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, errors="replace")
    except OSError as error:
        raise CompilerError(f"{command[0]}: {error.strerror}") from None
    sys.stderr.write(done.stderr)
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        lines.append(f"{command[0]} failed with exit code {done.returncode}")
        raise CompilerError(next((line for line in lines if "error" in line.lower()), lines[-1]))


generate("formula.pxi", formula_source())
generate("tangent_formula.pxi", tangent_source())
extensions = [Extension("fastbp.backend._cpu", ["src/machine/cpu.pyx"])]
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

setup(
    ext_modules=modules,
    cmdclass={"build_ext": BuildKernels},
    options={"build_ext": {"parallel": os.cpu_count() or 1}},
)
