"""Files of data sets: what is read, and that a bad file is named."""

from __future__ import annotations

import hashlib
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import CIFAR10

from nnc.data import readers


def idx(array: np.ndarray) -> bytes:
    return (
        bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + bytes(array)
    )


def write_idx(folder: Path, part: str = "train", count: int = 3) -> tuple[Path, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    images = folder / f"{part}-images-idx3-ubyte"
    labels = folder / f"{part}-labels-idx1-ubyte"
    images.write_bytes(idx(np.arange(count * 6, dtype=np.uint8).reshape(count, 2, 3)))
    labels.write_bytes(idx(np.arange(count, dtype=np.uint8)))
    return images, labels


def write_image(
    path: Path, value: int = 0, mode: str = "RGB", size: tuple[int, int] = (4, 3)
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value, 0, 255)).save(path)
    return path


def write_folder(folder: Path, **options: object) -> Path:
    """Two classes, two training images and one test image of each."""
    for part, count in (("train", 2), ("test", 1)):
        for label, name in enumerate(("ant", "bee")):
            for k in range(count):
                write_image(folder / part / name / f"{k}.png", 10 * label + k, **options)
    return folder


def read_mnist(root: Path) -> tuple[object, ...]:
    return readers.read_torchvision("MNIST", root / "MNIST" / "raw", root)


def write_mnist(root: Path) -> tuple[Path, Path]:
    for part in ("t10k", "train"):
        files = write_idx(root / "MNIST" / "raw", part)
    return files


def test_idx_by_hand(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    _, (images, labels), _ = read_mnist(tmp_path)
    assert images.dtype == torch.uint8
    assert images.tolist()[1] == [[[6, 7, 8], [9, 10, 11]]]
    assert labels.dtype == torch.int64
    assert labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00\x00\x08\x03\x00\x00",
        b"\x00\x00\x08\x01" + bytes(12),
        idx(np.zeros((3, 2, 3), np.uint8))[:-1],
        idx(np.zeros((3, 2, 3), np.uint8)) + b"x",
        b"\x00\x00\x08\x03" + b"\xff" * 12,
        b"\x00\x00\x63\x03" + b"\xff" * 12,
    ],
)
@pytest.mark.parametrize("which", [0, 1])
def test_a_bad_idx_file_is_one_line(tmp_path: Path, data: bytes, which: int) -> None:
    write_mnist(tmp_path)[which].write_bytes(data)
    with pytest.raises(ValueError, match=r"raw cannot be read \(.+replace it$") as caught:
        read_mnist(tmp_path)
    assert "\n" not in str(caught.value)


