"""Fetch the third-party files that the pages load, so that the pages fetch nothing.

Run it only to change a version: the files are in the repository. It needs npm, takes each
package at its pinned version through ``npm pack``, refuses one whose SHA-256 differs from the
pinned one, and writes only the listed files to book/_vendor/.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

VENDOR = Path(__file__).resolve().parent.parent / "book" / "_vendor"


@dataclass(frozen=True)
class Package:
    """One npm package, and which of its files go where."""

    name: str
    version: str
    sha256: str  # of the packed archive
    files: dict[str, str]  # path or folder in the archive -> path below book/_vendor


_MATHJAX = (
    "startup",
    "core",
    "input/tex",
    "output/chtml",
    "output/chtml/fonts/tex",
    "a11y/assistive-mml",
)
PACKAGES = [
    Package(
        name="mathjax",
        version="3.2.2",
        sha256="1b9c0a1c44df864e915690558e72adb9cc5203360daefd385084ced3b6c64c09",
        files={
            "LICENSE": "mathjax/LICENSE",
            # By parts: the file that holds them all has a menu as well, a third of its size.
            **{f"es5/{part}.js": f"mathjax/{part}.js" for part in _MATHJAX},
            "es5/output/chtml/fonts/woff-v2": "mathjax/output/chtml/fonts/woff-v2",
        },
    ),
]


def fetch(package: Package, folder: Path) -> Path:
    """Download and unpack one package; returns the folder that holds its files."""
    source = f"{package.name}@{package.version}"
    subprocess.run(["npm", "pack", "--silent", source], cwd=folder, check=True)
    archive = next(folder.glob("*.tgz"))
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != package.sha256:
        raise SystemExit(f"{source}: SHA-256 is {found}, pinned is {package.sha256}")
    with tarfile.open(archive) as content:
        content.extractall(folder, filter="data")
    return folder / "package"


def install(package: Package) -> None:
    """Put the listed files of one package under book/_vendor."""
    with tempfile.TemporaryDirectory() as folder:
        unpacked = fetch(package, Path(folder))
        for source, target in package.files.items():
            goal = VENDOR / target
            if (unpacked / source).is_dir():
                shutil.rmtree(goal, ignore_errors=True)
                shutil.copytree(unpacked / source, goal)
            else:
                goal.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(unpacked / source, goal)
    print(f"{package.name} {package.version} is in book/_vendor")


if __name__ == "__main__":
    for wanted in PACKAGES:
        install(wanted)
