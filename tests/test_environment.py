"""The files that say what is installed, and under which name and version, agree."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import lock
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def read_yaml(name: str) -> dict[str, Any]:
    """One of the repository's YAML files."""
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def locked_lines() -> list[str]:
    """The lines of requirements.lock less its comments."""
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def locked_versions() -> dict[str, str]:
    """Name -> exact version."""
    found = {}
    for line in locked_lines():
        requirement = Requirement(line)
        (pin,) = requirement.specifier
        assert pin.operator == "==", line
        found[canonicalize_name(requirement.name)] = pin.version
    return found


def test_the_lock_pins_each_package_once() -> None:
    lines = locked_lines()
    assert len(locked_versions()) == len(lines)
    assert lines == sorted(lines, key=lambda line: line.partition("==")[0])


def test_environment_yml_repeats_the_lock() -> None:
    *conda, last = read_yaml("environment.yml")["dependencies"]
    assert [entry.partition(">")[0] for entry in conda] == ["python", "pip"]
    assert last["pip"] == [*locked_lines(), "-e ."]


@pytest.mark.parametrize("wanted", lock.wanted())
def test_the_lock_satisfies_the_lower_bounds(wanted: str) -> None:
    requirement = Requirement(wanted)
    assert requirement.specifier.contains(locked_versions()[canonicalize_name(requirement.name)])


def test_only_lower_bounds_reach_whoever_installs_the_package() -> None:
    for line in PROJECT["project"]["dependencies"]:
        assert all(bound.operator == ">=" for bound in Requirement(line).specifier), line


def test_the_citation_names_the_version_and_the_repository() -> None:
    citation = read_yaml("CITATION.cff")
    assert citation["version"] == PROJECT["project"]["version"]
    assert citation["repository-code"] == read_yaml("_config.yml")["repository"]["url"]


def test_the_wheel_holds_every_file_of_the_package(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "LICENSE-TEXT"):
        shutil.copy(ROOT / name, source)
    for package in (Path("nnc"), Path("book", "nnc_book")):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, source / package, ignore=ignored)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", tmp_path, source], check=True)
    (wheel,) = tmp_path.glob("nnc_book-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    held = {name for name in names if name.startswith(("nnc/", "nnc_book/"))}
    written = {
        str(path.relative_to(top))
        for top, package in ((ROOT, "nnc"), (ROOT / "book", "nnc_book"))
        for path in (top / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert held == written


def test_importing_the_library_loads_nothing_that_it_may_never_need() -> None:
    drawn = ("matplotlib", "IPython", "ipywidgets", "anywidget", "PIL")
    heavy = {*drawn, "torchvision", "numba", "accelerate", "nnc_book"}
    code = f"import sys, nnc; print(*{heavy} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""


def test_the_library_imports_nothing_of_the_book() -> None:
    for path in (ROOT / "nnc").rglob("*.py"):
        assert "nnc_book" not in path.read_text(encoding="utf-8"), path