def write_cifar10(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CIFAR-10 of three images a batch, whose MD5 sums torchvision is made to expect."""
    folder.mkdir(parents=True)

    def write(name: str, value: object) -> list[str]:
        data = pickle.dumps(value, protocol=2)
        (folder / name).write_bytes(data)
        return [name, hashlib.md5(data, usedforsecurity=False).hexdigest()]

    def batch(name: str, first: int) -> list[str]:
        pixels = np.full((3, 3072), first, np.uint8) + np.arange(3, dtype=np.uint8)[:, None]
        pixels[:, 1024:] += 100  # green and blue
        pixels[:, 34] = 7  # second row, third column of red
        return write(name, {"data": pixels, "labels": [2, 0, 1]})

    training = [batch(f"data_batch_{i}", 10 * i) for i in range(1, 6)]
    monkeypatch.setattr(CIFAR10, "train_list", training)
    monkeypatch.setattr(CIFAR10, "test_list", [batch("test_batch", 90)])
    name, md5 = write("batches.meta", {"label_names": ["airplane", "automobile", "bird"]})
    meta = {"filename": name, "key": "label_names", "md5": md5}
    monkeypatch.setattr(CIFAR10, "meta", meta)


def test_cifar10_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    write_cifar10(folder, monkeypatch)
    classes, (images, labels), (test_images, _) = readers.read_torchvision(
        "CIFAR10", folder, tmp_path
    )
    assert classes == ("airplane", "automobile", "bird")
    assert images.shape == (15, 3, 32, 32)
    assert images.is_contiguous()
    assert labels.tolist() == [2, 0, 1] * 5
    assert images[4, :, 0, 0].tolist() == [21, 121, 121]
    assert images[4, :, 1, 2].tolist() == [7, 121, 121]
    assert test_images.shape == (3, 3, 32, 32)


def test_a_changed_pickle_is_named_and_never_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    write_cifar10(folder, monkeypatch)

    class Harmful:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return pytest.fail, ("the pickle was opened",)

    for name in ("data_batch_4", "test_batch", "batches.meta"):
        original = (folder / name).read_bytes()
        (folder / name).write_bytes(pickle.dumps(Harmful()))
        with pytest.raises(
            ValueError, match=r"batches-py cannot be read \(Dataset .*not found or corrupted"
        ):
            readers.read_torchvision("CIFAR10", folder, tmp_path)
        (folder / name).write_bytes(original)


def test_folder_by_hand(tmp_path: Path) -> None:
    classes, (images, labels), (test_images, test_labels) = readers.read_folder(
        write_folder(tmp_path)
    )
    assert classes == ("ant", "bee")
    assert images.shape == (4, 3, 3, 4)
    assert images[:, 0, 0, 0].tolist() == [0, 1, 10, 11]
    assert images[:, 2].unique().tolist() == [255]
    assert labels.tolist() == [0, 0, 1, 1]
    assert test_images[:, 0, 2, 3].tolist() == [0, 10]
    assert test_labels.tolist() == [0, 1]


def test_grey_images_have_one_channel(tmp_path: Path) -> None:
    _, (images, _), _ = readers.read_folder(write_folder(tmp_path, mode="L"))
    assert images.shape == (4, 1, 3, 4)


def test_many_files_keep_their_natural_order(tmp_path: Path) -> None:
    write_folder(tmp_path)
    for k in range(200):
        write_image(tmp_path / "train" / "ant" / f"{k}.png", k)
    _, (images, labels), _ = readers.read_folder(tmp_path)
    assert images[:, 0, 0, 0].tolist() == [*range(200), 10, 11]
    assert labels.tolist() == [0] * 200 + [1] * 2


def test_natural_order_is_total() -> None:
    names = ["a", "a1", "a01", "a2", "a10", "a10b", "b", "²", "1", "02", "2", "10"]
    expected = ["1", "02", "2", "10", "a", "a01", "a1", "a2", "a10", "a10b", "b", "²"]
    for arrangement in (names, names[::-1]):
        paths = sorted(map(Path, arrangement), key=readers._natural)
        assert [path.name for path in paths] == expected


def test_hidden_files_are_left_out(tmp_path: Path) -> None:
    write_folder(tmp_path)
    (tmp_path / "train" / "ant" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "train" / ".ipynb_checkpoints").mkdir()
    (tmp_path / "train" / "README.txt").write_text("beside the classes, in none of them")
    classes, (images, _), _ = readers.read_folder(tmp_path)
    assert classes == ("ant", "bee")
    assert len(images) == 4


@pytest.mark.parametrize("keep", [0, 10, 40, 300, 700])
@pytest.mark.parametrize("ending", ["png", "jpg", "gif"])
def test_a_truncated_image_is_named(tmp_path: Path, keep: int, ending: str) -> None:
    write_folder(tmp_path, size=(64, 64))
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    bad = tmp_path / "train" / "bee" / f"7.{ending}"
    Image.fromarray(pixels).save(bad)
    bad.write_bytes(bad.read_bytes()[:keep])
    with pytest.raises(ValueError, match=rf"^[^(]*bee.7\.{ending} cannot be read \(") as caught:
        readers.read_folder(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path)
    (tmp_path / "test" / "ant" / "notes.txt").write_text("ants are small")
    with pytest.raises(ValueError, match=r"ant.notes\.txt cannot be read \(cannot identify"):
        readers.read_folder(tmp_path)
    (tmp_path / "test" / "ant" / "notes.txt").unlink()
    (tmp_path / "test" / "ant" / "more").mkdir()
    with pytest.raises(ValueError, match=r"ant.more cannot be read \("):
        readers.read_folder(tmp_path)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"size": (4, 4)}, "is RGB, 4 × 4 pixels, .*0.png is RGB, 4 × 3 pixels; bring"),
        ({"mode": "L"}, "is grey, 4 × 3 pixels, .*0.png is RGB, 4 × 3 pixels; bring"),
    ],
)
def test_an_image_of_another_size_or_mode_is_named(
    tmp_path: Path, options: dict[str, object], found: str
) -> None:
    write_image(write_folder(tmp_path) / "test" / "bee" / "1.png", **options)
    with pytest.raises(ValueError, match=rf"bee.1\.png {found}"):
        readers.read_folder(tmp_path)


@pytest.mark.parametrize("mode", ["RGBA", "P", "1", "I;16", "LA"])
def test_a_mode_that_is_neither_grey_nor_rgb_is_named(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (4, 3)).save(write_folder(tmp_path) / "train" / "bee" / "1.png")
    with pytest.raises(ValueError, match=rf"bee.1\.png has Pillow's mode {mode}, must be grey"):
        readers.read_folder(tmp_path)


def test_a_folder_of_another_layout_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"train is not a folder, .* are train/<class>/\*"):
        readers.read_folder(tmp_path)
    (tmp_path / "train").mkdir()
    with pytest.raises(ValueError, match="train has no folders of images"):
        readers.read_folder(tmp_path)
    write_folder(tmp_path)
    (tmp_path / "test" / "cat").mkdir()
    with pytest.raises(ValueError, match="same classes in train and test; .* of them: cat"):
        readers.read_folder(tmp_path)
    (tmp_path / "train" / "cat").mkdir()
    with pytest.raises(ValueError, match="train/cat has no images, needs at least one"):
        readers.read_folder(tmp_path)
