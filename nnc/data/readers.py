"""From the files of a data set to tensors: those that torchvision knows, and images by class.

Every reader returns pixels, uint8 N × C × H × W, and labels, int64 N. A file that is truncated or
of another kind is a ValueError that names it.
"""

from __future__ import annotations

import re
import struct
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

Classes = tuple[str, ...]
Labelled = tuple[Tensor, Tensor]
Pixels = np.ndarray[Any, np.dtype[np.uint8]]
_UNREADABLE = (OSError, EOFError, ValueError)  # what damaged files raise


def read_torchvision(kind: str, folder: Path, root: Path) -> tuple[Classes, Labelled, Labelled]:
    """Class names, training and test part of one of torchvision's data sets.

    Args:
        kind: the name of its class there.
        folder: where its files are.
        root: the folder above that torchvision is given.
    """
    import torchvision.datasets

    # The batches of CIFAR-10 are pickles, which may run any code while they load: torchvision
    # opens none whose MD5 sum is not that of the original. NumPy 2.4 warns of how they call it.
    with warnings.catch_warnings(action="ignore"):
        try:
            made = getattr(torchvision.datasets, kind)
            train, test = (made(root, train=part) for part in (True, False))
        except (AssertionError, RuntimeError, *_UNREADABLE) as error:
            raise _damaged(folder, error) from None
    return tuple(train.classes), _labelled(train), _labelled(test)


def _labelled(source: Any) -> Labelled:
    pixels = torch.as_tensor(source.data)
    # Grey images have no dimension of channels, colours have it last.
    pixels = pixels.unsqueeze(1) if pixels.dim() == 3 else pixels.permute(0, 3, 1, 2).contiguous()
    return pixels, torch.as_tensor(source.targets)


def read_folder(folder: Path, progress: bool = True) -> tuple[Classes, Labelled, Labelled]:
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


def _names(folder: Path) -> Classes:
    """Names of the class folders, sorted."""
    rows = sorted(path.name for path in _visible(folder) if path.is_dir())
    if not rows:
        raise ValueError(f"{folder} has no folders of images; it needs one for each class")
    return tuple(rows)


def _list_images(folder: Path, classes: Classes) -> list[tuple[Path, int]]:
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
