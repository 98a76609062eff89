"""Data sets: the embedded one, names and places, splits and fingerprints."""

from __future__ import annotations

import hashlib
import os
import struct
from collections import Counter
from pathlib import Path
from urllib.error import URLError

import make_mnist_5k
import numpy as np
import pytest
import torch
import torchvision.datasets
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from test_readers import idx, write_folder

from nnc.data import sets as data
from nnc.data.sets import Dataset, Split, as_input, load, split_validation, where

MNIST = "1181f68a4abdeb7a95c490660bfad715f80ad9de90bb6d412a959a9d559ad2be"
# The same value stands in nnc/data/mnist_5k.md.
MNIST_5K = "f6e1c13f3103e783e651314810b65fa86e1559700b0d8ca46f1fa1924aa5da91"


def split_of(labels: list[int], size: tuple[int, ...] = (1, 2, 2)) -> Split:
    """A split whose images all hold their own number."""
    images = torch.arange(len(labels), dtype=torch.uint8).view(-1, 1, 1, 1)
    return Split(images.expand(-1, *size).clone(), torch.tensor(labels))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing in the usual places: no NNC_DATA, an empty home folder."""
    monkeypatch.delenv("NNC_DATA", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr("urllib.request.urlopen", refuse)


def real(name: str) -> Dataset:
    if "NNC_DATA" not in os.environ:
        pytest.skip("NNC_DATA is not set, so the full data sets are not here")
    try:
        return load(name, os.environ["NNC_DATA"], download=False)
    except FileNotFoundError as error:
        pytest.skip(str(error))


class FakeDownload:
    """Writes what torchvision's MNIST would, and stops in the middle where it is told to."""

    stop_after = 4

    def __call__(self, source: torchvision.datasets.MNIST) -> None:
        self.write(Path(source.raw_folder))

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        for k, part in enumerate(("train", "t10k")):
            for m, (kind, shape) in enumerate((("images-idx3", (4, 2, 2)), ("labels-idx1", (4,)))):
                if 2 * k + m == self.stop_after:
                    raise URLError("the line went dead")
                (folder / f"{part}-{kind}-ubyte").write_bytes(idx(np.full(shape, k, np.uint8)))
                (folder / f"{part}-{kind}-ubyte.gz").write_bytes(b"the archive")


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> FakeDownload:
    """What takes the place of torchvision's download."""
    fake = FakeDownload()
    monkeypatch.setattr(torchvision.datasets.MNIST, "download", lambda source: fake(source))  # noqa: PLW0108 (a method)
    return fake


def test_embedded_data_set() -> None:
    digits = load("mnist-5k")
    assert digits.name == "mnist-5k"
    assert digits.classes == tuple("0123456789")
    assert digits.train.images.shape == (4000, 1, 28, 28)
    assert digits.test.images.shape == (1000, 1, 28, 28)
    assert digits.train.labels.bincount().tolist() == [400] * 10
    assert digits.test.labels.bincount().tolist() == [100] * 10
    assert digits.fingerprint == MNIST_5K


def test_embedded_data_set_needs_no_network_and_no_folder(home: Path, no_network: None) -> None:
    assert load("mnist-5k").fingerprint == MNIST_5K
    assert where("mnist-5k") == []
    assert not home.exists()


def test_embedded_file_is_small_and_its_provenance_states_its_fingerprint() -> None:
    folder = Path(data.__file__).parent
    assert (folder / "mnist_5k.npz").stat().st_size < 1_200_000
    assert MNIST_5K in (folder / "mnist_5k.md").read_text(encoding="utf-8")


def test_embedded_labels_are_shuffled() -> None:
    """Neither sorted nor in turns: any regular part of the images holds all digits alike."""
    labels = load("mnist-5k").train.labels
    for part in (labels[:1000], labels[::4], labels[1::10]):
        expected = len(part) / 10
        chi_square = ((part.bincount(minlength=10) - expected) ** 2 / expected).sum()
        assert chi_square < 27.9  # 9 degrees of freedom: one part in a thousand lies above


def test_embedded_order_is_the_one_that_the_script_makes() -> None:
    digits = load("mnist-5k")
    images = torch.cat([digits.train.images, digits.test.images]).squeeze(1).numpy()
    labels = torch.cat([digits.train.labels, digits.test.labels]).numpy()
    assert make_mnist_5k.order(images, labels) == list(range(5000))
    assert make_mnist_5k.pack({"a": labels}) == make_mnist_5k.pack({"a": labels})


