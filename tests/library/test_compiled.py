"""Loss and penalty inside torch.compile: whole graphs, compiled once, equal to the plain ones.

The backend ``aot_eager`` traces forward and backward as any other does, and needs no compiler.
"""

import copy

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.nn import functional

import nnc
from nnc.priors import GaussianMixturePrior


@pytest.fixture(autouse=True)
def _afresh():
    torch.compiler.reset()


def compiled(function, **options):
    """The function as one graph, and a counter of how often it was compiled."""
    counter = CompileCounterWithBackend("aot_eager")
    return torch.compile(function, backend=counter, fullgraph=True, **options), counter


def random(*shape, seed=0, dtype=torch.float32):
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


LABELS = torch.tensor([[0, 3, -100], [2, 2, 1]])
EXCLUDED = random(2, 5, 3).index_fill(1, torch.tensor([4]), -torch.inf)
CASES = {
    "images": ((6, 5), 1, {}),
    "pixels": ((2, 5, 3), 1, {"labels": LABELS}),
    "tokens": ((2, 3, 5), -1, {"labels": LABELS, "weight": torch.tensor([1.0, 2, 0, 1, 3])}),
    "masked": ((2, 3, 5), -1, {"mask": LABELS > 0, "reduction": "sum"}),
    "each": ((2, 5, 3), 1, {"labels": LABELS.int(), "reduction": "none"}),
}


@pytest.mark.parametrize("teachers", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_the_loss_is_one_graph_and_equal(case, teachers):
    shape, dim, options = CASES[case]
    alpha = 0.7 if "labels" in options else 1.0

    def loss(student, *taught):
        taught = taught if len(taught) > 1 else taught[0]
        return nnc.distillation_loss(
            student, taught, temperature=3.0, alpha=alpha, dim=dim, **options
        )

    one, counter = compiled(loss)
    for step in range(3):
        inputs = [random(*shape, seed=step + k) for k in range(teachers + 1)]
        students = [inputs[0].clone().requires_grad_() for _ in range(2)]
        found, expected = one(students[0], *inputs[1:]), loss(students[1], *inputs[1:])
        torch.testing.assert_close(found, expected)
        found.sum().backward()
        expected.sum().backward()
        torch.testing.assert_close(students[0].grad, students[1].grad)
    assert counter.frame_count == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_class_that_both_exclude_counts_nothing_in_a_graph_too(dtype):
    student, teacher = EXCLUDED.to(dtype, copy=True).requires_grad_(), EXCLUDED.flip(0).to(dtype)

    def loss(student):
        return nnc.distillation_loss(student, teacher, LABELS, temperature=2.0, alpha=0.5)

    found = compiled(loss)[0](student)
    torch.testing.assert_close(found, loss(student))
    found.backward()
    assert torch.isfinite(student.grad).all()


def test_a_temperature_that_changes_every_step_is_compiled_twice_and_no_more():
    """First as the number it is, then as any number: what torch.compile does with numbers."""
    student, teacher = random(4, 5), random(4, 5, seed=1)
    labels = torch.tensor([0, 1, 4, 4])

    def loss(temperature, alpha):
        return nnc.distillation_loss(student, teacher, labels, temperature=temperature, alpha=alpha)

    one, counter = compiled(loss)
    for step in range(5):
        numbers = 2.0 + step, 0.5 + step / 16
        torch.testing.assert_close(one(*numbers), loss(*numbers))
    assert counter.frame_count <= 3


def test_batches_of_another_size_go_through_one_graph():
    def loss(student, teacher, labels):
        return nnc.distillation_loss(student, teacher, labels, temperature=2.0, alpha=0.5)

    one, counter = compiled(loss, dynamic=True)
    for size in (4, 7, 3):
        inputs = random(size, 5), random(size, 5, seed=1), torch.arange(size) % 5
        torch.testing.assert_close(one(*inputs), loss(*inputs))
    assert counter.frame_count == 1


@pytest.mark.parametrize("tabulated", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_prior_in_a_graph_has_the_values_and_gradients_of_the_prior(tabulated, dtype):
    """By a table or exactly; one tensor has its channels innermost, one is empty."""
    weights = [random(8, 4, 3, 3, dtype=dtype) / 9, random(40, 30, seed=1, dtype=dtype) / 9]
    weights[0] = weights[0].to(memory_format=torch.channels_last)
    weights.append(torch.zeros(0, 3, dtype=dtype))
    prior = GaussianMixturePrior(
        torch.linspace(-0.5, 0.5, 6), sigma=0.2, pi_0=0.6, layers=3, tabulated=tabulated
    )
    one, counter = compiled(prior)
    for step in range(2):
        found, expected = [], []
        for into, function in ((found, one), (expected, prior)):
            leaves = [w.detach().clone().requires_grad_() for w in weights]
            value = (1 + step) * function(leaves)
            parameters = list(prior.parameters())
            into += [value, *torch.autograd.grad(value, [*leaves, *parameters])]
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b)
            assert a.stride() == b.stride()
    assert counter.frame_count == 1


def test_autocast_does_not_reach_the_sum_of_a_compiled_prior():
    weights = [random(40, 30) / 9]
    prior = GaussianMixturePrior(torch.linspace(-0.5, 0.5, 6), sigma=0.2, pi_0=0.6)

    def penalty(weights):
        with torch.autocast("cpu", torch.bfloat16):
            return prior(weights)

    torch.testing.assert_close(compiled(penalty)[0](weights), prior(weights))


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # of opcheck's own copies
def test_the_operation_keeps_what_torch_asks_of_one():
    arguments = [torch.tensor([0.0, 0.3]), torch.tensor([3.0, 2.0]), torch.tensor([0.5, 0.5]).log()]
    arguments = [a.requires_grad_() for a in [*arguments, random(6, 5) / 9]]
    for tabulated in (True, False):
        torch.library.opcheck(torch.ops.nnc.mixture_sum, (arguments, tabulated))


def test_a_whole_training_step_is_compiled_once_for_all_pressures():
    """The error of a taught network and the penalty in one graph, as a user would write them."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 4))
    plain = copy.deepcopy(model)
    inputs, teacher, labels = random(16, 6), random(16, 4, seed=1), torch.arange(16) % 4

    def train(model, wrap):
        sharing = nnc.SoftWeightSharing(model, examples=16, steps=6, ramp=0.5, ease=0.3)
        groups = [{"params": model.parameters(), "lr": 1e-3}, *sharing.parameter_groups()]
        optimiser = torch.optim.Adam(groups)

        def error(inputs):
            logits = model(inputs)
            taught = nnc.distillation_loss(logits, teacher, labels, temperature=2.0, alpha=0.5)
            return taught + functional.cross_entropy(logits, labels) + sharing.penalty()

        error = wrap(error)
        for _ in range(6):
            optimiser.zero_grad()
            error(inputs).backward()
            optimiser.step()
            sharing.step()
        sharing.hold_zeros()
        return float(error(inputs).detach())

    counters = []

    def whole(function):
        one, counter = compiled(function)
        counters.append(counter)
        return one

    assert train(model, whole) == pytest.approx(train(plain, lambda function: function), rel=1e-4)
    assert counters[0].frame_count == 1
