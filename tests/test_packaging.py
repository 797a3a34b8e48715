"""What a wheel holds, and what the installed distribution says of itself."""

from __future__ import annotations

import os
import sysconfig
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import fastbp as fb
from fastbp.backend import compiled_modules

WHEEL = os.environ.get("FASTBP_TEST_WHEEL", "")
FILES = os.environ.get("FASTBP_TEST_FILES", "")  # what `git ls-files fastbp` printed for its source
ROOT = Path(__file__).parents[1]
LIMIT = 4_250_000  # eight builds of the engine, some 0.45 MB each, and 0.55 MB of Python and data

needs_wheel = pytest.mark.skipif(not WHEEL, reason="FASTBP_TEST_WHEEL names no wheel")


@pytest.fixture(scope="module")
def names() -> set[str]:
    """The files in the wheel."""
    with zipfile.ZipFile(WHEEL) as archive:
        assert archive.testzip() is None
        return set(archive.namelist())


def builds() -> list[str]:
    """The compiled modules that a wheel built here has to hold."""
    machine = sysconfig.get_platform().rpartition("-")[2]
    vectors = {"x86_64": ("v2", "v3", "v4"), "aarch64": ("neon",), "arm64": ("neon",)}
    sets = (*vectors.get(machine, ()), "portable")
    return ["_cpu", *(f"_{real}_{name}" for real in ("float32", "float64") for name in sets)]


@needs_wheel
@pytest.mark.parametrize("build", builds())
def test_wheel_has_compiled_module_and_stub(names: set[str], build: str) -> None:
    stem = f"fastbp/backend/{build}."
    found = {name.removeprefix(stem).rsplit(".", 1)[-1] for name in names if name.startswith(stem)}
    assert found in ({"so", "pyi"}, {"pyd", "pyi"})


@pytest.fixture(scope="module")
def tracked() -> set[str]:
    """The files of the package in the repository: a list that no build has had a hand in."""
    assert FILES, "FASTBP_TEST_WHEEL needs FASTBP_TEST_FILES, the file with the list"
    lines = Path(FILES).read_text(encoding="utf-8").splitlines()
    assert "fastbp/__init__.py" in lines and all(line.startswith("fastbp/") for line in lines)
    return set(lines)


@needs_wheel
def test_wheel_has_every_file_of_the_package(names: set[str], tracked: set[str]) -> None:
    assert sorted(tracked - names) == []
    kinds = {Path(name).suffix for name in tracked}
    assert {".py", ".pyi", ".typed", ".json", ".npz", ".txt"} <= kinds


@needs_wheel
def test_wheel_has_nothing_else(names: set[str], tracked: set[str]) -> None:
    tops = {name.split("/")[0] for name in names}
    assert tops == {"fastbp", f"fastbp-{fb.__version__}.dist-info"}
    built = tuple(f"fastbp/backend/{build}." for build in builds())
    more = {name for name in names if name.startswith("fastbp/")} - tracked
    assert {name for name in more if not name.startswith(built)} == set()
    assert {Path(name).suffix for name in more} <= {".so", ".pyd", ".pyi"}


@needs_wheel
def test_wheel_is_small() -> None:
    assert Path(WHEEL).stat().st_size < LIMIT


@needs_wheel
def test_wheel_is_what_is_tested() -> None:
    """Neither the checkout nor its build: the modules come from where the wheel was installed."""
    assert not (ROOT / "fastbp").exists()
    for module in compiled_modules().values():
        assert module.__file__ is not None
        assert "site-packages" in Path(module.__file__).parts


@pytest.fixture(scope="module")
def about() -> metadata.PackageMetadata:
    """Of the distribution that is installed, however it was."""
    return metadata.metadata("fastbp")


def test_version(about: metadata.PackageMetadata) -> None:
    assert about["Version"] == fb.__version__


def test_licence_and_python(about: metadata.PackageMetadata) -> None:
    assert about["License-Expression"] == "BSD-3-Clause"
    assert SpecifierSet(about["Requires-Python"]) == SpecifierSet(">=3.11")


def test_numpy_is_the_only_requirement() -> None:
    needed = [Requirement(text) for text in metadata.requires("fastbp") or ()]
    always = [r for r in needed if r.marker is None or r.marker.evaluate({"extra": ""})]
    assert [(r.name, r.specifier) for r in always] == [("numpy", SpecifierSet(">=2.0"))]


def test_extras(about: metadata.PackageMetadata) -> None:
    extras = {"bench", "completion", "csv", "dev", "docs", "plot", "progress", "safetensors"}
    extras |= {"sklearn", "study", "tensorboard", "test"}
    assert set(about.get_all("Provides-Extra") or ()) == extras
    needed = [Requirement(text) for text in metadata.requires("fastbp") or ()]
    for requirement in needed:
        if requirement.name != "fastbp":
            assert any(part.operator == ">=" for part in requirement.specifier), requirement


def test_command() -> None:
    (command,) = metadata.entry_points(group="console_scripts", name="fastbp")
    assert command.load() is not None
    assert command.value == "fastbp.command:main"


def test_typed() -> None:
    """Type checkers look for this file beside the package."""
    assert (Path(fb.__file__).parent / "py.typed").exists()
