"""The distillation loss of any network: shapes, positions left out, weights, types, teachers."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from nnc.losses import distillation_loss, soft_targets

LOG2 = math.log(2)


def random(*shape, seed=0, dtype=torch.float64):
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def classes_of(*shape, count=5, seed=0):
    return torch.randint(count, shape, generator=torch.Generator().manual_seed(seed))


def as_rows(tensor, dim):
    """N × C of any logits, positions in reading order."""
    return tensor.movedim(dim, -1).reshape(-1, tensor.shape[dim])


def by_rows(student, teachers, labels, kept, temperature, alpha, weight, reduction):
    """The documented formula on N × C, with a loop over the positions that are kept."""
    soft, hard, sizes = [], [], []
    for row, label in enumerate(labels.tolist()):
        if not kept[row]:
            soft.append(torch.zeros((), dtype=student.dtype))
            hard.append(soft[-1])
            sizes.append(0.0)
            continue
        p = sum((t[row] / temperature).softmax(0) for t in teachers) / len(teachers)
        log_q = (student[row] / temperature).log_softmax(0)
        soft.append(sum(a * (a.log() - b) for a, b in zip(p, log_q, strict=True)))
        sizes.append(float(weight[label]))
        hard.append(-sizes[-1] * student[row].log_softmax(0)[label])
    soft, hard = temperature**2 * torch.stack(soft), torch.stack(hard)
    if reduction == "none":
        return (1 - alpha) * hard + alpha * soft
    over = (max(sum(kept), 1), sum(sizes) or 1) if reduction == "mean" else (1, 1)
    return (1 - alpha) * hard.sum() / over[1] + alpha * soft.sum() / over[0]


SHAPES = [((4, 5), 1), ((5, 4), 0), ((2, 5, 3), 1), ((2, 3, 5), -1), ((2, 5, 3, 2), 1)]
SHAPES += [((2, 3, 2, 5), 3), ((2, 3, 5, 2), 2), ((5, 2, 3), 0)]


@settings(deadline=None, max_examples=80)
@given(
    layout=st.sampled_from(SHAPES),
    teachers=st.integers(1, 3),
    temperature=st.floats(0.5, 10),
    alpha=st.floats(0, 1),
    reduction=st.sampled_from(["mean", "sum", "none"]),
    ignored=st.floats(0, 1),
    masked=st.booleans(),
    weighted=st.booleans(),
    seed=st.integers(0, 2**20),
)
def test_any_case_equals_the_formula_row_by_row(
    layout, teachers, temperature, alpha, reduction, ignored, masked, weighted, seed
):
    shape, dim = layout
    student, *taught = (random(*shape, seed=seed + k) for k in range(teachers + 1))
    positions = student.select(dim, 0).shape
    draw = torch.rand(2, *positions, generator=torch.Generator().manual_seed(seed))
    labels = classes_of(*positions, seed=seed).masked_fill(draw[0] < ignored, -7)
    mask = draw[1] < 0.6 if masked else None
    weight = torch.tensor([0.5, 1.0, 0.0, 2.0, 3.0]).double() if weighted else None
    found = distillation_loss(
        student,
        taught if teachers > 1 else taught[0],
        labels,
        temperature=temperature,
        alpha=alpha,
        dim=dim,
        mask=mask,
        ignore_index=-7,
        weight=weight,
        reduction=reduction,
    )
    kept = (labels != -7) & (mask if masked else True)
    expected = by_rows(
        as_rows(student, dim),
        [as_rows(t, dim) for t in taught],
        labels.flatten(),
        kept.flatten().tolist(),
        temperature,
        alpha,
        weight if weighted else torch.ones(5),
        reduction,
    )
    if reduction == "none":
        assert found.shape == positions
        assert not found[~kept].any()
    torch.testing.assert_close(found.flatten(), expected.flatten(), rtol=1e-9, atol=1e-9)


def test_two_pixels_of_two_classes_by_hand():
    """T = 2. First pixel: teacher 1:3, student 1:1 at T; second: teacher 1:1, student 1:3 at T."""
    three = 2 * math.log(3)
    teacher = torch.tensor([[[[0.0, 0.0]], [[three, 0.0]]]], dtype=torch.float64)  # 1 × 2 × 1 × 2
    student = torch.tensor([[[[0.0, 0.0]], [[0.0, three]]]], dtype=torch.float64)
    first = 4 * (1 / 4 * math.log(1 / 2) + 3 / 4 * math.log(3 / 2))
    second = 4 * (1 / 2 * math.log(2) + 1 / 2 * math.log(2 / 3))
    hard = [LOG2, math.log(10)]  # at T = 1 the second pixel is 1:9, and its label is class 0
    labels = torch.tensor([[[1, 0]]])

    def loss(labels, **options):
        return distillation_loss(student, teacher, labels, temperature=2.0, alpha=0.25, **options)

    each = [0.75 * h + 0.25 * s for h, s in zip(hard, (first, second), strict=True)]
    assert loss(labels).item() == pytest.approx(sum(each) / 2, rel=1e-12)
    assert loss(labels, reduction="sum").item() == pytest.approx(sum(each), rel=1e-12)
    assert loss(labels, reduction="none").flatten().tolist() == pytest.approx(each, rel=1e-12)
    assert loss(torch.tensor([[[1, -100]]])).item() == pytest.approx(each[0], rel=1e-12)
    mask = torch.tensor([[[False, True]]])
    assert loss(labels, mask=mask).item() == pytest.approx(each[1], rel=1e-12)
    # Weights 3 and 1: the labels' mean is (1 log 2 + 3 log 10) / 4, the teacher's stays.
    weighted = 0.75 * (LOG2 + 3 * math.log(10)) / 4 + 0.25 * (first + second) / 2
    weight = torch.tensor([3.0, 1.0])
    assert loss(labels, weight=weight).item() == pytest.approx(weighted, rel=1e-12)


def test_of_two_teachers_the_probabilities_are_averaged_and_not_the_logits():
    """T = 1: 1:3 and 1:1 average to 3:5; their logits would average to 1:√3."""
    one, other = torch.tensor([[0.0, math.log(3)]]), torch.tensor([[0.0, 0.0]])
    student = torch.tensor([[math.log(3 / 8), math.log(5 / 8)]], requires_grad=True)
    loss = distillation_loss(student, (one, other), temperature=1.0, alpha=1.0)
    loss.backward()
    assert abs(loss.item()) < 1e-7
    assert student.grad.abs().max() < 1e-7


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_alpha_zero_is_torchs_cross_entropy_whatever_is_asked_of_it(reduction):
    student, labels = random(2, 5, 3, 4), classes_of(2, 3, 4)
    labels[0, 0] = -100
    weight = torch.tensor([0.1, 2.0, 1.0, 0.5, 3.0]).double()
    for weights in (None, weight):
        found = distillation_loss(
            student,
            student,
            labels,
            temperature=2.0,
            alpha=0.0,
            weight=weights,
            reduction=reduction,
        )
        expected = functional.cross_entropy(student, labels, weights, reduction=reduction)
        torch.testing.assert_close(found, expected)


OPTIONS = [
    {},
    {"mask": torch.tensor([[True, False, True], [True, True, False]])},
    {"weight": torch.tensor([0.5, 1.0, 2.0, 0.1]).double()},
    {"reduction": "none"},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("dim", [1, -1])
def test_first_and_second_derivatives_are_those_of_finite_differences(options, dim):
    shape = (2, 4, 3) if dim == 1 else (2, 3, 4)
    student = random(*shape).requires_grad_()
    teachers = [random(*shape, seed=1), random(*shape, seed=2)]
    labels = torch.tensor([[0, 3, 1], [-100, 2, 1]])

    def loss(logits):
        return distillation_loss(
            logits, teachers, labels, temperature=3.0, alpha=0.7, dim=dim, **options
        )

    assert torch.autograd.gradcheck(loss, student)
    assert torch.autograd.gradgradcheck(loss, student)


def test_a_class_that_both_exclude_counts_nothing():
    student, teacher, labels = random(3, 5), random(3, 5, seed=1), classes_of(3, count=4) + 1
    student[:, 0] = teacher[:, 0] = -math.inf
    for alpha, known in ((1.0, None), (0.5, labels)):
        full = student.clone().requires_grad_()
        rest = student[:, 1:].clone().requires_grad_()
        loss = distillation_loss(full, teacher, known, temperature=2.0, alpha=alpha)
        fewer = None if known is None else known - 1
        expected = distillation_loss(rest, teacher[:, 1:], fewer, temperature=2.0, alpha=alpha)
        loss.backward()
        expected.backward()
        torch.testing.assert_close(loss, expected)
        torch.testing.assert_close(full.grad[:, 1:], rest.grad)
        assert not full.grad[:, 0].any()


def test_a_class_that_the_teacher_alone_excludes_is_finite_and_the_students_alone_is_not():
    student, teacher = random(3, 5), random(3, 5, seed=1)
    without = teacher.clone()
    without[:, 0] = -math.inf
    logits = student.clone().requires_grad_()
    loss = distillation_loss(logits, without, temperature=2.0, alpha=1.0)
    loss.backward()
    torch.testing.assert_close(
        logits.grad, 2 / 3 * ((student / 2).softmax(1) - (without / 2).softmax(1))
    )
    student[:, 0] = -math.inf
    assert distillation_loss(student, teacher, temperature=2.0, alpha=1.0).item() == math.inf


@pytest.mark.parametrize("way", ["ignored", "masked"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_what_stands_at_positions_left_out_reaches_nothing(way, bad, reduction):
    student, teacher, labels = random(2, 3, 5), random(2, 3, 5, seed=1), classes_of(2, 3)
    kept = torch.tensor([[True, False, True], [False, True, True]])
    good = distillation_loss(
        student[kept], teacher[kept], labels[kept], temperature=2.0, alpha=0.5, reduction=reduction
    )
    student, teacher = (x.masked_fill(~kept[..., None], bad) for x in (student, teacher))
    options = {"mask": kept} if way == "masked" else {}
    labels = labels.masked_fill(~kept, 99 if way == "masked" else -100)
    student.requires_grad_()
    loss = distillation_loss(
        student, teacher, labels, temperature=2.0, alpha=0.5, dim=-1, reduction=reduction, **options
    )
    torch.testing.assert_close(loss[kept] if reduction == "none" else loss, good)
    loss.sum().backward()
    assert torch.isfinite(student.grad).all()
    assert not student.grad[~kept].any()


def test_nan_at_a_position_that_counts_is_not_hidden():
    student, teacher = random(3, 5), random(3, 5, seed=1)
    for tensor in (student, teacher):
        broken = tensor.clone()
        broken[1, 2] = math.nan
        pair = (broken, teacher) if tensor is student else (student, broken)
        assert distillation_loss(*pair, temperature=2.0, alpha=1.0).isnan()


@pytest.mark.parametrize("weight", [None, torch.ones(5)])
def test_where_nothing_counts_the_loss_is_nothing(weight):
    student = random(2, 5, dtype=torch.float32).requires_grad_()
    labels = torch.full((2,), -100)
    loss = distillation_loss(
        student, random(2, 5), labels, temperature=2.0, alpha=0.5, weight=weight
    )
    loss.backward()
    assert loss.item() == 0
    assert not student.grad.any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    student, teacher = (random(4, 1000, seed=k).to(dtype) for k in range(2))
    labels = classes_of(4, count=1000)
    found = distillation_loss(student, teacher, labels, temperature=4.0, alpha=0.5)
    assert found.dtype == torch.float32
    expected = distillation_loss(
        student.float(), teacher.float(), labels, temperature=4.0, alpha=0.5
    )
    assert torch.equal(found, expected)
    assert soft_targets(student, 4.0).dtype == torch.float32
    mixed = distillation_loss(student.float(), teacher, labels, temperature=4.0, alpha=0.5)
    assert torch.equal(mixed, expected)
    logits = student.clone().requires_grad_()
    distillation_loss(logits, teacher, labels, temperature=4.0, alpha=0.5).backward()
    assert logits.grad.dtype == dtype


INTEGERS = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]
INTEGERS += [torch.uint16, torch.uint32, torch.uint64]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_labels_of_any_integer_type(dtype):
    student, labels = random(4, 5), classes_of(4)
    expected = distillation_loss(student, student, labels, temperature=2.0, alpha=0.5)
    found = distillation_loss(student, student, labels.to(dtype), temperature=2.0, alpha=0.5)
    assert torch.equal(found, expected)


def test_the_label_156_of_a_byte_is_a_class_and_not_the_one_to_ignore():
    student = random(3, 200)
    labels = torch.tensor([156, 1, 156], dtype=torch.uint8)
    found = distillation_loss(student, student, labels, temperature=2.0, alpha=0.0)
    torch.testing.assert_close(found, functional.cross_entropy(student, labels.long()))
    left = distillation_loss(student, student, labels, temperature=2.0, alpha=0.0, ignore_index=156)
    torch.testing.assert_close(left, functional.cross_entropy(student[1:2], labels[1:2].long()))


@pytest.mark.parametrize("layout", SHAPES)
def test_soft_targets_stand_where_the_logits_stood(layout):
    shape, dim = layout
    logits = random(*shape)
    found = soft_targets(logits, 3.0, dim=dim)
    assert torch.equal(found, (logits / 3).softmax(dim))


GOOD = torch.zeros(2, 3)
LABELS = torch.tensor([0, 2])


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((GOOD, torch.zeros(2, 4)), {}, r"teacher_logits is .*\(2, 4\).*same shape.*\(2, 3\)"),
        ((GOOD, [GOOD, torch.zeros(2, 4)]), {}, r"teacher_logits is .*\(2, 4\).*same shape"),
        ((GOOD, []), {}, "teacher_logits is .*must be the logits of at least one teacher"),
        ((GOOD.tolist(), GOOD), {}, "student_logits is .*must be floating point"),
        ((GOOD, GOOD.numpy()), {}, "teacher_logits is .*must be floating point"),
        ((GOOD, GOOD), {"dim": 2}, r"dim is 2, must be that of the classes.*\(2, 3\)"),
        ((torch.zeros(2, 0), torch.zeros(2, 0)), {}, "dim is 1, must be .*one or more"),
        ((GOOD, GOOD, LABELS), {"dim": 0}, r"labels is .*\(2,\).*of shape \(3,\)"),
        ((GOOD, GOOD, torch.tensor([-1, 2])), {}, "one of labels is -1, must be from 0 to 2"),
        ((GOOD, GOOD, torch.tensor([-1, -100])), {}, "one of labels is -1, must be from 0 to 2"),
        ((GOOD, GOOD, LABELS + 1), {}, "one of labels is 3, must be from 0 to 2"),
        ((GOOD, GOOD, LABELS > 0), {}, "labels is torch.bool"),
        ((GOOD, GOOD, LABELS.to("meta")), {}, "labels is .*on meta.*on cpu"),
        ((GOOD, GOOD, LABELS), {"mask": LABELS}, "mask is torch.int64 .*must be of bool type"),
        ((GOOD, GOOD), {"mask": torch.ones(3, dtype=torch.bool)}, r"mask is .*\(3,\)"),
        ((GOOD, GOOD, LABELS), {"weight": torch.ones(4)}, r"weight is .*\(4,\).*of shape \(3,\)"),
        ((GOOD, GOOD, LABELS), {"weight": [1, 2, 3]}, r"weight is \[1, 2, 3\]"),
        (
            (GOOD, GOOD),
            {"reduction": "batchmean"},
            "reduction is .batchmean., must be mean, sum or",
        ),
        (
            (GOOD, GOOD),
            {"temperature": math.inf},
            "temperature is inf, must be positive and finite",
        ),
    ],
)
def test_what_does_not_go_together_is_one_line(arguments, options, message):
    with pytest.raises(ValueError, match=message) as raised:
        distillation_loss(*arguments, **({"temperature": 2.0, "alpha": 1.0} | options))
    assert "\n" not in str(raised.value)


def test_a_label_out_of_range_that_is_masked_is_nobodys_business():
    mask = torch.tensor([True, False])
    found = distillation_loss(
        GOOD, GOOD, torch.tensor([0, 99]), temperature=2.0, alpha=0.5, mask=mask
    )
    assert found.item() == pytest.approx(0.5 * math.log(3), rel=1e-6)


@pytest.mark.parametrize("options", [*OPTIONS, {"reduction": "sum"}])
@pytest.mark.parametrize("teachers", [1, 2])
def test_no_value_is_looked_at_away_from_the_processor(options, teachers):
    """Where a GPU would wait, a tensor without values raises."""
    student, *taught = (random(2, 4, 3).to("meta") for _ in range(teachers + 1))
    labels = torch.zeros(2, 3, dtype=torch.uint8, device="meta")
    options = {k: v.to("meta") if isinstance(v, torch.Tensor) else v for k, v in options.items()}
    student.requires_grad_()
    loss = distillation_loss(student, taught, labels, temperature=2.0, alpha=0.5, **options)
    loss.sum().backward()
    assert loss.shape == ((2, 3) if options.get("reduction") == "none" else ())
    assert student.grad.shape == student.shape