def test_all_embedded_images_are_training_images_of_mnist() -> None:
    def rows(split: Split) -> list[tuple[bytes, int]]:
        pairs = zip(split.images, split.labels, strict=True)
        return [(image.numpy().tobytes(), int(label)) for image, label in pairs]

    full, digits = real("mnist"), load("mnist-5k")
    embedded = rows(digits.train) + rows(digits.test)
    assert not Counter(embedded) - Counter(rows(full.train))
    assert not set(embedded) & set(rows(full.test))


def test_real_mnist() -> None:
    digits = real("mnist")
    for split, count, first, pixels in (
        (digits.train, 60_000, [5, 0, 4, 1, 9, 2], "ba891046e6505d7a"),
        (digits.test, 10_000, [7, 2, 1, 0, 4, 1], "0fa7898d509279e4"),
    ):
        assert split.images.shape == (count, 1, 28, 28)
        assert split.labels[:6].tolist() == first
        header = struct.pack(">4I", 2051, count, 28, 28)
        file = hashlib.sha256(header + split.images.numpy().tobytes())
        assert file.hexdigest().startswith(pixels)
    assert digits.fingerprint == MNIST


def test_real_cifar10_as_jpeg() -> None:
    """A few images against Pillow, found by their names; all 60,000 take too long here."""
    folder = Path(os.environ.get("NNC_DATA", "")) / "cifar10-jpeg"
    if "NNC_DATA" not in os.environ or not folder.is_dir():
        pytest.skip("no cifar10-jpeg in NNC_DATA")
    classes = data.readers._names(folder / "train")
    assert " ".join(classes) == "airplane automobile bird cat deer dog frog horse ship truck"
    rows = data.readers._list_images(folder / "train", classes)
    assert len(rows) == 50_000
    assert [path.parent.name for path, _ in rows[::5000]] == list(classes)
    assert [label for _, label in rows[::5000]] == list(range(10))
    assert [path.name for path, _ in rows[:3]] == ["0000.jpg", "0001.jpg", "0002.jpg"]
    path = rows[12_345][0]
    with Image.open(path) as image:
        assert np.array_equal(data.readers._pixels(path), np.moveaxis(np.asarray(image), 2, 0))


@pytest.mark.parametrize(
    ("name", "near"),
    [("mnist-5K", "mnist-5k"), ("MNIST", "mnist"), ("fashionmnist", "fashion-mnist"),
     ("cifar", "cifar10"), ("cifar10-jpg", "cifar10-jpeg")],
)  # fmt: skip
def test_an_unknown_name_suggests_the_nearest(name: str, near: str) -> None:
    with pytest.raises(ValueError, match=f"^name is '{name}', .*; did you mean '{near}'[?]$"):
        load(name)
    with pytest.raises(ValueError, match=f"did you mean '{near}'"):
        where(name)


@pytest.mark.parametrize("name", ["", "imagenet", "/no/such/folder"])
def test_an_unknown_name_lists_the_known(name: str) -> None:
    with pytest.raises(ValueError, match=r"must be one of mnist-5k, mnist, .*train/<class>/\*"):
        load(name)


