"""Hinton's experiments from end to end, on the embedded images and for a few epochs."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nnc import data
from nnc_book.arrays import read_arrays
from nnc_book.controls import best_shift, shuffle_wrong_classes
from nnc_book.recipes import get, mnist_kd
from nnc_book.running import run


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    whole = mnist_kd.MLP
    monkeypatch.setattr(mnist_kd, "MLP", lambda *hidden, **more: whole(40, 40))


def train(name, folder):
    recipe = get(name)
    few = {"validation": 1000, "teacher_epochs": 4, "student_epochs": 3, "teacher_shift": 0}
    return run(recipe, recipe.settings | few, data.load("mnist-5k"), 0, folder, progress=False)[
        "run"
    ]


def test_four_students_and_their_teacher(tmp_path):
    done = train("mnist-kd", tmp_path / "run")
    accuracies = ("teacher", "plain", "smoothed", "shuffled", "test")
    assert all(0.5 < done["metrics"][f"{name}_accuracy"] < 1 for name in accuracies)
    assert done["history"].keys() == {"teacher", "plain", "smoothed", "shuffled", "distilled"}
    answers = read_arrays(tmp_path / "run" / "training_answers.npz")["logits"]
    assert answers.shape == (4000, 10)
    assert answers.dtype == "float16"


@pytest.mark.parametrize(
    ("name", "missing"), [("mnist-kd-without-3", "3"), ("mnist-kd-7-and-8", "")]
)
def test_digits_that_were_missing_are_learnt_from_the_teacher(name, missing, tmp_path):
    metrics = train(name, tmp_path / "run")["metrics"]
    # The number is chosen on other images than these: it can only do a little harm.
    assert metrics["test_accuracy"] > metrics["uncorrected_accuracy"] - 0.02
    labels = data.load("mnist-5k").test.labels
    kept = {int(digit) for digit in get(name).settings["kept"]}
    assert metrics["missing_images"] == sum(int(label) not in kept for label in labels)


def test_the_best_shift_by_hand():
    # Class 1 is always right and behind by 2, 3 and 4: any shift above 4 will do.
    logits = torch.tensor([[2.0, 0.0], [3.0, 0.0], [4.0, 0.0]])
    ones = torch.ones(3, dtype=torch.int64)
    assert best_shift(logits, ones, torch.tensor([1])) == pytest.approx(4.5)
    assert best_shift(logits, 0 * ones, torch.tensor([1])) == pytest.approx(1.5)


@given(seed=st.integers(0, 10_000), count=st.integers(1, 12))
def test_no_other_shift_gives_fewer_errors(seed, count):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, 4, generator=generator)
    labels = torch.randint(0, 4, (count,), generator=generator)
    classes = torch.tensor([1, 3])

    def right(shift):
        moved = logits.double()
        moved[:, classes] += shift
        return int((moved.argmax(dim=1) == labels).sum())

    best = right(best_shift(logits, labels, classes))
    assert best >= max(right(shift) for shift in torch.linspace(-8, 8, 161).tolist())


@given(seed=st.integers(0, 1000), count=st.integers(1, 6), classes=st.integers(2, 5))
def test_shuffling_moves_the_wrong_classes_alone(seed, count, classes):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, classes, generator=generator)
    labels = torch.randint(0, classes, (count,), generator=generator)
    shuffled = shuffle_wrong_classes(logits, labels, generator)
    rows = torch.arange(count)
    assert torch.equal(shuffled[rows, labels], logits[rows, labels])
    assert torch.equal(shuffled.sort(dim=1).values, logits.sort(dim=1).values)


def test_shuffling_is_even():
    logits = torch.tensor([[9.0, 1.0, 2.0, 3.0]]).expand(6000, 4)
    labels = torch.zeros(6000, dtype=torch.int64)
    shuffled = shuffle_wrong_classes(logits, labels, torch.Generator().manual_seed(0))
    places = torch.stack([(shuffled == value).double().mean(0) for value in (1, 2, 3)])
    assert (places[:, 1:] - 1 / 3).abs().max() < 0.03
