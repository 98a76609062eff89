"""Data sets as plain tensors: the embedded subset, a local folder, or torchvision's download."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import struct
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

NAMES = ("mnist-5k", "mnist", "fashion-mnist", "cifar10", "cifar10-jpeg")
_TORCHVISION = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "cifar10": "CIFAR10"}
_FOLDERS = {
    "mnist": "MNIST/raw",
    "fashion-mnist": "FashionMNIST/raw",
    "cifar10": "cifar-10-batches-py",
    "cifar10-jpeg": "cifar10-jpeg",
}
_IMAGE_ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their labels.

    Args:
        images: uint8, N × C × H × W.
        labels: int64, N, class numbers from 0.

    Raises:
        ValueError: types or shapes are others, or a label is negative.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.dim() != 4:
            raise ValueError(
                f"images has type {self.images.dtype} and shape {tuple(self.images.shape)}, must "
                "be torch.uint8 and N × channels × height × width"
            )
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            raise ValueError(
                f"labels has type {self.labels.dtype} and shape {tuple(self.labels.shape)}, must "
                f"be torch.int64, one for each of the {len(self.images)} images"
            )
        if len(self.labels) and int(self.labels.min()) < 0:
            raise ValueError(f"labels has the value {int(self.labels.min())}, must be at least 0")

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Tensor) -> Split:
        """The images at these positions, in this order."""
        return Split(self.images[index], self.labels[index])


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training and a test split.

    Args:
        name: as it was loaded.
        classes: names of the classes, by label.
        train, test: both not empty, of one image size, every label below ``len(classes)``.

    Raises:
        ValueError: the splits are empty, differ in image size, or have a label out of range.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    test: Split

    def __post_init__(self) -> None:
        for part, split in (("train", self.train), ("test", self.test)):
            if len(split) == 0:
                raise ValueError(f"{part} of {self.name!r} has 0 images, needs at least 1")
            if int(split.labels.max()) >= len(self.classes):
                raise ValueError(
                    f"{part} of {self.name!r} has the label {int(split.labels.max())}, must lie "
                    f"below the number of classes, {len(self.classes)}"
                )
        if self.train.images.shape[1:] != self.test.images.shape[1:]:
            raise ValueError(
                f"train of {self.name!r} has images of {tuple(self.train.images.shape[1:])}, test "
                f"of {tuple(self.test.images.shape[1:])}; they must be of one size"
            )

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over shapes, pixels and labels, training split first, in hexadecimal.

        The same images and labels in the same order have the same fingerprint wherever and in
        whatever file format they were found.
        """
        digest = hashlib.sha256()
        for split in (self.train, self.test):
            digest.update(struct.pack("<4Q", *split.images.shape))
            digest.update(split.images.contiguous().numpy())
            digest.update(split.labels.numpy().astype("<i8"))
        return digest.hexdigest()


def load(name: str, root: Path | str | None = None) -> Dataset:
    """Load a data set by name, or any folder of images by class.

    ``"mnist-5k"`` is part of the package. ``"mnist"``, ``"fashion-mnist"`` and ``"cifar10"`` are
    read from ``root`` where they are there, else downloaded into it by torchvision.
    ``"cifar10-jpeg"`` is read from ``root/cifar10-jpeg``. Everything else is taken for the path
    of a folder with ``train/<class>/*`` and ``test/<class>/*``.

    Args:
        name: one of ``NAMES``, or the path of a folder.
        root: the folder that holds data sets; the environment variable ``NNC_DATA`` unless given,
            else ``~/.cache/nnc``.

    Returns:
        The data set, in memory.

    Raises:
        ValueError: an unknown name (the nearest is suggested), or a damaged file (named).
        FileNotFoundError: the data set is not there and cannot be downloaded; the message says
            what was looked for, where, and the ways out.
    """
    if name == "mnist-5k":
        return _load_embedded()
    if name in _TORCHVISION:
        return _load_torchvision(name, _root(root))
    if name == "cifar10-jpeg":
        return _load_folder(name, where(name, root))
    if not Path(name).is_dir():
        near = difflib.get_close_matches(name, NAMES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"name is {name!r}, must be one of {', '.join(NAMES)} or an existing folder with "
            f"train/<class>/* and test/<class>/*{hint}"
        )
    return _load_folder(name, Path(name))


def where(name: str, root: Path | str | None = None) -> Path:
    """The folder in which ``load`` looks for a named data set that is not embedded."""
    return _root(root) / _FOLDERS[name]


def split_validation(split: Split, count: int, seed: int) -> tuple[Split, Split]:
    """Set a stratified validation split aside.

    Args:
        split: N images.
        count: how many go to validation, at least 1 and below N, each class in proportion.
        seed: which ones.

    Returns:
        The remaining training images, in their order, and the validation images.

    Raises:
        ValueError: the count is out of range.
    """
    if not 1 <= count < len(split):
        raise ValueError(
            f"count is {count}, must lie between 1 and {len(split) - 1}, one less than the images"
        )
    generator = torch.Generator().manual_seed(seed)
    shuffled = torch.randperm(len(split), generator=generator)
    # Each image's rank within its class, as a share of the class: the smallest go to validation,
    # which takes every class in proportion, to the image.
    rank = torch.empty(len(split), dtype=torch.float64)
    for label in split.labels.unique():
        members = shuffled[split.labels[shuffled] == label]
        rank[members] = (torch.arange(len(members), dtype=torch.float64) + 0.5) / len(members)
    chosen = torch.zeros(len(split), dtype=torch.bool)
    chosen[shuffled[rank[shuffled].argsort(stable=True)[:count]]] = True
    everything = torch.arange(len(split))
    return split.take(everything[~chosen]), split.take(everything[chosen])


