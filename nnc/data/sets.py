"""Data sets as plain tensors: the embedded subset, a local folder, or torchvision's download."""

from __future__ import annotations

import hashlib
import http.client
import os
import socket
import struct
import tempfile
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nnc.data import readers
from nnc.hints import check, did_you_mean

NAMES = ("mnist-5k", "mnist", "fashion-mnist", "cifar10", "cifar10-jpeg")

_DIGITS = tuple(str(digit) for digit in range(10))
_TORCHVISION = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "cifar10": "CIFAR10"}
# Where torchvision puts a data set below the folder it is given, and which files it needs there.
_FOLDERS = {"mnist": "MNIST/raw", "fashion-mnist": "FashionMNIST/raw"}
_FOLDERS |= {"cifar10": "cifar-10-batches-py", "cifar10-jpeg": "cifar10-jpeg"}
_KINDS = ("images-idx3-ubyte", "labels-idx1-ubyte")
_IDX_FILES = tuple(f"{part}-{kind}" for part in ("train", "t10k") for kind in _KINDS)
_FILES = dict.fromkeys(("mnist", "fashion-mnist"), _IDX_FILES)
_FILES["cifar10-jpeg"] = ("train", "test")
_FILES["cifar10"] = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their labels.

    Args:
        images: uint8, N × C × H × W, none of them 0.
        labels: int64, N, class numbers from 0.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        fits = _is(images, torch.uint8) and images.dim() == 4 and 0 not in images.shape
        shape = "images × channels × height × width, with at least one image"
        check("images", images, fits, f"torch.uint8 of shape {shape}")
        fits = _is(labels, torch.int64) and labels.shape == images.shape[:1]
        allowed = f"torch.int64 of shape ({len(images)},), one for each image"
        check("labels", labels, fits, allowed)
        lowest = int(labels.min())
        check("the lowest of labels", lowest, lowest >= 0, "at least 0")

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Tensor) -> Split:
        """The images at these positions (int64) or where a mask (bool, N) is true, in order."""
        return Split(self.images[index], self.labels[index])


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training and a test split of the same classes.

    Args:
        name: the name it was loaded by; of a folder, the last part of its path.
        classes: names of the classes, by label.
        train, test: images of one size, labels below ``len(classes)``, else a ValueError.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    test: Split

    def __post_init__(self) -> None:
        sizes = [tuple(split.images.shape[1:]) for split in (self.train, self.test)]
        if sizes[0] != sizes[1]:
            told = f"train of {self.name!r} has images of {sizes[0]} (channels, height, width)"
            raise ValueError(f"{told}, test of {sizes[1]}; bring them to one size")
        for part, split in (("train", self.train), ("test", self.test)):
            highest, count = int(split.labels.max()), len(self.classes)
            allowed = f"below the number of classes, {count}"
            check(f"a label of {part} of {self.name!r}", highest, highest < count, allowed)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over shape, pixels and labels, training split first, in hexadecimal.

        The same images and labels in the same order have the same fingerprint, wherever and in
        whatever format they were found: per split, the shape as four little-endian uint64, the
        pixels as bytes, the labels as little-endian int64.
        """
        digest = hashlib.sha256()
        for split in (self.train, self.test):
            digest.update(struct.pack("<4Q", *split.images.shape))
            digest.update(split.images.cpu().numpy().tobytes())
            digest.update(split.labels.cpu().numpy().astype("<i8").tobytes())
        return digest.hexdigest()


def load(
    name: str | Path,
    root: Path | str | None = None,
    *,
    download: bool = True,
    progress: bool = True,
) -> Dataset:
    """Load a data set by name, or any folder of images by class.

    ``"mnist-5k"`` is part of the package. The other names are looked for in the folders that
    ``where`` lists; of these, ``"mnist"``, ``"fashion-mnist"`` and ``"cifar10"`` are downloaded by
    torchvision into the first if they are in none. Everything else is the path of a folder with
    ``train/<class>/*`` and ``test/<class>/*``, images all of one size, all RGB or all grey;
    classes are numbered in sorted order, images follow in natural order (2 before 10).

    Args:
        name: one of ``NAMES``, or the path of a folder.
        root: the folder that holds data sets; unless given, the one that the environment
            variable ``NNC_DATA`` names, then ``~/.cache/nnc``.
        download: whether it may be downloaded.
        progress: whether to draw a progress bar where decoding images takes more than a second.

    Raises:
        ValueError: the name is unknown (the nearest is suggested), or a file is damaged (it is
            named).
        FileNotFoundError: the data set is not there and was not downloaded; the message says what
            was looked for, where, and the ways out.
    """
    if name == "mnist-5k":
        with (files("nnc.data") / "mnist_5k.npz").open("rb") as file, np.load(file) as arrays:
            images, labels = (torch.from_numpy(arrays[key]) for key in ("images", "labels"))
        every = Split(images.unsqueeze(1), labels.long())
        # The rows are shuffled and stratified already (scripts/make_mnist_5k.py), so that no
        # random stream of some library version decides which are test images.
        place = torch.arange(len(every))
        return Dataset(name, _DIGITS, every.take(place < 4000), every.take(place >= 4000))
    if name in NAMES:
        name = str(name)
        folders = where(name, root)
        found = [folder for folder in folders if not _missing(name, folder)]
        return _read(name, found[0] if found else _fetch(name, folders, download), progress)
    if not str(name) or not Path(name).is_dir():
        raise _unknown(name)
    return _read(Path(name).resolve().name, Path(name), progress)


def where(name: str, root: Path | str | None = None) -> list[Path]:
    """The folders, existing or not, in which ``load`` looks for a named data set, in this order.

    Args:
        name: one of ``NAMES``; ``"mnist-5k"`` is a file of the package and is in no folder.
        root: as in ``load``.
    """
    if name not in NAMES:
        raise _unknown(name)
    given = [root] if root else [os.environ.get("NNC_DATA"), Path.home() / ".cache" / "nnc"]
    roots = [Path(folder).expanduser() for folder in given if folder]
    return [folder / _FOLDERS[name] for folder in roots] if name in _FOLDERS else []


def split_validation(split: Split, count: int, seed: int) -> tuple[Split, Split]:
    """Set a stratified validation split aside: what remains, and it, both in their old order.

    Args:
        split: N images.
        count: how many go to validation, from 1 to N - 1, every class in proportion.
        seed: which ones.
    """
    fits = isinstance(count, int) and 1 <= count < len(split)
    check("count", count, fits, f"a whole number from 1 to {len(split) - 1}, as neither is empty")
    shuffled = torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))
    # Each image's place within its class, as a share of the class: the lowest shares of all go to
    # validation, which takes every class in proportion, to the image.
    share = torch.empty(len(split), dtype=torch.float64)
    for label in split.labels.unique():
        members = shuffled[split.labels[shuffled] == label]
        share[members] = (torch.arange(len(members), dtype=torch.float64) + 0.5) / len(members)
    chosen = torch.zeros(len(split), dtype=torch.bool)
    chosen[shuffled[share[shuffled].argsort(stable=True)[:count]]] = True
    return split.take(~chosen), split.take(chosen)


def as_input(images: Tensor) -> Tensor:
    """Pixels as a network takes them, ``x / 255``: float32 in [0, 1], of the same shape.

    Args:
        images: uint8, any shape; any other type is a ValueError.
    """
    check("images", images, _is(images, torch.uint8), "torch.uint8, pixels 0 to 255")
    return images.float() / 255


def _is(value: object, kind: torch.dtype) -> bool:
    return isinstance(value, Tensor) and value.dtype == kind


def _unknown(name: str | Path) -> ValueError:
    hint = did_you_mean(str(name).lower(), NAMES)
    folder = "the path of a folder with train/<class>/* and test/<class>/*"
    known = ", ".join(NAMES)
    return ValueError(f"name is {str(name)!r}, must be one of {known}, or {folder}{hint}")


def _read(name: str, folder: Path, progress: bool) -> Dataset:
    """A named data set or, under any other name, images by class."""
    if name in _TORCHVISION:
        kind, root = _TORCHVISION[name], _root(name, folder)
        classes, train, test = readers.read_torchvision(kind, folder, root)
    else:
        classes, train, test = readers.read_folder(folder, progress)
    return Dataset(name, _DIGITS if name == "mnist" else classes, Split(*train), Split(*test))


def _root(name: str, folder: Path) -> Path:
    """The folder that torchvision is given for a data set in this one."""
    return folder.parents[len(Path(_FOLDERS[name]).parts) - 1]


def _missing(name: str, folder: Path) -> list[str]:
    """The files that a data set needs and the folder lacks."""
    return [file for file in _FILES[name] if not (folder / file).exists()]


def _fetch(name: str, folders: list[Path], download: bool) -> Path:
    """Download a data set that is in none of the folders into the first of them."""
    reason = "was not to be downloaded"
    if name not in _TORCHVISION:
        reason = "cannot be downloaded"
    elif download:
        try:
            _download(name, folders[0])
            return folders[0]
        except (OSError, RuntimeError, http.client.HTTPException) as error:
            reason = f"could not be downloaded ({' '.join(str(error).split())})"
    looked = " or ".join(str(folder) for folder in folders)
    near = name if name in _TORCHVISION else "cifar10"
    raise FileNotFoundError(
        f"data set {name!r} ({', '.join(_FILES[name])}) is not in {looked} and {reason}; set "
        f"NNC_DATA or root to a folder that has it as {_FOLDERS[name]}, or connect and let "
        f"{near!r} be downloaded, or use 'mnist-5k', which is part of the package"
    )


def _download(name: str, folder: Path) -> None:
    """Let torchvision download a data set, and move its files in when all are there."""
    import torchvision.datasets

    root = _root(name, folder)
    root.mkdir(parents=True, exist_ok=True)
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(30)  # seconds without a byte; torchvision itself waits for minutes
    try:
        with tempfile.TemporaryDirectory(prefix=".download-", dir=root) as fresh:
            getattr(torchvision.datasets, _TORCHVISION[name])(fresh, download=True)
            folder.mkdir(parents=True, exist_ok=True)
            for file in _missing(name, folder):
                os.replace(Path(fresh) / _FOLDERS[name] / file, folder / file)
    finally:
        socket.setdefaulttimeout(patience)
