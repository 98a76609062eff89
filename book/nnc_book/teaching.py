"""What a teacher says, once for all students: a schedule of views, and its logits on each.

Teacher and student have to see the same view of an image. With a schedule of views that is fixed
in advance, the teacher is asked once for each, and its answers serve every student and seed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from nnc.data import Split
from nnc.files import atomic_write
from nnc.training import predict
from nnc.training.loop import stream
from nnc_book.augment import random_crop, random_flip


@dataclass(frozen=True, eq=False)
class Views:
    """A fixed schedule of augmented views: epoch e of every run sees view ``e mod count``.

    Args:
        split: N images; the labels are not read.
        count: how many views there are, at least 1.
        crop: pixels padded by reflection before each random crop; 0 for none.
        flip: whether each image is mirrored with probability one half.
        seed: of the places and mirrors drawn.

    Raises:
        ValueError: the count is not a whole number of at least 1.
    """

    split: Split
    count: int
    crop: int = 0
    flip: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.count, int) or self.count < 1:
            raise ValueError(f"count is {self.count}, must be a whole number of at least 1")

    def __call__(self, epoch: int) -> Tensor:
        """The images of an epoch (from 0), uint8, in the order and shape of the split's."""
        generator = stream(self.seed, epoch % self.count)
        images = random_crop(self.split.images, self.crop, generator)
        return random_flip(images, generator) if self.flip else images

    def fingerprint(self) -> str:
        """SHA-256 over the images and the schedule, in hexadecimal."""
        schedule = f"{tuple(self.split.images.shape)} {self.count} {self.crop} {self.flip}"
        digest = hashlib.sha256(f"{schedule} {self.seed} ".encode())
        digest.update(self.split.images.cpu().numpy().tobytes())
        return digest.hexdigest()


def teacher_logits(
    teacher: nn.Module, views: Views, folder: Path, progress: bool = True,
    precision: str = "float32",
) -> Tensor:  # fmt: skip
    """A teacher's logits on every view, computed once and kept in a folder, a file per view.

    The files carry the fingerprint of teacher and views. A call that was stopped goes on with the
    views that are missing.

    Args:
        teacher: used in ``eval`` mode.
        views: the schedule.
        folder: where ``view-00.safetensors`` and so on are kept.
        progress: whether to draw a progress bar over the views.
        precision: as in :func:`nnc.fit`.

    Returns:
        float16, V × N × C.

    Raises:
        ValueError: a file is of another teacher, other images or another schedule, or the
            teacher's logits do not fit into float16.
    """
    asked = f"{fingerprint(teacher)} {views.fingerprint()} {precision}"
    mark = hashlib.sha256(asked.encode()).hexdigest()
    found = []
    for view in tqdm(range(views.count), disable=not progress, unit="view", leave=False):
        path = folder / f"view-{view:02}.safetensors"
        if not path.exists():
            images = Split(views(view), views.split.labels)
            _write(path, predict(teacher, images, precision=precision), mark)
        found.append(_read(path, mark))
    return torch.stack(found)


def fingerprint(model: nn.Module) -> str:
    """SHA-256 over names, types, shapes and values of a ``state_dict``, in hexadecimal."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _write(path: Path, logits: Tensor, mark: str) -> None:
    half = logits.half()
    if not bool(torch.isfinite(half).all()):
        raise ValueError(
            f"teacher's logits reach {float(logits.abs().max())}, must be finite and within "
            "±65504 to be kept as float16; check the teacher"
        )
    atomic_write(path, safetensors.torch.save({"logits": half}, {"fingerprint": mark}))


def _read(path: Path, mark: str) -> Tensor:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata, logits = file.metadata() or {}, file.get_tensor("logits")
    except (OSError, safetensors.SafetensorError) as error:
        raise ValueError(f"{path} cannot be read ({error}); delete it") from None
    if metadata.get("fingerprint") != mark:
        raise ValueError(
            f"{path} holds the logits of another teacher, other images or another schedule of "
            "views; delete its folder, and they are computed anew"
        )
    return logits
