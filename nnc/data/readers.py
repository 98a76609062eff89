"""From the files of a data set to tensors: idx, the batches of CIFAR-10, images by class.

Every reader returns pixels, uint8 N × C × H × W, and labels, int64 N. A file that is truncated or
of another kind is a ValueError that names it.
"""

from __future__ import annotations

import gzip
import math
import re
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

Labelled = tuple[Tensor, Tensor]
Pixels = np.ndarray[Any, np.dtype[np.uint8]]
_UNREADABLE = (OSError, EOFError, ValueError, zlib.error)  # what damaged files raise


def plain_or_zipped(path: Path) -> Path | None:
    """The file itself where it exists, else the one with ``.gz`` at its end, else None."""
    candidates = (path, path.with_name(path.name + ".gz"))
    return next((candidate for candidate in candidates if candidate.exists()), None)


def read_idx(folder: Path, part: str, classes: int) -> Labelled:
    """Pixels and labels of one part, ``"train"`` or ``"t10k"``, in the format of MNIST.

    The folder holds ``<part>-images-idx3-ubyte`` and ``<part>-labels-idx1-ubyte``, either as they
    are or with gzip.
    """
    pixels, images_file = _read_idx_file(folder / f"{part}-images-idx3-ubyte", 3)
    labels, labels_file = _read_idx_file(folder / f"{part}-labels-idx1-ubyte", 1)
    if len(pixels) != len(labels):
        raise _damaged(labels_file, f"{len(labels)} labels, {len(pixels)} images in {images_file}")
    if int(labels.max()) >= classes:
        raise _damaged(labels_file, f"label {int(labels.max())}, there are {classes} classes")
    return pixels.unsqueeze(1), labels.long()


def _read_idx_file(path: Path, dimensions: int) -> tuple[Tensor, Path]:
    """The array and the file it was in: 0, 0, 8 (bytes), dimensions, sizes (big-endian), pixels."""
    found = plain_or_zipped(path) or path
    try:
        data = found.read_bytes()
        data = gzip.decompress(data) if found.suffix == ".gz" else data
    except _UNREADABLE as error:
        raise _damaged(found, error) from None
    start = 4 + 4 * dimensions
    if len(data) < start or data[:4] != bytes((0, 0, 8, dimensions)):
        raise _damaged(found, f"starts with {data[:4].hex(' ')}, not 00 00 08 0{dimensions}")
    shape = struct.unpack(f">{dimensions}I", data[4:start])
    if len(data) != start + math.prod(shape) or 0 in shape:
        told = " × ".join(map(str, shape))
        raise _damaged(found, f"{len(data)} bytes, its header says {start} + {told}")
    return torch.from_numpy(np.frombuffer(data, np.uint8)[start:].reshape(shape).copy()), found


def read_cifar10(folder: Path) -> tuple[tuple[str, ...], Labelled, Labelled]:
    """Class names, training and test part of the original CIFAR-10, through torchvision.

    The folder is ``cifar-10-batches-py``, its seven files the original ones to the bit.
    """
    from torchvision.datasets import CIFAR10
    from torchvision.datasets.utils import check_integrity

    # The batches are pickles, which may run any code while they load: nothing is opened before
    # its MD5 sum is that of the original.
    meta = (CIFAR10.meta["filename"], CIFAR10.meta["md5"])
    for file, md5 in (*CIFAR10.train_list, *CIFAR10.test_list, meta):
        if not check_integrity(folder / file, md5):
            raise _damaged(folder / file, "its MD5 sum is not that of the original")
    # NumPy 2.4 finds the way in which these old pickles call it deprecated.
    with warnings.catch_warnings(action="ignore", category=np.exceptions.VisibleDeprecationWarning):
        train, test = (CIFAR10(folder.parent, train=part) for part in (True, False))
    return tuple(train.classes), _channels_first(train), _channels_first(test)


def _channels_first(source: Any) -> Labelled:
    pixels = torch.from_numpy(source.data.transpose(0, 3, 1, 2).copy())
    return pixels, torch.tensor(source.targets, dtype=torch.int64)