def test_places(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = home / ".cache" / "nnc"
    assert where("mnist") == [cache / "MNIST" / "raw"]
    monkeypatch.setenv("NNC_DATA", "here")
    assert where("cifar10") == [Path(r) / "cifar-10-batches-py" for r in ("here", cache)]
    assert where("cifar10-jpeg", "there") == [Path("there/cifar10-jpeg")]
    assert where("fashion-mnist", Path("there")) == [Path("there/FashionMNIST/raw")]


def test_root_comes_before_the_environment_and_the_cache_last(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for k, folder in enumerate((home / ".cache" / "nnc", home / "set", home / "given")):
        for part in ("train", "test"):
            (folder / "cifar10-jpeg" / part / "ant").mkdir(parents=True)
            Image.new("L", (2, 2), k).save(folder / "cifar10-jpeg" / part / "ant" / "0.png")
    assert int(load("cifar10-jpeg").train.images[0, 0, 0, 0]) == 0
    monkeypatch.setenv("NNC_DATA", str(home / "empty"))
    assert int(load("cifar10-jpeg").train.images[0, 0, 0, 0]) == 0
    monkeypatch.setenv("NNC_DATA", str(home / "set"))
    assert int(load("cifar10-jpeg").train.images[0, 0, 0, 0]) == 1
    assert int(load("cifar10-jpeg", home / "given").train.images[0, 0, 0, 0]) == 2


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar10"])
def test_nowhere_and_no_network(tmp_path: Path, no_network: None, name: str) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        load(name, tmp_path / "data")
    message = str(caught.value)
    assert message.startswith(f"data set {name!r} ({data._FILES[name][0]}, ")
    assert f"is not in {where(name, tmp_path / 'data')[0]} and could not be downloaded" in message
    assert "no network" in message
    for way_out in ("set NNC_DATA or root to a folder", "connect and let", "use 'mnist-5k'"):
        assert way_out in message
    assert "\n" not in message
    assert list((tmp_path / "data").iterdir()) == []


def test_nowhere_and_not_to_be_downloaded(home: Path) -> None:
    with pytest.raises(FileNotFoundError, match="is not in .* and was not to be downloaded; set"):
        load("mnist", download=False)
    with pytest.raises(FileNotFoundError, match="cannot be downloaded; .* let 'cifar10' be"):
        load("cifar10-jpeg")
    assert not home.exists()


def test_download(home: Path, downloads: FakeDownload) -> None:
    digits = load("mnist")
    assert digits.classes == tuple("0123456789")
    assert digits.train.labels.tolist() == [0] * 4
    assert digits.test.images.unique().tolist() == [1]
    assert sorted(path.name for path in where("mnist")[0].iterdir()) == sorted(data._IDX_FILES)
    assert list((home / ".cache" / "nnc").iterdir()) == [home / ".cache" / "nnc" / "MNIST"]
    assert load("mnist", download=False).fingerprint == digits.fingerprint


def test_a_download_that_breaks_leaves_nothing(tmp_path: Path, downloads: FakeDownload) -> None:
    downloads.stop_after = 2
    with pytest.raises(FileNotFoundError, match="downloaded .*the line went dead"):
        load("mnist", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_download_replaces_no_file(tmp_path: Path, downloads: FakeDownload) -> None:
    mine = tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(idx(np.arange(4, dtype=np.uint8)))
    assert load("mnist", tmp_path).train.labels.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("file", data._IDX_FILES)
def test_a_truncated_file_of_a_named_set_is_one_line(tmp_path: Path, file: str) -> None:
    FakeDownload().write(tmp_path / "MNIST" / "raw")
    path = where("mnist", tmp_path)[0] / file
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"raw cannot be read \(") as caught:
        load("mnist", tmp_path, download=False)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_fashion_mnist(tmp_path: Path) -> None:
    (folder,) = where("fashion-mnist", tmp_path)
    FakeDownload().write(tmp_path / "MNIST" / "raw")
    (tmp_path / "MNIST").rename(folder.parent)
    assert load("fashion-mnist", tmp_path).classes == tuple(
        torchvision.datasets.FashionMNIST.classes
    )


def test_a_folder_of_images_by_class(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "insects")
    for name in (folder, str(folder), folder / "train" / ".."):
        insects = load(name)
        assert insects.name == "insects"
        assert insects.classes == ("ant", "bee")
        assert insects.train.labels.tolist() == [0, 0, 1, 1]


def test_fingerprint_by_hand() -> None:
    any_set = Dataset("any", ("a", "b"), split_of([0, 1]), split_of([1]))
    train = struct.pack("<4Q8B2q", 2, 1, 2, 2, 0, 0, 0, 0, 1, 1, 1, 1, 0, 1)
    test = struct.pack("<4Q4Bq", 1, 1, 2, 2, 0, 0, 0, 0, 1)
    assert any_set.fingerprint == hashlib.sha256(train + test).hexdigest()


def test_fingerprint_sees_contents_only(tmp_path: Path) -> None:
    base = load(write_folder(tmp_path / "one"))
    moved = load(write_folder(tmp_path / "two"))
    strided = Split(base.train.images.mT.contiguous().mT, base.train.labels)
    again = Dataset("other", ("x", "y"), strided, base.test)
    assert base.fingerprint == moved.fingerprint == again.fingerprint
    pixels, labels = base.train.images.clone(), base.train.labels.clone()
    pixels[3, 2, 2, 3] += 1
    labels[0] = 1
    others = [
        Dataset("any", base.classes, Split(pixels, base.train.labels), base.test),
        Dataset("any", base.classes, Split(base.train.images, labels), base.test),
        Dataset("any", base.classes, base.train.take(torch.tensor([1, 0, 2, 3])), base.test),
        Dataset("any", base.classes, base.test, base.train),
    ]
    assert len({base.fingerprint, *(other.fingerprint for other in others)}) == 5


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.zeros(2, 1, 2, 2), [0, 1], r"images is torch\.float32 of shape \(2, 1, 2, 2\)"),
        (torch.zeros(2, 2, 2, dtype=torch.uint8), [0, 1], r"images is torch\.uint8 of shape \(2, "),
        (
            torch.zeros(0, 1, 2, 2, dtype=torch.uint8),
            [],
            r"\(0, 1, 2, 2\) on cpu, must be .* at least one",
        ),
        (torch.zeros(2, 1, 0, 2, dtype=torch.uint8), [0, 1], r"images is .* \(2, 1, 0, 2\)"),
        (np.zeros((2, 1, 2, 2), np.uint8), [0, 1], r"images is a ndarray, must be torch\.uint8"),
        (
            torch.zeros(2, 1, 2, 2, dtype=torch.uint8),
            [0],
            r"\(1,\) on cpu, must be .* of shape \(2,\)",
        ),
        (torch.zeros(2, 1, 2, 2, dtype=torch.uint8), [0, -1], "lowest of labels is -1, must be"),
        (torch.zeros(2, 1, 2, 2, dtype=torch.uint8), [0.0, 1.0], r"labels is torch\.float32"),
    ],
)
def test_a_bad_split_is_refused(images: object, labels: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Split(images, torch.tensor(labels))


def test_a_bad_data_set_is_refused() -> None:
    good = split_of([0, 1])
    with pytest.raises(ValueError, match="label of test of 'x' is 2, must be below .* classes, 2"):
        Dataset("x", ("a", "b"), good, split_of([2, 0]))
    with pytest.raises(ValueError, match=r"'x' has images of \(1, 2, 2\) .* of \(3, 2, 2\); bring"):
        Dataset("x", ("a", "b"), good, split_of([0, 1], (3, 2, 2)))


def test_take() -> None:
    split = split_of([5, 6, 7])
    assert len(split) == 3
    assert split.take(torch.tensor([2, 0])).labels.tolist() == [7, 5]
    assert split.take(split.labels != 6).images[:, 0, 0, 0].tolist() == [0, 2]
    with pytest.raises(ValueError, match="at least one image"):
        split.take(split.labels > 9)


def test_input() -> None:
    pixels = torch.tensor([[0, 51, 255]], dtype=torch.uint8)
    assert torch.equal(as_input(pixels), torch.tensor([[0.0, 0.2, 1.0]]))
    with pytest.raises(
        ValueError, match=r"^images is torch.float32 of shape \(2,\) on cpu, must be"
    ):
        as_input(torch.zeros(2))


def test_validation_of_the_embedded_data_set() -> None:
    train, validation = split_validation(load("mnist-5k").train, 800, seed=0)
    assert validation.labels.bincount().tolist() == [80] * 10
    assert train.labels.bincount().tolist() == [320] * 10


labellings = st.lists(st.integers(0, 4), min_size=2, max_size=60)


@given(labels=labellings, seed=st.integers(0, 9), part=st.floats(0, 1))
def test_validation_is_a_stratified_partition(labels: list[int], seed: int, part: float) -> None:
    split = split_of(labels)
    count = 1 + round(part * (len(split) - 2))
    train, validation = split_validation(split, count, seed)
    assert len(validation) == count
    numbers = [side.images[:, 0, 0, 0].tolist() for side in (train, validation)]
    assert all(side == sorted(side) for side in numbers)
    assert sorted(numbers[0] + numbers[1]) == list(range(len(labels)))
    # One share t for all classes: each gives t times its images, rounded to the nearest.
    taken = [(validation.labels.tolist().count(c), labels.count(c)) for c in set(labels)]
    assert max((k - 0.5) / n for k, n in taken) <= min((k + 0.5) / n for k, n in taken)


def test_validation_is_a_function_of_the_seed() -> None:
    split = split_of([0, 1, 2] * 20)
    state = torch.get_rng_state()
    drawn = {tuple(split_validation(split, 9, s)[1].images[:, 0, 0, 0].tolist()) for s in range(20)}
    again = {tuple(split_validation(split, 9, s)[1].images[:, 0, 0, 0].tolist()) for s in range(20)}
    assert drawn == again
    assert len(drawn) == 20
    assert torch.equal(torch.get_rng_state(), state)


def test_validation_favours_no_class_where_classes_tie() -> None:
    split = split_of([0, 0, 1, 1])
    assert {int(split_validation(split, 1, seed)[1].labels[0]) for seed in range(20)} == {0, 1}


@pytest.mark.parametrize("count", [-1, 0, 3, 4, 0.5, 1.0])
def test_a_validation_count_out_of_range_is_named(count: int) -> None:
    with pytest.raises(ValueError, match=f"^count is {count}, must be a whole number from 1 to 2"):
        split_validation(split_of([0, 0, 1]), count, seed=0)
