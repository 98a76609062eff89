"""Pin what .venv holds: write requirements.lock, and environment.yml which repeats it.

Only what pyproject.toml asks for (all extras) and what that needs in turn is pinned; anything
else that was tried out in .venv stays out. To move to newer versions: install them in .venv,
see that ``make test`` passes, then ``make lock``.
"""

from __future__ import annotations

import tomllib
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
ENVIRONMENT = ROOT / "environment.yml"

# torch's CUDA libraries exist as wheels for this platform only, and nothing else needs them.
CUDA = ("nvidia-", "cuda-", "triton")
CUDA_MARKER = "sys_platform == 'linux' and platform_machine == 'x86_64'"

LOCK_HEADER = """\
# Exact versions of everything `make` installs. Written by `make lock`; do not edit by hand.
"""
ENVIRONMENT_HEADER = """\
# For conda and Binder. Repeats requirements.lock. Written by `make lock`; do not edit by hand.
name: nnc
channels: [conda-forge]
dependencies:
  - python>=3.11,<3.14
  - pip
  - pip:
"""


def wanted() -> list[str]:
    """What pyproject.toml asks for: core, every extra, and what builds the wheel."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = config["project"]["optional-dependencies"].values()
    return [
        *config["build-system"]["requires"],
        *config["project"]["dependencies"],
        *(requirement for extra in extras for requirement in extra),
    ]


def closure(requirements: list[str]) -> dict[str, str]:
    """Name -> installed version of the requirements and of all they need on this machine."""
    pins: dict[str, str] = {}
    done: set[tuple[str, str]] = set()
    todo = [(Requirement(line), "") for line in requirements]
    while todo:
        requirement, extra = todo.pop()
        name = canonicalize_name(requirement.name)
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        for extra in {"", *requirement.extras}:
            if (name, extra) in done:
                continue
            done.add((name, extra))
            found = distribution(name)
            pins[name] = found.version
            todo += [(Requirement(line), extra) for line in found.requires or []]
    return pins


def lines(pins: dict[str, str]) -> list[str]:
    """The pins as requirement lines, sorted by name."""
    return [
        f"{name}=={version}" + (f" ; {CUDA_MARKER}" if name.startswith(CUDA) else "")
        for name, version in sorted(pins.items())
    ]


def main() -> None:
    """Write both files."""
    pinned = lines(closure(wanted()))
    LOCK.write_text(LOCK_HEADER + "".join(f"{line}\n" for line in pinned), encoding="utf-8")
    quoted = [f'      - "{line}"\n' for line in [*pinned, "-e ."]]
    ENVIRONMENT.write_text(ENVIRONMENT_HEADER + "".join(quoted), encoding="utf-8")
    print(f"{len(pinned)} packages pinned in {LOCK.name} and {ENVIRONMENT.name}")


if __name__ == "__main__":
    main()