def as_input(images: Tensor) -> Tensor:
    """Pixels as a network takes them: uint8 0…255 → float32 in [0, 1], same shape."""
    return images.float() / 255


def _root(root: Path | str | None) -> Path:
    return Path(root or os.environ.get("NNC_DATA") or Path.home() / ".cache" / "nnc")


def _load_embedded() -> Dataset:
    with (files("nnc") / "mnist_5k.npz").open("rb") as file, np.load(file) as arrays:
        images = torch.from_numpy(arrays["images"]).unsqueeze(1)
        labels = torch.from_numpy(arrays["labels"]).long()
    digits = tuple(str(digit) for digit in range(10))
    # The file is shuffled and stratified already (scripts/make_mnist_5k.py): no random stream of
    # a library version decides which images are test images.
    train, test = Split(images[:4000], labels[:4000]), Split(images[4000:], labels[4000:])
    return Dataset("mnist-5k", digits, train, test)


def _load_torchvision(name: str, root: Path) -> Dataset:
    import torchvision.datasets

    kind = getattr(torchvision.datasets, _TORCHVISION[name])
    parts = {}
    for train in (True, False):
        source = _open(kind, name, root, train)
        parts[train] = _as_split(source, where(name, root))
    return Dataset(name, tuple(source.classes), parts[True], parts[False])


def _open(kind: Any, name: str, root: Path, train: bool) -> Any:
    folder = root / _FOLDERS[name]
    try:
        # CIFAR-10 comes as pickles: torchvision compares their MD5 sums before it opens them.
        return kind(root, train=train, download=False)
    except RuntimeError as error:
        if "not found" not in str(error):
            raise _damaged(folder, error) from None
    except (ValueError, EOFError, OSError, zlib.error, AssertionError) as error:
        raise _damaged(folder, error) from None
    try:
        return kind(root, train=train, download=True)
    except (RuntimeError, OSError, zipfile.BadZipFile) as error:
        raise FileNotFoundError(
            f"data set {name!r} is not in {folder} and could not be downloaded "
            f"({str(error).splitlines()[0]}); set NNC_DATA (or root) to a folder that has "
            f"{_FOLDERS[name]}, or connect to the network and try again, or use 'mnist-5k', "
            "which is part of the package"
        ) from None


def _as_split(source: Any, folder: Path) -> Split:
    pixels = torch.as_tensor(source.data)
    labels = torch.as_tensor(source.targets, dtype=torch.int64)
    images = pixels.unsqueeze(1) if pixels.dim() == 3 else pixels.permute(0, 3, 1, 2).contiguous()
    try:
        return Split(images, labels)
    except ValueError as error:
        raise _damaged(folder, error) from None


def _damaged(folder: Path, error: Exception) -> ValueError:
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return ValueError(
        f"a file in {folder} is truncated or is not what its name says ({reason}); delete the "
        "folder and fetch the data set again"
    )


def _load_folder(name: str, folder: Path) -> Dataset:
    for part in ("train", "test"):
        if not (folder / part).is_dir():
            raise FileNotFoundError(
                f"data set {name!r} was looked for in {folder / part}, which is not a folder; set "
                "NNC_DATA (or root) to the folder that holds it, or give the path of a folder "
                "with train/<class>/* and test/<class>/*, or use 'mnist-5k', which is part of "
                "the package"
            )
    classes = _classes(folder / "train")
    if _classes(folder / "test") != classes:
        raise ValueError(f"{folder / 'test'} must have the classes of train: {', '.join(classes)}")
    listed = {part: _list_images(folder / part, classes) for part in ("train", "test")}
    images = _decode([path for part in listed.values() for path, _ in part])
    count = len(listed["train"])
    labels = {
        part: torch.tensor([label for _, label in rows], dtype=torch.int64)
        for part, rows in listed.items()
    }
    train, test = Split(images[:count], labels["train"]), Split(images[count:], labels["test"])
    return Dataset(name, classes, train, test)


def _classes(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir()))


def _list_images(folder: Path, classes: tuple[str, ...]) -> list[tuple[Path, int]]:
    """Every image file with its label; file names in natural order, so 2 before 10."""
    rows = [
        (path, label)
        for label, name in enumerate(classes)
        for path in sorted((folder / name).iterdir(), key=_natural)
        if path.suffix.lower() in _IMAGE_ENDINGS
    ]
    if not rows:
        raise ValueError(f"{folder} has no images; expected {folder / '<class>'}/*.png or *.jpg")
    return rows


def _natural(path: Path) -> list[tuple[int, int | str]]:
    return [
        (0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", path.name)
    ]


def _decode(paths: list[Path]) -> Tensor:
    """Decode once, all to the size and the mode (grey or RGB) of the first image."""
    first = _pixels(paths[0])
    images = np.empty((len(paths), *first.shape), dtype=np.uint8)
    with ThreadPoolExecutor() as pool:
        decoded = tqdm(
            pool.map(_pixels, paths), total=len(paths), unit="image", desc="decoding", leave=False
        )
        for row, (path, pixels) in enumerate(zip(paths, decoded, strict=True)):
            if pixels.shape != first.shape:
                raise ValueError(
                    f"{path} has shape {pixels.shape} (channels, height, width), {paths[0]} has "
                    f"{first.shape}; bring all images to one size and one mode"
                )
            images[row] = pixels
    return torch.from_numpy(images)


def _pixels(path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    from PIL import Image  # torchvision brings it; only folders of images need it

    try:
        with Image.open(path) as image:
            if image.mode not in ("L", "RGB"):
                raise ValueError(f"{path} has mode {image.mode}, must be grey (L) or RGB")
            pixels = np.asarray(image)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} is not a readable image ({error})") from None
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
