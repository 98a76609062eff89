import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from nnc.losses import distillation_loss, soft_targets

LOG2, LOG3 = math.log(2), math.log(3)


def by_hand(student, teacher, labels, temperature, alpha):
    """The formula again, with Python's floats, one image and one class at a time."""
    total = 0.0
    for s_row, t_row, label in zip(
        student.tolist(), teacher.tolist(), labels.tolist(), strict=True
    ):
        p, q = (
            [math.exp(z / temperature) / sum(math.exp(y / temperature) for y in row) for z in row]
            for row in (t_row, s_row)
        )
        soft = sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
        hard = math.log(sum(math.exp(z) for z in s_row)) - s_row[label]
        total += (1 - alpha) * hard + alpha * temperature**2 * soft
    return total / len(student)


def test_soft_targets_of_two_rows_of_three_by_hand():
    logits = torch.tensor([[0.0, 2 * LOG2, 2 * LOG3], [4.0, 4.0, 4.0]], dtype=torch.float64)
    expected = [[1 / 6, 2 / 6, 3 / 6], [1 / 3, 1 / 3, 1 / 3]]
    torch.testing.assert_close(
        soft_targets(logits, 2.0), torch.tensor(expected, dtype=torch.float64)
    )


def test_the_loss_of_two_images_and_three_classes_by_hand():
    """T = 2. Teacher 1:2:3 and uniform; student uniform and 1:1:2, both at T."""
    teacher = torch.tensor([[0.0, 2 * LOG2, 2 * LOG3], [0.0, 0.0, 0.0]], dtype=torch.float64)
    student = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 2 * LOG2]], dtype=torch.float64)
    first = (1 / 6) * math.log(1 / 2) + (1 / 3) * math.log(1) + (1 / 2) * math.log(3 / 2)
    second = (2 / 3) * math.log(4 / 3) + (1 / 3) * math.log(2 / 3)
    soft = 4 * (first + second) / 2
    assert distillation_loss(student, teacher, temperature=2.0, alpha=1.0).item() == pytest.approx(
        soft, rel=1e-12
    )
    # Hard: log 3 for the uniform row; log(1 + 1 + 4) - log 4 for the label of the second.
    hard = (LOG3 + math.log(6 / 4)) / 2
    labels = torch.tensor([1, 2])
    assert distillation_loss(
        student, teacher, labels, temperature=2.0, alpha=0.25
    ).item() == pytest.approx(0.75 * hard + 0.25 * soft, rel=1e-12)


@settings(deadline=None, max_examples=60)
@given(
    images=st.integers(1, 5),
    classes=st.integers(1, 6),
    temperature=st.floats(0.5, 20),
    alpha=st.floats(0, 1),
    seed=st.integers(0, 2**20),
)
def test_any_case_equals_the_formula(images, classes, temperature, alpha, seed):
    generator = torch.Generator().manual_seed(seed)
    student, teacher = 3 * torch.randn(2, images, classes, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, classes, (images,), generator=generator)
    loss = distillation_loss(student, teacher, labels, temperature=temperature, alpha=alpha)
    expected = by_hand(student, teacher, labels, temperature, alpha)
    assert loss.item() == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_gradients_are_those_of_finite_differences():
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 4, 3, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0, 2, 1, 1])
    student.requires_grad_()

    def loss(logits):
        return distillation_loss(logits, teacher, labels, temperature=3.0, alpha=0.7)

    assert torch.autograd.gradcheck(loss, student)


def test_no_gradient_reaches_the_teacher():
    student, teacher = torch.randn(2, 3, requires_grad=True), torch.randn(2, 3, requires_grad=True)
    distillation_loss(student, teacher, temperature=4.0, alpha=1.0).backward()
    assert teacher.grad is None
    assert student.grad is not None