def read_folder(folder: Path, progress: bool = True) -> tuple[tuple[str, ...], Labelled, Labelled]:
    """Class names, training and test part of a folder of images by class.

    The folder holds ``train/<class>/*`` and ``test/<class>/*``. Names that start with a dot do not
    count. Classes are numbered in sorted order, files follow in natural order. All images have the
    size and mode (grey or RGB) of the first.
    """
    classes, test_classes = (_names(folder / part) for part in ("train", "test"))
    if odd := sorted(set(classes) ^ set(test_classes)):
        lack = f"only in one of them: {', '.join(odd)}"
        raise ValueError(f"{folder} must have the same classes in train and test; {lack}")
    train, test = (_list_images(folder / part, classes) for part in ("train", "test"))
    paths = [path for path, _ in train + test]
    pixels = _decode(paths, progress)
    labels = torch.tensor([label for _, label in train + test], dtype=torch.int64)
    border = len(train)
    return classes, (pixels[:border], labels[:border]), (pixels[border:], labels[border:])


def _names(folder: Path) -> tuple[str, ...]:
    """Names of the class folders, sorted."""
    rows = sorted(path.name for path in _visible(folder) if path.is_dir())
    if not rows:
        raise ValueError(f"{folder} has no folders of images; it needs one for each class")
    return tuple(rows)


def _list_images(folder: Path, classes: tuple[str, ...]) -> list[tuple[Path, int]]:
    """Every file of every class, with its label."""
    files = [sorted(_visible(folder / name), key=_natural) for name in classes]
    if [] in files:
        raise ValueError(f"{folder / classes[files.index([])]} has no images, needs at least one")
    return [(path, label) for label, paths in enumerate(files) for path in paths]


def _visible(folder: Path) -> list[Path]:
    if not folder.is_dir():
        layout = "images by class are train/<class>/* and test/<class>/*"
        raise ValueError(f"{folder} is not a folder, which it needs to be: {layout}")
    return [path for path in folder.iterdir() if not path.name.startswith(".")]


def _natural(path: Path) -> tuple[list[tuple[int, int | str]], str]:
    """A key that sorts 2 before 10; the name itself decides between 2 and 02."""
    parts = re.split(r"(\d+)", path.name)
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts], path.name


def _decode(paths: list[Path], progress: bool) -> Tensor:
    """All images, of the size and mode of the first."""
    images: list[Pixels] = []
    bar = tqdm(paths, "decoding", unit="image", leave=False, delay=1, disable=not progress)
    pool = ThreadPoolExecutor()  # Pillow releases the interpreter while it decodes
    try:
        for path, pixels in zip(bar, pool.map(_pixels, paths), strict=True):
            images.append(pixels)
            if pixels.shape != images[0].shape:
                sizes = f"{path} is {_size(pixels)}, {paths[0]} is {_size(images[0])}"
                raise ValueError(f"{sizes}; bring all images to one size, and to RGB or grey")
    finally:
        pool.shutdown(cancel_futures=True)
    return torch.from_numpy(np.stack(images)).contiguous()


def _size(pixels: Pixels) -> str:
    channels, height, width = pixels.shape
    return f"{'grey' if channels == 1 else 'RGB'}, {width} × {height} pixels"


def _pixels(path: Path) -> Pixels:
    """One image, channels × height × width."""
    from PIL import Image  # torchvision brings it; only folders of images need it

    try:
        with Image.open(path) as image:
            mode, pixels = image.mode, np.asarray(image)
    except (*_UNREADABLE, SyntaxError, struct.error, Image.DecompressionBombError) as error:
        raise _damaged(path, error) from None
    if mode not in ("L", "RGB"):
        raise ValueError(f"{path} has Pillow's mode {mode}, must be grey (L) or RGB; convert it")
    return pixels[None] if mode == "L" else pixels.transpose(2, 0, 1)


def _damaged(path: Path, reason: object) -> ValueError:
    words = " ".join(str(reason).split()) or type(reason).__name__
    return ValueError(
        f"{path} cannot be read ({words}); it is truncated or not what its name says, replace it"
    )