@pytest.mark.parametrize("temperature", [0.5, 1.0, 7.0, 1000.0])
def test_equal_logits_cost_nothing(temperature):
    logits = torch.randn(5, 10, dtype=torch.float64, requires_grad=True)
    loss = distillation_loss(logits, logits.detach(), temperature=temperature, alpha=1.0)
    loss.backward()
    assert abs(loss.item()) < 1e-12
    assert logits.grad.abs().max() < 1e-12


def test_where_logits_are_small_against_t_the_gradient_does_not_depend_on_t():
    """The promise of T²; with logits ten times T it no longer holds."""
    generator = torch.Generator().manual_seed(1)
    student, teacher = torch.randn(2, 8, 5, generator=generator, dtype=torch.float64)
    student, teacher = student / student.abs().max(), teacher / teacher.abs().max()

    def gradient(temperature, scale=1.0):
        logits = (scale * student).requires_grad_()
        distillation_loss(logits, scale * teacher, temperature=temperature, alpha=1.0).backward()
        return logits.grad

    def difference(one, other):
        return ((one - other).norm() / other.norm()).item()

    assert difference(gradient(10.0), gradient(40.0)) < 0.05
    assert difference(gradient(10.0, scale=100.0), gradient(40.0, scale=100.0)) > 0.3


@pytest.mark.parametrize("scale", [1e-30, 1e4, 1e30])
@pytest.mark.parametrize("temperature", [0.01, 1.0, 100.0])
def test_extremes_are_finite(scale, temperature):
    student = (scale * torch.tensor([[1.0, -1.0, 0.5]])).requires_grad_()
    teacher = scale * torch.tensor([[-1.0, 1.0, 0.0]])
    if scale / temperature > 1e38:
        pytest.skip("logits / T is beyond float32")
    loss = distillation_loss(
        student, teacher, torch.tensor([0]), temperature=temperature, alpha=0.5
    )
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(student.grad).all()


def test_without_labels_the_teacher_is_all():
    student, teacher = torch.randn(2, 4, 3)
    loss = distillation_loss(student, teacher, temperature=2.0, alpha=1.0)
    labelled = distillation_loss(
        student, teacher, torch.tensor([0, 1, 2, 0]), temperature=2.0, alpha=1.0
    )
    assert torch.equal(loss, labelled)
    with pytest.raises(ValueError, match=r"alpha is 0\.9, must be 1 without labels"):
        distillation_loss(student, teacher, temperature=2.0, alpha=0.9)


def test_alpha_zero_is_cross_entropy():
    student, teacher = torch.randn(2, 4, 3)
    labels = torch.tensor([0, 1, 2, 0])
    loss = distillation_loss(student, teacher, labels, temperature=2.0, alpha=0.0)
    torch.testing.assert_close(loss, functional.cross_entropy(student, labels))


GOOD = torch.zeros(2, 3)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((GOOD[0], GOOD), {}, "student_logits is torch.float32 of shape \\(3,\\)"),
        ((GOOD, GOOD.long()), {}, "teacher_logits is torch.int64"),
        ((GOOD, torch.zeros(3, 3)), {}, "must be of the same shape, not empty"),
        ((GOOD[:0], GOOD[:0]), {}, "must be of the same shape, not empty"),
        ((GOOD, GOOD), {"temperature": 0.0}, "temperature is 0.0, must be positive"),
        ((GOOD, GOOD), {"temperature": math.nan}, "temperature is nan"),
        ((GOOD, GOOD), {"alpha": 1.5}, "alpha is 1.5, must be from 0"),
        (
            (GOOD, GOOD, torch.zeros(2, 3)),
            {},
            "labels is torch.float32 of shape \\(2, 3\\) on cpu, must be of integer",
        ),
        ((GOOD, GOOD, torch.tensor([0, 3])), {}, "one of labels is 3, must be from 0 to 2"),
    ],
)
def test_what_does_not_go_together_is_named(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        distillation_loss(*arguments, **({"temperature": 2.0, "alpha": 1.0} | options))


def test_soft_targets_refuse_a_single_row():
    with pytest.raises(ValueError, match="logits is torch.float32 of shape"):
        soft_targets(torch.zeros(3), 1.0)
